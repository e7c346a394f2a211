"""Inputs and images by URL: the same rows, positions and errors as from a local disk."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from harness import Ran, run_rows, server
from image_rows import ask, picture
from object_store import ObjectStore, object_store

import syphus
from syphus import read_csv, read_json, read_jsonl, read_parquet, read_webdataset
from syphus.errors import ConfigError, InputError, SyphusError
from syphus.io.records import position
from syphus.plugins.input_sources import input_shards
from syphus.storage.addresses import absolute, as_url
from syphus.storage.local_copies import look_again, with_urls
from syphus.types import State


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("copies")) as running:
        yield running


def rows(first: int, count: int) -> str:
    return "".join(json.dumps({"id": f"r{n:04}", "text": f"text {n}"}) + "\n" for n in range(first, first + count))


def stored(ran: Ran, sql: str) -> str:
    """The one value that a query finds in the ledger."""
    with closing(sqlite3.connect(ran.folder / "run.sqlite")) as database:
        return str(database.execute(sql).fetchone()[0])


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://b/k.json", "s3://b/k.json"),
        ("s3:/b/k.json", "s3://b/k.json"),
        ("zip://a/b.json::s3://b/x.zip", "zip://a/b.json::s3://b/x.zip"),
        ("zip:/a.json::https:/h/x.zip", "zip://a.json::https://h/x.zip"),
        ("file:///tmp/x", "file:///tmp/x"),
        ("rows.json", ""),
        ("C:/rows.json", ""),
        ("data/s3://b", ""),
        ("a::b", ""),
        ("zip://a.json::/d/x.zip", "zip://a.json::/d/x.zip"),
    ],
)
def test_a_url_is_known_also_as_pathlib_writes_it(text: str, url: str) -> None:
    assert as_url(text) == url
    assert as_url(Path(text)) == url


def test_a_local_file_comes_before_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:").mkdir()
    (tmp_path / "s3:" / "rows.json").write_text("[1]", "utf-8")
    assert as_url("s3:/rows.json") == ""
    assert list(read_json("s3:/rows.json")) == [1]


def test_names_stand_for_files_in_a_fixed_order(tmp_path: Path, store: ObjectStore) -> None:
    for name in ("b-2.jsonl", "b-10.jsonl", "a.jsonl"):
        (tmp_path / name).write_text("", "utf-8")
    listing = tmp_path / "list.txt"
    listing.write_text("b-2.jsonl\n\ns3://bucket/x.jsonl\n", "utf-8")
    assert input_shards(f"{tmp_path}/*.jsonl") == [
        f"{tmp_path}/{name}" for name in ("a.jsonl", "b-10.jsonl", "b-2.jsonl")
    ]
    assert input_shards(f"@{listing}") == [f"{tmp_path}/b-2.jsonl", "s3://bucket/x.jsonl"]
    assert input_shards("p-{08..11}.tar") == ["p-08.tar", "p-09.tar", "p-10.tar", "p-11.tar"]
    assert input_shards("{b,a}/{1..2}") == ["b/1", "b/2", "a/1", "a/2"]
    assert input_shards("z\na\n") == ["z", "a"]
    store.put_all({"order/2.jsonl": "", "order/10.jsonl": "", "order/sub/1.jsonl": ""})
    assert input_shards("s3://bucket/order/*.jsonl") == ["s3://bucket/order/10.jsonl", "s3://bucket/order/2.jsonl"]
    with pytest.raises(InputError, match="no file matches"):
        input_shards(f"{tmp_path}/nothing-*.jsonl")


def test_a_kept_command_means_the_same_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("s3://b/*.json") == "s3://b/*.json"
    assert absolute("a.json\ns3://b/c.json") == f"{tmp_path}/a.json\ns3://b/c.json"
    assert absolute("@list.txt") == f"@{tmp_path}/list.txt"


def test_readers_take_urls_and_name_them_in_positions_and_errors(tmp_path: Path, store: ObjectStore) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"id": [1, 2]}), table)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("deep/rows.json", '[{"id": "from a zip"}]')
    store.put_all(
        {
            "read/rows.jsonl.gz": gzip.compress(rows(0, 3).encode()),
            "read/utf16.csv": "id,text\n1,größer\n".encode("utf-16"),
            "read/bad.json": '[{"id": 1},\n {"id": NaN}]',
            "read/t.parquet": table.getvalue(),
            "read/x.zip": archive.getvalue(),
        }
    )
    assert [row["id"] for row in read_jsonl(store.url("read/rows.jsonl.gz"))] == ["r0000", "r0001", "r0002"]
    assert [dict(row) for row in read_csv(store.url("read/utf16.csv"))] == [{"id": "1", "text": "größer"}]
    assert list(read_json("zip://deep/rows.json::s3://bucket/read/x.zip")) == [{"id": "from a zip"}]
    places = [str(position()) for _ in read_parquet(store.url("read"))]
    assert places == ["s3://bucket/read/t.parquet: record 1", "s3://bucket/read/t.parquet: record 2"]
    found = read_json(Path(store.url("read/bad.json")))
    assert next(found) == {"id": 1}
    with pytest.raises(InputError, match=r"^s3:/{1,2}bucket/read/bad\.json: record 2 \(line 2\)"):
        next(found)


def test_webdataset_shards_are_read_sample_by_sample(tmp_path: Path, store: ObjectStore) -> None:
    def shard(members: dict[str, bytes]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as file:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
        return out.getvalue()

    store.put("wds/0.tar", shard({"a/1.json": b'{"k": 1}', "a/1.jpg": b"\xff", "a/2.txt": "zwölf".encode()}))
    store.put("wds/1.tar", shard({"./3.cls": b"7", "4.json": b"{"}))
    found = read_webdataset(store.url("wds"))
    assert next(found) == {"__key__": "a/1", "json": {"k": 1}, "jpg": b"\xff"}
    assert next(found) == {"__key__": "a/2", "txt": "zwölf"}
    assert next(found) == {"__key__": "3", "cls": "7"}
    with pytest.raises(InputError, match=r"s3://bucket/wds/1\.tar: record 2: 4\.json"):
        next(found)
    torn = tmp_path / "torn.tar"
    torn.write_bytes(store.get("wds/0.tar")[:700])
    with pytest.raises(InputError, match=r"torn\.tar: can't be read as tar"):
        list(read_webdataset(torn))


def test_shards_by_url_are_one_input_and_a_changed_shard_is_noticed(tmp_path: Path, store: ObjectStore) -> None:
    store.put_all({f"shards/part-{n:02}.jsonl": rows(3 * n, 3) for n in range(4)})
    source = "s3://bucket/shards/part-*.jsonl"
    with server() as simulated:
        first = run_rows(tmp_path, simulated.url, query_inputs_path=source)
        assert first.states == {State.OK: 12}
        asked = simulated.stats.requests
        again = run_rows(tmp_path, simulated.url, query_inputs_path=source)
        assert (again.states, simulated.stats.requests) == ({State.OK: 12}, asked)
        assert "Nothing to do: no request was sent." in again.lines
        store.put("shards/part-03.jsonl", rows(9, 4))
        grown = run_rows(tmp_path, simulated.url, query_inputs_path=source)
        assert (grown.states, simulated.stats.requests) == ({State.OK: 13}, asked + 1)
        assert "The input has changed: 1 new, 0 changed, 0 removed." in grown.lines
    ids = [json.loads(line)["query"] for line in (first.folder / "pairs.jsonl").read_text("utf-8").splitlines()]
    assert list(dict.fromkeys(ids)) == [f"r{n:04}" for n in range(13)]


def test_a_bad_row_is_named_by_the_url_of_its_shard_and_can_be_left_out(tmp_path: Path, store: ObjectStore) -> None:
    store.put_all({"bad/0.jsonl": rows(0, 2), "bad/1.jsonl": '{"id": "x", "text": "good"}\n{oops\n'})
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, query_inputs_path="s3://bucket/bad/*.jsonl")
        assert (ran.exit_code, simulated.stats.requests) == (2, 0)
        assert str(ran.error).startswith("s3://bucket/bad/1.jsonl: record 2 (line 2)")
        kept = run_rows(tmp_path, simulated.url, query_inputs_path="s3://bucket/bad/*.jsonl", allow_bad_rows=True)
    assert kept.states == {State.OK: 3, State.FAILED: 1}
    assert stored(kept, "SELECT problem FROM annotation WHERE problem != ''").startswith("s3://bucket/bad/1.jsonl: rec")


def test_images_by_url_are_sent(tmp_path: Path, store: ObjectStore) -> None:
    store.put_all({f"photos/{name}.jpg": picture(32, 24, n) for n, name in enumerate("ab")})
    questions = [{"id": name, "image_ids": [name]} for name in "abc"]
    with server() as simulated:
        ran = ask(tmp_path, simulated, questions, with_images=True, images=Path(store.url("photos")))
        assert sorted(len(each.images) for each in simulated.requests) == [1, 1]
    assert ran.states == {State.OK: 2, State.FAILED: 1}, ran.lines
    assert "missing in s3://bucket/photos" in stored(ran, "SELECT images FROM picture WHERE images LIKE '%missing%'")


def test_convert_takes_images_and_stores_by_url(tmp_path: Path, store: ObjectStore) -> None:
    photos = {f"{number:012}.jpg": picture(64, 48, seed=number) for number in range(3)}
    store.put_all({f"convert/{name}": data for name, data in photos.items()})
    (tmp_path / "photos").mkdir()
    for name, data in photos.items():
        (tmp_path / "photos" / name).write_bytes(data)
    dataset, stores = "CocoSpotTheDifference.change", [tmp_path / name for name in ("here.parquet", "there.parquet")]
    syphus.convert(dataset, image_path=tmp_path / "photos", output=stores[0])
    syphus.convert(dataset, image_path=store.url("convert"), output=stores[1])
    assert pq.read_table(stores[0]).equals(pq.read_table(stores[1]))
    store.put("CGD.parquet", stores[0].read_bytes())
    assert syphus.convert(from_=store.url("CGD.parquet"), output=tmp_path / "again.json").images == 3
    with pytest.raises(ConfigError, match=r"^--output s3://bucket/CGD\.parquet: a store is written to a local disk"):
        syphus.convert(from_=stores[0], output=store.url("CGD.parquet"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("s3://bucket/nothing.jsonl", "s3://bucket/nothing.jsonl: no such file or folder"),
        ("s3://no-bucket/rows.jsonl", "s3://no-bucket/rows.jsonl: "),
        ("s3://bucket/nothing-*.jsonl", "s3://bucket/nothing-*.jsonl: no file matches"),
        ("gs://bucket/rows.jsonl", "gs:// needs the package gcsfs: pip install gcsfs"),
        ("xyz://bucket/rows.jsonl", "xyz://bucket/rows.jsonl: fsspec does not know this protocol"),
        ("http://127.0.0.1:9/rows.jsonl", "http://127.0.0.1:9/rows.jsonl: can't be used: "),
    ],
)
def test_what_can_not_be_fetched_is_one_line_and_costs_nothing(
    tmp_path: Path, store: ObjectStore, source: str, message: str
) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, query_inputs_path=source)
        assert simulated.stats.requests == 0
    assert ran.exit_code == 2
    assert message in str(ran.error)
    assert "\n" not in str(ran.error)
    assert not ran.folder.exists()


def test_a_copy_is_fetched_again_only_when_it_changed(tmp_path: Path, store: ObjectStore) -> None:
    url = store.put("again.json", "[1]")
    assert list(read_json(url)) == [1]
    store.put("again.json", "[2]")
    look_again()
    assert list(read_json(url)) == [2]
    store.remove("again.json")
    look_again()
    with pytest.raises(SyphusError, match="no such file"):
        list(read_json(url))


def test_messages_name_urls_in_place_of_copies(tmp_path: Path, store: ObjectStore) -> None:
    from syphus.storage.local_copies import copy_path

    for url in ("s3://b/a dir/k.json", "zip://m/k.json::s3://b/x.zip", "https://h:1/p?q=1"):
        path = copy_path(url)
        if " " not in url:
            assert with_urls(f"{path}: record 1 in {path}, twice") == f"{url}: record 1 in {url}, twice"


def test_a_run_on_local_files_loads_nothing_for_urls(tmp_path: Path) -> None:
    script = (
        "import sys; from syphus import run; run('SpotTheDifference.change', example=True, offline=True, quiet=True); "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"fsspec", "s3fs", "botocore", "aiobotocore"} == set()


def test_without_fsspec_the_message_says_what_to_install(tmp_path: Path) -> None:
    script = "import sys; sys.modules['fsspec'] = None\nfrom syphus import read_json\nlist(read_json('s3://b/k.json'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (
        f"{ConfigError.__name__}: s3://b/k.json needs the package fsspec: pip install 'syphus[remote]'" in done.stderr
    )
