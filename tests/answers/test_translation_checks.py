"""The checks of translations: true ones pass, damaged ones are caught, and for the right reason."""

from __future__ import annotations

import random
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from damaged_translations import (
    DAMAGES,
    MORE_DAMAGES,
    PARTS,
    Damage,
    damaged,
    languages_with_test_data,
    missing_samples,
    missing_tables,
    samples,
)

from syphus.answers.translation import (
    LANGUAGES,
    CheckResult,
    Language,
    PairFeatures,
    Reason,
    Term,
    Translatable,
    check_translation,
    require_identifier,
)
from syphus.answers.translation.check import find_missing_terms
from syphus.answers.translation.identify import count_letters
from syphus.answers.translation.languages import SAMPLE
from syphus.answers.translation.number_words import NUMBER_WORDS
from syphus.answers.translation.units import ENGLISH_UNIT_WORDS, UNIT_WORDS, compare_units

PAGE = Path(__file__).resolve().parents[2] / "docs" / "translation-checks.md"


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_has_its_test_data(code: str, part: str) -> None:
    missing = [*missing_samples(part, code), *missing_tables(code)]
    assert not missing, "; ".join(missing)


@pytest.mark.parametrize("part", PARTS)
def test_at_most_one_in_a_hundred_true_translations_is_rejected(part: str) -> None:
    rejected = [
        (sample.name, code, [fault.feedback for fault in checked.faults])
        for sample in samples(part)
        for features in (PairFeatures(sample.source),)
        for code in languages_with_test_data(part)
        if not (checked := check_translation(features, sample.translations[code], LANGUAGES[code])).ok
    ]
    assert len(rejected) <= 0.01 * len(samples(part)) * len(languages_with_test_data(part)), rejected


def test_the_corpus_has_forty_samples_and_more_with_names_of_their_own() -> None:
    every = [sample for part in PARTS for sample in samples(part)]
    assert len(every) >= 40
    assert len({sample.name for sample in every}) == len(every)


features_of = cache(PairFeatures)  # each source is translated, and damaged, many times


def caught(damages: dict[str, Damage], part: str) -> tuple[Counter[str], Counter[str], list[str]]:
    """By damage: how many there are, how many have a right reason; and what was missed."""
    there, right, missed = Counter[str](), Counter[str](), list[str]()
    for name, sample, code, made in damaged(damages, part):
        checked = check_translation(features_of(made.source), made.translated, LANGUAGES[code])
        there[name] += 1
        if {fault.reason for fault in checked.faults} & made.reasons:
            right[name] += 1
        else:
            missed.append(f"{name}: {sample}, {code}: {made.translated} {[f.feedback for f in checked.faults]}")
    return there, right, missed


@pytest.mark.parametrize("part", PARTS)
def test_ninety_nine_in_a_hundred_damaged_translations_are_caught_with_the_right_reason(part: str) -> None:
    there, right, missed = caught(DAMAGES, part)
    assert right.total() >= 0.99 * there.total(), missed
    # many texts of the further part have no full stop, so that nothing says where they end
    least = {"truncated": 0.95} if part == "further" else {}
    assert all(right[name] >= least.get(name, 0.97) * there[name] for name in DAMAGES), missed


@pytest.mark.parametrize("part", PARTS[:2])
def test_other_damage_is_caught(part: str) -> None:
    there, right, missed = caught(MORE_DAMAGES, part)
    assert right.total() >= 0.99 * there.total(), missed


def checked(code: str, source: tuple[str, str], translated: tuple[str, str], *terms: Term) -> CheckResult:
    return check_translation(Translatable(*source), Translatable(*translated), LANGUAGES[code], terms)


