"""What models do wrong when they translate, by name. A damage that a text gives no room for becomes another one."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from syphus.endpoints.simulated.translating.made_up import made_up

Texts = dict[str, str]  #: by field: instruction, answer
Damage = Callable[[Texts, Texts, str, Random], "Texts | None"]

_DIGIT = re.compile(r"\d")
_PLACEHOLDER = re.compile(r"\{[^{}\n]{1,60}\}|<\w[\w-]*>")
_OTHERS = {"zh": "ko", "ja": "ar", "es": "de", "de": "fr", "fr": "es", "ko": "ja", "ar": "zh"}


def _each(change: Callable[[str], str]) -> Damage:
    return lambda _, made, __, ___: {field: change(text) for field, text in made.items()}


def _other_language(source: Texts, _: Texts, code: str, __: Random) -> Texts:
    return {field: made_up(text, _OTHERS.get(code, "de"), field) for field, text in source.items()}


def _truncated(source: Texts, made: Texts, _: str, __: Random) -> Texts | None:
    field = max(made, key=lambda name: len(made[name]))
    return {**made, field: made[field][: len(made[field]) * 2 // 5]} if len(source[field]) > 40 else None


def _number_changed(_: Texts, made: Texts, __: str, ___: Random) -> Texts | None:
    changed = {field: _DIGIT.sub(lambda digit: str((int(digit[0]) + 3) % 10), text) for field, text in made.items()}
    return changed if changed != made else None


def _placeholder_translated(_: Texts, made: Texts, __: str, ___: Random) -> Texts | None:
    changed = {field: _PLACEHOLDER.sub("{texto}", text) for field, text in made.items()}
    return changed if changed != made else None


def _swapped(source: Texts, made: Texts, _: str, __: Random) -> Texts | None:
    if len(made) < 2 or "?" not in source["instruction"] or "?" in source["answer"]:
        return None
    return {"instruction": made["answer"], "answer": made["instruction"]}


def _escaped(_: Texts, made: Texts, __: str, ___: Random) -> Texts:
    spelt = {field: text.encode("ascii", "backslashreplace").decode() for field, text in made.items()}
    spelt = {field: re.sub(r"\\x([0-9a-f]{2})", r"\\u00\1", text) for field, text in spelt.items()}
    return spelt if spelt != made else {field: text.replace(" ", "&nbsp;") for field, text in made.items()}


DAMAGES: dict[str, Damage] = {
    "copied": lambda source, *_: dict(source),
    "other_language": _other_language,
    "truncated": _truncated,
    "number_changed": _number_changed,
    "placeholder_translated": _placeholder_translated,
    "swapped": _swapped,
    "dots": _each(lambda _: "..."),
    "empty": _each(lambda _: ""),
    "comment": _each(lambda text: f"Here is the translation: {text}"),
    "escaped": _escaped,
}


def damaged(source: Texts, made: Texts, code: str, random: Random) -> Texts:
    """A translation of `source` with something wrong, drawn by lot."""
    names = random.sample(list(DAMAGES), len(DAMAGES))
    found = (DAMAGES[name](source, made, code, random) for name in names)
    return next(spoilt for spoilt in found if spoilt is not None)


def slipped(source: Texts, made: Texts, code: str) -> Texts:
    """A translation whose longer text says something else: it has the words that are those of the other field."""
    field = max(made, key=lambda name: len(made[name]))
    other = "answer" if field == "instruction" else "instruction"
    return {**made, field: made_up(source[field], code, other)}
