"""Exports with images: as each trainer's own loader demands them, complete, split, and never half there.

What the trainers demand is written down from their sources, as docs/formats.md lists them with versions; the real
loaders were run on exports of these kinds once, with torch, which is too heavy for this suite.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pandas
import pyarrow.parquet
import pytest
from harness import HERE
from media import write_still
from PIL import Image

from syphus import api
from syphus.errors import ConfigError, RunError
from syphus.formats.card import read_front_matter
from syphus.formats.export_images import SafeNames
from syphus.formats.source import SplitPlan, parse_splits, strip_marks
from syphus.images.store import open_store

PLUGINS = HERE / "plugins"
#: Queries by id: their images and the number of their pairs. One image, none, several, frames; one turn and several.
ROWS: dict[str, tuple[list[str], int]] = {
    "one": (["RW_IMG_one"], 1),
    "none": ([], 2),
    "two": (["RW_IMG_two_1", "RW_IMG_two_2"], 3),
    "odd": (["RW_IMG_ü/1:?", "RW_IMG_A.b"], 1),
    "case": (["RW_IMG_a.b"], 1),
    "film": ([f"RW_IMG_film_{second:04}" for second in range(24)], 2),
}


def image(number: int, kind: str = "PNG") -> bytes:
    """An image file of a size of its own."""
    data = io.BytesIO()
    Image.new("RGB", (4 + number, 5), (number, 0, 0)).save(data, kind)
    return data.getvalue()


def images_of(rows: dict[str, tuple[list[str], int]]) -> dict[str, bytes]:
    """The bytes of every image by its id; some are JPEG."""
    ids = dict.fromkeys(name for images, _ in rows.values() for name in images)
    return {name: image(n, "JPEG" if n % 2 else "PNG") for n, name in enumerate(ids)}


def made_run(folder: Path, rows: dict[str, tuple[list[str], int]]) -> Path:
    """A finished run of pairs that come from the source; the rounds of a query are one conversation."""
    lines = [
        {
            "id": name,
            "images": images,
            "pairs": [[f"What is {n}?", f"It is {n}."] for n in range(pairs)],
        }
        for name, (images, pairs) in rows.items()
    ]
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    done = api.run(
        "LastRounds.talks",
        query_inputs_path=source,
        output_dir=folder / "output",
        datasets_dir=PLUGINS,
        prompt_path=HERE / "prompts" / "rows.yaml",
        accept_changes=True,
        quiet=True,
    )
    return done.folder


def store_of(folder: Path, images: dict[str, bytes], rows_per_group: int | None = None) -> Path:
    """A store as pandas writes it, all in one group of rows by default."""
    frame = pandas.DataFrame({"base64": [base64.b64encode(data).decode() for data in images.values()]}, list(images))
    path = folder / "RW.parquet"
    frame.to_parquet(path, row_group_size=rows_per_group)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of all rows, beside a store of their images."""
    folder = tmp_path_factory.mktemp("images")
    store_of(folder, images_of(ROWS))
    return made_run(folder, ROWS)


def exported(run: Path, name: str, output: Path, **options: Any) -> Path:
    """The folder of a format, with the images of the store."""
    store = run.parents[2] / "RW.parquet"
    options = {"images": store, **options}
    api.export(run, name, output, PLUGINS, **options)
    return output / name


