"""The main job: from a plugin and its annotations to pairs and a MIMIC-IT dataset.

prepare    plugin, prompt, endpoint (runs/prepare.py)
examples   a cold start, if the prompt has no in-context examples (cold_start/command.py)
open       the ledger: check the settings, read the input, judge stored answers again if the parser has changed
generate   ask about all rows that have no outcome yet (runs/session.py)
judge      have a model judge the pairs, if that is requested (quality/pair_judge.py)
relate     find the nearest pairs, if a relation needs them (relations/relate.py)
finish     write the files and the report (runs/outputs.py)
translate  the pairs, if languages are requested (translation/job.py)

A job that was stopped resumes with the same command.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from syphus.config.options import Options, QuoteOptions
from syphus.errors import ConfigError, InterruptError, RunError, StorageError, SyphusError
from syphus.formats.related_pairs import check_own_train_file
from syphus.formats.report import Report, RunResult, make_report
from syphus.formats.train import summarize_problems
from syphus.ledger.judged import bad_pairs
from syphus.ledger.results import accepted, has_repeated_answer
from syphus.ledger.sessions import get_meta, has_sessions, sessions, set_meta
from syphus.ledger.store import Store
from syphus.ledger.summary import has_images, needs_no_model
from syphus.pipeline.observer import Observer
from syphus.plugins.contract import shipped_folder
from syphus.quality.calibration import require_material
from syphus.quality.pair_judge import JudgePlan, ask_in_judged_parts, judge_pairs
from syphus.quality.until_accepted import AcceptedGoal, ask_until_accepted, enough_line, write_balanced
from syphus.relations.relate import RelationPlan, plan_relation, record_choice, relate, require_image_vectors
from syphus.runs.clean import PARSER_META, parser_version, rejudge_run
from syphus.runs.cost_estimate import AskedModel, asked_models
from syphus.runs.cost_text import confirm_cost, opening_lines
from syphus.runs.failures import reopen_for_retry
from syphus.runs.generate import GenerateStage, GenerationContext
from syphus.runs.inputs import sync_input
from syphus.runs.judge import make_breaker
from syphus.runs.model_life import life_notices
from syphus.runs.outputs import open_pairs, result_after_disk_failure, write_exports
from syphus.runs.packed_generate import PackedGenerateStage
from syphus.runs.prepare import PreparedRun, go_on_as_begun, prepare
from syphus.runs.quote import (
    ANSWERS_BEFORE_RUN,
    ANSWERS_OF_QUOTE,
    ROWS_BEFORE_RUN,
    ROWS_OF_QUOTE,
    Quote,
    SurveyLimits,
    choose_pilot,
    make_quote,
)
from syphus.runs.rows import RowFilter, TriedRows, choose_rows, read_rows
from syphus.runs.run_log import keep_log
from syphus.runs.run_settings import (
    RUN,
    check_settings,
    forget_plain_try,
    keep_command,
    note_plain_try,
    refuse_mixing,
    stored_prices,
)
from syphus.runs.session import StageRunner, open_run_folder
from syphus.runs.snapshot_process import keep_snapshots
from syphus.text import pluralize
from syphus.types import State

STAGE = GenerateStage.name

_PILOT_OF_ANOTHER_PROMPT = (
    "The prompt has no in-context examples, so the run begins with a search for some, and a pilot without them would "
    "be of another prompt. Run the command cold-start first, or add --cold-start never."
)
_SEARCH_IS_NOT_QUOTED = "The run begins with a search for in-context examples (cold-start), which is not in this quote."
_TRIED_WITHOUT_EXAMPLES = (
    "The prompt has no in-context examples. These rows are asked without; the run begins with a search for some "
    "(cold-start), and asks them again with those. With --cold-start never it keeps these answers."
)


def run(options: Options, environ: Mapping[str, str], observer: Observer) -> RunResult:
    """Run the whole job. Raises `UsageError` if nothing could be sent, `StorageError` if the ledger can't be used."""
    prepared = prepare(options, environ)
    plan = plan_relation(prepared)
    judge = JudgePlan.of_run(prepared, environ)
    if options.languages:
        # Imports here and below are local: what most runs do not need would delay their first request.
        from syphus.translation.options import check_options

        check_options(options)  # before the first pair is paid for
    with (
        open_run_folder(prepared.options.folder) as store,
        keep_snapshots(prepared.options, observer),
        keep_log(store, prepared, observer, "main job") as log,
    ):
        finished = _run(prepared, plan, judge, store, log)
        log.end(finished.report, finished.stopped_by, finished.exit_code)
    return finished