def faults(code: str, answer: str, translated: str, *terms: Term) -> list[Reason]:
    """The reasons against the translation of an answer, below a question that is all right."""
    sample = samples("tuning")[1]
    asked = sample.translations[code].instruction
    return [
        fault.reason for fault in checked(code, (sample.source.instruction, answer), (asked, translated), *terms).faults
    ]


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=list(LANGUAGES))
def test_every_language_of_the_table_is_complete(language: Language) -> None:
    assert LANGUAGES[language.code] is language
    found = count_letters(language.sample, language.scripts)
    assert found.own > 0.9 * sum(found)
    assert language.formal
    assert language.informal
    assert language.rtl == ("Arabic" in language.scripts or "Hebrew" in language.scripts)
    least, most = language.length_range(len(SAMPLE))
    assert least < len(language.sample) < most
    question, answer = re.split(r"(?<=[?？؟])", language.sample)
    source = Translatable(*(each.strip() for each in re.split(r"(?<=\?)", SAMPLE)))
    assert check_translation(source, Translatable(question, answer.strip()), language).faults == ()


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_sample_is_in_no_other_language_of_the_table(code: str) -> None:
    source, there = Translatable(SAMPLE, SAMPLE + " So it is."), LANGUAGES[code].sample
    for other, language in LANGUAGES.items():
        reasons = {
            fault.reason for fault in check_translation(source, Translatable(there, there + " "), language).faults
        }
        assert bool(reasons & {Reason.WRONG_SCRIPT, Reason.WRONG_LANGUAGE}) == (other != code)


@pytest.mark.parametrize("code", UNIT_WORDS)
def test_unit_words_and_signs_agree(code: str) -> None:
    words = UNIT_WORDS[code]
    assert code in LANGUAGES
    assert set(words.signs) == {"%", "$", "€"}, f'UNIT_WORDS["{code}"].signs in syphus/answers/translation/units.py'
    for sign in words.signs:
        for form in words.forms.get(sign, "").split():
            text = f"30 {form.replace('_', ' ')}"
            assert not list(compare_units({"30": {sign}}, text, code)), f'{code}: signs["{sign}"] must match "{text}"'


def test_the_tables_of_words_have_only_known_languages_and_units() -> None:
    assert NUMBER_WORDS.keys() | UNIT_WORDS.keys() <= LANGUAGES.keys()
    assert {unit for words in UNIT_WORDS.values() for unit in words.forms} <= ENGLISH_UNIT_WORDS.forms.keys()


def test_a_new_language_is_checked_by_script_identifier_and_digits_with_its_entry_alone() -> None:
    italian = Language(
        "it", "Italian", "italiano", ("Latin",), (0.72, 1.7), "Quante persone sono sedute al tavolo?", "Lei", "tu"
    )
    source = Translatable("How many people are there?", "There are 1,200 people in the square, and two dogs.")
    right = Translatable("Quante persone ci sono?", "Nella piazza ci sono 1.200 persone e due cani.")
    assert check_translation(source, right, italian).ok
    wrong = Translatable("Quante persone ci sono?", "Nella piazza ci sono 1.300 persone e due cani.")
    assert check_translation(source, wrong, italian).reason == "numbers"
    spanish = Translatable(
        "¿Cuántas personas hay en la plaza?", "En la plaza hay 1.200 personas y dos perros pequeños."
    )
    assert check_translation(source, spanish, italian).reason == "wrong language"


