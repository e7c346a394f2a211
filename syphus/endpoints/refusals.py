"""Reads from an error which fields of the request a server does not accept, and what to send instead.

Servers word this in a hundred ways, so nothing here knows their sentences or a list of parameters. What counts is what
was sent: an error is about a field if its `param` says so, if a list of validation errors locates it (FastAPI,
pydantic, also as text), or if its message names a key of the body as a name and not as a word: in quotes, backticks or
brackets, at the head of a line, or with an underscore. Words of the prompt that an error repeats do not count.

What is sent instead follows from the message, too: a stated limit, the nearest of the listed efforts, the name behind
"use ... instead", or else nothing. Sources: see `syphus.simulator.profiles`; Groq, DeepSeek, Doubao, TGI and litellm as
in the tests.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, cast

import orjson

from syphus.config.sampling import REASONING_ROOM, nearest_listed_effort
from syphus.endpoints.prompt_cache import CACHE_OPTIONS, are_marks_refused
from syphus.endpoints.token_limits import (
    LIMIT_SUFFIX,
    PROMPT_FIELDS,
    Fields,
    prompt_text,
    prompt_tokens,
    read_numbers,
    read_token_limit,
)

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")  #: of reasoning, in order

_SAMPLERS = ("temperature", "top_p", "frequency_penalty", "presence_penalty")  # reasoning models fix them all
_EFFORT = "reasoning_effort"
_TOKEN_NAMES = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_ECHO = 8  # characters on either side of a name that the prompt must hold as well for it to be an echo
_NEAR = 8  # characters that must be the same beside the names that an error lists in one way
_INSTEAD = re.compile(r"\buse\s+['\"`](\w+)['\"`]\s+instead", re.IGNORECASE)
_ONE_OF = re.compile(r"\b(both|only one|either|together|same time|simultaneous\w*|mutually|combin\w+)\b", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s,;&'\"`\[\](){}]*(?:(?:and|or)[\s'\"`]*)?")
_QUOTED = re.compile(r"['\"`](\w+)['\"`]")


class ChangeKind(StrEnum):
    """What is done with a field that a server does not accept."""

    OMIT = "omit"  #: it is left out
    RENAME = "rename"  #: its value is sent under another name
    REPLACE = "replace"  #: another value is sent
    AT_MOST = "at most"  #: the number is lowered to a limit
    MORE = "more"  #: the number is raised by so much: room for the reasoning of another effort


class Change(NamedTuple):
    """What is done with one field of a request."""

    name: str
    kind: ChangeKind
    value: str | float | None = None  #: the new name, the new value, or the limit

    def describe(self, sent: object) -> str:
        """Return the field with its value, and what is done: "temperature 0.7: it is left out, ..."."""
        shown = f"{self.name} {sent}" if isinstance(sent, str | int | float) else self.name
        if self.kind is ChangeKind.RENAME:
            return f"{shown}: it is sent as {self.value}"
        if self.kind is ChangeKind.OMIT:
            return f"{shown}: it is left out, and the model's own default holds"
        return f"{shown}: {self.value} is sent instead"


class Refusal(NamedTuple):
    """The fields that an error is about, and what to change."""

    names: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    of_this_prompt: bool = False  #: another prompt would probably not be refused


class _Finding(NamedTuple):
    name: str
    text: str  #: the part of the message that is about the field


def apply_changes(fields: Fields, changes: Mapping[str, Change]) -> dict[str, object]:
    """Return the fields with the changes made: first those of names, so that a limit holds under the new name."""
    changed = dict(fields)
    for name, change in changes.items():
        if change.kind is ChangeKind.RENAME and name in changed:
            changed.setdefault(str(change.value), changed.pop(name))
    for name, change in changes.items():
        value = changed.get(name)
        if value is None or change.kind is ChangeKind.RENAME:
            continue
        if change.kind is ChangeKind.OMIT:
            del changed[name]
        elif change.kind is ChangeKind.REPLACE:
            changed[name] = change.value
        elif isinstance(value, int | float) and isinstance(change.value, int | float):
            changed[name] = min(value, change.value) if change.kind is ChangeKind.AT_MOST else value + change.value
    return changed


def read_refusal(data: object, message: str, param: str, code: str, sent: Fields) -> Refusal:
    """Return what an error says about the fields that were sent. It is empty if the error is not about one of them.

    `data` is the decoded body of the reply; message, param and code are those of its error.
    """
    if are_marks_refused(f"{message} {param} {data}", sent):
        return Refusal((CACHE_OPTIONS,), (Change(CACHE_OPTIONS, ChangeKind.OMIT),))
    optional = {name: value for name, value in sent.items() if name not in PROMPT_FIELDS and value is not None}
    if not optional:
        return Refusal()
    if " " in param:  # gateways put the upstream's message there
        message, param = f"{message}\n{param}", ""
    limit = read_token_limit(message, param, code, optional, prompt_tokens(sent))
    if limit is not None:
        change = Change(limit.name, ChangeKind.AT_MOST, limit.tokens)
        return Refusal((limit.name,), (change,), of_this_prompt=limit.of_this_prompt)
    findings = _findings(data, message, param, optional, sent)
    if len(findings) > 1 and _ONE_OF.search(message):
        findings = findings[1:]  # the first may stay
    names = tuple(dict.fromkeys(finding.name for finding in findings))
    changes = [_change(finding, code, sent) for finding in findings]
    known = [change for change in changes if change is not None]
    return Refusal(names, (*_with_samplers(known, optional), *_with_room(known, optional)))


# Which fields an error is about


def _findings(data: object, message: str, param: str, optional: Fields, sent: Fields) -> list[_Finding]:
    located = list(_located(data)) or list(_located(_as_python(message)))
    if located:
        return [finding for finding in located if finding.name in optional]
    root = next((part for part in re.split(r"[.\[\]/]+", param) if part in optional), "")
    if param and not root and param.split(".")[0].rstrip("]").split("[")[0] in PROMPT_FIELDS:
        return []  # about the prompt
    names = _named(message, optional, sent, root)
    if root and root not in names:
        names = [root, *names]
    found = names or _valued(message, optional, sent)
    return [_Finding(name, _part_about(name, message)) for name in found]


def _located(data: object, depth: int = 0) -> Iterator[_Finding]:
    """Yield the fields that validation errors locate: {"loc": ["body", NAME], "msg": ...}, however deep they are."""
    if depth > 4:
        return
    if isinstance(data, list | tuple):
        for each in data[:100]:
            yield from _located(each, depth + 1)
    elif isinstance(data, dict):
        loc = data.get("loc")
        if isinstance(loc, list | tuple):
            name = next((part for part in loc if isinstance(part, str) and part != "body"), "")
            yield _Finding(name, f"{data.get('msg', '')} {data.get('ctx', '')}")
            return
        for each in data.values():
            if isinstance(each, list | dict):
                yield from _located(each, depth + 1)


def _as_python(message: str) -> object:
    """Return the list of errors that a message is the text of, as vLLM writes it, or None."""
    start, end = message.find("["), message.rfind("]")
    if start < 0 or "'loc'" not in message:
        return None
    try:
        return ast.literal_eval(message[start : end + 1])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _named(message: str, optional: Fields, sent: Fields, root: str) -> list[str]:
    """Return the fields that a message names in one way: side by side, or each between the same words."""
    prompt = prompt_text(sent)
    found: list[re.Match[str]] = []
    pattern = "|".join(sorted(map(re.escape, optional), key=len, reverse=True))
    for match in re.finditer(rf"(?<![\w-])(?:{pattern})(?![\w-])", message, re.ASCII):
        if _is_a_name(match, message) and not _is_echo(match, message, prompt):
            found.append(match)
    if not found:
        return []
    first = next((match for match in found if match.group() == root), found[0])
    group, last = [first], first
    for match in found:
        if match.start() <= last.start():
            continue
        if _BETWEEN.fullmatch(message[last.end() : match.start()]) or _in_one_way(first, match, message):
            group.append(match)
            last = match
        elif _ONE_OF.search(message) and not group[1:]:  # "temperature can't be used together with top_p"
            group.append(match)
    return list(dict.fromkeys(match.group() for match in group))


def _is_a_name(match: re.Match[str], message: str) -> bool:
    before, after = message[: match.start()][-1:], message[match.end() :][:1]
    if "_" in match.group() or (before and before in "'\"`[{.") or (after and after in "'\"`:="):
        return True
    if not (before + after).isascii():  # in a text of another script
        return True
    lead = message[: match.start()].rstrip(" ")
    heads_a_line = not lead or lead.endswith("\n")
    listed = lead.endswith((":", ",")) and (not after or after in ",.:\n]")
    return listed or (heads_a_line and bool(after) and after in ":\n")


def _is_echo(match: re.Match[str], message: str, prompt: str) -> bool:
    before, after = message[max(0, match.start() - _ECHO) : match.start()], message[match.end() :][:_ECHO]
    sides = [before + match.group()] * (len(before) == _ECHO) + [match.group() + after] * (len(after) == _ECHO)
    return any(side in prompt for side in sides)


def _in_one_way(first: re.Match[str], other: re.Match[str], message: str) -> bool:
    before = [message[max(0, each.start() - _NEAR) : each.start()] for each in (first, other)]
    after = [message[each.end() : each.end() + _NEAR] for each in (first, other)]
    return (len(before[0]) == _NEAR and before[0] == before[1]) or (len(after[0]) == _NEAR and after[0] == after[1])


def _valued(message: str, optional: Fields, sent: Fields) -> list[str]:
    """Return the field whose value an error quotes beside others that would do, without naming the field."""
    quoted = _QUOTED.findall(message)
    if not quoted or len(quoted) < 2 or f"'{quoted[0]}'" in prompt_text(sent):
        return []
    fields = [name for name, value in optional.items() if value == quoted[0]]
    return fields if len(fields) == 1 and any(each in EFFORTS for each in quoted[1:]) else []


def _part_about(name: str, message: str) -> str:
    """Return the lines of a message that name a field, or the whole message."""
    return "\n".join(line for line in message.split("\n") if name in line) or message


# What to send instead


def _change(finding: _Finding, code: str, sent: Fields) -> Change | None:
    """Return what to do with a field, or None if its value is wrong and the error doesn't say what would be right."""
    name, text = finding
    value = sent[name]
    instead = _INSTEAD.search(text)
    if instead and instead.group(1) not in sent:
        return Change(name, ChangeKind.RENAME, instead.group(1))
    if isinstance(value, str):
        nearest = nearest_listed_effort(value, _QUOTED.findall(text))
        if nearest:
            return Change(name, ChangeKind.REPLACE, nearest)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and not name.endswith(LIMIT_SUFFIX)
    if is_number and not code.startswith("unsupported"):
        limit = _nearest_number(cast(float, value), text)
        if limit is not None:
            return Change(name, ChangeKind.REPLACE, limit)
    if code.startswith("invalid_") and not code.startswith(("invalid_request", "invalid_param")):
        return None
    other = _TOKEN_NAMES.get(name)
    if other and sent.get(other) is None:
        return Change(name, ChangeKind.RENAME, other)
    return Change(name, ChangeKind.OMIT)


