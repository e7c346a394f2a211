"""The Python API: the same as the commands, from scripts and inside of a running event loop."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from harness import HERE, KEY, server, write_config, write_rows
from processes import MAIN, Watch, environment, finish, start

import syphus
from syphus import api
from syphus.config.options import Options
from syphus.errors import BudgetError, ConfigError, InterruptError, PluginError, RunError, UsageError
from syphus.images.convert_options import ConvertOptions
from syphus.simulator import SimulatedServer, Simulation, serve

RELATIONS = "siblings, earlier-rounds, none, nearest-by-text or nearest-by-image"
EXAMPLE: Any = {"example": True, "offline": True, "quiet": True}


class Typed(syphus.AbstractDataset):
    """Defined here, as in a script or a notebook."""

    short_name = "TY"
    description = "rows of a test"

    def _load_query_inputs(self, path: str) -> Iterator[dict[str, object]]:
        for row in syphus.read_jsonl(path):
            yield {"id": row["id"], "sentences": row["text"]}

    def _load_prefix(self, path: str) -> dict[str, object]:
        return {"system_message": "Ask and answer.", "in_context": []}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[SimulatedServer]:
    with server(latency=0.02) as running:
        yield running


def options(folder: Path, endpoint: SimulatedServer, rows: int = 6) -> Any:
    """Options of a run over so many rows at the endpoint."""
    return {
        "query_inputs_path": write_rows(folder / "rows.jsonl", rows),
        "config": write_config(folder / "config.json", endpoint.url),
        "datasets_dir": HERE / "plugins",
        "output_dir": folder / "output",
        "num_threads": 2,
        "quiet": True,
    }


def test_a_run_returns_its_counts_cost_pairs_and_folder(tmp_path: Path) -> None:
    done = syphus.run("change.SpotTheDifference", output_dir=tmp_path, **EXAMPLE)
    assert done.folder == tmp_path / "SpotTheDifference.change" / "v1"
    assert done.counts == {"ok": 24, "invalid": 0, "truncated": 0, "refused": 0, "failed": 0, "pending": 0}
    assert (done.exit_code, done.stopped_by, done.cost) == (0, None, 0.0)
    pairs = list(done.pairs())
    entries = json.loads((done.folder / "SD_instructions.json").read_text("utf-8"))["data"]
    assert [pair.id for pair in pairs] == list(entries)
    for pair in pairs:
        entry = entries[pair.id]
        assert (pair.instruction, pair.answer) == (entry["instruction"], entry["answer"])
        assert (list(pair.image_ids), list(pair.related)) == (entry["image_ids"], entry["rel_ins_ids"])
    assert done.report() == json.loads((done.folder / "report.json").read_text("utf-8"))
    assert len(repr(done)) < 500


def test_options_are_those_of_the_command_line() -> None:
    """Whatever the command takes, the function takes; so that a type checker knows it, each is written down."""
    display = api.DisplayOptions.__optional_keys__
    assert api.RunOptions.__optional_keys__ - display == set(get_type_hints(Options)) - {"name", "json"}
    assert api.ConversionOptions.__optional_keys__ - display == set(get_type_hints(ConvertOptions)) - {"name", "json"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"modl": "gpt-4o"}, "there is no option modl; did you mean model?"),
        ({"num_threads": "8"}, "--num-threads '8': must be a whole number."),
        ({"offline": 1}, "--offline 1: must be True or False."),
        ({"max_cost": True}, "--max-cost True: must be a number."),
        ({"config": 3}, "--config 3: must be a path."),
        ({"retry": ["ok"]}, "--retry ok: must be failed, invalid, refused, truncated or all."),
        ({"relate": "far"}, f"--relate far: must be {RELATIONS}."),
    ],
    ids=str,
)  # fmt: skip
def test_an_option_that_does_not_fit_is_a_config_error(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        syphus.run("SpotTheDifference.change", quiet=True, **given)


def test_what_ends_the_command_with_exit_2_is_raised(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"did you mean SpotTheDifference\.change"):
        syphus.run("SpotTheDiference.change", output_dir=tmp_path, **EXAMPLE)
    with pytest.raises(RunError, match="is not a run"):
        syphus.open_run(tmp_path)
    assert issubclass(UsageError, syphus.SyphusError)


def test_a_run_that_stops_early_returns_why_and_resumes(tmp_path: Path, endpoint: SimulatedServer) -> None:
    given = options(tmp_path, endpoint)
    done = syphus.run("Rows.rows", max_requests=2, **given)
    assert isinstance(done.stopped_by, BudgetError)
    assert (done.exit_code, done.counts["ok"], done.counts["pending"]) == (4, 2, 4)
    again = syphus.run("Rows.rows", retry=["failed"], **given)
    assert (again.exit_code, again.counts["ok"], again.requests) == (0, 6, 6)


def test_a_plugin_class_takes_the_place_of_a_name(tmp_path: Path, endpoint: SimulatedServer) -> None:
    done = syphus.run(Typed, **options(tmp_path, endpoint))
    assert (done.counts["ok"], done.folder.parent.name) == (6, "Typed.test_api")
    (written,) = syphus.export(done.folder, "chat", tmp_path / "chat")[:1]
    assert written.exists()
    with pytest.raises(PluginError, match="is not a subclass of AbstractDataset"):
        syphus.run(int, quiet=True)  # type: ignore[arg-type]  # as in a script that no type checker has seen


IN_A_NOTEBOOK = """
import asyncio, linecache, sys
cell = '''
import syphus

class Mine(syphus.AbstractDataset):
    short_name = "MI"
    def _load_query_inputs(self, path):
        for row in syphus.read_jsonl(path):
            yield {"id": row["id"], "sentences": row["text"]}
    def _load_prefix(self, path):
        return {"system_message": "Ask.", "in_context": []}
'''
linecache.cache["<cell 1>"] = len(cell), None, cell.splitlines(True), "<cell 1>"

