"""Layouts of MIMIC-IT, published or described, each made by its rules: what every command makes of it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas
import pyarrow
import pyarrow.parquet
import pytest
import yaml
from PIL import Image
from processes import syphus

from syphus.cli.mimicit import verification_line
from syphus.errors import ConfigError
from syphus.formats.mimicit.discovery import dataset_name, file_language, file_prefix, find_groups, find_stores
from syphus.formats.mimicit.entries import ImageUse, are_frames
from syphus.formats.mimicit.images import DecodeLevel
from syphus.formats.mimicit.mix import mix
from syphus.formats.mimicit.stats import count_files
from syphus.formats.mimicit.verify import VerifySummary, verify
from syphus.images.store import open_store
from syphus.translation.source_pairs import read_file_pairs


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2), "red").save(file, "PNG")
    return file.getvalue()


PNG = _png()
BASE64 = base64.b64encode(PNG).decode()


def frame(ids: Sequence[str]) -> pandas.DataFrame:
    return pandas.DataFrame.from_dict(dict.fromkeys(ids, BASE64), orient="index", columns=["base64"])


def parquet(path: Path, ids: Sequence[str]) -> Path:
    """As the format page writes it: one column, the ids as the index of pandas."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame(ids).to_parquet(path, engine="pyarrow")
    return path


def dask(folder: Path, ids: Sequence[str]) -> Path:
    """As `ddf.to_parquet` leaves it: a folder of parts with an index of its own name."""
    folder.mkdir(parents=True)
    for number, image in enumerate(ids):
        part = frame([image]).rename_axis("__null_dask_index__")
        part.to_parquet(folder / f"part.{number}.parquet", engine="pyarrow")
    return folder


def images_json(path: Path, ids: Sequence[str]) -> int:
    return path.write_text(json.dumps(dict.fromkeys(ids, BASE64)), "utf-8")


def pairs(path: Path, prefix: str, images: Sequence[Any], **changes: Any) -> int:
    """One pair for each of `images`, which is what it has as `image_ids`; None leaves the key out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {}
    for number, ids in enumerate(images):
        named = {} if ids is None else {"image_ids": ids}
        data[f"{prefix}_INS_{number:05}"] = {
            "instruction": f"What is in {number}?", "answer": "A cup.", **named, "rel_ins_ids": [], **changes
        }  # fmt: skip
    return path.write_text(
        json.dumps({"meta": {"version": "0.0.1", "time": "2023-06", "author": "ntu"}, "data": data}), "utf-8"
    )


def table(path: Path, columns: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


DC = [[f"DC_IMG_v_{video}_{second:04}" for second in range(length)] for video, length in (("a", 3), ("b", 5))]
E4D = [[f"E4D_IMG_0a1b-22_{second:08}" for second in range(start, start + 16)] for start in (100, 300)]
SD = [[f"SD_IMG_{pair:05}_1", f"SD_IMG_{pair:05}_2"] for pair in (7, 58)]
CGD = [["CGD_IMG_0000000000069568", "CGD_IMG_000000328270"], ["CGD_IMG_000000001296", "CGD_IMG_000000328270"]]
LA = [["LA_IMG_000000033471"], ["LA_IMG_000000377944"]]
SN = [[f"SN_IMG_scene0000_color_{frame:06}" for frame in range(0, 400, 100)]] * 2
VST = [["VST_IMG_1741642", "VST_IMG_1741640", "VST_IMG_1741625"], ["VST_IMG_55"]]


def flat(images: Sequence[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(image for ids in images for image in ids))


def la_in_context(folder: Path) -> None:
    for name in ("LADD", "LACONV", "LACR_T2T", "LACR_I2I"):
        pairs(folder / f"{name}_instructions.json", name, LA)
    parquet(folder / "LA.parquet", flat(LA))


def format_page(folder: Path) -> None:
    pairs(folder / "azure/json/LA/LADD_instructions.json", "LADD", LA)
    pairs(folder / "azure/json/M3IT/captioning/coco/coco_instructions.json", "COCO", [["COCO_IMG_1"], ["COCO_IMG_2"]])
    parquet(folder / "azure/Parquets/LA.parquet", flat(LA))
    parquet(folder / "azure/Parquets/coco.parquet", ["COCO_IMG_1", "COCO_IMG_2"])


def dense_captions(folder: Path) -> Path:
    pairs(folder / "DC_instructions.json", "DC", DC)
    (folder / "DC_train.json").write_text('{"DC_INS_00000": ["DC_INS_00001"]}', "utf-8")
    return parquet(folder / "DC.parquet", flat(DC))


def hub(folder: Path) -> None:
    for part in range(2):
        table(
            folder / f"CGD_Instructions/train-0000{part}-of-00002.parquet",
            {"id": [f"CGD_INS_{part:06}"], "instruction": ["What differs?"], "answer": ["The hat."],
             "images": [CGD[part]], "related instructions": [[f"CGD_INS_{1 - part:06}"]]},
        )  # fmt: skip
    images = [{"bytes": PNG, "path": f"{image}.png"} for image in flat(CGD)]
    table(folder / "CGD_Images/train-00000-of-00001.parquet", {"id": flat(CGD), "image": images})


def hub_with_images(folder: Path) -> None:
    """The Hub's other configuration: the images are in the table; pairs share them."""
    images = [[{"bytes": PNG, "path": f"{image}.png"} for image in ids] for ids in CGD]
    table(
        folder / "CGD/train-00000-of-00001.parquet",
        {"id": ["CGD_INS_000000", "CGD_INS_000001"], "instruction": ["a?", "b?"], "answer": ["A.", "B."],
         "images": images, "related instructions": [["CGD_INS_000001"], ["CGD_INS_000000"]]},
    )  # fmt: skip


