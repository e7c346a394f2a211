"""Which script a text is written in: the first test of its language, and for some languages the last."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal, NamedTuple

Script = Literal["Latin", "Han", "Kana", "Hangul", "Arabic", "Cyrillic", "Greek", "Hebrew", "Devanagari", "Thai"]

#: The letters of each script, as the inside of a class of characters.
_LETTERS: dict[Script, str] = {
    "Latin": "A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ",
    "Han": "々〇\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
    "Kana": "ぁ-ゖァ-ヺーｦ-ﾟ",
    "Hangul": "가-힣ᄀ-ᇿㄱ-ㆎ",
    "Arabic": "ء-يٮ-ۓۺ-ۿݐ-ݿ",
    "Cyrillic": "Ѐ-ӿ",
    "Greek": "Ͱ-Ͽἀ-῿",
    "Hebrew": "א-ת",
    "Devanagari": "ऀ-ॿ",
    "Thai": "ก-๎",
}  # fmt: skip
_SHARE_OF_OTHERS = 0.2  # of all letters, that other scripts may have: a sign in the picture, say
_SHARE_OF_OWN = 0.25  # of all letters, at the least, where English names and signs stand beside them
_ENOUGH_HAN = 8  # characters of Han that no Japanese writes without any kana
_SHOWN = 20  # characters, of what speaks against a text
_FEW_STRANGE = 0.05  # of the letters of its script, that a language itself does not write: in a name, say
_ONLY_CHINESE = re.compile(
    "[这们哪么图颜车说为对时绿蓝边话头吗没还红黄钟页丢张长门问间个几纸钥匙动东两谁给让过进远连达选适难题马鸟鱼风飞龙齐]"
)


@cache
def _strange(letters: str) -> re.Pattern[str]:
    return re.compile(f"[{letters}]")


class Letters(NamedTuple):
    """How many letters are of the language's own scripts, how many Latin, how many of any other."""

    own: int
    latin: int
    other: int


@cache
def _patterns(scripts: tuple[Script, ...]) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    own = "".join(_LETTERS[script] for script in scripts)
    other = "".join(letters for script, letters in _LETTERS.items() if script != "Latin" and script not in scripts)
    return re.compile(f"[{own}]+"), re.compile(f"[{_LETTERS['Latin']}]+"), re.compile(f"[{other}]+")


def letters(text: str, scripts: tuple[Script, ...]) -> Letters:
    """Counts the letters of a text by what they are to a language with these scripts."""
    own, latin, other = _patterns(scripts)
    if text.isascii() and "Latin" not in scripts:
        return Letters(0, _count(latin, text), 0)
    is_latin = "Latin" in scripts
    return Letters(
        _count(own, text),
        0 if is_latin else _count(latin, text),
        0 if text.isascii() else _count(other, text),
    )


def _count(pattern: re.Pattern[str], text: str) -> int:
    return sum(map(len, pattern.findall(text)))


def foreign(text: str, scripts: tuple[Script, ...], strange: str, found: Letters) -> str:
    """What speaks against the script of a text, or ""; `found` are its letters.

    `strange` are letters of the script that are not those of the language.
    """
    every = sum(found)
    if not every:
        return ""
    if found.other > _SHARE_OF_OTHERS * every:
        return f"{found.other} of {every} letters are of another script"
    if found.own < _SHARE_OF_OWN * every:
        return f"{found.own} of {every} letters are of the script"
    if strange and len(there := _strange(strange).findall(text)) > _FEW_STRANGE * found.own:
        return f"{' '.join(dict.fromkeys(there))[:_SHOWN]} are letters of another language"
    if "Kana" in scripts and not _patterns(("Kana",))[0].search(text):
        return "no kana" if found.own >= _ENOUGH_HAN or _ONLY_CHINESE.search(text) else ""
    return ""
