"""Each shipped dataset: from made-up media in the true layout to a store with the very ids that its pairs name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from media import every, skipped, write_json, write_still, write_video

from syphus.errors import InputError, RunError, StorageError
from syphus.formats.mimicit.images import read_image_ids
from syphus.images.convert import ConversionResult, convert
from syphus.images.convert_options import ConvertOptions
from syphus.io.media import Frames
from syphus.io.records import read_json, read_json_items, read_json_lists, read_jsonl
from syphus.plugins.contract import queries
from syphus.plugins.discovery import find_plugin

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def named(name: str, annotations: Path) -> set[str]:
    """The ids that the pairs of a dataset name."""
    dataset = find_plugin(name).create("", str(annotations))
    return {image for query in queries(dataset, annotations) for image in query.image_ids}


def store_of(folder: Path, name: str, images: Path, **how: Any) -> tuple[list[str], dict[str, str]]:
    """The ids of the store that is made of the images, in its order, and what was skipped."""
    options = ConvertOptions(
        output=str(folder / "store.parquet"), name=name, image_path=str(images), num_threads=1, **how
    )
    done = convert(options, lambda _: None, lambda _: None, lambda *_: None)
    return list(read_image_ids(options.store)), skipped(done.files[1]) if done.skipped else {}


def stills(folder: Path, names: set[str]) -> None:
    """Files of these names, all the same picture."""
    first = write_still(folder / sorted(names)[0])
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(first.read_bytes())


def videos(folder: Path, names: dict[str, float]) -> None:
    """Videos of these names and seconds, a frame every two seconds."""
    for name, seconds in names.items():
        write_video(folder / name, every(0.5, seconds + 2))


def spot_the_difference(folder: Path, annotations: Path) -> None:
    ids = {record["img_id"] for record in read_json(annotations)}
    stills(folder, {f"{i}{end}" for i in ids for end in (".png", "_2.png", "_diff.png")})


def coco(folder: Path, annotations: Path) -> None:
    files = dict(read_json_items(annotations))
    numbers = {number for pair in files["pairs"] for number in pair}
    stills(folder, {f"{number:012}.png" for number in numbers} | {"COCO_train2014_000000000007.png"})


def llava(folder: Path, annotations: Path) -> None:
    stills(folder, {f"{int(record['id']):012}.png" for record in read_json(annotations)})


def dense_captions(folder: Path, annotations: Path) -> None:
    """In containers of all kinds, some a little shorter than the annotations say."""
    endings = (".mp4", ".mkv", ".mov", ".mp4")
    records = list(read_json_items(annotations))
    names = {f"{video}{endings[n % 4]}": record["duration"] - 0.5 for n, (video, record) in enumerate(records)}
    videos(folder / "train", names)


def tv_captions(folder: Path, annotations: Path) -> None:
    """Two files more than three a second."""
    files = set()
    for record in read_jsonl(annotations):
        clip = record["vid_name"]
        show = "bbt" if clip[0] == "s" and clip[1].isdigit() else clip.partition("_")[0]
        files |= {f"{show}_frames/{clip}/{n:05}.png" for n in range(1, int(3 * record["duration"]) + 3)}
    stills(folder, files)


def story_telling(folder: Path, annotations: Path) -> None:
    photos = {record["id"] for _, record in read_json_lists(annotations, "images")}
    told = {s["photo_flickr_id"] for _, each in read_json_lists(annotations, "annotations") for s in each}
    stills(folder, {f"{photo}.png" for photo in photos | told})


def ego4d(folder: Path, annotations: Path) -> None:
    videos(folder, {f"{video}.mp4": 760 for video, _ in read_json_items(annotations, "videos")})


def scene_navigation(folder: Path, annotations: Path) -> None:
    listing = (annotations.parent / "frames.txt").read_text("utf-8").split()
    scan = {"scene0006_01/color/000000.png", "scene0006_00/depth/000000.png"}
    stills(folder, {str(Path(line).with_suffix(".png")) for line in listing} | scan)


def funqa(folder: Path, annotations: Path) -> None:
    frames = Frames(annotations)
    names = {Path(record["visual_input"]).stem for record in read_json(annotations)}
    videos(folder, {f"train_humor/{name}.mp4": len(frames.names(name)) for name in names})


class Source(NamedTuple):
    dataset: str
    annotations: str
    make: Callable[[Path, Path], None]


SOURCES = [
    Source("SpotTheDifference.change", "spot_the_difference.json", spot_the_difference),
    Source("CocoSpotTheDifference.change", "coco_pairs.json", coco),
    Source("LlavaDetail.llava", "llava_detail.json", llava),
    Source("DenseCaptions.video", "dense_captions.json", dense_captions),
    Source("TVCaptions.video", "tv_captions.jsonl", tv_captions),
    Source("VisualStoryTelling.video", "visual_story_telling.json", story_telling),
    Source("EGO4D.fpv", "ego4d.json", ego4d),
    Source("EGO4D.fpv", "ego4d_narrations.json", ego4d),
    Source("SceneNavigation.3d", "scene_navigation/scan_info.json", scene_navigation),
    Source("FunQA_mcqa.funqa", "funqa/funqa.json", funqa),
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: f"{source.dataset} {source.annotations}")
def test_the_store_has_the_ids_that_the_pairs_name_and_no_other(tmp_path: Path, source: Source) -> None:
    annotations = EXAMPLES / source.annotations
    source.make(tmp_path / "media", annotations)
    wanted = named(source.dataset, annotations)
    assert len(wanted) > 2
    found, bad = store_of(tmp_path, source.dataset, tmp_path / "media", query_inputs_path=str(annotations))
    assert bad == {}
    assert (set(found), len(found)) == (wanted, len(wanted))


def whole(tmp_path: Path, name: str, make: Callable[[Path], None], **how: Any) -> list[str]:
    """The ids where no annotations are named."""
    make(tmp_path / "media")
    found, bad = store_of(tmp_path, name, tmp_path / "media", **how)
    assert bad == {}
    return found


def test_ids_are_those_of_the_original(tmp_path: Path) -> None:
    def ids(kind: str, name: str, *files: str) -> list[str]:
        return whole(tmp_path / kind, name, lambda folder: stills(folder, set(files)))

    assert ids("SD", "SpotTheDifference.change", "76.png", "76_2.png", "76_diff.jpg", "x.jpg") == [
        "SD_IMG_00076_1",
        "SD_IMG_00076_2",
    ]
    assert ids("CGD", "CocoSpotTheDifference.change", "000000328270.jpg") == ["CGD_IMG_000000328270"]
    assert ids("LA", "LlavaReasoning.llava", "COCO_train2014_000000377944.jpg") == ["LA_IMG_000000377944"]
    assert ids("SN", "SceneNavigation.3d", "scene0000_00/color/000000.jpg", "scene0000_00/color/000100.jpg") == [
        "SN_IMG_scene0000_00_color_000000",
        "SN_IMG_scene0000_00_color_000100",
    ]
    clip = "bbt_frames/s01e01_seg01_clip_00"
    assert ids("TVC", "TVCaptions.video", *(f"{clip}/{n:05}.jpg" for n in range(1, 184)))[:2] == [
        "TVC_IMG_bbt_s01e01_seg01_clip_00_00006",
        "TVC_IMG_bbt_s01e01_seg01_clip_00_00017",
    ]


def test_every_second_of_a_video_is_taken(tmp_path: Path) -> None:
    found = whole(tmp_path, "DenseCaptions.video", lambda folder: videos(folder, {"v_abc123.mp4": 3}))
    assert found == [f"DC_IMG_v_abc123_{second:04}" for second in range(len(found))]
    assert len(found) in (3, 4, 5)
    assert (
        whole(tmp_path / "E", "EGO4D.fpv", lambda folder: videos(folder, {"uid.mp4": 1}))[0] == "E4D_IMG_uid_00000000"
    )


def test_llava_takes_the_images_that_a_file_names(tmp_path: Path) -> None:
    """As the original's converter does: a JSON whose keys are the numbers, or LLaVA-Instruct itself."""
    stills(tmp_path / "train2017", {"000000000123.jpg", "000000000124.jpg"})
    keys = write_json(tmp_path / "keys.json", {"123": "", "000000000125": ""})
    roots = (tmp_path / "train2017",)
    found, bad = store_of(tmp_path, "LlavaDetail.llava", keys, image_root=roots)
    assert (found, bad) == (["LA_IMG_000000000123"], {"LA_IMG_000000000125": "missing"})
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A bird."}]
    record = {"id": "000000000124", "image": "000000000124.jpg", "conversations": turns}
    instruct = write_json(tmp_path / "instruct.json", [record, record])
    found, bad = store_of(tmp_path / "2", "LlavaDetail.llava", instruct, image_root=roots)
    assert (found, bad) == (["LA_IMG_000000000124"], {})


