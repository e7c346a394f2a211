"""Run one session: ask a model about every pending query of a stage, within the run's budget.

A stage has a name, queries that are registered in the ledger under that name (`ledger.inputs.register`), and settings
that its answers depend on. Everything else about asking is the same for all stages, and is here.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import orjson

from syphus.batch.by_hand import check_by_hand
from syphus.batch.gather import FOLDER
from syphus.batch.plan import plan_batches
from syphus.batch.run import run_by_batch
from syphus.config.options import NEVER
from syphus.config.pricing import BATCH_TIER
from syphus.config.sampling import resolve_sampling
from syphus.config.settings import Config
from syphus.endpoints.prompt_cache import cache_rules
from syphus.endpoints.request import RequestBuilder
from syphus.endpoints.routes import CHAT_ROUTE, ApiRoute
from syphus.endpoints.structured import RESPONSE_FORMAT, AnswerFormat, AnswerFormats
from syphus.errors import ConfigError, InterruptError, StorageError, SyphusError, UsageError
from syphus.formats.report import Report, make_report
from syphus.formats.run_files import PAIRS_FILE, PairsFile
from syphus.images.prompt.attachments import IMAGES_FOLDER
from syphus.ledger.control_desk import ControlName, ControlSettings
from syphus.ledger.controls import SessionControls, read_controls
from syphus.ledger.records import Records
from syphus.ledger.sessions import (
    Settings,
    begin_session,
    end_session,
    forget_session,
    get_meta,
    has_sessions,
    last_settings,
    set_meta,
)
from syphus.ledger.shards import open_requests
from syphus.ledger.store import FILE, LOCK, Store, open_for_writing
from syphus.ledger.summary import needs_no_model
from syphus.model_names import is_free
from syphus.pipeline.budget import Billing, Budget, TokenEstimate, add_earlier
from syphus.pipeline.engine import run_stage
from syphus.pipeline.observer import Observer
from syphus.pipeline.run_control import StageControl
from syphus.pipeline.session_context import SessionStats
from syphus.pipeline.stage import Stage
from syphus.pipeline.stage_run import StageRun
from syphus.runs.cluster_options import check_sharing, open_fleet, with_sharing
from syphus.runs.control import changes_before
from syphus.runs.model_life import life_notice, stated_ends
from syphus.runs.open_files import limit_threads
from syphus.runs.prepare import RunContext, budget_problem
from syphus.runs.run_settings import requested_tier, store_limits, store_prices, stored_prices
from syphus.runs.snapshots import LEFT_BEHIND
from syphus.types import State

if TYPE_CHECKING:
    from syphus.simulator.settings import Simulation

T = TypeVar("T")

DEFAULT_ROUNDS = 1  #: further answers for a query, unless the user says otherwise


class StageRunner:
    """Asks the model of `context.config` for any stage of the run in `store`. `close` it.

    `request_builder` makes the requests, `attachments` their images. Another model needs another runner. `simulation`
    is the simulated endpoint for `--offline`. Raises `ConfigError` for a `--batch-file` or a cluster of no use.
    """

    def __init__(
        self,
        context: RunContext,
        store: Store,
        observer: Observer,
        route: ApiRoute = CHAT_ROUTE,
        simulation: Simulation | None = None,
    ) -> None:
        check_by_hand(context.options.batch_file, context.options.batch_results)
        check_sharing(context.options)
        self._fleet = open_fleet(context.options)
        self._context = context
        self._simulation = simulation
        self._store = store
        self._observer = observer
        self._route = route
        model = context.config.model
        self.attachments = context.attachments(store.folder)
        self._sampling = resolve_sampling(context.config)
        server = f"{model} at {context.endpoint}"
        self._formats_meta = f"answer formats of {server}"
        formats = AnswerFormats(server, str(get_meta(store, self._formats_meta) or ""), self._note)
        fields, left_out, cache = self._sampling.fields, self._sampling.left_out, cache_rules(context.config)
        if RESPONSE_FORMAT in left_out or RESPONSE_FORMAT in str(get_meta(store, f"adapted {model}")):
            formats.current = AnswerFormat.TEXT  # that is all that an earlier version has learnt
        self.request_builder = RequestBuilder(model, fields, self.attachments, cache, left_out, formats)
        self.redactor = context.redactor
        self._has_said = False
        self.uses_batches = route.generates_text  #: if the options say so; what a person waits for is asked online

    def close(self) -> None:
        """Release the images."""
        self.attachments.close()

    def _note(self, change: str) -> None:
        """Keep and say what was learnt about the server. The next commit makes it durable."""
        set_meta(self._store, self._formats_meta, self.request_builder.formats.as_json())
        self._observer.say(change)

    def report(self, stage: str, brief: bool = False) -> Report:
        """Return the numbers of a stage, and what the run has cost so far; without translations if `brief`."""
        return make_report(self._store, stage, stored_prices(self._store), brief)

    def run(
        self,
        stage: Stage,
        settings: Settings,
        report: Report,
        pairs: PairsFile | None = None,
        max_rounds: int | None = None,
        trusted: bool = False,
        only: Collection[int] | None = None,
        pairs_wanted: int | None = None,
    ) -> SyphusError | None:
        """Run one session over all pending queries of the stage. Return what stopped it, or None if all are done.

        `settings` is what the answers depend on, JSON values, with the model's name as "model". `report` holds the
        stage's current numbers. `pairs` is a file that grows with the accepted pairs. `max_rounds` limits the further
        answers for a query; by default the options do. `trusted` settings have brought answers in another stage. With
        `only`, the session is about the pending queries with these numbers; after `pairs_wanted` accepted pairs it
        ends with an `EnoughError`. Raises `StorageError` if the disk failed, `ConfigError` if nothing could be sent;
        such a session leaves no trace.
        """
        if not needs_no_model(self._store, stage.name):
            self.check_model()
        trusted = trusted or self._have_worked_before(stage.name, settings, report)
        stage_run = self._stage_run(stage, settings, report, pairs, trusted, only)
        stage_run = replace(stage_run, pairs_wanted=pairs_wanted)
        if max_rounds is not None:
            stage_run = replace(stage_run, max_rounds=max_rounds)
        started, began = time.monotonic(), time.time()
        try:
            stopped_by = _run_to_completion(self._run_session(stage_run))
        except KeyboardInterrupt:  # before the loop handles Ctrl-C itself, or after it: no request is in flight
            stopped_by = InterruptError("Stopped.")
        if isinstance(stopped_by, StorageError):
            raise stopped_by
        seconds = time.monotonic() - started
        self._end_session(stage_run, stopped_by, seconds, began + seconds)
        return stopped_by

    def _end_session(self, stage_run: StageRun, stopped_by: SyphusError | None, seconds: float, now: float) -> None:
        """Keep what a session has learnt, and its end. Raises `stopped_by` if nothing could be sent."""
        if isinstance(stopped_by, ConfigError) and not stage_run.stats.requests:
            forget_session(self._store, stage_run.records.session)
            raise stopped_by
        store_limits(self._store, stage_run.stats.stated_limits)
        if self.request_builder.formats.is_used:
            set_meta(self._store, self._formats_meta, self.request_builder.formats.as_json())
        end_session(self._store, stage_run.records.session, str(stopped_by or ""), seconds, now)

    def check_model(self) -> None:
        """Say once what is sent in another way than the user set it, and when the model's service ends.

        `run` does so, too. Raises `ConfigError` if the end is in the past.
        """
        config = self._context.config
        if self._has_said or self._context.options.offline or is_free(config.model):
            return
        self._has_said = True
        today = datetime.now(UTC).date()
        for line in (life_notice(config, self._stated_ends(today), today), *self._sampling.notes):
            if line:
                self._observer.say(line)

    def _stated_ends(self, today: date) -> dict[str, date | None]:
        """Return the ends of models that the server states. It is asked once a day; the run keeps its answer."""
        endpoint = self._context.config.endpoints[0]
        name = f"model ends at {endpoint.host}"
        kept = orjson.loads(str(get_meta(self._store, name) or "{}"))
        if kept.get("day") != str(today):
            ends = _run_to_completion(stated_ends(self._context.config, self.redactor))
            kept = {"day": str(today), "ends": {model: end and str(end) for model, end in ends.items()}}
            set_meta(self._store, name, orjson.dumps(kept).decode())
        return {model: end and date.fromisoformat(end) for model, end in kept["ends"].items()}

    def _stage_run(
        self,
        stage: Stage,
        settings: Settings,
        report: Report,
        pairs: PairsFile | None,
        trusted: bool,
        only: Collection[int] | None,
    ) -> StageRun:
        context, options = self._context, self._context.options
        stage_control = self._stage_control()
        threads = stage_control.controls.in_force.threads
        store_prices(self._store, context.config.prices)
        in_flight = 0 if self._asks_by_batch else threads  # what may be lost if it is killed
        session = begin_session(
            *(self._store, stage.name, settings, in_flight, context.endpoint, time.time()),
            controls=stage_control.controls,
        )
        return StageRun(
            stage=stage,
            route=self._route,
            store=self._store,
            records=Records(self._store, stage.name, session, only),
            pairs=pairs,
            budget=self._budget(report, stage_control.controls.in_force),
            stats=_session_stats(report, only),
            redactor=self.redactor,
            threads=threads,
            max_rounds=DEFAULT_ROUNDS if options.max_rounds is None else options.max_rounds,
            trusted=trusted,
            seed=options.seed,
            drain_seconds=options.drain,
            control=stage_control,
            fleet=self._fleet,
        )

    def _stage_control(self) -> StageControl:
        """Return what people may change while a stage works; what they changed in the stage before stays so."""
        options, endpoints, desk = self._context.options, self._context.config.endpoints, self._store.desk
        assert desk is not None, "a run has its ledger open for writing"
        if not desk.has_begun and (line := changes_before(read_controls(self._store))):
            self._observer.say(line)
        desk.has_begun = True
        given = ControlSettings(
            self._limit_threads(max(1, options.num_threads)),
            max((each.requests_per_minute for each in endpoints if each.requests_per_minute), default=None),
            max((each.tokens_per_minute for each in endpoints if each.tokens_per_minute), default=None),
            options.max_cost,
            options.max_requests,
        )
        in_force = given.with_changes(desk.changed)
        if in_force.threads != given.threads:
            in_force = in_force.with_changes({ControlName.THREADS: self._limit_threads(in_force.threads)})
        return StageControl(desk, SessionControls(given, in_force), self._store, self._allow_threads)

    @property
    def _asks_by_batch(self) -> bool:
        return self.uses_batches and self._context.options.batch != NEVER

    def _budget(self, report: Report, controls: ControlSettings) -> Budget:
        """Return the run's budget over all stages and sessions. Calls that a crash cut off count as made."""
        context = self._context
        requests = report.spending.requests + report.unfinished_calls
        billing = Billing(
            stored_prices(self._store),
            context.config.model,
            BATCH_TIER if self._asks_by_batch else requested_tier(context.config),
            any(endpoint.is_regional for endpoint in context.config.endpoints),
            self._observer.say,
        )
        limits = controls.max_cost, controls.max_requests
        budget = Budget(context.price, *limits, report.cost or 0.0, requests, billing)
        max_tokens = TokenEstimate(self._sampling.answer_limit).max_tokens
        add_earlier(budget, report.spending, report.unfinished_cost, max_tokens)
        if self._route.generates_text:
            budget.why_unbounded = budget_problem(context)
        if report.cost is None:
            unknown = "The cost of earlier answers is not known, so --max-cost can't be kept. Add the prices."
            budget.why_unbounded = budget.why_unbounded or unknown
        waiting, reserved = open_requests(self._store)
        budget.requests, budget.reserved = budget.requests + waiting, budget.reserved + reserved
        return budget

    def _have_worked_before(self, stage: str, settings: Settings, report: Report) -> bool:
        """Return whether the same settings have brought answers in an earlier session."""
        same = last_settings(self._store, stage) == settings
        return bool(same and report.counts.states[State.OK] and report.sessions[-1].endpoint == self._context.endpoint)

    def _limit_threads(self, threads: int) -> int:
        threads, warning = self._allow_threads(threads)
        if warning:
            self._observer.say(warning)
        return threads

    def _allow_threads(self, threads: int) -> tuple[int, str]:
        context = self._context
        return limit_threads(threads, 2 if context.options.offline else len(context.config.endpoints))  # both ends

    async def _run_session(self, stage_run: StageRun) -> SyphusError | None:
        assert stage_run.control is not None
        given, now = stage_run.control.controls
        changed = {"requests_per_minute": (given.rpm, now.rpm), "tokens_per_minute": (given.tpm, now.tpm)}
        update = {name: after for name, (before, after) in changed.items() if after != before}
        async with self._reachable_config() as config:
            if update:  # in the stage before
                endpoints = tuple(each.model_copy(update=update) for each in config.endpoints)
                config = config.model_copy(update={"endpoints": endpoints})
            plan = plan_batches(self._context.options, self._store, stage_run.stage.name)
            if plan is not None and self.uses_batches:
                return await run_by_batch(stage_run, config, self._observer, plan)
            return await run_stage(with_sharing(stage_run, self._context.options, config), config, self._observer)

    @contextlib.asynccontextmanager
    async def _reachable_config(self) -> AsyncIterator[Config]:
        """The config; with `--offline`, one whose endpoint is a simulated server that runs meanwhile."""
        config = self._context.config
        if not self._context.options.offline:
            yield config
            return
        from syphus.simulator import serve  # loaded only for --offline
        from syphus.simulator.settings import Simulation, with_quick_batches

        simulation = self._simulation or Simulation(seed=self._context.options.seed)
        if self._context.options.batch != NEVER:
            simulation = with_quick_batches(simulation, str(self._store.folder / FOLDER / "simulated"))
        async with serve(simulation) as server:
            found = {"base_url": server.url, "name": "simulated endpoint"}
            yield config.model_copy(update={"endpoints": (config.endpoints[0].model_copy(update=found),)})


