"""The same units: a number that was in feet is not in metres.

Only units that are known on both sides are compared: what is not in the table is taken on trust. Signs that no text
leaves out (%, $, €) must be there, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: By unit: how it is written in English and in the languages of the table, symbols first.
_WRITTEN = {
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
_UNITS = {form.replace("\u00a0", " ").lower(): unit for unit, forms in _WRITTEN.items() for form in forms.split(" ")}
_FORMS = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_NUMBER = r"(?<![\d.,])\d+(?:[., \u00a0\u202f]\d+){0,4}"
_BEHIND = re.compile(
    rf"({_NUMBER})[ \u00a0\u202f-]?(?:grados |degrees |degrés |Grad |درجة |度)?({_FORMS})(?![a-zäöüßáéíóúèêâ])",
    re.IGNORECASE,
)
_BEFORE = re.compile(rf"([$€£¥])\s?({_NUMBER})")
#: How those signs are written in the languages whose words for them are all here.
_SIGNS = {
    "%": re.compile("[%％٪]|百分|パーセント|퍼센트|프로|prozent|por ?cien|pour[ -]?cent|الم(?:ئة|ائة|ئه)|بالم", re.I),
    "$": re.compile(r"\$|usd|d[oó]lar|dollar|美金|[元块]|ドル|달러|불|دولار", re.I),
    "€": re.compile("€|eur|欧元|歐元|ユーロ|유로|يورو", re.I),
}
_COMPLETE = frozenset({"zh", "ja", "es", "de", "fr", "ko", "ar"})


def with_units(text: str) -> dict[str, set[str]]:
    """The units of numbers in digits: from the digits without any signs to its units ("15" to "kg")."""
    units: dict[str, set[str]] = {}
    for number, form in _BEHIND.findall(text):
        units.setdefault(_bare(number), set()).add(_UNITS[form.lower()])
    for form, number in _BEFORE.findall(text):
        units.setdefault(_bare(number), set()).add(_UNITS[form.lower()])
    return units


def _bare(number: str) -> str:
    return re.sub(r"\D", "", number)


def other_units(source: dict[str, set[str]], text: str, code: str) -> Iterator[str]:
    """Numbers whose unit is another one in the translation ("30 m became foot"), or whose sign is gone."""
    if not source:
        return
    for number, units in with_units(text).items():
        wanted = source.get(number)
        if wanted and not units & wanted:
            yield f"{number} {sorted(wanted)[0]} became {sorted(units)[0]}"
    if code in _COMPLETE:
        for sign in sorted({sign for units in source.values() for sign in units & _SIGNS.keys()}):
            if not _SIGNS[sign].search(text):
                yield f"{sign} is missing"
