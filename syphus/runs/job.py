"""The main job: from a plugin and its annotations to pairs and a MIMIC-IT dataset, or to where it can go on from.

prepare    plugin, prompt, endpoint (prepare.py)
examples   a cold start, where the prompt has none (cold_start/before.py)
open       the ledger: its settings, its input, answers that a changed parser judges anew
ask        the loop, over all rows without an outcome (asking.py)
finish     the files, and the numbers (projections.py)
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from syphus.errors import ConfigError, InterruptError, RunError, StorageError, SyphusError
from syphus.formats.report import Finished, Report, make_report
from syphus.ledger.records import reopen
from syphus.ledger.results import accepted
from syphus.ledger.sessions import get_meta, last_settings, sessions, set_meta
from syphus.ledger.store import Store
from syphus.ledger.summary import asks_nobody, average_size
from syphus.options import Options
from syphus.pipeline.engine import Observer
from syphus.runs.asking import Asker
from syphus.runs.clean import PARSER, judge_anew
from syphus.runs.cold_start.before import with_examples
from syphus.runs.inputs import check_input
from syphus.runs.opening import opening
from syphus.runs.prepare import Prepared, prepare
from syphus.runs.prices import kept_prices
from syphus.runs.projections import forget_exports, open_pairs, write_exports
from syphus.runs.refusal import opened
from syphus.runs.settings import differences, refuse_mixing
from syphus.stages.generate import Generate, parser_digest
from syphus.types import State

STAGE = Generate.name


def run(options: Options, environ: Mapping[str, str], observer: Observer) -> Finished:
    """The whole job. Raises `UsageError` where nothing could be sent, `StorageError` where the ledger is lost."""
    prepared = prepare(options, environ)
    with opened(prepared.options.folder) as store:
        try:
            refuse_mixing(store, prepared.options.offline)
            taught = with_examples(prepared, store, observer)
            if isinstance(taught, SyphusError):
                return Finished(make_report(store, STAGE, kept_prices(store)), taught, (), [])
            return _Job(taught, store, observer).carry_out()
        except StorageError as error:
            return _what_is_left(store, error)


class _Job:
    def __init__(self, prepared: Prepared, store: Store, observer: Observer) -> None:
        self._prepared = prepared
        self._options = prepared.options
        self._store = store
        self._observer = observer
        self._asker = Asker(prepared, store, observer)
        self._stage = Generate(
            prepared.dataset,
            prepared.prefix,
            self._asker.sampling,
            self._asker.vault,
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
        return self._asker.report(STAGE)

    def _settle_settings(self) -> None:
        """A run whose answers were made under other settings needs a decision."""
        before, now = last_settings(self._store, STAGE), self._prepared.settings
        if before is None:
            return
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
        prepared = self._prepared
        if prepared.no_endpoint is not None and not asks_nobody(self._store, STAGE):
            raise prepared.no_endpoint
        for line in opening(prepared, report, average_size(self._store, STAGE)):
            self._observer.say(line)
        return self._asker.ask(self._stage, prepared.settings, report, open_pairs(self._store, STAGE))

    def _finish(self, stopped_by: SyphusError | None) -> Finished:
        report = self._report()
        files: tuple[str, ...] = ()
        if not (isinstance(stopped_by, InterruptError) and stopped_by.at_once):
            files = write_exports(self._store, STAGE, self._prepared.dataset.short_name, report)
        sample = [pair for result in itertools.islice(accepted(self._store, STAGE), 2) for pair in result.pairs[:1]]
        return Finished(report, stopped_by, files, sample)


def _what_is_left(store: Store, fault: StorageError) -> Finished:
    """After the disk failed: what it holds. Raises `fault` where that can't be said any more."""
    try:
        store.check_place()
        return Finished(make_report(store, STAGE, kept_prices(store)), fault, (), [])
    except StorageError:
        raise fault from None
