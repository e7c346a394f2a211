"""Number words by language: enough to know that "dos" is 2 and "250万" is 2,500,000.

A language without an entry is compared by its digits alone; its numbers in words are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def _word_values(text: str) -> dict[str, float]:
    """Return a table from words to values, given text such as `1 uno una un,2 dos`."""
    entries = (entry.split() for entry in text.split(","))
    return {word: float(value) for value, *words in entries for word in words}


def _split_words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


_ARABIC_SIGNS = dict.fromkeys(range(0x64B, 0x653))  # short vowels, which are usually not written
_ARABIC_PREFIX = re.compile(r"^[وفبلك]?(?:ال|لل)?(?=..)")
_ARABIC_TEN = re.compile(r" (?=عشرة?\b)")  # eleven is "one ten", in two words


def _split_arabic(text: str) -> list[str]:
    words = re.findall(r"[^\W\d]+", _ARABIC_TEN.sub("_", text.translate(_ARABIC_SIGNS)))
    return [*words, *(_ARABIC_PREFIX.sub("", word) for word in words)]


_KOREAN = re.compile(
    r"(?<![가-힣])(?:열|스물)?(?:다섯|여섯|일곱|여덟|아홉|하나|열|스무|둘|셋|넷|첫|다음"
    r"|[한두세네](?=\s|명|개|번|마리|대|장|권|살|시|잔|병|사람|배|째|분|쌍|가지|곳|줄|판|달|해)"
    r"|[일이삼사오육칠팔구십백천]+(?=\s?(?:명|개월|번|년|월|분|층|인|배|위|등|세기)|\s일))"
)
_SINO_KOREAN = "일이삼사오육칠팔구십백천"
_AS_HAN = str.maketrans(_SINO_KOREAN, "一二三四五六七八九十百千")


_HAN_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2, "両": 2}
_LONGEST_NUMBER = 30  # characters
_HAN_SCALES = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_HAN_NUMERALS = "".join((*_HAN_DIGITS, *_HAN_SCALES))
_HAN_WORDS = _word_values("1 ひとつ ひとり,2 双 雙 俩 ふたつ ふたり,3 みっつ,0.5 半")
_HAN = re.compile("|".join((f"[{_HAN_NUMERALS}]+", *_HAN_WORDS)))


def _is_han(token: str) -> bool:
    return not token.strip(_HAN_NUMERALS)


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


def _split_korean(text: str) -> list[str]:
    """Return the number words of a Korean text; those of Chinese origin are converted to Chinese characters."""
    found = _KOREAN.findall(text.replace("백일", "백 일"))  # the hundredth day
    return [each if each.strip(_SINO_KOREAN) else each.translate(_AS_HAN) for each in found]


def _split_han(text: str) -> list[str]:
    return _HAN.findall(text)


@dataclass(frozen=True, slots=True)
class NumberWords:
    """How a language writes numbers in words.

    `values` are the values of whole words. `scales` follow digits and multiply them ("2.5 million", "250万");
    `ambiguous_scales` may be other words as well. `tokenize` splits a text into words. `implicit` numbers may be
    expressed by the grammar alone, such as the Arabic dual. `han` says that Chinese numerals are read, too.
    """

    values: Mapping[str, float]
    scales: Mapping[str, float]
    tokenize: Callable[[str], list[str]] = _split_words
    implicit: frozenset[float] = frozenset({1.0})
    ambiguous_scales: frozenset[str] = frozenset()
    han: bool = False
    scale_pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        longest = sorted(self.scales, key=len, reverse=True)
        if self.han:
            end = "(?![克米瓦卡分])"  # 千克 and 千米 are units, 百分 is a percentage
        else:
            end = "" if any(len(each) == 1 and not each.isascii() for each in longest) else r"(?!\w)"
        object.__setattr__(
            self, "scale_pattern", re.compile(rf"[ \u00a0\u202f]?({'|'.join(map(re.escape, longest))}){end}", re.I)
        )

    def find_values(self, text: str) -> set[float]:
        """Return the values of all number words in a text."""
        tokens = [token for token in self.tokenize(text) if token in self.values or _is_han(token)]
        return {self.values[token] if token in self.values else parse_han_number(token) for token in tokens}


#: English number words with ordinals. "second" is left out because it is also a unit.
ENGLISH_NUMBER_WORDS = _word_values(
    "1 one first once single,2 two twice,3 three third thrice,4 four fourth,5 five fifth,6 six sixth,7 seven seventh,"
    "8 eight eighth,9 nine ninth,10 ten tenth,11 eleven eleventh,12 twelve twelfth,13 thirteen,14 fourteen,15 fifteen,"
    "16 sixteen,17 seventeen,18 eighteen,19 nineteen,20 twenty,30 thirty,40 forty,50 fifty,60 sixty,70 seventy,"
    "80 eighty,90 ninety,100 hundred,1000 thousand,1000000 million"
)

#: English words that may become these numbers in digits in a translation.
POSSIBLE_VALUES: dict[str, tuple[float, ...]] = {
    "a": (1,), "an": (1,), "second": (2,), "half": (0.5, 2, 30, 50), "quarter": (15, 4, 25, 0.25, 3, 45, 75, 0.75),
    "quarters": (3, 4, 0.75, 75), "third": (3,), "thirds": (2, 3), "dozen": (12, 10), "dozens": (10, 12),
    "couple": (2,), "pair": (2,), "both": (2,), "double": (2,), "doubles": (2,), "twin": (2,), "twins": (2,),
    "triple": (3,),
    "noon": (12,), "midday": (12,), "midnight": (0, 12, 24), "eve": (24,), "january": (1,), "february": (2,),
    "march": (3,), "april": (4,), "may": (5,), "june": (6,), "july": (7,), "august": (8,), "september": (9,),
    "october": (10,), "november": (11,), "december": (12,), "hundreds": (100,),
    "thousands": (1000,), "millions": (1e6, 100, 1e4), "zero": (0,), "other": (1,), "else": (1,),
    "jan": (1,), "feb": (2,), "mar": (3,), "apr": (4,), "jun": (6,), "jul": (7,), "aug": (8,), "sep": (9,),
    "sept": (9,), "oct": (10,), "nov": (11,), "dec": (12,), "trio": (3,), "decade": (10,), "decades": (10,),
    "twenties": (20,), "thirties": (30,), "forties": (40,), "fifties": (50,), "sixties": (60,), "seventies": (70,),
    "eighties": (80,), "nineties": (90,), "only": (1,), "each": (1,), "same": (1,), "another": (1,),
    "someone": (1,), "alone": (1,), "last": (1,),
}  # fmt: skip

_CJK_SCALES = {"十": 10, "百": 100, "千": 1e3, "万": 1e4, "萬": 1e4, "亿": 1e8, "億": 1e8,
               "百万": 1e6, "千万": 1e7, "百萬": 1e6, "千萬": 1e7, "十万": 1e5, "十亿": 1e9, "十億": 1e9,
               "百亿": 1e10, "百億": 1e10, "千亿": 1e11, "千億": 1e11, "兆": 1e12}  # fmt: skip
_HAN_NUMBERS = NumberWords(_HAN_WORDS, _CJK_SCALES, _split_han, han=True)

NUMBER_WORDS: dict[str, NumberWords] = {
    "zh": _HAN_NUMBERS,
    "ja": _HAN_NUMBERS,
    "es": NumberWords(
        _word_values(
            "1 un uno una primer primero primera,2 dos segundo segunda ambos ambas doble par,"
            "3 tres tercer tercero tercera,4 cuatro cuarto cuarta,5 cinco quinto quinta,"
            "6 seis sexto sexta,7 siete séptimo séptima,8 ocho octavo octava,9 nueve noveno novena,"
            "10 diez décimo décima,11 once,12 doce docena,13 trece,14 catorce,15 quince,16 dieciséis,"
            "17 diecisiete,18 dieciocho,19 diecinueve,20 veinte,21 veintiuno,22 veintidós,23 veintitrés,"
            "24 veinticuatro,25 veinticinco,26 veintiséis,27 veintisiete,28 veintiocho,29 veintinueve,"
            "30 treinta,40 cuarenta,50 cincuenta,60 sesenta,70 setenta,80 ochenta,90 noventa,"
            "100 cien ciento centenar,1000 mil,0.5 medio media mitad"
        ),
        {"mil": 1e3, "miles": 1e3, "millón": 1e6, "millones": 1e6, "mil millones": 1e9,
         "billones": 1e12, "billón": 1e12},
    ),
    "de": NumberWords(
        _word_values(
            "1 ein eine einen einem einer eines eins erste ersten erster erstes ersten einmal,"
            "2 zwei zweite zweiten zweiter zweites beide beiden beider zweimal doppelt paar,"
            "3 drei dritte dritten dritter drittes dreimal,4 vier vierte vierten vierter viertes,"
            "5 fünf fünfte fünften fünfter,6 sechs sechste sechsten sechster,"
            "7 sieben siebte siebten siebter,8 acht achte achten achter,9 neun neunte neunten neunter,"
            "10 zehn zehnte zehnten zehnter,11 elf elfte elften,12 zwölf zwölfte zwölften dutzend,"
            "13 dreizehn,14 vierzehn,15 fünfzehn,16 sechzehn,17 siebzehn,18 achtzehn,19 neunzehn,"
            "20 zwanzig,30 dreißig,40 vierzig,50 fünfzig,60 sechzig,70 siebzig,80 achtzig,90 neunzig,"
            "100 hundert einhundert,1000 tausend eintausend,0.5 halb halbe halben halber halbes hälfte"
        ),
        {"tausend": 1e3, "million": 1e6, "millionen": 1e6, "mio.": 1e6, "mio": 1e6, "milliarde": 1e9, "milliarden": 1e9,
         "mrd.": 1e9, "mrd": 1e9, "billionen": 1e12},
    ),
    "fr": NumberWords(
        _word_values(
            "1 un une premier première,2 deux deuxième second seconde double paire,3 trois troisième,"
            "4 quatre quatrième,5 cinq cinquième,6 six sixième,7 sept septième,8 huit huitième,"
            "9 neuf neuvième,10 dix dixième,11 onze onzième,12 douze douzième douzaine,13 treize,"
            "14 quatorze,15 quinze,16 seize,20 vingt,30 trente,40 quarante,50 cinquante,60 soixante,"
            "100 cent centaine,1000 mille,0.5 demi demie moitié"
        ),
        {"mille": 1e3, "million": 1e6, "millions": 1e6, "milliard": 1e9, "milliards": 1e9, "billions": 1e12},
    ),
    "ko": NumberWords(
        _word_values(
            "1 한 하나 첫,2 두 둘,3 세 셋,4 네 넷,5 다섯,6 여섯,7 일곱,8 여덟,9 아홉,10 열,11 열한 열하나,12 열두 열둘,"
            "13 열세 열셋,14 열네,15 열다섯,20 스무"
        ),
        {"십": 10, "백": 100, "천": 1e3, "만": 1e4, "억": 1e8, "조": 1e12, "백만": 1e6, "천만": 1e7,
         "십만": 1e5, "십억": 1e9},
        _split_korean,
        ambiguous_scales=frozenset({"만"}),  # "7만" is 70,000, or "only 7"
    ),
    "ar": NumberWords(
        _word_values(
            "1 واحد واحدة أول أولى,2 اثنان اثنين اثنتان اثنتين اثنا اثني اثنتا ثاني ثانية ثان كلا كلتا,"
            "3 ثلاث ثلاثة ثالث ثالثة,4 أربع أربعة رابع رابعة,5 خمس خمسة خامس خامسة,6 ست ستة سادس سادسة,"
            "7 سبع سبعة سابع سابعة,8 ثمان ثماني ثمانية ثامن ثامنة,9 تسع تسعة تاسع تاسعة,"
            "10 عشر عشرة عاشر عاشرة,20 عشرون عشرين,30 ثلاثون ثلاثين,40 أربعون أربعين,50 خمسون خمسين,"
            "60 ستون ستين,70 سبعون سبعين,80 ثمانون ثمانين,90 تسعون تسعين,100 مئة مائة,1000 ألف,0.5 نصف,"
            "11 أحد_عشر إحدى_عشرة حادي_عشر حادية_عشرة,"
            "12 اثنا_عشر اثني_عشر اثنتا_عشرة اثنتي_عشرة ثاني_عشر ثانية_عشرة دزينة,"
            "13 ثلاثة_عشر ثلاث_عشرة ثالث_عشر ثالثة_عشرة,14 أربعة_عشر أربع_عشرة رابع_عشر رابعة_عشرة,"
            "15 خمسة_عشر خمس_عشرة خامس_عشر خامسة_عشرة,16 ستة_عشر ست_عشرة سادس_عشر سادسة_عشرة,"
            "17 سبعة_عشر سبع_عشرة سابع_عشر سابعة_عشرة,18 ثمانية_عشر ثماني_عشرة ثمان_عشرة ثامن_عشر ثامنة_عشرة,"
            "19 تسعة_عشر تسع_عشرة تاسع_عشر تاسعة_عشرة"
        ),
        {"ألف": 1e3, "آلاف": 1e3, "ألفًا": 1e3, "مليون": 1e6, "ملايين": 1e6, "مليونًا": 1e6,
         "مليار": 1e9, "مليارات": 1e9},
        _split_arabic,
        frozenset({1.0, 2.0}),
    ),
}  # fmt: skip
