"""The kinds of cleaning rule, and how they are applied. Every rule has a name.

MIMIC-IT's authors clean by hand (arXiv 2305.03726v2, 5.3): they look for error patterns in each dataset, repair what
regular expressions can ("the user (you)" becomes "you"), and ask for the rest again. Here the patterns are data of the
plugin. Every match is counted under the name of its rule. A rejected answer is asked for again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

from syphus.answers.cleaning.sent_texts import NOTHING_SENT, SentTexts
from syphus.types import Pair, Query

Part = Literal["instruction", "answer", "both"]

_MAX_SHOWN = 60  # characters of a match that are shown


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may look at besides the pairs: the query, and the texts that were sent with it.

    `asked` is the user turn, if it differs from the text of the query. `scripts` are the scripts that the prompt shows
    answers in; without any, answers may be in every script.
    """

    query: Query
    sent: SentTexts = NOTHING_SENT
    asked: str = ""
    scripts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Repair:
    """Replaces every match of `pattern`, ignoring case, by `replacement`, as in `re.sub`.

    `needs` is an optional speed-up: lower-case words of which every possible match contains at least one. Nearly every
    answer has none of them, and searching for words is a hundred times as fast as searching for the pattern.
    """

    name: str
    pattern: str
    replacement: str
    part: Part = "both"
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mend:
    """A repair in code: `mend` returns the pairs and how many places it changed. `needs` is as in `Repair`."""

    name: str
    mend: Callable[[Sequence[Pair], Context], tuple[tuple[Pair, ...], int]]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """Makes the answer invalid where `pattern` matches. Case is ignored unless `exact` is set.

    The pattern sees the text with straight apostrophes. `needs` is as in `Repair`.
    """

    name: str
    pattern: str
    part: Part = "both"
    exact: bool = False
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A rejection in code: `find` yields the place of each fault ("answer 2: 1987"), or "" for the whole answer.

    `needs` is as in `Repair`.
    """

    name: str
    find: Callable[[Sequence[Pair], Context], Iterable[str]]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drop:
    """Leaves pairs out: `find` yields the index (from 0) of each and its place. The others are kept if they are enough.

    With fewer than `least` pairs left, the answer is invalid.
    """

    name: str
    find: Callable[[Sequence[Pair], Context], Iterable[tuple[int, str]]]
    least: int = 3


Rule = Repair | Mend | Reject | Check | Drop
_REPAIRS = (Repair, Mend)  # a tuple is looked at faster than a union


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The pairs, repaired and without those left out, and how often each rule changed something.

    `rejections` has the first place of a fault by each rule that rejects.
    """

    pairs: tuple[Pair, ...]
    repairs: Counter[str] = field(default_factory=Counter)
    rejections: dict[str, str] = field(default_factory=dict)


def clean(pairs: Sequence[Pair], rules: Iterable[Rule], context: Context) -> Cleaned:
    """Apply all repairs in order, leave out what is to be dropped, then collect the rules that reject the rest."""
    cleaned = tuple(pairs)
    repairs: Counter[str] = Counter()
    rejections: dict[str, str] = {}
    rules = tuple(rules)
    lowered = lowercase_texts(cleaned)
    for rule in rules:
        if isinstance(rule, _REPAIRS) and _could_match(rule, lowered):
            cleaned, count = _repair(cleaned, rule) if isinstance(rule, Repair) else rule.mend(cleaned, context)
            repairs[rule.name] += count
            lowered = lowercase_texts(cleaned) if count else lowered
    for rule in rules:
        if isinstance(rule, Drop) and (found := dict(rule.find(cleaned, context))):
            if len(cleaned) - len(found) < rule.least:
                rejections.setdefault(rule.name, next(iter(found.values())))
                continue
            cleaned = tuple(pair for index, pair in enumerate(cleaned) if index not in found)
            repairs[rule.name] += len(found)
            lowered = lowercase_texts(cleaned)
    for rule in rules:
        if isinstance(rule, (Check, Reject)) and _could_match(rule, lowered):
            places = _match_places(cleaned, rule) if isinstance(rule, Reject) else rule.find(cleaned, context)
            place = next(iter(places), None)
            if place is not None:
                rejections.setdefault(rule.name, place)
    return Cleaned(cleaned, +repairs, rejections)


def texts_with_places(pairs: Sequence[Pair], part: Part = "both") -> Iterable[tuple[str, str]]:
    """Yield each text of the pairs with its place: ("question 1", ...), ("answer 1", ...), ("question 2", ...)."""
    for number, pair in enumerate(pairs, 1):
        if part != "answer":
            yield f"question {number}", pair.instruction
        if part != "instruction":
            yield f"answer {number}", pair.answer


def describe_match(place: str, found: str) -> str:
    """Return the place and the match as one short line for the report and for the model."""
    found = " ".join(found.split())
    return f"{place}: {found if len(found) <= _MAX_SHOWN else found[:_MAX_SHOWN] + '...'}"


def normalize_words(text: str) -> str:
    """Return the words of a text in lower case with single spaces between them, for comparison."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def straighten_apostrophes(text: str) -> str:
    """Return the text with straight apostrophes, as in the patterns: models also write "I\u2019m sorry"."""
    return text.replace("\u2019", "'")


def lowercase_texts(pairs: Sequence[Pair]) -> str:
    """Return all texts of the pairs in one string, in lower case and with straight apostrophes."""
    texts = [text for pair in pairs for text in (pair.instruction, pair.answer)]
    return straighten_apostrophes("\n".join(texts).lower())


def _could_match(rule: Repair | Mend | Reject | Check, lowered: str) -> bool:
    return not rule.needs or any(map(lowered.__contains__, rule.needs))


def _repair(pairs: tuple[Pair, ...], rule: Repair) -> tuple[tuple[Pair, ...], int]:
    pattern = _compile(rule.pattern, False)
    repaired, total = [], 0
    for pair in pairs:
        instruction, answer = pair.instruction, pair.answer
        if rule.part != "answer":
            instruction, count = pattern.subn(rule.replacement, instruction)
            total += count
        if rule.part != "instruction":
            answer, count = pattern.subn(rule.replacement, answer)
            total += count
        repaired.append(replace(pair, instruction=instruction, answer=answer))
    return tuple(repaired), total


def _match_places(pairs: tuple[Pair, ...], rule: Reject) -> Iterable[str]:
    pattern = _compile(rule.pattern, rule.exact)
    for place, text in texts_with_places(pairs, rule.part):
        if match := pattern.search(straighten_apostrophes(text)):
            yield describe_match(place, match[0])


@cache
def _compile(pattern: str, exact: bool) -> re.Pattern[str]:
    return re.compile(pattern, 0 if exact else re.IGNORECASE)
