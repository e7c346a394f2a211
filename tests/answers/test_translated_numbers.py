"""Numbers and times in words: right forms pass and wrong ones are caught, in all languages.

The corpus has a sentence in English on each line that begins with `#`, and its translations below: the code of the
language, `+` for a right one and `-` for one with a wrong number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from damaged_translations import samples

from syphus.answers.translation import LANGUAGES, Reason, Translatable, check_translation
from syphus.answers.translation.number_phrases import read_text, word_values
from syphus.answers.translation.number_words import NUMBER_WORDS

FOLDER = Path(__file__).parents[1] / "support" / "translations"
#: The first part was written after the grammar, and the grammar was then mended for it; likewise the second.
PARTS = sorted(path.name for path in FOLDER.glob("numbers*.txt"))
ABOUT_NUMBERS = {Reason.NUMBERS, Reason.TIMES, Reason.UNITS}


class Form(NamedTuple):
    """One translation of a sentence, and whether it is right."""

    english: str
    code: str
    right: bool
    text: str


def forms(part: str) -> Iterator[Form]:
    english = ""
    for line in (FOLDER / part).read_text("utf-8").splitlines():
        if line.startswith("# "):
            english = line[2:]
        elif line:
            yield Form(english, line[:2], line[2] == "+", line[4:])


def reasons(english: str, code: str, text: str) -> set[Reason]:
    """The reasons against the translation of an answer, below a question that is all right."""
    sample = samples("tuning")[1]
    pair = Translatable(sample.translations[code].instruction, text)
    checked = check_translation(Translatable(sample.source.instruction, english), pair, LANGUAGES[code])
    return {fault.reason for fault in checked.faults}


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("part", PARTS)
def test_right_forms_pass_and_wrong_ones_are_caught(part: str, code: str) -> None:
    of_language = [form for form in forms(part) if form.code == code]
    rejected = [f for f in of_language if f.right and reasons(f.english, code, f.text)]
    missed = [f for f in of_language if not f.right and not reasons(f.english, code, f.text) & ABOUT_NUMBERS]
    assert not rejected
    assert not missed


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_corpus_has_forty_right_and_twenty_wrong_forms_of_each_language(code: str) -> None:
    count = Counter(form.right for part in PARTS for form in forms(part) if form.code == code)
    assert count[True] >= 40
    assert count[False] >= 20


@pytest.mark.parametrize(
    ("code", "text", "value"),
    [
        ("de", "einundzwanzig", 21),
        ("de", "dreihundertfünfundvierzigtausendsechshundertzwei", 345602),
        ("de", "am siebenundzwanzigsten", 27),
        ("fr", "quatre-vingt-dix-sept", 97),
        ("fr", "soixante et onze", 71),
        ("fr", "mille neuf cent quatre-vingt-quatre", 1984),
        ("es", "dos mil quinientos treinta y dos", 2532),
        ("es", "tres mil millones", 3e9),
        ("ar", "ألف وتسعمئة وخمسة وتسعون", 1995),
        ("ar", "ثلاثة آلاف وخمسمئة", 3500),
        ("zh", "二〇二一", 2021),
        ("zh", "十二万三千四百五十六", 123456),
        ("ja", "三千二百五", 3205),
        ("ko", "서른두 명", 32),
        ("ko", "이백삼십오 명", 235),
    ],
)
def test_number_words_are_read_as_one_number(code: str, text: str, value: float) -> None:
    assert value in word_values(text, NUMBER_WORDS[code])


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("zh", "一个半透明的杯子"),
        ("ja", "2人半袖のシャツを着ています"),
        ("es", "dos tomates y media cebolla"),
        ("de", "zwei Tomaten und eine halbe Zwiebel"),
        ("ar", "وطماطم ونصف بصلة"),
        ("ko", "3개 반복됩니다"),
    ],
)
def test_a_half_of_the_next_word_is_not_added_to_the_number_before_it(code: str, text: str) -> None:
    assert not [each for each in read_text(text, NUMBER_WORDS[code]).phrases if each.whole > 0]
