"""Compares the numbers of a translation with those of its source.

1,000 may be written 1.000, 1 000, ١٠٠٠, 一千 or "mil"; "two" may become 2, and 2 may become "dos".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from syphus.answers.translation.number_words import NUMBER_WORDS, NumberWords
from syphus.answers.translation.source_numbers import TIME, Number, SourceNumbers
from syphus.answers.translation.types import Reason

#: Maps digits and separators of other scripts to ASCII.
_TO_ASCII = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹０１２３４５６７８９०१२३४५६७८९٫٬．，：", "0123456789" * 4 + ".,.,:")
_GROUPS = r"\d{1,3}(?:[\u00a0\u202f '’]\d{3})+(?!\d)(?:[.,]\d+)?"
_GAPS = re.compile(r"[\u00a0\u202f '’]")
_POINT = re.compile("[.,]")
_DIGITS = re.compile(rf"{_GROUPS}|\d+(?:[.,]\d+)*")
_MIXED = re.compile(r"(?<![\d.,/])(\d{1,3})(?:[ \u00a0\u202f]([1-9])/([2-9])(?![\d/])|[ \u00a0\u202f]?([½⅓⅔¼¾⅛]))")
_FRACTIONS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅛": "1/8"}
_FRACTION_SIGN = re.compile(rf"[/{''.join(_FRACTIONS)}]")
_FRACTION = re.compile(f"[{''.join(_FRACTIONS)}]")
_ROMAN = re.compile(r"(?<![^\W\d_])[IVXLC]+(?=e\b|er\b|ème\b|\b)")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_LARGEST_WORD = 12  # the largest number that is one word in every language


def normalize_digits(text: str) -> str:
    """Return the text with ASCII digits, and with 1 1/2 and 1½ as 1.5."""
    if not text.isascii():
        text = text.translate(_TO_ASCII)
    if not _FRACTION_SIGN.search(text):
        return text
    return _FRACTION.sub(lambda part: _FRACTIONS[part[0]], _MIXED.sub(_decimal, text))


def _decimal(mixed: re.Match[str]) -> str:
    above, below = (mixed[2], mixed[3]) if mixed[2] else _FRACTIONS[mixed[4]].split("/")
    return f"{int(mixed[1]) + int(above) / int(below):.6g}"


def _readings(digits: str) -> list[frozenset[float]]:
    """Return the numbers that digits stand for, each with all its values: "1.500" is 1500 or 1.5, "1,2,3" are three."""
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


def find_numbers(text: str, words: NumberWords | None) -> list[Number]:
    """Return the numbers in digits of a translation, with the scale words after them (万, mil, Mio.)."""
    numbers: list[Number] = []
    joined = -1
    for found in _DIGITS.finditer(text):
        values = _readings(found[0])
        scale, end = _scale(text, found.end(), words) if words else (1.0, found.end())
        read = [Number(found[0], each) for each in values]
        uncertain = words is not None and text[found.end() : end] in words.ambiguous_scales
        read[-1] = Number(found[0], values[-1], scale, scale_uncertain=uncertain)
        if numbers and joined == found.start() and numbers[-1].scale > 1 and len(read) == 1:
            read = [_sum(numbers.pop(), read[0])]  # 5만 4,320
        numbers += read
        joined = end + 1 if text[end : end + 1] == " " else end
    return numbers


def _scale(text: str, end: int, words: NumberWords) -> tuple[float, int]:
    scale = 1.0
    while found := words.scale_pattern.match(text, end):
        scale, end = scale * words.scales[found[1].lower()], found.end()
        if not words.han:
            break
    return scale, end


def _sum(large: Number, small: Number) -> Number:
    sums = frozenset(a + b for a in large.possible_values(True) for b in small.possible_values(True))
    return Number(f"{large.text} {small.text}", sums)


def compare_numbers(source: SourceNumbers, text: str, code: str) -> list[tuple[Reason, str]]:
    """Return the faults of the numbers of a translation, each with a reason and a detail ("12 is missing")."""
    words = NUMBER_WORDS.get(code)
    translated = find_numbers(text, words)
    if not source.digits and not translated and not source.words:
        return []
    unmatched, new, used = _match_numbers(source.digits, translated, words is not None)
    in_words = words.find_values(text) if words and (unmatched or source.words) else set()
    implicit = words.implicit if words else frozenset({1.0})
    allowed = in_words | {float(each) for each in _roman_numerals(text)} if unmatched else in_words
    if not new:  # otherwise the new number may replace an implicit one, or a month
        allowed = allowed | implicit | {value for number in unmatched if number.is_month for value in number.values}
    missing = [n for n in unmatched if not (n.is_decade and not new) and not _is_expressed_in_words(n, allowed, source)]
    known = source.words | source.possible | used
    new = [number for number in new if not (number.possible_values(False) & known or number.text == "00")]
    faults = [(Reason.TIMES if n.is_time else Reason.NUMBERS, f"{n.text} is missing") for n in missing]
    faults += [(Reason.NUMBERS, f"{n.text} is new") for n in new]
    if words and not faults:
        faults = _find_changed_words(source, translated, in_words, implicit, unmatched)
    return faults or _find_changed_times(source, text)


def _match_numbers(
    source: Iterable[Number], translated: list[Number], scaled: bool
) -> tuple[list[Number], list[Number], frozenset[float]]:
    """Return the numbers without a match in the source and in the translation, and the values that did match."""
    by_value: dict[float, list[int]] = {}
    for place in range(len(translated) - 1, -1, -1):  # in reverse, so that the first place is last in its list
        for value in translated[place].possible_values(scaled):
            by_value.setdefault(value, []).append(place)
    used_places: set[int] = set()
    missing: list[Number] = []
    matched: set[float] = set()
    for number in source:
        values = number.possible_values(scaled)
        places = (_first_free(by_value.get(value, []), used_places) for value in values)
        match = next((place for place in places if place >= 0), -1)
        if match < 0:
            missing.append(number)
        else:
            used_places.add(match)
            matched |= values
    left = [number for place, number in enumerate(translated) if place not in used_places]
    return missing, left, frozenset(matched)


def _first_free(places: list[int], used_places: set[int]) -> int:
    """Return the first free place, or -1; `places` are in reverse order, and used places at their end are removed."""
    while places and places[-1] in used_places:
        places.pop()
    return places[-1] if places else -1


def _is_expressed_in_words(number: Number, allowed: set[float], source: SourceNumbers) -> bool:
    """Return whether a number is expressed in words, by a phrase ("half past"), or as a full hour."""
    if number.possible_values(True) & allowed or (0.5 in allowed and any(value % 1 == 0.5 for value in number.values)):
        return True
    if number.is_time:
        value = next(iter(number.values))
        return value == 0 or (value == 30 and 0.5 in allowed) or (value in (15, 45) and bool({4.0, 0.25} & allowed))
    return bool(number.values & source.possible and len(source.digits) > 1)


def _roman_numerals(text: str) -> Iterable[int]:
    for found in _ROMAN.findall(text):
        values = [_ROMAN_VALUES[c] for c in found]
        yield sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


def _find_changed_words(
    source: SourceNumbers,
    translated: list[Number],
    in_words: set[float],
    implicit: frozenset[float],
    unmatched: list[Number],
) -> list[tuple[Reason, str]]:
    """Return the fault of a "two" that became "three": a number word is missing and another is new.

    Either alone proves nothing. `unmatched` are the numbers in digits that are only in the source.
    """
    in_digits = {value for number in translated for value in number.possible_values(False)}
    gone = {v for v in source.words if 1 < v <= _LARGEST_WORD} - in_words - in_digits - implicit
    if not gone:
        return []
    possible = {value for number in unmatched for value in number.possible_values(False)}
    known = source.words | source.parts | source.possible | possible
    new = {v for v in in_words if 1 < v <= _LARGEST_WORD} - known
    certain = Counter(min(number.values) for number in translated if len(number.values) == 1)
    new |= {v for v, n in certain.items() if v <= _LARGEST_WORD and n > source.counts[v]} - source.possible
    if new:
        return [(Reason.NUMBERS, f"{min(gone):g} is missing, {min(new):g} is new")]
    return []


def _find_changed_times(source: SourceNumbers, text: str) -> list[tuple[Reason, str]]:
    """Return the fault of a 3:05 that became 5:03: the same digits, another time.

    A full hour may be written without minutes ("7 p.m.").
    """
    if not source.times:
        return []
    times = [tuple(map(int, time.split(":"))) for time in source.times]
    allowed = {(hour % 12, *rest) for hour, *rest in times}
    hours = {value % 12 for number in source.digits if not number.is_time for value in number.values}
    for found in TIME.finditer(text):
        hour, *rest = (int(each) for each in found.groups() if each)
        if (hour % 12, *rest) not in allowed and not (hour % 12 in hours and not any(rest)):
            return [(Reason.TIMES, f"{found[0]} is new")]
    return []
