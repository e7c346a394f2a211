"""The main job: from a plugin and its annotations to pairs and a MIMIC-IT dataset.

prepare    plugin, prompt, endpoint (runs/prepare.py)
examples   a cold start, if the prompt has no in-context examples (cold_start/command.py)
open       the ledger: check the settings, read the input, judge stored answers again if the parser has changed
generate   ask about all rows that have no outcome yet (runs/session.py)
relate     find the nearest pairs, if a relation needs them (relations/relate.py)
finish     write the files and the report (runs/outputs.py)
translate  the pairs, if languages are requested (translation/job.py)

A job that was stopped resumes with the same command.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping

from syphus.config.options import AUTO, NEVER, Options
from syphus.errors import ConfigError, InterruptError, RunError, StorageError, SyphusError
from syphus.formats.related_pairs import check_own_train_file
from syphus.formats.report import Report, RunResult, make_report
from syphus.formats.train import summarize_problems
from syphus.ledger.records import reopen
from syphus.ledger.results import accepted
from syphus.ledger.sessions import get_meta, last_settings, sessions, set_meta
from syphus.ledger.store import Store
from syphus.ledger.summary import average_images, average_size, needs_no_model
from syphus.pipeline.observer import Observer
from syphus.relations.relate import RelationPlan, plan_relation, record_choice, relate, require_image_vectors
from syphus.runs.clean import PARSER_META, parser_version, rejudge_run
from syphus.runs.forecast import forecast_lines
from syphus.runs.generate import GenerateStage, GenerationContext
from syphus.runs.inputs import sync_input
from syphus.runs.outputs import invalidate_exports, open_pairs, write_exports
from syphus.runs.prepare import PreparedRun, prepare
from syphus.runs.run_settings import changed_settings, refuse_mixing, stored_prices
from syphus.runs.session import StageRunner, open_run_folder
from syphus.text import pluralize
from syphus.types import State

STAGE = GenerateStage.name


def run(options: Options, environ: Mapping[str, str], observer: Observer) -> RunResult:
    """Run the whole job. Raises `UsageError` if nothing could be sent, `StorageError` if the ledger can't be used."""
    prepared = prepare(options, environ)
    plan = plan_relation(prepared)
    if options.languages:
        # Imports here and below are local: what most runs do not need would delay their first request.
        from syphus.translation.options import check_options

        check_options(options)  # before the first pair is paid for
    with open_run_folder(prepared.options.folder) as store:
        try:
            refuse_mixing(store, prepared.options.offline)
            with_examples = _ensure_examples(prepared, store, observer)
            if isinstance(with_examples, SyphusError):
                return RunResult(make_report(store, STAGE, stored_prices(store)), with_examples, (), [])
            with contextlib.closing(_Job(with_examples, plan, store, observer)) as job:
                finished = job.run()
        except StorageError as error:
            return _result_after_disk_failure(store, error)
        if not options.languages or finished.stopped_by is not None or not finished.report.counts.pairs:
            return finished
        from syphus.translation.files import run_paths
        from syphus.translation.job import translate_in

        english = store.folder / f"{prepared.dataset.short_name}_instructions.json"
        return finished._replace(translated=translate_in(store, run_paths(store.folder, english), prepared, observer))


