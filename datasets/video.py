"""Datasets of videos and albums: what happens, in the order in which it does."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from syphus import (
    AbstractDataset,
    Pair,
    Reject,
    Still,
    Video,
    field,
    image_files,
    read_json_items,
    read_json_lists,
    read_jsonl,
    texts,
    video_files,
)
from syphus.cleaning import instead_of, no_names_of_the_annotation, no_timestamps, pairs_between
from syphus.errors import InputError
from syphus.io.records import Record, check_name, name_field, record_error


class DenseCaptions(AbstractDataset):
    """ActivityNet Captions: videos, and sentences about parts of them with start and end."""

    short_name = "DC"
    prompt = "dense_captions"
    query_inputs_path = "annotations/dense_captions/train.json"
    example = "dense_captions.json"
    homepage = "https://cs.stanford.edu/people/ranjaykrishna/densevid/"
    citation = """
@inproceedings{krishna2017dense,
  title     = {Dense-Captioning Events in Videos},
  author    = {Krishna, Ranjay and Hata, Kenji and Ren, Frederic and Fei-Fei, Li and Niebles, Juan Carlos},
  booktitle = {IEEE International Conference on Computer Vision},
  year      = {2017}
}
"""
    rules = (pairs_between(4, 10), no_timestamps)

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """One query a video; its images are the frames of its seconds, from second 0 on."""
        for video, record in read_json_items(path):
            sentences, times = texts(record, "sentences"), _times(record)
            frames = _seconds("", check_name(video, "the id of a video"))
            if len(times) != len(sentences):
                raise record_error(f"{len(times)} timestamps and {len(sentences)} sentences")
            yield {
                "id": video,
                "sentences": f"timestamps: {json.dumps(times)}\nsentences: {json.dumps(sentences)}",
                "image_ids": [frames.id(second) for second in range(math.ceil(_duration(record)))],
            }

    def _load_images(self, path: str) -> Iterator[Video]:
        """The videos of a folder, `v_abc123.mp4`, in whatever containers they are."""
        for file in video_files(path):
            yield _seconds(file, file.stem)


def _seconds(file: str | Path, video: str) -> Video:
    return Video(file, f"DC_IMG_{video}_", digits=4)


# The characters of the six series, by their first names and by the last names that they go by.
_MEN = """
    Sheldon Leonard Howard Raj Rajesh Stuart Kripke Zack Bert Wolowitz Koothrappali
    Ted Marshall Barney Ranjit Stinson Mosby
    Chandler Joey Ross Gunther Mike Richard Frank Bing Tribbiani
    Derek George Alex Preston Burke Owen Jackson Karev Shepherd Sloan Webber
    House Gregory Greg Wilson Foreman Chase Taub Kutner Lucas
    Castle Rick Esposito Javier Ryan Kevin Montgomery
"""
_WOMEN = """
    Penny Amy Bernadette Priya Leslie Beverly
    Robin Lily Tracy Victoria Stella Zoey Nora
    Monica Rachel Phoebe Janice Ursula Emily Carol
    Meredith Cristina Izzie Miranda Bailey Addison Callie Lexie Yang Stevens
    Cuddy Lisa Cameron Allison Amber Remy Masters
    Beckett Kate Alexis Martha Lanie Gates
"""
_LAST_NAMES = """
    Cooper Hofstadter Wolowitz Koothrappali Fowler Rostenkowski Mosby Eriksen Stinson Scherbatsky Aldrin Bing
    Tribbiani Geller Green Buffay Hannigan Shepherd Karev Yang Stevens Bailey Grey Montgomery Torres Sloan Hunt Webber
    House Wilson Cuddy Foreman Cameron Chase Taub Kutner Hadley Castle Beckett Esposito Ryan Rodgers Parish
