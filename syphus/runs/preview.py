"""Show the exact messages of some queries of a run, and what all take. Nothing is sent, and nothing is written."""

from __future__ import annotations

import contextlib
import heapq
import operator
import random
import sqlite3
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import orjson

from syphus.config.options import Options
from syphus.config.sampling import resolve_sampling
from syphus.endpoints.prompt_cache import has_own_cache_fields
from syphus.endpoints.request import RequestBuilder
from syphus.errors import ConfigError, InputError
from syphus.exchange import BYTES_PER_TOKEN
from syphus.images.prompt.attachments import ImageAttachments
from syphus.io.text_files import BadRecords
from syphus.ledger.inputs import content_digest, same_id
from syphus.ledger.records import Row
from syphus.ledger.store import FILE, open_for_reading
from syphus.pipeline.observer import Observer
from syphus.pipeline.stage import PluginFaultError
from syphus.plugins.contract import skip_failing_records
from syphus.runs.cost_estimate import CostEstimator, QuoteLine, Speed, asked_models, example_answer_tokens
from syphus.runs.generate import GenerateStage, GenerationContext
from syphus.runs.inputs import input_queries, random_rank, require_rows, row_selector
from syphus.runs.prepare import PreparedRun, go_on_as_begun, prepare
from syphus.runs.quote import ROWS_BEFORE_RUN
from syphus.runs.session import DEFAULT_ROUNDS
from syphus.runs.token_forecast import RowSize, fit
from syphus.types import Outcome, Query, State

_BATCH = 1000  # rows that are written at once
_SPARE = 1000  # rows that are drawn before the best of them are chosen
_BY_RANK = operator.itemgetter(0, 1)


class PreviewedQuery(NamedTuple):
    """What would be sent for a query, or the `problem` that prevents it. `tokens` is an estimate.

    `messages` are as they would be sent, but an image's URL describes it: `<image 640x480 JPEG, about 765 tokens>`.
    """

    id: str
    messages: list[dict[str, object]]
    parameters: dict[str, object]
    tokens: int
    problem: str = ""


class PreviewSizes(NamedTuple):
    """The queries with the shortest and with the longest annotation: id and estimated tokens of each."""

    shortest: tuple[str, int]
    longest: tuple[str, int]


class PreviewTotal(NamedTuple):
    """What all rows take, not only those that are shown. `line` is None if no model is known; `problem` says why."""

    rows: int
    to_ask: float  #: requests, not counting any that are repeated; estimated from a sample of many rows
    sizes: PreviewSizes
    line: QuoteLine | None
    problem: str = ""


class Preview(NamedTuple):
    """A preview: the rows that are shown, and what all rows take."""

    queries: tuple[PreviewedQuery, ...]
    total: PreviewTotal


def preview(
    options: Options,
    environ: Mapping[str, str],
    count: int,
    show: Callable[[PreviewedQuery], None],
    sample: bool = False,
) -> PreviewTotal:
    """Show the first `count` queries of a run, or a random `sample` by `seed`; return what all of its queries take.

    Needs no endpoint and no key. Raises `UsageError`, also if two different queries have the same id.
    """
    if count < 0:
        raise ConfigError(f"-n {count}: must be at least 0.")
    prepared, problem = _prepare(options, environ)
    with contextlib.closing(prepared.attachments()) as attachments, contextlib.closing(_Ids()) as ids:
        return _Preview(prepared, attachments, ids).run(count, sample, show, problem)


class _Sized(NamedTuple):
    """A row of the sample: the key of its request and its size; None if nothing is sent for it."""

    key: tuple[bytes, int] | None
    size: RowSize


