"""What the operating system refuses, at every path of every command: one line and an exit code, never a traceback."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
from harness import run_rows, server
from media import write_still
from processes import MAIN, finish, syphus
from typer.main import get_command

import syphus as package
from syphus import api
from syphus.cli.app import app
from syphus.errors import InputError, StorageError, SyphusError, machine_faults

LONG = "n" * 300
ROWS = ["--name", "Rows.rows", "--datasets-dir", str(Path(__file__).parents[1] / "support" / "plugins"), "--offline"]
INPUT = ["-in", "rows.jsonl"]
CHANGE = ["--name", "SpotTheDifference.change"]

#: Every command that takes a path, with `{}` for the path.
COMMANDS: dict[str, list[str]] = {
    "input": [*ROWS, "-in", "{}"],
    "output": [*ROWS, *INPUT, "--output-dir", "{}"],
    "config": [*ROWS, *INPUT, "--config", "{}"],
    "prompt": [*ROWS, *INPUT, "--prompt_path", "{}.yaml"],
    "plugins": [*ROWS, *INPUT, "--datasets-dir", "{}"],
    "images": [*ROWS, *INPUT, "--with-images", "--images", "{}"],
    "train": [*ROWS, *INPUT, "--train", "{}"],
    "log": [*ROWS, *INPUT, "--log-file", "{}"],
    "relate": [*ROWS, *INPUT, "--relate", "image", "--image-embeddings", "{}"],
    "preview": ["preview", *ROWS, "-in", "{}"],
    "quote": ["quote", *ROWS, "-in", "{}"],
    "cold-start": ["cold-start", *ROWS, "-in", "{}"],
    "compare": ["compare", *ROWS, *INPUT, "--prompt", "{}.yaml"],
    "describe": ["describe", *ROWS, *INPUT, "--output-dir", "{}"],
    "translate": ["translate", "{}", "--languages", "de", "--offline"],
    "glossary": ["translate", "run/RW_instructions.json", "--languages", "de", "--offline", "--glossary", "{}"],
    "status": ["status", "{}"],
    "rows": ["rows", "{}"],
    "new": ["new", "Street", "-in", "{}"],
    "runs": ["runs", "{}"],
    "failures": ["failures", "{}"],
    "control": ["control", "{}"],
    "batches": ["batches", "{}"],
    "view": ["view", "{}"],
    "balance": ["balance", "{}"],
    "run": ["run", "{}"],
    "resume": ["resume", "{}"],
    "resume from": ["resume", "elsewhere/Rows.rows/v1", "--from", "{}"],
    "snapshot": ["snapshot", "{}", "place"],
    "snapshot to": ["snapshot", "run", "{}"],
    "try": ["try", *ROWS, "-in", "{}"],
    "clean": ["clean", "{}"],
    "export": ["export", "{}", "--format", "llava"],
    "export to": ["export", "run", "--format", "llava", "--output", "{}"],
    "push": ["push", "{}", "--repo", "a/b"],
    "convert": ["convert", *CHANGE, "--image_path", "{}", "--output", "o.parquet"],
    "convert to": ["convert", *CHANGE, "--image_path", "photos", "--output", "{}.parquet"],
    "convert from": ["convert", "--from", "{}", "--output", "o.json"],
    "convert in": ["convert", *CHANGE, "--image_path", "photos", "-in", "{}", "--output", "o.parquet"],
    "verify": ["verify", "{}"],
    "verify images": ["verify", "run/RW_instructions.json", "--images", "{}"],
    "mix": ["mix", "{}", "--output", "m.yaml"],
    "mix to": ["mix", "run", "--output", "{}"],
    "stats": ["stats", "{}"],
    "stats page": ["stats", "run/RW_instructions.json", "--html", "{}"],
    "datasets": ["datasets", "--datasets-dir", "{}"],
}
PATHS: dict[str, str] = {
    "a name too long": LONG,
    "below a file": "rows.jsonl/x",
    "a loop": "loop",
    "a pipe": "pipe",
    "a name that is not UTF-8": os.fsdecode(b"caf\xe9/x"),
}
EVERYWHERE = {"a name too long", "a pipe"}  #: the others are tried with a few commands
FEW = {"input", "output", "config", "log", "quote", "translate", "status", "export to", "convert from", "convert",
       "verify", "verify images", "mix to", "stats"}  # fmt: skip
FINE = {("output", "a name that is not UTF-8")}  #: the folder is made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, its rows, a photo, a pipe and a link to itself."""
    here = tmp_path_factory.mktemp("machine")
    with server() as simulated:
        run = run_rows(here, simulated.url, 3).folder
    run.rename(here / "run")
    write_still(here / "photos" / "1_1.jpg")
    os.mkfifo(here / "pipe")
    (here / "loop").symlink_to("loop")
    return here