def _ensure_examples(prepared: PreparedRun, store: Store, observer: Observer) -> PreparedRun | SyphusError:
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
        context = GenerationContext.of_run(prepared, self._runner.request_builder, self._runner.attachments)
        self._stage = GenerateStage(context)

    def run(self) -> RunResult:
        self._check_settings()
        self._sync_input()
        require_image_vectors(self._store, STAGE, self._plan, bool(self._count_pending() or self._options.retry))
        record_choice(self._store, self._plan)
        self._rejudge_if_parser_changed()
        if self._options.retry:
            self._reopen_for_retry()
        before = self._report()
        pending = before.counts.states[State.PENDING]
        stopped_by = self._generate(before) if pending else None
        if stopped_by is None:
            stopped_by = relate(self._store, STAGE, self._plan, self._observer)
        report = self._report()
        if report.spending.requests == before.spending.requests and not pending:
            self._observer.say("Nothing to do: no request was sent.")
        return self._finish(report, stopped_by)

    def close(self) -> None:
        """Release the images."""
        self._runner.close()

    def _report(self) -> Report:
        return self._runner.report(STAGE)

    def _count_pending(self) -> int:
        return self._report().counts.states[State.PENDING]

    def _check_settings(self) -> None:
        """Refuse to add answers under other settings than those of the run, unless the user accepts that."""
        before, now = last_settings(self._store, STAGE), self._prepared.settings
        if before is None:
            return
        changes = changed_settings(before, now)
        if changes and not self._options.accept_changes:
            raise RunError(
                f"{self._store.folder} was made with other settings: {'; '.join(changes)}. Use --dataset_version for a "
                "new run, or --accept-changes to use the new settings for the remaining rows."
            )

    def _sync_input(self) -> None:
        is_resumed = bool(sessions(self._store, STAGE))
        check = sync_input(self._store, STAGE, self._prepared, self._observer.reading, self._runner.attachments)
        if check is not None and is_resumed and (check.new or check.changed or check.removed):
            self._observer.say(
                f"The input has changed: {check.new:,} new, {check.changed:,} changed, {check.removed:,} removed."
            )

    def _rejudge_if_parser_changed(self) -> None:
        """Judge all stored answers again if the parser, the plugin or the pairs' name has changed. It sends nothing."""
        name = self._prepared.dataset.short_name
        now, before = parser_version(self._prepared.plugin, name), str(get_meta(self._store, PARSER_META))
        if now == before:
            return
        if sessions(self._store, STAGE):
            changed = rejudge_run(self._store, self._stage, self._prepared.plugin, name, self._observer)
            only_names = now.split()[0] == before.split()[0]
            why = f"The pairs are now named {name}" if only_names else "The parser or the plugin has changed"
            outcomes = pluralize(changed, "outcome")
            self._observer.say(f"{why}: all answers were judged again, {outcomes} changed.")
        else:
            set_meta(self._store, PARSER_META, now)
            self._store.commit()

    def _reopen_for_retry(self) -> None:
        if State.TRUNCATED in self._options.retry and self._report().counts.states[State.TRUNCATED]:
            before, now = (last_settings(self._store, STAGE) or {}).get("max_tokens"), self._prepared.config.max_tokens
            if isinstance(before, int) and now is not None and now <= before:
                raise ConfigError(
                    f"Truncated answers would be cut off at {now} tokens again. "
                    f"Set --max-tokens to more than {before}, and add --accept-changes."
                )
        invalidate_exports(self._store)
        count = reopen(self._store, STAGE, self._options.retry)
        self._observer.say(f"Rows to retry ({', '.join(self._options.retry)}): {count:,}.")

    def _generate(self, report: Report) -> SyphusError | None:
        """Run one session over the pending rows; return what stopped it. Raises `StorageError` if the disk failed."""
        prepared, attachments = self._prepared, self._runner.attachments
        sends_requests = not needs_no_model(self._store, STAGE)
        if sends_requests:
            prepared.require_endpoint()
        image_tokens = average_images(self._store, STAGE, attachments.tokens)
        if image_tokens:
            attachments.prepare()
        annotation_bytes = average_size(self._store, STAGE)
        for line in forecast_lines(prepared, report, annotation_bytes, image_tokens, sends_requests):
            self._observer.say(line)
        return self._runner.run(self._stage, prepared.settings, report, open_pairs(self._store, STAGE))

    def _finish(self, report: Report, stopped_by: SyphusError | None) -> RunResult:
        files: tuple[str, ...] = ()
        if not (isinstance(stopped_by, InterruptError) and stopped_by.immediate):
            problems = self._report_train_problems()
            files = write_exports(self._store, STAGE, self._prepared.dataset.short_name, report, not problems)
            if problems and stopped_by is None:
                count = pluralize(problems, "problem")
                stopped_by = RunError(f"{count} in {self._options.train}: no train file was written.")
        first = itertools.islice(accepted(self._store, STAGE), 2)
        return RunResult(report, stopped_by, files, [pair.as_pair() for result in first for pair in result.pairs[:1]])

    def _report_train_problems(self) -> int:
        """Report each problem of the user's own train file; return how many there are."""
        _, problems = check_own_train_file(self._store, STAGE) or ([], [])
        for line in summarize_problems(problems):
            self._observer.say(f"{self._options.train}: {line}")
        return len(problems)


def _result_after_disk_failure(store: Store, fault: StorageError) -> RunResult:
    """Return what the ledger holds after the disk failed. Raises `fault` if it can't be read any more."""
    try:
        store.check_files()
        return RunResult(make_report(store, STAGE, stored_prices(store)), fault, (), [])
    except StorageError:
        raise fault from None
