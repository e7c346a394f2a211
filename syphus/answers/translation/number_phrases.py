"""Finds phrases that contain numbers, by the table of the language: times, fractions, dozens, decades."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from syphus.answers.translation.number_reader import (
    AS_DIGITS,
    END,
    IN_WORDS,
    POINT,
    characters_as_digits,
    words_as_digits,
    words_of,
)
from syphus.answers.translation.number_words import CLOCKS, ENGLISH, NUMBER_WORDS, Kind, NumberGrammar, Script

_W, _D = "[\ue000-\ue009]", "[\\d\ue000-\ue009]"
_SPACE = "[ \u00a0\u202f\u2011-]"
_PLACES = {
    "h": rf"(?<![\d.,:\ue000-\ue00a])(?P<h>{_D}{{1,2}})(?!{_D}){END}?",
    "hw": rf"(?<!{_D})(?P<h>{_W}{{1,2}}){END}?(?!{_D})",
    "m": rf"(?<!{_D})(?P<m>{_D}{{1,2}})(?!{_D}){END}?",
    "mw": rf"(?<!{_D})(?P<m>{_W}{{2}}){END}?(?!{_D})",
    "n": rf"(?<![\d.,:\ue000-\ue00a])(?P<n>\d+(?:[.,]\d+)?|{_W}+(?:{POINT}{_W}+)?)(?!{_D}){END}?",
    "a": rf"(?<!{_D})(?P<a>{_D}+)(?!{_D}){END}?",
    "b": rf"(?<!{_D})(?P<b>{_D}+)(?!{_D}){END}?",
    "q": rf"(?<!{_D})(?P<q>{_D})(?!{_D}){END}?",
}
_TEMPLATE = re.compile(r"\[[^\]]{0,200}\]| |~|\{([a-z]+)\}")
_DIGITAL = (Kind.AFTER, r"(?<![\d:.,])(?P<h>\d{1,2}):(?P<m>\d{2})(?![\d:]|[.,]\d)")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase with numbers: its times in minutes of the day, and its values; any of them may be meant.

    `whole` is the number without its fraction. `remaining` is the percentage of the price that a discount leaves.
    `has_half` says that it names the half of the day. `digital` is 3:30.
    """

    kind: Kind
    text: str
    start: int
    end: int
    clocks: frozenset[int] = frozenset()
    values: frozenset[float] = frozenset()
    whole: float = -1.0
    remaining: float = -1.0
    has_half: bool = False
    digital: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A text with its number words as digits, its phrases, the parts of larger numbers, and the loose words' values."""

    text: str
    phrases: tuple[Phrase, ...]
    parts: frozenset[float]
    loose: frozenset[float]


def read_text(text: str, grammar: NumberGrammar, with_phrases: bool = True) -> Reading:
    """Read the numbers in words of a text with ASCII digits, and its phrases where they are wanted."""
    parts: set[float] = set()
    loose: set[float] = set()
    if grammar.script is Script.HAN or grammar.script is Script.KOREAN:
        loose = {value for word, value in grammar.loose.items() if word in text}
        text = characters_as_digits(text, grammar.script)
    else:
        text = words_as_digits(text, grammar, parts, loose)
    compiled = _compiled(id(grammar))
    phrases = tuple(_find_phrases(text, grammar)) if with_phrases and compiled.context.search(text) else ()
    return Reading(text, phrases, frozenset(parts), frozenset(loose))


def word_values(text: str, grammar: NumberGrammar) -> set[float]:
    """Return the values of all number words in a text, with those of the parts of larger numbers."""
    reading = read_text(text, grammar)
    return words_of(reading.text) | reading.parts | reading.loose


# Phrases that contain the numbers of a text.


class _Compiled:
    """The patterns and the lookup of a grammar."""

    __slots__ = ("context", "early", "late", "phrases", "scales")

    def __init__(self, grammar: NumberGrammar) -> None:
        self.phrases = tuple(
            (kind, _compile(pattern), _needed_words(pattern)) for kind, pattern in (_DIGITAL, *grammar.phrases)
        )
        self.context = re.compile(grammar.context)
        self.early, self.late = (
            (
                re.compile(rf"[ \u00a0\u202f,]{{0,2}}(?:uhr )?(?:{pattern})", re.IGNORECASE),
                re.compile(rf"(?:{pattern})[ \u00a0]?(?:um |の|의 )?$", re.IGNORECASE),
            )
            for pattern in (grammar.early or r"(?!)", grammar.late or r"(?!)")
        )
        longest = sorted(grammar.scales, key=len, reverse=True)
        if grammar.script is Script.HAN:
            end = "(?![克米瓦卡分])"  # 千克 and 千米 are units, 百分 is a percentage
        else:
            end = "" if any(len(each) == 1 and not each.isascii() for each in longest) else r"(?!\w)"
        self.scales = re.compile(rf"[ \u00a0\u202f]?({'|'.join(map(re.escape, longest))}){end}", re.IGNORECASE)