@pytest.mark.parametrize("path", PATHS)
def test_every_command_reports_a_path_in_one_line(folder: Path, path: str) -> None:
    wrong: list[str] = []
    for name in COMMANDS if path in EVERYWHERE else FEW:
        if (name, path) in FINE:
            continue
        given = [each.replace("{}", PATHS[path]) for each in COMMANDS[name]]
        ended = finish([sys.executable, str(MAIN), *given], folder)
        lines = ended.stderr.splitlines()[:-1]
        reported = ended.returncode in (2, 5) and all(
            line.startswith("Ignoring 1 in-context example") for line in lines
        )
        found = name == "verify images" and ended.returncode == 1 and "\n" in ended.stdout  # as a finding
        if not (reported or found):
            wrong.append(f"{name}: exit {ended.returncode}: {ended.stderr[-400:]}")
    assert wrong == []


def test_no_command_is_left_out() -> None:
    names = set(get_command(app).commands)  # type: ignore[attr-defined]  # the app is a group
    assert names - {"simulate", "gate"} <= {arguments[0] for arguments in COMMANDS.values()}


def too_long(folder: Path) -> dict[str, Callable[[], object]]:
    """Every function of the Python API, with a path that the system refuses."""
    rows: Any = {"query_inputs_path": folder / "rows.jsonl", "datasets_dir": ROWS[3], "offline": True, "quiet": True}
    return {
        "run": lambda: package.run("Rows.rows", **{**rows, "query_inputs_path": LONG}),
        "run_async": lambda: asyncio.run(package.run_async("Rows.rows", **{**rows, "output_dir": LONG})),
        "quote": lambda: package.quote("Rows.rows", **{**rows, "output_dir": LONG}),
        "translate": lambda: package.translate(LONG, languages="de", offline=True, quiet=True),
        "convert": lambda: package.convert(from_=LONG, output=folder / "o.json", quiet=True),
        "verify": lambda: package.verify(LONG),
        "export": lambda: package.export(LONG, "llava"),
        "balance": lambda: package.balance(LONG),
        "push": lambda: package.push(LONG, "a/b"),
        "open_run": lambda: package.open_run(LONG),
        "list_runs": lambda: package.list_runs(LONG),
        "resume": lambda: package.resume(LONG),
        "preview": lambda: package.preview("Rows.rows", **{**rows, "query_inputs_path": LONG}),
        "control": lambda: package.control(LONG),
        "view": lambda: package.view(LONG),
        "try_rows": lambda: package.try_rows("Rows.rows", **{**rows, "output_dir": LONG}),
    }


def test_every_function_raises_an_error_of_ours(folder: Path) -> None:
    calls = too_long(folder)
    functions = {
        name for name in package.__all__ if getattr(getattr(package, name), "__module__", "").startswith(api.__name__)
    }
    assert {name for name in functions if not name[0].isupper()} == set(calls)
    for call in calls.values():
        with pytest.raises(SyphusError, match="File name too long") as raised:
            call()
        assert "\n" not in str(raised.value)


CAUSES: dict[str, tuple[BaseException, type[SyphusError], str]] = {
    "full": (OSError(28, "No space left on device", "a.json"), StorageError, r"a\.json: No space left on device\."),
    "read-only": (OSError(30, "Read-only file system", "a"), StorageError, r"a: Read-only file system\."),
    "forbidden": (PermissionError(13, "Permission denied", "a"), InputError, "a: Permission denied"),
    "two names": (OSError(18, "Cross-device link", "a", None, "b"), InputError, "a -> b: Cross-device link"),
    "a name in bytes": (OSError(13, "Permission denied", b"caf\xe9"), InputError, r"caf\\udce9: Permission denied"),
    "no number": (OSError("seek on a pipe"), InputError, "OSError: seek on a pipe"),
    "not UTF-8": (UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "no"), InputError, r"caf\\udce9: a name or text"),
    "a database": (sqlite3.OperationalError("disk I/O error"), StorageError, "A database can't be used: disk"),
    "of several tasks": (ExceptionGroup("", [OSError(28, "No space left", "a")]), StorageError, "a: No space left"),
}  # fmt: skip


