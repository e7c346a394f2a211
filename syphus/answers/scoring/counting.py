"""Compares the numbers of answers with those of an annotation, by what they count and by what a reader works out.

A number is right if the annotation counts the same things so, in digits or words ("a couple", "both", "twice"), if it
is the sum of parts ("three animals" of a giraffe and two zebras), or a difference where the answer compares ("two
more"). It is wrong if the annotation counts these things otherwise, or has one of them. All else is a doubt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from syphus.answers.cleaning.rules import Check, Context, Doubt, Rule, searchable
from syphus.answers.cleaning.sent_texts import split_words
from syphus.answers.scoring.grounding import read_annotation_facts
from syphus.answers.scoring.lexicon import related_words
from syphus.answers.scoring.words import NUMBERS, Word, is_common, split_sentences, stem, tokenize
from syphus.types import Pair

#: Words that are numbers without being written as such.
_VALUES = {
    **NUMBERS, "couple": 2.0, "pair": 2.0, "pairs": 2.0, "both": 2.0, "twice": 2.0, "twin": 2.0, "twins": 2.0,
    "duo": 2.0, "double": 2.0, "second": 2.0, "trio": 3.0, "triple": 3.0, "third": 3.0, "triplets": 3.0, "thrice": 3.0,
    "fourth": 4.0, "quartet": 4.0, "fifth": 5.0, "sixth": 6.0, "another": 2.0, "neither": 2.0, "either": 2.0,
    "half": 0.5,
}  # fmt: skip
#: Those of them that say how many there are in an answer.
_CLAIMS = frozenset((*NUMBERS, "couple", "trio", "quartet", "twice", "thrice")) - {
    "zero",
    "one",
    "single",
    "hundred",
    "thousand",
}
_HOW_MANY = re.compile(r"\bhow (?:many|often)\b([^?]*)", re.IGNORECASE)
_COMPARES = re.compile(r"\b(?:more|fewer|less|left|remain(?:s|ing)?|still|other|others|gone|additional|extra)\b")
_TOTAL = re.compile(r"\b(?:in total|in all|altogether|together|total of|all of them|counting)\b|:")
_APPROXIMATE = re.compile(
    r"\b(?:may|might|could|perhaps|maybe|possibly|probably|likely|seems?|appears?|often|usually|if|about|around|roughly"
    r"|nearly|almost|over|at least|or so|approximately)\b",
)
_TIME_UNITS = frozenset(
    ("second", "sec", "minute", "min", "hour", "day", "week", "month", "year", "o'clock", "am", "pm")
)
_THERE_ARE = re.compile(r"\bthere (?:is|are|was|were)\b(?!.*\b(?:left|of|more|only|still)\b)")
_GENERAL = frozenset(
    map(stem, ("people", "person", "animal", "thing", "bird", "child", "kid", "vehicle", "player", "individual"))
)
_TWO_IMAGES = ("two images", "two pictures", "two photos", "two frames")  #: which every such pair may speak of
_DIGITS = re.compile(r"\d+(?:[.,:]\d+)*")
_TAKEN = 4  #: words after a number that it may count
_SINGLE = frozenset(("a", "an", "one", "the", "another", "his", "her", "its", "single"))
_MANY = frozenset(("people", "men", "women", "children", "geese", "mice", "feet"))
_MOST_SUMMED = 6  #: counted things whose sums are looked at


class AnnotationCounts(NamedTuple):
    """What an annotation counts: its values, each with the stems that it counts, and the forms of its other nouns."""

    values: frozenset[float]
    counted: tuple[tuple[float, frozenset[str]], ...]
    single: frozenset[str]  #: stems after "a", "one" or "the" and without a plural ending
    many: frozenset[str]  #: stems of words with a plural ending
    digits: frozenset[str]


def values_of(words: Sequence[Word]) -> list[tuple[int, float]]:
    """Return the place and the value of each number; "half a dozen" is one, and so is "twenty five"."""
    found: list[tuple[int, float]] = []
    for index, word in enumerate(words):
        value = word.value if word.value is not None else _VALUES.get(word.text)
        if value is None:
            continue
        last = found[-1] if found else (-9, 0.0)
        gap = index - last[0]
        if word.text == "dozen" and gap <= 2 and last[1] in (0.5, *range(1, 11)):
            found[-1] = index, 12 * last[1]
        elif gap == 1 and 20 <= last[1] <= 90 and last[1] % 10 == 0 and 0 < value < 10:
            found[-1] = index, last[1] + value
        else:
            found.append((index, value))
    return [(index, value) for index, value in found if value != 0.5]


def _counted(words: Sequence[Word], index: int) -> frozenset[str]:
    """Return the stems that the number at a place counts: the next words with a meaning, up to a mark or a verb."""
    stems: list[str] = []
    for word in words[index + 1 : index + 1 + _TAKEN] if not words[index].ends_phrase else ():
        has_meaning = not is_common(word.stem) and word.value is None
        if has_meaning:
            stems.append(word.stem)
        if word.ends_phrase or word.value is not None or (stems and not has_meaning):
            break
    return frozenset(stems)


@lru_cache(maxsize=1_000)
def read_counts(annotation: str) -> AnnotationCounts:
    """Read what an annotation counts."""
    words = tokenize(annotation)
    counted = [(value, _counted(words, index)) for index, value in values_of(words)]
    if ": [" in annotation:  # boxes
        boxes = read_annotation_facts(annotation).boxes
        counted += [(float(many), frozenset((label,))) for label, many in boxes.items()]
    single, many, last_single = set(), set(), -4
    for index, word in enumerate(words):
        text = word.text
        if text in _MANY or (text[-1] == "s" and text[-2:] != "ss" and text != word.stem):
            many.add(word.stem)
        elif index - last_single <= 3:
            single.add(word.stem)
        if text in _SINGLE:
            last_single = index
    digits = frozenset(_DIGITS.findall(annotation))
    return AnnotationCounts(
        frozenset(value for value, _ in counted), tuple(counted), frozenset(single), frozenset(many), digits
    )


def _find_unsupported_counts(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Yield the place of each number that the annotation does not support. Queries with images are not checked."""
    if context.query.images or not context.query.text.strip() or not _may_count(pairs, context.query.text):
        return
    counts = read_counts(context.query.text)
    for number, pair in enumerate(pairs, 1):
        for sentence in split_sentences(pair.answer):
            for claim in _claims_in(sentence):
                doubt = _doubt(claim, claim.stems or _asked_for(pair.instruction), counts)
                if doubt:
                    place = f"answer {number}: {claim.text}"
                    yield place if doubt == 1 and not claim.is_approximate else Doubt(place)


