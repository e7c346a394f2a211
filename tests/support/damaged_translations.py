"""True translations, and damaged copies of them, each with the reasons for which it may be rejected."""

from __future__ import annotations

import html
import json
import random
import re
import urllib.parse
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from syphus.answers.translation import LANGUAGES, Reason, Translatable
from syphus.answers.translation.number_words import NUMBER_WORDS

_FOLDER = Path(__file__).parent / "translations"

#: What a model writes before a translation, in English and in each language.
COMMENTS = {
    "en": (
        "Here is the translation:\n",
        "Sure! Here's the translated text: ",
        "Translation: ",
        "The translated answer is: ",
    ),
    "zh": (
        "以下是翻译：\n",
        "翻译：",
        "好的，翻译如下：",
        "译文：",
    ),
    "ja": (
        "以下が翻訳です：\n",
        "翻訳：",
        "日本語訳は次のとおりです。",
        "以下は翻訳結果です。",
    ),
    "es": (
        "Aquí está la traducción:\n",
        "Traducción: ",
        "Claro, aquí tienes el texto traducido: ",
        "La traducción es: ",
    ),
    "de": (
        "Hier ist die Übersetzung:\n",
        "Übersetzung: ",
        "Gerne, hier ist der übersetzte Text: ",
        "Auf Deutsch übersetzt: ",
    ),
    "fr": (
        "Voici la traduction :\n",
        "Traduction : ",
        "Bien sûr, voici le texte traduit : ",
        "En voici la traduction : ",
    ),
    "ko": (
        "다음은 번역입니다:\n",
        "번역: ",
        "네, 번역 결과는 다음과 같습니다: ",
        "한국어 번역: ",
    ),
    "ar": (
        "إليك الترجمة:\n",
        "الترجمة: ",
        "بالتأكيد، إليك النص المترجم: ",
        "فيما يلي الترجمة: ",
    ),
}
ENDS = (
    " (Note: translated from English)",
    "\n\nNote: this is a literal translation.",
    "\n\nLet me know if you need anything else!",
)
PLACEHOLDERS = (
    ("{name}", "{nombre}"),
    ("<image>", "<imagen>"),
    ("%s", "% s"),
    ("[1]", "[uno]"),
    ("{{user}}", "{{Benutzer}}"),
    ("$y$", "y"),
)


class Sample(NamedTuple):
    """An English pair and its true translations, by code."""

    name: str
    source: Translatable
    translations: dict[str, Translatable]


class Damaged(NamedTuple):
    """A bad translation of `source`, and the reasons of which it must have one."""

    source: Translatable
    translated: Translatable
    reasons: frozenset[Reason]


#: The parts of the corpus: the checks were fitted to `tuning`, but not to `held_out` and `further`.
PARTS = ("tuning", "held_out", "further")


@cache
def samples(part: str) -> tuple[Sample, ...]:
    """Return one part of the corpus, from `translations/PART.json`."""
    rows = json.loads((_FOLDER / f"{part}.json").read_text("utf-8"))
    return tuple(
        Sample(
            row.pop("name"),
            Translatable(*row.pop("en")),
            {code: Translatable(*row[code]) for code in LANGUAGES if code in row},
        )
        for row in rows
    )


@cache
def languages_with_test_data(part: str) -> tuple[str, ...]:
    """Return the codes of the languages that the tests over a part go over: those that have all their test data.

    `test_every_language_has_its_test_data` fails for the others, and says what is missing.
    """
    return tuple(code for code in LANGUAGES if not missing_samples(part, code) and not missing_tables(code))


def missing_samples(part: str, code: str) -> list[str]:
    """Return what is missing for a language in one part of the corpus, as a line for people."""
    names = [sample.name for sample in samples(part) if code not in sample.translations]
    if not names:
        return []
    first = ", ".join(f'"{name}"' for name in names[:3]) + (", ..." if names[3:] else "")
    counts = f"{len(names)} of {len(samples(part))}"
    return [f'tests/support/translations/{part}.json: {counts} samples have no "{code}": {first}']


