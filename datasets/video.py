"""Datasets of videos and photo albums."""

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
    video_files,
)
from syphus.cleaning import (
    instead_of,
    no_names_of_the_annotation,
    no_timestamps,
    numbers_of_the_annotation,
    pairs_between,
)
from syphus.errors import InputError
from syphus.io.records import Record, check_name, name_field, readable, record_error, type_name
from syphus.selection import colours_of_the_annotation, names_of_the_annotation, things_of_the_annotation

#: The annotations tell of all that the pairs may claim.
_FACTS = (numbers_of_the_annotation, names_of_the_annotation, colours_of_the_annotation, things_of_the_annotation)


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
    rules = (pairs_between(4, 10), no_timestamps, *_FACTS)

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """Yield one query per video; its images are one frame per second, from second 0 on."""
        for video, record in read_json_items(path):
            times, sentences = _read_captions(record)
            frames = _frame_video("", check_name(video, "the id of a video"))
            yield {
                "id": video,
                "sentences": f"timestamps: {json.dumps(times)}\nsentences: {json.dumps(sentences)}",
                "image_ids": [frames.id(second) for second in range(math.ceil(_read_duration(record)))],
            }

    def _load_images(self, path: str) -> Iterator[Video]:
        """Yield the videos of a folder, such as `v_abc123.mp4`, in any container format."""
        for file in video_files(path):
            yield _frame_video(file, file.stem)


def _frame_video(file: str | Path, video: str) -> Video:
    return Video(file, f"DC_IMG_{video}_", digits=4)


# The characters of the six series: first names, and last names that are used alone.
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


def _people_pattern(names: str) -> str:
    """Return a pattern for people with these names, with or without title and last name."""
    first, last = ("|".join(words.split()) for words in (names, _LAST_NAMES))
    return rf"(?-i:(?<!\w)(?:{_TITLE} )?(?:{first})(?: (?:{last}))?(?!\w))"


# "the man in the red shirt" and "the man" can be distinguished, but two of "the man" cannot.
_NOT_SPECIFIED = r"(?! (?:in|on|at|with|from|by|near|behind|next|who|whose|that)\b| \w+ing\b)"
_SAME_NAME_TWICE = rf"\bthe (man|woman)\b{_NOT_SPECIFIED}[^.!?]*?\bthe \1\b{_NOT_SPECIFIED}"


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
        *instead_of("the name of a man", _people_pattern(_MEN), "the man"),
        *instead_of("the name of a woman", _people_pattern(_WOMEN), "the woman"),
        Reject("a person with title and name", rf"{_TITLE} [A-Z]\w+", exact=True),
        no_names_of_the_annotation,
        Reject("two people are called the same", _SAME_NAME_TWICE),
        pairs_between(3, 6),
        no_timestamps,
        *_FACTS,
    )

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """Yield one query per line, which is a moment. `vid_name` is not unique, `clip_id` is."""
        for record in read_jsonl(path):
            clip = _clip_name(record)
            descriptions = list(readable(field(record, "descs", list), _read_description, "description"))
            yield {
                "id": f"{clip}_{field(record, 'clip_id', int):06}",
                "sentences": [f"{number}. {text}" for number, text in enumerate(descriptions, 1)],
                "image_ids": [_frame_id(clip, frame) for frame in _sampled_frames(int(3 * _read_duration(record)))],
                "meta": {"ts": field(record, "ts", list)},
            }

    def _load_images(self, path: str) -> Iterator[Still]:
        """Yield TVQA's frames, `<show>_frames/<clip>/00001.jpg`: about sixteen of each clip.

        With annotations, all frames are yielded, and those that the annotations name are stored: the duration of a
        moment and the number of files may lead to different choices.
        """
        for folder, files in groupby(image_files(path), key=lambda file: file.parent):
            frames, clip = list(files), _add_show(folder.name)
            chosen = range(1, len(frames) + 1) if self.query_inputs_path else _sampled_frames(len(frames))
            for number in chosen:
                yield Still(_frame_id(clip, _frame_number(frames[number - 1], number)), frames[number - 1])


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
        """Yield one query per album, with all its photos in the order of the file."""
        for album, (text, photos) in _read_albums(path):
            yield {"id": album, "sentences": text, "image_ids": [_photo_id(photo) for photo in photos]}

    def _load_images(self, path: str) -> Iterator[Still]:
        """Yield the photos of a folder, `<flickr id>.jpg`, or those that a VIST file lists.

        The listed photos are in the folder `--image_root`, or are downloaded from Flickr (`--download`).
        """
        if Path(path).is_dir():
            yield from (Still(_photo_id(file.stem), file) for file in image_files(path))
            return
        for _, record in read_json_lists(path, "images"):
            photo = field(record, "id", str)
            if not re.fullmatch(r"\w+", photo):
                raise record_error(f'"id" must be the number of a photo, this is {photo!r:.60}')
            yield Still(_photo_id(photo), f"{photo}.jpg", _addresses(record))

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:  # noqa: ARG002  all earlier pairs
        """Return all earlier pairs about the album."""
        return list(range(1, number))


