"""The table of languages. To add a language, add one entry: all checks and tests go over this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from syphus.answers.translation.identify import Script

Tone = Literal["formal", "informal"]

#: The most frequent letters that only Traditional Chinese uses; every sentence has some of them.
_TRADITIONAL = (
    "這們來個時說為對會學國過發經麼還沒點樣樂東車門開關頭見長馬鳥魚風飛龍電話語讓誰請謝觀視覺邊裡後從給"
    "無動實現問間體當與進種裝處輛紅綠藍黃顏隻條張雙幾歲號書畫寫讀聽聲買賣錢鐘錶燈燭樹葉樓牆階層"
    "圖園場報紙筆帶褲襯貓豬雞鴨穀麥麵飯廳廚臥師醫員親爺媽孫兒歡興奮壞舊熱溫濕雲霧"
)
#: Letters of Persian, Urdu, Pashto and Kurdish that Arabic does not use; every sentence has some of them.
_STRANGE_ARABIC = "پچژگکیےہھںٹڈڑټډړږښڼۍېګەێۆڕڵ"
_SLACK = 12  # characters by which a text of any length may differ: "Yes." is "はい、そうです。"


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    `code` is the one of ISO 639-1. `scripts` are those of its words; names may also be in Latin script.
    `length_ratio` is the minimum and maximum number of characters for one English character, in long texts. `sample`
    is a translation of `SAMPLE`. `formal` and `informal` tell the model how to address the reader; `tone` is the one
    to use by default.

    The others are optional. `foreign_letters` are letters of its script that only other languages use.
    `script_is_unique` says that no other language with these scripts and letters is likely, so that the identifier is
    not needed. `comment_patterns` match "translation" in comments of the model. `shared_words` are short answers, in
    lower case, that are the same word in English ("No." in Spanish).
    """

    code: str
    name: str
    own_name: str
    scripts: tuple[Script, ...]
    length_ratio: tuple[float, float]
    sample: str
    formal: str
    informal: str
    tone: Tone = "formal"
    foreign_letters: str = ""
    rtl: bool = False
    script_is_unique: bool = False
    comment_patterns: tuple[str, ...] = ()
    shared_words: frozenset[str] = frozenset()

    def length_range(self, characters: int) -> tuple[float, float]:
        """Return the minimum and maximum number of characters of a translation of that many English ones.

        Short texts vary more than long ones, so some characters are added to the range on both sides.
        """
        least, most = self.length_ratio
        return max(1.0, least * characters - _SLACK), most * characters + 2 * _SLACK


#: The English text of which each language has a translation as its sample.
SAMPLE = (
    "How many people are sitting at the table in the picture? Two women are sitting there, and a child is standing."
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ALL = (
    Language(
        "zh", "Chinese", "中文", ("Han",), (0.18, 0.66),
        "图片中有多少人坐在桌子旁？有两位女士坐在那里，还有一个孩子站着。",
        formal="Simplified characters; address the reader as 您.",
        informal="Simplified characters; address the reader as 你.",
        tone="informal", foreign_letters=_TRADITIONAL, script_is_unique=True,
        comment_patterns=("翻译", "译文", "翻譯", "譯文"),
    ),
    Language(
        "ja", "Japanese", "日本語", ("Han", "Kana"), (0.27, 0.98),
        "写真の中で何人がテーブルに座っていますか？女性が二人座っていて、子供が一人立っています。",
        formal="Polite form (です・ます).", informal="Plain form (だ・である).",
        script_is_unique=True, comment_patterns=("翻訳", "和訳", "日本語訳"),
    ),
    Language(
        "es", "Spanish", "español", ("Latin",), (0.72, 1.65),
        "¿Cuántas personas están sentadas a la mesa en la imagen? Hay dos mujeres sentadas y un niño de pie.",
        formal="Address the reader as usted.", informal="Address the reader as tú.", tone="informal",
        comment_patterns=(r"\btraduc",),
        shared_words=_words("no color hotel hospital animal animals piano final normal pizza taxi golf radio metal yoga"
                         " chocolate sandwich kiwi general natural local social central actor doctor"),
    ),
    Language(
        "de", "German", "Deutsch", ("Latin",), (0.72, 1.65),
        "Wie viele Personen sitzen auf dem Bild am Tisch? Zwei Frauen sitzen dort, und ein Kind steht.",
        formal="Address the reader as Sie.", informal="Address the reader as du.", tone="informal",
        comment_patterns=("übersetz",),
        shared_words=_words("hand arm finger ball wind winter sand gold hotel bus butter person name baby museum park"
                         " restaurant warm blond orange rose ring film pizza tennis golf zebra tiger sofa toast"
                         " jeans laptop computer sandwich baseball basketball football hockey snowboard skateboard"
                         " surfer poster parking zoo garage radio bank land"),
    ),
    Language(
        "fr", "French", "français", ("Latin",), (0.72, 1.75),
        "Combien de personnes sont assises à la table sur l'image ? Deux femmes y sont assises, un enfant est debout.",
        formal="Address the reader as vous.", informal="Address the reader as tu.",
        comment_patterns=(r"\btradu(?:it|is|ction|ire)",),
        shared_words=_words("orange table train bus fruit restaurant parking rose tennis pizza concert festival dessert"
                         " cage image danse golf animal sandwich baseball basketball football skateboard surf taxi"
                         " radio marine long large six cousin chef grand excellent possible"),
    ),
    Language(
        "ko", "Korean", "한국어", ("Hangul",), (0.3, 1.0),
        "사진에서 몇 명이 테이블에 앉아 있나요? 여성 두 명이 앉아 있고 아이 한 명이 서 있습니다.",
        formal="Polite form (합니다 or 해요).", informal="Plain form (한다 or 해).",
        script_is_unique=True, comment_patterns=("번역",),
    ),
    Language(
        "ar", "Arabic", "العربية", ("Arabic",), (0.5, 1.4),
        "كم عدد الأشخاص الجالسين إلى الطاولة في الصورة؟ تجلس هناك امرأتان، ويقف طفل.",
        formal="Modern Standard Arabic, with formal address where the reader is spoken to.",
        informal="Modern Standard Arabic, with plain address.",
        tone="informal", foreign_letters=_STRANGE_ARABIC, rtl=True, script_is_unique=True, comment_patterns=("ترجم",),
    ),
)  # fmt: skip

#: By code, in the order of requests and reports.
LANGUAGES: dict[str, Language] = {language.code: language for language in _ALL}
