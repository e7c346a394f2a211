"""JSON in a model's answer, read so strictly that it can't be read wrongly.

Tolerated is what leaves every string as it was written: prose and a code fence around the JSON, line breaks inside a
string, a comma before a closing bracket. Everything else that is not JSON is a problem and is never repaired, because a
repair makes an answer that was cut off look complete. The standard library reads it: orjson neither names duplicate
keys nor says where a document ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from syphus.answers.parsing.answer_text import character_problems, strip

# At the start of a line a bracket begins JSON where a quote or another bracket follows, or nothing on its line; behind
# prose on the same line only where a first key follows: `[Note]` and `{x}` are prose.
_START = re.compile(
    r"\n(?:[ \t>]*+([\[{])(?=\s*+(?:[\"'\[\]{}]|\Z)|[ \t]*+\r?\n)"
    r"|[^\n\[{]*+((?:\[\s*+)?\{)(?=\s*+\"[^\"\n]{0,40}+\"\s*+:))"
)
_NEXT = re.compile(r"\s*+,?\s*+(?=\{)")
_STRING_OR_TRAILING_COMMA = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|,(?=\s*+[\]}])', re.DOTALL)
_FENCE = re.compile(r"`{3,}[ \t]*+\w*+")
# \frac decodes to a form feed, which is a control character. These commands hide behind tabs and line ends.
_LATEX = re.compile(
    r"\t(?:imes|heta|ext(?:bf|it|rm|tt)?|anh?|au|op?|ilde|riangle)(?![a-z])"
    r"|\n(?:abla|eq|eg|ot(?:in)?|mid|leq|geq|onumber|ewline|earrow|warrow|parallel|subseteq)(?![a-z])"
    r"|\r(?:ho|m|ight(?:arrow)?|angle|ceil|floor)(?![a-z])"
)


class Documents(NamedTuple):
    """The JSON documents that follow each other in a text, and where the last one ends."""

    values: list[object]
    end: int
    problems: list[str]


class _DuplicateKeyError(ValueError):
    """An object has the same key twice."""


def _object(members: list[tuple[str, object]]) -> dict[str, object]:
    """Makes an object of its members, and refuses to choose between two of the same name."""
    made = dict(members)
    if len(made) != len(members):
        raise _DuplicateKeyError
    return made


def _refuse(constant: str) -> object:
    """Refuses NaN and Infinity, which JSON does not have."""
    raise ValueError(constant)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse, strict=False)


def find_json(text: str, start: int, end: int) -> int:
    """Gives where the first JSON array or object between `start` and `end` begins, or -1.

    `text` has to begin with a line break.
    """
    found = _START.search(text, start, end)
    return found.start(found.lastindex or 0) if found else -1


def read_documents(text: str, start: int) -> Documents:
    """Reads the JSON document at `start`; where it is an object, also the objects that follow it at once (JSON
    Lines).
    """
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
    """Keeps a string as it is, and puts a blank for a comma, so that every position stays."""
    return " " if found[0] == "," else found[0]


def is_fence_or_nothing(text: str) -> bool:
    """Says whether nothing but backticks, perhaps with a language, stands before the JSON or behind it."""
    return not text.strip("` \t\r\n>") or bool(_FENCE.fullmatch(text.strip("> \t\r\n")))


def decoding_problems(texts: Sequence[str]) -> list[str]:
    r"""Names what decoding made of a backslash that was not meant as an escape (`\frac`, `\theta`, `\nabla`, `\ud800`).

    Wants the texts as they were decoded: a `\theta` at the start of one is lost when its white space is stripped.
    """
    return character_problems(texts) + ["LaTeX command decoded as an escape"] * any(map(_LATEX.search, texts))


# FOLDED from judging.py:
# What judges share: what is judged is set apart as data, and their answer is one JSON object, read strictly.


def delimit_data(data: object) -> tuple[str, str]:
    """JSON values as the text of a message, between two lines with a mark; the mark, then the text.

    The mark follows from the data, so that nothing in the data can hold it.
    """
    text = json.dumps(data, ensure_ascii=False, indent=1)
    mark = f"=== {blake2b(text.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"
    return mark, f"{mark}\n{text}\n{mark}"


def read_single_object(text: str) -> Mapping[str, object] | None:
    """The JSON object that an answer is, alone or in a code fence; None for anything else. Raises nothing."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare[3:-3].removeprefix("json").strip()
    try:
        value = json.loads(bare)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


# FOLDED from fences.py:
# The code fences of a text.

_TICKS = re.compile(r"`{3,}")


class Fence(NamedTuple):
    """A fence in a text: from `start` (its backticks) to `end` (the end of its line)."""

    start: int
    end: int
    opens: bool


def find_fences(text: str) -> Iterator[Fence]:
    """Finds the lines with an odd number of runs of three backticks or more; the last run opens or closes a fence.

    A run with something behind it (```` ```python ````) opens one, and so does a run that is shorter than the one that
    opened the innermost fence: fences stand inside of each other.
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
