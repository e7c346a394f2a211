"""Compares units: a number in feet must not become one in metres.

Only units of the table are compared; others are not checked. The signs %, $ and € must also be in the translation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: The forms of each unit in English and in the languages of the table, symbols first.
_UNIT_FORMS = {
    "km": (
        "km km/h kmh kilometers kilometer kilometres kilometre kilómetros kilómetro kilomètres kilomètre 公里 "
        "千米 キロメートル キロ 킬로미터 كم كيلومتر كيلومترات كيلومترًا"
    ),
    "m": "m meters meter metres metre metros metro mètres mètre Metern 米 メートル 미터 متر أمتار مترًا",
    "cm": (
        "cm centimeters centimeter centimetres centimetre centímetros centímetro Zentimeter Zentimetern "
        "centimètres centimètre 厘米 公分 センチメートル センチ 센티미터 سم سنتيمتر سنتيمترات سنتيمترًا"
    ),
    "mm": (
        "mm millimeters millimeter millimetres milímetros milímetro Millimeter Millimetern millimètres "
        "millimètre 毫米 ミリメートル ミリ 밀리미터 ملم مم مليمتر مليمترات"
    ),
    "mile": "miles mile mi mph millas milla Meilen Meile 英里 マイル 마일 ميل أميال ميلًا",
    "foot": "feet foot ft pies pie Fuß pieds pied 英尺 フィート 피트 قدم أقدام قدمًا",
    "inch": "inches inch pulgadas pulgada Zoll pouces pouce 英寸 インチ 인치 بوصة بوصات",
    "yard": "yards yard yd yardas yarda 码 ヤード 야드 ياردة ياردات",
    "kg": (
        "kg kilograms kilogram kilos kilo kilogramos kilogramo Kilogramm kilogrammes kilogramme 千克 "
        "公斤 キログラム 킬로그램 كغ كجم كغم كيلوغرام كيلوغرامًا كيلوغرامات"
    ),
    "g": "g grams gram gramos gramo Gramm grammes gramme 克 グラム 그램 غ غرام غرامًا جرام غرامات",
    "pound": (
        "£ 英镑 جنيه libras\u00a0esterlinas pounds pound lbs lb libras libra Pfund livres livre 磅 "
        "ポンド 파운드 رطل أرطال رطلًا"
    ),
    "ounce": "ounces ounce oz onzas onza Unzen Unze onces once 盎司 オンス 온스 أونصة أونصات",
    "liter": "l L liters liter litres litre litros litro Litern litre 升 リットル 리터 لتر لترات لترًا",
    "ml": (
        "ml mL milliliters milliliter millilitres mililitros mililitro Milliliter millilitre 毫升 "
        "ミリリットル 밀리리터 مل ملليلتر مليلتر"
    ),
    "gallon": "gallons gallon galones galón Gallonen Gallone 加仑 ガロン 갤런 غالون غالونات جالون",
    "hour": "hours hour hrs hr horas hora Stunden Stunde heures heure 小时 時間 시간 ساعة ساعات",
    "minute": "minutes minute mins min minutos minuto Minuten 分钟 分間 분 دقيقة دقائق",
    "second": "seconds secs sec segundos segundo Sekunden Sekunde secondes seconde 秒钟 秒 초 ثانية ثوانٍ ثوان",
    "day": "days day días día Tage Tagen Tag jours jour 天 日間 일간 يوم أيام يومًا",
    "week": "weeks week semanas semana Wochen Woche semaines semaine 周 星期 週間 주간 أسبوع أسابيع أسبوعًا",
    "month": "months month meses mes Monate Monaten Monat mois 个月 か月 ヶ月 개월 شهر أشهر شهرًا",
    "year": (
        "years year años año Jahre Jahren Jahr ans an années année 年间 岁 歳 年間 년간 살 سنة سنوات عام "
        "أعوام عامًا"
    ),
    "°C": "°C ℃ Celsius celsius 摄氏度 مئوية",
    "°F": "°F ℉ Fahrenheit fahrenheit 华氏度 華氏 화씨 فهرنهايت",
    "%": "% percent Prozent por\u00a0ciento pour\u00a0cent 퍼센트 パーセント ٪",
    "$": "$ dollars dollar USD dólares dólar 美元 美金 ドル 달러 دولار دولارات دولارًا",
    "€": "€ euros euro EUR 欧元 ユーロ 유로 يورو",
    "¥": "¥ yen yenes 日元 円 엔 ين",
}  # fmt: skip
_UNITS = {form.replace("\u00a0", " ").lower(): unit for unit, forms in _UNIT_FORMS.items() for form in forms.split(" ")}
_FORMS = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_NUMBER = r"(?<![\d.,])\d+(?:[., \u00a0\u202f]\d+){0,4}"
_NUMBER_AND_UNIT = re.compile(
    rf"({_NUMBER})[ \u00a0\u202f-]?(?:grados |degrees |degrés |Grad |درجة |度)?({_FORMS})(?![a-zäöüßáéíóúèêâ])",
    re.IGNORECASE,
)
_SIGN_AND_NUMBER = re.compile(rf"([$€£¥])\s?({_NUMBER})")
#: The forms of these signs in the languages of `_WITH_ALL_SIGNS`, in symbols and words.
_SIGNS = {
    "%": re.compile("[%％٪]|百分|パーセント|퍼센트|프로|prozent|por ?cien|pour[ -]?cent|الم(?:ئة|ائة|ئه)|بالم", re.I),
    "$": re.compile(r"\$|usd|d[oó]lar|dollar|美金|[元块]|ドル|달러|불|دولار", re.I),
    "€": re.compile("€|eur|欧元|歐元|ユーロ|유로|يورو", re.I),
}
_WITH_ALL_SIGNS = frozenset({"zh", "ja", "es", "de", "fr", "ko", "ar"})


def find_units(text: str) -> dict[str, set[str]]:
    """Return the units of numbers in digits, by the digits without separators ("15": {"kg"})."""
    units: dict[str, set[str]] = {}
    for number, form in _NUMBER_AND_UNIT.findall(text):
        units.setdefault(_digits_only(number), set()).add(_UNITS[form.lower()])
    for form, number in _SIGN_AND_NUMBER.findall(text):
        units.setdefault(_digits_only(number), set()).add(_UNITS[form.lower()])
    return units


def _digits_only(number: str) -> str:
    return re.sub(r"\D", "", number)


def compare_units(source: dict[str, set[str]], text: str, code: str) -> Iterator[str]:
    """Yield the numbers with another unit in the translation ("30 m became foot"), and the signs that are missing."""
    if not source:
        return
    for number, units in find_units(text).items():
        expected = source.get(number)
        if expected and not units & expected:
            yield f"{number} {sorted(expected)[0]} became {sorted(units)[0]}"
    if code in _WITH_ALL_SIGNS:
        for sign in sorted({sign for units in source.values() for sign in units & _SIGNS.keys()}):
            if not _SIGNS[sign].search(text):
                yield f"{sign} is missing"
