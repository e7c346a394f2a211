"""Reads prompt files, and renders a query into the messages of a request.

A prompt file is YAML or JSON, data only:

    system_message: |-
      You are shown ...
    in_context:
      - role: user
        content: a person is gone
      - role: assistant
        content:
          - question: Who has left?
            answer: A person.

With `form: json`, the answers are asked for as JSON by a schema, and the examples are shown in that form, however they
are written here.

A user turn may have `images`, a list of files; relative paths start at the folder of the prompt file.

An assistant turn is text or a list of objects. Pairs of question and answer, with any of the keys that JSON answers may
have, are rendered exactly as `parse_pairs` reads them, so that the model learns the format that is parsed. Objects with
other keys, which must be the same in the whole turn, become lines `key: text` with a blank line between objects.
Everything is sent as written: nothing is stripped, and nothing is treated as a template.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from syphus.answers.parsing.json_forms import JsonForm, example_as_json, outline
from syphus.answers.parsing.pairs import ANSWER_KEYS, QUESTION_KEYS, render_pairs
from syphus.errors import InputError, PromptError
from syphus.io.text_files import read_text, text_problem
from syphus.io.yaml_files import MAX_BYTES, read_yaml
from syphus.text import alternatives, did_you_mean
from syphus.types import Message, Pair, PromptImage

TEXT_FORM, JSON_FORM = FORMS = ("text", "json")  #: the values of `form` in a prompt file
SUFFIXES = (".yaml", ".yml", ".json")

_KEYS = ("system_message", "in_context", "form")
_TURN_KEYS = ("role", "content", "images")
#: Ends the system message of a prompt that asks for JSON, before the outline of the answer.
ANSWER_IN_JSON = (
    "Whatever form is described above, the answer is one JSON object and nothing else. All rules for the texts stay as "
    "they are. The JSON has this form: "
)
_ANSWER_IN_LINES = "Do not answer in JSON. Use exactly this form, with an empty line between items, and nothing else:"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """What every request of a dataset begins with: the system message and the in-context examples, as turns."""

    system_message: str
    in_context: tuple[Message, ...] = ()
    form: str = TEXT_FORM  #: of the answers; JSON_FORM asks for them as JSON, where the server can do it
    sends_empty_system: bool = False  #: sends the system message even if it is empty, as the first Syphus did


def find_prompt(name: str, folders: Iterable[Path]) -> Path:
    """Return the file `name` plus one of SUFFIXES from the first of `folders` that has one. Raises `PromptError`."""
    searched = list({folder.resolve(): folder for folder in reversed(list(folders))}.values())[::-1]
    for folder in searched:
        for suffix in SUFFIXES:
            if (folder / f"{name}{suffix}").is_file():
                return folder / f"{name}{suffix}"
    where = ", ".join(map(str, searched))
    raise PromptError(f"no prompt file {name}.yaml (or .json) in {where}; write one, or name one with --prompt_path")


def read_prompt(path: str | Path) -> Mapping[str, object]:
    """Return the unchecked object in a prompt file, for `to_prompt_template`. Raises `PromptError` with the line."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise PromptError(f"{path}: a prompt file ends in {', '.join(SUFFIXES)}")
    data = _read_json(path) if suffix == ".json" else read_yaml(path, PromptError)
    if not isinstance(data, dict):
        raise PromptError(f'{path}: a prompt must be an object with "system_message" and "in_context"')
    return data


def to_prompt_template(
    data: object, where: str, *, lenient: bool = False, folder: Path = Path(), as_original: bool = False
) -> PromptTemplate:
    """Return the checked template for `{"system_message": str, "in_context": [{"role": ..., "content": ...}, ...]}`.

    `in_context` is optional. Relative paths of images start at `folder`; the images are not inspected yet. Raises
    `PromptError`, which begins with `where` and names the turn. `lenient` is for prompts of the original Syphus:
    unknown keys and assistant turns without a question cause warnings instead of errors. `as_original` renders lists of
    objects to the byte as the first Syphus did, and sends an empty system message.
    """
    if not isinstance(data, Mapping):
        raise PromptError(f'{where}: a prompt must be an object with "system_message" and "in_context"')
    _check_keys(data, where, lenient)
    turns = data.get("in_context", ())
    if not isinstance(turns, Sequence) or isinstance(turns, str):
        raise PromptError(f'{where}: "in_context" must be a list of turns')
    render = _render_as_original if as_original else _render
    messages = tuple(_turn(turn, f"{where}: turn {number}", folder, render) for number, turn in enumerate(turns, 1))
    _check_order(messages, where, lenient)
    form = data.get("form", TEXT_FORM)
    if form not in FORMS:
        raise PromptError(f'{where}: "form" is {form!r:.40}; it must be {alternatives(FORMS)}')
    system_message = _text(data["system_message"], f"{where}: system_message")
    return PromptTemplate(system_message, messages, str(form), sends_empty_system=as_original)


