"""Datasets of what people see who wear a camera."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from syphus import AbstractDataset, Reject, Video, field, read_json_items, texts, video_files
from syphus.cleaning import asked_by_the_wearer, no_letters_for_people, no_timestamps, pairs_between
from syphus.io.records import Record, check_name, record_error

WINDOW = 16  # seconds of a clip, and its frames
_PASSES = ("narration_pass_1", "narration_pass_2")
_KEYS = ("clips", "narrations", *_PASSES, "status")  # of a video; a redacted one has a status alone


class Narration(NamedTuple):
    """What happens at a second of a video, and the objects that are seen then."""

    time: float
    text: str
    objects: tuple[str, ...] = ()


class EGO4D(AbstractDataset):
    """Ego4D: what the wearer of a camera does and sees, sixteen seconds at a time.

    The input is `processed_all_anns.json`, which has clips with objects, or Ego4D's own `all_narrations_redacted.json`
    or `narration.json`: then every sixteen seconds of a video in which something is narrated are a clip.
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
        Reject(
            "speaks of a video",
            r"\b(?:videos?(?! ?games?)|footage|in (?:this|the) clip|camera wearer|the (?:wearer|user)|narrator)\b",
        ),
    )

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """One query a clip."""
        for video, record in read_json_items(path, "videos"):
            clips = _clips(record) if "clips" in _video(record) else _windows(record)
            frames = _frames("", check_name(video, "the id of a video"))
            for number, start, narrations in clips:
                yield {
                    "id": f"{video}_clip{number:06}",
                    "sentences": _text(narrations),
                    "image_ids": [frames.id(start + second) for second in range(WINDOW)],
                }

    def _load_images(self, path: str) -> Iterator[Video]:
        """The videos of a folder, `<video_uid>.mp4`."""
        for file in video_files(path):
            yield _frames(file, file.stem)


def _frames(file: str | Path, video: str) -> Video:
    return Video(file, f"E4D_IMG_{video}_", digits=8)


def _clips(record: Record) -> Iterator[tuple[int, int, list[Narration]]]:
    """The clips of a video in `processed_all_anns.json`: number, first second, narrations."""
    for number, clip in enumerate(field(record, "clips", list)):
        narrations = [
            Narration(_time(each, "time"), field(each, "text", str), tuple(texts(each, "object_description")))
            for each in field(clip, "narrations", list)
        ]
        yield number, _start(narrations), narrations


def _start(narrations: Sequence[Narration]) -> int:
    """The first second of a clip, which the file does not say: a multiple of 16 where all narrations fit in so."""
    if not narrations:
        return 0
    first, last = int(min(each.time for each in narrations)), int(max(each.time for each in narrations))
    aligned = first // WINDOW * WINDOW
    return aligned if last < aligned + WINDOW else first


def _windows(record: Record) -> Iterator[tuple[int, int, list[Narration]]]:
    """The same out of the narrations of a video, in windows from second 0 on; windows without any are left out."""
    windows: defaultdict[int, list[Narration]] = defaultdict(list)
    for narration in sorted(set(_narrated(record)), key=lambda each: each.time):  # two people may say the same
        windows[int(narration.time) // WINDOW].append(narration)
    for number, narrations in windows.items():
        yield number, number * WINDOW, narrations


def _narrated(record: Record) -> Iterator[Narration]:
    """All narrations of a video, which `narration.json` has in two passes and the other file in one list."""
    for each in field(record, "narrations", list) if "narrations" in record else []:
        yield Narration(_time(each, "time"), _plain(field(each, "text", str)))
    for one in _PASSES:
        for each in field(record[one], "narrations", list) if one in record else []:
            yield Narration(_time(each, "timestamp_sec"), _plain(field(each, "narration_text", str)))


def _plain(text: str) -> str:
    """A narration without its marks: "#C C opens #unsure" is "C opens something", "#O a man X nods" "a man X nods"."""
    text = re.sub(r"#\s?unsure\b", "something", text, flags=re.IGNORECASE).strip()
    text = re.sub(r"^#\s?C\s+(?:C\b\s*)?", "C ", text, flags=re.IGNORECASE)
    return re.sub(r"^#\s?O\s+", "", text, flags=re.IGNORECASE)


def _text(narrations: Sequence[Narration]) -> str:
    """Second, description and objects of each narration; of one that shares its second with another the description."""
    seen: set[int] = set()
    lines: list[str] = []
    for each in narrations:
        second = round(each.time)
        if second in seen:
            lines.append(f"description: {each.text}")
            continue
        seen.add(second)
        lines += [f"timestamp: {second}", f"description: {each.text}"]
        if each.objects:
            lines.append(f"objects: {'; '.join(each.objects)}")
    return "\n".join(lines)


def _video(record: Record) -> Mapping[str, object]:
    if not isinstance(record, dict):
        raise record_error("a video must be an object")
    if not any(key in record for key in _KEYS):
        raise record_error(f"a video must have one of {', '.join(_KEYS)}")
    return record


def _time(record: Record, key: str) -> float:
    """Seconds since the start of the video."""
    time = field(record, key, float)
    if time < 0:
        raise record_error(f'"{key}" is less than 0')
    return time
