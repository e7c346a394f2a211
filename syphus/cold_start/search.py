"""A cold start in a run's folder, from the run's input to its prompt, its page, and what to say of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from syphus.answers.scoring import Candidate
from syphus.cold_start import page
from syphus.cold_start import results_json as as_json
from syphus.cold_start.candidates import Scorer
from syphus.cold_start.conclusion import find_shortcomings, refuse_edited, save_prompt, search_key, suggest_fixes
from syphus.cold_start.plan import STAGE_PREFIX, SearchPlan, SearchResult, search_forecast
from syphus.cold_start.prompt_file import candidate_by_hand, read_pinned
from syphus.cold_start.review import Reviewer, Reviews
from syphus.cold_start.rounds import SearchLoop
from syphus.cold_start.selection import tokens
from syphus.cold_start.trials import TrialRunner
from syphus.errors import InterruptError, StorageError, SyphusError, UsageError
from syphus.formats.report import Report
from syphus.ledger.results import askable_queries, count_distinct_texts
from syphus.ledger.store import Store
from syphus.ledger.summary import average_size
from syphus.pipeline.engine import Observer
from syphus.runs.generate import GenerateStage
from syphus.runs.inputs import sync_input
from syphus.runs.prepare import PreparedRun
from syphus.text import short_path
from syphus.types import PromptTemplate


class ColdStartResult(NamedTuple):
    """How a cold start ended: what it has come to, what it was stopped by, if anything, and its files."""

    found: SearchResult
    report: Report
    stopped_by: SyphusError | None
    files: tuple[str, ...]
    template: PromptTemplate  #: with the best set

    @property
    def exit_code(self) -> int:
        """0 where the set is satisfactory, 1 where none was found, or the code of what stopped it."""
        if self.stopped_by is not None:
            return self.stopped_by.exit_code
        return 0 if self.found.satisfactory else 1


class ColdStart:
    """Carries out a cold start for `prepared`, whose own in-context examples are left out."""

    def __init__(self, prepared: PreparedRun, plan: SearchPlan, store: Store, observer: Observer) -> None:
        self._prepared = replace(prepared, template=replace(prepared.template, in_context=()))
        self._plan = plan
        self._store = store
        self._observer = observer
        self._trials = TrialRunner(self._prepared, store, observer)
        self._scorer = Scorer(prepared.dataset)
        self._title = f"Cold start: {prepared.options.name} {prepared.options.dataset_version}"
        self._loop = self._loop_by(plan)

    def run(self, pinned_path: str = "", reviewer: Reviewer | None = None) -> ColdStartResult:
        """Reads the input, says what it will take, and goes round.

        Raises `UsageError` where nothing could be sent, and `StorageError` where the disk failed.
        """
        refuse_edited(self._store)
        stage = self._trials.stage(STAGE_PREFIX, self._prepared.template)
        examples = read_pinned(pinned_path, stage) if pinned_path else []
        self._open_input()
        self._fit(examples)
        reviews = Reviews(
            self._store, reviewer, lambda candidate, text: candidate_by_hand(candidate.query, text, stage)
        )
        with closing(self._trials):
            return self._ended(self._stopped_by(reviews, examples))

    def _stopped_by(self, reviews: Reviews, examples: Sequence[Candidate]) -> SyphusError | None:
        try:
            self._loop.run(reviews, examples)
        except UsageError:
            raise
        except SyphusError as error:
            return error
        return None

    def _open_input(self) -> None:
        attachments = self._trials.runner.attachments
        sync_input(self._store, GenerateStage.name, self._prepared, self._observer.reading, attachments)

    def _fit(self, pinned: Sequence[Candidate]) -> None:
        """Makes the plan fit the input, and says what it will take."""
        plan = self._plan.fit_to(count_distinct_texts(self._store, GenerateStage.name, self._plan.enough_queries))
        self._loop = self._loop_by(plan)
        total = sum(1 for _ in askable_queries(self._store, GenerateStage.name))
        for line in search_forecast(self._prepared, plan, total, average_size(self._store, GenerateStage.name)):
            self._observer.say(line)
        if (size := sum(map(tokens, pinned))) > plan.tokens:
            self._observer.say(f"The pinned examples have about {size:,} tokens, more than --tokens {plan.tokens}.")

    def _loop_by(self, plan: SearchPlan) -> SearchLoop:
        message = self._prepared.template.system_message
        return SearchLoop(plan, message, self._store, self._trials, self._scorer, self._observer.say, self._show)

    def _ended(self, stopped_by: SyphusError | None) -> ColdStartResult:
        if lost := isinstance(stopped_by, StorageError):
            self._store.check_files()  # of a ledger that has gone there is nothing to tell
        loop, report = self._loop, self._trials.runner.report(STAGE_PREFIX)
        found = SearchResult(tuple(loop.rounds), loop.best)
        if not found.satisfactory:
            tips = tuple(suggest_fixes(loop.rounds, loop.best)) if stopped_by is None else ()
            found = replace(
                found, missing=tuple(find_shortcomings(loop.rounds, loop.best, stopped_by is not None)), advice=tips
            )
        prefix = loop.best.template if loop.best else self._prepared.template
        if lost or (isinstance(stopped_by, InterruptError) and stopped_by.immediate):
            return ColdStartResult(found, report, stopped_by, (), prefix)
        return ColdStartResult(found, report, stopped_by, self._files(found, report, prefix), prefix)

    def _files(self, found: SearchResult, report: Report, prefix: PromptTemplate) -> tuple[str, ...]:
        folder, options = self._store.folder, self._prepared.options
        paths = [folder / page.FILE, folder / as_json.FILE]
        page.write_page(paths[0], self._title, found, report, self._scorer.heuristics)
        as_json.write_json(paths[1], found, report)
        if found.best is not None:
            wanted = search_key(prefix.system_message, self._prepared.config.model)
            paths.insert(0, save_prompt(self._store, options.name, wanted, prefix, found))
        return tuple(short_path(path) for path in paths)

    def _show(self) -> None:
        found = SearchResult(tuple(self._loop.rounds), self._loop.best)
        told = f"Round {len(found.rounds)} of at most {self._plan.rounds} is under way."
        report, path = self._trials.runner.report(STAGE_PREFIX), self._store.folder / page.FILE
        page.write_page(path, self._title, found, report, self._scorer.heuristics, told)
