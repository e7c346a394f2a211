"""Reads from an error how many tokens an answer may take, or that the prompt is too long, by its numbers alone.

Servers word this in a hundred ways and languages. What they have in common are the numbers: a limit, the tokens of the
prompt, and the sum of both. Those that fit the request are taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from syphus.exchange import BYTES_PER_TOKEN

Fields = Mapping[str, object]  #: of a request's body

_ROUGHLY = 3.0  # times as many tokens, or as few, as an estimate by the size of a text may be wrong by
_CHAT_MARKUP = 200  # tokens that a server may add to a prompt
ROOM = 64  #: tokens; less than that is not enough for an answer
_NUMBER = re.compile(r"(?<![\w.-])(?!0\d)-?\d{1,12}(?:,\d{3}){0,3}(?:\.\d{1,9})?(?![\w-]|\.\d)", re.ASCII)
LIMIT_SUFFIX = "tokens"  #: the end of the name of a field that limits the answer
PROMPT_FIELDS = frozenset({"model", "messages", "input"})  #: fields that are never changed


class TokenLimit(NamedTuple):
    """The most tokens that an answer may take. `name` is the field that says so in the request."""

    name: str
    tokens: int
    of_this_prompt: bool = False  #: shorter prompts leave more room


def prompt_tokens(sent: Fields) -> float:
    """Return the tokens of the prompt in a request's body, estimated by its size."""
    return len(prompt_text(sent).encode()) / BYTES_PER_TOKEN


def is_prompt_too_long(message: str, sent: Fields) -> bool:
    """Return whether an error states, in whatever words, a limit and a larger number of tokens that the prompt has.

    Both numbers must be near what the prompt takes by its size, so that no other limit is taken for it.
    """
    numbers = sorted({each for each in read_numbers(message) if each >= ROOM})
    estimate = prompt_tokens(sent)
    if "token" not in message.lower() or len(numbers) != 2 or numbers[1] in sent.values():
        return False
    return estimate / _ROUGHLY <= numbers[1] <= estimate * _ROUGHLY and numbers[0] < numbers[1]


def read_token_limit(message: str, param: str, code: str, optional: Fields, prompt: float) -> TokenLimit | None:
    """Return the limit that an error states for the tokens of an answer, or None.

    It is that of the model, or what its context leaves beside the prompt, less some room for longer prompts. `optional`
    are the fields of the request that may change, `prompt` is the estimate of `prompt_tokens`.
    """
    for name, value in optional.items():
        if not name.endswith(LIMIT_SUFFIX) or isinstance(value, bool) or not isinstance(value, int):
            continue
        numbers = [int(each) for each in dict.fromkeys(read_numbers(message)) if each == int(each) and each > 0]
        words = message.lower()
        named = name in (param, *re.findall(r"\w+", message, re.ASCII)) or "maximum tokens" in words
        named = named or (value in numbers and "token" in words)
        room = _room_in_context(numbers, value)
        if room is None and "token" in words:
            room = _room_below_total(numbers, value, prompt)
        if room is not None:
            left, used = room
            limit = min(value - 1, left if used > left else max(left // 2, left - max(ROOM, used // 2)))
            if limit >= ROOM:
                return TokenLimit(name, limit, of_this_prompt=used > left)
        elif named and (value in numbers or not code.startswith("unsupported")):
            lower = [each for each in numbers if ROOM <= each < value]
            if any(each > value for each in numbers):  # a context that should have room, and has not
                lower = [value // 2] if value >= 2 * ROOM else []
            elif not lower and value in numbers and value > ROOM:  # the limit is meant to exclude itself
                lower = [value - 1]
            if lower:
                return TokenLimit(name, max(lower))
    return None


def _room_in_context(numbers: Sequence[int], max_tokens: int) -> tuple[int, int] | None:
    """Return what a context leaves for the answer, and the tokens of the prompt, from the numbers of an error."""
    if max_tokens not in numbers:
        return None
    others = [each for each in numbers if each != max_tokens]
    for prompt in others:  # with the sum of both: the context is the largest number below it
        total = prompt + max_tokens
        contexts = [each for each in others if prompt < each < total]
        if total in others and contexts:
            return max(contexts) - prompt, prompt
    if len(others) == 2 and min(others) < max(others) < min(others) + max_tokens:
        return max(others) - min(others), min(others)
    return None


def _room_below_total(numbers: Sequence[int], max_tokens: int, prompt_tokens: float) -> tuple[int, int] | None:
    """Return the same if an error states only the context and the sum of prompt and `max_tokens`.

    It is the sum, and not the prompt alone, if what is left for the prompt is about what it takes by its size.
    """
    numbers = [each for each in numbers if each >= ROOM]
    if len(numbers) != 2:
        return None
    context, total = sorted(numbers)
    prompt = total - max_tokens
    likely = 0 < prompt < min(context, _ROUGHLY * prompt_tokens + _CHAT_MARKUP)
    if not likely or abs(total - prompt_tokens) < abs(prompt - prompt_tokens):
        return None
    return context - prompt, prompt


def read_numbers(text: str) -> list[float]:
    """Return the numbers in the message of an error, in their order; commas may group thousands."""
    return [float(each.replace(",", "")) for each in _NUMBER.findall(text.replace("..", " .. "))]


def prompt_text(sent: Fields) -> str:
    """Return all texts of the prompt in a request's body, a line each."""
    return "\n".join(_texts([sent.get(name) for name in PROMPT_FIELDS]))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
