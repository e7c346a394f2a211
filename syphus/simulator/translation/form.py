"""The form in which translations are asked for: one JSON object, with the texts by language or by number."""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

import orjson

from syphus.answers.translation import LANGUAGES
from syphus.simulator.form_types import DEFECTS, AnswerInput, DefectShares, Form, Writer, write_chatter
from syphus.simulator.translation.fake_text import (
    Texts,
    fake_translation,
    filler_words,
    with_damage,
    with_other_meaning,
)

_FIELDS = ("instruction", "answer")


class _TranslationRequest(NamedTuple):
    """A source and the language that it is wanted in; `terms` are written as the glossary has them."""

    code: str
    source: Texts
    terms: dict[str, str]

    def made(self) -> Texts:
        return {field: self._with_terms(field, text) for field, text in self.source.items()}

    def _with_terms(self, field: str, text: str) -> str:
        found = [written for term, written in self.terms.items() if term.lower() in text.lower()]
        return " ".join([*found, fake_translation(text, self.code, field)])


def _read_requests(message: str) -> dict[str, _TranslationRequest]:
    """What is wanted, by its key in the answer; nothing for another message."""
    try:
        content = orjson.loads(message)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(content, dict):
        return {}
    codes = content.get("languages")
    if isinstance(codes, list):
        terms = content.get("terms", {})
        wanted = {code: {term: by[code] for term, by in terms.items() if code in by} for code in codes}
        jobs = {code: _TranslationRequest(code, _texts(content), wanted[code]) for code in codes}
    else:
        items = {key: item for key, item in content.items() if isinstance(item, dict) and "language" in item}
        jobs = {
            key: _TranslationRequest(item["language"], _texts(item), item.get("terms", {}))
            for key, item in items.items()
        }
    return {key: job for key, job in jobs.items() if job.code in LANGUAGES}


def _texts(item: dict[str, str]) -> Texts:
    return {field: item[field] for field in _FIELDS if field in item}


def _translated(message: str) -> dict[str, Texts]:
    return {key: job.made() for key, job in _read_requests(message).items()}


def _write(source: AnswerInput, random: Random) -> str:
    made = _translated(source.annotation)
    return orjson.dumps(made).decode() if made else write_chatter(source, random)


def _spoilt(source: AnswerInput, random: Random, share: DefectShares) -> str:
    made = _translated(source.annotation)
    for key, job in _read_requests(source.annotation).items():
        if random.random() < share.damage:
            made[key] = with_damage(job.source, made[key], job.code, random)
        elif share.slips and random.random() < share.slips:
            made[key] = with_other_meaning(job.source, made[key], job.code)
    return orjson.dumps(made).decode() if made else write_chatter(source, random)


def _only(count: int) -> Writer:
    def write(source: AnswerInput, random: Random) -> str:
        made = list(_translated(source.annotation).items())
        return (
            orjson.dumps(dict(made[:count] if len(made) > 1 else [])).decode()
            if made
            else write_chatter(source, random)
        )

    return write


def _cut(source: AnswerInput, random: Random) -> str:
    return _write(source, random)[:-2]


def _fenced(source: AnswerInput, random: Random) -> str:
    return f"```json\n{_write(source, random)}\n```"


def _greeting(source: AnswerInput, random: Random) -> str:
    return f"Sure! Here are the translations:\n{_fenced(source, random)}"


TRANSLATIONS = Form(
    "translations",
    count_items=lambda _: 0,
    is_requested_by=lambda system_message: "translator" in system_message and "JSON" in system_message,
    write=_write,
    defects={
        "chatter": write_chatter,
        "unpaired": _cut,
        "numbered_headers": _fenced,
        "greeting": _greeting,
        "leak_phrase": _only(-1),
        "one_pair": _only(1),
    },
    write_with_defects=_spoilt,
)


# FOLDED from opinion.py:
# What a judge says of translations for show. Made-up texts have no meaning, but each field has words of its own: where
# those of the other field stand, something else is said.

_JSON = re.compile(r"\{.*\}", re.DOTALL)


def _says_something_else(text: str, code: str, field: str) -> str:
    """A word that belongs to the other field, where most of the text's words do; else ""."""
    if code not in LANGUAGES:
        return ""
    filling, place, small = filler_words(code).filling, field == "instruction", text.lower()
    own = sum(len(word) for word in filling[place::2] if word.lower() in small)
    strange = [word for word in filling[not place :: 2] if word.lower() in small]
    return strange[0] if sum(map(len, strange)) > own else ""


def _write_opinion(source: AnswerInput, random: Random) -> str:  # noqa: ARG001 - as every writer
    found = _JSON.search(source.annotation)
    data = orjson.loads(found[0]) if found else {}
    code = str(data.get("language", ""))
    for field, text in data.get("translation", {}).items():
        if word := _says_something_else(str(text), code, field):
            reason = f"The {field} says something else: it has the words of another text, such as {word}."
            return orjson.dumps({"reason": reason, "fault": "meaning"}).decode()
    return orjson.dumps({"reason": "It says what the source says.", "fault": "none"}).decode()


OPINION = Form(
    "opinion of a translation",
    count_items=lambda _: 0,
    is_requested_by=lambda system_message: '"fault"' in system_message and "translation" in system_message,
    write=_write_opinion,
    defects=dict.fromkeys(DEFECTS, write_chatter),
)
