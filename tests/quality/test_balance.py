"""Choosing a subset of pairs: repeats, texts of a benchmark, shares of groups. Real files, no patched internals."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import syphus
from syphus.api import balance
from syphus.errors import ConfigError, InputError
from syphus.quality.balance import groups_of
from syphus.quality.near_duplicates import NearDuplicates, Overlaps, words_of


def write_pairs(folder: Path, pairs: Mapping[str, tuple[str, str]], **related: list[str]) -> Path:
    """A MIMIC-IT file of pairs of instruction and answer."""
    data = {
        name: {"instruction": instruction, "answer": answer, "image_ids": [], "rel_ins_ids": related.get(name, [])}
        for name, (instruction, answer) in pairs.items()
    }
    path = folder / "XX_instructions.json"
    path.write_text(json.dumps({"meta": {}, "data": data}, ensure_ascii=False), "utf-8")
    return path


def chosen(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(path.read_text("utf-8"))
    return found


ONE = ("What stands beside the blue car in the yard?", "A wooden ladder isn't leaning there; it stands beside the car.")
DRESSED = (
    "what stands beside the **blue car** in the yard ?",
    "A wooden ladder is not leaning there - it stands  beside the car!",
)
OTHER = ("How many people wait at the crossing?", "Two people wait at the crossing, and a third one runs towards them.")
LIKE = ("How many dogs wait at the crossing?", "Four dogs sit at the far end of it, and none of them moves at all.")


@pytest.mark.parametrize("package", ["numpy", "rensa"])
def test_a_missing_package_is_named_with_what_installs_it(
    tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_pairs(tmp_path, {"a": ONE})
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"{package}, which is not installed: pip install 'syphus\[quality\]'"):
        balance(path)


def test_a_repeat_in_another_dress_is_left_out_and_a_similar_pair_stays(tmp_path: Path) -> None:
    path = write_pairs(tmp_path, {"a": ONE, "b": OTHER, "c": DRESSED, "d": LIKE}, d=["b"], b=["c"])
    file, done = balance(path)
    assert file == tmp_path / "XX_balanced_train.json"
    assert chosen(file) == {"a": [], "b": [], "d": ["b"]}
    assert (done.read, done.repeated, done.chosen) == (4, 1, 3)
    assert chosen(balance(path, tmp_path / "all.json", near_duplicates=None)[0]).keys() == {"a", "b", "c", "d"}


def test_every_text_of_a_kind_stands_for_the_first(tmp_path: Path) -> None:
    index = NearDuplicates()
    rng = random.Random(3)
    words = [f"word{i}" for i in range(500)]
    texts = [" ".join(rng.choices(words, k=20)) for _ in range(200)]
    for text in [*texts, *(text.upper() for text in texts), *(f"{text}." for text in texts)]:
        index.add(text)
    assert index.repeats() == {n: n % 200 for n in range(200, 600)}
    assert NearDuplicates().repeats() == {}


def test_texts_without_words_do_not_repeat_each_other() -> None:
    index = NearDuplicates()
    for text in ("...", "!!!", "***"):
        index.add(text)
    assert index.repeats() == {}


def test_pairs_that_share_words_with_a_benchmark_are_left_out(tmp_path: Path) -> None:
    path = write_pairs(tmp_path, {"a": ONE, "b": OTHER, "c": ("What colour is it?", "It is red.")})
    rows = tmp_path / "benchmark.jsonl"
    rows.write_text(json.dumps({"q": f"Look closely. {ONE[0]} Answer in a word."}) + "\n", "utf-8")
    lines = tmp_path / "questions.txt"
    lines.write_text("What colour is it\nWhat is it?\n", "utf-8")
    file, done = balance(path, against=[rows, lines])
    assert (set(chosen(file)), done.contaminated) == ({"b"}, 2)


def test_a_text_of_few_words_is_only_its_own_question() -> None:
    overlaps = Overlaps(["What is it?"])
    assert overlaps.holds("what is it", "a dog")
    assert not overlaps.holds("And what is it that the dog carries?", "what is it")


def test_groups_are_brought_below_their_shares_the_same_way_each_time(tmp_path: Path) -> None:
    pairs = {f"y{i}": (f"Is object number {i} there?", f"Yes, object {i} lies there.") for i in range(60)}
    pairs |= {f"w{i}": (f"What is object {i} made of?", f"Object {i} is made of wood.") for i in range(30)}
    pairs |= {f"h{i}": (f"How many legs has animal {i}?", str(i)) for i in range(30)}
    path = write_pairs(tmp_path, pairs)
    most = {"answer:yes": 0.25, "question:how many": 0.4}
    file, done = balance(path, near_duplicates=None, most=most, seed=1)
    first = chosen(file)
    yes = sum(name.startswith("y") for name in first)
    many = sum(name.startswith("h") for name in first)
    assert yes / len(first) <= 0.25
    assert many / len(first) <= 0.4
    assert yes == int(0.25 / 0.75 * (len(first) - yes))  # no more than needed was left out
    assert done.in_excess["answer:yes"] == 60 - yes
    assert chosen(balance(path, near_duplicates=None, most=most, seed=1)[0]) == first
    assert chosen(balance(path, near_duplicates=None, most=most, seed=2)[0]) != first
    assert list(first) == [name for name in pairs if name in first]
    few = chosen(balance(path, near_duplicates=None, most=most, seed=1, count=10)[0])
    assert len(few) == 10
    assert set(few) < set(first)


@pytest.mark.parametrize(
    ("instruction", "answer", "groups"),
    [
        ("Is there a dog?", "Yes.", {"question:yes or no", "answer:yes", "length:short"}),
        ("How many dogs are there?", "3", {"question:how many", "answer:number"}),
        ("Describe the picture.", "A dog.", {"question:instruction", "opening:describe the picture"}),
        ("In the picture, where is the dog?", "There.", {"question:where"}),
        ("Welche Farbe hat es?", "Rot.", {"question:yes or no", "answer:text"}),
    ],
)
def test_a_pair_is_in_its_groups(instruction: str, answer: str, groups: set[str]) -> None:
    assert groups <= set(groups_of(instruction, answer))


def test_words_are_compared_without_case_marks_and_contractions() -> None:
    assert words_of("It\u2019s **NOT** there, isn't it?") == words_of("it is not there is not it")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"most": {"colour:red": 0.1}}, "the kinds are question, opening, answer, length"),
        ({"most": {"answer:yes": 1.0}}, "must be above 0 and below 1"),
        ({"near_duplicates": 1.5}, "--near-duplicates 1.5: must be above 0 and at most 1"),
        ({"count": 0}, "-n 0: must be at least 1"),
    ],
)
def test_numbers_out_of_range_get_one_line(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        balance(write_pairs(tmp_path, {"a": ONE}), **options)


def test_files_that_cannot_be_read_get_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.json"):
        balance(write_pairs(tmp_path, {"a": ONE}), against=tmp_path / "nothing.json")
    with pytest.raises(InputError):
        syphus.api.balance(tmp_path / "no folder")


def test_a_folder_with_translations_stands_for_its_own_pairs_and_one_without_pairs_is_refused(tmp_path: Path) -> None:
    path = write_pairs(tmp_path, {"a": ONE, "b": OTHER})
    for code in ("ar", "zh"):
        (tmp_path / f"XX_instructions_{code}.json").write_bytes(path.read_bytes())
    file, done = balance(tmp_path)
    assert (file.name, done.chosen) == ("XX_balanced_train.json", 2)
    before = file.read_bytes()
    write_pairs(tmp_path, {})
    with pytest.raises(InputError, match="holds no pairs, so there is nothing to choose from"):
        balance(tmp_path)
    assert file.read_bytes() == before


@pytest.mark.parametrize(("name", "text"), [("empty.json", "{}"), ("empty.jsonl", ""), ("empty.txt", "\n\n")])
def test_nothing_to_compare_with_is_no_comparison(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(InputError, match=rf"{name}: .*(holds no texts|is empty)"):
        balance(write_pairs(tmp_path, {"a": ONE}), against=tmp_path / name)
