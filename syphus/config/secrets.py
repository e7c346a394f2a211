r"""Redacts keys and tokens in everything that is shown or stored.

Every secret that the configuration resolves is added to a `SecretRedactor`. Everything that comes from a server, and
everything that a plugin's hook raises, passes through it first. It blanks each secret in the forms in which servers are
known to return it: as it is, URL-encoded, escaped in JSON, in base64 alone or within a longer text. Some libraries
write plain letters as `\u002B` or `%2B`; secrets are also found behind such escapes.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")  #: `${VAR}` in a config file, for a secret in the environment
_KEY = re.compile(r"[\w+/=.~-]{16,}")
_BLANK = "[secret]"
_ESCAPE = re.compile(rb"\\\\|\\u00([0-9A-Fa-f]{2})|%([0-9A-Fa-f]{2})")  # `\\\\` is an escaped backslash
_SHORTEST = 6  #: characters; shorter keys of local servers ("x", "none", "EMPTY") may be ordinary words
_UNMISTAKABLE = 16  #: characters; a shorter "key" of a local server may be an ordinary word in an answer


def looks_like_key(text: str) -> bool:
    """Return whether a word of a text is as long as a key and as mixed: words of languages have no digits in them."""
    return any(
        _KEY.fullmatch(word) and re.search(r"\d", word) and re.search(r"[A-Za-z]", word) for word in text.split()
    )


class SecretRedactor:
    """The secrets of one run."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._kept: set[str] = set()
        self._bytes: list[bytes] = []
        self._long: list[bytes] = []
        for secret in secrets:
            self.keep(secret)

    def keep(self, secret: str) -> None:
        """Add a secret that must never be shown; ignore empty and very short ones, which are not real keys."""
        if len(secret) < _SHORTEST or secret in self._kept:
            return
        self._kept.add(secret)
        self._bytes = sorted({*self._bytes, *(form.encode() for form in _forms(secret))}, key=len, reverse=True)
        self._long = [form for form in self._bytes if len(form) >= _UNMISTAKABLE]

    def scrub(self, text: str) -> str:
        """Return the text without secrets."""
        return _without(text.encode("utf-8", "surrogatepass"), self._bytes).decode("utf-8", "surrogatepass")

    def scrub_error(self, body: bytes) -> bytes:
        """Return the body of a server's error without secrets."""
        return _without(body, self._bytes)

    def scrub_answer(self, body: bytes) -> bytes:
        """Return the body of an answer without secrets; words that merely look like a short key stay."""
        return _without(body, self._long)


def _forms(secret: str) -> set[str]:
    quoted, escaped = quote(secret, safe=""), json.dumps(secret)[1:-1]
    lower = re.sub("%..", lambda match: match[0].lower(), quoted)
    whole = base64.b64encode(secret.encode()).decode()
    coded = {whole, *(_within_base64(secret.encode(), before) for before in range(3))}
    url_safe = {text.replace("+", "-").replace("/", "_") for text in coded}
    return {secret, quoted, lower, escaped, escaped.replace("/", "\\/"), *coded, *url_safe}


def _within_base64(secret: bytes, before: int) -> str:
    """Return the base64 characters that depend on `secret` alone if `before` bytes (modulo 3) precede it."""
    coded = base64.b64encode(bytes(before) + secret).decode()
    return coded[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]


def _without(data: bytes, secrets: list[bytes]) -> bytes:
    data = _blanked(data, secrets)
    if b"\\u00" in data or b"%" in data:
        plain = _ESCAPE.sub(_plain_letter, data)
        blanked = _blanked(plain, secrets)
        if blanked != plain:
            return blanked
    return data


def _blanked(data: bytes, secrets: list[bytes]) -> bytes:
    for secret in secrets:
        if secret in data:
            data = data.replace(secret, _BLANK.encode())
    return data


def _plain_letter(escape: re.Match[bytes]) -> bytes:
    """Return the character of an escape if it is ASCII and needs no escape in a JSON string; otherwise the escape."""
    digits = escape[1] or escape[2]
    code = int(digits, 16) if digits else 0
    return bytes([code]) if 0x20 < code < 0x7F and code not in b'"\\' else escape[0]
