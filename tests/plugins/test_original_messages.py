"""Plugins of the first Syphus send its messages, to the byte, and their own forms of answers are read as pairs.

The plugins and prompts here are made up, in the shape of the original's: the same classes, constructors, inputs and
kinds of prompts. `original` builds the messages by the rules that the original followed.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, NamedTuple

import pytest
from processes import syphus as run_cli

from syphus.answers.parsing.original_forms import parse_original
from syphus.errors import InputError
from syphus.plugins.contract import AbstractDataset, load_prompt_template, queries
from syphus.plugins.discovery import find_plugin
from syphus.plugins.legacy import LegacyDataset, original_messages
from syphus.plugins.prompts import prompt_digest, render_messages
from syphus.types import Query


def pairs(*texts: str, keys: Sequence[str] = ("Question", "Answer")) -> list[dict[str, str]]:
    return [{keys[0]: f"{text}?", keys[1]: f"{text}."} for text in texts]


def prompt(system: str, *turns: object) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"system_message": system, "in_context": [{"role": roles[n % 2], "content": c} for n, c in enumerate(turns)]}


FUNQA_KEYS = ("CH2Eng Translation", *(f"Expansion_with_Eng_{number}" for number in range(1, 6)))
MCQA = {"Question": "Why?", **{f"Options {n}": f"He {n}." for n in range(1, 6)}, "Answer": "2"}
CONVERSATIONS = """Conversation 1 - Hold a party
Human role: A college student
Round 1:
Human: Where can guests sit?
Assistant: On these:
1. the bed
2. the chairs
Round 3:
Human: And the drinks?
Assistant: In the kitchen.

Conversation 2 - Yoga Session
Human role: Yoga Instructor
reason: There is room on the floor.
Round 1:
Human: Is it quiet?
Assistant: It is."""
TRANSLATED = json.dumps({side: {code: f"{side} {code}" for code in ("zh", "es", "ja")} for side in "ab"}, indent=4)

PROMPTS: dict[str, dict[str, Any]] = {
    "spot_the_difference": prompt("You spot.", "a car is gone", pairs("A", "B", "C"), "no change", pairs("D")),
    "dense_captions": prompt("You watch.", "timestamps: []", pairs("A", "B"), "x", pairs("A", "B")),
    "tv_captions": prompt("You watch TV.", "1. R walks", pairs("A", "B")),
    "visual_story_telling": prompt("An album.", "title: x\n", pairs("A", "B", "C")),
    "ego4d": prompt("Glasses.", "timestamp: 1", "Question: A?\nAnswer: A.\n\nQuestion: B?\nAnswer: B.\n"),
    "scene_navigation": prompt(
        "", f"sentences: a bed\n{CONVERSATIONS}\nDo you understand?", "Understood. This task is"
    ),
    "funqa_translation": prompt("Two tasks.", "一只猫。", [{key: f"A cat {n}." for n, key in enumerate(FUNQA_KEYS)}]),
    "funqa_mcqa": prompt("Five choices.", "description: x", [MCQA, {**MCQA, "Question": "Who?"}]),
    "funqa_dia": prompt("A dialogue.", "description: x", pairs("A", "B", keys=("question", "answer"))),
}
MODULES: dict[str, dict[str, Any]] = {
    "coco_spot_the_difference_prompt": {  # its user turns are lost to duplicate keys, so two assistant turns are sent
        "system_message": "Two images.",
        "in_context": [{"role": "assistant", "content": f"Question: {x}?\nAnswer: {x}.\n"} for x in "AB"],
    },
    "translation_prompt": prompt("You translate.", "<a>x</a><b>y</b>", TRANSLATED),
}


class Plugin(NamedTuple):
    """One plugin: its module and class, its prompt, its rows, and the code that reads them."""

    name: str
    prompt: str
    data: object
    body: str


VIDEO_ROWS = [{"instruction": f"task {n}", "visual_input": "a/H_1.mp4", "output": text} for n, text in
              enumerate(("猫在睡觉。", "It falls. \n"), 2)]  # fmt: skip
BY_VIDEO = """
    with open(path, "r") as f:
        found = json.load(f)
    text = "description: " + found[0]["output"] + "\\n" + "counter-intuitive reason: " + found[1]["output"]
    return [{"id": found[0]["visual_input"].split("/")[-1], "sentences": text}]
