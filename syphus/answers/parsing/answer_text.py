"""What every parser needs: white space, thinking blocks, and characters that must not get into a dataset."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# str.strip() would also remove form feeds and other control characters, which must be reported instead.
_WHITE_SPACE = "\t\n\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_INVISIBLE = _WHITE_SPACE + "\xad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r")

# <think> is used by most reasoning models, [THINK] by Mistral's; prompts ask for the others.
_TAG = r"[<\[]{}(?:think(?:ing)?|thoughts?|reasoning)[>\]]"
_TAG_WORDS = ("think", "thought", "reasoning")  #: every tag has one of them
_OPENING = re.compile(r"\s*" + _TAG.format(""), re.IGNORECASE)
_ANY_OPENING = re.compile(_TAG.format(""), re.IGNORECASE)
_CLOSING = re.compile(_TAG.format("/"), re.IGNORECASE)
_CLOSING_AT_LINE_END = re.compile(_TAG.format("/") + r"[ \t\r]*+(?:\n|\Z)", re.IGNORECASE)
_ANY_AT_LINE_START = re.compile(r"\n[ \t]*+" + _TAG.format("/?"), re.IGNORECASE)


class AnswerText(NamedTuple):
    """The part of an answer that is to be parsed, with problems and notes as in `Parsed`."""

    text: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def strip(text: str) -> str:
    """Return the text without surrounding white space. Control characters other than tab and line ends stay."""
    return text.strip(_WHITE_SPACE)


def is_empty(text: str) -> bool:
    """Return whether a text has nothing visible: only white space and zero-width characters, if anything."""
    return not text or (text[0] in _INVISIBLE and not text.strip(_INVISIBLE))


def skip_thinking(text: str) -> AnswerText:
    """Return what follows the thinking blocks (`<think>...</think>`) at the start of an answer.

    Some chat templates put the opening tag into the prompt: then the block ends at a `</think>` at the end of a line.
    A tag at the start of a later line is a problem, because the answer can no longer be told from the thinking.
    """
    if "<" not in text and "[" not in text:
        return AnswerText(text)
    if text.isascii() and not any(map(text.lower().__contains__, _TAG_WORDS)):
        return AnswerText(text)  # a bracket that opens no tag
    start = 0
    while opening := _OPENING.match(text, start):
        closing = _CLOSING.search(text, opening.end())
        if closing is None:
            return AnswerText("", ("thinking block without an end",))
        start = closing.end()
    if (
        not start
        and (closing := _CLOSING_AT_LINE_END.search(text))
        and not _ANY_OPENING.search(text, 0, closing.start())
    ):
        start = closing.end()
    rest = text[start:]
    problems = ("thinking block inside the answer",) if _ANY_AT_LINE_START.search("\n" + rest) else ()
    return AnswerText(rest, problems, ("thinking block",) if start else ())


def extract_answer(text: str) -> AnswerText:
    """Return the text of an answer without byte order mark and thinking blocks.

    If nothing is left, the text is empty and there is a problem.
    """
    answer = skip_thinking(text.removeprefix("\ufeff"))
    return AnswerText("", answer.problems or ("answer is empty",), answer.notes) if is_empty(answer.text) else answer


def unique(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the texts without duplicates, in order."""
    return tuple(dict.fromkeys(texts))


def character_problems(texts: Iterable[str]) -> list[str]:
    """Return the problems of characters that no dataset may contain: control characters and lone surrogates.

    Tabs and line ends are allowed.
    """
    try:
        encoded = "".join(texts).encode()
    except UnicodeEncodeError:
        return ["half of a surrogate pair"]
    return ["control character"] if len(encoded.translate(None, _CONTROLS)) != len(encoded) else []
