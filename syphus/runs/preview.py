"""The exact messages that would go out, for a few queries: nothing is sent, and nothing is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import orjson

from syphus.config.options import Options
from syphus.endpoints.request import RequestBuilder
from syphus.errors import ConfigError
from syphus.images.prompt.attachments import ImageAttachments
from syphus.io.text_files import Tolerance
from syphus.ledger.records import Row
from syphus.pipeline.stage import PluginFaultError
from syphus.plugins.contract import leave_out
from syphus.runs.generate import GenerateStage
from syphus.runs.inputs import input_queries, require_rows, row_selector
from syphus.runs.prepare import PreparedRun, prepare
from syphus.runs.run_settings import sampling_parameters
from syphus.types import BYTES_PER_TOKEN, Outcome, Query, State


class PreviewedQuery(NamedTuple):
    """What would be sent for a query, or the `problem` that keeps it from being sent. `tokens` are an estimate.

    `messages` are as they go out, but an image's URL says what it is: `<image 640x480 JPEG, about 765 tokens>`.
    """

    id: str
    messages: list[dict[str, object]]
    parameters: dict[str, object]
    tokens: int
    problem: str = ""


class PreviewSizes(NamedTuple):
    """The ids of the queries with the shortest and with the longest annotation, and their tokens, about."""

    shortest: tuple[str, int]
    longest: tuple[str, int]


def preview(
    options: Options, environ: Mapping[str, str], count: int, show: Callable[[PreviewedQuery], None]
) -> PreviewSizes:
    """Shows the first `count` queries that a run would take; returns the sizes of all those.

    Needs no endpoint. Raises `UsageError`.
    """
    prepared = _prepared(options, environ)
    with contextlib.closing(prepared.attachments()) as attachments:
        return _preview(prepared, attachments, count, show)


def _preview(
    prepared: PreparedRun, attachments: ImageAttachments, count: int, show: Callable[[PreviewedQuery], None]
) -> PreviewSizes:
    options = prepared.options
    sampling = RequestBuilder(prepared.config.model, sampling_parameters(prepared.config), images=attachments)
    stage = GenerateStage(prepared.dataset, prepared.template, sampling, prepared.redactor, attachments=attachments)
    tolerance = Tolerance() if options.allow_bad_rows else None
    if tolerance is not None:
        leave_out(prepared.dataset, prepared.options.query_inputs_path, tolerance)
    given = (prepared.dataset, prepared.options, tolerance)
    is_wanted, shown, read = row_selector(*given), 0, 0
    shortest = longest = ("", 0)
    for position, query in enumerate(input_queries(*given)):
        read += 1
        if not is_wanted(position):
            continue
        if shown < count:
            show(_shown(query, stage, attachments))
        shown += 1
        size = (query.id, -(-len(query.text.encode()) // BYTES_PER_TOKEN))
        shortest = size if shown == 1 or size[1] < shortest[1] else shortest
        longest = size if shown == 1 or size[1] > longest[1] else longest
    require_rows(read, prepared.dataset, prepared.options)
    return PreviewSizes(shortest, longest)


def _prepared(options: Options, environ: Mapping[str, str]) -> PreparedRun:
    try:
        return prepare(options, environ)
    except ConfigError:
        if options.config is not None:  # what it says is wanted
            raise
        return prepare(replace(options, offline=True, config=None), environ)  # the messages are the same anywhere


def _shown(query: Query, stage: GenerateStage, attachments: ImageAttachments) -> PreviewedQuery:
    if query.images:
        (query,) = attachments.look([query])
    try:
        request = stage.request(Row(0, query), None)
    except PluginFaultError as fault:
        return PreviewedQuery(query.id, [], {}, 0, fault.reason)
    if isinstance(request, Outcome) and request.state is State.OK:
        return PreviewedQuery(query.id, [], {}, 0, "it brings its pairs along")
    if isinstance(request, Outcome):
        return PreviewedQuery(
            query.id, [], {}, 0, f"{request.reason}: {request.detail}" if request.detail else request.reason
        )
    body = orjson.loads(attachments.told(request.body))
    return PreviewedQuery(query.id, body.pop("messages"), body, request.size // BYTES_PER_TOKEN)