def missing_tables(code: str) -> list[str]:
    """Return the tables of this module that a language is missing in, as lines for people."""
    tables = [f'COMMENTS has no "{code}"'] if code not in COMMENTS else []
    if code in NUMBER_WORDS and code not in CHANGED_WORDS:
        tables.append(f'CHANGED_WORDS has no "{code}", though NUMBER_WORDS has it')
    return [f"tests/support/damaged_translations.py: {table}" for table in tables]


Damage = Callable[[Sample, str, random.Random], Damaged | None]


def _copied(sample: Sample, code: str, chance: random.Random) -> Damaged:
    return Damaged(sample.source, sample.source, frozenset({Reason.COPIED}))


def _instruction_copied(sample: Sample, code: str, chance: random.Random) -> Damaged:
    there = Translatable(sample.source.instruction, sample.translations[code].answer)
    return Damaged(sample.source, there, frozenset({Reason.COPIED}))


def _another_language(sample: Sample, code: str, chance: random.Random) -> Damaged:
    other = chance.choice([each for each in sample.translations if each != code])
    reasons = frozenset({Reason.WRONG_SCRIPT, Reason.WRONG_LANGUAGE})
    return Damaged(sample.source, sample.translations[other], reasons)


def _longer(pair: Translatable) -> str:
    return "answer" if len(pair.answer) >= len(pair.instruction) else "instruction"


def _with(pair: Translatable, place: str, text: str) -> Translatable:
    return Translatable(text, pair.answer) if place == "instruction" else Translatable(pair.instruction, text)


def _text(pair: Translatable, place: str) -> str:
    return pair.instruction if place == "instruction" else pair.answer


def _truncated(sample: Sample, code: str, chance: random.Random) -> Damaged:
    there = sample.translations[code]
    place = _longer(there)
    text = _text(there, place)
    cut = text[: max(1, int(len(text) * chance.uniform(0.3, 0.8)))].rstrip()
    # what stood at the end is missing: lines of a list, a choice, a part of the code, of an address, of a formula
    parts = {Reason.LAYOUT, Reason.CHOICES, Reason.CODE, Reason.LINKS, Reason.PLACEHOLDERS}
    reasons = frozenset({Reason.CUT_OFF, Reason.TOO_SHORT, Reason.EMPTY} | parts)
    return Damaged(sample.source, _with(there, place, cut), reasons)


def _number_changed(sample: Sample, code: str, chance: random.Random) -> Damaged | None:
    there = sample.translations[code]
    places = [(p, m) for p in ("instruction", "answer") for m in re.finditer(r"\d", _text(there, p))]
    if not places:
        return None
    place, found = chance.choice(places)
    text, zero = _text(there, place), ord(found[0]) - int(found[0])
    other = chr(zero + (int(found[0]) + chance.randint(1, 8)) % 10)
    changed = _with(there, place, text[: found.start()] + other + text[found.end() :])
    # a number can stand in code, in an address, before a choice, before an item of a list
    reasons = {
        Reason.NUMBERS,
        Reason.TIMES,
        Reason.CODE,
        Reason.LINKS,
        Reason.PLACEHOLDERS,
        Reason.CHOICES,
        Reason.LAYOUT,
    }
    return Damaged(sample.source, changed, frozenset(reasons))


def _placeholder_translated(sample: Sample, code: str, chance: random.Random) -> Damaged:
    place = chance.choice(("instruction", "answer"))
    there, (kept, changed) = sample.translations[code], chance.choice(PLACEHOLDERS)
    source = _with(sample.source, place, f"{kept} {_text(sample.source, place)}")
    return Damaged(source, _with(there, place, f"{changed} {_text(there, place)}"), frozenset({Reason.PLACEHOLDERS}))


def _swapped(sample: Sample, code: str, chance: random.Random) -> Damaged:
    there = sample.translations[code]
    return Damaged(sample.source, Translatable(there.answer, there.instruction), frozenset({Reason.SWAPPED}))


