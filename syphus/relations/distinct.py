"""The first of the nearest, without doubles, as the sets of LLaVA in MIMIC-IT were related.

There, of the 50 nearest of each pair, itself and what came twice were left out, and the first ten were kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

TOP = 50  #: of the nearest that are looked at
KEPT = 10  #: of them that are kept


def distinct(nearest: Iterable[int], own: int, labels: Sequence[object]) -> list[int]:
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
