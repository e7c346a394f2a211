"""Real processes, killed at chosen moments and started again: nothing is lost, next to nothing is paid twice."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, run_rows, server
from processes import Watch, command, start

from syphus.runs.reader import read_status
from syphus.types import State

ROWS, THREADS = 60, 8
EXPORTS = ("RW_instructions.json", "RW_train.json", "pairs.jsonl")
SERVER: dict[str, Any] = {"sloppiness": 0.3, "latency": 0.004, "latency_sigma": 0.5}
FILES = {*EXPORTS, "report.json", "run.lock", "run.log", "run.sqlite"}

Undisturbed = tuple[dict[str, bytes], int]


def exports(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in EXPORTS}


def whole_lines(path: Path) -> list[str]:
    """What a person saw of pairs.jsonl when the process died: its last line may have been cut off."""
    if not path.exists():
        return []
    lines = path.read_text("utf-8", "replace").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The files of a run that nothing happened to, and how many different prompts it took."""
    with server(**SERVER) as simulated:
        ran = run_rows(tmp_path_factory.mktemp("undisturbed"), simulated.url, ROWS, num_threads=THREADS)
        assert ran.exit_code == 0
        stats = simulated.stats
        assert 1 <= stats.dup_requests <= THREADS  # sent until it was known that the same prompt brings the same answer
        return exports(ran.folder), stats.unique


def count_answers(run: Path) -> int:
    connection = sqlite3.connect(run / "run.sqlite")
    answers: int = connection.execute("SELECT count(*) FROM answer").fetchone()[0]
    connection.close()
    return answers


def killed(folder: Path, watch: Watch, url: str, what: str, number: int) -> tuple[list[str], int]:
    """Runs until the server has seen that much, and kills; returns the lines and the number of answers on the disk."""
    run = folder / "output" / "Rows.rows" / "v1"
    with start(command(folder, url, ROWS), folder) as process:
        watch.at(what, number, process.kill)
        process.communicate(timeout=60)
    assert process.returncode == -9
    counts = read_status(run).counts
    assert counts.total == sum(counts.states.values()) == ROWS
    return whole_lines(run / "pairs.jsonl"), count_answers(run)


# each chain is one run that is killed several times; the numbers count from the start of the process
CHAINS = [
    [("request", 1), ("answer", 1), ("request", 2)],
    [("answer", 4), ("request", 9), ("answer", 17)],
    [("request", 25), ("answer", 20), ("request", 13)],
    [("answer", 40), ("answer", 12), ("request", 4)],
]


@pytest.mark.parametrize("chain", CHAINS)
def test_a_killed_run_ends_like_an_undisturbed_one(
    tmp_path: Path, chain: list[tuple[str, int]], undisturbed: Undisturbed
) -> None:
    expected, needed = undisturbed
    with server(**SERVER) as simulated:
        watch = Watch(simulated)
        seen: set[str] = set()
        answers = 0
        for what, number in chain:
            lines, now = killed(tmp_path, watch, simulated.url, what, number)
            seen.update(lines)
            assert now >= answers  # no answer that was ever committed is gone
            assert now >= watch.over - watch.by_status[499] - THREADS * len(chain)
            answers = now
        ran = run_rows(tmp_path, simulated.url, ROWS, num_threads=THREADS)
    assert ran.states == {State.OK: ROWS}
    assert exports(ran.folder) == expected
    assert seen <= set(whole_lines(ran.folder / "pairs.jsonl"))
    assert watch.unique == needed
    sent_again = count_answers(ran.folder) - needed
    assert 1 <= sent_again <= THREADS  # in all its processes together, as in one that is not disturbed
    assert watch.requests <= needed + sent_again + THREADS * len(chain)
    assert watch.dup_after_ok <= sent_again + THREADS * len(chain)
    assert {path.name for path in ran.folder.iterdir()} == FILES
    (told,) = (line for line in ran.lines if line.startswith("Resuming: "))
    assert (
        f"; up to {THREADS * len(chain)} requests in flight when it was killed may have been billed without an answer"
        in told
    )


