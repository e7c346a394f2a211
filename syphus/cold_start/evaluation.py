"""Prove a set of in-context examples on queries that are not in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import sqrt
from random import Random

from syphus.answers.scoring.candidates import Scored
from syphus.answers.scoring.heuristics import COPIES_NO_EXAMPLE
from syphus.types import State

MIN_QUERIES = 6  #: queries; with fewer, all may change in the same direction by chance

MIN_JUDGED = 2 / 3  #: share of the held-out answers that must not be refused or failed; else something else is wrong

_NEARLY_ALL = 0.9  # share of good pairs with the set from which on there is little to gain

_Z = 1.96  # standard deviations that hold 95% of a normal distribution


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the bounds of its confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What satisfactory means: minimum shares and scores, and maximum copies.

    The lower bound of the gain must be above `gain`.
    """

    valid_share: float = 0.95
    mean_score: float = 0.6
    gain: float = 0.0
    copies: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge says of the held-out pairs: the mean share of good ones with the set and with the other prompt.

    An answer that was rejected has no good pairs. `gain` is paired by query, over the `asked` queries that have a
    verdict on both.
    """

    with_set: float
    other: float
    gain: Interval
    asked: int


@dataclass(frozen=True, slots=True)
class AgainstOwn:
    """The set against the prompt's own examples, on the held-out queries: the gains are those of the set."""

    valid_share: float  #: with the prompt's own examples
    mean_score: float  #: with them, too
    gain: Interval
    judged: Judged | None = None

    @property
    def verdict(self) -> str:
        """What the set is by more than chance, by score or judge: "worse", or else "better"; "" if neither."""
        gains = [self.gain, *([self.judged.gain] if self.judged else [])]
        if any(gain.high < 0 for gain in gains):
            return "worse"
        return "better" if any(gain.low > 0 for gain in gains) else ""


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of asking the held-out queries with the set and without it.

    `valid_share` and `mean_score` are those with the set, `plain_share` and `plain_score` those without. `gain` is the
    gain in mean score over the queries that were asked both ways. `copies` counts the answers that copy an example.
    Each line of `missing` says what keeps the set from being satisfactory. Refusals and failures say nothing about the
    examples, so they are in none of these numbers: `left_out` counts those with the set.
    """

    valid_share: float
    mean_score: float
    gain: Interval
    copies: int
    satisfactory: bool
    missing: tuple[str, ...]
    plain_share: float = 0.0
    plain_score: float = 0.0
    asked: int = 0
    left_out: int = 0
    judge_asked: bool = False
    judged: Judged | None = None  #: by a judge, None if none was asked or its verdicts can't be used
    own: AgainstOwn | None = None  #: against the prompt's own examples, None if it has none

    @property
    def is_better(self) -> bool:
        """Whether answers with the set are better than without by more than chance, and no judge finds them worse."""
        return self.gain.low > 0 and (self.judged is None or self.judged.gain.high >= 0)

    def completed(self, judge_asked: bool, judged: Judged | None, own: AgainstOwn | None) -> Proof:
        """Return the proof with what a judge and the prompt's own examples say, and with what is missing then."""
        missing = list(self.missing)
        if judged is not None and judged.gain.low <= 0 and (judged.gain.high < 0 or judged.with_set < _NEARLY_ALL):
            missing.append(f"not better than without examples by the judge: {_in_words(judged.gain)}")
        if own is not None and own.verdict == "worse":
            by_judge = f", by the judge {_in_words(own.judged.gain)}" if own.judged else ""
            missing.append(f"worse than the prompt's own examples: score {_in_words(own.gain)}{by_judge}")
        return replace(
            self,
            judge_asked=judge_asked,
            judged=judged,
            own=own,
            missing=tuple(missing),
            satisfactory=not missing,
        )


@dataclass(frozen=True, slots=True)
class AblationResult:
    """A harmful example: how much higher the mean score is without it; `certain` if that is more than chance."""

    example: str
    gain: Interval
    certain: bool


