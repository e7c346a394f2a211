"""What a plugin's hooks have returned, checked against the contract to the last value.

Each function takes the name of the hook, to tell it, and what came. Raises `TypeError` or `ValueError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from syphus.reading.text_files import text_problem

T = TypeVar("T")


def checked(hook: str, value: object, kind: type[T]) -> T:
    """A value of the type that the contract names."""
    if not isinstance(value, kind):
        raise TypeError(f"{hook} must return {kind.__name__}, it returned {type(value).__name__}")
    return value


def checked_text(hook: str, value: object) -> str:
    """Text, which has to fit into JSON."""
    text = checked(hook, value, str)
    if problem := text_problem(text):
        raise ValueError(f"{hook} returned text that {problem}")
    return text


def checked_texts(hook: str, values: object) -> tuple[str, ...]:
    """A list of such texts."""
    return tuple(checked_text(hook, value) for value in _listed(hook, values))


def checked_numbers(hook: str, values: object, highest: int) -> tuple[int, ...]:
    """A list of numbers from 1 to `highest`."""
    numbers = tuple(checked(hook, value, int) for value in _listed(hook, values))
    if any(not 1 <= number <= highest for number in numbers):
        raise ValueError(f"{hook} must return numbers from 1 to {highest}, it returned {list(numbers)}")
    return numbers


def _listed(hook: str, values: object) -> Sequence[object]:
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"{hook} must return a list, it returned {type(values).__name__}")
    return values