def test_a_run_killed_at_its_last_answer_asks_for_what_is_missing_and_no_more(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    expected, needed = undisturbed
    with server(**SERVER) as simulated:
        watch = Watch(simulated)
        _, answers = killed(tmp_path, watch, simulated.url, "answer", needed)
        assert needed - THREADS <= answers < needed
        sent, sent_again = watch.requests, watch.dup_requests
        assert 1 <= sent_again <= THREADS
        ran = run_rows(tmp_path, simulated.url, ROWS, num_threads=THREADS)
        assert watch.requests == sent + needed + sent_again - answers
        assert watch.unique == needed
    assert exports(ran.folder) == expected


OWN_MOMENTS = {
    "before the ledger": ("sqlite3.connect", "run.sqlite", 1),
    "between its connections": ("sqlite3.connect", "run.sqlite", 2),
    "before pairs.jsonl": ("open", "pairs.jsonl", 1),
    "before pairs.jsonl is in place": ("os.rename", "pairs.jsonl", 1),
    "before the dataset": ("open", "RW_instructions", 1),
    "before the dataset is in place": ("os.rename", "RW_instructions", 1),
    "between dataset and train file": ("os.rename", "RW_train", 1),
    "before the final pairs.jsonl": ("os.rename", "pairs.jsonl", 2),
    "before the report": ("open", "report.json", 1),
    "before the report is in place": ("os.rename", "report.json", 1),
}


@pytest.mark.parametrize("moment", OWN_MOMENTS.values(), ids=OWN_MOMENTS)
def test_a_run_killed_while_writing_its_files_needs_only_the_same_command(
    tmp_path: Path, moment: tuple[str, str, int]
) -> None:
    with server() as simulated:
        with start(command(tmp_path, simulated.url, 12, killed_at=moment), tmp_path) as process:
            process.communicate(timeout=60)
        assert process.returncode == -9
        ran = run_rows(tmp_path, simulated.url, 12)
        assert (ran.exit_code, ran.states) == (0, {State.OK: 12})
        assert simulated.stats.requests == 12
        whole = run_rows(tmp_path, simulated.url, 12, dataset_version="whole")
    assert exports(ran.folder) == exports(whole.folder)
    assert {path.name for path in ran.folder.iterdir()} == FILES


DYING = """
    def _load_query_inputs(self, path):
        import os, signal
        for place, row in enumerate(read_jsonl(path)):
            if place == 1500 and os.path.exists(path + ".kill"):
                os.kill(os.getpid(), signal.SIGKILL)
            yield {"id": row["id"], "sentences": row["text"]}
"""


def test_killed_while_the_input_is_read_it_reads_it_again(tmp_path: Path) -> None:
    plugins = tmp_path / "datasets"
    plugins.mkdir()
    (plugins / "rows.py").write_text((HERE / "plugins" / "rows.py").read_text("utf-8") + DYING, "utf-8")
    options: dict[str, Any] = {"datasets_dir": (plugins,), "prompt_path": str(HERE / "prompts" / "rows.yaml")}
    (tmp_path / "rows.jsonl.kill").touch()
    with server() as simulated:
        arguments = command(
            tmp_path, simulated.url, 2000, "--prompt-path", options["prompt_path"], "--max-requests", "3"
        )
        arguments[arguments.index("--datasets-dir") + 1] = str(plugins)
        with start(arguments, tmp_path) as process:
            process.communicate(timeout=60)
        assert process.returncode == -9
        folder = tmp_path / "output" / "Rows.rows" / "v1"
        assert read_status(folder).counts.total == 0
        (tmp_path / "rows.jsonl.kill").unlink()
        ran = run_rows(tmp_path, simulated.url, 2000, max_requests=3, num_threads=1, **options)
        assert simulated.stats.requests == 3
    assert (ran.exit_code, ran.states) == (4, {State.OK: 3, State.PENDING: 1997})
    assert len(json.loads((folder / "RW_instructions.json").read_text("utf-8"))["data"]) == ran.report.counts.pairs
