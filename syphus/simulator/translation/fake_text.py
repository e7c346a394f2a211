"""Fake translations: filler text in the target language with the length, lines, numbers and quotes of the source.

Its meaning has nothing to do with the source. The same source always gets the same translation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from random import Random
from typing import NamedTuple

from syphus.answers.translation import LANGUAGES
from syphus.answers.translation.number_phrases import word_values
from syphus.answers.translation.number_words import NUMBER_WORDS


class FillerWords(NamedTuple):
    """Words that fill the sentences of a language, its full stop, question and exclamation mark, and its word space."""

    filling: tuple[str, ...]
    ends: tuple[str, str, str] = (".", "?", "!")
    blank: str = " "


def _of(*lines: str) -> tuple[str, ...]:
    return tuple(" ".join(lines).split())


_QUESTION_MARKS = "?\uff1f\u061f"
_SOLID = ("\u3002", "\uff1f", "\uff01")

WORDS: dict[str, FillerWords] = {
    "zh": FillerWords(
        _of(
            "图片里 可以看到 旁边的 人们 正在 慢慢地 走过 安静的 街道 那里 还有 许多 树木 和 房子 蓝色的 显得",
            "非常 明亮 孩子们 开心地 玩耍 这个 场景 看起来 很 自然 远处 的 山 被 云 遮住 了 桌子上 放着 水果 阳光",
            "照在 草地上",
        ),
        _SOLID,
        "",
    ),
    "ja": FillerWords(
        _of(
            "写真の 中では 人々が ゆっくりと 歩いて いて その 隣に 大きな 木が 見えて 空は とても 明るく",
            "子供たちは 楽しそうに 遊んで いる 静かな 通りの 向こうには 山が あり 机の 上には 果物が 置かれて",
            "ように 見え この 場面は 自然な 感じが して",
        ),
        _SOLID,
        "",
    ),
    "es": FillerWords(
        _of(
            "en la imagen se puede ver cómo las personas caminan despacio por calle tranquila mientras el cielo",
            "parece muy claro y los niños juegan alegres junto árboles que están cerca de casas donde también hay",
            "muchas flores sobre mesa madera",
        )
    ),
    "de": FillerWords(
        _of(
            "auf dem Bild sieht man wie die Menschen langsam durch ruhige Straße gehen während der Himmel sehr",
            "hell wirkt und Kinder fröhlich neben den Bäumen spielen nahe bei Häusern stehen wo auch viele Blumen",
            "liegen",
        )
    ),
    "fr": FillerWords(
        _of(
            "sur cette image on voit comment les gens marchent lentement dans la rue tranquille pendant que le",
            "ciel semble très clair et enfants jouent gaiement près des arbres qui se trouvent à côté maisons où",
            "aussi beaucoup fleurs",
        )
    ),
    "ko": FillerWords(
        _of(
            "사진 속에서 사람들이 느긋하게 고요한 거리를 걷고 있으며 옆에는 큰 나무가 보이고 하늘은 매우 맑아",
            "보이며 아이들은 즐겁게 놀고 있는 모습이 자연스럽게 느껴지고 멀리 산이 보이는 가운데 탁자 위에 과일이",
            "놓여",
        )
    ),
    "ar": FillerWords(
        _of(
            "في هذه الصورة يمكن رؤية الناس وهم يمشون ببطء عبر الشارع الهادئ بينما تبدو السماء صافية جدا ويلعب",
            "الأطفال بفرح بجانب الأشجار القريبة من البيوت حيث توجد أيضا زهور كثيرة فوق طاولة الخشب",
        ),
        (".", "\u061f", "!"),
    ),
}


_FENCE = re.compile(r"(```.*?(?:```|\Z))", re.DOTALL)
#: What is not translated: code, addresses, placeholders, formulas, quotes, labels of choices, numbers, marks, emoji.
_UNTRANSLATED = re.compile(
    r"`[^`\n]+`"
    r"|(?:https?://|www\.)[^\s<>()]*[\w/]|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|info)\b(?:/[^\s<>()]*[\w/])?"
    r"|\{\{[^{}\n]{1,60}\}\}|\{[^{}\n]{0,40}\}|%\(\w+\)[sdif]|(?<![\d%])%[sdif](?![A-Za-z])"
    r"|</?\w[\w-]*[ ]?/?>|<\|\w+\|>"
    r"|\[\w+\]|\$[^\s$](?:[^$\n]*[^\s$])?\$(?!\d)"
    r"|\"[^\"\n]+\"|\u201c[^\u201d\n]+\u201d|(?<!\w)'[^'\n]{1,80}'(?!\w)|\u2018[^\u2019\n]+\u2019"
    r"|(?:^|(?<=[\s(]))[A-H][.):](?=\s|$)|^\(?[A-H]\)?$"
    r"|[$€£¥]?\s?[-+]?\d+(?:[.,:/]\d+)*(?:\s?(?:%|°[CF]?|[ap]\.?m\b)|\s(?:thousand|million|billion)\b)?"
    r"(?:\s(?:percent|dollars?|euros?)\b)?"
    r"|\*\*|[#>|*]+|[()\[\]]|[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55]+"
)
_SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_SCALED = re.compile(r"([\d.,]*\d)\s(thousand|million|billion)")
_SIGNS = {"percent": "%", "dollar": "$", "euro": "€"}
_UNIT_WORD = re.compile(r"(percent|dollar|euro)s?$")
_LINE = re.compile(r"(\s*(?:[-*+•]\s|\d{1,3}[.)]\s|#{1,6}\s|>\s?)?)(.*?)(\s*)\Z", re.DOTALL)
_ENDS = ".?!"
_SENTENCE = re.compile(r"([^.?!,;:\n]*)([.?!,;:\n]+|\Z)")


def fake_translation(text: str, code: str, field: str = "") -> str:
    """Return `text` as it might look in the language with this code.

    The instruction and the answer of a pair get different words, so that neither contains the other.
    """
    translator = _FakeTranslator(code, field, Random(f"{code}/{text}"))
    parts = _FENCE.split(text)
    return "".join(part if n % 2 else "\n".join(map(translator.line, part.split("\n"))) for n, part in enumerate(parts))


@cache
def filler_words(code: str) -> FillerWords:
    """Return the filler words of a language: those in `WORDS`, or the words of its sample text except numbers."""
    if code in WORDS:
        return WORDS[code]
    sample, numbers = LANGUAGES[code].sample, NUMBER_WORDS.get(code)
    pattern = r"[^\W\d_]+" if " " in sample else r"[^\W\d_]{2}"  # two characters, in a language without spaces
    words = tuple(word for word in re.findall(pattern, sample) if numbers is None or not word_values(word, numbers))
    question = next((char for char in sample if char in _QUESTION_MARKS), "?")
    return FillerWords(words, (sample[-1], question, "!"), " " if " " in sample else "")


class _FakeTranslator:
    def __init__(self, code: str, field: str, random: Random) -> None:
        self._words = filler_words(code)
        self._filling = self._words.filling[field == "instruction" :: 2]
        least, most = LANGUAGES[code].length_ratio
        self._ratio = (least * most) ** 0.5
        self._random = random

    def line(self, line: str) -> str:
        found = _LINE.match(line)
        assert found is not None
        prefix, text, end = found.groups()
        parts: list[str] = []
        position = 0
        for literal in _UNTRANSLATED.finditer(text):
            parts += [
                self._translate(text[position : literal.start()], begins=not position),
                _UNIT_WORD.sub(_sign, _SCALED.sub(_digits, literal[0])),
            ]
            position = literal.end()
        parts.append(self._translate(text[position:], begins=not position))
        return prefix + "".join(parts) + end

    def _translate(self, text: str, begins: bool) -> str:
        """Replace words by filler words; drop commas and the like, keep the ends of sentences."""
        if not any(map(str.isalnum, text)):
            between = f" {self._fill('and')} " if "," in text else ""
            return between or "".join(self._end_mark(c) if c in _ENDS else c for c in text)
        sentences: list[str] = []
        for sentence, end in _SENTENCE.findall(text):
            filled = self._fill(sentence)
            if begins or (sentences and sentences[-1][-1:] in _ENDS):
                filled = filled[:1].upper() + filled[1:]
            begins = begins and not filled
            sentences.append(filled + (self._end_mark(end[0]) if end[:1] in tuple(_ENDS) else ""))
        bare = text.strip(" \t,;:")
        before, after = text.partition(bare)[::2]
        spaced = [" " if any(map(str.isspace, edge)) else "" for edge in (before, after)]
        return spaced[0] + self._words.blank.join(part for part in sentences if part) + spaced[1]

    def _fill(self, text: str) -> str:
        if not any(map(str.isalnum, text)):
            return ""
        words: list[str] = []
        length, target_length = 0, len(text.strip()) * self._ratio - 2
        while not words or length < target_length:
            word = self._random.choice(self._filling)
            if words[-1:] != [word]:
                words.append(word)
                length += len(word) + len(self._words.blank)
        return self._words.blank.join(words)

    def _end_mark(self, end: str) -> str:
        return self._words.ends[_ENDS.index(end)]


def _digits(found: re.Match[str]) -> str:
    """Write `2.5 million` as 2500000."""
    return f"{float(found[1].replace(',', '')) * _SCALES[found[2]]:.0f}"


def _sign(found: re.Match[str]) -> str:
    """Write `30 percent` as 30 %."""
    return _SIGNS[found[1]]


# What models do wrong when they translate. A damage returns None if it is not possible for a text.

Texts = dict[str, str]  #: by field: instruction, answer
Damage = Callable[[Texts, Texts, str, Random], "Texts | None"]

_DIGIT = re.compile(r"\d")
_PLACEHOLDER = re.compile(r"\{[^{}\n]{1,60}\}|<\w[\w-]*>")
_OTHERS = {"zh": "ko", "ja": "ar", "es": "de", "de": "fr", "fr": "es", "ko": "ja", "ar": "zh"}


def _each(change: Callable[[str], str]) -> Damage:
    return lambda _, translation, __, ___: {field: change(text) for field, text in translation.items()}


def _other_language(source: Texts, _: Texts, code: str, __: Random) -> Texts:
    return {field: fake_translation(text, _OTHERS.get(code, "de"), field) for field, text in source.items()}


def _truncated(source: Texts, translation: Texts, _: str, __: Random) -> Texts | None:
    field = max(translation, key=lambda name: len(translation[name]))
    if len(source[field]) <= 40:
        return None
    return {**translation, field: translation[field][: len(translation[field]) * 2 // 5]}


def _number_changed(_: Texts, translation: Texts, __: str, ___: Random) -> Texts | None:
    changed = {
        field: _DIGIT.sub(lambda digit: str((int(digit[0]) + 3) % 10), text) for field, text in translation.items()
    }
    return changed if changed != translation else None


def _placeholder_translated(_: Texts, translation: Texts, __: str, ___: Random) -> Texts | None:
    changed = {field: _PLACEHOLDER.sub("{texto}", text) for field, text in translation.items()}
    return changed if changed != translation else None


def _swapped(source: Texts, translation: Texts, _: str, __: Random) -> Texts | None:
    if len(translation) < 2 or "?" not in source["instruction"] or "?" in source["answer"]:
        return None
    return {"instruction": translation["answer"], "answer": translation["instruction"]}


def _escaped(_: Texts, translation: Texts, __: str, ___: Random) -> Texts:
    escaped = {field: text.encode("ascii", "backslashreplace").decode() for field, text in translation.items()}
    escaped = {field: re.sub(r"\\x([0-9a-f]{2})", r"\\u00\1", text) for field, text in escaped.items()}
    return (
        escaped
        if escaped != translation
        else {field: text.replace(" ", "&nbsp;") for field, text in translation.items()}
    )


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


def with_damage(source: Texts, translation: Texts, code: str, random: Random) -> Texts:
    """Return the translation with a random damage that is possible for it."""
    names = random.sample(list(DAMAGES), len(DAMAGES))
    candidates = (DAMAGES[name](source, translation, code, random) for name in names)
    return next(damaged for damaged in candidates if damaged is not None)


def with_other_meaning(source: Texts, translation: Texts, code: str) -> Texts:
    """Return the translation with another meaning: its longer text gets the filler words of the other field."""
    field = max(translation, key=lambda name: len(translation[name]))
    other = "answer" if field == "instruction" else "instruction"
    return {**translation, field: fake_translation(source[field], code, other)}