@pytest.mark.parametrize(
    ("code", "english", "translated"),
    [
        ("es", "It holds 1,000 people.", "Caben 1.000 personas."),
        ("fr", "It holds 1,000 people.", "Il y a de la place pour 1 000 personnes."),
        ("ar", "It holds 1,000 people.", "يتسع لـ ١٠٠٠ شخص."),
        ("zh", "It holds 10,000 people.", "它能容纳一万人。"),
        ("ja", "It holds 25,000 people.", "2万5000人を収容できます。"),
        ("ko", "It holds 25,000 people.", "2만 5천 명을 수용할 수 있습니다."),
        ("de", "It weighs 2.5 kg.", "Es wiegt 2,5 kg."),
        ("es", "There are two dogs and 3 cats.", "Hay 2 perros y tres gatos."),
        ("ar", "There are 2 dogs in the yard.", "يوجد كلبان في الفناء."),
        ("de", "The shop closes at 5:30 p.m. today.", "Der Laden schließt heute um 17:30 Uhr."),
        ("zh", "The shop closes at 5:30 p.m. today.", "这家店今天下午五点半关门。"),
        ("fr", "It was built in the 19th century.", "Il a été construit au XIXe siècle."),
        ("de", "A song of the 1980s is playing.", "Es läuft ein Lied aus den 80er Jahren."),
        ("es", "It sold 2.5 million copies.", "Se vendieron 2.500.000 ejemplares."),
        ("ja", "It is on May 3 at noon.", "5月3日の12時です。"),
        ("es", "It takes 1.5 hours on foot.", "Se tarda una hora y media a pie."),
        ("de", "It opens at 6:30 a.m. and closes at 7 p.m. here.", "Hier wird um 6:30 Uhr geöffnet und um 19 Uhr zu."),
        ("es", "Entry is free before 10 a.m. on Sundays.", "La entrada es gratuita antes de las 10:00 los domingos."),
        ("es", "It opens at 6:30 a.m. and closes at 7 p.m.", "Abre a las 6:30 y cierra a las 19:00."),
        ("fr", "The next exit is in 1 1/2 miles.", "La prochaine sortie est à 1,5 mile."),
        ("ar", "The next exit is in 1 1/2 miles.", "المخرج التالي بعد ميل ونصف."),
        ("zh", "It was built in the 1950s, probably.", "它大概建于20世纪50年代。"),
        ("ar", "It was built in the 1950s, probably.", "بُني على الأرجح في خمسينيات القرن الماضي."),
        ("de", "It was built in the 1950s, probably.", "Gebaut wurde es wohl in den fünfziger Jahren."),
        ("ar", "She has counted eleven stars.", "لقد عدّت أحد عشر نجمًا."),
        ("ar", "There are twelve candles on it.", "عليها اثنتا عشرة شمعة."),
        ("ko", "Only the letters K7 can be read.", "글자 K7만 읽을 수 있습니다."),
        ("ko", "Only the number 7 can be read.", "숫자 7만 읽을 수 있습니다."),
        ("ja", "The woman seems to be in her fifties.", "女性は50代のようです。"),
        ("ar", "It is from the late 19th century.", "إنها من أواخر القرن التاسع عشر."),
        ("ko", "They cost €149.99 in this shop.", "149.99유로에 이 가게에서 팝니다."),
        ("zh", "It was sold for two thousand five hundred dollars.", "卖了2500美元。"),
        ("ja", "About one hundred and fifty people are here.", "ここには約150人がいます。"),
        ("es", "It was built on 2023-06-07, it says.", "Se compiló el 7 de junio de 2023, según dice."),
        ("fr", "It is dated 07/14/1998, it says.", "Il est daté du 14 juillet 1998, d'après ce qui est écrit."),
        ("zh", "Three clues:\n1) the leaves,\n2) the scarf.", "三条线索：\n1）树叶，\n2）围巾。"),
        ("ko", "It is the 100th day of the baby.", "아기의 백일입니다."),
        ("ko", "There are 230 people in the hall.", "강당에 이백삼십 명이 있습니다."),
        ("ko", "Forty-five seats are free in it.", "빈 좌석이 45개 있습니다."),
    ],
)
def test_a_number_may_be_written_in_other_ways(code: str, english: str, translated: str) -> None:
    assert faults(code, english, translated) == []


@pytest.mark.parametrize(
    ("code", "english", "translated", "reason"),
    [
        ("es", "It holds 1,000 people.", "Caben 10.000 personas.", Reason.NUMBERS),
        ("de", "It weighs 2.5 kg.", "Es wiegt 25 kg.", Reason.NUMBERS),
        ("zh", "It sold 2.5 million copies.", "卖出了25万册。", Reason.NUMBERS),
        ("fr", "Three dogs are playing there.", "Quatre chiens y jouent.", Reason.NUMBERS),
        ("ko", "The clock shows 3:05 now.", "지금 시계는 5:03을 가리킵니다.", Reason.TIMES),
        ("de", "The tower is 30 feet tall.", "Der Turm ist 30 Meter hoch.", Reason.UNITS),
        ("ja", "The rope is 12 m long.", "ロープの長さは12フィートです。", Reason.UNITS),
        ("es", "The bill is $40 in total.", "La cuenta es de 40 € en total.", Reason.UNITS),
        ("es", "Only the two last ones, K7, can be read.", "Solo se leen los siete últimos, K7.", Reason.NUMBERS),
        ("ko", "About three hundred people are here.", "여기에 약 100명이 있습니다.", Reason.NUMBERS),
        ("es", "It was built on 2023-06-07, it says.", "Se compiló el 2023-07-07, según dice.", Reason.NUMBERS),
        ("ko", "They look like Nike Air Max 90s.", "나이키 에어 맥스 20처럼 보입니다.", Reason.NUMBERS),
        ("ja", "Red has two points, and green has three.", "赤は3点、緑は3点です。", Reason.NUMBERS),
        ("ar", "Options 1, 2 and 3 are shown.", "تظهر الخيارات 1 و3 و3.", Reason.NUMBERS),
        ("de", "The postcode is NW1 6XE in London.", "Die Postleitzahl in London ist NW6 6XE.", Reason.NUMBERS),
        ("ar", "She has counted eleven stars.", "لقد عدّت ثلاث نجوم.", Reason.NUMBERS),
        ("ja", "The speed limit is 65 mph.", "制限速度は時速65キロです。", Reason.UNITS),
        ("de", "There is a 30% chance of rain.", "Die Wahrscheinlichkeit für Regen ist 30.", Reason.UNITS),
        ("ja", "There is a 30% chance of rain.", "雨の確率は30です。", Reason.UNITS),
        ("zh", "The jacket costs $900 today.", "这件夹克今天卖900。", Reason.UNITS),
    ],
)
def test_another_number_or_unit_is_a_fault(code: str, english: str, translated: str, reason: Reason) -> None:
    assert reason in faults(code, english, translated)


