"""Conversations about a photo claim nothing that its captions do not hold, but may explain."""

from __future__ import annotations

from syphus import Pair, Query
from syphus.answers.cleaning import Context, clean
from syphus.plugins.discovery import find_plugin
from syphus.runs.generate import cleaning_rules

CAPTIONS = "A cat sleeps on a red couch.\nA kitten lies on a sofa next to two pillows."


def rejected(question: str, answer: str) -> set[str]:
    rules = cleaning_rules(find_plugin("LlavaConversation.llava").create())
    pairs = (Pair("Where is the cat?", "It is on the couch."), Pair(question, answer))
    return set(clean(pairs, tuple(rules), Context(Query("1", CAPTIONS))).rejections)


def test_what_no_caption_holds_is_rejected() -> None:
    assert rejected("What is beside the cat?", "A lantern stands beside the cat.")
    assert rejected("How many pillows are there?", "There are five pillows.")
    assert rejected("What colour is the couch?", "The couch is green.")


def test_what_the_captions_hold_or_explains_them_is_not() -> None:
    assert not rejected("What does the cat do?", "The kitten sleeps on the sofa, next to two pillows.")
    assert not rejected("Why do cats sleep so much?", "They may save strength for hunting mice and birds.")
