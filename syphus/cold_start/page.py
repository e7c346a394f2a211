"""The report pages of a cold start and of a comparison: HTML files that need no network and no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from syphus.answers.scoring import Heuristic, Scored
from syphus.cold_start.candidates import PINNED, TAKEN
from syphus.cold_start.evaluation import Proof, comparison_lines
from syphus.cold_start.plan import SearchResult, SearchRound
from syphus.cold_start.trials import describe_model
from syphus.formats.html_page import Html, meter, tag, text, write_document
from syphus.formats.html_page import table as text_table
from syphus.formats.report import Report
from syphus.text import SIMULATED_NOTICE, format_dollars, pluralize
from syphus.types import State

PAGE_FILE, COMPARISON_FILE = "cold_start.html", "compare.html"


_INTRODUCTION = """
<p>Without in-context examples, a model often misses the form of an answer and makes things up. This search looks for
answers by the model itself that are good enough to serve as examples. Each round sends some queries to the model. The
answers, the <b>candidates</b>, get a <b>score</b> from 0 (bad) to 1 (good) by the heuristics below. A few good ones
that differ from each other become <b>the set</b>. Other queries are <b>held out</b>: they never become an example.
They are sent with the set and without it, and the <b>gain</b> is how much the set raises the score.</p>
"""


def write_page(
    path: Path, title: str, found: SearchResult, report: Report, heuristics: Sequence[Heuristic], under_way: str = ""
) -> None:
    """Write the page, UTF-8. Raises `StorageError` if the disk fails.

    `heuristics` are all that can score answers; `under_way` says what is still going on.
    """
    parts = [
        _verdict(found, under_way),
        _cost(report),
        _INTRODUCTION,
        _rounds(found),
        _set(found),
        _heuristics(found, heuristics),
        _side_by_side(found),
        *(_candidates(each, found) for each in found.rounds),
    ]
    _write(path, title, parts, final=not under_way)


class ComparedVariant(NamedTuple):
    """A column of a comparison: a prompt with a model, and its answers to the queries, the same for all variants."""

    name: str
    origin: str  #: the prompt's file and the model
    scored: Sequence[Scored]


def write_comparison(
    path: Path,
    title: str,
    variants: Sequence[ComparedVariant],
    numbers: Iterable[tuple[str, Sequence[str]]],
    lines: Iterable[str],
    simulated: bool,
) -> None:
    """Write the page of a comparison, UTF-8: the numbers, and each query with all answers beside each other.

    `numbers` are rows with a cell for each variant, `lines` are its verdicts. Raises `StorageError` if the disk fails.
    """
    queries = pluralize(len(variants[0].scored) if variants else 0, "query", "queries")
    origins = table(["", "prompt and model"], [[each.name, each.origin] for each in variants])
    parts = [
        *(f'<p class="notice">{text(line)}</p>\n' for line in lines),
        f"<p>{SIMULATED_NOTICE}</p>\n" if simulated else "",
        f"<h2>Numbers</h2>\n<p>{queries} with each prompt and model; in brackets, the 95% interval.</p>\n",
        table(["", *(each.name for each in variants)], [[name, *cells] for name, cells in numbers]),
        origins,
        "<h2>Answers</h2>\n<p>The queries whose scores differ most come first.</p>\n",
        *(_compared(variants, number) for number in most_different([each.scored for each in variants])),
    ]
    _write(path, title, parts)


def most_different(columns: Sequence[Sequence[Scored]]) -> list[int]:
    """Return the numbers of all queries, from 0, those first whose scores differ most; then in their own order."""
    rows = [[scored.total for scored in row] for row in zip(*columns, strict=True)]
    return sorted(range(len(rows)), key=lambda number: min(rows[number]) - max(rows[number]))


def _compared(variants: Sequence[ComparedVariant], number: int) -> str:
    first = variants[0].scored[number]
    scores = ", ".join(f"{text(each.name)} {each.scored[number].total:.2f}" for each in variants)
    answers = [(each.name, each.scored[number]) for each in variants]
    columns = "".join(
        f'<div><h4 dir="auto">{text(name)}</h4>{_verdict_of(scored)}{_answer(scored)}</div>' for name, scored in answers
    )
    return (
        f"<details open><summary><bdi>{text(first.candidate.query.id)}</bdi> <b>score</b> <i>{scores}</i></summary>\n"
        f'{_annotation(first)}<div class="all">{columns}</div></details>\n'
    )


def _verdict_of(scored: Scored) -> str:
    """Return the state in words, unless `_answer` shows it, and the score."""
    candidate = scored.candidate
    accepted = f"ok, {pluralize(len(candidate.pairs), 'pair')}, " if candidate.state is State.OK else ""
    return f"<p>{accepted}score {scored.total:.2f}, {text(describe_model(candidate.model))}</p>\n"


def _write(path: Path, title: str, parts: Iterable[str], final: bool = True) -> None:
    body = tag("div", {"class": "flow"}, *(Html(part) for part in parts))
    write_document(path, title, [body], fonts=() if final else None)


def _verdict(found: SearchResult, under_way: str) -> str:
    if under_way:
        return f'<p class="notice">{text(under_way)}</p>\n'
    if found.satisfactory:
        return '<p class="notice">Satisfactory: a set of in-context examples was found and proven.</p>\n'
    if not found.best and not found.missing:
        return '<p class="notice">Stopped before any set was proven.</p>\n'
    items = [f"<li>Missing: {text(each)}</li>" for each in found.missing]
    items += [f"<li>To try: {text(each)}</li>" for each in found.advice]
    note = " The best set is kept." if found.best else ""
    return f'<div class="notice" data-kind="warn">Not satisfactory.{note}<ul>{"".join(items)}</ul></div>\n'


def _cost(report: Report) -> str:
    spending = report.spending
    cost = "cost unknown" if report.cost is None else format_dollars(report.cost)
    used = f"{pluralize(spending.requests, 'request')}, {spending.usage.prompt_tokens:,} tokens in, "
    used += f"{spending.usage.completion_tokens:,} out, {cost} so far in this run"
    notice = f" {SIMULATED_NOTICE}" if report.simulated else ""
    return f"<p>{text(used)}.{notice}</p>\n"


def _rounds(found: SearchResult) -> str:
    heads = ("round", "candidates", "valid", "chosen", "valid with the set", "without", "score with the set", "without",
             "gain (95% interval)", "copies", "")  # fmt: skip
    rows = [_row(each) for each in found.rounds]
    message = f'<pre dir="auto">{text(found.rounds[-1].asked_with.system_message)}</pre>\n' if found.rounds else ""
    return f"<h2>Rounds</h2>\n{table(heads, rows)}<h4>The system message</h4>\n{message}"


def _row(round_: SearchRound) -> list[str]:
    new = [each for each in round_.scored if each.candidate.round == round_.number]
    valid = sum(each.candidate.state is State.OK for each in new)
    cells = [str(round_.number), str(len(new)), str(valid), str(len(round_.chosen))]
    proof = round_.proof
    if proof is None:
        return [*cells, *["-"] * 6, "not proven"]
    gain = f"{proof.gain.mean:+.3f} ({proof.gain.low:+.3f} to {proof.gain.high:+.3f})"
    scores = [f"{proof.valid_share:.0%}", f"{proof.plain_share:.0%}", f"{proof.mean_score:.2f}"]
    return [*cells, *scores, f"{proof.plain_score:.2f}", gain, str(proof.copies), _verdicttext(proof)]


def _verdicttext(proof: Proof) -> str:
    return "satisfactory" if proof.satisfactory else "not satisfactory"


def _set(found: SearchResult) -> str:
    if found.best is None:
        return "<h2>The set</h2>\n<p>No answer could become an in-context example.</p>\n"
    chosen = found.best.chosen
    cards = "".join(_card(each, f"example {number}", in_set=True) for number, each in enumerate(chosen, 1))
    return f"<h2>The set</h2>\n<p>From round {found.best.number}.</p>\n{cards}"


def _heuristics(found: SearchResult, heuristics: Sequence[Heuristic]) -> str:
    best = found.best
    groups = [("candidates", best.scored if best else found.rounds[-1].scored if found.rounds else ())]
    groups += [("without examples", best.without), ("with the set", best.with_set)] if best and best.proof else []
    rows = []
    for heuristic in heuristics:
        name = heuristic.name
        means = [[each.scores[name] for each in scored if name in each.scores] for _, scored in groups]
        if any(means):
            cell = f"{text(name)}<small>{text(heuristic.explained)}</small>"
            numbers = [f"{heuristic.weight:g}", f"{heuristic.floor:g}" if heuristic.floor else ""]
            rows.append([cell, *numbers, *(_bar(mean(each)) if each else "-" for each in means)])
    heads = ["heuristic", "weight", "floor", *(each for each, _ in groups)]
    note = "An answer's score is the weighted mean. An answer below a floor is never chosen, and its score is halved."
    return f"<h2>Scores by heuristic</h2>\n<p>{note}</p>\n{table(heads, rows, raw=True)}"


def _side_by_side(found: SearchResult) -> str:
    best = found.best
    if best is None or best.proof is None:
        return ""
    plain_by_query = {each.candidate.query.id: each for each in best.without}
    pairs = [(scored, plain_by_query.get(scored.candidate.query.id)) for scored in best.with_set]
    blocks = []
    for scored, plain in sorted(pairs, key=lambda pair: pair[0].total - (pair[1].total if pair[1] else 0)):
        change = f"{scored.total:.2f}, without {plain.total:.2f}" if plain else f"{scored.total:.2f}"
        blocks.append(
            f"<details><summary><bdi>{text(scored.candidate.query.id)}</bdi> <b>score {change}</b></summary>\n"
            f"{_annotation(scored)}"
            f'<div class="two"><div><h4>without examples</h4>{_answer(plain) if plain else "-"}</div>'
            f"<div><h4>with the set</h4>{_answer(scored)}</div></div></details>\n"
        )
    lines = "".join(f"<p>{text(line[0].upper() + line[1:])}.</p>\n" for line in comparison_lines(best.proof))
    note = f"{lines}<p>The queries that gain the least from the set come first.</p>"
    return f"<h2>Held-out queries, without and with the set</h2>\n{note}\n{''.join(blocks)}"


def _candidates(round_: SearchRound, found: SearchResult) -> str:
    fates = {**found.rounds[-1].fates, **round_.fates}
    new = [each for each in round_.scored if each.candidate.round in (round_.number, 0)]
    ranked = sorted(new, key=lambda each: -each.total)
    cards = "".join(_candidate_card(each, fates.get(each.candidate.key, "")) for each in ranked)
    examples = sum(turn["role"] == "assistant" for turn in round_.asked_with.in_context)
    note = f"Generated with {pluralize(examples, 'in-context example')}; the best come first."
    return f"<h2>Candidates of round {round_.number}</h2>\n<p>{note}</p>\n{cards}"


def _candidate_card(scored: Scored, fate: str) -> str:
    in_set = fate in (TAKEN, PINNED)
    if not fate:
        never = f"ruled out by: {', '.join(scored.barred)}"
        fate = never if scored.barred else "not chosen: others are better, or differ more from each other"
    return _card(scored, fate, in_set, closed=True)


def _card(scored: Scored, label: str, in_set: bool, closed: bool = False) -> str:
    candidate = scored.candidate
    kind = "good" if in_set else "bad" if scored.barred else ""
    head = f"<bdi>{text(candidate.query.id)}</bdi> <b>score {scored.total:.2f}</b> <i>{text(label)}</i>"
    by = f"round {candidate.round}, {describe_model(candidate.model)}" if candidate.round else "by hand"
    return (
        f'<details class="{kind}"{"" if closed else " open"}><summary>{head}</summary>\n'
        f"<p><small>{text(by)}</small></p>\n{_annotation(scored)}{_answer(scored)}</details>\n"
    )


def _annotation(scored: Scored) -> str:
    return f'<pre dir="auto">{text(scored.candidate.user_turn)}</pre>\n'


def _answer(scored: Scored) -> str:
    candidate = scored.candidate
    if candidate.state is State.OK:
        shown = "".join(
            f'<dt dir="auto">{text(pair.instruction)}</dt><dd dir="auto">{text(pair.answer)}</dd>'
            for pair in candidate.pairs
        )
        body = f"<dl>{shown}</dl>"
    else:
        state = f"{candidate.state}: {candidate.reason}" if candidate.reason else str(candidate.state)
        body = f'<p class="state">{text(state)}</p><pre dir="auto">{text(candidate.answer)}</pre>'
    return f"{body}{_scores(scored)}"


def _scores(scored: Scored) -> str:
    rows = [
        [text(name), _bar(score), text(scored.notes.get(name, "")), "rules it out" if name in scored.barred else ""]
        for name, score in scored.scores.items()
        if score < 1 or name in scored.notes
    ]
    if not rows:
        return "<p><small>Every score is 1.</small></p>\n"
    return table(["heuristic", "", "why", ""], rows, raw=True)


def _bar(share: float) -> str:
    return f"{meter(share)} {share:.2f}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], raw: bool = False) -> str:
    """Return an HTML table; cells are text, or HTML with `raw`."""
    return text_table(heads, [[Html(cell) if raw else cell for cell in row] for row in rows])
