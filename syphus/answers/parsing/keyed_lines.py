r"""Parses texts under given keys, as lines or as a JSON object.

    CH2Eng Translation: He falls.           **CH2Eng Translation:** He falls.      {"CH2Eng Translation": "He falls.",
    Expansion_with_Eng_1: A man falls.      **Expansion with Eng 1:** A man ...     "Expansion_with_Eng_1": "A man ..."}

Keys may come in any order and any case, with a space or nothing for `_`. A numbered key that was not asked for
(`Expansion_with_Eng_6`) is a problem. Texts are kept byte for byte, without surrounding white space.

Problems, besides those of JSON, code fences, thinking blocks and characters (see `pairs.py`): "answer is empty", "no
key", "missing: KEY", "empty: KEY", "twice: KEY", "unknown key", "value is not text", "line that may be a header".

Notes: "thinking block", "text before the first key", "text after the last fence", "text after the JSON".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from syphus.answers.parsing.answer_text import AnswerText, character_problems, extract_answer, is_empty, strip, unique
from syphus.answers.parsing.json_answers import decoding_problems, find_json, is_fence_or_nothing, read_documents
from syphus.answers.parsing.sections import Header, find_headers, header_pattern, split_sections

_NUMBER_AT_END = re.compile(r"(?<!\d)\d++\Z")


class KeyedLines(NamedTuple):
    """The texts of one answer by their keys; `problems` and `notes` as in `Parsed`."""

    texts: dict[str, str]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Read(NamedTuple):
    items: list[tuple[str, str]]  # keys as written, and texts
    problems: list[str]
    notes: list[str]


def parse_keyed_lines(text: str, keys: Sequence[str]) -> KeyedLines:
    """Parse the texts under `keys` in an unchanged model answer; the module docstring has the form and rules.

    Returns the texts that could be read in the order of `keys`, the problems (any problem makes the whole answer
    invalid) and harmless notes. Raises nothing.
    """
    answer = extract_answer(text)
    if not answer.text:
        return KeyedLines({}, answer.problems, answer.notes)
    body = "\n" + answer.text
    headers = find_headers(body, header_pattern("|".join(_key_patterns(keys))))
    start = find_json(body, 0, headers[0].start if headers else len(body))
    read = _from_lines(body, headers) if start < 0 else _from_json(body, start)
    return _assign_keys(read, keys, answer)


def _key_patterns(keys: Iterable[str]) -> list[str]:
    """Return the patterns of the keys, longest first. A final number matches any, so that extra keys are found."""
    patterns = {
        re.sub(r"(?:\\[ _-]|_)+", r"[ \\t_]?", re.escape(_NUMBER_AT_END.sub("", key)))
        + (r"\d{1,4}" if _NUMBER_AT_END.search(key) else "")
        for key in keys
    }
    return sorted(patterns, key=len, reverse=True)


def _from_lines(body: str, headers: Sequence[Header]) -> _Read:
    split = split_sections(body, headers)
    items = [(section.kind, section.text) for section in split.sections]
    problems = ["no key"] * (not items) + split.problems
    problems += ["line that may be a header"] * any(header.kind.endswith("?") for header in headers)
    problems += character_problems([text for _, text in items])
    notes = ["text before the first key"] * split.before + ["text after the last fence"] * split.after
    return _Read(items, problems, notes if items else [])


def _from_json(body: str, start: int) -> _Read:
    read = read_documents(body, start)
    document = read.values[0] if len(read.values) == 1 else None
    problems = list(read.problems)
    if not isinstance(document, dict):
        return _Read([], problems or ["no key"], [])
    items = [(key, text) for key, text in document.items() if isinstance(text, str)]
    problems += ["value is not text"] * (len(items) < len(document))
    problems += decoding_problems([text for _, text in items])
    rest = body[read.end :]
    problems += ["two JSON documents"] * (find_json(body, read.end, len(body)) >= 0)
    notes = [] if is_fence_or_nothing(body[:start]) else ["text before the first key"]
    notes += ["text after the JSON"] * (not is_fence_or_nothing(rest))
    return _Read([(key, strip(text)) for key, text in items], problems, notes)


def _assign_keys(read: _Read, keys: Sequence[str], answer: AnswerText) -> KeyedLines:
    """Assign the texts to the requested keys."""
    names = {_normalize_key(key): key for key in keys}
    found: dict[str, str] = {}
    problems = [*answer.problems, *read.problems]
    for written, text in read.items:
        key = names.get(_normalize_key(written))
        if key is None:
            problems.append("unknown key")
        elif key in found:
            problems.append(f"twice: {key}")
        elif is_empty(text):
            problems.append(f"empty: {key}")
            found[key] = ""
        else:
            found[key] = text
    if read.items:
        problems += [f"missing: {key}" for key in keys if key not in found]
    texts = {key: found[key] for key in keys if found.get(key)}
    return KeyedLines(texts, unique(problems), unique((*answer.notes, *read.notes)))


def _normalize_key(key: str) -> str:
    return re.sub(r"[\s_-]+", "", key).casefold()