def conversations_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of a `llava` or `internvl` export."""
    if (path := folder / "RW_llava.json").exists():
        return list(json.loads(path.read_text("utf-8")))
    return [json.loads(line) for line in (folder / "RW_internvl.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", ["llava", "internvl"])
def test_llava_rows_have_a_token_and_a_file_for_each_image(run: Path, tmp_path: Path, name: str) -> None:
    """As qwen-vl-finetune (data_processor.py, `_build_messages`), LLaVA-NeXT (train.py), LLaMA-Factory 0.9.5
    (converter.py, mm_plugin.py), ms-swift 4.6 and InternVL (internvl_chat_finetune.py) read them."""
    folder = exported(run, name, tmp_path)
    wanted = images_of(ROWS)
    rows = conversations_of(folder)
    assert len(rows) == len(ROWS)
    for row, (ids, pairs) in zip(rows, ROWS.values(), strict=True):
        files = row.get("image", [])
        assert [(folder / file).read_bytes() for file in files] == [wanted[name] for name in ids]
        turns = row["conversations"]
        assert [turn["from"] for turn in turns] == ["human", "gpt"] * pairs
        assert turns[0]["value"].startswith("<image>\n" * len(ids))
        assert sum(turn["value"].count("<image>") for turn in turns) == len(ids)
        assert not any("<video>" in turn["value"] for turn in turns)
    if name == "llava":
        info = json.loads((folder / "dataset_info.json").read_text("utf-8"))["RW_llava"]
        assert info["file_name"] == "RW_llava.json"
        assert info["formatting"] == "sharegpt"
        assert info["columns"] == {"messages": "conversations", "images": "image"}
    else:
        meta = json.loads((folder / "RW_internvl_meta.json").read_text("utf-8"))["RW"]
        assert (meta["annotation"], meta["root"]) == ("RW_internvl.jsonl", "./")
        assert (meta["length"], meta["repeat_time"], meta["data_augment"]) == (len(ROWS), 1, False)


def test_trl_rows_open_in_datasets_with_their_images(run: Path, tmp_path: Path) -> None:
    """As TRL 1.16 wants them (data_utils.py, `prepare_multimodal_messages`): plain texts, and a list of images."""
    folder = exported(run, "trl", tmp_path, system="Be brief.")
    library = importlib.import_module("datasets")
    table = library.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert str(table.features["images"]).startswith("List(Image(")
    wanted = images_of(ROWS)
    for row, (ids, pairs) in zip(table, ROWS.values(), strict=True):
        assert [image.size for image in row["images"]] == [Image.open(io.BytesIO(wanted[name])).size for name in ids]
        assert [message["role"] for message in row["messages"]] == ["system", *["user", "assistant"] * pairs]
        assert not any("<" in message["content"].replace("<video >", "") for message in row["messages"])


def test_axolotl_rows_are_lists_of_parts_with_paths(run: Path, tmp_path: Path) -> None:
    """As Axolotl 0.19 reads them (processing_strategies.py): the same type of content in each message."""
    folder = exported(run, "axolotl", tmp_path)
    lines = (folder / "RW_axolotl.jsonl").read_text("utf-8").splitlines()
    for line, (ids, _) in zip(lines, ROWS.values(), strict=True):
        messages = json.loads(line)["messages"]
        assert all(isinstance(message["content"], list) for message in messages)
        paths = [part["path"] for message in messages for part in message["content"] if part["type"] == "image"]
        assert len(paths) == len(ids)
        assert all((folder / path).is_file() for path in paths)


def test_chat_holds_images_as_data_urls_and_says_what_is_beyond_the_limits(run: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    folder = exported(run, "chat", tmp_path, on_note=notes.append)
    assert notes == ["RW_chat.jsonl: 1 row beyond OpenAI's limits: more than 10 images; add --max-images 10"]
    lines = (folder / "RW_chat.jsonl").read_text("utf-8").splitlines()
    wanted = images_of(ROWS)
    for line, (ids, _) in zip(lines, ROWS.values(), strict=True):
        first = json.loads(line)["messages"][0]["content"]
        urls = [part["image_url"]["url"] for part in first if part["type"] == "image_url"] if ids else []
        assert [base64.b64decode(url.partition(",")[2]) for url in urls] == [wanted[name] for name in ids]
        assert all(url.startswith(("data:image/png;", "data:image/jpeg;")) for url in urls)


def test_webdataset_groups_a_conversation_and_its_images_by_key(run: Path, tmp_path: Path) -> None:
    """As webdataset 1.0.2 groups them (tariterators.py, `group_by_keys`): the key ends at the first dot."""
    folder = exported(run, "webdataset", tmp_path)
    samples: dict[str, dict[str, bytes]] = {}
    with tarfile.TarFile(folder / "RW-000000.tar") as shard:
        for entry in shard:
            key, _, ending = entry.name.partition(".")
            file = shard.extractfile(entry)
            assert file is not None
            samples.setdefault(key, {})[ending] = file.read()
    wanted = images_of(ROWS)
    assert len(samples) == len(ROWS)
    for sample, (ids, _) in zip(samples.values(), ROWS.values(), strict=True):
        names = json.loads(sample["json"]).get("image", [])
        assert [sample[name] for name in names] == [wanted[name] for name in ids]


def test_mimicit_comes_with_its_store_and_verifies(run: Path, tmp_path: Path) -> None:
    folder = exported(run, "mimicit", tmp_path)
    with open_store(folder / "RW.parquet") as store:
        assert {name: store[name] for name in images_of(ROWS)} == images_of(ROWS)
    assert api.verify(folder).ok


@pytest.mark.parametrize("name", ["llava", "alpaca", "parquet", "trl", "internvl", "axolotl", "chat", "mimicit"])
def test_frames_are_thinned_in_each_format(run: Path, tmp_path: Path, name: str) -> None:
    folder = exported(run, name, tmp_path, max_images=4)
    files = [path for path in folder.rglob("*") if path.suffix in (".json", ".jsonl") and path.is_file()]
    text = "".join(path.read_text("utf-8") for path in files)
    assert "0001" not in text.replace("00000-of-00001", "")
    for path in folder.rglob("*-of-*.parquet"):
        assert max(map(len, pyarrow.parquet.read_table(path)["images"].to_pylist())) == 4


def test_tokens_of_media_in_older_ledgers_are_removed_from_texts() -> None:
    assert strip_marks("What <image> is it? <video>") == "What  is it?"


def test_file_names_are_safe_and_never_the_same_on_any_system() -> None:
    names = SafeNames()
    ids = ["A.b", "a.b", "ü/1", "u_1", "con", "a b", "a_b", "..", "x" * 300, "x" * 299, ".hidden", "end."]
    made = [names.add(each, ".jpg") for each in ids]
    assert made[0] == "A.b.jpg"
    assert len({name.casefold() for name in made}) == len(ids)
    assert all(name.isascii() and "/" not in name and len(name) < 120 and name[0] not in ".-" for name in made)
    assert [names.find(each) for each in ids] == made
    names.close()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of photos, called by what comes after `RW_IMG_`; one of three is missing, and one is no image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(image(1))
    (folder / "b.JPG").write_bytes(image(2, "JPEG"))
    return folder


def test_missing_images_stop_before_anything_is_written(tmp_path: Path, photos: Path) -> None:
    run = made_run(tmp_path, {name: ([f"RW_IMG_{name}"], 1) for name in "abc"})
    out = tmp_path / "out"
    with pytest.raises(RunError, match=r"1 of 3 images are missing in .*photos: RW_IMG_c\. .*--allow-missing-images"):
        api.export(run, "llava", out, PLUGINS, images=photos)
    assert list(out.iterdir()) == []
    notes: list[str] = []
    api.export(run, "llava", out, PLUGINS, images=photos, allow_missing_images=True, on_note=notes.append)
    assert notes == ["llava: 1 query of 3 left out, because images are missing"]
    rows = json.loads((out / "llava" / "RW_llava.json").read_text("utf-8"))
    assert [row["image"] for row in rows] == ["images/RW_IMG_a.png", "images/RW_IMG_b.jpg"]
    with pytest.raises(RunError, match="None of the 3 images is in"):
        api.export(run, "llava", out, PLUGINS, images=tmp_path / "output")
    with pytest.raises(ConfigError, match="--format trl holds images: add --images"):
        api.export(run, "trl", out, PLUGINS)
    with pytest.raises(ConfigError, match=r"qwen-vl trains on --format llava"):
        api.export(run, "qwen-vl", out, PLUGINS)


def test_a_broken_image_leaves_the_earlier_export_as_it_was(tmp_path: Path, photos: Path) -> None:
    run = made_run(tmp_path, {name: ([f"RW_IMG_{name}"], 1) for name in "ab"})
    out = tmp_path / "out"
    api.export(run, "llava", out, PLUGINS, images=photos)
    (out / "llava" / "saves").mkdir()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (photos / "b.JPG").write_bytes(b"no image")
    with pytest.raises(RunError, match="RW_IMG_b"):
        api.export(run, "llava", out, PLUGINS, images=photos)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (out / ".llava.partial").mkdir()  # left by a killed process
    (out / ".llava.partial" / "half.json").write_text("[", "utf-8")
    api.export(run, "llava", out, PLUGINS, images=photos, allow_missing_images=True)
    names = sorted(path.name for path in (out / "llava").iterdir())
    assert names == ["README.md", "RW_llava.json", "dataset_info.json", "images", "saves"]
    assert [path.name for path in out.iterdir()] == ["llava"]


def test_a_store_in_one_large_group_is_read_once(tmp_path: Path) -> None:
    rows = {f"{n:03}": ([f"RW_IMG_{n:03}"], 1) for n in range(40)}
    run = made_run(tmp_path, rows)
    noise = {name: data + bytes(500_000) for name, data in images_of(rows).items()}
    store = store_of(tmp_path, {**noise, "RW_IMG_other": image(3)})
    api.export(run, "llava", tmp_path / "out", PLUGINS, images=store)
    files = {path.stem: path.read_bytes() for path in (tmp_path / "out" / "llava" / "images").iterdir()}
    assert files == noise


def split_rows(run: Path, output: Path, name: str, splits: str) -> dict[str, list[str]]:
    """The first ids of the conversations of each split."""
    api.export(run, name, output, PLUGINS, split=splits)
    found = {}
    for part in splits.split(","):
        split = part.partition("=")[0]
        rows = json.loads((output / name / f"RW_llava_{split}.json").read_text("utf-8"))
        found[split] = [row["id"] for row in rows]
    return found


def test_a_query_keeps_its_split_when_others_are_added(tmp_path: Path) -> None:
    def rows(count: int) -> dict[str, tuple[list[str], int]]:
        return {f"q{n}": ([f"RW_IMG_{n // 2}"], 2) for n in range(count)}  # two queries share each image

    splits = "train=0.7,validation=0.2,test=0.1"
    first = split_rows(made_run(tmp_path, rows(60)), tmp_path / "first", "llava", splits)
    second = split_rows(made_run(tmp_path, dict(reversed(rows(100).items()))), tmp_path / "second", "llava", splits)
    assert sum(map(len, first.values())) == 60
    assert all(set(ids) <= set(second[split]) for split, ids in first.items())
    assert 55 < len(second["train"]) < 85
    for ids in second.values():
        numbers = [int(name.split("_")[2][1:]) for name in ids]
        assert {number ^ 1 for number in numbers} == set(numbers)  # both queries of an image


def test_queries_that_share_images_or_a_video_are_never_apart() -> None:
    splits = parse_splits("a=0.5,b=0.5")
    plan = SplitPlan(splits)
    chain = [[f"I{n}", f"I{n + 1}"] for n in range(30)]
    for n, images in enumerate(chain):
        plan.add(f"c{n}", images)
    for second in range(30):
        plan.add(f"f{second}", [f"X_IMG_v1_{second:04}", f"X_IMG_v1_{second + 1:04}"])
    for n in range(200):
        plan.add(f"t{n}", [])
    names = [plan.split_of(position) for position in range(260)]
    assert len(set(names[:30])) == len(set(names[30:60])) == 1
    assert 70 < names[60:].count("a") < 130
    plan.close()


@pytest.mark.parametrize("text", ["train", "train=x", "train=0.5", "a=0.5,a=0.5", "a/b=1", "a=0,b=1", "a=nan,b=1"])
def test_a_split_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--split"):
        parse_splits(text)


def test_splits_of_each_format_have_all_pairs_once(run: Path, tmp_path: Path) -> None:
    splits = "train=0.5,validation=0.5"
    folder = exported(run, "trl", tmp_path, split=splits)
    library = importlib.import_module("datasets")
    both = library.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert set(both) == {"train", "validation"}
    assert sum(map(len, both.values())) == len(ROWS)
    folder = exported(run, "mimicit", tmp_path, split=splits)
    parts = [json.loads((folder / name / "RW_instructions.json").read_text("utf-8")) for name in both]
    assert sum(len(part["data"]) for part in parts) == sum(pairs for _, pairs in ROWS.values())
    assert all(api.verify(folder / name).ok for name in both)


FILMS = '''
from syphus import AbstractDataset, Pair, Video, read_jsonl, video_files


class Films(AbstractDataset):
    """Rows of films, made up by a test."""

    short_name = "FI"
    prompt = "rows"
    brings_pairs = True

    def _load_query_inputs(self, path):
        for row in read_jsonl(path):
            pairs = [Pair("What?", "That.")]
            yield {"id": row["id"], "sentences": "a film", "image_ids": row["images"], "pairs": pairs}

    def _load_images(self, path):
        for file in video_files(path):
            yield Video(file, f"FI_IMG_{file.stem}_")
'''


@pytest.mark.parametrize("name", ["llava", "internvl", "axolotl"])
def test_rows_of_frames_hold_the_video_and_others_their_images(tmp_path: Path, name: str) -> None:
    plugins, videos, stills = (tmp_path / each for each in ("plugins", "videos", "stills"))
    for folder in (plugins, videos, stills):
        folder.mkdir()
    (plugins / "films.py").write_text(FILMS, "utf-8")
    (videos / "v1.mp4").write_bytes(b"a film")
    (stills / "FI_IMG_x.png").write_bytes(image(1))
    rows = [{"id": "v", "images": [f"FI_IMG_v1_{n:04}" for n in range(3)]}, {"id": "s", "images": ["FI_IMG_x"]}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    run = api.run(
        "Films.films",
        query_inputs_path=tmp_path / "rows.jsonl",
        output_dir=tmp_path / "output",
        datasets_dir=plugins,
        prompt_path=HERE / "prompts" / "rows.yaml",
        quiet=True,
    ).folder
    api.export(run, name, tmp_path / "out", plugins, images=stills, videos=videos)
    folder = tmp_path / "out" / name
    assert (folder / "videos" / "v1.mp4").read_bytes() == b"a film"
    assert [path.name for path in (folder / "images").iterdir()] == ["FI_IMG_x.png"]
    text = "".join(path.read_text("utf-8") for path in folder.glob("FI_*.json*"))
    assert text.count('"videos/v1.mp4"') == text.count('images/FI_IMG_x.png"') == 1
    if name != "axolotl":
        assert text.count("<video>\\n") == text.count("<image>\\n") == 1


def test_a_broken_image_leaves_no_other_images_of_its_row(tmp_path: Path, photos: Path) -> None:
    rows = {"x": (["RW_IMG_a", "RW_IMG_c", "RW_IMG_b"], 1), "y": (["RW_IMG_b"], 1)}
    (photos / "c.png").write_bytes(b"no image")
    run = made_run(tmp_path, rows)
    for name in ("llava", "alpaca", "internvl", "axolotl"):
        api.export(run, name, tmp_path / "out", PLUGINS, images=photos, allow_missing_images=True)
        assert [path.name for path in (tmp_path / "out" / name / "images").iterdir()] == ["RW_IMG_b.jpg"]


def test_a_system_turn_of_internvl_keeps_its_text(tmp_path: Path, photos: Path) -> None:
    """Where `image` is text, internvl_chat_finetune.py puts `<image>` into the first turn, whoever speaks it."""
    run = made_run(tmp_path, {"x": (["RW_IMG_a"], 1)})
    for system, image_of_row in (("", "images/RW_IMG_a.png"), ("Be brief.", ["images/RW_IMG_a.png"])):
        api.export(run, "internvl", tmp_path / "out", PLUGINS, images=photos, system=system)
        (row,) = conversations_of(tmp_path / "out" / "internvl")
        assert row["image"] == image_of_row


SENTENCES = [
    ("What is to be seen next to the bicycles in this picture?", "There is a wooden bench beside the bicycles."),
    ("Which of the two cars is parked closer to the house?", "The red car is parked closer to the house."),
    ("Why might the people in the street be waiting there?", "They are probably waiting for the next bus."),
]


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is translated into German and Chinese; German lacks a pair in the middle of a conversation."""
    folder = tmp_path_factory.mktemp("translated")
    rows = {"one": ["RW_IMG_1"], "two": ["RW_IMG_2", "RW_IMG_3"], "none": []}
    store_of(folder, {name: image(n) for n, name in enumerate(["RW_IMG_1", "RW_IMG_2", "RW_IMG_3"])})
    lines = [{"id": name, "images": images, "pairs": SENTENCES} for name, images in rows.items()]
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    run = api.run(
        "LastRounds.talks",
        query_inputs_path=source,
        output_dir=folder / "output",
        datasets_dir=PLUGINS,
        prompt_path=HERE / "prompts" / "rows.yaml",
        quiet=True,
    ).folder
    api.translate(run, languages="de,zh", offline=True, quiet=True)
    with sqlite3.connect(run / "run.sqlite") as ledger:
        ledger.execute(
            "UPDATE part SET state = 'invalid' WHERE name = 'de' AND n = "
            "(SELECT n FROM query WHERE stage = 'translate' AND id LIKE '%two%' ORDER BY position LIMIT 1 OFFSET 1)"
        )
    ledger.close()
    return run