@pytest.mark.parametrize("text", ["New York", "iPhone 12", "12", "Vincent van Gogh", "`x = 1`", "B", "www.example.org"])
def test_a_name_a_number_or_code_may_stay_as_it_is(text: str) -> None:
    for code in languages_with_test_data("tuning"):
        assert faults(code, text, text) == []


@pytest.mark.parametrize(
    "text", ["Red.", "Yes", "Left", "A red bus stands there.", "Two Dogs And A Cat", "not visible"]
)
def test_other_sources_may_not_stay_as_they_are(text: str) -> None:
    for code in languages_with_test_data("tuning"):
        assert Reason.COPIED in faults(code, text, text)


def test_a_word_that_two_languages_share_is_a_translation_and_says_so() -> None:
    result = checked("es", ("Is it raining?", "No."), ("¿Está lloviendo?", "No."))
    assert result.ok
    assert result.notes == ("answer: the same word in English and Spanish",)


def test_a_short_question_is_not_mistaken_for_a_rare_language() -> None:
    source = ("When were these cars built?", "A long time ago, as far as one can tell from their shape.")
    there = ("¿Cuándo se fabricaron estos coches?", "Hace mucho tiempo, por lo que se puede deducir de su forma.")
    assert checked("es", source, there).ok


@pytest.mark.parametrize("code", languages_with_test_data("tuning"))
def test_an_address_may_have_no_scheme(code: str) -> None:
    english = "For more of it, go to museum.example.org/egypt today."
    there = samples("tuning")[0].translations[code].instruction
    assert faults(code, english, f"{there} museum.example.org/egypt.") == []
    assert Reason.LINKS in faults(code, english, f"{there} museum.example.org/egipto.")


