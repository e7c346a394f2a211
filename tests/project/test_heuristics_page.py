"""The page about the heuristics is true: every example on it gets the score and the note that it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scenes import candidate

from syphus.answers.scoring import HEURISTICS, Candidate, ScoringContext, score_all
from syphus.cold_start.evaluation import Thresholds
from syphus.types import Message, Pair, Query

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "heuristics.md").read_text("utf-8")
BLOCKS = re.findall(r"^\*\*(.+)\*\*\n\n```text\n((?:.*\n)*?)```\n(?:\n> (.+)\n)?", PAGE, re.MULTILINE)
ANNOTATION = next(text for name, text, _ in BLOCKS if name == "The annotation")
GOOD = next(text for name, text, _ in BLOCKS if name == "A good answer")
EXAMPLES = [block for block in BLOCKS if block[0] not in ("The annotation", "A good answer")]

_KNIGHT = "Question: What does he do?\nAnswer: A knight polishes his dented helmet."
_OTHER = Candidate(Query("o", "A dragon."), (Pair("Who is it?", "A sleepy dragon guards the silver treasure."),), "")
BACKGROUND = ScoringContext(
    "Write exactly three pairs of a question and an answer.",
    (Message(role="user", content="A knight."), Message(role="assistant", content=_KNIGHT)),
    others=(_OTHER,),
)


@pytest.mark.parametrize(("named", "text", "note"), EXAMPLES)
def test_an_example_gets_the_score_and_the_note_of_the_page(named: str, text: str, note: str) -> None:
    name, _, score = named.rpartition(": ")
    (scored,) = score_all([candidate(Query("q", ANNOTATION), text)], BACKGROUND)
    assert (f"{scored.scores[name]:.2f}", scored.notes.get(name, "")) == (score, note)


def test_the_good_answer_is_good_in_every_way() -> None:
    (scored,) = score_all([candidate(Query("q", ANNOTATION), GOOD)], BACKGROUND)
    assert {name: f"{score:.2f}" for name, score in scored.scores.items()} == {h.name: "1.00" for h in HEURISTICS}
    assert (f"{scored.total:.2f}", dict(scored.notes)) == ("1.00", {})


def test_every_heuristic_is_in_the_table_with_its_numbers_and_has_an_example() -> None:
    for each in HEURISTICS:
        link = each.name.replace(" ", "-")
        assert f"| [`{each.name}`](#{link}) | {each.weight:g} | {each.floor or ''} | {each.explained} |" in PAGE
        assert f"\n## `{each.name}`\n" in PAGE
    assert {name.rpartition(": ")[0] for name, _, _ in EXAMPLES} == {each.name for each in HEURISTICS}


def test_the_page_names_the_thresholds_of_the_proof() -> None:
    wanted = Thresholds()
    assert (
        f"{wanted.valid_share:.0%} of the answers are valid, the mean score is at least {wanted.mean_score:.2f}"
        in " ".join(PAGE.split())
    )
