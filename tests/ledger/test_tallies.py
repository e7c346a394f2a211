"""The counters of a ledger: always what a count of its tables says, whatever was done, also in ledgers of before."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from syphus.exchange import Completion, Usage
from syphus.ledger.inputs import accept_input, register, reject_input
from syphus.ledger.records import Entry, NewAnswer, Records, Row, reopen
from syphus.ledger.schema import BILLS, COUNTED, WITHOUT_TALLIES, Pace
from syphus.ledger.sessions import RequestCounts, begin_session
from syphus.ledger.store import FILE, Store, open_for_reading, open_for_writing
from syphus.types import Outcome, Pair, Query, State

_BILL = (
    "session, endpoint, model, service_tier, regional, prompt_size, form, sum(answers), sum(seconds), "
    "sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(reasoning_tokens), sum(estimated), "
    "sum(cache_write_tokens)"
)
_KEPT = {"tally": "tally", "bill": f"(SELECT {_BILL} FROM {BILLS} GROUP BY 1, 2, 3, 4, 5, 6, 7)"}
STAGES = ("generate", "translate")
_FLAGS = ((), ("json_schema",), ("json_object",), ("hate: low",))


def counters(store: Store, *, counted: bool) -> dict[str, Counter[tuple[object, ...]]]:
    """Each counter, as it is kept or as a count of the tables says; without the rows that count nothing."""
    found = {}
    for name, select in COUNTED.items():
        if name != "pace":
            rows = store.read(f"SELECT * FROM {f'({select})' if counted else _KEPT[name]}")
            number = {"tally": -2, "bill": -8}[name]
            found[name] = Counter(row for row in rows if row[number])
    return found


def check(store: Store) -> None:
    assert counters(store, counted=False) == counters(store, counted=True)


class _Life:
    """A run to which everything happens that code of the ledger does to it."""

    def __init__(self, store: Store, seed: int) -> None:
        self._store = store
        self._rng = random.Random(seed)
        for stage in STAGES:
            begin_session(store, stage, {"model": "m"}, 4, "somewhere", 0.0)

    def step(self) -> None:
        rng, stage = self._rng, self._rng.choice(STAGES)
        match rng.choice(["input", "answers", "answers", "answers", "reopen", "judge"]):
            case "input":
                ids = rng.sample(range(20), rng.randint(5, 15))
                rows = [Query(f"{stage} {i}", f"text {rng.randint(0, 3)}") for i in ids]
                register(self._store, stage, rows, lambda position: position % 4 != 1, lambda _: None)
                (accept_input if rng.random() < 0.8 else lambda store, _: reject_input(store))(self._store, stage)
            case "answers":
                records = Records(self._store, stage, 1 + STAGES.index(stage))
                for row in list(records.pending())[: rng.randint(1, 5)]:
                    records.write(self._entry(records, row))
                records.move_bill(every=3)
                self._store.commit()
            case "reopen":
                reopen(self._store, stage, rng.sample([State.INVALID, State.FAILED, State.OK], 2))
            case "judge":
                records = Records(self._store, stage, 1)
                for row, *_ in list(records.answered_rows())[:4]:
                    records.replace_outcome(row.n, self._outcome())
                self._store.commit()

    def _entry(self, records: Records, row: Row) -> Entry:
        rng = self._rng
        outcome = self._outcome() if rng.random() < 0.7 else None
        known = self._store.read_value("SELECT n FROM answer ORDER BY n DESC LIMIT 1")
        if known is not None and rng.random() < 0.3:
            return Entry(row, outcome, 0, reused_answer=known, retry_reason="reused")
        if rng.random() < 0.2:
            return Entry(row, Outcome(State.FAILED, reason="server error"), 1)
        n = records.next_answer_number()
        usage = Usage(rng.choice([10, 20_000]), 5, 2, 1, 0, 3)
        tier, regional = rng.choice(["", "flex"]), rng.random() < 0.3
        done = Completion("t", "stop", rng.choice("ab"), usage, "", rng.choice(_FLAGS), "", tier, regional)
        return Entry(row, outcome, 1, NewAnswer(n, str(n).encode(), 0, done, 0.5), retry_reason="again")

    def _outcome(self) -> Outcome:
        rng = self._rng
        state = rng.choice([State.OK, State.OK, State.INVALID, State.REFUSED])
        pairs = (Pair("q", "a", "x", ()),) * rng.randint(1, 3) if state is State.OK else ()
        repairs = {name: rng.randint(1, 2) for name in ("label", "end mark") if rng.random() < 0.4}
        return Outcome(state, pairs, "" if state is State.OK else rng.choice(["copies", "short"]), repairs=repairs)


@pytest.mark.parametrize("seed", range(4))
def test_the_counters_say_what_the_tables_say(tmp_path: Path, seed: int) -> None:
    with closing(open_for_writing(tmp_path)) as store:
        life, seen = _Life(store, seed), set[str]()
        for _ in range(60):
            life.step()
            check(store)
            kept = counters(store, counted=False)
            seen |= {str(row[1]) for row in kept["tally"]}
        assert seen == {"ok", "invalid", "refused", "failed", "pending", "shared", "repair"}
        assert store.read_value("SELECT value FROM meta WHERE name = 'billed'") > 0
    with closing(sqlite3.connect(tmp_path / FILE)) as older:
        older.executescript("; ".join(WITHOUT_TALLIES))
    total = sum(int(str(row[-2])) for row in kept["tally"])
    with closing(open_for_reading(tmp_path)) as store:  # counts
        assert store.read("SELECT sum(times) FROM tally") == [(total,)]
    with closing(open_for_writing(tmp_path)) as store:  # gets them back
        assert counters(store, counted=False) == kept
        check(store)


def test_the_pace_is_kept_in_pieces_of_ten_seconds(tmp_path: Path) -> None:
    with closing(open_for_writing(tmp_path)) as store:
        records = Records(store, "generate", 1)
        for pace in (Pace(3, 2, 100.5), Pace(1, 1, 109.9), Pace(2, 0, 110.0)):
            records.write_request_counts(RequestCounts())
            records.note_pace(pace)
        store.commit()
        assert store.read("SELECT * FROM pace") == [(10, 4, 3, 109.9), (11, 2, 0, 110.0)]
