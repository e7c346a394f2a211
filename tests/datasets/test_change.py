from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from syphus.answers.parsing.pairs import parse_pairs
from syphus.errors import InputError
from syphus.plugins.contract import AbstractDataset, load_prompt_template, queries
from syphus.plugins.discovery import find_plugin, shipped_folder

REAL_DATA = os.environ.get("SYPHUS_REAL_DATA")
EXAMPLE = shipped_folder("examples") / "spot_the_difference.json"


@pytest.fixture
def dataset() -> AbstractDataset:
    return find_plugin("SpotTheDifference.change", installed="none").create()


def save(path: Path, *records: object) -> Path:
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def record(img_id: str, *sentences: str) -> dict[str, object]:
    return {"img_id": img_id, "sentences": list(sentences)}


def test_a_record_becomes_a_query(dataset: AbstractDataset, tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", record("76", " a man left ", "the car is gone"))
    (query,) = queries(dataset, path)
    assert query.text == " a man left \nthe car is gone"
    assert query.image_ids == ("SD_IMG_00076_1", "SD_IMG_00076_2")
    assert re.fullmatch(r"00076_[0-9a-f]{6}", query.id)
    assert dataset.instruction_id(query, 2) == f"SD_INS_{query.id}_2"


def test_an_added_row_renames_no_other(dataset: AbstractDataset, tmp_path: Path) -> None:
    records = [record("76", "a"), record("76", "b"), record("9", "a"), record("76", "a"), record("12345", "")]
    before = [query.id for query in queries(dataset, save(tmp_path / "a.json", *records))]
    assert len(set(before)) == len(records) - 1
    assert before[3] == before[0]  # the same record twice: the ledger tells copies apart
    for place in range(len(records) + 1):
        more = [*records[:place], record("76", "c"), *records[place:]]
        after = [query.id for query in queries(dataset, save(tmp_path / "b.json", *more))]
        del after[place]
        assert after == before


def test_an_empty_sentence_is_a_query_without_text(dataset: AbstractDataset, tmp_path: Path) -> None:
    assert [query.text for query in queries(dataset, save(tmp_path / "a.json", record("1", ""), record("2")))] == [
        "",
        "",
    ]


BAD = {
    "no img_id": ({"sentences": []}, 'no "img_id"'),
    "no sentences": ({"img_id": "1"}, 'no "sentences"'),
    "img_id of a number": ({"img_id": 1, "sentences": []}, '"img_id" must be text, this is a whole number'),
    "sentences of text": ({"img_id": "1", "sentences": "x"}, '"sentences" must be a list, this is text'),
    "sentences of numbers": (
        {"img_id": "1", "sentences": ["x", 2]},
        '"sentences" must be a list of text, it holds a whole',
    ),
    "no object": (["1"], "an object is expected, this is a list"),
}


@pytest.mark.parametrize(("bad", "problem"), BAD.values(), ids=BAD)
def test_a_malformed_record_is_reported_with_its_number(
    dataset: AbstractDataset, tmp_path: Path, bad: object, problem: str
) -> None:
    path = save(tmp_path / "a.json", record("1", "a"), bad)
    with pytest.raises(InputError) as caught:
        list(queries(dataset, path))
    assert str(caught.value).startswith(f"{path}: record 2 (line 1): {problem}")


def test_the_prompt_teaches_what_is_parsed(dataset: AbstractDataset) -> None:
    prefix = load_prompt_template(dataset)
    answers = [parse_pairs(message["content"]) for message in prefix.in_context if message["role"] == "assistant"]
    assert [len(answer.pairs) for answer in answers] == [4, 1, 1]
    assert all(not answer.problems and not answer.notes for answer in answers)
    for word in ("description", "sentence", "notes", "annotation"):
        assert word not in " ".join(message["content"] for message in prefix.in_context)
    assert "Question: ...\nAnswer: ..." in prefix.system_message


def test_the_examples_have_the_format_of_the_real_data(dataset: AbstractDataset) -> None:
    made = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    assert all(set(each) == {"img_id", "sentences"} and all(each["sentences"]) for each in made)
    assert dataset.example == EXAMPLE.name
    found = list(queries(dataset, EXAMPLE))
    assert len(found) == len({query.id for query in found}) == 24
    assert sorted(Counter(query.image_ids for query in found).values()) == [1] * 22 + [2]
    prompted = " ".join(message["content"] for message in load_prompt_template(dataset).in_context)
    assert not any(line in prompted for query in found for line in query.text.splitlines())


@pytest.mark.skipif(not REAL_DATA, reason="SYPHUS_REAL_DATA names no folder with the real annotations")
def test_the_real_annotations_are_read(dataset: AbstractDataset) -> None:
    found = list(queries(dataset, Path(REAL_DATA or "", "spot_the_difference", "train.json")))
    assert len(found) == 9_524
    assert len({query.id for query in found}) == 9_523  # one record is there twice, and the ledger tells the two apart
    assert len({query.image_ids for query in found}) == 8_566
    assert sum(not query.text for query in found) == 47
