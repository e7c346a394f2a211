"""All forms of answers. To add one, write a `Form` and put it into `FORMS`.

A form is detected by the last in-context answer, or else by the system message. The first detected form in `FORMS` is
used; if there is none, question and answer lines. The defects of a form are what real models do wrong if no example
shows them the form. Here are the two forms of pairs; `dataset_answer_forms.py` and `translation/` have the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import orjson

from syphus.answers.parsing import (
    PAIRS_FORM,
    JsonForm,
    choices_form,
    conversations_form,
    keys_form,
    object_schema,
    parse_choices,
    parse_conversations,
    render_pairs,
    text_form,
)
from syphus.answers.parsing.json_forms import find_violation, read_json_answer
from syphus.simulator.answer_form_types import AnswerInput, Form, with_leak_phrase, write_chatter, write_pairs
from syphus.simulator.dataset_answer_forms import (
    BLOCKS,
    CHOICES,
    CONVERSATIONS,
    DESCRIPTION,
    KEYED_LINES,
    PAIR_VERDICTS,
    PLAIN_TEXT,
    VERDICT,
)
from syphus.simulator.translation.form import OPINION, TRANSLATIONS
from syphus.types import Pair

_HEADER = re.compile(r"^\s*[*#\s]*(question|answer)\b[ \d*]*:", re.IGNORECASE | re.MULTILINE)
_FENCE = re.compile(r"^\s*```\w*\s*|\s*```\s*$")


def detect_form(examples: Sequence[str], system_message: str) -> tuple[Form, bool]:
    """Return the form to answer in, and whether the prompt shows it."""
    for form in FORMS:
        if examples and form.count_items(examples[-1]):
            return form, True
    form = next((form for form in FORMS if form.is_requested_by(system_message)), QUESTION_ANSWER)
    # No example can show these two; the system message describes them fully.
    shown = form is TRANSLATIONS or (form is PLAIN_TEXT and bool(examples))
    return form, shown


def _leaking(pairs: Sequence[Pair]) -> list[Pair]:
    return [Pair(pairs[0].instruction, with_leak_phrase(pairs[0].answer)), *pairs[1:]]


# Question and answer lines


def _lines(pairs: Sequence[Pair], example: str, gap: str) -> str:
    """Write `Question:` and `Answer:` lines with the headers of `example`, if it has any."""
    heads = [head.strip() for head in _HEADER.findall(example)]
    question, answer = (heads[0], heads[1]) if len(heads) > 1 else ("Question", "Answer")
    return gap.join(f"{question}: {pair.instruction}\n{answer}: {pair.answer}" for pair in pairs)


def _gap(source: AnswerInput, random: Random) -> str:
    if not source.example:
        return random.choice(("\n", "\n\n"))
    return "\n\n" if re.search(r"\n[ \t]*\n", source.example.strip()) else "\n"


def _write_lines(source: AnswerInput, random: Random) -> str:
    return _lines(write_pairs(source, random), source.example, _gap(source, random))


def _unpaired_lines(source: AnswerInput, random: Random) -> str:
    *complete, last = write_pairs(source, random)
    gap = _gap(source, random)
    return gap.join(part for part in (_lines(complete, source.example, gap), f"Question: {last.instruction}") if part)


def _numbered_headers(source: AnswerInput, random: Random) -> str:
    pairs = write_pairs(source, random)
    return "\n\n".join(
        f"**Question {number}:** {pair.instruction}\n**Answer {number}:** {pair.answer}"
        for number, pair in enumerate(pairs, 1)
    )


def _greeting_lines(source: AnswerInput, random: Random) -> str:
    return f"Sure! Here are some questions and answers:\n\n{_write_lines(source, random)}"


def _leaking_lines(source: AnswerInput, random: Random) -> str:
    return _lines(_leaking(write_pairs(source, random)), source.example, _gap(source, random))


def _one_pair_lines(source: AnswerInput, random: Random) -> str:
    return _lines(write_pairs(source, random)[:1], source.example, "\n")


# A JSON array of objects


def _objects(text: str) -> list[dict[str, object]]:
    """Return the objects of a JSON array in `text`; an empty list for any other text."""
    try:
        content = orjson.loads(_FENCE.sub("", text))
    except orjson.JSONDecodeError:
        return []
    items = content if isinstance(content, list) else []
    return [item for item in items if isinstance(item, dict) and len(item) >= 2]


def _array(pairs: Sequence[Pair], example: str) -> str:
    shown = _objects(example)
    question, answer = list(shown[0])[:2] if shown else ("question", "answer")
    return orjson.dumps(
        [{question: pair.instruction, answer: pair.answer} for pair in pairs], option=orjson.OPT_INDENT_2
    ).decode()


def _write_array(source: AnswerInput, random: Random) -> str:
    return _array(write_pairs(source, random), source.example)


def _unpaired_array(source: AnswerInput, random: Random) -> str:
    items = [{"question": pair.instruction, "answer": pair.answer} for pair in write_pairs(source, random)]
    del items[-1]["answer"]
    return orjson.dumps(items).decode()


def _greeting_array(source: AnswerInput, random: Random) -> str:
    return f"Sure! Here is the JSON that you asked for:\n```json\n{_write_array(source, random)}\n```"


QUESTION_ANSWER = Form(
    "question and answer lines",
    count_items=lambda example: len(_HEADER.findall(example)) // 2,
    is_requested_by=lambda system_message: "question:" in system_message.lower(),
    write=_write_lines,
    defects={
        "chatter": write_chatter,
        "unpaired": _unpaired_lines,
        "numbered_headers": _numbered_headers,
        "greeting": _greeting_lines,
        "leak_phrase": _leaking_lines,
        "one_pair": _one_pair_lines,
    },
)

JSON_ARRAY = Form(
    "JSON array",
    count_items=lambda example: len(_objects(example)),
    is_requested_by=lambda system_message: "JSON" in system_message,
    write=_write_array,
    defects={
        "chatter": write_chatter,
        "unpaired": _unpaired_array,
        "numbered_headers": _numbered_headers,
        "greeting": _greeting_array,
        "leak_phrase": lambda source, random: _array(_leaking(write_pairs(source, random)), source.example),
        "one_pair": lambda source, random: _array(write_pairs(source, random)[:1], source.example),
    },
)

FORMS: list[Form] = [
    TRANSLATIONS,
    PAIR_VERDICTS,
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


# JSON by a schema, as a server that enforces one makes the model write it, and as others break it

SCHEMA_HABITS = ("enforced", "ignored", "misplaced", "cut", "fenced", "keys", "padded", "endless", "mixed")
_ENDLESS = 40_000  # characters of an answer without an end, if the request has no limit


def as_lines(example: str) -> str:
    """Return an in-context answer as the lines that say the same, if it is JSON of a known form; else as it is."""
    value = _load_object(example)
    if isinstance(value.get("pairs"), list):
        return render_pairs([Pair(str(each["question"]), str(each["answer"])) for each in value["pairs"]])
    if "question_1" in value:
        choices = parse_choices(example).choices
        return "\n\n".join(
            "\n".join(
                [f"Question: {each.question}"]
                + [f"Options {number}: {option}" for number, option in enumerate(each.options, 1)]
                + [f"Answer: {each.answer}"]
            )
            for each in choices
        )
    if "conversation_1" in value:
        return "\n\n".join(
            "\n".join(
                [f"Conversation {number} - {each.activity}", f"Human role: {each.role}", f"reason: {each.reason}"]
                + [f"Round {n}:\nHuman: {a}\nAssistant: {b}" for n, (a, b) in enumerate(each.rounds, 1)]
            )
            for number, each in enumerate(parse_conversations(example).conversations, 1)
        )
    if value and all(isinstance(text, str) for text in value.values()):
        lines = [f"{key}: {text}" for key, text in value.items()]
        return "\n".join(lines) if len(lines) > 1 else next(iter(value.values()))
    return example


def _load_object(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def as_schema(text: str, schema: Mapping[str, object], facts: Sequence[str]) -> str:
    """Return an answer as JSON by a schema: what it says in lines, or facts where it says nothing that fits."""
    if read_json_answer(text, schema).document:
        return text
    properties = schema.get("properties")
    names = list(properties) if isinstance(properties, dict) else []
    value = _form_of(names, schema).read_text(text) if names else None
    if value is None or find_violation(value, schema):
        value = _filled(schema, [*facts, "Nothing special."])
    return orjson.dumps(value).decode()


def _form_of(names: Sequence[str], schema: Any) -> JsonForm:
    first = schema["properties"][names[0]]
    inner = list(first.get("properties", ()))
    if names[0] == "question_1":
        return choices_form(len(names), sum(name.startswith("option_") for name in inner))
    if names[0] == "conversation_1":
        return conversations_form(len(names), sum(name.startswith("round_") for name in inner))
    if names == ["pairs"]:
        return PAIRS_FORM
    return keys_form(names) if len(names) > 1 else text_form(names[0])


def schema_of(sample: object) -> dict[str, object]:
    """Return the schema of a JSON value that shows the form of an answer."""
    if isinstance(sample, dict):
        return object_schema({name: schema_of(each) for name, each in sample.items()})
    if isinstance(sample, list):
        return {"type": "array", "items": schema_of(sample[0] if sample else "")}
    return {"type": "string"}


def _filled(schema: Any, texts: Sequence[str]) -> object:
    """Return a value by the schema, whose texts are from `texts`."""
    if "anyOf" in schema:
        return _filled(schema["anyOf"][0], texts)
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        shifted = [*texts[1:], texts[0]]
        return {
            name: _filled(each, texts if not n else shifted[n % len(shifted) :] + shifted[: n % len(shifted)])
            for n, (name, each) in enumerate(schema["properties"].items())
        }
    if "items" in schema:
        return [_filled(schema["items"], texts)]
    return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(schema["type"], texts[0])


def break_json(text: str, habit: str, max_tokens: int, random: Random) -> str:
    """Return JSON as a server with this habit delivers it; text without JSON stays as it is."""
    if habit == "mixed":
        habit = random.choice(("cut", "fenced", "keys", "padded", "endless"))
    size = 4 * max_tokens + 8 if max_tokens else _ENDLESS
    if habit == "cut":
        return text[: len(text) * 2 // 3]
    if habit == "fenced":
        return f"Sure! Here is the JSON:\n```json\n{text}\n```\nIs there anything else?"
    if habit == "keys":
        return re.sub(r'"(question|answer|description|human|activity)(_\d+)?"\s*:', r'"the_\1\2":', text)
    if habit == "padded":  # a grammar allows white space, and the model writes nothing else any more
        return text + "\n" * size
    if habit == "endless":
        return text[: len(text) // 2] + "\n" * size
    return text
