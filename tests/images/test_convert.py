"""From files to an image store and back: as a command, killed and resumed, with all that can be bad in a folder."""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import json
import os
import random
import re
import resource
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import pandas
import pyarrow.parquet
import pytest
from harness import HERE
from media import every, number_of, numbered, skipped, write_json, write_still, write_video
from PIL import Image
from processes import MAIN, environment, finish, syphus

from syphus.declarations import Video
from syphus.errors import ConfigError, InputError, PluginError, RunError, StorageError
from syphus.images.conversion_units import ConversionUnit, SourceSummary, summarize_units
from syphus.images.convert import ConversionProgress, ConversionProgressFormatter, ConversionResult, settings_digest
from syphus.images.convert import convert as convert_as
from syphus.images.convert_options import ConvertOptions
from syphus.images.store import open_store
from syphus.progress import make_observer

Form = Literal["NFC", "NFD", "NFKC"]
hub = importlib.import_module("datasets")  # mypy takes the name for the folder of plugins

PLUGIN = '''
from syphus import AbstractDataset, Frame, Still, image_files, read_json, video_files


class Kitchens(AbstractDataset):
    """Photos of kitchens."""

    short_name = "KI"

    def _load_query_inputs(self, path):
        yield {"id": 1, "sentences": "two photos", "image_ids": ["KI_IMG_a1", "KI_IMG_a10", "KI_IMG_lost"]}

    def _load_images(self, path):
        for file in image_files(path):
            yield Still(f"KI_IMG_{file.stem}", file)


class Clips(Kitchens):
    """Frames of kitchens, at seconds of their own."""

    def _load_images(self, path):
        for file in video_files(path):
            for second in (2.5, 0, 1):
                yield Frame(f"KI_IMG_{file.stem}_{second}", file, second)


class Rows(Kitchens):
    """Rows of a file."""

    def _load_query_inputs(self, path):
        return read_json(path)


class Wrong(Kitchens):
    """Says nothing that can be meant."""

    def _load_images(self, path):
        yield Still("KI_IMG_1", "a.jpg")
        yield "a.jpg"
'''


SECONDS = '''
from syphus import AbstractDataset, Frame, video_files


class Seconds(AbstractDataset):
    """Every second of a video by a name of its own."""

    def _load_query_inputs(self, path):
        return []

    def _load_images(self, path):
        for file in video_files(path):
            yield from (Frame(f"SE_IMG_{second}", file, second) for second in range(400))
'''


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    folder = tmp_path / "datasets"
    folder.mkdir()
    (folder / "kitchens.py").write_text(PLUGIN, "utf-8")
    return folder


@pytest.fixture
def convert(tmp_path: Path, plugins: Path) -> Callable[..., ConversionResult]:
    """Converts `photos` to `out`, in this process but for the decoding."""

    def work(output: str, name: str = "Kitchens.kitchens", **how: Any) -> ConversionResult:
        source = {} if "from_" in how else {"name": name, "image_path": str(tmp_path / "photos")}
        given = {"num_threads": 1, "datasets_dir": (plugins,), **source, **how}
        options = ConvertOptions(output=str(tmp_path / "out" / output), **given)
        return convert_as(options, lambda _: None, lambda _: None, lambda *_: None)

    (tmp_path / "out").mkdir()
    return work


def photos(folder: Path, count: int) -> None:
    for number in range(count):
        write_still(folder / f"a{number}.jpg", number)


def noise(folder: Path, count: int) -> None:
    """Pictures that stay large whatever is done to them."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        pixels = random.Random(number).randbytes(224 * 224 * 3)
        Image.frombytes("RGB", (224, 224), pixels).save(folder / f"n{number}.png")


def digest(folder: Path) -> str:
    """Of every file in a folder, hidden ones too."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(f.relative_to(folder)).encode() + f.read_bytes() for f in files)).hexdigest()


def command(*flags: str) -> list[str]:
    return ["--name", "Kitchens.kitchens", "--image_path", "photos", "--datasets-dir", "datasets", *flags]


