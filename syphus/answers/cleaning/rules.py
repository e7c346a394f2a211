"""The kinds of cleaning rule, and how they are applied. Every rule has a name.

MIMIC-IT's authors clean by hand (arXiv 2305.03726v2, 5.3): they look for error patterns in each dataset, repair what
regular expressions can ("the user (you)" becomes "you"), and ask for the rest again. Here the patterns are data of the
plugin. Every match is counted under the name of its rule. A rejected answer is asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache, partial
from typing import Literal, NamedTuple

from syphus.answers.cleaning.sent_texts import NOTHING_SENT, SentTexts, split_words
from syphus.types import Pair, Query

Part = Literal["instruction", "answer", "both"]
Words = tuple[str, ...]

#: Letters that a pattern without case takes for "i" or "s", and `str.lower` does not.
LIKE_ASCII = ("\u0131", "\u0307", "\u017f")
# What a rule was worth on answers that it was not made with: `make quality` measures it on the test part of
# `benchmarks/corpus/`. One that is worse than these bounds belongs into `WARNING_RULES`: what it finds is a doubt. A
# test compares.
MOST_FALSE_ALARMS = 0.02  #: of the sound answers
LEAST_PRECISION = 0.75  #: of the finds, half of the corpus being sound
WARNING_RULES: frozenset[str] = frozenset()

_MAX_SHOWN = 60  # characters of a match that are shown
_MOST_WORDS, _LONGEST_WORD = 20_000, 40  # that are remembered: enough for nearly all words of a run


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may look at besides the pairs: the query, and the texts that were sent with it.

    `asked` is the user turn, if it differs from the text of the query. `scripts` are the scripts that the prompt shows
    answers in; without any, answers may be in every script. `asked_pairs` are the least and the most pairs that the
    prompt asks for (0 and None for no bound). `ends_sentences` says that all texts of the examples end as sentences do.
    """

    query: Query
    sent: SentTexts = NOTHING_SENT
    asked: str = ""
    scripts: frozenset[str] = frozenset()
    asked_pairs: tuple[int, int | None] = (0, None)
    ends_sentences: bool = False


class OneOfEach(NamedTuple):
    """Something that a match needs if one string is not enough: one of each of these groups of strings."""

    groups: tuple[Words, ...]


Need = str | re.Pattern[str] | OneOfEach
Needs = tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Repair:
    """Replaces every match of `pattern`, ignoring case, by `replacement`, as in `re.sub`.

    `needs` is an optional speed-up: every possible match contains at least one of these, in lower case and with
    straight apostrophes. Each is a string, a pattern for a part of one word, or a `OneOfEach`. Nearly every answer has
    none of them, and then the rule costs nothing: all rules together look once at each word, however often it comes.
    """

    name: str
    pattern: str
    replacement: str
    part: Part = "both"
    needs: Needs = ()


@dataclass(frozen=True, slots=True)
class Mend:
    """A repair in code: `mend` returns the pairs and how many places it changed. `needs` is as in `Repair`."""

    name: str
    mend: Callable[[Sequence[Pair], Context], tuple[tuple[Pair, ...], int]]
    needs: Needs = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """Makes the answer invalid where `pattern` matches. Case is ignored unless `exact` is set.

    The pattern sees the text with straight apostrophes. `needs` is as in `Repair`.
    """

    name: str
    pattern: str
    part: Part = "both"
    exact: bool = False
    needs: Needs = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A rejection in code: `find` yields the place of each fault ("answer 2: 1987"), or "" for the whole answer.

    A place that is a `Doubt` rejects nothing. `needs` is as in `Repair`.
    """

    name: str
    find: Callable[[Sequence[Pair], Context], Iterable[str]]
    needs: Needs = ()


class Doubt(str):
    """A place where a rule has found what may be a fault, or not: the answer is kept, and a judge looks at it first."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Drop:
    """Leaves pairs out: `find` yields the index (from 0) of each and its place. The others are kept if they are enough.

    With fewer than `least` pairs left, the answer is invalid. A place that is a `Doubt` leaves no pair out.
    """

    name: str
    find: Callable[[Sequence[Pair], Context], Iterable[tuple[int, str]]]
    least: int = 3


