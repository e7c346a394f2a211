"""Uploads the file of a shard and creates its batch: once, whatever is lost on the way.

A creation whose outcome is not known is never repeated at once: `listing_delay` seconds later a list shows whether
there is a batch with the shard's fingerprint. One list serves all shards that wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from syphus.batch.gather import FOLDER, shard_path
from syphus.batch.routes import FINGERPRINT, BatchApi, Problem, RouteError, ServerBatch
from syphus.config.values import BatchConfig
from syphus.errors import ProviderError
from syphus.ledger.sessions import session_start
from syphus.ledger.shards import Shard, ShardState, change_shard, read_shards, release_lines
from syphus.ledger.store import Store
from syphus.pipeline.budget import Budget
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.session_context import SessionContext
from syphus.text import sentence

_UPLOADS = 2  # at once
MOST_TRIES = 5  #: of a step that the server refuses although it should not


class StoppedError(Exception):
    """The session ends before a shard has."""


class Limits(NamedTuple):
    """What the server has shown about how much it takes at once."""

    tokens: float | None = None  #: enqueued in all open batches
    lines: int | None = None  #: in one batch


@dataclass(slots=True)
class ShardDesk:
    """One endpoint's batches in one session of a stage."""

    routes: BatchApi
    state: EndpointState
    store: Store
    session: SessionContext
    budget: Budget
    config: BatchConfig
    limits: Limits = field(default_factory=Limits)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    is_closing: bool = False  #: whether no more batches are made, since a deadline is near

    @property
    def folder(self) -> Path:
        """Where the files of shards are."""
        return self.store.folder / FOLDER

    @property
    def host(self) -> str:
        """The endpoint by the name that people see."""
        return self.routes.host

    def path_of(self, shard: Shard) -> Path:
        """Return the path of the requests of a shard."""
        return shard_path(self.folder, shard.fingerprint)

    def say(self, line: str) -> None:
        """Show people a line."""
        self.session.say(line)

    async def shrink(self, shard: Shard, why: str, stated: float | None) -> None:
        """Put fewer tokens into batches from now on, since the queue of the server is full."""
        if shard.is_open and shard.state is not ShardState.ENDED:
            await self.release(shard, why)
        others = sum(each.tokens for each in self.open_here() if each.id != shard.id)
        if shard.lines == 1 and not others:
            raise ProviderError(sentence("The queue of the server has no room for a single request", why))
        limit = max(others, shard.tokens / 2) if stated is None else min(stated, max(others, shard.tokens * 0.9))
        self.limits = self.limits._replace(tokens=min(limit, self.limits.tokens or limit))
        self.say(f"The queue of {self.host} is full: batches now hold at most {limit:,.0f} tokens together.")

    def learn_lines(self, shard: Shard) -> None:
        """Put half as many requests into a batch from now on."""
        self.limits = self.limits._replace(lines=max(1, shard.lines // 2))

    def open_here(self) -> list[Shard]:
        """Return the open shards of this endpoint, of all stages."""
        return [each for each in read_shards(self.store, only_open=True) if each.endpoint == self.host]

    async def release(self, shard: Shard, problem: str) -> None:
        """Free the lines of a shard of which no batch exists."""

        def write() -> None:
            release_lines(self.store, shard.id)
            change_shard(
                self.store, shard.id, state=ShardState.SETTLED, settled_at=time.time(), problem=problem,
                status="not created", missing=shard.lines,
            )  # fmt: skip

        await self.session.writer.perform_or_raise(write)
        self.budget.reserved = max(0.0, self.budget.reserved - shard.reserved)
        self.budget.requests -= shard.lines
        self.path_of(shard).unlink(missing_ok=True)

    def session_began(self) -> float:
        """Return when the session began, in seconds since the epoch."""
        return session_start(self.store, self.session.records.session)

    async def change(self, shard: Shard, **values: object) -> None:
        """Write columns of a shard; return once they are on the disk."""
        await self.session.writer.perform_or_raise(lambda: change_shard(self.store, shard.id, **values))

    async def pause(self, seconds: float) -> None:
        """Wait. Raises `StoppedError` if the session ends meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self.stopping.wait()
        if self.stopping.is_set():
            raise StoppedError

    async def pause_after(self, error: RouteError, seconds: float) -> None:
        """Wait as long as the server asks to, or these seconds if it does not say. Raises what `pause` raises."""
        await self.pause(seconds if error.wait is None else error.wait)


class Creation:
    """Makes batches of shards. `url` is the route that their requests are for."""

    def __init__(self, desk: ShardDesk, url: str) -> None:
        self._desk = desk
        self._url = url
        self._uploads = asyncio.Semaphore(_UPLOADS)
        self._listing = asyncio.Lock()
        self._listed: list[ServerBatch] = []
        self._listed_at = 0.0
        self._files: dict[str, str] | None = None
        self.quiet_until = 0.0  #: when one list shows all batches that may have been created before a restart

    async def upload(self, shard: Shard) -> None:
        """Upload the file of a shard, unless a run that was killed has done so.

        Raises `ProviderError` if the server refuses it, `StoppedError` if the session ends before.
        """
        path = self._desk.path_of(shard)
        known = await self._known_file(path.name) if shard.reserved_at < self._desk.session_began() else ""
        if not path.exists() and not known:
            await self._desk.release(shard, f"its file {path.name} is missing, and nothing was sent")
            return
        async with self._uploads:
            wait, tries = 1.0, 0
            while not known:
                try:
                    known = await self._desk.routes.upload(path, self._desk.config.expire_files_after)
                except RouteError as error:
                    tries += 1
                    await self._after_upload_error(shard, error, tries)
                    await self._desk.pause_after(error, wait)
                    wait = min(60.0, 2 * wait)
                    if error.problem is Problem.UNCERTAIN:
                        self._files = None
                        known = await self._known_file(path.name)
        now = time.time()
        await self._desk.change(shard, state=ShardState.UPLOADED, file_id=known, uploaded_at=now, sent_at=None)

    async def _after_upload_error(self, shard: Shard, error: RouteError, tries: int) -> None:
        if error.problem is Problem.MISSING:
            await self._desk.release(shard, "the server has no Batch API")
            raise ProviderError(
                f"{self._desk.host} has no Batch API ({error.status} on /files), so nothing was sent. Leave out "
                "--batch, or use --batch-file FILE if it takes files by hand."
            )
        if error.problem is Problem.REFUSED:
            if error.status == 413:
                self._desk.learn_lines(shard)
                await self._desk.release(shard, str(error))
                return
            await self._desk.release(shard, str(error))
            raise ProviderError(f"{sentence('A file of requests is refused', str(error))} Nothing was billed.")
        if error.problem is Problem.UNCERTAIN and tries >= MOST_TRIES:
            raise ProviderError(sentence("A file of requests can't be uploaded", str(error)))

    async def _known_file(self, name: str) -> str:
        """Return the id of an uploaded file by its name, which has the fingerprint; "" if it is not there."""
        async with self._listing:
            if self._files is None:
                try:
                    self._files = await self._desk.routes.list_files()
                except RouteError:
                    return ""  # a file that is uploaded twice costs nothing, and expires
        found = self._files.get(name, "")
        if found:
            self._desk.say(f"The server already has {name[:20]}..., which this run had uploaded.")
        return found

    async def create(self, shard: Shard) -> None:
        """Create the batch of a shard, or adopt the one that there is. Raises what `upload` raises."""
        if shard.sent_at is not None and await self._adopt(shard):
            return
        tries, wait = 0, 1.0
        while True:
            sent_at = time.time()
            await self._desk.change(shard, sent_at=sent_at)
            shard = shard._replace(sent_at=sent_at)
            try:
                metadata = {FINGERPRINT: shard.fingerprint, "syphus_shard": str(shard.id), "syphus_stage": shard.stage}
                batch = await self._desk.routes.create(shard.file_id, self._url, metadata)
            except RouteError as error:
                tries += 1
                if error.problem is Problem.UNCERTAIN:
                    self._desk.say(f"{error}. The batch may exist, so nothing is sent again before a list shows it.")
                    if await self._adopt(shard):
                        return
                elif error.problem is Problem.BUSY or (error.problem is Problem.MISSING and tries < MOST_TRIES):
                    await self._desk.pause_after(error, wait)
                    wait = min(60.0, 2 * wait)
                else:
                    await self._refused(shard, error)
                    return
            else:
                await self._note_created(shard, batch)
                return

    async def _note_created(self, shard: Shard, batch: ServerBatch, adopted_at: float = 0.0) -> None:
        """Note a batch with the time by this machine's clock; the server's may be another one."""
        values = {"batch_id": batch.id, "status": batch.status, "created_at": adopted_at or time.time()}
        await self._desk.change(shard, state=ShardState.CREATED, **values)

    async def _refused(self, shard: Shard, error: RouteError) -> None:
        """Let go of a shard whose batch is refused at its creation: nothing was made."""
        if error.is_token_limit:
            await self._desk.shrink(shard, str(error), None)
            return
        await self._desk.release(shard, str(error))
        if error.problem is Problem.MISSING:
            raise ProviderError(
                f"{self._desk.host} has no Batch API ({error.status} on /batches), so nothing was billed. Leave out "
                "--batch, or use --batch-file FILE if it takes files by hand."
            )
        raise ProviderError(f"{sentence('A batch is refused', str(error))} Nothing was billed.")

    async def _adopt(self, shard: Shard) -> bool:
        """Wait until a list shows a batch that may exist, and adopt it; return whether there is one."""
        due = max((shard.sent_at or 0.0) + self._desk.config.listing_delay, self.quiet_until)
        batches = await self._list_after(due, shard.reserved_at - 60)
        mine = [each for each in batches if each.fingerprint == shard.fingerprint]
        mine = mine or [each for each in batches if each.input_file and each.input_file == shard.file_id]
        if not mine:
            self._desk.say(f"No batch of shard {shard.id} is listed: the request for it did not arrive.")
            return False
        first = min(mine, key=lambda each: each.created_at)
        self._desk.say(f"Batch {first.id} of shard {shard.id} is adopted: it was created, but the reply was lost.")
        await self._note_created(shard, first, shard.sent_at or 0.0)
        for other in mine:
            if other.id != first.id and not other.has_ended:
                self._desk.say(f"Batch {other.id} is a second one of shard {shard.id}: it is cancelled.")
                with contextlib.suppress(RouteError):
                    await self._desk.routes.cancel(other.id)
        return True

    async def _list_after(self, due: float, since: float) -> list[ServerBatch]:
        """Return a list of batches that was made at `due` or later; times are of the wall clock."""
        async with self._listing:
            wait = 1.0
            while self._listed_at < due:
                await self._desk.pause(max(0.0, due - time.time()))
                began = time.time()
                try:
                    self._listed, self._listed_at = await self._desk.routes.list_batches(since), max(began, due)
                except RouteError as error:
                    if error.problem in (Problem.REFUSED, Problem.MISSING):
                        raise ProviderError(
                            f"{error}. A batch may exist that only a list can show, so nothing is sent again. Once "
                            "lists work, run the same command again; or see `syphus batches FOLDER --give-up`."
                        ) from error
                    await self._desk.pause_after(error, wait)
                    wait = min(60.0, 2 * wait)
            return self._listed