def row_of(row: dict[str, Any]) -> tuple[object, int, object]:
    """The id of a row of any format, if it has one, its pairs, and its images."""
    turns = row.get("conversations") or row.get("messages") or [row, row]
    first = turns[0].get("content")
    parts = [part for part in first if part["type"] != "text"] if isinstance(first, list) else None
    images = parts or row.get("image") or row.get("images") or row.get("image_ids") or []
    return row.get("id"), len(turns) // 2, images


def rows_of(folder: Path, code: str, split: str) -> list[tuple[object, int, object]]:
    """What `row_of` says of all rows of a split in a language, which has its files where docs/formats.md says."""
    name, language = folder.name, f"_{code}" if code else ""
    if name == "mimicit":
        data = json.loads((folder / split / f"RW_instructions{language}.json").read_text("utf-8"))["data"]
        rows = [{"id": key, **entry} for key, entry in data.items()]
    elif name in ("trl", "parquet"):
        stem = Path("data", code, split) if name == "trl" else Path(f"RW{language}_{split}")
        rows = pyarrow.parquet.read_table(folder / f"{stem}-00000-of-00001.parquet").to_pylist()
    elif name == "webdataset":
        with tarfile.TarFile(folder / f"RW{language}_{split}-000000.tar".replace("_", "-")) as shard:
            files = [shard.extractfile(entry) for entry in shard if entry.name.endswith(".json")]
            rows = [json.load(file) for file in files if file]
    elif name == "llava":
        rows = json.loads((folder / f"RW_llava{language}_{split}.json").read_text("utf-8"))
    else:
        lines = (folder / f"RW_{name}{language}_{split}.jsonl").read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
    return [row_of(row) for row in rows]


