"""What people read about a pipeline: its stages before it runs, with a quote; and what each has cost after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from syphus import api
from syphus.errors import SyphusError
from syphus.formats.report import Report, StageExpense
from syphus.progress import PlainObserver
from syphus.runs.cost_text import quote_lines
from syphus.text import align_columns, format_spent, pluralize, printable, short_path
from syphus.types import State
from syphus.workflow.gates import read_gate
from syphus.workflow.pipeline import PipelineEnd, PipelineRun
from syphus.workflow.pipeline_file import Pipeline, PipelineStage, StageKind, read_pipeline

_NOT_QUOTED = (StageKind.COLD_START, StageKind.JUDGE, StageKind.TRANSLATE, StageKind.RELATE)


def dry_run_lines(path: Path, observer: PlainObserver) -> list[str]:
    """Return the stages of a pipeline, what the run has already, and a quote for the generation. Sends nothing.

    Raises `UsageError` for a mistake in the file, or if the run could not begin.
    """
    pipeline = read_pipeline(path)
    run = PipelineRun(pipeline, observer, True, "")
    options = {name: value for name, value in run.run_options().items() if name != "until_accepted"}
    quoted = api.quote(str(pipeline.common["name"]), observer=observer, **{**options, "cold_start": "never"})
    report = run.report()
    rows = [
        (str(number), stage.name, _state(stage, run.folder, report), _given(stage))
        for number, stage in enumerate(pipeline.stages, 1)
    ]
    lines = [f"{path}: {pluralize(len(rows), 'stage')} in {short_path(run.folder)}{_budget(pipeline)}"]
    lines += [f"  {line}" for line in align_columns(rows, 4)]
    left_out = [stage.name for stage in pipeline.stages if stage.kind in _NOT_QUOTED]
    note = [f"Not in this quote: {', '.join(left_out)}."] if left_out else []
    return [*lines, *quote_lines(quoted), *note]


def _budget(pipeline: Pipeline) -> str:
    common = pipeline.common
    dollars = f"${common['max_cost']:g}" if isinstance(common.get("max_cost"), int | float) else ""
    requests = f"{common['max_requests']:,} requests" if isinstance(common.get("max_requests"), int) else ""
    both = " and ".join(filter(None, (dollars, requests)))
    return f", one budget: {both}" if both else ", without a budget"


def _given(stage: PipelineStage) -> str:
    return printable(" ".join(f"{name}={value}" for name, value in stage.options.items()))


def _state(stage: PipelineStage, folder: Path, report: Report | None) -> str:
    """Return what a stage has done so far, by the ledger."""
    if report is None:
        return "to do"
    match stage.kind:
        case StageKind.GENERATE if report.counts.total:
            return f"{report.counts.total - report.counts.states[State.PENDING]:,} of {report.counts.total:,}"
        case StageKind.JUDGE if report.judged:
            return f"{report.judged['queries']:,} judged"
        case StageKind.TRANSLATE if report.translation is not None:
            return f"{sum(each.ok for each in report.translation.languages):,} translated"
        case StageKind.REVIEW:
            needs = stage.options.get("needs")
            return read_gate(folder, stage.name, needs if isinstance(needs, int) else None).line()
    return "to do" if stage.kind is not StageKind.CLEAN else ""


def end_lines(end: PipelineEnd, command: str) -> list[str]:
    """Return how a pipeline ended: what stopped it, what each stage cost, and the command to continue."""
    reached = f"{len(end.ends)} of {pluralize(len(end.pipeline.stages), 'stage')}"
    stopped = end.stopped_by
    lines = [str(stopped)] if stopped is not None else []
    lines += cost_lines(end.report) if end.report is not None else []
    if stopped is None:
        return [*lines, f"Done: {reached} in {short_path(end.folder)}."]
    return [*lines, f"Stopped in {list(end.ends)[-1]}, {reached}. {_go_on(stopped, command)}"]


def _go_on(stopped_by: SyphusError, command: str) -> str:
    if stopped_by.exit_code == 4:
        return f"Raise the budget in the file, then: {command}"
    return f"Continue with the same command: {command}"


def cost_lines(report: Report) -> list[str]:
    """Return a table of the money by stage, with the share of each."""
    rows = list(_cost_rows(report.stages, report.simulated))
    return [f"  {line}" for line in align_columns([("stage", "answers", "cost", "share"), *rows], 1)] if rows else []


def _cost_rows(stages: Mapping[str, StageExpense], simulated: bool) -> Iterator[tuple[str, ...]]:
    for name, each in stages.items():
        cost = "unknown" if each.cost is None else format_spent(each.cost, simulated and not each.cost)
        yield name, f"{each.answers:,}", cost, "" if each.share is None else f"{each.share:.0%}"