@pytest.mark.parametrize(
    ("code", "english", "translated", "doubled"),
    [
        ("ar", "The dog is there.", "الكلب هناك..", True),
        ("ar", "Where is the dog?", "أين الكلب؟?", True),
        ("ar", "Where is the dog?", "أين الكلب؟؟", True),
        ("zh", "Where is the dog?", "狗在哪里？?", True),
        ("zh", "Is it a dog? It is a cat.", "是狗吗？。是猫。", True),
        ("zh", "It is a dog.", "这是一只狗。。", True),
        ("zh", "There are two: a dog and a cat.", "有两只：:狗和猫。", True),
        ("ja", "It is a dog.", "犬です。.", True),
        ("ja", "What a dog!", "すごい犬！!", True),
        ("ko", "It is a dog.", "개입니다..", True),
        ("ko", "Is it a dog?", "개인가요??", True),
        ("fr", "Where is the dog?", "Où est le chien ? ?", True),
        ("fr", "The dog is here. It sleeps.", "Le chien est ici.. Il dort.", True),
        ("es", "Where is the dog?", "¿Dónde está el perro?.", True),
        ("es", "What a dog!", "¡Qué perro!!", True),
        ("de", "Where is the dog?", "Wo ist der Hund?.", True),
        ("de", 'He says: "It is here."', "Er sagt: „Er ist hier..“", True),
        ("de", "Where is the dog??", "Wo ist der Hund??", False),
        ("de", "What is that?!", "Was ist das?!", False),
        ("zh", "What is that?!", "那是什么？！", False),
        ("ar", "What is that!?", "ما هذا؟!", False),
        ("es", "What is that?!", "¡¿Qué es eso?!", False),
        ("fr", "Well, wait...", "Eh bien, attendez...", False),
        ("fr", "Well, wait...?", "Eh bien, attendez... ?", False),
        ("ja", "Well, wait...", "えっと、待って。。。", False),
        ("zh", "Well, wait…", "嗯，等等……", False),
        ("de", "Dogs, cats and so on?", "Hunde, Katzen usw.?", False),
        ("es", "At 5 in the afternoon!", "¡A las 5 p. m.!", False),
        ("de", 'Who asks "Where is it?"', "Wer fragt „Wo ist er?“?", False),
        ("fr", "From 1..5 or in ../b it is.", "De 1..5 ou dans ../b, c'est le cas.", False),
    ],
)
def test_two_marks_end_a_sentence_only_where_the_source_has_two(
    code: str, english: str, translated: str, doubled: bool
) -> None:
    assert (Reason.MARKS in faults(code, english, translated)) == doubled


def test_a_sentence_that_ends_inside_of_quotes_has_an_end() -> None:
    english = 'Better not: the label says "May contain traces of nuts and milk."'
    assert faults("de", english, "Lieber nicht: „Kann Spuren von Nüssen und Milch enthalten“") == []
    assert Reason.CUT_OFF in faults("de", english, "Lieber nicht: „Kann Spuren von Nüssen und")


def test_text_that_only_looks_like_an_address_may_change() -> None:
    assert faults("de", "It was here (e.g. on the U.S. side, at 5).", "Es war hier (z.B. auf US-Seite, bei 5).") == []
    assert faults("es", "He opened main.py and data.json here.", "Abrió main.py y el archivo data.json aquí.") == []


@pytest.mark.parametrize("sign", ["\x00", "\x07", "\u200b", "\u202e", "\ufeff"])
def test_an_invisible_character_is_a_fault_unless_the_source_has_it(sign: str) -> None:
    for code in languages_with_test_data("tuning"):
        there = LANGUAGES[code].sample.rstrip() + "\u200f"  # a mark of direction is nothing bad
        assert Reason.ESCAPED not in faults(code, SAMPLE, there)
        assert Reason.ESCAPED in faults(code, SAMPLE, there.replace(there[8], sign + there[8], 1))
        assert Reason.ESCAPED not in faults(code, SAMPLE + sign, there + sign)


@pytest.mark.parametrize(
    ("code", "english", "translated"),
    [
        ("zh", "It is a red bus.", "这是一辆红色的公交车。这是一辆红色的公交车。"),
        ("de", "It is a red bus.", "Es ist ein roter Bus. Es ist ein roter Bus."),
        ("ar", "Yes, it is.", "نعم، هذا صحيح.\n\nنعم، هذا صحيح."),
        ("es", "Red.", "Rojo. Rojo."),
    ],
)
def test_a_doubled_text_is_too_long(code: str, english: str, translated: str) -> None:
    assert Reason.TOO_LONG in faults(code, english, translated)


@pytest.mark.parametrize(
    ("code", "english", "translated"),
    [
        ("zh", "Thanks", "谢谢"),
        ("de", "No, no, no! No, no, no!", "Nein, nein, nein! Nein, nein, nein!"),
        ("ja", "It is shining brightly.", "きらきら"),
    ],
)
def test_a_doubled_word_is_not_a_doubled_text(code: str, english: str, translated: str) -> None:
    assert Reason.TOO_LONG not in faults(code, english, translated)


@pytest.mark.parametrize(
    ("code", "english", "translated"),
    [
        ("fr", "Yes, it is.", "Oui, c'est cela. (Yes, it is.)"),
        ("zh", "Left.", "左边 (Left)。"),
        ("es", "The road is barely visible here.", "Apenas se ve the road is barely visible."),
        ("de", "It was issued in May and is valid for 90 days.", "Ausgestellt im Mai and is valid for 90 Tage."),
    ],
)
def test_english_beside_the_translation_is_a_copy(code: str, english: str, translated: str) -> None:
    assert Reason.COPIED in faults(code, english, translated)


