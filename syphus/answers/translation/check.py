"""Checks one translated pair against its English source: `check_translation` runs all checks.

The checks of one text come first, then those of instruction and answer together, then the glossary.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

from syphus.answers.translation.features import PairFeatures, SourceFeatures, TextFeatures
from syphus.answers.translation.identify import count_letters, find_script_fault, identify
from syphus.answers.translation.languages import Language
from syphus.answers.translation.layout import compare_layouts, find_doubled_marks, without_line_numbers
from syphus.answers.translation.model_artifacts import find_comment, find_escape, find_json
from syphus.answers.translation.numbers import compare_numbers
from syphus.answers.translation.protected_spans import compare_spans, counts_differ
from syphus.answers.translation.types import CheckResult, Place, Reason, Term, Translatable, TranslationFault
from syphus.answers.translation.units import compare_units
from syphus.answers.translation.untranslated import find_untranslated

_SEVERITY = {reason: number for number, reason in enumerate(Reason)}
_MIN_WITH_END = 12  # characters of a source from which on its final full stop must be in the translation
_UNFINISHED = tuple(",;:،؛、，；-–—(（「『«„/+=&@")
_MIN_DOUBLED = 8  # characters of half a text; less may be a doubled word
_ENDS = tuple(".!?。！？؟")
_ELIDED = re.compile(r"(?<!\w)\w{1,2}['’]$")
_SIGNS = "\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652"  # Arabic vowel signs, which follow letters
#: A text with fewer sentences than its source must have this share of the usual length; more from 100 characters on.
_SHORTENED, _LONG_SHORTENED, _LONG = 0.62, 0.7, 100
_OPENING, _CLOSING = "(（[【", ")）]】"
_BRACKET = re.compile("[][()（）【】]")

_Findings = Iterator[tuple[Reason, str]]


def check_translation(
    source: Translatable | PairFeatures, translated: Translatable, language: Language, terms: Sequence[Term] = ()
) -> CheckResult:
    """Find everything that shows that `translated` is not a translation of `source` into `language`.

    `terms` is the glossary. To check one source in several languages, compute its `PairFeatures` once and pass them as
    `source`. The faults are in order of severity, the worst first.
    """
    features = source if isinstance(source, PairFeatures) else PairFeatures(source)
    instruction, answer = TextFeatures(translated.instruction), TextFeatures(translated.answer)
    notes: list[str] = []
    faults = [
        *_check_text(features.instruction, instruction, language, terms, "instruction", notes),
        *_check_text(features.answer, answer, language, terms, "answer", notes),
    ]
    if not any(fault.reason is Reason.EMPTY for fault in faults):
        faults += find_pair_faults(features, instruction, answer, language)
    faults.sort(key=lambda fault: _SEVERITY[fault.reason])
    return CheckResult(tuple(faults), tuple(notes))


def _check_text(
    source: SourceFeatures,
    translated: TextFeatures,
    language: Language,
    terms: Sequence[Term],
    place: Place,
    notes: list[str],
) -> Iterator[TranslationFault]:
    if source.has_words and not any(map(str.isalnum, translated.text)):
        yield TranslationFault(Reason.EMPTY, place, translated.text.strip())
        return
    if translated.normalized == source.normalized:
        checks = _check_unchanged(source, language, place, notes)
    else:
        checks = _check_changed(source, translated, language, place, notes)
    for reason, detail in checks:
        yield TranslationFault(reason, place, detail)
    for detail in find_missing_terms(source.text, translated.text, terms, language.code) if terms else ():
        yield TranslationFault(Reason.TERMS, place, detail)


def _check_unchanged(source: SourceFeatures, language: Language, place: Place, notes: list[str]) -> _Findings:
    """Check a text that is the same as its source: this is right only if there is nothing to translate."""
    if source.normalized in language.shared_words:
        notes.append(f"{place}: the same word in English and {language.name}")
    elif not source.english.may_stay:
        yield Reason.COPIED, source.text.strip()[:60]
    elif any(map(str.isalpha, source.unquoted)):
        notes.append(f"{place}: taken for a name, which may stay as it is")


def _check_changed(
    source: SourceFeatures, translated: TextFeatures, language: Language, place: Place, notes: list[str]
) -> _Findings:
    yield from _check_language(source, translated, language, place, notes)
    yield from _check_artifacts(source, translated, language)
    yield from _check_length(source, translated, language, place)
    yield from compare_spans(source.spans, translated.spans)
    yield from compare_numbers(source.numbers, without_line_numbers(translated.plain), language.code)
    for detail in compare_units(source.units, translated.plain, language.code):
        yield Reason.UNITS, detail
    yield from compare_layouts(source.layout, translated.layout, source.text, translated.text)
    if marks := find_doubled_marks(source.plain, translated.plain):
        yield Reason.MARKS, marks


def _check_language(
    source: SourceFeatures, translated: TextFeatures, language: Language, place: Place, notes: list[str]
) -> _Findings:
    """Check the script first, then for untranslated English, then the language by the identifier."""
    found = count_letters(translated.unquoted, language.scripts)
    if not sum(found):
        return
    wrong = find_script_fault(translated.unquoted, language.scripts, language.foreign_letters, found)
    if wrong and source.english.may_stay and not found.other:
        notes.append(f"{place}: taken for a name, which may stay in Latin letters")
    elif wrong:
        yield (Reason.WRONG_LANGUAGE if wrong == "no kana" else Reason.WRONG_SCRIPT), wrong
    elif left := find_untranslated(source.english, translated.unquoted, "Latin" in language.scripts):
        yield Reason.COPIED, left
    elif not language.script_is_unique and not source.english.may_stay:
        identified = identify(translated.unquoted, language.code, language.close_languages)
        if identified.matches is False:
            yield Reason.WRONG_LANGUAGE, f"seems to be {identified.best_guess}"
        elif identified.matches is None:
            notes.append(f"{place}: too short or too ambiguous to tell its language")


def _check_artifacts(source: SourceFeatures, translated: TextFeatures, language: Language) -> _Findings:
    if found := find_json(source.artifacts, translated.text):
        yield Reason.JSON, found
    if found := find_escape(source.artifacts, translated.text):
        yield Reason.ESCAPED, found
    if found := find_comment(source.artifacts, translated.text, language.comment_patterns):
        yield Reason.COMMENT, found.strip()


def _check_length(source: SourceFeatures, translated: TextFeatures, language: Language, place: Place) -> _Findings:
    """Check that the text has a plausible length and an end."""
    least, most = language.length_range(source.length)
    if translated.length < least or _misses_a_sentence(source, translated, language):
        yield Reason.TOO_SHORT, f"{translated.length} characters for {source.length}"
    elif translated.length > most:
        yield Reason.TOO_LONG, f"{translated.length} characters for {source.length}"
    elif _is_doubled(translated.text) and not _is_doubled(source.text):
        yield Reason.TOO_LONG, "all of it is there twice"
    if source.ends_sentence and source.length >= _MIN_WITH_END and _is_unfinished(translated.text):
        yield Reason.CUT_OFF, f"ends in {translated.text.rstrip()[-12:]}"
    elif source.ends_in_question and place == "answer" and not translated.ends_as_question:
        yield Reason.CUT_OFF, "its question is missing"
    elif _unclosed_brackets(translated.plain) > max(0, _unclosed_brackets(source.plain)):
        yield Reason.CUT_OFF, "a bracket is not closed"


def _misses_a_sentence(source: SourceFeatures, translated: TextFeatures, language: Language) -> bool:
    usual = math.sqrt(language.length_ratio[0] * language.length_ratio[1]) * source.length
    part = _LONG_SHORTENED if source.length >= _LONG else _SHORTENED
    return translated.length < part * usual and translated.sentences < source.sentences


def _is_doubled(text: str) -> bool:
    """Return whether a text says everything twice; a doubled word does not count, since many languages have them."""
    text = text.strip()
    half = len(text) // 2
    first = text[:half].strip()
    return (half >= _MIN_DOUBLED or first.endswith(_ENDS)) and first == text[-half:].strip()


def _is_unfinished(text: str) -> bool:
    end = text.rstrip().rstrip(_SIGNS)
    return end[-1:].isalnum() or end.endswith(_UNFINISHED) or bool(_ELIDED.search(end))


def _unclosed_brackets(text: str) -> int:
    if not _BRACKET.search(text):
        return 0
    return sum(map(text.count, _OPENING)) - sum(map(text.count, _CLOSING))


# Instruction and answer together: each must be in its own field, and a question must stay a question.

_REQUEST = re.compile(r"^\W*(?:can|could|would|will|do|may|might)\s+(?:you|i|we)\b|please|\btell me\b", re.I)
_SMOOTHING = 8.0  # characters added to both lengths, so that short texts can be compared
_GOOD_FIT = 1.0  # a mismatch up to which the texts are not suspected to be swapped
_MIN_IMPROVEMENT = 1.0  # by how much swapped texts must fit better
_MIN_MERGED = 4  # characters of a text that is not part of the other one by chance
_QUESTION_INSIDE = re.compile(r"\A[^?？؟]*+[?？؟].*\w", re.DOTALL)


def find_pair_faults(
    source: PairFeatures, instruction: TextFeatures, answer: TextFeatures, language: Language
) -> list[TranslationFault]:
    """Return the fault of a pair whose texts are swapped, merged, or answered; the first one found, or none."""
    if _are_same(source, instruction, answer):
        return [TranslationFault(Reason.MERGED, "both")]
    if _are_swapped(source, instruction, answer, language):
        return [TranslationFault(Reason.SWAPPED, "both")]
    if _are_merged(source, instruction, answer):
        return [TranslationFault(Reason.MERGED, "both")]
    question = source.instruction
    if question.has_question and not instruction.ends_as_question and not _REQUEST.search(question.text):
        return [TranslationFault(Reason.ANSWERED, "instruction", "no question mark")]
    return []


def _are_same(source: PairFeatures, instruction: TextFeatures, answer: TextFeatures) -> bool:
    first = instruction.normalized
    return bool(first) and first == answer.normalized and source.instruction.normalized != source.answer.normalized


def _are_merged(source: PairFeatures, instruction: TextFeatures, answer: TextFeatures) -> bool:
    """Return whether one field contains the other's text, more often than in the source."""
    first, second = instruction.normalized, answer.normalized
    source_first, source_second = source.instruction.normalized, source.answer.normalized
    if len(first) >= _MIN_MERGED and first in second:
        return source_first not in source_second
    if len(second) >= _MIN_MERGED:
        return first.count(second) > source_first.count(source_second)
    # a short answer after its question
    return (
        bool(second)
        and first.endswith(second)
        and source.instruction.has_question
        and bool(_QUESTION_INSIDE.search(instruction.text))
    )


