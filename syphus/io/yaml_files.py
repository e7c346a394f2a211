"""Reads YAML as people mean it: plain data, safely and strictly.

Scalars follow YAML 1.2. Everything is text except `true` and `false`; `null`, `~` and nothing; whole numbers without
leading zeros; and decimal numbers. So `NO`, `12:30:00`, `2024-02-01`, `007`, `1_000` and `.inf` stay text. `3.10` is
the number 3.1; put a version in quotes.

Refused, because no settings file needs it: anchors and aliases (a few lines can expand to gigabytes), tags such as
`!!python/...`, duplicate keys, keys that are not text, several documents, more than a megabyte.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from syphus.errors import ConfigError, InputError, UsageError
from syphus.io.text_files import read_text

MAX_BYTES = 1 << 20

KeyPath = tuple[str | int, ...]  #: keys and numbers of items, from the top of a document to a value

_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_READ_OTHERWISE = re.compile("[\t\ufeff]")  # libyaml allows them at more places than Python's reader
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def read_yaml(
    path: str | Path, error: type[UsageError] = ConfigError, lines: dict[KeyPath, int] | None = None
) -> object:
    """Return the one document of a YAML file in UTF-8 (or UTF-16 with a byte order mark); None for an empty file.

    Its values are dict, list, str, int, float, bool and None. `lines` gets the line of each key and each item of a
    list, counted from 1. Raises `error`: one line, `file:line:column: problem`.
    """
    try:
        text = read_text(path, MAX_BYTES)
        return _read(text, {} if lines is None else lines)
    except InputError as problem:
        raise error(str(problem)) from problem
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        location = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        message = str(problem.problem or problem.context)
        hint = _yaml_hint(problem, text)
        raise error(f"{path}{location}: {message}{hint}") from problem
    except yaml.reader.ReaderError as problem:
        raise error(f"{path}: the control character U+{problem.character:04X} is not allowed") from problem
    except RecursionError as problem:
        raise error(f"{path}: nested too deeply") from problem


def _yaml_hint(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return what to do about an error of the YAML reader, or ""."""
    mark = error.problem_mark
    lines = text.splitlines()
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    at = line[mark.column : mark.column + 1] if mark is not None else ""
    if at == "\t" or "\t" in line[: len(line) - len(line.lstrip())]:
        return "; indent with spaces, not with tabs"
    if isinstance(error, yaml.scanner.ScannerError) and ": " in line:
        return '; put text that holds ": " in quotes, or indent the line like those beside it'
    return "; is the line indented like those beside it?" if isinstance(error, yaml.parser.ParserError) else ""


def _read(text: str, lines: dict[KeyPath, int]) -> object:
    """Read with libyaml where it is there, in a seventh of the time. What it refuses, Python's reader decides."""
    if yaml.__with_libyaml__ and not _READ_OTHERWISE.search(text):
        try:
            return _document(yaml.parse(text, yaml.CSafeLoader), lines)
        except yaml.YAMLError as problem:
            if "maximum nesting depth" in str(problem):  # Python's reader takes minutes to find that out
                raise RecursionError from problem
    return _document(yaml.parse(text, yaml.SafeLoader), lines)


def _document(events: Iterator[yaml.Event], lines: dict[KeyPath, int]) -> object:
    value, documents = None, 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _refusal(event, "only one document is allowed")
            value = _value(next(events), events, lines, ())
    return value


def _value(event: yaml.Event, events: Iterator[yaml.Event], lines: dict[KeyPath, int], path: KeyPath) -> object:
    """Return the value at `path` that starts with `event`; takes the rest of its events from `events`."""
    if isinstance(event, yaml.AliasEvent) or (isinstance(event, yaml.NodeEvent) and event.anchor):
        raise _refusal(event, "anchors (&) and aliases (*) are not allowed; quote the text if it begins with one")
    if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
        raise _refusal(event, "tags (!) are not allowed; quote the text if it begins with one")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[object] = []
        for inner in _until(yaml.SequenceEndEvent, events):
            lines[*path, len(items)] = _line(inner)
            items.append(_value(inner, events, lines, (*path, len(items))))
        return items
    mapping: dict[str, object] = {}
    for inner in _until(yaml.MappingEndEvent, events):
        key = _value(inner, events, lines, (*path, ""))
        if not isinstance(key, str):
            raise _refusal(inner, "a key must be text; put it in quotes")
        if key in mapping:
            raise _refusal(inner, f'duplicate key "{key}"')
        lines[*path, key] = _line(inner)
        mapping[key] = _value(next(events), events, lines, (*path, key))
    return mapping


def _line(event: yaml.Event) -> int:
    return int(event.start_mark.line) + 1 if event.start_mark is not None else 0


def _until(end: type[yaml.Event], events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
    for event in events:
        if isinstance(event, end):
            return
        yield event


def _scalar(event: yaml.ScalarEvent) -> object:
    text: str = event.value
    if not event.implicit[0]:  # in quotes, or a block
        return text
    if text in _WORDS:
        return _WORDS[text]
    try:
        if _INT.fullmatch(text):
            return int(text)
        if not _FLOAT.fullmatch(text):
            return text
        if math.isinf(number := float(text)):
            raise _refusal(event, "the number is too large; put it in quotes if it is text")
        return number
    except ValueError as error:
        raise _refusal(event, "a number with thousands of digits; put it in quotes if it is text") from error


def _refusal(event: yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    mark = event.start_mark
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark if isinstance(mark, yaml.Mark) else None)
