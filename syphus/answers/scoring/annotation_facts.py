"""What an annotation supports: its words with their kin, and its numbers with what they count."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from syphus.answers.scoring.lexicon import kin, parts, support
from syphus.answers.scoring.words import Word, is_common, stem, words

_COUNTED = re.compile(r"^[ \t]*([^\W\d_][\w -]{0,30}):[ \t]*\[", re.MULTILINE)
_REACH = 4  #: words behind a number that it may count
_FRAMES = ("image", "picture", "photo", "frame", "video", "clip", "scene", "panel")

KNOWN, SUBSET, PERHAPS, FOREIGN = 0.0, 0.15, 0.25, 1.0  #: how far a number is from being supported


@dataclass(frozen=True, slots=True)
class AnnotationFacts:
    """The stems of an annotation; its numbers, alone and by the stems that they count; lines like `dog: [box]`."""

    stems: frozenset[str]
    numbers: frozenset[float]
    digits: frozenset[str]
    counted: dict[str, frozenset[float]]
    labelled: Counter[str]

    def supports(self, stemmed: str) -> bool:
        """Whether the annotation has the word, one that means the same, or a kind of it."""
        return stemmed in self.stems or not self.stems.isdisjoint(support().get(stemmed, ()))

    def allows(self, stemmed: str) -> bool:
        """Whether it is a part of something that the annotation has."""
        return not self.stems.isdisjoint(parts().get(stemmed, ()))

    def doubt(self, number: Word, counts: frozenset[str]) -> float:
        """From KNOWN to FOREIGN: `counts` are the stems of what the number seems to count.

        One is known of everything, and two is what many a plural may mean. A lower number than the annotation has may
        count some of them.
        """
        if number.value is None:
            return KNOWN if number.text in self.digits else FOREIGN
        if number.value in (0, 1) or counts & _frames():
            return KNOWN
        kinds = counts.union(*(kin().get(each, ()) for each in counts))
        told = frozenset[float]().union(*(self.counted.get(each, frozenset()) for each in kinds))
        most = sum(self.labelled[each] for each in kinds)
        if number.value in told or number.value == most:
            return KNOWN
        if told or most:
            return SUBSET if number.value < max((*told, most)) else FOREIGN
        if number.value in self.numbers:
            return KNOWN
        return PERHAPS if number.value == 2 else FOREIGN


@lru_cache(maxsize=4_000)
def read_annotation_facts(annotation: str) -> AnnotationFacts:
    """The facts of an annotation as the model gets to see it."""
    found = words(annotation)
    counted: dict[str, frozenset[float]] = {}
    for number, counts in numbers(found):
        if number.value is not None:
            for each in counts:
                counted[each] = counted.get(each, frozenset()) | {number.value}
    values = frozenset(word.value for word in found if word.value is not None)
    digits = frozenset(word.text for word in found if word.text[0].isdecimal())
    labelled = Counter(stem(label.split()[-1].casefold()) for label in _COUNTED.findall(annotation))
    return AnnotationFacts(frozenset(word.stem for word in found), values, digits, counted, labelled)


def numbers(found: Sequence[Word]) -> Iterator[tuple[Word, frozenset[str]]]:
    """The numbers among some words, each with the stems of what it may count: the next words that carry meaning."""
    for place, word in enumerate(found):
        if word.value is not None or word.text[0].isdecimal():
            yield word, frozenset() if word.last else frozenset(_counted(found[place + 1 : place + 1 + _REACH]))


def _counted(behind: Sequence[Word]) -> Iterator[str]:
    """The stems of the first words in a row that carry meaning: "large passenger jets" of "three large ... jets in"."""
    begun = False
    for word in behind:
        telling = word.value is None and (word.stem in _frames() or not is_common(word.stem))
        if telling:
            yield word.stem
        begun = begun or telling
        if word.last or word.value is not None or (begun and not telling):
            return


@cache
def _frames() -> frozenset[str]:
    return frozenset(map(stem, _FRAMES))
