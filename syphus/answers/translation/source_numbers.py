"""The numbers of an English source text, with all possible values of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from syphus.answers.translation.number_phrases import Reading, read_text
from syphus.answers.translation.number_reader import TIME, as_number, words_of
from syphus.answers.translation.number_words import ENGLISH, Kind

_ENGLISH_NUMBER = re.compile(
    r"(?P<digits>\d+(?:[.,]\d+)*)"
    r"(?:[ -]?(?P<scale>thousand|million|billion|trillion|hundred|k|M|bn)(?![A-Za-z]))?(?P<decade>s\b)?"
)
_DATE = re.compile(r"(?<!\d)(?:\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4})(?!\d)")
_FRACTION = re.compile(r"(?<![\d/])([1-9])/([2-9])(?![\d/])")
_DAY_HALF = re.compile(r"\d\s?[ap]\.?m\b|\b(?:afternoon|evening|night|noon|morning|o'clock)\b", re.I)
_DAY_HALF_FOLLOWS = re.compile(r"\s?(?:[ap]\.?m\b|o'clock)", re.I)
_WORD = re.compile(r"[a-z]+|[,.;:!?()]")
_MONTHS = 12

#: English words that may become these numbers in digits in a translation.
POSSIBLE_VALUES: dict[str, tuple[float, ...]] = {
    "a": (1,), "an": (1,), "second": (2,), "half": (0.5, 2, 30, 50), "quarter": (15, 4, 25, 0.25, 3, 45, 75, 0.75),
    "quarters": (3, 4, 0.75, 75), "third": (3,), "thirds": (2, 3), "dozen": (12,), "dozens": (10, 12),
    "couple": (2,), "pair": (2,), "both": (2,), "double": (2,), "doubles": (2,), "twin": (2,), "twins": (2,),
    "triple": (3,),
    "noon": (12,), "midday": (12,), "midnight": (0, 12, 24), "eve": (24,), "january": (1,), "february": (2,),
    "march": (3,), "april": (4,), "may": (5,), "june": (6,), "july": (7,), "august": (8,), "september": (9,),
    "october": (10,), "november": (11,), "december": (12,), "hundreds": (100,),
    "thousands": (1000,), "millions": (1e6, 100, 1e4), "zero": (0,), "other": (1,), "else": (1,),
    "jan": (1,), "feb": (2,), "mar": (3,), "apr": (4,), "jun": (6,), "jul": (7,), "aug": (8,), "sep": (9,),
    "sept": (9,), "oct": (10,), "nov": (11,), "dec": (12,), "trio": (3,), "decade": (10,), "decades": (10,),
    "twenties": (20,), "thirties": (30,), "forties": (40,), "fifties": (50,), "sixties": (60,), "seventies": (70,),
    "eighties": (80,), "nineties": (90,), "only": (1,), "each": (1,), "same": (1,), "another": (1,),
    "someone": (1,), "alone": (1,), "last": (1,), "fortnight": (2, 14, 15), "foot": (30, 0.3), "inch": (2.5, 2, 3),
    "mile": (1.6, 1.5, 2), "yard": (90, 1, 0.9), "teens": (10,), "teenager": (10,), "halfway": (0.5, 50),
    "week": (7, 8), "trillion": (1e12,), "quartet": (4,), "century": (100,),
}  # fmt: skip


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
    start: int = -1  #: where it is in the text

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
    times that a value is there, in digits and in words. `romans` are those of Roman numerals. `times` are times of day
    such as 3:05. `phrases` are those with numbers ("half past three"); `plain` says that they are all like "3:05",
    so that digits are enough to compare them.
    """

    __slots__ = ("counts", "digits", "parts", "phrases", "plain", "possible", "romans", "text", "times", "words")

    def __init__(self, text: str) -> None:
        words = _WORD.findall(text.lower())
        has_digits = bool(_DIGIT.search(text))
        if has_digits or not _NUMERIC.isdisjoint(words):
            reading = read_text(text, ENGLISH)
        else:
            reading = Reading(text, (), frozenset(), frozenset())
        self.phrases = reading.phrases
        self.parts = reading.parts
        self.counts: Counter[float] = Counter(words_of(reading.text))
        self.romans = frozenset(map(float, roman_numerals(text)))
        if any(value > 1 for value in self.romans):
            self.counts.update(value for value in map(float, roman_numerals(text, _SURE_ROMAN)) if value > 1)
        if self.phrases:
            self._count_phrases(reading.text)
        self.words = frozenset(self.counts) - {as_number(each) for each in _IDIOM.findall(reading.text) if self.counts}
        if any(phrase.kind is Kind.GROUP for phrase in self.phrases):
            rough = not _ROUGHLY.isdisjoint(words)  # half a dozen are not twelve, and only about a dozen may be ten
            words = ["dozens" if rough else "" if word == "dozen" else word for word in words]
        self.possible = _possible_values(words, self.words) | self.romans
        self.possible |= {value for phrase in self.phrases for value in phrase.values}
        self.times: tuple[str, ...] = ()
        self.digits: tuple[Number, ...] = ()
        if has_digits:
            self.times = tuple(found[0] for found in TIME.finditer(text))
            self.digits = tuple(_read_digits(reading.text))
            self.possible |= {number.century for number in self.digits if number.is_decade}
            self.counts.update(value for number in self.digits for value in number.possible_values(False))
            self.possible |= _converted(reading.text)
        elif self.words:
            self.possible |= _converted(reading.text)
        self.plain = all(phrase.digital and not phrase.has_half for phrase in self.phrases)
        self.text = text

    def _count_phrases(self, text: str) -> None:
        """Count "two dozen" as 24 instead of 2, and neither number of "two thirds"."""
        for phrase in self.phrases:
            if phrase.kind in _OF_A_VALUE:
                self.counts.subtract(words_of(text[phrase.start : phrase.end]))
            if phrase.kind is Kind.GROUP:
                self.counts.update(phrase.values)
        self.counts = +self.counts

    @property
    def has_fractions(self) -> bool:
        """Whether something in the text may be a half or a quarter."""
        fractions = (value % 1 or value in _MINUTES for number in self.digits for value in number.values)
        return bool(_HAS_FRACTION.search(self.text)) or any(fractions)

    @property
    def discount(self) -> bool:
        """Whether a price is reduced."""
        return bool(_DISCOUNT.search(self.text))


