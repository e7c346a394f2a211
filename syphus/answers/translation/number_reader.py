"""Writes the number words of a text as digits, by the grammar of its language.

They become digits of their own (`WORD_DIGITS`), so that they stay apart from those of the text, and the phrases of
`number_phrases.py` are patterns of digits in every language: "halb drei" is read as "halb 3".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from syphus.answers.translation.number_words import (
    ENGLISH,
    NUMBER_WORDS,
    NumberGrammar,
    Script,
)

#: The digits, decimal point and end of numbers that were words. They are no digits for other patterns.
WORD_DIGITS = "\ue000\ue001\ue002\ue003\ue004\ue005\ue006\ue007\ue008\ue009"
POINT, END = "\ue00a", "\ue00b"
_AS_WORD = str.maketrans("0123456789.", WORD_DIGITS + POINT)
AS_DIGITS = str.maketrans(WORD_DIGITS + POINT, "0123456789.", END)
_W = "[\ue000-\ue009]"
IN_WORDS = re.compile(f"{_W}+(?:{POINT}{_W}+)?")
TIME = re.compile(r"(?<![\d:])(\d{1,2}):(\d{2})(?::(\d{2}))?(?![\d:])")


# Number words become digits.

_WORD = re.compile(r"[^\W\d_]+")
_ARABIC_LETTERS = str.maketrans("أإآ", "ااا", "".join(map(chr, range(0x64B, 0x653))))
_SCALES = frozenset({1e3, 1e6, 1e9, 1e12})


def words_of(text: str) -> set[float]:
    """Return the values of the number words in a text that was read."""
    return {float(found.translate(AS_DIGITS)) for found in IN_WORDS.findall(text)}


def as_number(written: str) -> float | None:
    """Return the value of a number in digits of any kind, with an English decimal point; or None."""
    plain = written.translate(AS_DIGITS).replace(",", "").strip(".")
    return float(plain) if plain and plain.count(".") <= 1 else None


def _as_word(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".").translate(_AS_WORD)


@lru_cache(maxsize=64)
def _lookup(key: int) -> dict[str, tuple[float, int]]:
    """Return the words of a grammar, by its id: the value (negative for a loose word), and the letters before it."""
    grammar = next(each for each in (ENGLISH, *NUMBER_WORDS.values()) if id(each) == key)
    words: dict[str, tuple[float, int]] = {word: (-value, 0) for word, value in grammar.loose.items()}
    words |= {word: (value, 0) for word, value in grammar.values.items()}
    if grammar.script is Script.ARABIC:
        for word, (value, _) in list(words.items()):
            for prefix in ("و", "ف", "ب", "ل", "ك", ""):
                words.setdefault(prefix + word, (value, len(prefix)))
                words.setdefault(f"{prefix}ال{word}", (value, len(prefix)))
            words.setdefault(f"لل{word}", (value, 0))
    return words


def words_as_digits(text: str, grammar: NumberGrammar, parts: set[float], loose: set[float]) -> str:
    """Return a text of words between spaces with its numbers as digits; adds the parts and the loose values."""
    if grammar.script is Script.ARABIC:
        text = text.translate(_ARABIC_LETTERS)
    written: list[str] = []
    run: list[tuple[float, bool]] = []  # the values of the number so far, and whether a joiner is before each
    end = done = 0
    joined = False
    for word in _number_words(text, grammar, loose):
        adjacent = bool(run) and text[end : word.start] in _JOINTS
        if not word.value:
            joined = adjacent
            end = word.end if adjacent else end
            continue
        if not adjacent or word.preposition:
            run.clear()
        joined = joined or word.conjunction
        whole = _combined(run, word.value, joined, grammar) if run else 0.0
        if whole:
            parts.update(each for each, _ in run)
            parts.add(word.value)
            run.append((word.value, joined))
            written[-1] = _as_word(whole)
        elif word.value in _SCALES and word.value in grammar.scales.values() and _ends_with_digit(text[: word.number]):
            run.clear()
            joined = False
            continue  # 2.5 million is read with its digits
        else:
            run[:] = [(word.value, False)]
            written += [text[done : word.number], _as_word(word.value)]
        joined = False
        done = end = word.end
    return "".join((*written, text[done:])) if written else text


class _NumberWord(NamedTuple):
    """A word that is a number, or with the value 0 one that may join two ("and")."""

    value: float
    start: int
    number: int  #: where the number starts: Arabic writes prefixes on the same word
    end: int
    conjunction: bool  #: whether the prefix is "and"
    preposition: bool  #: whether it is another one: بالمئة is "percent", and multiplies nothing


def _number_words(text: str, grammar: NumberGrammar, loose: set[float]) -> Iterator[_NumberWord]:
    """Find the words of a text that are numbers or may join two; adds the values of loose words to `loose`."""
    lookup = _lookup(id(grammar))
    german = grammar.script is Script.GERMAN
    if not german and lookup.keys().isdisjoint(_WORD.findall(text.lower())):
        return
    for found in _WORD.finditer(text):
        word = found[0].lower()
        value, prefix = lookup.get(word) or (_german_number(word) if german else 0.0, 0)
        if value < 0:
            loose.add(-value)
            value = 0.0
        if value or word in grammar.joiners:
            has_and = prefix > 0 and word[0] == "و"
            number = found.start() + prefix
            yield _NumberWord(value, found.start(), number, found.end(), has_and, prefix > 0 and not has_and)


def _ends_with_digit(text: str) -> bool:
    return text.rstrip(" \u00a0\u202f")[-1:].isdecimal()


_JOINTS = frozenset({" ", "\u00a0", "\u202f", "\u2011", "-"})


def _combined(run: list[tuple[float, bool]], value: float, joined: bool, grammar: NumberGrammar) -> float:
    """Return the number that a further word makes of the words before it ("two thousand" and "five"), or 0."""
    total = current = 0.0
    scale = 1e15
    for each, with_joiner in (*run, (value, joined)):
        if each in _SCALES:
            if with_joiner or (each >= scale and current):
                return 0.0
            if current or not total:
                total, current = total + (current or 1) * each, 0.0
            else:
                total *= each  # mil millones
            scale = each
        elif each == 100 and 1 < current < 100 and not with_joiner:
            current *= 100
        elif each >= 100:
            if current % 1000 or (current and each >= 1000):
                return 0.0
            total, current = total + current, each
        elif not current or not current % 100:
            current += each
        elif (step := _added(current % 100, each, with_joiner, grammar)) is not None:
            current += step
        else:
            return 0.0
    return total + current


def _added(before: float, value: float, joined: bool, grammar: NumberGrammar) -> float | None:
    """Return what a number below 100 adds to another: 3 to 20, and in French 76 to 4 (quatre-vingts); or None."""
    arabic = grammar.script is Script.ARABIC
    if before % 10 == 0 and before >= 20:
        if value < 10 and value % 1 == 0 and not (joined and grammar is ENGLISH):
            return value
        return value if grammar.vigesimal and before in (60, 80) and 10 <= value < 20 else None
    if grammar.vigesimal and before == 4 and value == 20 and not joined:
        return 76.0
    if grammar.vigesimal and before in (10, 70, 90) and 7 <= value < 10 and not joined:
        return value
    if arabic and before < 10 and ((value == 10 and not joined) or (value % 10 == 0 and value > 10 and joined)):
        return value
    return None


_UNITS_DE = {"ein": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "sechs": 6, "sieben": 7, "acht": 8, "neun": 9}
_GERMAN_PARTS = re.compile(r"(?:(?P<t>.*?)tausend)?(?:(?P<h>.*?)hundert)?(?:und)?(?P<r>.*)")
_GERMAN_ENDINGS = re.compile(r"(?:s?te[nrsm]?|mal|fache?[nrs]?)$")
_BELOW_100 = {word: value for word, value in NUMBER_WORDS["de"].values.items() if value < 100 and value % 1 == 0}
_BELOW_100 |= {
    f"{unit}und{ten}": NUMBER_WORDS["de"].values[ten] + value
    for unit, value in _UNITS_DE.items()
    for ten in ("zwanzig", "dreißig", "dreissig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig")
}


@lru_cache(maxsize=50_000)
def _german_number(word: str) -> float:
    """Return the value of a German number in one word, cardinal or ordinal ("einundzwanzigste"), or 0."""
    if word.endswith("einhalb"):
        return _UNITS_DE.get(word.removesuffix("einhalb"), -0.5) + 0.5
    return _german_cardinal(word) or _german_cardinal(_GERMAN_ENDINGS.sub("", word))


def _german_cardinal(word: str) -> float:
    if word in _BELOW_100:
        return _BELOW_100[word]
    found = _GERMAN_PARTS.fullmatch(word)
    if not found or (found["t"] is None and found["h"] is None):
        return 0.0
    thousands, hundreds, rest = found["t"], found["h"], found["r"]
    values = [0.0 if part is None else (_german_cardinal(part) if part else 1.0) for part in (thousands, hundreds)]
    if any(part and not value for part, value in zip((thousands, hundreds), values, strict=True)):
        return 0.0
    below = _BELOW_100.get(rest, 0.0) if rest else 0.0
    return values[0] * 1000 + values[1] * 100 + below if below or not rest else 0.0


_HAN_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2, "両": 2}
_LONGEST_NUMBER = 30  # characters
_HAN_SCALES = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_HAN_NUMERALS = "".join((*_HAN_DIGITS, *_HAN_SCALES))
_HAN_WORDS = {**NUMBER_WORDS["ja"].values, **NUMBER_WORDS["zh"].values}
_HAN = re.compile(rf"(?P<han>[{_HAN_NUMERALS}]+)|(?P<word>{'|'.join(_HAN_WORDS)})")
_NO_HAN_NUMBER = re.compile(
    "(?<=[\\d.千百万萬亿億])[千百万萬亿億]+(?![千百万萬亿億])"  # a scale after digits
    "|(?<![点點时時差])十(?=分(?![钟鐘之间間前後后以左]))|[千百](?=[克米瓦卡])"  # very, enough; units
)
_SINO = "일이삼사오육칠팔구십백천만억"
_AS_HAN = str.maketrans(_SINO, "一二三四五六七八九十百千万億")
_KO = NUMBER_WORDS["ko"].values
_KO_TENS = "열|스물|서른|마흔|쉰|예순|일흔|여든|아흔"
_KO_RANGES = {"한두": (1, 2), "두세": (2, 3), "두서너": (2, 3, 4), "서너": (3, 4), "네댓": (4, 5), "대여섯": (5, 6)}
_KO_COUNTERS = (
    "명|개|번|마리|대|장|권|살|시|잔|병|사람|배|째|분|쌍|가지|곳|줄|판|달|해|시간|주|송이|켤레|채|그루|다스|타"
)
_KOREAN = re.compile(
    rf"(?<![가-힣\d])(?:(?P<range>{'|'.join(_KO_RANGES)})(?=\s|{_KO_COUNTERS})"
    rf"|(?P<ten>{_KO_TENS})?(?P<unit>다섯|여섯|일곱|여덟|아홉|하나|둘|셋|넷|[한두세네](?=\s|{_KO_COUNTERS})|[석넉](?=\s[달장]))"
    rf"|(?P<word>{_KO_TENS}|스무|첫|이틀(?=[\s간동에이을])|사흘|나흘|열흘)"
    rf"|(?P<han>[일이삼사오육칠팔구십백천]+(?=\s?(?:명|개월|번|년|월|분|층|인|배|위|등|세기)|\s일)|백(?=일\s?|일$)"
    rf"|(?=[{_SINO}]{{2}})(?:[일이삼사오육칠팔구]?[십백천만억])+[일이삼사오육칠팔구]?"
    r"(?=\s?(?:시|초|원|달러|퍼센트|프로|개|대|미터|킬로|살|세|도|점|쪽|페이지|권|주|인치|피트|마일|장|마리|할|여)))"
    r"|(?P<hour>(?<=오[전후]\s)[일이삼사오육칠팔구십]+(?=\s?시)))"
)


def characters_as_digits(text: str, script: Script) -> str:
    """Return a Chinese, Japanese or Korean text with its numbers as digits."""
    return (_KOREAN if script is Script.KOREAN else _HAN).sub(_from_characters, text)


def _from_characters(found: re.Match[str]) -> str:
    """Return a number in Chinese characters or Korean as digits; two for 两三, 두세 and the like."""
    groups = found.groupdict()
    if groups.get("han") and (none := _NO_HAN_NUMBER.match(found.string, found.start())) and none.end() == found.end():
        return found[0]
    if characters := groups.get("han") or groups.get("hour"):
        values = _han_numbers(characters.translate(_AS_HAN))
    elif groups.get("range"):
        values = [float(value) for value in _KO_RANGES[groups["range"]]]
    elif unit := groups.get("unit"):
        values = [_KO.get(groups["ten"] or "", 0.0) + _KO[unit]]
    elif word := groups.get("word"):
        values = [_KO[word] if word in _KO else _HAN_WORDS[word]]
    else:
        return found[0]
    return END.join(map(_as_word, values))


def _han_numbers(text: str) -> list[float]:
    """Return the numbers of Chinese numerals: one, or two that are next to each other (十七八 is 17 or 18)."""
    digits = len(text) > 1 and all(c in _HAN_DIGITS for c in text[-2:])
    if digits and (len(text) == 2 or text[-3] in _HAN_SCALES) and _HAN_DIGITS[text[-1]] == _HAN_DIGITS[text[-2]] + 1:
        return [parse_han_number(text[:-1]), parse_han_number(text[:-2] + text[-1])]
    return [parse_han_number(text)]


def parse_han_number(text: str) -> float:
    """Return the value of a number in Chinese characters: 三十五 is 35, 两千 2000, 二〇二一 2021."""
    if len(text) > _LONGEST_NUMBER:
        return 0.0  # decoration, not a number
    if not any(c in _HAN_SCALES for c in text):
        return float("".join(str(_HAN_DIGITS[c]) for c in text))
    whole, part, digit = 0, 0, 0
    for c in text:
        if c in _HAN_DIGITS:
            digit = digit * 10 + _HAN_DIGITS[c]
        elif (scale := _HAN_SCALES[c]) < 10**4:
            part, digit = part + (digit or 1) * scale, 0
        else:
            whole, part, digit = (whole + (part + digit or 1)) * scale, 0, 0
    return float(whole + part + digit)
