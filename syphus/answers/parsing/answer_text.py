"""What every reader of answers needs: white space, thinking blocks, and characters that must not get into a data
set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# str.strip() would also take form feeds and other control characters, and these must be seen, not lost.
_WHITE_SPACE = "\t\n\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_INVISIBLE = _WHITE_SPACE + "\xad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r")

# <think> of most reasoning models, [THINK] of Mistral's, and what others are told to write.
_TAG = r"[<\[]{}(?:think(?:ing)?|thoughts?|reasoning)[>\]]"
_OPENING = re.compile(r"\s*" + _TAG.format(""), re.IGNORECASE)
_ANY_OPENING = re.compile(_TAG.format(""), re.IGNORECASE)
_CLOSING = re.compile(_TAG.format("/"), re.IGNORECASE)
_CLOSING_AT_LINE_END = re.compile(_TAG.format("/") + r"[ \t\r]*+(?:\n|\Z)", re.IGNORECASE)
_ANY_AT_LINE_START = re.compile(r"\n[ \t]*+" + _TAG.format("/?"), re.IGNORECASE)


class AnswerText(NamedTuple):
    """What is left of an answer to be read, and what was found out on the way (as in `Parsed`)."""

    text: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def strip(text: str) -> str:
    """Gives the text without the white space around it; control characters other than tab and line ends stay."""
    return text.strip(_WHITE_SPACE)


def is_empty(text: str) -> bool:
    """Says whether there is nothing to see in a text: nothing, white space, zero-width characters."""
    return not text or (text[0] in _INVISIBLE and not text.strip(_INVISIBLE))


def skip_thinking(text: str) -> AnswerText:
    """Gives what follows the thinking blocks (`<think>...</think>`) that an answer begins with.

    Where a chat template has put the opening tag into the prompt, all up to a `</think>` at the end of a line is the
    block. A tag at the start of a later line is a problem: what is answer there, and what is not, can't be told.
    """
    if "<" not in text and "[" not in text:
        return AnswerText(text)
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
    """Gives what there is to read in an answer, without byte order mark and thinking blocks. Where that is nothing, the
    text is empty and there is a problem.
    """
    answer = skip_thinking(text.removeprefix("\ufeff"))
    return AnswerText("", answer.problems or ("answer is empty",), answer.notes) if is_empty(answer.text) else answer


def unique(texts: Iterable[str]) -> tuple[str, ...]:
    """Gives each text once, in the order of the first."""
    return tuple(dict.fromkeys(texts))


def character_problems(texts: Iterable[str]) -> list[str]:
    """Names what no text of a data set may hold: control characters (but tab, line ends) and halves of surrogate
    pairs.
    """
    try:
        encoded = "".join(texts).encode()
    except UnicodeEncodeError:
        return ["half of a surrogate pair"]
    return ["control character"] if len(encoded.translate(None, _CONTROLS)) != len(encoded) else []
