"""Reviewing by the viewer's real server: lists, queues, decisions, and what rules are worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from harness import run_rows, server
from viewing import Viewing, viewing

from syphus import api
from syphus.ledger.reviewed import count_run_reviews
from syphus.ledger.store import open_for_reading
from syphus.quality.estimates import Bounds, part_of
from syphus.runs.run_settings import GENERATE
from syphus.viewer.random_order import bits_for, number_at, place_of
from syphus.viewer.rule_accuracy import Stratum, allocate, recall, share_of

RULE = "mentions its own source"


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Viewing]:
    """A run of 40 rows: the answers to some are rejected, those to some more are accepted at the second try only."""
    texts = {f"row{n:03d}": f"a kettle stands on table {n}." for n in range(40)}
    poison = {f"table {n}.": "leak_phrase" for n in range(8)}
    once = {f"table {n}.": "leak_phrase" for n in range(8, 12)}
    with server(poison=poison, poison_once=once) as running:
        ran = run_rows(tmp_path, running.url, texts, num_threads=8)
    with viewing(ran.folder, cache=tmp_path / "cache") as running_viewer:
        yield running_viewer


def queue(seen: Viewing, by: str = "random", reviewer: str = "ann", limit: int = 100, **more: object) -> Any:
    extra = "".join(f"&{name}={value}".replace(" ", "%20") for name, value in more.items())
    return seen.api(f"review/queue?by={by}&reviewer={reviewer}&limit={limit}{extra}")


def decide(seen: Viewing, pair: dict[str, Any], verdict: str, reviewer: str = "ann", **values: object) -> Any:
    body = {
        "id": str(uuid4()),
        "pair": pair["id"],
        "n": pair["n"],
        "text_hash": pair["text_hash"],
        "reviewer": reviewer,
        "verdict": verdict,
        "draw": pair["draw"],
        **values,
    }
    reply = seen.post(f"/api/runs/{seen.key}/reviews", body)
    return reply.json if reply.status == 200 else (reply.status, reply.json["error"])


def test_all_pairs_are_listed_page_by_page(seen: Viewing) -> None:
    ids, after = [], ""
    while True:
        page = seen.api(f"pairs?limit=7{after}")
        ids += [pair["id"] for pair in page["pairs"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    with api.open_run(next(iter(seen.viewer.runs.all())).folder) as run:
        assert ids == [pair.id for pair in run.pairs()]
    found = seen.api("pairs?limit=100&text=TABLE%2030")["pairs"]
    assert found
    assert all("table 30" in f"{pair['instruction']} {pair['answer']}" for pair in found)


def test_a_decision_is_seen_in_lists_queue_and_export(seen: Viewing) -> None:
    first, second, third = queue(seen, limit=3)["pairs"]
    reply = decide(seen, first, "accept")
    assert (reply["ok"], reply["number"], reply["review"]["state"]) == (True, 1, "accepted")
    assert decide(seen, second, "reject", reason="wrong")["review"]["state"] == "rejected"
    assert decide(seen, third, "edit", instruction="What?", answer="That.")["review"]["state"] == "edited"
    after = queue(seen)
    assert {first["id"], second["id"], third["id"]}.isdisjoint(pair["id"] for pair in after["pairs"])
    assert after["progress"] | {"total": 0} == {"seen": 3, "mine": 3, "today": 3, "total": 0}
    assert first["id"] in {pair["id"] for pair in queue(seen, reviewer="bob")["pairs"]}
    for state, pair in (("accepted", first), ("rejected", second), ("edited", third)):
        assert [each["id"] for each in seen.api(f"pairs?review={state}")["pairs"]] == [pair["id"]]
    assert first["id"] not in {pair["id"] for pair in seen.api("pairs?review=unseen&limit=100")["pairs"]}
    decide(seen, second, "undo")
    assert seen.api("pairs?review=rejected")["pairs"] == []


def test_a_decision_sent_twice_is_one_and_another_text_is_refused(seen: Viewing) -> None:
    (pair,) = queue(seen, limit=1)["pairs"]
    name = str(UUID(int=7))
    assert decide(seen, pair, "accept", id=name)["number"] == decide(seen, pair, "accept", id=name)["number"] == 1
    assert decide(seen, pair, "accept", text_hash="0" * 16)[0] == 409
    assert decide(seen, pair, "undo", reviewer="bob")[0] == 409
    assert decide(seen, pair, "maybe")[:1] == (400,)
    gone = {**pair, "id": "XX_INS_none_1", "n": None}
    assert decide(seen, gone, "accept") == (400, "XX_INS_none_1: the run has no such pair")
    assert decide(seen, pair, "accept", id="7")[0] == 400
    assert decide(seen, pair, "accept", n=None)["number"] == 2  # programs need not say which query
    assert decide(seen, pair, "accept", comment=["ann"])[0] == 400


def test_people_who_disagree_find_it_in_their_queue(seen: Viewing) -> None:
    first, second = queue(seen, limit=2)["pairs"]
    for who, verdicts in (("ann", ("accept", "accept")), ("bob", ("reject", "accept"))):
        for pair, verdict in zip((first, second), verdicts, strict=True):
            decide(seen, pair, verdict, who)
    found = queue(seen, "disagreement", "cid")
    assert [pair["id"] for pair in found["pairs"]] == [first["id"]]
    agreement = found["agreement"]
    assert (agreement["pairs"], agreement["share"], agreement["method"]) == (2, 0.5, "cohen")


def test_rejected_answers_are_shown_by_rule(seen: Viewing) -> None:
    rules = queue(seen)["rules"]
    ((name, answers),) = [(rule["name"], rule["answers"]) for rule in rules if rule["answers"] >= 8]
    found = queue(seen, "rule", rule=name)["pairs"]
    assert len(found) == answers
    assert {pair["kind"] for pair in found} == {"answer"}
    assert all(pair["why"] == name and pair["answer"] for pair in found)
    assert decide(seen, found[0], "reject")["review"]["state"] == "rejected"
    assert len(queue(seen, "rule", rule=name)["pairs"]) == answers - 1
    worth = next(rule for rule in seen.api("worth")["rules"] if rule["name"] == name)
    assert (worth["judged"], worth["bad"], worth["precision"]["share"]) == (1, 1, 1.0)


def test_low_scores_come_first_and_are_no_random_sample(seen: Viewing) -> None:
    found = queue(seen, "score", limit=5)["pairs"]
    scores = [float(pair["why"].split()[1].rstrip(",")) for pair in found]
    assert scores == sorted(scores)
    for pair in found:
        decide(seen, pair, "reject")
    assert seen.api("worth")["accepted"]["judged"] == 0
    (drawn,) = queue(seen, limit=1)["pairs"]
    decide(seen, drawn, "accept")
    accepted = seen.api("worth")["accepted"]
    assert accepted["good"] == 1
    assert accepted["judged"] <= 6  # those that would have been drawn by now count, too


def test_the_queue_of_most_worth_shows_all_strata_and_narrows_recall(seen: Viewing) -> None:
    for _ in range(8):
        for pair in queue(seen, "worth", limit=10)["pairs"]:
            decide(seen, pair, "reject" if pair["kind"] == "answer" else "accept")
    worth = seen.api("worth")
    assert worth["together"]["recall"]["share"] == 1.0
    assert all(rule["judged"] == rule["answers"] for rule in worth["rules"])
    assert worth["accepted"]["judged"] == worth["accepted"]["answers"] > 20
    assert worth["next"] == []


@pytest.mark.parametrize("query", ["review/queue?by=luck", "pairs?review=good", "pairs?after=x", "worth?seed=1e9"])
def test_a_bad_address_gets_one_line(seen: Viewing, query: str) -> None:
    reply = seen.get(f"/api/runs/{seen.key}/{query}")
    assert reply.status == 400
    assert "must be" in reply.json["error"]


def test_the_random_order_has_each_number_once_and_can_be_reversed() -> None:
    for bits in (8, 10):
        order = [number_at(place, bits, 5) for place in range(1 << bits)]
        assert sorted(order) == list(range(1 << bits))
        assert [place_of(number, bits, 5) for number in order] == list(range(1 << bits))
    assert (bits_for(0), bits_for(255), bits_for(256), bits_for(1_000_000)) == (8, 8, 10, 20)


def test_intervals_hold_as_often_as_they_say() -> None:
    """300 made-up runs: strata of different sizes and qualities, sampled as the queue does."""
    draw = Random(3)
    truth = {"accepted": (2_000, 0.05), "rule a": (200, 0.9), "rule b": (60, 0.6)}
    hits = {"recall": 0, "precision": 0}
    for _ in range(300):
        strata, bad = [], {}
        for name, (size, share) in truth.items():
            population = [draw.random() < share for _ in range(size)]
            bad[name] = sum(population)
            sample = draw.sample(population, 120 if name == "accepted" else 30)
            strata.append(Stratum(name, size, len(sample) - sum(sample), sum(sample)))
        accepted, *rules = strata
        found = recall(rules, [accepted])
        assert found is not None
        hits["recall"] += found.low <= (bad["rule a"] + bad["rule b"]) / sum(bad.values()) <= found.high
        shown = rules[1].bad_share
        hits["precision"] += shown.low <= bad["rule b"] / 60 <= shown.high
    assert all(0.92 <= count / 300 <= 1 for count in hits.values()), hits


def test_shares_of_sums_at_their_ends() -> None:
    assert share_of(0, 0) == Bounds(0.5, 0, 1)
    assert share_of(3, 3, 3) == Bounds(1, 1, 1)
    assert part_of(Bounds(0, 0, 0), Bounds(0, 0, 0)) is None
    assert part_of(Bounds(10, 10, 10), Bounds(0, 0, 0)) == Bounds(1, 1, 1)
    whole = part_of(Bounds(10, 8, 12), Bounds(0, 0, 5))
    assert whole is not None
    assert 0.5 < whole.low < whole.value == whole.high == 1
    assert recall([Stratum("rule a", 5, 1, 1)], [Stratum("accepted", 9)]) is None
    assert allocate([Stratum("accepted", 3, 3), Stratum("rule a", 2, 0, 2)], 9) == {}


@pytest.fixture
def judged_run(tmp_path: Path) -> Iterator[Viewing]:
    """A run of 30 rows whose judge has taken some pairs out, and lets others pass that it should not."""
    with server(pair_slips=0.3, judge_misses=0.2, judge_alarms=0.2, seed=3) as running:
        ran = run_rows(tmp_path, running.url, 30, num_threads=8, judge="all")
    with viewing(ran.folder, cache=tmp_path / "cache") as running_viewer:
        yield running_viewer


def test_people_say_what_the_judge_is_worth(judged_run: Viewing) -> None:
    with api.open_run(judged_run.viewer.runs.all()[0].folder) as run:
        kept = {pair.id for pair in run.pairs()}
    judge = judged_run.api("worth")["judge"]
    sizes = [judge[name]["answers"] for name in ("bad", "good")]
    assert (judge["precision"], judge["recall"]) == (None, None)
    assert sizes[1] == len(kept)
    truth: dict[str, list[bool]] = {}
    for stratum in ("judge bad", "judge good"):
        shown = queue(judged_run, "rule", rule=stratum)["pairs"]
        truth[stratum] = ["row" not in pair["answer"] for pair in shown]
        assert {pair["id"] in kept for pair in shown} == {stratum == "judge good"}
        assert all(bool(pair["why"]) == (stratum == "judge bad") for pair in shown)
        for pair, is_bad in zip(shown, truth[stratum], strict=True):
            decide(judged_run, pair, "reject" if is_bad else "accept")
        assert queue(judged_run, "rule", rule=stratum)["pairs"] == []
    assert [len(each) for each in truth.values()] == sizes
    found, missed = (sum(each) for each in truth.values())
    assert found
    assert missed
    judge = judged_run.api("worth")["judge"]
    assert [(judge[name]["judged"], judge[name]["bad"]) for name in ("bad", "good")] == [
        (sizes[0], found),
        (sizes[1], missed),
    ]
    share = {"low": round(found / sizes[0], 4), "share": round(found / sizes[0], 4), "high": round(found / sizes[0], 4)}
    assert judge["precision"] == share  # everything was judged, so nothing is uncertain
    assert judge["recall"]["share"] == round(found / (found + missed), 4)
    with closing(open_for_reading(judged_run.viewer.runs.all()[0].folder)) as store:
        counts = count_run_reviews(store, GENERATE)
    assert counts is not None  # what the judge took out has not changed since
    assert (counts.reviewed, counts.outdated, counts.taken_out) == (sizes[1], 0, sizes[0])
    assert f"{sizes[0]} that a rule or the judge took out" in counts.line()


def test_the_page_of_rules_has_what_the_judge_said_of_known_faults(tmp_path: Path) -> None:
    with server(judge_misses=1.0) as running:
        ran = run_rows(tmp_path, running.url, 4, judge="all", calibrate_judge=3)
    with viewing(ran.folder, cache=tmp_path / "cache") as seen:
        found = seen.api("worth")["calibration"]
    assert found == ran.report.calibration
    assert found["recall"]["share"] == 0


def test_translations_are_judged_by_themselves(tmp_path: Path) -> None:
    with server(seed=3) as running:  # some answers have several pairs, each in the context of the others
        ran = run_rows(tmp_path, running.url, 12, num_threads=8, languages="ar,zh")
    with viewing(ran.folder, cache=tmp_path / "cache") as seen:
        shown = queue(seen, language="ar", limit=50)["pairs"]
        assert any(pair["siblings"] and pair["related"] for pair in shown)
        for pair in shown:
            mine = {**pair, "text_hash": pair["translations"]["ar"]["text_hash"]}
            assert decide(seen, mine, "reject", language="ar")["review"]["state"] == "rejected"
            assert decide(seen, pair, "accept", language="ar")[0] == 409  # the hash is that of the original
        assert queue(seen, language="ar", limit=50)["pairs"] == []
        assert len(queue(seen, language="zh", limit=50)["pairs"]) == len(queue(seen, limit=50)["pairs"]) == len(shown)
        assert seen.api("worth")["accepted"]["judged"] == 0
