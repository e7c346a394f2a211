"""Read from a prompt which answer it asks for: its form, the number of pairs, and the annotation.

Also counts the tokens of a prompt. Thousands of requests share their system message and in-context examples, so the
result for these is computed once and kept.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import pairwise

import orjson

from syphus.plugins.prompts import ANSWER_IN_JSON
from syphus.simulator.answer_form_types import Form
from syphus.simulator.answer_forms import as_lines, detect_form
from syphus.simulator.chat_request import Body, images_of, text_of
from syphus.simulator.learning import JudgedExample, judge_examples

_CORRECTION = re.compile(
    r"\b(?:can't|cannot|can not|couldn't|could not) be (?:used|parsed|read|accepted|understood)\b"
    r"|\b(?:was|were) rejected\b",
    re.IGNORECASE,
)
_CHANGE = re.compile(r"\b(?:chang|differ|spot the)", re.IGNORECASE)
_QUESTION = re.compile(r"^\W*Question\b[ \d]*:\s*(.+?)\s*$", re.MULTILINE)
_CAMERA_WEARER = re.compile(r"\bwears? (?:this|the|a) camera\b", re.IGNORECASE)
_NUMBER_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {word: number for number, word in enumerate(_NUMBER_WORDS, 1)}
_REQUESTED_COUNT = re.compile(
    rf"\b(exactly|at least|no fewer than)\s+(\d{{1,2}}|{'|'.join(_NUMBERS)})\s+(?:[\w-]+\s+){{0,2}}?"
    r"(?:pairs?|questions?|conversations?)\b",
    re.IGNORECASE,
)
_MAX_ITEMS_WITHOUT_EXAMPLES = 5
_MAX_PREFIXES = 256


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """What the system message and the in-context examples ask for."""

    form: Form
    form_shown: bool  #: whether an in-context example shows the form
    last_example: str  #: the last in-context answer
    min_items: int
    max_items: int
    count_requested: bool  #: whether the number of pairs was requested in words
    about_change: bool
    second_person: bool = False  #: whether the user wears the camera, and is called C in the annotation
    examples: tuple[JudgedExample, ...] = ()  #: all in-context examples
    example_questions: frozenset[str] = frozenset()  #: the questions in all in-context examples
    outline: str = ""  #: the form of the answer as JSON, if it was asked for so


@dataclass(frozen=True, slots=True)
class ParsedPrompt:
    """One chat prompt.

    `key` is a hash of all messages. `annotation` is the user turn to answer, which differs from `last_user` if the
    latter asks for a correction. `repeated` says whether the same messages were sent before.
    """

    key: bytes
    style: PromptStyle
    annotation: str
    last_user: str
    corrected: bool
    tokens: int
    repeated: bool
    cached_tokens: int = 0  #: set by the endpoint, like the next field
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class _PrefixState:
    """The messages read so far: their hash, bytes and number."""

    chain: bytes = b""
    size: int = 0
    count: int = 0


class PromptReader:
    """Reads prompts, and remembers which prefixes it has seen."""

    def __init__(self) -> None:
        self._seen: dict[bytes, bool] = {}  # hash of a prefix -> whether it was a whole prompt
        self._prefixes: OrderedDict[bytes, tuple[_PrefixState, PromptStyle]] = OrderedDict()

    def read(self, messages: Sequence[Body]) -> ParsedPrompt:
        """Read what `messages` ask for."""
        position = _position_of_request(messages)
        start, style = self._prefix(messages[:position])
        end = self._extend(start, messages[position:])
        repeated = self._seen[end.chain]
        self._seen[end.chain] = True
        annotation, last = text_of(messages[position]), text_of(messages[-1])
        corrected = position < len(messages) - 1
        return ParsedPrompt(
            key=end.chain,
            style=_with_requested_count(style, f"{annotation}\n{last}" if corrected else last),
            annotation=annotation,
            last_user=last,
            corrected=corrected,
            tokens=_tokens(end.size, end.count),
            repeated=repeated,
        )

    def _prefix(self, messages: Sequence[Body]) -> tuple[_PrefixState, PromptStyle]:
        key = blake2b(orjson.dumps(messages), digest_size=16).digest()
        known = self._prefixes.get(key)
        if known is None:
            known = self._extend(_PrefixState(), messages), _style(messages)
            while len(self._prefixes) >= _MAX_PREFIXES:
                self._prefixes.popitem(last=False)
            self._prefixes[key] = known
        else:
            self._prefixes.move_to_end(key)
        return known

    def _extend(self, state: _PrefixState, messages: Sequence[Body]) -> _PrefixState:
        for message in messages:
            chain = blake2b(state.chain + orjson.dumps(message), digest_size=16).digest()
            self._seen.setdefault(chain, False)
            state = _PrefixState(chain, state.size + _size(message), state.count + 1)
        return state


def _size(message: Body) -> int:
    """Return the bytes of a message; an image counts as text with as many tokens."""
    return len(text_of(message).encode()) + 4 * sum(image.tokens for image in images_of(message))


def _tokens(size: int, messages: int) -> int:
    """Estimate tokens: four bytes per token, and four tokens of framing per message."""
    return -(-size // 4) + 4 * messages


def _position_of_request(messages: Sequence[Body]) -> int:
    """Return the index of the user turn to answer.

    That is the last turn, or an earlier one if the turns after it say that its answer can't be used.
    """
    position = len(messages) - 1
    while (
        position >= 2
        and messages[position - 1].get("role") == "assistant"
        and _CORRECTION.search(text_of(messages[position]))
    ):
        position -= 2
    return position


def _style(messages: Sequence[Body]) -> PromptStyle:
    system_message = "\n".join(text_of(message) for message in messages if message["role"] in {"system", "developer"})
    system_message, _, outline = system_message.partition(ANSWER_IN_JSON)
    examples = [as_lines(text_of(message)) for message in messages if message["role"] == "assistant"]
    form, shown = detect_form(examples, system_message)
    counts = [count for count in map(form.count_items, examples) if count] or [1, _MAX_ITEMS_WITHOUT_EXAMPLES]
    style = PromptStyle(
        form=form,
        form_shown=shown,
        last_example=examples[-1] if shown and examples else "",
        min_items=min(counts),
        max_items=max(counts),
        count_requested=False,
        about_change=_CHANGE.search(system_message) is not None,
        second_person=_CAMERA_WEARER.search(system_message) is not None,
        examples=judge_examples(_examples(messages), form),
        outline=outline.strip(),
        example_questions=frozenset(question for example in examples for question in _QUESTION.findall(example)),
    )
    return _with_requested_count(style, system_message)


def _examples(messages: Sequence[Body]) -> list[tuple[str, str]]:
    """Return prompt and answer of each in-context example."""
    turns = pairwise(messages)
    return [(text_of(prompt), as_lines(text_of(answer))) for prompt, answer in turns if answer["role"] == "assistant"]


def _with_requested_count(style: PromptStyle, text: str) -> PromptStyle:
    """Return `style` with the number of pairs that `text` asks for in words, if it does."""
    match = _REQUESTED_COUNT.search(text)
    if match is None:
        return style
    number = _NUMBERS.get(match[2].lower()) or int(match[2])
    most = number if match[1].lower() == "exactly" else max(number, style.max_items)
    return replace(style, min_items=number, max_items=most, count_requested=True)
