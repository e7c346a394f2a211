"""Takes each shard through its states: creation, polling, download, reading the results.

Every step is committed before the next one begins, so that a run which is killed anywhere continues from there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from syphus.batch.creation import MOST_TRIES, Creation, ShardDesk, StoppedError
from syphus.batch.ingest import MISSING_CAUSE, IngestCounts, ResultIngester
from syphus.batch.routes import Problem, RouteError, ServerBatch
from syphus.errors import ProviderError
from syphus.ledger.sessions import RequestCounts, RequestKind
from syphus.ledger.shards import (
    LineState,
    Shard,
    ShardState,
    change_shard,
    get_shard,
    line_counts,
    open_total,
    release_lines,
)
from syphus.text import format_duration, pluralize, sentence

FIRST_POLL = 0.2  #: seconds; the pauses grow with the age of the batch
_MOST_LATE = 60  # times the delay of lists: how long after the end a batch may come without files
_POLL_SHARE = 0.05  # of the age
_STUCK = {"validating": 3_600.0, "finalizing": 7_200.0, "cancelling": 3_600.0, "in_progress": 93_600.0}  # seconds
_SERVER_FAULTS = ("internal", "server_error", "unavailable", "timeout")  # in codes of failed batches
MOST_FAILURES = 4  #: of whole batches in a row, without an answer in between
_SIZE_CODES = frozenset({"too_many_tasks", "max_requests_exceeded", "file_too_large", "too_many_requests_in_file"})


class ShardLifecycle:
    """Follows the shards of a stage at one endpoint. Use one for a session."""

    def __init__(self, desk: ShardDesk, creation: Creation, ingester: ResultIngester) -> None:
        self._desk = desk
        self._creation = creation
        self._ingester = ingester
        self._failures_in_a_row = 0  # of whole batches, by faults of the server
        self.on_ended: Callable[[float], None] = lambda _: None  #: gets the seconds that a completed batch took
        self.gone: set[int] = set()  #: shards that the server does not know any more

    # What the driver calls.

    def stop(self) -> None:
        """End all pauses: the session ends."""
        self._desk.stopping.set()

    async def follow(self, shard: Shard, *, once: bool = False) -> Shard:
        """Take a shard through its states; return it settled, or with `once` as soon as it would have to be waited for.

        Raises `StoppedError` if the session ends before, `ProviderError` if the server refuses it.
        """
        while shard.is_open and shard.state is not ShardState.BY_HAND and shard.id not in self.gone:
            if self._desk.stopping.is_set():
                raise StoppedError
            match shard.state:
                case ShardState.RESERVED | ShardState.UPLOADED if self._desk.is_closing and shard.sent_at is None:
                    await self._desk.release(shard, "the deadline was near")
                case ShardState.RESERVED:
                    await self._creation.upload(shard)
                case ShardState.UPLOADED:
                    await self._creation.create(shard)
                    if self._desk.is_closing:
                        await self.cancel(get_shard(self._desk.store, shard.id))
                case ShardState.CREATED:
                    if not await self._poll(shard, once=once):
                        return shard
                case _:
                    if not await self._collect(shard, once=once):
                        return shard
            shard = get_shard(self._desk.store, shard.id)
        return shard

    async def settle_by_hand(self, shard: Shard, counts: IngestCounts, strange: IngestCounts) -> None:
        """Settle a shard whose results the user has brought."""
        await self._settle(shard._replace(status="by hand"), counts, strange)
        self._desk.path_of(shard).unlink(missing_ok=True)

    async def cancel(self, shard: Shard) -> None:
        """Ask the server to cancel a batch; its results are taken in as usual. It is asked a few times."""
        for number in range(MOST_TRIES):
            try:
                batch = await self._desk.routes.cancel(shard.batch_id)
            except RouteError as error:
                if error.problem is Problem.REFUSED:  # it has ended meanwhile
                    return
                await self._desk.pause_after(error, 0.2 * 2**number)
            else:
                await self._desk.change(shard, status=batch.status)
                return

    # The steps.

    async def _poll(self, shard: Shard, *, once: bool) -> bool:
        """Look at a batch until it has ended, with pauses that grow with its age; return whether it has."""
        seen, since, unknown = shard.status, time.time(), 0
        warn_after = _STUCK.get(seen, 0.0)
        while True:
            try:
                batch = await self._desk.routes.get(shard.batch_id)
            except RouteError as error:
                unknown = await self._after_poll_error(shard, error, unknown)
                if shard.id in self.gone:
                    return False
                batch = None
            if batch is not None:
                unknown = 0
                if batch.has_ended:
                    await self._ended(shard, batch)
                    return True
                if batch.status != seen:
                    seen, since, warn_after = batch.status, time.time(), _STUCK.get(batch.status, 0.0)
                    await self._desk.change(shard, status=seen, seen_at=since)
                if once:
                    return False
            age = time.time() - since
            if warn_after and age > warn_after:
                warn_after *= 2
                self._desk.say(
                    f"Batch {shard.batch_id} has been {seen.replace('_', ' ')} for {format_duration(age)}. It is not "
                    "sent again; `syphus batches FOLDER --cancel` cancels it."
                )
            age = time.time() - (shard.created_at or since)
            await self._desk.pause(min(self._desk.config.poll, max(FIRST_POLL, _POLL_SHARE * age)))

    async def _after_poll_error(self, shard: Shard, error: RouteError, unknown: int) -> int:
        """Wait, or raise `ProviderError`; return how often the server did not know the batch, one after the other."""
        if error.problem is Problem.REFUSED:
            raise ProviderError(f"{sentence('The server does not show a batch', str(error))} It stays at the server.")
        if error.problem is Problem.MISSING:
            unknown += 1
            if unknown >= MOST_TRIES and time.time() > (shard.created_at or 0.0) + self._desk.config.listing_delay:
                self.gone.add(shard.id)
                await self._desk.change(shard, problem="the server does not know it any more")
                self._desk.say(
                    f"{self._desk.host} does not know batch {shard.batch_id}: it was deleted, or has another key or "
                    f"project. Its {pluralize(shard.lines, 'request')} may be billed, so they are not sent again. If "
                    "it is lost, `syphus batches FOLDER --give-up` frees its rows."
                )
                return unknown
        elif error.wait is not None:
            await self._desk.pause(min(error.wait, self._desk.session.limits.max_wait))
        return unknown

    async def _ended(self, shard: Shard, batch: ServerBatch) -> None:
        values = {"output_file": batch.output_file, "error_file": batch.error_file, "status": batch.status}
        problem = "; ".join(map(str, batch.errors[:3]))
        await self._desk.change(
            shard, state=ShardState.ENDED, ended_at=time.time(), seen_at=time.time(), problem=problem, **values
        )

    async def _collect(self, shard: Shard, *, once: bool) -> bool:
        """Take in the files of a batch that has ended, and settle its shard; return whether it had files."""
        shard, batch, missing = await self._with_files(shard, once=once)
        if missing:
            return False
        files, unread = await self._download_all(shard)
        found = await self._ingester.read([shard.id], files, self._desk.state, shard.bytes // max(1, shard.lines))
        counts, strange = found[shard.id], found[0]
        if unread and line_counts(self._desk.store, shard.id).get(LineState.OPEN):
            await self._lose(shard, f"{shard.status}, but its results can't be read: {unread}")
            return False
        is_failure = (
            shard.status == "failed"
            and not counts.known
            and not line_counts(self._desk.store, shard.id).get(LineState.ANSWERED)
        )
        await self._settle(shard, counts, strange)
        self._failures_in_a_row = 0 if counts.answered else self._failures_in_a_row
        for path in (*files, self._desk.path_of(shard)):
            path.unlink(missing_ok=True)
        if is_failure and batch is not None:
            await self._after_failure(shard, batch)
        return True

    async def _with_files(self, shard: Shard, *, once: bool) -> tuple[Shard, ServerBatch | None, bool]:
        """Return a shard with the ids of its files, and whether they are missing although there must be some.

        Some servers show them a while after the batch has ended. What may be billed is not sent again on its own.
        """
        batch, ended, wait, has_warned = None, shard.ended_at or 0.0, FIRST_POLL, False
        delay = self._desk.config.listing_delay
        while True:
            with contextlib.suppress(RouteError):
                batch = await self._desk.routes.get(shard.batch_id)
                shard = shard._replace(
                    output_file=batch.output_file or shard.output_file, error_file=batch.error_file or shard.error_file
                )
            expects = shard.status == "completed" or (batch is not None and batch.completed > 0)
            has_any = bool(shard.output_file or shard.error_file)
            if has_any or (batch is not None and not expects):
                return shard, batch, False
            if once or time.time() >= ended + _MOST_LATE * delay:
                break
            if time.time() >= ended + delay and not has_warned:
                has_warned = True
                self._desk.say(f"Batch {shard.batch_id} is {shard.status}, but shows no file of results yet.")
            await self._desk.pause(wait)
            wait = min(self._desk.config.poll, 2 * wait)
        if not once:
            await self._lose(shard, f"{shard.status}, but has no file of results")
        return shard, batch, True

    async def _lose(self, shard: Shard, problem: str) -> None:
        """Give up on a batch for this session: what may be billed is not sent again on its own."""
        self.gone.add(shard.id)
        await self._desk.change(shard, problem=problem, output_file=shard.output_file, error_file=shard.error_file)
        self._desk.say(
            f"Batch {shard.batch_id} is {problem.rstrip('.')}. Its open requests may be billed, so they are not sent "
            "again. If they are lost, `syphus batches FOLDER --give-up` frees their rows."
        )

    async def _download_all(self, shard: Shard) -> tuple[list[Path], str]:
        """Return the files of results that could be read, and why another one could not."""
        files, unread = list[Path](), ""
        for kind, file_id in (("output", shard.output_file), ("errors", shard.error_file)):
            if file_id:
                path = self._desk.folder / f"{shard.fingerprint[:16]}.{kind}.jsonl"
                problem = await self._download(shard, file_id, path)
                unread = unread or problem
                files += [] if problem else [path]
        return files, unread

    async def _download(self, shard: Shard, file_id: str, target: Path) -> str:
        """Write a file of results to `target`; return why the server does not give it, "" if it does."""
        target.parent.mkdir(exist_ok=True)
        wait, missing = min(0.5, self._desk.config.poll), 0
        while True:
            try:
                await self._desk.routes.download(file_id, target, 4 * shard.bytes)
            except RouteError as error:
                missing += error.problem in (Problem.MISSING, Problem.REFUSED)
                if missing >= MOST_TRIES:
                    return str(error)
                await self._desk.pause_after(error, wait)
                wait = min(self._desk.config.poll, 60.0, 2 * wait)
            else:
                return ""

    # What ends a shard.

    async def _settle(self, shard: Shard, counts: IngestCounts, strange: IngestCounts) -> None:
        """Free the lines without a result, and settle the shard.

        Lines that a completed batch lacks, and those that may be among unreadable ones, are perhaps billed.
        """
        missing, bounds = open_total(self._desk.store, shard.id)
        billed = missing if shard.status == "completed" else min(missing, strange.unreadable)

        def write() -> None:
            release_lines(self._desk.store, shard.id)
            states = line_counts(self._desk.store, shard.id)
            change_shard(
                self._desk.store, shard.id,
                state=ShardState.SETTLED, settled_at=time.time(), status=shard.status,
                output_file=shard.output_file, error_file=shard.error_file,
                answered=states.get(LineState.ANSWERED, 0),
                failed=states.get(LineState.REJECTED, 0) + states.get(LineState.FAILED, 0),
                missing=states.get(LineState.MISSING, 0), doubled=counts.doubled,
                unknown=strange.unknown + strange.unreadable,
            )  # fmt: skip
            if missing and (billed or shard.status != "failed"):
                requests = RequestCounts()
                for number in range(missing):
                    requests.add(MISSING_CAUSE, number < billed, 0.0, self._desk.host, RequestKind.FAILED)
                requests.unknown_cost[MISSING_CAUSE] += unknown
                self._desk.session.records.write_request_counts(requests)

        share = bounds * billed / missing if missing else 0.0
        unknown = self._desk.budget.settle(share, None, True)
        self._desk.budget.reserved = max(0.0, self._desk.budget.reserved - (bounds - share))
        await self._desk.session.writer.perform_or_raise(write)
        if shard.status == "failed":
            self._desk.budget.requests -= shard.lines
        if shard.status == "completed" and shard.ended_at is not None and shard.created_at is not None:
            self.on_ended(shard.ended_at - shard.created_at)
        self._say_settled(get_shard(self._desk.store, shard.id), strange)

    def _say_settled(self, shard: Shard, strange: IngestCounts) -> None:
        seconds = (shard.ended_at or 0.0) - (shard.created_at or shard.ended_at or 0.0)
        parts = [f"{shard.answered:,} of {shard.lines:,} answered"]
        for count, what in (
            (shard.failed, "with an error"),
            (shard.missing, "without a result"),
            (shard.doubled, "twice in the files"),
            (strange.unknown, "with the id of no request"),
            (strange.unreadable, "not readable"),
        ):
            if count:
                parts.append(f"{count:,} {what}")
        name = shard.batch_id or f"shard {shard.id}"
        self._desk.say(f"Batch {name}: {shard.status} in {format_duration(seconds)}: {', '.join(parts)}")

    def _may_pass(self, codes: set[str]) -> bool:
        """Return whether a batch failed by a fault of the server, unless others have failed like that before."""
        is_ours = bool(codes - {""}) and not any(word in code for code in codes for word in _SERVER_FAULTS)
        self._failures_in_a_row += 1
        return not is_ours and self._failures_in_a_row < MOST_FAILURES

    async def _after_failure(self, shard: Shard, batch: ServerBatch) -> None:
        """Learn from the errors of a batch that failed as a whole; raise `ProviderError` for those that would recur."""
        codes = {each.code for each in batch.errors}
        if any(each.is_token_limit for each in batch.errors):
            stated = [each.stated_limit for each in batch.errors if each.stated_limit]
            await self._desk.shrink(shard, shard.problem, min(stated, default=None))
        elif codes & _SIZE_CODES:
            self._desk.learn_lines(shard)
        elif self._may_pass(codes):
            self._desk.say(f"Batch {batch.id} failed, but not because of its requests: they are sent again.")
        else:
            said = "; ".join(map(str, batch.errors[:3])) or "it gives no reason"
            raise ProviderError(
                f"{self._desk.host} failed batch {batch.id}: {said}. Nothing was billed. Check the settings."
            )
