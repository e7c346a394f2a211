"""MIMIC-IT files, good and bad: what `verify` reports, and what `mix` and `stats` make of them."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pandas
import pyarrow
import pyarrow.parquet
import pytest
import yaml
from browser import shown
from PIL import Image
from processes import syphus

from syphus.cli.mimicit import STATS_HEADER, stats_rows, verification_line
from syphus.errors import ConfigError, InputError
from syphus.formats.mimicit.discovery import file_language, find_groups
from syphus.formats.mimicit.images import DecodeLevel, check_images
from syphus.formats.mimicit.mix import mix
from syphus.formats.mimicit.stats import count_files, histogram, mean, median, write_stats_page
from syphus.formats.mimicit.verify import VerifySummary, verify
from syphus.io.records import read_nested_items
from syphus.text import split_words

GOOD = {
    "SD_INS_1": {"instruction": "What?", "answer": "A car.", "image_ids": ["SD_IMG_1"], "rel_ins_ids": ["SD_INS_2"]},
    "SD_INS_2": {"instruction": "Where?", "answer": "There.", "image_ids": ["SD_IMG_1"], "rel_ins_ids": ["SD_INS_1"]},
}


def picture(form: str = "PNG", size: int = 64) -> bytes:
    """A small image of noise."""
    file = io.BytesIO()
    Image.effect_noise((size, size), 50).convert("RGB").save(file, form)
    return file.getvalue()


PICTURE = base64.b64encode(picture(size=2)).decode()


def entry(**changes: object) -> dict[str, object]:
    return {**GOOD["SD_INS_1"], "rel_ins_ids": [], **changes}


def save(folder: Path, data: Mapping[str, object] | str, name: str = "SD_instructions.json") -> Path:
    """Instructions of these entries, or of this text behind `"data":`."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    path = folder / name
    path.write_text(f'{{"meta": {{"version": "0.0.1"}}, "data": {text}}}', "utf-8")
    return path


def store(folder: Path, *names: str) -> Path:
    """Images as the original's converter leaves them."""
    path = folder / "SD.parquet"
    frame = pandas.DataFrame.from_dict(dict.fromkeys(names, PICTURE), orient="index", columns=["base64"])
    frame.to_parquet(path, engine="pyarrow")
    return path


def check(
    *paths: Path, images: tuple[Path, ...] = (), depth: DecodeLevel = DecodeLevel.QUICK
) -> tuple[list[str], VerifySummary]:
    """What is found, with the folder left out, and the summary."""
    lines: list[str] = []
    groups, found = find_groups(paths, images)
    summary = verify(groups, found, lambda finding: lines.append(str(finding)), depth)
    return [line.replace(f"{paths[0] if paths[0].is_dir() else paths[0].parent}/", "") for line in lines], summary


def test_a_good_folder_has_no_problems(tmp_path: Path) -> None:
    save(tmp_path, GOOD)
    (tmp_path / "SD_train.json").write_text('{"SD_INS_1": ["SD_INS_2"]}', "utf-8")
    store(tmp_path, "SD_IMG_1")
    found, summary = check(tmp_path)
    assert found == []
    assert verification_line(summary) == "2 pairs in 1 file, 1 image checked: 0 problems"


FAULTS: dict[str, tuple[dict[str, object], str]] = {
    "empty answer": ({"answer": " \n"}, "the answer is empty"),
    "empty instruction": ({"instruction": ""}, "the instruction is empty"),
    "answer of a number": ({"answer": 3}, '"answer" must be text: this is a whole number'),
    "answer of nothing": ({"answer": None}, '"answer" must be text: this is null'),
    "images of text": ({"image_ids": "SD_IMG_1"}, '"image_ids" must be a list of text: this is text'),
    "images of mixed types": ({"image_ids": ["a", 1]}, '"image_ids" must be a list of text: it holds a whole number'),
    "relations of null": ({"rel_ins_ids": None}, '"rel_ins_ids" must be a list of text: this is null'),
    "self": ({"rel_ins_ids": ["SD_INS_1"]}, "names itself as its context"),
    "twice": ({"rel_ins_ids": ["SD_INS_2", "SD_INS_2"]}, "duplicate context: SD_INS_2"),
    "unknown": ({"rel_ins_ids": ["SD_INS_9"]}, "unknown context: SD_INS_9"),
}


