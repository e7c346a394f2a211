"""LLaVA's three datasets: pairs that are taken over, and pairs that are asked for, from every shape of input."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from harness import Listener

from syphus.answers.cleaning import Context, clean
from syphus.answers.parsing import parse_pairs, parse_plain_text
from syphus.config.options import Options
from syphus.errors import InputError, NoEndpointError
from syphus.main_job import run
from syphus.plugins.contract import AbstractDataset, queries
from syphus.plugins.discovery import find_plugin, shipped_folder
from syphus.runs.generate import cleaning_rules
from syphus.runs.reader import read_status
from syphus.types import Pair, Query, State

REAL_DATA = os.environ.get("SYPHUS_REAL_DATA")
EXAMPLES = shipped_folder("examples")
KINDS = {"Conversation": "LACONV", "Detail": "LADD", "Reasoning": "LACR"}


def dataset(kind: str) -> AbstractDataset:
    return find_plugin(f"Llava{kind}.llava", installed="none").create()


def save(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def instruct(*values: str, number: str = "000000000123") -> dict[str, Any]:
    turns = [{"from": ("human", "gpt")[place % 2], "value": value} for place, value in enumerate(values)]
    return {"id": number, "image": f"{number}.jpg", "conversations": turns}


CAPTIONED = {
    "id": "000000000123",
    "image": "000000000123.jpg",
    "captions": ["A cat on a chair.", "A chair."],
    "instances": [
        {"category": "cat", "bbox": [0.1, 0.25, 0.5, 1]},
        {"category": "chair", "bbox": [0.0, 0.3, 0.9, 1.0]},
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_image_placeholder_is_removed_anywhere(tmp_path: Path, kind: str) -> None:
    for question in ("<image>\nWhat is it?", "What is it?\n<image>", " What is it? "):
        (query,) = queries(dataset(kind), save(tmp_path / "a.json", [instruct(question, " A cup.\n")]))
        assert query.pairs == (Pair("What is it?", "A cup."),)
        assert query.id == "000000000123"
        assert query.image_ids == ("LA_IMG_000000000123",)


def taken(kind: str, folder: Path, *records: object) -> dict[str, Any]:
    """The entries of a run without an endpoint."""
    options = Options(
        name=f"Llava{kind}.llava", query_inputs_path=str(save(folder / "a.json", records)), output_dir=folder / "output"
    )
    listener = Listener()
    assert run(options, {}, listener).exit_code == 0, listener.lines
    made: dict[str, Any] = json.loads((options.folder / f"{KINDS[kind]}_instructions.json").read_text("utf-8"))["data"]
    return made


def test_a_conversation_is_used_round_by_round(tmp_path: Path) -> None:
    made = taken(
        "Conversation", tmp_path, instruct("<image>\nWho?", "He.", "Why?", "So."), instruct("Who?", "I.", number="7")
    )
    image = ["LA_IMG_000000000123"]
    assert made == {
        "LACONV_INS_000000000123_0": {"instruction": "Who?", "answer": "He.", "image_ids": image, "rel_ins_ids": []},
        "LACONV_INS_000000000123_1": {
            "instruction": "Why?",
            "answer": "So.",
            "image_ids": image,
            "rel_ins_ids": ["LACONV_INS_000000000123_0"],
        },
        "LACONV_INS_000000000007_0": {
            "instruction": "Who?",
            "answer": "I.",
            "image_ids": ["LA_IMG_000000000007"],
            "rel_ins_ids": [],
        },
    }


def test_reasoning_uses_the_first_round_only(tmp_path: Path) -> None:
    made = taken("Reasoning", tmp_path, instruct("<image>\nWho?", "He.", "Why?", "So."))
    assert list(made) == ["LACR_INS_000000000123"]
    assert made["LACR_INS_000000000123"]["rel_ins_ids"] == []


def test_a_description_is_used_and_a_conversation_is_rejected(tmp_path: Path) -> None:
    assert list(taken("Detail", tmp_path, instruct("Describe it.", "A cup."))) == ["LADD_INS_000000000123"]
    path = save(tmp_path / "b.json", [instruct("Who?", "He.", "Why?", "So.")])
    with pytest.raises(InputError, match=r"record 1 \(line 1\): 2 rounds, where a description has one"):
        list(queries(dataset("Detail"), path))


def test_no_model_is_needed_if_nothing_is_asked(tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", [instruct("Who?", "He.")])
    options = Options(name="LlavaDetail.llava", query_inputs_path=str(path), output_dir=tmp_path)
    environ = {"OPENAI_API_KEY": "sk-0123456789", "OPENAI_BASE_URL": "http://127.0.0.1:9"}
    assert run(options, environ, Listener()).exit_code == 0


def test_captions_need_a_model(tmp_path: Path) -> None:
    options = Options(
        name="LlavaDetail.llava", query_inputs_path=str(save(tmp_path / "a.json", [CAPTIONED])), output_dir=tmp_path
    )
    with pytest.raises(NoEndpointError):
        run(options, {}, Listener())


@pytest.mark.parametrize("kind", KINDS)
def test_captions_and_boxes_are_what_the_model_sees(tmp_path: Path, kind: str) -> None:
    boxes = "\n\ncat: [0.1, 0.25, 0.5, 1]\nchair: [0.0, 0.3, 0.9, 1.0]" if kind != "Conversation" else ""
    expected = Query("000000000123", f"A cat on a chair.\nA chair.{boxes}", ("LA_IMG_000000000123",))
    lines = tmp_path / "a.jsonl"
    lines.write_text(json.dumps(CAPTIONED) + "\n", encoding="utf-8")
    zipped = tmp_path / "a.jsonl.gz"
    zipped.write_bytes(gzip.compress(lines.read_bytes()))
    for path in (lines, zipped, save(tmp_path / "a.json", [CAPTIONED])):
        assert list(queries(dataset(kind), path)) == [expected]


def test_an_image_without_objects_is_captions_alone(tmp_path: Path) -> None:
    (query,) = queries(dataset("Detail"), save(tmp_path / "a.json", [{**CAPTIONED, "instances": []}]))
    assert query.text == "A cat on a chair.\nA chair."


def coco(folder: Path) -> Path:
    """COCO's own two files about two images of 200 x 100 pixels."""
    folder.mkdir()
    images = [{"id": number, "width": 200, "height": 100, "file_name": f"{number:012}.jpg"} for number in (9, 123)]
    captions = [{"id": n, "image_id": 123, "caption": text} for n, text in enumerate(CAPTIONED["captions"])]
    captions.append({"id": 7, "image_id": 9, "caption": "A tree."})
    save(folder / "captions_val2017.json", {"info": {}, "images": images, "annotations": captions})
    boxes = [("1", 123, [20, 25, 80, 75.5]), ("2", 123, [33.333, 30, 100, 70]), ("2", 9, [0, 0, 200, 100])]
    save(
        folder / "instances_val2017.json",
        {
            "images": images,
            "annotations": [
                {"id": n, "image_id": image, "category_id": int(category), "bbox": box}
                for n, (category, image, box) in enumerate(boxes)
            ],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "chair"}],
        },
    )
    return folder


