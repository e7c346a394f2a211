"""EGO4D.fpv: from processed clips, and from Ego4D's own narrations in both of their shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syphus import Pair
from syphus.answers.cleaning import Context, clean
from syphus.errors import InputError
from syphus.io.text_files import BadRecords
from syphus.plugins.contract import AbstractDataset, queries
from syphus.plugins.discovery import find_plugin, shipped_folder
from syphus.simulator.wording import to_second_person
from syphus.types import Query


@pytest.fixture
def dataset() -> AbstractDataset:
    return find_plugin("EGO4D.fpv", installed="none").create()


def read(dataset: AbstractDataset, folder: Path, content: object) -> list[Query]:
    path = folder / "in.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return list(queries(dataset, path))


def clip(*narrations: tuple[float, str, list[str]]) -> dict[str, object]:
    return {"narrations": [{"time": t, "text": text, "object_description": seen} for t, text, seen in narrations]}


def test_a_clip_is_a_query(dataset: AbstractDataset, tmp_path: Path) -> None:
    processed = {"u-1": {"clips": [
        clip((102.3, "man Y stands beside C", ["white couch with pillows", "a clock"]), (102.4, "C nods", ["a cup"])),
        clip((102.2, "C waves", []), (110.5, "C sits down", ["a chair"])),
    ]}}  # fmt: skip
    first, second = read(dataset, tmp_path, processed)
    assert (first.id, second.id) == ("u-1_clip000000", "u-1_clip000001")
    assert first.text == (
        "timestamp: 102\ndescription: man Y stands beside C\nobjects: white couch with pillows; a clock\n"
        "description: C nods"
    )
    # second 102 was in the clip before, which does not take it from this one
    assert second.text == (
        "timestamp: 102\ndescription: C waves\ntimestamp: 110\ndescription: C sits down\nobjects: a chair"
    )
    assert first.image_ids == tuple(f"E4D_IMG_u-1_{second:08}" for second in range(96, 112))


@pytest.mark.parametrize(
    ("times", "start"), [([0.0], 0), ([15.9, 15.99], 0), ([16], 16), ([10, 20], 10), ([20, 10], 10)]
)
def test_the_frames_of_a_clip_hold_its_narrations(
    dataset: AbstractDataset, tmp_path: Path, times: list[float], start: int
) -> None:
    (query,) = read(dataset, tmp_path, {"u": {"clips": [clip(*((time, "C nods", []) for time in times))]}})
    assert query.image_ids == tuple(f"E4D_IMG_u_{second:08}" for second in range(start, start + 16))


NARRATIONS = [
    (31.99, "#C C opens a door"),
    (5.2, "#O a man X nods"),
    (32.0, "#c c takes #unsure"),
    (5.2, "#O a man X nods"),
]


def in_one_list() -> dict[str, object]:
    told = [{"time": time, "text": text, "annotator_uid": "a"} for time, text in NARRATIONS]
    return {"videos": {"u": {"narrations": told, "summaries": []}, "v": {"status": "redacted"}}}


def in_two_passes() -> dict[str, object]:
    told = [{"timestamp_sec": time, "timestamp_frame": 1, "narration_text": text} for time, text in NARRATIONS]
    passes = {"narration_pass_1": {"narrations": told[:2]}, "narration_pass_2": {"narrations": told[2:]}}
    return {"u": {**passes, "status": "complete"}, "v": {"status": "redacted"}}


@pytest.mark.parametrize("shape", [in_one_list(), in_two_passes()], ids=["one list", "two passes"])
def test_narrations_become_windows_of_sixteen_seconds(
    dataset: AbstractDataset, tmp_path: Path, shape: dict[str, object]
) -> None:
    found = read(dataset, tmp_path, shape)
    assert [(query.id, query.text, query.image_ids[0]) for query in found] == [
        ("u_clip000000", "timestamp: 5\ndescription: a man X nods", "E4D_IMG_u_00000000"),
        ("u_clip000001", "timestamp: 32\ndescription: C opens a door", "E4D_IMG_u_00000016"),
        ("u_clip000002", "timestamp: 32\ndescription: C takes something", "E4D_IMG_u_00000032"),
    ]


@pytest.mark.parametrize(
    ("marked", "plain"),
    [("#C C walks ", "C walks"), ("#C walks", "C walks"), ("# C C walks", "C walks"),
     ("#O man Y cuts C's hair", "man Y cuts C's hair"), ("#Unsure falls", "something falls"),
     ("C# walks", "C# walks"), ("#C Carries a box", "C Carries a box")],
)  # fmt: skip
def test_marks_of_narrations_are_removed(dataset: AbstractDataset, tmp_path: Path, marked: str, plain: str) -> None:
    shape = {"videos": {"u": {"narrations": [{"time": 1, "text": marked}]}}}
    assert [query.text for query in read(dataset, tmp_path, shape)] == [f"timestamp: 1\ndescription: {plain}"]


BAD: dict[str, tuple[object, str]] = {
    "a list": ([1], "in.json: an object is expected at the top of the file, this is an array"),
    "a video of text": ({"u": "x"}, "in.json: record 1 (line 1): a video must be an object"),
    "a video of another dataset": ({"v": {"duration": 1}}, "record 1 (line 1): a video must have one of clips, narra"),
    "no text": ({"u": {"clips": [{"narrations": [{"time": 1}]}]}}, 'in.json: record 1 (line 1): no "text"'),
    "no objects": ({"u": {"clips": [{"narrations": [{"time": 1, "text": "x"}]}]}}, 'no "object_description"'),
    "no narrations": ({"u": {"clips": [{}]}}, 'no "narrations"'),
    "no time": ({"videos": {"u": {"narrations": [{"text": "x"}]}}}, 'in.json: record 1 (line 1): no "time"'),
    "before the start": ({"videos": {"u": {"narrations": [{"text": "x", "time": -1}]}}}, '"time" is less than 0'),
    "a pass of text": ({"u": {"narration_pass_1": "x"}}, "an object is expected, this is text"),
}


@pytest.mark.parametrize(("content", "problem"), BAD.values(), ids=BAD)
def test_a_bad_video_is_reported_with_its_place(
    dataset: AbstractDataset, tmp_path: Path, content: object, problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(dataset, tmp_path, content)
    assert problem in str(caught.value).replace(f"{tmp_path}/", "")


def timed(text: object = "#C C reads", time: object = 2.0, **others: object) -> dict[str, object]:
    return {"timestamp_sec": time, "narration_text": text, **others}


UNREADABLE: dict[str, object] = {
    "a null text": timed(None),
    "a number for a text": timed(7),
    "a null time": timed(time=None),
    "no time": {"narration_text": "x"},
    "far before the start": timed(time=-7.5),
    "no object": "#C C reads",
    "null": None,
}


@pytest.mark.parametrize("unreadable", UNREADABLE.values(), ids=UNREADABLE)
def test_a_narration_that_can_not_be_read_is_a_bad_row_of_its_own(
    dataset: AbstractDataset, tmp_path: Path, unreadable: object
) -> None:
    path = tmp_path / "in.json"
    narrations = [timed("#C C walks", 1), unreadable, timed("#C C sits", 3)]
    path.write_text(json.dumps({"u": {"narration_pass_1": {"narrations": narrations}}, "v": {"narrations": []}}))
    found = list(queries(dataset, path, BadRecords()))
    assert [query.text for query in found if not query.problem] == [
        "timestamp: 1\ndescription: C walks\ntimestamp: 3\ndescription: C sits"
    ]
    (problem,) = (query.problem for query in found if query.problem)
    assert "record 1 (line 1)" in problem
    assert problem.endswith("(narration_pass_1, narration 2)")
    with pytest.raises(InputError, match=r"narration 2\); --allow-bad-rows leaves it out"):
        list(queries(dataset, path))


@pytest.mark.parametrize("time", [-0.03, -0.0, -0.99])
def test_a_time_just_before_the_start_is_the_start(dataset: AbstractDataset, tmp_path: Path, time: float) -> None:
    (query,) = read(dataset, tmp_path, {"u": {"narration_pass_2": {"narrations": [timed("#C C walks", time)]}}})
    assert query.text == "timestamp: 0\ndescription: C walks"
    assert query.image_ids[0] == "E4D_IMG_u_00000000"


def test_the_made_up_narrations_are_read(dataset: AbstractDataset) -> None:
    found = list(queries(dataset, shipped_folder("examples") / "ego4d_narrations.json"))
    assert len(found) == len({query.id for query in found}) == 13
    assert not [query.text for query in found if "#" in query.text]
    assert all(len(query.image_ids) == 16 for query in found)


GOOD = [Pair(f"What is thing {word}?", "You hold it.") for word in ("one", "two", "three", "four", "five")]


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (Pair("What do I hold?", "You hold a cup."), None),
        (Pair("What do you hold?", "You hold a cup."), "wrong person"),
        (Pair("What do I hold?", "I hold a cup."), "wrong person"),
        (Pair("Who is there?", "There is man X."), "a letter stands for a person"),
        (Pair("Who sits down?", "C sits down."), "a letter stands for a person"),
        (Pair("When did I sit down?", "At 12 seconds."), "names a time of the video"),
        (Pair("What is in the video?", "You sit down."), "speaks of a video"),
        (Pair("What is in this clip?", "You sit down."), "speaks of a video"),
        (Pair("What did I do?", "The user sat down."), "speaks of a video"),
        (Pair("Who is the man I talk to?", "He is your friend."), None),
        (Pair("What did I do?", "You took it from Y."), "a letter stands for a person"),
        (Pair("What do I play?", "You play a video game."), None),
    ],
)
def test_what_a_good_answer_holds(dataset: AbstractDataset, pair: Pair, reason: str | None) -> None:
    rejections = clean([*GOOD, pair], dataset.rules, Context(Query("q", ""))).rejections
    assert list(rejections) == ([reason] if reason else [])
    assert list(clean(GOOD, dataset.rules, Context(Query("q", ""))).rejections) == ["not at least 6 pairs"]


@pytest.mark.parametrize(
    ("narrated", "told"),
    [("C opens the door.", "You open the door."), ("Man Y hands a cup to C.", "A man hands a cup to you."),
     ("C watches a lady Z.", "You watch a lady."), ("C carries C's bag.", "You carry your bag."),
     ("C is there.", "You are there.")],
)  # fmt: skip
def test_the_simulated_endpoint_speaks_to_the_wearer(narrated: str, told: str) -> None:
    assert to_second_person(narrated) == told
