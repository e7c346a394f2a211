"""What a judge has said of translations, by language; from the ledger alone."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import orjson

from syphus.ledger.sample import answered
from syphus.ledger.store import Store
from syphus.translation.judge import FAULTS, NO_FAULT, read_opinion
from syphus.types import State

JUDGE = "judge translations"  #: the name of the stage
SHOWN = 20  #: bad ones of each language, at the most


class Bad(NamedTuple):
    """A translation that was found bad, beside its source: each instruction and answer."""

    id: str
    fault: str
    reason: str
    source: tuple[str, str]
    translation: tuple[str, str]


class Judged(NamedTuple):
    """The findings in one language. `unclear` are answers that are no verdict, `waiting` were not judged yet."""

    good: int
    bad: Counter[str]  #: by fault
    unclear: int
    waiting: int
    shown: list[Bad]  #: the first of those that are bad

    @property
    def total(self) -> int:
        """Verdicts."""
        return self.good + self.bad.total()


def read_judged(store: Store) -> dict[str, Judged]:
    """By language; a language of which nothing was to be judged is not there."""
    found: dict[str, Judged] = {}
    for each in answered(store, JUDGE):
        code, name = each.query.id.split(" ", 1)
        so_far = found.get(code) or Judged(0, Counter(), 0, 0, [])
        if each.state is State.PENDING:
            found[code] = so_far._replace(waiting=so_far.waiting + 1)
        elif each.state is not State.OK:
            found[code] = so_far._replace(unclear=so_far.unclear + 1)
        else:
            found[code] = _with_verdict(so_far, name, each.query.text, each.detail)
    return found


def _with_verdict(so_far: Judged, name: str, texts: str, detail: str) -> Judged:
    opinion = read_opinion(detail)
    if opinion.fault == NO_FAULT:
        return so_far._replace(good=so_far.good + 1)
    so_far.bad[opinion.fault] += 1
    if len(so_far.shown) < SHOWN:
        source, translation = (tuple(each) for each in orjson.loads(texts))
        so_far.shown.append(Bad(name, opinion.fault, opinion.reason, source, translation))
    return so_far


def as_json(judged: Judged) -> dict[str, object]:
    """The findings as JSON values."""
    return {
        "good": judged.good,
        "bad": {fault: judged.bad[fault] for fault in FAULTS if judged.bad[fault]},
        "unclear": judged.unclear,
        "waiting": judged.waiting,
        "found": [
            {
                "id": each.id,
                "fault": each.fault,
                "reason": each.reason,
                "source": dict(zip(("instruction", "answer"), each.source, strict=True)),
                "translation": dict(zip(("instruction", "answer"), each.translation, strict=True)),
            }
            for each in judged.shown
        ],
    }
