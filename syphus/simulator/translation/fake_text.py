"""Made-up text in a language, in the place of an English one: as long, with the same lines, marks, numbers and quotes.

It says nothing of what the English says. The same text always becomes the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from random import Random
from typing import NamedTuple

from syphus.answers.translation import LANGUAGES
from syphus.answers.translation.number_words import NUMBER_WORDS

# FOLDED from words.py:
# Words by language, of which made-up translations are put together, and how a sentence ends.
#
# A language without an entry is filled with the words of its sample text.


class FillerWords(NamedTuple):
    """`filling` are words that can stand in a sentence; `ends` the full stop, the question and the exclamation mark."""

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
#: What stays as it is: code, addresses, placeholders, formulas, quotes, labels of choices, numbers, marks, emoji.
_KEPT = re.compile(
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
_SPELT = re.compile(r"(percent|dollar|euro)s?$")
_LINE = re.compile(r"(\s*(?:[-*+•]\s|\d{1,3}[.)]\s|#{1,6}\s|>\s?)?)(.*?)(\s*)\Z", re.DOTALL)
_ENDS = ".?!"
_SENTENCE = re.compile(r"([^.?!,;:\n]*)([.?!,;:\n]+|\Z)")


def fake_translation(text: str, code: str, field: str = "") -> str:
    """`text` as it might look in the language with this code.

    The instruction and the answer of a pair have words of their own, so that one is never found inside of the other.
    """
    maker = _Maker(code, field, Random(f"{code}/{text}"))
    parts = _FENCE.split(text)
    return "".join(part if n % 2 else "\n".join(map(maker.line, part.split("\n"))) for n, part in enumerate(parts))


@cache
def filler_words(code: str) -> FillerWords:
    """Return the filler words of a language; without an entry in `WORDS`, those of its sample text but the numbers."""
    if code in WORDS:
        return WORDS[code]
    sample, numbers = LANGUAGES[code].sample, NUMBER_WORDS.get(code)
    found = re.findall(r"[^\W\d_]+" if " " in sample else r"[^\W\d_]{2}", sample)  # pairs where no blank parts words
    words = tuple(word for word in found if numbers is None or not numbers.find_values(word))
    question = next((char for char in sample if char in _QUESTION_MARKS), "?")
    return FillerWords(words, (sample[-1], question, "!"), " " if " " in sample else "")


class _Maker:
    def __init__(self, code: str, field: str, random: Random) -> None:
        self._words = filler_words(code)
        self._filling = self._words.filling[field == "instruction" :: 2]
        least, most = LANGUAGES[code].length_ratio
        self._ratio = (least * most) ** 0.5
        self._random = random

    def line(self, line: str) -> str:
        found = _LINE.match(line)
        assert found is not None
        mark, said, end = found.groups()
        parts: list[str] = []
        at = 0
        for kept in _KEPT.finditer(said):
            parts += [
                self._spoken(said[at : kept.start()], begins=not at),
                _SPELT.sub(_sign, _SCALED.sub(_digits, kept[0])),
            ]
            at = kept.end()
        parts.append(self._spoken(said[at:], begins=not at))
        return mark + "".join(parts) + end

    def _spoken(self, text: str, begins: bool) -> str:
        """Words in the place of words; commas and the like go, the ends of sentences stay."""
        if not any(map(str.isalnum, text)):
            between = f" {self._filled('and')} " if "," in text else ""
            return between or "".join(self._ended(c) if c in _ENDS else c for c in text)
        made: list[str] = []
        for said, end in _SENTENCE.findall(text):
            filled = self._filled(said)
            if begins or (made and made[-1][-1:] in _ENDS):
                filled = filled[:1].upper() + filled[1:]
            begins = begins and not filled
            made.append(filled + (self._ended(end[0]) if end[:1] in tuple(_ENDS) else ""))
        bare = text.strip(" \t,;:")
        before, after = text.partition(bare)[::2]
        spaced = [" " if any(map(str.isspace, edge)) else "" for edge in (before, after)]
        return spaced[0] + self._words.blank.join(part for part in made if part) + spaced[1]

    def _filled(self, said: str) -> str:
        if not any(map(str.isalnum, said)):
            return ""
        found: list[str] = []
        length, wanted = 0, len(said.strip()) * self._ratio - 2
        while not found or length < wanted:
            word = self._random.choice(self._filling)
            if found[-1:] != [word]:
                found.append(word)
                length += len(word) + len(self._words.blank)
        return self._words.blank.join(found)

    def _ended(self, end: str) -> str:
        return self._words.ends[_ENDS.index(end)]


def _digits(found: re.Match[str]) -> str:
    """`2.5 million` as 2500000."""
    return f"{float(found[1].replace(',', '')) * _SCALES[found[2]]:.0f}"


def _sign(spelt: re.Match[str]) -> str:
    """`30 percent` as 30 %."""
    return _SIGNS[spelt[1]]


# FOLDED from damage.py:
# What models do wrong when they translate, by name. A damage that a text gives no room for becomes another one.

Texts = dict[str, str]  #: by field: instruction, answer
Damage = Callable[[Texts, Texts, str, Random], "Texts | None"]

_DIGIT = re.compile(r"\d")
_PLACEHOLDER = re.compile(r"\{[^{}\n]{1,60}\}|<\w[\w-]*>")
_OTHERS = {"zh": "ko", "ja": "ar", "es": "de", "de": "fr", "fr": "es", "ko": "ja", "ar": "zh"}


def _each(change: Callable[[str], str]) -> Damage:
    return lambda _, made, __, ___: {field: change(text) for field, text in made.items()}


def _other_language(source: Texts, _: Texts, code: str, __: Random) -> Texts:
    return {field: fake_translation(text, _OTHERS.get(code, "de"), field) for field, text in source.items()}


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


def with_damage(source: Texts, made: Texts, code: str, random: Random) -> Texts:
    """A translation of `source` with something wrong, drawn by lot."""
    names = random.sample(list(DAMAGES), len(DAMAGES))
    found = (DAMAGES[name](source, made, code, random) for name in names)
    return next(spoilt for spoilt in found if spoilt is not None)


def with_other_meaning(source: Texts, made: Texts, code: str) -> Texts:
    """A translation whose longer text says something else: it has the words that are those of the other field."""
    field = max(made, key=lambda name: len(made[name]))
    other = "answer" if field == "instruction" else "instruction"
    return {**made, field: fake_translation(source[field], code, other)}
