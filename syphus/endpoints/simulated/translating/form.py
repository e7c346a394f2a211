"""The form in which translations are asked for: one JSON object, with the texts by language or by number."""

from __future__ import annotations

from random import Random

import orjson

from syphus.endpoints.simulated.scene import Form, Scene, Writer, chatter
from syphus.endpoints.simulated.translating.damage import Texts, damaged
from syphus.endpoints.simulated.translating.made_up import made_up
from syphus.endpoints.simulated.translating.words import WORDS

_FIELDS = ("instruction", "answer")


def _jobs(message: str) -> dict[str, tuple[str, Texts]]:
    """Under which key of the answer what is wanted: the language and the source; nothing for another message."""
    try:
        content = orjson.loads(message)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(content, dict):
        return {}
    codes = content.get("languages")
    if isinstance(codes, list):
        jobs = {code: (code, _texts(content)) for code in codes}
    else:
        jobs = {key: (item["language"], _texts(item)) for key, item in content.items() if _is_item(item)}
    return {key: (code, texts) for key, (code, texts) in jobs.items() if code in WORDS}


def _is_item(item: object) -> bool:
    return isinstance(item, dict) and "language" in item


def _texts(item: dict[str, str]) -> Texts:
    return {field: item[field] for field in _FIELDS if field in item}


def _translated(message: str) -> dict[str, Texts]:
    return {
        key: {field: made_up(text, code) for field, text in texts.items()}
        for key, (code, texts) in _jobs(message).items()
    }


def _write(scene: Scene, random: Random) -> str:
    made = _translated(scene.annotation)
    return orjson.dumps(made).decode() if made else chatter(scene, random)


def _damaged(scene: Scene, random: Random, share: float) -> str:
    made = _translated(scene.annotation)
    for key, (code, source) in _jobs(scene.annotation).items():
        if random.random() < share:
            made[key] = damaged(source, made[key], code, random)
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
    damaged=_damaged,
)
