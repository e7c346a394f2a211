"""The features of texts that the checks compare. Those of a source are computed once for all languages."""

from __future__ import annotations

import re

from syphus.answers.translation.digits import normalize_digits
from syphus.answers.translation.layout import read_layout, without_line_numbers, without_quotes
from syphus.answers.translation.model_artifacts import SourceArtifacts
from syphus.answers.translation.number_words import ENGLISH
from syphus.answers.translation.protected_spans import extract_spans
from syphus.answers.translation.source_numbers import SourceNumbers
from syphus.answers.translation.types import Translatable
from syphus.answers.translation.units import find_units
from syphus.answers.translation.untranslated import EnglishFingerprint, normalize

_DIGITS = re.compile(r"\d+")
_QUESTION = re.compile("[?？؟]")
_ENDS_AS_QUESTION = re.compile(r"(?:か|かな|吗|嗎|呢|까|나요|가요|는가)\s*[。.]?\s*$")
_CLOSING_MARKS = " \n\t\"'”’»)"
_SENTENCE = re.compile(r"[.!?؟;:؛](?=[\s\"”»)]|$)|[。！？；：]")


class TextFeatures:
    """The features of any text, source or translation.

    `text` is the text itself, and `normalized` its form for comparing. `spans` are its protected spans, `plain` is the
    text without them and with ASCII digits, and `unquoted` is `plain` without quotes. `length` counts characters.
    """

    __slots__ = ("digits", "has_question", "layout", "length", "normalized", "plain", "spans", "text", "unquoted")

    def __init__(self, text: str) -> None:
        self.text = text
        self.normalized = normalize(text)
        plain, self.spans = extract_spans(text)
        self.plain = normalize_digits(plain)
        self.layout = read_layout(text, self.plain)
        self.unquoted = without_quotes(self.plain) if self.layout.quotes else self.plain
        self.length = len(plain.strip())
        self.digits = frozenset(_DIGITS.findall(self.plain))
        self.has_question = bool(_QUESTION.search(plain))

    @property
    def ends_as_question(self) -> bool:
        """Whether the text is a question, even without a question mark, as in Japanese and Korean."""
        return self.has_question or bool(_ENDS_AS_QUESTION.search(self.plain))

    @property
    def sentences(self) -> int:
        """The number of sentences, counting parts that end in a colon or semicolon."""
        return len(_SENTENCE.findall(self.plain))


class SourceFeatures(TextFeatures):
    """The further features of an English text."""

    __slots__ = ("artifacts", "ends_in_question", "ends_sentence", "english", "has_words", "numbers", "units")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.english = EnglishFingerprint(text, self.unquoted)
        self.numbers = SourceNumbers(without_line_numbers(self.plain))
        self.units = find_units(self.plain, ENGLISH)
        self.artifacts = SourceArtifacts(text)
        self.has_words = any(map(str.isalnum, text))
        self.ends_in_question = text.rstrip().endswith("?")
        self.ends_sentence = text.rstrip(_CLOSING_MARKS).endswith((".", "!", "?", *self.layout.emoji))


class PairFeatures:
    """The features of a source pair, computed once for all languages."""

    __slots__ = ("answer", "instruction", "source")

    def __init__(self, source: Translatable) -> None:
        self.source = source
        self.instruction = SourceFeatures(source.instruction)
        self.answer = SourceFeatures(source.answer)
