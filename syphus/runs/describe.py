"""The command `describe`: task descriptions from a sample of a run's pairs."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from syphus.corpus.described import describe_in, write_description
from syphus.endpoints.answers import BYTES_PER_TOKEN
from syphus.errors import ConfigError, RunError, UnsatisfactoryError
from syphus.ledger.inputs import accept, register
from syphus.ledger.results import accepted
from syphus.ledger.sample import Answered, answered
from syphus.ledger.store import Store, open_for_reading
from syphus.options import Options
from syphus.parsing import parse_keyed_lines, render_pairs
from syphus.pipeline.engine import Observer
from syphus.runs.asking import Asker
from syphus.runs.prepare import Prepared, prepare
from syphus.runs.projections import short_path
from syphus.runs.refusal import opened
from syphus.runs.settings import refuse_mixing
from syphus.stages.describe import KEYS, MOST_TOKENS, Describe, to_describe
from syphus.stages.generate import Generate
from syphus.types import SIMULATED, Pair, State


class Described(NamedTuple):
    """Both texts, the files that have them now, and whether no model has written them."""

    short: str
    long: str
    files: tuple[str, ...]
    simulated: bool


def describe(options: Options, count: int, into: str, environ: Mapping[str, str], observer: Observer) -> Described:
    """Asks about at most `count` pairs of the run, drawn by `--seed`, and about no more than 2,048 tokens of them.

    Raises the `SyphusError` that stopped it: `RunError` where there are no pairs.
    """
    if count < 1:
        raise ConfigError(f"--sample {count}: a number from 1 on is needed.")
    if into and not Path(into).is_file():
        raise ConfigError(f"--into {into}: there is no such file; `mix` writes one.")
    prepared = prepare(options, environ)
    if prepared.no_endpoint is not None:
        raise prepared.no_endpoint
    folder = prepared.options.folder
    open_for_reading(folder).close()  # a folder that is no run must not become one
    with opened(folder) as store:
        refuse_mixing(store, options.offline)
        told = _ask(prepared, store, count, observer)
        texts, simulated = parse_keyed_lines(told.detail, KEYS).texts, told.model.startswith(SIMULATED)
        files = [write_description(folder, texts["Short"], texts["Long"], simulated)]
    if into:
        describe_in(Path(into), folder)
        files.append(Path(into))
    return Described(texts["Short"], texts["Long"], tuple(map(short_path, files)), simulated)


def _ask(prepared: Prepared, store: Store, count: int, observer: Observer) -> Answered:
    pairs = list(_sample(store, count, prepared.options.seed))
    if not pairs:
        raise RunError(f"{store.folder} holds no pairs yet.")
    asker = Asker(prepared, store, observer)
    stage = Describe(asker.sampling)
    register(store, stage.name, [to_describe(pairs)], lambda _: True, lambda _: None)
    accept(store, stage.name)
    report = asker.report(stage.name)
    if report.counts.states[State.PENDING]:
        observer.say(f"One request about {len(pairs)} of the run's pairs, and one more where its answer is no good.")
        settings = {**asker.sampling.parameters, "model": asker.sampling.model, "simulated": prepared.options.offline}
        if stopped_by := asker.ask(stage, settings, report):
            raise stopped_by
    (told,) = answered(store, stage.name)
    if told.state is not State.OK:
        raise UnsatisfactoryError(f"No description came of it: {told.reason}. Another --seed asks about other pairs.")
    return told


def _sample(store: Store, count: int, seed: int) -> Iterator[Pair]:
    """Pairs drawn by lot, as many as there is room for; the same for a seed."""

    def lots() -> Iterator[tuple[bytes, str, Pair]]:
        for result in accepted(store, Generate.name):
            for pair in result.pairs:
                yield hashlib.blake2b(f"{seed}\0{pair.id}".encode(), digest_size=8).digest(), pair.id, pair.as_pair()

    left = MOST_TOKENS
    for _, _, pair in heapq.nsmallest(count, lots(), key=lambda each: each[:2]):
        left -= len(render_pairs([pair]).encode()) // BYTES_PER_TOKEN + 1
        if left >= 0:
            yield pair
