"""Answers whose truth is known, for a judge: sound pairs, pairs with a planted fault, and what reviewers rejected.

Each looks like any other that the judge reads: an annotation with its pairs. A sound pair and a pair with a fault count
once, when they are shown for the first time; otherwise they are company. The same material, texts that were used before
and seed make the same answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

from syphus.quality.planted_faults import PLANTED, FaultSite, plant
from syphus.runs.pair_verdicts import JudgedAnswer, JudgedPairs, judge_query, judged_pairs
from syphus.types import Pair, PromptImage, Query

SOUND = ""  #: the truth about a pair without a fault; other truths are values of `KnownFault`
COMPANY = None  #: in place of a truth: the pair is shown, and does not count
_FAULTY = 0.5  # share of the sound pairs that get a fault
_MOST_SOURCES = 500  # annotations that are used, by chance, if there are more
_MOST_FOREIGN = 30  # answers about other annotations among which one is chosen

Truth = str | None


class KnownPair(NamedTuple):
    """A pair and the truth about it."""

    instruction: str
    answer: str
    truth: Truth = SOUND
    counts: bool = True  #: False for a sound pair that the judge itself has let pass: it would count in its favour


class KnownAnswer(NamedTuple):
    """The pairs of an annotation with what is known about them; `name` is the id of its query."""

    name: str
    annotation: str
    pairs: tuple[KnownPair, ...]
    images: tuple[PromptImage, ...] = ()

    @property
    def is_material(self) -> bool:
        """Whether anything can be measured on it."""
        return any(pair.truth is not COMPANY for pair in self.pairs)

    @property
    def texts(self) -> JudgedPairs:
        """The annotation and the texts of the pairs."""
        return JudgedPairs(self.annotation, tuple((pair.instruction, pair.answer) for pair in self.pairs))


@dataclass(slots=True)
class _Used:
    """The texts that count already, and how often each fault was planted."""

    texts: set[tuple[str, str, str]] = field(default_factory=set)
    faults: MutableMapping[str, int] = field(default_factory=Counter)

    def take(self, annotation: str, pair: KnownPair) -> KnownPair:
        """Return a pair as it counts: one whose texts were used is company."""
        key = (annotation, pair.instruction, pair.answer)
        if pair.truth is COMPANY or key in self.texts or not pair.counts:
            return pair._replace(truth=COMPANY)
        self.texts.add(key)
        self.faults[pair.truth] += 1
        return pair


def make_known_answers(
    material: Sequence[KnownAnswer], before: Sequence[Query], count: int, seed: int
) -> list[KnownAnswer]:
    """Return up to `count` answers that differ from those `before`; fewer if the material does not yield more."""
    used = _Used()
    for query in before:
        texts = judged_pairs(query)
        for (instruction, answer), truth in zip(texts.pairs, truths(query), strict=True):
            used.take(texts.annotation, KnownPair(instruction, answer, truth))
    random = Random(f"{seed} {len(before)}")
    maker = _AnswerMaker(material, used, random)
    made: list[KnownAnswer] = []
    while len(made) < count:
        found = list(maker.next_round())
        if not found:
            break
        made += found
    return made[:count]


class _AnswerMaker:
    def __init__(self, material: Sequence[KnownAnswer], used: _Used, random: Random) -> None:
        found = [each for each in material if each.is_material]
        self._material = random.sample(found, min(len(found), _MOST_SOURCES))
        self._used, self._random = used, random

    def next_round(self) -> Iterator[KnownAnswer]:
        """Yield an answer for each annotation that still has something new, in random order."""
        for source in self._random.sample(self._material, len(self._material)):
            made = self._answer(source, _FAULTY)
            if not made.is_material:
                made = self._answer(source, 1.0)
            if made.is_material:
                yield made

    def _answer(self, source: KnownAnswer, share: float) -> KnownAnswer:
        texts, foreign = source.texts, self._foreign(source)
        pairs = []
        for number, pair in enumerate(source.pairs):
            if pair.truth == SOUND and self._random.random() < share:
                pair = self._with_fault(pair, FaultSite(texts, number, foreign))
            pairs.append(self._used.take(source.annotation, pair))
        return source._replace(pairs=tuple(pairs))

    def _foreign(self, source: KnownAnswer) -> list[str]:
        """Return some sound answers about other annotations."""
        others = [each for each in self._material if each.annotation != source.annotation]
        some = self._random.sample(others, min(len(others), _MOST_FOREIGN))
        return [pair.answer for each in some for pair in each.pairs if pair.truth == SOUND]

    def _with_fault(self, pair: KnownPair, site: FaultSite) -> KnownPair:
        """Return a pair with a fault that was planted rarely so far; the pair itself if nothing new can be planted."""
        order = sorted(self._random.sample(PLANTED, len(PLANTED)), key=lambda fault: self._used.faults[fault.value])
        for fault in order:
            answer = plant(fault, site, self._random)
            key = (site.sound.annotation, pair.instruction, answer)
            if answer and answer != pair.answer and key not in self._used.texts:
                return KnownPair(pair.instruction, answer, fault.value)
        return pair


def known_query(known: KnownAnswer, judge: str, round_: int) -> Query:
    """Return the query to a judge; the texts that it sends say nothing about the truth."""
    pairs = [Pair(pair.instruction, pair.answer) for pair in known.pairs]
    name = f"{known.name} {judge}"
    query = judge_query(name, known.annotation, pairs, known.images, JudgedAnswer(0, 0, judge))
    truth = [pair.truth for pair in known.pairs]
    return replace(query, meta={"judge": judge, "round": round_, "truth": truth})


def truths(query: Query) -> tuple[Truth, ...]:
    """Return the truth about each pair of a query."""
    found = query.meta["truth"]
    assert isinstance(found, list)
    return tuple(found)


def judge_of(query: Query) -> str:
    """Return the model that a query is for."""
    return str(query.meta["judge"])


def round_of(query: Query) -> int:
    """Return when a query was made: queries of one round were made together."""
    return int(str(query.meta["round"]))


def is_bad(truth: Truth) -> bool:
    """Return whether a pair is bad, by the truth about it."""
    return truth is not COMPANY and truth != SOUND
