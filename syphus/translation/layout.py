"""The outside of a text: lines and their markup, the labels of choices, quotes, emoji."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from syphus.translation.reasons import Reason

_LINE_MARK = re.compile(r"[ \t]*(?:(#{1,6})[ \t]|([-*+•])[ \t]|(\d{1,3})[.)．、]|(>)|(\|))")
_LABEL = re.compile(r"(?:^|(?<=[\s(（]))([A-HＡ-Ｈ])(?=[.．)）:：、](?:[\s*]|[^\x00-\x7f]|$))")
_ALONE = re.compile(r"\s*[(（]?([A-HＡ-Ｈ]|\d{1,2})[)）]?[.。．]?\s*")
_WIDE = {ord("Ａ") + i: ord("A") + i for i in range(26)}
_QUOTED = re.compile(
    '"[^"\n]+"|“[^”\n]+”|„[^“”\n]+[“”]|«[^»\n]+»|»[^«\n]+«|「[^」\n]+」|『[^』\n]+』|《[^》\n]+》|〈[^〉\n]+〉'
    "|‹[^›\n]+›|(?<![\\w'])'[^'\n]{1,80}'(?![A-Za-z'])|(?<!\\w)‘[^’\n]+’(?![A-Za-z])"
)
_QUOTE_MARKS = '"“”„«»「」『』《》'
_BEGINS, _ENDS = tuple('"“„«「『'), tuple('"”“»」』')
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55\u231a\u231b\u23e9-\u23f3]")


class Layout(NamedTuple):
    """`lines`: the markup of each line that is not empty ("" for none); `labels`: those of choices, in their order;
    `bold`: how many marks of bold there are; `quoted`: how many quotes; `emoji`: each with how often it is there."""

    lines: tuple[str, ...]
    labels: tuple[str, ...]
    bold: int
    quoted: int
    emoji: Counter[str]


def layout(text: str, plain: str) -> Layout:
    """The outside of a text; `plain` is it without what is kept."""
    lines = tuple(_line(line) for line in plain.split("\n") if line.strip()) if "\n" in plain or plain else ()
    quoted = len(_QUOTED.findall(plain)) if _may_quote(plain) else 0
    emoji = Counter(_EMOJI.findall(text)) if not text.isascii() else Counter[str]()
    return Layout(lines, labels(plain), plain.count("**"), quoted, emoji)


def _may_quote(text: str) -> bool:
    return any(c in text for c in "\"“„«»「『《〈‹'‘")


def without_quotes(text: str) -> str:
    """The text without what is quoted, which may stay in its own language."""
    return _QUOTED.sub(" ", text) if _may_quote(text) else text


def _line(line: str) -> str:
    found = _LINE_MARK.match(line)
    if not found:
        return ""
    heading, bullet, number, quote, cell = found.groups()
    return heading or (bullet and "-") or number or quote or cell or ""


def labels(text: str) -> tuple[str, ...]:
    """The letters of choices ("A. ...", "(B) ..."), or the letter or number that the whole text is."""
    if alone := _ALONE.fullmatch(text):
        return (alone[1].translate(_WIDE),)
    found = _LABEL.findall(text) if any(c in text for c in ".)):：．）、") else ()
    return tuple(letter.translate(_WIDE) for letter in found)


def unlike_layout(source: Layout, there: Layout, before: str, after: str) -> Iterator[tuple[Reason, str]]:
    """What of the outside is not as in the source; `before` and `after` are the two texts."""
    if source.labels != there.labels and (source.labels or len(there.labels) > 1):
        yield Reason.CHOICES, f"{' '.join(source.labels) or 'none'} became {' '.join(there.labels) or 'none'}"
    if len(source.lines) != len(there.lines):
        yield Reason.LAYOUT, f"{len(source.lines)} lines became {len(there.lines)}"
    elif source.lines != there.lines:
        before_mark, after_mark = next((a, b) for a, b in zip(source.lines, there.lines, strict=True) if a != b)
        yield Reason.LAYOUT, f"a line with {before_mark or 'no mark'} begins with {after_mark or 'none'}"
    if source.bold != there.bold:
        yield Reason.LAYOUT, f"{source.bold} marks of bold became {there.bold}"
    if source.quoted > there.quoted:
        yield Reason.QUOTES, f"{source.quoted} in quotes became {there.quoted}"
    elif _in_quotes(after) and not _in_quotes(before):
        yield Reason.QUOTES, "all of it is in quotes"
    for emoji in (source.emoji - there.emoji) + (there.emoji - source.emoji):
        yield Reason.EMOJI, f"{emoji} is {'missing' if source.emoji[emoji] > there.emoji[emoji] else 'new'}"


def _in_quotes(text: str) -> bool:
    """Whether one pair of quotes holds the whole text."""
    text = text.strip()
    inside = text[1:-1]
    return text.startswith(_BEGINS) and text.endswith(_ENDS) and not any(c in inside for c in _QUOTE_MARKS)
