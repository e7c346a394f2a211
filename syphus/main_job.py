"""The main job: from a plugin and its annotations to pairs and a MIMIC-IT dataset, or to where it can go on from.

prepare    plugin, prompt, endpoint (prepare.py)
examples   a cold start, where the prompt has none (cold_start/before.py)
open       the ledger: its settings, its input, answers that a changed parser judges anew
ask        the loop, over all rows without an outcome (asking.py)
finish     the files, and the numbers (projections.py)
translate  the pairs, where that is wanted, too (translating/)
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping

from syphus.config.options import AUTO, NEVER, Options
from syphus.errors import ConfigError, InterruptError, RunError, StorageError, SyphusError
from syphus.formats.context import check_own_train_file
from syphus.formats.report import Report, RunResult, make_report
from syphus.formats.train import summarize_problems
from syphus.ledger.records import reopen
from syphus.ledger.results import accepted
from syphus.ledger.sessions import get_meta, last_settings, sessions, set_meta
from syphus.ledger.store import Store
from syphus.ledger.summary import average_images, average_size, needs_no_model
from syphus.pipeline.engine import Observer
from syphus.relations.relate import RelationPlan, check_images, plan_relation, record_choice, relate
from syphus.runs.clean import PARSER_META, parser_version, rejudge_run
from syphus.runs.forecast import forecast_lines
from syphus.runs.generate import GenerateStage
from syphus.runs.inputs import sync_input
from syphus.runs.outputs import invalidate_exports, open_pairs, write_exports
from syphus.runs.prepare import PreparedRun, prepare
from syphus.runs.run_settings import changed_settings, refuse_mixing, stored_prices
from syphus.runs.session import StageRunner, open_run_folder
from syphus.text import pluralize
from syphus.types import State

STAGE = GenerateStage.name


def run(options: Options, environ: Mapping[str, str], observer: Observer) -> RunResult:
    """The whole job. Raises `UsageError` where nothing could be sent, `StorageError` where the ledger is lost."""
    prepared = prepare(options, environ)
    plan = plan_relation(prepared)
    if options.languages:
        # Here and below: loading what most runs do without would delay the first request of all.
        from syphus.translation.options import check_options

        check_options(options)  # before the first pair is paid for
    with open_run_folder(prepared.options.folder) as store:
        try:
            refuse_mixing(store, prepared.options.offline)
            taught = _with_examples(prepared, store, observer)
            if isinstance(taught, SyphusError):
                return RunResult(make_report(store, STAGE, stored_prices(store)), taught, (), [])
            with contextlib.closing(_Job(taught, plan, store, observer)) as job:
                finished = job.carry_out()
        except StorageError as error:
            return _what_is_left(store, error)
        if not options.languages or finished.stopped_by is not None or not finished.report.counts.pairs:
            return finished
        from syphus.translation.files import run_paths
        from syphus.translation.job import translate_in

        english = store.folder / f"{prepared.dataset.short_name}_instructions.json"
        return finished._replace(translated=translate_in(store, run_paths(store.folder, english), prepared, observer))


def _with_examples(prepared: PreparedRun, store: Store, observer: Observer) -> PreparedRun | SyphusError:
    mode = prepared.options.cold_start
    if mode == NEVER or (mode == AUTO and prepared.template.in_context):
        return prepared
    from syphus.cold_start.command import ensure_examples

    return ensure_examples(prepared, store, observer)


class _Job:
    def __init__(self, prepared: PreparedRun, plan: RelationPlan, store: Store, observer: Observer) -> None:
        self._prepared = prepared
        self._plan = plan
        self._options = prepared.options
        self._store = store
        self._observer = observer
        self._runner = StageRunner(prepared, store, observer)
        self._stage = GenerateStage(
            prepared.dataset,
            prepared.template,
            self._runner.request_builder,
            self._runner.redactor,
            share_answers=not prepared.options.no_sharing,
            hook_seconds=prepared.config.plugin_timeout,
            attachments=self._runner.attachments,
        )

    def carry_out(self) -> RunResult:
        self._settle_settings()
        self._open_input()
        check_images(self._store, STAGE, self._plan, bool(self._pending() or self._options.retry))
        record_choice(self._store, self._plan)
        self._judge_anew()
        if self._options.retry:
            self._reopen()
        before = self._report()
        pending = before.counts.states[State.PENDING]
        stopped_by = self._ask(before) if pending else None
        if stopped_by is None:
            stopped_by = relate(self._store, STAGE, self._plan, self._observer)
        report = self._report()
        if report.spending.requests == before.spending.requests and not pending:
            self._observer.say("Nothing to do: no request was made.")
        return self._finish(report, stopped_by)

    def _pending(self) -> int:
        return self._report().counts.states[State.PENDING]

    def close(self) -> None:
        """Lets go of the images."""
        self._runner.close()

    def _report(self) -> Report:
        return self._runner.report(STAGE)

    def _settle_settings(self) -> None:
        """A run whose answers were made under other settings needs a decision."""
        before, now = last_settings(self._store, STAGE), self._prepared.settings
        if before is None:
            return
        changes = changed_settings(before, now)
        if changes and not self._options.accept_changes:
            raise RunError(
                f"{self._store.folder} was made with other settings: {'; '.join(changes)}. Use --dataset_version for a "
                "new run, or --accept-changes to go on with the new settings for the rows that are left."
            )

    def _open_input(self) -> None:
        plugin = self._prepared.plugin.digest()
        known = bool(sessions(self._store, STAGE))
        tick, attachments = self._observer.reading, self._runner.attachments
        check = sync_input(self._store, STAGE, self._prepared.dataset, self._options, plugin, tick, attachments)
        if check is not None and known and (check.new or check.changed or check.removed):
            self._observer.say(
                f"The input has changed: {check.new:,} new, {check.changed:,} changed, {check.removed:,} gone."
            )

    def _judge_anew(self) -> None:
        """A changed parser costs nothing: every answer that is here is read again."""
        name = self._prepared.dataset.short_name
        now, before = parser_version(self._prepared.plugin, name), str(get_meta(self._store, PARSER_META))
        if now == before:
            return
        if sessions(self._store, STAGE):
            changed = rejudge_run(self._store, self._stage, self._prepared.plugin, name, self._observer)
            only_names = now.split()[0] == before.split()[0]
            why = f"The pairs are named {name}" if only_names else "The parser or the plugin has changed"
            self._observer.say(f"{why}: answers were read again, {changed:,} differ now.")
        else:
            set_meta(self._store, PARSER_META, now)
            self._store.commit()

    def _reopen(self) -> None:
        if State.TRUNCATED in self._options.retry and self._report().counts.states[State.TRUNCATED]:
            before, now = (last_settings(self._store, STAGE) or {}).get("max_tokens"), self._prepared.config.max_tokens
            if isinstance(before, int) and now is not None and now <= before:
                raise ConfigError(
                    f"Truncated answers would be cut off at {now} tokens once more. "
                    f"Add --max-tokens with more than {before}, and --accept-changes."
                )
        invalidate_exports(self._store)
        count = reopen(self._store, STAGE, self._options.retry)
        self._observer.say(f"To be asked again ({', '.join(self._options.retry)}): {count:,}.")

    def _ask(self, report: Report) -> SyphusError | None:
        """One session of the loop; returns what stopped it. Raises `StorageError` where the disk failed."""
        prepared = self._prepared
        asking = not needs_no_model(self._store, STAGE)
        if asking and prepared.no_endpoint is not None:
            raise prepared.no_endpoint
        images = average_images(self._store, STAGE, self._runner.attachments.tokens)
        if images:
            self._runner.attachments.prepare()
        for line in forecast_lines(prepared, report, average_size(self._store, STAGE), images, asking):
            self._observer.say(line)
        return self._runner.run(self._stage, prepared.settings, report, open_pairs(self._store, STAGE))

    def _finish(self, report: Report, stopped_by: SyphusError | None) -> RunResult:
        files: tuple[str, ...] = ()
        if not (isinstance(stopped_by, InterruptError) and stopped_by.immediate):
            problems = self._train_problems()
            files = write_exports(self._store, STAGE, self._prepared.dataset.short_name, report, not problems)
            if problems and stopped_by is None:
                stopped_by = RunError(f"{problems} in {self._options.train}: there is no train file.")
        first = itertools.islice(accepted(self._store, STAGE), 2)
        return RunResult(report, stopped_by, files, [pair.as_pair() for result in first for pair in result.pairs[:1]])

    def _train_problems(self) -> str:
        """How many problems the user's own train file has, each of which is told; "" where there are none."""
        _, problems = check_own_train_file(self._store, STAGE) or ([], [])
        for line in summarize_problems(problems):
            self._observer.say(f"{self._options.train}: {line}")
        return pluralize(len(problems), "problem") if problems else ""


def _what_is_left(store: Store, fault: StorageError) -> RunResult:
    """After the disk failed: what it holds. Raises `fault` where that can't be said any more."""
    try:
        store.check_files()
        return RunResult(make_report(store, STAGE, stored_prices(store)), fault, (), [])
    except StorageError:
        raise fault from None
