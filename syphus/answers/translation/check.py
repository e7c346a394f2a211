"""All checks of one pair in one language."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

from syphus.answers.translation.features import Features, Shape, SourceText
from syphus.answers.translation.identify import foreign, identify, letters
from syphus.answers.translation.languages import Language
from syphus.answers.translation.layout import unlike_layout, without_line_numbers
from syphus.answers.translation.model_artifacts import comment, escapes, left_over_json
from syphus.answers.translation.numbers import unlike_numbers
from syphus.answers.translation.protected_spans import differ, unlike
from syphus.answers.translation.types import CheckResult, Place, Reason, Term, Translatable, TranslationFault
from syphus.answers.translation.units import other_units
from syphus.answers.translation.untranslated import stretch

# FOLDED from pairing.py:
# Instruction and answer together: each in its own place, and a question still a question.

_REQUEST = re.compile(r"^\W*(?:can|could|would|will|do|may|might)\s+(?:you|i|we)\b|please|\btell me\b", re.I)
_SMOOTH = 8.0  # characters that make short texts comparable
_WELL = 1.0  # a cost up to which nobody asks whether the texts would fit better the other way round
_BETTER = 1.0  # by how much they must fit better
_LONG_ENOUGH = 4  # characters of a text that stands in the other one by no chance
_QUESTION_INSIDE = re.compile(r"[?？؟].*\w", re.DOTALL)


def pair_faults(source: Features, instruction: Shape, answer: Shape, language: Language) -> list[TranslationFault]:
    """Swapped, merged, or answered; the first that is found."""
    if _same(source, instruction, answer):
        return [TranslationFault(Reason.MERGED, "both")]
    if _swapped(source, instruction, answer, language):
        return [TranslationFault(Reason.SWAPPED, "both")]
    if _merged(source, instruction, answer):
        return [TranslationFault(Reason.MERGED, "both")]
    question = source.instruction
    if question.asks and not instruction.ends_as_question and not _REQUEST.search(question.text):
        return [TranslationFault(Reason.ANSWERED, "instruction", "no question mark")]
    return []


def _same(source: Features, instruction: Shape, answer: Shape) -> bool:
    first = instruction.normal
    return bool(first) and first == answer.normal and source.instruction.normal != source.answer.normal


def _merged(source: Features, instruction: Shape, answer: Shape) -> bool:
    """Whether one field holds the other's text, more often than it does in the source."""
    first, second = instruction.normal, answer.normal
    question, said = source.instruction.normal, source.answer.normal
    if len(first) >= _LONG_ENOUGH and first in second:
        return question not in said
    if len(second) >= _LONG_ENOUGH:
        return first.count(second) > question.count(said)
    # a short answer behind its question
    return (
        bool(second)
        and first.endswith(second)
        and source.instruction.asks
        and bool(_QUESTION_INSIDE.search(instruction.text))
    )


def _swapped(source: Features, instruction: Shape, answer: Shape, language: Language) -> bool:
    ratio = math.sqrt(language.length[0] * language.length[1])
    straight = _unfit(source.instruction, instruction, ratio) + _unfit(source.answer, answer, ratio)
    if straight <= _WELL:
        return False
    crossed = _unfit(source.instruction, answer, ratio) + _unfit(source.answer, instruction, ratio)
    return crossed + _BETTER <= straight


def _unfit(before: Shape, after: Shape, ratio: float) -> float:
    """How badly a text fits as the translation of another, by their outsides alone; 0 is perfectly."""
    cost = abs(math.log((after.length + _SMOOTH) / (before.length * ratio + _SMOOTH)))
    cost += before.asks != after.ends_as_question
    cost += differ(before.kept, after.kept)
    cost += differ(before.layout.emoji, after.layout.emoji)
    cost += before.layout.lines != after.layout.lines
    cost += before.layout.labels != after.layout.labels
    return cost + (before.digits != after.digits)


# FOLDED from terms.py:
# The glossary: a term of the source must stand in the translation as the glossary has it, inflected or not.

_ENDING = 3  # letters at the end of a word that inflection may change
_STEM = 3  # letters that stay at least
_WORD = re.compile(r"[^\W_]+")
_ARABIC = re.compile("[\u0600-\u06ff]")
_LETTERS = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ة": "ه", "ى": "ي", "ـ": None})


def missing_terms(source: str, text: str, terms: Sequence[Term], code: str) -> Iterator[str]:
    """Terms of the source that the translation does not have as wanted."""
    folded = ""
    for term in terms:
        wanted = term.wanted.get(code)
        if wanted and _pattern(term.source).search(source):
            folded = folded or _folded(text)
            if not _has(folded, _folded(wanted)):
                yield f"{term.source} is to be {wanted}"


@lru_cache(maxsize=4096)
def _pattern(term: str) -> re.Pattern[str]:
    """The term as a word of English, in any case, in the plural too."""
    return re.compile(rf"(?<!\w){re.escape(term)}(?:'?s|es)?(?!\w)", re.IGNORECASE)


def _folded(text: str) -> str:
    """Small letters without accents and without the signs for short vowels, Arabic letters in one form."""
    if text.isascii():
        return text.casefold()
    decomposed = unicodedata.normalize("NFD", text.casefold().translate(_LETTERS))
    bare = "".join(c for c in decomposed if not unicodedata.combining(c) or "\u3099" <= c <= "\u309a")
    return unicodedata.normalize("NFC", bare)


def _has(text: str, wanted: str) -> bool:
    if wanted in text or wanted.replace(" ", "") in text.replace(" ", ""):
        return True
    words, parts = _WORD.findall(text), _WORD.findall(wanted)
    return bool(parts) and all(_inflected(each, words) for each in parts)


def _inflected(wanted: str, words: list[str]) -> bool:
    """Whether a word stands there with another ending, or, in Arabic, with an article or a particle before it."""
    stem = wanted[: max(_STEM, len(wanted) - _ENDING)] if len(wanted) > _STEM else wanted
    if _ARABIC.search(wanted):
        bare = stem.removeprefix("ال")
        return any(bare in word for word in words)
    if wanted.isascii() or unicodedata.name(wanted[0], "").startswith("LATIN"):
        return any(word.startswith(stem) and abs(len(word) - len(wanted)) <= _ENDING for word in words)
    return any(wanted in word for word in words)


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
) -> CheckResult:
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
    return CheckResult(tuple(faults), tuple(notes))


def _text_faults(
    source: SourceText, there: Shape, language: Language, terms: Sequence[Term], place: Place, notes: list[str]
) -> Iterator[TranslationFault]:
    if source.said and not any(map(str.isalnum, there.text)):
        yield TranslationFault(Reason.EMPTY, place, there.text.strip())
        return
    if there.normal == source.normal:
        checks = _same_text(source, language, place, notes)
    else:
        checks = _other_text(source, there, language, place, notes)
    for reason, detail in checks:
        yield TranslationFault(reason, place, detail)
    for detail in missing_terms(source.text, there.text, terms, language.code) if terms else ():
        yield TranslationFault(Reason.TERMS, place, detail)


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
