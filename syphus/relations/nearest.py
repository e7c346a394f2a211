"""Find the pairs nearest to each pair, by vectors of their texts or of their images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from syphus.endpoints.routes import unpack_vectors
from syphus.ledger.batches import texts_with_vectors
from syphus.ledger.results import QueryResult, accepted
from syphus.ledger.store import Store
from syphus.relations.embedding import embedded_part
from syphus.relations.neighbours import TOP, distinct_neighbours, nearest_neighbours
from syphus.relations.vector_files import read_vectors

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

PairKeys = Callable[[QueryResult], list[str]]  # the key of each pair's vector; "" for none


class NearestResult(NamedTuple):
    """The number of compared vectors, and of pairs without a neighbour.

    `rows` are the ids of queries, each with the ids of the nearest pairs of each of its pairs.
    """

    vectors: int
    pairs_without: int
    rows: Iterator[tuple[str, list[list[str]]]]


def texts_of(result: QueryResult) -> list[str]:
    """Return the text by which each pair is compared: the embedded part of its instruction."""
    return [embedded_part(pair.instruction) for pair in result.pairs]


def images_of(result: QueryResult) -> list[str]:
    """Return the image by which each pair is compared: the first of its query."""
    return [result.image_ids[0] if result.image_ids else ""] * len(result.pairs)


def nearest_by_text(store: Store, stage: str, space: str) -> NearestResult:
    """Compare by the vectors of the embedding stage `space`. Texts that differ only in case or space are duplicates."""
    known = ((text, row) for texts, packed in texts_with_vectors(store, space) for text, row in _rows(texts, packed))
    return _compare(store, stage, texts_of, known, lambda text: " ".join(text.casefold().split()))


def nearest_by_image(store: Store, stage: str, file: Path) -> NearestResult:
    """Compare by the vectors in a file. Raises `InputError` if it can't be read."""
    ids, rows = read_vectors(file)
    return _compare(store, stage, images_of, zip(ids, rows, strict=True), str)


def _rows(texts: Sequence[str], packed: str) -> Iterator[tuple[str, NDArray[numpy.float32]]]:
    return zip(texts, unpack_vectors(packed, len(texts)), strict=True)


def _compare(
    store: Store,
    stage: str,
    keys: PairKeys,
    known: Iterator[tuple[str, NDArray[numpy.float32]]],
    label: Callable[[str], str],
) -> NearestResult:
    first: dict[str, str] = {}  # the first pair with a key stands for all that have it
    for result in accepted(store, stage):
        for pair, key in zip(result.pairs, keys(result), strict=True):
            if key:
                first.setdefault(key, pair.id)
    names, matrix = _matrix(first, known)
    labels = [label(key) for key in names]
    order = nearest_neighbours(matrix, TOP)
    ids = [first[key] for key in names]
    numbers = {key: number for number, key in enumerate(names)}
    context = [
        [ids[neighbour] for neighbour in distinct_neighbours(row.tolist(), index, labels)]
        for index, row in enumerate(order)
    ]

    def rows() -> Iterator[tuple[str, list[list[str]]]]:
        for result in accepted(store, stage):
            yield result.query, [context[numbers[key]] if key in numbers else [] for key in keys(result)]

    without = sum(not ids for _, related in rows() for ids in related)
    return NearestResult(len(names), without, rows())


def _matrix(
    keys: Collection[str], known: Iterator[tuple[str, NDArray[numpy.float32]]]
) -> tuple[list[str], NDArray[numpy.float32]]:
    """Return the keys that have a vector, in their order, and the matrix of these vectors."""
    import numpy

    positions = {key: position for position, key in enumerate(keys)}
    matrix = numpy.empty((0, 0), numpy.float32)
    found = numpy.zeros(len(positions), bool)
    for key, vector in known:
        position = positions.get(key)
        if position is None:
            continue
        if not matrix.size:
            matrix = numpy.empty((len(positions), len(vector)), numpy.float32)
        matrix[position] = vector
        found[position] = True
    names = [key for key, is_found in zip(positions, found, strict=True) if is_found]
    return names, matrix[found] if names and len(names) < len(matrix) else matrix