@pytest.mark.parametrize(
    ("code", "english", "translated"),
    [
        ("de", "It is a street food festival in Berlin.", "Es ist ein Street Food Festival in Berlin."),
        ("fr", "It is the cover of The Lord of the Rings.", "C'est la couverture de The Lord of the Rings."),
        ("es", "Hot dogs.", "Unos hot dogs."),
        ("zh", "A DVD of Friends.", "一张《Friends》的DVD。"),
    ],
)
def test_names_and_words_from_english_are_no_copy(code: str, english: str, translated: str) -> None:
    assert Reason.COPIED not in faults(code, english, translated)


@pytest.mark.parametrize(
    ("code", "english", "translated"),
    [
        ("zh", "The bicycle is red.", "這輛腳踏車是紅色的。"),
        ("zh", "There is a brown horse.", "一匹棕色的馬。"),
        ("ar", "A brown horse.", "یک اسب قهوه‌ای."),
        ("ar", "The door is closed.", "دروازہ بند ہے۔"),
    ],
)
def test_letters_of_another_language_in_the_same_script_are_seen(code: str, english: str, translated: str) -> None:
    assert {Reason.WRONG_SCRIPT, Reason.WRONG_LANGUAGE} & set(faults(code, english, translated))


def test_one_foreign_letter_in_a_name_is_allowed() -> None:
    there = "تقف سيارة حمراء أمام مرآب مكتوب عليه اسم گوچي بأحرف كبيرة، وبجانبها رجل يحمل حقيبة سفر سوداء."
    english = "A red car stands before a garage with the name Gucci in large letters, a man with a black bag beside it."
    assert faults("ar", english, there) == []


def test_what_is_too_short_to_judge_is_accepted_and_noted() -> None:
    result = checked("es", ("What is it made of?", "Wood."), ("¿De qué está hecho esto exactamente?", "Madera."))
    assert result.ok
    assert result.notes == ("answer: too short or too ambiguous to tell its language",)


@pytest.mark.parametrize(
    ("code", "wanted", "good", "bad"),
    [
        ("de", "Fahrrad", "Zwei Fahrräder lehnen an der Wand.", "Zwei Velos lehnen an der Wand."),
        ("es", "bicicleta", "Dos bicicletas están apoyadas en la pared.", "Dos bicis están apoyadas en la pared."),
        ("fr", "vélo", "Deux vélos sont appuyés contre le mur.", "Deux bicyclettes sont appuyées contre le mur."),
        ("zh", "自行车", "两辆自行车靠在墙上。", "两辆单车靠在墙上。"),
        ("ja", "自転車", "自転車が2台、壁に立てかけてあります。", "バイクが2台、壁に立てかけてあります。"),
        ("ko", "자전거", "자전거 두 대가 벽에 기대어 있습니다.", "바이크 두 대가 벽에 기대어 있습니다."),
        ("ar", "دراجة", "تستند الدراجتان الهوائيتان إلى الجدار.", "تستند عجلتان هوائيتان إلى الجدار."),
    ],
)
def test_a_term_of_the_glossary_may_be_inflected_and_not_be_another_word(
    code: str, wanted: str, good: str, bad: str
) -> None:
    term = Term("bicycle", {code: wanted})
    english = "Two bicycles lean against the wall."
    assert faults(code, english, good, term) == []
    assert faults(code, english, bad, term) == [Reason.TERMS]
    assert (
        faults(code, "A car is parked there, at the wall.", samples("tuning")[0].translations[code].answer, term).count(
            Reason.TERMS
        )
        == 0
    )


def test_precomputed_features_give_the_same_result() -> None:
    for sample in samples("tuning")[:8]:
        features = PairFeatures(sample.source)
        for code in languages_with_test_data("tuning"):
            language, there = LANGUAGES[code], sample.translations[code]
            assert check_translation(features, there, language) == check_translation(sample.source, there, language)


