"""Has a model judge the pairs of a run: all of them, a share, or as many as it takes to know how good they are.

A bad pair is taken out of the result, as if a rule had rejected it; a query that loses all its pairs becomes invalid,
and `--retry invalid` asks for it again. Verdicts are about exact texts: a pair that changes is judged again.

Pairs that a cleaning rule could not decide about are judged first, whatever the share, and are not counted in it.

With `--calibrate-judge`, the judge is measured first: see `calibration.py`.

The sample follows from the positions of the queries alone, so a larger share contains a smaller one, and no text is
paid for twice. What is known then stands in the report: see `estimates.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import orjson

from syphus.config.options import JUDGE_ALL, JUDGE_AUTO
from syphus.errors import SyphusError, UnsatisfactoryError
from syphus.exchange import BYTES_PER_TOKEN
from syphus.formats.report import JUDGED_META, Report
from syphus.formats.run_files import PairsFile
from syphus.ledger.inputs import accept_input, register
from syphus.ledger.judged import judged_before, sampled_numbers, sampled_pairs, set_bad_pairs
from syphus.ledger.records import pending_numbers
from syphus.ledger.results import AnsweredQuery, answered_queries
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.ledger.summary import average_size
from syphus.pipeline.observer import Observer
from syphus.pipeline.stage import AnswerWatch
from syphus.quality.calibration import Measurement, keep_calibration, read_calibration, register_known_answers
from syphus.quality.estimates import LOOKS_Z, BadCount, BadSums, ShareEstimate, Z, is_known
from syphus.runs.clean import rejudge_queries
from syphus.runs.cost_estimate import estimated_line
from syphus.runs.cost_text import format_line
from syphus.runs.generate import GenerateStage
from syphus.runs.judge import JUDGE_TEMPERATURE, JudgeStage, Rubric, make_breaker, pair_key
from syphus.runs.outputs import open_pairs
from syphus.runs.pair_verdicts import (
    NOT_USEFUL,
    VERDICTS_RUBRIC,
    JudgedAnswer,
    JudgedPairs,
    PairVerdict,
    judge_messages,
    judge_query,
    judged_number,
    judged_pairs,
    read_verdicts,
)
from syphus.runs.prepare import PreparedRun, prepare_judge
from syphus.runs.run_settings import CALIBRATE_JUDGE, GENERATE, JUDGE_PAIRS
from syphus.runs.session import StageRunner
from syphus.text import pluralize
from syphus.types import Pair, Query, State

JUDGED_BAD = "judged bad"  #: a kind of bad answers: a query of which a pair is bad
_SHARE = f"{JUDGE_PAIRS} share"  # meta: the largest share that was ever requested
_FIRST_PART = 200  # rows that are asked and judged before the others, if the quality has a bound
_FIRST = 60  # queries of the first batch of a growing sample
_MARGIN = 0.02  # by which the share of a growing sample is to be known, unless the user says more
_GROWTH = 1.5  # of the sample with each batch
_VERDICT_TOKENS = 60  # of a typical verdict on one pair

PAIR_RUBRIC = VERDICTS_RUBRIC._replace(
    checks=lambda text, query: {JUDGED_BAD: any(each.fault for each in _verdicts_in(text, query))}
)


@dataclass(frozen=True, slots=True)
class JudgePlan:
    """Who judges how much. `share` is of the queries with pairs; with `margin`, the sample grows until it is known."""

    context: PreparedRun
    share: float
    margin: float | None = None
    min_quality: float | None = None
    is_author: bool = False  #: the judge is the model that writes the pairs
    breaker: AnswerWatch | None = None  #: watches the verdicts of all parts of a run
    known_answers: int = 0  #: whose truth is known, to measure the judge

    @classmethod
    def of_run(cls, author: PreparedRun, environ: Mapping[str, str]) -> JudgePlan | None:
        """Return the plan that the options ask for, None without `--judge`. Raises `UsageError`."""
        options = author.options
        if not options.judge:
            return None
        judge = prepare_judge(author, environ)
        is_author = judge.config.model == author.config.model and judge.endpoint == author.endpoint
        growing = options.judge == JUDGE_AUTO
        breaker = make_breaker(options, lambda query: query.id.rpartition(" ")[0])
        share = 1.0 if options.judge in (JUDGE_ALL, JUDGE_AUTO) else float(options.judge)
        return cls(
            judge,
            share,
            (options.judge_margin or _MARGIN) if growing else None,
            options.min_quality,
            is_author,
            breaker=breaker,
            known_answers=options.calibrate_judge or 0,
        )


class Asking(Protocol):
    """`StageRunner.run` of the main stage: asks about the queries with the numbers `only`."""

    def __call__(
        self, report: Report, pairs: PairsFile | None, *, only: Collection[int] | None = None
    ) -> SyphusError | None:
        """Return what stopped it, None if all are done."""
        ...


class JudgedPair(NamedTuple):
    """A pair with its verdict: what a reader of the run sees."""

    query: str  #: id of the query
    annotation: str
    instruction: str
    answer: str
    verdict: PairVerdict


class Judgements(NamedTuple):
    """What the judge has said so far."""

    sums: BadSums
    faults: Counter[str]  #: of bad pairs, and pairs that are not useful
    unclear: int  #: queries without a usable verdict


def judge_pairs(
    store: Store,
    plan: JudgePlan,
    stage: GenerateStage,
    rejected: MutableMapping[bytes, str],
    observer: Observer,
) -> SyphusError | None:
    """Judge what the plan asks for, take bad pairs out, and return what stopped it, or None.

    `rejected` is what `stage` leaves out, by `pair_key`; new verdicts go into it. Commits. Returns an
    `UnsatisfactoryError` if the share of good pairs is below the plan's bound, by more than chance.
    """
    judging = _Judging(store, plan, stage, observer)
    try:
        stopped_by = judging.run()
    finally:
        judging.close()
    apply_verdicts(store, stage, rejected)
    found = read_judgements(store)
    _keep_summary(store, found, plan)
    return stopped_by or _quality_problem(found, plan)


def ask_in_judged_parts(
    store: Store, ask: Asking, read_report: Callable[[], Report], judge: Callable[[], SyphusError | None]
) -> SyphusError | None:
    """Ask about the pending rows in parts that double, and judge each before the next; return what stopped it.

    So a run whose pairs are too bad stops before its money is gone.
    """
    size = _FIRST_PART
    while numbers := pending_numbers(store, GENERATE, size):
        stopped_by = ask(read_report(), open_pairs(store, GENERATE), only=numbers) or judge()
        if stopped_by is not None:
            return stopped_by
        size *= 2
    return None


def judged(store: Store) -> Iterator[JudgedPair]:
    """Yield every pair that has a verdict."""
    for answered in answered_queries(store, JUDGE_PAIRS):
        annotation, pairs = judged_pairs(answered.query)
        name = answered.query.id.rpartition(" ")[0]
        for (instruction, answer), verdict in zip(pairs, _verdicts(answered), strict=False):
            yield JudgedPair(name, annotation, instruction, answer, verdict)


def read_judgements(store: Store) -> Judgements:
    """Return the sums of the verdicts on the sample.

    What was judged only because a cleaning rule doubted it is not counted: it is worse than the rest.
    """
    sums, faults, unclear = BadSums(), Counter[str](), 0
    share = float(str(get_meta(store, _SHARE) or 0))
    sample = sampled_numbers(store, GENERATE, share) if share < 1 else None
    for answered in answered_queries(store, JUDGE_PAIRS):
        if sample is not None and judged_number(answered.query) not in sample:
            continue
        verdicts = _verdicts(answered)
        if not verdicts:
            unclear += answered.state is not State.PENDING
            continue
        bad = Counter(verdict.fault for verdict in verdicts if verdict.fault)
        faults += bad
        faults[NOT_USEFUL] += sum(not each.is_useful and not each.fault for each in verdicts)
        sums.add(BadCount(len(verdicts), bad.total()))
    return Judgements(sums, faults, unclear)


def apply_verdicts(store: Store, stage: GenerateStage, rejected: MutableMapping[bytes, str]) -> int:
    """Take the bad pairs out of the result; return how many queries changed. Commits."""
    faults, numbers = {}, []
    for answered in answered_queries(store, JUDGE_PAIRS):
        annotation, pairs = judged_pairs(answered.query)
        for texts, verdict in zip(pairs, _verdicts(answered), strict=False):
            if verdict.fault:
                faults[pair_key(annotation, *texts)] = verdict.fault
                numbers.append(judged_number(answered.query))
    set_bad_pairs(store, faults)
    rejected.clear()
    rejected.update(faults)
    return rejudge_queries(store, stage, numbers)


def _verdicts(answered: AnsweredQuery) -> tuple[PairVerdict, ...]:
    if answered.state is not State.OK:
        return ()
    return _verdicts_in(answered.detail, answered.query)


def _verdicts_in(text: str, query: Query) -> tuple[PairVerdict, ...]:
    return read_verdicts(text, len(judged_pairs(query).pairs))[0]


def _quality_problem(found: Judgements, plan: JudgePlan) -> UnsatisfactoryError | None:
    """Return an error if the bad pairs are too many, and that is no chance."""
    estimate = found.sums.estimate(LOOKS_Z)
    if plan.min_quality is None or 1 - estimate.low >= plan.min_quality:
        return None
    faults = ", ".join(f"{fault} {count}" for fault, count in found.faults.most_common(3) if fault != NOT_USEFUL)
    return UnsatisfactoryError(
        f"{estimate.share:.0%} of the judged pairs are bad ({estimate.low:.0%} to {estimate.high:.0%}; {faults}), and "
        f"--min-quality {plan.min_quality:g} allows {1 - plan.min_quality:.0%}. Look at them with `rows FOLDER "
        "--reason judge`, then change the prompt, its examples or the model."
    )


def _keep_summary(store: Store, found: Judgements, plan: JudgePlan) -> None:
    """Keep what is known in the ledger, for the report."""
    estimate = found.sums.estimate(LOOKS_Z if plan.margin is not None else Z)
    measured = read_calibration(store, plan.context.config.model)
    summary = {
        "model": plan.context.config.model,
        "pairs": estimate.pairs,
        "queries": estimate.queries,
        "bad_share": round(estimate.share, 4),
        "interval": [round(estimate.low, 4), round(estimate.high, 4)],
        "faults": dict(found.faults.most_common()),
        "unclear": found.unclear,
        **(_corrected(measured, estimate) if measured is not None else {}),
    }
    if measured is not None:
        keep_calibration(store, measured, estimate)
    set_meta(store, JUDGED_META, orjson.dumps(summary).decode())
    store.commit()


def _corrected(measured: Measurement, reported: ShareEstimate) -> dict[str, object]:
    """Return the share of bad pairs behind the reported one; nothing if a rate of the judge is not known."""
    if not (measured.bad.pairs and measured.sound.pairs and reported.pairs):
        return {}
    share = measured.errors.corrected(reported)
    return {"corrected_share": round(share.share, 4), "corrected_interval": [round(share.low, 4), round(share.high, 4)]}


class _Judging:
    def __init__(self, store: Store, plan: JudgePlan, stage: GenerateStage, observer: Observer) -> None:
        self._store, self._plan, self._stage, self._observer = store, plan, stage, observer
        self._runner = StageRunner(plan.context, store, observer)
        self._has_said = False

    def close(self) -> None:
        self._runner.close()

    def run(self) -> SyphusError | None:
        """Ask for all verdicts that the plan wants; return what stopped it."""
        store, plan = self._store, self._plan
        if plan.known_answers and (stopped_by := self._calibrate()) is not None:
            return stopped_by
        before = float(str(get_meta(store, _SHARE) or 0))
        if plan.margin is None:
            return self._judge_share(max(plan.share, before))
        total = self._runner.report(GENERATE, brief=True).counts.states[State.OK]
        share = max(before, min(1.0, _FIRST / max(total, 1)))
        while True:
            stopped_by = self._judge_share(share)
            estimate = read_judgements(store).sums.estimate(LOOKS_Z)
            if stopped_by is not None or share >= 1 or is_known(estimate, plan.margin):
                return stopped_by
            if _quality_problem(read_judgements(store), plan) is not None:
                return None
            share = min(1.0, share * _GROWTH)

    def _judge_share(self, share: float) -> SyphusError | None:
        store = self._store
        register(
            store, JUDGE_PAIRS, _sample(store, share, self._plan.context.config.model), lambda _: True, lambda _: None
        )
        set_meta(store, _SHARE, str(share))
        accept_input(store, JUDGE_PAIRS)
        report = self._runner.report(JUDGE_PAIRS, brief=True)
        if not report.counts.states[State.PENDING]:
            return None
        self._say(f"the pairs of {pluralize(self._pending(report), 'query', 'queries')}", report)
        return self._ask(PAIR_RUBRIC, report, self._plan.breaker)

    def _calibrate(self) -> SyphusError | None:
        """Ask about the answers whose truth is known, unless that was done; return what stopped it."""
        plan, options = self._plan, self._plan.context.options
        known = register_known_answers(
            self._store, self._stage, plan.context.config.model, plan.known_answers, options.seed
        )
        if not known.pending:
            return None
        if known.answers < plan.known_answers:
            self._observer.say(
                f"The pairs that are known to be sound yield {known.answers:,} of {plan.known_answers:,} answers for "
                "the calibration; pairs that reviewers accept yield more."
            )
        report = self._runner.report(CALIBRATE_JUDGE, brief=True)
        self._say(f"{pluralize(known.pending, 'answer')} with known faults, to be measured", report)
        return self._ask(VERDICTS_RUBRIC, report)

    def _ask(self, rubric: Rubric, report: Report, breaker: AnswerWatch | None = None) -> SyphusError | None:
        builder = self._runner.request_builder
        settings = {
            "model": builder.model,
            "simulated": self._plan.context.options.offline,
            **builder.parameters,
            "temperature": JUDGE_TEMPERATURE,
        }
        return self._runner.run(JudgeStage(report.stage, builder, rubric, breaker), settings, report)

    def _pending(self, report: Report) -> int:
        return report.counts.states[State.PENDING]

    def _say(self, what: str, report: Report) -> None:
        plan, context = self._plan, self._plan.context
        cost = "" if context.options.offline else f": {self._forecast(self._pending(report), report.stage)}"
        self._observer.say(f"{context.config.model} judges {what}{cost}.")
        if plan.is_author and not context.options.offline and not self._has_said:
            self._observer.say(
                "The judge is the model that writes the pairs, and is lenient with its own. Name another one with "
                "--judge-model."
            )
        self._has_said = True

    def _forecast(self, count: int, stage: str) -> str:
        example = judge_query("", "", (), (), JudgedAnswer(0, 0, ""))
        rubric = sum(len(message["content"].encode()) for message in judge_messages(example))
        counts = self._runner.report(GENERATE, brief=True).counts
        pairs = counts.pairs / max(counts.states[State.OK], 1)
        prompts = count * (rubric + average_size(self._store, stage)) / BYTES_PER_TOKEN
        line = estimated_line(self._plan.context, count, prompts, count * pairs * _VERDICT_TOKENS)
        return format_line(line)


def _sample(store: Store, share: float, judge: str) -> Iterator[Query]:
    """Yield the queries to a judge: those that have its verdict on what they hold now, then the others."""
    known = set[int]()
    for row in judged_before(store, JUDGE_PAIRS, judge):
        if row.state is not State.OK or _covers(judged_pairs(row.query), row.pairs):
            known.add(judged_number(row.query))
            yield row.query
    for wanted in (0.0, share):  # first what a cleaning rule doubts
        for each in sampled_pairs(store, GENERATE, wanted, doubtful=True):
            if each.n not in known:
                known.add(each.n)
                source = JudgedAnswer(each.n, each.answer, judge)
                yield judge_query(each.id, each.annotation, each.pairs, each.images, source)


def _covers(judged: JudgedPairs, pairs: Sequence[Pair]) -> bool:
    """Return whether a verdict is about all of these pairs; some may have been taken out since."""
    return {(pair.instruction, pair.answer) for pair in pairs} <= set(judged.pairs)
