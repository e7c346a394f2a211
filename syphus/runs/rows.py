"""The rows of a run with everything that is known of them: annotation, messages, answers, pairs, verdict.

Rows are read a few hundred at a time, so millions can be walked through.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from syphus.config.pricing import Prices
from syphus.errors import InputError, SyphusError
from syphus.exchange import BilledUsage, Usage
from syphus.ledger.parts import marks
from syphus.ledger.reviews import PairReview, ReviewLog, text_hash
from syphus.ledger.serialization import load_pairs
from syphus.ledger.store import Columns, Store
from syphus.runs.row_verdicts import JudgedRow, PairCheck, read_checks
from syphus.types import Pair, State

_GENERATE, _TRANSLATE = "generate", "translate"
_NEAREST, _SIMILAR_AMONG = 3, 200_000  # ids that an error names; ids that are compared for it


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Which rows: those in `states` (all if empty), whose reason contains `reason`, with these `ids`.

    With a `language`, the rows are the pairs that are translated into it. If `reason` is about a judge, rows of which
    a judge took out only some pairs are wanted, too: these are ok, and have no reason.
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
    checks: tuple[PairCheck, ...] = ()  #: what judges say about the pairs of its newest answer, taken out or not

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
        if self.checks:
            values["verdicts"] = [each._asdict() for each in self.checks]
        left_out = {"reviews", "checks", "source", *(() if messages else ("messages",))}
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


_JUDGED_REASON = "judge:"
_LOST_PAIRS = "json_extract(coalesce(result.repairs, '{}'), '$.judge') IS NOT NULL"
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
        lost = f" OR {_LOST_PAIRS}" if not wanted.language and wanted.reason.lower() in _JUDGED_REASON else ""
        where.append(f"(instr(lower({table}.reason), ?){lost})")
        values.append(wanted.reason.lower())
    select = (_PARTS if wanted.language else _ROWS).format(where=" AND ".join(where))
    prompts: dict[int, tuple[Mapping[str, object], ...]] = {}
    log = ReviewLog(store.folder)
    has_reviews = bool(log.refresh())
    for rows in store.read_in_batches(select, *values):
        earlier = _earlier_answers(store, [row[1] for row in rows]) if not wanted.language else {}
        asked = [] if wanted.language else [JudgedRow(row[1], row[2], row[-1] or 0) for row in rows]
        checks = read_checks(store, asked)
        newest = [row[-1] for row in rows if row[-1] is not None]
        answers = _answers(store, {*newest, *(n for each in earlier.values() for n in each)}, prices)
        for row in rows:
            record = _record(store, row, earlier.get(row[1], {}), answers, prompts, wanted)
            record = record._replace(checks=checks.get(row[1], ()))
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
    """Return a translated pair; none if its newest translation is not a pair."""
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
