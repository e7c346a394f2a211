"""Strangers' text on its way to a person."""

from __future__ import annotations


def one_line(message: str, limit: int = 200) -> str:
    """A stranger's text as one line of at most `limit` characters."""
    line = " ".join(printable(message).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def printable(text: str) -> str:
    """A stranger's text without the control characters that could move a terminal's cursor or set its title."""
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)