def own_export(folder: Path, query: str) -> None:
    columns = {"id": ["SD_INS_1", "SD_INS_2"], "instruction": ["a?", "b?"], "answer": ["A.", "B."], "image_ids": SD}
    rest = {"rel_ins_ids": [[], []], query: ["00007", "00058"], "model": ["m", "m"], "simulated": [False, False]}
    table(folder / "SD.parquet", columns | rest)
    parquet(folder / "SD_images.parquet", flat(SD))


class Layout(NamedTuple):
    """A layout, where it is used from, and what mix is to make of it: a group and a store for each dataset."""

    make: Callable[[Path], object]
    use: str = ""
    mixed: Mapping[str, tuple[str, str]] | str = MappingProxyType({})  # or what the error says
    images: int | None = None
    pairs: int = 2


LAYOUTS = {
    "dense captions": Layout(dense_captions, "", {"DC": ("VIDEO_TEXT", "DC.parquet")}, 8),
    "one store for LLaVA's four": Layout(
        la_in_context,
        "",
        dict.fromkeys(("LADD", "LACONV", "LACR_T2T", "LACR_I2I"), ("IMAGE_TEXT", "LA.parquet")),
        2,  # in each of the groups, which share them
        8,
    ),
    "the format page's folders": Layout(
        format_page, "azure/json/LA", {"LADD": ("IMAGE_TEXT", "azure/Parquets/LA.parquet")}, 2
    ),
    "the format page's M3IT": Layout(
        format_page,
        "azure/json/M3IT/captioning/coco",
        {"coco": ("IMAGE_TEXT", "azure/Parquets/coco.parquet")},
        2,
    ),
    "DallE3_images": Layout(
        lambda at: (
            pairs(at / "DallE3_instructions.json", "D3", [["D3_IMG_000000"], ["D3_IMG_000001"]]),
            parquet(at / "DallE3_images.parquet", ["D3_IMG_000000", "D3_IMG_000001"]),
        ),
        "",
        {"DallE3": ("IMAGE_TEXT", "DallE3_images.parquet")},
        2,
    ),
    "LIMA": Layout(
        lambda at: pairs(at / "LIMA_instructions_max_1K_tokens.json", "LIMA", [None, None]),
        "",
        {"LIMA": ("TEXT_ONLY", "")},
    ),
    "CGD_frames of issue 329": Layout(
        lambda at: (pairs(at / "CGD_instructions.json", "CGD", CGD), parquet(at / "CGD_frames.parquet", flat(CGD))),
        "",
        {"CGD": ("IMAGE_TEXT", "CGD_frames.parquet")},
        3,
    ),
    "images.json of June 2023": Layout(
        lambda at: (pairs(at / "SD_instructions.json", "SD", SD), images_json(at / "images.json", flat(SD))),
        "",
        "images.json: not a Parquet file. Make a store that it opens: syphus convert --from ",
        4,
    ),
    "dask's folder": Layout(
        lambda at: (pairs(at / "DC_instructions.json", "DC", DC), dask(at / "DC.parquet", flat(DC))),
        "",
        "DC.parquet: a folder. Make a store that it opens: syphus convert --from ",
        8,
    ),
    "JSON beside the Parquet made of it": Layout(
        lambda at: (dense_captions(at), images_json(at / "DC.json", flat(DC))),
        "",
        {"DC": ("VIDEO_TEXT", "DC.parquet")},
        8,
    ),
    "the Hub's": Layout(hub, "CGD_Instructions", "CGD_Images: a folder. Make a store that it opens: ", 3),
    "the Hub's with images": Layout(hub_with_images, "CGD", "Make a store that it opens: syphus convert --from ", 3),
    "Ego4D": Layout(
        lambda at: (pairs(at / "E4D_instructions.json", "E4D", E4D), parquet(at / "E4D.parquet", flat(E4D))),
        "",
        {"E4D": ("VIDEO_TEXT", "E4D.parquet")},
        32,
    ),
    "scenes": Layout(
        lambda at: (pairs(at / "SN_instructions.json", "SN", SN), parquet(at / "SN.parquet", flat(SN))),
        "",
        {"SN": ("VIDEO_TEXT", "SN.parquet")},
        4,
    ),
    "albums": Layout(
        lambda at: (pairs(at / "VST_instructions.json", "VST", VST), parquet(at / "VST.parquet", flat(VST))),
        "",
        {"VST": ("VIDEO_TEXT", "VST.parquet")},
        4,
    ),
    "ids with 00": Layout(
        lambda at: (
            pairs(at / "LACONV_instructions.json", "LACONV_00", [["LA_00_IMG_000000033471"]] * 2),
            parquet(at / "LA.parquet", ["LA_00_IMG_000000033471"]),
        ),
        "",
        {"LACONV": ("IMAGE_TEXT", "LA.parquet")},
        1,
    ),
    "one store for two datasets": Layout(
        lambda at: (
            pairs(at / "SD_instructions.json", "SD", SD),
            parquet(at / "everything.parquet", [*flat(LA), *flat(SD)]),
        ),
        "",
        {"SD": ("IMAGE_TEXT", "everything.parquet")},
        6,
    ),
    "the Parquet export": Layout(
        lambda at: own_export(at, "query_id"), "SD.parquet", {"SD": ("IMAGE_TEXT", "SD_images.parquet")}, 4
    ),
    "the Parquet export of before": Layout(
        lambda at: own_export(at, "query"), "SD.parquet", {"SD": ("IMAGE_TEXT", "SD_images.parquet")}, 4
    ),
    "photos by their numbers": Layout(
        lambda at: (
            pairs(at / "VQA_instructions.json", "VQA", [["000000000123"], ["000000000124"]]),
            parquet(at / "photos.parquet", ["000000000123", "000000000124"]),
        ),
        "",
        {"VQA": ("IMAGE_TEXT", "photos.parquet")},
        2,
    ),
}