"""
_TITLE = r"(?:Dr|Professor|Detective|Captain)\b\.?"


def _called(names: str) -> str:
    """A pattern for people of these names, with or without title and last name."""
    first, last = ("|".join(words.split()) for words in (names, _LAST_NAMES))
    return rf"(?-i:(?<!\w)(?:{_TITLE} )?(?:{first})(?: (?:{last}))?(?!\w))"


# "the man in the red shirt" can be told apart from "the man"; two of the latter can't.
_LIKE_ANY = r"(?! (?:in|on|at|with|from|by|near|behind|next|who|whose|that)\b| \w+ing\b)"
_NAMESAKES = rf"\bthe (man|woman)\b{_LIKE_ANY}[^.!?]*?\bthe \1\b{_LIKE_ANY}"


class TVCaptions(AbstractDataset):
    """TV show Captions: moments of television series, described with and without what is said."""

    short_name = "TVC"
    prompt = "tv_captions"
    query_inputs_path = "annotations/tv_captions/tvc_train_release.jsonl"
    homepage = "https://github.com/jayleicn/TVCaption"
    citation = """
@inproceedings{lei2020tvr,
  title     = {TVR: A Large-Scale Dataset for Video-Subtitle Moment Retrieval},
  author    = {Lei, Jie and Yu, Licheng and Berg, Tamara L. and Bansal, Mohit},
  booktitle = {European Conference on Computer Vision},
  year      = {2020}
}
"""
    example = "tv_captions.jsonl"
    rules = (
        *instead_of("the name of a man", r"(?-i:(?<!\w)Mr\b\.? [A-Z]\w+)", "the man"),
        *instead_of("the name of a woman", r"(?-i:(?<!\w)(?:Mrs|Ms|Miss)\b\.? [A-Z]\w+)", "the woman"),
        *instead_of("the name of a man", _called(_MEN), "the man"),
        *instead_of("the name of a woman", _called(_WOMEN), "the woman"),
        Reject("a person with title and name", rf"{_TITLE} [A-Z]\w+", exact=True),
        no_names_of_the_annotation,
        Reject("two people are called the same", _NAMESAKES),
        pairs_between(3, 6),
        no_timestamps,
    )

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """One query a moment, which is a line. `vid_name` repeats, and `clip_id` does not."""
        for record in read_jsonl(path):
            clip = _clip(record)
            descriptions = [field(each, "desc", str) for each in field(record, "descs", list)]
            yield {
                "id": f"{clip}_{field(record, 'clip_id', int):06}",
                "sentences": [f"{number}. {text}" for number, text in enumerate(descriptions, 1)],
                "image_ids": [_frame_id(clip, frame) for frame in _frames(int(3 * _duration(record)))],
                "meta": {"ts": field(record, "ts", list)},
            }

    def _load_images(self, path: str) -> Iterator[Still]:
        """TVQA's frames, `<show>_frames/<clip>/00001.jpg`: of each clip about sixteen, or those that annotations name.

        A folder's number of files and a moment's duration may disagree on which sixteen, so annotations make sure.
        """
        for folder, files in groupby(image_files(path), key=lambda file: file.parent):
            frames, clip = list(files), _with_show(folder.name)
            chosen = range(1, len(frames) + 1) if self.query_inputs_path else _frames(len(frames))
            for number in chosen:
                yield Still(_frame_id(clip, _number(frames[number - 1], number)), frames[number - 1])


class VisualStoryTelling(AbstractDataset):
    """VIST, story in sequence: albums of photos, with the sentences that people wrote when they told their stories."""

    short_name = "VST"
    prompt = "visual_story_telling"
    query_inputs_path = "annotations/visual_story_telling/train.story-in-sequence.json"
    homepage = "https://visionandlanguage.net/VIST/dataset.html"
    citation = """
