"""Rules as data: a pattern that is repaired, a pattern that is rejected, or a check in code; each with a name.

MIMIC-IT's authors clean by hand (arXiv 2305.03726v2, 5.3): people look for patterns of errors in each dataset, repair
what regular expressions can ("the user (you)" becomes "you"), and have the rest asked again. Here the patterns are the
plugin's data, every use of one is counted under its name, and a rejected answer is asked for again with the name and
the place as the reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

from syphus.types import Pair, Query

Part = Literal["instruction", "answer", "both"]

_LONG = 7  # blanks in a text that nobody writes twice by chance
_QUOTED = 60  # characters of what a rule found that are shown


@dataclass(frozen=True, slots=True)
class Context:
    """What rules may look at besides the pairs: the query, and the pairs of the in-context examples."""

    query: Query
    examples: frozenset[str] = frozenset()  #: texts of the in-context examples, made by `recognisable`


@dataclass(frozen=True, slots=True)
class Repair:
    """Writes `replacement`, as `re.sub` takes it, over whatever `pattern` finds, in any case of letters.

    One of the words of `needs`, in small letters, is in everything that the pattern can find: looking for them is a
    hundred times as fast, and nearly every answer has none. Empty says nothing about it.
    """

    name: str
    pattern: str
    replacement: str
    part: Part = "both"
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """Whatever `pattern` finds, in any case of letters unless it is `exact`, makes the answer invalid.

    Apostrophes are straight in what it looks at. `needs` is as for a repair.
    """

    name: str
    pattern: str
    part: Part = "both"
    exact: bool = False
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A rejection in code: `find` gives the place of everything that is wrong ("answer 2: 1987"), "" for the whole."""

    name: str
    find: Callable[[Sequence[Pair], Context], Iterable[str]]


Rule = Repair | Reject | Check


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The pairs after all repairs; how often each repair was made; the rules that reject, each with its first place."""

    pairs: tuple[Pair, ...]
    repairs: Counter[str] = field(default_factory=Counter)
    rejections: dict[str, str] = field(default_factory=dict)


def clean(pairs: Sequence[Pair], rules: Iterable[Rule], context: Context) -> Cleaned:
    """Applies all repairs, in their order, and then looks for everything that rejects."""
    cleaned = tuple(pairs)
    repairs: Counter[str] = Counter()
    rejections: dict[str, str] = {}
    rules = tuple(rules)
    small = in_small_letters(cleaned)
    for rule in rules:
        if isinstance(rule, Repair) and _may_find(rule, small):
            cleaned, count = _repair(cleaned, rule)
            repairs[rule.name] += count
            small = in_small_letters(cleaned) if count else small
    for rule in rules:
        if not isinstance(rule, Repair) and (isinstance(rule, Check) or _may_find(rule, small)):
            places = _found(cleaned, rule) if isinstance(rule, Reject) else rule.find(cleaned, context)
            place = next(iter(places), None)
            if place is not None:
                rejections.setdefault(rule.name, place)
    return Cleaned(cleaned, +repairs, rejections)


def parts(pairs: Sequence[Pair], part: Part = "both") -> Iterable[tuple[str, str]]:
    """The texts of some pairs, each with its place: ("question 1", ...), ("answer 1", ...), ("question 2", ...)."""
    for number, pair in enumerate(pairs, 1):
        if part != "answer":
            yield f"question {number}", pair.instruction
        if part != "instruction":
            yield f"answer {number}", pair.answer


def at(place: str, found: str) -> str:
    """What was found, and where, in a few words for the report and for the model."""
    found = " ".join(found.split())
    return f"{place}: {found if len(found) <= _QUOTED else found[:_QUOTED] + '...'}"


def folded(text: str) -> str:
    """A text for comparing: words alone, in small letters, with single spaces."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def straight(text: str) -> str:
    """A text with straight apostrophes, as patterns have them: models write "I\u2019m sorry" as well."""
    return text.replace("\u2019", "'")


def in_small_letters(pairs: Sequence[Pair]) -> str:
    """All texts, one after the other, in small letters and with straight apostrophes."""
    return straight("\n".join([text for pair in pairs for text in (pair.instruction, pair.answer)]).lower())


def recognisable(texts: Iterable[str]) -> frozenset[str]:
    """Those that are long enough to be known again, as `in_small_letters` writes them, without the mark at their end.

    A short question such as "What is on the table?" is asked twice by chance.
    """
    return frozenset(straight(text.lower()).strip().rstrip(".!?") for text in texts if text.count(" ") >= _LONG)


def _may_find(rule: Repair | Reject, small: str) -> bool:
    return not rule.needs or any(word in small for word in rule.needs)


def _repair(pairs: tuple[Pair, ...], rule: Repair) -> tuple[tuple[Pair, ...], int]:
    pattern = _compiled(rule.pattern, False)
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


def _found(pairs: tuple[Pair, ...], rule: Reject) -> Iterable[str]:
    pattern = _compiled(rule.pattern, rule.exact)
    for place, text in parts(pairs, rule.part):
        if match := pattern.search(straight(text)):
            yield at(place, match[0])


@cache
def _compiled(pattern: str, exact: bool) -> re.Pattern[str]:
    return re.compile(pattern, 0 if exact else re.IGNORECASE)
