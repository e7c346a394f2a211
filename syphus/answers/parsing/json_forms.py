"""Answers as one JSON object: the schema that a server is asked to enforce, and the check of what it sends.

A `JsonForm` belongs to a plugin. Its schema stays in the subset that all servers take: objects whose properties are
all required and that allow no others, arrays, texts, numbers, lists of allowed texts, and `null` as an alternative.
Source: the documentation of OpenAI ("Structured outputs"), Gemini's compatible route, vLLM, SGLang and llama-server, in
November 2026. A number of items can't be required in this subset, so a form that needs exactly three of something gives
them three names (`question_1` to `question_3`).

The parsers of `choices.py`, `conversations.py`, `keyed_lines.py`, `pairs.py` and `plain_text.py` read both forms.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from syphus.answers.parsing.answer_text import extract_answer
from syphus.answers.parsing.choices import parse_choices
from syphus.answers.parsing.conversations import parse_conversations
from syphus.answers.parsing.json_answers import find_json, read_documents
from syphus.answers.parsing.keyed_lines import parse_keyed_lines
from syphus.answers.parsing.pairs import parse_pairs
from syphus.answers.parsing.plain_text import parse_plain_text

Schema = Mapping[str, object]

# Limits of OpenAI, the lowest of those that are documented.
MAX_DEPTH, MAX_PROPERTIES, MAX_ALLOWED_TEXTS, MAX_NAMES = 10, 5_000, 1_000, 120_000

#: The keywords of each type besides `type` and `description`.
_KEYWORDS: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items"}),
    "string": frozenset({"enum"}),
    "integer": frozenset(),
    "number": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_SAMPLES: Mapping[str, object] = {"string": "...", "integer": 1, "number": 1.5, "boolean": True, "null": None}


@dataclass(frozen=True, slots=True)
class JsonForm:
    """How the answers of a plugin look as JSON.

    `read_text` turns the text of an in-context example into the JSON value that says the same, or returns None if it
    can't; it is not called for examples that are such JSON already. `text_form` describes the form in lines, for a
    prompt that was written for JSON and meets a server that can't answer in it.
    """

    schema: Schema
    read_text: Callable[[str], object | None]
    text_form: str = ""
    name: str = "answer"  #: of the schema: letters, digits, - and _


class JsonAnswer(NamedTuple):
    """What was found in an answer that should be JSON by a schema.

    `document` is the JSON as the model wrote it, without fences and text around it, if it keeps to the schema;
    otherwise `problem` says why not. `has_json` says whether there was JSON at all.
    """

    document: str = ""
    problem: str = ""
    has_json: bool = False


def read_json_answer(text: str, schema: Schema) -> JsonAnswer:
    """Find the JSON of an answer, and check it against a schema of the subset. Repairs nothing, and raises nothing."""
    answer = extract_answer(text)
    if answer.problems:
        return JsonAnswer(problem=answer.problems[0])
    body = "\n" + answer.text
    start = find_json(body, 0, len(body))
    if start < 0:
        return JsonAnswer(problem="no JSON object")
    read = read_documents(body, start)
    if read.problems or len(read.values) != 1:
        return JsonAnswer(problem=(*read.problems, "two JSON documents")[0], has_json=True)
    if find_json("\n" + body[read.end :], 0, len(body) - read.end + 1) >= 0:
        return JsonAnswer(problem="two JSON documents", has_json=True)
    problem = find_violation(read.values[0], schema)
    return JsonAnswer("" if problem else body[start : read.end], problem, has_json=True)


def find_violation(value: object, schema: Schema, where: str = "") -> str:
    """Return where a JSON value breaks a schema of the subset, and how; "" if it keeps to it."""
    options = schema.get("anyOf")
    if isinstance(options, Sequence):
        found = [find_violation(value, each, where) for each in options]
        return "" if "" in found else found[0]
    if not any(_is_of_type(value, kind) for kind in _types(schema)):
        return f"{where or 'the answer'} is not {' or '.join(_types(schema))}"
    allowed = schema.get("enum")
    if isinstance(allowed, Sequence) and value not in allowed:
        return f"{where or 'the answer'} is not one of the allowed texts"
    if isinstance(value, list):
        items = schema.get("items")
        assert isinstance(items, Mapping)  # `schema_problem` has checked it
        return next(filter(None, (find_violation(each, items, f"{where}[]") for each in value)), "")
    if isinstance(value, dict):
        return _find_member_violation(value, schema, where)
    return ""


def _find_member_violation(value: Mapping[str, object], schema: Schema, where: str) -> str:
    properties = schema.get("properties")
    assert isinstance(properties, Mapping)  # `schema_problem` has checked it
    for name in properties:
        if name not in value:
            return f"{_inside(where, name)} is missing"
    for name, member in value.items():
        if name not in properties:
            return f"{_inside(where, name)} is not in the schema"
        if problem := find_violation(member, properties[name], _inside(where, name)):
            return problem
    return ""


def _is_of_type(value: object, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _types(schema: Schema) -> list[str]:
    kinds = schema.get("type")
    return [kinds] if isinstance(kinds, str) else [str(kind) for kind in kinds] if isinstance(kinds, list) else []


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def schema_problem(schema: object) -> str:
    """Return what puts a schema outside of the subset, or "": one line with the keyword, its place, and what to do."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        return 'the root must be {"type": "object", ...}; put the answer into a property of it'
    try:
        problem = next(_subset_problems(schema, "", 1), "")
        names = [name for each in _objects(schema) for name in each]
        texts = [text for each in _enums(schema) for text in each]
    except RecursionError:
        return "it refers to itself; write it out to the depth that is needed"
    if problem:
        return problem
    if len(names) > MAX_PROPERTIES:
        return f"it has {len(names):,} properties; servers take {MAX_PROPERTIES:,}"
    if len(texts) > MAX_ALLOWED_TEXTS:
        return (
            f'"enum" has {len(texts):,} texts in all; servers take {MAX_ALLOWED_TEXTS:,}: check them in parse_response'
        )
    if sum(map(len, (*names, *texts))) > MAX_NAMES:
        return f"its names and allowed texts have more than {MAX_NAMES:,} characters; shorten them"
    return ""


