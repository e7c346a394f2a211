"""Languages, and checks of translations. Pure functions: no network, no ledger, no files.

check.py            check_translation: all checks of one pair in one language
digits.py           numbers in digits of any script
features.py         the features of texts that the checks compare
identify.py         the script and the language of a text
judge_prompt.py     the prompt for a model that judges a translation, and its verdict
languages.py        the table of languages
layout.py           lines, markup, labels of choices, quotes, emoji
model_artifacts.py  what a model adds: comments, labels, escapes, JSON
number_phrases.py   finds times, fractions, dozens and decades in a text
number_reader.py    writes number words as digits
number_words.py     the grammar of numbers and times by language
numbers.py          compares numbers in any notation
protected_spans.py  code, addresses, placeholders, formulas
source_numbers.py   the numbers of the source, with all possible values
types.py            the types: pair of texts, fault, result, glossary term
units.py            compares units
untranslated.py     finds untranslated English
"""

from syphus.answers.translation.check import check_translation
from syphus.answers.translation.features import PairFeatures
from syphus.answers.translation.identify import is_english, require_identifier
from syphus.answers.translation.languages import LANGUAGES, Language
from syphus.answers.translation.types import CheckResult, Place, Reason, Term, Translatable, TranslationFault

__all__ = [
    "LANGUAGES",
    "CheckResult",
    "Language",
    "PairFeatures",
    "Place",
    "Reason",
    "Term",
    "Translatable",
    "TranslationFault",
    "check_translation",
    "is_english",
    "require_identifier",
]