def _addresses(record: Mapping[str, object]) -> tuple[str, ...]:
    """Return what a photo's record has as its addresses. What is no text is passed on as text, to be listed as none."""
    found = [each for key in ("url_o", "url_m") for each in _as_list(record.get(key))]
    return tuple(each if isinstance(each, str) else repr(each) for each in found if each not in (None, ""))


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _photo_id(photo: str) -> str:
    return f"VST_IMG_{photo}"


def _read_albums(path: str) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """Yield the albums of a VIST file, each with its text and its photos.

    The lists of the file may come in any order, so the file is read to the end first. Only text is kept in memory.
    """
    albums: dict[str, str] = {}
    photos: defaultdict[str, dict[str, str]] = defaultdict(dict)  # by album, then photo
    stories: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)  # by album, then photo
    for key, record in read_json_lists(path, "images", "albums", "annotations"):
        if key == "albums":
            head = f"title: {_optional_text(record, 'title')}\ndescription: {_optional_text(record, 'description')}\n"
            albums[name_field(record, "id")] = head
        elif key == "images":
            lines = f"image: {_optional_text(record, 'title')}\ntags: {_optional_text(record, 'tags')}\n"
            photos[field(record, "album_id", str)][name_field(record, "id")] = lines
        else:
            for story in record if isinstance(record, list) else [record]:
                of_album = stories[field(story, "album_id", str)]
                of_album.setdefault(field(story, "photo_flickr_id", str), []).append(field(story, "text", str))
    if unknown := (photos.keys() | stories.keys()) - albums.keys():
        raise InputError(f'{path}: there are photos of album {min(unknown)}, which "albums" does not list')
    for album, head in albums.items():
        story_texts, listed = stories[album], photos[album]
        every = {**listed, **{photo: "image: \ntags: \n" for photo in story_texts if photo not in listed}}
        parts = (f"\n{lines}annotations: {json.dumps(story_texts.get(photo, []))}\n" for photo, lines in every.items())
        yield album, (head + "".join(parts), list(every))


def _optional_text(record: Record, key: str) -> str:
    """Read a text that may be missing or null."""
    return "" if isinstance(record, dict) and record.get(key) is None else field(record, key, str)


def _read_captions(record: Record) -> tuple[list[list[int]], list[str]]:
    """Read the times and the sentences of a video, of each caption that can be read."""
    times, sentences = field(record, "timestamps", list), field(record, "sentences", list)
    if len(times) != len(sentences):
        raise record_error(f"{len(times)} timestamps and {len(sentences)} sentences")
    captions = list(readable(zip(times, sentences, strict=True), _read_caption, "caption"))
    return [time for time, _ in captions], [sentence for _, sentence in captions]


def _read_caption(caption: tuple[Record, Record]) -> tuple[list[int], str]:
    """Read start and end in whole seconds, rounded half to even as Python does, and the sentence."""
    time, sentence = caption
    if not isinstance(time, list) or [type(each) in (int, float) for each in time] != [True, True]:
        raise record_error('"timestamps" must hold pairs of a start and an end')
    if not isinstance(sentence, str):
        raise record_error(f'"sentences" must be a list of text, it holds {type_name(sentence)}')
    return [max(0, round(each)) if each > -1 else round(each) for each in time], sentence


def _read_duration(record: Record) -> float:
    """Read a duration in seconds, more than 0 and less than a day."""
    duration = field(record, "duration", float)
    if not 0 < duration < 86_400:
        raise record_error(f'"duration" must be seconds, from 0 to 86,400; this is {duration}')
    return duration


def _read_description(description: Record) -> str:
    return field(description, "desc", str)


def _clip_name(record: Record) -> str:
    """Return the name of the video with its series, which the file omits for The Big Bang Theory."""
    return _add_show(name_field(record, "vid_name"))


def _add_show(clip: str) -> str:
    return f"bbt_{clip}" if re.match(r"s\d\de\d\d_", clip) else clip


def _frame_id(clip: str, frame: int) -> str:
    return f"TVC_IMG_{clip}_{frame:05}"


def _frame_number(file: Path, default: int) -> int:
    """Return the number in the name of a frame's file."""
    return int(file.stem) if re.fullmatch(r"\d{1,9}", file.stem) else default


def _sampled_frames(count: int) -> range:
    """Return the numbers, from 1, of about sixteen evenly spaced frames out of `count`, like Otter's converter.

    The converter counts the files; TVQA has 3 frames per second. For a query, the count follows from the duration.
    """
    frames = max(1, count)
    step = max(1, frames // 16)
    return range(step // 2 + 1, frames + 1, step)
