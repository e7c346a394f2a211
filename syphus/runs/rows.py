"""The rows of a run with everything that is known of them: annotation, messages, answers, pairs, verdict.

Rows are read a few hundred at a time, so millions can be walked through.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from syphus.config.pricing import Prices
from syphus.errors import InputError, SyphusError
from syphus.ledger.parts import marks
from syphus.ledger.reviewed import review_lines
from syphus.ledger.reviews import PairReview, ReviewLog, text_hash
from syphus.ledger.serialization import load_pairs
from syphus.ledger.store import Columns, Store
from syphus.text import format_dollars, one_line, pluralize, printable
from syphus.types import BilledUsage, Pair, State, Usage

_GENERATE, _TRANSLATE = "generate", "translate"
_NEAREST, _SIMILAR_AMONG = 3, 200_000  # ids that an error names; ids that are compared for it
_RED, _BOLD, _PLAIN = "\033[1;31m", "\033[1m", "\033[0m"
_IMAGES_SHOWN, _SHORTEST_MARK = 4, 3  # ids of a row; characters: shorter texts would be marked everywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Which rows: those in `states` (all if empty), whose reason contains `reason`, with these `ids`.

    With a `language`, the rows are the pairs that are translated into it.
    """

    states: tuple[State, ...] = ()
    reason: str = ""
    ids: tuple[str, ...] = ()
    language: str = ""

    @property
    def stage(self) -> str:
        """The stage whose queries are the rows."""
        return _TRANSLATE if self.language else _GENERATE


class RowAnswer(NamedTuple):
    """One answer that a row got. `cost` is in dollars, None if a price is unknown; `reason` says what is wrong."""

    text: str
    reason: str
    newest: bool
    model: str
    finish_reason: str
    refusal: str
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    seconds: float


class RowRecord(NamedTuple):
    """One row. `messages` are those before its own turn, `reason` and `detail` say why it is not ok, and where.

    The turn of the row is its annotation, unless the plugin renders it in another way.
    """

    row: int  #: its number in the input, from 1
    id: str
    annotation: str
    image_ids: tuple[str, ...]
    meta: Mapping[str, object]
    state: State
    reason: str
    detail: str
    pairs: tuple[Pair, ...]
    answers: tuple[RowAnswer, ...]
    messages: tuple[Mapping[str, object], ...]
    source: Pair | None = None  #: the pair that is translated, of a row of a language
    reviews: Mapping[str, PairReview] = {}  #: what people say about its pairs, by their ids

    @property
    def cost(self) -> float | None:
        """The dollars of its answers, None if a price is unknown."""
        costs = [answer.cost for answer in self.answers]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def as_json(self, *, messages: bool = True) -> dict[str, object]:
        """Return it as JSON values."""
        pairs = [
            {"id": each.id, "instruction": each.instruction, "answer": each.answer, **self._review(each.id)}
            for each in self.pairs
        ]
        answers = [each._asdict() for each in self.answers]
        values = {**self._asdict(), "state": self.state.value, "pairs": pairs, "answers": answers}
        left_out = {"reviews", "source", *(() if messages else ("messages",))}
        return {name: value for name, value in values.items() if name not in left_out}

    def _review(self, pair_id: str) -> dict[str, object]:
        return {"review": self.reviews[pair_id].as_json()} if pair_id in self.reviews else {}


@dataclass(frozen=True)
class TriedRows:
    """Rows that were tried. `cost` and `requests` are those of this time, `folder` is the run that keeps the answers.

    `cost` is in dollars, None if a price is unknown; `stopped_by` is what stopped it early, if anything.
    """

    rows: tuple[RowRecord, ...]
    folder: Path
    cost: float | None
    requests: int
    simulated: bool
    stopped_by: SyphusError | None = None

    @property
    def exit_code(self) -> int:
        """0, or that of what stopped it."""
        return self.stopped_by.exit_code if self.stopped_by else 0

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        rows = [row.as_json() for row in self.rows]
        return {"rows": rows, "folder": str(self.folder), "cost": self.cost, "requests": self.requests}


