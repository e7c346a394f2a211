"""Compares units: a number in feet must not become one in metres.

Only units of the tables are compared; others are not checked. The signs %, $ and € must also be in the translation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from syphus.answers.translation.number_phrases import read_text
from syphus.answers.translation.number_reader import AS_DIGITS, END, IN_WORDS
from syphus.answers.translation.number_words import ENGLISH, NUMBER_WORDS, NumberGrammar


class UnitWords(NamedTuple):
    """How a language writes units.

    `forms` are the words for each unit after a number, with `_` for a space; words that another entry has need not be
    repeated. `signs` are patterns of the words for %, $ and €: a translation must have the sign or its word if the
    source has it. `degrees` is what may stand between a number and Celsius, with its space.
    """

    forms: dict[str, str]
    signs: dict[str, str]
    degrees: str = ""


#: Symbols and English words, which may stay in any language.
ENGLISH_UNIT_WORDS = UnitWords(
    {
        "km": "km km/h kmh kilometers kilometer kilometres kilometre", "m": "m meters meter metres metre",
        "cm": "cm centimeters centimeter centimetres centimetre",
        "mm": "mm millimeters millimeter millimetres", "mile": "miles mile mi mph", "foot": "feet foot ft",
        "inch": "inches inch", "yard": "yards yard yd", "kg": "kg kilograms kilogram kilos kilo",
        "g": "g grams gram", "pound": "£ pounds pound lbs lb", "ounce": "ounces ounce oz",
        "liter": "l L liters liter litres litre litre", "ml": "ml mL milliliters milliliter millilitres",
        "gallon": "gallons gallon", "hour": "hours hour hrs hr", "minute": "minutes minute mins min",
        "second": "seconds secs sec", "day": "days day", "week": "weeks week", "month": "months month",
        "year": "years year", "°C": "°C ℃ Celsius celsius", "°F": "°F ℉ Fahrenheit fahrenheit",
        "%": "% percent", "$": "$ dollars dollar USD", "€": "€ euros euro EUR", "¥": "¥ yen",
    },
    {"%": "[%％٪]", "$": r"\$|usd", "€": "€|eur"},
    "degrees ",
)  # fmt: skip

#: By the codes of `LANGUAGES`. The words of all languages are searched for in every translation. Missing signs are
#: reported only for the languages of this table.
UNIT_WORDS: dict[str, UnitWords] = {
    "zh": UnitWords(
        {
            "km": "公里 千米", "m": "米", "cm": "厘米 公分", "mm": "毫米", "mile": "英里", "foot": "英尺",
            "inch": "英寸", "yard": "码", "kg": "千克 公斤", "g": "克", "pound": "英镑 磅", "ounce": "盎司",
            "liter": "升", "ml": "毫升", "gallon": "加仑", "hour": "小时", "minute": "分钟", "second": "秒钟",
            "day": "天", "week": "周 星期", "month": "个月", "year": "年间 岁", "°C": "摄氏度", "°F": "华氏度",
            "$": "美元 美金", "€": "欧元", "¥": "日元",
        },
        {"%": "百分|[\\d一二三四五六七八九]成|折|一半|半价", "$": "美金|[元块]", "€": "欧元|歐元"},
    ),
    "ja": UnitWords(
        {
            "km": "キロメートル キロ", "m": "メートル", "cm": "センチメートル センチ", "mm": "ミリメートル ミリ",
            "mile": "マイル", "foot": "フィート", "inch": "インチ", "yard": "ヤード", "kg": "キログラム キロ",
            "g": "グラム", "pound": "ポンド", "ounce": "オンス", "liter": "リットル", "ml": "ミリリットル",
            "gallon": "ガロン", "hour": "時間", "minute": "分間", "second": "秒", "day": "日間", "week": "週間",
            "month": "か月 ヶ月", "year": "歳 年間", "°F": "華氏", "%": "パーセント", "$": "ドル", "€": "ユーロ",
            "¥": "円",
        },
        {"%": "パーセント|割|半[分額]", "$": "ドル", "€": "ユーロ"},
        "度",
    ),
    "es": UnitWords(
        {
            "km": "kilómetros kilómetro", "m": "metros metro", "cm": "centímetros centímetro",
            "mm": "milímetros milímetro", "mile": "millas milla", "foot": "pies pie", "inch": "pulgadas pulgada",
            "yard": "yardas yarda", "kg": "kilogramos kilogramo", "g": "gramos gramo",
            "pound": "libras_esterlinas libras libra", "ounce": "onzas onza", "liter": "litros litro",
            "ml": "mililitros mililitro", "gallon": "galones galón", "hour": "horas hora",
            "minute": "minutos minuto", "second": "segundos segundo", "day": "días día", "week": "semanas semana",
            "month": "meses mes", "year": "años año", "%": "por_ciento", "$": "dólares dólar", "¥": "yenes",
        },
        {"%": "por ?cien|mitad", "$": "d[oó]lar", "€": "euro"},
        "grados ",
    ),
    "de": UnitWords(
        {
            "m": "Metern", "cm": "Zentimeter Zentimetern", "mm": "Millimeter Millimetern", "mile": "Meilen Meile",
            "foot": "Fuß", "inch": "Zoll", "kg": "Kilogramm", "g": "Gramm", "pound": "Pfund",
            "ounce": "Unzen Unze", "liter": "Litern", "ml": "Milliliter", "gallon": "Gallonen Gallone",
            "hour": "Stunden Stunde", "minute": "Minuten", "second": "Sekunden Sekunde", "day": "Tage Tagen Tag",
            "week": "Wochen Woche", "month": "Monate Monaten Monat", "year": "Jahre Jahren Jahr", "%": "Prozent",
        },
        {"%": "prozent|hälfte|halbe", "$": "dollar", "€": "euro"},
        "Grad ",
    ),
    "fr": UnitWords(
        {
            "km": "kilomètres kilomètre", "m": "mètres mètre", "cm": "centimètres centimètre",
            "mm": "millimètres millimètre", "foot": "pieds pied", "inch": "pouces pouce",
            "kg": "kilogrammes kilogramme", "g": "grammes gramme", "pound": "livres livre", "ounce": "onces once",
            "ml": "millilitre", "hour": "heures heure", "second": "secondes seconde", "day": "jours jour",
            "week": "semaines semaine", "month": "mois", "year": "ans an années année", "%": "pour_cent",
        },
        {"%": "pour[ -]?cent|moitié", "$": "dollar", "€": "euro"},
        "degrés ",
    ),
    "ko": UnitWords(
        {
            "km": "킬로미터 킬로", "m": "미터", "cm": "센티미터", "mm": "밀리미터", "mile": "마일", "foot": "피트",
            "inch": "인치", "yard": "야드", "kg": "킬로그램 킬로", "g": "그램", "pound": "파운드", "ounce": "온스",
            "liter": "리터", "ml": "밀리리터", "gallon": "갤런", "hour": "시간", "minute": "분", "second": "초",
            "day": "일간", "week": "주간", "month": "개월", "year": "년간 살", "°F": "화씨", "%": "퍼센트",
            "$": "달러", "€": "유로", "¥": "엔",
        },
        {"%": "퍼센트|프로|절반|반값|[\\d일이삼사오육칠팔구] ?할", "$": "달러|불", "€": "유로"},
    ),
    "ar": UnitWords(
        {
            "km": "كم كيلومتر كيلومترات كيلومترًا", "m": "متر أمتار مترًا", "cm": "سم سنتيمتر سنتيمترات سنتيمترًا",
            "mm": "ملم مم مليمتر مليمترات", "mile": "ميل أميال ميلًا", "foot": "قدم أقدام قدمًا",
            "inch": "بوصة بوصات", "yard": "ياردة ياردات", "kg": "كغ كجم كغم كيلوغرام كيلوغرامًا كيلوغرامات",
            "g": "غ غرام غرامًا جرام غرامات", "pound": "جنيه رطل أرطال رطلًا", "ounce": "أونصة أونصات",
            "liter": "لتر لترات لترًا", "ml": "مل ملليلتر مليلتر", "gallon": "غالون غالونات جالون",
            "hour": "ساعة ساعات", "minute": "دقيقة دقائق", "second": "ثانية ثوانٍ ثوان", "day": "يوم أيام يومًا",
            "week": "أسبوع أسابيع أسبوعًا", "month": "شهر أشهر شهرًا", "year": "سنة سنوات عام أعوام عامًا",
            "°C": "مئوية", "°F": "فهرنهايت", "%": "٪", "$": "دولار دولارات دولارًا", "€": "يورو", "¥": "ين",
        },
        {"%": "الم(?:ئة|ائة|ئه)|بالم|نصف", "$": "دولار", "€": "يورو"},
        "درجة ",
    ),
}  # fmt: skip
_ALL_WORDS = (ENGLISH_UNIT_WORDS, *UNIT_WORDS.values())
_UNITS: dict[str, set[str]] = {}  # キロ is a kilometre and a kilogram
for _words in _ALL_WORDS:
    for _unit, _forms in _words.forms.items():
        for _form in _forms.split():
            _UNITS.setdefault(_form.replace("_", " ").lower(), set()).add(_unit)
_FORMS = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_NUMBER = r"(?<![\d.,])\d+(?:[., \u00a0\u202f]\d+){0,4}"
_DIGIT = re.compile(r"\d")
_DEGREES = "|".join(words.degrees for words in _ALL_WORDS if words.degrees)
_NUMBER_AND_UNIT = re.compile(
    rf"({_NUMBER})[ \u00a0\u202f-]?(?:{_DEGREES})?({_FORMS})(?![a-zß-öø-ÿ])",
    re.IGNORECASE,
)
_SIGN_AND_NUMBER = re.compile(rf"([$€£¥])\s?({_NUMBER})")
_SIGNS = {
    sign: re.compile("|".join(words.signs[sign] for words in _ALL_WORDS), re.IGNORECASE)
    for sign in ENGLISH_UNIT_WORDS.signs
}


def find_units(text: str, grammar: NumberGrammar) -> dict[str, set[str]]:
    """Return the units of numbers, by their digits without separators ("15": {"kg"}).

    Numbers in words of the grammar's language count, too, but for one, which may be an article.
    """
    words = IN_WORDS.sub(_as_digits, read_text(text, grammar, with_phrases=False).text).replace(END, " ")
    units: dict[str, set[str]] = {}
    if not _DIGIT.search(words):
        return units
    for number, form in _NUMBER_AND_UNIT.findall(words):
        units.setdefault(_digits_only(number), set()).update(_UNITS[form.lower()])
    for form, number in _SIGN_AND_NUMBER.findall(text):
        units.setdefault(_digits_only(number), set()).update(_UNITS[form.lower()])
    return units


def _as_digits(found: re.Match[str]) -> str:
    digits = found[0].translate(AS_DIGITS)
    return digits if digits != "1" else "-"


def _digits_only(number: str) -> str:
    return re.sub(r"\D", "", number)


def compare_units(source: dict[str, set[str]], text: str, code: str) -> Iterator[str]:
    """Yield the numbers with another unit in the translation ("30 m became foot"), and the signs that are missing."""
    if not source:
        return
    for number, units in find_units(text, NUMBER_WORDS.get(code, ENGLISH)).items():
        expected = source.get(number)
        if expected and not units & expected:
            yield f"{number} {sorted(expected)[0]} became {sorted(units)[0]}"
    if code in UNIT_WORDS:
        for sign in sorted({sign for units in source.values() for sign in units & _SIGNS.keys()}):
            if not _SIGNS[sign].search(text):
                yield f"{sign} is missing"
