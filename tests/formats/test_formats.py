"""The formats of `export`, opened with the libraries that people open them with."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas
import pyarrow.parquet
import pytest
import yaml
from harness import HERE, run_rows, server
from huggingface_hub import DatasetCard
from PIL import Image

from syphus.declarations import Train
from syphus.errors import ConfigError, RunError, StorageError
from syphus.formats import FORMAT_NAMES
from syphus.formats.llava import write_llava
from syphus.formats.mimicit.ids import check_unique
from syphus.formats.mimicit.writer import write_dataset
from syphus.formats.parquet import write_parquet
from syphus.formats.registry import FORMATS
from syphus.formats.source import ExportSource, strip_marks
from syphus.formats.train import RuleTrainFile
from syphus.io.durable import replace_folder
from syphus.ledger.results import QueryResult, conversations
from syphus.ledger.serialization import StoredPair
from syphus.runs.export import export_run
from syphus.runs.export_options import ExportOptions
from syphus.text import install_hint

PLUGINS = (HERE / "plugins",)
ROWS = 7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run of seven rows."""
    with server() as simulated:
        return run_rows(tmp_path, simulated.url, ROWS).folder


def exported(folder: Path, name: str) -> Path:
    """The first file of one format, with images if it needs them."""
    photos = folder.parent / "photos"
    photos.mkdir(exist_ok=True)
    for row in range(ROWS):
        Image.new("RGB", (8, 8), (row, 0, 0)).save(photos / f"RW_IMG_r{row:03d}.png")
    options = ExportOptions(images=(photos,)) if FORMATS[name].needs_images else None
    return Path(export_run(folder, [name], None, PLUGINS, options)[0])


def pairs_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "pairs.jsonl").read_text("utf-8").splitlines()]


def loaded(card: Path, cache: Path) -> Any:
    """What Hugging Face's `datasets` makes of a folder with a card, by the card's own front matter."""
    library = importlib.import_module("datasets")  # mypy takes the name for the folder of plugins
    return library.load_dataset(str(card), split="train", cache_dir=str(cache))


def source(*results: QueryResult, images: int = 1) -> ExportSource:
    return ExportSource("XX", lambda: iter(results), lambda: images, {}, lambda: RuleTrainFile(Train()))


def test_mimicit_is_what_the_run_wrote_at_its_end(folder: Path) -> None:
    instructions = exported(folder, "mimicit")
    assert instructions.read_bytes() == (folder / "RW_instructions.json").read_bytes()
    assert (instructions.parent / "RW_train.json").read_bytes() == (folder / "RW_train.json").read_bytes()


def test_mimicit_is_written_to_the_byte(tmp_path: Path) -> None:
    mutual = [StoredPair("XX_INS_a_1", "q?", 'ö "1', (2,)), StoredPair("XX_INS_a_2", "r?", "b", (1,))]
    later = [StoredPair("XX_INS_b_1", "s?", "c", ()), StoredPair("XX_INS_b_2", "t?", "d", (1,))]
    results = QueryResult("a", ("XX_IMG_1",), mutual, "m"), QueryResult("b", (), later, "m")
    write_dataset(tmp_path, "XX", iter(results), {"version": "0.0.1"}, RuleTrainFile(Train()))
    assert (tmp_path / "XX_instructions.json").read_text("utf-8") == (
        '{"meta":{"version":"0.0.1"},"data":{\n'
        '"XX_INS_a_1":{"instruction":"q?","answer":"ö \\"1","image_ids":["XX_IMG_1"],"rel_ins_ids":["XX_INS_a_2"]},\n'
        '"XX_INS_a_2":{"instruction":"r?","answer":"b","image_ids":["XX_IMG_1"],"rel_ins_ids":["XX_INS_a_1"]},\n'
        '"XX_INS_b_1":{"instruction":"s?","answer":"c","image_ids":[],"rel_ins_ids":[]},\n'
        '"XX_INS_b_2":{"instruction":"t?","answer":"d","image_ids":[],"rel_ins_ids":["XX_INS_b_1"]}\n}}\n'
    )
    assert (tmp_path / "XX_train.json").read_text("utf-8") == (
        '{\n"XX_INS_a_1":["XX_INS_a_2"],\n"XX_INS_b_1":[],\n"XX_INS_b_2":["XX_INS_b_1"]\n}\n'
    )