def _session_stats(report: Report, only: Collection[int] | None) -> SessionStats:
    """Return the counters of a session; one that is about a few queries counts the others that are pending as none."""
    states = Counter(report.counts.states)
    if only is not None:
        states[State.PENDING] = len(only)
    return SessionStats(states.total(), states)


def _run_to_completion(session: Coroutine[None, None, T]) -> T:
    """Run a coroutine. If an event loop is already running, as in a notebook, use another thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(session)
    with ThreadPoolExecutor(1, "syphus") as thread:
        return thread.submit(asyncio.run, session).result()


@contextlib.contextmanager
def open_run_folder(folder: Path) -> Iterator[Store]:
    """Open the run's ledger for writing. Raises what `open_for_writing` raises.

    If a `UsageError` ends the block before the first session, the folders that were made for the run are removed.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    store = open_for_writing(folder)
    try:
        yield store
    except UsageError:
        is_unused = folder in new and not has_sessions(store)
        store.close()
        if is_unused:
            _remove(folder, new)
        raise
    finally:
        store.close()


def _remove(folder: Path, new: list[Path]) -> None:
    with contextlib.suppress(OSError):  # other files are in it: keep the folder
        shutil.rmtree(folder / IMAGES_FOLDER, ignore_errors=True)
        for name in (f"{FILE}-wal", f"{FILE}-shm", FILE, LOCK, PAIRS_FILE, *LEFT_BEHIND):
            (folder / name).unlink(missing_ok=True)
        for each in new:
            each.rmdir()