def _nearest_number(value: float, text: str) -> float | None:
    """Return the bound of a range that a text states, if the value lies outside of it."""
    bounds = [each for each in read_numbers(text) if each != value]
    if not bounds or len(bounds) > 3 or min(bounds) < value < max(bounds):
        return None
    bound = max(bounds) if value > max(bounds) else min(bounds)
    return int(bound) if isinstance(value, int) and bound == int(bound) else bound


def _with_samplers(changes: Sequence[Change], optional: Fields) -> Iterable[Change]:
    """Yield the changes; if a sampler is not taken at all, then also those of the other samplers that were sent."""
    yield from changes
    changed = {change.name for change in changes}
    if len(changes) == 1 and changes[0].kind is ChangeKind.OMIT and changes[0].name == _SAMPLERS[0]:
        yield from (Change(name, ChangeKind.OMIT) for name in _SAMPLERS if name in optional and name not in changed)


def _with_room(changes: Sequence[Change], optional: Fields) -> Iterator[Change]:
    """Yield the tokens that an answer needs in addition if the model has to reason more than it was asked to."""
    for change in changes:
        before, now = (REASONING_ROOM.get(str(effort)) for effort in (optional.get(change.name), change.value))
        if change.name != _EFFORT or before is None or now is None or now <= before:
            continue
        yield from (
            Change(name, ChangeKind.MORE, now - before)
            for name, value in optional.items()
            if name in _TOKEN_NAMES and isinstance(value, int)
        )


def loads_fields(body: bytes) -> Fields:
    """Return the fields of a request's body; none if it is not a JSON object."""
    try:
        data: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return data if isinstance(data, dict) else {}