@pytest.mark.parametrize("count", [0, 1, 999, 1_000, 1_001, 2_000])
def test_mimicit_is_complete_for_any_number_of_pairs(tmp_path: Path, count: int) -> None:
    results = (QueryResult(f"{i}", (), [StoredPair(f"XX_INS_{i}_1", "q?", "a")], "m") for i in range(count))
    write_dataset(tmp_path, "XX", results, {}, None)
    text = (tmp_path / "XX_instructions.json").read_text("utf-8")
    assert list(json.loads(text)["data"]) == [f"XX_INS_{i}_1" for i in range(count)]
    assert not (tmp_path / "XX_train.json").exists()
    assert text.count("\n") == (count + 2 if count else 2)  # a line each, and the first and the last


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_ledger_gives_the_same_bytes_and_no_other_files(folder: Path, name: str) -> None:
    first = exported(folder, name)
    target = folder / "export" / name
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert exported(folder, name) == first
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before
    assert [path.name for path in target.parent.iterdir()] == [name]


def test_llava_has_every_pair_in_order_with_its_image_marks(folder: Path) -> None:
    records = json.loads(exported(folder, "llava").read_text("utf-8"))
    turns = [turn["value"].replace("<image>\n", "") for record in records for turn in record["conversations"]]
    assert turns == [text for pair in pairs_of(folder) for text in (pair["instruction"], pair["answer"])]
    assert [record["id"] for record in records] == [f"RW_INS_r{row:03d}_1" for row in range(ROWS)]
    assert {turn["from"] for record in records for turn in record["conversations"]} == {"human", "gpt"}


#: Returns the first answer in a record of each format.
ANSWERS: dict[str, Callable[[Any], str]] = {
    "llava": lambda row: row["conversations"][1]["value"],
    "chat": lambda row: row["messages"][1]["content"],
    "alpaca": lambda row: row["output"],
    "parquet": lambda row: row["answer"],
    "trl": lambda row: row["messages"][1]["content"],
    "internvl": lambda row: row["conversations"][1]["value"],
    "axolotl": lambda row: row["messages"][1]["content"][0]["text"],
}
#: Formats of which a record is a conversation. A record of the others is a pair.
CONVERSATIONS = {"llava", "chat", "trl", "internvl", "axolotl"}
#: Formats of which a record has no id, so that none can be twice.
WITHOUT_IDS = {
    "chat",
    "alpaca",
    "axolotl",
}
TABULAR = [name for name, form in FORMATS.items() if form.tabular]


def first_answer(name: str, record: Any) -> str:
    assert name in ANSWERS, f'tests/formats/test_formats.py: add to ANSWERS where a record of "{name}" has its answer'
    return ANSWERS[name](record)


def test_the_names_and_the_registry_have_the_same_formats_in_one_order() -> None:
    assert list(FORMATS) == list(FORMAT_NAMES), "syphus/formats/__init__.py and registry.py must list the same formats"


@pytest.mark.parametrize("name", TABULAR)
def test_datasets_opens_it_by_its_card(folder: Path, tmp_path: Path, name: str) -> None:
    exported(folder, name)
    table = loaded(folder / "export" / name, tmp_path / "cache")
    pairs = pairs_of(folder)
    records = "conversation" if name in CONVERSATIONS else "pair"
    assert len(table) == (ROWS if name in CONVERSATIONS else len(pairs)), (
        f"{name} must have one record per {records}; CONVERSATIONS in tests/formats/test_formats.py says which"
    )
    assert first_answer(name, table[0]) == pairs[0]["answer"]


@pytest.mark.parametrize("name", TABULAR)
def test_pandas_opens_it(folder: Path, name: str) -> None:
    path = exported(folder, name)
    if path.suffix == ".parquet":
        frame = pandas.read_parquet(path)
    else:
        frame = pandas.read_json(path, lines=path.suffix == ".jsonl", dtype=False)
    assert first_answer(name, frame.iloc[0]) == pairs_of(folder)[0]["answer"]


