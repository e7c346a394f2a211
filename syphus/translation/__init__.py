"""Languages, and whether a translation is one. Pure functions: no network, no ledger.

types.py      what is compared (Translatable), what is found (Fault, Checked), the glossary (Term)
reasons.py    the closed list of what can be wrong with a translation, with what the model is told
languages.py  the table of languages: a new one is one entry
check.py      check_translation: all checks of one pair in one language
"""

from syphus.translation.check import Features, check_translation
from syphus.translation.languages import LANGUAGES, Language
from syphus.translation.reasons import REASONS, Reason
from syphus.translation.types import Checked, Fault, Place, Term, Translatable

__all__ = [
    "LANGUAGES",
    "REASONS",
    "Checked",
    "Fault",
    "Features",
    "Language",
    "Place",
    "Reason",
    "Term",
    "Translatable",
    "check_translation",
]
