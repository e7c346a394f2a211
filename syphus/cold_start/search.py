"""A whole cold start in a run's folder: from the input to the prompt, the report page and the result."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from syphus.answers.scoring import Candidate
from syphus.cold_start import page, results_json
from syphus.cold_start.advice import find_shortcomings, suggest_fixes
from syphus.cold_start.candidates import Scorer, SearchContext
from syphus.cold_start.example_selection import tokens
from syphus.cold_start.plan import SearchPlan, SearchResult, search_forecast
from syphus.cold_start.prompt_file import candidate_by_hand, read_pinned, refuse_edited, save_prompt, search_key
from syphus.cold_start.review import Reviewer, Reviews
from syphus.cold_start.rounds import SearchLoop
from syphus.cold_start.trials import TrialRunner
from syphus.errors import InterruptError, StorageError, SyphusError, UsageError
from syphus.formats.report import Report
from syphus.ledger.results import askable_queries, count_distinct_texts
from syphus.ledger.sessions import ColdStartRecord, ColdStartState, note_cold_start
from syphus.ledger.store import Store
from syphus.ledger.summary import COLD_START, average_size
from syphus.pipeline.observer import Observer
from syphus.plugins.prompts import PromptTemplate
from syphus.runs.generate import GenerateStage
from syphus.runs.inputs import sync_input
from syphus.runs.prepare import PreparedRun
from syphus.text import short_path


class ColdStartResult(NamedTuple):
    """How a cold start ended: what it found, what stopped it, if anything, and its files."""

    found: SearchResult
    report: Report
    stopped_by: SyphusError | None
    files: tuple[str, ...]
    template: PromptTemplate  #: with the best set

    @property
    def exit_code(self) -> int:
        """0 if the set is satisfactory or was accepted, 1 if none was found, or the code of what stopped the search."""
        if self.stopped_by is not None:
            return self.stopped_by.exit_code
        return 0 if self.found.is_taken else 1


class ColdStart:
    """Runs a cold start for `prepared`, without the in-context examples of its prompt."""

    def __init__(self, prepared: PreparedRun, plan: SearchPlan, store: Store, observer: Observer) -> None:
        self._prepared = replace(prepared, template=replace(prepared.template, in_context=()))
        self._own = prepared.template if prepared.template.in_context and not plan.pinned else None
        plan = replace(plan, own_examples=self._own is not None)
        self._plan = plan
        self._store = store
        self._observer = observer
        self._trials = TrialRunner(self._prepared, store, observer)
        self._scorer = Scorer(prepared.dataset)
        self._title = f"Cold start: {prepared.options.name} {prepared.options.dataset_version}"
        self._loop = self._make_loop(plan)

    def run(self, reviewer: Reviewer | None = None) -> ColdStartResult:
        """Read the input, forecast the cost, and search.

        Raises `UsageError` if nothing could be sent, and `StorageError` if the disk failed.
        """
        refuse_edited(self._store)
        self._note(ColdStartState.SEARCHING, SearchResult())
        stage = self._trials.stage(COLD_START, self._prepared.template)
        pinned = read_pinned(self._plan.pinned, stage) if self._plan.pinned else []
        attachments = self._trials.runner.attachments
        sync_input(self._store, GenerateStage.name, self._prepared, self._observer.reading, attachments)
        self._fit_plan(pinned)
        reviews = Reviews(self._store, reviewer, lambda each, text: candidate_by_hand(each.query, text, stage))
        with closing(self._trials):
            return self._finish(self._search(reviews, pinned))

    def _search(self, reviews: Reviews, pinned: Sequence[Candidate]) -> SyphusError | None:
        """Run the loop; return what stopped it."""
        try:
            self._loop.run(reviews, pinned)
        except UsageError:
            raise
        except SyphusError as error:
            return error
        return None

    def _fit_plan(self, pinned: Sequence[Candidate]) -> None:
        """Fit the plan to the input, and forecast its cost."""
        plan = self._plan.fit_to(count_distinct_texts(self._store, GenerateStage.name, self._plan.enough_queries))
        self._loop = self._make_loop(plan)
        total = sum(1 for _ in askable_queries(self._store, GenerateStage.name))
        for line in search_forecast(self._prepared, plan, total, average_size(self._store, GenerateStage.name)):
            self._observer.say(line)
        if (size := sum(map(tokens, pinned))) > plan.tokens:
            self._observer.say(f"The pinned examples have about {size:,} tokens, more than --tokens {plan.tokens}.")

    def _make_loop(self, plan: SearchPlan) -> SearchLoop:
        context = SearchContext(plan, self._prepared.template, self._store, self._trials, self._scorer, self._own)
        return SearchLoop(context, self._observer.say, self._show)

    def _finish(self, stopped_by: SyphusError | None) -> ColdStartResult:
        if disk_failed := isinstance(stopped_by, StorageError):
            self._store.check_files()  # a ledger that is gone has no result
        loop, report = self._loop, self._trials.runner.report(COLD_START)
        found = SearchResult(tuple(loop.rounds), loop.best)
        if not found.satisfactory:
            advice = tuple(suggest_fixes(loop.rounds, loop.best)) if stopped_by is None else ()
            missing = tuple(find_shortcomings(loop.rounds, loop.best, stopped_by is not None))
            accepted = self._prepared.options.accept_examples and found.is_better and stopped_by is None
            found = replace(found, missing=missing, advice=advice, accepted=accepted)
        template = loop.best.template if loop.best else self._prepared.template
        if not disk_failed:
            self._note(_state(found, stopped_by), found, str(stopped_by or ""))
        writes_no_files = disk_failed or (isinstance(stopped_by, InterruptError) and stopped_by.immediate)
        files = () if writes_no_files else self._write_files(found, report, template)
        return ColdStartResult(found, report, stopped_by, files, template)

    def _note(self, state: ColdStartState, found: SearchResult, stopped: str = "") -> None:
        """Note in the ledger what was found so far, for `status`."""
        proof = found.best.proof if found.best else None
        record = ColdStartRecord(
            state, len(found.rounds), len(found.examples), missing=found.missing, advice=found.advice, stopped=stopped
        )
        if proof is not None:
            gain = (proof.gain.mean, proof.gain.low, proof.gain.high)
            record = record._replace(
                asked=proof.asked, valid_share=proof.valid_share, plain_share=proof.plain_share, score=proof.mean_score,
                gain=gain,
            )  # fmt: skip
        note_cold_start(self._store, record)

    def _write_files(self, found: SearchResult, report: Report, template: PromptTemplate) -> tuple[str, ...]:
        folder, options = self._store.folder, self._prepared.options
        paths = [folder / page.PAGE_FILE, folder / results_json.RESULT_FILE]
        page.write_page(paths[0], self._title, found, report, self._scorer.heuristics)
        results_json.write_json(paths[1], found, report)
        if found.best is not None:
            key = search_key(template.system_message, self._prepared.config.model)
            paths.insert(0, save_prompt(self._store, options.name, key, template, found))
        return tuple(short_path(path) for path in paths)

    def _show(self) -> None:
        """Update the page, and the record for `status`, while the search is in progress."""
        found = SearchResult(tuple(self._loop.rounds), self._loop.best)
        self._note(ColdStartState.SEARCHING, found)
        progress = f"Round {len(found.rounds)} of at most {self._plan.rounds} is in progress."
        report, path = self._trials.runner.report(COLD_START), self._store.folder / page.PAGE_FILE
        page.write_page(path, self._title, found, report, self._scorer.heuristics, progress)


def _state(found: SearchResult, stopped_by: SyphusError | None) -> ColdStartState:
    if found.satisfactory:
        return ColdStartState.SATISFACTORY
    if found.accepted:
        return ColdStartState.ACCEPTED
    return ColdStartState.UNSATISFACTORY if stopped_by is None else ColdStartState.STOPPED