#: Large pictures in parts of a few images each.
PARTS = command("--part_mb", "1", "--num_threads", "1", "--image_format", "png")


def numbers_in(path: Path) -> dict[str, int]:
    frame = pandas.read_parquet(path)
    return {name: number_of(base64.b64decode(text)) for name, text in frame["base64"].items()}


def test_a_folder_becomes_a_file_that_pandas_opens_by_id(
    tmp_path: Path, convert: Callable[..., ConversionResult]
) -> None:
    photos(tmp_path / "photos", 12)
    done = convert("KI.parquet")
    assert (done.images, done.skipped, done.new, done.files) == (12, 0, 12, (tmp_path / "out" / "KI.parquet",))
    frame = pandas.read_parquet(tmp_path / "out" / "KI.parquet")
    assert list(frame.index) == [f"KI_IMG_a{number}" for number in range(12)]  # 9 comes before 10
    assert list(frame.columns) == ["base64"]
    data = base64.b64decode(frame.loc["KI_IMG_a7"]["base64"])
    assert number_of(data) == 7
    assert Image.open(io.BytesIO(data)).size == (224, 224)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["KI.parquet"]


def test_otters_loader_opens_the_file_batch_by_batch(tmp_path: Path, convert: Callable[..., ConversionResult]) -> None:
    """As its newest loader does: batches of a ParquetFile, each to pandas, put together."""
    photos(tmp_path / "photos", 3)
    convert("KI.parquet")
    batches = pyarrow.parquet.ParquetFile(tmp_path / "out" / "KI.parquet").iter_batches(2)
    images = pandas.concat([batch.to_pandas() for batch in batches])
    assert number_of(base64.urlsafe_b64decode(images.loc["KI_IMG_a2"]["base64"])) == 2


def test_every_library_opens_the_layouts(tmp_path: Path, convert: Callable[..., ConversionResult]) -> None:
    import dask.dataframe  # which takes long, and no other test here needs it

    photos(tmp_path / "photos", 40)
    noise(tmp_path / "photos", 20)
    done = convert("KI", part_mb=1, image_format="png")
    assert done.parts > 1
    convert("KI_raw", layout="datasets")
    folder = tmp_path / "out" / "KI"
    names = [f"KI_IMG_a{number}" for number in range(40)] + [f"KI_IMG_n{number}" for number in range(20)]
    assert list(pandas.read_parquet(folder).index) == names
    assert list(dask.dataframe.read_parquet(folder).compute(scheduler="synchronous").index) == names
    assert pyarrow.parquet.read_table(folder).num_rows == 60
    rows = hub.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(rows) == 60
    raw = hub.load_dataset(str(tmp_path / "out" / "KI_raw"), cache_dir=str(tmp_path / "cache"))["train"]
    assert isinstance(raw.features["image"], hub.Image)
    assert (raw[7]["id"], raw[7]["image"].size) == ("KI_IMG_a7", (224, 224))
    with open_store(folder) as store, open_store(tmp_path / "out" / "KI_raw") as other:
        assert [number_of(store[name]) for name in names[:40]] == list(range(40))
        assert len(store) == len(other) == 60


def test_stores_go_over_into_each_other_and_back(tmp_path: Path, convert: Callable[..., ConversionResult]) -> None:
    photos(tmp_path / "photos", 9)
    convert("KI.parquet")
    out = tmp_path / "out"
    convert("KI.json", from_=out / "KI.parquet")
    texts = json.loads((out / "KI.json").read_text("utf-8"))
    assert texts == dict(pandas.read_parquet(out / "KI.parquet")["base64"])
    convert("parts", from_=out / "KI.json")
    convert("raw.parquet", from_=out / "parts", layout="datasets")
    done = convert("again.json", from_=out / "raw.parquet")
    assert done.images == 9
    assert (out / "again.json").read_bytes() == (out / "KI.json").read_bytes()
    assert numbers_in(out / "parts") == numbers_in(out / "KI.parquet")