_COMPILED: dict[int, _Compiled] = {}


def _compiled(key: int) -> _Compiled:
    if key not in _COMPILED:
        grammar = next(each for each in (ENGLISH, *NUMBER_WORDS.values()) if id(each) == key)
        _COMPILED[key] = _Compiled(grammar)
    return _COMPILED[key]


def scale_pattern(grammar: NumberGrammar) -> re.Pattern[str]:
    """Return the pattern of the scale words after a number in digits."""
    return _compiled(id(grammar)).scales


def may_have_phrases(text: str, grammar: NumberGrammar) -> bool:
    """Return whether a text may have a phrase of the language."""
    text = text.lower()
    return any(word in text for word in grammar.hint)


def _compile(pattern: str) -> re.Pattern[str]:
    spaces = {" ": _SPACE, "~": "[ \u00a0\u202f]?"}
    return re.compile(
        _TEMPLATE.sub(lambda found: _PLACES[found[1]] if found[1] else spaces.get(found[0], found[0]), pattern)
    )


_NAMED = re.compile(r"\(\?P<(?:f2?|u)>([^()]*)\)(?!\?)")
_OPTIONAL = re.compile(
    r"\\.|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\??|\[[^\]]{0,200}\]|\{[^}]{0,40}\}|\w\?"
)  # or of several forms
_ONE_OF = re.compile(r"\}~?\[([^\W\d_]+)\](?![?*])")
_LITERAL = re.compile(r"[^\W\d_]+(?!\?)")


def _needed_words(pattern: str) -> tuple[str, ...]:
    """Return words of which every matching text has one, for a quicker search first; () if there are no such words."""
    words: list[str] = []
    for part in re.split(r"\|(?![^(]*\))", pattern):
        if alternatives := _NAMED.search(part):
            literals = [_LITERAL.match(each) for each in alternatives[1].split("|")]
            found = [literal[0] for literal in literals if literal]
            found = found if len(found) == len(literals) else []
        else:
            found = sorted(_LITERAL.findall(_OPTIONAL.sub(" ", part)), key=len)[-1:]
            found = found or [each for characters in _ONE_OF.findall(part) for each in characters]
        if not found:
            return ()
        words += found
    return tuple(words)


def _find_phrases(text: str, grammar: NumberGrammar) -> Iterator[Phrase]:
    """Yield the phrases of a text whose number words are digits; none of them overlap."""
    compiled = _compiled(id(grammar))
    taken: list[tuple[int, int]] = []
    lowered = text.lower()
    lowered = lowered if len(lowered) == len(text) else text
    for kind, pattern, needed in compiled.phrases:
        if needed and not any(word in lowered for word in needed):
            continue
        for found in pattern.finditer(lowered):
            start, end = found.span()
            if any(start < other_end and other_start < end for other_start, other_end in taken):
                continue
            half = _day_half(text, start, end, compiled) if kind in CLOCKS else ""
            phrase = _read_phrase(kind, found, grammar, half)
            if phrase.clocks or phrase.values:
                taken.append((start, end))
                yield phrase
    for found in IN_WORDS.finditer(text):
        if POINT in found[0] and not any(start <= found.start() < end for start, end in taken):
            value = float(found[0].translate(AS_DIGITS))
            yield Phrase(Kind.MIXED, f"{value:g}", *found.span(), values=_spans_of(value), whole=float(int(value)))


def _day_half(text: str, start: int, end: int, compiled: _Compiled) -> str:
    for name, (after, before) in (("early", compiled.early), ("late", compiled.late)):
        if after.match(text, end) or before.search(text[max(0, start - 12) : start]):
            return name
    return ""


def _value(found: dict[str, str | None], name: str) -> float | None:
    written = found.get(name)
    return float(written.translate(AS_DIGITS).replace(",", ".")) if written else None


def _spans_of(value: float) -> frozenset[float]:
    """Return what a value with a fraction may be in other units: 1.5 hours are 90 minutes, half a year is 6 months."""
    return frozenset(round(value * factor, 3) for factor in (1, 60, 12) if factor == 1 or value <= 5)


