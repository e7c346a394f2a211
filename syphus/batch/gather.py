"""Gathers requests into shards: the sender of a pass, which puts them aside instead of sending them.

A shard is a file of lines on the disk; of each line only its key, its row and its worst cost are in memory. When a
shard is full, its file is made durable, and then its lines are committed. From then on its rows wait for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, NamedTuple

import orjson

from syphus.endpoints.classify import Action, ReplyVerdict, classify_error
from syphus.errors import ProviderError
from syphus.exchange import Request
from syphus.io.durable import storage_faults, sync_folder
from syphus.ledger.sessions import session_start
from syphus.ledger.shards import Line, LineState, Shard, ShardState, add_shard, get_shard, lines_of, next_shard_id
from syphus.ledger.store import Store
from syphus.pipeline.admission import AdmissionClosedError, AdmissionController
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.sender import Ask, RequestSender, SendResult
from syphus.pipeline.session_context import SessionContext
from syphus.text import one_line
from syphus.types import State

FOLDER = "batches"  #: in the run's folder
FIRST_SECONDS = 20.0  #: after which the first shard of a session is full, however small, so that work begins early
ENOUGH_REJECTED = 20  #: answers that were rejected, before any was good, after which nothing more is put aside


class Size(NamedTuple):
    """What a shard holds, or may hold at most."""

    lines: int
    bytes: int
    tokens: float


class Sealed(NamedTuple):
    """A shard whose file is complete, before its lines are committed."""

    path: Path
    fingerprint: str
    size: Size
    reserved: float
    lines: list[Line]


class ShardFile:
    """A shard that is being filled. `prefix` tells its fingerprint apart from those of equal lines."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder = folder
        self._path = folder / f".part-{os.getpid()}-{hashlib.sha256(prefix.encode()).hexdigest()[:12]}"
        self._hash = hashlib.sha256(prefix.encode())
        self._file: IO[bytes] | None = None
        self._bytes, self._tokens, self._reserved = 0, 0.0, 0.0
        self.lines: list[Line] = []
        self.began_at = time.monotonic()

    @property
    def size(self) -> Size:
        """What it holds."""
        return Size(len(self.lines), self._bytes, self._tokens)

    def has_room(self, content: bytes, tokens: float, most: Size) -> bool:
        """Return whether a line fits in. An empty shard takes any line."""
        if not self.lines:
            return True
        is_small = self._bytes + len(content) <= most.bytes and self._tokens + tokens <= most.tokens
        return is_small and len(self.lines) < most.lines

    def add(self, line: Line, content: bytes, tokens: float) -> None:
        """Add a line. Raises `StorageError`."""
        with storage_faults(self._path):
            if self._file is None:
                self._folder.mkdir(exist_ok=True)
                self._file = self._path.open("wb")
            self._file.write(content)
        self._hash.update(content)
        self._bytes += len(content)
        self._tokens += tokens
        self._reserved += line.bound
        self.lines.append(line)

    def seal(self) -> Sealed:
        """Make the file durable under its name; blocks. Raises `StorageError`."""
        assert self._file is not None
        fingerprint = self._hash.hexdigest()
        path = shard_path(self._folder, fingerprint)
        with storage_faults(path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.replace(path)
            sync_folder(self._folder)
        return Sealed(path, fingerprint, self.size, self._reserved, self.lines)

    def discard(self) -> float:
        """Drop the file; return the dollars that are reserved for its lines."""
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)
        return self._reserved


def shard_path(folder: Path, fingerprint: str) -> Path:
    """Return the path of the file of a shard."""
    return folder / f"syphus-{fingerprint}.jsonl"


def custom_id(key: bytes, sample: int) -> str:
    """Return the id of a line: the key of its request, and its sample number."""
    return f"{key.hex()}-{sample}"


class ShardTarget(NamedTuple):
    """What the shards of a pass are made for. `url` is the route on each line, `run_id` tells runs apart."""

    stage: str
    model: str
    endpoint: str
    url: str
    run_id: str
    by_hand: bool = False


