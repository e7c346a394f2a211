"""Measures a judge of pairs on answers whose truth is known: the bad pairs that it finds, and its false alarms.

Sound are the pairs of the prompt's in-context examples, and those that reviewers accepted; bad are those with a planted
fault, and those that reviewers rejected. They are a stage of their own in the ledger, so that its verdicts are never
taken for verdicts on the run. A pair of a query that the judge has judged does not count as sound or rejected: it is
in the run because of what the judge said.

Answers of one round were made together. A later round has other texts, so the change since the round before is measured
on independent ones, kind by kind: the same kinds of faults may not be left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from syphus.errors import ConfigError
from syphus.formats.report import CALIBRATION_META
from syphus.ledger.inputs import accept_input, register
from syphus.ledger.judged import judged_before, pairs_of_queries, sampled_pairs
from syphus.ledger.results import AnsweredQuery, answered_queries
from syphus.ledger.reviewed import is_taken_out
from syphus.ledger.reviews import ReviewLog, ReviewState, text_hash
from syphus.ledger.sessions import set_meta
from syphus.ledger.store import Store
from syphus.model_names import public_name
from syphus.quality.estimates import BadCount, BadSums, JudgeErrors, ShareEstimate, change_by_kind, wilson
from syphus.quality.known_answers import (
    COMPANY,
    SOUND,
    KnownAnswer,
    KnownPair,
    is_bad,
    judge_of,
    known_query,
    make_known_answers,
    round_of,
    truths,
)
from syphus.quality.planted_faults import KnownFault
from syphus.runs.generate import GenerateStage
from syphus.runs.pair_verdicts import judged_number, read_verdicts
from syphus.runs.run_settings import CALIBRATE_JUDGE, GENERATE, JUDGE_PAIRS
from syphus.types import Pair, State

_NO_MATERIAL = (
    "--calibrate-judge: there is nothing to calibrate on. It needs pairs that are known to be sound: in-context "
    "examples in the prompt, or pairs that reviewers accepted (`syphus view`)."
)


@dataclass(slots=True)
class Measurement:
    """What a judge said of the pairs whose truth is known, of one round or of all."""

    judge: str
    served: set[str] = field(default_factory=set)  #: models that answered, as the server names them
    answers: int = 0
    unclear: int = 0  #: answers without a usable verdict
    bad: BadSums = field(default_factory=BadSums)  #: bad pairs by answer, and how many it found
    sound: BadSums = field(default_factory=BadSums)  #: sound pairs by answer, and how many it called bad
    faults: dict[str, BadCount] = field(default_factory=dict)

    @property
    def errors(self) -> JudgeErrors:
        """The rates of the judge."""
        return JudgeErrors.of_sums(self.bad, self.sound)

    def add(self, answered: AnsweredQuery) -> None:
        """Add the verdicts on one answer."""
        known = truths(answered.query)
        verdicts = read_verdicts(answered.detail, len(known))[0] if answered.state is State.OK else ()
        self.answers += 1
        if not verdicts:
            self.unclear += 1
            return
        self.served.add(public_name(answered.model))
        called = [(truth, bool(verdict.fault)) for truth, verdict in zip(known, verdicts, strict=True)]
        on_bad = [said for truth, said in called if is_bad(truth)]
        on_sound = [said for truth, said in called if truth == SOUND]
        for sums, every in ((self.bad, on_bad), (self.sound, on_sound)):
            if every:
                sums.add(BadCount(len(every), sum(every)))
        for truth, said in called:
            if truth:
                pairs, found = self.faults.get(truth, BadCount(0, 0))
                self.faults[truth] = BadCount(pairs + 1, found + said)


def require_material(store: Store, stage: GenerateStage, judge: str) -> None:
    """Raise `ConfigError` if there is nothing whose truth is known."""
    if not any(each.is_material for each in known_material(store, stage, judge)) and not _has_answers(store, judge):
        raise ConfigError(_NO_MATERIAL)


def _has_answers(store: Store, judge: str) -> bool:
    return any(judge_of(each.query) == judge for each in answered_queries(store, CALIBRATE_JUDGE))


def known_material(store: Store, stage: GenerateStage, judge: str) -> list[KnownAnswer]:
    """Return the sound pairs of the examples, and reviewed pairs, each with the other pairs of its answer."""
    return [*_of_examples(stage), *_of_reviews(store, judge)]


def _of_examples(stage: GenerateStage) -> Iterator[KnownAnswer]:
    for number, (query, _, parsed) in enumerate(stage.examples(), 1):
        if not parsed.problems and (query.text.strip() or query.images):
            known = tuple(KnownPair(pair.instruction, pair.answer) for pair in parsed.pairs)
            yield KnownAnswer(f"example {number}", query.text, known, query.images)


def _of_reviews(store: Store, judge: str) -> Iterator[KnownAnswer]:
    log = ReviewLog(store.folder)
    if not log.refresh():
        return
    decided = {pair for pair, language in log.pairs() if not language and not is_taken_out(pair)}
    names = {each.of.query for pair in decided for each in log.decisions(pair)[:1]}
    found = sampled_pairs(store, GENERATE, 1.0) if "" in names else pairs_of_queries(store, GENERATE, names)
    judged = {judged_number(row.query) for row in judged_before(store, JUDGE_PAIRS, judge)}
    for each in found:
        pairs = [_reviewed(pair, log, each.n in judged) for pair in each.pairs]
        if any(pair is not None and pair.truth is not COMPANY for pair in pairs):
            known = tuple(pair for pair in pairs if pair is not None)
            yield KnownAnswer(each.id, each.annotation, known, each.images)


def _reviewed(pair: Pair, log: ReviewLog, is_judged: bool) -> KnownPair | None:
    """Return a pair with what reviewers say of it; None for a rejected one that the judge has let pass."""
    state = log.review(pair.id, text_hash(pair.instruction, pair.answer)).state
    if state is ReviewState.ACCEPTED:
        return KnownPair(pair.instruction, pair.answer, SOUND, counts=not is_judged)
    if state is ReviewState.REJECTED:
        return None if is_judged else KnownPair(pair.instruction, pair.answer, KnownFault.REJECTED.value)
    return KnownPair(pair.instruction, pair.answer, COMPANY)


class Registered(NamedTuple):
    """How many answers whose truth is known a judge has before it, and how many it has said something about."""

    answers: int
    pending: int


def register_known_answers(store: Store, stage: GenerateStage, judge: str, count: int, seed: int) -> Registered:
    """Register `count` answers for the judge, or as many as the material yields. Those that it has stay. Commits."""
    kept = [
        each
        for each in answered_queries(store, CALIBRATE_JUDGE)
        if each.state is not State.PENDING or judge_of(each.query) == judge
    ]
    before = [each.query for each in kept]
    mine = [each.query for each in kept if judge_of(each.query) == judge]
    names = {query.id for query in before}
    round_ = 1 + max(map(round_of, before), default=0)
    material = known_material(store, stage, judge) if count > len(mine) else []
    made = make_known_answers(material, mine, max(0, count - len(mine)), seed)
    new = [query for each in made if (query := known_query(each, judge, round_)).id not in names]
    register(store, CALIBRATE_JUDGE, [*before, *new], lambda _: True, lambda _: None)
    accept_input(store, CALIBRATE_JUDGE)
    pending = sum(each.state is State.PENDING for each in kept) + len(new)
    return Registered(len(mine) + len(new), pending)


def read_measurements(store: Store) -> list[Measurement]:
    """Return what was measured, round by round; nothing of a round without an answer."""
    rounds: dict[tuple[int, str], Measurement] = {}
    for answered in answered_queries(store, CALIBRATE_JUDGE):
        if answered.state is not State.PENDING:
            judge = judge_of(answered.query)
            rounds.setdefault((round_of(answered.query), judge), Measurement(judge)).add(answered)
    return [each for _, each in sorted(rounds.items())]


def read_calibration(store: Store, judge: str) -> Measurement | None:
    """Return what was measured of a judge in all rounds together; None without a usable verdict."""
    every = Measurement(judge)
    for answered in answered_queries(store, CALIBRATE_JUDGE):
        if answered.state is not State.PENDING and judge_of(answered.query) == judge:
            every.add(answered)
    return every if every.bad.pairs or every.sound.pairs else None


def keep_calibration(store: Store, measured: Measurement, reported: ShareEstimate | None) -> None:
    """Keep in the ledger what is known about a judge, for the report, without committing.

    `reported` is the share of bad pairs in the run as the judge has it.
    """
    errors, bad, sound = measured.errors, measured.bad, measured.sound
    precision = errors.precision(bad.pairs / (bad.pairs + sound.pairs))
    in_run = errors.precision_behind(reported) if reported is not None and reported.pairs and reported.share else None
    summary = {
        "model": measured.judge,
        "answers": measured.answers,
        "unclear": measured.unclear,
        "bad": {"pairs": bad.pairs, "found": bad.bad},
        "sound": {"pairs": sound.pairs, "called_bad": sound.bad},
        "recall": errors.recall.as_json() if bad.pairs else None,
        "false_alarms": errors.false_alarms.as_json() if sound.pairs else None,
        "precision": precision.as_json() if precision and bad.pairs and sound.pairs else None,
        "precision_in_run": in_run.as_json() if in_run and bad.pairs and sound.pairs else None,
        "faults": {each.value: _fault(*measured.faults[each]) for each in KnownFault if each in measured.faults},
        "change": _change(read_measurements(store)),
    }
    set_meta(store, CALIBRATION_META, orjson.dumps(summary).decode())


def _fault(pairs: int, found: int) -> Mapping[str, float]:
    low, high = wilson(found / pairs, pairs)
    return {"pairs": pairs, "found": found, "low": round(low, 4), "high": round(high, 4)}


def _change(rounds: Sequence[Measurement]) -> dict[str, object] | None:
    """Return by how much the rates of the newest round differ from those of the round before; None without two."""
    if len(rounds) < 2:
        return None
    before, now = rounds[-2:]
    recall = change_by_kind(before.faults, now.faults)
    if recall is None:
        return None
    both = before.sound.pairs and now.sound.pairs
    alarms = now.errors.false_alarms.minus(before.errors.false_alarms) if both else None
    return {
        "from": _whose(before),
        "to": _whose(now),
        "recall": recall.as_json(),
        "false_alarms": alarms.as_json() if alarms else None,
    }


def _whose(measured: Measurement) -> dict[str, object]:
    return {"model": measured.judge, "served": sorted(measured.served), "answers": measured.answers}