def _run(
    prepared: PreparedRun, plan: RelationPlan, judge: JudgePlan | None, store: Store, observer: Observer
) -> RunResult:
    options = prepared.options
    try:
        refuse_mixing(store, options.offline)
        prepared = go_on_as_begun(prepared, store, STAGE, observer)
        if not has_sessions(store):  # a cold start comes first, and may be stopped
            _keep_command(prepared, store)
        with_examples = _ensure_examples(prepared, store, observer)
        if isinstance(with_examples, SyphusError):
            return RunResult(make_report(store, STAGE, stored_prices(store)), with_examples, (), [])
        with contextlib.closing(_Job(with_examples, plan, store, observer, judge)) as job:
            finished = job.run()
    except StorageError as error:
        return result_after_disk_failure(store, STAGE, error)
    if not options.languages or finished.stopped_by is not None or not finished.report.counts.pairs:
        return finished
    from syphus.translation.files import run_paths
    from syphus.translation.job import translate_in

    english = store.folder / f"{prepared.dataset.short_name}_instructions.json"
    return finished._replace(translated=translate_in(store, run_paths(store.folder, english), prepared, observer))


def quote(options: Options, quote_options: QuoteOptions, environ: Mapping[str, str], observer: Observer) -> Quote:
    """Quote what a run has already and what the rest takes, with its model and with others.

    The rows of a pilot are asked first, within the run's budget; the run then has their answers. Without a pilot,
    nothing is sent, and no endpoint is needed. Raises `UsageError`, and `StorageError` if the ledger can't be used.
    """
    pilot = quote_options.pilot or 0
    prepared = prepare(options, environ, needs_endpoint=bool(pilot))
    plan = plan_relation(prepared)
    with open_run_folder(prepared.options.folder) as store:
        refuse_mixing(store, prepared.options.offline)
        prepared = go_on_as_begun(prepared, store, STAGE, observer)
        asked = asked_models(prepared, quote_options.other_models)
        ends = [] if options.offline else life_notices(prepared.config, (model.name for model in asked))
        found = _found_examples(prepared, store, observer)
        if found is None and pilot:
            raise ConfigError(_PILOT_OF_ANOTHER_PROMPT)
        note = "" if found is not None else _SEARCH_IS_NOT_QUOTED
        with contextlib.closing(_Job(found or prepared, plan, store, observer)) as job:
            done = job.quote(pilot, asked)
    translation = "Translations are not in this quote." if options.languages else ""
    return replace(done, notes=(*filter(None, (note, translation, *ends)), *done.notes))


def _keep_command(prepared: PreparedRun, store: Store) -> None:
    """Keep the command with the run, so that anybody can resume it."""
    own = prepared.plugin.path.parent
    keep_command(store, RUN, prepared.options, () if own == shipped_folder("datasets") else (own,))
    store.commit()


def try_rows(options: Options, count: int, sample: bool, environ: Mapping[str, str], observer: Observer) -> TriedRows:
    """Ask about the first `count` rows of a run, or a random `sample`, unless they have an outcome already.

    The run then has their answers. Raises what `run` does.
    """
    prepared = prepare(options, environ)
    plan = plan_relation(prepared)
    with open_run_folder(prepared.options.folder) as store, keep_log(store, prepared, observer, "try") as log:
        refuse_mixing(store, prepared.options.offline)
        prepared = go_on_as_begun(prepared, store, STAGE, log)
        found = _found_examples(prepared, store, log)
        if found is None:
            log.say(_TRIED_WITHOUT_EXAMPLES)
        with contextlib.closing(_Job(found or prepared, plan, store, log)) as job:
            done = job.try_rows(count, sample, before_cold_start=found is None)
        log.end(make_report(store, STAGE, stored_prices(store)), done.stopped_by, done.exit_code)
    return done


def _found_examples(prepared: PreparedRun, store: Store, observer: Observer) -> PreparedRun | None:
    """Return the run with the examples that it has or needs none of, or None if it begins with a search for some."""
    if not prepared.may_search:
        return prepared
    from syphus.cold_start.before_run import find_examples

    return find_examples(prepared, store, observer)