def test_a_store_made_of_another_does_not_touch_the_list_of_that(
    tmp_path: Path, convert: Callable[..., ConversionResult]
) -> None:
    photos(tmp_path / "photos", 2)
    (tmp_path / "photos" / "empty.jpg").touch()
    listed = convert("KI.parquet").files[1]
    for output in ("KI.json", "KI"):
        assert convert(output, from_=tmp_path / "out" / "KI.parquet").skipped == 0
    assert skipped(listed) == {"KI_IMG_empty": "0 bytes"}
    assert convert("KI.parquet").skipped == 1


def test_the_same_command_again_does_nothing_and_another_one_is_refused(
    tmp_path: Path, convert: Callable[..., ConversionResult]
) -> None:
    photos(tmp_path / "photos", 3)
    convert("KI.parquet")
    convert("KI")
    before = digest(tmp_path / "out")
    assert (convert("KI.parquet").new, convert("KI").new) == (0, 0)
    for name in ("KI.parquet", "KI"):
        with pytest.raises(
            RunError, match=r"already exists, with other settings or from other files\. Use --restart to overwrite it"
        ):
            convert(name, size="99")
    write_still(tmp_path / "photos" / "b.jpg", 99)
    with pytest.raises(RunError, match="already exists, with other settings or from other files"):
        convert("KI.parquet")
    assert digest(tmp_path / "out") == before
    assert convert("KI.parquet", restart=True).new == 4
    assert convert("KI", restart=True).new == 4


def test_a_conversion_that_an_earlier_version_began_is_recognized() -> None:
    """State files and finished stores hold these digests: a renamed option must not change them."""
    units = [
        ConversionUnit(Path("v.mp4"), video=Video("v.mp4", "DC_IMG_v_"), is_video=True),
        ConversionUnit(Path("w.mp4"), {2.5: ["B"]}, is_video=True),
        ConversionUnit(Path("a.jpg"), {0: ["A"]}, urls=("https://a",)),
    ]
    sources = SourceSummary(units=3, videos=2, bytes=0, digest="78d33818562b43855d0b8ea1e2c140ae")
    assert summarize_units(units) == sources
    options = ConvertOptions(name="K.k", output="out/KI.parquet")
    assert settings_digest(options, sources) == "8a5f0a21047a26cbd01a7530473594fa"
    other = ConvertOptions(
        from_=Path("x"), output="out/KI", original=True, keep_aspect=True, layout="datasets", lenient=True
    )
    assert settings_digest(other, sources) == "02926904b4335a8d4c2394f71027cc3f"


def test_what_is_not_ours_is_never_written_over(tmp_path: Path, convert: Callable[..., ConversionResult]) -> None:
    photos(tmp_path / "photos", 1)
    mine = tmp_path / "out" / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work", "utf-8")
    pandas.DataFrame({"a": [1]}).to_parquet(mine / "part-00000.parquet")
    before = digest(tmp_path / "out")
    for restart in (False, True):
        with pytest.raises(
            RunError, match=r"mine already exists, and not all of it was written by convert\. Choose another"
        ):
            convert("mine", restart=restart)
    assert digest(tmp_path / "out") == before


