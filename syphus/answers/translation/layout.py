"""The outside of a text: lines and their markup, the labels of choices, quotes, emoji."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from syphus.answers.translation.protected_spans import differ
from syphus.answers.translation.types import Reason

_LINE_MARK = re.compile(r"[ \t]*(?:(#{1,6})[ \t]|([-*+•])[ \t]|(\d{1,3})[.)．）、](?!\d)|(>)|(\|))")
_LINE_NUMBER = re.compile(r"^[ \t]*\d{1,3}[.)．）、](?=\D)", re.MULTILINE)
_MAY_LABEL = re.compile(r"[A-HＡ-Ｈ](?:[.．)）:：、。]|\s*$)")
_LABEL = re.compile(r"(?:^|(?<=[\s(（]))([A-HＡ-Ｈ])(?=[.．)）:：、](?:[\s*]|[^\x00-\x7f]|$))")
_SURE_LABEL = re.compile(
    r"(?:^[ \t]*[(（]?|[(（](?=\w[)）]))([A-HＡ-Ｈ])(?=[.．)）:：、](?:[\s*]|[^\x00-\x7f]|$))", re.MULTILINE
)
_ALONE = re.compile(r"\s*[(（]?([A-HＡ-Ｈ])[)）]?[.。．]?\s*")
_WIDE = {ord("Ａ") + i: ord("A") + i for i in range(26)}
_QUOTED = re.compile(
    '(?<!\\d)"[^"\n]+"|“[^”\n]+”|„[^“”\n]+[“”]|«[^»\n]+»|»[^«\n]+«|「[^」\n]+」|『[^』\n]+』|《[^》\n]+》|〈[^〉\n]+〉'
    "|‹[^›\n]+›|‚[^‘\n]+‘|(?<![\\w'])'[^'\n]{2,80}'(?![A-Za-z0-9'])|(?<!\\w)‘[^’\n]+’(?![A-Za-z])"
)
_QUOTE = re.compile("[\"“„«»「『《〈‹'‘‚]")
_QUOTE_MARKS = '"“”„«»「」『』《》'
_BEGINS, _ENDS = tuple('"“„«「『'), tuple('"”“»」』')
_NO_EMOJI: Counter[str] = Counter()
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55\u231a\u231b\u23e9-\u23f3]")


class Layout(NamedTuple):
    """`lines`: the markup of each line that is not empty ("" for none); `labels`: those of choices, in their order;
    `bold`: how many marks of bold there are; `quoted`: how many quotes; `emoji`: each with how often it is there.
    """

    lines: tuple[str, ...]
    labels: tuple[str, ...]
    bold: int
    quoted: int
    emoji: Counter[str]


def layout(text: str, plain: str) -> Layout:
    """The outside of a text; `plain` is it without what is kept."""
    lines = tuple(_line(line) for line in plain.split("\n") if line.strip()) if "\n" in plain or plain else ()
    quoted = len(_QUOTED.findall(plain)) if _may_quote(plain) else 0
    emoji = Counter(_EMOJI.findall(text)) if not text.isascii() and _EMOJI.search(text) else _NO_EMOJI
    return Layout(lines, labels(plain), plain.count("**"), quoted, emoji)


def without_line_numbers(text: str) -> str:
    """The text without the numbers of its list items, which `lines` has."""
    return _LINE_NUMBER.sub("", text) if "\n" in text else text


def _may_quote(text: str) -> bool:
    return bool(_QUOTE.search(text))


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
    """The letters of choices ("A. ...", "(B) ..."), or the letter that the whole text is.

    One inside of a line is a label only with others beside it or in brackets: "plan B." is none.
    """
    if not _MAY_LABEL.search(text):
        return ()
    if alone := _ALONE.fullmatch(text):
        return (alone[1].translate(_WIDE),)
    found = tuple(letter.translate(_WIDE) for letter in _LABEL.findall(text))
    return found if "A" in found and "B" in found else tuple(c.translate(_WIDE) for c in _SURE_LABEL.findall(text))


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
    if not differ(source.emoji, there.emoji):
        return
    for emoji in (source.emoji - there.emoji) + (there.emoji - source.emoji):
        yield Reason.EMOJI, f"{emoji} is {'missing' if source.emoji[emoji] > there.emoji[emoji] else 'new'}"


def _in_quotes(text: str) -> bool:
    """Whether one pair of quotes holds the whole text."""
    text = text.strip()
    inside = text[1:-1]
    return text.startswith(_BEGINS) and text.endswith(_ENDS) and not any(c in inside for c in _QUOTE_MARKS)
