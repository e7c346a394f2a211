"""The grammar of numbers and times by language: number words, and the phrases that contain numbers.

`number_reader.py` and `number_phrases.py` read any text by an entry of this table. A language without an entry is
compared by its digits alone.

A phrase is a kind and a pattern. In patterns, {h} {m} {n} {a} {b} {q} are numbers in digits or words, {hw} and {mw} in
words alone; a space is also a hyphen, and `~` is a space or nothing. The groups f, u, s are words: a fraction of the
language's `fractions`, a unit of its `groups`, a sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """What a phrase says of its groups. The first ones are times of day."""

    AFTER = auto()  #: the hour h, and m minutes, a fraction f or q quarters more ("half past three", 三点半)
    BEFORE = auto()  #: the hour h less that ("quarter to three", "menos cuarto")
    UNTIL = auto()  #: the fraction f of the hour that ends at h (German "halb drei" is 2:30), and m minutes around it
    HOUR = auto()  #: the full hour h
    AFTER_OR_MIXED = auto()  #: AFTER or MIXED: "trois heures et demie" is a time and a duration
    MIXED = auto()  #: n (or one, or two in the group "two") and a fraction f more
    SHARE = auto()  #: a parts of b, or a times f
    GROUP = auto()  #: n times the unit u: two dozen
    DECADE = auto()  #: the decade n or u of a century or a life
    OFF = auto()  #: n tenths of the price remain: 7折
    TENTHS = auto()  #: n tenths: 3割
    POINT = auto()  #: n, a decimal point, m: 三点五


CLOCKS = frozenset({Kind.AFTER, Kind.BEFORE, Kind.UNTIL, Kind.HOUR, Kind.AFTER_OR_MIXED})


def word_values(text: str) -> dict[str, float]:
    """Return a table from words to values, given text such as `1 uno una un,2 dos`."""
    entries = (entry.split() for entry in text.split(","))
    return {word.replace("_", " "): float(value) for value, *words in entries for word in words}


class Script(Enum):
    """How number words are found in a text."""

    WORDS = auto()  #: words between spaces
    GERMAN = auto()  #: also numbers of several parts in one word
    ARABIC = auto()  #: words with conjunctions and articles before them
    HAN = auto()  #: Chinese characters
    KOREAN = auto()


@dataclass(frozen=True, slots=True)
class NumberGrammar:
    """How a language writes numbers.

    `values` are words that form numbers together. `loose` are other words with a number in them, such as "half".
    `scales` follow digits and multiply them ("2.5 million", "250万");
    `ambiguous_scales` may be other words as well. `joiners` may stand between the words of one number. `implicit`
    numbers may be expressed by the grammar alone, such as the Arabic dual. With `vigesimal`, 80 is four twenties.
    `fractions` and `groups` are the words of phrases. `early` and `late` are patterns for the two halves of the day.
    A text without a word of `hint` has no phrase of a fraction, and one without `context`, a pattern, has none at all.
    """

    values: Mapping[str, float]
    scales: Mapping[str, float]
    loose: Mapping[str, float] = field(default_factory=dict)
    script: Script = Script.WORDS
    joiners: frozenset[str] = frozenset()
    implicit: frozenset[float] = frozenset({1.0})
    ambiguous_scales: frozenset[str] = frozenset()
    vigesimal: bool = False
    fractions: Mapping[str, float] = field(default_factory=dict)
    groups: Mapping[str, float] = field(default_factory=dict)
    early: str = ""
    late: str = ""
    hint: tuple[str, ...] = ()
    context: str = ""
    phrases: tuple[tuple[Kind, str], ...] = ()


#: English number words with ordinals. "second" is left out because it is also a unit.
ENGLISH = NumberGrammar(
    word_values(
        "1 one first once single,2 two twice,3 three third thrice,4 four fourth,5 five fifth,6 six sixth,"
        "7 seven seventh,8 eight eighth,9 nine ninth,10 ten tenth,11 eleven eleventh,12 twelve twelfth,"
        "13 thirteen thirteenth,14 fourteen fourteenth,15 fifteen fifteenth,16 sixteen sixteenth,"
        "17 seventeen seventeenth,18 eighteen eighteenth,19 nineteen nineteenth,20 twenty twentieth,"
        "30 thirty thirtieth,40 forty fortieth,50 fifty fiftieth,60 sixty sixtieth,70 seventy seventieth,"
        "80 eighty eightieth,90 ninety ninetieth,100 hundred hundredth,1000 thousand thousandth,1000000 million,"
        "1000000000 billion"
    ),
    {"hundred": 1e2, "k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "bn": 1e9, "billion": 1e9, "trillion": 1e12},
    joiners=frozenset({"and"}),
    fractions=word_values(
        "0.5 half halves,0.25 quarter quarters fourth fourths,0.333333 thirds,0.2 fifths,0.125 eighths,0.1 tenths"
    ),
    groups=word_values(
        "12 dozen dozens,10 decade decades,20 score twenties,30 thirties,40 forties,50 fifties,60 sixties,70 seventies,"
        "80 eighties,90 nineties"
    ),
    early=r"a\.?m\b|in the (?:early )?morning|morning",
    late=r"p\.?m\b|in the (?:late |early )?(?:afternoon|evening)|afternoon|evening",
    hint=("half", "halves", "quarter"),
    context=r"\d:\d|[Hh]al[fv]|quarter|clock|[AaPp]\.?[Mm]\b|dozen|decade|ties\b|0['’]?s\b|thirds|fifths|fourths|eighths"
    r"|tenths|past|minutes? [tb]"
    r"|morning|afternoon|evening|[\ue000-\ue009] (?:[\ue000-\ue009]|to)|[Aa] [\ue000-\ue009]+ of",
    phrases=(
        (Kind.AFTER, r"(?:a )?(?P<f>half|quarter) (?:past|after|gone) {h}"),
        (Kind.BEFORE, r"(?:a )?(?P<f>quarter) (?:to|till|before) {h}"),
        (Kind.AFTER, r"{m}(?: minutes?)? past {h}"), (Kind.BEFORE, r"{m} minutes? (?:to|till|before) {h}"),
        (Kind.BEFORE, r"{mw} to {hw}(?=\s*(?:$|[.,;!?]| in the| at night| o'clock| ?[ap]\.?m))"),
        (Kind.AFTER, r"\bhalf {hw}(?!-| dozen| hundred| thousand| million)"),
        (Kind.AFTER, r"\b(?:at|by|until|till|from|before|after|around|about|to) {hw} {mw}(?!-)"),
        (Kind.AFTER, r"{hw} {mw}(?= (?:[ap]\.?m\b|in the (?:morning|afternoon|evening)))"),
        (Kind.AFTER, r"{h}\.{m}(?=~[ap]\.?m\b)"),
        (Kind.HOUR, r"{h}(?:~(?=[ap]\.?m\b)|~o['’]?clock| (?=in the (?:morning|afternoon|evening)))"),
        (Kind.GROUP, r"\b(?P<f>half)(?: a)? (?P<u>dozen)"),
        (Kind.GROUP, r"(?:{n} |\ban? )(?P<u>dozen|decades?)"),
        (Kind.MIXED, r"{n}(?: \w+)? and (?:an? |\ue001 )?(?P<f>half|quarter)(?!-\w| an?\b| of\b| the\b)"),
        (Kind.MIXED, r"{n}(?: \w+)? and {a} (?P<f>quarters|thirds|fourths)"),
        (Kind.MIXED, r"\ban? \w+ and a (?P<f>half|quarter)(?!-\w)"),
        (Kind.SHARE, r"{a} (?P<f>halves|thirds|quarters|fourths|fifths|eighths|tenths)"),
        (Kind.SHARE, r"(?<!\w)(?:a|\ue001)[ -](?P<f>quarter)(?: of|-)"),
        (Kind.SHARE, r"(?<!\w)(?:a|\ue001)[ -]{b} of"),
        (Kind.SHARE, r"\b(?P<f>half) (?:an?|of|the)\b(?! dozen)"),
        (Kind.DECADE, r"(?P<n>(?:\d\d)?[2-9]0)['’]?s\b"),
        (Kind.DECADE, r"\b(?P<u>twenties|thirties|forties|fifties|sixties|seventies|eighties|nineties)"),
    ),
)  # fmt: skip

_CJK_SCALES = {"十": 10, "百": 100, "千": 1e3, "万": 1e4, "萬": 1e4, "亿": 1e8, "億": 1e8,
               "百万": 1e6, "千万": 1e7, "百萬": 1e6, "千萬": 1e7, "十万": 1e5, "十亿": 1e9, "十億": 1e9,
               "百亿": 1e10, "百億": 1e10, "千亿": 1e11, "千億": 1e11, "兆": 1e12}  # fmt: skip

#: Nouns that "and a half" may follow.
_UNITS_ZH = "年|天|小时|小時|分钟|分鐘|米|公里|英里|英尺|倍|块|岁|斤|公斤|页|杯|圈"
_UNITS_JA = "時間|年|[かヶカケ]月|日|週間|分|キロ|キロメートル|メートル|マイル|倍|個|杯|秒|歳"
_UNITS_KO = "시간|년|개월|달|일|주|미터|킬로미터|킬로|개|배|살|마일|잔|바퀴"
_UNITS_ES = "hora|año|día|mes|semana|siglo|metro|milla|litro|kilo|millón"
_UNITS_AR = "ساعة|سنة|عام|يوم|شهر|اسبوع|دقيقة|متر|ميل|كيلومتر|لتر|كوب|قرن|مليون"
#: What may follow "y media" and "ونصف", if that is a half more of the noun before it and not of the one after it.
_ENDS_ES = (
    r"(?=\s*(?:$|[.,;:!?)]|(?:de|del|después|antes|al?|por|para|en|más|y|que|desde|con|hasta|o|como|sin|cada|tarde)\b))"
)
_ENDS_AR = r"(?=\s*(?:$|[.,،؛:!?؟)]|ال|من|في|على|تقريبا|قبل|بعد|ل\w|عن|الى|كل|و\w|يوميا|سيرا|مشيا))"

_TENS_DE = {"zwanzig": 20, "dreißig": 30, "dreissig": 30, "vierzig": 40, "fünfzig": 50, "sechzig": 60, "siebzig": 70,
            "achtzig": 80, "neunzig": 90}  # fmt: skip

NUMBER_WORDS: dict[str, NumberGrammar] = {
    "zh": NumberGrammar(
        word_values("2 双 雙 俩"), _CJK_SCALES, word_values("0.5 半,2 对"), Script.HAN,
        fractions={"半": 0.5}, groups={"打": 12},
        early="上午|早上|清晨|凌晨|早晨|清早", late="下午|晚上|傍晚|黄昏|晚间",
        hint=("半", "刻", "折", "分之", "差"),
        phrases=(
            (Kind.BEFORE, "差~(?:{m}分[钟鐘]?|{q}刻)~(?:到|就)?{h}[点點]"),
            (Kind.BEFORE, "{h}[点點]~(?:差|缺)~(?:{m}分|{q}刻)"), (Kind.AFTER, "{h}[点點时時]~{q}刻"),
            (Kind.AFTER, "{h}[点點时時]~(?P<f>半)"), (Kind.AFTER, "{h}[点點时時]~过?零?~{m}分"),
            (Kind.POINT, "{h}[点點]{m}"), (Kind.HOUR, "{h}(?:[点點][钟鐘整]?|时整)"),
            (Kind.GROUP, "(?P<f>半)(?P<u>打)"), (Kind.GROUP, "{n}~(?P<u>打)(?![折开電电字球架算])"),
            (Kind.MIXED, "{n}~[个個](?P<f>半)(?=小[时時]|钟头|月|星期|年|世纪|多|左右|[的，。；、！？）,.;!?\\s]|$)"),
            (Kind.MIXED, f"{{n}}~(?:{_UNITS_ZH})(?P<f>半)(?![透身价圆开])"), (Kind.SHARE, "{b}分之{a}"),
            (Kind.SHARE, "(?P<f>半)[个個]?(?:小时|小時|钟头|年|天|月|价|價)"), (Kind.SHARE, "{q}刻[钟鐘]"),
            (Kind.SHARE, "\ue001(?P<f>半)"), (Kind.OFF, "{n}~折"),
            (Kind.TENTHS, "{n}成(?![员為为功熟年人])"), (Kind.DECADE, "{n}~年代"),
        ),
    ),
    "ja": NumberGrammar(
        word_values("1 ひとつ ひとり,2 ふたつ ふたり,3 みっつ,4 よっつ,5 いつつ,6 むっつ,7 ななつ,8 やっつ,9 ここのつ"),
        _CJK_SCALES, word_values("0.5 半"), Script.HAN,
        fractions={"半": 0.5}, groups={"ダース": 12},
        early="午前|朝|早朝|明け方", late="午後|夕方|夕刻",
        hint=("半", "割", "分の", "分前"),
        phrases=(
            (Kind.BEFORE, "{h}時~の?{m}分(?:ほど|くらい)?前"), (Kind.AFTER, "{h}時~(?P<f>半)"),
            (Kind.AFTER, "{h}時~[をと]?~{m}分"), (Kind.HOUR, "{h}時(?!間|代)"),
            (Kind.GROUP, "(?P<f>半)(?P<u>ダース)"), (Kind.GROUP, "{n}~(?P<u>ダース)"),
            (Kind.MIXED, f"{{n}}~(?:{_UNITS_JA})と?(?P<f>半)(?![額分身])"), (Kind.SHARE, "{b}分の{a}"),
            (Kind.SHARE, "(?P<f>半)(?:時間|年|日|分|数|月|額)"), (Kind.TENTHS, "{n}~割"),
            (Kind.DECADE, "{n}~年?代"),
        ),
    ),
    "es": NumberGrammar(
        word_values(
            "0 cero,1 un uno una primer primero primera,2 dos segundo segunda segundos ambos ambas,"
            "3 tres tercer tercero tercera,4 cuatro cuarta,5 cinco quinto quinta,"
            "6 seis sexto sexta,7 siete séptimo séptima,8 ocho octavo octava,9 nueve noveno novena,"
            "10 diez décimo décima,11 once undécimo undécima,12 doce duodécimo,13 trece decimotercero decimotercer,"
            "14 catorce decimocuarto,15 quince decimoquinto,16 dieciséis dieciseis decimosexto,"
            "17 diecisiete decimoséptimo,18 dieciocho decimoctavo,19 diecinueve decimonoveno,"
            "20 veinte vigésimo vigésima,"
            "21 veintiuno veintiún veintiuna,22 veintidós veintidos,23 veintitrés veintitres,24 veinticuatro,"
            "25 veinticinco,26 veintiséis veintiseis,27 veintisiete,28 veintiocho,29 veintinueve,"
            "30 treinta trigésimo,40 cuarenta,50 cincuenta quincuagésimo,60 sesenta,70 setenta,80 ochenta,90 noventa,"
            "100 cien ciento centésimo,200 doscientos doscientas,300 trescientos trescientas,"
            "400 cuatrocientos cuatrocientas,"
            "500 quinientos quinientas,600 seiscientos seiscientas,700 setecientos setecientas,"
            "800 ochocientos ochocientas,900 novecientos novecientas,1000 mil,1000000 millón millones"
        ),
        {"mil": 1e3, "miles": 1e3, "millón": 1e6, "millones": 1e6, "mil millones": 1e9,
         "billones": 1e12, "billón": 1e12},
        word_values("0.5 medio media mitad,4 cuarto,2 doble par,12 docena,100 centenar,1000 millar"),
        joiners=frozenset({"y"}),
        fractions=word_values(
            "0.5 media medio mitad medios,0.25 cuarto cuartos,0.333333 tercio tercios,0.2 quinto quintos,0.1 décimos"
        ),
        groups=word_values("12 docena docenas,10 decena decenas década décadas,15 quincena,20 veintena,100 centenar"),
        early=r"a\. ?m\b|am\b|de la (?:mañana|madrugada)|por la mañana",
        late=r"p\. ?m\b|pm\b|de la (?:tarde|noche)|por la tarde",
        hint=("medi", "cuart", "terc", "mitad", "menos"),
        phrases=(
            (Kind.BEFORE, r"{h} menos (?:un )?(?P<f>cuarto|tercio)"), (Kind.BEFORE, r"{h} menos {m}"),
            (Kind.BEFORE, r"(?P<f>cuarto) para las? {h}"),
            (Kind.BEFORE, r"{m}(?: minutos)? para las? {h}"),
            (Kind.AFTER_OR_MIXED, r"{h}(?: horas?)? y (?:\ue001 )?(?P<f>media|cuarto|tercio)"),
            (Kind.AFTER, r"\blas? {h} (?:y|con) {m}(?= minutos|\s*$|\s*[.,;!?]| (?:de la|por la|[ap]\.|en punto))"),
            (Kind.AFTER, r"\blas? {h} {mw}"),
            (Kind.AFTER, r"{h}[.h]{m}(?=~(?:h\b|horas|[ap]\. ?m))"),
            (Kind.HOUR, r"\b(?:a|son|es) las? {h}(?! \w+s\b)"),
            (Kind.HOUR, r"{h}~(?=de la (?:mañana|tarde|noche|madrugada)|[ap]\.~m|en punto)"),
            (Kind.GROUP, r"(?P<f>media) (?P<u>docena)"),
            (Kind.GROUP, r"(?:{n} )?(?P<u>docenas?|decenas?|décadas|quincena|veintena)\b"),
            (Kind.MIXED, r"{n} \w+ y (?:\ue001 )?(?P<f>media|medio|cuarto)" + _ENDS_ES),
            (Kind.MIXED, r"{n} y (?:\ue001 )?(?P<f>medio|cuarto|tercio)" + _ENDS_ES),
            (Kind.MIXED, rf"\b(?:{_UNITS_ES}) y (?P<f>media|medio)" + _ENDS_ES),
            (Kind.SHARE, r"{a} (?P<f>cuartos|tercios|quintos|décimos)"),
            (Kind.SHARE, r"(?:{a} )?{b} partes?\b"),
            (Kind.SHARE, r"(?P<f>cuarto|tercio) del?\b"),
            (Kind.SHARE, r"\b(?P<f>media) (?:hora|página|manzana)|\b(?P<f2>mitad)"),
            (Kind.DECADE, r"\b(?:años|década de(?: los)?|los(?: años)?) {n}(?!\w)(?! \w+s\b)"),
        ),
    ),
    "de": NumberGrammar(
        word_values(
            "0 null,1 ein eine einen einem einer eines eins erste ersten erster erstes erstem einmal,"
            "2 zwei zweite zweiten zweiter zweites zweitem beide beiden beider beides zweimal doppelt zwo zweit,"
            "3 drei dritte dritten dritter drittes drittem dreimal dritt,"
            "4 vier viermal viert,5 fünf,6 sechs,7 sieben siebte"
            " siebten siebter siebtes,8 acht achte achten achter achtes,9 neun,10 zehn,11 elf,12 zwölf,13 dreizehn,"
            "14 vierzehn,15 fünfzehn,16 sechzehn,17 siebzehn,18 achtzehn,19 neunzehn,100 hundert,1000 tausend,"
            "1000000 million millionen,1000000000 milliarde milliarden,1.5 anderthalb"
        ) | {word: float(value) for word, value in _TENS_DE.items()},
        {"tausend": 1e3, "million": 1e6, "millionen": 1e6, "mio.": 1e6, "mio": 1e6, "milliarde": 1e9, "milliarden": 1e9,
         "mrd.": 1e9, "mrd": 1e9, "billionen": 1e12},
        word_values("0.5 halb halbe halben halber halbes hälfte,2 paar,12 dutzend,0.25 viertel viertelstunde"),
        Script.GERMAN,
        fractions=word_values(
            "0.5 halb halbe halben halber halbes hälfte,0.25 viertel,0.75 dreiviertel,0.333333 drittel,0.2 fünftel,"
            "0.125 achtel,0.1 zehntel"
        ),
        groups=word_values("12 dutzend,10 jahrzehnte jahrzehnten jahrzehnt")
        | {word + "er": float(value) for word, value in _TENS_DE.items()},
        early=r"(?:uhr )?(?:morgens|vormittags|früh|am (?:\w+)?(?:morgen|vormittag))|morgens|vormittags",
        late=r"(?:uhr )?(?:nachmittags|abends|am (?:\w+)?(?:nachmittag|abend))|nachmittags|abends",
        hint=("halb", "viertel", "drittel", "hälfte"),
        phrases=(
            (Kind.UNTIL, r"{m}(?: minuten)? (?P<s>vor|nach) (?P<f>halb) {h}"),
            (Kind.AFTER, r"(?P<f>viertel) nach {h}"),
            (Kind.BEFORE, r"(?P<f>viertel) vor {h}"),
            (Kind.UNTIL, r"(?:{q} |drei)(?P<f>viertel) {h}"),
            (Kind.UNTIL, r"\b(?P<f>halb|viertel) {h}"),
            (Kind.AFTER, r"{m}(?: minuten)? nach {h}"),
            (Kind.BEFORE, r"{m}(?: minuten)? vor {h}"),
            (Kind.AFTER, r"{h}~uhr(?: und)?~{m}"),
            (Kind.AFTER, r"{h}[.]{m}(?=~(?:uhr|h)\b)"),
            (Kind.HOUR, r"{h}~uhr\b"),
            (Kind.GROUP, r"(?P<f>halbe[ns]?) (?P<u>dutzend)"),
            (Kind.GROUP, r"(?:{n} )?(?P<u>dutzend|jahrzehnten?)"),
            (Kind.MIXED, r"{n} und (?:\ue001 )?(?P<f>halbe[nrs]?)"),
            (Kind.SHARE, r"{a} (?P<f>drittel|viertel|fünftel|achtel|zehntel)"),
            (Kind.SHARE, r"(?P<f>dreiviertel|viertel)~(?:stunden?|jahr|liter|kilo)"),
            (Kind.SHARE, r"\b(?P<f>halbe[nrs]?) (?:stunde|jahr|tag|liter|kilo|million|preis|meter|meile)"),
            (Kind.SHARE, r"\b(?P<f>halb)(?:stünd|jähr|tägig)|\b(?P<f2>hälfte)"),
            (Kind.DECADE, r"{n}er(?:n|[- ]?jahren?)?\b"),
            (Kind.DECADE, rf"\b(?P<u>(?:{'|'.join(_TENS_DE)})er)(?:n|[- ]?jahren?)?\b"),
        ),
    ),
    "fr": NumberGrammar(
        word_values(
            "0 zéro,1 un une premier première unième,2 deux deuxième,3 trois troisième,"
            "4 quatre quatrième,5 cinq cinquième,6 six sixième,7 sept septième,8 huit huitième,"
            "9 neuf neuvième,10 dix dixième,11 onze onzième,12 douze douzième,13 treize treizième,"
            "14 quatorze quatorzième,15 quinze quinzième,16 seize seizième,20 vingt vingts vingtième,"
            "30 trente trentième,"
            "40 quarante quarantième,50 cinquante cinquantième,60 soixante soixantième,70 septante,80 huitante octante,"
            "90 nonante,100 cent cents centième,1000 mille millième,1000000 million millions,"
            "1000000000 milliard milliards"
        ),
        {"mille": 1e3, "million": 1e6, "millions": 1e6, "milliard": 1e9, "milliards": 1e9, "billions": 1e12},
        word_values("0.5 demi demie moitié,2 second seconde double paire,0.25 quart,12 douzaine midi minuit,"
                    "100 centaine"),
        joiners=frozenset({"et"}), vigesimal=True,
        fractions=word_values("0.5 demi demie moitié,0.25 quart quarts,0.333333 tiers,0.2 cinquièmes,0.1 dixièmes"),
        groups=word_values(
            "12 douzaine douzaines,10 dizaine dizaines décennie décennies,15 quinzaine,20 vingtaine,30 trentaine,"
            "40 quarantaine,50 cinquantaine,60 soixantaine,100 centaine centaines,1000 millier milliers"
        ),
        early="du matin|matin", late="de l['’]après-midi|du soir|après-midi",
        hint=("demi", "quart", "tiers", "moiti", "moins", "mi-"),
        phrases=(
            (Kind.BEFORE, r"(?:{h}~(?:heures?|h)|midi|minuit) moins (?:le |\ue001 )?(?P<f>quart)"),
            (Kind.BEFORE, r"(?:{h}~(?:heures?|h)|midi|minuit) moins {m}"),
            (Kind.AFTER_OR_MIXED, r"(?:{h}~(?:heures?|h)|midi|minuit) et (?:\ue001 )?(?P<f>demie?|quart)\b"),
            (Kind.AFTER, r"{h}~(?:heures?|h)~(?:et )?{m}"),
            (Kind.HOUR, r"{h}~(?:heures?|h)\b"),
            (Kind.GROUP, r"(?P<f>demi)e?[ -](?P<u>douzaine)"),
            (Kind.GROUP, r"(?:{n} )?(?P<u>douzaines?|dizaines?|(?:quinz|vingt|trent|quarant|cinquant|soixant)aine)\b"),
            (Kind.GROUP, r"(?:{n} )?(?P<u>centaines?)\b"),
            (Kind.GROUP, r"{n} (?P<u>décennies)\b"),
            (Kind.MIXED, r"{n} \w+ et (?:\ue001 )?(?P<f>demie?|quart)\b"),
            (Kind.MIXED, r"{n} et (?P<f>demie?)\b"),
            (Kind.MIXED, r"\b[^\W\d]{3,} et (?P<f>demie?)\b"),
            (Kind.SHARE, r"(?P<f>demi)e?[ -](?:heure|journée|an|siècle|litre|kilo|tarif|prix)"),
            (Kind.SHARE, r"{a} (?P<f>quarts?|tiers|cinquièmes|dixièmes)"),
            (Kind.SHARE, r"\b(?P<f>quart) d|\b(?P<f2>moitié)"),
            (Kind.DECADE, r"\bannées {n}"),
        ),
    ),
    "ko": NumberGrammar(
        word_values(
            "1 한 하나 첫 첫째 하루,2 두 둘 둘째 이틀,3 세 셋 셋째 사흘 석,4 네 넷 넷째 나흘 넉,5 다섯,6 여섯,7 일곱,"
            "8 여덟,9 아홉,10 열 열흘,20 스무 스물,30 서른,40 마흔,50 쉰,60 예순,70 일흔,80 여든,90 아흔"
        ),
        {"십": 10, "백": 100, "천": 1e3, "만": 1e4, "억": 1e8, "조": 1e12, "백만": 1e6, "천만": 1e7,
         "십만": 1e5, "십억": 1e9},
        word_values("0.5 반 절반"), Script.KOREAN,
        ambiguous_scales=frozenset({"만"}),  # "7만" is 70,000, or "only 7"
        fractions={"반": 0.5, "절반": 0.5}, groups={"다스": 12, "타": 12},
        early="오전|아침|새벽", late="오후|저녁",
        hint=("반", "할", "분의"),
        phrases=(
            (Kind.BEFORE, r"{h}시(?:가 되기|의)?~{m}분 ?전"),
            (Kind.AFTER, r"{h}시~(?P<f>반)"),
            (Kind.AFTER, r"{h}시~{m}분"),
            (Kind.HOUR, r"{h}시(?!간)"),
            (Kind.GROUP, r"(?P<f>반)~(?P<u>다스)"),
            (Kind.GROUP, r"{n}~(?P<u>다스)"),
            (Kind.MIXED, rf"{{n}}~(?:{_UNITS_KO})~(?P<f>반)(?=[\s.,이의을은정간동만짜입]|$)"),
            (Kind.SHARE, r"{b}분의~{a}"),
            (Kind.SHARE, r"(?P<f>반)~(?:시간|년|나절|값)|(?P<f2>절반)"),
            (Kind.TENTHS, r"{n}할"),
            (Kind.DECADE, r"{n}~년?대(?=[의에는가로와 ,.\s]|$)"),
        ),
    ),
    "ar": NumberGrammar(
        word_values(
            "0 صفر,1 واحد واحدة اول اولى احد احدى حادي حادية,"
            "2 اثنان اثنين اثنتان اثنتين اثنا اثني اثنتا اثنتي ثاني ثانية ثان كلا"
            " كلتا كلتي,3 ثلاث ثلاثة ثالث ثالثة,4 اربع اربعة رابع رابعة,5 خمس خمسة خامس خامسة,6 ست ستة سادس سادسة,"
            "7 سبع سبعة سابع سابعة,8 ثمان ثماني ثمانية ثامن ثامنة,9 تسع تسعة تاسع تاسعة,"
            "10 عشر عشرة عاشر عاشرة,20 عشرون عشرين,30 ثلاثون ثلاثين,40 اربعون اربعين,50 خمسون خمسين,"
            "60 ستون ستين,70 سبعون سبعين,80 ثمانون ثمانين,90 تسعون تسعين,100 مئة مائة,"
            "200 مئتان مئتين مائتان مائتين مئتا مئتي,"
            "300 ثلاثمئة ثلاثمائة,400 اربعمئة اربعمائة,500 خمسمئة خمسمائة,600 ستمئة ستمائة,700 سبعمئة سبعمائة,"
            "800 ثمانمئة ثمانمائة ثمانيمئة,900 تسعمئة تسعمائة,1000 الف الاف الفا,2000 الفان الفين الفي,"
            "1000000 مليون ملايين مليونا,1000000000 مليار مليارات"
        ),
        {"الف": 1e3, "الاف": 1e3, "الفا": 1e3, "مليون": 1e6, "ملايين": 1e6, "مليونا": 1e6,
         "مليار": 1e9, "مليارات": 1e9},
        word_values(
            "0.5 نصف,0.25 ربع,12 دزينة,2 ساعتان ساعتين يومان يومين شهران شهرين سنتان سنتين عامان عامين اسبوعان اسبوعين"
            " دقيقتان دقيقتين مرتان مرتين"
        ),
        Script.ARABIC, implicit=frozenset({1.0, 2.0}),
        fractions=word_values(
            "0.5 نصف,0.25 ربع ارباع,0.333333 ثلث اثلاث,0.666667 ثلثا ثلثي ثلثان ثلثين,0.2 خمس اخماس,0.1 عشر اعشار,"
            "0.75 الا_ربع"
        ),
        groups=word_values(
            "12 دزينة دزينات,24 دزينتان دزينتين,10 عقد عقود,20 عقدان عقدين عشرين,30 ثلاثين,40 اربعين,50 خمسين,60 ستين,"
            "70 سبعين,80 ثمانين,90 تسعين"
        ),
        early="صباحا|فجرا|ص\\b|في الصباح|من الصباح", late="مساء|عصرا|م\\b|بعد الظهر|في المساء",
        hint=("نصف", "ربع", "ثلث", "إلا ", "الا "),
        phrases=(
            (Kind.AFTER, r"{h} و(?:ال)?(?P<f>نصف|ربع|ثلث)ا? (?P<s>و|الا )~{m}"),
            (Kind.BEFORE, r"{h} الا (?:ال)?(?P<f>ربع|ثلث)ا?\b"),
            (Kind.BEFORE, r"{h} الا {m}"),
            (Kind.AFTER_OR_MIXED, r"{h} و(?:ال)?(?P<f>نصف|ربع|ثلث)ا?\b"),
            (Kind.AFTER, r"{h} و~{m} (?:دقيقة|دقائق)"),
            (Kind.HOUR, r"ساعة {h}(?!:)"),
            (Kind.GROUP, r"(?P<f>نصف) (?P<u>دزينة)"),
            (Kind.GROUP, r"(?:{n} )?(?P<u>دزينة|دزينات|دزينتان|دزينتين|عقود|عقدين|عقدان)\b"),
            (Kind.MIXED, r"{n} \w+ و(?:ال)?(?P<f>نصف|ربع)\b" + _ENDS_AR),
            (Kind.MIXED, r"(?P<two>\w{2,}(?:ان|ين)) و(?:ال)?(?P<f>نصف|ربع)\b" + _ENDS_AR),
            (Kind.MIXED, rf"\b(?:{_UNITS_AR}) و(?P<f>نصف|ربع)\b" + _ENDS_AR),
            (Kind.SHARE, r"ساعة (?P<f>الا ربع)ا?\b"),
            (Kind.SHARE, r"{a} (?P<f>ارباع|اثلاث|اخماس|اعشار)"),
            (Kind.SHARE, r"(?P<f>نصف|ربع|ثلث) (?:ساعة|ال\w|عدد)|(?P<f2>ثلث(?:ا|ي|ان|ين))\b"),
            (Kind.DECADE, r"(?P<u>عشرين|ثلاثين|اربعين|خمسين|ستين|سبعين|ثمانين|تسعين)يات"),
        ),
    ),
}  # fmt: skip
