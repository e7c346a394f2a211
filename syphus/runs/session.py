"""Asking: one session of the loop for whatever stage of a run, within the run's one budget.

A stage of a run has a name, queries that are registered in the ledger under it (`ledger.inputs.register`), and settings
that its answers depend on. Everything else about asking is the same for all, and is here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from syphus.config.pricing import Price
from syphus.config.settings import Config
from syphus.endpoints.request import RequestBuilder
from syphus.endpoints.routes import CHAT_ROUTE, ApiRoute
from syphus.errors import StorageError, SyphusError, UsageError
from syphus.formats.report import Report, make_report
from syphus.formats.run_files import PairsFile
from syphus.images.prompt.attachments import IMAGES_FOLDER
from syphus.ledger.records import Records
from syphus.ledger.sessions import Settings, begin_session, end_session, get_meta, has_sessions, last_settings, set_meta
from syphus.ledger.store import FILE, LOCK, Store, open_for_writing
from syphus.pipeline.budget import Budget, TokenEstimate
from syphus.pipeline.engine import Observer, StageRun, run_stage
from syphus.pipeline.session_stats import SessionStats
from syphus.pipeline.stage import Stage
from syphus.runs.prepare import RunContext
from syphus.runs.run_settings import sampling_parameters, store_prices, stored_prices
from syphus.text import pluralize
from syphus.types import State
from syphus.version import __version__

if TYPE_CHECKING:
    from syphus.simulator.settings import Simulation

# FOLDED from descriptors.py:
# Every connection takes a file descriptor, and a process has only so many: often 1,024, on macOS 256.
#
# Running out of them looks like a broken network in the middle of a run, so it is settled before the first request.

SPARE_DESCRIPTORS = 20  #: for files that are opened later: pairs.jsonl, exports, lookups of hosts, what a plugin reads


def limit_threads(threads: int, each: int) -> tuple[int, str]:
    """How many of `threads` calls may be in flight, each taking `each` descriptors; if not all, a line for a person.

    Raises the limit of this process first, as far as the system allows. Windows has no such limit.
    """
    try:
        import resource  # POSIX only
    except ImportError:
        return threads, ""
    taken = _open_now() + SPARE_DESCRIPTORS
    needed = taken + threads * each
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return threads, ""
    fewer = max(1, (soft - taken) // each)
    return (
        fewer,
        f"Only {soft:,} files may be open at once (ulimit -n): {pluralize(fewer, 'call')} in flight, not {threads:,}.",
    )


def _open_now() -> int:
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - only how many
    except OSError:
        return 3


DEFAULT_ROUNDS = 1  #: further answers for a query, where the user does not say


class StageRunner:
    """Asks one model, that of `prepared.config`, for any stage of the run in `store`.

    `sampling` is what requests are made with, and `album` their images; what the model turns out not to take is kept
    with the run. For another model, make another Asker from a `Prepared` with another config. `simulation` is the
    simulated endpoint that answers with `--offline`, if it is not the usual one. `close` it.
    """

    def __init__(
        self,
        prepared: RunContext,
        store: Store,
        observer: Observer,
        route: ApiRoute = CHAT_ROUTE,
        simulation: Simulation | None = None,
    ) -> None:
        self._prepared = prepared
        self._simulation = simulation
        self._store = store
        self._observer = observer
        self._service = route
        self._adapted = f"adapted {prepared.config.model}"  # meta: the sampling parameters that the model does not take
        adapted = orjson.loads(str(get_meta(store, self._adapted) or "[]"))
        self.attachments = prepared.attachments(store.folder)
        self.request_builder = RequestBuilder(
            prepared.config.model, sampling_parameters(prepared.config), adapted, self.attachments
        )
        self.redactor = prepared.redactor

    def close(self) -> None:
        """Lets go of the images."""
        self.attachments.close()

    def report(self, stage: str, brief: bool = False) -> Report:
        """A stage in numbers, and what the run has cost so far; `brief` without translations."""
        return make_report(self._store, stage, stored_prices(self._store), brief)

    def run(
        self,
        stage: Stage,
        settings: Settings,
        report: Report,
        pairs: PairsFile | None = None,
        max_rounds: int | None = None,
        trusted: bool = False,
    ) -> SyphusError | None:
        """One session: asks for every pending query of the stage; returns what stopped it, None when all is done.

        `settings` is what the answers depend on, JSON values with the name of the model as "model"; `report` the
        stage's numbers as they are; `pairs` a file that grows with the accepted pairs; `max_rounds` is how many further
        answers the stage may want for a query, by default as many as the user says; `trusted` settings have brought
        answers in another stage. Raises `StorageError` where the disk failed.
        """
        trusted = trusted or self._trusted(stage.name, settings, report)
        work = self._work(stage, settings, report, pairs, trusted)
        if max_rounds is not None:
            work = replace(work, max_rounds=max_rounds)
        clock, session = time.monotonic(), work.records.session
        began = time.time()
        stopped_by = _run_anywhere(self._session(work))
        if isinstance(stopped_by, StorageError):
            raise stopped_by
        set_meta(self._store, self._adapted, orjson.dumps(self.request_builder.adapted).decode())
        seconds = time.monotonic() - clock
        end_session(self._store, session, str(stopped_by or ""), seconds, began + seconds)
        return stopped_by

    def _work(
        self, stage: Stage, settings: Settings, report: Report, pairs: PairsFile | None, trusted: bool
    ) -> StageRun:
        prepared, options = self._prepared, self._prepared.options
        threads = self._fitting_threads()
        store_prices(self._store, prepared.config.prices)
        session = begin_session(self._store, stage.name, settings, threads, prepared.endpoint, __version__, time.time())
        return StageRun(
            stage=stage,
            route=self._service,
            store=self._store,
            records=Records(self._store, stage.name, session),
            pairs=pairs,
            budget=self._budget(report),
            stats=SessionStats(report.counts.total, Counter(report.counts.states)),
            redactor=self.redactor,
            threads=threads,
            max_rounds=DEFAULT_ROUNDS if options.max_rounds is None else options.max_rounds,
            trusted=trusted,
            seed=options.seed,
            drain_seconds=options.drain,
        )

    def _budget(self, report: Report) -> Budget:
        """The run's, over all stages and sessions; of calls that a crash cut off each counts as made."""
        options = self._prepared.options
        requests = report.spending.requests + report.unfinished_calls
        return Budget(self._prepared.price, options.max_cost, options.max_requests, self._spent(report), requests)

    def _spent(self, report: Report) -> float:
        """Dollars so far. Calls that may have been billed without an answer count in full, as when they were made."""
        price, spending = self._dearest(report), report.spending
        if price is None:
            return report.cost or 0.0
        longest = TokenEstimate(self._prepared.config.max_tokens).max_tokens
        completion = min(spending.unknown_tokens, spending.maybe_billed * longest)
        answers = sum(use.answers for use in spending.models)
        prompt = spending.usage.prompt_tokens / answers if answers else 0.0
        lost = price.max_cost(report.unfinished_calls * prompt, report.unfinished_calls * longest)
        return (report.cost or 0.0) + price.max_cost(spending.unknown_tokens - completion, completion) + lost

    def _dearest(self, report: Report) -> Price | None:
        """The highest price of a model that the run has asked, for what nobody knows who was asked for it."""
        prices = stored_prices(self._store)
        asked = [self._prepared.price, *(prices.find(use.configured_model) for use in report.spending.models)]
        return max((price for price in asked if price), key=lambda price: price.max_cost(1, 1), default=None)

    def _trusted(self, stage: str, settings: Settings, report: Report) -> bool:
        """Whether these very settings have brought answers before; asked before the session begins."""
        same = last_settings(self._store, stage) == settings
        return bool(same and report.counts.states[State.OK] and report.sessions[-1].endpoint == self._prepared.endpoint)

    def _fitting_threads(self) -> int:
        prepared = self._prepared
        each = 2 if prepared.options.offline else len(prepared.config.endpoints)  # offline: both ends are ours
        threads, told = limit_threads(prepared.options.num_threads, each)
        if told:
            self._observer.say(told)
        return threads

    async def _session(self, work: StageRun) -> SyphusError | None:
        async with self._endpoint() as config:
            return await run_stage(work, config, self._observer)

    @contextlib.asynccontextmanager
    async def _endpoint(self) -> AsyncIterator[Config]:
        config = self._prepared.config
        if not self._prepared.options.offline:
            yield config
            return
        from syphus.simulator import serve  # a server, and only who works offline needs one
        from syphus.simulator.settings import Simulation

        async with serve(self._simulation or Simulation(seed=self._prepared.options.seed)) as server:
            endpoint = config.endpoints[0].model_copy(update={"base_url": server.url})
            yield config.model_copy(update={"endpoints": (endpoint,)})