_ROWS = (
    "SELECT position, query.n, id, annotation.text, image_ids, meta, query.state, query.reason, coalesce(detail, ''), "
    "coalesce(result.pairs, '[]'), query.answer FROM query JOIN annotation USING (n) LEFT JOIN result USING (n) "
    "WHERE {where} AND position > ? ORDER BY position LIMIT ?"
)
_PARTS = (
    "SELECT position, query.n, id, annotation.text, image_ids, meta, part.state, part.reason, part.detail, part.text, "
    "part.answer FROM query JOIN annotation USING (n) JOIN part USING (n) "
    "WHERE {where} AND position > ? ORDER BY position LIMIT ?"
)
_ANSWERS = (
    "SELECT answer.n, text, model, finish_reason, refusal, answer.seconds, coalesce(settings ->> 'model', ''), "
    "service_tier, regional, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, estimated, "
    "cache_write_tokens, spec FROM answer LEFT JOIN session ON session.id = answer.session "
    "LEFT JOIN spec ON spec.id = session.spec WHERE answer.n IN ({marks})"
)


def read_rows(store: Store, wanted: RowFilter, prices: Prices) -> Iterator[RowRecord]:
    """Yield the rows that are wanted, in the order of the input. Raises `InputError` for an id that does not exist."""
    check_ids(store, wanted)
    table, values = ("part", [wanted.language]) if wanted.language else ("query", [])
    where = ["part.name = ?"] if wanted.language else []
    where.append("stage = ?")
    values.append(wanted.stage)
    for column, given in ((f"{table}.state", wanted.states), ("id", wanted.ids)):
        if given:
            where.append(f"{column} IN ({marks(given)})")
            values += map(str, given)
    if wanted.reason:
        where.append(f"instr(lower({table}.reason), ?)")
        values.append(wanted.reason.lower())
    select = (_PARTS if wanted.language else _ROWS).format(where=" AND ".join(where))
    prompts: dict[int, tuple[Mapping[str, object], ...]] = {}
    log = ReviewLog(store.folder)
    has_reviews = bool(log.refresh())
    for rows in store.read_in_batches(select, *values):
        earlier = _earlier_answers(store, [row[1] for row in rows]) if not wanted.language else {}
        newest = [row[-1] for row in rows if row[-1] is not None]
        answers = _answers(store, {*newest, *(n for each in earlier.values() for n in each)}, prices)
        for row in rows:
            record = _record(store, row, earlier.get(row[1], {}), answers, prompts, wanted)
            yield _with_reviews(record, log, wanted.language) if has_reviews else record


def _with_reviews(record: RowRecord, log: ReviewLog, language: str) -> RowRecord:
    reviews = {
        pair.id: log.review(pair.id, text_hash(pair.instruction, pair.answer), language)
        for pair in record.pairs
        if log.decisions(pair.id, language)
    }
    return record._replace(reviews=reviews)


def check_ids(store: Store, wanted: RowFilter) -> None:
    """Raise `InputError` for an id that the run does not have, with the nearest ones."""
    for name in wanted.ids:
        if store.read_one("SELECT 1 FROM query WHERE id = ? AND stage = ?", name, wanted.stage) is None:
            raise InputError(f"{store.folder} has no query {name!r}{nearest_ids(store, wanted.stage, name)}")


def nearest_ids(store: Store, stage: str, name: str) -> str:
    """Return the end of a sentence that says which ids of a stage are like one that does not exist."""
    ids = [row[0] for row in store.read("SELECT id FROM query WHERE stage = ? LIMIT ?", stage, _SIMILAR_AMONG)]
    parts = [each for each in ids if name.lower() in each.lower()][:_NEAREST] if name else []
    near = parts or difflib.get_close_matches(name, ids[:20_000], _NEAREST, 0.5)
    return f"; did you mean {' or '.join(near)}?" if near else f". Its ids are as {ids[0]!r}." if ids else "."


