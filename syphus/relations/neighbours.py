"""The nearest of each vector among all of them, by cosine: exact for few vectors, approximate for many.

The index is faiss (https://github.com/facebookresearch/faiss): `IndexFlatIP`, and from 20,000 vectors on
`IndexIVFScalarQuantizer`, which keeps 16-bit floats, sorts them into cells around centroids, and looks only into the
cells nearest to each vector. How many cells that must be depends on the vectors: it is found out with a sample, whose
true neighbours are known. The centroids are found with a fixed seed, and each vector is looked up for itself: the same
vectors give the same neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from syphus.errors import ConfigError
from syphus.text import install_hint

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Vectors = NDArray[numpy.float32]
    Numbers = NDArray[numpy.int64]

EXACT_BELOW = 20_000  #: vectors

_SEED = 0
_A_CELL = 100  # vectors, about
_PROBED = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # cells that are looked into, as few as will do
_TESTED, _NEAREST, _RECALL = 500, 10, 0.985  # of so many vectors, so many neighbours must be found to this share
_ROUNDS = 6  # in which the centroids are found
_SAMPLE = 40  # vectors a centroid that they are found from
_BLOCK = 4_096  # vectors that are looked up at once


def require_libraries() -> None:
    """Raises `ConfigError` where numpy or faiss is not installed."""
    try:
        import faiss  # noqa: F401
        import numpy  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"The nearest pairs need {error.name}: {install_hint('relations')}") from error


def nearest_neighbours(vectors: Vectors, top: int) -> Numbers:
    """The numbers of the `top` nearest of each vector, the nearest first, never itself; equal ones by their number.

    `vectors` has a row for each, of any length but 0; they are scaled to length 1 where they stand. A row is shorter
    where there are not so many, and ends in -1 where an approximate search found no more.
    """
    import faiss
    import numpy

    if len(vectors) < 2:
        return numpy.empty((len(vectors), 0), numpy.int64)
    faiss.normalize_L2(vectors)
    index = exact_index(vectors) if len(vectors) < EXACT_BELOW else approximate_index(vectors)
    return search_index(index, vectors, top)


def search_index(index: Any, vectors: Vectors, top: int, step: int = 1) -> Numbers:  # Any: faiss comes without types
    """The `top` nearest of every `step`-th vector in an index that holds them all."""
    import numpy

    numbers = numpy.arange(0, len(vectors), step)
    wanted = min(top + 1, len(vectors))  # it is among them itself
    found = numpy.empty((len(numbers), wanted - 1), numpy.int64)
    for start in range(0, len(numbers), _BLOCK):
        own = numbers[start : start + _BLOCK]
        scores, near = index.search(vectors[own], wanted)
        order = numpy.lexsort((near, -scores, (near < 0) | (near == own[:, None])), axis=1)  # itself goes to the end
        found[start : start + len(own)] = numpy.take_along_axis(near, order, axis=1)[:, :-1]
    return found


def exact_index(vectors: Vectors) -> Any:
    """An exact index of vectors of length 1."""
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def approximate_index(vectors: Vectors) -> Any:
    """An approximate index of vectors of length 1."""
    import faiss

    count, dimension = vectors.shape
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension),
        dimension,
        max(1, count // _A_CELL),
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        False,  # whole vectors, not what is left of them beside their centroid
    )
    index.cp.niter, index.cp.seed, index.cp.max_points_per_centroid = _ROUNDS, _SEED, _SAMPLE
    index.train(vectors)
    index.add(vectors)
    sample = vectors[:: -(-count // _TESTED)]
    _, true = faiss.knn(sample, vectors, _NEAREST + 1, faiss.METRIC_INNER_PRODUCT)
    for index.nprobe in _PROBED:
        if index.nprobe >= index.nlist or recall(index.search(sample, _NEAREST + 1)[1], true) >= _RECALL:
            break
    return index


def recall(found: Numbers, true: Numbers) -> float:
    """The share of the true neighbours that were found: arrays of shape (vectors, neighbours)."""
    hits = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), true.tolist(), strict=True))
    return hits / true.size


# FOLDED from distinct.py:
# The first of the nearest, without doubles, as the sets of LLaVA in MIMIC-IT were related.
#
# There, of the 50 nearest of each pair, itself and what came twice were left out, and the first ten were kept.

TOP = 50  #: of the nearest that are looked at
KEPT = 10  #: of them that are kept


def distinct_neighbours(nearest: Iterable[int], own: int, labels: Sequence[object]) -> list[int]:
    """Of `nearest`, the nearest first, the first ten whose label neither number `own` nor one before them has.

    `labels[i]` is what number i is known by: two with the same label are doubles. -1 is nothing.
    """
    seen = {labels[own]}
    kept: list[int] = []
    for number in nearest:
        if number >= 0 and labels[number] not in seen:
            seen.add(labels[number])
            kept.append(number)
            if len(kept) == KEPT:
                break
    return kept