_OF_A_VALUE = frozenset({Kind.GROUP, Kind.MIXED, Kind.SHARE})
_NUMERIC = ENGLISH.values.keys() | ENGLISH.fractions.keys() | ENGLISH.groups.keys()
_DIGIT = re.compile(r"\d")
_IDIOM = re.compile(r"([\ue000-\ue009]+)-\1(?![\ue000-\ue009])")  # fifty-fifty
_HAS_FRACTION = re.compile(r"half|halves|quarter|third|fifteen|thirty|forty-five|[½¼¾]", re.I)
_MINUTES = frozenset({15.0, 30.0, 45.0})
_DISCOUNT = re.compile(r"\b(?:off|discount\w*|reduc\w+|cheaper|less|sav(?:e|es|ing|ings)|sale)\b", re.I)
_ROMAN = re.compile(r"[IVXLC](?<![^\W\d_].)[IVXLC]*(?=e\b|er\b|ème\b|\b)")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_ROUGHLY = frozenset(("about", "around", "roughly", "some", "nearly", "almost", "approximately", "over", "so", "than"))
_UNIT = re.compile(
    r"(?<![\d.,\ue000-\ue00a])([\d.,\ue000-\ue00a]++)[ -]?(%|percent|per cent|minutes?|months?|weeks?|hours?)"
)


_SURE_ROMAN = re.compile(r"(?<![^\W\d_])(?=[IVX]{2})X{0,3}(?:IX|IV|V?I{0,3})(?!\w)")  # XL is a size, and CD no number


def roman_numerals(text: str, pattern: re.Pattern[str] = _ROMAN) -> Iterable[int]:
    """Yield the values of the Roman numerals of a text."""
    for found in pattern.findall(text):
        values = [_ROMAN_VALUES[c] for c in found]
        yield sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


def _converted(text: str) -> set[float]:
    """Return the values that numbers have in other units of time: 90 minutes are 1.5 hours, two weeks 14 or 15 days."""
    values: set[float] = set()
    for written, unit in _UNIT.findall(text):
        value = as_number(written)
        if value is None:
            continue
        if unit.startswith(("%", "per")):
            values.add(round(value / 100, 6))
        elif unit.startswith("minute") and value % 15 == 0:
            values.add(value / 60)
        elif unit.startswith("month") and value % 6 == 0:
            values.add(value / 12)
        elif unit.startswith("week"):
            values |= {value * 7, value * 7 + 1}
        elif unit.startswith("hour"):
            values |= {value / 24} if value % 24 == 0 else {value * 60} if value % 1 else set()
    return values


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
            scale = ENGLISH.scales.get((found["scale"] or "").lower(), 1.0)
            of_a_date = any(start <= found.start() < end for start, end in dates) and value <= _MONTHS
            decade = bool(found["decade"])
            yield Number(written, frozenset(values), scale, of_a_time, of_a_date, decade, start=found.start())


def _split_values(digits: str) -> list[tuple[str, float]]:
    """Return the numbers in digits: commas group thousands, a point begins the decimals, all others are separators."""
    plain = digits.replace(",", "")
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?", digits):
        return [(digits, round(float(plain), 6))]
    return [(part, float(part)) for part in re.split("[.,]", digits)]
