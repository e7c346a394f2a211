"""What a judge says of translations for show. Made-up texts have no meaning, but each field has words of its own: where
those of the other field stand, something else is said.
"""

from __future__ import annotations

import re
from random import Random

import orjson

from syphus.endpoints.simulated.scene import DEFECTS, Form, Scene, chatter
from syphus.endpoints.simulated.translating.words import WORDS

_JSON = re.compile(r"\{.*\}", re.DOTALL)


def _says_something_else(text: str, code: str, field: str) -> str:
    """A word that belongs to the other field, where most of the text's words do; else ""."""
    if code not in WORDS:
        return ""
    filling, place, small = WORDS[code].filling, field == "instruction", text.lower()
    own = sum(len(word) for word in filling[place::2] if word.lower() in small)
    strange = [word for word in filling[not place :: 2] if word.lower() in small]
    return strange[0] if sum(map(len, strange)) > own else ""


def _write(scene: Scene, random: Random) -> str:  # noqa: ARG001 - as every writer
    found = _JSON.search(scene.annotation)
    data = orjson.loads(found[0]) if found else {}
    code = str(data.get("language", ""))
    for field, text in data.get("translation", {}).items():
        if word := _says_something_else(str(text), code, field):
            reason = f"The {field} says something else: it has the words of another text, such as {word}."
            return orjson.dumps({"reason": reason, "fault": "meaning"}).decode()
    return orjson.dumps({"reason": "It says what the source says.", "fault": "none"}).decode()


OPINION = Form(
    "opinion of a translation",
    shown=lambda _: 0,
    asked=lambda system_message: '"fault"' in system_message and "translation" in system_message,
    write=_write,
    defects=dict.fromkeys(DEFECTS, chatter),
)