class _Preview:
    """Reads all rows once: some are shown, all are checked, and a sample of them is measured."""

    def __init__(self, prepared: PreparedRun, attachments: ImageAttachments, ids: _Ids) -> None:
        sampling = resolve_sampling(prepared.config)
        builder = RequestBuilder(prepared.config.model, sampling.fields, attachments, None, sampling.left_out)
        self._prepared = prepared
        self._attachments = attachments
        self._ids = ids
        self._stage = GenerateStage(GenerationContext.of_run(prepared, builder, attachments))

    def run(self, count: int, sample: bool, show: Callable[[PreviewedQuery], None], problem: str) -> PreviewTotal:
        """Show some rows and return what all of them take; `problem` says why no model is known."""
        options, dataset = self._prepared.options, self._prepared.dataset
        tolerance = BadRecords() if options.allow_bad_rows else None
        if tolerance is not None:
            skip_failing_records(dataset, options.query_inputs_path, tolerance)
        source = (dataset, options, tolerance)
        is_selected, selected, read = row_selector(*source), 0, 0
        shortest = longest = ("", 0)
        measured: list[_Sized] = []
        drawn: list[tuple[bytes, int, Query]] = []  # by rank and position; a heap would compare the queries of a tie
        choice = random.Random(options.seed)
        for position, query in enumerate(input_queries(*source)):
            read += 1
            if not is_selected(position):
                continue
            selected += 1
            if sample:
                drawn.append((random_rank(query.id, options.seed), position, query))
                drawn = heapq.nsmallest(count, drawn, _BY_RANK) if len(drawn) > 2 * count + _SPARE else drawn
            elif selected <= count:
                show(self._show(query))
            place = selected - 1 if selected <= ROWS_BEFORE_RUN else choice.randrange(selected)
            if place < ROWS_BEFORE_RUN:  # each row ends up in the sample with the same chance
                measured[place : place + 1] = [self._measure(query)]
            self._ids.add(query, read)
            size = (query.id, -(-len(query.text.encode()) // BYTES_PER_TOKEN))
            shortest = size if selected == 1 or size[1] < shortest[1] else shortest
            longest = size if selected == 1 or size[1] > longest[1] else longest
        require_rows(read, dataset, options)
        self._ids.check()
        for _, _, query in heapq.nsmallest(count, drawn, _BY_RANK):
            show(self._show(query))
        return self._total(selected, PreviewSizes(shortest, longest), measured, problem)

    def _total(self, rows: int, sizes: PreviewSizes, measured: list[_Sized], problem: str) -> PreviewTotal:
        prepared = self._prepared
        asked = {each.key: each.size for each in measured if each.key is not None}
        to_ask = rows * len(asked) / len(measured)
        if problem or not asked:
            return PreviewTotal(rows, to_ask, sizes, None, problem)
        further = DEFAULT_ROUNDS if prepared.options.max_rounds is None else prepared.options.max_rounds
        tokens = fit([], example_answer_tokens(prepared.template), further)
        estimator = CostEstimator(
            tokens,
            asked_models(prepared),
            prepared.template,
            Speed.of(prepared),
            has_own_cache_fields=has_own_cache_fields(prepared.config),
        )
        return PreviewTotal(rows, to_ask, sizes, estimator.line("", list(asked.values()), to_ask))

    def _measure(self, query: Query) -> _Sized:
        """Return what a row would send."""
        query = self._inspected(query)
        try:
            request = self._stage.request(Row(0, query), None)
        except PluginFaultError:
            return _Sized(None, RowSize(0))
        if isinstance(request, Outcome):
            return _Sized(None, RowSize(0))
        rules = self._prepared.image_rules
        shown = [rules.size(image.width, image.height) for image in query.images if image.digest]
        image_tokens = sum(rules.tokens(*size) for size in shown)
        return _Sized((request.key, request.sample), RowSize.of_request(request.size, image_tokens))

    def _show(self, query: Query) -> PreviewedQuery:
        query = self._inspected(query)
        try:
            request = self._stage.request(Row(0, query), None)
        except PluginFaultError as fault:
            return PreviewedQuery(query.id, [], {}, 0, fault.reason)
        if isinstance(request, Outcome):
            return PreviewedQuery(query.id, [], {}, 0, _describe(request))
        body = orjson.loads(self._attachments.describe(request.body))
        return PreviewedQuery(query.id, body.pop("messages"), body, request.size // BYTES_PER_TOKEN)

    def _inspected(self, query: Query) -> Query:
        return self._attachments.inspect([query])[0] if query.images else query


class _Ids:
    """Finds different rows with the same id. The ids are in a temporary file, so millions need no memory."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, int, int]] = []
        self._database = sqlite3.connect("")  # a file that SQLite deletes when it is closed
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE seen (key TEXT, id TEXT, digest INTEGER, row INTEGER)")

    def add(self, query: Query, row: int) -> None:
        """Add a row with its number from 1."""
        more = content_digest(query) if query.meta or query.pairs or query.images else b""
        digest = hash((query.text, query.image_ids, query.problem, more))  # most rows have no more, and it is quick
        self._rows.append((unicodedata.normalize("NFC", query.id), query.id, digest, row))
        if len(self._rows) == _BATCH:
            self._write()

    def check(self) -> None:
        """Raise `InputError` if two rows have the same id; identical rows are one row, written twice."""
        self._write()
        twins = self._database.execute(
            "SELECT key FROM seen GROUP BY key HAVING min(digest) <> max(digest) OR min(id) <> max(id) "
            "ORDER BY max(row) LIMIT 1"
        ).fetchall()
        for (key,) in twins:
            (_, first, digest, one), *others = self._database.execute(
                "SELECT * FROM seen WHERE key = ? ORDER BY row", [key]
            )
            other = next(row for _, name, content, row in others if (name, content) != (first, digest))
            raise InputError(same_id(one, other, first))

    def close(self) -> None:
        """Delete the file."""
        self._database.close()

    def _write(self) -> None:
        self._database.executemany("INSERT INTO seen VALUES (?, ?, ?, ?)", self._rows)
        self._rows.clear()


def _prepare(options: Options, environ: Mapping[str, str]) -> tuple[PreparedRun, str]:
    """Return the run as it would ask, with or without a key; and why no model is known, or ""."""
    try:
        prepared, problem = prepare(options, environ, needs_endpoint=False), ""
    except ConfigError as error:
        if options.config is not None:  # the user gave it: report what is wrong with it
            raise
        # The messages are the same anywhere.
        prepared, problem = prepare(replace(options, offline=True, config=None), environ), str(error)
    if not problem and (prepared.options.folder / FILE).is_file():
        store = open_for_reading(prepared.options.folder)
        with contextlib.closing(store):
            prepared = go_on_as_begun(prepared, store, GenerateStage.name, Observer())
    return prepared, problem


def _describe(outcome: Outcome) -> str:
    """Say why nothing would be sent."""
    if outcome.state is State.OK:
        return "the row already has its pairs"
    return f"{outcome.reason}: {outcome.detail}" if outcome.detail else outcome.reason