def test_annotations_that_lead_elsewhere_are_not_followed(tmp_path: Path) -> None:
    """A record of VIST names a photo outside of the folder."""
    write_still(tmp_path / "secret.jpg")
    stills(tmp_path / "photos", {"1.jpg"})
    listing = {"images": [{"id": "1", "album_id": "1"}, {"id": "../secret", "album_id": "1"}], "albums": []}
    path = write_json(tmp_path / "vist.json", {**listing, "annotations": []})
    with pytest.raises(Exception, match=r'"id" must be the number of a photo, this is \'\.\./secret\''):
        store_of(tmp_path, "VisualStoryTelling.video", path, image_root=(tmp_path / "photos",))


PLUGIN = """
from syphus import AbstractDataset, Frame, Still


class Elsewhere(AbstractDataset):
    def _load_query_inputs(self, path):
        return []

    def _load_images(self, path):
        for number, place in enumerate({places!r}):
            yield Frame(f"E_{{number}}", place, 0) if place.endswith(".mp4") else Still(f"E_{{number}}", place)
"""


def test_paths_out_of_the_roots_are_refused_whatever_a_plugin_says(tmp_path: Path) -> None:
    write_still(tmp_path / "photos" / "good.jpg")
    write_still(tmp_path / "secret.jpg")
    write_video(tmp_path / "secret.mp4", every(1, 2))
    places = [
        "good.jpg",
        "../secret.jpg",
        str(tmp_path / "secret.jpg"),
        "../secret.mp4",
        "/etc/passwd",
        "http://x/y.mp4",
    ]
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "elsewhere.py").write_text(PLUGIN.format(places=places), "utf-8")
    plugins = (tmp_path / "plugins",)
    found, bad = store_of(tmp_path, "Elsewhere.elsewhere", tmp_path / "photos", datasets_dir=plugins)
    assert found == ["E_0"]
    out = "outside the folder of the images"
    assert bad == {"E_1": out, "E_2": out, "E_3": out, "E_4": out, "E_5": "missing"}


