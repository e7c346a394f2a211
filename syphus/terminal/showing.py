"""A preview as people read it."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from syphus.runs.preview import Shown, Sizes
from syphus.text import printable

_COLOURS = {"system": "\033[35m", "user": "\033[36m", "assistant": "\033[32m"}
_PLAIN = "\033[0m"


def as_text(shown: Shown, colours: bool) -> str:
    """The messages of one query, each below its role, and what goes with them; or why it is not sent."""
    return "".join(f"{line}\n" for line in _lines(shown, colours))


def _lines(shown: Shown, colours: bool) -> Iterator[str]:
    yield f"=== {printable(shown.id)}"
    for message in shown.messages:
        colour, plain = (_COLOURS.get(str(message["role"]), ""), _PLAIN) if colours else ("", "")
        yield f"{colour}--- {message['role']}{plain}"
        yield from map(printable, _texts(message["content"]))
    if shown.problem:
        yield f"not sent: {printable(shown.problem)}"
    else:
        yield f"--- {orjson.dumps(shown.parameters).decode()}, about {shown.tokens:,} tokens"
    yield ""


def _texts(content: object) -> Iterator[str]:
    """The text of a message, or of its parts; of an image what it is."""
    if not isinstance(content, list):
        yield str(content)
        return
    for part in content:
        yield str(part["text"] if "text" in part else part["image_url"]["url"])


def sizes_as_text(sizes: Sizes) -> str:
    """The shortest and the longest query, a line each."""
    told = zip(Sizes._fields, sizes, strict=True)
    return "".join(
        f"{which}: {printable(name)}, about {tokens} tokens of annotation\n" for which, (name, tokens) in told
    )