def _are_swapped(source: PairFeatures, instruction: TextFeatures, answer: TextFeatures, language: Language) -> bool:
    ratio = math.sqrt(language.length_ratio[0] * language.length_ratio[1])
    as_given = _mismatch(source.instruction, instruction, ratio) + _mismatch(source.answer, answer, ratio)
    if as_given <= _GOOD_FIT:
        return False
    swapped = _mismatch(source.instruction, answer, ratio) + _mismatch(source.answer, instruction, ratio)
    return swapped + _MIN_IMPROVEMENT <= as_given


def _mismatch(before: TextFeatures, after: TextFeatures, ratio: float) -> float:
    """Return how badly a text fits as the translation of another, by length and layout alone; 0 is a perfect fit."""
    cost = abs(math.log((after.length + _SMOOTHING) / (before.length * ratio + _SMOOTHING)))
    cost += before.has_question != after.ends_as_question
    cost += counts_differ(before.spans, after.spans)
    cost += counts_differ(before.layout.emoji, after.layout.emoji)
    cost += before.layout.lines != after.layout.lines
    cost += before.layout.labels != after.layout.labels
    return cost + (before.digits != after.digits)


# The glossary: a term of the source must be in the translation as the glossary writes it, inflected or not.

_ENDING = 3  # letters at the end of a word that inflection may change
_MIN_STEM = 3  # letters that must stay
_WORD = re.compile(r"[^\W_]+")
_ARABIC = re.compile("[\u0600-\u06ff]")
_LETTERS = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ة": "ه", "ى": "ي", "ـ": None})


