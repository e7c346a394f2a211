"""What holds for every dataset that is shipped: its prompt, its made-up example, and a run over that example."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from harness import HERE, Listener

from syphus.answers.cleaning import Context, clean
from syphus.config.options import Options
from syphus.errors import InputError
from syphus.main_job import run
from syphus.plugins.contract import AbstractDataset, input_files, load_prompt_template, queries
from syphus.plugins.discovery import find_plugin, list_plugins, shipped_folder
from syphus.runs.generate import cleaning_rules
from syphus.runs.reader import read_status
from syphus.types import Query, State

NAMES = [
    plugin.name
    for plugin in list_plugins(installed="none")
    if Path(plugin.path).resolve().parent == shipped_folder("datasets")
]


@pytest.fixture(params=NAMES)
def dataset(request: pytest.FixtureRequest) -> AbstractDataset:
    return find_plugin(request.param, installed="none").create()


def test_what_an_in_context_example_shows_would_be_accepted(dataset: AbstractDataset) -> None:
    prefix = load_prompt_template(dataset)
    turns = [message["content"] for message in prefix.in_context]
    assert turns
    for asked, answered in zip(turns[::2], turns[1::2], strict=True):
        query = Query("example", asked)
        parsed = dataset.parse_response(answered, query)
        assert (parsed.problems, parsed.notes) == ((), ())
        cleaned = clean(parsed.pairs, cleaning_rules(dataset), Context(query))
        assert (cleaned.rejections, cleaned.repairs) == ({}, {})
        assert not dataset.check_pairs(query, cleaned.pairs)


def test_the_example_input_is_not_in_the_prompt(dataset: AbstractDataset) -> None:
    prompted = " ".join(message["content"] for message in load_prompt_template(dataset).in_context)
    lines = [
        line
        for query in queries(dataset, shipped_folder("examples") / dataset.example)
        for line in query.text.split("\n")
    ]
    assert [line for line in lines if line.count(" ") >= 3 and line in prompted] == []


SLASHED: dict[str, tuple[object, ...]] = {  # a record of each shape of input whose name has a slash
    "SpotTheDifference.change": ([{"img_id": "../58", "sentences": ["x"]}],),
    "CocoSpotTheDifference.change": ({"1/2": {"sentences": "x"}},),
    "SceneNavigation.3d": (
        {"a/scene": {"description": [["1", "x"]]}}, [{"scene_id": "a/scene", "description": "x"}],
    ),
    "DenseCaptions.video": ({"v_/x": {"duration": 1, "timestamps": [[0, 1]], "sentences": ["x"]}},),
    "TVCaptions.video": ({"vid_name": "a/b", "duration": 1, "clip_id": 1, "ts": [0, 1], "descs": [{"desc": "x"}]},),
    "VisualStoryTelling.video": (
        {"images": [], "albums": [{"id": "4/4"}], "annotations": []},
        {"images": [{"id": "a\\b", "album_id": "1"}], "albums": [{"id": "1"}], "annotations": []},
    ),
    "EGO4D.fpv": (
        {"u/v": {"clips": [{"narrations": [{"time": 1, "text": "x", "object_description": []}]}]}},
        {"videos": {"u/v": {"narrations": [{"time": 1, "text": "x"}]}}},
    ),
    **dict.fromkeys(
        ("FunQA_translation.funqa", "FunQA_mcqa.funqa", "FunQA_dia.funqa"),
        ([{"instruction": "?", "visual_input": "a\\b.mp4", "output": "x", "task": "H2"}],),
    ),
    **dict.fromkeys(
        ("LlavaConversation.llava", "LlavaDetail.llava", "LlavaReasoning.llava"),
        ([{"id": "1/2", "captions": ["x"], "instances": []}],),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_with_a_slash_is_reported_before_anything_is_sent(tmp_path: Path, name: str) -> None:
    for content in SLASHED[name]:
        source = tmp_path / "in.json"
        source.write_text(json.dumps(content), "utf-8")
        with pytest.raises(
            InputError, match=r"in\.json: .*record 1 \(line 1\): .*must be (?:a name without|the number)"
        ):
            list(queries(find_plugin(name, installed="none").create(), source))


PAGES = {page: page.read_text("utf-8") for page in (HERE.parents[1] / "docs" / "datasets").glob("*.md")}


def test_homepage_licence_and_citation_are_those_of_its_page(dataset: AbstractDataset) -> None:
    name = next(name for name in NAMES if name.startswith(f"{type(dataset).__name__}."))
    (page,) = [text for text in PAGES.values() if f"`{name}`" in text.splitlines()[0]]
    assert dataset.homepage.startswith("https://")
    assert dataset.homepage in page
    assert [brace for brace in "{}" if dataset.citation.count(brace) != dataset.citation.count("{")] == []
    assert re.fullmatch(r"\s*(@\w+\{\w+,\n.*\n\}\s*)+", dataset.citation, re.DOTALL)
    titles = re.findall(r"^ *title\s*= \{(.*)\},", dataset.citation.replace("{COCO}", "COCO"), re.MULTILINE)
    told = " ".join(page.split())
    assert [title for title in titles if title.replace("{", "").replace("}", "") not in told] == []
    (told,) = re.findall(r"^- \*\*Licence\*\*: (.*?)(?=^\S)", page, re.DOTALL | re.MULTILINE)
    for licence in re.findall(r"cc-by[a-z-]*-\d\.\d", dataset.licence):
        assert licence.upper().replace("CC-BY", "CC BY").replace("-3.0", " 3.0").replace("-4.0", " 4.0") in told
    assert dataset.licence or "not stated" in told


OTHERS = {
    ("CocoSpotTheDifference", "coco_pairs.json"): ["coco_captions.json", "coco_instances.json"],
    ("CocoSpotTheDifference", "coco_spot_the_difference.json"): [],
    ("FunQA_mcqa", "funqa/funqa.json"): ["funqa/frames.txt"],
    ("FunQA_translation", "funqa/funqa_zh.json"): ["funqa/frames.txt"],
    ("LlavaDetail", "coco_captions.json"): ["coco_instances.json"],
    ("LlavaDetail", "llava_detail.json"): [],
    ("SpotTheDifference", "spot_the_difference.json"): [],
}


@pytest.mark.parametrize(("name", "example", "others"), [(*key, others) for key, others in OTHERS.items()])
def test_a_plugin_names_the_other_files_that_it_reads(name: str, example: str, others: list[str]) -> None:
    plugin = find_plugin(next(each for each in NAMES if each.startswith(f"{name}.")), installed="none").create()
    folder = shipped_folder("examples")
    assert input_files(plugin, str(folder / example)) == [folder / each for each in (example, *others)]


def test_the_example_runs_offline_to_the_last_pair(dataset: AbstractDataset, tmp_path: Path) -> None:
    name = next(name for name in NAMES if name.startswith(f"{type(dataset).__name__}."))
    options = Options(name=name, example=True, offline=True, output_dir=tmp_path, num_threads=8)
    listener = Listener()
    finished = run(options, {}, listener)
    assert (finished.exit_code, finished.stopped_by) == (0, None), listener.lines
    counts = read_status(options.folder).counts
    asked = list(queries(dataset, shipped_folder("examples") / dataset.example))
    assert counts.states[State.OK] == counts.total == len(asked)
    assert 12 <= len(asked) <= 24
    made = json.loads((options.folder / f"{dataset.short_name}_instructions.json").read_text("utf-8"))["data"]
    lines = [json.loads(line) for line in (options.folder / "pairs.jsonl").read_text("utf-8").splitlines()]
    assert len(made) == len(lines) == counts.pairs  # no id comes twice
    for name, entry in made.items():
        assert name.startswith(f"{dataset.short_name}_INS_")
        assert set(entry["rel_ins_ids"]) <= made.keys() - {name}
        assert entry["instruction"].strip()
        assert entry["answer"].strip()
        assert entry["image_ids"]
