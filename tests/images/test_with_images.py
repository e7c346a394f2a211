"""Images beside the annotations of shipped datasets, in in-context examples, in a preview, and in a plugin's rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from harness import HERE, Listener, run_rows, server
from image_rows import ask, picture, shown, write_picture, write_store

from syphus.cli.summary import preview_text
from syphus.config.options import Options
from syphus.errors import ConfigError, PluginError, PromptError, RunError
from syphus.main_job import run
from syphus.plugins.contract import queries, shipped_folder
from syphus.plugins.discovery import find_plugin
from syphus.plugins.prompts import prompt_digest, to_prompt_template
from syphus.plugins.rows import to_query
from syphus.runs.preview import PreviewedQuery, preview
from syphus.runs.reader import read_status
from syphus.simulator import SimulatedServer
from syphus.types import PromptImage, State


@pytest.fixture(scope="module")
def endpoint() -> Iterator[SimulatedServer]:
    with server() as running:
        yield running


@pytest.fixture(autouse=True)
def _afresh(endpoint: SimulatedServer) -> None:
    endpoint.reset()


def named_by(dataset: str) -> list[str]:
    """The images that the example annotations of a shipped dataset name."""
    plugin = find_plugin(dataset)
    rows = queries(plugin.create(), shipped_folder("examples") / plugin.cls.example)
    return list(dict.fromkeys(name for query in rows for name in query.image_ids))


def in_the_layout_of_its_source(dataset: str, folder: Path) -> Path:
    """Made-up images of a shipped dataset's example, called as its source calls them."""
    for number, name in enumerate(named_by(dataset)):
        last = name.rpartition("_IMG_")[2]
        if dataset == "SpotTheDifference.change":
            image, _, which = last.partition("_")
            last = f"{int(image)}_2" if which == "2" else f"{int(image)}"
        write_picture(folder / f"{last}.jpg", 40 + number, 30)
    return folder


@pytest.mark.parametrize("dataset", ["SpotTheDifference.change", "LlavaDetail.llava"])
@pytest.mark.parametrize("layout", ["source", "ids", "store"])
def test_a_shipped_dataset_sends_its_images_along(dataset: str, layout: str, tmp_path: Path) -> None:
    if layout == "source":
        images = in_the_layout_of_its_source(dataset, tmp_path / "images")
    elif layout == "ids":
        images = tmp_path / "images"
        for number, name in enumerate(named_by(dataset)):
            write_picture(images / f"{name}.jpg", 40 + number, 30)
    else:
        content = {name: picture(40 + number, 30) for number, name in enumerate(named_by(dataset))}
        images = write_store(tmp_path / "store.parquet", content)
    options = Options(
        name=dataset, example=True, offline=True, output_dir=tmp_path / "output", with_images=True, images=images
    )
    listener = Listener()
    finished = run(options, {}, listener)
    assert (finished.exit_code, finished.stopped_by) == (0, None), listener.lines
    report = read_status(options.folder)
    assert report.counts.states[State.OK] == report.counts.total
    assert report.settings[-1]["with_images"] is True
    with pytest.raises(RunError, match="with_images True, now unset"):
        run(Options(name=dataset, example=True, offline=True, output_dir=tmp_path / "output"), {}, listener)


def test_images_of_a_dataset_reach_the_server_in_the_order_of_its_rows(
    tmp_path: Path,
    endpoint: SimulatedServer,
) -> None:
    images = in_the_layout_of_its_source("SpotTheDifference.change", tmp_path / "images")
    sizes = {name: f"{40 + n}x30 JPEG auto" for n, name in enumerate(named_by("SpotTheDifference.change"))}
    ran = run_rows(
        tmp_path, endpoint.url, 0, name="SpotTheDifference.change", example=True, query_inputs_path="", images=images,
        with_images=True, max_requests=3, num_threads=1,
    )  # fmt: skip
    plugin = find_plugin("SpotTheDifference.change")
    rows = list(queries(plugin.create(), shipped_folder("examples") / plugin.cls.example))[:3]
    assert shown(endpoint) == [tuple(sizes[name] for name in row.image_ids) for row in rows]
    assert ran.states[State.OK] == 3


def test_what_is_wrong_with_the_options_is_said_before_anything_is_read(tmp_path: Path) -> None:
    for options, told in (
        ({"with_images": True}, "--with-images needs --images PATH"),
        ({"images": tmp_path / "gone"}, "no such file or folder"),
        ({"image_detail": "best"}, "--image-detail should be 'low', 'high', 'auto' or 'original'"),
    ):
        given: dict[str, Any] = {"name": "SpotTheDifference.change", "example": True, "offline": True, **options}
        with pytest.raises(ConfigError, match=told):
            run(Options(**given), {}, Listener())


def test_a_broken_store_is_said_in_one_line_and_nothing_is_sent(
    tmp_path: Path,
    endpoint: SimulatedServer,
) -> None:
    (tmp_path / "store.parquet").write_bytes(b"PAR1 not really")
    ran = ask(tmp_path, endpoint, [{"id": "r", "images": [{"id": "X"}]}], images=tmp_path / "store.parquet")
    assert ran.exit_code == 2
    assert str(tmp_path / "store.parquet") in str(ran.error)
    assert "\n" not in str(ran.error)
    assert endpoint.stats.requests == 0


def test_an_id_leads_to_no_file_outside_of_the_folder(tmp_path: Path, endpoint: SimulatedServer) -> None:
    write_picture(tmp_path / "secret.jpg")
    write_picture(tmp_path / "images" / "a.jpg")
    names = (
        "a",
        "PI_IMG_a",
        "../secret",
        str(tmp_path / "secret"),
        "PI_IMG_../secret",
        f"PI_IMG_{tmp_path / 'secret'}",
    )
    rows = [{"id": name, "images": [{"id": name}]} for name in names]
    ran = ask(tmp_path, endpoint, rows, images=tmp_path / "images")
    assert ran.states == {State.OK: 2, State.FAILED: 4}
    assert ran.reasons == ["image: an id that leads outside the folder"]


