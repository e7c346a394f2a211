"""Checks translations by rule, when they arrive and again when the checks or the glossary have changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from syphus.answers.judging_digest import TRANSLATION_CHECK_FILES, code_digest
from syphus.answers.translation import (
    LANGUAGES,
    CheckResult,
    Language,
    PairFeatures,
    Term,
    Translatable,
    check_translation,
)
from syphus.formats.translation_report import TRANSLATE_STAGE
from syphus.ledger.parts import queries_with_part_states, update_parts
from syphus.ledger.store import Store
from syphus.translation.chunks import load_texts
from syphus.translation.prompts import terms_in_source
from syphus.types import ReasonKind, State

_PROGRESS_STEP = 1_000  # queries


class SourceChecker:
    """Checks the translations of one source. What the checks need to know of the source is computed once."""

    def __init__(self, source: Translatable, terms: Sequence[Term]) -> None:
        self.texts = source
        self._features = PairFeatures(source)
        self._terms = terms_in_source(source, terms) if terms else []

    def check(self, translation: Translatable, language: Language) -> CheckResult:
        """Check one translation of the source."""
        return check_translation(self._features, translation, language, self._terms)


def feedback(result: CheckResult) -> str:
    """Return all faults, one per line, as the next prompt states them."""
    return "\n".join(fault.feedback for fault in result.faults)


def checks_digest(terms: Sequence[Term]) -> str:
    """Return 16 hex digits that change with the code of the translation checks, and with the glossary."""
    glossary = orjson.dumps([(term.source, dict(term.translations)) for term in terms], option=orjson.OPT_SORT_KEYS)
    return code_digest(TRANSLATION_CHECK_FILES, glossary)


def recheck(store: Store, terms: Sequence[Term], progress: Callable[[int], None]) -> int:
    """Check every stored translation that is ok or invalid again, without a request; return how many changed. Commits.

    A translation that no longer passes becomes invalid; `--retry invalid` asks for it again. One that a judge rejected
    stays invalid, because no rule sees what the judge saw.
    """
    changed = 0
    for number, query in enumerate(queries_with_part_states(store, TRANSLATE_STAGE, (State.OK, State.INVALID)), 1):
        checker = SourceChecker(load_texts(query.text), terms)
        updates = []
        for code, state, reason, text in query.parts:
            if not text or code not in LANGUAGES:
                continue
            result = checker.check(load_texts(text), LANGUAGES[code])
            if result.ok and ReasonKind.parse(reason) is ReasonKind.JUDGE:
                continue
            new_state = State.OK if result.ok else State.INVALID
            if (new_state, result.reason) != (state, reason):
                updates.append((query.n, code, new_state, result.reason, feedback(result)))
        changed += len(updates)
        update_parts(store, updates)
        if number % _PROGRESS_STEP == 0:
            progress(number)
    store.commit()
    return changed
