"""The nearest of 100,000 vectors: how many of the true ten nearest the approximate search finds, and how much faster.

python benchmarks/nearest.py [--vectors FILE.npz] [100000] [768 ...]

Seconds are CPU time of the process, so that whoever else works on the machine counts for nothing; both searches use all
cores that they are let have. The exact one is faiss' own, which takes a third of the time of numpy's product with
argpartition; it is measured on every tenth vector. `build` is the time for the index and for finding out how
many of its cells must be looked into, which the exact search has not.
Vectors are made up of topics, themes within them and texts of their own, with a spectrum that falls as that of real
embeddings does; `--vectors` takes real ones (as docs/relations.md has them).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy
from common import table
from numpy.typing import NDArray

from syphus.relations.neighbours import TOP, approximate_index, exact_index, recall, search_index
from syphus.relations.vector_files import read_vectors

KEPT, STEP, THEMES = 10, 10, 20

Vectors = NDArray[numpy.float32]
Numbers = NDArray[numpy.int64]


def made_up(count: int, dimension: int, seed: int = 0) -> Vectors:
    """Vectors of length 1: some hundred topics of twenty themes each, of which a few are the subject of most texts."""
    random = numpy.random.default_rng(seed)
    spectrum = numpy.arange(1, dimension + 1, dtype=numpy.float32) ** -0.5

    def drawn(number: int) -> Vectors:
        return random.standard_normal((number, dimension), dtype=numpy.float32) * (
            spectrum / numpy.linalg.norm(spectrum)
        )

    themes = THEMES * max(50, count // 500)
    weights = random.zipf(1.3, themes).clip(max=200).astype(float)
    theme = random.choice(themes, count, p=weights / weights.sum())
    vectors = 0.8 * drawn(themes // THEMES)[theme // THEMES] + 0.7 * drawn(themes)[theme] + 0.8 * drawn(count)
    vectors += 0.5 * drawn(1)
    return scaled(vectors)


def scaled(vectors: Vectors) -> Vectors:
    """Of length 1, as the ledger keeps them."""
    halves: Vectors = (vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f2")
    return halves.astype(numpy.float32)


def seconds() -> float:
    """CPU seconds of this process so far."""
    return time.process_time()


def measure(vectors: Vectors) -> tuple[str, ...]:
    """One row of the table."""
    count, dimension = vectors.shape
    began = seconds()
    true = search_index(exact_index(vectors), vectors, TOP, STEP)
    exact = (seconds() - began) * STEP
    began = seconds()
    index = approximate_index(vectors)
    built = seconds()
    found = search_index(index, vectors, TOP)
    done = seconds()
    build, asked = built - began, done - built
    return (
        *(f"{count:,}", f"{dimension:,}", f"{exact:.1f} s", f"{build:.1f} s", f"{asked:.1f} s"),
        *(
            f"{exact / (build + asked):.1f}",
            f"{exact / asked:.1f}",
            str(index.nprobe),
            f"{recall(found[::STEP, :KEPT], true[:, :KEPT]):.4f}",
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("sizes", type=int, nargs="*")
    given = parser.parse_args()
    count, dimensions = (given.sizes or [100_000])[0], given.sizes[1:] or [384, 768, 1536]
    heads = (
        "vectors",
        "dimensions",
        "exact",
        "build",
        "search",
        "times as fast",
        "without build",
        "cells",
        f"recall at {KEPT}",
    )
    rows: list[tuple[str, ...]] = [heads]
    if given.vectors:
        rows.append(measure(scaled(read_vectors(given.vectors)[1])))
    else:
        rows += [measure(made_up(count, dimension)) for dimension in dimensions]
    table(rows)


if __name__ == "__main__":
    main()