@pytest.mark.parametrize(
    "name", ["mimicit", "llava", "chat", "alpaca", "parquet", "trl", "internvl", "axolotl", "webdataset"]
)
def test_translations_share_images_ids_and_splits_in_each_format(translated: Path, tmp_path: Path, name: str) -> None:
    notes: list[str] = []
    splits = "train=0.5,test=0.5"
    folder = exported(translated, name, tmp_path, languages="zh,de", split=splits, on_note=notes.append)
    assert "de: 2 pairs are not translated, and left out" in notes  # the second round, and the third, which follows it
    german_pairs = 0
    for split in ("train", "test"):
        english, german, chinese = (rows_of(folder, code, split) for code in ("", "de", "zh"))
        assert english == chinese
        rest = iter((row[0], row[2]) for row in english)
        assert all((row[0], row[2]) in rest for row in german)  # in the same order, with the same images
        german_pairs += sum(row[1] for row in german)
        assert german_pairs or not english
    assert german_pairs == 7
    card = read_front_matter(folder / "README.md")
    assert (card["pairs"], card["language"]) == (9, ["en", "zh", "de"])
    assert "simulated" in str(card["tags"])
    if name == "mimicit":
        assert all(api.verify(folder / split).ok for split in ("train", "test"))
    if name in ("llava", "trl", "parquet", "alpaca"):
        library = importlib.import_module("datasets")
        loaded = {
            code: library.load_dataset(str(folder), code, cache_dir=str(tmp_path / "cache")) for code in ("en", "de")
        }
        assert set(loaded["de"]) == {"train", "test"}
        assert sum(map(len, loaded["en"].values())) >= sum(map(len, loaded["de"].values())) > 0


