"""What a prompt asks for: which form, how many pairs, about which annotation; and which of its tokens a prompt cache
would know.

Thousands of requests share their system message and in-context examples, so what follows from those is worked out once.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import pairwise

import orjson

from syphus.simulator.chat_request import Body, images_of, text_of
from syphus.simulator.form_types import Form
from syphus.simulator.forms import detect_form
from syphus.simulator.learning import JudgedExample, judge_examples

_CORRECTION = re.compile(
    r"\b(?:can't|cannot|can not|couldn't|could not) be (?:used|parsed|read|accepted|understood)\b"
    r"|\b(?:was|were) rejected\b",
    re.IGNORECASE,
)
_CHANGE = re.compile(r"\b(?:chang|differ|spot the)", re.IGNORECASE)
_QUESTION = re.compile(r"^\W*Question\b[ \d]*:\s*(.+?)\s*$", re.MULTILINE)
_WEARER = re.compile(r"\bwears? (?:this|the|a) camera\b", re.IGNORECASE)
_NUMBER_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {word: number for number, word in enumerate(_NUMBER_WORDS, 1)}
_DEMAND = re.compile(
    rf"\b(exactly|at least|no fewer than)\s+(\d{{1,2}}|{'|'.join(_NUMBERS)})\s+(?:[\w-]+\s+){{0,2}}?"
    r"(?:pairs?|questions?|conversations?)\b",
    re.IGNORECASE,
)
_MOST_WITHOUT_EXAMPLES = 5
_PREFIXES_KEPT = 256
_CACHE_FLOOR, _CACHE_STEP = 1024, 128  # tokens, as OpenAI documents its prompt cache


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """What the system message and the in-context examples ask for."""

    form: Form
    form_shown: bool  #: an in-context example shows the form
    last_example: str  #: the last in-context answer
    min_items: int
    max_items: int
    count_requested: bool  #: the number of pairs was asked for in words
    about_change: bool
    second_person: bool = False  #: of a camera: who asks is in the annotation, and is called C there
    examples: tuple[JudgedExample, ...] = ()  #: the in-context examples
    example_questions: frozenset[str] = frozenset()  #: the questions in them


@dataclass(frozen=True, slots=True)
class ParsedPrompt:
    """One chat prompt. `key` is a hash of all its messages; `annotation` the user turn that is asked about, which is
    not `last_user` where an answer is being corrected; `repeated` says that the same messages were sent before.
    """

    key: bytes
    style: PromptStyle
    annotation: str
    last_user: str
    corrected: bool
    tokens: int
    cached_tokens: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class _PrefixState:
    """How far the messages have been read: a hash over them, their bytes, their number, and the bytes and number known
    before.
    """

    chain: bytes = b""
    size: int = 0
    count: int = 0
    known_size: int = 0
    known_count: int = 0


class PromptReader:
    """Reads prompts, and remembers which beginnings of prompts it has seen."""

    def __init__(self) -> None:
        self._seen: dict[bytes, bool] = {}  # hash of a beginning -> it was a whole prompt
        self._prefixes: OrderedDict[bytes, tuple[_PrefixState, PromptStyle]] = OrderedDict()

    def read(self, messages: Sequence[Body]) -> ParsedPrompt:
        """What `messages` ask for."""
        asking = _asking_turn(messages)
        start, style = self._prefix(messages[:asking])
        end = self._walk(start, messages[asking:])
        repeated = self._seen[end.chain]
        self._seen[end.chain] = True
        annotation, last = text_of(messages[asking]), text_of(messages[-1])
        corrected = asking < len(messages) - 1
        return ParsedPrompt(
            key=end.chain,
            style=_with_requested_count(style, f"{annotation}\n{last}" if corrected else last),
            annotation=annotation,
            last_user=last,
            corrected=corrected,
            tokens=_tokens(end.size, end.count),
            cached_tokens=_cached(_tokens(end.known_size, end.known_count)),
            repeated=repeated,
        )

    def _prefix(self, messages: Sequence[Body]) -> tuple[_PrefixState, PromptStyle]:
        key = blake2b(orjson.dumps(messages), digest_size=16).digest()
        known = self._prefixes.get(key)
        if known is None:
            known = self._walk(_PrefixState(), messages), _style(messages)
            while len(self._prefixes) >= _PREFIXES_KEPT:
                self._prefixes.popitem(last=False)
            end = known[0]
            self._prefixes[key] = _PrefixState(end.chain, end.size, end.count, end.size, end.count), known[1]
        else:
            self._prefixes.move_to_end(key)
        return known

    def _walk(self, walk: _PrefixState, messages: Sequence[Body]) -> _PrefixState:
        for message in messages:
            chain = blake2b(walk.chain + orjson.dumps(message), digest_size=16).digest()
            size, count = walk.size + _size(message), walk.count + 1
            known = (size, count) if chain in self._seen else (walk.known_size, walk.known_count)
            self._seen.setdefault(chain, False)
            walk = _PrefixState(chain, size, count, *known)
        return walk


def _size(message: Body) -> int:
    """Bytes of a message; of an image as many as text of its tokens would have."""
    return len(text_of(message).encode()) + 4 * sum(image.tokens for image in images_of(message))


def _tokens(size: int, messages: int) -> int:
    """About four bytes a token, and four tokens of framing a message."""
    return -(-size // 4) + 4 * messages


def _cached(tokens: int) -> int:
    return tokens // _CACHE_STEP * _CACHE_STEP if tokens >= _CACHE_FLOOR else 0


def _asking_turn(messages: Sequence[Body]) -> int:
    """The place of the user turn that is to be answered: the last, or the one whose answer the turns after it say is
    unusable.
    """
    place = len(messages) - 1
    while (
        place >= 2 and messages[place - 1].get("role") == "assistant" and _CORRECTION.search(text_of(messages[place]))
    ):
        place -= 2
    return place


def _style(messages: Sequence[Body]) -> PromptStyle:
    system_message = "\n".join(text_of(message) for message in messages if message["role"] in {"system", "developer"})
    examples = [text_of(message) for message in messages if message["role"] == "assistant"]
    form, shown = detect_form(examples, system_message)
    counts = [count for count in map(form.count_items, examples) if count] or [1, _MOST_WITHOUT_EXAMPLES]
    style = PromptStyle(
        form=form,
        form_shown=shown,
        last_example=examples[-1] if shown and examples else "",
        min_items=min(counts),
        max_items=max(counts),
        count_requested=False,
        about_change=_CHANGE.search(system_message) is not None,
        second_person=_WEARER.search(system_message) is not None,
        examples=judge_examples(_examples(messages), form),
        example_questions=frozenset(question for example in examples for question in _QUESTION.findall(example)),
    )
    return _with_requested_count(style, system_message)


def _examples(messages: Sequence[Body]) -> list[tuple[str, str]]:
    """What was asked and answered before."""
    turns = pairwise(messages)
    return [(text_of(asked), text_of(answer)) for asked, answer in turns if answer["role"] == "assistant"]


def _with_requested_count(style: PromptStyle, text: str) -> PromptStyle:
    """`style` with the number of pairs that `text` asks for in so many words, if it does."""
    match = _DEMAND.search(text)
    if match is None:
        return style
    number = _NUMBERS.get(match[2].lower()) or int(match[2])
    most = number if match[1].lower() == "exactly" else max(number, style.max_items)
    return replace(style, min_items=number, max_items=most, count_requested=True)
