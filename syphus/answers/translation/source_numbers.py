"""The numbers of an English source text, with all possible values of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from syphus.answers.translation.number_words import ENGLISH_NUMBER_WORDS, POSSIBLE_VALUES

_ENGLISH_NUMBER = re.compile(
    r"(?P<digits>\d+(?:[.,]\d+)*)"
    r"(?:[ -]?(?P<scale>thousand|million|billion|trillion|hundred|k|M|bn)(?![A-Za-z]))?(?P<decade>s\b)?"
)
_ENGLISH_SCALES = {
    "hundred": 1e2,
    "k": 1e3,
    "thousand": 1e3,
    "m": 1e6,
    "million": 1e6,
    "bn": 1e9,
    "billion": 1e9,
    "trillion": 1e12,
}
TIME = re.compile(r"(?<![\d:])(\d{1,2}):(\d{2})(?::(\d{2}))?(?![\d:])")
_DATE = re.compile(r"(?<!\d)(?:\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4})(?!\d)")
_FRACTION = re.compile(r"(?<![\d/])([1-9])/([2-9])(?![\d/])")
_DAY_HALF = re.compile(r"\d\s?[ap]\.?m\b|\b(?:afternoon|evening|night|noon|morning|o'clock)\b", re.I)
_DAY_HALF_FOLLOWS = re.compile(r"\s?(?:[ap]\.?m\b|o'clock)", re.I)
_WORD = re.compile(r"[a-z]+|[,.;:!?()]")
_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Number:
    """A number in digits: its text and its possible values, which the word after it multiplies by `scale`."""

    text: str
    values: frozenset[float]
    scale: float = 1.0
    is_time: bool = False
    is_month: bool = False  #: may be the month of a date such as 2023-06-07, and become a word
    is_decade: bool = False  #: "in his 20s", "the 1950s", for which many languages have a word
    scale_uncertain: bool = False  #: the word after it may have another meaning

    def possible_values(self, scaled: bool) -> frozenset[float]:
        """Return all values, multiplied by the scale; also the plain ones if the language's scale words are unknown."""
        if self.scale == 1.0:
            return self.values
        large = frozenset(round(value * self.scale, 6) for value in self.values)
        return large if scaled and not self.scale_uncertain else large | self.values

    @property
    def century(self) -> float:
        """The century of a decade: the 20th for the 1950s and the '50s."""
        return max(self.values) // 100 + 1


class SourceNumbers:
    """The numbers of an English text.

    `digits` are those in digits, `words` the values of those in words, and `possible` the values that other words may
    become. `parts` are the parts of larger numbers in words: 2 and 100 in "two hundred". `counts` is the number of
    times that a value is there, in digits and in words. `times` are times of day such as 3:05.
    """

    __slots__ = ("counts", "digits", "parts", "possible", "times", "words")

    def __init__(self, text: str) -> None:
        words = _WORD.findall(text.lower())
        self.counts, self.parts = _read_words(words)
        self.words = frozenset(self.counts)
        self.possible = _possible_values(words, self.words)
        self.times: tuple[str, ...] = ()
        self.digits: tuple[Number, ...] = ()
        if any(c.isdigit() for c in text):
            self.times = tuple(found[0] for found in TIME.finditer(text))
            self.digits = tuple(_read_digits(text))
            self.possible |= {number.century for number in self.digits if number.is_decade}
            self.counts.update(value for number in self.digits for value in number.possible_values(False))


def _read_words(words: list[str]) -> tuple[Counter[float], frozenset[float]]:
    """Return the values of number words, "two thousand five hundred" as one, and the parts of such numbers."""
    values: Counter[float] = Counter()
    parts: set[float] = set()
    before = 0.0  # the value of the number that ends with the last word
    joined = False  # whether an "and" followed it
    for word in words:
        value = ENGLISH_NUMBER_WORDS.get(word, 0.0)
        if word == "and" and before >= 100:
            joined = True
            continue
        if value and before and (whole := _combine(before, value, joined)):
            parts |= {before, value}
            value = whole
        if value:
            values[value] += 1
        before, joined = value, False
    return Counter({value: n for value, n in values.items() if value not in parts}), frozenset(parts)


def _combine(before: float, value: float, joined: bool) -> float:
    """Return the number that two number words form together (two hundred; two thousand five, hundred), or 0."""
    if value >= 100:
        multiplied = before % value
        return 0.0 if joined else (before + multiplied * (value - 1) if multiplied else 0.0)
    ends_in = 10 if value < 10 and before % 100 >= 20 else 100
    return before + value if before >= 20 and before % ends_in == 0 else 0.0


def _possible_values(words: list[str], in_words: frozenset[float]) -> set[float]:
    """Return values that the words may become: 12 from "noon", 2.5 from "two and a half", 4 from "half past three".

    The first floor is the second floor in countries that count the ground floor as the first.
    """
    values = {value for word in words if word in POSSIBLE_VALUES for value in POSSIBLE_VALUES[word]}
    if "half" in words:
        values |= {value + more for value in in_words for more in (0.5, 1)}
    if ("to" in words and "quarter" in words) or "floor" in words or "floors" in words:
        values |= {value + more for value in in_words for more in (-1, 1)} | {1}
    return values


def _read_digits(text: str) -> Iterable[Number]:
    halves = bool(_DAY_HALF.search(text))
    times = [found.span() for found in TIME.finditer(text)]
    hours = {start for start, _ in times}
    dates = [found.span() for found in _DATE.finditer(text)]
    for found in _ENGLISH_NUMBER.finditer(text):
        of_a_time = any(start <= found.start() < end for start, end in times)
        hour = found.start() in hours or (halves and not times) or bool(_DAY_HALF_FOLLOWS.match(text, found.end()))
        fraction = _FRACTION.search(text, max(0, found.start() - 2), found.end() + 2)
        for written, value in _split_values(found["digits"]):
            values = {value}
            if hour and (halves or value > 12) and value <= 24:
                values |= {value + 12 if value < 12 else value - 12}
            if found["decade"]:
                values |= {value % 100, value + 1900} if value < 100 else {value % 100}
            if fraction:
                values.add(round(int(fraction[1]) / int(fraction[2]), 6))
            scale = _ENGLISH_SCALES.get((found["scale"] or "").lower(), 1.0)
            of_a_date = any(start <= found.start() < end for start, end in dates) and value <= _MONTHS
            yield Number(written, frozenset(values), scale, of_a_time, of_a_date, bool(found["decade"]))


def _split_values(digits: str) -> list[tuple[str, float]]:
    """Return the numbers in digits: commas group thousands, a point begins the decimals, all others are separators."""
    plain = digits.replace(",", "")
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?", digits):
        return [(digits, round(float(plain), 6))]
    return [(part, float(part)) for part in re.split("[.,]", digits)]
