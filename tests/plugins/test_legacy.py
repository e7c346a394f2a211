from __future__ import annotations

import json
import logging
import random
import sys
from hashlib import blake2b
from pathlib import Path
from textwrap import indent

import pytest

from syphus.answers.parsing.pairs import parse_pairs
from syphus.errors import InputError, PluginError, PromptError
from syphus.plugins.contract import AbstractDataset, load_prompt_template, queries
from syphus.plugins.discovery import find_plugin, list_plugins
from syphus.plugins.legacy import LegacyDataset
from syphus.plugins.prompts import render_messages

# A plugin in the shape of the first Syphus: positional arguments under several names, everything read in a list.
VIDEO = """
import json
import random

from abstract_dataset import AbstractDataset


class Clips(AbstractDataset):
    def __init__(
        self,
        name: str = "Clips",
        in_context_path: str = "prompts/clips.json",
        annotation_path: str = "annotations/clips/train.jsonl",
    ):
        super().__init__(name, in_context_path, annotation_path)

    def _load_query_inputs(self, path: str) -> list[str]:
        with open(path, "r") as f:
            rows = [json.loads(line) for line in f]
        return [{"id": row["vid"], "sentences": "\\n".join(row["descs"])} for row in rows]


class Shuffled(Clips):
    def _load_query_inputs(self, path):
        rows = super()._load_query_inputs(path)
        random.shuffle(rows)
        return rows
"""
TRANSLATE = """
import importlib

from abstract_dataset import AbstractDataset


class Translations(AbstractDataset):
    def __init__(self, name="T", prompt_path="prompts.translation", query_inputs_path=None):
        super().__init__(name, prompt_path, query_inputs_path)

    def _load_prompt(self, path):
        prompt_file = importlib.import_module(path)
        return {"system_message": prompt_file.system_message, "in_context": prompt_file.in_context}

    def _load_query_inputs(self, path):
        return [{"id": key, "sentences": f"<a>{key}</a>"} for key in ("X_INS_1", "X_INS_2")]
"""
PROMPT = {
    "system_message": "You watch.",
    "in_context": [
        {"role": "user", "content": "1. a man waves\n"},
        {
            "role": "assistant",
            "content": [{"Question": "Who waves?", "Answer": "A man."}, {"Question": "What?", "Answer": "He waves."}],
        },
    ],
}
MODULE = """system_message = "You translate."
in_context = [{"role": "user", "content": "<a>x</a>"}, {"role": "assistant", "content": "{}"}]
"""
ROWS = [
    ("clip_1", "one"),
    ("clip_2", "two"),
    ("clip_1", "three"),
    ("clip_1", "one"),
    ("clip_1", "one"),
    ("clip_3", "x"),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a first Syphus: datasets/, prompts/ and annotations/; the current folder is another one."""
    home = tmp_path / "first"
    for folder in ("datasets", "prompts", "annotations/clips"):
        (home / folder).mkdir(parents=True)
    (home / "datasets" / "video.py").write_text(VIDEO, encoding="utf-8")
    (home / "datasets" / "translate.py").write_text(TRANSLATE, encoding="utf-8")
    (home / "prompts" / "clips.json").write_text(json.dumps(PROMPT), encoding="utf-8")
    (home / "prompts" / "translation.py").write_text(MODULE, encoding="utf-8")
    lines = [json.dumps({"vid": vid, "descs": [text]}) + "\n" for vid, text in ROWS]
    (home / "annotations" / "clips" / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("SYPHUS_PLUGINS", "none")
    return home


def create(home: Path, name: str, prompt_path: str | Path = "", query_inputs_path: str | Path = "") -> AbstractDataset:
    return find_plugin(name, [home / "datasets"]).create(prompt_path, query_inputs_path)


def add(home: Path, body: str) -> None:
    """A plugin `Mine.mine`; `body` is what stands in the class."""
    source = f"from abstract_dataset import AbstractDataset\n\nclass Mine(AbstractDataset):\n{indent(body, ' ' * 4)}\n"
    (home / "datasets" / "mine.py").write_text(source, encoding="utf-8")


NO_ROWS = "def _load_query_inputs(self, path): return []\n"
PATH = "def _load_query_inputs(self, path): return [{'id': 1, 'sentences': path or 'no path'}]\n"


@pytest.mark.parametrize("here", [False, True])
def test_a_plugin_runs_unchanged_from_here_and_from_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch, here: bool
) -> None:
    if here:
        monkeypatch.chdir(home)
    dataset = create(home, "Clips.video")
    assert [query.text for query in queries(dataset)] == [text for _, text in ROWS]
    prefix = load_prompt_template(dataset)
    assert [message["content"] for message in render_messages(prefix, "x")] == [
        "You watch.",
        "1. a man waves\n",
        "Question: Who waves?\nAnswer: A man.\nQuestion: What?\nAnswer: He waves.\n",
        "x",
    ]
    assert len(parse_pairs(prefix.in_context[1]["content"]).pairs) == 2


def test_the_first_order_of_the_name_works_as_well(home: Path) -> None:
    assert str(create(home, "video.Clips")) == "Clips dataset"


def test_a_repeated_id_gets_one_of_its_own_that_stays(home: Path) -> None:
    dataset = create(home, "Clips.video")
    three, one = (blake2b(text, digest_size=3).hexdigest() for text in (b"three", b"one"))
    ids = ["clip_1", "clip_2", f"clip_1_{three}", f"clip_1_{one}", f"clip_1_{one}_2", "clip_3"]
    for _ in range(2):
        assert [query.id for query in queries(dataset)] == ids


def test_what_the_first_syphus_could_be_asked_still_answers(home: Path) -> None:
    dataset = create(home, "Clips.video")
    assert isinstance(dataset, LegacyDataset)
    assert dataset.prompt["system_message"] == "You watch."
    assert dataset.query_inputs[2] == {"id": "clip_1", "sentences": "three"}
    assert (len(dataset), str(dataset), dataset.name) == (6, "Clips dataset", "Clips")
    items = list(dataset)
    assert items[1] == dataset[1]
    assert items[1] == {
        "system_messages": "You watch.",
        "in_context": dataset.prompt["in_context"],
        "query_input": {"id": "clip_2", "sentences": "two"},
    }
    assert [item["query_input"] for item in dataset] == dataset.query_inputs


def test_the_users_paths_go_before_the_plugins_own_whatever_their_names(home: Path, tmp_path: Path) -> None:
    rows, prompt = tmp_path / "cwd" / "rows.jsonl", tmp_path / "cwd" / "p.json"
    rows.write_text('{"vid": "v", "descs": ["mine"]}\n', encoding="utf-8")
    prompt.write_text(json.dumps({**PROMPT, "system_message": "Mine."}), encoding="utf-8")
    for dataset in (create(home, "Clips.video", "p.json", "rows.jsonl"), create(home, "Clips.video", prompt, rows)):
        assert [query.text for query in queries(dataset)] == ["mine"]
        assert load_prompt_template(dataset).system_message == "Mine."
    dataset = create(home, "Clips.video")
    assert load_prompt_template(dataset).system_message == "You watch."
    assert load_prompt_template(dataset, prompt).system_message == "Mine."
    assert [query.text for query in queries(dataset, rows)] == ["mine"]


def test_the_users_prompt_is_never_looked_for_beside_the_plugin(home: Path) -> None:
    (home / "p.json").write_text(json.dumps(PROMPT), encoding="utf-8")
    dataset = create(home, "Clips.video", "p.json")
    for path in ("", "p.json"):
        with pytest.raises(PromptError, match=r"p\.json: No such file"):
            load_prompt_template(dataset, path)


def test_shuffled_rows_come_in_the_same_order_on_every_run(home: Path) -> None:
    orders = []
    for seed in range(3):
        random.seed(seed)
        orders.append([query.text for query in queries(create(home, "Shuffled.video"))])
        drawn, _ = random.random(), random.seed(seed)
        assert drawn == random.random()  # nobody else's dice were touched
    assert orders[0] == orders[1] == orders[2]
    assert sorted(orders[0]) == sorted(text for _, text in ROWS)


def test_a_prompt_module_is_read_by_the_plugins_own_hands(home: Path) -> None:
    dataset = create(home, "Translations.translate")
    prefix = load_prompt_template(dataset)
    assert prefix.system_message == "You translate."
    assert [query.id for query in queries(dataset)] == ["X_INS_1", "X_INS_2"]
    assert "prompts" not in sys.modules
    assert "prompts.translation" not in sys.modules


@pytest.mark.parametrize("named", ["prompts.translation", "prompts/translation.py"])
def test_a_prompt_module_may_be_given_by_its_dotted_name_or_its_path(home: Path, named: str) -> None:
    constructor = f"def __init__(self, name='M', prompt='{named}', rows=''): super().__init__(name, prompt, rows)\n"
    add(home, constructor + NO_ROWS)
    assert load_prompt_template(create(home, "Mine.mine")).system_message == "You translate."
    assert (
        load_prompt_template(create(home, "Clips.video", home / "prompts/translation.py")).system_message
        == "You translate."
    )
    assert load_prompt_template(create(home, "Clips.video", "prompts.translation")).system_message == "You translate."


def test_assistant_turns_that_nobody_asked_for_are_warned_of(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    lost = 'in_context = [{"role": "user", "content": "a", "role": "assistant", "content": "b"}] * 2\n'
    (home / "prompts" / "lost.py").write_text(
        'system_message = ""\nper_example_prefix = None\n' + lost, encoding="utf-8"
    )
    with caplog.at_level(logging.WARNING):
        prefix = load_prompt_template(create(home, "Clips.video", "prompts.lost"))
    assert [message["role"] for message in prefix.in_context] == ["assistant", "assistant"]
    assert "turn 2: an assistant turn without a question" in caplog.text


def test_a_plugin_as_the_documents_had_it_needs_no_constructor(home: Path) -> None:
    add(home, PATH)
    dataset = create(home, "Mine.mine")
    assert [(query.id, query.text) for query in queries(dataset)] == [("1", "no path")]
    assert [query.text for query in queries(dataset, "a.json")] == ["a.json"]
    with pytest.raises(PromptError, match=r"no prompt file mine\.yaml"):
        load_prompt_template(dataset)
    (home / "prompts" / "mine.json").write_text(json.dumps(PROMPT), encoding="utf-8")
    assert load_prompt_template(dataset).system_message == "You watch."


def test_the_documents_name_for_loading_the_prompt_works_as_well(home: Path) -> None:
    own = "def _load_prefix(self, path): return {'system_message': 'Own.', 'in_context': []}\n"
    add(home, own + "def _load_query_inputs(self, path): yield {'id': 1, 'sentences': 'x'}\n")
    dataset = create(home, "Mine.mine")
    assert load_prompt_template(dataset).system_message == "Own."
    assert len(list(queries(dataset))) == len(list(queries(dataset))) == 1  # a generator is kept as a list


def test_what_plugins_may_say_today_works_in_an_old_one_too(home: Path) -> None:
    today = "short_name = 'MY'\nprompt = 'clips'\nquery_inputs_path = 'annotations/clips'\n"
    add(home, "'Mine.'\n" + today + PATH)
    dataset = create(home, "Mine.mine")
    assert load_prompt_template(dataset).system_message == "You watch."
    assert [query.text for query in queries(dataset)] == [str(home / "annotations" / "clips")]
    info = next(info for info in list_plugins([home / "datasets"]) if info.name == "Mine.mine")
    assert (info.short_name, info.description, info.error) == ("MY", "Mine.", "")


def test_a_subclass_in_the_same_file_keeps_the_prompt_file_of_its_base(home: Path) -> None:
    add(home, f"prompt = 'clips'\n{NO_ROWS}")
    with (home / "datasets" / "mine.py").open("a", encoding="utf-8") as file:
        file.write("class Heir(Mine): ...\n")
    assert load_prompt_template(create(home, "Heir.mine")).system_message == "You watch."


def test_listing_constructs_and_reads_nothing(home: Path) -> None:
    (home / "annotations" / "clips" / "train.jsonl").unlink()
    infos = {info.name: info.error for info in list_plugins([home / "datasets"])}
    assert infos.items() >= {("Clips.video", ""), ("Shuffled.video", ""), ("Translations.translate", "")}


def test_missing_annotations_are_reported_with_the_option_that_names_them(home: Path) -> None:
    (home / "annotations" / "clips" / "train.jsonl").unlink()
    with pytest.raises(InputError) as caught:
        list(queries(create(home, "Clips.video")))
    how = "name the annotations with --query_inputs_path (-in)"
    assert str(caught.value) == f"annotations/clips/train.jsonl: no such file; {how}"


def test_a_bad_row_is_reported_with_its_number(home: Path) -> None:
    add(home, "def _load_query_inputs(self, path): return [{'id': 1, 'sentences': ''}, 'x', {'id': ''}]\n")
    with pytest.raises(PluginError, match=r"Mine\.mine: row 2: a row must be a dict, this is str"):
        list(queries(create(home, "Mine.mine")))


def test_a_prompt_that_is_wrong_names_its_file(home: Path) -> None:
    (home / "prompts" / "clips.json").write_text('{"system_message": "", "in_context": [{}]}', encoding="utf-8")
    with pytest.raises(PromptError, match=r"first/prompts/clips\.json: turn 1: a turn must be an object"):
        load_prompt_template(create(home, "Clips.video"))


def test_a_constructor_may_use_what_the_base_has_loaded(home: Path) -> None:
    constructor = """def __init__(self, name="M", prompt="prompts/clips.json", rows=""):
    super().__init__(name, prompt, rows)
    self.query_inputs = self.query_inputs[:1]
    self.prompt["in_context"].clear()
"""
    rows = "def _load_query_inputs(self, path): return [{'id': n, 'sentences': ''} for n in range(5)]\n"
    add(home, constructor + rows)
    dataset = create(home, "Mine.mine")
    assert len(list(queries(dataset))) == 1
    assert load_prompt_template(dataset).in_context == ()


def test_the_old_name_can_be_imported_only_while_a_plugin_is_loaded(home: Path) -> None:
    create(home, "Clips.video")
    assert "abstract_dataset" not in sys.modules
    with pytest.raises(ImportError):
        __import__("abstract_dataset")


def test_a_module_of_that_name_that_somebody_else_has_is_left_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "abstract_dataset.py").write_text("WHOSE = 'theirs'\n", encoding="utf-8")
    (tmp_path / "prompts.py").write_text("WHOSE = 'theirs'\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    theirs = [__import__("abstract_dataset"), __import__("prompts")]
    try:
        assert load_prompt_template(create(home, "Translations.translate")).system_message == "You translate."
        assert [sys.modules["abstract_dataset"], sys.modules["prompts"]] == theirs
    finally:
        del sys.modules["abstract_dataset"], sys.modules["prompts"]


def test_reading_an_old_plugins_input_through_the_new_readers_tells_the_record(home: Path) -> None:
    body = """def _load_query_inputs(self, path):
    from syphus.io.records import read_jsonl
    return [{"id": row["vid"], "sentences": row["no"]} for row in read_jsonl(path)]
"""
    add(home, body)
    path = home / "annotations" / "clips" / "train.jsonl"
    with pytest.raises(InputError) as caught:
        list(queries(create(home, "Mine.mine"), path))
    assert str(caught.value) == f'{path}: record 1 (line 1): no "no"; it has vid, descs (mine.py:6)'


BASE = """
import json

from abstract_dataset import AbstractDataset


class One(AbstractDataset):
    def __init__(self, name="One", prompt_path="", query_inputs_path="one.json"):
        super().__init__(name, prompt_path, query_inputs_path)

    def _load_query_inputs(self, path):
        return [{"id": "a", "sentences": "a cat", "images": 3, "source": "mine", "pairs": {}, 7: None}]
"""
SUBCLASS = """
{}


class Two({}):
    def _load_query_inputs(self, path):
        rows = super()._load_query_inputs(path)
        return [{{**row, "sentences": "two: " + row["sentences"], "split": "train"}} for row in rows]
"""


@pytest.mark.parametrize(
    ("imports", "base"),
    [
        ("from datasets.one import One", "One"),
        ("from .one import One", "One"),
        ("import datasets.one", "datasets.one.One"),
        ("from datasets import one", "one.One"),
        ("from . import (one)", "one.One"),
        ("from abstract_dataset import AbstractDataset\nfrom datasets.one import One as Base", "Base"),
    ],
)
def test_a_plugin_of_another_file_is_extended_and_other_keys_of_a_row_are_ignored(
    tmp_path: Path, imports: str, base: str
) -> None:
    folder = tmp_path / "datasets"
    folder.mkdir()
    (folder / "one.py").write_text(BASE, "utf-8")
    (folder / "two.py").write_text(SUBCLASS.format(imports, base), "utf-8")
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "datasets"}
    listed = [plugin for plugin in list_plugins([folder]) if Path(plugin.path).parent == folder]
    assert [(plugin.name, plugin.error) for plugin in listed] == [("One.one", ""), ("Two.two", "")]
    names = [plugin.name for plugin in listed]
    rows = {name: [*queries(find_plugin(name, [folder]).create(), "one.json")] for name in names}
    assert [(row.id, row.text) for found in rows.values() for row in found] == [
        ("a", "a cat"),
        ("a", "two: a cat"),
    ]
    assert {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "datasets"} == before
    first = find_plugin("Two.two", [folder]).digest()
    (folder / "one.py").write_text(BASE.replace("a cat", "a dog"), "utf-8")
    assert find_plugin("Two.two", [folder]).digest() != first


def test_the_library_datasets_is_not_taken_for_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "datasets"
    folder.mkdir()
    text = "import datasets\nfrom datasets import load_dataset, Dataset\nassert load_dataset\n"
    (folder / "hub.py").write_text(text + BASE.replace("abstract_dataset", "syphus").replace("One", "Hub"), "utf-8")
    assert find_plugin("Hub.hub", [folder]).cls.__name__ == "Hub"
