"""Compares the numbers of a translation with those of its source.

1,000 may be written 1.000, 1 000, ١٠٠٠, 一千 or "mil"; "two" may become 2, and 2 may become "dos".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from syphus.answers.translation.digits import find_numbers
from syphus.answers.translation.number_phrases import Phrase, Reading, may_have_phrases, read_text
from syphus.answers.translation.number_reader import TIME, words_of
from syphus.answers.translation.number_words import CLOCKS, NUMBER_WORDS, Kind, NumberGrammar
from syphus.answers.translation.source_numbers import Number, SourceNumbers, roman_numerals
from syphus.answers.translation.types import Reason

_LARGEST_WORD = 12  # the largest number that is one word in every language

_Faults = list[tuple[Reason, str]]


def compare_numbers(source: SourceNumbers, text: str, code: str) -> _Faults:
    """Return the faults of the numbers of a translation, each with a reason and a detail ("12 is missing")."""
    grammar = NUMBER_WORDS.get(code)
    translated = find_numbers(text, grammar)
    if not source.digits and not translated and not source.words and not source.phrases:
        return []
    if grammar is None:
        return _compare_read(source, source.digits, text, translated, None, _Matched())
    with_phrases = not source.plain
    if not with_phrases:
        unmatched, new, _ = _match_numbers(source.digits, translated, True)
        with_phrases = bool(unmatched or new) or may_have_phrases(text, grammar)
    counted = [] if with_phrases else [value for value in source.words if value > 1]
    if not with_phrases and not counted:
        return _find_changed_times(source, text)
    reading = read_text(text, grammar, with_phrases)
    if counted and words_of(reading.text).issuperset(counted):
        return _find_changed_times(source, text)
    return _compare_by_grammar(source, text, translated, grammar, reading)


def _compare_by_grammar(
    source: SourceNumbers, text: str, translated: list[Number], grammar: NumberGrammar, reading: Reading
) -> _Faults:
    """Compare phrases first, and then the numbers that are in none of those that agree."""
    matched = _match_phrases(source, reading) if reading.phrases else _Matched(unmatched=list(source.phrases))
    if matched.fault:
        return [matched.fault]
    rest = _without(reading.text, matched.explained)
    digits = tuple(number for at, number in enumerate(source.digits) if at not in matched.digits)
    if rest != text:
        translated = find_numbers(rest, grammar)
    if matched.left and (added := _fraction_added(source, digits, matched.left, translated)):
        return [added]
    faults = _compare_read(source, digits, rest, translated, (grammar, reading), matched)
    return faults or _find_lost_fraction(matched.unmatched, reading, translated, grammar)


@dataclass(slots=True)
class _Matched:
    """What the phrases of a translation say of the source.

    `explained` are those that agree with it, `left` the others, and `unmatched` those of the source without one.
    `digits` are the places of the source's numbers that they stand for, and `values` the values of words. `fault` is a
    phrase that says something else.
    """

    explained: list[Phrase] = field(default_factory=list)
    left: list[Phrase] = field(default_factory=list)
    digits: set[int] = field(default_factory=set)
    values: set[float] = field(default_factory=set)
    unmatched: list[Phrase] = field(default_factory=list)
    fault: tuple[Reason, str] | None = None

    def explain(self, phrase: Phrase, values: Iterable[float]) -> None:
        self.explained.append(phrase)
        self.values.update(values)


def _match_phrases(source: SourceNumbers, reading: Reading) -> _Matched:
    matched = _Matched()
    open_phrases = list(source.phrases)
    alone: list[Phrase] = []
    for phrase in reading.phrases:
        partner = next((each for each in open_phrases if _agree(each, phrase, source.discount)), None)
        if partner is None:
            alone.append(phrase)
            continue
        open_phrases.remove(partner)
        matched.explain(phrase, (*phrase.values, *_values_in(partner), *_values_in(phrase)))
        matched.digits |= {at for at, each in enumerate(source.digits) if partner.start <= each.start < partner.end}
    taken = [(each.start, each.end) for each in open_phrases]
    for phrase in alone:
        at = next((at for at, each in enumerate(source.digits) if at not in matched.digits and _fits(phrase, each)), -1)
        if at >= 0 and not any(start <= source.digits[at].start < end for start, end in taken):
            matched.digits.add(at)
            matched.explain(phrase, (*phrase.values, *_values_in(phrase)))
        elif phrase.values & source.words:
            matched.explain(phrase, (*phrase.values, *_values_in(phrase)))
        else:
            matched.left.append(phrase)
    if matched.left and open_phrases:
        plain = _without(reading.text, reading.phrases)
        values = words_of(plain) | {value for number in find_numbers(plain, None) for value in number.values}
        open_phrases = [each for each in open_phrases if not each.values & values]
    for phrase in tuple(matched.left):
        other = next((each for each in open_phrases if _contradict(each, phrase, source)), None)
        if other:
            reason = Reason.TIMES if other.kind in CLOCKS else Reason.NUMBERS
            matched.fault = (reason, f"{other.text} became {phrase.text}")
        elif phrase.values & source.possible:
            matched.left.remove(phrase)
            matched.explain(phrase, (*phrase.values, *_values_in(phrase)))
    matched.unmatched = open_phrases
    return matched


def _without(text: str, phrases: Iterable[Phrase]) -> str:
    for phrase in sorted(phrases, key=lambda each: -each.start):
        text = f"{text[: phrase.start]} {text[phrase.end :]}"
    return text


def _values_in(phrase: Phrase) -> list[float]:
    """Return the numbers that a phrase is written with."""
    return [float(each) for each in re.findall(r"\d+", phrase.text)]


def _agree(source: Phrase, translated: Phrase, discount: bool) -> bool:
    values = translated.values
    if translated.remaining >= 0 and not discount:
        values = values | {translated.remaining}
    return bool(source.clocks & translated.clocks or source.values & values)


def _fits(phrase: Phrase, number: Number) -> bool:
    """Return whether a phrase stands for a number in digits: its value, or the hour 5 for 17:00."""
    values = number.possible_values(True)
    return bool(phrase.values & values) or any(
        clock % 60 == 0 and clock // 60 % 12 == value % 12 for clock in phrase.clocks for value in values if value <= 24
    )


_FRACTIONAL = frozenset({Kind.MIXED, Kind.SHARE, Kind.AFTER_OR_MIXED})


def _contradict(source: Phrase, translated: Phrase, numbers: SourceNumbers) -> bool:
    """Return whether two phrases that do not agree are of one kind, so that one is a wrong translation of the other."""
    if source.kind in CLOCKS and translated.kind in CLOCKS:
        if source.kind is not Kind.HOUR:
            return translated.kind is not Kind.HOUR
        if translated.kind is not Kind.HOUR:
            return not numbers.has_fractions
        hours = {value % 12 for value in numbers.counts}
        return (source.has_half and translated.has_half) or translated.whole % 12 not in hours
    if source.kind in _FRACTIONAL:
        return translated.kind in _FRACTIONAL
    return source.kind is translated.kind


def _fraction_added(
    source: SourceNumbers, digits: Iterable[Number], left: Iterable[Phrase], translated: list[Number]
) -> tuple[Reason, str] | None:
    """Return the fault of "3 hours" that became "3 heures et demie", in a source that has no fraction."""
    if source.has_fractions:
        return None
    for phrase in left:
        if phrase.kind not in _WITH_FRACTION or phrase.digital or phrase.whole <= 0:
            continue
        wanted = [number for number in digits if phrase.whole in number.possible_values(True)]
        there = sum(phrase.whole in number.values for number in translated)
        if wanted and there - (f"{phrase.whole:g}" in phrase.text and there > 0) < len(wanted):
            reason = Reason.TIMES if phrase.kind in CLOCKS else Reason.NUMBERS
            return reason, f"{wanted[0].text} became {phrase.text}"
    return None


_WITH_FRACTION = frozenset({Kind.MIXED, Kind.AFTER_OR_MIXED, Kind.AFTER, Kind.BEFORE, Kind.UNTIL})


def _compare_read(
    source: SourceNumbers,
    digits: tuple[Number, ...],
    text: str,
    translated: list[Number],
    read: tuple[NumberGrammar, Reading] | None,
    matched: _Matched,
) -> _Faults:
    """Compare the numbers that no phrase explains, by their values in digits and in words."""
    grammar, reading = read if read else (None, None)
    unmatched, new, used = _match_numbers(digits, translated, grammar is not None)
    certain = words_of(text) if reading and (unmatched or source.words) else set()
    in_words = certain | reading.parts | reading.loose if reading else certain
    implicit = grammar.implicit if grammar else frozenset({1.0})
    romans = {float(each) for each in roman_numerals(text)} if unmatched or source.romans else set()
    allowed = in_words | romans if unmatched else in_words
    if not new:  # otherwise the new number may replace an implicit one, or a month
        allowed = allowed | implicit | {value for number in unmatched if number.is_month for value in number.values}
    missing = [
        n
        for n in unmatched
        if not (n.is_decade and not new) and not _is_expressed_in_words(n, allowed, source, bool(matched.left))
    ]
    known = source.words | source.possible | used | matched.values
    new = [number for number in new if not (number.possible_values(False) & known or number.text == "00")]
    faults = [(Reason.TIMES if n.is_time else Reason.NUMBERS, f"{n.text} is missing") for n in missing]
    faults += [(Reason.NUMBERS, f"{n.text} is new") for n in new]
    if reading and not faults:
        explained = in_words | romans | implicit | matched.values
        evidence = certain | {value for value in reading.loose if value > 1} | romans
        faults = _find_changed_words(source, translated, explained, evidence - matched.values, unmatched)
    return faults or _find_changed_times(source, text)


def _find_lost_fraction(
    phrases: Iterable[Phrase], reading: Reading, translated: list[Number], grammar: NumberGrammar
) -> _Faults:
    """Return the fault of "half an hour" that became "an hour": nothing in the translation says a fraction.

    That may be a phrase, a word that contains one ("Kuchenhälfte"), a number with decimals, or the value in minutes.
    """
    has_hour = any(each.kind is Kind.HOUR for each in reading.phrases)
    lost = [each for each in phrases if each.kind in _FRACTIONAL or (has_hour and each.clocks and not each.digital)]
    if not lost or any(each.kind in _SAYS_FRACTION for each in reading.phrases) or _SAYS_SHARE.search(reading.text):
        return []
    lowered = reading.text.lower()
    if any(word in lowered for word in (*grammar.hint, *grammar.fractions)):
        return []
    there = words_of(reading.text) | reading.parts
    there |= {value for number in translated for value in number.possible_values(True)}
    if any(value % 1 for value in there):
        return []
    return [(Reason.NUMBERS, f"{each.text} is missing") for each in lost if there.isdisjoint(_forms_of(each))]


def _forms_of(phrase: Phrase) -> set[float]:
    """Return the numbers that may stand for a phrase: its values, and its minutes before and after the hour."""
    minutes = {clock % 60 for clock in phrase.clocks} | {round(value % 1 * 60) for value in phrase.values}
    return {*phrase.values, *(float(each) for minute in minutes if minute for each in (minute, 60 - minute))}


_SAYS_FRACTION = frozenset({Kind.OFF, Kind.TENTHS, Kind.POINT}) | _FRACTIONAL | CLOCKS - {Kind.HOUR}
_SAYS_SHARE = re.compile(r"\d/\d|[%\u066a\uff05]|[\u00bc-\u00be\u2150-\u215e]")


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


def _is_expressed_in_words(number: Number, allowed: set[float], source: SourceNumbers, phrases_left: bool) -> bool:
    """Return whether a number is expressed in words, by a phrase ("half past"), or as a full hour.

    A phrase of the translation that says something else, if there is one, does not express it.
    """
    if number.possible_values(True) & allowed:
        return True
    if phrases_left:
        return number.is_time and next(iter(number.values)) == 0
    if 0.5 in allowed and any(value % 1 == 0.5 for value in number.values):
        return True
    if number.is_time:
        value = next(iter(number.values))
        return value == 0 or (value == 30 and 0.5 in allowed) or (value in (15, 45) and bool({4.0, 0.25} & allowed))
    return bool(number.values & source.possible and len(source.digits) > 1)


def _find_changed_words(
    source: SourceNumbers,
    translated: list[Number],
    explained: set[float],
    evidence: set[float],
    unmatched: list[Number],
) -> list[tuple[Reason, str]]:
    """Return the fault of a "two" that became "three": a number word is missing and another is new.

    Either alone proves nothing. `explained` are values that the translation has, `evidence` those of its certain words,
    and `unmatched` the numbers in digits that are only in the source.
    """
    in_digits = {value for number in translated for value in number.possible_values(False)}
    gone = {value for value in source.words if value > 1} - in_digits - explained
    if not gone:
        return []
    possible = {value for number in unmatched for value in number.possible_values(False)}
    new = {value for value in evidence if value > 1} - source.words - source.parts - source.possible - possible
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
