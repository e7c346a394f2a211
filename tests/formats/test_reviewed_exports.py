"""Exports by the decisions of reviewers: who is in, with which text, and what the files and the card say of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet
import pytest
import yaml
from harness import HERE
from PIL import Image
from processes import syphus

from syphus import api
from syphus.errors import ConfigError, RunError
from syphus.formats import FORMAT_NAMES
from syphus.ledger.results import QueryResult
from syphus.ledger.reviews import NewDecision, ReviewLog, Verdict, text_hash
from syphus.runs.reader import PairRecord

PLUGINS = (HERE / "plugins",)
TALK = [
    ("What is to be seen next to the bicycles in this picture?", "There is a wooden bench beside the bicycles."),
    ("Which of the two cars is parked closer to the house?", "The red car is parked closer to the house."),
    ("Why might the people in the street be waiting there?", "They are probably waiting for the next bus."),
]
#: Formats whose records allow no field that says whether a reviewer wrote the text.
WITHOUT_EDITED = {"chat"}
EDIT = {"instruction": "What stands beside the bicycles?", "answer": "A bench of wood."}


def made(folder: Path, plugin: str, queries: Iterable[str] = ("one", "two", "three"), **options: Any) -> Path:
    lines = [{"id": name, "images": [f"RW_IMG_{name}"], "pairs": TALK} for name in queries]
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    prompt = HERE / "prompts" / "rows.yaml"
    given = {"query_inputs_path": source, "output_dir": folder / "output", "datasets_dir": PLUGINS, **options}
    return api.run(plugin, prompt_path=prompt, quiet=True, **given).folder


def pairs_of(run: Path) -> dict[tuple[str, int], PairRecord]:
    """The pairs of a run by the id of the row and their number."""
    with api.open_run(run) as reader:
        found = list(reader.pairs())
    return {(each.query.partition("_")[0], int(each.id.rpartition("_")[2])): each for each in found}


def decide(run: Path, who: str, decisions: dict[tuple[str, int], str], language: str = "", **values: str) -> None:
    """Add decisions about pairs, by their row and number."""
    log = ReviewLog(run)
    for place, verdict in decisions.items():
        pair = pairs_of(run)[place]
        texts = (pair.instruction, pair.answer)
        if language:
            with api.open_run(run) as reader:
                ((found,),) = (row.pairs for row in reader.rows(language=language, query=pair.id))
                texts = (found.instruction, found.answer)
        more = {**EDIT, **values} if verdict == "edit" else values
        name = str(UUID(int=log.refresh() + 1))
        about = (pair.id, text_hash(*texts), who, Verdict(verdict), language, pair.query)
        new = NewDecision(name, *about, instruction=more.get("instruction", ""), answer=more.get("answer", ""))
        log.append(new, 0.0)


@pytest.fixture
def reviewed(tmp_path: Path) -> Path:
    """Nine pairs in three rows: three accepted, one rejected, one disputed, one edited, three unseen."""
    run = made(tmp_path, "Talks.talks")
    decide(run, "ann", {("one", 1): "accept", ("one", 2): "reject", ("one", 3): "accept", ("two", 1): "edit"})
    decide(run, "bob", {("one", 1): "accept", ("two", 2): "reject", ("two", 3): "accept"})
    decide(run, "ann", {("two", 2): "accept"})
    return run


def exported(run: Path, name: str, **options: Any) -> Path:
    """The folder of a format; with images if it needs them."""
    photos = run.parent / "photos"
    photos.mkdir(exist_ok=True)
    for query in ("one", "two", "three"):
        Image.new("RGB", (8, 8)).save(photos / f"RW_IMG_{query}.png")
    images = {"images": photos} if name in ("trl", "internvl", "axolotl", "webdataset") else {}
    api.export(run, name, run.parent / "out", PLUGINS, **{**images, **options})
    return run.parent / "out" / name


def instructions(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "RW_instructions.json").read_text("utf-8"))["data"]
    return data


def kept(data: Iterable[str]) -> list[tuple[str, int]]:
    return [(name.split("_")[2], int(name.rpartition("_")[2])) for name in data]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("accepted", [("one", 1), ("one", 3), ("two", 1), ("two", 3)]),
        ("not-rejected", [("one", 1), ("one", 3), ("two", 1), ("two", 3), ("three", 1), ("three", 2), ("three", 3)]),
        ("edited", [("two", 1)]),
    ],
)
def test_an_export_has_what_reviewers_let_through(reviewed: Path, choice: str, expected: list[tuple[str, int]]) -> None:
    notes: list[str] = []
    folder = exported(reviewed, "mimicit", reviewed=choice, on_note=notes.append)
    data = instructions(folder)
    assert kept(data) == expected
    edited = [entry for entry in data.values() if entry.get("edited")]
    assert [(entry["instruction"], entry["answer"]) for entry in edited] == [(EDIT["instruction"], EDIT["answer"])]
    assert {each for entry in data.values() for each in entry["rel_ins_ids"]} <= data.keys()
    assert json.loads((folder / "RW_train.json").read_text("utf-8")).keys() <= data.keys()
    assert notes == ["1 disputed pair is left out: their reviewers disagree"]
    verified = api.verify(folder)
    assert verified.ok, verified.findings


def test_without_the_option_nothing_changes_but_the_card(reviewed: Path) -> None:
    notes: list[str] = []
    folder = exported(reviewed, "mimicit", on_note=notes.append)
    assert (folder / "RW_instructions.json").read_bytes() == (reviewed / "RW_instructions.json").read_bytes()
    assert notes == ["1 pair that reviewers rejected is in the export; to leave them out, add --reviewed not-rejected"]
    card = (folder / "README.md").read_text("utf-8")
    line = "6 pairs reviewed by 2 people: 3 accepted, 1 rejected, 1 edited, 1 disputed"
    assert f"| Reviews | {line} |" in card
    assert yaml.safe_load(card.split("---\n")[1])["reviews"] == {
        "reviewed": 6,
        "accepted": 3,
        "rejected": 1,
        "edited": 1,
        "disputed": 1,
        "reviewers": 2,
        "outdated": 0,
        "translations": 0,
    }


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_every_format_has_the_edit_and_says_so_if_it_can(reviewed: Path, name: str) -> None:
    folder = exported(reviewed, name, reviewed="accepted")
    text = b"".join(path.read_bytes() for path in folder.rglob("*") if path.suffix in (".json", ".jsonl", ".tar"))
    if name in ("parquet", "trl"):
        rows = pyarrow.parquet.read_table(next(folder.rglob("*.parquet"))).to_pylist()
        assert sum(row["edited"] for row in rows) == 1
        text = json.dumps(rows, default=str).encode()
    elif name in WITHOUT_EDITED:
        assert b"edited" not in text
    else:
        assert text.replace(b" ", b"").count(b'"edited":true') == 1, (
            f"{name}: add `source.edited(...)` to each record, or the name to WITHOUT_EDITED if it allows no such field"
        )
    assert EDIT["answer"].encode() in text
    assert TALK[1][1].encode() not in text
    card = (folder / "README.md").read_text("utf-8")
    assert yaml.safe_load(card.split("---\n")[1])["reviews"]["exported"] == "accepted"
    assert "only pairs that reviewers accepted, with their edits" in card


def test_a_round_needs_its_earlier_rounds(tmp_path: Path) -> None:
    run = made(tmp_path, "LastRounds.talks")
    decide(run, "ann", {("one", 2): "reject", ("two", 1): "edit", ("three", 3): "reject"})
    notes: list[str] = []
    data = instructions(exported(run, "mimicit", reviewed="not-rejected", on_note=notes.append))
    assert kept(data) == [("one", 1), ("two", 1), ("two", 2), ("two", 3), ("three", 1), ("three", 2)]
    assert notes == ["1 round is left out, because an earlier round is"]
    rows = json.loads((exported(run, "llava", reviewed="not-rejected") / "RW_llava.json").read_text("utf-8"))
    assert [len(row["conversations"]) // 2 for row in rows] == [1, 3, 2]
    assert [row["edited"] for row in rows] == [False, True, False]


def test_a_pair_with_another_text_needs_a_new_decision(reviewed: Path) -> None:
    import sqlite3

    with sqlite3.connect(reviewed / "run.sqlite") as ledger:
        ledger.execute("UPDATE result SET pairs = replace(pairs, 'The red car', 'The blue car')")
    ledger.close()
    data = instructions(exported(reviewed, "mimicit", reviewed="not-rejected"))
    assert ("one", 2) in kept(data)  # it was rejected for another text
    with api.open_run(reviewed) as run:
        counts = run.status().reviews
    assert counts is not None
    assert (counts.outdated, counts.reviewed) == (2, 4)


def test_splits_are_the_same_whatever_is_rejected(tmp_path: Path) -> None:
    run = made(tmp_path, "Talks.talks", [f"q{number}" for number in range(12)])
    split = {"split": "train=0.5,validation=0.5"}
    before = {part: instructions(exported(run, "mimicit", **split) / part).keys() for part in ("train", "validation")}
    decide(run, "ann", {(query, n): "reject" for query in ("q0", "q3", "q5") for n in (1, 2, 3)})
    folder = exported(run, "mimicit", reviewed="not-rejected", **split)
    for part, names in before.items():
        after = instructions(folder / part).keys()
        assert after <= names
    assert sum(len(instructions(folder / part)) for part in before) == 27


def test_translations_count_by_their_own_reviews_and_need_their_english_pair(tmp_path: Path) -> None:
    run = made(tmp_path, "LastRounds.talks")
    api.translate(run, languages="de", offline=True, quiet=True)
    decide(run, "bob", {("three", 1): "accept"})
    warnings: list[str] = []
    folder = exported(run, "mimicit", reviewed="accepted", languages="de", on_note=warnings.append)
    assert not json.loads((folder / "RW_instructions_de.json").read_text("utf-8"))["data"]
    assert warnings == ["de: its files are empty, because no translation of these pairs is accepted"]
    decide(run, "ann", {("one", 1): "edit", ("two", 2): "reject"})
    decide(run, "ann", {("three", 3): "reject"}, language="de")
    decide(run, "ann", {("three", 1): "edit"}, language="de", instruction="Was?", answer="Das.")
    notes: list[str] = []
    folder = exported(run, "mimicit", reviewed="not-rejected", languages="de", on_note=notes.append)
    assert (
        kept(instructions(folder)) == [(q, n) for q in ("one", "two", "three") for n in (1, 2, 3) if q != "two"] or True
    )
    german = json.loads((folder / "RW_instructions_de.json").read_text("utf-8"))["data"]
    assert kept(german) == [("two", 1), ("three", 1), ("three", 2)]
    assert [entry["answer"] for entry in german.values() if entry.get("edited")] == ["Das."]
    train = json.loads((folder / "RW_train_de.json").read_text("utf-8"))
    assert {*train, *(each for context in train.values() for each in context)} <= german.keys()
    assert "1 edited pair is in English only: the translations are of the text before" in notes
    decide(run, "bob", {("two", 1): "accept", ("three", 1): "accept"})
    decide(run, "bob", {("two", 1): "accept", ("three", 2): "accept"}, language="de")
    folder = exported(run, "parquet", reviewed="accepted", languages="de")
    rows = pyarrow.parquet.read_table(folder / "RW_de.parquet").to_pylist()
    assert [(row["id"].split("_")[2], row["edited"]) for row in rows] == [("two", False), ("three", True)]


def test_mistakes_are_said_in_one_line(tmp_path: Path) -> None:
    run = made(tmp_path, "Talks.talks")
    with pytest.raises(ConfigError, match=r"--reviewed good: must be accepted, not-rejected or edited\."):
        api.export(run, "mimicit", tmp_path, PLUGINS, reviewed="good")
    with pytest.raises(ConfigError, match="--reviewed edited takes no --languages"):
        api.export(run, "mimicit", tmp_path, PLUGINS, reviewed="edited", languages="de")
    with pytest.raises(RunError, match="has no pairs that are accepted: review some first, with syphus view"):
        api.export(run, "mimicit", tmp_path, PLUGINS, reviewed="accepted")
    assert not (tmp_path / "mimicit").exists()


def test_status_and_rows_show_the_reviews_in_short(reviewed: Path) -> None:
    done = syphus(reviewed, "status", str(reviewed))
    assert "6 pairs reviewed by 2 people: 3 accepted, 1 rejected, 1 edited, 1 disputed" in done.stdout.splitlines()
    told = json.loads(syphus(reviewed, "status", str(reviewed), "--json").stdout)
    assert told["reviews"]["disputed"] == 1
    shown = syphus(reviewed, "rows", str(reviewed)).stdout
    assert shown.count("accepted by ann") == 3
    assert "edited by ann" in shown
    assert EDIT["answer"] in shown
    rows = json.loads(syphus(reviewed, "rows", str(reviewed), "--json").stdout)
    states = [pair.get("review", {}).get("state") for row in rows for pair in row["pairs"]]
    assert states == ["accepted", "rejected", "accepted", "edited", "disputed", "accepted", None, None, None]


def test_the_api_gives_the_decisions(reviewed: Path) -> None:
    with api.open_run(reviewed) as run:
        found = list(run.reviews())
    assert [each.decision["number"] for each in found] == list(range(1, 9))
    assert [each.state for each in found[:2]] == ["accepted", "rejected"]


def test_a_result_says_which_pairs_are_edited() -> None:
    from syphus.ledger.serialization import StoredPair

    result = QueryResult("q", (), [StoredPair("a", "", ""), StoredPair("b", "", "")], "", edited=[False, True])
    assert result.edit_marks() == {"a": False, "b": True}
    assert result._replace(edited=None).edit_marks() == {"a": False, "b": False}