def _dots(sample: Sample, code: str, chance: random.Random) -> Damaged:
    place, dots = (
        chance.choice(("instruction", "answer")),
        chance.choice(("...", "…", "……", "。。。", "-", "。", ". . .")),
    )
    return Damaged(sample.source, _with(sample.translations[code], place, dots), frozenset({Reason.EMPTY}))


def _empty(sample: Sample, code: str, chance: random.Random) -> Damaged:
    place, nothing = chance.choice(("instruction", "answer")), chance.choice(("", " ", "\n", "\u3000"))
    return Damaged(sample.source, _with(sample.translations[code], place, nothing), frozenset({Reason.EMPTY}))


def _comment(sample: Sample, code: str, chance: random.Random) -> Damaged:
    place, there = chance.choice(("instruction", "answer")), sample.translations[code]
    text = _text(there, place)
    begun = [comment + text for comment in COMMENTS["en"] + COMMENTS[code]]
    made = chance.choice([*begun, *(text + end for end in ENDS)])
    return Damaged(sample.source, _with(there, place, made), frozenset({Reason.COMMENT}))


def _escaped(sample: Sample, code: str, chance: random.Random) -> Damaged:
    there = sample.translations[code]
    place = _longer(there)
    text = _text(there, place)
    ways = (
        json.dumps(text)[1:-1],
        text.encode("ascii", "xmlcharrefreplace").decode(),
        urllib.parse.quote(text),
        html.escape(text),
        text.replace(" ", "&nbsp;"),
    )
    made = chance.choice([way for way in ways if way != text])
    return Damaged(sample.source, _with(there, place, made), frozenset({Reason.ESCAPED}))


#: Those that the checks must reach 99% of.
DAMAGES: dict[str, Damage] = {
    "copied source": _copied,
    "another of the languages": _another_language,
    "truncated": _truncated,
    "number changed": _number_changed,
    "placeholder translated": _placeholder_translated,
    "swapped fields": _swapped,
    "dots": _dots,
    "empty": _empty,
    "extra comment": _comment,
    "escaped characters": _escaped,
}


def _merged(sample: Sample, code: str, chance: random.Random) -> Damaged:
    there = sample.translations[code]
    both = f"{there.instruction} {there.answer}"
    made = chance.choice((Translatable(there.instruction, both), Translatable(both, there.answer)))
    return Damaged(sample.source, made, frozenset({Reason.MERGED}))


def _said_twice(sample: Sample, code: str, chance: random.Random) -> Damaged:
    there = sample.translations[code]
    return Damaged(sample.source, Translatable(there.answer, there.answer), frozenset({Reason.MERGED}))


def _answered(sample: Sample, code: str, chance: random.Random) -> Damaged | None:
    """The question became a statement, as it does when a model answers it; a request may become an imperative."""
    there = sample.translations[code]
    if not re.match(r"(?!C(?:ould|an) you)[^?]+\?$", sample.source.instruction) or len(there.answer) < 4:
        return None
    statements = [each for each in samples("tuning") if "?" not in each.source.answer and each is not sample]
    answers = [each.translations[code].answer for each in statements if code in each.translations]
    if not answers:  # of a language whose data is not complete yet
        return None
    text = chance.choice(answers)
    reasons = {Reason.ANSWERED, Reason.SWAPPED}  # an answer that fits no worse the other way round
    return Damaged(sample.source, Translatable(text, there.answer), frozenset(reasons))


def _json(sample: Sample, code: str, chance: random.Random) -> Damaged:
    there = sample.translations[code]
    wrapped = json.dumps({code: there.answer}, ensure_ascii=False)
    ends = ('"}', '"},', f'", "{code}": {{"answer": "')
    made = chance.choice([wrapped, *(there.answer + end for end in ends)])
    return Damaged(sample.source, Translatable(there.instruction, made), frozenset({Reason.JSON}))


