r"""Splits a text at its headers, such as `**Question 1:**`, into sections.

Nothing here knows the meaning of a header. A parser builds its pattern with `header_pattern`, finds the headers with
`find_headers` and splits the text with `split_sections`. The text must begin with a line break, so that each line has
one before it: a pattern that begins with a plain `\n` is searched much faster than one that begins with `^`.

Lines end with `\n` or `\r\n` only: U+2028, form feeds and the like are ordinary characters. Every pattern takes linear
time on any input, thanks to possessive quantifiers (`*+`). Some searches are preceded by a search for one character,
because that takes a tenth of the time of a search for three.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from syphus.answers.parsing.answer_text import strip
from syphus.answers.parsing.json_answers import Fence, find_fences

_SPACE = r" \t\xa0\u202f\u3000\u200b\u200e\u200f\u2060\ufeff"  # and invisible marks before right-to-left text
_EMPHASIS = re.compile(r"(?<!\S)[*_](?=\s)|_(?=\d)|([*_]+)")  # a bullet and the _ of `question_1` are not captured
_CLOSING = re.compile(r"([*_]+)|[ \t]+([*_]+)(?=\s)")
_RULE = re.compile(r"={3,}|-{3,}|\*{3,}|#{3,}|\u2014{3,}|\u2500{3,}|>[> \t]*+")  # ">" is an empty quoted line
_RULE_ENDS = "=-*#\u2014\u2500>"
_LABEL = re.compile(r"(\D{0,60})1(\D{0,20})")
_HEADING = re.compile(r"#{1,6}[ \t][^\n]*|\*\*[^*\n]*[^*\n.!?]\*\*|[^\n]*[:\uff1a]")
_KIND_OF_PAIR = re.compile(r"\w[\w ]{0,30}[:\uff1a]")
_SECTION_MARK = re.compile(
    r"(?=[^\n]{3,60}\Z)(?:([=\-~*_+|\u2014\u2500<\[])\1[^\n]*[^\W_][^\n]*[=\-~*_+|\u2014\u2500>\]]{2}"
    r"|[\[<(\u3010][^\n\[\]<>()]{2,30}[\]>)\u3011]|#{1,6}[ \t][^\n]*|[^\W\d_][\w ]{0,25}[:\uff1a])"
)
_SEPARATOR_INSIDE = re.compile(r"\n===[ \t\r]*+\n")


class Header(NamedTuple):
    """A header in a text, from `start` (the line break before it) to `end` (where its text begins).

    `kind` is its word in lower case, followed by `?` if the line may be a header but has no known form. `closing` are
    the bold or italic marks that were opened before the word and not yet closed. A header without a kind begins text
    that belongs to no header.
    """

    start: int
    end: int
    kind: str = ""
    closing: str = ""


class Section(NamedTuple):
    """The text below one header, without surrounding white space."""

    kind: str
    text: str


class Split(NamedTuple):
    """A text split at its headers; `before` and `after` say whether there is text outside the sections."""

    sections: list[Section]
    before: bool
    after: bool
    problems: list[str]


def header_pattern(words: str) -> re.Pattern[str]:
    """Compile the pattern of all headers with one of `words` (regular expression alternatives, case is ignored).

    The word may follow spaces, list bullets, `#`, `>`, bold or italic marks and a number (`1.`, `(1)`), and a number
    may follow the word. Then comes a colon, ASCII or full-width; `find_headers` describes the lines that need none.
    """
    marks = rf"[{_SPACE}*_]*+"
    number_before = rf"(?:[(\[]?\d{{1,4}}+[.):\]\u3001]{marks})?+"
    number_after = r"(?:[#(]?\d{1,4}+\)?)?+"
    unknown = r"(?:(?<=\d)|(?=[(\[#\u2116]|[\-\u2013\u2014] |no?\.? ?\d|number ?\d))[^\n:\uff1a]{0,60}+[:\uff1a]"
    return re.compile(
        rf"\n([{_SPACE}>#*_+\-\u2022]*+{number_before})({words})({marks}{number_after}{marks})"
        rf"(?:([:\uff1a])|(?=\r?(?:\n|\Z))|(?={unknown}))",
        re.IGNORECASE,
    )


def find_headers(text: str, pattern: re.Pattern[str]) -> list[Header]:
    """Find the headers of a pattern that was made by `header_pattern`.

    A word of more than one letter needs no colon if it is alone on its line as a Markdown heading (`### Question 2`) or
    in bold or italics (`**Question 2**`). It may be a header if something like a number is before the colon
    (`Question 2a:`, `Answer (b):`).
    """
    headers = []
    for match in pattern.finditer(text):
        before, word, after, colon = match.groups()
        start, end = match.span()
        if colon and not before and not after:
            headers.append(Header(start, end, word.lower()))
        elif colon or len(word) > 1:
            headers += _marked_header(text, match)
    return headers


def _marked_header(text: str, match: re.Match[str]) -> list[Header]:
    """Return the header of a match that has marks or numbers around the word, or no colon; empty if it is not one."""
    before, word, after, colon = match.groups()
    marks = [run for run in [*_EMPHASIS.findall(before), *_EMPHASIS.findall(after)] if run]
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
    """Split a text at its headers.

    A code fence that opens outside any section wraps sections: its lines belong to no section, and its end closes the
    last one. A fence that opens inside a section is part of that text, and a header inside the fence is a problem.
    Horizontal rules and numbered labels before a header or at the end belong to no section; other headings there are a
    problem.
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
    has_heading = _has_heading(bounds, pieces) or _has_section_mark(bounds, pieces)
    has_heading = has_heading or (label is not None and _labels_some_pairs(text, bounds, ends, label))
    problems += ["heading between pairs"] * has_heading
    if "=" in text and _has_text_after_separator(text, bounds, ends, pieces):
        problems.append("text behind a separator")
    return _without_outside(pieces, problems) if bounds is not headers else Split(pieces, False, False, problems)


