"""The nearest of each vector among all of them, by cosine: exact for few vectors, approximate for many.

The index is faiss (https://github.com/facebookresearch/faiss): `IndexFlatIP`, and from 20,000 vectors on
`IndexIVFFlat`, which sorts them into cells around centroids, and looks only into the cells nearest to each. The
centroids are found with a fixed seed, and each vector is looked up for itself: the same vectors give the same
neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syphus.errors import ConfigError

if TYPE_CHECKING:
    import faiss
    import numpy
    from numpy.typing import NDArray

    Vectors = NDArray[numpy.float32]
    Numbers = NDArray[numpy.int64]

EXACT_BELOW = 20_000  #: vectors
SEED = 0

_A_CELL = 100  # vectors, about
_PROBED = 8  # cells that are looked into
_ROUNDS = 6  # in which the centroids are found
_SAMPLE = 40  # vectors a centroid that they are found from
_BLOCK = 4_096  # vectors that are looked up at once


def require_libraries() -> None:
    """Raises `ConfigError` where numpy or faiss is not installed."""
    try:
        import faiss
        import numpy  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"The nearest pairs need {error.name}: pip install 'syphus[relations]'") from error
    assert faiss


def neighbours(vectors: Vectors, top: int, exact: bool | None = None) -> Numbers:
    """The numbers of the `top` nearest of each vector, the nearest first, never itself; equal ones by their number.

    `vectors` has a row for each, of any length but 0; they are scaled to length 1 where they stand. A row has fewer
    than `top` where there are not so many, and -1 where an approximate search found no more. `exact` says how to
    search; by default it depends on how many there are.
    """
    import faiss
    import numpy

    count = len(vectors)
    wanted = min(top + 1, count)  # itself is among them, or its doubles push it out
    found = numpy.full((count, max(wanted - 1, 0)), -1, numpy.int64)
    if wanted < 2:
        return found
    faiss.normalize_L2(vectors)
    index = _flat(vectors) if exact or (exact is None and count < EXACT_BELOW) else _cells(vectors)
    for start in range(0, count, _BLOCK):
        block = vectors[start : start + _BLOCK]
        scores, numbers = index.search(block, wanted)
        own = numpy.arange(start, start + len(block))[:, None]
        found[start : start + len(block)] = _sorted(scores, numbers, own)
    return found


def _sorted(scores: Vectors, numbers: Numbers, own: Numbers) -> Numbers:
    """By score, then by number; itself goes to the end, and the end off."""
    import numpy

    is_own = numbers == own
    order = numpy.lexsort((numbers, -scores, (numbers < 0) | is_own), axis=1)
    return numpy.take_along_axis(numbers, order, axis=1)[:, :-1]


def _flat(vectors: Vectors) -> faiss.Index:
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def _cells(vectors: Vectors) -> faiss.Index:
    import faiss

    count, dimension = vectors.shape
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(dimension), dimension, max(1, count // _A_CELL), faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter, index.cp.seed, index.cp.max_points_per_centroid = _ROUNDS, SEED, _SAMPLE
    index.train(vectors)
    index.add(vectors)
    index.nprobe = _PROBED
    return index