# In-context examples


def write_prompt(folder: Path, images: object = ("photos/cat.png",)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    turns = [
        {"role": "user", "content": "a cat sits", "images": images},
        {"role": "assistant", "content": "Question: Who?\nAnswer: A cat."},
    ]
    path = folder / "prompt.json"
    path.write_text(json.dumps({"system_message": "Write pairs.", "in_context": turns}), "utf-8")
    return path


def test_an_example_shows_its_images_with_every_query(tmp_path: Path, endpoint: SimulatedServer) -> None:
    prompt = write_prompt(tmp_path / "p")
    write_picture(tmp_path / "p" / "photos" / "cat.png", 20, 10)
    path = write_picture(tmp_path / "a.jpg")
    rows: list[dict[str, object]] = [{"id": "1", "images": [str(path)]}, {"id": "2"}]
    ran = ask(tmp_path, endpoint, rows, prompt_path=str(prompt))
    assert ran.states == {State.OK: 2}
    assert sorted(shown(endpoint)) == [("20x10 PNG auto",), ("20x10 PNG auto", "64x48 JPEG auto")]
    (tmp_path / "p").rename(tmp_path / "elsewhere")
    assert ask(tmp_path, endpoint, rows, prompt_path=str(tmp_path / "elsewhere" / "prompt.json")).exit_code == 0
    write_picture(tmp_path / "elsewhere" / "photos" / "cat.png", 20, 10, seed=1)
    other = ask(tmp_path, endpoint, rows, prompt_path=str(tmp_path / "elsewhere" / "prompt.json"))
    assert isinstance(other.error, RunError)
    assert "prompt" in str(other.error)
    assert endpoint.stats.requests == 2


def test_an_example_without_its_image_is_refused(tmp_path: Path, endpoint: SimulatedServer) -> None:
    ran = ask(tmp_path, endpoint, [{"id": "1"}], prompt_path=str(write_prompt(tmp_path / "p")))
    assert isinstance(ran.error, PromptError)
    assert str(ran.error).endswith("photos/cat.png: missing.")
    assert not ran.folder.exists()


@pytest.mark.parametrize(
    ("turn", "told"),
    [
        ({"role": "user", "content": "x", "images": "a.jpg"}, '"images" is a list of files'),
        ({"role": "user", "content": "x", "images": []}, '"images" is a list of files'),
        ({"role": "user", "content": "x", "images": [1]}, "turn 1: images: text is expected"),
        ({"role": "assistant", "content": "x", "images": ["a.jpg"]}, "only a user turn has images"),
        ({"role": "user", "content": "x", "pictures": ["a.jpg"]}, 'a user turn may have "images"'),
    ],
)
def test_a_wrong_turn_is_named(turn: Mapping[str, object], told: str) -> None:
    with pytest.raises(PromptError, match=told):
        to_prompt_template({"system_message": "", "in_context": [turn]}, "p")


def test_a_prompt_without_images_has_the_digest_that_it_always_had() -> None:
    turns = [
        {"role": "user", "content": "a cat · 猫"},
        {"role": "assistant", "content": "Question: Who?\nAnswer: A cat."},
    ]
    assert (
        prompt_digest(to_prompt_template({"system_message": "Write pairs.", "in_context": turns}, "p"))
        == "7eef2d46ce181b60"
    )


# Preview


def test_a_preview_says_what_an_image_is_and_shows_none(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    path = write_picture(tmp_path / "a.jpg", 2000, 1000)
    given = [{"id": "r", "text": "a car", "images": [str(path)]}, {"id": "s", "text": "b", "images": ["gone.jpg"]}]
    rows.write_text("\n".join(map(json.dumps, given)), "utf-8")
    every: list[PreviewedQuery] = []
    options = Options(
        name="Pictures.pictures",
        query_inputs_path=str(rows),
        datasets_dir=(HERE / "plugins",),
        output_dir=tmp_path / "o",
        model="gpt-4o",
    )
    preview(options, {}, 2, every.append)
    told = [preview_text(each, colours=False) for each in every]
    assert "--- user\n<image 1536x768 JPEG, about 1105 tokens>\na car\n" in told[0]
    assert "not sent: image: missing: gone.jpg: missing" in told[1]
    assert b"base64," not in orjson.dumps([each._asdict() for each in every])
    assert 1105 < every[0].tokens < 1300
    assert not (tmp_path / "o").exists()


# A plugin's rows


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ("a.jpg", '"images" must be a list, this is str'),
        ([""], "must hold paths, bytes or"),
        ([b""], "must hold paths, bytes or"),
        ([1], "1 is none of them"),
        ([{"id": ""}], "is none of them"),
        ([{"id": "a", "path": "b"}], "is none of them"),
    ],
)
def test_images_of_another_form_are_refused(images: object, told: str) -> None:
    with pytest.raises(PluginError, match=told):
        to_query({"id": 1, "sentences": "x", "images": images})


def test_images_may_be_paths_bytes_and_ids() -> None:
    query = to_query({"id": 1, "sentences": "x", "images": ["a.jpg", Path("b.jpg"), b"\xff\xd8", {"id": "X_IMG_1"}]})
    assert query.images == (
        PromptImage("a.jpg"),
        PromptImage("b.jpg"),
        PromptImage(data=b"\xff\xd8"),
        PromptImage(id="X_IMG_1"),
    )