Rule = Repair | Mend | Reject | Check | Drop


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The pairs, repaired and without those left out, and how often each rule changed something.

    `rejections` has the first place of a fault by each rule that rejects, and `doubts` the first by each rule that
    can't decide.
    """

    pairs: tuple[Pair, ...]
    repairs: dict[str, int] = field(default_factory=dict)
    rejections: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)


def clean(pairs: Sequence[Pair], rules: Iterable[Rule], context: Context) -> Cleaned:
    """Apply all repairs in order, leave out what is to be dropped, then collect the rules that reject the rest."""
    return _rule_set(tuple(rules)).clean(pairs, context)


class RuleSet:
    """The rules of a run, prepared for any number of answers."""

    def __init__(self, rules: Iterable[Rule], warnings: frozenset[str] = WARNING_RULES) -> None:
        """Prepare the rules; those named in `warnings` only report doubts."""
        rules = tuple(rules)
        self._warnings = warnings
        self._needs = NeedFinder(need for rule in rules if not isinstance(rule, Drop) for need in rule.needs)
        self._drops = [rule for rule in rules if isinstance(rule, Drop)]
        self._repairs = [
            (self._needs.bits(rule.needs), rule.name, rule.mend if isinstance(rule, Mend) else partial(_repair, rule))
            for rule in rules
            if isinstance(rule, Repair | Mend)
        ]
        self._checks = [
            (self._needs.bits(rule.needs), rule.name, rule.find if isinstance(rule, Check) else partial(_find, rule))
            for rule in rules
            if isinstance(rule, Reject | Check)
        ]

    def clean(self, pairs: Sequence[Pair], context: Context) -> Cleaned:
        """Apply the rules to the pairs of one answer, as the function `clean` does."""
        cleaned = SearchablePairs(pairs)
        found = self._needs.find(cleaned.lowered)
        repairs: dict[str, int] = {}
        for needed, name, mend in self._repairs:
            if found & needed:
                mended, count = mend(cleaned, context)
                if count:
                    cleaned = SearchablePairs(mended)
                    found = self._needs.find(cleaned.lowered)
                    repairs[name] = repairs.get(name, 0) + count
        rejections: dict[str, str] = {}
        doubts: dict[str, str] = {}
        for drop in self._drops:
            dropped: dict[int, str] = {}
            for index, place in drop.find(cleaned, context):
                if place.__class__ is Doubt or drop.name in self._warnings:
                    doubts.setdefault(drop.name, place)
                else:
                    dropped[index] = place
            if dropped:
                if len(cleaned) - len(dropped) < drop.least:
                    rejections.setdefault(drop.name, next(iter(dropped.values())))
                    continue
                cleaned = SearchablePairs(pair for index, pair in enumerate(cleaned) if index not in dropped)
                found = self._needs.find(cleaned.lowered)
                repairs[drop.name] = repairs.get(drop.name, 0) + len(dropped)
        for needed, name, find in self._checks:
            if found & needed:
                for place in find(cleaned, context):
                    if place.__class__ is not Doubt and name not in self._warnings:
                        rejections.setdefault(name, place)
                        break
                    doubts.setdefault(name, place)
        return Cleaned(tuple(cleaned), repairs, rejections, doubts)


def _repair(rule: Repair, pairs: Sequence[Pair], _: Context) -> tuple[tuple[Pair, ...], int]:
    repaired, total = list(pairs), 0
    for index, pair in enumerate(pairs):
        instruction, in_question = _replace(pair.instruction, rule, "answer")
        answer, in_answer = _replace(pair.answer, rule, "instruction")
        if in_question or in_answer:
            repaired[index] = replace(pair, instruction=instruction, answer=answer)
            total += in_question + in_answer
    return tuple(repaired), total


def _replace(text: str, rule: Repair, unless: Part) -> tuple[str, int]:
    """Return the repaired text and the number of replacements. A rule with `part` set to `unless` changes nothing."""
    if rule.part == unless or not _may_match(rule, text):
        return text, 0
    return _compile(rule.pattern, False).subn(rule.replacement, text)


def _find(rule: Reject, pairs: Sequence[Pair], _: Context) -> Iterable[str]:
    pattern = _compile(rule.pattern, rule.exact)
    for place, text in texts_with_places(pairs, rule.part):
        if _may_match(rule, text) and (match := pattern.search(straighten_apostrophes(text))):
            yield describe_match(place, match[0])


def _may_match(rule: Repair | Reject, text: str) -> bool:
    """Return whether a text has one of the strings that every match of the rule has. A pattern counts as found."""
    lowered = _searched(text)
    return not rule.needs or any(need in lowered if isinstance(need, str) else True for need in rule.needs)


_rule_set = lru_cache(maxsize=16)(RuleSet)


class NeedFinder(dict[str, int]):
    """Finds which of many needs a text has. Results are bits, and every text has the bit 1.

    As a dictionary, it has the bits of the words that it has seen. A string with white space has its bit if its longest
    piece is in the word; then the string is searched in the text itself.
    """

    def __init__(self, needs: Iterable[Need]) -> None:
        super().__init__()
        needs = tuple(needs)
        grouped = (word for need in needs if isinstance(need, OneOfEach) for words in need.groups for word in words)
        self._bits = {need: 2 << place for place, need in enumerate(dict.fromkeys((*needs, *grouped)))}
        strings = [(need, bit) for need, bit in self._bits.items() if isinstance(need, str)]
        self._phrases = {bit: need for need, bit in strings if need.split() != [need]}
        self._all_phrases = sum(self._phrases)
        pieces = [(max(need.split(), key=len, default=""), bit) for need, bit in strings]
        self._in_every_text = 1 + sum(bit for piece, bit in pieces if not piece)
        self._pieces = [(piece, bit) for piece, bit in pieces if piece]
        self._any_piece = re.compile("|".join(re.escape(piece) for piece, _ in self._pieces) or r"(?!)")
        self._patterns = [(need, bit) for need, bit in self._bits.items() if isinstance(need, re.Pattern)]
        self._groups = [
            (bit, tuple(map(self.bits, need.groups))) for need, bit in self._bits.items() if isinstance(need, OneOfEach)
        ]

    def bits(self, needs: Needs) -> int:
        """Return the bits of these needs; without needs, the bit 1. A text that a rule matches has at least one."""
        return sum({self._bits[need] for need in needs}) if needs else 1

    def find(self, text: str) -> int:
        """Return the bits of a text in lower case."""
        found = self._in_every_text
        for bits in set(map(self.__getitem__, set(text.split()))):
            found |= bits
        phrases = found & self._all_phrases
        while phrases:
            bit = phrases & -phrases
            phrases -= bit
            if self._phrases[bit] not in text:
                found -= bit
        for bit, groups in self._groups:
            if found & groups[0] and all(found & group for group in groups):
                found |= bit
        return found

    def __missing__(self, word: str) -> int:
        bits = 0
        if self._any_piece.search(word):
            bits = sum(bit for piece, bit in self._pieces if piece in word)
        bits += sum(bit for pattern, bit in self._patterns if pattern.search(word))
        if len(self) < _MOST_WORDS and len(word) <= _LONGEST_WORD:
            self[word] = bits
        return bits


def texts_with_places(pairs: Sequence[Pair], part: Part = "both") -> Sequence[tuple[str, str]]:
    """Return each text of the pairs with its place: ("question 1", ...), ("answer 1", ...), ("question 2", ...)."""
    places = searchable(pairs).places
    return places if part == "both" else places[part == "answer" :: 2]


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


class SearchablePairs(tuple[Pair, ...]):
    """The pairs of an answer, with their texts in the forms that many rules search."""

    @cached_property
    def places(self) -> tuple[tuple[str, str], ...]:
        """Each text with its place, as `texts_with_places` returns them."""
        return tuple(
            text
            for number, pair in enumerate(self, 1)
            for text in ((f"question {number}", pair.instruction), (f"answer {number}", pair.answer))
        )

    @cached_property
    def lowered(self) -> str:
        """All texts in lower case and with straight apostrophes, a record separator between them."""
        return _searched("\x1e".join([text for pair in self for text in (pair.instruction, pair.answer)]))

    @cached_property
    def words(self) -> list[str]:
        """The words in their order, for rules that compare runs of them."""
        return split_words(self.lowered)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """The different words, for rules that look for single ones."""
        return frozenset(self.words)


def searchable(pairs: Sequence[Pair]) -> SearchablePairs:
    """Return the pairs with their texts in other forms, which are made once for all rules that `clean` applies."""
    return pairs if isinstance(pairs, SearchablePairs) else SearchablePairs(pairs)


def _searched(text: str) -> str:
    return straighten_apostrophes(text.lower())


@cache
def _compile(pattern: str, exact: bool) -> re.Pattern[str]:
    return re.compile(pattern, 0 if exact else re.IGNORECASE)
