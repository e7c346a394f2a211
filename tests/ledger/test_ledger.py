"""The ledger alone: registering the input, answers and outcomes, counts."""

from __future__ import annotations

import contextlib
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from syphus.config.pricing import load_prices
from syphus.errors import InputError
from syphus.exchange import BilledUsage, Completion, Usage
from syphus.formats.report import make_report
from syphus.ledger.inputs import InputCheck, accept_input, register, reject_input
from syphus.ledger.parts import PartOutcome
from syphus.ledger.records import Entry, NewAnswer, Records, Row, reopen
from syphus.ledger.results import accepted, describe_query
from syphus.ledger.schema import WITHOUT_TALLIES
from syphus.ledger.sessions import (
    RequestCounts,
    RequestKind,
    all_settings,
    begin_session,
    end_session,
    get_meta,
    last_settings,
    sessions,
    set_meta,
)
from syphus.ledger.store import FILE, Columns, Store, open_for_reading, open_for_writing
from syphus.ledger.summary import EndpointUse, count_endpoints, count_part_spending, count_queries, count_spending
from syphus.types import Outcome, Pair, Query, State

STAGE = "generate"
OK, INVALID, TRUNCATED, REFUSED, FAILED, PENDING = State
PAIRS = (Pair("What is it?", "A cat. 猫", "X_1", (2,)), Pair("Where?", "Here.\nOr there.", "X_2", (1,)))


@contextmanager
def ledger(folder: Path) -> Iterator[Store]:
    store = open_for_writing(folder)
    try:
        yield store
    finally:
        store.close()


def offered(store: Store, *queries: Query, wanted: Callable[[int], bool] = lambda position: True) -> InputCheck:
    return register(store, STAGE, queries, wanted, lambda rows: None)


def taken(store: Store, *queries: Query, wanted: Callable[[int], bool] = lambda position: True) -> InputCheck:
    check = offered(store, *queries, wanted=wanted)
    accept_input(store, STAGE)
    return check


def rows_of(store: Store) -> list[str]:
    return [row.query.id for row in Records(store, STAGE, 1).pending()]


def answer(store: Store, row: Row, outcome: Outcome | None, again: str = "") -> int:
    """Gives a row a paid answer and commits; returns the number of the answer."""
    records = Records(store, STAGE, 1)
    completion = Completion("the text", "stop", "some-model", Usage(10, 5, 2, 1), "", ("hate: low",), "id-1")
    paid = NewAnswer(records.next_answer_number(), f"key of {row.query.id}".encode(), row.used, completion, 0.5)
    records.write(Entry(row, outcome, 1, paid, retry_reason=again))
    attempts = RequestCounts()
    attempts.add("answered", maybe_billed=False, tokens=0)
    records.write_request_counts(attempts)
    store.commit()
    return paid.n


def finish(store: Store, outcome: Outcome) -> None:
    for row in list(Records(store, STAGE, 1).pending()):
        answer(store, row, outcome)


def states(store: Store) -> dict[State, int]:
    counts = count_queries(store, STAGE)
    assert sum(counts.states.values()) == counts.total
    return {state: count for state, count in counts.states.items() if count}


A, B, C = Query("a", "a cat"), Query("b", "a dog", ("IMG_b",), {"film": "Zug"}), Query("c", "a bird")


def test_queries_come_back_as_they_were_given_in_the_order_of_the_input(tmp_path: Path) -> None:
    odd = Query("ü/../\u2028", "née \u2028 🙂\r\n", ("x", "y"), {"n": 1.5, "list": [None, True]}, "a problem")
    with ledger(tmp_path) as store:
        check = taken(store, C, odd, B, A)
        found = [row.query for row in Records(store, STAGE, 1).pending()]
    assert (check.read, check.new, check.changed, check.removed) == (4, 4, 0, 0)
    assert found == [C, odd, B, A]


def test_a_second_look_at_the_same_input_finds_nothing(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A, B, C)
        finish(store, Outcome(OK, PAIRS))
        check = taken(store, A, B, C)
        assert (check.read, check.new, check.changed, check.removed) == (3, 0, 0, 0)
        assert states(store) == {OK: 3}