@pytest.mark.parametrize(("cause", "kind", "message"), CAUSES.values(), ids=CAUSES)
def test_what_the_machine_says(cause: BaseException, kind: type[SyphusError], message: str) -> None:
    with pytest.raises(kind, match=f"^{message}"), machine_faults():
        raise cause


def test_a_mistake_in_the_code_stays_one() -> None:
    with pytest.raises(KeyError), machine_faults():
        raise KeyError("name")


def test_a_config_is_checked_offline_too(folder: Path) -> None:
    """But its variables may be unset, and its endpoint left out: who tries it out has no key yet."""
    (folder / "wrong.yaml").write_text("temprature: 1\n")
    (folder / "right.yaml").write_text("model: m\nendpoint: {base_url: 'https://a.example/v1', api_key: '${NO_KEY}'}\n")
    (folder / "short.yaml").write_text("model: m\n")
    for name, code in (("wrong", 2), ("missing", 2), ("right", 0), ("short", 0)):
        ended = syphus(folder, *ROWS, *INPUT, "--config", f"{name}.yaml", "--output-dir", name, "-q")
        assert ended.returncode == code, ended.stderr
        assert f"{name}.yaml" in ended.stderr or not code


def test_an_output_that_is_a_device_stays_one(folder: Path) -> None:
    for name in ("pipe", "loop"):
        ended = syphus(folder, "stats", "run/RW_instructions.json", "--html", name)
        assert (ended.returncode in (2, 5), len(ended.stderr.splitlines())) == (True, 1)
    assert (folder / "pipe").is_fifo()
    assert (folder / "loop").is_symlink()


class _Copier:
    """Writes or reads an open file, as code anywhere does."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def work(self) -> None:
        with self._file:
            if self._file.writable():
                self._file.write(b"x" * 100_000)
            else:
                self._file.read()


@machine_faults()
def _copy(path: str) -> None:
    _Copier(Path(path).open("wb" if path == "/dev/full" else "rb")).work()  # noqa: SIM115 - it closes the file


@pytest.mark.parametrize("path", ["/dev/full", "/proc/self/mem"])
def test_an_open_file_that_fails_is_named(path: str) -> None:
    with pytest.raises(StorageError, match=f"^{path}: "):
        _copy(path)
    ended = syphus(Path(), "new", "X", "-in", "/proc/self/mem")
    assert (ended.returncode, ended.stderr.startswith("/proc/self/mem")) == (5, True)


def test_a_log_file_that_can_not_be_written_is_named(folder: Path) -> None:
    ended = syphus(folder, *ROWS, *INPUT, "--offline", "--log-file", "/dev/full", "--output-dir", "logged", "-q")
    assert ended.returncode == 5
    assert "--log-file /dev/full can't be written: No space left on device." in ended.stderr


def test_what_is_no_file_is_not_called_missing(folder: Path) -> None:
    (folder / "broken").symlink_to("nowhere")
    (folder / "loop2").symlink_to("loop2")
    os.mkfifo(folder / "pipe2")
    name = "n" * 150
    commands = (
        ("verify", "{}"), ("stats", "{}"), ("translate", "{}", "--languages", "zh"), ("convert", "--from", "{}"),
        ("convert", "--name", "Rows.rows", "--output", "x.parquet", "--image-path", "{}"), ("runs", "{}"),
    )  # fmt: skip
    for command in commands:
        for path, said in (
            ("loop2", "a link that leads back to itself"), ("broken", "a link to nowhere, which does not exist"),
            (f"{name}/{name}", "no such"),
        ):  # fmt: skip
            arguments = [each.format(path) for each in command]
            ended = syphus(folder, *arguments, *(["--output", "x.parquet"] if "--from" in command else []))
            assert ended.returncode == 2, (command, ended.stderr)
            assert said in ended.stderr, (command, ended.stderr)
            assert len(ended.stderr) < 400, (command, ended.stderr)
        ended = syphus(folder, *[each.format("pipe2") for each in command])
        assert (ended.returncode, "no such file" in ended.stderr) == (2, False), (command, ended.stderr)
