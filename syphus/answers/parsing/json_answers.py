"""Reads JSON in model answers strictly, and finds code fences.

Only deviations that leave every string unchanged are accepted: prose and a code fence around the JSON, line breaks in a
string, a comma before a closing bracket. Everything else is a problem and is never repaired, because a repair makes a
truncated answer look complete. The standard library parses the JSON: orjson neither reports duplicate keys nor says
where a document ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from syphus.answers.parsing.answer_text import character_problems, extract_answer, strip

# At the start of a line, a bracket begins JSON if a quote, another bracket or the end of the line follows. After prose
# on the same line, it does so only if a first key follows: `[Note]` and `{x}` are prose.
_START = re.compile(
    r"\n(?:[ \t>]*+([\[{])(?=\s*+(?:[\"'\[\]{}]|\Z)|[ \t]*+\r?\n)"
    r"|[^\n\[{]*+((?:\[\s*+)?\{)(?=\s*+\"[^\"\n]{0,40}+\"\s*+:))"
)
_NEXT = re.compile(r"\s*+,?\s*+(?=\{)")
_STRING_OR_TRAILING_COMMA = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|,(?=\s*+[\]}])', re.DOTALL)
_FENCE = re.compile(r"`{3,}[ \t]*+\w*+")
# `\frac` decodes to a form feed, which is found as a control character. These commands decode to tabs and line ends.
_LATEX = re.compile(
    r"\t(?:imes|heta|ext(?:bf|it|rm|tt)?|anh?|au|op?|ilde|riangle)(?![a-z])"
    r"|\n(?:abla|eq|eg|ot(?:in)?|mid|leq|geq|onumber|ewline|earrow|warrow|parallel|subseteq)(?![a-z])"
    r"|\r(?:ho|m|ight(?:arrow)?|angle|ceil|floor)(?![a-z])"
)


class Documents(NamedTuple):
    """Consecutive JSON documents in a text, and the position where the last one ends."""

    values: list[object]
    end: int
    problems: list[str]


class _DuplicateKeyError(ValueError):
    """An object has the same key twice."""


def _object(members: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object from its members. Raises `_DuplicateKeyError` if a key is there twice."""
    value = dict(members)
    if len(value) != len(members):
        raise _DuplicateKeyError
    return value


def _refuse(constant: str) -> object:
    """Reject NaN and Infinity, which are not JSON."""
    raise ValueError(constant)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse, strict=False)


def find_json(text: str, start: int, end: int) -> int:
    """Return where the first JSON array or object between `start` and `end` begins, or -1.

    `text` must begin with a line break.
    """
    found = _START.search(text, start, end)
    return found.start(found.lastindex or 0) if found else -1


def read_documents(text: str, start: int) -> Documents:
    """Read the JSON document at `start`, and the objects that directly follow if it is an object (JSON Lines)."""
    values: list[object] = []
    is_repaired = False
    while True:
        try:
            value, start = _DECODER.raw_decode(text, start)
        except _DuplicateKeyError:
            return Documents(values, len(text), ["duplicate key in the JSON"])
        except (ValueError, RecursionError):
            if is_repaired:
                return Documents(values, len(text), ["not valid JSON"])
            text = text[:start] + _STRING_OR_TRAILING_COMMA.sub(_blank_comma, text[start:])
            is_repaired = True
            continue
        values.append(value)
        following = _NEXT.match(text, start) if isinstance(value, dict) else None
        if following is None:
            return Documents(values, start, [])
        start = following.end()


def _blank_comma(found: re.Match[str]) -> str:
    """Keep a string, and replace a comma by a space, so that all positions stay the same."""
    return " " if found[0] == "," else found[0]


def is_fence_or_nothing(text: str) -> bool:
    """Return whether the text before or after the JSON is empty or only a code fence, possibly with a language."""
    return not text.strip("` \t\r\n>") or bool(_FENCE.fullmatch(text.strip("> \t\r\n")))


def read_only_document(body: str, start: int, notes: tuple[str, str]) -> tuple[object, list[str], list[str]]:
    """Return the only JSON document of an answer, from `start` on; None if there is none. With problems and notes.

    `notes` are the wordings for text before and after the document.
    """
    read = read_documents(body, start)
    document = read.values[0] if len(read.values) == 1 else None
    problems = list(read.problems)
    problems += ["two JSON documents"] * (len(read.values) > 1 or find_json(body, read.end, len(body)) >= 0)
    around = (not is_fence_or_nothing(body[:start]), not is_fence_or_nothing(body[read.end :]))
    return document, problems, [note for note, is_there in zip(notes, around, strict=True) if is_there]


def numbered_members(document: object, name: str) -> list[object]:
    """Return the members `name_1`, `name_2`, ... of an object in order, or else the list under the plural of `name`."""
    if not isinstance(document, dict):
        return []
    listed = document.get(f"{name}s")
    if isinstance(listed, list):
        return listed
    return [document[key] for number in range(1, len(document) + 1) if (key := f"{name}_{number}") in document]


def text_members(item: object, *names: str) -> list[str]:
    """Return the decoded texts of an object under `names`, "" for what is missing or no text."""
    values = [item.get(name) if isinstance(item, dict) else None for name in names]
    return [value if isinstance(value, str) else "" for value in values]


def decoding_problems(texts: Sequence[str]) -> list[str]:
    r"""Return the problems of backslashes that were not meant as escapes (`\frac`, `\theta`, `\nabla`, `\ud800`).

    `texts` are the decoded texts before stripping: a `\theta` at the start is lost when white space is stripped.
    """
    return character_problems(texts) + ["LaTeX command decoded as an escape"] * any(map(_LATEX.search, texts))


# For prompts that ask a model to judge something: the data is delimited, and the answer is one JSON object.


def delimit_data(data: object) -> tuple[str, str]:
    """Return a mark, and the data as JSON text between two lines with this mark.

    The mark is a digest of the data, so that the data cannot contain it.
    """
    text = json.dumps(data, ensure_ascii=False, indent=1)
    mark = f"=== {blake2b(text.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"
    return mark, f"{mark}\n{text}\n{mark}"


def read_single_object(text: str) -> Mapping[str, object] | None:
    """Return the only JSON object of an answer, alone or in a code fence; None for anything else. Raises nothing.

    Drafts before it and wrappers around it are no part of it.
    """
    answer = extract_answer(text)
    if answer.problems:
        return None
    bare = answer.text.strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare[3:-3].removeprefix("json").strip()
    try:
        value = json.loads(bare)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


_TICKS = re.compile(r"`{3,}")


class Fence(NamedTuple):
    """A code fence in a text, from `start` (its backticks) to `end` (the end of its line)."""

    start: int
    end: int
    opens: bool


def find_fences(text: str) -> Iterator[Fence]:
    """Yield the fences of a text: lines with an odd number of runs of three or more backticks.

    The last run of the line opens or closes the fence. A run followed by text (```` ```python ````) opens one, and so
    does a run that is shorter than the one that opened the innermost fence, since fences can be nested.
    """
    open_runs: list[int] = []
    line_end = 0
    while found := _TICKS.search(text, line_end):
        start, end = found.span()
        line_end = text.find("\n", end)
        line_end = len(text) if line_end < 0 else line_end
        runs = 1
        while found := _TICKS.search(text, end, line_end):
            start, end = found.span()
            runs += 1
        if runs % 2 == 0:
            continue
        opens = not open_runs or end - start < open_runs[-1] or bool(strip(text[end:line_end]))
        if opens:
            open_runs.append(end - start)
        else:
            open_runs.pop()
        yield Fence(start, line_end, opens)
