"""What models say of their own work, in any language: drafts, citations, sources, courtesies, evaluations, hashtags."""

from __future__ import annotations

import pytest

from syphus import Pair, Query
from syphus.answers.cleaning import GENERAL_RULES, Context, clean
from syphus.answers.parsing import parse_pairs, parse_plain_text, render_pairs

FIRST, LAST = Pair("Which bird is there?", "A robin sits there."), Pair("What does it do?", "It lands on the feeder.")
PAIRS = render_pairs([FIRST, LAST])
DRAFT = "Question: What could be asked?\nAnswer: This is only a draft."


def pairs_of(text: str) -> tuple[Pair, ...] | None:
    """The cleaned pairs of an answer, or None if it can't be used."""
    parsed = parse_pairs(text)
    found = clean(parsed.pairs, GENERAL_RULES, Context(Query("q", "bird number 000 sits on a branch")))
    return None if parsed.problems or found.rejections else found.pairs


MARKS = [
    ("=== DRAFT ===", "=== FINAL ==="),
    ("=== DRAFT ===", "=== END DRAFT ==="),
    ("--- Brouillon ---", "--- Version finale ---"),
    ("*** THINKING ***", "*** OUTPUT ***"),
    ("[ENTWURF]", "[ANTWORT]"),
    ("=== 草稿 ===", "=== 答案 ==="),
    ("## Draft", "## Final"),
    ("Draft:", "Final:"),
    ("~~~ scratch ~~~", "~~~ result ~~~"),
    ("===== Attempt 1 =====", "===== Attempt 2 ====="),
    ("<<<NOTES>>>", "<<<PAIRS>>>"),
]


@pytest.mark.parametrize(("opener", "mark"), MARKS)
def test_no_pair_of_a_draft_between_marks_is_taken(opener: str, mark: str) -> None:
    for text in (f"{opener}\n{DRAFT}\n{mark}\n{PAIRS}", f"{opener}\n{DRAFT}\n\n{mark}\n\n{PAIRS}"):
        assert pairs_of(text) in (None, (FIRST, LAST))


def test_a_draft_that_is_closed_is_left_out() -> None:
    assert pairs_of(f"=== DRAFT ===\n{DRAFT}\n=== END DRAFT ===\n{PAIRS}") == (FIRST, LAST)


def test_labels_and_separators_between_pairs_are_no_marks() -> None:
    for between in ("=== Pair 2 ===", "[END]", "***", "-- 2 --"):
        opener = between.replace("2", "1") + "\n" if "2" in between else ""
        text = f"{opener}{render_pairs([FIRST])}\n{between}\n{render_pairs([LAST])}"
        assert pairs_of(text) == (FIRST, LAST), between


@pytest.mark.parametrize(
    "text",
    [
        f"<think\n>{DRAFT}</think\n>\n{PAIRS}",
        f"<thinking\n type='a'>\n{DRAFT}\n</thinking>\n{PAIRS}",
        f"{DRAFT}</think\n>\n{PAIRS}",
        f"<\nreasoning\n>\n{DRAFT}</reasoning>\n{PAIRS}",
        f"<analysis\n>\n{DRAFT}\n</analysis\n>\n{PAIRS}",
        f"<answer\n>\n{PAIRS}\n</answer\n>",
        f"<![CDATA[{PAIRS}]]>",
        f"<pairs>\n<![CDATA[\n{PAIRS}\n]]>\n</pairs>",
        f"{PAIRS}]]>",
        PAIRS.replace(LAST.answer, f"<![CDATA[{LAST.answer}]]>"),
    ],
)
def test_tags_over_two_lines_and_cdata_are_no_part_of_an_answer(text: str) -> None:
    assert pairs_of(text) == (FIRST, LAST)


CITATIONS = [
    "{1}", "{1,2}", "{1}{2}", "{{1}}", "[ 1 ]", "[#1]", "[*1]", "[¹]", "\u27e61\u27e7", "\u20451\u2046", "［1］",
    "<1>", "[fn1]", "{ref1}", "\\footnote{a caption}", "\\[1\\]", "$^{1}$", "^{1}", "^1",
]  # fmt: skip