def as_json_prompt(template: PromptTemplate, form: JsonForm, where: str) -> PromptTemplate:
    """Return a template that asks for JSON: with the outline of the answer, and with its examples as JSON.

    Raises `PromptError`, which begins with `where` and names the turn, for an example that can't be written as JSON.
    """
    turns: list[Message] = []
    for number, turn in enumerate(template.in_context, 1):
        content = turn["content"]
        if turn["role"] == "assistant":
            content = example_as_json(content, form)
            if not content:
                raise PromptError(
                    f"{where}: turn {number} can't be written as JSON, since it is not in the form that the plugin "
                    f"reads; mend it, or write it as {outline(form.schema):.200}"
                )
        turns.append({**turn, "content": content})
    system_message = f"{template.system_message}\n\n{ANSWER_IN_JSON}{outline(form.schema)}"
    return PromptTemplate(system_message.lstrip("\n"), tuple(turns), template.form)


def as_text_prompt(template: PromptTemplate, form: JsonForm) -> PromptTemplate:
    """Return a template for a server that can't answer in JSON.

    A template that was written for text stays as it is. One that was written for JSON gets the form in lines.
    """
    if template.form == TEXT_FORM or not form.text_form:
        return template
    system_message = f"{template.system_message}\n\n{_ANSWER_IN_LINES}\n\n{form.text_form}"
    return replace(template, system_message=system_message.lstrip("\n"))


def render_messages(prefix: PromptTemplate, user_text: str, images: Sequence[PromptImage] = ()) -> list[Message]:
    """Return the messages of a request. The dicts are shared: don't change them.

    An empty system message is left out, unless the template says otherwise.
    """
    has_system = prefix.system_message or prefix.sends_empty_system
    system = [Message(role="system", content=prefix.system_message)] if has_system else []
    user_turn = Message(role="user", content=user_text)
    if images:
        user_turn["images"] = images
    return [*system, *prefix.in_context, user_turn]


def turns_as_json(prefix: PromptTemplate) -> list[dict[str, object]]:
    """Return the in-context examples as JSON values, with each image as the hash of its content."""
    return [
        {**turn, "images": [image.digest for image in turn["images"]]} if "images" in turn else {**turn}
        for turn in prefix.in_context
    ]


def prompt_digest(prefix: PromptTemplate) -> str:
    """Return 16 hex digits that change with every character of the template, and with its images."""
    form = [prefix.form] * (prefix.form != TEXT_FORM)
    form += ["empty system message"] * (prefix.sends_empty_system and not prefix.system_message)
    canonical = json.dumps([prefix.system_message, turns_as_json(prefix), *form], ensure_ascii=False, sort_keys=True)
    return blake2b(canonical.encode(), digest_size=8).hexdigest()


def _read_json(path: str | Path) -> object:
    def strict(items: list[tuple[str, object]]) -> dict[str, object]:
        keys = [key for key, _ in items]
        duplicate = next((key for key in keys if keys.count(key) > 1), None)
        if duplicate is not None:
            raise PromptError(f'{path}: duplicate key "{duplicate}"')
        return dict(items)

    try:
        return json.loads(read_text(path, MAX_BYTES), object_pairs_hook=strict)
    except InputError as problem:
        raise PromptError(str(problem)) from problem
    except json.JSONDecodeError as problem:
        raise PromptError(f"{path}:{problem.lineno}:{problem.colno}: {problem.msg}") from problem
    except (ValueError, RecursionError) as problem:
        raise PromptError(f"{path}: {problem}") from problem


def _check_keys(data: Mapping[object, object], where: str, lenient: bool) -> None:
    unknown = [str(key) for key in data if key not in _KEYS]
    if unknown and (near := did_you_mean(unknown[0], _KEYS)) and not lenient:
        raise PromptError(f'{where}: unknown key "{unknown[0]}"{near}')
    if "system_message" not in data:
        raise PromptError(f'{where}: no "system_message" (it may be empty text)')
    if unknown and not lenient:
        raise PromptError(
            f'{where}: unknown key "{unknown[0]}"; a prompt has "system_message" and "in_context", and may have "form"'
        )
    if unknown:
        _log.warning("%s: not used: %s", where, ", ".join(unknown))


