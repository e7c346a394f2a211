"""`push`, as it is typed, to a Hub on loopback."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import HERE, run_rows, server
from hub_server import TOKEN, Hub, hub_server
from processes import MAIN, environment, finish, start, syphus

from syphus.text import install_hint

PLUGINS = ("--datasets-dir", str(HERE / "plugins"))
REPO = "USER/rows"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of seven rows."""
    with server() as simulated:
        return run_rows(tmp_path_factory.mktemp("run"), simulated.url, 7).folder


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server() as running:
        yield running


def variables(hub: Hub, home: Path, token: str = TOKEN) -> dict[str, str]:
    """Nothing of this machine's user; large files go by LFS, which the Hub of the tests understands."""
    where = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    return environment(**where, **({"HF_TOKEN": token} if token else {}))


def typed(folder: Path, *options: str) -> list[str]:
    return [sys.executable, str(MAIN), "push", str(folder), "--repo", REPO, *PLUGINS, *options]


def push(hub: Hub, folder: Path, *options: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    done = syphus(folder, *typed(folder, *options)[2:], env=variables(hub, folder / "home", token))
    assert TOKEN not in done.stdout + done.stderr
    return done


def test_a_run_is_sent_as_parquet_with_its_card_and_unchanged_files_are_not_sent_again(folder: Path, hub: Hub) -> None:
    done = push(hub, folder, "--allow-simulated", "--private")
    sent = rf"{hub.url}/datasets/USER/rows: 2 files sent \(0\.0 MB\), 0 unchanged\n"
    assert re.fullmatch(sent, done.stdout), done.stderr
    assert (done.returncode, done.stderr, hub.repos) == (0, "", {REPO: True})
    written = {path.name: path.read_bytes() for path in (folder / "export" / "parquet").iterdir()}
    assert hub.files == written
    assert sorted(written) == ["README.md", "RW.parquet"]
    again = push(hub, folder, "--allow-simulated")
    assert again.stdout == f"{hub.url}/datasets/USER/rows: 0 files sent, 2 unchanged\n"
    (folder / "export" / "parquet" / "README.md").write_bytes(written["README.md"] + b"More.\n")
    changed = push(hub, folder / "export" / "parquet", "--allow-simulated")
    assert "1 file sent (0.0 MB), 1 unchanged" in changed.stdout
    assert (len(hub.uploads), hub.commits) == (1, [["README.md", "RW.parquet"], ["README.md"]])


def test_a_push_takes_the_options_of_export(folder: Path, hub: Hub) -> None:
    options = ("--format", "chat", "--split", "train=0.5,validation=0.5", "--system", "You see a street.")
    done = push(hub, folder, "--allow-simulated", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(hub.files) == ["README.md", "RW_chat_train.jsonl", "RW_chat_validation.jsonl"]
    assert all(b"You see a street." in text for name, text in hub.files.items() if name.endswith(".jsonl"))
    sent_as_it_is = push(hub, folder / "export" / "chat", "--allow-simulated", "--max-images", "3")
    assert sent_as_it_is.returncode == 2
    assert "is not a run; --max-images applies only to the folder of a run." in sent_as_it_is.stderr


def test_a_killed_push_resumes_and_sends_no_file_twice(folder: Path, hub: Hub) -> None:
    options = ("--allow-simulated", "--format", "mimicit")
    syphus(folder, "export", str(folder), "--format", "mimicit", *PLUGINS)
    exported = folder / "export" / "mimicit"
    large, small = (exported / f"RW_{name}.json" for name in ("instructions", "train"))
    hub.held = hashlib.sha256(large.read_bytes()).hexdigest()
    first = hashlib.sha256(small.read_bytes()).hexdigest()
    with start(typed(folder, *options), folder, env=variables(hub, folder / "home")) as process:
        assert hub.holding.wait(20)
        assert hub.wait_for_uploads(1)
        process.kill()
        process.communicate()
    assert (hub.uploads, hub.commits, hub.files) == ([first], [], {})  # nobody loads half of it
    hub.uploads.clear()
    hub.held = ""
    done = push(hub, folder, *options)
    assert "3 files sent" in done.stdout, done.stderr
    assert hub.uploads.count(first) == 0
    assert hub.files == {path.name: path.read_bytes() for path in exported.iterdir()}
    assert len(hub.commits) == 1


def test_simulated_data_is_sent_only_if_the_user_allows_it(folder: Path, hub: Hub) -> None:
    for given in (folder, folder / "export" / "parquet"):
        done = push(hub, given)
        assert (done.returncode, done.stdout, hub.requests) == (2, "", [])
        assert "holds simulated data; add --allow-simulated to send it anyway." in done.stderr


REFUSALS = {
    "no token": ("", (), 2, "There is no token for the Hub: set HF_TOKEN, or run: hf auth login"),
    "wrong token": (TOKEN[::-1], (), 3, "{0} does not accept the token: set HF_TOKEN, or run: hf auth login"),
    "not ours": (TOKEN, ("--repo", "OTHER/rows"), 3, "{0} does not let this token write to OTHER/rows"),
    "no name": (TOKEN, ("--repo", "a/b/c"), 2, "--repo a/b/c: USER/NAME is expected"),
    "no branch": (TOKEN, ("--revision", "v2"), 2, "USER/rows has no branch v2; create it there first."),
    "no format": (TOKEN, ("--format", "csv"), 2, "--format csv: must be one of mimicit, "),
}


@pytest.mark.parametrize(("token", "options", "code", "told"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_one_line(
    folder: Path, hub: Hub, token: str, options: tuple[str, ...], code: int, told: str
) -> None:
    done = push(hub, folder, "--allow-simulated", *options, token=token)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done.stderr
    assert done.stderr.startswith(told.format(hub.url))
    assert not token or token not in done.stderr
    assert hub.commits == []


def test_a_missing_network_or_card_and_a_public_repository_are_reported_in_one_line(
    folder: Path, hub: Hub, tmp_path: Path
) -> None:
    hub.repos[REPO] = False
    done = push(hub, folder, "--allow-simulated", "--private")
    assert (done.returncode, done.stderr) == (
        2, "USER/rows already exists, and is public: --private can't change that. Nothing was sent.\n",
    )  # fmt: skip
    (tmp_path / "data.parquet").write_bytes(b"")
    for readme in ("", "# A checkout, and not a dataset\n"):
        (tmp_path / "README.md").write_text(readme, "utf-8")
        done = push(hub, tmp_path)
        assert (done.returncode, done.stderr.count("holds no README.md with pairs"), hub.files) == (2, 1, {})
    gone = Hub(url="http://127.0.0.1:9")
    done = push(gone, folder, "--allow-simulated")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1), done.stderr
    assert done.stderr.startswith(
        f"{gone.url} can't accept the files of USER/rows now; run the same command again to resume ("
    )


def test_a_card_that_the_hub_refuses_is_to_be_changed(folder: Path, hub: Hub) -> None:
    hub.bad_card = '"license" must be one of [apache-2.0, mit, ...]'
    for given in (folder, folder / "export" / "parquet"):
        done = push(hub, given, "--allow-simulated")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert done.stderr.startswith(f"{hub.url} refuses the dataset card of USER/rows: Invalid metadata in README.md")
        assert hub.bad_card in done.stderr
        assert "`licence`" in done.stderr
    assert hub.commits == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "refuses the files of USER/rows, and the same command will be refused again"),
        (413, "refuses the files of USER/rows, and the same command will be refused again"),
        (422, "refuses the files of USER/rows, and the same command will be refused again"),
        (412, "can't accept the files of USER/rows now; run the same command again to resume"),
    ],
)
def test_a_refusal_for_good_is_not_called_a_passing_one(folder: Path, hub: Hub, status: int, said: str) -> None:
    hub.refused = {"POST /api/datasets/USER/rows/commit/main": status}
    done = push(hub, folder, "--allow-simulated")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
    assert done.stderr.startswith(f"{hub.url} {said} (")


def test_a_call_that_the_hub_rate_limits_is_repeated(folder: Path, hub: Hub) -> None:
    hub.busy = {"POST /api/repos/create": 2, "POST /api/datasets/USER/rows/commit/main": 1}
    done = push(hub, folder, "--allow-simulated")
    assert (done.returncode, done.stderr) == (0, "")
    assert hub.requests.count("POST /api/repos/create") == 3
    assert hub.commits == [["README.md", "RW.parquet"]]
    hub.busy = {"POST /api/repos/create": 9}
    done = push(hub, folder, "--allow-simulated")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1), done.stderr
    assert hub.busy == {"POST /api/repos/create": 4}  # five attempts


def test_without_the_library_there_is_one_line(folder: Path) -> None:
    program = "import sys; sys.modules['huggingface_hub'] = None; from syphus.cli import main; main()"
    done = finish([sys.executable, "-c", program, *typed(folder)[2:]], HERE.parents[1])
    assert (done.returncode, done.stderr) == (
        2,
        f"push needs huggingface_hub: {install_hint('hub')}\n",
    )
