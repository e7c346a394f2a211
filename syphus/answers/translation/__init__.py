"""Languages, and whether a translation is one. Pure functions: no network, no ledger.

check.py            check_translation: all checks of one pair in one language
features.py         what the checks need to know of a text; of a source once for all languages
identify.py         its language, where the script does not say
judge_prompt.py     A model as a second reader of a translation
languages.py        the table of languages: a new one is one entry
layout.py           lines, markup, choices, quotes, emoji
model_artifacts.py  what a model adds of its own
number_words.py     numbers in words, by language
numbers.py          the same numbers, in any writing
protected_spans.py  what a translation keeps letter by letter
source_numbers.py   those of the source, with all that they can mean
types.py            what is compared (Translatable), what is found (Fault, Checked), the glossary (Term)
units.py            the same units
untranslated.py     english that was left standing
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
