"""What stands around pairs and behind their texts never gets into a pair."""

from __future__ import annotations

import pytest
from dirty_answers import A1, A2, DIRTY, DIRTY_THREE, Q1, Q2, THREE

from syphus import Pair, Query
from syphus.answers.cleaning import GENERAL_RULES, Cleaned, Context, clean
from syphus.answers.parsing import parse_conversations, parse_keyed_lines, parse_pairs, parse_plain_text

CLEAN = (Pair(Q1, A1), Pair(Q2, A2))


def judged(text: str) -> Cleaned | None:
    """The cleaned pairs of an answer, or None if it can't be used."""
    parsed = parse_pairs(text)
    found = clean(parsed.pairs, GENERAL_RULES, Context(Query("q", "bird number 000 sits on a branch")))
    return None if parsed.problems or found.rejections else found


def test_nothing_but_the_pairs_gets_into_pairs() -> None:
    right = (CLEAN, tuple(Pair(*each) for each in THREE))
    found = [(family, text, judged(text)) for family, text in (*DIRTY, *DIRTY_THREE)]
    assert [each for each in found if each[2] is not None and each[2].pairs not in right] == []


def test_most_answers_can_be_used_without_asking_again() -> None:
    texts = [text for _, text in (*DIRTY, *DIRTY_THREE)]
    assert sum(judged(text) is not None for text in texts) >= 0.85 * len(texts)


@pytest.mark.parametrize(
    "line",
    [
        "QA_GT_caption_based_noisy",
        "(2 pairs)",
        "---\n\n*Note: I based these pairs on the captions given.*",
        "[END]",
        "___",
    ],
)
def test_a_line_that_is_taken_off_is_counted(line: str) -> None:
    found = judged(f"Question: {Q1}\nAnswer: {A1}\n\nQuestion: {Q2}\nAnswer: {A2}\n\n{line}")
    assert found is not None
    assert found.pairs == CLEAN
    assert set(found.repairs) == ({"line behind a text"} if line != "___" else set(found.repairs))


@pytest.mark.parametrize(
    "answer",
    [
        "The robin sings.\n\nNote: the magpie is silent.",
        "There are two.\n\n(One is hidden.)",
        "It reads:\nEND",
        "It lists what to buy:\n\nSources: none\n\nCaption: birds",
        "The list is here.\n\n1. nuts\n2. seeds",
        "Both sing.\n\nThe robin sings louder.",
        "He sings.\n\n[He laughs]",
        "She leaves.\n\n*Silence.*",
        "The code ends here.\n\n```\nEND\n```",
        "They want to know more.\n\nWho lives there?",
    ],
)
def test_an_honest_last_line_stays(answer: str) -> None:
    found = judged(f"Question: {Q1}\nAnswer: {A1}\n\nQuestion: {Q2}\nAnswer: {answer}")
    assert found is not None
    assert found.pairs[1].answer == answer
    assert not found.repairs


def texts_of(form: str, text: str) -> list[Pair]:
    """The pairs that a plugin makes of an answer in another form."""
    if form == "keyed lines":
        keyed = parse_keyed_lines(text, ["Title", "Text_1"])
        assert not keyed.problems
        return [Pair(f"What is {key}?", text) for key, text in keyed.texts.items()]
    if form == "conversations":
        talks = parse_conversations(text)
        assert not talks.problems
        return [Pair(each.human, each.assistant) for talk in talks.conversations for each in talk.rounds]
    plain = parse_plain_text(text)
    assert not plain.problems
    return [Pair("Describe it.", plain.text)]


FORMS = {
    "keyed lines": "Title: He falls.\nText_1: A man falls down.",
    "conversations": "Conversation 1 - Eat\nHuman role: A cook\nreason: There is a stove.\n"
    "Round 1:\nHuman: Where can we eat?\nAssistant: At the table.",
    "plain text": "A man falls down.",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "mark",
    [
        "</s>",
        "<|im_end|>",
        "[1]",
        "\u30104:0\u2020source\u3011",
        "\n\n[END]",
        "\n\nI hope this helps!",
        "\n\nQA_GT_noisy",
    ],
)
def test_every_form_of_answers_is_cleaned_alike(form: str, mark: str) -> None:
    context = Context(Query("q", "a man"))
    wanted = clean(texts_of(form, FORMS[form]), GENERAL_RULES, context)
    found = clean(texts_of(form, FORMS[form] + mark), GENERAL_RULES, context)
    assert not found.rejections
    assert found.pairs == wanted.pairs
    assert sum(found.repairs.values()) == (mark != "<|im_end|>")  # which the parser knows as a wrapper