def _ensure_examples(prepared: PreparedRun, store: Store, observer: Observer) -> PreparedRun | SyphusError:
    if not prepared.may_search:
        return prepared
    from syphus.cold_start.before_run import ensure_examples

    return ensure_examples(prepared, store, observer)


class _Job:
    """The main job once the examples are there: from `open` to `finish`, with the same ledger and model throughout."""

    def __init__(
        self,
        prepared: PreparedRun,
        plan: RelationPlan,
        store: Store,
        observer: Observer,
        judge: JudgePlan | None = None,
    ) -> None:
        self._prepared = prepared
        self._plan = plan
        self._options = prepared.options
        self._store = store
        self._observer = observer
        self._runner = StageRunner(prepared, store, observer)
        repeats = has_repeated_answer(store)  # a resumed run need not find it out again
        builder, attachments = self._runner.request_builder, self._runner.attachments
        self._judge = judge
        self._bad_pairs = bad_pairs(store)
        self._goal = AcceptedGoal.of_run(prepared.options)
        context = GenerationContext.of_run(
            prepared, builder, attachments, repeats=repeats, rejected_pairs=self._bad_pairs
        )
        breaker = make_breaker(prepared.options)
        self._stage = PackedGenerateStage(context, store, prepared.options.pack or 1, breaker)

    def run(self) -> RunResult:
        self._check_settings()
        if not self._prepared.template.in_context:
            forget_plain_try(self._store)
        self._sync_input()
        will_ask = self._options.retry or self._report().counts.states[State.PENDING]
        require_image_vectors(self._store, STAGE, self._plan, bool(will_ask))
        record_choice(self._store, self._plan)
        _keep_command(self._prepared, self._store)
        self._rejudge_if_parser_changed()
        if self._judge is not None and self._judge.known_answers:
            require_material(self._store, self._stage, self._judge.context.config.model)
        before = self._report()
        if self._options.retry:
            reopen_for_retry(self._store, self._prepared, before, self._observer)
            before = self._report()
        pending = before.counts.states[State.PENDING]
        stopped_by = self._generate(before) if pending and not self._is_enough(before) else None
        stopped_by = stopped_by or self._judge_pairs()
        stopped_by = stopped_by or relate(self._store, STAGE, self._plan, self._observer)
        report = self._report()
        if report.spending.requests == before.spending.requests and not pending:
            self._observer.say("Nothing to do: no request was sent.")
        return self._finish(report, stopped_by)

    def close(self) -> None:
        """Release the images."""
        self._runner.close()

    def _is_enough(self, report: Report) -> bool:
        return self._judge is None and bool(enough_line(self._store, self._goal, report))

    def _report(self) -> Report:
        return self._runner.report(STAGE)

    def _check_settings(self) -> None:
        """Refuse to add answers under other settings than those of the run, unless the user accepts that."""
        rows = check_settings(self._store, self._prepared.settings, self._options.accept_changes)
        if rows:
            self._observer.say(f"Rows that were tried without examples are asked again: {rows:,}.")

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

    def _generate(self, report: Report) -> SyphusError | None:
        """Run one session over the pending rows; return what stopped it. Raises `StorageError` if the disk failed."""
        prepared, attachments = self._prepared, self._runner.attachments
        quote = None
        if not needs_no_model(self._store, STAGE):
            prepared.require_endpoint()
            self._runner.check_model()
            if has_images(self._store, STAGE):
                attachments.prepare()
            quote = self._quote(report, asked_models(prepared), ROWS_BEFORE_RUN, ANSWERS_BEFORE_RUN)
        for line in opening_lines(prepared, report, quote):
            self._observer.say(line)
        if quote is not None:
            confirm_cost(prepared, quote.lines[0], report, self._observer)
        ask = partial(self._runner.run, self._stage, prepared.settings)
        if self._goal is not None:
            return ask_until_accepted(self._store, self._goal, ask, self._report, self._judge_pairs)
        if self._judge is not None and self._judge.min_quality is not None:
            return ask_in_judged_parts(self._store, ask, self._report, self._judge_pairs)
        return ask(report, open_pairs(self._store, STAGE))

    def _judge_pairs(self) -> SyphusError | None:
        if self._judge is None:
            return None
        return judge_pairs(self._store, self._judge, self._stage, self._bad_pairs, self._observer)

    def quote(self, pilot: int, models: Sequence[AskedModel]) -> Quote:
        """Quote the run for its model and others, after a pilot of `pilot` rows unless it has as many answers already.

        Raises `ConfigError` if the pilot has more rows than the run.
        """
        self._check_settings()
        self._sync_input()
        self._rejudge_if_parser_changed()
        report = self._report()
        if pilot > report.counts.total:
            queries = pluralize(report.counts.total, "query", "queries")
            raise ConfigError(f"--pilot {pilot}: the input has only {queries}.")
        if has_images(self._store, STAGE):
            self._runner.attachments.prepare()
        quote = self._quote(report, models, ROWS_OF_QUOTE)
        missing = pilot - quote.known_answers
        if missing <= 0 or not quote.survey.pending:
            return quote
        self._prepared.require_endpoint()
        stopped_by = self._ask_pilot(quote, missing, report)
        return replace(self._quote(self._report(), models, ROWS_OF_QUOTE), stopped_by=stopped_by)

    def try_rows(self, count: int, sample: bool, before_cold_start: bool) -> TriedRows:
        """Ask about a few rows and return them. Raises `ConfigError` unless `count` is at least 1."""
        if count < 1:
            raise ConfigError(f"-n {count}: must be at least 1.")
        self._check_settings()
        self._sync_input()
        _keep_command(self._prepared, self._store)
        self._rejudge_if_parser_changed()
        before = self._report()
        rows = choose_rows(self._store, STAGE, count, self._options.seed if sample else None)
        pending = frozenset(n for n, _, state in rows if state is State.PENDING)
        stopped_by = None
        if pending:
            self._prepared.require_endpoint()
            if has_images(self._store, STAGE):
                self._runner.attachments.prepare()
            if before_cold_start:
                note_plain_try(self._store, self._prepared.settings)
            pairs = open_pairs(self._store, STAGE)
            self._runner.uses_batches = False  # a person waits
            stopped_by = self._runner.run(self._stage, self._prepared.settings, before, pairs, only=pending)
        after = self._report()
        tried = read_rows(self._store, RowFilter(ids=tuple(name for _, name, _ in rows)), stored_prices(self._store))
        cost = None if after.cost is None or before.cost is None else after.cost - before.cost
        requests = after.spending.requests - before.spending.requests
        return TriedRows(tuple(tried), self._store.folder, cost, requests, after.simulated, stopped_by)

    def _ask_pilot(self, quote: Quote, count: int, report: Report) -> SyphusError | None:
        rows = choose_pilot(quote.survey, count, self._options.seed)
        asked = f"{self._prepared.config.model} at {self._prepared.endpoint}"
        self._observer.say(f"Pilot: {pluralize(len(rows), 'query', 'queries')}, {asked}")
        pairs = open_pairs(self._store, STAGE)
        self._runner.uses_batches = False  # a person waits
        return self._runner.run(self._stage, self._prepared.settings, report, pairs, only=rows)

    def _quote(self, report: Report, models: Sequence[AskedModel], rows: int, answers: int = ANSWERS_OF_QUOTE) -> Quote:
        limits = SurveyLimits(rows, answers)
        return make_quote(self._prepared, self._stage, self._store, report, models, limits, self._observer.reading)

    def _finish(self, report: Report, stopped_by: SyphusError | None) -> RunResult:
        files: tuple[str, ...] = ()
        if not (isinstance(stopped_by, InterruptError) and stopped_by.immediate):
            problems = self._report_train_problems()
            files = write_exports(self._store, STAGE, self._prepared.dataset.short_name, report, not problems)
            if problems and stopped_by is None:
                count = pluralize(problems, "problem")
                stopped_by = RunError(f"{count} in {self._options.train}: no train file was written.")
            files += write_balanced(self._store, self._goal, report, self._observer)
        enough = enough_line(self._store, self._goal, report) if stopped_by is None else ""
        first = itertools.islice(accepted(self._store, STAGE), 2)
        sample = [pair.as_pair() for result in first for pair in result.pairs[:1]]
        return RunResult(report, stopped_by, files, sample, enough=enough)

    def _report_train_problems(self) -> int:
        """Report each problem of the user's own train file; return how many there are."""
        _, problems = check_own_train_file(self._store, STAGE) or ([], [])
        for line in summarize_problems(problems):
            self._observer.say(f"{self._options.train}: {line}")
        return len(problems)
