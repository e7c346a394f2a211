"""One JSON value out of a text, by the standard library's C scanner, and what strict JSON does not allow."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, TypeAlias

Record: TypeAlias = Any  # whatever the file holds: typed `object`, every plugin would have to cast every field

_SPACE = re.compile(r"[ \t\r\n]*")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits[:20]} is too large")
    return number


def decoder(hook: Callable[[list[tuple[str, Record]]], Record] | None = None) -> json.JSONDecoder:
    """Reads strict JSON; `hook` makes something else than a dict of the items of an object."""
    return json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, object_pairs_hook=hook)


DECODER = decoder()


def scan_key(text: str, start: int) -> tuple[str, int]:
    """The key at `start`, and where its value begins. Raises JSONDecodeError."""
    if text[start : start + 1] != '"':
        raise json.JSONDecodeError("Expecting a key in double quotes", text, start)
    key, end = DECODER.raw_decode(text, start)
    colon = _COLON.match(text, end)
    if colon is None:
        raise json.JSONDecodeError("Expecting ':'", text, skip(text, end))
    return key, colon.end()


def scan_item(text: str, start: int, values: json.JSONDecoder = DECODER) -> tuple[tuple[str, Record], int]:
    """The key at `start` with its value, read by `values`, and where that ends. Raises JSONDecodeError."""
    key, begin = scan_key(text, start)
    value, end = values.raw_decode(text, begin)
    return (key, value), end


def skip(text: str, start: int) -> int:
    """The place of the first character from `start` on that is no white space."""
    found = _SPACE.match(text, start)
    return found.end() if found else start


def fault(error: Exception, start: int) -> tuple[str, int]:
    """What a failed scan says for a person, and the character at which the text stopped making sense."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg, error.pos
    if isinstance(error, RecursionError):
        return "nested too deeply", start
    return ("a whole number with thousands of digits" if "integer string" in str(error) else str(error)), start


def surrogate(value: Record) -> str:
    """Names the half of a surrogate pair that a value holds, or gives ""."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return f"half a surrogate pair (U+{ord(error.object[error.start]):04X})"
    return ""