def _run_anywhere(session: Coroutine[None, None, SyphusError | None]) -> SyphusError | None:
    """Runs it to the end, also where a loop is running already, as in a notebook: then in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(session)
    with ThreadPoolExecutor(1, "syphus") as thread:
        return thread.submit(asyncio.run, session).result()


# FOLDED from refusal.py:
# A run that is refused before its first session leaves nothing behind.


@contextlib.contextmanager
def open_run_folder(folder: Path) -> Iterator[Store]:
    """The run's ledger, open for writing.

    Where a `UsageError` ends the block before any stage has asked anything, the folders that were made for it go again.
    Raises what `open_for_writing` does.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    store = open_for_writing(folder)
    try:
        yield store
    except UsageError:
        in_vain = folder in new and not has_sessions(store)
        store.close()
        if in_vain:
            _remove(folder, new)
        raise
    finally:
        store.close()


def _remove(folder: Path, new: list[Path]) -> None:
    with contextlib.suppress(OSError):  # somebody else has put something there: then it stays
        shutil.rmtree(folder / IMAGES_FOLDER, ignore_errors=True)
        for name in (f"{FILE}-wal", f"{FILE}-shm", FILE, LOCK):
            (folder / name).unlink(missing_ok=True)
        for each in new:
            each.rmdir()