class ShardMaker:
    """Makes shards of the requests of a pass. `most` is what one may hold; its tokens may fall between passes."""

    def __init__(
        self,
        target: ShardTarget,
        store: Store,
        session: SessionContext,
        admission: AdmissionController,
        most: Size,
        on_reserved: Callable[[Shard], Awaitable[None]],
    ) -> None:
        self._target = target
        self._store = store
        self._session = session
        self._admission = admission
        self.most = most
        self.room = float("inf")  #: tokens that may still be put into batches, over all open shards
        self.open_shards = 0  #: that may still bring answers, or free a part of the budget
        self._on_reserved = on_reserved
        self._next_id = next_shard_id(store)
        self._shard: ShardFile | None = None
        self._sealing: asyncio.Task[None] | None = None
        self._held: set[tuple[bytes, int]] = set()  # requests that no commit has yet
        self._is_first = True
        self.gathered = 0  #: requests, in this session
        self.full: str = ""  #: why nothing more is put aside in this pass
        self.end_pass: Callable[[], None] = lambda: None

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._store.folder / FOLDER

    def holds(self, request: Request) -> bool:
        """Return whether a request is in a shard that is not committed yet."""
        return (request.key, request.sample) in self._held

    async def add(self, row: int, request: Request, state: EndpointState) -> None:
        """Put a request aside.

        Raises `BudgetError` if the budget can never afford it, `ImageError`, `StorageError`; `AdmissionClosedError` if
        nothing more is put aside in this pass.
        """
        content = await self._content(request, state)
        if self.full or self.holds(request):
            raise AdmissionClosedError
        budget, tokens = self._admission.budget, self._admission.estimate.prompt_tokens(request.size)
        bound = budget.bound(request, self._admission.max_tokens(request))
        if budget.problem or not budget.can_afford(bound):
            if budget.problem or not (self.open_shards or self._held):
                raise self._admission.budget_error(bound)
            self._end("the budget is reserved")
        if tokens > self.room and (self.open_shards or self._held):
            self._end("as many tokens as the server allows are in batches")
        shard = self._shard
        if shard is not None and (not shard.has_room(content, tokens, self.most) or self._is_due(shard)):
            self._detach(shard)
            shard = None
        if shard is None:
            shard = self._shard = ShardFile(self.folder, f"{self._target.run_id} {self._next_id}\n")
            self._next_id += 1
        shard.add(
            Line(request.key, request.sample, row, budget.reserve(bound), "\n".join(request.marks)), content, tokens
        )
        self._held.add((request.key, request.sample))
        self.room -= tokens
        self.gathered += 1
        if self._sealing is not None:  # the disk sets the pace
            await asyncio.shield(self._sealing)

    async def _content(self, request: Request, state: EndpointState) -> bytes:
        """Return the line of a request, with its images and the mark of its shared prefix."""

        def make() -> bytes:
            body = request.body if request.load_body is None else request.load_body()
            return state.caches.body(body, request.prefix, -1)

        body = make() if request.load_body is None else await asyncio.to_thread(make)
        start = f'{{"custom_id":"{custom_id(request.key, request.sample)}","method":"POST","url":"{self._target.url}",'
        return start.encode() + b'"body":' + body + b"}\n"

    def _is_due(self, shard: ShardFile) -> bool:
        return self._is_first and time.monotonic() - shard.began_at > FIRST_SECONDS and not self._target.by_hand

    def _end(self, reason: str) -> None:
        self.full = reason
        self.end_pass()
        raise AdmissionClosedError

    def _detach(self, shard: ShardFile) -> None:
        self._shard, self._is_first = None, False
        before = self._sealing

        async def seal() -> None:
            if before is not None:
                await before
            await self._seal(shard)

        self._sealing = asyncio.create_task(seal())

    async def _seal(self, shard: ShardFile) -> None:
        sealed = await asyncio.to_thread(shard.seal)
        target, size = self._target, sealed.size
        state = ShardState.BY_HAND if target.by_hand else ShardState.RESERVED
        now = time.time()

        def write() -> None:
            new = Shard(
                id=next_shard_id(self._store),
                stage=target.stage,
                endpoint=target.endpoint,
                model=target.model,
                fingerprint=sealed.fingerprint,
                state=state,
                lines=size.lines,
                bytes=size.bytes,
                tokens=size.tokens,
                reserved=sealed.reserved,
                reserved_at=now,
            )
            add_shard(self._store, new, self._session.records.session, sealed.lines)
            made.append(new.id)

        made: list[int] = []
        await self._session.writer.perform(write)
        if self._session.writer.fault is None:
            self._held.difference_update((line.key, line.sample) for line in sealed.lines)
            self.open_shards += 1
            await self._on_reserved(get_shard(self._store, made[0]))

    async def finish_pass(self) -> None:
        """Seal what is there, and return once all shards are committed. Raises `ProviderError` instead if no answer
        was good so far, and many were bad: nothing more is put aside then.
        """
        shard = self._shard
        if shard is not None and shard.lines:
            stats = self._session.stats
            if stats.asked_again >= ENOUGH_REJECTED and not stats.in_state(State.OK):
                self.discard()
                raise ProviderError(
                    f"The first {stats.asked_again:,} answers were all rejected, so no more requests are put into "
                    "batches. Look at some with `syphus rows FOLDER`, and fix the prompt or the plugin."
                )
            self._detach(shard)
        if self._sealing is not None:
            await self._sealing
        self._sealing, self.full = None, ""

    def discard(self) -> None:
        """Drop the shard that is being filled; its rows stay pending."""
        shard, self._shard = self._shard, None
        if shard is not None:
            budget = self._admission.budget
            self._held.difference_update((line.key, line.sample) for line in shard.lines)
            budget.requests -= len(shard.lines)
            budget.reserved -= shard.discard()


