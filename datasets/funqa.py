"""FunQA: short funny, creative or magic videos, and what people wrote about them.

The `task` of a record is a letter for the kind of video (H, C, M) and a digit: 1 for the time of the surprise, 2 for a
description, 3 for the reason why it is surprising, 4 for a title, 5 for a score.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any

from syphus import AbstractDataset, Check, Pair, Parsed, Query, Reject, Video, field, read_json, video_files
from syphus.cleaning import Context, answers_of_words, no_timestamps, normalize_words, pairs_between
from syphus.io.media import Frames, listing_path
from syphus.io.records import check_name, record_error
from syphus.parsing import Choice, choices_form, keys_form, parse_choices, parse_keyed_lines

KEYS = ("CH2Eng Translation", *(f"Expansion_with_Eng_{number}" for number in range(1, 6)))
_ENGLISH_ONLY = Reject("not in English", r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", part="answer")
_QUESTIONS, _OPTIONS = 5, 5  # numbers that the multiple-choice prompt asks for


def _find_same_wording(pairs: Sequence[Pair], _: Context) -> Iterator[str]:
    earlier: set[str] = set()
    for number, pair in enumerate(pairs, 1):
        if normalize_words(pair.answer) in earlier:
            yield f"answer {number}"
        earlier.add(normalize_words(pair.answer))


def _find_same_place(pairs: Sequence[Pair], _: Context) -> Iterator[str]:
    if len(pairs) > 2 and len({pair.answer.partition(")")[0] for pair in pairs}) == 1:
        yield pairs[0].answer.partition(" ")[0]


_SOURCE = (  # homepage, licence according to its README, citation
    "https://github.com/Jingkang50/FunQA",
    "cc-by-nc-sa-4.0",
    """
@inproceedings{xie2024funqa,
  title     = {FunQA: Towards Surprising Video Comprehension},
  author    = {Xie, Binzhu and Zhang, Sicheng and Zhou, Zitang and Li, Bo and Zhang, Yuanhan and Hessel, Jack and
               Yang, Jingkang and Liu, Ziwei},
  booktitle = {European Conference on Computer Vision},
  year      = {2024}
}
""",
)


class FunQA_translation(AbstractDataset):  # noqa: N801  the established name
    """FunQA, translated: each Chinese answer in English, in six wordings."""

    short_name = "FUNQA_TR"
    prompt = "funqa_translation"
    json_form = keys_form(KEYS)
    query_inputs_path = "annotations/funqa/FunQA_train.json"
    example = "funqa/funqa_zh.json"
    homepage, licence, citation = _SOURCE
    without_rules = ("repeats a question",)  # all six pairs have the same question
    rules = (_ENGLISH_ONLY, Check("two wordings are the same", _find_same_wording))

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """Yield one query per text answer. A video may have several for one task, so the id adds a hash of the text."""
        frames = Frames(path)
        for record in read_json(path):
            video, task = _video(record), _task(record)
            if task[1] in "15":
                continue
            text = field(record, "output", str)
            yield {
                "id": f"{video}_{task}_{blake2b(text.encode(), digest_size=3).hexdigest()}",
                "sentences": text,
                "image_ids": _images(frames, video),
                "meta": {"instruction": field(record, "instruction", str)},
            }

    def _also_reads(self, path: str) -> list[Path]:
        return [listing_path(path)]

    def _load_images(self, path: str) -> Iterator[Video]:
        """Yield the videos of a folder."""
        return _videos(path)

    def parse_response(self, text: str, query: Query) -> Parsed:
        """Return six pairs: the record's instruction with each of the wordings."""
        read = parse_keyed_lines(text, KEYS)
        instruction = str(query.meta.get("instruction", ""))
        return Parsed(tuple(Pair(instruction, each) for each in read.texts.values()), read.problems, read.notes)

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:  # noqa: ARG002
        """Return nothing, because another wording would give the answer away."""
        return ()


