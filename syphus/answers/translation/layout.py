"""The layout of a text: lines and their markup, labels of choices, quotes, emoji, marks at the end of sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from syphus.answers.translation.protected_spans import counts_differ
from syphus.answers.translation.types import Reason

_LINE_MARK = re.compile(r"[ \t]*+(?:(#{1,6})[ \t]|([-*+•])[ \t]|(\d{1,3})[.)．）、](?!\d)|(>)|(\|))")
_LINE_NUMBER = re.compile(r"^[ \t]*\d{1,3}[.)．）、](?=\D)", re.MULTILINE)
_MAY_LABEL = re.compile(r"[A-HＡ-Ｈ](?:[.．)）:：、。]|\s*$)")
_LABEL = re.compile(r"(?:^|(?<=[\s(（]))([A-HＡ-Ｈ])(?=[.．)）:：、](?:[\s*]|[^\x00-\x7f]|$))")
_SURE_LABEL = re.compile(
    r"(?:^[ \t]*[(（]?|[(（](?=\w[)）]))([A-HＡ-Ｈ])(?=[.．)）:：、](?:[\s*]|[^\x00-\x7f]|$))", re.MULTILINE
)
_LABEL_ALONE = re.compile(r"\s*+[(（]?([A-HＡ-Ｈ])[)）]?[.。．]?\s*+")
_TO_ASCII = {ord("Ａ") + i: ord("A") + i for i in range(26)}
_QUOTED = re.compile(
    '(?<!\\d)"[^"\n]+"|“[^”\n]+”|„[^“”\n]+[“”]|«[^»\n]+»|»[^«\n]+«|「[^」\n]+」|『[^』\n]+』|《[^》\n]+》|〈[^〉\n]+〉'
    "|‹[^›\n]+›|‚[^‘\n]+‘|(?<![\\w'])'[^'\n]{2,80}'(?![A-Za-z0-9'])|(?<!\\w)‘[^’\n]+’(?![A-Za-z])"
)
_QUOTE = re.compile("[\"“„«»「『《〈‹'‘‚]")
_QUOTE_MARKS = '"“”„«»「」『』《》'
_BEGINS, _ENDS = tuple('"“„«「『'), tuple('"”“»」』')
_GAP = "[ \u00a0\u202f]?"
_MARK_RUN = re.compile(rf"(?:[.。．!！?？؟]{_GAP}){{2,}}|::|,,|،,|,،|؛;|;؛")
_MARKS = str.maketrans("。．！？؟", "..!??", " \u00a0\u202f")
_ELLIPSIS = re.compile(r"\.{3,}")
_CLOSERS = tuple("\"'”’»«“)）]】」』*_|")
_NO_EMOJI: Counter[str] = Counter()
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55\u231a\u231b\u23e9-\u23f3]")


class Layout(NamedTuple):
    """The layout of one text.

    `lines` is the markup of each non-empty line ("" for none), `labels` the labels of choices in order, `bold` the
    number of bold marks, `quotes` the number of quotes, and `emoji` the count of each emoji.
    """

    lines: tuple[str, ...]
    labels: tuple[str, ...]
    bold: int
    quotes: int
    emoji: Counter[str]


def read_layout(text: str, plain: str) -> Layout:
    """Read the layout of a text; `plain` is the text without protected spans."""
    lines = tuple(_line_markup(line) for line in plain.split("\n") if line.strip()) if "\n" in plain or plain else ()
    quoted = len(_QUOTED.findall(plain)) if _may_have_quotes(plain) else 0
    emoji = Counter(_EMOJI.findall(text)) if not text.isascii() and _EMOJI.search(text) else _NO_EMOJI
    return Layout(lines, choice_labels(plain), plain.count("**"), quoted, emoji)


def without_line_numbers(text: str) -> str:
    """Return the text without the numbers of its list items, which are part of `Layout.lines`."""
    return _LINE_NUMBER.sub("", text) if "\n" in text else text


def _may_have_quotes(text: str) -> bool:
    return bool(_QUOTE.search(text))


def without_quotes(text: str) -> str:
    """Return the text without quotes, which may stay in their own language."""
    return _QUOTED.sub(" ", text) if _may_have_quotes(text) else text


def _line_markup(line: str) -> str:
    found = _LINE_MARK.match(line)
    if not found:
        return ""
    heading, bullet, number, quote, cell = found.groups()
    return heading or (bullet and "-") or number or quote or cell or ""


def choice_labels(text: str) -> tuple[str, ...]:
    """Return the letters of choices ("A. ...", "(B) ..."), or the only letter of a text.

    A letter within a line is a label only if there are others or it is in brackets: "plan B." is not a label.
    """
    if not _MAY_LABEL.search(text):
        return ()
    if alone := _LABEL_ALONE.fullmatch(text):
        return (alone[1].translate(_TO_ASCII),)
    found = tuple(letter.translate(_TO_ASCII) for letter in _LABEL.findall(text))
    return found if "A" in found and "B" in found else tuple(c.translate(_TO_ASCII) for c in _SURE_LABEL.findall(text))


def compare_layouts(source: Layout, translated: Layout, before: str, after: str) -> Iterator[tuple[Reason, str]]:
    """Yield the differences between two layouts; `before` and `after` are the two texts."""
    if source.labels != translated.labels and (source.labels or len(translated.labels) > 1):
        yield Reason.CHOICES, f"{' '.join(source.labels) or 'none'} became {' '.join(translated.labels) or 'none'}"
    if len(source.lines) != len(translated.lines):
        yield Reason.LAYOUT, f"{len(source.lines)} lines became {len(translated.lines)}"
    elif source.lines != translated.lines:
        before_mark, after_mark = next((a, b) for a, b in zip(source.lines, translated.lines, strict=True) if a != b)
        yield Reason.LAYOUT, f"a line with {before_mark or 'no mark'} begins with {after_mark or 'none'}"
    if source.bold != translated.bold:
        yield Reason.LAYOUT, f"{source.bold} marks of bold became {translated.bold}"
    if source.quotes > translated.quotes:
        yield Reason.QUOTES, f"{source.quotes} in quotes became {translated.quotes}"
    elif _is_quoted(after) and not _is_quoted(before):
        yield Reason.QUOTES, "all of it is in quotes"
    if not counts_differ(source.emoji, translated.emoji):
        return
    for emoji in (source.emoji - translated.emoji) + (translated.emoji - source.emoji):
        yield Reason.EMOJI, f"{emoji} is {'missing' if source.emoji[emoji] > translated.emoji[emoji] else 'new'}"


def find_doubled_marks(source: str, text: str) -> str:
    """Return the first two marks that end a sentence of `text`, if it has more of such than the source has; or "".

    An ellipsis is one mark, and the full stop of an abbreviation is not counted ("etc.?").
    """
    if not _MARK_RUN.search(text):
        return ""
    doubled = _doubled_marks(text)
    return doubled[0] if len(doubled) > len(_doubled_marks(source)) else ""


def _doubled_marks(text: str) -> list[str]:
    return [found[0].strip() for found in _MARK_RUN.finditer(text) if _is_doubled_mark(text, found)]


def _is_doubled_mark(text: str, found: re.Match[str]) -> bool:
    written = found[0].rstrip()
    marks = _ELLIPSIS.sub("", written.translate(_MARKS))
    if len(marks) < 2:
        return False
    if not written.startswith("."):
        return True
    after = text[found.start() + len(written) :]
    if marks.strip("."):  # an abbreviation or an ordinal number ends here, or a path such as ".?" begins
        return not text[: found.start()][-1:].isalnum() and not after[:1].isalnum()
    return not after or after[0].isspace() or after.startswith(_CLOSERS)


def _is_quoted(text: str) -> bool:
    """Return whether the whole text is in one pair of quotes."""
    text = text.strip()
    inside = text[1:-1]
    return text.startswith(_BEGINS) and text.endswith(_ENDS) and not any(c in inside for c in _QUOTE_MARKS)