@lru_cache(maxsize=2)
def resamples(seed: int, count: int, rounds: int) -> tuple[tuple[int, ...], ...]:
    """Return `rounds` draws of `count` positions below `count`, with replacement.

    One result has a dozen intervals over the same queries: drawing takes longer than adding up what is drawn.
    """
    random, positions = Random(seed), range(count)
    return tuple(tuple(random.choices(positions, k=count)) for _ in range(rounds))


def paired_bootstrap(
    with_set: Sequence[float], without: Sequence[float], seed: int, rounds: int = 2000, level: float = 0.95
) -> Interval:
    """Return the mean of the paired differences, and its percentile interval (Efron 1979; Koehn, EMNLP 2004).

    Raises ValueError if the two differ in length or are empty.
    """
    differences = [one - other for one, other in zip(with_set, without, strict=True)]
    if not differences:
        raise ValueError("nothing to compare")
    count = len(differences)
    means = sorted(sum(map(differences.__getitem__, draw)) / count for draw in resamples(seed, count, rounds))
    cut = int((1 - level) / 2 * rounds)
    return Interval(sum(differences) / count, means[cut], means[rounds - 1 - cut])


def share_interval(values: Sequence[bool]) -> Interval:
    """Return the share of true values, and its 95% Wilson interval, which is not empty for a share of 0 or 1."""
    count, share = len(values), sum(values) / len(values) if values else 0.0
    if not count:
        return Interval(0.0, 0.0, 1.0)
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z * sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2)) / (1 + _Z**2 / count)
    return Interval(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def prove(
    with_set: Sequence[Scored], without: Sequence[Scored], seed: int, thresholds: Thresholds = Thresholds()
) -> Proof:
    """Compare the answers to the held-out queries with the set and without it, scored by the same heuristics.

    The answers with the set must be scored with the set as the context's `examples`, so that copies are found. A query
    may have several answers. A query that is in only one of both counts for the shares and means, but not for the gain.
    """
    all_with, with_set = with_set, _judgeable(with_set)
    refused_more, without = _is_refused_more(all_with, without), _judgeable(without)
    one, other = _by_query(with_set), _by_query(without)
    both = sorted(one.keys() & other.keys())
    gain = paired_bootstrap([one[q] for q in both], [other[q] for q in both], seed) if both else Interval(0, 0, 0)
    share, mean = _valid(with_set), _mean(list(one.values()))
    copies = sum(COPIES_NO_EXAMPLE in each.barred for each in with_set)
    missing = []
    left_out = len(all_with) - len(with_set)
    if len(with_set) < max(MIN_JUDGED * len(all_with), min(MIN_QUERIES, len(all_with))):
        missing.append(
            f"only {len(with_set)} of {len(all_with)} answers can be judged: {left_out} were refused or failed"
        )
    if refused_more:
        missing.append(f"refused with the set more often than without it by more than chance: {left_out} times")
    if share < thresholds.valid_share:
        missing.append(f"valid share {share:.0%}, at least {thresholds.valid_share:.0%} is required")
    if mean < thresholds.mean_score:
        missing.append(f"mean score {mean:.2f}, at least {thresholds.mean_score:.2f} is required")
    if gain.low <= thresholds.gain:
        missing.append(f"not better than without examples by more than chance: {gain.low:+.2f} to {gain.high:+.2f}")
    if copies > thresholds.copies:
        most = f", at most {thresholds.copies} may" if thresholds.copies else ""
        missing.append(f"answers that copy an example: {copies} of {len(with_set)}{most}")
    plain = (_valid(without), _mean(list(other.values())))
    return Proof(share, mean, gain, copies, not missing, tuple(missing), *plain, len(with_set), left_out)


def judge_shares(with_set: Mapping[str, float], other: Mapping[str, float], asked: int, seed: int) -> Judged | None:
    """Compare the shares of good pairs by query; None if fewer than two in three of the `asked` have both."""
    both = sorted(with_set.keys() & other.keys())
    if len(both) < max(MIN_JUDGED * asked, 1):
        return None
    one, two = [with_set[query] for query in both], [other[query] for query in both]
    return Judged(_mean(one), _mean(two), paired_bootstrap(one, two, seed), len(both))


def compare_with_own(
    with_set: Sequence[Scored], own: Sequence[Scored], seed: int, judged: Judged | None = None
) -> AgainstOwn:
    """Compare the held-out answers with the set and with the prompt's own examples, scored by the same heuristics."""
    own = _judgeable(own)
    one, other = _by_query(_judgeable(with_set)), _by_query(own)
    both = sorted(one.keys() & other.keys())
    gain = paired_bootstrap([one[q] for q in both], [other[q] for q in both], seed) if both else Interval(0, 0, 0)
    return AgainstOwn(_valid(own), _mean(list(other.values())), gain, judged)


def comparison_lines(proof: Proof) -> list[str]:
    """Return what a judge says of a set that scores better than none, and how it compares with the prompt's own."""
    if not proof.gain.low > 0:
        return []
    lines = []
    if proof.judge_asked:
        lines.append(_judged_line("without", proof.judged))
    if proof.own is not None:
        verdict = {"worse": "the set is worse, by more than chance", "better": "the set is better, by more than chance"}
        shares = f"{proof.own.valid_share:.0%} valid, score {proof.own.mean_score:.2f}"
        gain = f"the set's gain is {_in_words(proof.own.gain)}"
        said = verdict.get(proof.own.verdict, "no difference beyond chance")
        lines.append(f"with the prompt's own examples: {shares}, {gain}: {said}")
        if proof.judge_asked:
            lines.append(_judged_line("with the prompt's own examples", proof.own.judged))
    return lines


def _judged_line(other: str, judged: Judged | None) -> str:
    if judged is None:
        return f"the judge's verdicts can't be used: no comparison by them with the answers {other}"
    shares = f"{judged.with_set:.0%} of the pairs are good with the set, {judged.other:.0%} {other}"
    return f"by the judge, {shares}, {_in_words(judged.gain)} over {judged.asked} queries"


def _in_words(gain: Interval) -> str:
    return f"{gain.mean:+.2f} ({gain.low:+.2f} to {gain.high:+.2f})"


def _judgeable(scored: Sequence[Scored]) -> list[Scored]:
    """Return the answers that examples could have changed: a refusal or a failure says nothing about them."""
    return [each for each in scored if each.candidate.state not in (State.REFUSED, State.FAILED)]


def _is_refused_more(with_set: Sequence[Scored], without: Sequence[Scored]) -> bool:
    """Return whether queries are refused with the set and not without it, by more than chance (McNemar's test)."""
    one, other = _unjudged_queries(with_set), _unjudged_queries(without)
    more, fewer = len(one - other), len(other - one)
    return more - fewer > _Z * sqrt(more + fewer)


def _unjudged_queries(scored: Sequence[Scored]) -> set[str]:
    judged = {each.candidate.query.id for each in _judgeable(scored)}
    return {each.candidate.query.id for each in scored} - judged


def find_harmful(
    full: Sequence[Scored], without_one: Mapping[str, Sequence[Scored]], seed: int
) -> list[AblationResult]:
    """Return the examples without which the held-out answers are better, the most harmful first.

    `full` are the answers with the whole set; `without_one` those without one example, by the example's name.
    """
    harmful = []
    base = _by_query(_judgeable(full))
    for name, scored in sorted(without_one.items()):
        left = _by_query(_judgeable(scored))
        both = sorted(base.keys() & left.keys())
        if both:
            gain = paired_bootstrap([left[q] for q in both], [base[q] for q in both], seed)
            harmful += [AblationResult(name, gain, gain.low > 0)] if gain.mean > 0 else []
    return sorted(harmful, key=lambda each: (-each.gain.mean, each.example))


def _by_query(scored: Sequence[Scored]) -> dict[str, float]:
    totals: dict[str, list[float]] = {}
    for each in scored:
        totals.setdefault(each.candidate.query.id, []).append(each.total)
    return {query: _mean(values) for query, values in totals.items()}


def _valid(scored: Sequence[Scored]) -> float:
    return _mean([float(each.candidate.state is State.OK) for each in scored])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