"""
SCENES = {"scene0000_00": {"description": [[str(n), f"there is a bed {n}. "] for n in range(60)]},
          "scene0001_00": {"description": [["1", "a {chair}."], ["2", "a table."]]}}  # fmt: skip
IN_ROOMS = """
    with open(path, "r") as f:
        rooms = json.load(f)
    rows = []
    for room, inner in rooms.items():
        found = inner["description"]
        random.shuffle(found)
        rows.append({"id": room, "sentences": "\\n".join(text for _, text in found[:50])})
    return rows
"""
PLUGINS = [
    Plugin("change.SpotTheDifference", "spot_the_difference", [{"img_id": "76", "sentences": ["a ", "b"]}] * 2, """
    with open(path, "r") as f:
        return [{"id": each["img_id"], "sentences": "\\n".join(each["sentences"])} for each in json.load(f)]
"""),
    Plugin("change.CocoSpotTheDifference", "coco_spot_the_difference_prompt", {"1_2": {"sentences": "image a:\n"}}, """
    with open(path, "r") as f:
        return [{"id": each, "sentences": found["sentences"]} for each, found in json.load(f).items()]
"""),
    Plugin("video.DenseCaptions", "dense_captions", {"v_a": {"timestamps": [[0.5, 2.5]], "sentences": ["É. "]}}, """
    with open(path, "r") as f:
        found = json.load(f)
    return [{"id": each, "sentences": "timestamps: " + str([[round(t) for t in span] for span in value["timestamps"]])
             + "\\nsentences: " + json.dumps(value["sentences"])} for each, value in found.items()]
"""),
    Plugin("video.TVCaptions", "tv_captions", [{"vid": "a", "descs": ["x", "y"]}, {"vid": "a", "descs": ["z"]}], """
    with open(path, "r") as f:
        found = json.load(f)
    return [{"id": each["vid"], "sentences": "\\n".join(f"{n}. {d}" for n, d in enumerate(each["descs"], 1))}
            for each in found]
"""),
    Plugin("video.VisualStoryTelling", "visual_story_telling", {"9": "title: A trip\n\nimage: x\n"}, """
    with open(path, "r") as f:
        return [{"id": each, "sentences": text} for each, text in json.load(f).items()]
"""),
    Plugin("fpv.EGO4D", "ego4d", {"u": ["#C C walks", "#C C sits"]}, """
    with open(path, "r") as f:
        return [{"id": f"{u}_clip{n:06d}", "sentences": f"description: {text}\\nDo not name times."}
                for u, texts in json.load(f).items() for n, text in enumerate(texts)]
"""),
    Plugin("fpv.SceneNavigation", "scene_navigation", SCENES, IN_ROOMS),
    Plugin("3d.SceneNavigation", "scene_navigation", SCENES, IN_ROOMS),
    Plugin("funqa.FunQA_translation", "funqa_translation", VIDEO_ROWS, """
    with open(path, "r") as f:
        found = json.load(f)
    return [{"id": each["visual_input"].split("/")[-1] + "_H" + each["instruction"][-1], "sentences": each["output"]}
            for each in found]
"""),
    Plugin("funqa.FunQA_mcqa", "funqa_mcqa", VIDEO_ROWS, BY_VIDEO),
    Plugin("funqa.FunQA_dia", "funqa_dia", VIDEO_ROWS, BY_VIDEO),
    Plugin("translate.TranslationDataset", "translation_prompt",
           {"data": {"X_INS_1": {"instruction": "Q?", "answer": "A."}}},
           """
    with open(path, "r") as f:
        return [{"id": each, "sentences": "<a>" + pair["instruction"] + "</a><b>" + pair["answer"] + "</b>"}
                for each, pair in json.load(f)["data"].items()]
"""),
]  # fmt: skip
OWN_PROMPT = """
def _load_prompt(self, path):
    prompt_file = importlib.import_module(path)
    return {"system_message": prompt_file.system_message, "in_context": prompt_file.in_context}
