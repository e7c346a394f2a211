"""How pairs are related: the nearest, without doubles; by rule, by the plugin, by option; and what is trained on."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from harness import HERE, Listener, Ran, server, write_config
from processes import finish
from typer.testing import CliRunner

from syphus.cli.app import app
from syphus.config.options import Options
from syphus.declarations import Relation, Train
from syphus.errors import ConfigError, InputError, PluginError, RunError, SyphusError
from syphus.formats.related_pairs import apply_relation
from syphus.formats.train import RuleTrainFile
from syphus.ledger.results import QueryResult
from syphus.ledger.serialization import StoredPair
from syphus.main_job import run
from syphus.relations.neighbours import (
    approximate_index,
    distinct_neighbours,
    exact_index,
    nearest_neighbours,
    recall,
    search_index,
)
from syphus.relations.vector_files import read_vectors
from syphus.runs.clean import clean_run
from syphus.runs.export import export_run

PLUGINS = (HERE / "plugins",)

# The nearest


def made(count: int, dimension: int, spread: float) -> Any:
    random = numpy.random.default_rng(0)
    centres = random.standard_normal((max(1, count // 50), dimension))
    near = centres[random.integers(len(centres), size=count)] + spread * random.standard_normal((count, dimension))
    return near.astype(numpy.float32)


def test_the_nearest_come_by_cosine_without_itself() -> None:
    vectors = numpy.array([[1, 0], [10, 1], [0, 2], [1, 3], [-5, 0]], numpy.float32)
    assert nearest_neighbours(vectors, 3).tolist() == [[1, 3, 2], [0, 3, 2], [3, 1, 0], [2, 1, 0], [2, 3, 1]]


def test_equal_ones_come_by_their_number_and_few_are_few() -> None:
    assert nearest_neighbours(numpy.ones((4, 3), numpy.float32), 50).tolist() == [
        [1, 2, 3],
        [0, 2, 3],
        [0, 1, 3],
        [0, 1, 2],
    ]
    assert nearest_neighbours(numpy.ones((1, 3), numpy.float32), 50).shape == (1, 0)
    assert nearest_neighbours(numpy.ones((0, 0), numpy.float32), 50).shape == (0, 0)


def test_many_doubles_push_nothing_wrong_in() -> None:
    found = nearest_neighbours(numpy.ones((60, 2), numpy.float32), 5)
    assert all(number not in row for number, row in enumerate(found.tolist()))


@pytest.mark.parametrize("spread", [0.7, 5.0])  # in clear groups, and in none
def test_the_approximate_index_finds_nearly_all_and_the_same_each_time(spread: float) -> None:
    vectors = made(4_000, 32, spread)
    vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
    exact = search_index(exact_index(vectors), vectors, 50, step=10)
    once, twice = (search_index(approximate_index(vectors), vectors, 50, step=10) for _ in range(2))
    assert (once == twice).all()
    assert recall(once[:, :10], exact[:, :10]) >= 0.98
    assert all(10 * place not in row for place, row in enumerate(once.tolist()))


def test_duplicates_and_missing_neighbours_are_skipped_and_ten_are_kept() -> None:
    labels = ["a", "b", "a", "b", "c", *map(str, range(30))]
    assert distinct_neighbours([2, 1, 3, -1, 4], 0, labels) == [1, 4]
    assert distinct_neighbours(range(5, 35), 0, labels) == list(range(5, 15))


# By rule


def train_entries(results: Iterable[QueryResult], rule: Train) -> list[tuple[str, list[str]]]:
    keys = RuleTrainFile(rule)
    return [entry for result in results for entry in keys.entries(result, result.contexts())]


def result(*related: Sequence[int], nearest: Sequence[Sequence[str]] | None = None) -> QueryResult:
    pairs = [StoredPair(f"p{number}", f"q{number}", "a", each) for number, each in enumerate(related, 1)]
    return QueryResult("q", (), pairs, "", nearest)


TALKS = result([], [], [1], [2], [1, 3])  # two conversations: 1, 3, 5 and 2, 4


@pytest.mark.parametrize(
    ("relation", "contexts"),
    [
        (Relation.SIBLINGS, ["2345", "1345", "1245", "1235", "1234"]),
        (Relation.EARLIER, ["", "", "1", "2", "13"]),
        (Relation.NONE, [""] * 5),
    ],
)
def test_pairs_of_a_query_are_related_by_rule(relation: Relation, contexts: list[str]) -> None:
    (found,) = apply_relation([TALKS], relation)
    assert ["".join(name[1:] for name in each) for each in found.contexts()] == contexts


@pytest.mark.parametrize(
    ("rule", "entries"),
    [
        (Train(), {"p1": "", "p2": "", "p3": "1", "p4": "2", "p5": "13"}),
        (Train("last rounds"), {"p4": "2", "p5": "13"}),
        (Train("last rounds", last=2), {"p4": "22", "p5": "13"}),
        (Train("last rounds", last=1), {"p4": "2", "p5": "3"}),
        (Train("every", first=1), {"p1": "", "p2": "", "p3": "1", "p4": "2", "p5": "1"}),
        (Train("every", first=3), {"p1": "", "p2": "", "p3": "111", "p4": "222", "p5": "131"}),
    ],
)
def test_the_keys_of_a_train_file_by_rule(rule: Train, entries: dict[str, str]) -> None:
    found = {name: "".join(each[1:] for each in context) for name, context in train_entries([TALKS], rule)}
    assert found == entries


def test_a_pair_in_the_context_of_another_is_no_key_in_its_query_or_beyond() -> None:
    mutual = result([2, 3], [1, 3], [1, 2])
    assert train_entries([mutual], Train()) == [("p1", ["p2", "p3"])]
    again = QueryResult("r", (), [StoredPair("p9", "q", "a")], "", [["p1"]])
    first = result([], [], nearest=[["p9"], []])
    assert [name for name, _ in train_entries([first, again], Train())] == ["p1", "p2"]


# In a run

ROWS: dict[str, Any] = {
    "k1": {
        "pairs": [["What is on the red table?", "A pan."], ["Who washes the dishes?", "Two men."]],
        "images": ["I1"],
    },
    "k2": {"pairs": [["What is on the blue table?", "A cup."]], "images": ["I2"]},
    "k3": {"pairs": [["what is  on the red TABLE?", "A cat."]], "images": ["I3"]},
    "k4": {"pairs": [["Who plays tennis there?", "A girl."], ["Who washes the dog?", "A boy."]], "images": ["I1"]},
}


def talk(folder: Path, name: str = "Talks", rows: Mapping[str, Any] = ROWS, url: str = "", **options: Any) -> Ran:
    """A run over rows that bring their pairs; vectors come from the server at `url`, otherwise they are made up."""
    path = folder / "talks.jsonl"
    path.write_text("".join(json.dumps({"id": key, **row}) + "\n" for key, row in rows.items()), "utf-8")
    where = {"config": write_config(folder / "c.json", url, embeddings={"model": "v"})} if url else {"offline": True}
    given = {"name": f"{name}.talks", "query_inputs_path": str(path), "datasets_dir": PLUGINS, "num_threads": 2}
    chosen = Options(**{**where, "output_dir": folder / "output", **given, **options})
    listener = Listener()
    try:
        finished = run(chosen, {}, listener)
        return Ran(finished.exit_code, finished.stopped_by, chosen.folder, listener.lines)
    except SyphusError as error:
        return Ran(error.exit_code, error, chosen.folder, listener.lines)


def contexts(ran: Ran, name: str = "RW") -> dict[str, list[str]]:
    """The context of each pair, ids without what they all begin with."""
    data = json.loads((ran.folder / f"{name}_instructions.json").read_text("utf-8"))["data"]
    return {short(key, name): [short(each, name) for each in entry["rel_ins_ids"]] for key, entry in data.items()}


def trained(ran: Ran, name: str = "RW") -> dict[str, list[str]]:
    entries = json.loads((ran.folder / f"{name}_train.json").read_text("utf-8"))
    return {short(key, name): [short(each, name) for each in context] for key, context in entries.items()}


def short(name: str, prefix: str) -> str:
    assert name.startswith(f"{prefix}_INS_")
    return name.removeprefix(f"{prefix}_INS_")


def test_the_nearest_by_text_are_of_other_texts_and_of_any_query(tmp_path: Path) -> None:
    ran = talk(tmp_path, relate=Relation.TEXT)
    assert ran.exit_code == 0
    found = contexts(ran)
    assert found["k1_1"][0] == "k2_1"  # k3's text is the same but for case and space
    assert "k3_1" not in found["k1_1"]
    assert found["k1_2"][0] == "k4_2"
    assert [len(each) for each in found.values()] == [4, 4, 4, 4, 4, 4]
    assert all(key not in context and len(set(context)) == len(context) for key, context in found.items())
    assert talk(tmp_path / "..", "ByText", output_dir=tmp_path / "other").exit_code == 0


def test_a_plugin_may_choose_the_nearest_and_an_option_overrides_it(tmp_path: Path) -> None:
    ran = talk(tmp_path, "ByText")
    assert contexts(ran)["k1_2"][0] == "k4_2"
    assert ran.report.relations["relation"] == "nearest by text"
    siblings = talk(tmp_path, "ByText", relate=Relation.SIBLINGS)
    assert contexts(siblings)["k1_1"] == ["k1_2"]


def test_another_relation_costs_nothing_and_the_first_one_comes_back_byte_for_byte(tmp_path: Path) -> None:
    with server() as simulated:
        ran = talk(tmp_path, url=simulated.url, relate=Relation.TEXT)
        paid = simulated.stats.requests
        files = ["RW_instructions.json", "RW_train.json", "pairs.jsonl"]
        before = [(ran.folder / name).read_bytes() for name in files]
        talk(tmp_path, url=simulated.url, relate=Relation.NONE)
        assert list(contexts(ran).values()) == [[]] * 6
        assert trained(ran) == contexts(ran)
        talk(tmp_path, url=simulated.url, relate=Relation.TEXT)
        assert [(ran.folder / name).read_bytes() for name in files] == before
        for name in files:
            (ran.folder / name).unlink()
        talk(tmp_path, url=simulated.url, relate=Relation.TEXT)
        assert [(ran.folder / name).read_bytes() for name in files] == before
        assert simulated.stats.requests == paid == 1


def test_export_and_cleaning_go_by_what_the_run_has_chosen(tmp_path: Path) -> None:
    ran = talk(tmp_path, "Named", relate=Relation.TEXT)
    files = ["RW_T2T_instructions.json", "RW_T2T_train.json"]
    exported = export_run(ran.folder, ["mimicit", "parquet"], tmp_path / "out", PLUGINS)
    assert [Path(path).name for path in exported] == [*files, "README.md", "RW_T2T.parquet", "README.md"]
    for name in files:
        assert (tmp_path / "out" / "mimicit" / name).read_bytes() == (ran.folder / name).read_bytes()
    rows = __import__("pyarrow.parquet").parquet.read_table(tmp_path / "out" / "parquet" / "RW_T2T.parquet").to_pylist()
    assert {row["id"]: row["rel_ins_ids"] for row in rows} == {
        f"RW_T2T_INS_{key}": [f"RW_T2T_INS_{each}" for each in context]
        for key, context in contexts(ran, "RW_T2T").items()
    }
    cleaned = clean_run(ran.folder, PLUGINS, Listener())
    assert cleaned.changed == 0
    assert [Path(path).name for path in cleaned.files][:2] == files


def test_the_relation_names_the_set_and_training_uses_the_first_two(tmp_path: Path) -> None:
    plain = talk(tmp_path, "Named")
    assert trained(plain)["k1_1"] == ["k1_2", "k1_2"]
    by_text = talk(tmp_path, "Named", relate=Relation.TEXT)
    assert trained(by_text, "RW_T2T") == {key: each[:2] for key, each in contexts(by_text, "RW_T2T").items()}
    lines = [json.loads(line) for line in (by_text.folder / "pairs.jsonl").read_text("utf-8").splitlines()]
    assert all(line["id"].startswith("RW_T2T_INS_") for line in lines)
    refused = talk(tmp_path, "Named", relate=Relation.IMAGE)
    assert isinstance(refused.error, ConfigError)
    export_run(by_text.folder, ["mimicit"], tmp_path / "out", PLUGINS)  # nothing was renamed by what was refused
    assert (tmp_path / "out" / "mimicit" / "RW_T2T_train.json").exists()


def test_the_last_round_of_each_conversation_is_trained_on(tmp_path: Path) -> None:
    many = [[f"Question {number}?", "Yes."] for number in range(4)]
    rows = {"a": {"pairs": many}, "b": {"pairs": many[:2]}, "c": {"pairs": many[:1]}}
    assert trained(talk(tmp_path, "LastRounds", rows)) == {"a_4": ["a_2", "a_3"], "b_2": ["b_1", "b_1"]}
    two = talk(tmp_path, "TwoTalks", rows)
    assert trained(two) == {"a_3": ["a_1"], "a_4": ["a_2"]}
    earlier = talk(tmp_path, "TwoTalks", rows, relate=Relation.EARLIER)
    assert contexts(earlier)["a_4"] == ["a_2"]


def test_nothing_is_near_until_every_query_has_its_outcome(tmp_path: Path) -> None:
    talk(tmp_path, relate=Relation.TEXT)
    more = {**ROWS, "k5": {"pairs": [["Who is it?", "Nobody."]], "images": ["I5"]}}
    with server(down=True) as simulated:
        stopped = talk(tmp_path, rows=more, relate=Relation.TEXT, url=simulated.url)
    assert isinstance(stopped.error, RunError)  # made-up vectors and those of a server are never mixed
    done = talk(tmp_path, rows=more, relate=Relation.TEXT)
    assert len(contexts(done)["k5_1"]) == 5


def test_a_relation_that_there_is_not_is_refused(tmp_path: Path) -> None:
    assert isinstance(talk(tmp_path, "Unknown").error, PluginError)
    told = CliRunner().invoke(app, ["--name", "Talks.talks", "--relate", "cousins"]).exception
    assert isinstance(told, ConfigError)
    assert "must be siblings, earlier-rounds, none, nearest-by-text or nearest-by-image." in str(told)


def shipped(folder: Path, name: str, **options: Any) -> Path:
    """The folder of a run over a shipped dataset's example."""
    chosen = Options(name=name, example=True, offline=True, output_dir=folder, **options)
    assert run(chosen, {}, Listener()).exit_code == 0
    return chosen.folder


