"""base64 as it is found in image stores: RFC 4648, in the standard or the URL-safe alphabet."""

from __future__ import annotations

import base64
import binascii

_URL_SAFE = str.maketrans("-_", "+/")


def to_base64(data: bytes) -> str:
    """In the standard alphabet, with its padding."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """The bytes; raises `ValueError` where the text is anything else, a wrong padding included."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        return binascii.a2b_base64(text.translate(_URL_SAFE), strict_mode=True)