def test_new_changed_and_gone_rows_are_counted_and_named(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A, B, C)
        finish(store, Outcome(OK, PAIRS))
        check = offered(store, Query("a", "a cat, larger"), Query("d", "a fish"), C)
    assert (check.new, check.changed, check.removed) == (1, 1, 1)
    assert check.examples == ["a", "b"]


@pytest.mark.parametrize(
    "other", [Query("b", "a wolf", B.image_ids, B.meta), Query("b", B.text, (), B.meta), Query("b", B.text, ("IMG_b",))]
)
def test_text_images_and_meta_all_count_as_a_change(tmp_path: Path, other: Query) -> None:
    with ledger(tmp_path) as store:
        taken(store, B)
        finish(store, Outcome(OK, PAIRS))
        assert offered(store, other).changed == 1


def test_a_row_that_moved_keeps_its_outcome(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A, B)
        finish(store, Outcome(OK, PAIRS))
        check = taken(store, C, B, A)
        assert (check.new, check.changed, check.removed) == (1, 0, 0)
        assert [result.query for result in accepted(store, STAGE)] == ["b", "a"]
        assert rows_of(store) == ["c"]


def test_accepting_changes_asks_changed_rows_anew_and_leaves_out_those_that_are_gone(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A, B, C)
        finish(store, Outcome(OK, PAIRS))
        taken(store, Query("a", "a cat, larger"), C)
        assert states(store) == {OK: 1, PENDING: 1}
        (row,) = Records(store, STAGE, 1).pending()
        assert (row.query.text, row.used, row.last) == ("a cat, larger", 0, None)
        assert count_spending(store).models[0].answers == 3


def test_a_row_that_comes_back_has_its_outcome_again(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A, B)
        finish(store, Outcome(OK, PAIRS))
        taken(store, A)
        assert states(store) == {OK: 1}
        assert taken(store, B, A).new == 0
        assert states(store) == {OK: 2}
        assert [result.query for result in accepted(store, STAGE)] == ["b", "a"]


def test_rows_that_were_never_asked_may_change_and_go_without_a_word(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A, B, C)
        check = taken(store, Query("a", "another cat"), C)
        assert (check.changed, check.removed) == (0, 0)
        assert [row.query.text for row in Records(store, STAGE, 1).pending()] == ["another cat", "a bird"]


def test_a_row_that_waits_for_its_second_answer_does_not_go_without_a_word(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A, B)
        answer(store, next(Records(store, STAGE, 1).pending()), None, again="too short")
        assert offered(store, B).removed == 1


def dump(store: Store) -> list[str]:
    """All that is committed, as SQL."""
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        return list(connection.iterdump())


def test_rejecting_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A, B)
        finish(store, Outcome(OK, PAIRS))
        before = dump(store)
        offered(store, Query("a", "other"), C, Query("e", "new"))
        reject_input(store)
        assert dump(store) == before


def test_an_input_that_breaks_off_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    def rows() -> Iterator[Query]:
        yield from (Query(str(i), "text") for i in range(2500))
        raise InputError("record 2501 is broken")

    with ledger(tmp_path) as store:
        with pytest.raises(InputError, match="2501"):
            register(store, STAGE, rows(), lambda position: True, lambda count: None)
        reject_input(store)
        assert count_queries(store, STAGE).total == 0


@pytest.mark.parametrize("apart", [0, 1, 998, 999, 1000, 2500])  # in one batch, at its border, batches away
def test_two_rows_with_one_id_are_reported_with_their_numbers(tmp_path: Path, apart: int) -> None:
    between = (Query(f"q{i}", "text") for i in range(apart))
    with ledger(tmp_path) as store, pytest.raises(InputError, match=f"Rows 1 and {apart + 2} .*same id 'a'"):
        offered(store, A, *between, Query("a", "another text"))


@pytest.mark.parametrize("apart", [0, 999, 1500])
def test_two_spellings_of_one_id_are_reported_as_the_same(tmp_path: Path, apart: int) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Straße é") for form in ("NFC", "NFD"))
    between = (Query(f"q{i}", "text") for i in range(apart))
    with ledger(tmp_path) as store, pytest.raises(InputError, match=f"Rows 1 and {apart + 2} "):
        offered(store, Query(composed, "x"), *between, Query(decomposed, "x"))


