"""Which items a reviewer gets next, and which decisions count as a random sample.

Draws are repeatable: everything has a place in a random order that follows from the seed. Accepted answers are drawn in
the order of a permutation of the queries' numbers, without a list of them; rejected answers, of which there are few, by
a hash. A decision about an item that was drawn at random names its draw: stratum, seed, bits and place. All items up to
the highest such place count as the sample, also those that people have come upon in another way: they would have been
drawn. What lies beyond does not count, so choosing bad pairs by hand makes nothing look worse than it is.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson

from syphus.answers.scoring.candidates import Candidate, ScoringContext
from syphus.answers.scoring.heuristics import HEURISTICS, score_all
from syphus.ledger.parts import marks
from syphus.ledger.results import answered_queries
from syphus.ledger.reviewed import JUDGED
from syphus.ledger.reviews import JUDGEMENTS, ReviewLog, ReviewState, Verdict, review_of, text_hash
from syphus.ledger.serialization import StoredPair, load_stored_pairs
from syphus.ledger.store import Store
from syphus.runs.generate import GenerateStage
from syphus.runs.pair_verdicts import judged_number, judged_pairs, read_verdicts
from syphus.runs.run_settings import JUDGE_PAIRS
from syphus.types import Query, State
from syphus.viewer.ledger_access import signature
from syphus.viewer.random_order import bits_for, mix, number_at, place_of
from syphus.viewer.review_items import Item, answer_item, text_of
from syphus.viewer.rule_accuracy import Stratum, allocate

ACCEPTED, JUDGE_BAD, JUDGE_GOOD, RULE = "accepted", "judge bad", "judge good", "rule "
_KEPT = 2_000  # units of a stratum of rejected answers that can be drawn
_MOST_EARLIER = 500_000  # rows of replaced answers that are looked at
_FRESH = 30.0  # seconds for which lists of rejected answers are cached while the run works
_BLOCK = 256  # places of the order that are looked at together
_MOST_BLOCKS = 400
_SCORED = 150  # pairs among which those with low scores are sought
_QUICK = tuple(each for each in HEURISTICS if each.name not in ("copies no other", "copies no example"))


class DrawnUnit(NamedTuple):
    """A unit of a stratum: its place in the random order, and the item."""

    place: int
    item: Item


class DrawFrame(NamedTuple):
    """A stratum of rejected answers or judged pairs: how many there are, and the first ones of the random order."""

    seed: int
    size: int
    units: tuple[DrawnUnit, ...]
    places: Mapping[str, int]  #: of the units, by the ids of the items


class _CachedFrames(NamedTuple):
    at: float
    files: tuple[object, ...]  # changes when the ledger does
    seed: int
    frames: dict[str, DrawFrame]
    said: _VerdictCache


def draw_text(stratum: str, seed: int, bits: int, place: int) -> str:
    """Return how an item was drawn, as decisions name it."""
    return f"{seed} {bits} {place} {stratum}"


def parse_draw(text: str) -> tuple[int, int, int, str] | None:
    """Read the output of `draw_text`; None if it is something else."""
    *numbers, stratum = text.split(" ", 3)
    if len(numbers) < 3 or not all(each.isdecimal() and len(each) < 25 for each in numbers):
        return None
    seed, bits, place = map(int, numbers)
    return seed, bits, place, stratum


class ReviewDesk:
    """The decisions about one run, and what is drawn from it. Threads take turns at `lock`."""

    def __init__(self, log: ReviewLog, clock: Callable[[], float] = time.monotonic) -> None:
        self.log = log
        self.lock = threading.Lock()
        self._clock = clock
        self._cached: _CachedFrames | None = None
        self._scores: dict[str, tuple[float, str]] = {}
        self._judgements: dict[tuple[str, str], tuple[int, dict[str, str]]] = {}

    def judgements(self) -> list[dict[str, str]]:
        """Return what each reviewer says of the newest text that was judged, for each pair and language."""
        found = []
        for pair, language in self.log.pairs():
            decisions = self.log.decisions(pair, language)
            known = self._judgements.get((pair, language))
            if known is None or known[0] != len(decisions):
                hashes = [each.of.text_hash for each in decisions if each.of.verdict in JUDGEMENTS]
                verdicts = review_of(decisions, hashes[-1]).verdicts if hashes else {}
                known = (len(decisions), {name: each.of.verdict.value for name, each in verdicts.items()})
                self._judgements[pair, language] = known
            found.append(known[1])
        return found

    def rejected(self, store: Store, seed: int) -> dict[str, DrawFrame]:
        """Return the strata of rejected answers and judged pairs by name."""
        return self._keep(store, seed).frames

    def _keep(self, store: Store, seed: int) -> _CachedFrames:
        now, cached, files = self._clock(), self._cached, signature(store.folder)
        if cached is None or cached.seed != seed or (cached.files != files and now - cached.at > _FRESH):
            self._cached = cached = _CachedFrames(now, files, seed, read_frames(store, seed), _VerdictCache())
        return cached

    def strata(self, store: Store, seed: int) -> list[Stratum]:
        """Return all strata with what the decisions say about their random samples."""
        accepted = store.read_value(
            "SELECT total(times) FROM tally WHERE stage = ? AND kind = 'ok' AND pairs > 0", GenerateStage.name
        )
        cached = self._keep(store, seed)
        sizes = {ACCEPTED: int(accepted or 0)} | {name: frame.size for name, frame in cached.frames.items()}
        strata = {name: Stratum(name, size) for name, size in sizes.items()}
        return count_decisions(store, self.log, strata, cached.frames, cached.said)

    def drawn(self, store: Store, stratum: str, seed: int, skip: Callable[[Item], bool]) -> Iterator[Item]:
        """Yield the items of a stratum in its random order, without those that are to be skipped."""
        if stratum == ACCEPTED:
            yield from (item for item in accepted_in_order(store, seed) if not skip(item))
            return
        frame = self.rejected(store, seed).get(stratum)
        for unit in frame.units if frame else ():
            if not skip(unit.item):
                yield unit.item

    def worth_most(self, store: Store, seed: int, count: int, skip: Callable[[Item], bool]) -> list[Item]:
        """Return the items that narrow the intervals most, the strata in turns."""
        shares = allocate(self.strata(store, seed), count)
        found = [
            [item for item, _ in zip(self.drawn(store, name, seed, skip), range(n), strict=False)]
            for name, n in shares.items()
        ]
        mixed = sorted(
            (number / len(items), at, item) for at, items in enumerate(found) for number, item in enumerate(items)
        )
        return [item for *_, item in mixed]

    def low_scores(self, store: Store, seed: int, skip: Callable[[Item], bool]) -> Iterator[Item]:
        """Yield pairs of a random sample by their scores, the lowest first. They are not a random sample any more."""
        sample = [item for item, _ in zip(accepted_in_order(store, seed), range(_SCORED), strict=False)]
        for item in sample:
            if item.name not in self._scores:
                self._scores[item.name] = _score(store, item)
        for item in sorted(sample, key=lambda each: self._scores[each.name]):
            score, note = self._scores[item.name]
            if not skip(item):
                yield item._replace(draw="", why=f"score {score:.2f}{note}")

    def disputed(self, store: Store, mine: str) -> Iterator[tuple[Item, str]]:
        """Yield what reviewers disagree on, with its language; what the reviewer has not judged comes first."""
        found: list[tuple[bool, int, Item, str]] = []
        for pair, language in self.log.pairs():
            decisions = self.log.decisions(pair, language)
            if len({each.of.reviewer for each in decisions}) < 2:
                continue
            item = located(store, pair, decisions[0].of.query)
            text = item and text_of(store, item, language)
            if item is None or text is None:
                continue
            review = self.log.review(pair, text.hash, language)
            if review.state is ReviewState.DISPUTED:
                found.append((mine in review.verdicts, len(found), item, language))
        yield from ((item, language) for _, _, item, language in sorted(found))


def located(store: Store, pair: str, query: str) -> Item | None:
    """Return an item that a decision names by its id and the id of its query."""
    n = store.read_value("SELECT n FROM query WHERE id = ? AND stage = ?", query, GenerateStage.name)
    return None if n is None else Item(n, pair)


def chosen_pair(n: int, seed: int, pairs: Sequence[StoredPair]) -> StoredPair:
    """Return the pair that represents an accepted answer in a random sample."""
    return pairs[mix(seed, n, 1) % len(pairs)]


def accepted_in_order(store: Store, seed: int) -> Iterator[Item]:
    """Yield one pair of each accepted query, in a random order."""
    largest = int(store.read_value("SELECT max(n) FROM query") or 0)
    bits = bits_for(largest)
    select = (
        "SELECT n, result.pairs FROM query JOIN result USING (n) WHERE n IN ({}) AND stage = ? AND state = 'ok' "
        "AND position IS NOT NULL AND query.pairs > 0"
    )
    for start in range(0, min(1 << bits, _MOST_BLOCKS * _BLOCK), _BLOCK):
        places = {number_at(place, bits, seed): place for place in range(start, min(start + _BLOCK, 1 << bits))}
        numbers = [n for n in places if n <= largest]
        rows = store.read(select.format(marks(numbers)), *numbers, GenerateStage.name) if numbers else []
        for place, n, pairs in sorted((places[n], n, pairs) for n, pairs in rows):
            pair = chosen_pair(n, seed, load_stored_pairs(pairs))
            now = text_hash(pair.instruction, pair.answer)
            yield Item(n, pair.id, draw_text(ACCEPTED, seed, bits, place), hash=now)


def read_frames(store: Store, seed: int) -> dict[str, DrawFrame]:
    """Return what can be drawn of rejected answers by rule, and of the pairs that a judge has seen."""
    frames: dict[str, _LowestPlaces] = {}
    for n, answer, reason in _rejected(store):
        item = answer_item(n, answer, why=reason)
        frames.setdefault(RULE + reason, _LowestPlaces()).add(mix(seed, answer), item)
    for name, n, pair, why in _judged(store):
        frames.setdefault(name, _LowestPlaces()).add(mix(seed, n, *pair.encode()), Item(n, pair, why=why))
    return {name: frame.frame(name, seed) for name, frame in frames.items()}


class _LowestPlaces:
    """The units with the lowest places, and how many there are in all."""

    def __init__(self) -> None:
        self.size = 0
        self._heap: list[tuple[int, int, Item]] = []

    def add(self, place: int, item: Item) -> None:
        self.size += 1
        if len(self._heap) < _KEPT:
            heapq.heappush(self._heap, (-place, self.size, item))
        elif -place > self._heap[0][0]:
            heapq.heapreplace(self._heap, (-place, self.size, item))

    def frame(self, name: str, seed: int) -> DrawFrame:
        found = sorted((-place, item) for place, _, item in self._heap)
        units = [DrawnUnit(place, item._replace(draw=draw_text(name, seed, 0, place))) for place, item in found]
        return DrawFrame(seed, self.size, tuple(units), {unit.item.name: unit.place for unit in units})


def _rejected(store: Store) -> Iterator[tuple[int, int, str]]:
    """Yield query, number and reason of each answer that was rejected, also of those that a later one has replaced."""
    invalid = (
        "SELECT n, answer, reason FROM query WHERE stage = ? AND state = 'invalid' AND state <> 'pending' "  # the index
        "AND position IS NOT NULL "
        "AND answer IS NOT NULL"
    )
    yield from store.stream(invalid, GenerateStage.name)
    if store.has_table("earlier"):
        rules = {name for (name,) in store.read("SELECT DISTINCT rule FROM rejection")}
        earlier = (
            "SELECT n, earlier.answer, earlier.reason FROM earlier JOIN query USING (n) WHERE stage = ? "
            "AND position IS NOT NULL AND earlier.answer IS NOT query.answer LIMIT ?"
        )
        rows = store.stream(earlier, GenerateStage.name, _MOST_EARLIER)
        yield from ((n, answer, reason) for n, answer, reason in rows if reason in rules)


def _judged(store: Store) -> Iterator[tuple[str, int, str, str]]:
    """Yield stratum, number, id and fault of each pair that a judge has seen, if its query still is as it was then."""
    for answered in answered_queries(store, JUDGE_PAIRS):
        if answered.state is not State.OK:
            continue
        texts = judged_pairs(answered.query).pairs
        verdicts, _ = read_verdicts(answered.detail, len(texts))
        n = judged_number(answered.query)
        judge = store.read_value("SELECT n FROM query WHERE id = ? AND stage = ?", answered.query.id, JUDGE_PAIRS)
        stored = store.read_value("SELECT pairs FROM result WHERE n = ?", n) or "[]"
        ids = {(pair.instruction, pair.answer): pair.id for pair in load_stored_pairs(stored)}
        for number, (pair, verdict) in enumerate(zip(texts, verdicts, strict=False), 1):
            name = JUDGE_BAD if verdict.fault else JUDGE_GOOD
            yield name, n, ids.get(pair, f"{JUDGED}:{judge}:{number}"), verdict.fault


def count_decisions(
    store: Store, log: ReviewLog, strata: dict[str, Stratum], frames: Mapping[str, DrawFrame], said: _VerdictCache
) -> list[Stratum]:
    """Return the strata with the judgements of their random samples."""
    highest: dict[tuple[str, int, int], int] = {}
    drawn: dict[str, set[str]] = {}
    for each in log.all_decisions():
        if each.of.draw and not each.of.language and (draw := parse_draw(each.of.draw)):
            seed, bits, place, name = draw
            highest[name, seed, bits] = max(place, highest.get((name, seed, bits), -1))
            drawn.setdefault(each.of.pair, set()).add(name)
    for pair, language in log.pairs():
        found = None if language else said.of(store, log, pair)
        if found is None:
            continue
        for name in drawn.get(pair, set()) | set(_would_be_drawn(store, found.item, highest, frames)):
            if name in strata:
                strata[name] = _counted(strata[name], found.is_bad)
    return list(strata.values())


def _counted(stratum: Stratum, is_bad: bool | None) -> Stratum:
    if is_bad is None:
        return stratum._replace(undecided=stratum.undecided + 1)
    return stratum._replace(bad=stratum.bad + 1) if is_bad else stratum._replace(good=stratum.good + 1)


def _would_be_drawn(
    store: Store, item: Item, highest: Mapping[tuple[str, int, int], int], frames: Mapping[str, DrawFrame]
) -> Iterator[str]:
    """Yield the strata in whose samples an item is, also if people came upon it in another way."""
    for (name, seed, bits), most in highest.items():
        if name in frames:
            if frames[name].seed == seed and frames[name].places.get(item.name, most + 1) <= most:
                yield name
        elif name == ACCEPTED and bits and place_of(item.n, bits, seed) <= most:
            pairs = load_stored_pairs(store.read_value("SELECT pairs FROM result WHERE n = ?", item.n) or "[]")
            if pairs and chosen_pair(item.n, seed, pairs).id == item.name:
                yield name


class JudgedItem(NamedTuple):
    """An item, and whether most reviewers find it bad as it is; None if as many find it good."""

    item: Item
    is_bad: bool | None


class _VerdictCache:
    """What reviewers say of each pair, looked up again only after new decisions."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, JudgedItem | None]] = {}

    def of(self, store: Store, log: ReviewLog, pair: str) -> JudgedItem | None:
        count = len(log.decisions(pair))
        known = self._known.get(pair)
        if known is None or known[0] != count:
            known = self._known[pair] = (count, _said(store, log, pair))
        return known[1]


