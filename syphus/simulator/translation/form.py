"""The form of translations, one JSON object with texts by language or by number, and of an opinion about them."""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

import orjson

from syphus.answers.translation import LANGUAGES
from syphus.simulator.answer_form_types import DEFECTS, AnswerInput, DefectShares, Form, Writer, write_chatter
from syphus.simulator.translation.fake_text import (
    Texts,
    fake_translation,
    filler_words,
    with_damage,
    with_other_meaning,
)

_FIELDS = ("instruction", "answer")
_JSON = re.compile(r"\{.*\}", re.DOTALL)


class _TranslationRequest(NamedTuple):
    """A source text and its target language; `terms` are the translations of terms in the glossary."""

    code: str
    source: Texts
    terms: dict[str, str]

    def translate(self) -> Texts:
        return {field: self._with_terms(field, text) for field, text in self.source.items()}

    def _with_terms(self, field: str, text: str) -> str:
        terms = [translation for term, translation in self.terms.items() if term.lower() in text.lower()]
        return " ".join([*terms, fake_translation(text, self.code, field)])


def _read_requests(message: str) -> dict[str, _TranslationRequest]:
    """Return the requested translations by their key in the answer; an empty dict for any other message."""
    try:
        content = orjson.loads(message)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(content, dict):
        return {}
    codes = content.get("languages")
    if isinstance(codes, list):
        terms = content.get("terms", {})
        by_code = {code: {term: by[code] for term, by in terms.items() if code in by} for code in codes}
        requests = {code: _TranslationRequest(code, _texts(content), by_code[code]) for code in codes}
    else:
        items = {key: item for key, item in content.items() if isinstance(item, dict) and "language" in item}
        requests = {
            key: _TranslationRequest(item["language"], _texts(item), item.get("terms", {}))
            for key, item in items.items()
        }
    return {key: request for key, request in requests.items() if request.code in LANGUAGES}


def _texts(item: dict[str, str]) -> Texts:
    return {field: item[field] for field in _FIELDS if field in item}


def _translated(message: str) -> dict[str, Texts]:
    return {key: request.translate() for key, request in _read_requests(message).items()}


def _write(source: AnswerInput, random: Random) -> str:
    translations = _translated(source.annotation)
    return orjson.dumps(translations).decode() if translations else write_chatter(source, random)


def _write_with_defects(source: AnswerInput, random: Random, shares: DefectShares) -> str:
    translations = _translated(source.annotation)
    for key, request in _read_requests(source.annotation).items():
        if random.random() < shares.damage:
            translations[key] = with_damage(request.source, translations[key], request.code, random)
        elif shares.slips and random.random() < shares.slips:
            translations[key] = with_other_meaning(request.source, translations[key], request.code)
    return orjson.dumps(translations).decode() if translations else write_chatter(source, random)


def _only(count: int) -> Writer:
    def write(source: AnswerInput, random: Random) -> str:
        translations = list(_translated(source.annotation).items())
        return (
            orjson.dumps(dict(translations[:count] if len(translations) > 1 else [])).decode()
            if translations
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
    write_with_defects=_write_with_defects,
)


# A judge's opinion of translations. Filler text has no meaning, but the instruction and the answer have different
# filler words: a text with the words of the other field has another meaning.


def _word_of_other_field(text: str, code: str, field: str) -> str:
    """Return a word of the other field if most words of the text belong to that; otherwise ""."""
    if code not in LANGUAGES:
        return ""
    words, offset, lower = filler_words(code).filling, field == "instruction", text.lower()
    own = sum(len(word) for word in words[offset::2] if word.lower() in lower)
    foreign = [word for word in words[not offset :: 2] if word.lower() in lower]
    return foreign[0] if sum(map(len, foreign)) > own else ""


def _write_opinion(source: AnswerInput, random: Random) -> str:  # noqa: ARG001 - a `Writer`
    found = _JSON.search(source.annotation)
    data = orjson.loads(found[0]) if found else {}
    code = str(data.get("language", ""))
    for field, text in data.get("translation", {}).items():
        if word := _word_of_other_field(str(text), code, field):
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