class GatheringSender(RequestSender):
    """Puts requests aside for batches. What a batch has refused gets the verdict of an online reply."""

    gathers = True

    def __init__(
        self, session: SessionContext, admission: AdmissionController, store: Store, maker: ShardMaker, attempts: int
    ) -> None:
        self._session = session
        self._admission = admission
        self._store = store
        self._maker = maker
        self._attempts = attempts  # after which an error that may pass is the row's
        self._met: set[tuple[bytes, int, int]] = set()  # rejected lines that have got their verdict

    async def send(self, ask: Ask) -> SendResult:
        """Return what a batch has said about a request; else put it aside and raise `AdmissionClosedError`.

        Raises `BudgetError` and `ImageError`.
        """
        state = self._admission.endpoint_states[0]
        request = state.parameters.adapt(ask.request, ask.item.changes)
        if self._session.records.find_answer(request.key, request.sample) is not None:
            raise AdmissionClosedError  # it is only asked to find out whether others are answered
        lines = lines_of(self._store, request)
        if any(each is LineState.OPEN for _, each, _ in lines):
            raise AdmissionClosedError
        rejected = [(shard, reply) for shard, each, reply in lines if each is LineState.REJECTED]
        if rejected and (request.key, request.sample, rejected[-1][0]) not in self._met:
            shard, reply = rejected[-1]
            verdict = self._verdict(request, shard, reply, state)
            self._met.add((request.key, request.sample, shard))
            if verdict is not None:
                return SendResult(verdict, state, 0.0, request, self._session.clock())
        if sum(each is LineState.FAILED for _, each, _ in lines) >= self._attempts:
            verdict = ReplyVerdict(Action.RECORD, f"failed in {self._attempts} batches", "", caused_by_row=True)
            return SendResult(verdict, state, 0.0, request, self._session.clock())
        await self._maker.add(ask.item.row.n, request, state)
        raise AdmissionClosedError

    def _verdict(self, request: Request, shard: int, reply: bytes, state: EndpointState) -> ReplyVerdict | None:
        """Return the verdict on a rejected line; None if it may be about the settings of an earlier session.

        If other lines of its batch were answered, the row is at fault.
        """
        error = orjson.loads(reply)
        body = orjson.dumps(error["body"])
        verdict = classify_error(error["status"], {}, body, state.endpoint.host, time.time(), request.body)
        if verdict.action is Action.ADAPT or verdict.caused_by_row:
            return verdict
        batch = get_shard(self._store, shard)
        if batch.answered:
            return replace(verdict, action=Action.RECORD, message=one_line(verdict.message), caused_by_row=True)
        began = session_start(self._store, self._session.records.session)
        return verdict if (batch.settled_at or 0.0) >= began else None


class SilentSender(RequestSender):
    """Sends nothing: stored answers are judged, and rows that need another one stay pending."""

    gathers = True

    def __init__(self) -> None:
        self.kept = 0  #: requests that were not sent

    async def send(self, ask: Ask) -> SendResult:
        """Raise `AdmissionClosedError`."""
        del ask
        self.kept += 1
        raise AdmissionClosedError
