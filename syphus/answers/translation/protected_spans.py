"""Protected spans, which a translation must keep unchanged: code, addresses, placeholders, formulas."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from syphus.answers.translation.types import Reason

_ENDINGS = r"\.(?:com|org|net|edu|gov|info)(?![\w-])"  # of addresses without a scheme
# nearly all texts have none of these, and are not searched further
_HINT = re.compile(rf"[`{{<$%@\[]|://|www\.|{_ENDINGS}")
_SPAN = re.compile(
    r"(?P<code>```.*?(?:```|\Z)|`[^`\n]+`)"
    r"|(?P<link>(?:https?://|www\.)[A-Za-z0-9\-._~:/?\#@!$&*+,;=%]+|(?<![A-Za-z0-9._+-])[A-Za-z0-9._+-]++@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
    rf"|(?<![A-Za-z0-9.-])[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*{_ENDINGS}(?:/[A-Za-z0-9\-._~:/?\#@!$&*+,;=%]*)?)"
    r"|(?P<mark>\{\{[^{}\n]{1,60}\}\}|\{[^{}\n\"':]{0,40}\}"  # {{user}}, {name}
    r"|%\(\w+\)[sdif]|(?<![\d%])%(?:\.\d)?[sdifx](?![A-Za-z])"  # %(name)s, %s
    r"|</?\w[\w-]*[ ]?/?>|<\|\w+\|>"  # <image>, <|end|>
    r"|\[(?:\d+|[A-Z][A-Z_]+|[A-Za-z]+_\w+)\]"  # [1], [NAME], [first_name]
    r"|\$[^\s$](?:[^$\n]*[^\s$])?\$(?!\d))",  # $x$, by pandoc's rule: no space inside, no digit after
    re.DOTALL,
)
_REASONS = {"code": Reason.CODE, "link": Reason.LINKS, "mark": Reason.PLACEHOLDERS}


class ProtectedSpans(NamedTuple):
    """A text without its protected spans, and the count of each span by (reason, text)."""

    plain: str
    spans: Counter[tuple[Reason, str]]


_NO_SPANS: Counter[tuple[Reason, str]] = Counter()


def extract_spans(text: str) -> ProtectedSpans:
    """Replace each protected span of a text by a space, and count the spans."""
    if not _HINT.search(text):
        return ProtectedSpans(text, _NO_SPANS)
    spans: Counter[tuple[Reason, str]] = Counter()

    def extract(match: re.Match[str]) -> str:
        reason = _REASONS[match.lastgroup or "mark"]
        span = match[0].rstrip(".,;:!?") if reason is Reason.LINKS else match[0]
        spans[reason, span] += 1
        return " " + match[0][len(span) :]

    return ProtectedSpans(_SPAN.sub(extract, text), spans)


def counts_differ(these: Counter[Any], those: Counter[Any]) -> bool:
    """Return whether two counts are unequal. Nearly all are the same empty object, which needs no `==`."""
    return these is not those and these != those


def compare_spans(
    source: Counter[tuple[Reason, str]], translated: Counter[tuple[Reason, str]]
) -> Iterator[tuple[Reason, str]]:
    """Yield each missing or new span with its reason: ({name} is missing), ({nombre} is new)."""
    if not counts_differ(source, translated):
        return
    for reason, span in source - translated:
        yield reason, f"{_shorten(span)} is missing"
    for reason, span in translated:
        if (reason, span) not in source:
            yield reason, f"{_shorten(span)} is new"


def _shorten(span: str) -> str:
    line = " ".join(span.split())
    return line if len(line) <= 60 else line[:59] + "…"
