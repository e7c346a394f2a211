"""All checks of one pair in one language."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from syphus.translation.copies import stretch
from syphus.translation.features import Features, Shape, SourceText
from syphus.translation.identify import identify
from syphus.translation.kept import unlike
from syphus.translation.languages import Language
from syphus.translation.layout import unlike_layout, without_line_numbers
from syphus.translation.numbers import unlike_numbers
from syphus.translation.pairing import pair_faults
from syphus.translation.reasons import Reason
from syphus.translation.remarks import comment, escapes, left_over_json
from syphus.translation.scripts import foreign, letters
from syphus.translation.terms import missing_terms
from syphus.translation.types import Checked, Fault, Place, Term, Translatable
from syphus.translation.units import other_units

_GRAVITY = {reason: number for number, reason in enumerate(Reason)}
_SHORT_END = 12  # characters of a source from which on a full stop at its end must have its like
_UNFINISHED = tuple(",;:،؛、，；-–—(（「『«„/+=&@")
_SAID = 8  # characters from which on half a text is no doubled word
_ENDS = tuple(".!?。！？؟")
_ELIDED = re.compile(r"(?<!\w)\w{1,2}['’]$")
_SIGNS = "\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652"  # Arabic ones, which follow letters
_SHRUNK, _LONG_SHRUNK, _LONG = 0.62, 0.7, 100  # of the usual length, for a text with fewer sentences; from so long on
_OPENING, _CLOSING = "(（[【", ")）]】"
_BRACKET = re.compile("[][()（）【】]")

_Found = Iterator[tuple[Reason, str]]


def check_translation(
    source: Translatable | Features, translated: Translatable, language: Language, terms: Sequence[Term] = ()
) -> Checked:
    """Looks for everything that shows `translated` not to be the translation of `source` into `language`.

    `terms` is the glossary. Who checks several languages of one source makes its `Features` once and gives these.
    The faults are in order of gravity, the one to count first.
    """
    features = source if isinstance(source, Features) else Features(source)
    instruction, answer = Shape(translated.instruction), Shape(translated.answer)
    notes: list[str] = []
    faults = [
        *_text_faults(features.instruction, instruction, language, terms, "instruction", notes),
        *_text_faults(features.answer, answer, language, terms, "answer", notes),
    ]
    if not any(fault.reason is Reason.EMPTY for fault in faults):
        faults += pair_faults(features, instruction, answer, language)
    faults.sort(key=lambda fault: _GRAVITY[fault.reason])
    return Checked(tuple(faults), tuple(notes))


def _text_faults(
    source: SourceText, there: Shape, language: Language, terms: Sequence[Term], place: Place, notes: list[str]
) -> Iterator[Fault]:
    if source.said and not any(map(str.isalnum, there.text)):
        yield Fault(Reason.EMPTY, place, there.text.strip())
        return
    if there.normal == source.normal:
        checks = _same_text(source, language, place, notes)
    else:
        checks = _other_text(source, there, language, place, notes)
    for reason, detail in checks:
        yield Fault(reason, place, detail)
    for detail in missing_terms(source.text, there.text, terms, language.code) if terms else ():
        yield Fault(Reason.TERMS, place, detail)


def _same_text(source: SourceText, language: Language, place: Place, notes: list[str]) -> _Found:
    """The source itself: right only where there is nothing to translate."""
    if source.normal in language.shared:
        notes.append(f"{place}: the same word in English and {language.name}")
    elif not source.copy.stays:
        yield Reason.COPIED, source.text.strip()[:60]
    elif any(map(str.isalpha, source.unquoted)):
        notes.append(f"{place}: taken for a name, which may stay as it is")


def _other_text(source: SourceText, there: Shape, language: Language, place: Place, notes: list[str]) -> _Found:
    yield from _in_language(source, there, language, place, notes)
    yield from _of_the_model(source, there, language)
    yield from _whole(source, there, language, place)
    yield from unlike(source.kept, there.kept)
    yield from unlike_numbers(source.numbers, without_line_numbers(there.plain), language.code)
    for detail in other_units(source.units, there.plain, language.code):
        yield Reason.UNITS, detail
    yield from unlike_layout(source.layout, there.layout, source.text, there.text)


def _in_language(source: SourceText, there: Shape, language: Language, place: Place, notes: list[str]) -> _Found:
    """The script first, then English that was left standing, then the identifier."""
    found = letters(there.unquoted, language.scripts)
    if not sum(found):
        return
    wrong = foreign(there.unquoted, language.scripts, language.strange, found)
    if wrong and source.copy.stays and not found.other:
        notes.append(f"{place}: taken for a name, which may stay in Latin letters")
    elif wrong:
        yield (Reason.WRONG_LANGUAGE if wrong == "no kana" else Reason.WRONG_SCRIPT), wrong
    elif left := stretch(source.copy, there.unquoted, "Latin" in language.scripts):
        yield Reason.COPIED, left
    elif not language.by_script and not source.copy.stays:
        identified = identify(there.unquoted, language.code)
        if identified.right is False:
            yield Reason.WRONG_LANGUAGE, f"seems to be {identified.seems}"
        elif identified.right is None:
            notes.append(f"{place}: too short or too ambiguous to tell its language")


def _of_the_model(source: SourceText, there: Shape, language: Language) -> _Found:
    if found := left_over_json(source.remarks, there.text):
        yield Reason.JSON, found
    if found := escapes(source.remarks, there.text):
        yield Reason.ESCAPED, found
    if found := comment(source.remarks, there.text, language.announces):
        yield Reason.COMMENT, found.strip()


def _whole(source: SourceText, there: Shape, language: Language, place: Place) -> _Found:
    """As long as such a text is, and with an end."""
    least, most = language.lengths(source.length)
    if there.length < least or _lost_a_sentence(source, there, language):
        yield Reason.TOO_SHORT, f"{there.length} characters for {source.length}"
    elif there.length > most:
        yield Reason.TOO_LONG, f"{there.length} characters for {source.length}"
    elif _twice(there.text) and not _twice(source.text):
        yield Reason.TOO_LONG, "all of it is there twice"
    if source.ends and source.length >= _SHORT_END and _unfinished(there.text):
        yield Reason.CUT_OFF, f"ends in {there.text.rstrip()[-12:]}"
    elif source.ends_in_question and place == "answer" and not there.ends_as_question:
        yield Reason.CUT_OFF, "its question is missing"
    elif _open(there.plain) > max(0, _open(source.plain)):
        yield Reason.CUT_OFF, "a bracket is not closed"


def _lost_a_sentence(source: SourceText, there: Shape, language: Language) -> bool:
    usual = math.sqrt(language.length[0] * language.length[1]) * source.length
    part = _LONG_SHRUNK if source.length >= _LONG else _SHRUNK
    return there.length < part * usual and there.sentences < source.sentences


def _twice(text: str) -> bool:
    """Whether a text says the same again; a word that is doubled, as many are, is none."""
    text = text.strip()
    half = len(text) // 2
    first = text[:half].strip()
    return (half >= _SAID or first.endswith(_ENDS)) and first == text[-half:].strip()


def _unfinished(text: str) -> bool:
    end = text.rstrip().rstrip(_SIGNS)
    return end[-1:].isalnum() or end.endswith(_UNFINISHED) or bool(_ELIDED.search(end))


def _open(text: str) -> int:
    if not _BRACKET.search(text):
        return 0
    return sum(map(text.count, _OPENING)) - sum(map(text.count, _CLOSING))