def _without_outside(pieces: Sequence[Section], problems: list[str]) -> Split:
    """Drop the pieces that belong to no header, and note where they had text."""
    under_header = [index for index, piece in enumerate(pieces) if piece.kind] or [len(pieces)]
    outside = [index for index, piece in enumerate(pieces) if piece.text and not piece.kind]
    if any(under_header[0] < index < len(pieces) - 1 for index in outside):
        problems.append("text between code fences")
    before = any(index < under_header[0] for index in outside)
    after = any(index > under_header[-1] for index in outside)
    return Split([piece for piece in pieces if piece.kind], before, after, problems)


def _with_fences(text: str, headers: Sequence[Header]) -> tuple[list[Header], list[str]]:
    """Add the fences that wrap sections to the headers, as headers without a kind, and drop headers in code."""
    bounds: list[Header] = []
    problems: list[str] = []
    are_named: list[bool] = []  # as `wraps`: whether it has a name, such as ```thinking
    wraps: list[bool] = []  # one for each open fence, outermost first
    places: set[bool] = set()  # whether headers are in fences with a name
    marks: list[Header | Fence] = [*headers, *find_fences(text)]
    for mark in sorted(marks, key=lambda mark: mark.start):
        under_header = bool(bounds and bounds[-1].kind)
        if isinstance(mark, Header):
            if not wraps or wraps[-1]:
                bounds.append(mark)
                places.add(any(are_named))
            else:
                problems.append("header inside a code fence")
            continue
        if mark.opens:
            wraps.append(not under_header)
            are_named.append(bool(strip(text[mark.start : mark.end].strip("`"))))
        if wraps[-1]:
            bounds.append(Header(mark.start, mark.end))
        if not mark.opens:
            wraps.pop()
            are_named.pop()
    problems += ["pairs inside and outside of a code fence"] * (len(places) > 1)
    return bounds, problems + ["code fence without an end"] * bool(wraps)


def _find_label(text: str) -> re.Match[str] | None:
    """Find the label before the first header: a line with a 1 that may be repeated with higher numbers later."""
    lines = (strip(line) for line in reversed(text.split("\n")))
    return _LABEL.fullmatch(next((line for line in lines if line and not line.startswith("```")), ""))


