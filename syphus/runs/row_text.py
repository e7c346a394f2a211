"""Rows of a run as text for people, with the place of a fault marked in its answer, and as lines of CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from syphus.ledger.reviewed import review_lines
from syphus.runs.row_verdicts import PairCheck
from syphus.runs.rows import RowAnswer, RowRecord
from syphus.text import format_dollars, one_line, pluralize, printable
from syphus.types import Pair, State

_RED, _BOLD, _PLAIN = "\033[1;31m", "\033[1m", "\033[0m"
_IMAGES_SHOWN, _SHORTEST_MARK = 4, 3  # ids of a row; characters: shorter texts would be marked everywhere


def row_lines(record: RowRecord, colours: bool, messages: bool = False) -> Iterator[str]:
    """Yield a row as lines for people, without control characters; the place of a fault is marked in its answer."""
    bold, plain = (_BOLD, _PLAIN) if colours else ("", "")
    why = f": {one_line(record.reason, 200)}" if record.reason else ""
    yield f"{bold}=== row {record.row:,}  {one_line(record.id)}  {record.state}{why}{plain}"
    for name in record.image_ids[:_IMAGES_SHOWN]:
        yield f"image       {one_line(name)}"
    if len(record.image_ids) > _IMAGES_SHOWN:
        yield f"image       ... {pluralize(len(record.image_ids) - _IMAGES_SHOWN, 'more image')}"
    if messages:
        for message in record.messages:
            yield from _block(str(message["role"]), _text_of(message["content"]))
    pair = record.source
    yield from _block("pair", f"{pair.instruction}\n{pair.answer}") if pair else _block("annotation", record.annotation)
    for number, answer in enumerate(record.answers, 1):
        yield from _answer_lines(record, answer, number, colours)
    if not record.answers:
        yield "answer      none"
    if record.pairs:
        for number, pair in enumerate(record.pairs, 1):
            yield from _block(f"pair {number}", f"{pair.instruction}\n{pair.answer}")
            if pair.id in record.reviews:
                yield from (f"{'':<11} {line}" for line in review_lines(record.reviews[pair.id]))
            yield from _check_lines(check for check in record.checks if _is_about(check, pair))
    for check in record.checks:
        if not any(_is_about(check, pair) for pair in record.pairs):
            yield from _block("taken out" if check.fault else "judged", f"{check.instruction}\n{check.answer}")
            yield from _check_lines([check])
    if record.detail and record.detail != record.reason:
        yield from _block("because", record.detail)
    yield ""


def _is_about(check: PairCheck, pair: Pair) -> bool:
    return (check.instruction, check.answer) == (pair.instruction, pair.answer)


def _check_lines(checks: Iterable[PairCheck]) -> Iterator[str]:
    yield from (f"{'':<11} {one_line(f'judge {check.judge}: {check.line()}', 400)}" for check in checks)


def _answer_lines(record: RowRecord, answer: RowAnswer, number: int, colours: bool) -> Iterator[str]:
    name = "answer" if len(record.answers) == 1 else f"answer {number}"
    cost = "" if answer.cost is None else f", {format_dollars(answer.cost)}"
    tokens = f"{answer.prompt_tokens:,} + {answer.completion_tokens:,} tokens{cost}, {answer.seconds:.1f} s"
    why = f"; {one_line(answer.reason, 120)}" if answer.reason and not answer.newest else ""
    text = answer.refusal or answer.text
    places = _places(record.detail) if answer.newest else []
    if answer.text and answer.newest and record.state is State.OK and record.pairs:
        text = ""  # the pairs follow
    yield f"{name:<11} {one_line(answer.model)}, ended with {answer.finish_reason or 'nothing'}, {tokens}{why}"
    shown = _marked(printable(text), places, colours)
    yield from (f"  | {line}" for line in shown.splitlines())
    if record.state is State.TRUNCATED and answer.newest:
        yield "  | " + (f"{_RED}[cut off here]{_PLAIN}" if colours else "[cut off here]")


def _block(name: str, text: str) -> Iterator[str]:
    lines = printable(text).splitlines() or [""]
    yield f"{name:<11} {lines[0]}"
    yield from (f"{'':<11} {line}" for line in lines[1:])


def _text_of(content: object) -> str:
    """Return the text of a message, or of its parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "[image]")) for part in content)
    return str(content)


class PlaceMark(NamedTuple):
    """A place in an answer that a rule has rejected: from `start` up to `end`, in characters."""

    start: int
    end: int
    rule: str


def find_marks(text: str, detail: str) -> list[PlaceMark]:
    """Return the first of each place in an answer that the details of its verdict quote, in order."""
    lowered = text.lower()
    if len(lowered) != len(text):  # in a few scripts, small letters are more
        lowered = text
    found = [(lowered.find(place.lower()), place, rule) for place, rule in _quoted(detail)]
    return sorted(PlaceMark(start, start + len(place), rule) for start, place, rule in found if start >= 0)


def _quoted(detail: str) -> list[tuple[str, str]]:
    """Return the texts that the details of a verdict quote, each with its rule: "rule (answer 2: text)"."""
    found = []
    for line in detail.splitlines():
        head, _, quoted = line.partition(": ")
        found.append((quoted.removesuffix(")").removesuffix("..."), head.rpartition(" (")[0]))
    return [(place, rule) for place, rule in found if len(place) >= _SHORTEST_MARK]


def _places(detail: str) -> list[str]:
    return sorted({place for place, _ in _quoted(detail)}, key=len, reverse=True)


def _marked(text: str, places: Sequence[str], colours: bool) -> str:
    """Return a text with the first of each place marked: in red, or as >>>place<<<."""
    before, after = (_RED, _PLAIN) if colours else (">>>", "<<<")
    for place in places:
        start = text.lower().find(place.lower())
        if start >= 0:
            end = start + len(place)
            text = f"{text[:start]}{before}{text[start:end]}{after}{text[end:]}"
    return text


CSV_COLUMNS = ("row", "id", "state", "reason", "detail", "annotation", "image_ids", "pairs", "answers", "text",
               "model", "finish_reason", "prompt_tokens", "completion_tokens", "cost")  # fmt: skip


def csv_line(values: Sequence[object]) -> str:
    """Return values as a line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def csv_values(record: RowRecord) -> tuple[object, ...]:
    """Return a row for `CSV_COLUMNS`; text, model and what follows are those of the newest answer, `cost` of all."""
    newest = record.answers[-1] if record.answers else None
    own = (newest.refusal or newest.text, *newest[3:5], *newest[6:8]) if newest else ("",) * 5
    pairs = "\n".join(f"{pair.instruction}\n{pair.answer}" for pair in record.pairs)
    detail = record.detail or "\n".join(check.line() for check in record.checks if check.fault)
    first = (record.row, record.id, record.state.value, record.reason, detail, record.annotation)
    return (*first, " ".join(record.image_ids), pairs, len(record.answers), *own, record.cost)