def checked(path: Path) -> tuple[list[str], VerifySummary]:
    lines: list[str] = []
    groups, found = find_groups([path])
    return lines, verify(groups, found, lambda finding: lines.append(str(finding)), DecodeLevel.QUICK)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_verified_counted_and_read_for_translation(here: Path, layout: Layout) -> None:
    layout.make(here)
    path = here / layout.use
    found, summary = checked(path)
    assert found == []
    assert sum(part.pairs for part in summary.parts) == layout.pairs
    groups = find_groups([path])[0]
    assert sum(counted.pairs for counted in count_files(groups)) == layout.pairs
    assert {counted.language for counted in count_files(groups)} == {""}
    if layout.images is None:
        assert summary.images is None
    else:
        assert summary.images == layout.images * len(groups)
    for group in groups:
        read = list(read_file_pairs(group.parts[0].instructions, allow_bad=False))
        assert len(read) == layout.pairs // len(groups)
        stores = find_stores(group.parts[0].instructions)[0]
        for store in stores:
            with open_store(store) as opened:
                assert all(image in opened for query in read for image in query.image_ids)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_mixed_by_what_its_images_are(here: Path, layout: Layout) -> None:
    layout.make(here)
    if isinstance(layout.mixed, str):
        with pytest.raises(ConfigError) as caught:
            mix(here / "d.yaml", [str(here / layout.use)], print)
        assert layout.mixed in str(caught.value)
        assert not (here / "d.yaml").exists()
        return
    lines: list[str] = []
    made = mix(here / "d.yaml", [layout.use or "."], lambda finding: lines.append(str(finding)))
    assert lines == []
    assert {share.name: share.group for share in made.shares} == {
        name: group for name, (group, _) in layout.mixed.items()
    }
    written = yaml.safe_load((here / "d.yaml").read_text("utf-8"))
    for name, (group, store) in layout.mixed.items():
        assert written[group][name].get("images_path") == (str(here / store) if store else None)
        assert written[group][name]["mimicit_path"].endswith(".json")


