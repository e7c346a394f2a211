"""Parrots, which hand on the annotation or repeat their question, are never chosen; sound answers lose nothing."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from scenes import SYSTEM, planted, scene

from syphus.answers.parsing import parse_pairs, render_pairs
from syphus.answers.scoring import HEURISTICS, Candidate, Scored, ScoringContext, score_all
from syphus.cold_start.example_selection import choose
from syphus.plugins.prompts import read_prompt, to_prompt_template
from syphus.types import Pair, Query

PROMPTS = Path(__file__).resolve().parents[2] / "prompts"
AGAINST_PARROTS = {"own words", "says more"}
ROOM = "A bare room with a toilet.\nA toilet without a seat stands in an empty room.\nThe toilet is next to two sinks."


def scored(annotation: str, *pairs: tuple[str, str]) -> Scored:
    texts = tuple(Pair(*pair) for pair in pairs)
    return score_all([Candidate(Query("q", annotation), texts, render_pairs(texts))], ScoringContext())[0]


def shipped() -> list[tuple[str, str, tuple[Pair, ...]]]:
    """The examples in the prompts that Syphus comes with and whose answers are pairs."""
    found = []
    for path in sorted(PROMPTS.glob("*.yaml")):
        turns = to_prompt_template(read_prompt(path), str(path)).in_context
        for number in range(0, len(turns), 2):
            pairs = parse_pairs(turns[number + 1]["content"]).pairs
            found += [(f"{path.stem} {number // 2 + 1}", turns[number]["content"], pairs)] * bool(pairs)
    return found


@pytest.mark.parametrize(("annotation", "pairs"), [pytest.param(*each, id=name) for name, *each in shipped()])
def test_the_examples_of_shipped_prompts_say_more(annotation: str, pairs: tuple[Pair, ...]) -> None:
    (example,) = score_all([Candidate(Query("q", annotation), pairs, "")], ScoringContext())
    assert not AGAINST_PARROTS & set(example.barred)
    assert min(example.scores[name] for name in AGAINST_PARROTS) >= 0.75


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What type of toilet is shown in a bare room?", "A toilet is shown in a bare room."),  # of a real model
        ("Which toilet stands next to two sinks?", "The toilet stands next to two sinks."),
        ("Where in the bare room is the toilet?", "The toilet is in the bare room."),
        ("What colour are the white sinks?", "The sinks are white."),
        ("What is the difference between the two pictures?", "The pictures show a difference."),
        ("What does the photo show?", "A toilet without a seat stands in an empty room."),
        ("What is to be seen?", "There is a bare room, and a toilet in it is shown with it."),
        ("Can you describe it?", "A bare room with a toilet. The toilet is next to two sinks."),
    ],
)
def test_a_parrot_is_barred_whatever_else_it_scores(question: str, answer: str) -> None:
    parrot = scored(ROOM, (question, answer))
    assert AGAINST_PARROTS & set(parrot.barred), parrot.scores
    assert parrot.total < 0.5


@pytest.mark.parametrize(
    ("question", "answer", "least"),
    [
        ("What is next to the toilet?", "Right beside it, there are two sinks.", 1.0),
        ("Where is the toilet?", "It is between two sinks.", 1.0),
        ("How many sinks are there?", "There are two sinks.", 0.6),
        ("Is the toilet a red or a white one?", "It is a white toilet.", 0.6),
        ("Is the toilet complete?", "No, the toilet is not complete.", 0.75),
        ("Is the toilet broken?", "Yes, it is.", 0.5),
        ("Which of these is it?\n1. A sink.\n2. A toilet.", "2", 1.0),
        ("浴室里有什么？", "空荡荡的房间里有一个马桶和两个水槽。", 1.0),
    ],
)
def test_an_answer_says_more_than_its_question(question: str, answer: str, least: float) -> None:
    assert scored(ROOM, (question, answer)).scores["says more"] >= least


def test_a_name_that_the_annotation_gives_is_no_copy() -> None:
    there = scored(ROOM, ("What stands there?", "A toilet without a seat, which nobody seems to have used for long."))
    assert there.scores["own words"] > 0.9
    assert not AGAINST_PARROTS & set(there.barred)


def _parrot(number: int) -> Candidate:
    """A scene whose sentences are its answers, or are asked for in the words of the answer."""
    query, _ = scene(number, Random(number))
    lines = query.text.splitlines()
    asks = ("What is shown?", "Where was the photo taken?", "What else is there?")
    leading = tuple(f"Which photo shows that {line.rstrip('.').lower()}?" for line in lines)
    pairs = tuple(map(Pair, (asks, leading)[number % 2], lines))
    return Candidate(query, pairs, render_pairs(pairs))


def test_no_parrot_is_chosen_from_a_pool_that_is_full_of_them() -> None:
    sound, _ = planted(12, 0, seed=2)
    parrots = [_parrot(number) for number in range(100, 140)]
    context = ScoringContext(SYSTEM, others=(*sound, *parrots))
    pool = score_all([*parrots, *sound], context)
    others = [each for each in HEURISTICS if each.name not in AGAINST_PARROTS]
    fooled = choose(score_all([*parrots, *sound], context, others), 8, strategy="best")
    keys = {each.key for each in parrots}
    assert {each.candidate.key for each in fooled} & keys  # the other heuristics alone take some
    for strategy in ("best", "diverse", "random"):
        chosen = choose(pool, 8, strategy=strategy)
        assert len(chosen) == 8
        assert not {each.candidate.key for each in chosen} & keys
