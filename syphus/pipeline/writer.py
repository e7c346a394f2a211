"""One writer, which commits in groups: whatever came while the last commit was under way, and for a moment longer.

A slow disk makes the groups larger by itself; the moment keeps a fast one from making a commit of every row. `fsync`
happens in a thread; statements run in the loop's own, which has the connection between two commits. `pairs.jsonl` is
for people to watch: it is appended to after the commit, and so never says more than the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from syphus.errors import StorageError
from syphus.formats.pairs_jsonl import PairsFile
from syphus.ledger.records import Attempts, Entry, Records
from syphus.ledger.store import Store, storage_faults

GATHER = 0.005  #: seconds that a group waits for more; nothing beside an answer's latency


class Writer:
    """Takes entries from all workers. Use it as an async context manager: leaving it commits what is left."""

    def __init__(self, store: Store, records: Records, pairs: PairsFile, on_fault: Callable[[], None]) -> None:
        self._store = store
        self._records = records
        self._pairs = pairs
        self._on_fault = on_fault
        self._entries: list[Entry] = []
        self._attempts = Attempts()
        self._group = asyncio.Event()
        self._work = asyncio.Event()
        self._closing = False
        self._thread = ThreadPoolExecutor(1, "commit")
        self._task: asyncio.Task[None] | None = None
        self.fault: StorageError | None = None
        self.unsaved: list[str] = []  #: ids of the rows whose answers came and could not be written

    async def __aenter__(self) -> Writer:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._work.set()
        assert self._task is not None
        await self._task
        self._thread.shutdown()
        await self._pairs.close()

    async def put(self, entry: Entry) -> bool:
        """Returns once the entry is on the disk; False where the disk failed."""
        if self.fault is None:
            self._entries.append(entry)
            group = self._group
            self._work.set()
            await group.wait()
        else:
            self._lose([entry])
        return self.fault is None

    def count(self, cause: str, maybe_billed: bool = False, tokens: float = 0.0) -> None:
        """Counts a request by what came of it; goes to the disk with the next commit."""
        self._attempts.add(cause, maybe_billed, tokens)
        self._work.set()

    async def _run(self) -> None:
        while self.fault is None and not (self._closing and not self._entries and not self._attempts.requests):
            await self._work.wait()
            if not self._closing:
                await asyncio.sleep(GATHER)
            self._work.clear()
            group, self._group = self._group, asyncio.Event()
            entries, self._entries = self._entries, []
            try:
                await self._commit(entries, group)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait here for ever
                self.fault = error if isinstance(error, StorageError) else self._unforeseen(error)
                self._lose([*(() if group.is_set() else entries), *self._entries])
                self._on_fault()
            finally:
                group.set()
        self._group.set()

    async def _commit(self, entries: list[Entry], group: asyncio.Event) -> None:
        attempts, self._attempts = self._attempts, Attempts()
        with storage_faults(self._store.path):
            for entry in entries:
                self._records.write(entry)
            self._records.write_attempts(attempts)
            self._records.write_pairs_file(self._pairs.seq, self._pairs.size)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.commit)
        group.set()
        lines = "".join(entry.lines for entry in entries)
        if lines:
            with storage_faults(self._pairs.path):
                await self._pairs.append(lines, self._records.last_seq)

    def _lose(self, entries: list[Entry]) -> None:
        self.unsaved += [entry.row.query.id for entry in entries if entry.paid is not None]

    def _unforeseen(self, error: Exception) -> StorageError:
        return StorageError(f"{self._store.path} can't be written: {type(error).__name__}: {error}.")
