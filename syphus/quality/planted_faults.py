"""Makes a sound pair wrong in one way, by structure: its truth is then known, and a judge can be measured on it.

A fault is planted only where it is certain to be one. A foreign answer must say something that neither the annotation
nor the question does, a number is changed only if the annotation has it. The faults in words (opposite, mention of the
source, numbers in words) are for English texts; the others are for any language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from itertools import count
from random import Random
from typing import NamedTuple

from syphus.runs.pair_verdicts import JudgedPairs


class KnownFault(StrEnum):
    """What is wrong with a pair whose truth is known."""

    OTHER_ANNOTATION = "answer of another annotation"
    OTHER_QUESTION = "answer of another question"
    ADDED_CLAIM = "added claim"
    NUMBER = "wrong number"
    OPPOSITE = "opposite"
    SOURCE = "mention of the source"
    CUT = "cut off"
    REJECTED = "rejected by reviewers"  #: not planted


class FaultSite(NamedTuple):
    """Where a fault is planted: a pair by its number among the sound pairs of an annotation."""

    sound: JudgedPairs
    number: int  #: from 0
    foreign: Sequence[str]  #: answers about other annotations

    @property
    def question(self) -> str:
        """The question of the pair."""
        return self.sound.pairs[self.number][0]

    @property
    def answer(self) -> str:
        """The sound answer."""
        return self.sound.pairs[self.number][1]


_WORD = re.compile(r"\w+")
_ENGLISH = re.compile(r"\b(?:the|an?|is|are|it|of)\b", re.IGNORECASE)
_VERB = re.compile(
    r"\b(is|are|was|were|has|have|had|can|could|does|do|did|will|would)(?:\b|(?=n't))( not\b| no\b|n't\b|'t\b)?"
)
_YES_OR_NO = re.compile(r"(Yes|No)\b")
_NUMBER_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER = re.compile(rf"\b(?:\d+|{'|'.join(_NUMBER_WORDS)})\b", re.IGNORECASE)
_FEWEST = 2  # words of an answer that is put elsewhere
_ALIKE = 0.5  # share of common words from which two answers may say the same
_SHORTEST = 20  # characters of an answer that is cut off


def plant(fault: KnownFault, site: FaultSite, random: Random) -> str:
    """Return the answer of a pair with this fault; "" where it can't be planted."""
    return _MAKERS[fault](site, random)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _are_alike(one: str, other: str) -> bool:
    """Return whether two answers share enough words that one could replace the other."""
    first, second = _words(one), _words(other)
    return len(first & second) >= _ALIKE * min(len(first), len(second))


def _foreign(site: FaultSite, random: Random) -> str:
    known = _words(site.sound.annotation) | _words(site.question)
    found = [
        each
        for each in site.foreign
        if len(_words(each)) >= _FEWEST and _words(each) - known and not _are_alike(each, site.answer)
    ]
    return random.choice(found) if found else ""


def _of_another_question(site: FaultSite, random: Random) -> str:
    others = (answer for number, (_, answer) in enumerate(site.sound.pairs) if number != site.number)
    found = [each for each in others if len(_words(each)) >= _FEWEST and not _are_alike(each, site.answer)]
    return random.choice(found) if found else ""


def _with_added_claim(site: FaultSite, random: Random) -> str:
    claim = _foreign(site, random)
    return f"{site.answer} {claim}" if claim and not site.answer[-1:].isalnum() else ""


def _value(text: str) -> int:
    return int(text) if text.isdecimal() else _NUMBER_WORDS.index(text.lower()) + 2


def _with_wrong_number(site: FaultSite, random: Random) -> str:  # noqa: ARG001 - all have one signature
    """Put the next number that the annotation does not have in place of one that it has."""
    known = {_value(each) for each in _NUMBER.findall(site.sound.annotation)}
    number = next((each for each in _NUMBER.finditer(site.answer) if _value(each[0]) in known), None)
    if number is None:
        return ""
    value = next(each for each in count(_value(number[0])) if each > 1 and each not in known)
    is_word = not number[0].isdecimal() and value - 2 < len(_NUMBER_WORDS)
    text = _NUMBER_WORDS[value - 2] if is_word else str(value)
    text = text.capitalize() if number[0].istitle() else text
    return f"{site.answer[: number.start()]}{text}{site.answer[number.end() :]}"


def _opposite(site: FaultSite, random: Random) -> str:  # noqa: ARG001 - all have one signature
    """Deny the first verb, or affirm it if it is denied; a yes or no at the beginning is exchanged, too."""
    begin = _YES_OR_NO.match(site.answer)
    rest = site.answer[begin.end() :] if begin else site.answer
    denied = _VERB.sub(lambda verb: verb[1] + {None: " not", " no": " some"}.get(verb[2], ""), rest, count=1)
    if begin:
        return ("No" if begin[0] == "Yes" else "Yes") + denied
    return denied if denied != rest else ""


def _with_source(site: FaultSite, random: Random) -> str:  # noqa: ARG001 - all have one signature
    return f"According to the annotation: {site.answer}" if _ENGLISH.search(site.answer) else ""


def _cut_off(site: FaultSite, random: Random) -> str:  # noqa: ARG001 - all have one signature
    """Cut within a word, about in the middle."""
    text = site.answer
    places = range(len(text) // 3, len(text) * 2 // 3) if len(text) >= _SHORTEST else ()
    found = [place for place in places if text[place - 1].isalnum() and text[place].isalnum()]
    return text[: found[len(found) // 2]] if found else ""


_MAKERS: Mapping[KnownFault, Callable[[FaultSite, Random], str]] = {
    KnownFault.OTHER_ANNOTATION: _foreign,
    KnownFault.OTHER_QUESTION: _of_another_question,
    KnownFault.ADDED_CLAIM: _with_added_claim,
    KnownFault.NUMBER: _with_wrong_number,
    KnownFault.OPPOSITE: _opposite,
    KnownFault.SOURCE: _with_source,
    KnownFault.CUT: _cut_off,
}
PLANTED = tuple(_MAKERS)  #: the faults that are planted