#: For annotations that contain every number a model can know. Queries with images are not checked.
numbers_of_the_annotation: Rule = Check("a number that the annotation does not hold", _find_unsupported_counts)


class _Claim(NamedTuple):
    """A number that a sentence claims, as it is written, the stems of what it counts, and what the sentence does."""

    text: str
    value: float
    stems: frozenset[str]
    is_total: bool  #: counts all together
    compares: bool  #: "two more", "three are left"
    says_there_are: bool
    is_approximate: bool


@lru_cache(maxsize=4_000)
def _claims_in(sentence: str) -> tuple[_Claim, ...]:
    """Return the numbers that a sentence claims, without times, which other rules look at."""
    words = tokenize(sentence)
    claimed = [
        (index, value)
        for index, value in values_of(words)
        if (words[index].value is not None or words[index].text in _CLAIMS) and not _of_time(words, index)
    ]
    if not claimed:
        return ()
    forms = [form.search(sentence.lower()) is not None for form in (_TOTAL, _COMPARES, _THERE_ARE, _APPROXIMATE)]
    return tuple(_Claim(words[index].text, value, _counted(words, index), *forms) for index, value in claimed)


def _of_time(words: Sequence[Word], index: int) -> bool:
    return any(each.text.rstrip("s") in _TIME_UNITS for each in words[index + 1 : index + 3])


@lru_cache(maxsize=1_000)
def _asked_for(question: str) -> frozenset[str]:
    """Return the stems of what a question asks the number of."""
    asked = _HOW_MANY.search(question)
    return frozenset(word.stem for word in tokenize(asked[1]) if not is_common(word.stem)) if asked else frozenset()


def _may_count(pairs: Sequence[Pair], annotation: str) -> bool:
    """Return whether the pairs hold a number that the annotation does not hold as it is written; hardly any do."""
    lowered, vocabulary = searchable(pairs).lowered, searchable(pairs).vocabulary
    said = _CLAIMS.intersection(vocabulary)
    if _DIGITS.search(lowered):
        said = said.union(word for word in vocabulary if word[0].isdecimal())
    if not said or (said == {"two"} and lowered.count("two ") == sum(map(lowered.count, _TWO_IMAGES))):
        return False
    return not said.issubset(split_words(annotation))


def _doubt(claim: _Claim, stems: frozenset[str], counts: AnnotationCounts) -> float:
    """Return 0 for a number that is supported, 1 for one that is wrong, and 0.5 for one that can't be told.

    `stems` are those of what it counts.
    """
    value = claim.value
    if value in (0, 1) or claim.text in counts.digits:
        return 0
    kin = _kin_of(stems)
    stated = {number for number, things in counts.counted if things & kin}
    if value in stated:
        return 0
    general = not stems or bool(stems & _GENERAL) or claim.is_total
    parts = tuple(number for number, things in counts.counted if general or things & kin or stems <= things)
    if value in _sums(parts, len(counts.single & kin)):
        return 0
    if claim.compares and value in _differences(counts.values):
        return 0
    if value in counts.values:
        return 0.5 if stated and value > max(stated) else 0
    if stated or (counts.single & stems and not counts.many & kin):
        return 1 if not stated or value > max(stated) or claim.says_there_are else 0.5
    if kin & counts.many:
        return 1 if value > 2 else 0.5
    return 1 if claim.text[0].isdecimal() and not stems - counts.single - counts.many else 0.5


@lru_cache(maxsize=4_000)
def _kin_of(stems: frozenset[str]) -> frozenset[str]:
    """Return stems with those of related words."""
    return stems.union(*(related_words().get(each, ()) for each in stems))


@lru_cache(maxsize=1_000)
def _sums(parts: tuple[float, ...], named: int) -> set[float]:
    """Return the sums of two and more of the counted things, each with or without those that are named one by one."""
    found: set[float] = set()
    singles = {float(many) for many in range(named + 1)}
    several = [part for part in parts if part > 1][:_MOST_SUMMED]
    for size in range(min(3, len(several)) + 1):
        for chosen in combinations(dict.fromkeys(several), size):
            found |= {sum(chosen) + more for more in singles}
    return found


def _differences(values: frozenset[float]) -> set[float]:
    return {abs(one - other) for one in values for other in values | {1.0}}