def _pieces_without_labels(
    text: str, bounds: Sequence[Header], ends: Sequence[int], label: re.Match[str]
) -> list[Section]:
    """Split a text like `split_sections`, treating numbered labels (`### Pair 2`, `2.`) as layout."""
    pieces = []
    first_kind = next((bound.kind for bound in bounds if bound.kind), "")
    number = 1
    for bound, end in zip(bounds, ends, strict=True):
        number += bound.kind == first_kind
        pieces.append(Section(bound.kind, _piece(text, bound, end, f"{label[1]}{number}{label[2]}")))
    return pieces


def _piece(text: str, bound: Header, end: int, label: str = "") -> str:
    """Return the text between a header and the next one, without the layout at its end."""
    piece = strip(text[bound.end : end])
    if piece and (piece[-1] in _RULE_ENDS or (label and piece.endswith(label))):
        piece = strip(text[bound.end : _before_layout(text, bound.end, end, label)])
    return _without_closing(piece, bound.closing) if bound.closing else piece


def _before_layout(text: str, start: int, end: int, label: str) -> int:
    """Return the end of a section's text, before the horizontal rules and the label of the next header.

    The rest of the header's own line is always text.
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
    """Remove the marks that close a header's bold or italics, at the end of the first line or of the text.

    They belong to the header only if their number is odd: `**Question: see **this**` ends in marks of its own.
    """
    first_line = strip(text.partition("\n")[0])
    for part in (first_line, text):
        if part.endswith(marks) and part.count(marks) % 2:
            return strip(part.removesuffix(marks) + text[len(part) :])
    return text


def _has_heading(bounds: Sequence[Header], pieces: Sequence[Section]) -> bool:
    """Return whether a section ends in a heading of the next pair, which belongs to no section.

    That is a paragraph of one line that is a Markdown heading, is bold, ends in a colon, or begins with the same word
    as such a line before the first header.
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


def _has_section_mark(bounds: Sequence[Header], pieces: Sequence[Section]) -> bool:
    """Return whether a line between pairs begins another part of the answer: `=== FINAL ===` after a draft.

    Such a line is between signs, or ends in a colon. A line that is the same between all pairs, but for numbers, is a
    label; so is one before each pair of three or more.
    """
    first_kind = next((bound.kind for bound in bounds if bound.kind), "")
    lines = [
        strip(piece.text.rpartition("\n")[2])
        for piece, following in zip(pieces, bounds[1:], strict=False)
        if following.kind == first_kind and (piece.kind or "\n" in piece.text or piece is pieces[0])
    ]
    opener = lines.pop(0) if lines and pieces and not pieces[0].kind else ""
    marks = {_letters(line) for line in lines if _SECTION_MARK.fullmatch(line)}
    if not marks or (len(lines) > 1 and all(map(_SECTION_MARK.fullmatch, lines))):
        return False
    is_label = len(lines) == 1 and (not _SECTION_MARK.fullmatch(opener) or _letters(opener) in marks)
    return not is_label


def _labels_some_pairs(text: str, bounds: Sequence[Header], ends: Sequence[int], label: re.Match[str]) -> bool:
    """Return whether a label in words (`Attempt 1`) is repeated, but not for each pair: it labels several pairs."""
    if not _letters(label[0]):
        return False
    first_kind = next((bound.kind for bound in bounds if bound.kind), "")
    gaps = [strip(text[bound.end : end]) for bound, end in zip(bounds, ends, strict=True) if bound.kind][:-1]
    gaps = [gap for gap, bound in zip(gaps, [b for b in bounds if b.kind][1:], strict=True) if bound.kind == first_kind]
    found = [gap.endswith(f"\n{label[1]}{number}{label[2]}") for number, gap in enumerate(gaps, 2)]
    return any(found) and not all(found)


def _letters(line: str) -> str:
    return "".join(filter(str.isalpha, line)).lower()


def _has_text_after_separator(
    text: str, bounds: Sequence[Header], ends: Sequence[int], pieces: Sequence[Section]
) -> bool:
    """Return whether `===` ends sections, as in LLaVA's format, and one of them continues after it."""
    if not any(_SEPARATOR_INSIDE.search(piece.text) for piece in pieces):
        return False
    return any(strip(text[bound.end : end]).endswith("===") for bound, end in zip(bounds, ends, strict=True))
