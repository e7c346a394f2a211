"""Citation marks: those that point at nothing are taken off, and sound brackets stay."""

from __future__ import annotations

import json

import pytest
from sound_answers import SOUND

from syphus import Pair, Query
from syphus.answers.cleaning import GENERAL_RULES, Cleaned, Context, clean
from syphus.answers.parsing import parse_pairs, render_pairs

ANNOTATION = "a robin sits on a branch"


def cleaned(*pairs: Pair, annotation: str = ANNOTATION) -> Cleaned:
    return clean(pairs, GENERAL_RULES, Context(Query("q", annotation)))


MARKS = [
    "[1].",
    " [1][3].",
    "【4:0†source】.",
    " [12†source].",
    ".[4:1†L3-L9]",
    "〔1†L3-L9〕.",
    "[^1^].",
    ".[^2]",
    " (source: www.birds.example).",
    "¹.",
    ".²³",
    "<sup>[1]</sup>.",
    "<sup>2</sup>.",
    ":contentReference[oaicite:0]{index=0}.",
    " [citation:3].",
    " [1, 2].",
    " [source: caption 1].",
    " [1](https://birds.example/robin).",
    " \ue200cite\ue202turn0search1\ue201.",
    "[[1]](https://birds.example).",
    " [1-3].",
    " <cite>caption 1</cite>.",
    " ([birds.example](https://birds.example/?utm_source=openai)).",
    ".[1]",
    " [Source 2].",
    "【1】.",
    " [ref_1].",
    " <ref>1</ref>.",
    " 【source】.",
    " ^[1]^.",
    " [doc1].",
    " [web:1].",
    "{{cite:1}}.",
    " [^source].",
    ". [1][2]",
    "[^note].",
    "<citation>4</citation>.",
    " (Ref: 12).",
]


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_that_points_at_nothing_is_taken_off(mark: str) -> None:
    found = cleaned(Pair("Which bird is it?", f"A robin sits there{mark}"), Pair("What does it do?", "It sings."))
    assert found.pairs[0].answer == "A robin sits there."
    assert found.repairs["citation mark"] >= 1
    assert not found.rejections


def test_marks_are_taken_off_questions_and_the_middle_of_sentences_too() -> None:
    found = cleaned(Pair("Which bird is it[1]?", "The robin[2] sits, and the magpie [3] flies away[4]."))
    assert found.pairs == (Pair("Which bird is it?", "The robin sits, and the magpie flies away."),)
    assert found.repairs["citation mark"] == 4


def test_a_number_that_may_be_an_index_is_no_data() -> None:
    assert cleaned(Pair("Which bird?", "The robin[1] sits there.")).rejections == {
        "a mark that may be a citation": "answer 1: [1]"
    }


def test_what_the_annotation_or_the_question_holds_stays() -> None:
    pair = Pair("Which bird is it?", "A robin [1].")
    assert cleaned(pair, annotation="[1] robin [2] magpie").pairs == (pair,)
    pair = Pair("What does [2] mean?", "The magpie flies [2].")
    assert cleaned(pair).pairs == (pair,)


def test_a_sound_answer_stays_as_it_is() -> None:
    """As the only pair, the first and the last, in lines and as JSON."""
    changed = []
    for item in SOUND:
        pair, other = Pair(item[0], item[1]), Pair("Where is the feeder?", "It is near the wall.")
        for pairs in ((pair,), (pair, other), (other, pair)):
            listed = [{"question": each.instruction, "answer": each.answer} for each in pairs]
            for text in (render_pairs(pairs), json.dumps({"pairs": listed}, ensure_ascii=False)):
                parsed = parse_pairs(text)
                found = cleaned(*parsed.pairs, annotation=item[2] if len(item) > 2 else ANNOTATION)
                if (parsed.pairs, parsed.problems, found) != (pairs, (), Cleaned(pairs)):
                    changed.append((text, parsed, found))
    assert changed == []
