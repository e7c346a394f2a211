"""The decisions of reviewers beside the pairs that the ledger has now: which still count, and how far people agree.

Agreement is measured beyond chance, by Cohen's kappa for two and Fleiss' for several. Sources: J. Cohen, "A coefficient
of agreement for nominal scales" (1960); J. L. Fleiss, "Measuring nominal scale agreement among many raters" (1971).
Fleiss has the same number of judgements of each item; here, as is usual since, items have two or more, and each counts
once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from syphus.ledger.parts import marks
from syphus.ledger.reviews import PairReview, ReviewLog, ReviewState, Verdict, decision_as_json, text_hash
from syphus.ledger.serialization import StoredPair, load_stored_pairs
from syphus.ledger.store import Store
from syphus.text import one_line, printable

ANSWER, JUDGED = "answer", "judged"  #: kinds of ids besides those of pairs: `answer:17`, `judged:9:2`
_MOST_IDS = 500  # in one statement
_SAID = {Verdict.ACCEPT: "accepted", Verdict.REJECT: "rejected", Verdict.EDIT: "edited"}
_BY_QUERY = (
    "SELECT result.pairs FROM query JOIN result USING (n) WHERE id IN ({}) AND stage = ? AND state = 'ok' "
    "AND position IS NOT NULL"
)
_ALL = (
    "SELECT n, result.pairs FROM query JOIN result USING (n) WHERE stage = ? AND state = 'ok' AND position IS NOT NULL "
    "AND n > ? ORDER BY n LIMIT ?"
)


class ReviewCounts(NamedTuple):
    """How many pairs people have judged, by what they say together, and how many people."""

    states: Mapping[ReviewState, int]
    reviewers: int
    outdated: int = 0  #: pairs that have another text by now, or are gone
    translations: int = 0  #: translated pairs that people have judged
    taken_out: int = 0  #: answers and pairs that people have judged, and that a rule or the judge took out

    @property
    def reviewed(self) -> int:
        """The number of pairs whose judgements count."""
        return sum(self.states.values())

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        states = {state.value: self.states.get(state, 0) for state in ReviewState if state is not ReviewState.UNSEEN}
        more = {"outdated": self.outdated, "translations": self.translations}
        more |= {"taken_out": self.taken_out} if self.taken_out else {}
        return {"reviewed": self.reviewed, **states, "reviewers": self.reviewers, **more}

    def line(self) -> str:
        """Return it as one line for people."""
        named = [f"{self.states[state]:,} {state}" for state in ReviewState if self.states.get(state)]
        people = f"{self.reviewers} {'person' if self.reviewers == 1 else 'people'}"
        more = [f"{self.outdated:,} have changed since"] if self.outdated else []
        more += [f"{self.translations:,} translations"] if self.translations else []
        more += [f"{self.taken_out:,} that a rule or the judge took out"] if self.taken_out else []
        return f"{self.reviewed:,} pairs reviewed by {people}: {', '.join([*named, *more]) or 'comments'}"


class ReviewRecord(NamedTuple):
    """A decision of a reviewer, and what all say about its pair now.

    `decision` is a line of `reviews.jsonl`, with its number. `state` is unseen, accepted, rejected, edited or disputed;
    "" for translations, and for pairs that are gone.
    """

    decision: Mapping[str, object]
    state: str


def is_taken_out(name: str) -> bool:
    """Return whether an id is that of an answer that a rule rejected, or of a pair that a judge took out."""
    kind, *numbers = name.split(":")
    return kind in (ANSWER, JUDGED) and bool(numbers) and all(map(str.isdecimal, numbers))


def read_reviews(store: Store, stage: str) -> Iterator[ReviewRecord]:
    """Yield the decisions about the run of an open ledger, in their order."""
    log = ReviewLog(store.folder)
    log.refresh()
    now = reviews_now(store, stage, log)
    for each in log.all_decisions():
        review = now.get(each.of.pair) if not each.of.language else None
        yield ReviewRecord(decision_as_json(each), review.state.value if review else "")


def reviews_now(store: Store, stage: str, log: ReviewLog) -> dict[str, PairReview]:
    """Return what people say about each pair that there are decisions about and that the ledger has now."""
    wanted = {pair for pair, language in log.pairs() if not language}
    queries = {each.of.query for pair in wanted for each in log.decisions(pair)[:1]}
    found = _pairs(store, stage) if "" in queries else _pairs_of(store, stage, queries)
    return {
        pair.id: log.review(pair.id, text_hash(pair.instruction, pair.answer)) for pair in found if pair.id in wanted
    }


def count_reviews(reviews: Mapping[str, PairReview], log: ReviewLog) -> ReviewCounts:
    """Count what `reviews_now` returned."""
    states = Counter(each.state for each in reviews.values() if each.verdicts)
    english = {pair for pair, language in log.pairs() if not language and not is_taken_out(pair)}
    taken_out = sum(1 for pair, language in log.pairs() if not language and is_taken_out(pair))
    changed = sum(1 for each in reviews.values() if each.outdated and not each.verdicts)
    translations = sum(1 for _, language in log.pairs() if language)
    people = {each.of.reviewer for each in log.all_decisions()}
    return ReviewCounts(states, len(people), changed + len(english - reviews.keys()), translations, taken_out)


def review_lines(review: PairReview) -> Iterator[str]:
    """Yield what people say about a pair, as lines for people."""
    for name, each in review.verdicts.items():
        why = f": {one_line(each.of.reason, 200)}" if each.of.reason else ""
        yield f"{_SAID[each.of.verdict]} by {one_line(name)}{why}"
        if each.of.verdict is Verdict.EDIT:
            yield from printable(f"{each.of.instruction}\n{each.of.answer}").splitlines()
    for each in review.comments:
        yield f"{one_line(each.of.reviewer)} says: {one_line(each.of.comment, 400)}"
    if review.outdated:
        yield "its text has changed since it was reviewed"


def count_run_reviews(store: Store, stage: str) -> ReviewCounts | None:
    """Return the counts of the run of an open ledger, or None if nobody has reviewed it."""
    log = ReviewLog(store.folder)
    return count_reviews(reviews_now(store, stage, log), log) if log.refresh() else None


def _pairs_of(store: Store, stage: str, queries: Iterable[str]) -> Iterator[StoredPair]:
    names = sorted(queries)
    for start in range(0, len(names), _MOST_IDS):
        some = names[start : start + _MOST_IDS]
        for (pairs,) in store.read(_BY_QUERY.format(marks(some)), *some, stage):
            yield from load_stored_pairs(pairs)


def _pairs(store: Store, stage: str) -> Iterator[StoredPair]:
    for rows in store.read_in_batches(_ALL, stage):
        for _, pairs in rows:
            yield from load_stored_pairs(pairs)


class PairOfReviewers(NamedTuple):
    """What two people who judged the same items agree on."""

    names: tuple[str, str]
    items: int  #: that both have judged
    share: float  #: of them with the same judgement
    kappa: float | None


class Agreement(NamedTuple):
    """How far reviewers agree. Only `items` with two judgements or more count.

    `kappa` is 1 for full agreement, 0 for what chance gives; None if there is none, or if all judgements are the same.
    """

    items: int = 0
    share: float | None = None  #: the chance that two judgements of one item are the same
    kappa: float | None = None
    method: str = ""  #: "cohen" for two reviewers, "fleiss" for several, "" without items
    between: tuple[PairOfReviewers, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values; the number of items is called `pairs`."""
        between = [{**each._asdict(), "names": list(each.names)} for each in self.between]
        return {
            "pairs": self.items,
            "share": self.share,
            "kappa": self.kappa,
            "method": self.method,
            "between": between,
        }


