"""Writes results to the ledger, several in one commit.

A commit costs the same CPU whatever is in it, besides the time of the disk. So the writer waits until a quarter of the
workers wait for it, or a moment has passed. Larger groups would save little more, and workers that are released
together send together: their answers also arrive together, and meanwhile the endpoint would idle.

`fsync` runs in a thread; statements run on the event loop, which owns the connection between two commits. `pairs.jsonl`
is for people to watch. It is appended to after the commit, so it never holds more than the ledger, and a few times a
second at most: each time costs a change of threads, which takes as long as the commit of a row.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from syphus.formats.run_files import PairsFile
from syphus.io.durable import storage_faults
from syphus.ledger.records import ANSWERED, Entry, Records
from syphus.ledger.schema import Pace
from syphus.ledger.sessions import RequestCounts, RequestKind, set_meta
from syphus.ledger.store import Store

MAX_GROUP = 64  #: entries in one commit
GATHER_SECONDS = 0.02  #: that an entry may wait for others
_APPEND_EVERY = 0.1  # seconds
_PACE_EVERY = 1.0  # seconds

_Waiting = tuple[Entry, asyncio.Future[bool]]


class Writer:
    """Takes entries from all workers. Use it as an async context manager: on leaving it commits what is left.

    After a fault nothing more is written: `on_fault` is called once, and every `put` returns False.
    """

    def __init__(
        self,
        store: Store,
        records: Records,
        pairs: PairsFile | None,
        on_fault: Callable[[], None],
        workers: int = 1,
    ) -> None:
        self._group = 1  # the first answer waits for no other: until it is on the disk, a full disk may cost all others
        self._usual_group = _group_size(workers)
        self._store = store
        self._records = records
        self._pairs = pairs
        self._on_fault = on_fault
        self._waiting: list[_Waiting] = []
        self._counts = RequestCounts()
        self._answered = RequestCounts()  # whose answers are not written yet
        self._reservation: tuple[float, asyncio.Future[bool]] | None = None  # dollars; whoever waits for them
        self._facts: dict[str, str] = {}
        self._answers = self._outcomes = 0  # that the pace in the ledger lacks
        self._pace_at = 0.0  # seconds since the epoch
        self._statements: list[Callable[[], None]] = []  # for the next commit
        self._keeping: list[asyncio.Future[bool]] = []
        self._lines: list[str] = []  # committed, for the pairs file
        self._append_at = 0.0  # by the clock of the event loop
        self._append_timer: asyncio.TimerHandle | None = None
        self._work = asyncio.Event()
        self._full = asyncio.Event()  # as many entries wait as are worth a commit, or something must not wait
        self._closing = False
        self._thread = ThreadPoolExecutor(1, "commit")
        self._task: asyncio.Task[None] | None = None
        self.fault: Exception | None = None  #: a `StorageError` if the disk failed; anything else is a bug in Syphus
        self.unsaved_ids: list[str] = []  #: ids of the rows whose answers came and could not be written

    async def __aenter__(self) -> Writer:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._work.set()
        self._full.set()
        assert self._task is not None
        await self._task
        if self._append_timer is not None:
            self._append_timer.cancel()
        self._thread.shutdown()
        if self._pairs is not None:
            await self._pairs.close()

    async def put(self, entry: Entry) -> bool:
        """Write an entry; return True once it is on the disk, False if it could not be written."""
        if self.fault is not None:
            self._note_unsaved([entry])
            return False
        saved: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, saved))
        self._work.set()
        if len(self._waiting) >= self._group:
            self._full.set()
        return await saved

    async def note_reservation(self, dollars: float) -> bool:
        """Write the dollars that are reserved at most; return True once they are on the disk, False after a fault."""
        if self.fault is not None:
            return False
        saved: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._reservation = (dollars, saved)
        self._work.set()
        self._full.set()
        return await saved

    def count_request(
        self,
        cause: str,
        maybe_billed: bool = False,
        tokens: float = 0.0,
        endpoint: str = "",
        kind: RequestKind = RequestKind.FAILED,
    ) -> None:
        """Count a request to an endpoint by its result; the counts are written with the next commit.

        An answered request is counted in the commit of its answer, so that reports always add up.
        """
        if kind is RequestKind.ANSWERED:
            self._answered.add(cause, maybe_billed, tokens, endpoint, kind)
            return
        self._counts.add(cause, maybe_billed, tokens, endpoint, kind)
        self._work.set()

    def count_unknown_cost(self, cause: str, dollars: float) -> None:
        """Add what a request, counted before, may have cost beyond what its answer says."""
        counts = self._answered if cause == ANSWERED else self._counts
        counts.unknown_cost[cause] += dollars

    def note(self, name: str, value: str) -> None:
        """Store a small fact about the run with the next commit."""
        self._facts[name] = value

    async def keep(self, name: str, value: str) -> None:
        """Store a small fact about the run; return once it is on the disk, or once nothing more can be written."""
        if self.fault is None:
            self._facts[name] = value
            await self._committed()

    async def perform(self, write: Callable[[], None]) -> None:
        """Let `write` write into the next commit; return as `keep` does."""
        if self.fault is None:
            self._statements.append(write)
            await self._committed()

    async def perform_or_raise(self, write: Callable[[], None]) -> None:
        """Let `write` write into the next commit; return once that is on the disk. Raises the fault of the disk."""
        await self.perform(write)
        if self.fault is not None:
            raise self.fault

    def serve(self, workers: int) -> None:
        """Gather as many entries for a commit as fit so many workers."""
        self._usual_group = _group_size(workers)
        self._group = min(self._group, self._usual_group)

    async def _committed(self) -> None:
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._keeping.append(kept)
        self._work.set()
        self._full.set()
        await kept

    async def _run(self) -> None:
        while self.fault is None and not (self._closing and not self._has_work()):
            await self._work.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._full.wait()
            group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
            if not self._waiting:
                self._work.clear()
            if len(self._waiting) < self._group and not self._closing:
                self._full.clear()
            entries = [entry for entry, _ in group]
            keeping, self._keeping = self._keeping, []
            try:
                if entries or self._has_facts():
                    await self._commit(entries)
                if entries:
                    self._group = self._usual_group
                _release(group, saved=True)
                group = []
                await self._append_pairs(entries)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait here forever
                self._stop(error, [*group, *self._waiting])
            _release_all(keeping)

    def _has_work(self) -> bool:
        return bool(self._waiting or self._lines or self._has_facts())

    def _has_facts(self) -> bool:
        is_left = self._closing and self._answered.requests.total()
        return bool(self._counts.requests or self._reservation or self._facts or self._statements or is_left)

    async def _commit(self, entries: list[Entry]) -> None:
        counts, self._counts = self._counts, RequestCounts()
        answers = Counter(entry.new_answer.endpoint for entry in entries if entry.new_answer is not None)
        counts.take(self._answered, None if self._closing and not self._waiting else answers)
        reservation, self._reservation = self._reservation, None
        facts, self._facts = self._facts, {}
        for entry in entries:
            self._records.write(entry)
        self._records.write_request_counts(counts)
        self._records.move_bill()
        self._note_pace(entries)
        for name, value in facts.items():
            set_meta(self._store, name, value)
        if self._pairs is not None:
            self._records.note_pairs_file(self._pairs.seq, self._pairs.size)
        if reservation is not None:
            self._records.note_reservation(reservation[0])
        statements, self._statements = self._statements, []
        for write in statements:  # last, so that they can replace what the others have written
            write()
        saved = False
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._store.commit)
            saved = True
        finally:
            if reservation is not None and not reservation[1].done():
                reservation[1].set_result(saved)

    def _note_pace(self, entries: list[Entry]) -> None:
        """Count the entries; write the counts about once a second, since each page that is touched costs time."""
        self._answers += sum(entry.new_answer is not None for entry in entries)
        self._outcomes += sum(entry.outcome is not None for entry in entries)
        now = time.time()
        if now >= self._pace_at and (self._answers or self._outcomes):
            self._records.note_pace(Pace(self._answers, self._outcomes, now))
            self._answers = self._outcomes = 0
            self._pace_at = now + _PACE_EVERY

    async def _append_pairs(self, entries: list[Entry]) -> None:
        """Append the lines of committed entries, or keep them for the next time."""
        if self._pairs is None:
            return
        self._lines += [entry.pair_lines for entry in entries if entry.pair_lines]
        loop = asyncio.get_running_loop()
        if not self._lines:
            return
        if loop.time() < self._append_at and not self._closing:
            if self._append_timer is None:
                self._append_timer = loop.call_at(self._append_at, self._append_now)
            return
        lines, self._lines = "".join(self._lines), []
        self._append_at = loop.time() + _APPEND_EVERY
        with storage_faults(self._pairs.path):
            await self._pairs.append(lines, self._records.last_seq)

    def _append_now(self) -> None:
        self._append_timer = None
        self._work.set()

    def _stop(self, fault: Exception, unwritten: list[_Waiting]) -> None:
        self.fault = fault
        self._note_unsaved(entry for entry, _ in unwritten)
        self._on_fault()
        _release(unwritten, saved=False)
        if self._reservation is not None and not self._reservation[1].done():
            self._reservation[1].set_result(False)
        _release_all(self._keeping)

    def _note_unsaved(self, entries: Iterable[Entry]) -> None:
        self.unsaved_ids += [entry.row.query.id for entry in entries if entry.new_answer is not None]


def _group_size(workers: int) -> int:
    return max(1, min(MAX_GROUP, workers // 4))


def _release_all(waiting: Iterable[asyncio.Future[bool]], saved: bool = True) -> None:
    for each in waiting:
        if not each.done():  # a cancelled worker no longer waits; its entry is saved like the others
            each.set_result(saved)


def _release(group: Iterable[_Waiting], saved: bool) -> None:
    _release_all((waiting for _, waiting in group), saved)
