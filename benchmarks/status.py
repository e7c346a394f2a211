"""How long a look at a run of two million rows takes while it works, and what the ledger's counters cost the run.

    python benchmarks/status.py --rows 2000000

The ledger is made by SQL in a minute, with answers of 1,200 characters and rows in all states. A second process goes on
writing outcomes while the report is read, as a run does. Then the CPU time of the ledger's writes is measured with and
without the triggers that keep the counters. Nothing is sent.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from syphus.config.pricing import load_prices
from syphus.exchange import Completion, Usage
from syphus.formats.report import make_report
from syphus.ledger.records import Entry, NewAnswer, Records
from syphus.ledger.schema import WITHOUT_TALLIES
from syphus.ledger.sessions import RequestCounts, begin_session
from syphus.ledger.store import FILE, open_for_reading, open_for_writing
from syphus.types import Outcome, Pair, State

ROOT = Path(__file__).parent.parent
_STATE = (
    "CASE WHEN i % 10 = 9 THEN 'pending' WHEN i % 50 = 1 THEN 'invalid' WHEN i % 100 = 2 THEN 'refused' ELSE 'ok' END"
)
_FILL = (
    (
        "INSERT INTO query (n, stage, id, position, digest, checked, state, used, attempts, answer, "
        "reason, pairs, seq) "
        f"SELECT i, 'generate', 'row_' || i, i - 1, zeroblob(8), 1, {_STATE}, 1, 1, iif(i % 10 = 9, NULL, i), "
        "CASE WHEN i % 50 = 1 THEN 'fewer than 3 pairs' WHEN i % 100 = 2 THEN 'content filter' ELSE '' END, "
        "iif(i % 10 = 9, 0, 3), i FROM numbers"
    ),
    "INSERT INTO annotation SELECT i, 'two people walk', '[]', '{}', '', '[]' FROM numbers",
    (
        "INSERT INTO answer (n, key, sample, text, finish_reason, refusal, flags, model, response_id, prompt_tokens, "
        "completion_tokens, cached_tokens, reasoning_tokens, estimated, seconds, session, cache_write_tokens, "
        "service_tier, regional) SELECT i, randomblob(16), 0, hex(zeroblob(600)), 'stop', '', '[]', 'gpt-4o-mini', "
        "'id', 900, 300, 800, 0, 0, 1.5, 1, 0, '', 0 FROM numbers WHERE i % 10 <> 9"
    ),
    "INSERT INTO result SELECT i, '[]', '', iif(i % 3 = 0, '{\"end mark\": 1}', '{}') FROM numbers WHERE i % 10 <> 9",
)


def main() -> None:
    """Make the ledger, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, help="where to make the ledger, and keep it (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary) / "Rows.rows" / "v1"
        if not (folder / FILE).exists():
            _make(folder, arguments.rows)
        _measure_looks(folder)
        for counted in (True, False, True, False):
            cpu = _write(Path(temporary) / f"{time.monotonic_ns()}", 20_000, counted)
            print(f"CPU a row of the ledger's writes, {'with' if counted else 'without'} counters: {cpu * 1e6:.1f} us")


def _make(folder: Path, rows: int) -> None:
    began = time.monotonic()
    store = open_for_writing(folder)
    begin_session(store, "generate", {"model": "gpt-4o-mini"}, 64, "somewhere", time.time())
    store.close()
    with closing(sqlite3.connect(folder / FILE)) as ledger:
        ledger.executescript("PRAGMA synchronous = OFF; " + "; ".join(WITHOUT_TALLIES))
        ledger.execute("CREATE TEMP TABLE numbers (i INTEGER PRIMARY KEY)")
        ledger.execute(
            "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?) "
            "INSERT INTO numbers SELECT i FROM c",
            (rows,),
        )
        for statement in _FILL:
            ledger.execute(statement)
        ledger.commit()
    size = (folder / FILE).stat().st_size
    print(f"made {rows:,} rows, {size / 1e9:.1f} GB, in {time.monotonic() - began:.0f} s")
    store = open_for_reading(folder)
    began = time.monotonic()
    make_report(store, "generate", load_prices({}))
    print(f"report of a ledger without counters, read only: {time.monotonic() - began:.2f} s")
    store.close()
    began = time.monotonic()
    open_for_writing(folder).close()
    print(f"counters for it, once, when it is opened for writing: {time.monotonic() - began:.2f} s")


def _measure_looks(folder: Path) -> None:
    stop = multiprocessing.Event()
    worker = multiprocessing.Process(target=_work, args=(folder, stop))
    worker.start()
    time.sleep(1)
    try:
        looks = [_look(folder) for _ in range(20)]
        began = time.monotonic()
        command = [sys.executable, "main.py", "status", str(folder)]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        seconds = time.monotonic() - began
    finally:
        stop.set()
        worker.join()
    print(done.stdout)
    print(f"report while it works: median {statistics.median(looks):.3f} s, longest {max(looks):.3f} s")
    print(f"the command, with the start of Python: {seconds:.2f} s")


def _look(folder: Path) -> float:
    began = time.monotonic()
    store = open_for_reading(folder)
    report = make_report(store, "generate", load_prices({}))
    store.close()
    assert report.counts.total == sum(report.counts.states.values())
    return time.monotonic() - began


def _work(folder: Path, stop: multiprocessing.synchronize.Event) -> None:
    """Write outcomes as a run does, a dozen in a commit, until told to stop."""
    store = open_for_writing(folder)
    session = begin_session(store, "generate", {"model": "gpt-4o-mini"}, 64, "somewhere", time.time())
    records = Records(store, "generate", session)
    for count, row in enumerate(records.pending(), 1):
        records.write(Entry(row, _OUTCOME, 1, _answer(records, count)))
        if count % 12 == 0:
            store.commit()
            if stop.is_set():
                break
    store.commit()
    store.close()


_OUTCOME = Outcome(State.OK, (Pair("What is it?", "A cat.", "X_1", ()),) * 3, repairs={"end mark": 1})


def _answer(records: Records, number: int) -> NewAnswer:
    n = records.next_answer_number()
    done = Completion("x" * 1200, "stop", "gpt-4o-mini", Usage(900, 300, 800))
    return NewAnswer(n, f"{number} {n}".encode(), 0, done, 1.5)


def _write(folder: Path, rows: int, counted: bool) -> float:
    """Return the CPU seconds a row of so many outcomes, written a dozen in a commit."""
    store = open_for_writing(folder)
    store.executemany(
        "INSERT INTO query (n, stage, id, position, digest, checked) VALUES (?, 'generate', ?, ?, x'', 1)",
        [(n, str(n), n) for n in range(1, rows + 1)],
    )
    store.executemany(
        "INSERT INTO annotation VALUES (?, 'text', '[]', '{}', '', '[]')", [(n,) for n in range(1, rows + 1)]
    )
    store.commit()
    if not counted:
        for statement in WITHOUT_TALLIES:
            if not statement.endswith(("bill", "pace", "'billed'")):  # the loop writes these
                store.execute(statement)
        store.commit()
    records = Records(store, "generate", 1)
    pending = list(records.pending())
    began = time.process_time()
    for count, row in enumerate(pending, 1):
        records.write(Entry(row, _OUTCOME, 1, _answer(records, count)))
        if count % 12 == 0:
            records.write_request_counts(RequestCounts())
            records.move_bill()
            store.commit()
    store.commit()
    cpu = time.process_time() - began
    store.close()
    return cpu / rows


if __name__ == "__main__":
    main()
