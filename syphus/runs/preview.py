"""The exact messages that would go out, for a few queries: nothing is sent, and nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TextIO

import orjson

from syphus.endpoints.answers import BYTES_PER_TOKEN
from syphus.errors import ConfigError
from syphus.ledger.records import Row
from syphus.options import Options
from syphus.pipeline.stage import PluginFaultError
from syphus.runs.inputs import input_queries, wanted
from syphus.runs.prepare import Prepared, prepare
from syphus.runs.settings import sampling_parameters
from syphus.sampling import Sampling
from syphus.stages.generate import Generate
from syphus.text import printable
from syphus.types import Outcome, Query

_COLOURS = {"system": "\033[35m", "user": "\033[36m", "assistant": "\033[32m"}
_PLAIN = "\033[0m"


def preview(options: Options, environ: Mapping[str, str], count: int, out: TextIO) -> None:
    """Writes the messages of the first `count` queries that a run would take, and which is the shortest and longest.

    Needs no endpoint. Raises `UsageError`.
    """
    prepared = _prepared(options, environ)
    sampling = Sampling(prepared.config.model, sampling_parameters(prepared.config))
    stage = Generate(prepared.dataset, prepared.prefix, sampling, prepared.vault)
    shortest: Query | None = None
    longest: Query | None = None
    is_wanted, shown = wanted(prepared.dataset, prepared.options), 0
    for position, query in enumerate(input_queries(prepared.dataset, prepared.options)):
        if not is_wanted(position):
            continue
        if shown < count:
            _show(query, stage, out)
            shown += 1
        if shortest is None or len(query.text) < len(shortest.text):
            shortest = query
        if longest is None or len(query.text) > len(longest.text):
            longest = query
    for which, found in (("shortest", shortest), ("longest", longest)):
        if found is not None:
            out.write(f"{which}: {found.id}, about {_tokens(found.text)} tokens of annotation\n")


def _prepared(options: Options, environ: Mapping[str, str]) -> Prepared:
    try:
        return prepare(options, environ)
    except ConfigError:
        return prepare(replace(options, offline=True, config=None), environ)  # the messages are the same anywhere


def _show(query: Query, stage: Generate, out: TextIO) -> None:
    out.write(f"=== {printable(query.id)}\n")
    try:
        request = stage.request(Row(0, query), None)
    except PluginFaultError as fault:
        out.write(f"{fault.reason}\n\n")
        return
    if isinstance(request, Outcome):
        out.write(f"not sent: {request.reason}\n\n")
        return
    body = orjson.loads(request.body)
    for message in body.pop("messages"):
        role, text = message["role"], printable(message["content"])
        colour, plain = (_COLOURS.get(role, ""), _PLAIN) if out.isatty() else ("", "")
        out.write(f"{colour}--- {role}{plain}\n{text}\n")
    out.write(f"--- {orjson.dumps(body).decode()}, about {len(request.body) // BYTES_PER_TOKEN:,} tokens\n\n")


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)