def _subset_problems(schema: object, where: str, depth: int) -> Iterator[str]:
    place = where or "the root"
    if not isinstance(schema, Mapping):
        yield f"{place} is not a schema (an object)"
        return
    if depth > MAX_DEPTH:
        yield f"{place} is nested more than {MAX_DEPTH} levels deep; make it flatter"
        return
    if "anyOf" in schema:
        yield from _union_problems(schema, where, depth)
        return
    kinds = _types(schema)
    if not kinds or any(kind not in _KEYWORDS for kind in kinds):
        yield f'{place} needs "type": one of {", ".join(_KEYWORDS)}'
        return
    allowed = {"type", "description"}.union(*(_KEYWORDS[kind] for kind in kinds))
    for keyword in schema:
        if keyword not in allowed:
            yield f'"{keyword}" at {place} is not taken by all servers; leave it out, and check it in parse_response'
    if "object" in kinds:
        yield from _object_problems(schema, where, depth)
    if "array" in kinds:
        if "items" not in schema:
            yield f'"items" is missing at {place}; say what the array holds'
        else:
            yield from _subset_problems(schema["items"], f"{where}[]", depth + 1)
    texts = schema.get("enum", [""])
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        yield f'"enum" at {place} must list texts; write numbers as texts'


def _union_problems(schema: Schema, where: str, depth: int) -> Iterator[str]:
    options = schema["anyOf"]
    if not where:
        yield '"anyOf" at the root is not taken by all servers; put it into a property'
    elif not isinstance(options, list | tuple) or not options or set(schema) - {"anyOf", "description"}:
        yield f'"anyOf" at {where} must be a list of schemas, and stand alone'
    else:
        for each in options:
            yield from _subset_problems(each, where, depth)


def _object_problems(schema: Schema, where: str, depth: int) -> Iterator[str]:
    place, properties = where or "the root", schema.get("properties")
    if not isinstance(properties, Mapping) or not properties or not all(isinstance(name, str) for name in properties):
        yield f'"properties" at {place} must name at least one property'
        return
    if schema.get("additionalProperties") is not False:
        yield f'"additionalProperties" at {place} must be false'
    required = schema.get("required")
    named = set(map(str, required)) if isinstance(required, list | tuple) else set()
    if named != set(properties):
        name = min(set(properties) ^ named)
        what = "it is no property" if name not in properties else "where it may be missing, allow null"
        yield f'"required" at {place} must list exactly the properties, and {name} is the difference: {what}'
    for name, each in properties.items():
        yield from _subset_problems(each, _inside(where, name), depth + 1)


def _schemas(schema: object) -> Iterator[Schema]:
    """Yield a schema and all schemas in it."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    properties, options = schema.get("properties"), schema.get("anyOf")
    inner = [*(properties.values() if isinstance(properties, Mapping) else ()), schema.get("items")]
    for each in (*inner, *(options if isinstance(options, list | tuple) else ())):
        yield from _schemas(each)


def _objects(schema: object) -> Iterator[Mapping[str, object]]:
    for each in _schemas(schema):
        properties = each.get("properties")
        if isinstance(properties, Mapping):
            yield properties


def _enums(schema: object) -> Iterator[Sequence[str]]:
    for each in _schemas(schema):
        texts = each.get("enum")
        if isinstance(texts, list | tuple):
            yield texts


def outline(schema: Schema) -> str:
    """Return an object of the schema's form as JSON text, to show a model: `{"pairs": [{"question": "...", ...}]}`."""
    return json.dumps(_sample(schema), ensure_ascii=False)


