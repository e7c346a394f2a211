"""The form in which translations are asked for: one JSON object, with the texts by language or by number."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import orjson

from syphus.endpoints.simulated.scene import Form, Scene, Spoiling, Writer, chatter
from syphus.endpoints.simulated.translating.damage import Texts, damaged, slipped
from syphus.endpoints.simulated.translating.made_up import made_up
from syphus.endpoints.simulated.translating.words import WORDS

_FIELDS = ("instruction", "answer")


class _Job(NamedTuple):
    """A source and the language that it is wanted in; `terms` are written as the glossary has them."""

    code: str
    source: Texts
    terms: dict[str, str]

    def made(self) -> Texts:
        return {field: self._with_terms(field, text) for field, text in self.source.items()}

    def _with_terms(self, field: str, text: str) -> str:
        found = [written for term, written in self.terms.items() if term.lower() in text.lower()]
        return " ".join([*found, made_up(text, self.code, field)])


def _jobs(message: str) -> dict[str, _Job]:
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
        jobs = {code: _Job(code, _texts(content), wanted[code]) for code in codes}
    else:
        items = {key: item for key, item in content.items() if isinstance(item, dict) and "language" in item}
        jobs = {key: _Job(item["language"], _texts(item), item.get("terms", {})) for key, item in items.items()}
    return {key: job for key, job in jobs.items() if job.code in WORDS}


def _texts(item: dict[str, str]) -> Texts:
    return {field: item[field] for field in _FIELDS if field in item}


def _translated(message: str) -> dict[str, Texts]:
    return {key: job.made() for key, job in _jobs(message).items()}


def _write(scene: Scene, random: Random) -> str:
    made = _translated(scene.annotation)
    return orjson.dumps(made).decode() if made else chatter(scene, random)


def _spoilt(scene: Scene, random: Random, share: Spoiling) -> str:
    made = _translated(scene.annotation)
    for key, job in _jobs(scene.annotation).items():
        if random.random() < share.damage:
            made[key] = damaged(job.source, made[key], job.code, random)
        elif share.slips and random.random() < share.slips:
            made[key] = slipped(job.source, made[key], job.code)
    return orjson.dumps(made).decode() if made else chatter(scene, random)


def _only(count: int) -> Writer:
    def write(scene: Scene, random: Random) -> str:
        made = list(_translated(scene.annotation).items())
        return orjson.dumps(dict(made[:count] if len(made) > 1 else [])).decode() if made else chatter(scene, random)

    return write


def _cut(scene: Scene, random: Random) -> str:
    return _write(scene, random)[:-2]


def _fenced(scene: Scene, random: Random) -> str:
    return f"```json\n{_write(scene, random)}\n```"


def _greeting(scene: Scene, random: Random) -> str:
    return f"Sure! Here are the translations:\n{_fenced(scene, random)}"


TRANSLATIONS = Form(
    "translations",
    shown=lambda _: 0,
    asked=lambda system_message: "translator" in system_message and "JSON" in system_message,
    write=_write,
    defects={
        "chatter": chatter,
        "unpaired": _cut,
        "numbered_headers": _fenced,
        "greeting": _greeting,
        "leak_phrase": _only(-1),
        "one_pair": _only(1),
    },
    spoilt=_spoilt,
)