def files(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The pairs and the train file of a set."""
    data = json.loads((folder / f"{name}_instructions.json").read_text("utf-8"))["data"]
    return data, json.loads((folder / f"{name}_train.json").read_text("utf-8"))


def test_conversations_of_llava_are_trained_on_as_the_original_did(tmp_path: Path) -> None:
    data, train = files(shipped(tmp_path, "LlavaConversation.llava"), "LACONV")
    rounds: dict[str, list[str]] = {}
    for name in data:
        rounds.setdefault(name.rpartition("_")[0], []).append(name)
    assert train == {
        names[-1]: ([*names[:-1]] * 2)[-2:] if len(names) == 2 else names[-3:-1]
        for names in rounds.values()
        if len(names) > 1
    }


def test_reasoning_of_llava_has_ten_relations_under_the_name_of_the_original_set(tmp_path: Path) -> None:
    data, train = files(shipped(tmp_path, "LlavaReasoning.llava", relate=Relation.TEXT), "LACR_T2T")
    assert all(name.startswith("LACR_T2T_INS_0000") for name in data)
    assert {len(entry["rel_ins_ids"]) for entry in data.values()} == {10}
    assert train == {name: entry["rel_ins_ids"][:2] for name, entry in data.items()}


def test_the_highest_round_of_each_activity_is_trained_on(tmp_path: Path) -> None:
    data, train = files(shipped(tmp_path, "SceneNavigation.3d"), "SN")
    highest = {name.rpartition("_round")[0]: name for name in data}
    assert list(train) == list(highest.values())
    assert all(context == data[name]["rel_ins_ids"] for name, context in train.items())
    rounds = {
        name: [each for each in data if each.startswith(f"{activity}_round")] for activity, name in highest.items()
    }
    assert train == {name: names[:-1] for name, names in rounds.items()}
    assert sum(map(len, rounds.values())) == 144


# By image

VECTORS = {"I1": [1.0, 0.0], "I2": [0.9, 0.1], "I3": [0.0, 1.0]}


def write_vectors(path: Path, vectors: Mapping[str, Sequence[float]] = VECTORS) -> Path:
    ids, rows = list(vectors), numpy.array(list(vectors.values()), numpy.float32)
    if path.suffix == ".npz":
        numpy.savez(path, ids=numpy.array(ids), vectors=rows)
    elif path.suffix == ".npy":
        numpy.save(path, rows)
        path.with_suffix(".txt").write_text("\n".join(ids) + "\n", "utf-8")
    else:
        pandas.DataFrame({"embedding": list(rows)}, index=ids).to_parquet(path)
    return path


@pytest.mark.parametrize("ending", [".npz", ".npy", ".parquet"])
def test_the_nearest_by_image_use_the_users_vectors(ending: str, tmp_path: Path) -> None:
    ran = talk(tmp_path, relate=Relation.IMAGE, image_embeddings=write_vectors(tmp_path / f"v{ending}"))
    assert ran.exit_code == 0
    found = contexts(ran)
    assert found["k1_1"] == found["k1_2"] == found["k4_1"] == ["k2_1", "k3_1"]  # one pair an image, none of its own
    assert found["k3_1"] == ["k2_1", "k1_1"]
    again = talk(tmp_path, relate=Relation.IMAGE)  # found already: the file is not needed
    assert (again.exit_code, contexts(again)) == (0, found)
    other = {**VECTORS, "I3": [0.95, 0.05]}
    changed = talk(tmp_path, relate=Relation.IMAGE, image_embeddings=write_vectors(tmp_path / f"w{ending}", other))
    assert contexts(changed)["k1_1"] == ["k3_1", "k2_1"]


def test_images_without_a_vector_are_reported(tmp_path: Path) -> None:
    few = {name: VECTORS[name] for name in ("I1", "I2")}
    ran = talk(tmp_path, relate=Relation.IMAGE, image_embeddings=write_vectors(tmp_path / "v.npz", few))
    assert contexts(ran)["k3_1"] == []
    assert "nearest by image: 2 vectors compared; 1 pair has no context: no vector or neighbour found." in ran.lines


def test_unusable_vectors_are_rejected_with_the_name_of_the_file(tmp_path: Path) -> None:
    cases: dict[str, object] = {
        "gone.npz": "no such file",
        "v.csv": "read from .parquet, .npz, .npy",
        "text.npz": "can't be read as vectors",
        "lonely.npy": "lonely.txt with the ids",
        "twice.npy": "I1 appears twice",
        "short.npy": "found 1 id and an array of 2 x 2",
        "zero.npy": "the vector of I2 is not finite, or zero",
        "nan.npy": "the vector of I1 is not finite, or zero",
        "ragged.parquet": "the vector of c differs in length from that of a",
        "null first.parquet": "the vector of a is null",
        "null.parquet": "the vector of d is null",
        "null as id.parquet": "an id is null",
    }
    for name in ("v.csv", "text.npz"):
        (tmp_path / name).write_text("hello", "utf-8")
    write_vectors(tmp_path / "lonely.npy").with_suffix(".txt").unlink()
    write_vectors(tmp_path / "twice.npy", dict(list(VECTORS.items())[:2])).with_suffix(".txt").write_text("I1\nI1\n")
    write_vectors(tmp_path / "short.npy", dict(list(VECTORS.items())[:2])).with_suffix(".txt").write_text("I1\n")
    write_vectors(tmp_path / "zero.npy", {"I1": [0.0, 1.0], "I2": [0.0, 0.0]})
    write_vectors(tmp_path / "nan.npy", {"I1": [0.0, math.nan]})
    one = [1.0, 2.0, 3.0, 4.0]  # four rows of three, if one of four is lost
    for name, vectors in (("ragged", [one, one, one[:2], one[:2]]), ("null first", [None, one, one, one]),
                          ("null", [one, one, one, None])):  # fmt: skip
        pandas.DataFrame({"id": list("abcd"), "vector": vectors}).to_parquet(tmp_path / f"{name}.parquet")
    pandas.DataFrame({"id": ["a", None], "vector": [one, one]}).to_parquet(tmp_path / "null as id.parquet")
    for name, said in cases.items():
        with pytest.raises(InputError, match=name.replace(".", r"\.") + ": ") as caught:
            read_vectors(tmp_path / name)
        assert str(said) in str(caught.value)


# The user's own train file


def own_train(folder: Path, content: object) -> Path:
    path = folder / "own.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_the_users_train_file_is_written_as_it_is_or_with_the_context_of_its_pairs(tmp_path: Path) -> None:
    entries = {"RW_INS_k4_1": ["RW_INS_k1_1"], "RW_INS_k1_2": []}
    ran = talk(tmp_path, train=own_train(tmp_path, entries))
    assert trained(ran) == {"k4_1": ["k1_1"], "k1_2": []}
    exported = Path(export_run(ran.folder, ["mimicit"], tmp_path / "out", PLUGINS)[1])
    assert exported.read_bytes() == (ran.folder / "RW_train.json").read_bytes()
    listed = talk(tmp_path, train=own_train(tmp_path, ["RW_INS_k4_2", "RW_INS_k2_1"]))
    assert trained(listed) == {"k4_2": ["k4_1"], "k2_1": []}
    assert list(trained(talk(tmp_path))) == ["k1_1", "k2_1", "k3_1", "k4_1"]  # without it the rule holds again


def test_unknown_pairs_in_a_train_file_are_reported_line_by_line(tmp_path: Path) -> None:
    entries = {"RW_INS_k1_1": ["RW_INS_k1_1", "RW_INS_k9_1"], "RW_INS_k8_1": []}
    path = own_train(tmp_path, entries)
    ran = talk(tmp_path, train=path)
    assert ran.exit_code == 2
    assert str(ran.error) == f"3 problems in {path}: no train file was written."
    assert [line.removeprefix(f"{path}: ") for line in ran.lines if line.startswith(str(path))] == [
        "RW_INS_k1_1: names itself as its context",
        "RW_INS_k1_1: unknown context: RW_INS_k9_1",
        "RW_INS_k8_1: unknown pair",
    ]
    assert not (ran.folder / "RW_train.json").exists()
    assert len(contexts(ran)) == 6
    with pytest.raises(RunError, match="does not fit its pairs"):
        export_run(ran.folder, ["mimicit"], tmp_path / "out", PLUGINS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a": [], "a": []}', "a appears twice"),
        ('{"a": "b"}', "a: the context must be a list of ids; this is text"),
        ("[3]", "a list of ids is expected; this is a whole number"),
        ("{}", "names no pairs"),
        ('{"a": [', "own.json"),
    ],
)
def test_an_invalid_train_file_is_rejected_before_anything_is_sent(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(content, "utf-8")
    ran = talk(tmp_path, train=path)
    assert isinstance(ran.error, InputError)
    assert said in str(ran.error)
    assert not ran.folder.exists()


# Where something is missing, or killed

KILLED = """
import os, sys
sys.path[:0] = {paths!r}
from pathlib import Path
import test_relations
from syphus.ledger.store import Store
commit, left = Store.commit, {commits}
def counted(self):
    global left
    commit(self)
    left -= 1
    if not left:
        os.kill(os.getpid(), 9)
Store.commit = counted
test_relations.talk(Path({folder!r}), url={url!r}, relate=test_relations.Relation.TEXT, **test_relations.SMALL)
"""
SMALL: dict[str, Any] = {"num_threads": 1}


@pytest.mark.parametrize("commits", [6, 7, 8, 9])
def test_a_kill_at_any_moment_pays_no_text_twice_and_ends_in_the_same_bytes(commits: int, tmp_path: Path) -> None:
    files = ["RW_instructions.json", "RW_train.json", "pairs.jsonl"]
    (tmp_path / "whole").mkdir()
    with server() as simulated:
        whole = talk(tmp_path / "whole", url=simulated.url, relate=Relation.TEXT, **SMALL)
        simulated.reset()
        given = {
            "paths": [str(HERE), str(Path(__file__).parent)],
            "folder": str(tmp_path),
            "url": simulated.url,
            "commits": commits,
        }
        killed = finish([sys.executable, "-c", KILLED.format(**given)], tmp_path)
        assert killed.returncode == -9, killed.stderr
        done = talk(tmp_path, url=simulated.url, relate=Relation.TEXT, **SMALL)
        assert simulated.stats.dup_after_ok == 0
    assert [(done.folder / name).read_bytes() for name in files] == [
        (whole.folder / name).read_bytes() for name in files
    ]


def test_a_local_model_computes_the_vectors_if_it_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_model(name: str) -> Ran:
        config = tmp_path / "c.yaml"
        config.write_text(f"embeddings: {{local: {name}}}\n", "utf-8")
        return talk(tmp_path, relate=Relation.TEXT, offline=False, config=config)

    missing = with_model("mini")
    assert str(missing.error) == (
        "`embeddings: {local: mini}` needs sentence-transformers: pip install sentence-transformers"
    )
    library = tmp_path / "library" / "sentence_transformers"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text(LIBRARY, "utf-8")
    monkeypatch.syspath_prepend(str(library.parent))
    assert str(with_model("big").error) == "`embeddings: {local: big}` can't be loaded: big is no model"
    assert str(with_model("broken").error) == "`embeddings: {local: broken}` gave 1 vector for 6 texts."
    made = with_model("mini")
    assert made.exit_code == 0
    assert "Vectors of 6 texts: local:mini in this process" in made.lines
    assert (made.report.cost, made.report.spending.requests) == (0.0, 0)
    assert contexts(made)["k1_1"][0] == "k4_2"  # of as many letters as this library looks at
    assert not any(line.startswith("Vectors") for line in with_model("mini").lines)


LIBRARY = """
import numpy

class SentenceTransformer:
    def __init__(self, name):
        if name not in ("mini", "broken"):
            raise OSError(f"{name} is no model")
        self.most = 1 if name == "broken" else None

    def encode(self, sentences):
        return numpy.array([[len(text), text.count("e") + 1.0] for text in sentences[: self.most]], numpy.float32)
"""


def test_without_the_libraries_one_line_says_what_to_install(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['faiss'] = None\n"
        "from syphus.relations.neighbours import require_libraries\n"
        "try: require_libraries()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "ConfigError The nearest pairs need faiss: "
        "pip install 'syphus[relations]' (in a checkout: pip install -e '.[relations]'; [all] has every extra)\n"
    )