def _sample(schema: object) -> object:
    if not isinstance(schema, Mapping):
        return None
    options, allowed, properties = schema.get("anyOf"), schema.get("enum"), schema.get("properties")
    if isinstance(options, Sequence):
        return _sample(options[0])
    if isinstance(allowed, Sequence):
        return " or ".join(map(str, allowed)) if len(allowed) < 10 else allowed[0]
    if isinstance(properties, Mapping):
        return {name: _sample(each) for name, each in properties.items()}
    kind = _types(schema)[0]
    return [_sample(schema.get("items"))] if kind == "array" else _SAMPLES.get(kind)


def example_as_json(text: str, form: JsonForm) -> str:
    """Return the text of an in-context example as JSON by the form's schema; "" if it can't be written so."""
    written = read_json_answer(text, form.schema)
    if written.document:
        return json.dumps(json.loads(written.document), ensure_ascii=False)
    value = form.read_text(text)
    return "" if value is None or find_violation(value, form.schema) else json.dumps(value, ensure_ascii=False)


# The forms that have a parser.


def object_schema(properties: Mapping[str, object]) -> dict[str, object]:
    """Return the schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT: Mapping[str, object] = {"type": "string"}


def _texts(*names: str) -> dict[str, object]:
    return object_schema(dict.fromkeys(names, _TEXT))


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}_{number}" for number in range(1, count + 1)]


def _pairs_of_text(text: str) -> object | None:
    parsed = parse_pairs(text)
    pairs = [{"question": pair.instruction, "answer": pair.answer} for pair in parsed.pairs]
    return {"pairs": pairs} if pairs and not parsed.problems else None


#: Pairs of question and answer, which `parse_pairs` reads.
PAIRS_FORM = JsonForm(
    object_schema({"pairs": {"type": "array", "items": _texts("question", "answer")}}),
    _pairs_of_text,
    "Question: ...\nAnswer: ...",
    "pairs",
)


def choices_form(questions: int, options: int) -> JsonForm:
    """Return the form of exactly this number of multiple-choice questions and of their options, for `parse_choices`."""
    names, option_names = _numbered("question", questions), _numbered("option", options)
    places = [str(number) for number in range(1, options + 1)]
    answer = {"type": "string", "enum": places, "description": "the number of the right option"}
    question = object_schema({**dict.fromkeys(("question", *option_names), _TEXT), "answer": answer})

    def read_text(text: str) -> object | None:
        read = parse_choices(text)
        if read.problems or len(read.choices) != questions:
            return None
        return {
            name: {
                "question": each.question,
                **dict(zip(option_names, each.options, strict=False)),
                "answer": str(each.answer),
            }
            for name, each in zip(names, read.choices, strict=True)
        }

    lines = [
        "Question: ...",
        *(f"Options {place}: ..." for place in places),
        "Answer: <the number of the right option>",
    ]
    return JsonForm(object_schema(dict.fromkeys(names, question)), read_text, "\n".join(lines), "choices")


def conversations_form(conversations: int, rounds: int) -> JsonForm:
    """Return the form of exactly this number of conversations and of their rounds, for `parse_conversations`."""
    names, round_names = _numbered("conversation", conversations), _numbered("round", rounds)
    turns = dict.fromkeys(round_names, _texts("human", "assistant"))
    conversation = object_schema({**dict.fromkeys(("activity", "role", "reason"), _TEXT), **turns})

    def read_text(text: str) -> object | None:
        read = parse_conversations(text)
        if read.problems or len(read.conversations) != conversations:
            return None
        return {
            name: {
                "activity": each.activity,
                "role": each.role,
                "reason": each.reason,
                **{key: turn._asdict() for key, turn in zip(round_names, each.rounds, strict=False)},
            }
            for name, each in zip(names, read.conversations, strict=True)
        }

    lines = [
        "Conversation 1 - <activity>",
        "Human role: ...",
        "reason: ...",
        "Round 1:",
        "Human: ...",
        "Assistant: ...",
    ]
    return JsonForm(object_schema(dict.fromkeys(names, conversation)), read_text, "\n".join(lines), "conversations")


def keys_form(keys: Sequence[str]) -> JsonForm:
    """Return the form of one text under each key, for `parse_keyed_lines`."""

    def read_text(text: str) -> object | None:
        read = parse_keyed_lines(text, keys)
        return None if read.problems else read.texts

    return JsonForm(_texts(*keys), read_text, "\n".join(f"{key}: ..." for key in keys), "texts")


def text_form(key: str) -> JsonForm:
    """Return the form of one text under `key`, for `parse_plain_text` with the same key."""

    def read_text(text: str) -> object | None:
        read = parse_plain_text(text, key)
        return None if read.problems else {key: read.text}

    return JsonForm(_texts(key), read_text, "plain text, and nothing else", "text")