@pytest.mark.parametrize("mark", CITATIONS)
def test_citations_in_any_brackets_are_taken_off(mark: str) -> None:
    for answer in (f"A robin sits there{mark}.", f"A robin sits there.{mark}"):
        assert pairs_of(render_pairs([Pair(FIRST.instruction, answer), LAST])) == (FIRST, LAST)


BEHIND = [
    # footnotes and sources
    "[^1]: caption one", "[^1]: The caption.\n[^2]: https://birds.example", "{1}: caption", "[1] caption one.",
    "¹ caption one", "^1 Caption", "— Source: caption 1", "- Source: caption", "→ source: caption",
    "— Quelle: Bildunterschrift", "Fuente: leyenda 1", "出典：キャプション", "— Caption 1",
    # courtesies
    "N'hésitez pas à me demander d'autres paires !", "Voulez-vous que j'en génère davantage ?",
    "Lassen Sie mich wissen, ob Sie mehr brauchen.", "¡Espero que te sea útil!", "Avísame si necesitas algo más.",
    "Fammi sapere se ti serve altro.", "Espero ter ajudado!", "Laat me weten als je meer wilt.", "希望对您有帮助！",
    "他に必要なものがあればお知らせください。", "더 필요하시면 말씀해 주세요.", "هل تريد المزيد من الأسئلة؟",
    "Дайте знать, если нужно больше.", "Cordialement",
    # hashtags
    "#bird #robin", "#nature", "Tags: #bird #robin", "#小鸟 #树枝",
    # evaluations
    "Self-evaluation:\n- Accuracy: 5/5\n- Clarity: 4/5", "**Self-Evaluation**\nThe answers are good.",
    "Self-check:\n✓ grounded\n✓ short", "## Review\n- grounded\n- short",
    "Critique: The second answer could be longer.", "Self-evaluation\n\nThe pairs are good.\n\nScore: 5/5",
    "Selbstbewertung: Beide Antworten sind richtig.", "Auto-évaluation : les deux réponses sont exactes.",
    "自我评估：两个回答都准确。", "자체 평가: 두 답변 모두 정확합니다.", "تقييم ذاتي: الإجابتان دقيقتان.",
    "注：以上问答基于图片描述。", "Improvements: none.", "Score breakdown:\nAccuracy: 5\nFluency: 5",
]  # fmt: skip


@pytest.mark.parametrize("part", BEHIND)
def test_nothing_behind_the_last_answer_gets_into_it(part: str) -> None:
    for joint in ("\n\n", "\n"):
        assert pairs_of(f"{PAIRS}{joint}{part}") in (None, (FIRST, LAST))


def test_most_of_them_cost_no_second_request() -> None:
    found = [pairs_of(f"{PAIRS}\n\n{part}") for part in BEHIND]
    assert found.count(None) <= 0.15 * len(BEHIND)


FRENCH = [
    Pair("Quel oiseau est là ?", "Un rouge-gorge est posé sur la branche."),
    Pair("Que fait-il ?", "Il mange des graines dans la mangeoire."),
]


@pytest.mark.parametrize(
    "part", ["N'hésitez pas à demander d'autres questions !", "Souhaitez-vous autre chose ?", "Évaluation : 5/5"]
)
def test_a_courtesy_in_the_language_of_the_answers_is_taken_off(part: str) -> None:
    assert pairs_of(f"{render_pairs(FRENCH)}\n\n{part}") == tuple(FRENCH)


@pytest.mark.parametrize(
    "assent", ["Sure! ", "Of course, ", "Great question! ", "Bien sûr ! ", "Gerne! ", "¡Claro! ", "Certo! ", "当然！"]
)
def test_a_courtesy_before_an_answer_is_taken_off(assent: str) -> None:
    assert pairs_of(render_pairs([Pair(FIRST.instruction, assent + FIRST.answer), LAST])) == (FIRST, LAST)


@pytest.mark.parametrize(
    "line", ["Bien sûr ! Voici une description :", "Gerne! Hier ist die Beschreibung:", "好的！这是描述：", "Voici :\n"]
)
def test_a_plain_text_that_is_announced_is_a_problem(line: str) -> None:
    assert parse_plain_text(f"{line}\nUn oiseau est là. Il chante.").problems == ("speaks before it begins",)
    assert not parse_plain_text("Le panneau dit :\n\nSTOP").problems