def _said(store: Store, log: ReviewLog, pair: str) -> JudgedItem | None:
    decisions = log.decisions(pair)
    item = located(store, pair, decisions[0].of.query)
    text = item and text_of(store, item)
    if item is None or text is None:
        return None
    review = log.review(pair, text.hash)
    if not review.verdicts:
        return None
    bad = sum(each.of.verdict is not Verdict.ACCEPT for each in review.verdicts.values())
    good = len(review.verdicts) - bad
    return JudgedItem(item, None if bad == good else bad > good)


def _score(store: Store, item: Item) -> tuple[float, str]:
    row = store.read_one(
        "SELECT annotation.text, result.pairs FROM annotation JOIN result USING (n) WHERE annotation.n = ?", item.n
    )
    if row is None:
        return 1.0, ""
    pairs = tuple(pair.as_pair() for pair in load_stored_pairs(row[1]) if pair.id == item.name)
    raw = orjson.dumps([[pair.instruction, pair.answer] for pair in pairs]).decode()
    candidate = Candidate(Query(str(item.n), row[0]), pairs, raw)
    (scored,) = score_all([candidate], ScoringContext(least=1, most=1), _QUICK)
    worst = min(scored.scores, key=lambda name: scored.scores[name], default="")
    return scored.total, f", lowest in {worst}" if worst and scored.scores[worst] < 1 else ""
