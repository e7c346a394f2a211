"""FunQA's three datasets: records by their task, and translations, choices and dialogues as pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syphus.answers.cleaning import Context, clean
from syphus.errors import InputError
from syphus.plugins.contract import AbstractDataset, queries
from syphus.plugins.discovery import find_plugin
from syphus.runs.generate import cleaning_rules
from syphus.types import Pair, Query

VIDEO = "H_A_101_1433_1631"


def dataset(kind: str) -> AbstractDataset:
    return find_plugin(f"FunQA_{kind}.funqa", installed="none").create()


def record(task: str, output: object, video: str = VIDEO) -> dict[str, object]:
    return {
        "instruction": f"ask {task}",
        "visual_input": f"{video}.mp4",
        "output": output,
        "task": task,
        "ID": "train_1",
    }


def save(path: Path, *records: object) -> Path:
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def test_all_texts_are_translated_and_nothing_else(tmp_path: Path) -> None:
    records = [record(f"H{number}", f"text {number}") for number in (1, 2, 3, 4)]
    records += [record("C4", "title", "C_1"), record("C5", "7", "C_1"), record("H2", "another", VIDEO)]
    found = list(queries(dataset("translation"), save(tmp_path / "a.json", *records)))
    assert [query.id.rpartition("_")[0] for query in found] == [
        f"{VIDEO}_H2",
        f"{VIDEO}_H3",
        f"{VIDEO}_H4",
        "C_1_C4",
        f"{VIDEO}_H2",
    ]
    assert len({query.id for query in found}) == 5
    assert [query.text for query in found] == ["text 2", "text 3", "text 4", "title", "another"]
    assert found[0].meta == {"instruction": "ask H2"}


def test_a_translation_is_six_answers_to_the_question_of_the_record() -> None:
    query = Query("v_H2_000000", "他摔倒了。", meta={"instruction": "What happens?"})
    lines = ["CH2Eng Translation: He falls.", *(f"Expansion_with_Eng_{n}: Wording {n}." for n in range(1, 6))]
    parsed = dataset("translation").parse_response("\n".join(lines), query)
    assert parsed.problems == ()
    assert parsed.pairs == (
        Pair("What happens?", "He falls."),
        *(Pair("What happens?", f"Wording {n}.") for n in range(1, 6)),
    )
    assert dataset("translation").related(parsed.pairs, 3) == ()
    assert rejected("translation", *parsed.pairs) == []
    assert rejected("translation", Pair("q", "He falls."), Pair("q", "he falls")) == ["two wordings are the same"]
    assert rejected("translation", Pair("为什么?", "他 falls.")) == ["not in English"]
    missing = dataset("translation").parse_response("\n".join(lines[:-1]), query)
    assert missing.problems == ("missing: Expansion_with_Eng_5",)


def rejected(kind: str, *pairs: Pair) -> list[str]:
    return list(clean(pairs, cleaning_rules(dataset(kind)), Context(Query("q", ""))).rejections)


@pytest.mark.parametrize("kind", ["mcqa", "dia"])
def test_what_is_seen_and_why_it_surprises_make_one_query_a_video(tmp_path: Path, kind: str) -> None:
    records = [
        record("H3", "because"),  # the reason may come before what is seen
        record("M2", "a trick", "M_1"),
        record("H2", "he falls"),
        record("H2", "he slips"),
        record("H4", "a title"),
        record("C5", "9", "C_1"),
        record("C3", "an idea", "C_2"),
    ]
    found = list(queries(dataset(kind), save(tmp_path / "a.json", *records)))
    assert [(query.id, query.text) for query in found] == [
        (VIDEO, "description: he falls\ncounter-intuitive reason: because"),
        ("M_1", "description: a trick"),
        ("C_2", "counter-intuitive reason: an idea"),
    ]


@pytest.mark.parametrize("kind", ["translation", "mcqa", "dia"])
def test_frames_come_from_the_listing(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path / "a.json", record("H2", "he falls"))
    assert next(queries(dataset(kind), path)).image_ids == ()
    (tmp_path / "frames.txt").write_text(f"{VIDEO}/10.png\n./{VIDEO}/9.png\n\nother/0.png\n", encoding="utf-8")
    assert next(queries(dataset(kind), path)).image_ids == (f"FUNQA_IMG_{VIDEO}_9", f"FUNQA_IMG_{VIDEO}_10")


BAD_LISTINGS = {
    "a name without a folder": (
        f"{VIDEO}/1.png\nx.png",
        "line 2: a path such as scene0000_00/color/000100.jpg is expected",
    ),
    "another video": ("other/1.png", f"no frames of {VIDEO}"),
}


@pytest.mark.parametrize(("listing", "problem"), BAD_LISTINGS.values(), ids=BAD_LISTINGS)
def test_a_wrong_listing_is_reported(tmp_path: Path, listing: str, problem: str) -> None:
    path = save(tmp_path / "a.json", record("H2", "he falls"))
    (tmp_path / "frames.txt").write_text(listing, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        list(queries(dataset("dia"), path))
    assert problem in str(caught.value)
    assert str(tmp_path / "frames.txt") in str(caught.value)


BAD = {
    "an unknown task": (record("H9", "x"), "\"task\" must be H1 to H4, C1 to C5 or M1 to M3, this is 'H9'"),
    "no task": ({"visual_input": "v.mp4"}, 'no "task"; it has visual_input'),
    "no video": (record("H2", "x", ""), '"visual_input" names no video'),
    "a number for text": (record("H2", 3), '"output" must be text, this is a whole number'),
}


@pytest.mark.parametrize("kind", ["translation", "mcqa", "dia"])
@pytest.mark.parametrize(("bad", "problem"), BAD.values(), ids=BAD)
def test_a_malformed_record_is_reported_with_its_number(tmp_path: Path, kind: str, bad: object, problem: str) -> None:
    path = save(tmp_path / "a.json", record("H2", "fine"), bad)
    with pytest.raises(InputError) as caught:
        list(queries(dataset(kind), path))
    assert str(caught.value) == f"{path}: record 2 (line 1): {problem}"


def item(number: int, options: int = 5, right: int = 0) -> str:
    lines = [f"Options {place}: Option {number}.{place}." for place in range(1, options + 1)]
    return "\n".join([f"Question: Question {number}?", *lines, f"Answer: {right or number}"])


def test_a_choice_is_a_question_with_its_options_and_the_right_one() -> None:
    parsed = dataset("mcqa").parse_response("\n\n".join(map(item, range(1, 6))), Query("v", ""))
    assert parsed.problems == ()
    assert parsed.pairs[1] == Pair(
        "Question 2?\n(1) Option 2.1.\n(2) Option 2.2.\n(3) Option 2.3.\n(4) Option 2.4.\n(5) Option 2.5.",
        "(2) Option 2.2.",
    )
    assert rejected("mcqa", *parsed.pairs) == []
    assert list(dataset("mcqa").related(parsed.pairs, 2)) == [1, 3, 4, 5]


def test_another_number_of_questions_or_options_is_a_problem() -> None:
    four = dataset("mcqa").parse_response("\n".join(map(item, range(1, 5))), Query("v", ""))
    assert four.problems == ("not 5 questions",)
    short = dataset("mcqa").parse_response("\n".join([item(1, options=4), *map(item, range(2, 6))]), Query("v", ""))
    assert short.problems == ("not 5 options",)


def test_right_options_that_are_all_in_one_place_are_rejected() -> None:
    parsed = dataset("mcqa").parse_response("\n".join(item(n, right=3) for n in range(1, 6)), Query("v", ""))
    assert parsed.problems == ()
    assert rejected("mcqa", *parsed.pairs) == ["the right option is always in the same place"]


def test_a_dialogue_goes_forward_in_short_answers() -> None:
    pairs = [Pair(f"question {number}?", f"answer {number}") for number in range(1, 7)]
    assert rejected("dia", *pairs) == []
    assert [list(dataset("dia").related(pairs, number)) for number in (1, 2, 6)] == [[], [1], [1, 2, 3, 4, 5]]
    assert rejected("dia", *pairs[:5]) == ["not 6 pairs"]
    assert rejected("dia", *pairs[:5], Pair("why?", " ".join(f"word{number}" for number in range(31)))) == [
        "an answer is not 1 to 30 words long"
    ]
    assert rejected("dia", *pairs[:5], Pair("when?", "At 3 seconds.")) == ["names a time of the video"]
