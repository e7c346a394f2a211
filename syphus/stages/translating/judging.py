"""What a translation is worth: everything that is wrong with it, as a reason that can be counted and a detail that the
model is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from syphus import translation
from syphus.stages.translating.asking import terms_in
from syphus.translation import Features, Language, Term, Translatable, check_translation


class Verdict(NamedTuple):
    """Nothing where the translation is good."""

    reason: str = ""
    detail: str = ""


class Source:
    """A source with what the checks know of it, worked out once for all its languages."""

    def __init__(self, source: Translatable, terms: Sequence[Term]) -> None:
        self.texts = source
        self._features = Features(source)
        self._terms = terms_in(source, terms) if terms else []

    def judge(self, translated: Translatable, language: Language) -> Verdict:
        """Whether this is its translation."""
        checked = check_translation(self._features, translated, language, self._terms)
        return Verdict(checked.reason, "\n".join(fault.told for fault in checked.faults))


def checks_digest(terms: Sequence[Term]) -> str:
    """16 hex digits that change with the code of the checks, and with the glossary."""
    folder = Path(str(translation.__file__)).parent
    files = [*sorted(folder.glob("*.py")), Path(__file__)]
    known = orjson.dumps([(term.source, dict(term.wanted)) for term in terms], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(b"\0".join([known, *(file.read_bytes() for file in files)]), digest_size=8).hexdigest()
