"""Learns which fields of a request an endpoint does not accept, and keeps that with the run.

One refusal is evidence against the field or against the row: errors repeat what they were sent. So a change is first
that row's. It holds for the other rows at once if no request with the field has been answered here; this is how a run
begins, with one request in flight. Where others get answers with the field, it takes two rows that get theirs only
without it. If a row is refused in the same words without the field, the change is taken back. A row tries each change
once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from syphus.config.endpoint_settings import EndpointConfig
from syphus.endpoints.classify import ReplyVerdict
from syphus.endpoints.prompt_cache import CACHE_OPTIONS
from syphus.endpoints.refusals import Change, ChangeKind, apply_changes
from syphus.endpoints.request import adapt_request
from syphus.exchange import Request
from syphus.ledger.sessions import get_meta
from syphus.ledger.store import Store

ROWS_TO_BELIEVE = 2  #: rows that must be answered only without a field, if others were answered with it
MAX_TRIES = 5  #: of changes to one row's request, so that it is sent six times at most


@dataclass(slots=True)
class RowChanges:
    """What one row has tried because its requests were refused."""

    own: dict[str, Change] = field(default_factory=dict)
    tried: set[Change] = field(default_factory=set)
    tries: int = 0
    words: str = ""  #: of the newest refusal
    newest: tuple[Change, ...] = ()  #: tried after it

    def add(self, changes: Iterable[Change], message: str) -> tuple[Change, ...]:
        """Note the changes that a refusal asks for; return those that were not tried yet, within the limit."""
        fresh = tuple(change for change in changes if change not in self.tried) if self.tries < MAX_TRIES else ()
        self.tries += 1
        self.tried.update(fresh)
        self.own.update({change.name: change for change in fresh})
        self.words, self.newest = _words(message), fresh
        return fresh

    def repeats(self, message: str) -> bool:
        """Return whether a refusal says the same as the one before: then the changes were no help."""
        return bool(self.newest) and _words(message) == self.words


def _words(message: str) -> str:
    """Return a message without the words that hold digits, such as the id of a request."""
    return re.sub(r"\S*\d\S*", "", message)


class LearnedParameters:
    """What one endpoint has shown about the fields of requests to one model.

    `name` tells them apart in the ledger, `host` to people.
    """

    def __init__(self, name: str = "", host: str = "", changes: Mapping[str, Change] | None = None) -> None:
        self.name = name
        self.host = host
        self.changes: dict[str, Change] = dict(changes or {})
        self.accepted: set[str] = set()  #: fields that were sent with a request that was answered
        self._vouchers: dict[str, set[int]] = {}  # rows whose refusals have brought a change that no answer confirms
        self._doubts: dict[Change, set[int]] = {}  # rows that were answered only without a field that others may send

    @classmethod
    def load(cls, store: Store, endpoint: EndpointConfig, model: str) -> LearnedParameters:
        """Return what earlier sessions have learnt, also those of older versions, which learnt it for all endpoints."""
        name = f"changes {model} {endpoint.base_url} {endpoint.deployment}".rstrip()
        text = get_meta(store, name)
        if text is not None:
            changes = [Change(each, ChangeKind(kind), value) for each, kind, value in orjson.loads(str(text))]
            return cls(name, endpoint.host, {change.name: change for change in changes})
        refused = orjson.loads(str(get_meta(store, f"adapted {model}") or "[]"))
        return cls(name, endpoint.host, {each: _as_before(each) for each in refused})

    def dumps(self) -> str:
        """Return the changes as JSON, to be stored under `name`."""
        return orjson.dumps([tuple(change) for change in self.changes.values()]).decode()

    def adapt(self, request: Request, row: RowChanges | None = None) -> Request:
        """Return the request as this endpoint takes it, after what the row has tried itself."""
        changes = {**self.changes, **row.own} if row and row.own else self.changes
        return adapt_request(request, changes) if changes else request

    def learn(self, row: int, changes: Iterable[Change], *, of_this_prompt: bool = False) -> list[Change]:
        """Note that requests of a row need these changes; return those that hold for all rows from now on."""
        learnt = []
        for change in changes:
            before = self.changes.get(change.name)
            if before == change:
                self._vouchers.get(change.name, set()).add(row)
            elif not of_this_prompt and change.name not in self.accepted:
                self.changes[change.name] = change
                self._vouchers[change.name] = {row}
                learnt.append(change)
        return learnt

    def record_answer(self, row: int, sent: Request, tried: RowChanges | None) -> list[Change]:
        """Note that a request was answered; return the changes that hold for all rows from now on."""
        if not sent.names <= self.accepted:
            self.accepted |= sent.names
        return self._record_changed(row, tried.own.values()) if tried and tried.own else []

    def _record_changed(self, row: int, own: Iterable[Change]) -> list[Change]:
        learnt = []
        for change in own:
            self._vouchers.pop(change.name, None)
            if self.changes.get(change.name) == change or change.kind is ChangeKind.AT_MOST:
                continue
            rows = self._doubts.setdefault(change, set())
            rows.add(row)
            if len(rows) >= ROWS_TO_BELIEVE:
                self.changes[change.name] = change
                self.accepted.discard(change.name)
                learnt.append(change)
        return learnt

    def take_back(self, row: int, changes: Iterable[Change]) -> bool:
        """Drop changes that did not help the only row that speaks for them; return whether any was dropped."""
        dropped = [each for each in changes if self._vouchers.get(each.name) == {row}]
        for change in dropped:
            del self._vouchers[change.name]
            self.changes.pop(change.name, None)
        return bool(dropped)


def _as_before(name: str) -> Change:
    if name == "max_tokens":
        return Change(name, ChangeKind.RENAME, "max_completion_tokens")
    return Change(name, ChangeKind.OMIT)


class FieldProbe:
    """Lets one request alone try a field that nobody has sent before, so that a refusal of it costs one request."""

    def __init__(self, learned: Sequence[LearnedParameters]) -> None:
        self._learned = learned
        self._ended: asyncio.Event | None = None  # of the probe that is under way

    async def enter(self, request: Request) -> Callable[[], None]:
        """Wait while another request tries a field of this one; return what ends the probe, if this one is it.

        Before the first answer nobody waits here: requests are sent one at a time then.
        """
        while self._is_new(request):
            if self._ended is None:
                self._ended = asyncio.Event()
                return self._end
            await self._ended.wait()
        return lambda: None

    def _is_new(self, request: Request) -> bool:
        names, has_answered = request.names, False
        for each in self._learned:
            if each.accepted:
                has_answered = True
                if names <= each.accepted or names <= each.accepted | each.changes.keys():
                    return False
        return has_answered

    def _end(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.set()


class ParameterLearning:
    """What all endpoints of a session have shown. `keep` stores a fact in the ledger, `say` tells a line."""

    def __init__(
        self,
        learned: Sequence[LearnedParameters],
        keep: Callable[[str, str], Awaitable[None]],
        say: Callable[[str], None],
    ) -> None:
        self._learned = learned
        self._store = keep
        self._say = say
        self.probe = FieldProbe(learned)

    def variants(self, request: Request, row: RowChanges | None) -> Iterator[Request]:
        """Yield the request in all forms that may have been answered: as it is, and as each endpoint takes it."""
        yield request
        seen = [request.key]
        for each in self._learned:
            variant = each.adapt(request, row)
            if variant.key not in seen:
                seen.append(variant.key)
                yield variant

    async def try_changes(
        self, row: int, tried: RowChanges, learned: LearnedParameters, verdict: ReplyVerdict, sent: Request
    ) -> bool:
        """Change what an endpoint refused of a row's request; return False if the row has tried that, or enough."""
        fresh = tried.add(verdict.changes, verdict.message)
        await self.keep(learned, learned.learn(row, fresh, of_this_prompt=verdict.of_this_prompt), sent)
        return bool(fresh)

    async def note_rejection(
        self, row: int, tried: RowChanges | None, learned: LearnedParameters, message: str
    ) -> None:
        """Take back a change that did not help: the endpoint rejects the row in the same words as before."""
        if tried and tried.repeats(message) and learned.take_back(row, tried.newest):
            await self._store(learned.name, learned.dumps())

    async def keep(self, learned: LearnedParameters, learnt: Sequence[Change], request: Request) -> None:
        """Store what an endpoint was found not to accept, and say it once. Another name for the same is no news."""
        if not learnt:
            return
        await self._store(learned.name, learned.dumps())
        fields = orjson.loads(request.body)
        for change in learnt:
            if change.name == CACHE_OPTIONS:
                self._say(f"{learned.host} does not accept marks for its prompt cache: they are left out.")
            elif (
                change.kind not in (ChangeKind.RENAME, ChangeKind.MORE)
                and apply_changes(fields, {change.name: change}) != fields
            ):
                self._say(f"{learned.host} does not accept {change.describe(fields.get(change.name))}.")
