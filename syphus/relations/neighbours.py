"""Find the nearest neighbours of each vector by cosine: exactly for few vectors, approximately for many.

The index is faiss (https://github.com/facebookresearch/faiss): `IndexFlatIP`, and from 20,000 vectors on
`IndexIVFScalarQuantizer`. That one stores 16-bit floats, sorts them into cells around centroids, and searches only the
cells nearest to each vector. How many cells are needed depends on the vectors: it is measured on a sample whose true
neighbours are computed. The centroids are found with a fixed seed, and each vector is searched by itself: the same
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
TOP = 50  #: nearest neighbours that are looked at
MAX_NEIGHBOURS = 10  #: that are kept of them

_SEED = 0
_CELL_SIZE = 100  # vectors on average
_PROBED = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # numbers of cells to search: the first that suffices
_TESTED, _NEAREST, _RECALL = 500, 10, 0.985  # the recall of the 10 nearest of 500 vectors must be this high
_ROUNDS = 6  # of k-means
_SAMPLE = 40  # vectors per centroid for k-means
_BLOCK = 4_096  # vectors that are searched at once


def require_libraries() -> None:
    """Raise `ConfigError` if numpy or faiss is not installed."""
    try:
        import faiss  # noqa: F401 - only whether it is installed
        import numpy  # noqa: F401 - as above
    except ImportError as error:
        raise ConfigError(f"The nearest pairs need {error.name}: {install_hint('relations')}") from error


def nearest_neighbours(vectors: Vectors, top: int) -> Numbers:
    """Return the indices of the `top` nearest of each vector, nearest first, without itself; ties by index.

    `vectors` has shape (count, dimension). Its rows must not be zero; they are scaled to length 1 in place. The result
    has shape (count, top), or fewer columns if there are too few vectors. A row ends in -1 if an approximate search
    found fewer.
    """
    import faiss
    import numpy

    if len(vectors) < 2:
        return numpy.empty((len(vectors), 0), numpy.int64)
    faiss.normalize_L2(vectors)
    index = exact_index(vectors) if len(vectors) < EXACT_BELOW else approximate_index(vectors)
    return search_index(index, vectors, top)


def search_index(index: Any, vectors: Vectors, top: int, step: int = 1) -> Numbers:  # Any: faiss comes without types
    """Return the `top` nearest of every `step`-th vector, in an index of all vectors."""
    import numpy

    numbers = numpy.arange(0, len(vectors), step)
    count = min(top + 1, len(vectors))  # with the vector itself
    found = numpy.empty((len(numbers), count - 1), numpy.int64)
    for start in range(0, len(numbers), _BLOCK):
        block = numbers[start : start + _BLOCK]
        scores, near = index.search(vectors[block], count)
        order = numpy.lexsort((near, -scores, (near < 0) | (near == block[:, None])), axis=1)  # itself last
        found[start : start + len(block)] = numpy.take_along_axis(near, order, axis=1)[:, :-1]
    return found


def exact_index(vectors: Vectors) -> Any:
    """Return an exact index of vectors of length 1."""
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def approximate_index(vectors: Vectors) -> Any:
    """Return an approximate index of vectors of length 1."""
    import faiss

    count, dimension = vectors.shape
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension),
        dimension,
        max(1, count // _CELL_SIZE),
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        False,  # whole vectors, not residuals
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
    """Return the share of the true neighbours that were found; both have shape (vectors, neighbours)."""
    hits = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), true.tolist(), strict=True))
    return hits / true.size


def distinct_neighbours(nearest: Iterable[int], index: int, labels: Sequence[object]) -> list[int]:
    """Return the first ten of `nearest` without duplicates of `index` or of each other, as MIMIC-IT related LLaVA.

    `labels[i]` identifies the content of index `i`: two with the same label are duplicates. -1 in `nearest` is skipped.
    """
    seen = {labels[index]}
    chosen: list[int] = []
    for neighbour in nearest:
        if neighbour >= 0 and labels[neighbour] not in seen:
            seen.add(labels[neighbour])
            chosen.append(neighbour)
            if len(chosen) == MAX_NEIGHBOURS:
                break
    return chosen