def test_cocos_own_files_are_read_from_their_folder_and_boxes_become_fractions(tmp_path: Path) -> None:
    folder = coco(tmp_path / "annotations")
    found = list(queries(dataset("Reasoning"), folder))
    assert [(query.id, query.text) for query in found] == [
        ("000000000009", "A tree.\n\nchair: [0.0, 0.0, 1.0, 1.0]"),
        (
            "000000000123",
            "A cat on a chair.\nA chair.\n\ncat: [0.1, 0.25, 0.5, 1.0]\nchair: [0.167, 0.3, 0.667, 1.0]",
        ),
    ]
    assert list(queries(dataset("Reasoning"), folder / "captions_val2017.json")) == found
    (folder / "instances_val2017.json").unlink()
    with pytest.raises(InputError, match=r"instances_val2017\.json"):
        list(queries(dataset("Reasoning"), folder))
    with pytest.raises(InputError, match=r"no captions_\*\.json in this folder"):
        list(queries(dataset("Reasoning"), tmp_path))


def test_an_image_without_a_size_is_reported(tmp_path: Path) -> None:
    folder = coco(tmp_path / "annotations")
    path = folder / "captions_val2017.json"
    path.write_text(path.read_text("utf-8").replace('"width": 200', '"width": 0', 1), encoding="utf-8")
    with pytest.raises(InputError, match="an image of 0 x 100 pixels"):
        list(queries(dataset("Detail"), folder))


BAD = {
    "an id that is no number": ({**CAPTIONED, "id": "a/b"}, "\"id\" must be the number of a COCO image, this is 'a/b'"),
    "a number for the id": ({**CAPTIONED, "id": 123}, '"id" must be text, this is a whole number'),
    "no captions": ({"id": "1", "instances": []}, 'no "captions"; it has id, instances'),
    "a box in pixels": (
        {**CAPTIONED, "instances": [{"category": "cat", "bbox": [10, 20, 30, 40]}]},
        '"bbox" must be four shares of width and height, from 0 to 1',
    ),
    "a box of three": (
        {**CAPTIONED, "instances": [{"category": "cat", "bbox": [0, 0, 1]}]},
        '"bbox" must be four shares of width and height, from 0 to 1',
    ),
    "two humans in a row": (
        {"id": "1", "conversations": [{"from": "human", "value": "a"}] * 2},
        '"conversations" must be turns of human and gpt, in this order',
    ),
    "no answer": (instruct("Who?"), '"conversations" must be turns of human and gpt, in this order'),
    "no turns": (instruct(), '"conversations" must be turns of human and gpt, in this order'),
    "an empty turn": (instruct("<image>", "He."), '"conversations" holds an empty turn'),
    "no object": ("x", "an object is expected, this is text"),
}


