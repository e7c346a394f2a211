r"""A text cut at its headers: what a line such as `**Question 1:**` looks like, and what stands under which header.

Nothing here knows what a header means. A reader of one form of answer makes its pattern with `header_pattern`, finds
the headers with `find_headers` and cuts the text with `split_sections`. The text has to begin with a line break, so
that every line has one before it: a pattern that begins with a plain `\n` is searched much faster than one with `^`.

Lines end with `\n` or `\r\n` and with nothing else: U+2028, form feeds and the like are ordinary characters. Every
pattern takes linear time on any input; that is what the possessive quantifiers (`*+`) are for. The looks at a single
character before a search are there because finding one takes a tenth of the time of finding three.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from syphus.answers.parsing.answer_text import strip
from syphus.answers.parsing.json_answers import Fence, find_fences

_SPACE = r" \t\xa0\u202f\u3000\u200b\u200e\u200f\u2060\ufeff"  # and what stands unseen before right-to-left text
_EMPHASIS = re.compile(r"(?<!\S)[*_](?=\s)|_(?=\d)|([*_]+)")  # a bullet and `question_1` are matched, not captured
_CLOSING = re.compile(r"([*_]+)|[ \t]+([*_]+)(?=\s)")
_RULE = re.compile(r"={3,}|-{3,}|\*{3,}|#{3,}|\u2014{3,}|\u2500{3,}|>[> \t]*+")  # ">" is an empty line of a quotation
_RULE_ENDS = "=-*#\u2014\u2500>"
_LABEL = re.compile(r"(\D{0,60})1(\D{0,20})")
_HEADING = re.compile(r"#{1,6}[ \t][^\n]*|\*\*[^*\n]*[^*\n.!?]\*\*|[^\n]*[:\uff1a]")
_KIND_OF_PAIR = re.compile(r"\w[\w ]{0,30}[:\uff1a]")
_SEPARATOR_INSIDE = re.compile(r"\n===[ \t\r]*+\n")


class Header(NamedTuple):
    """A header in a text: from `start` (the line break before it) to `end` (where its text begins).

    `kind` is its word in lower case, with a `?` behind it where the line may be a header and is in no known form.
    `closing` are the bold or italic marks that were opened before the word and have still to close. A header without a
    kind begins what belongs to no header.
    """

    start: int
    end: int
    kind: str = ""
    closing: str = ""


class Section(NamedTuple):
    """What stands under one header, without the white space around it."""

    kind: str
    text: str


class Split(NamedTuple):
    """A text cut at its headers; `before` and `after` say whether there is text that belongs to none of them."""

    sections: list[Section]
    before: bool
    after: bool
    problems: list[str]


def header_pattern(words: str) -> re.Pattern[str]:
    """Compiles the pattern of all headers with one of `words` (alternatives of a regular expression, any case).

    Before the word may stand spaces, list bullets, `#`, `>`, bold or italic marks and a number (`1.`, `(1)`), behind it
    a number. Then comes a colon, ASCII or full-width; `find_headers` says which lines need none.
    """
    marks = rf"[{_SPACE}*_]*+"
    number_before = rf"(?:[(\[]?\d{{1,4}}+[.):\]\u3001]{marks})?+"
    number_behind = r"(?:[#(]?\d{1,4}+\)?)?+"
    unknown = r"(?:(?<=\d)|(?=[(\[#\u2116]|[\-\u2013\u2014] |no?\.? ?\d|number ?\d))[^\n:\uff1a]{0,60}+[:\uff1a]"
    return re.compile(
        rf"\n([{_SPACE}>#*_+\-\u2022]*+{number_before})({words})({marks}{number_behind}{marks})"
        rf"(?:([:\uff1a])|(?=\r?(?:\n|\Z))|(?={unknown}))",
        re.IGNORECASE,
    )


def find_headers(text: str, pattern: re.Pattern[str]) -> list[Header]:
    """Finds the headers of a pattern made by `header_pattern`.

    A word of more than one letter needs no colon where it stands alone on its line as a markdown heading
    (`### Question 2`) or in bold or italics (`**Question 2**`). It may be a header where something like a number stands
    before the colon (`Question 2a:`, `Answer (b):`).
    """
    headers = []
    for match in pattern.finditer(text):
        before, word, behind, colon = match.groups()
        start, end = match.span()
        if colon and not before and not behind:
            headers.append(Header(start, end, word.lower()))
        elif colon or len(word) > 1:
            headers += _marked_header(text, match)
    return headers


def _marked_header(text: str, match: re.Match[str]) -> list[Header]:
    """Makes the header of a match with marks or numbers around the word, or without a colon, if it is one."""
    before, word, behind, colon = match.groups()
    marks = [run for run in [*_EMPHASIS.findall(before), *_EMPHASIS.findall(behind)] if run]
    closing = marks[-1][::-1] if len(marks) % 2 else ""
    header = Header(match.start(), match.end(), word.lower(), closing)
    if colon and closing and (found := _CLOSING.match(text, header.end)) and closing in found.groups():
        return [header._replace(end=found.end(), closing="")]
    if colon:
        return [header]
    if strip(text[header.end : header.end + 1]):
        return [header._replace(kind=header.kind + "?")]
    return [header] if ("#" in before or marks) and not closing else []


def split_sections(text: str, headers: Sequence[Header]) -> Split:
    """Cuts a text at its headers.

    A code fence that opens under no header wraps sections: its lines are nobody's, and its end ends the section. One
    that opens under a header is text there, and a header inside of it is a problem. Rules and counting labels that
    stand before a header or at the end belong to nobody either; other headings there are a problem.
    """
    bounds, problems = _with_fences(text, headers) if "`" in text else (headers, [])
    label = _find_label(text[: headers[0].start]) if headers and headers[0].start else None
    bounds = [Header(0, 0), *bounds] if not bounds or bounds[0].start else bounds
    ends = [bound.start for bound in bounds[1:]]
    ends.append(len(text))
    if label:
        pieces = _pieces_without_labels(text, bounds, ends, label)
    else:
        pieces = [Section(bound.kind, _piece(text, bound, end)) for bound, end in zip(bounds, ends, strict=True)]
    problems += ["heading between pairs"] * _has_heading(bounds, pieces)
    if "=" in text and _has_text_behind_separator(text, bounds, ends, pieces):
        problems.append("text behind a separator")
    return _without_outside(pieces, problems) if bounds is not headers else Split(pieces, False, False, problems)


def _without_outside(pieces: Sequence[Section], problems: list[str]) -> Split:
    """Takes out the pieces under no header, and says where there was text in them."""
    under_header = [index for index, piece in enumerate(pieces) if piece.kind] or [len(pieces)]
    outside = [index for index, piece in enumerate(pieces) if piece.text and not piece.kind]
    if any(under_header[0] < index < len(pieces) - 1 for index in outside):
        problems.append("text between code fences")
    before = any(index < under_header[0] for index in outside)
    after = any(index > under_header[-1] for index in outside)
    return Split([piece for piece in pieces if piece.kind], before, after, problems)


def _with_fences(text: str, headers: Sequence[Header]) -> tuple[list[Header], list[str]]:
    """Adds the fences that wrap sections to the headers, as headers without a kind, and takes out headers in code."""
    bounds: list[Header] = []
    problems: list[str] = []
    wraps: list[bool] = []  # of the fences that are open, the outermost first
    marks: list[Header | Fence] = [*headers, *find_fences(text)]
    for mark in sorted(marks, key=lambda mark: mark.start):
        under_header = bool(bounds and bounds[-1].kind)
        if isinstance(mark, Header):
            if not wraps or wraps[-1]:
                bounds.append(mark)
            else:
                problems.append("header inside a code fence")
            continue
        if mark.opens:
            wraps.append(not under_header)
        if wraps[-1]:
            bounds.append(Header(mark.start, mark.end))
        if not mark.opens:
            wraps.pop()
    return bounds, problems + ["code fence without an end"] * bool(wraps)


def _find_label(text: str) -> re.Match[str] | None:
    """Finds the label before the first header: a line with a 1 in it, which may count on before the headers to come."""
    lines = (strip(line) for line in reversed(text.split("\n")))
    return _LABEL.fullmatch(next((line for line in lines if line and not line.startswith("```")), ""))


def _pieces_without_labels(
    text: str, bounds: Sequence[Header], ends: Sequence[int], label: re.Match[str]
) -> list[Section]:
    """Cuts a text like `split_sections`, and takes the labels that count on (`### Pair 2`, `2.`) for layout."""
    pieces = []
    first_kind = next((bound.kind for bound in bounds if bound.kind), "")
    number = 1
    for bound, end in zip(bounds, ends, strict=True):
        number += bound.kind == first_kind
        pieces.append(Section(bound.kind, _piece(text, bound, end, f"{label[1]}{number}{label[2]}")))
    return pieces


def _piece(text: str, bound: Header, end: int, label: str = "") -> str:
    """Gives what stands between a header and the next one, without the layout behind it."""
    piece = strip(text[bound.end : end])
    if piece and (piece[-1] in _RULE_ENDS or (label and piece.endswith(label))):
        piece = strip(text[bound.end : _before_layout(text, bound.end, end, label)])
    return _without_closing(piece, bound.closing) if bound.closing else piece


def _before_layout(text: str, start: int, end: int, label: str) -> int:
    """Finds the end of a section's text, before the rules and the label that lead to the next header.

    What stands on the header's own line is text, whatever it looks like.
    """
    while (line_start := text.rfind("\n", start, end)) >= 0:
        line = strip(text[line_start:end])
        if line == label:
            label = ""
        elif line and not _RULE.fullmatch(line):
            break
        end = line_start
    return end


def _without_closing(text: str, marks: str) -> str:
    """Takes away the marks that close a header's bold or italics, at the end of the first line or of the text.

    They close the header only where their number is odd: `**Question: see **this**` ends in marks of its own.
    """
    first_line = strip(text.partition("\n")[0])
    for part in (first_line, text):
        if part.endswith(marks) and part.count(marks) % 2:
            return strip(part.removesuffix(marks) + text[len(part) :])
    return text


def _has_heading(bounds: Sequence[Header], pieces: Sequence[Section]) -> bool:
    """Says whether a text ends in a heading of the next pair, which is nobody's text: a paragraph of one line that is a
    markdown heading, in bold or ends in a colon, or that begins with the word of such a line before the first header.
    """
    first_kind = next((bound.kind for bound in bounds if bound.kind), "")
    lead = _KIND_OF_PAIR.match(strip(pieces[0].text.rpartition("\n")[2])) if pieces and not pieces[0].kind else None
    for piece, following in zip(pieces, bounds[1:], strict=False):
        before, _, line = piece.text.rpartition("\n")
        if not piece.kind or following.kind != first_kind or not before or strip(before.rpartition("\n")[2]):
            continue
        if _HEADING.fullmatch(strip(line)) or (lead and strip(line).startswith(lead[0])):
            return True
    return False


def _has_text_behind_separator(
    text: str, bounds: Sequence[Header], ends: Sequence[int], pieces: Sequence[Section]
) -> bool:
    """Says whether `===` ends sections, as in the form of LLaVA, and one of them goes on behind it."""
    if not any(_SEPARATOR_INSIDE.search(piece.text) for piece in pieces):
        return False
    return any(strip(text[bound.end : end]).endswith("===") for bound, end in zip(bounds, ends, strict=True))