"""
CANDIDATES = "".join(f"Activity {n} - Human role: Role {n}\n" for n in range(30)) + "Last one - Human role: Nobody"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a first Syphus, which is the current one, as the original needed it."""
    for folder in ("datasets", "prompts", "annotations"):
        (tmp_path / folder).mkdir()
    for name, content in PROMPTS.items():
        (tmp_path / "prompts" / f"{name}.json").write_text(json.dumps(content), "utf-8")
    for name, content in MODULES.items():
        text = "".join(f"{key} = {value!r}\n" for key, value in content.items())
        (tmp_path / "prompts" / f"{name}.py").write_text(text, "utf-8")
    sources: dict[str, str] = {}
    for plugin in PLUGINS:
        module, cls = plugin.name.split(".")
        (tmp_path / "annotations" / f"{plugin.name}.json").write_text(json.dumps(plugin.data), "utf-8")
        is_module = plugin.prompt in MODULES
        path = f"prompts.{plugin.prompt}" if is_module else f"prompts/{plugin.prompt}.json"
        code = (
            f"def __init__(self, name={cls!r}, prompt_path={path!r}, annotations='annotations/{plugin.name}.json'):\n"
            f"    super().__init__(name, prompt_path, annotations)\n"
            f"def _load_query_inputs(self, path):\n{indent(dedent(plugin.body), '    ')}\n{OWN_PROMPT * is_module}"
        )
        head = "import importlib\nimport json\nimport random\n\nfrom abstract_dataset import AbstractDataset\n"
        sources[module] = sources.get(module, head) + f"\n\nclass {cls}(AbstractDataset):\n{indent(code, '    ')}"
    for module, source in sources.items():
        (tmp_path / "datasets" / f"{module}.py").write_text(source, "utf-8")
    (tmp_path / "candidates.txt").write_text(CANDIDATES, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYPHUS_PLUGINS", "none")
    return tmp_path


def create(home: Path, name: str) -> LegacyDataset:
    dataset = find_plugin(name, [home / "datasets"]).create()
    assert isinstance(dataset, LegacyDataset)
    return dataset


def sent(dataset: AbstractDataset) -> list[list[Mapping[str, object]]]:
    """The messages that Syphus sends for each row."""
    template = load_prompt_template(dataset)
    return [list(render_messages(template, dataset.render_query(query))) for query in queries(dataset)]


def original(plugin: Plugin, home: Path) -> Iterator[list[Mapping[str, object]]]:
    """The messages of the original, by its rules, with its dice seeded."""
    data = MODULES.get(plugin.prompt) or PROMPTS[plugin.prompt]
    turns = []
    for turn in data["in_context"]:
        content = turn["content"]
        if isinstance(content, list):
            content = "".join(prefix + ": " + text + "\n" for item in content for prefix, text in item.items())
        turns.append({"role": turn["role"], "content": content})
    names: dict[str, Any] = {"json": json, "random": random}
    exec(f"def load(path):\n{indent(dedent(plugin.body), '    ')}", names)
    state = random.getstate()
    try:
        random.seed(0)
        for row in names["load"](home / "annotations" / f"{plugin.name}.json"):
            text = row["sentences"]
            if plugin.name == "3d.SceneNavigation":
                lines = (home / "candidates.txt").read_text("utf-8").splitlines(keepends=True)
                text = (
                    f"Sentences: {text}\nCandidate activities and the role who want to do these activities:"
                    + "\n".join(random.sample(lines, 9))
                    + "\nPlease give me three conversations for three activities. Each conversation should have three "
                    "rounds. You should select activities from the candidates. At the beginning of conversation (after "
                    "introducing the human role), must giving me the reason why the current activity is selected for "
                    "this room, in the format:reason:XXX\nPlease ensuring that the assistant should not always answer "
                    "in the format of listing."
                )
            yield [{"role": "system", "content": data["system_message"]}, *turns, {"role": "user", "content": text}]
    finally:
        random.setstate(state)


@pytest.mark.parametrize("plugin", PLUGINS, ids=[plugin.name for plugin in PLUGINS])
def test_every_message_is_the_originals_to_the_byte(home: Path, plugin: Plugin) -> None:
    expected = list(original(plugin, home))
    assert sent(create(home, plugin.name)) == expected
    assert sent(create(home, plugin.name)) == expected  # the same dice in every run


def test_candidates_come_from_the_users_own_file_or_from_ours(home: Path) -> None:
    (home / "candidates.txt").unlink()
    (request, *_) = sent(create(home, "3d.SceneNavigation"))
    assert "- Human role: " in str(request[-1]["content"])
    (home / "candidates.txt").write_text("one\n" * 8, "utf-8")
    with pytest.raises(InputError, match=r"candidates\.txt: 8 activities; at least 9 are needed"):
        sent(create(home, "3d.SceneNavigation"))


def test_plugins_of_one_file_do_not_share_their_ids(home: Path) -> None:
    names = ["FunQA_translation", "FunQA_mcqa", "FunQA_dia"]
    assert [create(home, f"funqa.{name}").short_name for name in names] == [name.upper() for name in names]
    assert create(home, "change.SpotTheDifference").short_name == "STD"
    assert create(home, "change.CocoSpotTheDifference").short_name == "CSTD"
    with original_messages(False):
        assert [create(home, f"funqa.{name}").short_name for name in names] == ["FQA"] * 3


ANSWERS = {
    "conversations": ("3d.SceneNavigation", CONVERSATIONS, 3),
    "translations": ("translate.TranslationDataset", TRANSLATED, 3),
    "translations in a fence": ("translate.TranslationDataset", f"```json\n{TRANSLATED}\n```", 3),
    "translations with the comma that the prompt teaches": (
        "translate.TranslationDataset",
        TRANSLATED.replace('"ja": "b ja"', '"ja": "b ja",'),
        3,
    ),
    "keys": ("funqa.FunQA_translation", "\n".join(f"{key}: A cat sleeps {n}." for n, key in enumerate(FUNQA_KEYS)), 6),
    "choices": ("funqa.FunQA_mcqa", "".join(f"{key}: {text}\n" for key, text in MCQA.items()), 1),
    "dialogue": ("funqa.FunQA_dia", "question: Who?\nanswer: He.\nquestion: Why?\nanswer: So.\n", 2),
    "pairs": ("change.SpotTheDifference", "Question: A?\nAnswer: B.\nQuestion: C?\nAnswer: D.\n", 2),
}


@pytest.mark.parametrize(("name", "answer", "count"), ANSWERS.values(), ids=ANSWERS)
def test_the_answers_that_the_prompts_teach_are_pairs(home: Path, name: str, answer: str, count: int) -> None:
    dataset = create(home, name)
    parsed = dataset.parse_response(answer, Query("q1", "the text"))
    assert parsed.problems == ()
    assert len(parsed.pairs) == count
    assert len({pair.instruction for pair in parsed.pairs}) == count


@pytest.mark.parametrize(
    "answer",
    [
        "I can't do that.",
        "Conversation 1 - A party\nHuman role: He\nRound 1:\nHuman: What?",
        '{"a": {"zh": "x"}, "b": {"es": "y"}}',
        '{"a": {"zh": "x"}, "b": {"zh": ""}}',
        '{"a": "x", "b": "y"}',
        "CH2Eng Translation: A cat.",
        "Note: x\nRemark: y",
        "Question: What?",
        "",
    ],
)
def test_what_fits_no_form_keeps_its_problem(answer: str) -> None:
    parsed = parse_original(answer, Query("q", "x"), "XX", FUNQA_KEYS)
    assert parsed.problems


def test_the_earlier_rounds_are_the_context_of_a_round(home: Path) -> None:
    dataset = create(home, "3d.SceneNavigation")
    rounds = dataset.parse_response(CONVERSATIONS, Query("s", "x")).pairs
    assert [pair.id for pair in rounds] == [f"SN_INS_s_activity{a}_round{r}" for a, r in ((0, 1), (0, 2), (1, 1))]
    assert [list(dataset.related(rounds, number)) for number in (1, 2, 3)] == [[], [1], []]


def test_a_run_that_began_before_goes_on_as_it_began(home: Path) -> None:
    """Its rows are not paid again, its new rows are asked as the others were, and its ids stay."""
    arguments = ("--name", "funqa.FunQA_dia", "--datasets-dir", "datasets", "--offline")
    assert run_cli(home, *arguments).returncode == 0
    folder = home / "output" / "FunQA_dia.funqa" / "v1"
    (pair, *_) = json.loads((folder / "FUNQA_DIA_instructions.json").read_text("utf-8"))["data"]
    assert pair.startswith("FUNQA_DIA_INS_")
    with original_messages(False):
        before = load_prompt_template(create(home, "funqa.FunQA_dia"))
    example = before.in_context[1]["content"]
    assert example == "Question: A?\nAnswer: A.\n\nQuestion: B?\nAnswer: B."
    with closing(sqlite3.connect(folder / "run.sqlite")) as db, db:  # as 0.1.0 noted its settings
        db.execute(
            "UPDATE spec SET settings = json_set(json_remove(settings, '$.original_messages'), '$.prompt', ?)",
            [prompt_digest(before)],
        )
    again = run_cli(home, *arguments)
    assert again.returncode == 0, again.stderr
    assert "no request was sent" in again.stderr
    (pair, *_) = json.loads((folder / "FQA_instructions.json").read_text("utf-8"))["data"]
    assert pair.startswith("FQA_INS_")
    previews = [run_cli(home, "preview", *arguments, "--json", *more) for more in ((), ("--dataset_version", "v2"))]
    shown = [[turn["content"] for turn in json.loads(each.stdout)[0]["messages"]] for each in previews]
    assert [example in turns for turns in shown] == [True, False]
