"""What every parser needs: white space, thinking blocks, and characters that must not get into a dataset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from syphus.types import Pair

# str.strip() would also remove form feeds and other control characters, which must be reported instead.
_WHITE_SPACE = "\t\n\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_INVISIBLE = _WHITE_SPACE + "\xad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r")

# Brackets that models put around the name of a block: <think>, [THINK], ◁think▷, <seed:think>, < answer type="x" >.
_BRACKETS = {"<": ">", "[": "]", "\u25c1": "\u25b7", "\u2039": "\u203a", "\u00ab": "\u00bb"}
_BRACKETS |= {"\u27e8": "\u27e9", "\uff1c": "\uff1e", "\u3010": "\u3011", "\u300c": "\u300d"}
_LEFT, _RIGHT = (re.escape("".join(each)) for each in (_BRACKETS.keys(), _BRACKETS.values()))
_SIGN = re.compile(f"[{_LEFT}]")
_NAME = r"[^\W\d][\w:.-]{0,40}"
_BLOCK = re.compile(rf"(?P<left>[{_LEFT}])\s*+(?P<name>{_NAME})(?:\s[^{_LEFT}{_RIGHT}]{{0,200}})?(?P<right>[{_RIGHT}])")
_CLOSER_ALONE = re.compile(rf"^[ \t]*+[{_LEFT}][ \t]*+/[ \t]*+(?P<name>{_NAME})\s*+[{_RIGHT}][ \t\r]*+$", re.MULTILINE)
# Tokens of tokenisers, such as <|begin_of_box|> and <|channel|>, also with the wide signs of DeepSeek.
_TOKEN = re.compile(r"<[|\uff5c][\w\u2581/ .-]{1,60}[|\uff5c]>")
# A line by itself that opens a draft, such as `Thinking...`, `%%think%%` or `[BEGIN REASONING]`.
_MOST_LETTERS = 60  # of such a line
_WORD = re.compile(r"[^\W\d_]+")
_FIRST_OF_BLOCKS = ("#", ">", "-", "`", "|", '"')
_OPENS, _CLOSES = ("begin", "start"), ("end", "stop", "done")
_DOTS = ("...", "\u2026")
_BOXED = re.compile(r"(?:\$\$?|\\\[)?\s*+\\boxed\{")
_FORMULA = re.compile(r"[=^_\\+<>{}]")
_TEXT_COMMAND = re.compile(r"\\text\w{0,6}\{([^{}]*)\}")
_CDATA, _END_OF_CDATA = "<![CDATA[", "]]>"
_MOST_LAYERS = 8

# A block with such a name is never a part of the answer, wherever it begins; see `skip_thinking`.
_TAG = rf"[{_LEFT}]\s*+{{}}\s*+(?:\w{{{{1,20}}}}+:)?(?:think(?:ing)?|thoughts?|reasoning)\s*+[{_RIGHT}]"
_TAG_WORDS = ("think", "thought", "reasoning")  #: every such tag has one of them
_OPENING = re.compile(r"\s*+" + _TAG.format(""), re.IGNORECASE)
_ANY_OPENING = re.compile(_TAG.format(""), re.IGNORECASE)
_CLOSING = re.compile(_TAG.format("/"), re.IGNORECASE)
_CLOSING_AT_LINE_END = re.compile(_TAG.format("/") + r"[ \t\r]*+(?:\n|\Z)", re.IGNORECASE)
_ANY_AT_LINE_START = re.compile(r"\n[ \t]*+" + _TAG.format("/?"), re.IGNORECASE)


class AnswerText(NamedTuple):
    """The part of an answer that is to be parsed, with problems and notes as in `Parsed`."""

    text: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def strip(text: str) -> str:
    """Return the text without surrounding white space. Control characters other than tab and line ends stay."""
    return text.strip(_WHITE_SPACE)


def is_empty(text: str) -> bool:
    """Return whether a text has nothing visible: only white space and zero-width characters, if anything."""
    return not text or (text[0] in _INVISIBLE and not text.strip(_INVISIBLE))


def skip_thinking(text: str) -> AnswerText:
    """Return what follows the thinking blocks (`<think>...</think>`) at the start of an answer.

    Some chat templates put the opening tag into the prompt: then the block ends at a `</think>` at the end of a line.
    A tag at the start of a later line is a problem, because nothing shows where the thinking ends.
    """
    if _SIGN.search(text) is None:
        return AnswerText(text)
    if text.isascii() and not any(map(text.lower().__contains__, _TAG_WORDS)):
        return AnswerText(text)  # a bracket that opens no tag
    start = 0
    while opening := _OPENING.match(text, start):
        closing = _CLOSING.search(text, opening.end())
        if closing is None:
            return AnswerText("", ("thinking block without an end",))
        start = closing.end()
    if (
        not start
        and (closing := _CLOSING_AT_LINE_END.search(text))
        and not _ANY_OPENING.search(text, 0, closing.start())
    ):
        start = closing.end()
    rest = text[start:]
    problems = ("thinking block inside the answer",) if _ANY_AT_LINE_START.search("\n" + rest) else ()
    return AnswerText(rest, problems, ("thinking block",) if start else ())


def extract_answer(text: str) -> AnswerText:
    """Return the text of an answer without byte order mark, thinking blocks, and what is wrapped around all of it.

    What encloses everything is a wrapper; what comes before the answer and closes is a draft; if both are
    possible, there is a problem. If nothing is left, the text is empty and there is a problem.
    """
    text = text.removeprefix("\ufeff")
    cut = _without_draft_between_lines(text)
    if cut is not None:
        rest = extract_answer(cut)
        return AnswerText(rest.text, rest.problems, unique(("thinking block", *rest.notes)))
    if _SIGN.search(text) is None and "\\boxed" not in text:
        return AnswerText("", ("answer is empty",)) if is_empty(text) else AnswerText(text)
    notes: list[str] = []
    for _ in range(_MOST_LAYERS):
        answer = skip_thinking(text)
        if answer.problems:
            return AnswerText("" if is_empty(answer.text) else answer.text, answer.problems, (*notes, *answer.notes))
        notes += answer.notes
        inner, note = _without_layer(answer.text)
        text = inner
        if not note:
            break
        notes.append(note)
    problems = ("end of a block that has no beginning",) if _has_lone_closer(text) else ()
    if is_empty(text):
        return AnswerText("", problems or ("answer is empty",), unique(notes))
    return AnswerText(text, problems, unique(notes))


def _without_draft_between_lines(text: str) -> str | None:
    """Return what follows a draft between two lines of any form that belong together; None if it has none.

    They have the same words, the second with a slash or with "end" for "begin"; or the second repeats the dots of the
    first with its words (`Thinking...`, `...done thinking.`); or it is the signs of the first alone (`:::`, `*/`).
    """
    text = strip(text)
    if text[:1].isalnum() and not any(dots in text[:_MOST_LETTERS] for dots in _DOTS) and text[:1] not in "bBsS":
        return None
    opener, _, rest = text.partition("\n")
    opener = _without_emphasis(opener)
    words = tuple(_WORD.findall(opener.lower()))
    if opener[:1] in _BRACKETS and _BRACKETS[opener[0]] not in opener:
        return None  # a tag that goes on on the next line
    if not 0 < len(words) <= 4 or len(opener) > _MOST_LETTERS or opener[:1] in _FIRST_OF_BLOCKS or "/" in opener[2:]:
        return None
    ends, place, lines = [], 0, [_without_emphasis(line) for line in rest.split("\n")]
    for raw, line in zip(rest.split("\n"), lines, strict=True):
        place += len(raw) + 1
        if len(line) <= _MOST_LETTERS and _belong_together(opener, words, line):
            ends.append(place)
    return rest[ends[0] :] if len(ends) == 1 and opener not in lines and strip(rest[ends[0] :]) else None


def _without_emphasis(line: str) -> str:
    line = line.strip(" \t\r")
    bare = line.strip("*_")
    return bare if bare and line[:1] in "*_" and line[-1:] in "*_" else line


def _belong_together(opener: str, words: tuple[str, ...], closer: str) -> bool:
    """Return whether a line ends what the `opener` with these words begins."""
    found = tuple(_WORD.findall(closer.lower()))
    if not found:
        lead = opener[: len(opener) - len(opener.lstrip(":/*!%;$"))]
        return len(lead) > 1 and lead.strip("*") != "" and closer in (lead, lead[::-1])
    if found == words:
        return "/" in closer and not closer[0].isalnum()
    if found[0] in _CLOSES and found[1:] == words and not opener[0].isalnum():
        return opener[0] == closer[0]
    if len(found) == len(words) and words[0] in _OPENS and found[0] in _CLOSES:
        return found[1:] == words[1:] and bool(words[1:])
    return opener.endswith(_DOTS) and closer.startswith(_DOTS) and set(words) < set(found)


def _without_layer(text: str) -> tuple[str, str]:
    """Return the text without its outermost wrapper, or without the draft that it begins with, and a note of that."""
    core = strip(text)
    tokens = list(_TOKEN.finditer(core))
    if tokens and tokens[-1].end() == len(core):
        return core[: tokens[-1].start()], "wrapper around the answer"
    if tokens and tokens[0].start() == 0:  # what stands between tokens is a draft, or says what follows
        return core[tokens[-1].end() :], "wrapper around the answer" if len(tokens) == 1 else "thinking block"
    if boxed := _BOXED.match(core):
        inner = core[boxed.end() :].rstrip("$ \n").removesuffix("\\]").rstrip()
        inner = _TEXT_COMMAND.sub(r"\1", inner[:-1]) if inner.endswith("}") and _closes_at_end(inner) else ""
        if "\n" in inner or (any(map(str.isalpha, inner)) and not _FORMULA.search(inner)):  # a formula stays in its box
            return inner, "wrapper around the answer"
    if core.endswith(_END_OF_CDATA) and core.rfind(_CDATA) <= 0:
        return core.removeprefix(_CDATA).removesuffix(_END_OF_CDATA), "wrapper around the answer"
    opening = _BLOCK.match(core)
    if opening is None or _BRACKETS[opening["left"]] != opening["right"]:
        return _without_lone_end(core) or (text, "")
    return _without_block(core, opening) or (text, "")


def _without_block(core: str, opening: re.Match[str]) -> tuple[str, str] | None:
    """Return the text without the block that it begins with: its content if that is all, else what follows it."""
    closer = _closer(opening["left"], opening["name"], opening["right"])
    ends = list(closer.finditer(core, opening.end()))
    if not ends:
        return None
    again = re.compile(rf"{re.escape(opening['left'])}\s*+{re.escape(opening['name'])}\b").search(core, opening.end())
    inner, rest = core[opening.end() : ends[0].start()], core[ends[-1].end() :]
    if again is None and len(ends) == 1 and not rest:
        return inner, "wrapper around the answer"
    if again is None and len(ends) == 1 and "\n" in strip(inner) and rest[:1] in "\r\n":
        return rest, "thinking block"
    return None


def _without_lone_end(core: str) -> tuple[str, str] | None:
    """Return the text without the end of a wrapper that the prompt opened."""
    last = core.rfind("\n")
    end = _CLOSER_ALONE.fullmatch(core, last + 1) if last >= 0 else None
    if end is None or re.search(rf"[{_LEFT}][ \t]*{re.escape(end['name'])}\b", core[:last]):
        return None
    return core[:last], "wrapper around the answer"


def _has_lone_closer(text: str) -> bool:
    """Return whether a line only closes a block that nothing opened, as at the end of a draft."""
    if "/" not in text or "```" in text:
        return False
    return any(
        not re.search(rf"[{_LEFT}][ \t]*{re.escape(end['name'])}\b", text[: end.start()], re.IGNORECASE)
        for end in _CLOSER_ALONE.finditer(text)
    )


def _closer(left: str, name: str, right: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(left)}\s*+/\s*+{re.escape(name)}\s*+{re.escape(right)}", re.IGNORECASE)


def _closes_at_end(inner: str) -> bool:
    """Return whether the last brace of a text closes one that was opened before the text."""
    depth = 1
    for position, sign in enumerate(inner):
        depth += (sign == "{") - (sign == "}")
        if not depth:
            return position == len(inner) - 1
    return False


def unique(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the texts without duplicates, in order."""
    return tuple(dict.fromkeys(texts))


def character_problems(texts: Iterable[str]) -> list[str]:
    """Return the problems of characters that no dataset may contain: control characters and lone surrogates.

    Tabs and line ends are allowed.
    """
    try:
        encoded = "".join(texts).encode()
    except UnicodeEncodeError:
        return ["half of a surrogate pair"]
    return ["control character"] if len(encoded.translate(None, _CONTROLS)) != len(encoded) else []


def holds_only(text: str, pairs: Sequence[Pair]) -> bool:
    """Return whether a text is JSON, or these pairs with at most a word before each part, and nothing else.

    A model that thinks drafts pairs among its thoughts, which come before them, or in further lines of an answer.
    """
    bare = text.strip()
    if bare[:1] in ("{", "["):
        return bare[-1:] in ("}", "]")
    parts = [part for pair in pairs for part in (pair.instruction, pair.answer)]
    labels = len(_WORD.findall(text)) - sum(len(_WORD.findall(part)) for part in parts)
    return labels <= len(parts) and not any("\n" in part for part in parts)