def test_what_convert_makes_of_a_store_that_is_not_opened_is_found_next_time(here: Path) -> None:
    LAYOUTS["images.json of June 2023"].make(here)
    refused = syphus(here, "mix", ".", "--output", "d.yaml")
    assert refused.returncode == 2
    command = refused.stderr.partition("syphus convert ")[2].split()
    assert syphus(here, "convert", *command).returncode == 0
    mixed = syphus(here, "mix", ".", "--output", "d.yaml")
    assert (mixed.returncode, yaml.safe_load((here / "d.yaml").read_text("utf-8")).keys()) == (0, {"IMAGE_TEXT"})
    assert "images.json: not read: " in mixed.stdout
    assert syphus(here, "verify", ".").returncode == 0
    assert syphus(here, "verify", "d.yaml").returncode == 0


def test_images_in_a_table_of_pairs_become_a_store(here: Path) -> None:
    hub_with_images(here)
    refused = syphus(here, "mix", "CGD", "--output", "d.yaml")
    command = refused.stderr.partition("syphus convert ")[2].split()
    made = syphus(here, "convert", *command)
    assert (made.returncode, "3 images" in made.stdout) == (0, True), made.stderr
    done = syphus(here, "mix", "CGD", "--output", "d.yaml")
    assert done.returncode == 0, done.stdout
    assert syphus(here, "verify", "d.yaml").returncode == 0
    assert "d.CGD_instructions.json: written from " in done.stdout