async def main():
    exec(compile(cell, "<cell 1>", "exec"), globals())
    done = syphus.run(Mine, query_inputs_path=sys.argv[1], offline=True, output_dir=sys.argv[2])
    print(done.folder.parent.name, done.counts["ok"], done.exit_code)
    print(syphus.run(Mine, query_inputs_path=sys.argv[1], offline=True, output_dir=sys.argv[2]).requests)

asyncio.run(main())
"""


def test_a_class_that_is_in_no_file_runs_inside_a_running_loop(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 4)
    done = finish([sys.executable, "-c", IN_A_NOTEBOOK, str(rows), str(tmp_path / "output")], MAIN.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["Mine.notebook 4 0", "4"]
    assert "Nothing to do: no request was sent." in done.stderr


def test_all_of_it_works_inside_a_running_loop(tmp_path: Path, endpoint: SimulatedServer) -> None:
    async def main() -> None:
        run = syphus.run("Rows.rows", **options(tmp_path, endpoint))
        assert run.counts["ok"] == 6
        translated = syphus.translate(run.folder, languages=["zh"], offline=False, config=tmp_path / "config.json",
                                      quiet=True)  # fmt: skip
        assert set(translated.counts) == {"zh"}
        assert sum(translated.counts["zh"].values()) == len(list(run.pairs()))
        assert syphus.verify(run.folder).ok

    asyncio.run(main())


def test_the_async_twin_lets_other_tasks_work(tmp_path: Path) -> None:
    async def main() -> syphus.CompletedRun:
        async with serve(Simulation(sloppiness=0)) as endpoint:  # no answers from here if the run held the event loop
            return await syphus.run_async("Rows.rows", **options(tmp_path, endpoint, 12))

    assert asyncio.run(main()).counts["ok"] == 12


def test_a_cancelled_async_run_saves_what_is_in_flight(tmp_path: Path, endpoint: SimulatedServer) -> None:
    given = options(tmp_path, endpoint, 500)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(syphus.run_async("Rows.rows", **given))

        def cancel() -> None:
            loop.call_soon_threadsafe(task.cancel)

        # Two at a time: when the third request comes in, the run has an answer, and calls in flight.
        Watch(endpoint).at("request", 3, cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    with syphus.open_run(tmp_path / "output" / "Rows.rows" / "v1") as run:
        status = run.status()
        assert 0 < status.counts["ok"] < 500
        assert status.report.sessions[-1].stopped == "Stopped by Ctrl-C."
        assert len(list(run.answers())) == status.requests


def test_an_open_run_has_pairs_outcomes_and_answers(tmp_path: Path) -> None:
    with server(poison={"UNREADABLE": "unpaired"}, sloppiness=0) as endpoint:
        given = options(tmp_path, endpoint)
        write_rows(tmp_path / "rows.jsonl", ["the car has moved", "UNREADABLE", "the car has moved"])
        folder = syphus.run("Rows.rows", max_rounds=0, **given).folder
    with syphus.open_run(str(folder)) as run:
        outcomes = list(run.outcomes())
        assert [(each.query, each.state) for each in outcomes] == [("r000", "ok"), ("r001", "invalid"), ("r002", "ok")]
        assert outcomes[0].annotation == "the car has moved"
        assert outcomes[0].pairs == sum(pair.query == "r000" for pair in run.pairs())
        answers = {each.queries: each for each in run.answers()}
        assert set(answers) == {("r000", "r002"), ("r001",)}  # two rows that ask the same share an answer
        answer = answers["r001",]
        assert (answer.stage, answer.cost, answer.finish_reason) == ("generate", 0.0, "stop")
        assert answer.text
        assert answer.prompt_tokens > 0
        status = run.status()
        assert (status.counts["ok"], status.counts["invalid"], status.working, status.simulated) == (2, 1, False, True)
        assert status.as_json()["queries"] == 3


def test_pairs_as_a_table_of_pandas_and_of_datasets(tmp_path: Path) -> None:
    folder = syphus.run("SpotTheDifference.change", output_dir=tmp_path, **EXAMPLE).folder
    with syphus.open_run(folder) as run:
        pairs = list(run.pairs())
        frame = run.to_pandas()
        assert list(frame["answer"]) == [pair.answer for pair in pairs]
        dataset = run.to_dataset()
        assert dataset.column_names == list(pairs[0]._fields)
        assert dataset[0] == {**pairs[0]._asdict(), "image_ids": list(pairs[0].image_ids), "related": list(
            pairs[0].related)}  # fmt: skip


@pytest.mark.parametrize(("method", "package"), [("to_pandas", "pandas"), ("to_dataset", "datasets")])
def test_a_table_without_its_package_is_one_line(
    tmp_path: Path, method: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = syphus.run("SpotTheDifference.change", output_dir=tmp_path, **EXAMPLE).folder
    monkeypatch.setitem(sys.modules, package, None)
    with syphus.open_run(folder) as run, pytest.raises(ConfigError) as raised:
        getattr(run, method)()
    assert str(raised.value) == f"{method}() needs {package}: pip install {package}"


def test_verify_returns_its_findings_or_passes_them_on(tmp_path: Path) -> None:
    folder = syphus.run("SpotTheDifference.change", output_dir=tmp_path, **EXAMPLE).folder
    path = folder / "SD_instructions.json"
    content = json.loads(path.read_text("utf-8"))
    next(iter(content["data"].values()))["answer"] = ""
    path.write_text(json.dumps(content), "utf-8")
    found: list[object] = []
    checked, streamed = syphus.verify(folder), syphus.verify([folder], on_finding=found.append)
    assert (checked.ok, checked.problems) == (False, {"the answer is empty": 1})
    assert (list(checked.findings), list(streamed.findings)) == (found, [])
    with pytest.raises(ConfigError, match="decode deep: must be none, quick or full"):
        syphus.verify(folder, decode="deep")


def test_lines_and_progress_go_to_stderr_and_to_the_log_file(
    tmp_path: Path, endpoint: SimulatedServer, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "run.log"
    given = {**options(tmp_path, endpoint), "quiet": False}
    syphus.run("Rows.rows", verbose=True, log_file=log, **given)
    shown, logged = capfd.readouterr().err.splitlines(), log.read_text("utf-8").splitlines()
    assert [line.partition(" ")[2] for line in logged] == shown
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ", line) for line in logged)
    assert shown[0].startswith("Rows.rows v1: 6 queries")
    assert sum("answered in" in line and "tokens (127.0.0.1" in line for line in shown) == 6
    assert sum(line.endswith((": ok ", ": ok")) for line in shown) == 6
    assert KEY not in log.read_text("utf-8")


def test_quiet_shows_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    syphus.run("SpotTheDifference.change", output_dir=tmp_path, **EXAMPLE)
    assert capfd.readouterr() == ("", "")


def test_an_interrupted_notebook_cell_stops_its_run(tmp_path: Path, endpoint: SimulatedServer) -> None:
    """As "Interrupt" in a notebook: a KeyboardInterrupt in the thread that waits."""
    script = (
        "import asyncio, signal, sys, syphus\n"
        "async def main():\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    done = syphus.run('Rows.rows', query_inputs_path=sys.argv[1], config=sys.argv[2], quiet=True,\n"
        "                      datasets_dir=sys.argv[3], output_dir=sys.argv[4], num_threads=1)\n"
        "    print(type(done.stopped_by).__name__, done.exit_code, done.counts['ok'] < 2000)\n"
        "asyncio.run(main())\n"
    )
    rows = write_rows(tmp_path / "rows.jsonl", 2000)
    config = write_config(tmp_path / "config.json", endpoint.url)
    watch = Watch(endpoint)
    command = [sys.executable, "-c", script, *map(str, (rows, config, HERE / "plugins", tmp_path / "output"))]
    with start(command, tmp_path, env=environment(PYTHONPATH=str(MAIN.parent))) as process:
        watch.at("request", 3, lambda: os.kill(process.pid, signal.SIGINT))
        out, err = process.communicate(timeout=60)
    assert out == f"{InterruptError.__name__} 130 True\n", err
