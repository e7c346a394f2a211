"""Answers of another kind than their question wants are left out if that is sure, and else doubted."""

from __future__ import annotations

import pytest

from syphus.answers.cleaning import GENERAL_RULES, Cleaned, Context, clean
from syphus.types import Pair, Query

RULE = "does not answer its question"
SOUND = Pair("Who walks along the road?", "A woman with a dog does.")


def cleaned(*pairs: Pair) -> Cleaned:
    return clean(pairs, GENERAL_RULES, Context(Query("q", "a woman with a dog walks along the road")))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many sheep are on the hill?", "The sheep are on the hill behind the barn."),
        ("In the left image, how many more boats are there?", "There are more boats in the harbour than before."),
        ("Can you spot a difference between the two pictures?", "Yes, there are no differences between the pictures."),
        ("Is the gate open?", "Yes, the gate isn't open."),
        ("Is the boy sitting on the wall?", "No, the boy is sitting on the wall."),
        ("What is the boy holding?", "Yes, the boy is holding a kite."),
        ("What is in the drawer?", "The drawer is next to the bed."),
        ("What is in the blue car?", "The blue car parked in front of the shop."),
        ("What are the shoes?", "They are shoes."),
        ("Where is the cat in the first image?", "In the image."),
    ],
)
def test_what_is_no_answer_is_left_out(question: str, answer: str) -> None:
    kept = cleaned(SOUND, Pair(question, answer))
    assert kept.pairs == (SOUND,)
    assert kept.rejections == {}
    alone = cleaned(Pair(question, answer))
    assert len(alone.rejections) == 1
    assert alone.doubts == {}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where is the skier?", "He is racing an older man."),
        ("What colour is the boat?", "The boat lies in the harbour."),
        ("What is the lamp?", "The lamp hangs over the table."),
        ("Is the cat asleep on the couch?", "No, the cat is asleep on the sofa."),
        ("Who stands at the window?", "The window is open."),
        ("Does the horse graze?", "The barn is made of old planks."),
        ("What has the boy painted?", "The boy is painting it."),
        ("What do you see on the roof?", "No, a stork does."),
        ("How many kites are in the air?", "There is a lake in front of the hills."),
        ("Which animal is on the roof?", "The gutter is broken."),
        ("Which vehicle is new in the second image, and where is it?", "There are people on the stairs now."),
        ("What is in the pot?", "The pot is a red one from the shop."),
        ("What are the bushes?", "The bushes are being trimmed."),
        ("Who is being examined?", "Someone is being examined."),
        ("What does the boy carry?", "The sun is shining."),
        ("Why does the man wear a mask?", "He stands on a ladder."),
    ],
)
def test_what_may_be_no_answer_is_kept_and_doubted(question: str, answer: str) -> None:
    kept = cleaned(SOUND, Pair(question, answer))
    assert kept.pairs == (SOUND, Pair(question, answer))
    assert kept.rejections == {}
    assert RULE in kept.doubts


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many sheep are there?", "A flock of sheep."),
        ("How many people sing?", "A woman."),
        ("How many boats are left?", "None of them."),
        ("How many people sing?", "Anna and Tom."),
        ("Can you spot a difference?", "Yes, there is no boat any more."),
        ("Is the boat gone?", "Yes, there is no boat."),
        ("Is the gate still shut?", "No, the gate is open."),
        ("Is the gate not open?", "Yes, the gate is not open."),
        ("Is the man on the left tall?", "No, the man on the right is."),
        ("Is there a dishwasher?", "No dishwasher is to be seen."),
        ("Are there any grown-ups?", "No adults can be seen."),
        ("Which animal is on the roof?", "A stork."),
        ("Which animal is on the roof, and what is it doing?", "The stork is building a nest."),
        ("What is on the wall?", "The wall is empty."),
        ("What is the gardener doing?", "The gardener is resting."),
        ("How does the video end?", "The woman has left."),
        ("Why does the man wear a mask?", "It protects him from the dust, so that he can breathe."),
        ("Is it red or blue?", "Yes, it is."),
        ("What has changed?", "No change."),
        ("What colour is the boat?", "It has the colour of the sea."),
        ("What colour is the boat?", "Reddish."),
        ("Where is the skier?", "Uphill."),
        ("Where is the skier?", "The skier can't be seen any more."),
        ("What is on the table?", "The table is set with plates and cups."),
        ("What is the man wearing?", "The man is in a suit."),
        ("What is the main thing in the image?", "The main thing in the image is a parasol."),
        ("What hangs on the wall?", "A picture hangs on the wall."),
        ("Is the car red, and where is it?", "The street is wet."),
        ("Does the horse graze?", "The pony is eating grass."),
        ("Describe the photo.", "A barn in the fog."),
        ("¿Dónde está el gato?", "El gato duerme."),
    ],
)
def test_what_may_well_be_an_answer_is_neither_left_out_nor_doubted(question: str, answer: str) -> None:
    kept = cleaned(Pair(question, answer))
    assert kept.pairs
    assert kept.rejections == {}
    assert RULE not in {*kept.repairs, *kept.doubts}
