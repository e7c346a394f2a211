"""The table of languages.

With an entry here, Syphus asks for translations into a language, and checks them by script, identifier, length, digits,
layout, and whatever else needs no words of the language. Two more tables give the words: with `NUMBER_WORDS` in
`number_words.py`, numbers in words are compared, and with `UNIT_WORDS` in `units.py` units and signs. CONTRIBUTING.md,
"Add a language", has the steps.
"""

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
    not needed. `comment_patterns` match "translation" in comments of the model. `labels` are words for "question",
    "answer", "instruction" and "note" that a model may write before a text, with a colon; `note_labels` are those for
    "note", which may also be inside a text. `close_languages` are codes of languages that the identifier mistakes this
    one for. `shared_words` are short answers, in lower case, that are the same word in English ("No." in Spanish).
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
    labels: tuple[str, ...] = ()
    note_labels: tuple[str, ...] = ()
    close_languages: frozenset[str] = frozenset()
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
        labels=("问题", "问", "回答", "答案", "答", "指令", "说明", "注"), note_labels=("注", "备注", "译注"),
        close_languages=frozenset({"wuu", "yue", "ja"}),
    ),
    Language(
        "ja", "Japanese", "日本語", ("Han", "Kana"), (0.27, 0.98),
        "写真の中で何人がテーブルに座っていますか？女性が二人座っていて、子供が一人立っています。",
        formal="Polite form (です・ます).", informal="Plain form (だ・である).",
        script_is_unique=True, comment_patterns=("翻訳", "和訳", "日本語訳"),
        labels=("質問", "問", "回答", "答え", "答", "指示", "注意"), note_labels=("訳注", "注記"),
        close_languages=frozenset({"zh"}),
    ),
    Language(
        "es", "Spanish", "español", ("Latin",), (0.72, 1.65),
        "¿Cuántas personas están sentadas a la mesa en la imagen? Hay dos mujeres sentadas y un niño de pie.",
        formal="Address the reader as usted.", informal="Address the reader as tú.", tone="informal",
        comment_patterns=(r"\btraduc",),
        labels=("pregunta", "respuesta", "instrucción", "nota"), note_labels=("nota",),
        close_languages=frozenset({"ast", "an", "lad", "ext"}),
        shared_words=_words("no color hotel hospital animal animals piano final normal pizza taxi golf radio metal yoga"
                         " chocolate sandwich kiwi general natural local social central actor doctor"),
    ),
    Language(
        "de", "German", "Deutsch", ("Latin",), (0.72, 1.65),
        "Wie viele Personen sitzen auf dem Bild am Tisch? Zwei Frauen sitzen dort, und ein Kind steht.",
        formal="Address the reader as Sie.", informal="Address the reader as du.", tone="informal",
        comment_patterns=("übersetz",),
        labels=("frage", "antwort", "anweisung", "anmerkung", "hinweis"), note_labels=("anmerkung", "hinweis"),
        close_languages=frozenset({"als", "bar", "nds", "lb", "ksh", "pfl"}),
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
        labels=("réponse", "consigne", "remarque"), note_labels=("remarque",),
        close_languages=frozenset({"wa", "frp"}),
        shared_words=_words("orange table train bus fruit restaurant parking rose tennis pizza concert festival dessert"
                         " cage image danse golf animal sandwich baseball basketball football skateboard surf taxi"
                         " radio marine long large six cousin chef grand excellent possible"),
    ),
    Language(
        "ko", "Korean", "한국어", ("Hangul",), (0.3, 1.0),
        "사진에서 몇 명이 테이블에 앉아 있나요? 여성 두 명이 앉아 있고 아이 한 명이 서 있습니다.",
        formal="Polite form (합니다 or 해요).", informal="Plain form (한다 or 해).",
        script_is_unique=True, comment_patterns=("번역",),
        labels=("질문", "답변", "답", "지시", "참고"), note_labels=("참고",),
    ),
    Language(
        "ar", "Arabic", "العربية", ("Arabic",), (0.5, 1.4),
        "كم عدد الأشخاص الجالسين إلى الطاولة في الصورة؟ تجلس هناك امرأتان، ويقف طفل.",
        formal="Modern Standard Arabic, with formal address where the reader is spoken to.",
        informal="Modern Standard Arabic, with plain address.",
        tone="informal", foreign_letters=_STRANGE_ARABIC, rtl=True, script_is_unique=True, comment_patterns=("ترجم",),
        labels=("سؤال", "السؤال", "جواب", "الجواب", "إجابة", "الإجابة", "التعليمات", "ملاحظة"), note_labels=("ملاحظة",),
        close_languages=frozenset({"arz"}),
    ),
)  # fmt: skip

#: By code, in the order of requests and reports.
LANGUAGES: dict[str, Language] = {language.code: language for language in _ALL}