@pytest.mark.parametrize(("changes", "problem"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_a_pair_is_reported_with_its_id(tmp_path: Path, changes: dict[str, object], problem: str) -> None:
    save(tmp_path, {"SD_INS_1": entry(**changes), "SD_INS_2": GOOD["SD_INS_2"]})
    found, summary = check(tmp_path)
    assert found == [f"SD_instructions.json: SD_INS_1: {problem}"]
    assert summary.problems == {problem.partition(": ")[0]: 1}


@pytest.mark.parametrize("key", ["instruction", "answer", "image_ids", "rel_ins_ids"])
def test_a_missing_key_is_reported(tmp_path: Path, key: str) -> None:
    save(tmp_path, {"SD_INS_3": {name: value for name, value in entry().items() if name != key}, "SD_INS_4": entry()})
    assert check(tmp_path)[0] == [f'SD_instructions.json: SD_INS_3: no "{key}"']


def test_a_finding_is_one_line_even_if_an_id_has_line_breaks(tmp_path: Path) -> None:
    save(tmp_path, {"a\n\x1b[31mb": entry(answer="", rel_ins_ids=["\u2028"])})
    assert check(tmp_path)[0] == [
        r"SD_instructions.json: 'a\n\x1b[31mb': the answer is empty",
        r"SD_instructions.json: 'a\n\x1b[31mb': unknown context: '\u2028'",
    ]


def test_duplicate_keys_that_json_load_hides_are_reported(tmp_path: Path) -> None:
    one = json.dumps(entry())
    save(tmp_path, f'{{"SD_INS_1": {one}, "SD_INS_1": {one}, "SD_INS_2": {{"answer": "x", {one[1:]}, "SD_INS_3": 7}}')
    assert check(tmp_path)[0] == [
        "SD_instructions.json: SD_INS_1: duplicate id",
        "SD_instructions.json: SD_INS_2: duplicate key",
        "SD_instructions.json: SD_INS_3: not an object: this is a whole number",
    ]


def test_a_relation_may_span_the_whole_file(tmp_path: Path) -> None:
    data = {f"SD_INS_{n}": entry(rel_ins_ids=[f"SD_INS_{12_000 - n}"]) for n in range(12_000)}
    save(tmp_path, data)
    assert check(tmp_path)[0] == [
        "SD_instructions.json: SD_INS_6000: names itself as its context",
        "SD_instructions.json: SD_INS_0: unknown context: SD_INS_12000",
    ]


def test_a_missing_image_is_reported_once(tmp_path: Path) -> None:
    save(tmp_path, GOOD)
    path = store(tmp_path, "SD_IMG_2", "SD_IMG_3")
    found, summary = check(tmp_path)
    assert found == [
        "SD_instructions.json: SD_INS_1: unknown image: SD_IMG_1",
        "SD.parquet: unused images: SD_IMG_2, and 1 more",
    ]
    assert summary.images == 2
    path.unlink()
    assert check(tmp_path)[1].images is None
    (tmp_path / "images.json").write_text(json.dumps({"SD_IMG_1": PICTURE}), "utf-8")
    assert check(tmp_path, images=(tmp_path / "images.json",))[0] == []


def test_unused_images_are_reported_unless_they_are_allowed(tmp_path: Path) -> None:
    """Two datasets share a store: what either names is used."""
    save(tmp_path, GOOD)
    other = {"LA_INS_1": entry(image_ids=["SD_IMG_2"])}
    save(tmp_path, other, "LA_instructions.json")
    shared = store(tmp_path, "SD_IMG_1", "SD_IMG_2").rename(tmp_path / "shared.parquet")
    assert check(tmp_path, images=(shared,))[0] == []
    (tmp_path / "LA_instructions.json").unlink()
    assert check(tmp_path, images=(shared,))[0] == ["shared.parquet: unused images: SD_IMG_2"]
    arguments = ("verify", "SD_instructions.json", "--images", "shared.parquet")
    assert syphus(tmp_path, *arguments).returncode == 1
    assert syphus(tmp_path, *arguments, "--allow-unused").returncode == 0


def test_stores_of_every_layout_are_read(tmp_path: Path) -> None:
    save(tmp_path, {**GOOD, "SD_INS_3": entry(image_ids=["SD_IMG_2"])})
    folder = tmp_path / "SD.parquet"
    folder.mkdir()
    for part, name in enumerate(("SD_IMG_1", "SD_IMG_2")):  # as dask leaves them
        table = pyarrow.table({"base64": [PICTURE], "__null_dask_index__": [name]})
        pyarrow.parquet.write_table(table, folder / f"part.{part}.parquet")
    assert (check(tmp_path)[0], check(tmp_path)[1].images) == ([], 2)
    shutil.rmtree(folder)
    pyarrow.parquet.write_table(pyarrow.table({"base64": [PICTURE], "id": ["SD_IMG_1"]}), folder)
    assert check(tmp_path)[0] == [
        "SD.parquet: can't be read: no index of text; the ids must be the index, as pandas writes it"
    ]
    pyarrow.parquet.write_table(
        pyarrow.table({"base64": [PICTURE] * 2, "__null_dask_index__": [None, "SD_IMG_1"]}), folder
    )
    assert check(tmp_path)[0] == ["SD.parquet: can't be read: an image has null as its id"]
    pyarrow.parquet.write_table(pyarrow.table({"jpg": [PICTURE], "__null_dask_index__": ["SD_IMG_1"]}), folder)
    assert check(tmp_path)[0][0] == "SD.parquet: can't be read: no column base64"
    assert check(tmp_path, depth=DecodeLevel.NONE)[0] == ["SD_instructions.json: SD_INS_3: unknown image: SD_IMG_2"]
    folder.write_bytes(b"no parquet at all")
    assert check(tmp_path)[0][0].startswith("SD.parquet: can't be read: ")


def damaged(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


JPEG, PNG, WEBP, LARGE = picture("JPEG"), picture("PNG"), picture("WEBP"), picture("JPEG", 200)
LONG_HEAD = LARGE[:2] + b"\xff\xfe\x20\x00" + b"x" * (0x2000 - 2) + LARGE[2:]  # a comment of 8 kB
IMAGES: dict[str, tuple[object, str]] = {  # what is in the store, and what is said
    "jpeg": (JPEG, ""),
    "png": (PNG, ""),
    "webp": (WEBP, ""),
    "letters of URLs": (base64.urlsafe_b64encode(b"GIF89a\xff\xfb\xff" + b"\xff" * 9).decode(), "?"),
    "large jpeg": (LARGE, ""),
    "jpeg with a long head": (LONG_HEAD, ""),
    "half a large jpeg": (LARGE[: len(LARGE) // 2], "image file is truncated"),
    "half a jpeg with a long head": (LONG_HEAD[: len(LONG_HEAD) // 2], "image file is truncated"),
    "half a jpeg": (JPEG[: len(JPEG) // 2], "image file is truncated"),
    "a jpeg without its last bytes": (JPEG[:-2], "image file is truncated"),
    "half a png": (PNG[: len(PNG) // 2], "?"),
    "a png with a wrong bit": (damaged(PNG, len(PNG) // 2), "?"),
    "half a webp": (WEBP[: len(WEBP) // 2], "?"),
    "no image": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image that Pillow can read"),
    "nothing": (b"", "not an image that Pillow can read"),
    "no base64": ("abcde", "not base64: "),
    "a jpeg that says it is huge": (
        JPEG.replace(b"\x00\x40\x00\x40\x03", b"\xff\xff\xff\xff\x03"),
        "Image size (4294836225 pixels) exceeds",
    ),
    "a jpeg without its padding": (base64.b64encode(JPEG[:-3] + b"\x00\xff\xd9" * 2)[:-1].decode(), "not base64: "),
    "no ascii": ("größe", "not base64: "),
    "a number": (3, "expected text"),
    "null": (None, "expected text"),
}


@pytest.mark.parametrize("depth", [DecodeLevel.QUICK, DecodeLevel.FULL])
def test_an_undecodable_image_is_reported_with_its_id(tmp_path: Path, depth: DecodeLevel) -> None:
    stored = {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, (value, _) in IMAGES.items()
    }
    save(tmp_path, {"SD_INS_1": entry(image_ids=list(IMAGES))})
    (tmp_path / "SD.json").write_text(json.dumps(stored), "utf-8")
    found, summary = check(tmp_path, depth=depth)
    bad = [(name, fault.strip("?")) for name, (_, fault) in IMAGES.items() if fault]
    assert summary.problems == {"the image can't be decoded": len(bad)}
    for line, (name, fault) in zip(found, bad, strict=True):
        assert line.startswith(f"SD.json: {name}: the image can't be decoded: {fault}")


def test_decoding_a_jpeg_at_low_resolution_finds_the_faults_of_a_full_decode() -> None:
    random, whole = Random(1), picture("JPEG", 200)

    def damage(kind: int) -> bytes:
        at = random.randrange(len(whole) // 8, len(whole) - 2)
        return whole[:at] + (b"", random.randbytes(200) + whole[at + 200 :], whole[at + 50 :])[kind]

    def found(data: bytes) -> bool:
        try:
            Image.open(io.BytesIO(data)).load()
        except OSError:
            return True
        return False

    images = [damage(number % 3) for number in range(150)]
    reported = [bool(fault) for _, fault in check_images((("", image) for image in images), DecodeLevel.FULL)]
    assert reported == [found(image) for image in images]
    assert 50 <= sum(reported) < 150  # what is cut off is always found


def test_a_decompression_bomb_is_not_decoded(tmp_path: Path) -> None:
    bomb = bytearray(picture("PNG", 1))
    bomb[16:24] = (20_000).to_bytes(4, "big") * 2  # says that it is 20,000 x 20,000
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    save(tmp_path, GOOD)
    (tmp_path / "SD.json").write_text(json.dumps({"SD_IMG_1": base64.b64encode(bomb).decode()}), "utf-8")
    (line,) = check(tmp_path)[0]
    assert "the image can't be decoded: Image size (400000000 pixels) exceeds limit" in line


def test_findings_about_images_are_in_the_order_of_the_store(tmp_path: Path) -> None:
    names = [f"SD_IMG_{number}" for number in range(300)]
    good, bad = base64.b64encode(picture("JPEG", 100)).decode(), base64.b64encode(b"x" * 5_000).decode()
    save(tmp_path, {"SD_INS_1": entry(image_ids=names)})
    frame = pandas.DataFrame({"base64": [bad if n % 50 == 7 else good for n in range(300)]}, index=names)
    frame.to_parquet(tmp_path / "SD.parquet", engine="pyarrow")
    found, summary = check(tmp_path, depth=DecodeLevel.FULL)
    assert [line.split(": ")[1] for line in found] == [f"SD_IMG_{n}" for n in range(7, 300, 50)]
    assert summary.images == 300


def test_an_image_in_two_stores_of_a_group_is_reported(tmp_path: Path) -> None:
    save(tmp_path, GOOD)
    one, other = store(tmp_path, "SD_IMG_1"), tmp_path / "more.json"
    other.write_text(json.dumps({"SD_IMG_1": PICTURE}), "utf-8")
    assert check(tmp_path, images=(other, one))[0] == ["SD.parquet: SD_IMG_1: duplicate image id"]


def test_a_train_file_may_only_name_known_pairs(tmp_path: Path) -> None:
    save(tmp_path, GOOD)
    train = tmp_path / "SD_train.json"
    train.write_text('{"SD_INS_1": ["SD_INS_8"], "SD_INS_9": [], "SD_INS_2": "SD_INS_1", "SD_INS_2": []}', "utf-8")
    assert check(tmp_path)[0] == [
        "SD_train.json: SD_INS_2: the context must be a list of text: this is text",
        "SD_train.json: SD_INS_2: duplicate id",
        "SD_train.json: SD_INS_1: unknown context: SD_INS_8",
        "SD_train.json: SD_INS_9: unknown pair",
    ]


def test_a_card_with_another_count_is_reported(tmp_path: Path) -> None:
    save(tmp_path, GOOD)
    card = tmp_path / "README.md"
    card.write_text("---\npairs: 3\n---\n# SD\n", "utf-8")
    assert check(tmp_path)[0] == ["README.md: the card states another count: 3, the file has 2 pairs"]
    save(tmp_path, {}, "SD_instructions_zh.json")
    assert [line for line in check(tmp_path)[0] if "card" in line] != []  # a translation is no dataset of its own
    (tmp_path / "SD_instructions_zh.json").unlink()
    other = save(tmp_path, {"DC_INS_1": entry()}, "DC_instructions.json")
    assert check(tmp_path)[0] == []  # the card of both
    other.unlink()
    for other_card in (
        "---\npairs: 2\n---\n",
        "---\nlicense: mit\n---\n",
        "# No front matter, pairs: 3\n",
        "---\n: [\n---\n",
    ):
        card.write_text(other_card, "utf-8")
        assert check(tmp_path)[0] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"SD_INS_1": {"instruction": "What', "record 1 (line 1): the file ends within this record"),
        ("[]", '"data" must be an object'),
        ('{}, "data": {}', '"data" comes twice'),
    ],
)
def test_a_broken_file_is_a_finding_and_the_others_are_checked(tmp_path: Path, text: str, problem: str) -> None:
    save(tmp_path, text, "AA_instructions.json")
    save(tmp_path, {"SD_INS_1": entry(answer="")})
    found, _ = check(tmp_path)
    assert found[0].startswith("AA_instructions.json: can't be read: ")
    assert problem in found[0]
    assert "SD_instructions.json: SD_INS_1: the answer is empty" in found


def test_a_broken_file_is_one_finding_without_findings_about_its_lost_part(tmp_path: Path) -> None:
    """Half of a download is one fault, not one for each pair that its other half would have been."""
    one = json.dumps(entry(rel_ins_ids=["SD_INS_9"]))
    save(tmp_path, f'{{"SD_INS_1": {one}, "SD_INS_2": {{"instr')
    (tmp_path / "README.md").write_text("---\npairs: 9\n---\n", "utf-8")
    (tmp_path / "SD_train.json").write_text('{"SD_INS_1": ["SD_INS_9"]}', "utf-8")
    store(tmp_path, "SD_IMG_1", "SD_IMG_2")
    (line,) = check(tmp_path)[0]
    assert line.startswith("SD_instructions.json: can't be read: record 2 ")
    save(tmp_path, "[]")
    (line,) = check(tmp_path)[0]
    assert line.startswith("SD_instructions.json: can't be read: ")
    save(tmp_path, {**GOOD, "SD_INS_3": entry(image_ids=["SD_IMG_7"], rel_ins_ids=["SD_INS_9"])})
    (tmp_path / "SD_train.json").unlink()
    (tmp_path / "README.md").unlink()
    (tmp_path / "SD.parquet").write_bytes(b"PAR1")
    found = check(tmp_path)[0]
    assert found[0] == "SD_instructions.json: SD_INS_3: unknown context: SD_INS_9"
    assert found[1].startswith("SD.parquet: can't be read: ")
    assert len(found) == 2


def test_without_data_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "SD_instructions.json").write_text('{"meta": 1234567890}', "utf-8")
    found, _ = check(tmp_path)
    assert 'no "data" in the object at the top of the file' in found[0]
    with pytest.raises(InputError, match="holds no XX_instructions"):
        find_groups([tmp_path / ".."])
    with pytest.raises(InputError, match="no such file or folder"):
        find_groups([tmp_path / "nowhere"])
    (tmp_path / "llava").mkdir()
    (tmp_path / "llava" / "SD_llava.json").write_text("[]", "utf-8")
    with pytest.raises(InputError, match="An export for a trainer is checked by its source"):
        find_groups([tmp_path / "llava"])
    (tmp_path / "SD_instructions.json").rename(tmp_path / "run.sqlite")
    with pytest.raises(InputError, match=re.escape("is a run that has no XX_instructions.json yet")):
        find_groups([tmp_path])


@pytest.mark.parametrize("length", [1, 2, 3, 50])
def test_items_are_read_across_the_borders_of_windows(tmp_path: Path, length: int) -> None:
    data = {f"k{n}": {"n": n, "text": "é\\\n" * length} for n in range(9_000)}
    path = tmp_path / "x.json"
    numbers = list(range(40_000))
    path.write_text(json.dumps({"a": numbers, "n": 12345678901234567890, "data": data, "z": numbers}), "utf-8")
    assert dict(read_nested_items(path, "data")) == data


# Data yamls.


def data_yaml(folder: Path, groups: object) -> Path:
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump(groups, sort_keys=False), "utf-8")
    return path


def test_ids_are_compared_within_a_group_and_not_between_groups(tmp_path: Path) -> None:
    one, two = save(tmp_path, GOOD), save(tmp_path, GOOD, "XX_instructions.json")
    images = {"images_path": str(store(tmp_path, "SD_IMG_1"))}
    first, second = {"mimicit_path": str(one), **images}, {"mimicit_path": str(two), **images}
    assert check(data_yaml(tmp_path, {"IMAGE_TEXT": {"A": first}, "VIDEO_TEXT": {"B": second}}))[0] == []
    found, summary = check(data_yaml(tmp_path, {"IMAGE_TEXT": {"A": first, "B": second}}))
    assert found == [f"XX_instructions.json: SD_INS_{n}: duplicate id" for n in (1, 2)]
    assert summary.images == 1


def test_pairs_of_a_group_need_images_and_the_same_number_of_them(tmp_path: Path) -> None:
    several = entry(image_ids=["SD_IMG_1", "SD_IMG_2"])
    path = save(tmp_path, {"SD_INS_1": entry(), "SD_INS_2": several, "SD_INS_3": entry(image_ids=[])})
    settings = {"mimicit_path": str(path), "images_path": str(store(tmp_path, "SD_IMG_1", "SD_IMG_2"))}
    assert check(data_yaml(tmp_path, {"IMAGE_TEXT": {"SD": settings}}))[0] == [
        "SD_instructions.json: SD_INS_3: no images",
        "data.yaml: IMAGE_TEXT: pairs differ in their number of images: from 0 to 2; the loader stacks a batch",
    ]
    found, _ = check(data_yaml(tmp_path, {"VIDEO_TEXT": {"SD": settings}}))
    assert found == ["SD_instructions.json: SD_INS_3: no images"]
    other = store(tmp_path, "SD_IMG_1", "SD_IMG_2").rename(tmp_path / "other.parquet")
    del settings["images_path"]
    found, summary = check(data_yaml(tmp_path, {"VIDEO_TEXT": {"SD": settings}}), images=(other,))
    assert found[0] == "data.yaml: VIDEO_TEXT.SD: missing setting: images_path"
    assert summary.images == 2
    save(tmp_path, {"SD_INS_1": {key: value for key, value in entry().items() if key != "image_ids"}})
    assert check(data_yaml(tmp_path, {"TEXT_ONLY": {"SD": settings}}))[0] == []


YAMLS: dict[str, tuple[object, str]] = {
    "unknown group": ({"IMAGES": {}}, "IMAGES: unknown group: must be one of IMAGE_TEXT, "),
    "empty group": ({"TEXT_ONLY": None}, "TEXT_ONLY: empty group"),
    "no dataset": ({"TEXT_ONLY": {"A": None}}, "TEXT_ONLY.A: not a dataset: expected an object, found null"),
    "no path": ({"TEXT_ONLY": {"A": {}}}, "TEXT_ONLY.A: missing setting: mimicit_path"),
    "no images": (
        {"IMAGE_TEXT": {"A": {"mimicit_path": "SD"}}},
        "IMAGE_TEXT.A: missing setting: images_path",
    ),
    "a path that no disk can hold": (
        {"TEXT_ONLY": {"A": {"mimicit_path": "a" * 300}}},
        f"TEXT_ONLY.A: no such file: mimicit_path '{'a' * 300}'",
    ),
    "no file": ({"TEXT_ONLY": {"A": {"mimicit_path": "gone"}}}, "TEXT_ONLY.A: no such file: mimicit_path 'gone'"),
    "empty path": (
        {"TEXT_ONLY": {"A": {"mimicit_path": "SD", "train_config_path": ""}}},
        "TEXT_ONLY.A: no such file: train_config_path ''",
    ),
    "pairs in a folder": (
        {"TEXT_ONLY": {"A": {"mimicit_path": "."}}},
        "TEXT_ONLY.A: no such file: mimicit_path '.' is a folder",
    ),
    "train file in a folder": (
        {"TEXT_ONLY": {"A": {"mimicit_path": "SD", "train_config_path": "."}}},
        "TEXT_ONLY.A: no such file: train_config_path '.' is a folder",
    ),
    "images of JSON": (
        {"IMAGE_TEXT": {"A": {"mimicit_path": "SD", "images_path": "SD"}}},
        "IMAGE_TEXT.A: images_path is not a Parquet file: the loader opens nothing else: ",
    ),
    "samples": (
        {"TEXT_ONLY": {"A": {"mimicit_path": "SD", "num_samples": "5"}}},
        "TEXT_ONLY.A: num_samples is not a number of samples: '5'",
    ),
    "description": (
        {"TEXT_ONLY": {"A": {"mimicit_path": "SD", "task_description": "Look."}}},
        "TEXT_ONLY.A: task_description is not a list of texts: ",
    ),
    "a slip": ({"TEXT_ONLY": {"A": {"mimicit_path": "SD", "samples": 5}}}, "TEXT_ONLY.A: unknown setting: samples"),
}


@pytest.mark.parametrize(("groups", "problem"), YAMLS.values(), ids=YAMLS)
def test_what_would_stop_the_loader_in_a_data_yaml_is_reported(tmp_path: Path, groups: Any, problem: str) -> None:
    path = str(save(tmp_path, {"SD_INS_1": entry()}))
    text = json.dumps(groups).replace('"SD"', json.dumps(path))
    found, _ = check(data_yaml(tmp_path, json.loads(text)))
    assert found[0].startswith(f"data.yaml: {problem}")


def test_a_malformed_data_yaml_is_refused_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    for text, message in (("[1]", "expected groups at the top level"), ("a: [", "data.yaml:1")):
        path.write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=re.escape(message)):
            find_groups([path])


def test_a_mixture_is_drawn_from_by_its_samples(tmp_path: Path) -> None:
    pairs, images = save(tmp_path, GOOD), store(tmp_path, "SD_IMG_1")
    train = tmp_path / "SD_train.json"
    train.write_text('{"SD_INS_1": ["SD_INS_2"]}', "utf-8")
    out = tmp_path / "data.yaml"
    made = mix(
        out,
        [f"A=IMAGE_TEXT:{pairs},images={images},num_samples=6", f"B=TEXT_ONLY:{pairs},train={train}",
         f"C=VIDEO_TEXT:{pairs},images={images},num_samples=1"],
        lambda finding: pytest.fail(str(finding)),
    )  # fmt: skip
    assert [(share.name, share.pairs, share.samples, share.ratio) for share in made.shares] == [
        ("A", 2, 6, 6 / 8),
        ("B", 1, 1, 1 / 8),
        ("C", 2, 1, 1 / 8),
    ]
    assert yaml.safe_load(out.read_text("utf-8")) == {
        "IMAGE_TEXT": {"A": {"mimicit_path": str(pairs), "images_path": str(images), "num_samples": 6}},
        "TEXT_ONLY": {"B": {"mimicit_path": str(pairs), "train_config_path": str(train)}},
        "VIDEO_TEXT": {"C": {"mimicit_path": str(pairs), "images_path": str(images), "num_samples": 1}},
    }
    assert check(out)[0] == []


def test_mixing_a_folder_takes_the_files_beside_its_pairs(tmp_path: Path) -> None:
    """The group follows from the images; translations, with the same ids, stay out."""
    out, made = tmp_path / "data.yaml", dict[str, dict[str, object]]()
    for name, images in (("SD", ["SD_IMG_1", "SD_IMG_2"]), ("LA", ["SD_IMG_1"]), ("TE", [])):
        folder = tmp_path / name
        folder.mkdir()
        pairs = {f"{name}_INS_{number}": entry(image_ids=images[:number]) for number in (1, 2)}
        made[name] = {"mimicit_path": str(save(folder, pairs, f"{name}_instructions.json"))}
        save(folder, pairs, f"{name}_instructions_zh.json")
        if name != "TE":
            kept = store(folder, *images)
            made[name]["images_path"] = str(kept.rename(folder / f"{name}.parquet"))
    train = tmp_path / "SD" / "SD_train.json"
    train.write_text('{"SD_INS_1": []}', "utf-8")
    made["SD"] |= {"train_config_path": str(train), "num_samples": 5}
    folders = [f"{tmp_path / 'SD'},num_samples=5", str(tmp_path / "LA"), str(tmp_path / "TE")]
    assert [share[:4] for share in mix(out, folders, print).shares] == [
        ("VIDEO_TEXT", "SD", 1, 5),
        ("IMAGE_TEXT", "LA", 2, 2),
        ("TEXT_ONLY", "TE", 2, 2),
    ]
    assert yaml.safe_load(out.read_text("utf-8")) == {
        "VIDEO_TEXT": {"SD": made["SD"]},
        "IMAGE_TEXT": {"LA": made["LA"]},
        "TEXT_ONLY": {"TE": made["TE"]},
    }
    chinese = tmp_path / "LA" / "LA_instructions_zh.json"
    assert [share[:2] for share in mix(out, [str(chinese)], print).shares] == [("IMAGE_TEXT", "LA_zh")]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("SD", "SD: no such file or folder; the syntax of a dataset is [NAME=GROUP:]"),
        ("A=SD", "the syntax of a dataset is [NAME=GROUP:]"),
        ("gone/", "gone/: no such file or folder"),
        ("data.yaml", "data.yaml: this is a data yaml; name the datasets in it instead"),
        ("A=IMAGES:SD", "unknown group IMAGES"),
        ("A=IMAGE_TEXT:SD", "IMAGE_TEXT needs images=FILE"),
        ("A=TEXT_ONLY:gone.json", "gone.json: no such file"),
        ("A=TEXT_ONLY:.", ": . is a folder; the loader opens only files"),
        ("A=TEXT_ONLY:SD,train=.", ": . is a folder; the loader opens only files"),
        ("A=IMAGE_TEXT:SD,images=.", ": . is a folder; the loader opens only files"),
        ("A=TEXT_ONLY:SD,sample=3", "unknown setting 'sample'"),
        ("A=TEXT_ONLY:SD,num_samples=0", "num_samples must be a whole number above 0"),
        ("A=TEXT_ONLY:SD,train=", "a value is empty: name a file"),
    ],
)
def test_a_malformed_dataset_argument_writes_nothing(tmp_path: Path, dataset: str, message: str) -> None:
    path = save(tmp_path, GOOD)
    with pytest.raises(ConfigError, match=re.escape(message)):
        mix(tmp_path / "data.yaml", [dataset.replace(":SD", f":{path}")], print)
    with pytest.raises(ConfigError, match="has a A already"):
        mix(tmp_path / "data.yaml", [f"A=TEXT_ONLY:{path}"] * 2, print)
    assert not (tmp_path / "data.yaml").exists()


# Numbers.


def test_a_file_is_counted(tmp_path: Path) -> None:
    data = {f"SD_INS_{query}_{n}": entry(image_ids=[f"SD_IMG_{query}"]) for query in (1, 2) for n in range(query + 1)}
    save(tmp_path, data)
    save(tmp_path, {"SD_INS_1_0": entry(instruction="什么?", answer="一辆 red 车。")}, "SD_instructions_zh.json")
    english, chinese = count_files(find_groups([tmp_path])[0])
    assert stats_rows([english, chinese]) == [
        ("SD", "-", "2", "5", "2.5", "1.0", "2.0"),
        ("SD", "zh", "1", "1", "1.0", "2.0", "4.0"),
    ]
    assert english.pairs_per_query == {2: 1, 3: 1}
    assert english.openings == {"what": 5}
    assert len(STATS_HEADER) == len(stats_rows([english])[0])


def test_an_empty_file_is_counted_and_a_bad_pair_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, {})
    (counted,) = count_files(find_groups([path])[0])
    assert (counted.pairs, counted.queries, counted.images, mean(counted.answer_words)) == (0, 0, 0, 0.0)
    write_stats_page(tmp_path / "page.html", [counted], STATS_HEADER, stats_rows([counted]))
    save(tmp_path, {"SD_INS_1": entry(answer=3)})
    with pytest.raises(InputError, match=re.escape(f"{path}: record 1")):
        count_files(find_groups([path])[0])


def test_words_means_and_medians() -> None:
    assert split_words("It's a well-known car, isn\u2019t it?") == [
        "It's",
        "a",
        "well-known",
        "car",
        "isn\u2019t",
        "it",
    ]
    assert split_words("赤い車 3") == ["赤", "い", "車", "3"]
    assert (median(Counter([1, 2, 9])), median(Counter([1, 2])), median(Counter())) == (2, 1, 0)
    assert file_language(Path("a/XX_instructions_zh.json")) == "zh"
    assert file_language(Path("a/XX_instructions.json")) == ""


@pytest.mark.parametrize("values", [[5], [1, 2, 3], list(range(1_000)), [0] * 500 + [10_000], [7, 7, 8]])
def test_bars_are_few_and_count_everything(values: list[int]) -> None:
    bars = histogram(Counter(values))
    assert sum(times for _, times in bars) == len(values)
    assert len(bars) <= 20


def test_the_page_is_complete_in_a_browser(tmp_path: Path) -> None:
    save(tmp_path, {f"SD_INS_{n}": entry(instruction=f"<b>Is</b> it & {n}?") for n in range(30)})
    counted = count_files(find_groups([tmp_path])[0])
    page_file = tmp_path / "page.html"
    write_stats_page(page_file, counted, STATS_HEADER, stats_rows(counted))
    with shown(page_file) as page:
        assert page.locator("svg").count() == 4
        assert page.locator("table tr").count() == 2
        assert "b is" in (page.locator("svg").last.text_content() or "")


# The commands.


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return syphus(folder, *arguments)


def test_the_commands_exit_with_1_for_findings_and_print_json(tmp_path: Path) -> None:
    save(tmp_path, {"SD_INS_1": entry(answer=""), "SD_INS_2": entry()})
    done = command(tmp_path, "verify", ".", "--json")
    counts = {"pairs": 2, "files": ["SD_instructions.json"], "images": None, "decode": "none"}
    wrong = {"file": "SD_instructions.json", "id": "SD_INS_1", "kind": "the answer is empty", "detail": ""}
    all_of_it = {"findings": [wrong], **counts, "problems": {"the answer is empty": 1}}
    assert (done.returncode, json.loads(done.stdout)) == (1, all_of_it)
    done = command(tmp_path, "mix", "A=TEXT_ONLY:SD_instructions.json", "--output", "out.yaml", "--json")
    made = json.loads(done.stdout)
    assert (done.returncode, made["shares"]) == (
        1,
        [{"group": "TEXT_ONLY", "name": "A", "pairs": 2, "samples": 2, "ratio": 1.0}],
    )
    assert [finding["kind"] for finding in made["findings"]] == list(made["problems"]) == ["the answer is empty"]
    save(tmp_path, {"SD_INS_1": entry(), "SD_INS_2": entry()})
    done = command(tmp_path, "verify", ".", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"findings": [], **counts, "problems": {}})
    done = command(tmp_path, "stats", ".", "--json")
    assert (done.returncode, json.loads(done.stdout)[0]["instructions"]) == (0, 2)


def test_an_unreadable_input_is_refused_with_one_line(tmp_path: Path) -> None:
    for arguments in (("verify", "gone"), ("stats", "gone"), ("mix", "gone", "--output", "out.yaml"), ("stats", ".")):
        done = command(tmp_path, *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