@pytest.fixture(scope="module")
def annotated() -> dict[str, float]:
    return {video: record["duration"] for video, record in read_json_items(EXAMPLES / "dense_captions.json")}


def test_a_video_that_is_much_shorter_than_its_annotation_is_reported_second_by_second(
    tmp_path: Path, annotated: dict[str, float]
) -> None:
    annotations = EXAMPLES / "dense_captions.json"
    first, seconds = next(iter(annotated.items()))
    videos(tmp_path / "media", {f"{first}.mp4": 10})
    found, bad = store_of(tmp_path, "DenseCaptions.video", tmp_path / "media", query_inputs_path=str(annotations))
    assert len(found) + len(bad) == sum(math.ceil(each) for each in annotated.values())
    assert bad[f"DC_IMG_{first}_{math.ceil(seconds) - 1:04}"].startswith("the video ends at ")
    assert {reason for name, reason in bad.items() if first not in name} == {"no file for it"}
    assert json.dumps(sorted(found)) == json.dumps(found)


@pytest.mark.parametrize("bad", ['{"id": "a/b"}', '{"id": NaN}', "7", '{"no": 1}', '{"id": "\\ud800"}'])
@pytest.mark.parametrize("of", ["images", "annotations"])
def test_a_bad_record_stops_convert_unless_bad_rows_are_allowed(tmp_path: Path, of: str, bad: str) -> None:
    image = '{"id": "7", "album_id": "4", "url_m": "http://a.example/7.jpg"}'
    story = (
        '[{"story_id": "1", "photo_flickr_id": "7", "original_text": "A cat.", "worker_arranged_photo_order": 0, %s}]'
    )
    story %= '"album_id": "4", "text": "a cat"'
    albums = '{"id": "4", "title": "", "description": ""}'
    records = {"images": [image], "albums": [albums], "annotations": [story]}
    records[of].append(bad)
    lists = ", ".join(f'"{key}": [{", ".join(values)}]' for key, values in records.items())
    (tmp_path / "vist.json").write_text(f"{{{lists}}}", "utf-8")
    (tmp_path / "photos").mkdir()
    write_still(tmp_path / "photos" / "7.jpg")

    def run(allow: bool) -> ConversionResult:
        options = ConvertOptions(
            output=str(tmp_path / "VST.parquet"), name="VisualStoryTelling.video", num_threads=1,
            image_path=str(tmp_path / "vist.json"), image_root=(tmp_path / "photos",), allow_bad_rows=allow,
            query_inputs_path=str(tmp_path / "vist.json"),
        )  # fmt: skip
        return convert(options, lambda _: None, lambda _: None, lambda *_: None)

    with pytest.raises(InputError, match=r"record 2 .*add --allow-bad-rows$"):
        run(allow=False)
    done = run(allow=True)
    assert (done.images, list(done.reasons)) == (1, ["bad row"])


@pytest.mark.parametrize("start", [b"%PDF-1.7 ", b"%!PS-Adobe-3.0 EPSF-3.0", b"\xc5\xd0\xd3\xc6 ", b"8BPS\0\1"])
def test_a_document_among_the_photos_is_listed_with_its_reason(tmp_path: Path, start: bytes) -> None:
    write_still(tmp_path / "photos" / "1.jpg")
    (tmp_path / "photos" / "2.any").write_bytes(start + b"x" * 100)
    (tmp_path / "photos" / "notes.txt").write_text("a note", "utf-8")
    options = ConvertOptions(
        output=str(tmp_path / "VST.parquet"), name="VisualStoryTelling.video", num_threads=1,
        image_path=str(tmp_path / "photos"),
    )  # fmt: skip
    done = convert(options, lambda _: None, lambda _: None, lambda *_: None)
    assert done.images == 1
    (reason,) = skipped(done.files[1]).values()
    assert reason.startswith(("not an image but ", "Photoshop is not read"))


def test_an_output_below_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    write_still(tmp_path / "photos" / "1.jpg")
    (tmp_path / "file").write_text("x", "utf-8")
    for output in ("file", "file/x.parquet", "file/store"):
        options = ConvertOptions(
            output=str(tmp_path / output), name="VisualStoryTelling.video", image_path=str(tmp_path / "photos")
        )
        with pytest.raises((RunError, StorageError)):
            convert(options, lambda _: None, lambda _: None, lambda *_: None)