def test_a_folder_of_bad_files_is_listed_and_costs_no_good_one(
    tmp_path: Path, convert: Callable[..., ConversionResult]
) -> None:
    folder, outside = tmp_path / "photos", tmp_path / "secret"
    photos(folder, 2)
    write_still(outside / "key.jpg", 5)
    (folder / "b_text.jpg").write_text("<html>", "utf-8")
    (folder / "c_empty.png").touch()
    (folder / "d_cut.jpg").write_bytes((folder / "a1.jpg").read_bytes()[:400])
    (folder / "e_link.jpg").symlink_to(outside / "key.jpg")
    (folder / "f_links").symlink_to(outside, target_is_directory=True)
    (folder / "g_none.jpg").symlink_to(folder / "none.jpg")
    (folder / "h_circle.jpg").symlink_to(folder / "h_circle.jpg")
    os.mkfifo(folder / "i_pipe.jpg")
    numbered(3).convert("CMYK").save(folder / "j_cmyk.jpg")
    write_still(folder / "x" / "a1.jpg", 77)
    (folder / "x" / "up").symlink_to(folder, target_is_directory=True)
    done = convert("KI.parquet")
    assert numbers_in(tmp_path / "out" / "KI.parquet") == {"KI_IMG_a0": 0, "KI_IMG_a1": 1}
    assert done.files[1] == tmp_path / "out" / "KI.parquet.skipped.jsonl"
    reasons = skipped(done.files[1])
    cut = reasons.pop("KI_IMG_d_cut")
    assert cut.startswith("truncated: ")
    assert reasons == {
        "KI_IMG_b_text": "not an image",
        "KI_IMG_c_empty": "0 bytes",
        "KI_IMG_e_link": "outside the folder of the images",
        "KI_IMG_key": "outside the folder of the images",
        "KI_IMG_g_none": "missing",
        "KI_IMG_h_circle": "broken link or path",
        "KI_IMG_i_pipe": "not a regular file",
        "KI_IMG_j_cmyk": "CMYK",
        "KI_IMG_a1": "duplicate id; the first image is kept",
    }
    assert done.skipped == 10
    taken = convert("more.parquet", image_root=(outside,), lenient=True)
    mended = {"KI_IMG_e_link", "KI_IMG_key", "KI_IMG_j_cmyk"}
    assert set(skipped(taken.files[1])) == set(reasons) - mended | {"KI_IMG_d_cut"}


def test_images_are_known_by_their_bytes_whatever_their_names_say(
    tmp_path: Path, convert: Callable[..., ConversionResult]
) -> None:
    folder = tmp_path / "photos"
    photos(folder, 1)
    picture = (folder / "a0.jpg").read_bytes()
    files = {
        "b.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "c.jxl": b"\xff\x0a", "d.svg": b"<svg/>", "e.heif": b"broken",
        "f.psd": b"8BPS\0\1", "g": picture, "h.jpg_large": picture, "i.heic": picture,
        "a0.cr2": b"II*\0\x10\0\0\0CR\2\0", "a0.jpg~": picture, "a0.jpg.bak": picture, "a0.heic": b"\0\0\0\x18ftypheic",
        "README": b"P1 and P2 are people.", "notes.txt": b"<?xml version='1.0'?><notes/>", "list.json": b"{}",
        "empty": b"",
    }  # fmt: skip
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "link").symlink_to("/etc/passwd")
    done = convert("KI.parquet")
    assert set(numbers_in(tmp_path / "out" / "KI.parquet")) == {f"KI_IMG_{name}" for name in ("a0", "g", "h", "i")}
    assert skipped(done.files[1]) == {
        "KI_IMG_b": "HEIC is not read: convert it to JPEG or PNG first",
        "KI_IMG_c": "JPEG XL is not read: convert it to JPEG or PNG first",
        "KI_IMG_d": "SVG is not read: convert it to JPEG or PNG first",
        "KI_IMG_e": "not an image",
        "KI_IMG_f": "Photoshop is not read: convert it to JPEG or PNG first",
    }