class _FunQAByVideo(AbstractDataset):
    """The base of the datasets that use a video's description and the reason why it is surprising."""

    query_inputs_path = "annotations/funqa/FunQA_train.json"
    example = "funqa/funqa.json"
    homepage, licence, citation = _SOURCE

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """Yield one query per video with one or both of the two texts; the first of each, if there are several."""
        frames = Frames(path)
        videos: dict[str, dict[str, str]] = {}
        for record in read_json(path):
            video, task = _video(record), _task(record)
            if task[1] in "23":
                videos.setdefault(video, {}).setdefault(task[1], field(record, "output", str))
        for video, texts in videos.items():
            yield {
                "id": video,
                "sentences": [f"{name}: {texts[task]}" for task, name in _FIELD_NAMES.items() if task in texts],
                "image_ids": _images(frames, video),
            }

    def _also_reads(self, path: str) -> list[Path]:
        return [listing_path(path)]

    def _load_images(self, path: str) -> Iterator[Video]:
        """Yield the videos of a folder."""
        return _videos(path)

    @abstractmethod
    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:
        """Return the numbers of the pairs that may be shown before the pair with this number."""


class FunQA_mcqa(_FunQAByVideo):  # noqa: N801  as above
    """FunQA, multiple choice: five questions about a video, with five options each."""

    short_name = "FUNQA_MC"
    prompt = "funqa_mcqa"
    json_form = choices_form(_QUESTIONS, _OPTIONS)
    rules = (_ENGLISH_ONLY, no_timestamps, Check("the right option is always in the same place", _find_same_place))

    def parse_response(self, text: str, query: Query) -> Parsed:  # noqa: ARG002
        """Return one pair per question, as `as_pair` writes it."""
        read = parse_choices(text)
        problems = [*read.problems]
        problems += [f"not {_QUESTIONS} questions"] * (not problems and len(read.choices) != _QUESTIONS)
        problems += [f"not {_OPTIONS} options"] * any(len(choice.options) != _OPTIONS for choice in read.choices)
        return Parsed(tuple(map(as_pair, read.choices)), tuple(problems), read.notes)

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:
        """Return the other questions about the video."""
        return AbstractDataset.related(self, pairs, number)


class FunQA_dia(_FunQAByVideo):  # noqa: N801  as above
    """FunQA, dialogue: six questions about a video that build on each other, with short answers."""

    short_name = "FUNQA_DIA"
    prompt = "funqa_dia"
    rules = (_ENGLISH_ONLY, no_timestamps, pairs_between(6, 6), answers_of_words(1, 30))

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:  # noqa: ARG002
        """Return the earlier rounds."""
        return list(range(1, number))


def as_pair(choice: Choice) -> Pair:
    """Return a pair whose instruction is the question, then the options, one per line: `(1) He falls.` and so on.

    The answer is `(1) He falls.` Trainers that read MIMIC-IT may join lines and drop most punctuation, but they keep
    brackets and numbers.
    """
    options = [f"({number}) {option}" for number, option in enumerate(choice.options, 1)]
    return Pair("\n".join([choice.question, *options]), options[choice.answer - 1])


_FIELD_NAMES = {"2": "description", "3": "counter-intuitive reason"}


def _video(record: Any) -> str:
    """Return the name of the video without its extension: `H_A_101_1433_1631` for `H_A_101_1433_1631.mp4`."""
    video = PurePosixPath(field(record, "visual_input", str)).name.partition(".")[0]
    if not video:
        raise record_error('"visual_input" names no video')
    return check_name(video, '"visual_input"')


def _task(record: Any) -> str:
    task = field(record, "task", str)
    if not re.fullmatch(r"H[1-4]|C[1-5]|M[1-3]", task):
        raise record_error(f'"task" must be H1 to H4, C1 to C5 or M1 to M3, this is {task!r:.60}')
    return task


def _videos(folder: str) -> Iterator[Video]:
    """Yield the videos of a folder, with one frame per second, named as in `frames.txt`: `.../0007.png`."""
    for file in video_files(folder):
        yield Video(file, f"FUNQA_IMG_{file.stem}_", digits=4)


def _images(frames: Frames, video: str) -> list[str]:
    return [f"FUNQA_IMG_{frame}" for frame in frames.names(video)]
