"""One writer, which commits in groups: what came while the last commit was under way, up to a dozen answers.

A slow disk makes the groups larger by itself, and the bound keeps them from becoming too large: workers that are let go
together send together, so their answers come together again, and a wave like that leaves the endpoint idle while it is
worked off. `fsync` happens in a thread; statements run in the loop's own, which has the connection between two commits.
`pairs.jsonl` is for people to watch: it is appended to after the commit, and so never says more than the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from syphus.errors import StorageError
from syphus.formats.run_files import PairsFile
from syphus.io.durable import storage_faults
from syphus.ledger.records import Entry, Records, RequestCounts
from syphus.ledger.store import Store

GROUP = 12  #: entries that are committed at once

_Waiting = tuple[Entry, asyncio.Future[bool]]


class Writer:
    """Takes entries from all workers. Use it as an async context manager: leaving it commits what is left."""

    def __init__(self, store: Store, records: Records, pairs: PairsFile | None, on_fault: Callable[[], None]) -> None:
        self._store = store
        self._records = records
        self._pairs = pairs
        self._on_fault = on_fault
        self._waiting: list[_Waiting] = []
        self._attempts = RequestCounts()
        self._work = asyncio.Event()
        self._closing = False
        self._thread = ThreadPoolExecutor(1, "commit")
        self._task: asyncio.Task[None] | None = None
        self.fault: StorageError | None = None
        self.unsaved_ids: list[str] = []  #: ids of the rows whose answers came and could not be written

    async def __aenter__(self) -> Writer:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._work.set()
        assert self._task is not None
        await self._task
        self._thread.shutdown()
        if self._pairs is not None:
            await self._pairs.close()

    async def put(self, entry: Entry) -> bool:
        """Returns once the entry is on the disk; False where the disk failed."""
        if self.fault is not None:
            self._lose([entry])
            return False
        saved: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, saved))
        self._work.set()
        return await saved

    def count_request(self, cause: str, maybe_billed: bool = False, tokens: float = 0.0) -> None:
        """Counts a request by what came of it; goes to the disk with the next commit."""
        self._attempts.add(cause, maybe_billed, tokens)
        self._work.set()

    async def _run(self) -> None:
        while self.fault is None and not (self._closing and not self._waiting and not self._attempts.requests):
            await self._work.wait()
            await asyncio.sleep(0)  # answers that came at the same moment come along
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            if not self._waiting:
                self._work.clear()
            entries = [entry for entry, _ in group]
            try:
                await self._commit(entries)
                _release(group, True)
                group = []
                await self._show(entries)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait here for ever
                self.fault = error if isinstance(error, StorageError) else self._unforeseen(error)
                left = [*group, *self._waiting]
                self._lose(entry for entry, _ in left)
                self._on_fault()
                _release(left, False)

    async def _commit(self, entries: list[Entry]) -> None:
        attempts, self._attempts = self._attempts, RequestCounts()
        for entry in entries:
            self._records.write(entry)
        self._records.write_request_counts(attempts)
        if self._pairs is not None:
            self._records.note_pairs_file(self._pairs.seq, self._pairs.size)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.commit)

    async def _show(self, entries: list[Entry]) -> None:
        lines = "".join(entry.pair_lines for entry in entries)
        if lines and self._pairs is not None:
            with storage_faults(self._pairs.path):
                await self._pairs.append(lines, self._records.last_seq)

    def _lose(self, entries: Iterable[Entry]) -> None:
        self.unsaved_ids += [entry.row.query.id for entry in entries if entry.new_answer is not None]

    def _unforeseen(self, error: Exception) -> StorageError:
        return StorageError(f"{self._store.path} can't be written: {type(error).__name__}: {error}.")


def _release(group: Iterable[_Waiting], saved: bool) -> None:
    for _, waiting in group:
        if not waiting.done():  # a worker that was cancelled waits no more; what it brought is saved like the rest
            waiting.set_result(saved)