def measure_agreement(items: Iterable[Mapping[str, str]]) -> Agreement:
    """Return how far reviewers agree on items, each given as {reviewer: judgement}."""
    shared = [item for item in items if len(item) > 1]
    if not shared:
        return Agreement()
    names = sorted({name for item in shared for name in item})
    between = tuple(filter(None, (_between(shared, pair) for pair in combinations(names, 2))))
    if len(names) == 2:
        return Agreement(len(shared), between[0].share, between[0].kappa, "cohen", between)
    share, kappa = fleiss_kappa([Counter(item.values()) for item in shared])
    return Agreement(len(shared), share, kappa, "fleiss", between)


def cohen_kappa(judged: Sequence[tuple[str, str]]) -> tuple[float, float | None]:
    """Return the share of equal judgements and kappa, of what two people said about each item."""
    count = len(judged)
    share = sum(one == other for one, other in judged) / count
    first, second = (Counter(each) for each in zip(*judged, strict=True))
    return share, _beyond_chance(share, sum(first[said] * second[said] for said in first) / count**2)


def fleiss_kappa(items: Sequence[Mapping[str, int]]) -> tuple[float, float | None]:
    """Return the share of equal judgements and kappa, of how often each item got each judgement, twice or more."""
    sizes = [sum(item.values()) for item in items]
    alike = [sum(n * (n - 1) for n in item.values()) / (m * (m - 1)) for item, m in zip(items, sizes, strict=True)]
    share = sum(alike) / len(items)
    totals: Counter[str] = Counter()
    for item in items:
        totals.update(item)
    return share, _beyond_chance(share, sum((n / sum(sizes)) ** 2 for n in totals.values()))


def _beyond_chance(share: float, chance: float) -> float | None:
    return None if chance >= 1 else (share - chance) / (1 - chance)


def _between(items: Sequence[Mapping[str, str]], names: tuple[str, str]) -> PairOfReviewers | None:
    both = [(item[names[0]], item[names[1]]) for item in items if names[0] in item and names[1] in item]
    return PairOfReviewers(names, len(both), *cohen_kappa(both)) if both else None