def find_missing_terms(source: str, text: str, terms: Sequence[Term], code: str) -> Iterator[str]:
    """Yield the terms of the source that the translation does not write as the glossary does."""
    folded = ""  # computed for the first term that is in the source
    for term in terms:
        expected = term.translations.get(code)
        if expected and _term_pattern(term.source).search(source):
            folded = folded or _fold(text)
            if not _contains_term(folded, _fold(expected)):
                yield f"{term.source} is to be {expected}"


@lru_cache(maxsize=4096)
def _term_pattern(term: str) -> re.Pattern[str]:
    """Return the pattern of a term as an English word, in any case, singular or plural."""
    return re.compile(rf"(?<!\w){re.escape(term)}(?:'?s|es)?(?!\w)", re.IGNORECASE)


def _fold(text: str) -> str:
    """Return the text in lower case, without accents and short vowel signs, and with Arabic letters in one form."""
    if text.isascii():
        return text.casefold()
    decomposed = unicodedata.normalize("NFD", text.casefold().translate(_LETTERS))
    bare = "".join(c for c in decomposed if not unicodedata.combining(c) or "\u3099" <= c <= "\u309a")
    return unicodedata.normalize("NFC", bare)


def _contains_term(text: str, term: str) -> bool:
    if term in text or term.replace(" ", "") in text.replace(" ", ""):
        return True
    words, parts = _WORD.findall(text), _WORD.findall(term)
    return bool(parts) and all(_contains_inflected(each, words) for each in parts)


def _contains_inflected(expected: str, words: list[str]) -> bool:
    """Return whether a word is there with another ending, or, in Arabic, with an article or a particle before it."""
    stem = expected[: max(_MIN_STEM, len(expected) - _ENDING)] if len(expected) > _MIN_STEM else expected
    if _ARABIC.search(expected):
        bare = stem.removeprefix("ال")
        return any(bare in word for word in words)
    if expected.isascii() or unicodedata.name(expected[0], "").startswith("LATIN"):
        return any(word.startswith(stem) and abs(len(word) - len(expected)) <= _ENDING for word in words)
    return any(expected in word for word in words)
