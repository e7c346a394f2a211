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
from functools import cache, cached_property
from typing import Literal

from syphus.answers.cleaning.sent_texts import NOTHING_SENT, SentTexts, split_words
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
    cleaned = SearchablePairs(pairs)
    repairs: Counter[str] = Counter()
    rejections: dict[str, str] = {}
    rules = tuple(rules)
    for repair in [rule for rule in rules if isinstance(rule, _REPAIRS)]:
        if _could_match(repair, cleaned):
            repaired, count = _repair(cleaned, repair) if isinstance(repair, Repair) else repair.mend(cleaned, context)
            if count:
                repairs[repair.name] += count
                cleaned = SearchablePairs(repaired)
    for drop in [rule for rule in rules if isinstance(rule, Drop)]:
        if found := dict(drop.find(cleaned, context)):
            if len(cleaned) - len(found) < drop.least:
                rejections.setdefault(drop.name, next(iter(found.values())))
                continue
            cleaned = SearchablePairs(pair for index, pair in enumerate(cleaned) if index not in found)
            repairs[drop.name] += len(found)
    for rule in rules:
        if isinstance(rule, (Check, Reject)) and _could_match(rule, cleaned):
            places = _match_places(cleaned, rule) if isinstance(rule, Reject) else rule.find(cleaned, context)
            place = next(iter(places), None)
            if place is not None:
                rejections.setdefault(rule.name, place)
    return Cleaned(tuple(cleaned), +repairs, rejections)


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


class SearchableText:
    """A text in lower case, in which many rules look for words that hardly any text has."""

    def __init__(self, lowered: str) -> None:
        self.lowered = lowered

    @cached_property
    def vocabulary(self) -> str:
        """What stands between white space, each once: shorter than the text, and as good for most words."""
        return " ".join(set(self.lowered.split()))

    @cached_property
    def words(self) -> list[str]:
        """The words in their order, for rules that compare runs of them."""
        return split_words(self.lowered)

    def has_any(self, needles: tuple[str, ...]) -> bool:
        """Return whether the text has one of these strings in lower case."""
        pieces = _longest_pieces(needles)
        if not any(map(self.vocabulary.__contains__, pieces)):
            return False
        return pieces is needles or any(map(self.lowered.__contains__, needles))


@cache
def _longest_pieces(needles: tuple[str, ...]) -> tuple[str, ...]:
    """Return the longest piece of each string between white space; the strings themselves if none has any."""
    if not any(needle.split() != [needle] for needle in needles):
        return needles
    return tuple(max(needle.split(), key=len, default="") for needle in needles)


class SearchablePairs(tuple[Pair, ...]):
    """The pairs of an answer, with their texts in a form that all rules search."""

    @cached_property
    def text(self) -> SearchableText:
        """All texts in one string, in lower case and with straight apostrophes."""
        texts = [text for pair in self for text in (pair.instruction, pair.answer)]
        return SearchableText(straighten_apostrophes("\n".join(texts).lower()))


def searchable(pairs: Sequence[Pair]) -> SearchableText:
    """Return all texts of the pairs in one string; it is made once for all rules that `clean` applies."""
    return (pairs if isinstance(pairs, SearchablePairs) else SearchablePairs(pairs)).text


def _could_match(rule: Repair | Mend | Reject | Check, pairs: SearchablePairs) -> bool:
    return not rule.needs or pairs.text.has_any(rule.needs)


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