@inproceedings{huang2016visual,
  title     = {Visual Storytelling},
  author    = {Huang, Ting-Hao K. and others},
  booktitle = {Conference of the North American Chapter of the Association for Computational Linguistics},
  year      = {2016}
}
"""
    example = "visual_story_telling.json"
    rules = (
        *instead_of("[male]", r"\[male\]", "the man"),
        *instead_of("[female]", r"\[female\]", "the woman"),
        *instead_of("[location]", r"\[location\]", "this place"),
        *instead_of("[organization]", r"\[organization\]", "the group"),
        pairs_between(4, 8),
    )

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """One query an album, with all its photos in the order of the file."""
        for album, (text, photos) in _albums(path):
            yield {"id": album, "sentences": text, "image_ids": [_photo_id(photo) for photo in photos]}

    def _load_images(self, path: str) -> Iterator[Still]:
        """The photos that a file of VIST lists, in the folder `--image_root`, or else (`--download`) where Flickr has
        them; or those of a folder, `<flickr id>.jpg`.
        """
        if Path(path).is_dir():
            yield from (Still(_photo_id(file.stem), file) for file in image_files(path))
            return
        for _, record in read_json_lists(path, "images"):
            photo = field(record, "id", str)
            if not re.fullmatch(r"\w+", photo):
                raise record_error(f'"id" must be the number of a photo, this is {photo!r:.60}')
            urls = tuple(record[key] for key in ("url_o", "url_m") if isinstance(record.get(key), str) and record[key])
            yield Still(_photo_id(photo), f"{photo}.jpg", urls)

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:  # noqa: ARG002  all before it are there
        """The conversation about the album so far."""
        return list(range(1, number))


def _photo_id(photo: str) -> str:
    return f"VST_IMG_{photo}"


def _albums(path: str) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """The albums of a file of VIST, each with its text and its photos.

    The lists of the file may come in any order, so they are read to the end first; what is kept of them is text.
    """
    albums: dict[str, str] = {}
    photos: defaultdict[str, dict[str, str]] = defaultdict(dict)  # of an album
    said: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)  # about the photos of an album
    for key, record in read_json_lists(path, "images", "albums", "annotations"):
        if key == "albums":
            head = f"title: {_text(record, 'title')}\ndescription: {_text(record, 'description')}\n"
            albums[name_field(record, "id")] = head
        elif key == "images":
            lines = f"image: {_text(record, 'title')}\ntags: {_text(record, 'tags')}\n"
            photos[field(record, "album_id", str)][name_field(record, "id")] = lines
        else:
            for story in record if isinstance(record, list) else [record]:
                of_album = said[field(story, "album_id", str)]
                of_album.setdefault(field(story, "photo_flickr_id", str), []).append(field(story, "text", str))
    if unknown := (photos.keys() | said.keys()) - albums.keys():
        raise InputError(f'{path}: there are photos of album {min(unknown)}, which "albums" does not list')
    for album, head in albums.items():
        told = said[album]
        shown = {**photos[album], **{photo: "image: \ntags: \n" for photo in told if photo not in photos[album]}}
        parts = (f"\n{lines}annotations: {json.dumps(told.get(photo, []))}\n" for photo, lines in shown.items())
        yield album, (head + "".join(parts), list(shown))


def _text(record: Record, key: str) -> str:
    """A text that may be missing or null."""
    return "" if isinstance(record, dict) and record.get(key) is None else field(record, key, str)


def _times(record: Record) -> list[list[int]]:
    """Starts and ends in whole seconds, rounded as Python does, half to even."""
    times = []
    for time in field(record, "timestamps", list):
        if not isinstance(time, list) or [type(each) in (int, float) for each in time] != [True, True]:
            raise record_error('"timestamps" must hold pairs of a start and an end')
        times.append([round(each) for each in time])
    return times


def _duration(record: Record) -> float:
    """Seconds, more than none and less than a day."""
    duration = field(record, "duration", float)
    if not 0 < duration < 86_400:
        raise record_error(f'"duration" must be seconds, from 0 to 86,400; this is {duration}')
    return duration


def _clip(record: Record) -> str:
    """The name of the video, with its series: those of The Big Bang Theory have none in the file."""
    return _with_show(name_field(record, "vid_name"))


def _with_show(clip: str) -> str:
    return f"bbt_{clip}" if re.match(r"s\d\de\d\d_", clip) else clip


def _frame_id(clip: str, frame: int) -> str:
    return f"TVC_IMG_{clip}_{frame:05}"


def _number(file: Path, otherwise: int) -> int:
    """The number that a frame's file has in its name."""
    return int(file.stem) if re.fullmatch(r"\d{1,9}", file.stem) else otherwise


def _frames(count: int) -> range:
    """The numbers of the frames, from 1, that Otter's converter takes of so many: about sixteen, evenly spaced.

    It counts the files, which TVQA's frames at 3 a second are; for a query they are reckoned from the duration.
    """
    frames = max(1, count)
    step = max(1, frames // 16)
    return range(step // 2 + 1, frames + 1, step)
