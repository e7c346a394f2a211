"""The main job: from a plugin and its annotations to pairs and a MIMIC-IT dataset, or to where it can go on from.

prepare    plugin, prompt, endpoint (prepare.py)
open       the ledger: its settings, its input, answers that a changed parser judges anew
ask        the loop, over all rows without an outcome (engine.py)
finish     the files, and the numbers (projections.py)
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor

import orjson

from syphus.config import Config
from syphus.errors import ConfigError, InterruptError, RunError, StorageError, SyphusError
from syphus.formats.report import Finished, Report, make_report
from syphus.ledger.records import Records, reopen
from syphus.ledger.results import accepted
from syphus.ledger.sessions import begin_session, end_session, get_meta, last_settings, sessions, set_meta
from syphus.ledger.store import Store
from syphus.ledger.summary import asks_nobody, average_size
from syphus.options import Options
from syphus.pipeline.budget import Budget
from syphus.pipeline.engine import Observer, Work, run_stage
from syphus.pipeline.estimate import TokenEstimate
from syphus.pipeline.tally import Tally
from syphus.runs.clean import PARSER, judge_anew
from syphus.runs.descriptors import fitting_threads
from syphus.runs.inputs import check_input
from syphus.runs.opening import opening
from syphus.runs.prepare import Prepared, prepare
from syphus.runs.prices import keep_prices, kept_prices
from syphus.runs.projections import forget_exports, open_pairs, write_exports
from syphus.runs.refusal import opened
from syphus.runs.settings import differences, sampling_parameters
from syphus.sampling import Sampling
from syphus.stages.generate import Generate, parser_digest
from syphus.types import State
from syphus.version import __version__

STAGE = Generate.name
_ADAPTED = f"{STAGE} adapted"  # meta: the sampling parameters that the model does not take


def run(options: Options, environ: Mapping[str, str], observer: Observer) -> Finished:
    """The whole job. Raises `UsageError` where nothing could be sent, `StorageError` where the ledger is lost."""
    prepared = prepare(options, environ)
    with opened(prepared.options.folder, STAGE) as store:
        try:
            return _Job(prepared, store, observer).carry_out()
        except StorageError as error:
            return _what_is_left(store, error)


class _Job:
    def __init__(self, prepared: Prepared, store: Store, observer: Observer) -> None:
        self._prepared = prepared
        self._options = prepared.options
        self._store = store
        self._observer = observer
        adapted = orjson.loads(str(get_meta(store, _ADAPTED) or "[]"))
        self._sampling = Sampling(prepared.config.model, sampling_parameters(prepared.config), adapted)
        self._vault = prepared.vault
        self._stage = Generate(
            prepared.dataset,
            prepared.prefix,
            self._sampling,
            self._vault,
            share_answers=not prepared.options.no_sharing,
            hook_seconds=prepared.config.plugin_timeout,
        )

    def carry_out(self) -> Finished:
        self._settle_settings()
        self._open_input()
        self._judge_anew()
        if self._options.retry:
            self._reopen()
        report = self._report()
        if report.counts.states[State.PENDING]:
            return self._finish(self._ask(report))
        self._observer.say("Nothing to do: no request was made.")
        return self._finish(None)

    def _report(self) -> Report:
        return make_report(self._store, STAGE, kept_prices(self._store))

    def _settle_settings(self) -> None:
        """A run whose answers were made under other settings needs a decision."""
        before, now = last_settings(self._store, STAGE), self._prepared.settings
        if before is None:
            return
        if before.get("simulated") != now["simulated"]:
            kind = "made-up answers of the simulated endpoint" if before.get("simulated") else "answers of a real model"
            raise RunError(f"{self._store.folder} holds {kind}, which are never mixed. Use another --dataset_version.")
        changes = differences(before, now)
        if changes and not self._options.accept_changes:
            raise RunError(
                f"{self._store.folder} was made with other settings: {'; '.join(changes)}. Use --dataset_version for a "
                "new run, or --accept-changes to go on with the new settings for the rows that are left."
            )

    def _open_input(self) -> None:
        plugin = self._prepared.plugin.digest()
        known = bool(sessions(self._store, STAGE))
        check = check_input(self._store, STAGE, self._prepared.dataset, self._options, plugin, self._observer.reading)
        if check is not None and known and (check.new or check.changed or check.gone):
            self._observer.say(
                f"The input has changed: {check.new:,} new, {check.changed:,} changed, {check.gone:,} gone."
            )

    def _judge_anew(self) -> None:
        """A changed parser costs nothing: every answer that is here is read again."""
        now = parser_digest(self._prepared.plugin.path)
        if now == get_meta(self._store, PARSER):
            return
        if sessions(self._store, STAGE):
            changed = judge_anew(self._store, self._stage, self._prepared.plugin, self._observer)
            self._observer.say(
                f"The parser or the plugin has changed: answers were read again, {changed:,} differ now."
            )
        else:
            set_meta(self._store, PARSER, now)
            self._store.commit()

    def _reopen(self) -> None:
        if State.TRUNCATED in self._options.retry and self._report().counts.states[State.TRUNCATED]:
            before, now = (last_settings(self._store, STAGE) or {}).get("max_tokens"), self._prepared.config.max_tokens
            if isinstance(before, int) and now is not None and now <= before:
                raise ConfigError(
                    f"Truncated answers would be cut off at {now} tokens once more. "
                    f"Add --max-tokens with more than {before}, and --accept-changes."
                )
        forget_exports(self._store)
        count = reopen(self._store, STAGE, self._options.retry)
        self._observer.say(f"To be asked again ({', '.join(self._options.retry)}): {count:,}.")

    def _ask(self, report: Report) -> SyphusError | None:
        """One session of the loop; returns what stopped it. Raises `StorageError` where the disk failed."""
        prepared, options = self._prepared, self._options
        asking = not asks_nobody(self._store, STAGE)
        if asking and prepared.no_endpoint is not None:
            raise prepared.no_endpoint
        for line in opening(prepared, report, average_size(self._store, STAGE), asking):
            self._observer.say(line)
        threads = self._fitting_threads()
        began, clock = time.time(), time.monotonic()
        keep_prices(self._store, prepared.config.prices)
        trusted = self._trusted(report)
        session = begin_session(self._store, STAGE, prepared.settings, threads, prepared.endpoint, __version__, began)
        work = Work(
            stage=self._stage,
            store=self._store,
            records=Records(self._store, STAGE, session),
            pairs=open_pairs(self._store, STAGE),
            budget=Budget(
                prepared.price,
                options.max_cost,
                options.max_requests,
                self._spent(report),
                report.spending.requests + report.cut_off,
            ),
            tally=Tally(report.counts.total, Counter(report.counts.states)),
            vault=self._vault,
            threads=threads,
            max_rounds=options.max_rounds,
            trusted=trusted,
            seed=options.seed,
            drain=options.drain,
        )
        stopped_by = _run_anywhere(self._session(work))
        if isinstance(stopped_by, StorageError):
            raise stopped_by
        set_meta(self._store, _ADAPTED, orjson.dumps(self._sampling.adapted).decode())
        end_session(
            self._store, session, str(stopped_by or ""), time.monotonic() - clock, began + time.monotonic() - clock
        )
        return stopped_by

    def _spent(self, report: Report) -> float:
        """Dollars so far. Calls that may have been billed without an answer count in full, as when they were made."""
        price, spending = self._prepared.price, report.spending
        if price is None:
            return report.cost or 0.0
        longest = TokenEstimate(self._prepared.config.max_tokens).max_tokens
        completion = min(spending.unknown_tokens, spending.maybe_billed * longest)
        answers = sum(use.answers for use in spending.models)
        prompt = spending.usage.prompt_tokens / answers if answers else 0.0
        lost = price.worst(report.cut_off * prompt, report.cut_off * longest)
        return (report.cost or 0.0) + price.worst(spending.unknown_tokens - completion, completion) + lost

    def _trusted(self, report: Report) -> bool:
        """Whether these very settings have brought answers before; asked before the session begins."""
        same = last_settings(self._store, STAGE) == self._prepared.settings
        return bool(same and report.counts.states[State.OK] and report.sessions[-1].endpoint == self._prepared.endpoint)

    def _fitting_threads(self) -> int:
        each = 2 if self._options.offline else len(self._prepared.config.endpoints)  # offline: both ends are ours
        threads, told = fitting_threads(self._options.num_threads, each)
        if told:
            self._observer.say(told)
        return threads

    async def _session(self, work: Work) -> SyphusError | None:
        async with self._endpoint() as config:
            return await run_stage(work, config, self._observer)

    @contextlib.asynccontextmanager
    async def _endpoint(self) -> AsyncIterator[Config]:
        config = self._prepared.config
        if not self._options.offline:
            yield config
            return
        from syphus.endpoints.simulated import Simulation, serve  # a server, and only who works offline needs one

        async with serve(Simulation(seed=self._options.seed)) as server:
            endpoint = config.endpoints[0].model_copy(update={"base_url": server.url})
            yield config.model_copy(update={"endpoints": (endpoint,)})

    def _finish(self, stopped_by: SyphusError | None) -> Finished:
        report = self._report()
        files: tuple[str, ...] = ()
        if not (isinstance(stopped_by, InterruptError) and stopped_by.at_once):
            files = write_exports(self._store, STAGE, self._prepared.dataset.short_name, report)
        first = itertools.islice(accepted(self._store, STAGE), 2)
        return Finished(report, stopped_by, files, [pair.as_pair() for result in first for pair in result.pairs[:1]])


def _what_is_left(store: Store, fault: StorageError) -> Finished:
    """After the disk failed: what it holds. Raises `fault` where that can't be said any more."""
    try:
        store.check_place()
        return Finished(make_report(store, STAGE, kept_prices(store)), fault, (), [])
    except StorageError:
        raise fault from None


def _run_anywhere(session: Coroutine[None, None, SyphusError | None]) -> SyphusError | None:
    """Runs it to the end, also where a loop is running already, as in a notebook: then in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(session)
    with ThreadPoolExecutor(1, "syphus") as thread:
        return thread.submit(asyncio.run, session).result()
