"""Reads the answers of translation requests: one JSON object with one translation per member.

Members are read one by one, so an answer that breaks off in one member keeps those before it. Nothing is repaired: each
translation is checked, and asked for again, by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from syphus.answers.parsing.answer_text import extract_answer, strip
from syphus.answers.parsing.json_answers import decoding_problems
from syphus.answers.translation import Translatable
from syphus.types import State

NO_JSON = "no JSON object"
NOT_VALID = "not valid JSON"
MISSING = "missing in the answer"

_START = re.compile(r"\{\s*(?=[\"}])")
_COLON, _COMMA = re.compile(r"\s*:\s*"), re.compile(r"\s*(,?)\s*")
_DECODER = json.JSONDecoder(strict=False)


class AnswerMembers(NamedTuple):
    """The members of the object up to where it breaks off. `problem` says why it does; "" if it is complete."""

    values: dict[str, object]
    problem: str = ""
    state: State = State.INVALID  #: of the missing members, after the last attempt


def read_members(text: str) -> AnswerMembers:
    """Read the JSON object of an answer, and ignore the text around it."""
    answer = extract_answer(text)
    start = _START.search(answer.text)
    if start is None:
        return AnswerMembers({}, answer.problems[0] if answer.problems else NO_JSON)
    values: dict[str, object] = {}
    at, problem = start.end(), ""
    while answer.text[at : at + 1] != "}":
        try:
            key, at = _DECODER.raw_decode(answer.text, at)
            colon = _COLON.match(answer.text, at)
            if colon is None or not isinstance(key, str):
                return AnswerMembers(values, NOT_VALID)
            value, at = _DECODER.raw_decode(answer.text, colon.end())
        except (ValueError, RecursionError):
            return AnswerMembers(values, NOT_VALID)
        if key in values:
            problem = "the same key twice"
        values[key] = value
        comma = _COMMA.match(answer.text, at)
        assert comma is not None
        at = comma.end()
    return AnswerMembers(values, problem)


def read_translation(members: AnswerMembers, name: str, source: Translatable) -> Translatable | str:
    """Return the translation under `name`, or a short reason why there is none.

    Leaves out a text that the source does not have.
    """
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