@pytest.mark.parametrize("apart", [0, 999, 1500])
def test_a_row_written_twice_becomes_a_second_one(tmp_path: Path, apart: int) -> None:
    between = [Query(f"q{i}", "text") for i in range(apart)]
    with ledger(tmp_path) as store:
        check = taken(store, A, *between, A, A)
        assert check.new == apart + 3
        assert [name for name in rows_of(store) if name[0] == "a"] == ["a", "a_2", "a_3"]
        again = taken(store, A, *between, A, A)
        assert (again.new, again.changed, again.removed) == (0, 0, 0)


def test_a_copy_does_not_take_the_name_of_another_row(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, Query("a_2", "a row of its own"), A, A)
        assert rows_of(store) == ["a_2", "a", "a_3"]


def test_only_the_wanted_slice_is_registered_and_a_wider_one_keeps_it(tmp_path: Path) -> None:
    queries = [Query(str(i), f"text {i}") for i in range(10)]
    with ledger(tmp_path) as store:
        assert taken(store, *queries, wanted=lambda position: 3 <= position < 5).new == 2
        assert rows_of(store) == ["3", "4"]
        finish(store, Outcome(OK, PAIRS))
        check = taken(store, *queries, wanted=lambda position: position < 3)
        assert (check.new, check.changed, check.removed) == (3, 0, 0)
        assert rows_of(store) == ["0", "1", "2"]
        changed = [*queries[:3], Query("3", "changed outside of the slice"), *queries[4:]]
        assert offered(store, *changed, wanted=lambda position: position < 3).changed == 1


def test_an_answer_and_its_outcome_come_back_as_they_were_written(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, B)
        (row,) = Records(store, STAGE, 1).pending()
        begin_session(store, "s", {"model": "m"}, 4, "host", 100.0)
        number = answer(store, row, Outcome(OK, PAIRS, detail="a note"))
        records = Records(store, STAGE, 1)
        found = records.find_answer(b"key of b", 0)
        assert found is not None
        assert found == records.get_answer(number)
        assert found.completion.usage == Usage(10, 5, 2, 1)
        assert found.completion.flags == ("hate: low",)
        assert records.find_answer(b"key of b", 1) is None
        (result,) = accepted(store, STAGE)
        assert (result.query, result.image_ids, tuple(pair.as_pair() for pair in result.pairs)) == (
            "b",
            ("IMG_b",),
            PAIRS,
        )
        ((_, outcome, _),) = records.answered_rows()
        assert (outcome.state, tuple(outcome.pairs), outcome.detail) == (OK, PAIRS, "a note")
        looked_up = describe_query(store, STAGE, "b")
        assert looked_up is not None
        assert (looked_up["state"], looked_up["requests"], looked_up["meta"]) == ("ok", 1, {"film": "Zug"})


def test_nothing_is_seen_before_it_is_committed(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A)
        records = Records(store, STAGE, 1)
        (row,) = records.pending()
        records.write(Entry(row, Outcome(OK, PAIRS), 1))
        assert states(store) == {PENDING: 1}
        store.commit()
        assert states(store) == {OK: 1}


def test_a_row_that_is_asked_again_stays_pending_with_its_answer_and_the_reason(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A)
        (row,) = Records(store, STAGE, 1).pending()
        number = answer(store, row, None, again="no question")
        (row,) = Records(store, STAGE, 1).pending()
        assert (row.used, row.last, row.reason) == (1, number, "no question")
        answer(store, row, Outcome(INVALID, reason="no question"))
        assert states(store) == {INVALID: 1}


def test_reopened_rows_are_pending_with_new_attempts_and_the_others_stay(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A, B, C)
        outcomes = iter([Outcome(FAILED, reason="x"), Outcome(OK, PAIRS), Outcome(REFUSED, reason="y", detail="z")])
        for row in list(Records(store, STAGE, 1).pending()):
            answer(store, row, next(outcomes))
        assert reopen(store, STAGE, [FAILED, REFUSED]) == 2
        assert states(store) == {OK: 1, PENDING: 2}
        assert [(row.used, row.opened, row.reason) for row in Records(store, STAGE, 1).pending()] == [(1, 1, "")] * 2


