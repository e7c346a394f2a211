"""Finds the numbers in digits of a translation: in the digits of any script, with the scale words after them."""

from __future__ import annotations

import re

from syphus.answers.translation.number_phrases import scale_pattern
from syphus.answers.translation.number_words import NumberGrammar, Script
from syphus.answers.translation.source_numbers import Number

#: Maps digits and separators of other scripts to ASCII.
_TO_ASCII = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹０１２３４５６７８９०१२३४५६७८९٫٬．，：", "0123456789" * 4 + ".,.,:")
_GROUPS = r"\d{1,3}(?:[\u00a0\u202f '’]\d{3})+(?!\d)(?:[.,]\d+)?"
_DIGIT = re.compile(r"\d")
_GAPS = re.compile(r"[\u00a0\u202f '’]")
_POINT = re.compile("[.,]")
_DIGITS = re.compile(rf"{_GROUPS}|\d+(?:[.,]\d+)*")
_MIXED = re.compile(r"(?<![\d.,/])(\d{1,3})(?:[ \u00a0\u202f]([1-9])/([2-9])(?![\d/])|[ \u00a0\u202f]?([½⅓⅔¼¾⅛]))")
_FRACTIONS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅛": "1/8"}
_FRACTION_SIGN = re.compile(rf"[/{''.join(_FRACTIONS)}]")
_FRACTION = re.compile(f"[{''.join(_FRACTIONS)}]")


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


def find_numbers(text: str, words: NumberGrammar | None) -> list[Number]:
    """Return the numbers in digits of a translation, with the scale words after them (万, mil, Mio.)."""
    numbers: list[Number] = []
    if not _DIGIT.search(text):
        return numbers
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


def _scale(text: str, end: int, words: NumberGrammar) -> tuple[float, int]:
    scale = 1.0
    pattern = scale_pattern(words)
    while found := pattern.match(text, end):
        scale, end = scale * words.scales[found[1].lower()], found.end()
        if words.script is not Script.HAN:
            break
    return scale, end


def _sum(large: Number, small: Number) -> Number:
    sums = frozenset(a + b for a in large.possible_values(True) for b in small.possible_values(True))
    return Number(f"{large.text} {small.text}", sums)
