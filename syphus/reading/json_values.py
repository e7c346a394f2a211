"""One JSON value out of a text: strict, by the standard library's C scanner, and what went wrong otherwise."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, TypeAlias

Record: TypeAlias = Any  # whatever the file holds: typed `object`, every plugin would have to cast every field
Item: TypeAlias = tuple[str, Record]

_SPACE = re.compile(r"[ \t\r\n]*")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")


def decoder(hook: Callable[[list[Item]], Record] | None = None) -> json.JSONDecoder:
    """Reads strict JSON; `hook` makes something else than a dict of the items of an object."""
    return json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, object_pairs_hook=hook)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits[:20]} is too large")
    return number


DECODER = decoder()


def scan_key(text: str, start: int) -> tuple[str, int]:
    """A key of an object, and where its value begins. Raises `JSONDecodeError`."""
    if text[start : start + 1] != '"':
        raise json.JSONDecodeError("Expecting a key in double quotes", text, start)
    key, end = DECODER.raw_decode(text, start)
    colon = _COLON.match(text, end)
    if colon is None:
        raise json.JSONDecodeError("Expecting ':'", text, skip(text, end))
    return key, colon.end()


def item_scanner(values: json.JSONDecoder) -> Callable[[str, int], tuple[Item, int]]:
    """What reads a key and its value, by the decoder `values`, and says where they end."""

    def scan(text: str, start: int) -> tuple[Item, int]:
        key, at = scan_key(text, start)
        value, end = values.raw_decode(text, at)
        return (key, value), end

    return scan


def skip(text: str, start: int) -> int:
    """Where the white space ends that begins at `start`."""
    found = _SPACE.match(text, start)
    return found.end() if found else start


def scan_fault(error: Exception, start: int) -> tuple[str, int]:
    """What a failed scan says for a person, and the character at which the text stopped making sense."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg, error.pos
    if isinstance(error, RecursionError):
        return "nested too deeply", start
    return ("a whole number with thousands of digits" if "integer string" in str(error) else str(error)), start


def surrogate(value: Record) -> str:
    """Which half of a surrogate pair the texts of a value hold, or ""."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return f"half a surrogate pair (U+{ord(error.object[error.start]):04X})"
    return ""
