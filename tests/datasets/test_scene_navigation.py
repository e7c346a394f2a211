"""SceneNavigation.3d: its two shapes of input, what is drawn for a scene, and conversations as pairs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from harness import Listener

from syphus.config.options import Options
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.request import RequestBuilder
from syphus.errors import InputError, RunError
from syphus.exchange import Completion, Usage
from syphus.ledger.records import Row
from syphus.main_job import run
from syphus.plugins.contract import AbstractDataset, load_prompt_template, queries
from syphus.plugins.discovery import find_plugin, shipped_folder
from syphus.runs.generate import GenerateStage, GenerationContext
from syphus.types import Outcome, Query, State

EXAMPLES = shipped_folder("examples") / "scene_navigation"


@pytest.fixture
def dataset() -> AbstractDataset:
    return find_plugin("SceneNavigation.3d", installed="none").create()


def save(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def scan(texts: Sequence[str]) -> dict[str, object]:
    return {"description": [[str(number), text] for number, text in enumerate(texts)]}


def reference(scene: str, text: str) -> dict[str, object]:
    return {"scene_id": scene, "object_id": "3", "object_name": "bed", "ann_id": "0", "description": text, "token": []}


def test_both_formats_give_the_same_queries(dataset: AbstractDataset, tmp_path: Path) -> None:
    derived = {"scene0000_00": scan(["a bed.", "a desk."]), "scene0007_01": scan(["a sink."])}
    raw = [
        reference("scene0000_00", "a bed."),
        reference("scene0007_01", "a sink."),
        reference("scene0000_00", "a desk."),
    ]
    first = list(queries(dataset, save(tmp_path / "scan_info.json", derived)))
    second = list(queries(dataset, save(tmp_path / "ScanRefer_filtered_train.json", raw)))
    assert first == second
    assert [query.id for query in first] == ["scene0000_00", "scene0007_01"]
    assert sorted(first[0].text.split("\n")) == ["a bed.", "a desk."]


def test_fifty_descriptions_and_nine_candidates_are_chosen_and_always_the_same(
    dataset: AbstractDataset, tmp_path: Path
) -> None:
    texts = [f"this is chair number {number}." for number in range(80)]
    path = save(tmp_path / "a.json", {"scene0000_00": scan(texts), "scene0001_00": scan(texts)})
    one, other = queries(dataset, path)
    shown = one.text.split("\n")
    assert len(shown) == len(set(shown)) == 50
    assert set(shown) < set(texts)
    assert shown != sorted(shown, key=texts.index)
    assert other.text != one.text
    candidates = one.meta["candidates"]
    assert isinstance(candidates, list)
    assert len(set(candidates)) == 9
    assert list(queries(dataset, path)) == [one, other]
    assert next(queries(type("Other", (type(dataset),), {"seed": 1})(), path)).text != one.text


def test_an_added_description_leaves_the_others_in_order(dataset: AbstractDataset, tmp_path: Path) -> None:
    texts = [f"this is chair number {number}." for number in range(20)]
    (before,) = queries(dataset, save(tmp_path / "a.json", {"scene0000_00": scan(texts)}))
    (after,) = queries(dataset, save(tmp_path / "b.json", {"scene0000_00": scan(["a new bed.", *texts])}))
    assert [line for line in after.text.split("\n") if line != "a new bed."] == before.text.split("\n")


def test_the_user_brings_other_candidates(dataset: AbstractDataset, tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", {"scene0000_00": scan(["a bed."])})
    own = [f"Activity {number} - Human role: Role\u2028{number}" for number in range(9)]
    (tmp_path / "candidates.txt").write_text("\n\n".join(own) + "\n", encoding="utf-8")
    (query,) = queries(dataset, path)
    candidates = query.meta["candidates"]
    assert isinstance(candidates, list)
    assert sorted(candidates) == own
    assert dataset.render_query(query) == "Sentences:\na bed.\n\nCandidate activities:\n" + "\n".join(candidates)
    elsewhere = type("Other", (type(dataset),), {"candidates_path": str(tmp_path / "nine.txt")})()
    with pytest.raises(InputError, match=r"nine\.txt"):
        list(queries(elsewhere, path))


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("Read - Human role: A\nSing", "line 2: <Activity> - Human role: <Role> is expected"),
        ("Read - Human role: A\n" * 8, "8 activities; at least 9 are needed"),
    ],
)
def test_a_bad_candidates_file_is_reported(dataset: AbstractDataset, tmp_path: Path, lines: str, problem: str) -> None:
    path = save(tmp_path / "a.json", {"scene0000_00": scan(["a bed."])})
    (tmp_path / "candidates.txt").write_text(lines, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        list(queries(dataset, path))
    assert str(caught.value) == f"{tmp_path / 'candidates.txt'}: {problem}"


def test_the_frames_of_a_scene_come_from_the_listing_in_their_order(dataset: AbstractDataset, tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", {"scene0000_00": scan(["a bed."])})
    assert next(queries(dataset, path)).image_ids == ()
    names = ["./scene0000_00/color/000100.jpg", "scene0001_00/color/000000.jpg", "./scene0000_00/color/000000.jpg"]
    (tmp_path / "frames.txt").write_text("\n".join(names), encoding="utf-8")
    assert next(queries(dataset, path)).image_ids == (
        "SN_IMG_scene0000_00_color_000000",
        "SN_IMG_scene0000_00_color_000100",
    )


@pytest.mark.parametrize(
    ("file", "line"), [("frames.txt", "{scene}/color/{:06}.jpg"), ("candidates.txt", "Act {} - Human role: Role")]
)
def test_a_file_beside_the_input_that_changes_is_a_changed_input(tmp_path: Path, file: str, line: str) -> None:
    scene, told = next(iter(json.loads((EXAMPLES / "scan_info.json").read_text("utf-8")).items()))
    scenes = save(tmp_path / "scan_info.json", {scene: told})
    options = Options(
        name="SceneNavigation.3d", query_inputs_path=str(scenes), offline=True, output_dir=tmp_path / "output"
    )
    assert run(options, {}, Listener()).report.counts.states[State.OK] == 1
    (tmp_path / file).write_text("".join(f"{line.format(number, scene=scene)}\n" for number in range(9)), "utf-8")
    with pytest.raises(RunError, match="Finished rows differ from those in the input: 1 changed"):
        run(options, {}, Listener())
    (tmp_path / file).unlink()
    listener = Listener()
    run(options, {}, listener)
    assert listener.lines == ["Nothing to do: no request was sent."]


BAD = {
    "no description": ({"scene0000_00": {}}, 'record 1 (line 1): no "description"'),
    "a description of text": ({"s": {"description": "a bed"}}, 'record 1 (line 1): "description" must be a list'),
    "descriptions without ids": (
        {"s": {"description": ["a bed"]}},
        'record 1 (line 1): "description" must be a list of [object id, text]',
    ),
    "no scene_id": ([{"description": "a bed"}], 'record 1 (line 1): no "scene_id"'),
    "a number for text": ([reference("s", "a"), {"scene_id": "s", "description": 3}], "record 2 (line 1): "),
}


@pytest.mark.parametrize(("content", "problem"), BAD.values(), ids=BAD)
def test_a_malformed_record_is_reported_with_its_number(
    dataset: AbstractDataset, tmp_path: Path, content: object, problem: str
) -> None:
    path = save(tmp_path / "a.json", content)
    with pytest.raises(InputError) as caught:
        list(queries(dataset, path))
    assert str(caught.value).startswith(f"{path}: {problem}")


CANDIDATES = [f"Activity {number} - Human role: Role {number}" for number in range(9)]
ROOM = Query("scene0012_00", "a bed.", meta={"candidates": CANDIDATES})


def conversation(number: int, activity: int, rounds: int = 3) -> str:
    said = "".join(
        f"Round {place}:\nHuman: question {activity}.{place}?\nAssistant: answer {activity}.{place}.\n"
        for place in range(1, rounds + 1)
    )
    return (
        f"Conversation {number} - Activity {activity}\nHuman role: Role {activity}\nreason: Because {activity}.\n{said}"
    )


def test_conversations_become_rounds_with_a_round_0_before_them(dataset: AbstractDataset) -> None:
    parsed = dataset.parse_response("\n".join(conversation(n, n + 4) for n in (1, 2, 3)), ROOM)
    assert parsed.problems == ()
    assert [pair.id for pair in parsed.pairs] == [
        f"SN_INS_scene0012_activity{activity}_round{number}" for activity in range(3) for number in range(4)
    ]
    first, second = parsed.pairs[:2]
    assert "Activity 5" in first.answer
    assert "Because 5." in first.answer
    assert (second.instruction, second.answer) == ("question 5.1?", "answer 5.1.")
    assert len({pair.instruction for pair in parsed.pairs}) == 12  # no round 0 asks what another asks
    assert dataset.parse_response("\n".join(conversation(n, n + 4) for n in (1, 2, 3)), ROOM) == parsed
    assert [list(dataset.related(parsed.pairs, number)) for number in (1, 4, 5, 12)] == [[], [1, 2, 3], [], [9, 10, 11]]


def test_a_scan_that_is_not_the_first_keeps_its_number(dataset: AbstractDataset) -> None:
    room = Query("scene0012_01", "a bed.", meta={"candidates": CANDIDATES})
    assert dataset.parse_response(conversation(1, 1), room).pairs[0].id == "SN_INS_scene0012_01_activity0_round0"


UNEXPECTED = {
    "two conversations": ([conversation(1, 1), conversation(2, 2)], "not 3 conversations"),
    "four rounds": (
        [conversation(1, 1), conversation(2, 2, rounds=4), conversation(3, 3)],
        "not 3 rounds in a conversation",
    ),
    "the same twice": ([conversation(1, 1), conversation(2, 2), conversation(3, 2)], "the same activity twice"),
    "another activity": (
        [conversation(1, 1), conversation(2, 2), conversation(3, 9)],
        "activity and role are no candidate",
    ),
    "another role": (
        [conversation(1, 1), conversation(2, 2), conversation(3, 3).replace("Role 3", "Role 4")],
        "activity and role are no candidate",
    ),
    "what the reader finds comes first": ([conversation(1, 1).replace("reason:", "")], "conversation without a reason"),
}


@pytest.mark.parametrize(("texts", "problem"), UNEXPECTED.values(), ids=UNEXPECTED)
def test_deviations_from_the_prompt_are_problems(dataset: AbstractDataset, texts: list[str], problem: str) -> None:
    assert problem in dataset.parse_response("\n".join(texts), ROOM).problems


def test_answers_that_are_nothing_but_lists_are_rejected(dataset: AbstractDataset) -> None:
    (rule,) = dataset.rules
    text = "\n".join(conversation(n, n + 4) for n in (1, 2, 3))
    lists = text.replace("Assistant: ", "Assistant: So:\n1. ")
    assert list(rule.find(dataset.parse_response(lists, ROOM).pairs, None))  # type: ignore[union-attr, arg-type]
    mixed = lists.replace("So:\n1. answer 7.3", "answer 7.3")
    assert not list(rule.find(dataset.parse_response(mixed, ROOM).pairs, None))  # type: ignore[union-attr, arg-type]


def judged(dataset: AbstractDataset, text: str) -> Outcome:
    template, builder = load_prompt_template(dataset), RequestBuilder("m", {})
    context = GenerationContext(dataset=dataset, template=template, request_builder=builder, redactor=SecretRedactor())
    stage = GenerateStage(context)
    return stage.judge(Row(1, ROOM), Completion(text, "stop", "m", Usage())).outcome


def test_what_is_copied_from_the_example_is_found_in_any_form_of_answer(dataset: AbstractDataset) -> None:
    text = "\n".join(conversation(n, n + 4) for n in (1, 2, 3))
    assert judged(dataset, text).state is State.OK  # round 0 is ours, and in every answer
    taught = "Yes, the couch under the window. It is away from the long table, and the small round table in front of it"
    (whole,) = [line for line in load_prompt_template(dataset).in_context[1]["content"].splitlines() if taught in line]
    copied = text.replace("Assistant: answer 6.2.", whole)
    assert judged(dataset, copied).reason == "copies an in-context example"


def test_scanrefer_runs_as_scan_info_does(tmp_path: Path) -> None:
    options = Options(
        name="SceneNavigation.3d",
        query_inputs_path=str(EXAMPLES / "scanrefer.json"),
        offline=True,
        output_dir=tmp_path,
    )
    assert run(options, {}, Listener()).exit_code == 0
    made = json.loads((options.folder / "SN_instructions.json").read_text("utf-8"))["data"]
    last = made["SN_INS_scene0000_activity2_round3"]
    assert last["rel_ins_ids"] == [f"SN_INS_scene0000_activity2_round{number}" for number in range(3)]
    assert last["image_ids"][:2] == ["SN_IMG_scene0000_00_color_000000", "SN_IMG_scene0000_00_color_000100"]


def test_the_activity_of_round_0_has_its_capital_where_one_belongs(dataset: AbstractDataset) -> None:
    templates = sys.modules[type(dataset).__module__].ROUND_0_TEMPLATES
    answers = [answer.format(activity="A yoga class", reason="It is big.") for _, answer in templates]
    assert [answer for answer in answers if re.search(r"[^:.]\s+A yoga", answer)] == []