def test_a_judgement_can_be_replaced_without_a_new_answer(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A)
        finish(store, Outcome(INVALID, reason="no pairs", detail="more"))
        records = Records(store, STAGE, 0)
        records.replace_outcome(1, Outcome(OK, PAIRS))
        store.commit()
        assert states(store) == {OK: 1}
        assert count_spending(store).requests == 1
        records.replace_outcome(1, Outcome(INVALID, reason="no pairs"))
        store.commit()
        assert list(accepted(store, STAGE)) == []


def test_spending_adds_up_over_sessions_and_causes(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A, B)
        for session, (cause, billed) in enumerate([("answered", False), ("timeout", True), ("timeout", True)], 1):
            attempts = RequestCounts()
            attempts.add(cause, billed, 100.7)
            attempts.add("reset", maybe_billed=False, tokens=50)
            Records(store, STAGE, session).write_request_counts(attempts)
            store.commit()
        finish(store, Outcome(OK, PAIRS))
        spending = count_spending(store)
    assert spending.requests == 8
    assert spending.causes == {"answered": 3, "timeout": 2, "reset": 3}
    assert (spending.maybe_billed, spending.unknown_tokens) == (2, 200)
    assert spending.usage == Usage(20, 10, 4, 2)


_OLDER = (  # what the tables were before the columns of a bill and the counters
    *WITHOUT_TALLIES,
    "ALTER TABLE answer DROP COLUMN cache_write_tokens",
    "ALTER TABLE answer DROP COLUMN service_tier",
    "ALTER TABLE answer DROP COLUMN regional",
    "ALTER TABLE attempt DROP COLUMN unknown_cost",
    "ALTER TABLE session DROP COLUMN reserved",
    "DROP TABLE part_spending",
    (
        "CREATE TABLE part_spending (session INTEGER NOT NULL, name TEXT NOT NULL, model TEXT NOT NULL, "
        "asked INTEGER NOT NULL, prompt_tokens REAL NOT NULL, cached_tokens REAL NOT NULL, "
        "completion_tokens REAL NOT NULL, PRIMARY KEY (session, name, model)) WITHOUT ROWID"
    ),
    "INSERT INTO part_spending VALUES (1, 'es', 'm', 3, 100.4, 64.0, 20.0)",
)


def test_an_older_ledger_is_read_as_it_is_and_goes_on_once_it_is_written(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A, B)
        answer(store, next(Records(store, STAGE, 1).pending()), Outcome(OK, PAIRS))
    with sqlite3.connect(tmp_path / FILE) as old:
        for statement in _OLDER:
            old.execute(statement)
    old.close()
    before = (tmp_path / FILE).read_bytes()

    def spent(store: Store) -> tuple[object, ...]:
        (part,) = count_part_spending(store)
        return (
            [*count_spending(store).bills],
            part,
            count_spending(store).unpriced,
            Records(store, STAGE, 1).get_answer(1),
        )

    reader = open_for_reading(tmp_path)
    found = spent(reader)
    reader.close()
    assert (tmp_path / FILE).read_bytes() == before
    with ledger(tmp_path) as store:
        assert spent(store) == found
        row = next(Records(store, STAGE, 1).pending())
        completion = Completion("t", "stop", "m", Usage(30_000, 5, 2, 1, 0, 4), service_tier="priority", regional=True)
        part = PartOutcome(row.n, "es", OK)
        paid = NewAnswer(2, b"key", 0, completion, 0.5)
        Records(store, STAGE, 1).write(Entry(row, Outcome(OK), 1, paid, parts=(part,)))
        store.commit()
        assert Records(store, STAGE, 1).get_answer(2).completion == completion
        bill = BilledUsage("m", "", completion.usage, "priority", regional=True, prompt_size=30_000)
        assert bill in [*count_spending(store).bills]
        assert [replace(bill, usage=replace(bill.usage, reasoning_tokens=0))] == [
            use.bill for use in count_part_spending(store) if use.bill.regional
        ]
    with ledger(tmp_path) as store:  # a second opening changes nothing
        assert len(count_part_spending(store)) == 2


def test_counts_of_every_state_and_reason_add_up(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, *(Query(str(i), "text") for i in range(18)))
        for place, row in enumerate(list(Records(store, STAGE, 1).pending())[:15]):
            state = list(State)[place % 5]
            answer(
                store, row, Outcome(state, PAIRS if state is OK else (), "" if state is OK else f"reason {place % 2}")
            )
        counts = count_queries(store, STAGE)
    assert counts.states == {OK: 3, INVALID: 3, TRUNCATED: 3, REFUSED: 3, FAILED: 3, PENDING: 3}
    assert all(reasons.total() == counts.states[state] for state, reasons in counts.reasons.items())
    assert counts.pairs == 6