def _read_phrase(kind: Kind, found: re.Match[str], grammar: NumberGrammar, half: str) -> Phrase:
    groups = found.groupdict()
    fraction = grammar.fractions.get(((groups.get("f") or groups.get("f2")) or "").lower())
    text = found[0].translate(AS_DIGITS).strip()
    phrase = Phrase(kind, text, *found.span())
    if kind in CLOCKS or kind is Kind.POINT:
        return _read_clock(phrase, groups, fraction or 0.0, half)
    number = _value(groups, "n")
    values: set[float] = set()
    whole = remaining = -1.0
    if kind is Kind.MIXED and fraction is not None:
        whole = number if number is not None else 2.0 if groups.get("two") else 1.0
        unit = next((scale for scale in (1e9, 1e6) if whole >= scale), 1.0)  # un million et demi
        values |= _spans_of(whole + unit * fraction * (_value(groups, "a") or 1))
    elif kind is Kind.SHARE:
        values |= _share(groups, fraction)
    elif kind is Kind.GROUP:
        unit = grammar.groups.get((groups["u"] or "").lower(), 0.0)
        values.add(unit * (fraction or (1.0 if number is None else number)))
    elif kind is Kind.DECADE:
        decade = number if number is not None else grammar.groups.get((groups.get("u") or "").lower(), 5.0)
        values |= {decade % 100} if decade % 10 == 0 and decade % 100 >= 10 else set()
    elif kind is Kind.OFF and number is not None:
        remaining = number * 10 if number <= 10 else number
        values |= {100 - remaining}
    elif kind is Kind.TENTHS and number is not None:
        values |= {number * 10, number / 10}
    return Phrase(kind, text, *found.span(), values=frozenset(values - {0.0}), whole=whole, remaining=remaining)


def _share(groups: dict[str, str | None], fraction: float | None) -> set[float]:
    above, below, quarters = _value(groups, "a"), _value(groups, "b"), _value(groups, "q")
    if quarters is not None:
        value = quarters / 4
    elif below is not None:
        value = (above or 1) / below if below > 2 or (above or 1) > below > 1 else 0.0
        if value > 1:
            return {round(value, 3)}  # three halves, where somebody has turned two thirds around
    else:
        value = (above or 1) * (fraction or 0.0)
    if not 0 < value <= 1:
        return set()
    rough = {round(value * 100)} if abs(value * 3 % 1) < 0.01 else set()
    return {round(value, 3), round(value * 100, 3), *rough, *_spans_of(value)}


def _read_clock(phrase: Phrase, groups: dict[str, str | None], fraction: float, half: str) -> Phrase:
    hour, minutes, quarters = _value(groups, "h"), _value(groups, "m"), _value(groups, "q")
    kind = phrase.kind
    hour = 12.0 if hour is None else hour  # midi, minuit
    if hour > 24 or (minutes or 0) >= 60:
        return phrase
    values: set[float] = set()
    offset = fraction * 60
    if kind is Kind.UNTIL:
        around = (minutes or 0) * (-1 if groups.get("s") == "vor" else 1) if groups.get("s") else 0
        offset = (0.75 * 60 if quarters == 3 or phrase.text.lower().startswith("drei") else offset) - 60 + around
    elif kind is Kind.BEFORE:
        offset = -(offset + (minutes or 0) + 15 * (quarters or 0))
    elif kind is Kind.POINT and minutes is not None:
        values |= {hour + minutes / 10 ** len(groups["m"] or ""), hour + minutes / 100}
        offset = minutes
    else:
        offset += (minutes or 0) * (-1 if (groups.get("s") or "").startswith("الا") else 1) + 15 * (quarters or 0)
        if kind is Kind.AFTER_OR_MIXED:
            values |= _spans_of(hour + fraction)
        elif kind is Kind.HOUR and not half:
            values |= {hour, hour + 12 if hour <= 12 else hour - 12}
    day = round(60 * hour + offset)
    if hour > 12 or hour == 0:
        clocks = {day % 1440}
    elif half and hour != 12:
        clocks = {day % 720 + (720 if half == "late" else 0)}
    else:
        clocks = {day % 1440, (day + 720) % 1440}
    clocks = clocks if kind is not Kind.POINT or (minutes or 0) >= 10 else set()
    known = hour > 12 or bool(half and hour != 12)
    digital = phrase.text.replace(":", "").isdecimal()
    span = (phrase.start, phrase.end)
    return Phrase(kind, phrase.text, *span, frozenset(clocks), frozenset(values), hour, -1.0, known, digital)
