"""Checks the results of a plugin's hooks, its attributes, and where its images are, against the contract.

The functions take a hook's name, for the error message, and its result. They raise `TypeError` or `ValueError`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from syphus.answers.cleaning.rules import Check, Drop, Reject, Repair
from syphus.answers.parsing.json_forms import JsonForm
from syphus.declarations import Frame, Still, Video
from syphus.errors import PluginError
from syphus.io.text_files import BadRecords, bad_records, text_problem
from syphus.plugins.contract import AbstractDataset, plugin_code, plugin_name
from syphus.plugins.rows import MAX_ID
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
    """Raise `TypeError` or `ValueError` if JSON can't hold a text or id of the pairs."""
    texts = [text for pair in pairs for text in (pair.instruction, pair.answer, pair.id)]
    try:
        if not text_problem("".join(texts)):  # all at once: one by one takes ten times as long
            return
    except TypeError:  # one of them is not text, which is found below
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


# Where a plugin's images are.


_END = object()
_MOST_DIGITS = 20


def image_sources(
    dataset: AbstractDataset, path: str, bad_rows: BadRecords | None = None
) -> Iterator[Still | Frame | Video]:
    """Yield the images of a plugin, read from `path`.

    Raises `InputError` or `PluginError`, in one line, for the first that is invalid or that the plugin fails on. With
    `bad_rows`, the problems of invalid ones and of bad records are collected there instead.
    """
    code = plugin_code(dataset)
    code.run(bad_records.set, bad_rows)
    images = code.run(dataset._load_images, path)
    if not isinstance(images, Iterable):
        raise PluginError(f"{code.name}: _load_images must return or yield Still, Frame or Video")
    sources = code.run(iter, images)
    try:
        while (source := code.run(next, sources, _END)) is not _END:
            code.row += 1
            if problem := _problem(source):
                message = f"{code.location()}: _load_images: {problem} ({plugin_name(type(dataset))})"
                if bad_rows is None:
                    raise PluginError(message, (code.name, code.row))
                bad_rows.problems.append(message)
                continue
            assert isinstance(source, Still | Frame | Video)  # checked by _problem
            yield source
    finally:
        code.run(getattr(sources, "close", bool))


def _problem(source: object) -> str:
    if isinstance(source, Still):
        if any(not isinstance(url, str) for url in source.urls):
            return f"a URL must be text, not {source.urls!r:.80}"
        return _id_problem(source.id) or _path_problem(source.path)
    if isinstance(source, Frame):
        second = source.second
        if not isinstance(second, int | float) or not math.isfinite(second) or second < 0:
            return f"a second must be a number of at least 0, not {second!r:.40}"
        return _id_problem(source.id) or _path_problem(source.video)
    if isinstance(source, Video):
        if type(source.digits) is not int or not 0 < source.digits <= _MOST_DIGITS:
            return f"digits must be a number from 1 to {_MOST_DIGITS}, not {source.digits!r:.40}"
        return _id_problem(source.prefix) or _path_problem(source.path)
    return f"Still, Frame or Video is expected, this is {type(source).__name__}"


_UNDECODABLE = re.compile("[\udc80-\udcff]")  # bytes of a file's name that are not UTF-8, as Python shows them


def _id_problem(name: object) -> str:
    if not isinstance(name, str) or not name or len(name) > MAX_ID:
        return f"an id must be text of up to {MAX_ID} characters, not {name!r:.60}"
    problem = "" if _UNDECODABLE.search(name) else text_problem(name)  # of a file; it is listed as skipped
    return f"the id {name!r:.60} {problem}" if problem else ""


def _path_problem(path: object) -> str:
    return "" if isinstance(path, str | Path) and str(path) and "\0" not in str(path) else f"no path: {path!r:.60}"