@pytest.mark.parametrize("name", FORMATS)
def test_the_hubs_own_reader_reads_the_card(folder: Path, name: str) -> None:
    exported(folder, name)
    card = DatasetCard.load(folder / "export" / name / "README.md")
    assert card.data.pretty_name == "Rows.rows"
    assert card.data.to_dict()["pairs"] == len(pairs_of(folder))


def test_datasets_keeps_the_images_if_the_first_record_has_none(tmp_path: Path) -> None:
    none = QueryResult("1", (), [StoredPair("XX_INS_1", "q?", "a")], "m")
    two = QueryResult("2", ("XX_IMG_1", "XX_IMG_2"), [StoredPair("XX_INS_2", "q?", "a")], "m")
    (tmp_path / "README.md").write_text("---\nconfigs:\n- config_name: default\n  data_files: XX*\n---\n", "utf-8")
    write_llava(tmp_path, source(none, two, images=2))
    assert loaded(tmp_path, tmp_path / "cache")["image"] == [None, ["XX_IMG_1", "XX_IMG_2"]]


def test_parquet_has_groups_of_rows_that_pyarrow_reads_one_by_one(tmp_path: Path) -> None:
    results = [QueryResult(f"{i}", ("XX_IMG_1",), [StoredPair(f"XX_INS_{i}_1", "q?", "ä")], "m") for i in range(20_500)]
    write_parquet(tmp_path, source(*results))
    with pyarrow.parquet.ParquetFile(tmp_path / "XX.parquet") as file:
        groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
    assert [group.num_rows for group in groups] == [20_000, 500]
    assert [name for group in groups for name in group["query_id"].to_pylist()] == [result.query for result in results]


