"""The pairs that are to be translated, one by one, each with the rounds of its conversation that came before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from syphus.answers.translation import Translatable
from syphus.errors import InputError
from syphus.formats.mimicit.ids import check_unique
from syphus.formats.mimicit.verify import text_list
from syphus.io.records import Record, field, read_nested_items
from syphus.ledger.results import accepted
from syphus.ledger.store import Store
from syphus.runs.generate import GenerateStage
from syphus.translation.chunks import SourcePair, pair_queries
from syphus.types import Query

_TOGETHER = 200  # pairs about the same images that are looked at together, at the most


def read_run_pairs(store: Store) -> Iterator[Query]:
    """The accepted pairs of the run in a ledger. Raises `RunError` where two have the same id."""
    for result in check_unique(accepted(store, GenerateStage.name)):
        names = [pair.id for pair in result.pairs]
        group = [
            SourcePair(
                pair.id,
                Translatable(pair.instruction, pair.answer),
                result.image_ids,
                tuple(names[number - 1] for number in pair.related),
            )
            for pair in result.pairs
        ]
        yield from _queries(group)


def read_file_pairs(path: Path, allow_bad: bool) -> Iterator[Query]:
    """The pairs of a MIMIC-IT file. Raises `InputError` for one that is none; with `allow_bad` it has a problem."""
    group: list[SourcePair] = []
    for name, entry in read_nested_items(path, "data"):
        try:
            pair = _pair(name, entry)
        except InputError as error:
            if not allow_bad:
                raise
            yield from _queries(group)
            group = []
            yield Query(name, '["",""]', problem=str(error))
            continue
        if group and (group[-1].image_ids != pair.image_ids or len(group) == _TOGETHER):
            yield from _queries(group)
            group = []
        group.append(pair)
    yield from _queries(group)


def _pair(name: str, entry: Record) -> SourcePair:
    source = Translatable(field(entry, "instruction", str), field(entry, "answer", str))
    return SourcePair(name, source, tuple(text_list(entry, "image_ids")), tuple(text_list(entry, "rel_ins_ids")))


def _queries(group: Iterable[SourcePair]) -> Iterator[Query]:
    return chain.from_iterable(map(pair_queries, _with_context(list(group))))


def _with_context(group: list[SourcePair]) -> Iterator[SourcePair]:
    """Rounds of a conversation name the earlier ones and are not named by them; pairs that name each other are none."""
    earlier: dict[str, SourcePair] = {}
    for pair in group:
        context = [name for name in pair.related if name in earlier and pair.id not in earlier[name].related]
        yield pair._replace(context=tuple(context))
        earlier[pair.id] = pair
