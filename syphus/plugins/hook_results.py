"""Checks the results of a plugin's hooks, and its attributes, against the contract.

The functions take a hook's name, for the error message, and its result. They raise `TypeError` or `ValueError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from syphus.answers.cleaning.rules import Check, Drop, Reject, Repair
from syphus.answers.parsing.json_forms import JsonForm
from syphus.io.text_files import text_problem
from syphus.plugins.contract import AbstractDataset
from syphus.types import Pair

T = TypeVar("T")


def checked(hook: str, value: object, kind: type[T]) -> T:
    """Return the value if it has the type that the contract requires."""
    if not isinstance(value, kind):
        raise TypeError(f"{hook} must return {kind.__name__}, it returned {type(value).__name__}")
    return value


def checked_text(hook: str, value: object) -> str:
    """Return the value if it is text that JSON can hold."""
    text = checked(hook, value, str)
    if problem := text_problem(text):
        raise ValueError(f"{hook} returned text that {problem}")
    return text


def checked_texts(hook: str, values: object) -> tuple[str, ...]:
    """Return the values if they are a list of texts that JSON can hold."""
    return tuple(checked_text(hook, value) for value in _listed(hook, values))


def check_pairs_of_text(hook: str, pairs: Iterable[Pair]) -> None:
    """Raise `TypeError` or `ValueError` if a text or id of the pairs is none that JSON can hold."""
    texts = [text for pair in pairs for text in (pair.instruction, pair.answer, pair.id)]
    try:
        if not text_problem("".join(texts)):  # all at once: one by one takes ten times as long
            return
    except TypeError:  # one of them is no text, which is found below
        pass
    for text in texts:
        checked_text(hook, text)


def checked_numbers(hook: str, values: object, highest: int) -> tuple[int, ...]:
    """Return the values if they are a list of numbers from 1 to `highest`."""
    numbers = tuple(checked(hook, value, int) for value in _listed(hook, values))
    if any(not 1 <= number <= highest for number in numbers):
        raise ValueError(f"{hook} must return numbers from 1 to {highest}, it returned {list(numbers)}")
    return numbers


def _listed(hook: str, values: object) -> Sequence[object]:
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"{hook} must return a list, it returned {type(values).__name__}")
    return values


def find_bad_attribute(dataset: AbstractDataset) -> str:
    """Return what is wrong with the lists and the form among a dataset's attributes, or ""."""
    kinds: dict[str, tuple[type, ...]] = {"rules": (Repair, Reject, Check, Drop), "without_rules": (str,)}
    if dataset.heuristics != ():
        from syphus.answers.scoring.candidates import Heuristic  # imported here because few plugins have one

        kinds["heuristics"] = (Heuristic,)
    if dataset.json_form is not None and not isinstance(dataset.json_form, JsonForm):
        return f"json_form must be a JsonForm or None, it is {type(dataset.json_form).__name__}"
    return next(filter(None, (_misdeclared(name, getattr(dataset, name), each) for name, each in kinds.items())), "")


def _misdeclared(name: str, values: object, kinds: tuple[type, ...]) -> str:
    if not isinstance(values, (list, tuple)):
        comma = "; a tuple of one needs a comma after it" if isinstance(values, kinds) else ""
        return f"{name} must be a list or tuple, it is {type(values).__name__}{comma}"
    wrong = next((index for index, each in enumerate(values) if not isinstance(each, kinds)), None)
    if wrong is None:
        return ""
    wanted = " or ".join(kind.__name__ for kind in kinds)
    return f"{name} must hold {wanted}, number {wrong + 1} is {type(values[wrong]).__name__}"
