"""Languages, and whether a translation is one. Pure functions: no network, no ledger.

types.py         what is compared (Translatable), what is found (Fault, Checked), the glossary (Term)
reasons.py       the closed list of what can be wrong with a translation, with what the model is told
languages.py     the table of languages: a new one is one entry
check.py         check_translation: all checks of one pair in one language
features.py      what the checks need to know of a text; of a source once for all languages

scripts.py       the script of a text
identify.py      its language, where the script does not say
copies.py        English that was left standing
kept.py          code, addresses, placeholders, formulas
numbers.py       the same numbers, in any writing
source_numbers.py  those of the source, with all that they can mean
number_words.py  numbers in words, by language
units.py         the same units
layout.py        lines, markup, choices, quotes, emoji
remarks.py       what a model adds: comments, labels, escapes, JSON
pairing.py       instruction and answer: swapped, merged, answered
terms.py         the glossary

judge.py         a model as a second reader: what it is asked, and its verdict
"""

from syphus.answers.translation.check import check_translation
from syphus.answers.translation.features import Features
from syphus.answers.translation.identify import is_english, require_identifier
from syphus.answers.translation.languages import LANGUAGES, Language
from syphus.answers.translation.types import REASONS, CheckResult, Place, Reason, Term, Translatable, TranslationFault

__all__ = [
    "LANGUAGES",
    "REASONS",
    "CheckResult",
    "Features",
    "Language",
    "Place",
    "Reason",
    "Term",
    "Translatable",
    "TranslationFault",
    "check_translation",
    "is_english",
    "require_identifier",
]
