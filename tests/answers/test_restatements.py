"""Pairs whose answer only says its question again are left out, and the others are kept."""

from __future__ import annotations

import pytest

from syphus.answers.cleaning import GENERAL_RULES, Cleaned, Context, clean
from syphus.types import Pair, Query

RULE = "only repeats its question"
SOUND = Pair("Who walks along the road?", "A woman with a dog does.")


def cleaned(*pairs: Pair) -> Cleaned:
    return clean(pairs, GENERAL_RULES, Context(Query("q", "a woman with a dog walks along the road")))


@pytest.mark.parametrize(
    ("question", "answer"),
    [  # all but the last two are of a real model
        ("Where is the black car located in the second image?", "It is located in the second image."),
        ("Where is the person in the distance in the left image?", "In the left image."),
        ("How many more cars are there in the street?", "More cars are present in the street."),
        ("What is the new person walking out of the lot?", "The new person is walking out of the lot."),
        ("What dog is pulling the sled with a boy on it?", "The dog is pulling the sled with a boy on it."),
        ("In which picture is the white car?", "The white car is shown in the picture."),
        ("Where is the white car in image 2?", "The white car is in image 2."),
    ],
)
def test_a_pair_that_says_nothing_is_left_out(question: str, answer: str) -> None:
    kept = cleaned(SOUND, Pair(question, answer))
    assert kept.pairs == (SOUND,)
    assert kept.repairs == {RULE: 1}
    assert kept.rejections == {}
    assert set(cleaned(Pair(question, answer)).rejections) == {RULE}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is the man gone?", "The man is gone."),
        ("Is the man standing where the car was?", "The man is standing where the car was."),
        ("Which is larger, the dog or the cat?", "The cat is the larger."),
        ("Of the dog and the cat, which is larger?", "The dog is the larger."),
        ("How many of the two men are sitting?", "The two men are sitting."),
        ("What hangs on the wall?", "A picture hangs on the wall."),
        ("What hangs on the wall?", "Pictures hang on the wall."),
        ("What is in the window?", "In the window is a display."),
        ("Who picked up the cup?", "You picked up the cup."),
        ("What is he doing on the roof?", "He is doing it with the roof."),
        ("How many cars are there?", "There is one car there."),
        ("How many people stand before house 4?", "There are 4 people before it."),
        ("How many of them stand before house four?", "Four stand before it."),
        ("What is the number on door 12?", "The number on it is 12."),
        ("Which way does the arrow point?", "Up."),
        ("Where is the couch?", "There, on the left."),
        ("Repeat: the cat is there.", "The cat is there."),
        ("What is on the sign?\nThe sign is a red one.", "The sign is a red one."),
        ("Which tag stands for the image?", "The tag <image> stands for it."),
        ("椅子在哪里？", "椅子在哪里。"),
    ],
)
def test_an_answer_in_the_words_of_its_question_may_be_one(question: str, answer: str) -> None:
    assert RULE not in {*cleaned(Pair(question, answer)).rejections, *cleaned(Pair(question, answer)).repairs}


def test_a_conversation_ends_before_the_round_that_says_nothing() -> None:
    said = [("Who is there?", "A woman."), ("Where is the dog?", "There the dog is."), ("And then?", "She goes home.")]
    rounds = [Pair(*each, f"SN_INS_s_activity0_round{number}") for number, each in enumerate(said)]
    other = Pair("What else?", "A road.", "SN_INS_s_activity1_round0")
    kept = cleaned(*rounds, other)
    assert kept.pairs == (rounds[0], other)
    assert kept.repairs == {RULE: 2}
