"""An answer that is one plain text, such as a description of an image.

The text is kept byte for byte, but for the white space around it, or it has a problem. Problems, besides those of
thinking blocks and characters (see `pairs.py`): "answer is empty", "code fence in plain text", "heading in plain text",
"header in plain text" (`Question:`, `Answer:`, `Description:`), "speaks before it begins" (`Sure! Here is a
description:`). Notes: "thinking block".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from syphus.parsing.answer_text import character_problems, readable, strip
from syphus.parsing.sections import find_headers, header_pattern

_HEADERS = header_pattern("question|answer|instruction|response|(?:detailed |image )?description|caption")
_HEADING = re.compile(r"\n[ \t]*+(?:#{1,6}[ \t]|\*\*[^*\n]++\*\*[ \t\r]*+(?:\n|\Z))")
_SPEAKS = re.compile(r"(?:sure|certainly|of course|absolutely|here is|here's|here are)\b[^\n]*", re.IGNORECASE)


class PlainText(NamedTuple):
    """What was read out of one answer; `problems` and `notes` as in `Parsed`."""

    text: str = ""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def parse_plain_text(text: str) -> PlainText:
    """Reads an answer as one text; the module's text has the rules. Takes the answer as it came. Raises nothing."""
    answer = readable(text)
    if not answer.text:
        return PlainText("", answer.problems, answer.notes)
    read = strip(answer.text)
    body = "\n" + read
    speaks = _SPEAKS.match(read)
    problems = {
        "code fence in plain text": "```" in read,
        "heading in plain text": _HEADING.search(body) is not None,
        "header in plain text": bool(find_headers(body, _HEADERS)),
        "speaks before it begins": speaks is not None and strip(speaks[0]).endswith((":", "!")),
    }
    found = tuple(problem for problem, is_there in problems.items() if is_there)
    return PlainText(read, (*answer.problems, *found, *character_problems([read])), answer.notes)
