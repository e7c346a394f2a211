"""Show the exact messages of the first queries of a run. Nothing is sent, and nothing is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import orjson

from syphus.config.options import Options
from syphus.config.sampling import resolve_sampling
from syphus.endpoints.request import RequestBuilder
from syphus.errors import ConfigError, InputError
from syphus.images.prompt.attachments import ImageAttachments
from syphus.io.text_files import BadRecords
from syphus.ledger.inputs import same_id
from syphus.ledger.records import Row
from syphus.pipeline.stage import PluginFaultError
from syphus.plugins.contract import skip_failing_records
from syphus.runs.generate import GenerateStage, GenerationContext
from syphus.runs.inputs import input_queries, require_rows, row_selector
from syphus.runs.prepare import PreparedRun, prepare
from syphus.types import BYTES_PER_TOKEN, Outcome, Query, State


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


def preview(
    options: Options, environ: Mapping[str, str], count: int, show: Callable[[PreviewedQuery], None]
) -> PreviewSizes:
    """Show the first `count` queries of a run; return the sizes over all of its queries.

    Needs no endpoint. Raises `UsageError`.
    """
    prepared = _prepare(options, environ)
    with contextlib.closing(prepared.attachments()) as attachments:
        return _preview(prepared, attachments, count, show)


def _preview(
    prepared: PreparedRun, attachments: ImageAttachments, count: int, show: Callable[[PreviewedQuery], None]
) -> PreviewSizes:
    dataset, options = prepared.dataset, prepared.options
    sampling = resolve_sampling(prepared.config)
    builder = RequestBuilder(prepared.config.model, sampling.fields, attachments, None, sampling.left_out)
    stage = GenerateStage(GenerationContext.of_run(prepared, builder, attachments))
    tolerance = BadRecords() if options.allow_bad_rows else None
    if tolerance is not None:
        skip_failing_records(dataset, options.query_inputs_path, tolerance)
    source = (dataset, options, tolerance)
    is_selected, selected, read = row_selector(*source), 0, 0
    shortest = longest = ("", 0)
    texts: dict[str, tuple[int, int]] = {}  # by id: the row, and the hash of its text
    for position, query in enumerate(input_queries(*source)):
        read += 1
        if not is_selected(position):
            continue
        if selected < count:
            show(_preview_query(query, stage, attachments))
        selected += 1
        first, text = texts.setdefault(query.id, (read, hash(query.text)))
        if text != hash(query.text):
            raise InputError(same_id(first, read, query.id))
        size = (query.id, -(-len(query.text.encode()) // BYTES_PER_TOKEN))
        shortest = size if selected == 1 or size[1] < shortest[1] else shortest
        longest = size if selected == 1 or size[1] > longest[1] else longest
    require_rows(read, dataset, options)
    return PreviewSizes(shortest, longest)


def _prepare(options: Options, environ: Mapping[str, str]) -> PreparedRun:
    try:
        return prepare(options, environ, ask_server=False)
    except ConfigError:
        if options.config is not None:  # the user gave it: report what is wrong with it
            raise
        return prepare(replace(options, offline=True, config=None), environ)  # the messages are the same anywhere


def _preview_query(query: Query, stage: GenerateStage, attachments: ImageAttachments) -> PreviewedQuery:
    if query.images:
        (query,) = attachments.inspect([query])
    try:
        request = stage.request(Row(0, query), None)
    except PluginFaultError as fault:
        return PreviewedQuery(query.id, [], {}, 0, fault.reason)
    if isinstance(request, Outcome):
        return PreviewedQuery(query.id, [], {}, 0, _describe(request))
    body = orjson.loads(attachments.describe(request.body))
    return PreviewedQuery(query.id, body.pop("messages"), body, request.size // BYTES_PER_TOKEN)


def _describe(outcome: Outcome) -> str:
    """Say why nothing would be sent."""
    if outcome.state is State.OK:
        return "the row already has its pairs"
    return f"{outcome.reason}: {outcome.detail}" if outcome.detail else outcome.reason
