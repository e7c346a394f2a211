r"""Takes off citation marks that point at nothing: `[1][2]`, `【4:0†source】`, `[^1^]`, `(source: ...)`, `there.²`.

A mark differs from a sound bracket by its form and its place: it follows a word or a full stop, and ends a clause. A
plain number in brackets may also be an index, an interval or a label in the picture, so it needs more evidence than a
form that nothing else has. What the annotation or the question contains is never a mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple

from syphus.answers.cleaning.rules import Check, Context, Mend, Rule, describe_match
from syphus.types import Pair

_NUMBERS = r"[1-9]\d{0,2}(?:[ \t]?[,;\u2013-][ \t]?[1-9]\d{0,2})*"
_NAMES = r"(?:sources?|ref(?:erence)?s?|cit(?:e|ation)s?|captions?|annotations?|notes?|sentences?|doc(?:ument)?s?)"
_ADDRESS = r"(?:https?://|www\.)[^\s()\[\]]+"
_LIFTED = "\u00b9\u00b2\u00b3\u2070\u2074-\u2079"
#: A number in brackets, with what may stand beside it: `[ 1 ]`, `[#1]`, `[*2]`, `[^1]`.
_INNER = rf"[ \t]?[#*^\u2020]?(?:{_NUMBERS}|[{_LIFTED}]+)\u2020?[ \t]?"
_BRACKETS = (
    "\\\\?\\[ \\\\?\\]",
    "\\{ \\}",
    "\\{\\{ \\}\\}",
    "< >",
    "\u27e6 \u27e7",
    "\u2045 \u2046",
    "\u27e8 \u27e9",
    "\uff3b \uff3d",
)
_NUMBERED = "|".join(left + _INNER + right for left, right in map(str.split, _BRACKETS))
_QUOTES = ("\\( \\)", "\uff08 \uff09", "\u00ab \u00bb", "\u2039 \u203a")
_QUOTED = "|".join(left + _INNER + right for left, right in map(str.split, _QUOTES))
_LONE = "\u2020\u2021\u21a9\u2460-\u2473"
_MARK = re.compile(
    r"(?:(?P<anywhere>\[(?:cite|citation|source|ref)_(?:start|end)\][ \t]?|</?co(?::[ ]?[\d, ]{1,20})?>)"
    # Forms that nothing but a citation has.
    r"|(?P<sure>[\u3010\u3014][^\u3011\u3015\n]{0,60}\u2020[^\u3011\u3015\n]{0,80}[\u3011\u3015]"
    r"|\[\d{1,3}(?::\d{1,3})?\u2020[A-Za-z][^\[\]\n]{0,60}\]"
    r"|:[A-Za-z]\w{2,30}\[[^\]\n]{0,60}\]\{[^}\n]{0,60}\}|\ue200[^\ue201\n]{0,200}\ue201"
    rf"|\[\[{_NUMBERS}\]\]\([^()\s]*\)|\[{_NUMBERS}\]\([^()\s]*\)|<sup>[ \t]*\[{_NUMBERS}\][ \t]*</sup>"
    rf"|\[\^{_NUMBERS}\^\]|\^\[{_NUMBERS}\]\^)"
    # Forms that are one at the end of a clause.
    rf"|(?P<likely>(?:\[\^(?:[1-9]\d{{0,2}}|{_NAMES})\](?!:))+|\^{_NUMBERS}\^"
    rf"|\[(?i:{_NAMES})\.?(?:[ \t]?[_:#][^\[\]\n]{{1,80}}|[ \t]?{_NUMBERS})?\]"
    r"|\[[a-z]{2,12}[:_][a-z]?\d{1,3}(?:[:,-]\d{1,3})*\]|\[[a-z]{2,4}\d{1,3}\]|\{[a-z]{2,4}\d{1,3}\}"
    rf"|\((?i:(?:see |from |cf\.? )?{_NAMES})[ \t]?:[^()\n]{{1,120}}\)"
    rf"|\((?i:(?:see |from |cf\.? )?{_NAMES})\.?[ \t]?{_NUMBERS}\)|\\(?:cite[pt]?|footnote)\{{[^{{}}\n]{{1,60}}\}}"
    rf"|(?<!\])\((?:[^()\n:]{{0,20}}:[ \t]*)?{_ADDRESS}\)"
    r"|\(\[[^\]\n]{1,80}\]\([^()\s]+\)\)|\{\{[a-z]{2,12}[:|][^{}\n]{1,40}\}\}"
    rf"|[\u3010\u3014]{_NUMBERS}[\u3011\u3015]|<(?P<tag>[a-z]{{2,10}})>\[?{_NUMBERS}\]?</(?P=tag)>|<cite>[^<\n]{{1,80}}</cite>)"
    # Forms that are one after the last full stop of a line.
    rf"|(?P<behind>{_QUOTED}|[{_LONE}]+|\u207d[{_LIFTED}]+\u207e|\[\[{_NUMBERS}\]\]"
    rf"|\[[A-Za-z]{{1,9}}\d{{1,3}}(?:[a-z]{{1,9}}\d{{1,3}})?\](?:,?[ \t]?\[[A-Za-z]{{1,9}}\d{{1,3}}\])*"
    rf"|<a\b[^<>\n]{{0,80}}>\[?{_NUMBERS}\]?</a>)"
    # Numbers, which may mean something else.
    rf"|(?P<lifted>[{_LIFTED}]+(?:[,\u02d2 ][{_LIFTED}]+)*|<sup>{_NUMBERS}</sup>"
    rf"|\$?\^(?:\{{{_NUMBERS}\}}|[1-9]\d?(?!\w))\$?)"
    rf"|(?P<listed>(?:(?:{_NUMBERED})[ \t]?)+(?<![ \t]))"
    # A foreign bracket is one among letters without such brackets.
    r"|(?P<foreign>[\u3010\u3014][A-Za-z][^\u3011\u3015\n]{0,40}[\u3011\u3015])"
    r")"
)
_RAISED = tuple("\u00b9\u00b2\u00b3\u2070\u2074\u2075\u2076\u2077\u2078\u2079")
_CIRCLED = tuple(map(chr, range(0x2460, 0x2474)))
_RARE_SIGNS = (
    "\u3010",
    "\u3014",
    "\ue200",
    "\u2020",
    "\u2021",
    "\u21a9",
    "\u207d",
    *_RAISED,
    *_CIRCLED,
    *"\u27e6\u2045\u27e8\uff3b\uff08\u00ab\u2039",
)  #: not in ASCII
_FIRST_SIGNS = ("[", "</", "<co", "{", "^", "\\cite", "\\footnote")
_SIGNS = (
    "[",
    "<",
    "{",
    "(",
    "^",
    *_RARE_SIGNS,
)  #: every mark has one; a search for two signs takes thirty times as long
_ROUND = re.compile(
    rf"\((?:\[|{_INNER}\)|(?i:(?:see |from |cf\.? )?{_NAMES})(?:[ \t]?:|\.?[ \t]?\d)"
    rf"|[^()\n:]{{0,20}}:[ \t]*{_ADDRESS}|{_ADDRESS})"
)
_ANGLE = re.compile(r"<[#*^]?\d")
_OF_MARK = re.compile(rf"(?<![_^\\])(?:{_NUMBERED})|(?<=[A-Za-z.!?) ])\$?\^(?:\{{{_NUMBERS}\}}|[1-9]\d?(?!\w))\$?")
_DIRECTIVE = re.compile(r":[A-Za-z]\w{2,30}\Z")
_END = re.compile(r"[ \t]*(?:\Z|\n|[.,;!?](?=[\s\u201d\"'\u300d]|\Z)|[\u3002\uff0c\uff1b\uff01\uff1f\u3001])")
_STOP = '.!?\u3002\uff01\uff1f\u2026\u201d"'
_CODE = re.compile(r"[`={}$\\^+]|\[0|\w\(|;\n")
_WORD = re.compile(r"(?:([^\W\d_]{1,40})[ \t]{1,9})?([^\W\d_]{1,40})[\u201d\"')*_]{0,9}\Z")
#: A number in brackets after such a word is what is talked about: "it is [2]", "labelled [1]".
_INTRODUCES = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "been", "being", "by", "equals", "for", "from", "has", "have", "in",
    "is", "label", "labeled", "labelled", "mark", "marked", "number", "numbered", "of", "on", "or", "reads", "says",
    "shows", "than", "that", "the", "this", "to", "was", "were", "with", "contains", "gives", "holds", "prints",
    "returns", "array", "button", "figure", "interval", "key", "list", "range", "set", "step", "vector", "writes",
    "item", "option", "row", "seat", "table",
))  # fmt: skip
#: Words of those who speak of numbers: then `[1, 2]` is a list of two.
_OF_DATA = re.compile(
    r"\b(?:arrays?|lists?|tuples?|matri(?:x|ces)|vectors?|intervals?|ranges?|sets?|numbers?|values?|scores?|coordinates?"
    r"|points?|box(?:es)?|sequences?|outputs?|results?|inputs?|print(?:s|ed)?|returns?|code|python|ind(?:ex|ices)|size)\b",
    re.IGNORECASE,
)
_OF_CODE = re.compile(r"\b(?:print(?:s|ed)?|returns?|arrays?|python|ind(?:ex|ices))\b", re.IGNORECASE)
_OF_TEXT = re.compile(r"\b(?:says?|reads?|written|labels?|signs?|site|web|address|link|url)\b", re.IGNORECASE)
_OF_MARKS = re.compile(r"\b(?:cit(?:e|ation)|footnote|references?\b|latex\b)", re.IGNORECASE)
_DETERMINERS = frozenset(("a", "an", "the", "his", "her", "its", "their", "my", "your", "this", "that", "of"))
#: Short words that are no names of variables.
_NO_NAMES = frozenset(
    ("it", "him", "her", "us", "me", "in", "on", "up", "off", "out", "too", "now", "so", "to", "by", "yet")
)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


class _Evidence(IntEnum):
    """How surely something is a citation mark."""

    NONE = 0
    WITH_OTHERS = 1  #: only if the answer has marks that are certain
    DOUBTFUL = 2  #: so too, and without any of these the answer can't be used
    CERTAIN = 3


class _CitationMark(NamedTuple):
    start: int
    end: int
    evidence: _Evidence


def _may_have_mark(text: str) -> bool:
    return "[" in text or "(" in text or "<" in text or "{" in text or "^" in text or not text.isascii() or "\\" in text


def _starts(text: str) -> list[int]:
    """Return where marks may begin. Looking for single signs takes a hundredth of the time of the pattern."""
    starts = [match.start() for match in _ROUND.finditer(text)] if "(" in text else []
    starts += [match.start() for match in _ANGLE.finditer(text)] if "<" in text else []
    for sign in _FIRST_SIGNS if text.isascii() else (*_FIRST_SIGNS, *_RARE_SIGNS):
        at = text.find(sign) if sign[0] in text else -1
        while at >= 0:
            start = text.rfind("<", 0, at) if sign == "</" else at
            if sign == "</":
                starts.append(at)
            if (sign == "[" and text[at - 1 : at] in ("^", "\\")) or (sign == "^" and text[at - 1 : at] == "$"):
                start -= 1
            elif sign == "[" and at and (directive := _DIRECTIVE.search(text, max(0, at - 33), at)):
                start = directive.start()
            starts.append(start)
            at = text.find(sign, at + len(sign))
    return sorted(set(starts))


def _find(text: str, pair: Pair, part: str, context: Context) -> Iterator[_CitationMark]:
    """Yield what may be a mark in a text, with the space before it."""
    end = 0
    for start in _starts(text):
        match = _MARK.match(text, start) if start >= end else None
        if match is None:
            continue
        end, mark, before = match.end(), match[0].strip(), text[:start].rstrip(" \t")
        is_known = mark in context.query.text or (part == "answer" and mark in pair.instruction)
        if is_known or not (match["anywhere"] or before.rpartition("\n")[2].strip()):
            continue
        evidence = _judge(text, match, before, pair.instruction)
        if evidence:
            is_opening = match["anywhere"] and not _END.match(text, end)
            yield _CitationMark(start if is_opening else len(before), end, evidence)


def _judge(text: str, match: re.Match[str], before: str, question: str) -> _Evidence:
    is_attached = len(before) == match.start()
    ends_clause = _END.match(text, match.end()) is not None
    stops = before[-1:] in _STOP
    words = _WORD.search(before)
    word = words[2].lower() if words else ""
    if match["sure"] or match["anywhere"]:
        return _Evidence.CERTAIN
    if _OF_MARKS.search(question):
        return _Evidence.NONE
    if match["behind"]:
        ends_line = text[match.end() : match.end() + 1] in ("", "\n")
        return _Evidence.CERTAIN if stops and ends_line and not _OF_TEXT.search(question) else _Evidence.NONE
    if match["likely"] and match[0][0] == "(" and _OF_TEXT.search(question):
        return _Evidence.NONE
    if match["likely"]:
        introduced = word in _INTRODUCES and not is_attached
        return _Evidence.CERTAIN if (ends_clause or stops) and not introduced else _Evidence.NONE
    if match["foreign"]:
        return _Evidence.CERTAIN if ends_clause and not _CJK.search(text) else _Evidence.NONE
    if match["lifted"]:
        return _judge_lifted(text, match, word, stops=stops, ends_clause=ends_clause)
    if _CODE.search(_OF_MARK.sub("", text)) or (match[0][0] == "{" and text[match.start() - 1] in "_^\\"):
        return _Evidence.NONE
    if is_attached and stops:
        return _Evidence.CERTAIN
    if _OF_CODE.search(question) or _OF_CODE.search(before) or _is_numbered(words, question):
        return _Evidence.NONE
    if is_attached and words:
        is_prose = len(word) > 3 or word in _NO_NAMES or (words[1] or "").lower() in _DETERMINERS
        if ends_clause:
            return _Evidence.CERTAIN if is_prose else _Evidence.WITH_OTHERS
        return _Evidence.DOUBTFUL if is_prose and text[match.end() : match.end() + 1] == " " else _Evidence.NONE
    is_behind_clause = ends_clause and (stops or (words is not None and word not in _INTRODUCES))
    if is_behind_clause and not _is_data(match["listed"], question, before):
        return _Evidence.CERTAIN
    return _Evidence.WITH_OTHERS if word not in _INTRODUCES else _Evidence.NONE


def _is_numbered(words: re.Match[str] | None, question: str) -> bool:
    """Return whether a question asks for a thing that the answer names by its number: "seat [4]"."""
    if words is None or (words[1] or "").lower() in _DETERMINERS:
        return False
    return re.search(rf"\b(?:which|what) {re.escape(words[2].lower())}\b", question.lower()) is not None


def _is_data(listed: str, question: str, before: str) -> bool:
    """Return whether two or more numbers in one pair of brackets may be a list, an interval or a range."""
    return bool(re.search(r"[,;\u2013-]", listed)) and bool(_OF_DATA.search(question) or _OF_DATA.search(before))


def _judge_lifted(text: str, match: re.Match[str], word: str, *, stops: bool, ends_clause: bool) -> _Evidence:
    """Judge raised digits: in powers and units they follow letters or a number."""
    is_prose = len(word) > 3 or word in _NO_NAMES
    is_loose = text[match.start() - 1].isspace()
    if re.search(r"[=+\u00d7\u2212^$\\]", _OF_MARK.sub("", text)) or (is_loose and match[0][0] not in "$^"):
        return _Evidence.NONE
    if stops:
        return _Evidence.CERTAIN
    is_unit = re.search(r"\d[\d.,]*[ \t]?[^\W\d_]+\Z", text[: match.start()]) is not None
    if not is_prose or is_unit or not (ends_clause or text[match.end() : match.end() + 1] == " "):
        return _Evidence.NONE
    return _Evidence.CERTAIN


def _all_found(pairs: Sequence[Pair], context: Context) -> dict[tuple[int, str], list[_CitationMark]]:
    """Return what may be marks, by the number of the pair and the name of the text."""
    found = {}
    for number, pair in enumerate(pairs):
        for part, text in (("answer", pair.answer), ("instruction", pair.instruction)):
            if _may_have_mark(text) and (marks := list(_find(text, pair, part, context))):
                found[number, part] = marks
    return found


def _take_off(pairs: Sequence[Pair], context: Context) -> tuple[tuple[Pair, ...], int]:
    """Return the pairs without marks, and the number of marks."""
    found = _all_found(pairs, context)
    if not any(mark.evidence is _Evidence.CERTAIN for marks in found.values() for mark in marks):
        return tuple(pairs), 0
    mended = list(pairs)
    for (number, part), marks in found.items():
        text = getattr(mended[number], part)
        for mark in reversed(marks):
            text = text[: mark.start] + text[mark.end :]
        mended[number] = replace(mended[number], **{part: text})
    return tuple(mended), sum(map(len, found.values()))


def _find_doubtful(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    for (number, part), marks in _all_found(pairs, context).items():
        for mark in marks:
            if mark.evidence is _Evidence.DOUBTFUL:
                name = "question" if part == "instruction" else part
                yield describe_match(f"{name} {number + 1}", getattr(pairs[number], part)[mark.start : mark.end])


#: Marks are taken off; one in the middle of a sentence, alone, may be an index: then the answer can't be used.
CITATION_RULES: tuple[Rule, ...] = (
    Mend("citation mark", _take_off, needs=_SIGNS),
    Check("a mark that may be a citation", _find_doubtful, needs=("[",)),
)
