"""Runs the stages of a pipeline, each by the function of its command, in one folder and with one budget.

What is done is known from the ledger alone: every stage is called again, finds its answers there, and asks for none
that it has. So a pipeline that was stopped or killed continues with the same command, and a finished one sends nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from syphus import api
from syphus.cold_start.command import cold_start
from syphus.cold_start.plan import SearchPlan
from syphus.cold_start.prompt_file import load_saved_prompt
from syphus.config.options import ALWAYS, JUDGE_ALL, ColdStartOptions, Options, make_options
from syphus.declarations import Relation
from syphus.errors import ConfigError, RunError, SyphusError, machine_faults
from syphus.formats.report import Report
from syphus.ledger.relations import stored_choice
from syphus.ledger.sessions import get_meta
from syphus.ledger.store import FILE, open_for_reading
from syphus.plugins.discovery import LoadedPlugin, find_plugin
from syphus.progress import PlainObserver
from syphus.runs.clean import PARSER_META, clean_run, parser_version
from syphus.runs.reader import read_status
from syphus.runs.run_settings import keep_pipeline
from syphus.text import did_you_mean, listed, pluralize, short_path
from syphus.workflow.gates import pass_gate, read_gate
from syphus.workflow.pipeline_file import (
    RUN_NAMES,
    TRANSLATE_NAMES,
    Pipeline,
    PipelineStage,
    StageKind,
    export_formats,
    read_pipeline,
    values_of,
)

_SEARCH = frozenset(each.name for each in fields(ColdStartOptions))


class StageEnd(NamedTuple):
    """How a stage ended: its exit code, what stopped it, if anything, and one line for people."""

    exit_code: int = 0
    stopped_by: SyphusError | None = None
    line: str = ""


@dataclass(frozen=True, slots=True)
class PipelineEnd:
    """How a pipeline ended. `ends` are the stages that were reached, by their names."""

    folder: Path
    pipeline: Pipeline
    ends: Mapping[str, StageEnd]
    report: Report | None  #: of the run; None if it has no ledger yet

    @property
    def stopped_by(self) -> SyphusError | None:
        """What stopped it, None if all stages are done."""
        return next((end.stopped_by for end in self.ends.values() if end.stopped_by is not None), None)

    @property
    def exit_code(self) -> int:
        """0 if all is done, 1 if some rows or translations are not ok, or the code of what stopped it."""
        codes = [end.exit_code for end in self.ends.values() if end.exit_code]
        return self.stopped_by.exit_code if self.stopped_by is not None else codes[-1] if codes else 0


@machine_faults()
def run_pipeline(
    path: str | Path,
    *,
    passed_gates: Collection[str] = (),
    yes: bool = True,
    command: str = "",
    observer: PlainObserver | None = None,
) -> PipelineEnd:
    """Run the stages of the pipeline in a file, or continue with them; stop at the first that is stopped.

    Gates in `passed_gates` are passed by hand, now and later. Without `yes`, a person at a terminal is asked before
    much money is spent. `command` is what is typed to continue. Raises `UsageError` for a mistake in the file, and what
    the functions of the stages raise.
    """
    pipeline = read_pipeline(Path(path))
    _check_gates(pipeline, passed_gates)
    if observer is not None:
        return PipelineRun(pipeline, observer, yes, command or f"syphus run {path}").run(passed_gates)
    from syphus.progress import open_observer

    with open_observer(False, False, None) as opened:
        return PipelineRun(pipeline, opened, yes, command or f"syphus run {path}").run(passed_gates)


def _check_gates(pipeline: Pipeline, passed: Collection[str]) -> None:
    for name in passed:
        if name not in pipeline.gates:
            near = did_you_mean(name, pipeline.gates)
            gates = f": it has {listed(pipeline.gates)}." if pipeline.gates else "; it has none."
            raise ConfigError(f"--pass-gate {name}: {pipeline.path} has no such gate{near or gates}")


class PipelineRun:
    """A pipeline at work. Raises `UsageError` if its dataset is not found."""

    def __init__(self, pipeline: Pipeline, observer: PlainObserver, yes: bool, command: str) -> None:
        self._pipeline, self._observer, self._command = pipeline, observer, command
        common = make_options(Options, pipeline.common)
        self._datasets_dir = common.datasets_dir
        self._plugin: LoadedPlugin = find_plugin(common.name, common.datasets_dir)
        self.folder = common.output_dir / self._plugin.name / common.dataset_version
        self._fixed: dict[str, Any] = {"yes": yes or common.yes}  # Any: options of all types
        if common.deadline:
            self._fixed["deadline"] = common.deadline  # one moment for all stages
        self._stages: Mapping[StageKind, Callable[[PipelineStage], StageEnd]] = {
            StageKind.COLD_START: self._cold_start,
            StageKind.GENERATE: self._generate,
            StageKind.JUDGE: self._judge,
            StageKind.BALANCE: self._balance,
            StageKind.CLEAN: self._clean,
            StageKind.TRANSLATE: self._translate,
            StageKind.RELATE: self._relate,
            StageKind.REVIEW: self._review,
            StageKind.EXPORT: self._export,
        }

    def run(self, passed_gates: Collection[str] = ()) -> PipelineEnd:
        """Run the stages until one is stopped."""
        ends: dict[str, StageEnd] = {}
        for name in passed_gates:
            if not self._has_ledger:
                raise RunError(f"--pass-gate {name}: {self.folder} holds no pairs yet; run the pipeline first.")
            pass_gate(self.folder, name)
        count = len(self._pipeline.stages)
        for number, stage in enumerate(self._pipeline.stages, 1):
            self._observer.say(f"[{number}/{count}] {stage.name}")
            end = ends[stage.name] = self._stages[stage.kind](stage)
            if self._has_ledger:
                keep_pipeline(self.folder, Path(self._pipeline.path))
            if end.line:
                self._observer.say(end.line)
            if end.stopped_by is not None:
                break
        return PipelineEnd(self.folder, self._pipeline, ends, self.report())

    def report(self) -> Report | None:
        """Return the numbers of the run, None if there is none yet."""
        return read_status(self.folder) if self._has_ledger else None

    @property
    def _has_ledger(self) -> bool:
        return (self.folder / FILE).is_file()

    def run_options(self, *stages: PipelineStage | None) -> dict[str, Any]:  # Any: options of all types
        """Return the options of the main job in these stages."""
        pipeline = self._pipeline
        values: dict[str, Any] = {}
        for stage in (pipeline.first(StageKind.GENERATE), *stages):
            if stage is not None:
                values |= values_of(pipeline, stage, RUN_NAMES)
        if pipeline.first(StageKind.COLD_START) is not None:
            values.setdefault("cold_start", ALWAYS)  # what the search has found is used, whatever the prompt holds
        relate = pipeline.first(StageKind.RELATE)
        if relate is not None and self._relates_already(relate):
            values |= relate.options
        return {**values, **self._fixed}

    def _relates_already(self, stage: PipelineStage) -> bool:
        """Return whether pairs are related so from the start: if that takes nothing, names them, or was done before."""
        relation = make_options(Options, stage.options).relate
        if relation is None:
            return False
        if not Relation(relation).is_nearest or relation in self._plugin.cls.set_names:
            return True
        if not self._has_ledger:
            return False
        store = open_for_reading(self.folder)
        try:
            choice = stored_choice(store)
        finally:
            store.close()
        return choice is not None and choice.relation == relation

    def _main_job(self, *stages: PipelineStage, **more: Any) -> StageEnd:  # Any: options of all types
        values = {**self.run_options(*stages), **more}
        done = api.run(str(self._pipeline.common["name"]), observer=self._observer, **values)
        counts = done.result.report.counts
        line = (
            done.result.enough or f"{pluralize(counts.pairs, 'pair')} of {pluralize(counts.total, 'query', 'queries')}."
        )
        return StageEnd(done.exit_code, done.stopped_by, "" if done.stopped_by else line)

    def _generate(self, stage: PipelineStage) -> StageEnd:
        return self._main_job(stage)

    def _relate(self, stage: PipelineStage) -> StageEnd:
        """Relate the pairs, and write the files of earlier translations again, which name the relations, too."""
        end = self._main_job(stage)
        for earlier in takewhile(lambda each: each is not stage, self._pipeline.stages):
            if earlier.kind is StageKind.TRANSLATE and end.stopped_by is None:
                self._translate(earlier)
        return end

    def _judge(self, stage: PipelineStage) -> StageEnd:
        return self._main_job(stage, judge=stage.options.get("judge", JUDGE_ALL))

    def _cold_start(self, stage: PipelineStage) -> StageEnd:
        if self._has_examples():
            return StageEnd(line="The prompt has its in-context examples.")
        names = {each.name for each in fields(Options)}
        values = {name: value for name, value in stage.options.items() if name not in _SEARCH}
        common = {name: value for name, value in self._pipeline.common.items() if name in names}
        options = make_options(Options, {**common, **values, **self._fixed})
        found = {name: value for name, value in stage.options.items() if name in _SEARCH}
        plan = SearchPlan.from_options(make_options(ColdStartOptions, found), options.seed)
        ended = cold_start(options, plan, os.environ, self._observer)
        stopped_by = ended.stopped_by
        if stopped_by is None and ended.exit_code:
            stopped_by = self._no_examples(is_accepting=options.accept_examples)
        return StageEnd(ended.exit_code, stopped_by, "" if stopped_by else f"Files: {', '.join(ended.files)}")

    def _no_examples(self, *, is_accepting: bool) -> SyphusError:
        from syphus.errors import UnsatisfactoryError

        prompt = short_path(self.folder / "prompt.yaml")
        accept = "" if is_accepting else ' add "accept_examples: true" to the stage,'
        return UnsatisfactoryError(
            f"The cold start found no satisfactory in-context examples. Edit the best set in {prompt},{accept} or "
            "leave the stage out."
        )

    def _has_examples(self) -> bool:
        if not self._has_ledger:
            return False
        store = open_for_reading(self.folder)
        try:
            saved = load_saved_prompt(store)
        finally:
            store.close()
        return saved is not None and (saved.edited or saved.satisfactory)

    def _clean(self, _: PipelineStage) -> StageEnd:
        store = open_for_reading(self.folder)
        try:
            choice, judged_by = stored_choice(store), str(get_meta(store, PARSER_META))
        finally:
            store.close()
        name = choice.short_name if choice else self._plugin.cls.short_name
        if judged_by == parser_version(self._plugin, name):
            return StageEnd(line="All answers have been checked by the current rules and plugin.")
        done = clean_run(self.folder, self._datasets_dir, self._observer)
        return StageEnd(line=f"{pluralize(done.changed, 'query', 'queries')} changed outcome.")

    def _balance(self, stage: PipelineStage) -> StageEnd:
        values: dict[str, Any] = dict(stage.options)  # Any: options of all types
        near = values.pop("near_duplicates", 0.7)
        file, done = api.balance(
            *(self.folder, values.pop("output", None)),
            near_duplicates=near if near < 1 else None,
            observer=self._observer,
            **values,
        )
        return StageEnd(line=f"{done.chosen:,} of {done.read:,} pairs chosen: {short_path(file)}")

    def _translate(self, stage: PipelineStage) -> StageEnd:
        values: dict[str, Any] = values_of(self._pipeline, stage, TRANSLATE_NAMES)  # Any: options of all types
        done = api.translate(self.folder, None, observer=self._observer, **{**values, **self._fixed})
        written = ", ".join(f"{code} {counts['ok']:,}" for code, counts in done.counts.items())
        return StageEnd(done.exit_code, done.stopped_by, "" if done.stopped_by else f"Translated pairs: {written}.")

    def _review(self, stage: PipelineStage) -> StageEnd:
        needs = stage.options.get("needs")
        gate = read_gate(self.folder, stage.name, needs if isinstance(needs, int) else None)
        if gate.is_open:
            return StageEnd(line=f"{gate.line()}.")
        error = gate.error(self.folder, self._command)
        return StageEnd(error.exit_code, error)

    def _export(self, stage: PipelineStage) -> StageEnd:
        values: dict[str, Any] = {
            name: each for name, each in stage.options.items() if name not in ("format", "output")
        }
        output = stage.options.get("output")
        written = api.export(
            *(self.folder, export_formats(stage.options), None if output is None else str(output), self._datasets_dir),
            on_note=self._observer.say,
            **values,
        )
        return StageEnd(line=f"Files: {', '.join(map(short_path, written))}")
