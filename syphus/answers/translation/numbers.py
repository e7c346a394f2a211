"""The same numbers: 1,000 is 1.000, 1 000, ١٠٠٠, 一千 and "mil"; "two" may become 2, and 2 may become "dos"."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from syphus.answers.translation.number_words import NUMBER_WORDS, NumberWords
from syphus.answers.translation.source_numbers import TIME, Number, SourceNumbers
from syphus.answers.translation.types import Reason

#: Digits of other scripts, and the signs that go with them, as ASCII ones.
_TO_ASCII = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹０１２３４５６７８９०१२३४५६७८९٫٬．，：", "0123456789" * 4 + ".,.,:")
_GROUPS = r"\d{1,3}(?:[\u00a0\u202f '’]\d{3})+(?!\d)(?:[.,]\d+)?"
_GAPS = re.compile(r"[\u00a0\u202f '’]")
_POINT = re.compile("[.,]")
_DIGITS = re.compile(rf"{_GROUPS}|\d+(?:[.,]\d+)*")
_MIXED = re.compile(r"(?<![\d.,/])(\d{1,3})(?:[ \u00a0\u202f]([1-9])/([2-9])(?![\d/])|[ \u00a0\u202f]?([½⅓⅔¼¾⅛]))")
_PARTS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅛": "1/8"}
_SLANTED = re.compile(rf"[/{''.join(_PARTS)}]")
_PART = re.compile(f"[{''.join(_PARTS)}]")
_ROMAN = re.compile(r"(?<![^\W\d_])[IVXLC]+(?=e\b|er\b|ème\b|\b)")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_LARGEST_WORD = 12  # up to here a number is one word in every language


def plain_digits(text: str) -> str:
    """The text with the digits of all scripts as ASCII ones, and 1 1/2 and 1½ as 1.5."""
    if not text.isascii():
        text = text.translate(_TO_ASCII)
    if not _SLANTED.search(text):
        return text
    return _PART.sub(lambda part: _PARTS[part[0]], _MIXED.sub(_decimal, text))


def _decimal(mixed: re.Match[str]) -> str:
    above, below = (mixed[2], mixed[3]) if mixed[2] else _PARTS[mixed[4]].split("/")
    return f"{int(mixed[1]) + int(above) / int(below):.6g}"


def _readings(digits: str) -> list[frozenset[float]]:
    """All that digits can mean in some language: "1.500" is 1500 or 1.5, "1,2,3" three numbers."""
    if digits.isdecimal():
        return [frozenset((float(digits),))]
    text = _GAPS.sub("", digits)
    commas, points = text.count(","), text.count(".")
    if not commas and not points:
        return [frozenset({float(text)})]
    if commas and points:
        decimal = "," if text.rfind(",") > text.rfind(".") else "."
        other = "." if decimal == "," else ","
        if text.count(decimal) == 1:
            return [frozenset({round(float(text.replace(other, "").replace(decimal, ".")), 6)})]
    parts = _POINT.split(text)
    grouped = all(len(part) == 3 for part in parts[1:]) and len(parts[0]) <= 3
    if len(parts) == 2:
        decimals = round(float(".".join(parts)), 6)
        return [frozenset({decimals, float("".join(parts))} if grouped else {decimals})]
    return [frozenset({float("".join(parts))})] if grouped else [frozenset({float(part)}) for part in parts]


def translated_digits(text: str, words: NumberWords | None) -> list[Number]:
    """The numbers in digits of a translation, with the words behind them that make them larger (万, mil, Mio.)."""
    numbers: list[Number] = []
    joined = -1
    for found in _DIGITS.finditer(text):
        values = _readings(found[0])
        scale, end = _scale(text, found.end(), words) if words else (1.0, found.end())
        made = [Number(found[0], each) for each in values]
        doubtful = words is not None and text[found.end() : end] in words.doubtful
        made[-1] = Number(found[0], values[-1], scale, doubtful=doubtful)
        if numbers and joined == found.start() and numbers[-1].scale > 1 and len(made) == 1:
            made = [_sum(numbers.pop(), made[0])]  # 5만 4,320
        numbers += made
        joined = end + 1 if text[end : end + 1] == " " else end
    return numbers


def _scale(text: str, end: int, words: NumberWords) -> tuple[float, int]:
    scale = 1.0
    while found := words.scale.match(text, end):
        scale, end = scale * words.scales[found[1].lower()], found.end()
        if not words.han:
            break
    return scale, end


def _sum(large: Number, small: Number) -> Number:
    sums = frozenset(a + b for a in large.meant(True) for b in small.meant(True))
    return Number(f"{large.written} {small.written}", sums)


def unlike_numbers(source: SourceNumbers, text: str, code: str) -> list[tuple[Reason, str]]:
    """What became of the numbers: those missing and those new, each with its reason and a word on it."""
    words = NUMBER_WORDS.get(code)
    there = translated_digits(text, words)
    if not source.digits and not there and not source.words:
        return []
    alone, extra, used = _pair_up(source.digits, there, words is not None)
    in_words = words.found(text) if words and (alone or source.words) else set()
    silent = words.silent if words else frozenset({1.0})
    allowed = in_words | {float(each) for each in _romans(text)} if alone else in_words
    if not extra:  # else that may be what has become of one that seems to be silent, or a month
        allowed = allowed | silent | {value for number in alone if number.of_a_date for value in number.values}
    missing = [n for n in alone if not (n.vague and not extra) and not _in_words(n, allowed, source)]
    known = source.words | source.perhaps | used
    extra = [number for number in extra if not (number.meant(False) & known or number.written == "00")]
    faults = [(Reason.TIMES if n.of_a_time else Reason.NUMBERS, f"{n.written} is missing") for n in missing]
    faults += [(Reason.NUMBERS, f"{n.written} is new") for n in extra]
    if words and not faults:
        faults = _changed_words(source, there, in_words, silent, alone)
    return faults or _changed_times(source, text)


def _pair_up(
    source: Iterable[Number], there: list[Number], scaled: bool
) -> tuple[list[Number], list[Number], frozenset[float]]:
    """Numbers without a partner on either side, and all values that found one."""
    by_value: dict[float, list[int]] = {}
    for place in range(len(there) - 1, -1, -1):  # so that the first of a value is the last of its list
        for value in there[place].meant(scaled):
            by_value.setdefault(value, []).append(place)
    taken: set[int] = set()
    missing: list[Number] = []
    used: set[float] = set()
    for number in source:
        meant = number.meant(scaled)
        partner = next((place for value in meant if (place := _first(by_value.get(value, []), taken)) >= 0), -1)
        if partner < 0:
            missing.append(number)
        else:
            taken.add(partner)
            used |= meant
    left = [number for place, number in enumerate(there) if place not in taken]
    return missing, left, frozenset(used)


def _first(places: list[int], taken: set[int]) -> int:
    """The first place that is not taken, or -1; `places` end with the first one, and lose those that are taken."""
    while places and places[-1] in taken:
        places.pop()
    return places[-1] if places else -1


def _in_words(number: Number, allowed: set[float], source: SourceNumbers) -> bool:
    """Whether a number is there after all: in words, as a part of a phrase ("half past"), or as a full hour."""
    if number.meant(True) & allowed or (0.5 in allowed and any(value % 1 == 0.5 for value in number.values)):
        return True
    if number.of_a_time:
        value = next(iter(number.values))
        return value == 0 or (value == 30 and 0.5 in allowed) or (value in (15, 45) and bool({4.0, 0.25} & allowed))
    return bool(number.values & source.perhaps and len(source.digits) > 1)


def _romans(text: str) -> Iterable[int]:
    for found in _ROMAN.findall(text):
        values = [_ROMAN_VALUES[c] for c in found]
        yield sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


def _changed_words(
    source: SourceNumbers, there: list[Number], in_words: set[float], silent: frozenset[float], alone: list[Number]
) -> list[tuple[Reason, str]]:
    """A "two" that became "three": one number word is missing and another is new. Either alone proves nothing.

    `alone` are numbers of the source in digits that are not in digits in the translation.
    """
    in_digits = {value for number in there for value in number.meant(False)}
    gone = {v for v in source.words if 1 < v <= _LARGEST_WORD} - in_words - in_digits - silent
    if not gone:
        return []
    known = source.words | source.parts | source.perhaps | {v for number in alone for v in number.meant(False)}
    new = {v for v in in_words if 1 < v <= _LARGEST_WORD} - known
    certain = Counter(min(number.values) for number in there if len(number.values) == 1)
    new |= {v for v, n in certain.items() if v <= _LARGEST_WORD and n > source.counts[v]} - source.perhaps
    if new:
        return [(Reason.NUMBERS, f"{min(gone):g} is missing, {min(new):g} is new")]
    return []


def _changed_times(source: SourceNumbers, text: str) -> list[tuple[Reason, str]]:
    """3:05 that became 5:03: the same digits, in another time. A full hour may be a number alone ("7 p.m.")."""
    if not source.times:
        return []
    wanted = {tuple(map(int, time.split(":"))) for time in source.times}
    near = {(hour % 12, *rest) for hour, *rest in wanted}
    hours = {value % 12 for number in source.digits if not number.of_a_time for value in number.values}
    for found in TIME.finditer(text):
        hour, *rest = (int(each) for each in found.groups() if each)
        if (hour % 12, *rest) not in near and not (hour % 12 in hours and not any(rest)):
            return [(Reason.TIMES, f"{found[0]} is new")]
    return []
