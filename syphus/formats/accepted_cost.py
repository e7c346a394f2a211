"""What each accepted pair has cost: dollars, tokens and requests, by what they were spent on.

An accepted pair is one in the data: after the rules and after the judge. The sums are those of the report, and so
exact. The number of answers without pairs is exact, too. Their tokens and dollars are an estimate, as many for each as
for other answers, because the counters of a ledger do not tell them apart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from syphus.config.pricing import Prices
from syphus.formats.translation_report import TRANSLATION_STAGES
from syphus.ledger.store import Store
from syphus.ledger.summary import COLD_START, Counts, ModelUse
from syphus.text import format_tokens
from syphus.types import State

_JUDGE = "judge pairs"  # the name of the stage in ledgers


class Purpose(StrEnum):
    """What something was spent on."""

    GENERATION = "generation"  #: answers whose pairs are in the data
    NO_PAIRS = "answers without pairs"  #: rejected, refused, cut off, replaced by a retry
    COLD_START = "cold start"
    JUDGE = "judge"
    TRANSLATION = "translation"


class Share(NamedTuple):
    """What was spent on one purpose. `cost` is in dollars, None if a price is unknown."""

    requests: float
    tokens: float
    cost: float | None


class AcceptedCost(NamedTuple):
    """What all accepted pairs together have cost, by purpose; purposes that took nothing are left out."""

    pairs: int
    parts: Mapping[Purpose, Share]

    @property
    def each(self) -> Share | None:
        """What each accepted pair has cost; None without a pair."""
        if not self.pairs:
            return None
        costs = [part.cost for part in self.parts.values()]
        cost = None if None in costs else sum(each for each in costs if each is not None) / self.pairs
        parts = self.parts.values()
        return Share(
            sum(part.requests for part in parts) / self.pairs, sum(part.tokens for part in parts) / self.pairs, cost
        )

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values, all for each accepted pair, also those under `by`."""
        each = self.each
        if each is None:
            return {"pairs": 0}
        by = {purpose.value: _rounded(part, self.pairs) for purpose, part in self.parts.items()}
        return {"pairs": self.pairs, **_rounded(each, 1), "by": by}

    def line(self) -> str:
        """Return it as one line for people; "" without a pair or a request. It names no dollars if all was free."""
        each = self.each
        if each is None or not each.requests:
            return ""
        with_money = bool(each.cost)
        dollars = f"{_fine_dollars(each.cost)}, " if with_money and each.cost is not None else ""
        sizes = {name: (part.cost or 0.0) if with_money else part.tokens for name, part in self.parts.items()}
        total = sum(sizes.values())
        split = ", ".join(f"{name.value} {size / total:.0%}" for name, size in sizes.items() if total)
        return (
            f"Each accepted pair: {dollars}{format_tokens(round(each.tokens))} tokens, {each.requests:.2f} requests"
            f"{f' ({split})' if len(sizes) > 1 else ''}"
        )


def read_accepted_cost(
    store: Store, stage: str, counts: Counts, uses: Iterable[ModelUse], prices: Prices
) -> AcceptedCost:
    """Return what the accepted pairs of the main `stage` have cost; `uses` are the answers of all stages."""
    requests: Counter[Purpose] = Counter()
    for name, count in store.read(
        "SELECT stage, sum(requests) FROM attempt JOIN session ON session.id = attempt.session GROUP BY stage"
    ):
        requests[_purpose(name)] += count
    grouped: dict[Purpose, list[ModelUse]] = {}
    for use in uses:
        grouped.setdefault(_purpose(use.stage), []).append(use)
    parts: dict[Purpose, Share] = {}
    for purpose in Purpose:
        mine = grouped.get(purpose, [])
        usages = [use.usage for use in mine]
        tokens = sum(usage.prompt_tokens + usage.completion_tokens for usage in usages)
        if requests[purpose] or mine:
            cost = prices.cost([bill for use in mine for bill in use.bills])
            parts[purpose] = Share(requests[purpose], tokens, cost)
    if Purpose.GENERATION in parts:
        answers = sum(use.answers for use in grouped.get(Purpose.GENERATION, ()) if use.stage == stage)
        useful = min(answers, counts.states[State.OK] - counts.shared)
        _split_generation(parts, 1 - useful / answers if answers else 0.0)
    return AcceptedCost(counts.pairs, {name: parts[name] for name in Purpose if name in parts})


def _split_generation(parts: dict[Purpose, Share], wasted: float) -> None:
    if not wasted:
        return
    whole = parts[Purpose.GENERATION]
    for purpose, share in ((Purpose.GENERATION, 1 - wasted), (Purpose.NO_PAIRS, wasted)):
        cost = None if whole.cost is None else whole.cost * share
        parts[purpose] = Share(whole.requests * share, whole.tokens * share, cost)


def _purpose(stage: str) -> Purpose:
    if stage.split()[:2] == COLD_START.split():
        return Purpose.COLD_START
    if stage == _JUDGE or stage.startswith(f"{_JUDGE} "):
        return Purpose.JUDGE
    return Purpose.TRANSLATION if stage in TRANSLATION_STAGES else Purpose.GENERATION


def _fine_dollars(amount: float) -> str:
    """Return a small amount with two digits that count, such as $0.00012."""
    return f"${amount:.{max(2, 1 - math.floor(math.log10(amount)))}f}"


def _rounded(share: Share, pairs: int) -> dict[str, float | None]:
    cost = None if share.cost is None else round(share.cost / pairs, 8)
    return {"cost": cost, "tokens": round(share.tokens / pairs, 1), "requests": round(share.requests / pairs, 4)}