def test_mimicit_exports_translations_with_the_bytes_of_translate(translated: Path, tmp_path: Path) -> None:
    folder = exported(translated, "mimicit", tmp_path, languages="all")
    for name in ("RW_instructions_zh.json", "RW_train_zh.json"):
        assert (folder / name).read_bytes() == (translated / name).read_bytes()
    assert len(list(folder.glob("*.parquet"))) == 1  # the images of all languages


def test_languages_that_a_run_lacks_are_named(translated: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no translations into ko: it has zh, de\. .* --languages ko"):
        api.export(translated, "llava", tmp_path, PLUGINS, languages="de,ko")
    with pytest.raises(RunError, match="no translations into any language: it has none"):
        api.export(run, "llava", tmp_path, PLUGINS, languages="all")
    with pytest.raises(ConfigError, match=r"--languages ger: unknown language"):
        api.export(translated, "llava", tmp_path, PLUGINS, languages=["ger"])
    api.export(translated, "llava", tmp_path, PLUGINS, languages="en,German")
    assert sorted(path.name for path in (tmp_path / "llava").glob("RW_*")) == ["RW_llava.json", "RW_llava_de.json"]


@pytest.mark.parametrize("name", ["llava/images", "parquet"])
def test_images_that_an_export_had_to_rename_are_found_by_their_ids(run: Path, tmp_path: Path, name: str) -> None:
    exported(run, name.partition("/")[0], tmp_path / "first")
    images = tmp_path / "first" / name
    found = api.verify(run, images)
    assert (found.problems, found.summary.images) == ({}, len(images_of(ROWS)))
    (again,) = exported(run, "trl", tmp_path / "again", images=images).glob("data/*.parquet")
    (before,) = exported(run, "trl", tmp_path / "before").glob("data/*.parquet")
    assert again.read_bytes() == before.read_bytes()


def test_image_files_are_found_by_what_follows_the_prefix_of_the_ids(run: Path, tmp_path: Path) -> None:
    images = exported(run, "llava", tmp_path) / "images"
    for file in sorted(images.glob("RW_IMG_film_*")):
        file.rename(file.with_name(file.name.removeprefix("RW_IMG_")))
    assert api.verify(run, images).ok
    (images / "film_0099.png").write_bytes((images / "RW_IMG_one.png").read_bytes())
    assert api.verify(run, images).problems == {"unused images": 1}


def test_verify_takes_the_images_that_it_is_given_and_no_others(run: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "RW_instructions.json"
    pairs.write_bytes((run / "RW_instructions.json").read_bytes())
    store_of(tmp_path, images_of(ROWS))
    images = exported(run, "llava", tmp_path / "export") / "images"
    assert api.verify(pairs, images).ok
    (images / "RW_IMG_one.png").unlink()
    assert api.verify(pairs).ok
    assert api.verify(pairs, images).problems == {"unknown image": 1}


def test_a_folder_of_image_files_is_verified_like_a_store(tmp_path: Path) -> None:
    entry = {"instruction": "What is it?", "answer": "A kite.", "image_ids": ["K_IMG_1"], "rel_ins_ids": []}
    pairs = tmp_path / "K_instructions.json"
    pairs.write_text(json.dumps({"meta": {}, "data": {"K_INS_1": entry}}))
    write_still(tmp_path / "photos" / "K_IMG_1.jpg")
    found = api.verify(pairs, tmp_path / "photos")
    assert (found.ok, found.summary.images) == (True, 1)
    (tmp_path / "photos" / "K_IMG_2.jpg").write_bytes(b"no image")
    (tmp_path / "photos" / "K_IMG_1.jpg").rename(tmp_path / "photos" / "K_IMG_3.jpg")
    problems = api.verify(pairs, tmp_path / "photos").problems
    assert {"unused images"} < set(problems)
    assert sum(problems.values()) == 3