@pytest.mark.parametrize(("of_files", "of_pairs"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFD", "NFD"), ("NFKC", "NFC")])
def test_names_are_compared_in_one_unicode_form(tmp_path: Path, of_files: Form, of_pairs: Form) -> None:
    """And the images get the ids that the pairs name."""
    word = "v_\u00fcber \ud55c\uad6d \u30d7"
    name, wanted = normalize(of_files, word), normalize(of_pairs, word)
    write_video(tmp_path / "videos" / f"{name}.mp4", every(10, 2))
    caption = {"duration": 2.0, "timestamps": [[0, 2]], "sentences": ["A man runs."]}
    write_json(tmp_path / "a.json", {wanted: caption})
    options = ConvertOptions(
        name="DenseCaptions.video", image_path=str(tmp_path / "videos"), query_inputs_path=str(tmp_path / "a.json"),
        output=str(tmp_path / "o.parquet"),
    )  # fmt: skip
    done = convert_as(options, *[lambda *_: None] * 3)
    assert (done.images, done.skipped) == (2, 0)
    assert set(numbers_in(tmp_path / "o.parquet")) == {f"DC_IMG_{wanted}_0000", f"DC_IMG_{wanted}_0001"}
    with open_store(tmp_path / "o.parquet") as store:
        assert f"DC_IMG_{name}_0001" in store


def test_a_file_whose_name_is_not_utf8_is_its_own_entry(
    tmp_path: Path, convert: Callable[..., ConversionResult]
) -> None:
    folder = tmp_path / "photos"
    photos(folder, 2)
    (folder / "a1.jpg").rename(folder / os.fsdecode(b"caf\xe9.jpg"))
    write_still(folder / f"{'n' * 250}.jpg", 3)
    done = convert("KI.parquet")
    assert (done.images, done.skipped) == (2, 1)
    assert skipped(done.files[1]) == {"KI_IMG_caf\udce9": "the name of its file is not UTF-8: rename it"}


def test_too_large_a_share_of_bad_files_stops_the_run_and_a_higher_one_goes_on(
    tmp_path: Path, convert: Callable[..., ConversionResult]
) -> None:
    photos(tmp_path / "photos", 8)
    for name in ("b.jpg", "c.jpg"):
        (tmp_path / "photos" / name).touch()
    with pytest.raises(InputError, match=r"2 of 10 images can't be used, more than --max-bad 0\.1\. .*skipped\.jsonl"):
        convert("KI.parquet", max_bad=0.1)
    assert len(skipped(tmp_path / "out" / "KI.parquet.skipped.jsonl")) == 2
    assert not (tmp_path / "out" / "KI.parquet").exists()
    assert convert("KI.parquet", max_bad=0.2).images == 8
    with pytest.raises(InputError, match=r"1 of 9 images"):
        convert("strict.parquet", max_bad=0)


def test_where_nothing_is_good_there_is_no_store(tmp_path: Path, convert: Callable[..., ConversionResult]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(InputError, match=r"None of the images can be used\. .*KI\.parquet\.skipped\.jsonl says why"):
        convert("KI.parquet")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["KI.parquet.skipped.jsonl"]


def at_work() -> list[int]:
    """The processes that decode for this one."""
    here, found = str(os.getpid()), []
    for each in Path("/proc").iterdir():
        if each.name.isdigit() and (each / "stat").exists():
            parent = (each / "stat").read_text("utf-8").rpartition(")")[2].split()[1]
            found += [int(each.name)] * (parent == here and b"images.worker" in (each / "cmdline").read_bytes())
    return found


def struck(number: signal.Signals, name: str, media: Path, output: Path, plugins: Path) -> ConversionResult:
    """Converts, while the process that decodes gets a signal after the third image."""
    where = {"name": name, "image_path": str(media), "output": output, "datasets_dir": (plugins,)}
    options = ConvertOptions(**where, num_threads=1, timeout=2.0)  # type: ignore[arg-type]  # a dict has one type of value
    hit: list[int] = []

    def tick(progress: ConversionProgress) -> None:
        if progress.images == 3 and not hit:
            hit.extend(at_work())
            for process in hit:
                os.kill(process, number)

    done = convert_as(options, tick, lambda _: None, lambda *_: None)
    assert len(hit) == 1
    return done


ENDS: dict[signal.Signals, str] = {
    signal.SIGSEGV: "the decoder crashed (SIGSEGV)",
    signal.SIGSTOP: "took more than 2 s",
    signal.SIGKILL: "",  # Linux does so where memory is short: that is no fault of the file
}


@pytest.mark.parametrize("output", ["KI.parquet", "KI", "KI.json"])
def test_a_disk_that_fills_up_at_any_file_is_one_line_and_the_same_command_goes_on(
    tmp_path: Path, convert: Callable[..., ConversionResult], output: str
) -> None:
    noise(tmp_path / "photos", 24)
    images = {
        f"KI_IMG_{path.stem}": base64.b64encode(path.read_bytes()).decode() for path in (tmp_path / "photos").iterdir()
    }
    source = tmp_path / "source.json"
    source.write_text(json.dumps({**images, "KI_IMG_torn": ""}), "utf-8")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    told = set()
    for limit in (0, 4_096, 20_000, 70_000, 400_000, 1_000_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            convert(output, from_=source, part_mb=1)
        except StorageError as error:
            told.add(str(error).count("\n"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert told == {0}
    convert(output, from_=source, part_mb=1)
    convert(f"again-{output}", from_=source, part_mb=1)
    first, second = (tmp_path / "out" / name for name in (output, f"again-{output}"))
    assert digest(first) == digest(second) if first.is_dir() else first.read_bytes() == second.read_bytes()
    assert skipped(tmp_path / "out" / f"{output}.skipped.jsonl") == {"KI_IMG_torn": "0 bytes"}


@pytest.mark.parametrize(("number", "told"), ENDS.items(), ids=str)
def test_a_decoder_that_crashes_or_hangs_costs_one_file_and_one_that_is_killed_none(
    tmp_path: Path, plugins: Path, number: signal.Signals, told: str
) -> None:
    photos(tmp_path / "photos", 30)
    done = struck(number, "Kitchens.kitchens", tmp_path / "photos", tmp_path / "KI.parquet", plugins)
    assert done.images + done.skipped == 30
    reasons = [reason for file in done.files[1:] for reason in skipped(file).values()]
    assert reasons in ([], [told])  # it may have been between two


@pytest.mark.parametrize(("number", "told"), ENDS.items(), ids=str)
def test_a_decoder_that_ends_in_the_middle_of_a_video_costs_its_other_frames_or_none(
    tmp_path: Path, plugins: Path, number: signal.Signals, told: str
) -> None:
    write_video(tmp_path / "videos" / "v.mp4", every(1, 400))
    (plugins / "seconds.py").write_text(SECONDS, "utf-8")
    done = struck(number, "Seconds.seconds", tmp_path / "videos", tmp_path / "SE.parquet", plugins)
    listed = {name: reason for file in done.files[1:] for name, reason in skipped(file).items()}
    assert set(listed.values()) == ({told} if told else set())
    taken = numbers_in(tmp_path / "SE.parquet")
    assert taken == {f"SE_IMG_{second}": second for second in range(len(taken))}
    assert sorted([*taken, *listed]) == sorted(f"SE_IMG_{second}" for second in range(400))


def test_frames_of_a_plugin_are_taken_at_its_seconds(tmp_path: Path, convert: Callable[..., ConversionResult]) -> None:
    write_video(tmp_path / "photos" / "v.mp4", every(10, 2.2))
    done = convert("KI.parquet", name="Clips.kitchens")
    assert numbers_in(tmp_path / "out" / "KI.parquet") == {"KI_IMG_v_0": 0, "KI_IMG_v_1": 10, "KI_IMG_v_2.5": 21}
    assert done.skipped == 0


def test_annotations_say_what_is_wanted_and_what_is_missing(
    tmp_path: Path, convert: Callable[..., ConversionResult]
) -> None:
    photos(tmp_path / "photos", 12)
    done = convert("KI.parquet", query_inputs_path=str(tmp_path / "any.json"))
    assert numbers_in(tmp_path / "out" / "KI.parquet") == {"KI_IMG_a1": 1, "KI_IMG_a10": 10}
    assert skipped(done.files[1]) == {"KI_IMG_lost": "no file for it"}


def test_what_can_not_be_meant_is_one_line(tmp_path: Path, convert: Callable[..., ConversionResult]) -> None:
    photos(tmp_path / "photos", 1)
    with pytest.raises(PluginError, match=r"_load_images: Still, Frame or Video is expected, this is str \(Wrong\."):
        convert("KI.parquet", name="Wrong.kitchens")
    with pytest.raises(InputError, match="no such file or folder; name the images with --image-path"):
        convert("KI.parquet", image_path=str(tmp_path / "none"))
    with pytest.raises(InputError, match="no image file in it"):
        convert("KI.parquet", image_path=str(tmp_path / "out"))
    (tmp_path / "none.json").write_text("[]", "utf-8")
    with pytest.raises(InputError, match=r"no images in .*photos that .*none.json names"):
        convert("KI.parquet", name="Rows.kitchens", query_inputs_path=str(tmp_path / "none.json"))
    refused: dict[str, Mapping[str, object]] = {
        "Which images. Add --name and --image-path to convert a dataset, or --from to convert a store": {"name": ""},
        "Where are the images": {"image_path": ""},
        "--part-mb 5000: must be a number from 1 to 1,900": {"part_mb": 5000},
        "--layout x: must be base64 or datasets": {"layout": "x"},
        "--max-bad must be a share from 0 to 1": {"max_bad": 2},
        "--download needs a folder": {"download": True},
    }
    for told, how in refused.items():
        with pytest.raises(ConfigError, match=told):
            convert("KI.parquet", **how)
    assert list((tmp_path / "out").iterdir()) == []


def test_where_nothing_is_done_yet_other_settings_are_no_others(
    tmp_path: Path, convert: Callable[..., ConversionResult]
) -> None:
    photos(tmp_path / "photos", 2)
    (tmp_path / "no.json").write_text("[]", "utf-8")
    with pytest.raises(InputError, match=r'no\.json: byte 0: expected one object of "image id": "base64"'):
        convert("KI.parquet", from_=tmp_path / "no.json")
    assert convert("KI.parquet").images == 2


def test_a_folder_whose_first_part_was_killed_is_free(
    tmp_path: Path, plugins: Path, convert: Callable[..., ConversionResult]
) -> None:
    photos(tmp_path / "photos", 3)
    killed = [
        *_main("SIGKILL", "os.rename", "part-00000", "1"),
        "convert",
        *command("--output", "out/KI", "--num_threads", "1"),
    ]
    assert finish(killed, tmp_path).returncode == -signal.SIGKILL
    left = list((tmp_path / "out" / "KI").iterdir())
    assert [file.name for file in left] == [".part.partial"]
    (tmp_path / "out" / "new").mkdir()
    (tmp_path / "out" / "new" / left[0].name).touch()
    for name, restart in (("KI", False), ("new", True)):
        assert convert(name, size="32", restart=restart).images == 3
        names = sorted(file.name for file in (tmp_path / "out" / name).iterdir())
        assert names == ["_index.sqlite", "part-00000.parquet"]


def test_two_at_once_do_not_get_into_each_others_way(tmp_path: Path, convert: Callable[..., ConversionResult]) -> None:
    photos(tmp_path / "photos", 20)
    waiting, go_on = threading.Event(), threading.Event()

    def tick(_: object) -> None:
        waiting.set()
        go_on.wait(30)

    options = ConvertOptions(
        output=str(tmp_path / "out" / "KI.parquet"),
        name="Kitchens.kitchens",
        image_path=str(tmp_path / "photos"),
        datasets_dir=(tmp_path / "datasets",),
        num_threads=1,
    )
    first = threading.Thread(target=convert_as, args=(options, tick, lambda _: None, lambda *_: None))
    first.start()
    assert waiting.wait(30)
    with pytest.raises(RunError, match="Another process is using"):
        convert("KI.parquet")
    go_on.set()
    first.join()
    assert len(numbers_in(tmp_path / "out" / "KI.parquet")) == 20


KILLS = {
    "file": ("KI.parquet", [("open", ".part.partial", 3), ("os.rename", "KI.parquet", 1)]),
    "folder": ("KI", [("os.rename", "part-00002", 1), ("os.rename", "_index.sqlite", 1)]),
}


@pytest.mark.parametrize(("output", "moments"), KILLS.values(), ids=KILLS)
def test_a_killed_run_goes_on_to_the_same_bytes(
    tmp_path: Path, convert: Callable[..., ConversionResult], output: str, moments: list[tuple[str, str, int]]
) -> None:
    """Killed in the middle of a part, between a part and its commit, at the very end."""
    noise(tmp_path / "photos", 18)
    convert(f"whole/{output}", part_mb=1, image_format="png")
    for event, text, times in moments:
        killed = [*_main("SIGKILL", event, text, str(times)), "convert", *PARTS, "--output", f"out/cut/{output}"]
        done = finish(killed, tmp_path)
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert convert(f"cut/{output}", part_mb=1, image_format="png", num_threads=2).images == 18
    assert digest(tmp_path / "out" / "cut") == digest(tmp_path / "out" / "whole")


def _main(*killed_at: str) -> list[str]:
    script = [str(HERE / "processes.py"), *killed_at] if killed_at else [str(MAIN)]
    return [sys.executable, *script]


def test_ctrl_c_leaves_what_is_done_and_says_how_to_go_on(tmp_path: Path, plugins: Path) -> None:
    noise(tmp_path / "photos", 12)
    arguments = ["convert", *PARTS, "--output", "KI"]
    done = finish([*_main("SIGINT", "os.rename", "part-00001", "1"), *arguments, "--restart"], tmp_path)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1].startswith("Stopped. Resume with the same command: ")
    assert done.stderr.splitlines()[-1].endswith(" --output KI")  # without --restart, which would lose what is done
    done = finish([*_main(), *arguments], tmp_path)
    assert done.returncode == 0
    assert re.search(r"^Resuming after \d images\.$", done.stderr, re.MULTILINE)
    assert done.stdout.startswith("12 images in 3 parts, ")


def test_the_command_says_what_it_did(tmp_path: Path, plugins: Path) -> None:
    photos(tmp_path / "photos", 2)
    (tmp_path / "photos" / "b.jpg").touch()
    done = syphus(tmp_path, "convert", *command("--output", "KI.parquet", "--num_threads", "1", "--json"))
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["images"], told["skipped"], told["new"]) == (2, 1, 2)
    assert told["files"] == ["KI.parquet", "KI.parquet.skipped.jsonl"]
    again = syphus(tmp_path, "convert", *command("--output", "KI.parquet"))
    assert again.stdout.splitlines()[1] == "Nothing to do: all images are already converted."
    wrong = syphus(tmp_path, "convert", *command("--output", "x.parquet", "--size", "big"))
    assert (wrong.returncode, wrong.stderr) == (2, "--size big: must be a number of pixels, or two as in 336x224.\n")


def test_a_decoder_that_can_not_start_is_no_fault_of_the_files(tmp_path: Path, plugins: Path) -> None:
    photos(tmp_path / "photos", 2)
    (tmp_path / "broken" / "PIL").mkdir(parents=True)
    (tmp_path / "broken" / "PIL" / "__init__.py").write_text("raise ImportError('libjpeg.so is missing')", "utf-8")
    environ = environment(PYTHONPATH=str(tmp_path / "broken"))
    done = finish(
        [*_main(), "convert", *command("--output", "KI.parquet", "--num_threads", "1")], tmp_path, env=environ
    )
    told = "Images can't be decoded here: the decoder crashed (exit code 1) before it was ready."
    assert (done.returncode, done.stderr) == (2, f"{told} Does `import PIL.Image` work?\n")


def test_the_order_does_not_depend_on_who_is_first(tmp_path: Path, convert: Callable[..., ConversionResult]) -> None:
    """Large and small files in turns, with one process and with three."""
    rng = random.Random(0)
    for number in range(20):
        size = rng.choice([(16, 16), (800, 600)])
        write_still(tmp_path / "photos" / f"a{number}.jpg", number, size)
    convert("one.parquet")
    convert("three.parquet", num_threads=3)
    assert (tmp_path / "out" / "one.parquet").read_bytes() == (tmp_path / "out" / "three.parquet").read_bytes()


def test_progress_has_a_rate_and_an_end_and_is_reported_at_its_time(tmp_path: Path) -> None:
    stream = io.StringIO()
    observer = make_observer(stream)
    now = 5.0
    meter = ConversionProgressFormatter(observer.converting, clock=lambda: now)
    meter.update(ConversionProgress(100, 2, 0.2))
    assert stream.getvalue() == ""  # it is not time yet
    now += 10
    assert meter.line(ConversionProgress(1100, 3, 0.6)) == "1,100 images  3 skipped  60%  100/s  10 s left"
    observer.say("two\x1b[2Jlines")
    assert stream.getvalue() == "two [2Jlines\n"
