"""How strictly answers are asked for: by a JSON schema, in JSON mode, or without either.

Servers differ: some enforce a schema, some refuse it, some ignore it, and some break on it (JSON that is cut, endless
white space, other keys). Which one it is shows in the first answers, and is learnt once for each endpoint and model:
`AnswerFormats` begins with the strictest format and steps down when a server refuses it, or does not keep to it. Every
stage that asks for JSON shares this, and nobody trusts a server: each answer is read as strictly as if it was text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import orjson

from syphus.endpoints.classify import ReplyVerdict
from syphus.exchange import Completion, Request
from syphus.ledger.records import StoredAnswer
from syphus.types import ReasonKind

RESPONSE_FORMAT = "response_format"  #: the field of a request
WINDOW = 20  #: answers after which a server is taken to keep to a format; later ones are watched in the same way
TOLERATED = 2  #: answers of a window that may be no JSON by the schema
EARLY = 3  #: answers that show it at once, if they are most of those so far
STEPS = 4  #: requests that may be in flight for each answer that has kept to a format, until it is known
_ALL = 1 << 30


class AnswerFormat(StrEnum):
    """What a request says about the form of its answer. The values are kept in ledgers, as flags of answers."""

    SCHEMA = "json_schema"  #: JSON by a schema, which the server should enforce
    JSON = "json_object"  #: JSON mode; the prompt describes the form
    TEXT = "text"  #: nothing; the prompt describes the form

    @property
    def looser(self) -> AnswerFormat:
        """The next format that asks for less."""
        return _LOOSER[self]


_ORDER = tuple(AnswerFormat)
_LOOSER = dict(zip(_ORDER, (*_ORDER[1:], AnswerFormat.TEXT), strict=True))
_NAMES = {AnswerFormat.SCHEMA: "a JSON schema", AnswerFormat.JSON: "JSON mode"}
_INSTEAD = {AnswerFormat.JSON: "in JSON mode", AnswerFormat.TEXT: "without it"}


def loosest(*formats: AnswerFormat) -> AnswerFormat:
    """Return the format that asks for the least."""
    return max(formats, key=_ORDER.index)


def asked_format(completion: Completion) -> AnswerFormat | None:
    """Return the format that an answer was asked for in; None for a stage that does not ask for JSON."""
    return next((AnswerFormat(flag) for flag in completion.flags if flag in _LOOSER), None)


class AnswerRequest(NamedTuple):
    """What a request asks for: the format of its answer, and the field that says so, if there is one."""

    format: AnswerFormat
    fields: Mapping[str, object]


def answer_request(
    format_: AnswerFormat, name: str, schema: Mapping[str, object], in_order: bool = False
) -> AnswerRequest:
    """Return what asks for JSON by a schema, with the strictness of a format. `name` is that of the schema.

    Models write the members of an object in the order of the schema. With `in_order`, that is the order in which they
    are given; else they are sorted, as in the request keys of earlier versions. Source: OpenAI's guide "Structured
    outputs"; with `strict`, every key is required and no other is allowed.
    """
    if format_ is AnswerFormat.TEXT:
        return AnswerRequest(format_, {})
    if format_ is AnswerFormat.JSON:
        return AnswerRequest(format_, {RESPONSE_FORMAT: {"type": format_.value}})
    sent = orjson.Fragment(orjson.dumps(schema)) if in_order else schema
    wanted = {"name": name, "strict": True, "schema": sent}
    return AnswerRequest(format_, {RESPONSE_FORMAT: {"type": format_.value, "json_schema": wanted}})


def with_form(completion: Completion, request: Request) -> Completion:
    """Return an answer that says in which format it was asked for, and for how many rows."""
    return replace(completion, flags=(*completion.flags, *request.marks)) if request.marks else completion


def without_form(verdict: ReplyVerdict, request: Request) -> ReplyVerdict:
    """Note that a server refuses a format, and return the verdict without that: a looser one is not a changed field."""
    others = tuple(change for change in verdict.changes if change.name != RESPONSE_FORMAT)
    if request.refuse_form is None or len(others) == len(verdict.changes) or not request.refuse_form(verdict.message):
        return verdict
    return replace(verdict, changes=others)


@dataclass(slots=True)
class _FormatCounts:
    """Answers in one format, in the current window, and how many of them were not in it."""

    answers: int = 0
    missed: int = 0

    @property
    def shows_no_care(self) -> bool:
        most = self.missed >= EARLY and 2 * self.missed > self.answers
        return self.missed > TOLERATED and (most or self.answers >= WINDOW)


class AnswerFormats:
    """The strictest format that an endpoint and a model keep to, as far as it is known.

    `server` names them for people. `stored` is what `as_json` returned for them before. `on_change` gets one line when
    a looser format is used from now on.
    """

    def __init__(self, server: str = "", stored: bytes | str = "", on_change: Callable[[str], object] = len) -> None:
        learnt = orjson.loads(stored) if stored else {}
        self.server = server
        self.current = AnswerFormat(learnt.get("format", AnswerFormat.SCHEMA))
        self._is_decided = learnt.get("decided") is True
        self._on_change = on_change
        self.is_used = False  #: whether a request has asked for JSON, or would have
        self._sent: set[AnswerFormat] = set()  # formats that were sent in this session
        self._counts = {each: _FormatCounts() for each in AnswerFormat}

    def as_json(self) -> str:
        """Return what was learnt, to keep in the ledger."""
        return orjson.dumps({"format": self.current, "decided": self._is_decided}).decode()

    def choose(self, reason: str, last: StoredAnswer | None) -> AnswerFormat:
        """Return the format to ask a row in; `reason` and `last` are those of its newest answer.

        That is the current format, or a looser one if the last answer was asked for in that, or was not in its form.
        """
        asked = asked_format(last.completion) if last is not None and reason else None
        if asked is None:
            return self.current
        return loosest(self.current, asked.looser if reason == ReasonKind.ANOTHER_FORM else asked)

    def note_sent(self, format_: AnswerFormat) -> None:
        """Note that a request asks for a format."""
        self.is_used = True
        self._sent.add(format_)

    def room(self, asked: AnswerFormat) -> int:
        """Return how many requests in a format may be in flight; 0 if a looser one is asked for by now.

        Until the first answers have shown that the server keeps to it, that is a few: each answer that does not keep to
        it is paid for, and its row is asked again.
        """
        if _ORDER.index(asked) < _ORDER.index(self.current):
            return 0
        if asked is AnswerFormat.TEXT or (asked is self.current and self._is_decided):
            return _ALL
        counts = self._counts[asked]
        return max(1, STEPS * (counts.answers - (1 + STEPS) * counts.missed))

    def refuse(self, message: str = "") -> bool:
        """Learn that the server does not accept the current format; return False if it was not even asked for."""
        if self.current is AnswerFormat.TEXT:
            return False
        if self.current in self._sent:  # otherwise it is the late refusal of a stricter format
            self._step_down("does not accept", "", to=None if _names_a_format(message) else AnswerFormat.TEXT)
        return True

    def is_open(self, asked: AnswerFormat) -> bool:
        """Return whether it is not known yet that the server keeps to a format, or known that it does not."""
        return asked is not AnswerFormat.TEXT and (asked is not self.current or not self._is_decided)

    def count(self, asked: AnswerFormat, kept: bool) -> None:
        """Count an answer to a request in a format: whether it was JSON that could be read."""
        if asked is AnswerFormat.TEXT or self.room(asked) == 0:
            return
        counts = self._counts[asked]
        counts.answers, counts.missed = counts.answers + 1, counts.missed + (not kept)
        while self.current is not AnswerFormat.TEXT and (counts := self._counts[self.current]).shows_no_care:
            self._step_down("does not keep to", f" ({counts.missed} of {counts.answers} answers)")
        if self._counts[self.current].answers >= WINDOW:
            self._is_decided, self._counts[self.current] = True, _FormatCounts()

    def _step_down(self, verb: str, share: str, to: AnswerFormat | None = None) -> None:
        before, self.current = self.current, to or self.current.looser
        self._is_decided = False
        self._on_change(f"{self.server} {verb} {_NAMES[before]}{share}: asking {_INSTEAD[self.current]} from now on.")


def _names_a_format(message: str) -> bool:
    """Return whether a refusal is about one format, not about the field itself. No server has a code for that."""
    return any(word in message.lower() for word in ("schema", "type"))