def test_the_worst_fault_comes_first_and_the_feedback_says_what_and_where() -> None:
    result = checked("de", ("What is it?", "It costs 12 euros today."), ("Was ist das?", '"}'))
    assert result.reason == "empty"
    assert result.faults[0].feedback == 'answer: Translate the whole text. ("})'


_ODD = [
    *"ab AB.,:;!?'`{}[]<>$%&\\/()（）「」019٣万百三두ثéß\n\t#*-|😊\ud83d\u200f~@_",
    "1,000",
    "10:30",
    "万" * 9,
    "half",
]


def test_no_text_is_too_odd_to_be_judged() -> None:
    chance = random.Random(5)
    for _ in range(200):
        texts = ["".join(chance.choices(_ODD, k=chance.randint(0, 80))) for _ in range(4)]
        for language in LANGUAGES.values():
            check_translation(Translatable(*texts[:2]), Translatable(*texts[2:]), language, (Term("ab", {"de": "é"}),))


@pytest.mark.parametrize(
    "piece", ["9", "1 ", "1,", "$a ", "<a", "'a ", "{", '"a', "%", "a@", "[A", "(", "`", "XV ", "5万", "萬", "1 000"]
)
def test_no_text_takes_long(piece: str) -> None:
    """A pattern that backtracks without bounds does not come back from one of these."""
    source, there = Translatable("Is it?", "It is here, " + piece * 400), Translatable("?", "a " + piece * 400 + " x")
    for code in ("zh", "es"):
        assert not check_translation(source, there, LANGUAGES[code]).ok


def test_the_identifier_is_there_before_anything_is_asked() -> None:
    require_identifier()


# The page about the checks is true.


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    lines = PAGE.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    cells = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]] for line in lines if line.startswith("|")
    ]
    return cells[2:]


def examples(heading: str) -> list[tuple[str, str, str, str]]:
    """(first cell, code, English, translation) of each row; a line break is written `⏎`, a bar `\\|`."""
    found = []
    for first, code, english, translated, *_ in rows(heading):
        before, after = (each.replace("⏎", "\n").replace("\\|", "|") for each in (english, translated))
        found.append((first.strip("`"), code, before, after))
    return found


def page_check(code: str, english: str, translated: str) -> list[str]:
    """A cell is an instruction and an answer with ` → ` between them, or an answer alone."""
    pairs = [each.split(" → ") for each in (english, translated)]
    if len(pairs[0]) == 1:
        return [str(reason) for reason in faults(code, english, translated)]
    source, there = (Translatable(*(part.strip() for part in pair)) for pair in pairs)
    return [str(fault.reason) for fault in check_translation(source, there, LANGUAGES[code]).faults]


def test_the_page_has_an_example_of_every_reason() -> None:
    shown = [reason for reason, *_ in examples("The reasons")]
    assert shown == [str(reason) for reason in Reason if reason is not Reason.TERMS]


@pytest.mark.parametrize("example", examples("The reasons"), ids=lambda example: example[0])
def test_an_example_of_the_page_is_rejected_for_its_reason(example: tuple[str, str, str, str]) -> None:
    reason, *texts = example
    assert page_check(*texts)[:1] == [reason]


@pytest.mark.parametrize("example", examples("What the checks cannot see"), ids=lambda example: example[0])
def test_what_the_page_says_cannot_be_seen_is_not_seen(example: tuple[str, str, str, str]) -> None:
    assert page_check(*example[1:]) == []


@pytest.mark.parametrize("example", examples("Rejected although correct"), ids=lambda example: example[0])
def test_what_the_page_says_is_rejected_wrongly_is_rejected(example: tuple[str, str, str, str]) -> None:
    assert page_check(*example[1:]) != []


def test_missing_signs_are_reported_in_one_order() -> None:
    assert list(compare_units({"1": {"€"}, "2": {"%"}, "3": {"$"}}, "1, 2, 3", "de")) == [
        "$ is missing", "% is missing", "€ is missing",
    ]  # fmt: skip


def test_a_term_without_letters_must_stand_there_too() -> None:
    terms = [Term("arrow", {"de": "→"})]
    assert list(find_missing_terms("The arrow.", "Der Pfeil.", terms, "de")) == ["arrow is to be →"]
    assert list(find_missing_terms("The arrow.", "Der →.", terms, "de")) == []
