"""What the ledger holds, judged by today's checks and today's glossary: no request is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syphus.formats.translation import FOUND_BAD, TRANSLATE
from syphus.ledger.parts import parts_of_all, replace_parts
from syphus.ledger.store import Store
from syphus.stages.translating.judging import Source
from syphus.stages.translating.pieces import load
from syphus.translation import LANGUAGES, Term
from syphus.types import State


def recheck(store: Store, terms: Sequence[Term], tick: Callable[[int], None]) -> int:
    """Judges every translation that is ok or invalid again; returns how many have another outcome now. Commits.

    What is no longer good is invalid from now on, and asked for again with `--retry invalid`.
    """
    changed = 0
    for read, held in enumerate(parts_of_all(store, TRANSLATE, (State.OK, State.INVALID)), 1):
        texts = Source(load(held.text), terms)
        judged = []
        for name, state, reason, text in held.parts:
            if not text or name not in LANGUAGES:
                continue
            verdict = texts.judge(load(text), LANGUAGES[name])
            if not verdict.reason and reason.startswith(FOUND_BAD):
                continue  # what no rule sees
            now = State.INVALID if verdict.reason else State.OK
            if (now, verdict.reason) != (state, reason):
                judged.append((held.n, name, now, verdict.reason, verdict.detail))
        changed += len(judged)
        replace_parts(store, judged)
        if read % 1000 == 0:
            tick(read)
    store.commit()
    return changed
