"""Datasets from a first-person view: what people see who wear a camera."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from syphus import AbstractDataset, Reject, Video, field, read_json_items, texts, video_files
from syphus.cleaning import (
    asked_by_the_wearer,
    no_letters_for_people,
    no_timestamps,
    numbers_of_the_annotation,
    pairs_between,
    times_of_the_annotation,
)
from syphus.io.records import Record, check_name, readable, record_error
from syphus.selection import colours_of_the_annotation, names_of_the_annotation, things_of_the_annotation

WINDOW = 16  # seconds, and frames, of a clip
_PASSES = ("narration_pass_1", "narration_pass_2")
_VIDEO_KEYS = ("clips", "narrations", *_PASSES, "status")  # keys of a video; a redacted one only has a status


class Narration(NamedTuple):
    """What happens at a time in a video (in seconds), and the objects that are visible."""

    time: float
    text: str
    objects: tuple[str, ...] = ()


class EGO4D(AbstractDataset):
    """Ego4D: what the wearer of a camera does and sees, sixteen seconds at a time.

    The input is `processed_all_anns.json`, which has clips with objects, or Ego4D's own `all_narrations_redacted.json`
    or `narration.json`. Those are split into clips of sixteen seconds; clips without a narration are skipped.
    """

    short_name = "E4D"
    prompt = "ego4d"
    query_inputs_path = "annotations/ego4d/processed_all_anns.json"
    example = "ego4d.json"
    homepage = "https://ego4d-data.org"
    licence = "Ego4D's own licence agreement, signed before the download"
    citation = """
@inproceedings{grauman2022ego4d,
  title     = {Ego4D: Around the World in 3,000 Hours of Egocentric Video},
  author    = {Grauman, Kristen and others},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year      = {2022}
}
"""
    rules = (
        pairs_between(6),
        asked_by_the_wearer,
        no_letters_for_people,
        no_timestamps,
        numbers_of_the_annotation,
        times_of_the_annotation,
        names_of_the_annotation,
        colours_of_the_annotation,
        things_of_the_annotation,
        Reject(
            "speaks of a video",
            r"\b(?:videos?(?! ?games?)|footage|in (?:this|the) clip|camera wearer|the (?:wearer|user)|narrator)\b",
        ),
    )

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """Yield one query per clip."""
        for video, record in read_json_items(path, "videos"):
            clips = _read_clips(record) if "clips" in _check_video(record) else _make_clips(record)
            frames = _frames("", check_name(video, "the id of a video"))
            for number, start, narrations in clips:
                yield {
                    "id": f"{video}_clip{number:06}",
                    "sentences": _render_narrations(narrations),
                    "image_ids": [frames.id(start + second) for second in range(WINDOW)],
                }

    def _load_images(self, path: str) -> Iterator[Video]:
        """Yield the videos of a folder, `<video_uid>.mp4`."""
        for file in video_files(path):
            yield _frames(file, file.stem)


def _frames(file: str | Path, video: str) -> Video:
    return Video(file, f"E4D_IMG_{video}_", digits=8)


def _read_clips(record: Record) -> Iterator[tuple[int, int, list[Narration]]]:
    """Yield the clips of a video in `processed_all_anns.json`: number, first second, narrations."""
    for number, clip in enumerate(field(record, "clips", list)):
        narrations = list(readable(field(clip, "narrations", list), _read_described, "narration"))
        yield number, _first_second(narrations), narrations


def _first_second(narrations: Sequence[Narration]) -> int:
    """Return the first second of a clip, which is not in the file: a multiple of 16 if all narrations fit then."""
    if not narrations:
        return 0
    first, last = int(min(each.time for each in narrations)), int(max(each.time for each in narrations))
    aligned = first // WINDOW * WINDOW
    return aligned if last < aligned + WINDOW else first


def _make_clips(record: Record) -> Iterator[tuple[int, int, list[Narration]]]:
    """Split the narrations of a video into clips, in windows from second 0 on. Empty windows are skipped."""
    windows: defaultdict[int, list[Narration]] = defaultdict(list)
    narrations = set(_read_narrations(record))  # both passes may have the same one
    for narration in sorted(narrations, key=lambda each: each.time):
        windows[int(narration.time) // WINDOW].append(narration)
    for number, window in windows.items():
        yield number, number * WINDOW, window


def _read_narrations(record: Record) -> Iterator[Narration]:
    """Yield all narrations of a video: `narration.json` has two passes, the other file has one list."""
    if "narrations" in record:
        yield from readable(field(record, "narrations", list), _read_plain, "narration")
    for name in _PASSES:
        if name in record:
            yield from readable(field(record[name], "narrations", list), _read_timed, f"{name}, narration")


def _read_described(narration: Record) -> Narration:
    time, text = _time(narration, "time"), field(narration, "text", str)
    return Narration(time, text, tuple(texts(narration, "object_description")))


def _read_plain(narration: Record) -> Narration:
    return Narration(_time(narration, "time"), _clean_narration(field(narration, "text", str)))


def _read_timed(narration: Record) -> Narration:
    text = _clean_narration(field(narration, "narration_text", str))
    return Narration(_time(narration, "timestamp_sec"), text)


def _clean_narration(text: str) -> str:
    """Remove the marks of a narration: "#C C opens #unsure" is "C opens something", "#O a man nods" "a man nods"."""
    text = re.sub(r"#\s?unsure\b", "something", text, flags=re.IGNORECASE).strip()
    text = re.sub(r"^#\s?C\s+(?:C\b\s*)?", "C ", text, flags=re.IGNORECASE)
    return re.sub(r"^#\s?O\s+", "", text, flags=re.IGNORECASE)


def _render_narrations(narrations: Sequence[Narration]) -> str:
    """Write second, description and objects of each narration; a second one in the same second has no other lines."""
    seconds: set[int] = set()
    lines: list[str] = []
    for each in narrations:
        second = round(each.time)
        if second in seconds:
            lines.append(f"description: {each.text}")
            continue
        seconds.add(second)
        lines += [f"timestamp: {second}", f"description: {each.text}"]
        if each.objects:
            lines.append(f"objects: {'; '.join(each.objects)}")
    return "\n".join(lines)


def _check_video(record: Record) -> Mapping[str, object]:
    if not isinstance(record, dict):
        raise record_error("a video must be an object")
    if not any(key in record for key in _VIDEO_KEYS):
        raise record_error(f"a video must have one of {', '.join(_VIDEO_KEYS)}")
    return record


def _time(record: Record, key: str) -> float:
    """Read a time in seconds since the start of the video. Clocks that differ a little give times just below 0."""
    time = field(record, key, float)
    if time <= -1:
        raise record_error(f'"{key}" is less than 0')
    return max(0, time)
