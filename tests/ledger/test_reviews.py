"""Decisions of reviewers: appended, read back, counted, and measured against each other."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from harness import HERE

from syphus.errors import InputError, StorageError
from syphus.ledger.reviewed import measure_agreement
from syphus.ledger.reviews import (
    FILE,
    NewDecision,
    ReviewConflictError,
    ReviewLog,
    ReviewState,
    Verdict,
    review_of,
    text_hash,
)

HASH, NOW = text_hash("What?", "A cat."), 1_800_000_000.0


def decision(number: int, verdict: str = "accept", reviewer: str = "ann", **values: str) -> NewDecision:
    given = {"pair": "XX_INS_a_1", "text_hash": HASH, **values}
    return NewDecision(id=str(UUID(int=number)), reviewer=reviewer, verdict=Verdict(verdict), **given)


def log_of(folder: Path, *decisions: NewDecision) -> ReviewLog:
    log = ReviewLog(folder)
    for each in decisions:
        log.append(each, NOW)
    return log


def state_of(log: ReviewLog, hash_now: str = HASH) -> ReviewState:
    return log.review("XX_INS_a_1", hash_now).state


def test_a_decision_is_read_back_as_it_was_given(tmp_path: Path) -> None:
    edit = decision(1, "edit", instruction="Wo?", answer="Hier.\nمرحبا", query="a", language="de", comment="c")
    written = log_of(tmp_path, edit).decisions("XX_INS_a_1", "de")
    other = ReviewLog(tmp_path)
    assert other.refresh() == 1
    assert other.decisions("XX_INS_a_1", "de") == written
    assert (written[0].number, written[0].at, written[0].of) == (1, NOW, edit)
    line = json.loads((tmp_path / FILE).read_text("utf-8"))
    assert line["at"] == "2027-01-15T08:00:00.000+00:00"
    assert "undoes" not in line


def test_the_same_decision_given_twice_is_there_once(tmp_path: Path) -> None:
    log = log_of(tmp_path, decision(1), decision(2, "reject"))
    assert log.append(decision(1), NOW + 5) == log.all_decisions()[0]
    assert ReviewLog(tmp_path).append(decision(2, "reject"), NOW).number == 2
    assert len((tmp_path / FILE).read_bytes().splitlines()) == 2
    with pytest.raises(ReviewConflictError, match="another decision"):
        log.append(decision(2, "accept"), NOW)


@pytest.mark.parametrize("torn", [b'{"id": "12', b"\0\0\0\0", b'{"id": "\xf0\x9f'])
def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path: Path, torn: bytes) -> None:
    log_of(tmp_path, decision(1))
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole + torn)
    log = ReviewLog(tmp_path)
    assert (log.refresh(), len(log.notes)) == (1, 1)
    assert "not complete" in log.notes[0]
    log.append(decision(2), NOW)
    assert (tmp_path / FILE).read_bytes().startswith(whole + b'{"id":"00000000-0000-0000-0000-000000000002"')
    assert "cut off" in log.notes[0]
    assert ReviewLog(tmp_path).refresh() == 2


def test_a_line_that_is_no_decision_is_named_and_the_rest_counts(tmp_path: Path) -> None:
    log_of(tmp_path, decision(1), decision(2, "reject"))
    first, second = (tmp_path / FILE).read_bytes().splitlines()
    bad = [b"[]", b"garbage", first.replace(b'"accept"', b'"maybe"'), first.replace(b'"ann"', b'""'), b""]
    (tmp_path / FILE).write_bytes(b"\n".join([first, *bad, second, b""]))
    log = ReviewLog(tmp_path)
    assert log.refresh() == 2
    assert [note.partition(": left out")[0].rpartition(" ")[2] for note in log.notes] == ["2", "3", "4", "5"]
    assert state_of(log) is ReviewState.REJECTED


def test_it_follows_what_others_append_and_a_file_that_is_replaced(tmp_path: Path) -> None:
    one, other = ReviewLog(tmp_path), ReviewLog(tmp_path)
    assert one.refresh() == 0
    other.append(decision(1), NOW)
    assert one.refresh() == 1
    one.append(decision(2, "reject", "bob"), NOW)
    other.append(decision(3, "accept", "cid"), NOW)
    assert one.refresh() == other.refresh() == 3
    assert one.all_decisions() == other.all_decisions()
    assert [each.of.reviewer for each in one.all_decisions(after=1)] == ["bob", "cid"]
    backup = tmp_path / "backup"
    backup.write_bytes(b"".join((tmp_path / FILE).read_bytes().splitlines(keepends=True)[:1]))
    backup.replace(tmp_path / FILE)
    assert one.refresh() == 1
    (tmp_path / FILE).unlink()
    assert one.refresh() == 0


def test_people_and_threads_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    logs = [ReviewLog(tmp_path) for _ in range(3)]
    work = [(logs[n % 3], decision(n // 2, pair=f"p{n // 2}")) for n in range(240)]  # each decision twice
    Random(1).shuffle(work)
    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(lambda item: (item[1].id, item[0].append(item[1], NOW).number), work))
    assert len(set(numbers)) == 120
    assert sorted({number for _, number in numbers}) == list(range(1, 121))
    assert {log.refresh() for log in logs} == {120}


KILLED = """
import itertools, sys
from pathlib import Path
from uuid import UUID
from syphus.ledger.reviews import NewDecision, ReviewLog, Verdict
log, first = ReviewLog(Path(sys.argv[1])), int(sys.argv[2])
for n in itertools.count(first):
    log.append(NewDecision(str(UUID(int=n)), f"p{n}", "00", "ann", Verdict.ACCEPT), 0.0)
    print(n, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    acknowledged = set()
    for first in (0, 10_000, 20_000):
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(first)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parents[1]) as process:
            assert process.stdout is not None
            acknowledged |= {int(process.stdout.readline()) for _ in range(20)}
            process.kill()
            acknowledged |= {int(line) for line in process.stdout if line.endswith("\n")}
    log = ReviewLog(tmp_path)
    count = log.refresh()
    names = {int(pair.removeprefix("p")) for pair, _ in log.pairs()}
    assert len(names) == count
    assert acknowledged <= names
    assert len(names - acknowledged) <= 3  # written, and killed before it said so


