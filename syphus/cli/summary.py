"""The sentences that people read after a run, and about one; those before it are in runs/opening.py."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from syphus.errors import BudgetError, SyphusError, UnsatisfactoryError
from syphus.formats.report import Report, RunResult, TranslationResult
from syphus.formats.translation_report import TRANSLATE_STAGE, LanguageReport, TranslationReport
from syphus.ledger.reasons import ReasonKind
from syphus.ledger.records import ANSWERED
from syphus.plugins.discovery import PluginInfo
from syphus.runs.preview import PreviewedQuery, PreviewSizes
from syphus.text import SIMULATED_NOTICE, align_columns, format_dollars, one_line, pluralize, printable
from syphus.types import State

if TYPE_CHECKING:
    from syphus.images.convert import ConversionResult
    from syphus.runs.clean import CleaningResult

# FOLDED from languages.py:
# What people read about translations: where the pairs stand in each language.

_LANGUAGES_REASONS = 3  #: of each language that are shown


def numbers(report: TranslationReport) -> list[str]:
    """How many pairs there are in each language, which adds up, and why the others are not."""
    total = report.pairs * len(report.languages)
    states = {state: sum(each.counts.states[state] for each in report.languages) for state in State}
    parts = " + ".join(f"{states[state]:,} {state}" for state in State)
    what = f"{pluralize(report.pairs, 'pair')} in {pluralize(len(report.languages), 'language')}"
    rows = [_row(each) for each in report.languages]
    return [f"{what}: {total:,} = {parts}", *(f"  {line}" for line in align_columns(rows, 1))]


def _row(report: LanguageReport) -> tuple[str, ...]:
    counts, ok = report.counts, report.ok
    tokens = report.usage.prompt_tokens + report.usage.completion_tokens
    reasons = [
        f"{n:,} {one_line(reason, 60)}" for found in counts.reasons.values() for reason, n in found.most_common()
    ]
    shown = [*reasons[:_LANGUAGES_REASONS], *(["..."] if len(reasons) > _LANGUAGES_REASONS else [])]
    pending = f"{counts.states[State.PENDING]:,} pending" if counts.states[State.PENDING] else ""
    judged = f"{report.judged.total:,} judged, {report.judged.bad.total():,} bad" if report.judged else ""
    return (
        *(
            report.code,
            f"{ok:,} ok",
            f"{counts.retried:,} asked again",
            f"{tokens / ok:,.0f} tokens a pair" if ok else "-",
        ),
        *(judged, pending, "   ".join(shown)),
    )


_MENDED = {ReasonKind.PLUGIN: "the plugin is mended", ReasonKind.IMAGE: "the images are there"}
_REASONS = 4  #: of each state that are shown
_RETRY = re.compile(r" (?:--retry[ =](?:'[^']*'|\S+)|'--retry=[^']*')")  # as shlex quotes it


def summary(report: Report) -> list[str]:
    """The states, which add up, the cost, and why rows are not ok."""
    counts = report.counts
    parts = " + ".join(f"{counts.states[state]:,} {state}" for state in State)
    paid = f"{cost(report)} over {pluralize(len(report.sessions), 'session')}"
    lines = [f"{pluralize(counts.total, 'query', 'queries')} = {parts}    {pluralize(counts.pairs, 'pair')}    {paid}"]
    lines += [_reasons(report, state) for state in State if report.counts.reasons.get(state)]
    if counts.shared:
        shared = pluralize(counts.shared, "query shares", "queries share")
        lines.append(f"{shared} the answer of another one that asks the very same.")
    if report.simulated:
        lines.append(SIMULATED_NOTICE)
    return lines


def closing(finished: RunResult, command: str) -> list[str]:
    """How a run ended: the cause if it was stopped, what was kept, where it is, and the command that goes on.

    `command` is the one that was given. Going on is without its `--retry`: those rows are pending now, and to ask once
    more for those that have an answer again would be to pay twice.
    """
    report, states = finished.report, finished.report.counts.states
    lines = [str(finished.stopped_by)] if finished.stopped_by is not None else []
    lines += summary(report)
    if report.simulated and finished.sample:
        lines += [line for pair in finished.sample for line in (f"  {pair.instruction}", f"    {pair.answer}")]
    lines += closing_files(finished.files)
    again, command = _worth_asking(report), without_retry(command)
    if isinstance(finished.stopped_by, UnsatisfactoryError):
        return lines  # what to do instead is in its words
    if states[State.PENDING] or finished.stopped_by is not None:
        lines.append(going_on(finished.stopped_by, command))
    else:
        lines += [f"Ask those again: {command} --retry {again}"] if again else []
        lines += [f"Once {what}: {command} --retry {State.FAILED}" for what in _to_be_mended(report)]
    return lines


def closing_files(files: Sequence[str]) -> list[str]:
    """Where the files are, a line for each folder."""
    folders: dict[Path, list[str]] = {}
    for path in map(Path, files):
        folders.setdefault(path.parent, []).append(path.name)
    return [f"Files in {folder}: {', '.join(names)}" for folder, names in folders.items()]


def going_on(stopped_by: SyphusError | None, command: str) -> str:
    """The command that goes on after a stop, without its `--retry`; a budget that is spent needs a higher number."""
    command = without_retry(command)
    if not isinstance(stopped_by, BudgetError):
        return f"Go on with the same command: {command}"
    unlimited = re.sub(rf" --max[-_]{stopped_by.limit}[ =]\S+", "", command)
    return f"Go on with a higher number at the end: {unlimited} --max-{stopped_by.limit}"


def without_retry(command: str) -> str:
    """A command without its `--retry`."""
    return _RETRY.sub("", command)


def standing(report: Report, working: bool = False) -> list[str]:
    """Where a run stands, for `status`; `working` says that a process has it open at the moment."""
    session = report.sessions[-1] if report.sessions else None
    lines = summary(report) if report.stage != TRANSLATE_STAGE else [cost(report)]
    if report.translation is not None:
        lines += numbers(report.translation)
    errors = {cause: count for cause, count in report.spending.causes.items() if cause != ANSWERED}
    if errors:
        told = ", ".join(f"{count:,} {cause}" for cause, count in sorted(errors.items(), key=lambda item: -item[1]))
        lines.append(f"{report.spending.requests:,} requests, without an answer: {told}")
    if working:
        return [*lines, "A process is working on it."]
    if session is not None and session.stopped:
        lines.append(f"The last session ended: {session.stopped}")
    elif session is not None and session.ended is None:
        lines.append("The last session was killed; the run's command goes on.")
    if again := _worth_asking(report):
        lines.append(f"To ask those again, add --retry {again} to the run's command.")
    lines += [f"Once {what}, add --retry {State.FAILED} to the run's command." for what in _to_be_mended(report)]
    return lines


def cleaning(done: CleaningResult) -> list[str]:
    """A run before and after it was cleaned once more, and what the rules did."""
    lines = [f"before  {summary(done.before)[0]}"]
    lines += [line if line == SIMULATED_NOTICE else f"after   {line}" for line in summary(done.after)]
    lines.append(f"{pluralize(done.changed, 'query has', 'queries have')} another outcome now.")
    for what, counts in done.after.rules.items():
        if counts:
            lines.append(f"{what}: " + ", ".join(f"{count:,} {rule}" for rule, count in counts.items()))
    return lines


def _worth_asking(report: Report) -> str:
    """The states, as `--retry` takes them, with rows that may fare better the next time."""
    invalid = [State.INVALID] if report.counts.states[State.INVALID] else []
    failed = [State.FAILED] if any(kind.is_fixed_by_retry for kind in _kinds_of_failures(report)) else []
    return ",".join(invalid + failed)


def _to_be_mended(report: Report) -> list[str]:
    """What must be mended for rows that have failed, where none has for a reason that passes by itself."""
    failures = _kinds_of_failures(report)
    found = [what for kind, what in _MENDED.items() if kind in failures]
    return [" and ".join(found)] if found and not any(kind.is_fixed_by_retry for kind in failures) else []


def _kinds_of_failures(report: Report) -> set[ReasonKind]:
    """Return the kinds of the reasons for which queries have failed."""
    return {ReasonKind.parse(reason) for reason in report.counts.reasons.get(State.FAILED, ())}


def listing(plugins: Sequence[PluginInfo]) -> list[str]:
    """One line a dataset, in columns."""
    rows = [(each.name, each.short_name or "-", _about(each), each.path) for each in plugins]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows]


def _about(plugin: PluginInfo) -> str:
    return f"broken: {plugin.error}" if plugin.error else one_line(plugin.description, 80)


def _reasons(report: Report, state: State) -> str:
    reasons = report.counts.reasons[state]
    shown = [f"{count:,} {one_line(reason, 100)}" for reason, count in reasons.most_common(_REASONS)]
    if len(reasons) > _REASONS:
        shown.append(f"{len(reasons) - _REASONS} more reasons")
    return f"{state:<10}" + "   ".join(shown)


def cost(report: Report) -> str:
    """What a run has cost, over all its stages."""
    if report.cost is None:
        return "cost unknown"
    unknown = report.spending.unknown_tokens
    return format_dollars(report.cost) + (f" (and up to {unknown:,} tokens without an answer)" if unknown else "")


_BY_LANGUAGE = re.compile(r"(.*)_([a-z]{2})(\.[a-z]+)")


def translation_summary(done: TranslationResult, command: str) -> list[str]:
    """How it ended: the cause if it was stopped, the languages, the files, and the command that goes on."""
    report = done.report
    lines = [str(done.stopped_by)] if done.stopped_by is not None else []
    assert report.translation is not None
    lines += [
        *numbers(report.translation),
        f"{cost(report)} over {pluralize(len(report.sessions), 'session')}, in all.",
    ]
    if report.simulated:
        lines.append(SIMULATED_NOTICE)
    gaps = sum(done.missing_context.values())
    if gaps:
        what = pluralize(gaps, "translated round lacks", "translated rounds lack")
        kept = "kept, as --partial says" if done.partial else "left out; --partial keeps them"
        lines.append(f"{what} earlier rounds in the same language: {kept}.")
    lines += closing_files(_together(done.files))
    states = {state: sum(each.counts.states[state] for each in report.translation.languages) for state in State}
    if done.stopped_by is not None:
        lines.append(going_on(done.stopped_by, command))
    elif bad := [
        state.value for state in (State.INVALID, State.TRUNCATED, State.REFUSED, State.FAILED) if states[state]
    ]:
        lines.append(f"Ask those again: {without_retry(command)} --retry {','.join(bad)}")
    return lines


def _together(files: Sequence[str]) -> list[str]:
    """`SD_instructions_zh.json` and the others of its kind as `SD_instructions_{zh,ja}.json`."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for file in files:
        found = _BY_LANGUAGE.fullmatch(file)
        kinds.setdefault((found[1], found[3]) if found else (file, ""), []).append(found[2] if found else "")
    return [
        f"{name}_{{{','.join(codes)}}}{end}" if len(codes) > 1 else f"{name}_{codes[0]}{end}" if codes[0] else name
        for (name, end), codes in kinds.items()
    ]


