"""Inputs that are not on S3: a dataset of the Hub, a web server, members of archives there and here."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hub_server import TOKEN, Hub, hub_server
from processes import environment, syphus

from syphus import read_json, read_jsonl
from syphus.errors import InputError

pytest.importorskip("fsspec", reason="the extra remote is not installed")

ROWS = b'[{"id": "a", "text": "the door is open"}, {"id": "b", "text": "the door is shut"}]'


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with hub_server() as running:
        running.repos["USER/NAME"] = True
        running.files = {
            f"data/part-{number}.json": b'[{"img_id": "%d", "sentences": ["x"]}]' % number for number in (0, 1)
        }
        yield running


@pytest.mark.parametrize(
    ("file", "token", "code", "said"),
    [
        ("USER/NAME/data/part-1.json", TOKEN, 0, "=== 00001_"),
        ("USER/NAME/data/part-*.json", TOKEN, 0, "=== 00000_"),
        ("USER/NAME/data/part-2.json", TOKEN, 2, ": no such file or folder"),
        ("USER/OTHER/part-0.json", TOKEN, 2, ": no such file or folder"),
        ("USER/NAME/data/part-0.json", "hf_of_somebody_else", 2, ": permission denied (Client error '401"),
    ],
)
def test_a_dataset_of_the_hub_is_an_input(
    hub: Hub, file: str, token: str, code: int, said: str, tmp_path: Path
) -> None:
    where = {"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    options = ("preview", "--name", "SpotTheDifference.change", "-in", f"hf://datasets/{file}")
    done = syphus(tmp_path, *options, env=environment(**where, SYPHUS_CACHE=str(tmp_path / "copies")))
    assert done.returncode == code, done.stderr
    assert said in (done.stderr if code else done.stdout)
    assert done.stderr.count("\n") == (1 if code else 0)


class _Files(SimpleHTTPRequestHandler):
    """Sends parts of files, too: members of archives are read so."""

    def do_GET(self) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if wanted is None or not path.is_file():
            super().do_GET()
            return
        data, first = path.read_bytes(), int(wanted[1])
        part = data[first : int(wanted[2]) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder))) as serving:
        thread = Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_port}"
        finally:
            serving.shutdown()
            thread.join()


def test_files_of_a_web_server_and_members_of_archives_are_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYPHUS_CACHE", str(tmp_path / "copies"))
    (tmp_path / "rows.json").write_bytes(ROWS)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("deep/rows.json", ROWS)
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in ("part-0.json", "part-1.json"):
            member = tarfile.TarInfo(f"deep/{name}")
            member.size = len(ROWS)
            tar.addfile(member, io.BytesIO(ROWS))
    with web_server(tmp_path) as web:
        for url in (
            f"{web}/rows.json",
            f"zip://deep/rows.json::{web}/x.zip",
            f"tar://deep/part-1.json::{web}/x.tar",
            f"tar://deep/part-0.json::{tmp_path}/x.tar",
        ):
            assert [row["id"] for row in read_json(url)] == ["a", "b"], url
        for url in (f"{web}/none.json", f"zip://none.json::{web}/x.zip", f"tar://none.json::{tmp_path}/x.tar"):
            with pytest.raises(InputError, match=r": no such file") as raised:
                list(read_jsonl(url))
            assert str(raised.value).startswith(url)