def _earlier_answers(store: Store, numbers: Sequence[int]) -> dict[int, dict[int, str]]:
    """Return what was wrong with earlier answers, by the numbers of queries and answers."""
    found: dict[int, dict[int, str]] = {}
    if store.has_table("earlier"):  # old ledgers have none
        select = "SELECT n, answer, reason FROM earlier WHERE n IN ({})"
        for n, answer, reason in store.read(select.format(marks(numbers)), *numbers):
            found.setdefault(n, {})[answer] = reason
    return found


def _answers(store: Store, numbers: Collection[int], prices: Prices) -> dict[int, tuple[RowAnswer, int]]:
    """Return answers by number, each with the number of its settings."""
    rows = store.read(_ANSWERS.format(marks=marks([*numbers])), *numbers)
    found = {}
    for n, text, model, finish, refusal, seconds, asked, tier, regional, *tokens, spec in rows:
        usage = Usage(*tokens)
        cost = prices.cost([BilledUsage(model, asked, usage, tier, bool(regional), usage.prompt_tokens)])
        sizes = (usage.prompt_tokens, usage.completion_tokens)
        found[n] = (RowAnswer(text, "", False, model, finish, refusal, *sizes, cost, seconds), spec)
    return found


def _record(
    store: Store,
    row: Columns,
    earlier: Mapping[int, str],
    answers: Mapping[int, tuple[RowAnswer, int]],
    prompts: dict[int, tuple[Mapping[str, object], ...]],
    wanted: RowFilter,
) -> RowRecord:
    position, _, name, text, image_ids, meta, state, reason, detail, pairs, newest = row
    reasons = {**earlier, **({newest: reason} if newest is not None else {})}
    own = tuple(answers[n][0]._replace(reason=reasons[n], newest=n == newest) for n in sorted(reasons) if n in answers)
    spec = next((answers[n][1] for n in sorted(reasons, reverse=True) if n in answers), None)
    if spec is not None and spec not in prompts:
        prompts[spec] = _messages(store, spec)
    made = load_pairs(pairs) if not wanted.language else _translated(name, pairs)
    before = prompts.get(spec, ()) if spec is not None else ()
    ids, about = tuple(orjson.loads(image_ids)), orjson.loads(meta)
    source = _translated(name, text)[0] if wanted.language else None
    return RowRecord(position + 1, name, text, ids, about, State(state), reason, detail, made, own, before, source)


def _translated(name: str, text: str) -> tuple[Pair, ...]:
    """Return a translated pair; none if its newest translation is no pair."""
    try:
        instruction, answer = orjson.loads(text)
    except ValueError:
        return ()
    return (Pair(str(instruction), str(answer), name),)


def _messages(store: Store, spec: int) -> tuple[Mapping[str, object], ...]:
    """Return the messages before a query's own turn, from the settings of its session."""
    settings = orjson.loads(store.read_value("SELECT settings FROM spec WHERE id = ?", spec))
    prompt = settings.get("prompt_text") or {}
    system = prompt.get("system_message")
    first = [{"role": "system", "content": system}] if system else []
    return (*first, *prompt.get("in_context", ()))


_HASH = 2654435761  # Knuth, section 6.4; the same for a position and a seed


def choose_rows(store: Store, stage: str, count: int, seed: int | None) -> list[tuple[int, str, State]]:
    """Return number, id and state of the first rows or, with a seed, of random ones, in the order of the input."""
    order = "position" if seed is None else f"(position + {seed} * 40503 + 1) * {_HASH} % 4294967296"
    rows = store.read(
        f"SELECT position, n, id, state FROM query WHERE stage = ? AND position IS NOT NULL ORDER BY {order} LIMIT ?",  # noqa: S608 - numbers
        *(stage, count),
    )
    return [(n, name, State(state)) for _, n, name, state in sorted(rows)]


# As text


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
    if record.detail and record.detail != record.reason:
        yield from _block("because", record.detail)
    yield ""


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
    first = (record.row, record.id, record.state.value, record.reason, record.detail, record.annotation)
    return (*first, " ".join(record.image_ids), pairs, len(record.answers), *own, record.cost)


def more_line(count: int, shown: int) -> str:
    """Return what to say about the rows that are not shown."""
    return f"{pluralize(count - shown, 'more row', 'more rows')}: add -n {count} for all, or --csv"
