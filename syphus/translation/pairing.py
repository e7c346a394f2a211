"""Instruction and answer together: each in its own place, and a question still a question."""

from __future__ import annotations

import math
import re

from syphus.translation.features import Features, Shape
from syphus.translation.kept import differ
from syphus.translation.languages import Language
from syphus.translation.reasons import Reason
from syphus.translation.types import Fault

_REQUEST = re.compile(r"^\W*(?:can|could|would|will|do|may|might)\s+(?:you|i|we)\b|please|\btell me\b", re.I)
_SMOOTH = 8.0  # characters that make short texts comparable
_WELL = 1.0  # a cost up to which nobody asks whether the texts would fit better the other way round
_BETTER = 1.0  # by how much they must fit better
_LONG_ENOUGH = 4  # characters of a text that stands in the other one by no chance
_QUESTION_INSIDE = re.compile(r"[?？؟].*\w", re.DOTALL)


def pair_faults(source: Features, instruction: Shape, answer: Shape, language: Language) -> list[Fault]:
    """Swapped, merged, or answered; the first that is found."""
    if _same(source, instruction, answer):
        return [Fault(Reason.MERGED, "both")]
    if _swapped(source, instruction, answer, language):
        return [Fault(Reason.SWAPPED, "both")]
    if _merged(source, instruction, answer):
        return [Fault(Reason.MERGED, "both")]
    question = source.instruction
    if question.asks and not instruction.ends_as_question and not _REQUEST.search(question.text):
        return [Fault(Reason.ANSWERED, "instruction", "no question mark")]
    return []


def _same(source: Features, instruction: Shape, answer: Shape) -> bool:
    first = instruction.normal
    return bool(first) and first == answer.normal and source.instruction.normal != source.answer.normal


def _merged(source: Features, instruction: Shape, answer: Shape) -> bool:
    """Whether one field holds the other's text, more often than it does in the source."""
    first, second = instruction.normal, answer.normal
    question, said = source.instruction.normal, source.answer.normal
    if len(first) >= _LONG_ENOUGH and first in second:
        return question not in said
    if len(second) >= _LONG_ENOUGH:
        return first.count(second) > question.count(said)
    # a short answer behind its question
    return (
        bool(second)
        and first.endswith(second)
        and source.instruction.asks
        and bool(_QUESTION_INSIDE.search(instruction.text))
    )


def _swapped(source: Features, instruction: Shape, answer: Shape, language: Language) -> bool:
    ratio = math.sqrt(language.length[0] * language.length[1])
    straight = _unfit(source.instruction, instruction, ratio) + _unfit(source.answer, answer, ratio)
    if straight <= _WELL:
        return False
    crossed = _unfit(source.instruction, answer, ratio) + _unfit(source.answer, instruction, ratio)
    return crossed + _BETTER <= straight


def _unfit(before: Shape, after: Shape, ratio: float) -> float:
    """How badly a text fits as the translation of another, by their outsides alone; 0 is perfectly."""
    cost = abs(math.log((after.length + _SMOOTH) / (before.length * ratio + _SMOOTH)))
    cost += before.asks != after.ends_as_question
    cost += differ(before.kept, after.kept)
    cost += differ(before.layout.emoji, after.layout.emoji)
    cost += before.layout.lines != after.layout.lines
    cost += before.layout.labels != after.layout.labels
    return cost + (before.digits != after.digits)
