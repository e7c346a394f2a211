"""The pairs that are nearest to each pair, from vectors of their texts or of their images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from syphus.endpoints.embeddings_reply import unpack_vectors
from syphus.ledger.batches import texts_with_vectors
from syphus.ledger.results import QueryResult, accepted
from syphus.ledger.store import Store
from syphus.relations.embedding import embedded_part
from syphus.relations.neighbours import TOP, distinct_neighbours, nearest_neighbours
from syphus.relations.vector_files import read_vectors

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

Keys = Callable[[QueryResult], list[str]]  # what each pair of a query has its vector by; "" for nothing


class NearestResult(NamedTuple):
    """What was compared: how many vectors, and how many pairs have none. `rows` are queries with the ids of the nearest
    of each of their pairs.
    """

    vectors: int
    without: int
    rows: Iterator[tuple[str, list[list[str]]]]


def texts_of(result: QueryResult) -> list[str]:
    """The text that stands for each pair: what is embedded of its instruction."""
    return [embedded_part(pair.instruction) for pair in result.pairs]


def images_of(result: QueryResult) -> list[str]:
    """The image that stands for each pair: the first of its query."""
    return [result.image_ids[0] if result.image_ids else ""] * len(result.pairs)


def nearest_by_text(store: Store, stage: str, space: str) -> NearestResult:
    """By the vectors of a stage of embeddings, called `space`. Texts that differ in case or white space are doubles."""
    known = ((text, row) for texts, packed in texts_with_vectors(store, space) for text, row in _rows(texts, packed))
    return _compared(store, stage, texts_of, known, lambda text: " ".join(text.casefold().split()))


def nearest_by_image(store: Store, stage: str, file: Path) -> NearestResult:
    """By the vectors in a file. Raises `InputError` where it can't be read."""
    ids, rows = read_vectors(file)
    return _compared(store, stage, images_of, zip(ids, rows, strict=True), str)


def _rows(texts: Sequence[str], packed: str) -> Iterator[tuple[str, NDArray[numpy.float32]]]:
    return zip(texts, unpack_vectors(packed, len(texts)), strict=True)


def _compared(
    store: Store,
    stage: str,
    keys: Keys,
    known: Iterator[tuple[str, NDArray[numpy.float32]]],
    label: Callable[[str], str],
) -> NearestResult:
    first: dict[str, str] = {}  # the first pair that has a key stands for all that have it
    pairs = 0
    for result in accepted(store, stage):
        for pair, key in zip(result.pairs, keys(result), strict=True):
            pairs += 1
            if key:
                first.setdefault(key, pair.id)
    names, matrix = _matrix(first, known)
    labels = [label(key) for key in names]
    order = nearest_neighbours(matrix, TOP)
    ids = [first[key] for key in names]
    numbers = {key: number for number, key in enumerate(names)}
    context = [
        [ids[other] for other in distinct_neighbours(row.tolist(), own, labels)] for own, row in enumerate(order)
    ]

    def rows() -> Iterator[tuple[str, list[list[str]]]]:
        for result in accepted(store, stage):
            yield result.query, [context[numbers[key]] if key in numbers else [] for key in keys(result)]

    without = sum(not ids for _, related in rows() for ids in related)
    return NearestResult(len(names), without, rows())


def _matrix(
    wanted: Collection[str], known: Iterator[tuple[str, NDArray[numpy.float32]]]
) -> tuple[list[str], NDArray[numpy.float32]]:
    """Those of the wanted that are known, in their order, and their vectors."""
    import numpy

    places = {key: place for place, key in enumerate(wanted)}
    matrix = numpy.empty((0, 0), numpy.float32)
    there = numpy.zeros(len(places), bool)
    for key, vector in known:
        place = places.get(key)
        if place is None:
            continue
        if not matrix.size:
            matrix = numpy.empty((len(places), len(vector)), numpy.float32)
        matrix[place] = vector
        there[place] = True
    names = [key for key, is_there in zip(places, there, strict=True) if is_there]
    return names, matrix[there] if names and len(names) < len(matrix) else matrix