@pytest.mark.parametrize(("bad", "problem"), BAD.values(), ids=BAD)
def test_a_malformed_record_is_reported_with_its_number(tmp_path: Path, bad: object, problem: str) -> None:
    path = save(tmp_path / "a.json", [CAPTIONED, bad])
    with pytest.raises(InputError) as caught:
        list(queries(dataset("Detail"), path))
    assert str(caught.value) == f"{path}: record 2 (line 1): {problem}"


def test_an_empty_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(" \n", encoding="utf-8")
    with pytest.raises(InputError, match="the file is empty"):
        list(queries(dataset("Detail"), tmp_path / "a.json"))


def test_a_description_always_gets_the_same_instruction(tmp_path: Path) -> None:
    detail = dataset("Detail")
    asked = [detail.parse_response("A cup.", Query(f"{number:012}", "")).pairs[0] for number in range(200)]
    assert {pair.answer for pair in asked} == {"A cup."}
    assert len({pair.instruction for pair in asked}) == 12
    assert detail.parse_response("A cup.", Query("000000000007", "")).pairs == (asked[7],)


def test_a_wrong_number_of_pairs_is_a_problem() -> None:
    one, two = "Question:\na\n===\nAnswer:\nb\n===", "Question:\nc\n===\nAnswer:\nd\n==="
    assert dataset("Conversation").parse_response(one, Query("q", "")).problems == ("not 2 to 12 pairs",)
    assert dataset("Conversation").parse_response(f"{one}\n{two}", Query("q", "")).problems == ()
    assert dataset("Reasoning").parse_response(one, Query("q", "")).problems == ()
    assert dataset("Reasoning").parse_response(f"{one}\n{two}", Query("q", "")).problems == ("not 1 pair",)


@pytest.mark.parametrize("kind", KINDS)
def test_the_shipped_conversations_are_used_completely(tmp_path: Path, kind: str) -> None:
    source = json.loads((EXAMPLES / f"llava_{kind.lower()}.json").read_text("utf-8"))
    made = taken(kind, tmp_path, *source)
    assert len(made) == sum(len(each["conversations"]) // 2 for each in source)
    assert not any("<image>" in entry["instruction"] for entry in made.values())


@pytest.mark.skipif(not REAL_DATA, reason="SYPHUS_REAL_DATA names no folder with the real annotations")
@pytest.mark.parametrize("kind", KINDS)
def test_real_captions_and_boxes_are_asked_about(tmp_path: Path, kind: str) -> None:
    source = Path(REAL_DATA or "", "coco", "caps_boxes_coco2014_val_80.jsonl")
    options = Options(
        name=f"Llava{kind}.llava", query_inputs_path=str(source), offline=True, num_threads=16, output_dir=tmp_path
    )
    listener = Listener()
    assert run(options, {}, listener).exit_code == 0, listener.lines
    assert read_status(options.folder).counts.states[State.OK] == 80
    records = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    for query, record in zip(queries(dataset(kind), source), records, strict=True):
        lines = query.text.split("\n")
        assert lines[: len(record["captions"])] == record["captions"]
        shown = lines[len(record["captions"]) + 1 :]
        boxes = [f"{each['category']}: {json.dumps(each['bbox'])}" for each in record["instances"]]
        assert shown == ([] if kind == "Conversation" else boxes)


@pytest.mark.skipif(not REAL_DATA, reason="SYPHUS_REAL_DATA names no folder with the real annotations")
def test_no_real_answer_is_rejected_or_changed() -> None:
    answers = Path(REAL_DATA or "", "coco", "gpt4_qa_30x3.jsonl").read_text("utf-8").splitlines()
    kinds = {"conv": "Conversation", "detail": "Detail", "complex": "Reasoning"}
    assert len(answers) == 90
    for line in answers:
        record = json.loads(line)
        pair = Pair(record["instruction"].strip(), record["output"].strip())
        block = f"Question:\n{pair.instruction}\n===\nAnswer:\n{pair.answer}\n==="
        assert parse_pairs(block).pairs == (pair,)
        assert parse_pairs(block).problems == ()
        if record["type"] != "complex":  # those are never read as plain text, and one of them holds a list
            assert parse_plain_text(pair.answer) == (pair.answer, (), ())
        cleaned = clean([pair], cleaning_rules(dataset(kinds[record["type"]])), Context(Query("q", "")))
        assert (cleaned.pairs, cleaned.rejections) == ((pair,), {})
