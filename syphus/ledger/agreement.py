"""How far reviewers agree beyond chance: Cohen's kappa for two, Fleiss' for several.

Sources: J. Cohen, "A coefficient of agreement for nominal scales" (1960); J. L. Fleiss, "Measuring nominal scale
agreement among many raters" (1971). Fleiss has the same number of judgements of each item; here, as is usual since,
items have two or more, and each counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple


class PairOfReviewers(NamedTuple):
    """What two people who judged the same items agree on."""

    names: tuple[str, str]
    items: int  #: that both have judged
    share: float  #: of them with the same judgement
    kappa: float | None


class Agreement(NamedTuple):
    """How far reviewers agree. Only `items` with two judgements or more count.

    `kappa` is 1 for full agreement, 0 for what chance gives; None if there is none, or if all judgements are the same.
    """

    items: int = 0
    share: float | None = None  #: the chance that two judgements of one item are the same
    kappa: float | None = None
    method: str = ""  #: "cohen" for two reviewers, "fleiss" for several, "" without items
    between: tuple[PairOfReviewers, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values; the number of items is called `pairs`."""
        between = [{**each._asdict(), "names": list(each.names)} for each in self.between]
        return {
            "pairs": self.items,
            "share": self.share,
            "kappa": self.kappa,
            "method": self.method,
            "between": between,
        }


def measure_agreement(items: Iterable[Mapping[str, str]]) -> Agreement:
    """Return how far reviewers agree on items, each given as {reviewer: judgement}."""
    shared = [item for item in items if len(item) > 1]
    if not shared:
        return Agreement()
    names = sorted({name for item in shared for name in item})
    between = tuple(filter(None, (_between(shared, pair) for pair in combinations(names, 2))))
    if len(names) == 2:
        return Agreement(len(shared), between[0].share, between[0].kappa, "cohen", between)
    share, kappa = fleiss_kappa([Counter(item.values()) for item in shared])
    return Agreement(len(shared), share, kappa, "fleiss", between)


def cohen_kappa(judged: Sequence[tuple[str, str]]) -> tuple[float, float | None]:
    """Return the share of equal judgements and kappa, of what two people said about each item."""
    count = len(judged)
    share = sum(one == other for one, other in judged) / count
    first, second = (Counter(each) for each in zip(*judged, strict=True))
    return share, _beyond_chance(share, sum(first[said] * second[said] for said in first) / count**2)


def fleiss_kappa(items: Sequence[Mapping[str, int]]) -> tuple[float, float | None]:
    """Return the share of equal judgements and kappa, of how often each item got each judgement, twice or more."""
    sizes = [sum(item.values()) for item in items]
    alike = [sum(n * (n - 1) for n in item.values()) / (m * (m - 1)) for item, m in zip(items, sizes, strict=True)]
    share = sum(alike) / len(items)
    totals: Counter[str] = Counter()
    for item in items:
        totals.update(item)
    return share, _beyond_chance(share, sum((n / sum(sizes)) ** 2 for n in totals.values()))


def _beyond_chance(share: float, chance: float) -> float | None:
    return None if chance >= 1 else (share - chance) / (1 - chance)


def _between(items: Sequence[Mapping[str, str]], names: tuple[str, str]) -> PairOfReviewers | None:
    both = [(item[names[0]], item[names[1]]) for item in items if names[0] in item and names[1] in item]
    return PairOfReviewers(names, len(both), *cohen_kappa(both)) if both else None