def conversion_summary(done: ConversionResult, seconds: float) -> list[str]:
    """How it ended, in numbers."""
    parts = f" in {pluralize(done.parts, 'part')}" if done.parts > 1 else ""
    size = f"{done.bytes / 1e6:,.1f} MB" if done.bytes < 1e9 else f"{done.bytes / 1e9:,.2f} GB"
    each = f", {done.bytes / done.images / 1000:,.1f} kB each" if done.images else ""
    lines = [f"{pluralize(done.images, 'image')}{parts}, {size}{each}; {done.skipped:,} skipped"]
    if done.new:
        lines.append(f"{done.new:,} of them now, {done.new / max(seconds, 1e-9):,.0f}/s")
    else:
        lines.append("Nothing to do: it is all there already.")
    lines.append(f"Files: {', '.join(map(str, done.files))}")
    return lines


def conversion_as_json(done: ConversionResult) -> dict[str, object]:
    """The same for programs."""
    return {**done._asdict(), "files": [str(file) for file in done.files]}


# FOLDED from showing.py:
# A preview as people read it.

_COLOURS = {"system": "\033[35m", "user": "\033[36m", "assistant": "\033[32m"}
_PLAIN = "\033[0m"


def as_text(shown: PreviewedQuery, colours: bool) -> str:
    """The messages of one query, each below its role, and what goes with them; or why it is not sent."""
    return "".join(f"{line}\n" for line in _lines(shown, colours))


def _lines(shown: PreviewedQuery, colours: bool) -> Iterator[str]:
    yield f"=== {printable(shown.id)}"
    for message in shown.messages:
        colour, plain = (_COLOURS.get(str(message["role"]), ""), _PLAIN) if colours else ("", "")
        yield f"{colour}--- {message['role']}{plain}"
        yield from map(printable, _texts(message["content"]))
    if shown.problem:
        yield f"not sent: {printable(shown.problem)}"
    else:
        yield f"--- {orjson.dumps(shown.parameters).decode()}, about {shown.tokens:,} tokens"
    yield ""


def _texts(content: object) -> Iterator[str]:
    """The text of a message, or of its parts; of an image what it is."""
    if not isinstance(content, list):
        yield str(content)
        return
    for part in content:
        yield str(part["text"] if "text" in part else part["image_url"]["url"])


def sizes_as_text(sizes: PreviewSizes) -> str:
    """The shortest and the longest query, a line each."""
    told = zip(PreviewSizes._fields, sizes, strict=True)
    return "".join(
        f"{which}: {printable(name)}, about {tokens} tokens of annotation\n" for which, (name, tokens) in told
    )