def test_pairs_that_name_images_and_have_none_are_no_text(here: Path) -> None:
    pairs(here / "LADD_instructions.json", "LADD", LA)
    parquet(here / "DC.parquet", flat(DC))  # of something else
    done = syphus(here, "mix", ".", "--output", "d.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "LADD_instructions.json name images such as LA_IMG_000000033471, and there is no image store" in done.stderr
    assert not (here / "d.yaml").exists()
    done = syphus(here, "mix", "LADD=TEXT_ONLY:LADD_instructions.json", "--output", "d.yaml")
    assert done.returncode == 0
    assert "LADD_instructions.json: its pairs name images, which TEXT_ONLY does not load" in done.stdout


def test_images_of_other_datasets_in_a_store_of_all_are_no_fault(here: Path) -> None:
    la_in_context(here)
    pairs(here / "LADD_instructions.json", "LADD", LA[:1])
    assert checked(here / "LADD_instructions.json")[0] == []
    parquet(here / "LADD.parquet", flat(LA))  # its own
    assert [line.rpartition(": ")[2] for line in checked(here / "LADD_instructions.json")[0]] == [LA[1][0]]


def test_a_plain_image_id_is_kept_and_said(here: Path) -> None:
    """Otter's loader of August 2023 took a text; today's takes its letters for ids."""
    pairs(here / "VQA_instructions.json", "VQA", ["VQA_IMG_1", "VQA_IMG_2"])
    parquet(here / "VQA.parquet", ["VQA_IMG_1", "VQA_IMG_2"])
    found, summary = checked(here)
    assert [line.partition(": ")[2] for line in found] == [
        f'VQA_INS_0000{number}: "image_ids" must be a list of text: this is text' for number in range(2)
    ]
    assert summary.images == 2
    read = list(read_file_pairs(here / "VQA_instructions.json", allow_bad=False))
    assert [tuple(query.image_ids) for query in read] == [("VQA_IMG_1",), ("VQA_IMG_2",)]
    assert count_files(find_groups([here])[0])[0].images == 2


def test_texts_without_images_need_no_lists(here: Path) -> None:
    pairs(here / "LIMA_instructions.json", "LIMA", [None, None])
    document = json.loads((here / "LIMA_instructions.json").read_text("utf-8"))
    for entry in document["data"].values():
        del entry["rel_ins_ids"]
    (here / "LIMA_instructions.json").write_text(json.dumps(document), "utf-8")
    found, summary = checked(here)
    assert found == []
    assert summary.notes == (
        f"{here}/LIMA_instructions.json: no pair has rel_ins_ids; the loader must not populate_rel_ins",
    )
    assert verification_line(summary).endswith("0 problems")


def test_media_tokens_in_texts_are_said(here: Path) -> None:
    pairs(here / "VD_instructions.json", "VD", [None], instruction="<video>\nWhat happens?", answer="Use <audio> here.")
    found, summary = checked(here)
    assert found == []
    assert [note.rpartition(": ")[2].partition(",")[0] for note in summary.notes] == [
        "1 text with <video>",
        "1 text with <audio>",
    ]


@pytest.mark.parametrize(
    ("name", "language", "dataset"),
    [
        ("SD_instructions.json", "", "SD"),
        ("SD_instructions_zh.json", "zh", "SD_zh"),
        ("SD_instructions_it.json", "it", "SD_it"),
        ("SD_instructions_pt-BR.json", "pt-BR", "SD_pt-BR"),
        ("SD_instructions_zh_Hant.json", "zh_Hant", "SD_zh_Hant"),
        ("LIMA_instructions_max_1K_tokens.json", "", "LIMA_max_1K_tokens"),
        ("AL_instructions_v2.json", "", "AL_v2"),
        ("E4D_instructions_1.json", "", "E4D_1"),
        ("LA_instructions_train.json", "", "LA_train"),
        ("LA_instructions_half.json", "", "LA_half"),
        ("LA_instructions_hd.json", "", "LA_hd"),
    ],
)  # fmt: skip
def test_only_codes_of_languages_are_languages(name: str, language: str, dataset: str) -> None:
    path = Path("a") / name
    assert (file_language(path), dataset_name(path), file_prefix(path)) == (language, dataset, name.partition("_")[0])


@pytest.mark.parametrize(
    ("images", "group"),
    [
        ([], "TEXT_ONLY"),
        (LA, "IMAGE_TEXT"),
        (SD, "IMAGE_TEXT"),
        (SD[:1], "IMAGE_TEXT"),
        (CGD, "IMAGE_TEXT"),
        (DC, "VIDEO_TEXT"),
        (DC[:1], "VIDEO_TEXT"),
        ([ids[:2] for ids in DC], "VIDEO_TEXT"),
        (E4D, "VIDEO_TEXT"),
        (SN, "VIDEO_TEXT"),
        (VST, "VIDEO_TEXT"),
        ([["a", "b", "c"], ["d", "e", "f"]], "IMAGE_TEXT"),
        ([["a", "b", "c"]] * 3, "VIDEO_TEXT"),
        ([["a"], ["a", "b"]], "VIDEO_TEXT"),
        ([[str(number) for number in range(9)]] * 2, "VIDEO_TEXT"),
    ],
)
def test_the_group_follows_what_the_ids_are(images: Sequence[Sequence[str]], group: str) -> None:
    use = ImageUse()
    for ids in images:
        use.add(ids)
    assert use.group == group


def test_frames_are_reported_from_pictures_by_their_numbers() -> None:
    assert are_frames(["TVC_IMG_bbt_s01e01_seg01_clip_00_00006", "TVC_IMG_bbt_s01e01_seg01_clip_00_00009"])
    assert are_frames(["FUNQA_IMG_H_A_101_1433_1631_0000", "FUNQA_IMG_H_A_101_1433_1631_0001"])
    for ids in (SD[0], CGD[0], VST[0], ["COCO_train2014_000000000001", "COCO_train2014_000000000002"], ["a_1", "a_2"]):
        assert not are_frames(ids)
