"""What the checks need to know of a source, found out once for all languages; and the same of a translated text."""

from __future__ import annotations

import re

from syphus.answers.translation.layout import layout, without_line_numbers, without_quotes
from syphus.answers.translation.model_artifacts import Remarks
from syphus.answers.translation.numbers import plain_digits
from syphus.answers.translation.protected_spans import take_out
from syphus.answers.translation.source_numbers import SourceNumbers
from syphus.answers.translation.types import Translatable
from syphus.answers.translation.units import with_units
from syphus.answers.translation.untranslated import UntranslatedFinder, normal

_DIGITS = re.compile(r"\d+")
_QUESTION = re.compile("[?？؟]")
_ENDS_AS_QUESTION = re.compile(r"(?:か|かな|吗|嗎|呢|까|나요|가요|는가)\s*[。.]?\s*$")
_BEHIND_THE_END = " \n\t\"'”’»)"
_SENTENCE = re.compile(r"[.!?؟;:؛](?=[\s\"”»)]|$)|[。！？；：]")


class Shape:
    """The outside of any text: without what is kept, its layout, its length, whether it asks, how many sentences."""

    __slots__ = ("asks", "digits", "kept", "layout", "length", "normal", "plain", "text", "unquoted")

    def __init__(self, text: str) -> None:
        self.text = text
        self.normal = normal(text)
        plain, self.kept = take_out(text)
        self.plain = plain_digits(plain)
        self.layout = layout(text, self.plain)
        self.unquoted = without_quotes(self.plain) if self.layout.quoted else self.plain
        self.length = len(plain.strip())
        self.digits = frozenset(_DIGITS.findall(self.plain))
        self.asks = bool(_QUESTION.search(plain))

    @property
    def ends_as_question(self) -> bool:
        """Whether it asks without a question mark, as Japanese and Korean do."""
        return self.asks or bool(_ENDS_AS_QUESTION.search(self.plain))

    @property
    def sentences(self) -> int:
        """How many ends of sentences there are, and of parts between colons."""
        return len(_SENTENCE.findall(self.plain))


class SourceText(Shape):
    """What is known of an English text besides its shape."""

    __slots__ = ("copy", "ends", "ends_in_question", "latin", "numbers", "remarks", "said", "units")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.copy = UntranslatedFinder(text, self.unquoted)
        self.numbers = SourceNumbers(without_line_numbers(self.plain))
        self.units = with_units(self.plain)
        self.remarks = Remarks(text)
        self.said = any(map(str.isalnum, text))
        self.ends_in_question = text.rstrip().endswith("?")
        self.ends = text.rstrip(_BEHIND_THE_END).endswith((".", "!", "?", *self.layout.emoji))


class Features:
    """What the checks need to know of a source. Made once, it serves all languages."""

    __slots__ = ("answer", "instruction", "source")

    def __init__(self, source: Translatable) -> None:
        self.source = source
        self.instruction = SourceText(source.instruction)
        self.answer = SourceText(source.answer)
