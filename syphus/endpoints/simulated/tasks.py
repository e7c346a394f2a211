"""Forms of answers that are about pairs: the verdict of a judge, and the description of a task."""

from __future__ import annotations

import re
from random import Random

import orjson

from syphus.endpoints.simulated.scene import DEFECTS, Form, Scene, chatter

_LONG_WORD = re.compile(r"[^\W\d_]{5,}")
_STEM = 4  # letters by which two words are taken for the same
_JSON = re.compile(r"\{.*\}", re.DOTALL)
_CRITERIA = ("grounded", "complete", "clear", "natural")
_ASKED = re.compile(r"^Question: (.+)$", re.MULTILINE)


def _words(text: str) -> set[str]:
    return {word[:_STEM] for word in _LONG_WORD.findall(text.lower())}


def _write_verdict(scene: Scene, random: Random) -> str:  # noqa: ARG001 - as every writer
    """Numbers by how much of the pairs is in the annotation."""
    found = _JSON.search(scene.annotation)
    data = orjson.loads(found[0]) if found else {}
    told = _words(" ".join(str(pair.get("answer", "")) for pair in data.get("pairs", [])))
    known = _words(str(data.get("annotation", "")))
    share = len(told & known) / len(told) if told else 0.0
    number = 1 + round(4 * min(1.0, share / 0.7))
    verdict: dict[str, object] = dict.fromkeys(_CRITERIA, number)
    return orjson.dumps({**verdict, "reason": f"{share:.0%} of it can be found in the annotation."}).decode()


def _write_description(scene: Scene, random: Random) -> str:
    """Two texts about the pairs that are shown."""
    asked = _ASKED.findall(scene.annotation)
    example = random.choice(asked) if asked else "What is there to be seen?"
    short = f"Answer questions about what is shown, such as: {example}"
    long = (
        f"{short} The questions are about objects, people and events; the answer is found by looking closely. "
        "Answers are full sentences, definite, and supported by what is to be seen."
    )
    return f"Short: {short}\nLong: {long}"


VERDICT = Form(
    "verdict",
    shown=lambda _: 0,
    asked=lambda system_message: '"grounded"' in system_message and '"reason"' in system_message,
    write=_write_verdict,
    defects=dict.fromkeys(DEFECTS, chatter),
)
DESCRIPTION = Form(
    "description of a task",
    shown=lambda _: 0,
    asked=lambda system_message: "Short:" in system_message and "Long:" in system_message,
    write=_write_description,
    defects=dict.fromkeys(DEFECTS, chatter),
)