def test_what_all_reviewers_say_together() -> None:
    def together(*said: NewDecision) -> str:
        from syphus.ledger.reviews import ReviewDecision

        return review_of([ReviewDecision(n, NOW, each) for n, each in enumerate(said, 1)], HASH).state.value

    ann, bob = decision(1), decision(2, reviewer="bob")
    edit = {"instruction": "Which?", "answer": "That."}
    assert together() == "unseen"
    assert together(ann, bob) == "accepted"
    assert together(ann, decision(3, "reject", "bob")) == "disputed"
    assert together(decision(1, "reject"), decision(3, "reject", "bob")) == "rejected"
    assert together(ann, decision(3, "edit", "bob", **edit)) == "edited"
    assert together(decision(1, "edit", **edit), decision(3, "edit", "bob", **edit)) == "edited"
    assert together(decision(1, "edit", **edit), decision(3, "edit", "bob", instruction="x", answer="y")) == "disputed"
    assert together(ann, decision(3, "reject")) == "rejected"  # the newest of each counts
    assert together(ann, decision(3, "reject"), decision(4, "undo", undoes=str(UUID(int=3)))) == "accepted"
    assert together(ann, decision(4, "comment", comment="hm")) == "accepted"


def test_a_pair_with_another_text_needs_a_new_decision(tmp_path: Path) -> None:
    log = log_of(tmp_path, decision(1), decision(2, "reject", "bob"))
    changed = text_hash("What?", "A dog.")
    assert (state_of(log), state_of(log, changed)) == (ReviewState.DISPUTED, ReviewState.UNSEEN)
    assert log.review("XX_INS_a_1", changed).outdated == 2
    log.append(decision(3, text_hash=changed), NOW)
    assert (state_of(log, changed), log.review("XX_INS_a_1", changed).outdated) == (ReviewState.ACCEPTED, 1)


def test_an_undo_takes_back_ones_own_newest_decision(tmp_path: Path) -> None:
    log = log_of(tmp_path, decision(1), decision(2, "reject"), decision(3, "reject", "bob"))
    assert log.append(decision(4, "undo"), NOW).of.undoes == str(UUID(int=2))
    assert state_of(log) is ReviewState.DISPUTED
    log.append(decision(5, "undo"), NOW)
    assert list(log.review("XX_INS_a_1", HASH).verdicts) == ["bob"]
    for undo in (decision(6, "undo"), decision(6, "undo", undoes=str(UUID(int=3))), decision(6, "undo", "cid")):
        with pytest.raises(ReviewConflictError, match="no such decision"):
            log.append(undo, NOW)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"reviewer": " \t "}, "reviewer: must be a name"),
        ({"reviewer": "a\x1bb"}, "reviewer: must be a name"),
        ({"pair": ""}, "pair: must be the id"),
        ({"verdict": "edit", "instruction": "q"}, "needs an instruction and an answer"),
        ({"verdict": "comment"}, "comment: must not be empty"),
        ({"reason": "x" * 100_001}, "longer than 100,000"),
        ({"comment": "\ud800"}, "half of a UTF-16 character"),
    ],
)
def test_a_decision_that_says_nothing_is_refused(tmp_path: Path, values: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ReviewLog(tmp_path).append(decision(1, **values), NOW)
    with pytest.raises(InputError, match="UUID"):
        ReviewLog(tmp_path).append(decision(1)._replace(id="7"), NOW)
    assert not (tmp_path / FILE).exists()


def test_a_folder_that_is_gone_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="can't be written: No such file"):
        log_of(tmp_path / "gone", decision(1))
    (tmp_path / FILE).mkdir()
    with pytest.raises(StorageError, match="can't be read: Is a directory"):
        ReviewLog(tmp_path).refresh()


def test_agreement_of_two_is_cohens() -> None:
    """The example of the method: 50 grants, 20 both yes, 15 both no, 5 and 10 apart."""
    said = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    agreement = measure_agreement([{"ann": one, "bob": other} for one, other in said] + [{"ann": "yes"}])
    assert (agreement.items, agreement.method, agreement.share) == (50, "cohen", 0.7)
    assert agreement.kappa == pytest.approx(0.4)
    assert measure_agreement([{"ann": "yes", "bob": "yes"}]).kappa is None
    assert measure_agreement([{"ann": "yes"}]).as_json()["pairs"] == 0


def test_agreement_of_many_is_fleiss() -> None:
    """The example of Fleiss' paper as Wikipedia has it: 14 people, 10 items, 5 categories, kappa 0.210."""
    table = ["00 00 00 00 14", "00 02 06 04 02", "00 00 03 05 06", "00 03 09 02 00", "02 02 08 01 01",
             "07 07 00 00 00", "03 02 06 03 00", "02 05 03 02 02", "06 05 02 01 00", "00 02 02 03 07"]  # fmt: skip
    items = []
    for row in table:
        said = [str(category) for category, count in enumerate(row.split()) for _ in range(int(count))]
        items.append({f"r{number}": each for number, each in enumerate(said)})
    agreement = measure_agreement(items)
    assert agreement.method == "fleiss"
    assert agreement.kappa == pytest.approx(0.210, abs=5e-4)
    assert len(agreement.between) == 14 * 13 // 2
