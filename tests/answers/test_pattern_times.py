"""Every compiled pattern takes linear time on long runs of equal signs, which a model without an end writes."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import time
from collections.abc import Iterator
from types import ModuleType

import pytest

import syphus.answers

_LONG = 6_000  # characters
_STEPS = ((80, 0.001), (800, 0.0015))  #: lengths, and seconds of CPU that raise suspicion
_FLOOR = 0.03  # seconds of CPU that a run of 6,000 characters may take
_RATIO = 10  # for four times the length: linear patterns take 4 times as long, quadratic ones 16 times
_SIGNS = " \t\n.-1x*#_<>[]({\\'\"`|=/@$&:,;!?~^+A\u00e9\u4e2d\u0661\u2019\u3010\u2581"
_WORDS: tuple[str, ...] = (
    "a ",
    "a.",
    "1.",
    "1,",
    "1 ",
    "Aa",
    "a\n",
    ": ",
    ", ",
    "\n-",
    " \n",
    "a@",
    "a/",
    "<a",
    "[1",
    "a-",
    "</",
    "**",
)
_WORDS += ("a b ", "<a>", "\n- ", " and ", "twenty ", "http://a ", "Q: a\n", "\\n", "{1}", "(a)", '"a" ', "a: b\n")


def _modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(syphus.answers.__path__, "syphus.answers.")
    return [importlib.import_module(each.name) for each in found]


def _patterns(module: ModuleType) -> Iterator[tuple[str, re.Pattern[str]]]:
    """The patterns of a module, also those in its tables and of its rules."""
    for name, value in vars(module).items():
        held = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else (value,)
        for each in held:
            if isinstance(each, re.Pattern) and isinstance(each.pattern, str):
                yield name, each
            elif isinstance(pattern := getattr(each, "pattern", None), str) and "rules" in type(each).__module__:
                yield name, re.compile(pattern, re.IGNORECASE)


def _scans(module: ModuleType, name: str) -> bool:
    """Whether the code looks for a pattern at every place of a text, and not at one place alone."""
    uses = re.findall(rf"\b{name}\b(\.\w+)?", inspect.getsource(module))
    return (
        not name.startswith("_") or any(use not in (".match", ".fullmatch", "") for use in uses) or uses.count("") > 1
    )


def _cpu(pattern: re.Pattern[str], text: str, scans: bool) -> float:
    start = time.thread_time()
    if scans:
        for _ in pattern.finditer(text):
            pass
    pattern.match(text)
    pattern.fullmatch(text)
    return time.thread_time() - start


def _is_slow(pattern: re.Pattern[str], unit: str, end: str, scans: bool) -> bool:
    """Whether a run takes long, and four times the run much more than four times as long, at every try."""

    def takes_long(size: int, most: float) -> bool:
        text = unit * (size // len(unit)) + end
        return all(_cpu(pattern, text, scans) > most for _ in range(3))  # a single slow run says nothing

    suspect = next((size for size, most in _STEPS if takes_long(size, most)), 0)
    if not suspect:
        return False
    length = 4 * suspect if suspect < _STEPS[-1][0] else _LONG
    shorter, longer = (unit * (size // len(unit)) + end for size in (length // 4, length))
    return all(_cpu(pattern, longer, scans) > max(_FLOOR, _RATIO * _cpu(pattern, shorter, scans)) for _ in range(3))


@pytest.mark.parametrize("module", _modules(), ids=lambda module: module.__name__.removeprefix("syphus.answers."))
def test_no_run_of_equal_signs_takes_quadratic_time(module: ModuleType) -> None:
    units = (*_SIGNS, *_WORDS)
    slow = {
        (name, unit, end)
        for name, pattern in _patterns(module)
        for unit in units
        for end in (("", "!") if len(unit) == 1 else ("!",))
        if _is_slow(pattern, unit, end, _scans(module, name))
    }
    assert not slow
