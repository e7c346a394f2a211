"""What a model has written: one JSON object, member by member, so that a cut in the last one takes none of the others.

Each member is a translation that is judged by itself. So nothing is repaired, and nothing whole is thrown away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from syphus.parsing.answer_text import readable, strip
from syphus.parsing.json_answers import decoding_problems
from syphus.translation import Translatable
from syphus.types import State

NO_JSON = "no JSON object"
NOT_VALID = "not valid JSON"
MISSING = "missing in the answer"

_START = re.compile(r"\{\s*(?=[\"}])")
_COLON, _COMMA = re.compile(r"\s*:\s*"), re.compile(r"\s*(,?)\s*")
_DECODER = json.JSONDecoder(strict=False)


class Members(NamedTuple):
    """The members of the object up to where it can be read, and why it ended there ("" where that is its end)."""

    values: dict[str, object]
    problem: str = ""
    state: State = State.INVALID  #: of what is missing, once it is not asked for any more


def read_members(text: str) -> Members:
    """Reads the object that an answer is, with whatever stands around it."""
    answer = readable(text)
    start = _START.search(answer.text)
    if start is None:
        return Members({}, answer.problems[0] if answer.problems else NO_JSON)
    values: dict[str, object] = {}
    at, problem = start.end(), ""
    while answer.text[at : at + 1] != "}":
        try:
            key, at = _DECODER.raw_decode(answer.text, at)
            colon = _COLON.match(answer.text, at)
            if colon is None or not isinstance(key, str):
                return Members(values, NOT_VALID)
            value, at = _DECODER.raw_decode(answer.text, colon.end())
        except (ValueError, RecursionError):
            return Members(values, NOT_VALID)
        if key in values:
            problem = "the same key twice"
        values[key] = value
        comma = _COMMA.match(answer.text, at)
        assert comma is not None
        at = comma.end()
    return Members(values, problem)


def translation(members: Members, name: str, source: Translatable) -> Translatable | str:
    """The texts under `name`, or in a few words why there are none; a text that the source has not got is left out."""
    if name not in members.values:
        return members.problem or MISSING
    value = members.values[name]
    if not isinstance(value, Mapping):
        return "not an object with the texts"
    texts = []
    for field in ("instruction", "answer"):
        text = value.get(field, "") if getattr(source, field).strip() else ""
        if not isinstance(text, str):
            return f"the {field} is no text"
        texts.append(text)
    if problems := decoding_problems(texts):
        return problems[0]
    return Translatable(*map(strip, texts))
