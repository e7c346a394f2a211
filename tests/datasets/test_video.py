"""DenseCaptions, TVCaptions and VisualStoryTelling: from their files to queries, and what their rules find."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from harness import Listener

from syphus import Pair
from syphus.answers.cleaning import Context, clean
from syphus.config.options import Options
from syphus.errors import InputError
from syphus.io.text_files import BadRecords
from syphus.main_job import run
from syphus.plugins.contract import AbstractDataset, queries, skip_failing_records
from syphus.plugins.discovery import find_plugin, shipped_folder
from syphus.runs.reader import read_status
from syphus.types import Query

REAL_DATA = os.environ.get("SYPHUS_REAL_DATA")


def create(name: str) -> AbstractDataset:
    return find_plugin(f"{name}.video", installed="none").create()


def write(path: Path, *contents: object) -> Path:
    path.write_text("\n".join(json.dumps(content) for content in contents), encoding="utf-8")
    return path


def read(name: str, folder: Path, *contents: object) -> list[Query]:
    return list(queries(create(name), write(folder / "in.json", *contents)))


def fails(name: str, folder: Path, *contents: object) -> str:
    with pytest.raises(InputError) as caught:
        read(name, folder, *contents)
    return str(caught.value).replace(f"{folder}/", "")


def rejected(name: str, *pairs: Pair) -> list[str]:
    """The rules that reject these pairs, apart from the one that counts them."""
    return [
        rule for rule in clean(pairs, create(name).rules, Context(Query("q", ""))).rejections if "pairs" not in rule
    ]


# Dense captions


def video(duration: float = 55.1, timestamps: object = None, **more: object) -> dict[str, object]:
    times = [[0.28, 19.01], [17.3, 55.1]] if timestamps is None else timestamps
    return {
        "duration": duration,
        "timestamps": times,
        "sentences": ["A girl stands in a room.", " She dances."],
        **more,
    }


def test_a_video_is_asked_about_with_rounded_times(tmp_path: Path) -> None:
    (query,) = read("DenseCaptions", tmp_path, {"v_abc123": video()})
    assert query.id == "v_abc123"
    assert query.text == 'timestamps: [[0, 19], [17, 55]]\nsentences: ["A girl stands in a room.", " She dances."]'
    assert query.image_ids[0] == "DC_IMG_v_abc123_0000"
    assert query.image_ids[-1] == "DC_IMG_v_abc123_0055"
    assert len(query.image_ids) == 56


def test_halves_are_rounded_to_even_and_text_is_escaped(tmp_path: Path) -> None:
    (query,) = read("DenseCaptions", tmp_path, {"v_1": video(9.0, [[0.5, 1.5], [2.5, 9]], sentences=["é", '"'])})
    assert query.text == 'timestamps: [[0, 2], [2, 9]]\nsentences: ["\\u00e9", "\\""]'
    assert len(query.image_ids) == 9


BAD_VIDEOS: dict[str, tuple[object, str]] = {
    "no duration": ({"v_1": {"timestamps": [], "sentences": []}}, 'record 1 (line 1): no "duration"'),
    "no time": ({"v_1": video(0)}, '"duration" must be seconds, from 0 to 86,400; this is 0'),
    "fewer times": ({"v_1": video(), "v_2": video(9, [[0, 1]])}, "in.json: record 2 (line 1): 1 timestamps and 2 sent"),
    "a time alone": ({"v_1": video(9, [[0, 1], [2]])}, '"timestamps" must hold pairs of a start and an end'),
    "times as text": ({"v_1": video(9, [["0", "1"], [1, 2]])}, '"timestamps" must hold pairs of a start and an end'),
    "Spot-the-Diff": ([{"img_id": "1"}], "an object is expected at the top of the file, this is an array"),
}


@pytest.mark.parametrize(("content", "problem"), BAD_VIDEOS.values(), ids=BAD_VIDEOS)
def test_a_bad_video_is_reported_with_its_place(tmp_path: Path, content: object, problem: str) -> None:
    assert problem in fails("DenseCaptions", tmp_path, content)


def test_an_answer_about_a_video_gives_no_times() -> None:
    assert rejected("DenseCaptions", Pair("When?", "At 12 seconds.")) == ["names a time of the video"]
    assert rejected("DenseCaptions", Pair("When?", "After she has danced.")) == []


@pytest.mark.skipif(not REAL_DATA, reason="SYPHUS_REAL_DATA names no folder with the real annotations")
def test_every_real_video_is_asked_about_in_the_right_words(tmp_path: Path) -> None:
    path = Path(REAL_DATA or "", "dense_captions", "val_1.json")
    options = Options(
        name="DenseCaptions.video", query_inputs_path=str(path), offline=True, output_dir=tmp_path, num_threads=64
    )
    finished = run(options, {}, Listener())
    counts = read_status(options.folder).counts
    assert finished.stopped_by is None
    assert sum(counts.states.values()) == counts.total == 4_917
    asked = {query.id: query.text for query in queries(create("DenseCaptions"), path)}
    assert asked == {
        name: "timestamps: "
        + json.dumps([[round(start), round(end)] for start, end in each["timestamps"]])
        + "\nsentences: "
        + json.dumps(each["sentences"])
        for name, each in json.loads(path.read_bytes()).items()
    }


# TV captions


def moment(name: str = "friends_s08e08_seg01_clip_00", clip: object = 12, **more: object) -> dict[str, object]:
    descriptions = [{"desc": "R walks up to P.", "type": "v"}, {"desc": "He waves.", "type": "vt"}]
    return {"vid_name": name, "duration": 61.03, "ts": [5.8, 8.24], "clip_id": clip, "descs": descriptions, **more}


def test_a_moment_is_a_query_though_its_video_repeats(tmp_path: Path) -> None:
    first, second = read("TVCaptions", tmp_path, moment(), moment(clip=13))
    assert (first.id, second.id) == ("friends_s08e08_seg01_clip_00_000012", "friends_s08e08_seg01_clip_00_000013")
    assert first.text == "1. R walks up to P.\n2. He waves."
    assert first.meta == {"ts": [5.8, 8.24]}
    assert first.image_ids == second.image_ids
    assert first.image_ids[:2] == (
        "TVC_IMG_friends_s08e08_seg01_clip_00_00006",
        "TVC_IMG_friends_s08e08_seg01_clip_00_00017",
    )


def test_clips_without_a_series_are_of_the_big_bang_theory(tmp_path: Path) -> None:
    (query,) = read("TVCaptions", tmp_path, moment("s01e01_seg01_clip_00"))
    assert query.id == "bbt_s01e01_seg01_clip_00_000012"
    assert query.image_ids[0] == "TVC_IMG_bbt_s01e01_seg01_clip_00_00006"


@pytest.mark.parametrize(("duration", "count", "first", "last"), [
    (61.03, 17, 6, 182), (10.4, 31, 1, 31), (15.7, 23, 2, 46), (90, 17, 9, 265), (0.1, 1, 1, 1),
])  # fmt: skip
def test_frames_are_those_that_the_converter_takes(
    tmp_path: Path, duration: float, count: int, first: int, last: int
) -> None:
    (query,) = read("TVCaptions", tmp_path, moment(duration=duration))
    numbers = [int(image.rpartition("_")[2]) for image in query.image_ids]
    assert (len(numbers), numbers[0], numbers[-1]) == (count, first, last)


def test_a_caption_that_can_not_be_read_is_a_bad_row_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    captions = {"duration": 9, "timestamps": [[-0.03, 2], [2, 4], [4, None]], "sentences": ["A", None, "C"]}
    path.write_text(json.dumps({"v_a": captions}))
    found = list(queries(find_plugin("DenseCaptions.video", installed="none").create(), path, BadRecords()))
    assert [query.text for query in found if not query.problem] == ['timestamps: [[0, 2]]\nsentences: ["A"]']
    assert [query.problem[-11:] for query in found if query.problem] == ["(caption 2)", "(caption 3)"]


BAD_MOMENTS: dict[str, tuple[object, str]] = {
    "no clip_id": ({"vid_name": "a", "duration": 1, "descs": []}, 'in.json: record 2 (line 2): no "clip_id"'),
    "no descs": ({"vid_name": "a", "duration": 1}, 'no "descs"'),
    "clip_id as text": (moment(clip="12"), '"clip_id" must be a whole number, this is text'),
    "a description as text": (moment(descs=["x"]), "an object is expected, this is text"),
    "a description of numbers": (moment(descs=[{"desc": 1}]), '"desc" must be text, this is a whole number'),
}


@pytest.mark.parametrize(("content", "problem"), BAD_MOMENTS.values(), ids=BAD_MOMENTS)
def test_a_bad_moment_is_reported_with_its_line(tmp_path: Path, content: object, problem: str) -> None:
    assert problem in fails("TVCaptions", tmp_path, moment(), content)


@pytest.mark.parametrize(
    ("text", "put_right"),
    [
        ("Sheldon knocks. Penny opens.", "The man knocks. The woman opens."),
        ("What does Rachel Green say to Ross Geller?", "What does the woman say to the man?"),
        ("It is Dr. House's ball.", "It is the man's ball."),
        ("Detective Beckett points at it.", "The woman points at it."),
        ("Mrs. Wolowitz shouts at Mr. Geller.", "The woman shouts at the man."),
        ("Dr. Cuddy nods. Miss Castle laughs.", "The woman nods. The woman laughs."),
        ("The house has a castle, and they chase a penny.", "The house has a castle, and they chase a penny."),
        ("A robin sits on a lily; Rosslyn is far.", "A robin sits on a lily; Rosslyn is far."),
    ],
)
def test_names_of_characters_are_replaced(text: str, put_right: str) -> None:
    cleaned = clean([Pair("q", text)], create("TVCaptions").rules, Context(Query("q", "")))
    assert cleaned.pairs == (Pair("q", put_right),)
    assert [rule for rule in cleaned.rejections if "pairs" not in rule] == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Rachel walks up to Phoebe.", "two people are called the same"),
        ("The man hands the man's coat over.", "two people are called the same"),
        ("The man in the red shirt hugs the man.", None),
        ("The man hugs the man who sings.", None),
        ("The man hugs the woman. The man laughs.", None),
        ("Professor Plum nods.", "a person with title and name"),
    ],
)
def test_people_who_cannot_be_distinguished_are_rejected(answer: str, reason: str | None) -> None:
    assert rejected("TVCaptions", Pair("Who?", answer)) == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("annotation", "answer", "found"),
    [
        ("1. Hannah hands Monica the cake.", "Hannah hands the woman the cake.", "answer 1: Hannah"),
        ("1. Ross asks Elizabeth to stay.", "The man asks Elizabeth to stay.", "answer 1: Elizabeth"),
        ("1. George O\u2019Malley runs.", "The man O'Malley runs.", "answer 1: O'Malley"),
        ("1. Geller knocks.\n2. He waits.", "Geller knocks.", "answer 1: Geller"),
        ("1. Alan's coat is wet.", "It is Alan's coat.", "answer 1: Alan"),
        ("1. Police officers run.\n2. The police come.", "Police officers run.", None),
        ("1. Everybody laughs.\n2. Two men leave.", "Everybody laughs at two men.", None),
        ("1. Monica lights the Christmas tree in New York.", "The woman lights the Christmas tree.", None),
        ("1. Patients wait and a doctor comes.", "Patients wait.", None),
        ("1. Hannah laughs.", "The woman laughs.", None),
    ],
)
def test_unlisted_names_are_found_by_the_annotation(annotation: str, answer: str, found: str | None) -> None:
    cleaned = clean([Pair("Who?", answer)], create("TVCaptions").rules, Context(Query("q", annotation)))
    assert cleaned.rejections.get("a name of the annotation") == found


def test_no_name_of_the_example_comes_out(tmp_path: Path) -> None:
    options = Options(name="TVCaptions.video", example=True, offline=True, output_dir=tmp_path)
    run(options, {}, Listener())
    asked = "".join(
        query.text for query in queries(create("TVCaptions"), shipped_folder("examples") / "tv_captions.jsonl")
    )
    assert "Sheldon" in asked
    made = (options.folder / "pairs.jsonl").read_text("utf-8")
    told = " ".join(json.loads(line)["answer"] for line in made.splitlines())
    for name in ("Sheldon", "Penny", "Monica", "Ross", "Castle", "Bailey", "House", "Lily"):
        assert name not in told
    repairs = read_status(options.folder).rules["repairs"]
    assert repairs["the name of a man"] > 5
    assert repairs["the name of a woman"] > 5


# Visual story telling


def photo(name: str, attachments: str = "44", **more: object) -> dict[str, object]:
    return {"id": name, "album_id": attachments, "title": f"t{name}", "tags": "fair xmas", "url_o": "https://x", **more}


def said(name: str, text: str, attachments: str = "44") -> list[dict[str, object]]:
    return [{"photo_flickr_id": name, "album_id": attachments, "text": text, "original_text": "X", "story_id": "1"}]


def vist(images: Sequence[object], albums: Sequence[object], annotations: Sequence[object]) -> dict[str, object]:
    return {"images": images, "albums": albums, "annotations": annotations}


ALBUM = {"id": "44", "title": "A trip", "description": "to\nthe fair", "photos": "3"}


def test_an_album_is_a_query_with_all_its_photos(tmp_path: Path) -> None:
    images = [photo("3"), photo("1", "45"), photo("2", url_o=None), photo("4", tags=None)]
    annotations = [said("2", "we went ."), said("3", 'é "fair" .'), said("2", "off we go .")]
    albums = [ALBUM, {"id": "45", "title": "", "description": None}]
    first, second = read("VisualStoryTelling", tmp_path, vist(images, albums, annotations))
    assert (first.id, second.id) == ("44", "45")
    assert first.text == (
        "title: A trip\ndescription: to\nthe fair\n"
        '\nimage: t3\ntags: fair xmas\nannotations: ["\\u00e9 \\"fair\\" ."]\n'
        '\nimage: t2\ntags: fair xmas\nannotations: ["we went .", "off we go ."]\n'
        "\nimage: t4\ntags: \nannotations: []\n"
    )
    assert first.image_ids == ("VST_IMG_3", "VST_IMG_2", "VST_IMG_4")
    assert second.text == "title: \ndescription: \n\nimage: t1\ntags: fair xmas\nannotations: []\n"


def test_the_lists_may_come_in_any_order_and_a_photo_may_be_missing(tmp_path: Path) -> None:
    shape = vist([photo("3")], [ALBUM], [said("9", "lost ."), said("3", "there .")])
    (query,) = read("VisualStoryTelling", tmp_path, dict(reversed(list(shape.items()))))
    assert query.image_ids == ("VST_IMG_3", "VST_IMG_9")
    assert query.text.endswith('["there ."]\n\nimage: \ntags: \nannotations: ["lost ."]\n')


BAD_ALBUMS: dict[str, tuple[object, str]] = {
    "no albums": ({"images": [], "annotations": []}, 'in.json: no list "albums"'),
    "an unknown album": (
        vist([photo("1", "7")], [ALBUM], []),
        'there are photos of album 7, which "albums" does not l',
    ),
    "no album_id": (vist([{"id": "1"}], [ALBUM], []), 'in.json: images, record 1 (line 1): no "album_id"'),
    "id as a number": (vist([], [{"id": 4}], []), 'albums, record 1 (line 1): "id" must be text, this is a whole'),
    "no text": (
        vist([], [ALBUM], [[{"album_id": "44", "photo_flickr_id": "1"}]]),
        'annotations, record 1 (line 1): no "t',
    ),
    "COCO": ({"images": [], "annotations": [], "categories": []}, 'no list "albums"'),
}


@pytest.mark.parametrize(("content", "problem"), BAD_ALBUMS.values(), ids=BAD_ALBUMS)
def test_a_bad_album_is_reported_with_its_place(tmp_path: Path, content: object, problem: str) -> None:
    assert problem in fails("VisualStoryTelling", tmp_path, content)


def test_of_several_lists_only_the_record_at_fault_is_left_out(tmp_path: Path) -> None:
    images = [photo("1"), {"id": 2}, photo("3")]
    path = write(
        tmp_path / "in.json", vist(images, [ALBUM], [said("1", "one ."), said("3", "three ."), said("1", "x .")])
    )
    dataset, tolerance = create("VisualStoryTelling"), BadRecords()
    skip_failing_records(dataset, path, tolerance)
    bad, attachments = queries(dataset, path, tolerance)
    assert bad.problem.endswith('in.json: images, record 2 (line 1): no "album_id"; it has id')
    assert attachments.image_ids == ("VST_IMG_1", "VST_IMG_3")
    assert '["one .", "x ."]' in attachments.text
    assert '["three ."]' in attachments.text


def test_what_is_kept_of_a_large_file_is_its_text(tmp_path: Path) -> None:
    waste = {f"key_{number}": "x" * 40 for number in range(20)}
    images = [photo(str(number), **waste) for number in range(4_000)]
    path = write(tmp_path / "in.json", vist(images, [ALBUM], [said("1", "x", "44")] * 4_000))
    dataset = create("VisualStoryTelling")
    tracemalloc.start()
    (query,) = queries(dataset, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(query.image_ids) == 4_000
    assert path.stat().st_size > 4_000_000
    assert peak < 3_500_000


def test_a_pair_about_an_album_names_the_pairs_before_it() -> None:
    pairs = [Pair("q", "a")] * 3
    dataset = create("VisualStoryTelling")
    assert [list(dataset.related(pairs, number)) for number in (1, 2, 3)] == [[], [1], [1, 2]]


def test_placeholders_of_names_are_replaced() -> None:
    pairs = [Pair("Who is [male]?", "[female] knows. At [location] she met [organization].")]
    cleaned = clean(pairs, create("VisualStoryTelling").rules, Context(Query("q", "")))
    assert cleaned.pairs == (Pair("Who is the man?", "The woman knows. At this place she met the group."),)
