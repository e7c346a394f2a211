"""Reads the pairs to translate, each with the earlier rounds of its conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from syphus.answers.translation import Translatable
from syphus.errors import InputError
from syphus.formats.mimicit.entries import entry_text, read_entries, text_list
from syphus.formats.mimicit.ids import check_unique
from syphus.io.records import Record
from syphus.ledger.results import accepted
from syphus.ledger.store import Store
from syphus.runs.generate import GenerateStage
from syphus.translation.chunks import SourcePair, pair_queries
from syphus.types import Query

_MAX_GROUP = 200  # pairs about the same images that are searched for conversations together


def read_run_pairs(store: Store) -> Iterator[Query]:
    """Yield the accepted pairs of the run in a ledger. Raises `RunError` if two pairs have the same id."""
    for result in check_unique(accepted(store, GenerateStage.name)):
        ids = [pair.id for pair in result.pairs]
        group = [
            SourcePair(
                pair.id,
                Translatable(pair.instruction, pair.answer),
                result.image_ids,
                tuple(ids[number - 1] for number in pair.related),
            )
            for pair in result.pairs
        ]
        yield from _queries(group)


def read_file_pairs(path: Path, allow_bad: bool) -> Iterator[Query]:
    """Yield the pairs of a MIMIC-IT file.

    Raises `InputError` for a bad pair; with `allow_bad`, yields a query with a `problem` instead.
    """
    group: list[SourcePair] = []
    for name, entry in read_entries(path):
        try:
            pair = _read_pair(path, name, entry)
        except InputError as error:
            if not allow_bad:
                raise
            yield from _queries(group)
            group = []
            yield Query(name, '["",""]', problem=str(error))
            continue
        if group and (group[-1].image_ids != pair.image_ids or len(group) == _MAX_GROUP):
            yield from _queries(group)
            group = []
        group.append(pair)
    yield from _queries(group)


def _read_pair(path: Path, name: str, entry: Record) -> SourcePair:
    texts = (entry_text(path, name, entry, key) for key in ("instruction", "answer"))
    source = Translatable(*texts)
    return SourcePair(name, source, tuple(text_list(entry, "image_ids")), tuple(text_list(entry, "rel_ins_ids")))


def _queries(group: Iterable[SourcePair]) -> Iterator[Query]:
    return chain.from_iterable(map(pair_queries, _with_context(list(group))))


def _with_context(group: list[SourcePair]) -> Iterator[SourcePair]:
    """Fill in the context: the related pairs that come earlier and do not name this pair in turn.

    The rounds of a conversation name only earlier rounds. Pairs that name each other are not a conversation.
    """
    earlier: dict[str, SourcePair] = {}
    for pair in group:
        context = [other for other in pair.related if other in earlier and pair.id not in earlier[other].related]
        yield pair._replace(context=tuple(context))
        earlier[pair.id] = pair