def _turn(turn: object, where: str, folder: Path, render: Callable[[list[object], str], str]) -> Message:
    if not isinstance(turn, Mapping) or set(turn) - {"images"} != {"role", "content"}:
        keys = [str(key) for key in turn] if isinstance(turn, Mapping) else []
        near = next((hint for key in keys if key not in _TURN_KEYS and (hint := did_you_mean(key, _TURN_KEYS))), "")
        raise PromptError(
            f'{where}: a turn must be an object with "role" and "content"; a user turn may have "images"{near}'
        )
    role, content = turn["role"], turn["content"]
    if role not in ("user", "assistant"):
        if role == "system":
            raise PromptError(f'{where}: the role is "system"; put its text into "system_message", at the top')
        near = did_you_mean(str(role), ("user", "assistant"))
        raise PromptError(f'{where}: the role is "{role}"{near or "; only user and assistant are allowed"}')
    if role == "assistant" and isinstance(content, list):
        content = render(content, where)
    text = _text(content, where)
    images = _images(turn["images"], role, where, folder) if "images" in turn else ()
    if not text.strip() and not images:
        raise PromptError(f"{where}: the content is empty")
    return Message(role=role, content=text, images=images) if images else Message(role=role, content=text)


def _images(paths: object, role: str, where: str, folder: Path) -> tuple[PromptImage, ...]:
    if role != "user":
        raise PromptError(f"{where}: only a user turn has images")
    if not isinstance(paths, list) or not paths:
        raise PromptError(f'{where}: "images" is a list of files')
    return tuple(PromptImage(str(folder / _text(path, f"{where}: images"))) for path in paths)


def _text(text: object, where: str) -> str:
    if not isinstance(text, str):
        raise PromptError(f"{where}: text is expected, this is {text!r:.40}; put it in quotes")
    if problem := text_problem(text):
        raise PromptError(f"{where}: {problem}")
    return text


def _render(objects: list[object], where: str) -> str:
    """Render a list of objects as the text of an assistant turn."""
    items = _items(objects, where)
    pairs = [pair for pair in map(_as_pair, items) if pair is not None]
    if len(pairs) == len(items):
        return render_pairs(pairs)
    return "\n\n".join("\n".join(f"{key}: {text}" for key, text in item.items()) for item in items)


def _render_as_original(objects: list[object], where: str) -> str:
    """Render a list of objects as the first Syphus did: a line for each key as it is, and nothing between objects."""
    return "".join(f"{key}: {text}\n" for item in _items(objects, where) for key, text in item.items())


def _items(objects: list[object], where: str) -> list[dict[str, str]]:
    """Return the checked objects of an assistant turn."""
    items: list[dict[str, str]] = []
    for number, item in enumerate(objects, 1):
        if not isinstance(item, Mapping) or not item:
            raise PromptError(f"{where}: item {number} must be an object such as {{question: ..., answer: ...}}")
        items.append({str(key): _text(text, f'{where}: item {number}, "{key}"') for key, text in item.items()})
        _check_item(items[-1], items[0], f"{where}: item {number}")
    return items


def _check_item(item: Mapping[str, str], first: Mapping[str, str], where: str) -> None:
    """Check the keys: a mistyped key would be sent, and teach the model a format that no parser reads."""
    keys, expected = ({key.casefold() for key in each} for each in (item, first))
    if keys != expected:
        raise PromptError(
            f"{where} has the keys {', '.join(item)}, item 1 has {', '.join(first)}: all items need the same keys"
        )
    named = {key for key in keys & (QUESTION_KEYS | ANSWER_KEYS) if len(key) > 1}  # a and b may be choices
    if named and not (keys & QUESTION_KEYS and keys & ANSWER_KEYS):
        raise PromptError(f'{where} has the keys {", ".join(item)}: a pair has "question" and "answer"')
    empty = next((key for key, text in item.items() if not text.strip()), None)
    if empty is not None:
        raise PromptError(f'{where}: "{empty}" is empty')


def _as_pair(item: Mapping[str, str]) -> Pair | None:
    """The pair that an object is, by any of the keys that pairs are read by; None where it is something else."""
    questions = [text for key, text in item.items() if key.casefold() in QUESTION_KEYS]
    answers = [text for key, text in item.items() if key.casefold() in ANSWER_KEYS]
    return Pair(questions[0], answers[0]) if len(questions) == len(answers) == 1 and len(item) == 2 else None


def _check_order(messages: Sequence[Message], where: str, lenient: bool) -> None:
    """Check that user and assistant take turns, with a user turn first and an assistant turn last."""
    previous = "assistant"
    for number, message in enumerate(messages, 1):
        role = message["role"]
        if role == previous and not (lenient and role == "assistant"):
            wanted = "user" if role == "assistant" else "assistant"
            if number == 1:
                raise PromptError(f"{where}: turn 1 is the assistant's; the first turn must be the user's")
            raise PromptError(
                f"{where}: turn {number} is a second {role} turn; a turn of the {wanted} is missing before it"
            )
        if role == previous:
            _log.warning("%s: turn %d: an assistant turn without a question (a duplicate key?)", where, number)
        previous = role
    if previous == "user":
        raise PromptError(f"{where}: turn {len(messages)} is not answered; the last turn must be the assistant's")
