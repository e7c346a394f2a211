"""Parses an answer that is one plain text, such as a description of an image.

The text is kept byte for byte, without surrounding white space, or it has a problem.

Problems, besides those of thinking blocks and characters (see `pairs.py`): "answer is empty", "code fence in plain
text", "heading in plain text" (`# Place`, `**Place:** ...`), "header in plain text" (`Question:`, `Description:`,
`Title:`), "list in plain text" (of two or more), "JSON in plain text", "speaks before it begins" (`Sure! Here is a
description:`).

Notes: "thinking block", "text after the JSON".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from syphus.answers.parsing.answer_text import AnswerText, character_problems, extract_answer, is_empty, strip, unique
from syphus.answers.parsing.json_answers import (
    decoding_problems,
    find_json,
    is_fence_or_nothing,
    read_only_document,
    text_members,
)
from syphus.answers.parsing.sections import find_headers, header_pattern

_HEADERS = header_pattern("question|answer|instruction|response|(?:detailed |image )?description|caption|title")
_HEADING = re.compile(
    r"\n[ \t]*+(?:#{1,6}[ \t]|(?:[-*\u2022][ \t]++)?\*\*[^*\n]++(?:(?<=:)\*\*|\*\*(?::|[ \t\r]*+(?:\n|\Z))))"
)
_LIST_ITEM = re.compile(r"\n[ \t]*+(?:[-*\u2022]|\d{1,3}[.)])[ \t]")
_JSON = re.compile(r"[\[{]\s*+[\"\]}]")
_PREAMBLE = re.compile(
    r"(?:sure|certainly|of course|absolutely|okay)[!,.:]"
    r"|(?:sure|certainly|here is|here's|here are)\b[^\n]*[:!](?:\n|\Z)"
    r"|(?:here is|here's|here are|below is)\b[^\n.:]*\b(?:description|caption|account|paragraphs?)\b",
    re.IGNORECASE,
)
#: In any language: a line by itself that ends in a colon, or a courtesy and a colon, before some sentences.
_ANNOUNCEMENT = re.compile(
    r"(?:[^\n]{1,100}[:\uff1a][ \t\r]*+\n[ \t\r]*+\n|[^\n]{1,40}[!\uff01][^\n]{0,80}[:\uff1a][ \t\r]*+\n)"
    r"(?=(?:[^.!?\u3002\uff01\uff1f]++[.!?\u3002\uff01\uff1f]++){2})"
)


class PlainText(NamedTuple):
    """The text of one answer; `problems` and `notes` as in `Parsed`."""

    text: str = ""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def parse_plain_text(text: str, key: str = "") -> PlainText:
    """Parse an unchanged model answer as one text; the module docstring has the rules. Raises nothing.

    With a `key`, the text may also be the only member of a JSON object, under this key.
    """
    answer = extract_answer(text)
    if not answer.text:
        return PlainText("", answer.problems, answer.notes)
    body = "\n" + answer.text
    start = find_json(body, 0, len(body)) if key else -1
    if start < 0 or not is_fence_or_nothing(body[:start]):
        return _check(answer.text, answer)
    document, problems, notes = read_only_document(body, start, ("", "text after the JSON"))
    (value,) = text_members(document, key)
    if problems or is_empty(value):
        return _check(answer.text, answer)
    wrong = decoding_problems([value])
    return _check(value, AnswerText(value, unique((*answer.problems, *wrong)), unique((*answer.notes, *notes))))


def _check(text: str, answer: AnswerText) -> PlainText:
    """Return the text with the problems of what is no plain text."""
    read = strip(text)
    body = "\n" + read
    problems = {
        "code fence in plain text": "```" in read,
        "heading in plain text": _HEADING.search(body) is not None,
        "header in plain text": bool(find_headers(body, _HEADERS)),
        "list in plain text": len(_LIST_ITEM.findall(body)) > 1,
        "JSON in plain text": _JSON.match(read) is not None,
        "speaks before it begins": (_PREAMBLE.match(read) or _ANNOUNCEMENT.match(read)) is not None,
    }
    found = tuple(problem for problem, is_there in problems.items() if is_there)
    return PlainText(read, unique((*answer.problems, *found, *character_problems([read]))), answer.notes)