def test_sessions_keep_their_settings_and_how_they_ended(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        first = begin_session(store, "s", {"model": "m", "temperature": 0.5}, 4, "one", 100.0)
        end_session(store, first, "Stopped by SIGINT.", 9.0, 110.0)
        begin_session(store, "s", {"temperature": 0.5, "model": "m"}, 8, "two", 200.0)
        begin_session(store, "s", {"model": "n", "temperature": 0.5}, 8, "two", 300.0)
        found = [(each.ended, each.threads, each.stopped) for each in sessions(store, "s")]
        assert found == [(110.0, 4, "Stopped by SIGINT."), (None, 8, ""), (None, 8, "")]
        assert all_settings(store, "s") == [{"model": "m", "temperature": 0.5}, {"model": "n", "temperature": 0.5}]
        assert last_settings(store, "s") == {"model": "n", "temperature": 0.5}
        set_meta(store, "colour", "red")
        store.commit()
        assert (get_meta(store, "colour"), get_meta(store, "size")) == ("red", None)


class Overtaken(Store):
    """A ledger that a run goes on writing while it is read: after each read, one more row has its answer."""

    def __init__(self, writer: Store) -> None:
        super().__init__(writer.folder, sqlite3.connect(writer.folder / FILE), None, None)
        self._run = writer

    def read(self, sql: str, *values: object) -> list[Columns]:
        found = super().read(sql, *values)
        self._answer_one()
        return found

    def read_one(self, sql: str, *values: object) -> Columns | None:
        found = super().read_one(sql, *values)
        self._answer_one()
        return found

    def _answer_one(self) -> None:
        row = next(Records(self._run, STAGE, 1).pending(), None)
        if row is not None:
            answer(self._run, row, Outcome(OK, PAIRS))


def test_the_numbers_of_a_working_run_are_of_one_moment(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        begin_session(store, STAGE, {"model": "some-model"}, 1, "host", 0.0)
        taken(store, *(Query(f"r{number}", f"text {number}") for number in range(40)))
        reader = Overtaken(store)
        with contextlib.closing(reader):
            for _ in range(2):
                report = make_report(reader, STAGE, load_prices({}))
                answered = sum(use.answers for use in report.spending.models)
                assert report.counts.shared == 0
                assert (report.counts.states[OK], report.spending.requests) == (answered, answered)
        assert 0 < answered < states(store)[OK]  # the run went on in the meantime


_WITHOUT_ENDPOINTS = (
    *WITHOUT_TALLIES,
    "ALTER TABLE answer DROP COLUMN served_by",
    "DROP TABLE endpoint_request",
    "DROP TABLE endpoint_latency",
    "DROP TABLE endpoint",
)


def test_the_endpoints_of_an_older_run_are_those_of_its_sessions(tmp_path: Path) -> None:
    with ledger(tmp_path) as store:
        taken(store, A, B)
        finish(store, Outcome(OK, PAIRS))
        sums = count_endpoints(store)
    with sqlite3.connect(tmp_path / FILE) as old:
        for statement in _WITHOUT_ENDPOINTS:
            old.execute(statement)
    old.close()
    reader = open_for_reading(tmp_path)
    (read,) = count_endpoints(reader)
    reader.close()
    with ledger(tmp_path) as store:
        (migrated,) = count_endpoints(store)
    assert read == migrated
    assert read.usage == sums[0].usage == Usage(20, 10, 4, 2)
    assert (read.answers, read.seconds) == (2, 1.0)


@pytest.mark.parametrize(("share", "seconds"), [(0.5, 1.0), (0.95, 4.0)])
def test_latencies_are_known_within_a_step(share: float, seconds: float) -> None:
    steps = ((-8, 10), (0, 60), (16, 30))  # half a second, one, four
    use = EndpointUse("api", dict.fromkeys(RequestKind, 0), Counter(), (), 0.0, steps)
    assert use.latency(share) == seconds
    assert use._replace(steps=()).latency(share) is None
