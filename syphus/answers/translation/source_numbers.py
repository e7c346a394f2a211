"""The numbers of an English text, with all that each can mean."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from syphus.answers.translation.number_words import ENGLISH, PERHAPS

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
_HALF_OF_DAY = re.compile(r"\d\s?[ap]\.?m\b|\b(?:afternoon|evening|night|noon|morning|o'clock)\b", re.I)
_OF_HALF_A_DAY = re.compile(r"\s?(?:[ap]\.?m\b|o'clock)", re.I)
_WORD = re.compile(r"[a-z]+|[,.;:!?()]")
_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Number:
    """A number in digits: how it is written, and all that it can mean; a word behind it multiplies by `scale`."""

    written: str
    values: frozenset[float]
    scale: float = 1.0
    of_a_time: bool = False
    of_a_date: bool = False  #: "2023-06-07", whose month may become a word
    vague: bool = False  #: "in his 20s", "the 1950s", for which many languages have a word of its own
    doubtful: bool = False  #: the word behind it may be none that makes it larger

    def meant(self, scaled: bool) -> frozenset[float]:
        """What it can mean; its plain digits as well where the language's own words for scales are not known."""
        if self.scale == 1.0:
            return self.values
        large = frozenset(round(value * self.scale, 6) for value in self.values)
        return large if scaled and not self.doubtful else large | self.values

    @property
    def century(self) -> float:
        """Of a decade: that of the 1950s and of the '50s is the 20th."""
        return max(self.values) // 100 + 1


class SourceNumbers:
    """The numbers of an English text: in digits, in words, and those that its words may become.

    `parts` are numbers that a larger one in words is put together of: 2 and 100 of "two hundred". `counts` is how often
    a value is there, in digits and in words.
    """

    __slots__ = ("counts", "digits", "parts", "perhaps", "times", "words")

    def __init__(self, text: str) -> None:
        small = text.lower()
        words = _WORD.findall(small)
        self.counts, self.parts = _english_words(words)
        self.words = frozenset(self.counts)
        self.perhaps = _perhaps(words, self.words)
        self.times: tuple[str, ...] = ()
        self.digits: tuple[Number, ...] = ()
        if any(c.isdigit() for c in text):
            self.times = tuple(found[0] for found in TIME.finditer(text))
            self.digits = tuple(_english_digits(text))
            self.perhaps |= {number.century for number in self.digits if number.vague}
            self.counts.update(value for number in self.digits for value in number.meant(False))


def _english_words(words: list[str]) -> tuple[Counter[float], frozenset[float]]:
    """Values of number words, "two thousand five hundred" as one, and the parts that such are put together of."""
    values: Counter[float] = Counter()
    parts: set[float] = set()
    before = 0.0  # the number that ends with the last word
    joined = False  # by an "and"
    for word in words:
        value = ENGLISH.get(word, 0.0)
        if word == "and" and before >= 100:
            joined = True
            continue
        if value and before and (whole := _put_together(before, value, joined)):
            parts |= {before, value}
            value = whole
        if value:
            values[value] += 1
        before, joined = value, False
    return Counter({value: n for value, n in values.items() if value not in parts}), frozenset(parts)


def _put_together(before: float, value: float, joined: bool) -> float:
    """The one number that a number and the word behind it are (two hundred; two thousand five, hundred), or 0."""
    if value >= 100:
        multiplied = before % value
        return 0.0 if joined else (before + multiplied * (value - 1) if multiplied else 0.0)
    ends_in = 10 if value < 10 and before % 100 >= 20 else 100
    return before + value if before >= 20 and before % ends_in == 0 else 0.0


def _perhaps(words: list[str], in_words: frozenset[float]) -> set[float]:
    """Numbers that the words may become: 12 from "noon", 2.5 from "two and a half", 4 from "half past three".

    The first floor is the second in countries that call the ground floor so.
    """
    values = {value for word in words if word in PERHAPS for value in PERHAPS[word]}
    if "half" in words:
        values |= {value + more for value in in_words for more in (0.5, 1)}
    if ("to" in words and "quarter" in words) or "floor" in words or "floors" in words:
        values |= {value + more for value in in_words for more in (-1, 1)} | {1}
    return values


def _english_digits(text: str) -> Iterable[Number]:
    halves = bool(_HALF_OF_DAY.search(text))
    times = [found.span() for found in TIME.finditer(text)]
    hours = {start for start, _ in times}
    dates = [found.span() for found in _DATE.finditer(text)]
    for found in _ENGLISH_NUMBER.finditer(text):
        of_a_time = any(start <= found.start() < end for start, end in times)
        hour = found.start() in hours or (halves and not times) or bool(_OF_HALF_A_DAY.match(text, found.end()))
        fraction = _FRACTION.search(text, max(0, found.start() - 2), found.end() + 2)
        for written, value in _english_values(found["digits"]):
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


def _english_values(digits: str) -> list[tuple[str, float]]:
    """A comma groups thousands, a point begins the decimals; anything else ("1,2" "3.11.4") is several numbers."""
    plain = digits.replace(",", "")
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?", digits):
        return [(digits, round(float(plain), 6))]
    return [(part, float(part)) for part in re.split("[.,]", digits)]
