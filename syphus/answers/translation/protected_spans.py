"""What a translation keeps letter by letter: code, addresses, placeholders, formulas."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from syphus.answers.translation.types import Reason

_ENDINGS = r"\.(?:com|org|net|edu|gov|info)(?![\w-])"  # of addresses without a scheme: those that are no words
# nearly all texts have none of these, and need no second look
_HINT = re.compile(rf"[`{{<$%@\[]|://|www\.|{_ENDINGS}")
_KEPT = re.compile(
    r"(?P<code>```.*?(?:```|\Z)|`[^`\n]+`)"
    r"|(?P<link>(?:https?://|www\.)[A-Za-z0-9\-._~:/?\#@!$&*+,;=%]+|[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
    rf"|(?<![A-Za-z0-9.-])[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*{_ENDINGS}(?:/[A-Za-z0-9\-._~:/?\#@!$&*+,;=%]*)?)"
    r"|(?P<mark>\{\{[^{}\n]{1,60}\}\}|\{[^{}\n\"':]{0,40}\}"  # {{user}}, {name}
    r"|%\(\w+\)[sdif]|(?<![\d%])%(?:\.\d)?[sdifx](?![A-Za-z])"  # %(name)s, %s
    r"|</?\w[\w-]*[ ]?/?>|<\|\w+\|>"  # <image>, <|end|>
    r"|\[(?:\d+|[A-Z][A-Z_]+|[A-Za-z]+_\w+)\]"  # [1], [NAME], [first_name]
    r"|\$[^\s$](?:[^$\n]*[^\s$])?\$(?!\d))",  # $x$, by the rule of pandoc: no blank inside, no digit behind
    re.DOTALL,
)
_REASONS = {"code": Reason.CODE, "link": Reason.LINKS, "mark": Reason.PLACEHOLDERS}


class ProtectedSpans(NamedTuple):
    """A text without what is kept, and what that is: (reason, text) with how often it is there."""

    plain: str
    things: Counter[tuple[Reason, str]]


_NOTHING: Counter[tuple[Reason, str]] = Counter()


def take_out(text: str) -> ProtectedSpans:
    """Takes out what a translation keeps; each leaves a blank behind."""
    if not _HINT.search(text):
        return ProtectedSpans(text, _NOTHING)
    things: Counter[tuple[Reason, str]] = Counter()

    def put(found: re.Match[str]) -> str:
        reason, thing = _REASONS[found.lastgroup or "mark"], found[0]
        bare = thing.rstrip(".,;:!?") if reason is Reason.LINKS else thing
        things[reason, bare] += 1
        return " " + thing[len(bare) :]

    return ProtectedSpans(_KEPT.sub(put, text), things)


def differ(these: Counter[Any], those: Counter[Any]) -> bool:
    """Whether two counts are unequal; nearly all are one and the same empty one, for which no `==` is needed."""
    return these is not those and these != those


def unlike(
    source: Counter[tuple[Reason, str]], translated: Counter[tuple[Reason, str]]
) -> Iterator[tuple[Reason, str]]:
    """What is missing or new, each with its reason: ({name} is missing), ({nombre} is new)."""
    if not differ(source, translated):
        return
    for reason, thing in source - translated:
        yield reason, f"{_short(thing)} is missing"
    for reason, thing in translated:
        if (reason, thing) not in source:
            yield reason, f"{_short(thing)} is new"


def _short(thing: str) -> str:
    line = " ".join(thing.split())
    return line if len(line) <= 60 else line[:59] + "…"