def _changed(pattern: str, change: Callable[[re.Match[str]], str], *reasons: Reason) -> Damage:
    """A damage that changes the first place of the translation where `pattern` stands."""

    def made(sample: Sample, code: str, chance: random.Random) -> Damaged | None:
        there = sample.translations[code]
        for place in ("answer", "instruction"):
            text = _text(there, place)
            if re.search(pattern, text) and re.search(pattern, _text(sample.source, place)):
                changed = re.sub(pattern, change, text, count=1)
                return Damaged(sample.source, _with(there, place, changed), frozenset(reasons))
        return None

    return made


#: A pattern of small numbers in words, and another number, for each language that has number words.
CHANGED_WORDS = {
    "zh": ("两|四|三", "七"), "ja": ("2人|二つ|三つ|4人", "九つ"), "es": ("dos|cuatro|tres", "siete"),
    "de": ("zwei|vier|drei", "sieben"), "fr": ("deux|quatre|trois", "sept"), "ko": ("두 |네 |세 ", "일곱 "),
    "ar": ("أربعة|ثلاث|ثلاثة|أربع", "سبعة"),
}  # fmt: skip


def _word_changed(sample: Sample, code: str, chance: random.Random) -> Damaged | None:
    """A number in words is another one; where English has it in words, too."""
    if code not in CHANGED_WORDS:
        return None
    there, (known, other) = sample.translations[code], CHANGED_WORDS[code]
    if not re.search(r"\b(?:two|three|four)\b", sample.source.answer) or not re.search(
        rf"\b(?:{known})", there.answer, re.I
    ):
        return None
    changed = re.sub(rf"\b(?:{known})\b" if code not in ("zh", "ja", "ko") else known, other, there.answer, flags=re.I)
    return Damaged(sample.source, Translatable(there.instruction, changed), frozenset({Reason.NUMBERS}))


def _a_line_less(sample: Sample, code: str, chance: random.Random) -> Damaged | None:
    there = sample.translations[code]
    if "\n" not in there.answer:
        return None
    return Damaged(
        sample.source,
        Translatable(there.instruction, " ".join(there.answer.split("\n"))),
        frozenset({Reason.LAYOUT, Reason.CODE}),
    )


#: More of what models do.
MORE_DAMAGES: dict[str, Damage] = {
    "instruction copied": _instruction_copied,
    "merged": _merged,
    "said twice": _said_twice,
    "answered": _answered,
    "left-over JSON": _json,
    "number word changed": _word_changed,
    "lines joined": _a_line_less,
    "code translated": _changed(r"`[^`]+`", lambda found: "`código`", Reason.CODE),
    "backticks dropped": _changed(r"`([^`]+)`", lambda found: found[1], Reason.CODE),
    "link changed": _changed(r"https?://[\w./?=-]+", lambda found: found[0] + "x", Reason.LINKS),
    "e-mail dropped": _changed(r"[\w.-]+@[\w.-]+", lambda found: "", Reason.LINKS),
    "choice changed": _changed(r"(?<!°)\bC(?=[.)])", lambda found: "D", Reason.CHOICES),
    "time changed": _changed(r"3[:時시 h]+0?5(?!\d)", lambda found: "4:05", Reason.TIMES, Reason.NUMBERS),
    "bold dropped": _changed(r"\*\*", lambda found: "", Reason.LAYOUT),
    "heading dropped": _changed(r"## ", lambda found: "", Reason.LAYOUT),
    "emoji dropped": _changed("[🎂🎉😊]", lambda found: "", Reason.EMOJI),
    "unit changed": _changed(r"(?<=28) ?(?:cm|厘米|سم)", lambda found: " m", Reason.UNITS),
}


def damaged(damages: dict[str, Damage], part: str, seed: int = 7) -> Iterator[tuple[str, str, str, Damaged]]:
    """Every sample of a part in every language with every damage that it can have: (damage, sample, code, damaged)."""
    for name, damage in damages.items():
        for sample in samples(part):
            for code in languages_with_test_data(part):
                made = damage(sample, code, random.Random(f"{seed} {name} {sample.name} {code}"))
                if made:
                    yield name, sample.name, code, made