def test_chat_has_messages_and_nothing_else(folder: Path) -> None:
    lines = [json.loads(line) for line in exported(folder, "chat").read_text("utf-8").splitlines()]
    assert all(list(line) == ["messages"] for line in lines)
    assert all(
        [message["role"] for message in line["messages"]] == ["user", "assistant"] * (len(line["messages"]) // 2)
        for line in lines
    )


def test_parquet_has_the_declared_columns_and_pandas_reads_it(folder: Path) -> None:
    path = exported(folder, "parquet")
    columns = {each.name: str(each.type) for each in pyarrow.parquet.read_schema(path)}
    assert columns == {
        "id": "string",
        "instruction": "string",
        "answer": "string",
        "image_ids": "list<element: string>",
        "rel_ins_ids": "list<element: string>",
        "query_id": "string",
        "model": "string",
        "simulated": "bool",
    }
    frame = pandas.read_parquet(path)
    assert list(frame["id"]) == [pair["id"] for pair in pairs_of(folder)]
    assert set(frame["model"]) == {"simulated-chat"}
    assert frame["simulated"].all()
    data = json.loads((folder / "RW_instructions.json").read_text("utf-8"))["data"]
    assert [list(names) for names in frame["rel_ins_ids"]] == [entry["rel_ins_ids"] for entry in data.values()]


def test_parquet_columns_have_their_type_where_all_is_empty(tmp_path: Path) -> None:
    write_parquet(tmp_path, source(QueryResult("q", (), [StoredPair("XX_INS_q_1", "q?", "a")], "")))
    row = pandas.read_parquet(tmp_path / "XX.parquet").iloc[0]
    assert (row["model"], row["simulated"], list(row["image_ids"])) == ("", False, [])


def test_the_card_states_the_origin_of_the_data(folder: Path) -> None:
    card = exported(folder, "parquet").with_name("README.md").read_text("utf-8")
    matter = yaml.safe_load(card.split("---\n")[1])
    assert matter["pairs"] == len(pairs_of(folder))
    assert matter["size_categories"] == ["n<1K"]
    assert "simulated" in matter["tags"]
    assert "license" not in matter  # the plugin states none, and none is made up
    prompt = json.loads((folder / "report.json").read_text("utf-8"))["settings"][0]["prompt"]
    for expected in (
        "Simulated data: no model wrote these pairs",
        f"`{prompt}`",
        "`simulated-chat`",
        "7 ok",
        "not stated",
    ):
        assert expected in card, expected


def test_the_card_shows_the_prompt(tmp_path: Path) -> None:
    prompt = {
        "system_message": "Write pairs.\n```\nas this\n```",
        "in_context": [
            {"role": "user", "content": "a cat"},
            {"role": "assistant", "content": "Question: q\nAnswer: a"},
        ],
    }
    (tmp_path / "own.json").write_text(json.dumps(prompt), "utf-8")
    with server() as simulated:
        folder = run_rows(tmp_path, simulated.url, 1, prompt_path=str(tmp_path / "own.json")).folder
    card = exported(folder, "chat").with_name("README.md").read_text("utf-8")
    assert "system:\n\n````text\nWrite pairs.\n```\nas this\n```\n````\n" in card
    assert "user:\n\n```text\na cat\n```\n\nassistant:\n\n```text\nQuestion: q\nAnswer: a\n```\n" in card


@pytest.mark.parametrize(
    ("licence", "matter"),
    [
        ("cc-by-4.0", {"license": "cc-by-4.0"}),
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("Apache 2.0", {"license": "apache-2.0"}),
        ("openrail++", {"license": "openrail++"}),
        ("Ask: the authors", {"license": "other", "license_name": "ask-the-authors"}),
        ("unlicensed", {"license": "other", "license_name": "unlicensed"}),
        ("cc-by-9.0", {"license": "other", "license_name": "cc-by-9.0"}),
        ("My License 1.0 (for research)", {"license": "other", "license_name": "my-license-1.0-for-research"}),
        ("作者に", {"license": "other", "license_name": "custom"}),
    ],
)
def test_the_card_states_the_licence_of_the_plugin(
    tmp_path: Path, folder: Path, licence: str, matter: dict[str, str]
) -> None:
    plugins = tmp_path / "licensed"
    plugins.mkdir()
    text = (HERE / "plugins" / "rows.py").read_text("utf-8")
    stated = f'\n    licence = {licence!r}\n    citation = "@misc{{rows}}"\n    homepage = "https://rows.test"\n'
    head, _, tail = text.partition('\n    short_name = "RW"')
    (plugins / "rows.py").write_text(f'{head}{stated}    short_name = "RW"{tail}', "utf-8")
    card = Path(export_run(folder, ["chat"], None, [plugins])[0]).with_name("README.md").read_text("utf-8")
    front = yaml.safe_load(card.split("---\n")[1])
    link = {"license_link": "https://rows.test"} if matter["license"] == "other" else {}
    assert {name: front[name] for name in front if name.startswith("license")} == {**matter, **link}
    for expected in (licence, "@misc{rows}", "https://rows.test"):
        assert expected in card


def test_pairs_that_are_each_others_context_are_one_conversation() -> None:
    alone, first, second, third = (
        StoredPair("1", "a", "A"),
        StoredPair("2", "b", "B"),
        StoredPair("3", "c", "C", (2,)),
        StoredPair("4", "d", "D", (3,)),
    )
    assert conversations([alone, first, second, third]) == [[alone], [first, second, third]]
    mutual = [StoredPair("1", "a", "A", (2, 3)), StoredPair("2", "b", "B", (1, 3)), StoredPair("3", "c", "C", (1, 2))]
    assert conversations(mutual) == [mutual]
    assert conversations([]) == []


def test_llava_image_has_one_type_and_there_is_one_mark_per_image(tmp_path: Path) -> None:
    assert strip_marks("<video>\nWhat is <image>heard?") == "What is heard?"
    assert strip_marks("He says so. <audio>") == "He says so."
    assert strip_marks("The <video> element of HTML, and a < b.") == "The <video > element of HTML, and a < b."
    one = QueryResult("1", ("XX_IMG_1",), [StoredPair("XX_INS_1", "q <im<image>age>?", "a")], "m")
    two = QueryResult("2", ("XX_IMG_1", "XX_IMG_2"), [StoredPair("XX_INS_2", "q?", "a")], "m")
    none = QueryResult("3", (), [StoredPair("XX_INS_3", "q?", "a")], "m")

    def images(*results: QueryResult, most: int) -> list[tuple[object, str]]:
        write_llava(tmp_path, source(*results, images=most))
        records = json.loads((tmp_path / "XX_llava.json").read_text("utf-8"))
        return [(record.get("image"), record["conversations"][0]["value"]) for record in records]

    assert images(one, none, most=1) == [("XX_IMG_1", "<image>\nq ?"), (None, "q?")]
    assert images(one, two, most=2) == [
        (["XX_IMG_1"], "<image>\nq ?"),
        (["XX_IMG_1", "XX_IMG_2"], "<image>\n<image>\nq?"),
    ]


@pytest.mark.parametrize(
    ("ids", "twice"),
    [
        ([["a_1", "a_2"], ["b_1", "b_2"]], None),
        ([["a_1", "a_2"], ["a_3"], ["a_1_1"]], None),  # the same beginning is no fault
        ([["7"], ["8"], ["_7"], [""]], None),
        ([["a_1"], ["b_1"], ["a_2", "b_1"]], ("'1' and '2'", "b_1")),
        ([["a_1"], ["b_1", "c_1", "b_1"]], ("'1' and '1'", "b_1")),
        ([["7"], ["8"], ["7"]], ("'0' and '2'", "7")),
    ],
)
def test_a_duplicate_id_is_reported_with_both_queries(ids: list[list[str]], twice: tuple[str, str] | None) -> None:
    results = [
        QueryResult(f"{i}", (), [StoredPair(name, "q?", "a") for name in names], "m") for i, names in enumerate(ids)
    ]
    with (
        pytest.raises(RunError, match=f"of the queries {twice[0]} have the same id '{twice[1]}'")
        if twice
        else nullcontext()
    ):
        assert list(check_unique(results)) == results


def write_duplicates(name: str, folder: Path, same: QueryResult) -> None:
    FORMATS[name].write(folder, source(same, same))
    pytest.fail(f"{name}: go over `check_unique(source.results())`, or add it to WITHOUT_IDS if its records have no id")


@pytest.mark.parametrize("name", FORMATS)
def test_duplicate_ids_stop_the_export_and_leave_no_file(tmp_path: Path, name: str) -> None:
    same = QueryResult("1", (), [StoredPair("XX_INS_1", "q?", "a")], "m")
    if name in WITHOUT_IDS:
        FORMATS[name].write(tmp_path, source(same, same))
        assert not any(b"XX_INS_1" in path.read_bytes() for path in tmp_path.iterdir())
        return
    target = tmp_path / name
    with pytest.raises(RunError, match="have the same id 'XX_INS_1'"), replace_folder(target, bool) as folder:
        write_duplicates(name, folder, same)
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_run_exports_its_pairs_so_far(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, ROWS, num_threads=1, max_requests=3)
    assert ran.exit_code == 4
    frame = pandas.read_parquet(exported(ran.folder, "parquet"))
    assert list(dict.fromkeys(frame["query_id"])) == ["r000", "r001", "r002"]
    card = (ran.folder / "export" / "parquet" / "README.md").read_text("utf-8")
    assert "3 ok, 4 pending" in card


def test_an_impossible_export_is_refused_with_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"--format csv: must be one of {', '.join(FORMATS)}"):
        export_run(folder, ["llava", "csv"], None, PLUGINS)
    with pytest.raises(ConfigError, match=f"Add --format: {', '.join(FORMATS)}"):
        export_run(folder, [], None, PLUGINS)
    with pytest.raises(RunError, match="is not a run"):
        export_run(tmp_path / "nowhere", ["llava"], None, PLUGINS)
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(StorageError, match="can't be written"):
        export_run(folder, ["llava"], tmp_path / "file", PLUGINS)


def test_a_table_is_written_without_loading_pandas(folder: Path) -> None:
    """It is installed here, takes 60 MB, and pyarrow loads it for some of its functions."""
    at_exit = "import atexit, sys; atexit.register(lambda: print('pandas' in sys.modules))"
    program = f"{at_exit}; from syphus.cli import main; main()"
    command = ["export", str(folder), "--format", "parquet", "--datasets-dir", str(PLUGINS[0])]
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_without_pyarrow_there_is_one_line_and_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['pyarrow'] = None; from syphus.cli import main; main()"
    command = ["main.py", "export", str(folder), "--format", "chat,parquet", "--datasets-dir", str(PLUGINS[0])]
    done = subprocess.run(
        [sys.executable, "-c", program, *command[1:]], capture_output=True, text=True, check=False, cwd=HERE.parents[1]
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == "--format parquet needs pyarrow: " + install_hint("parquet")
    assert not (folder / "export").exists()
