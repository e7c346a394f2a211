"""The forms that an answer can be asked for in. To add one, write a `Form` and put it into `FORMS`.

A form is recognised by an in-context answer (`shown`), or else by the system message (`asked`); the first in `FORMS`
that is recognised is used, and question and answer lines where none is. Its defects are what models really do wrong
when the form is not shown to them. Here are the two forms of pairs; `special_forms.py` has the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

import orjson

from syphus.simulator.scene import Form, Scene, chatter, leak, some_pairs
from syphus.simulator.special_forms import BLOCKS, CHOICES, CONVERSATIONS, DESCRIPTION, KEYED_LINES, PLAIN_TEXT, VERDICT
from syphus.simulator.translation.form import OPINION, TRANSLATIONS
from syphus.types import Pair

_HEADER = re.compile(r"^\s*[*#\s]*(question|answer)\b[ \d*]*:", re.IGNORECASE | re.MULTILINE)
_FENCE = re.compile(r"^\s*```\w*\s*|\s*```\s*$")


def form_of(examples: Sequence[str], system_message: str) -> tuple[Form, bool]:
    """The form to answer in, and whether an in-context example shows it."""
    for form in FORMS:
        if examples and form.shown(examples[-1]):
            return form, True
    form = next((form for form in FORMS if form.asked(system_message)), QUESTION_ANSWER)
    told = form is TRANSLATIONS or (
        bool(examples) and form is PLAIN_TEXT
    )  # only the system message tells what they are
    return form, told


def _leaking(made: Sequence[Pair]) -> list[Pair]:
    return [Pair(made[0].instruction, leak(made[0].answer)), *made[1:]]


# Question and answer lines


def _lines(made: Sequence[Pair], example: str, gap: str) -> str:
    """`Question:` and `Answer:` lines, spelt and spaced as in `example`, which shows the form."""
    heads = [head.strip() for head in _HEADER.findall(example)]
    question, answer = (heads[0], heads[1]) if len(heads) > 1 else ("Question", "Answer")
    return gap.join(f"{question}: {pair.instruction}\n{answer}: {pair.answer}" for pair in made)


def _gap(scene: Scene, random: Random) -> str:
    if not scene.example:
        return random.choice(("\n", "\n\n"))
    return "\n\n" if re.search(r"\n[ \t]*\n", scene.example.strip()) else "\n"


def _write_lines(scene: Scene, random: Random) -> str:
    return _lines(some_pairs(scene, random), scene.example, _gap(scene, random))


def _unpaired_lines(scene: Scene, random: Random) -> str:
    *complete, last = some_pairs(scene, random)
    gap = _gap(scene, random)
    return gap.join(part for part in (_lines(complete, scene.example, gap), f"Question: {last.instruction}") if part)


def _numbered_headers(scene: Scene, random: Random) -> str:
    made = some_pairs(scene, random)
    return "\n\n".join(
        f"**Question {number}:** {pair.instruction}\n**Answer {number}:** {pair.answer}"
        for number, pair in enumerate(made, 1)
    )


def _greeting_lines(scene: Scene, random: Random) -> str:
    return f"Sure! Here are some questions and answers:\n\n{_write_lines(scene, random)}"


def _leaking_lines(scene: Scene, random: Random) -> str:
    return _lines(_leaking(some_pairs(scene, random)), scene.example, _gap(scene, random))


def _one_pair_lines(scene: Scene, random: Random) -> str:
    return _lines(some_pairs(scene, random)[:1], scene.example, "\n")


# A JSON array of objects


def _objects(text: str) -> list[dict[str, object]]:
    """The objects of a JSON array in `text`; none if it is something else."""
    try:
        content = orjson.loads(_FENCE.sub("", text))
    except orjson.JSONDecodeError:
        return []
    items = content if isinstance(content, list) else []
    return [item for item in items if isinstance(item, dict) and len(item) >= 2]


def _array(made: Sequence[Pair], example: str) -> str:
    shown = _objects(example)
    question, answer = list(shown[0])[:2] if shown else ("question", "answer")
    return orjson.dumps(
        [{question: pair.instruction, answer: pair.answer} for pair in made], option=orjson.OPT_INDENT_2
    ).decode()


def _write_array(scene: Scene, random: Random) -> str:
    return _array(some_pairs(scene, random), scene.example)


def _unpaired_array(scene: Scene, random: Random) -> str:
    made = [{"question": pair.instruction, "answer": pair.answer} for pair in some_pairs(scene, random)]
    del made[-1]["answer"]
    return orjson.dumps(made).decode()


def _greeting_array(scene: Scene, random: Random) -> str:
    return f"Sure! Here is the JSON that you asked for:\n```json\n{_write_array(scene, random)}\n```"


QUESTION_ANSWER = Form(
    "question and answer lines",
    shown=lambda example: len(_HEADER.findall(example)) // 2,
    asked=lambda system_message: "question:" in system_message.lower(),
    write=_write_lines,
    defects={
        "chatter": chatter,
        "unpaired": _unpaired_lines,
        "numbered_headers": _numbered_headers,
        "greeting": _greeting_lines,
        "leak_phrase": _leaking_lines,
        "one_pair": _one_pair_lines,
    },
)

JSON_ARRAY = Form(
    "JSON array",
    shown=lambda example: len(_objects(example)),
    asked=lambda system_message: "JSON" in system_message,
    write=_write_array,
    defects={
        "chatter": chatter,
        "unpaired": _unpaired_array,
        "numbered_headers": _numbered_headers,
        "greeting": _greeting_array,
        "leak_phrase": lambda scene, random: _array(_leaking(some_pairs(scene, random)), scene.example),
        "one_pair": lambda scene, random: _array(some_pairs(scene, random)[:1], scene.example),
    },
)

FORMS: list[Form] = [
    TRANSLATIONS,
    VERDICT,
    OPINION,
    DESCRIPTION,
    CONVERSATIONS,
    CHOICES,
    BLOCKS,
    JSON_ARRAY,
    QUESTION_ANSWER,
    KEYED_LINES,
    PLAIN_TEXT,
]
