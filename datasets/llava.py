"""LLaVA-Instruct on COCO: conversations, detailed descriptions and complex reasoning.

Each accepts three kinds of input, and recognises them by their content:

- LLaVA-Instruct itself (`conversation_58k.json`, `detail_23k.json`, `complex_reasoning_77k.json`). Its pairs are used
  directly, without a model.
- An array or JSON Lines of images with captions and boxes, as in LLaVA's evaluation. Boxes are
  `[left, top, right, bottom]`, as fractions of width and height.
- A folder with COCO's own `captions_*.json` and `instances_*.json`, or one of these captions files.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from syphus import (
    AbstractDataset,
    Pair,
    Parsed,
    Query,
    Still,
    Train,
    field,
    read_json,
    read_json_items,
    read_jsonl,
    texts,
)
from syphus.cleaning import Rule, no_boxes, numbers_of_the_annotation, times_of_the_annotation
from syphus.errors import InputError
from syphus.io.coco import CITATION, Coco, coco_files
from syphus.io.records import read_beginning, read_json_lists, record_error
from syphus.parsing import PAIRS_FORM, parse_pairs, parse_plain_text, text_form
from syphus.plugins.rows import choose_stably
from syphus.selection import colours_of_the_annotation, names_of_the_annotation, things_of_the_annotation

_FACTS: Sequence[Rule] = (
    numbers_of_the_annotation,
    times_of_the_annotation,
    names_of_the_annotation,
    colours_of_the_annotation,
    things_of_the_annotation,
)
_COCO_FILE = re.compile(r"\{\s*\"(?:info|licenses|images|annotations|categories|type)\"")

DESCRIPTION_INSTRUCTIONS = (
    "Describe this image in detail.",
    "What does this image show? Please go into detail.",
    "Please give a full description of this photo.",
    "Can you describe what is to be seen here, with all that matters?",
    "Walk me through this picture.",
    "Tell me everything that you notice in this image.",
    "I would like a detailed description of this picture.",
    "How would you describe this photo to somebody who can't see it?",
    "What is in this image, and where? Please be thorough.",
    "Give me a detailed account of this scene.",
    "Please put this image into words, with its details.",
    "Explain what this photo shows, from the main things to the small ones.",
)


class _Llava(AbstractDataset):
    """The base of the three datasets: their input and their images."""

    brings_pairs = True
    query_inputs_path = "annotations/llava"
    example = "coco_captions_boxes.jsonl"
    rules: Sequence[Rule] = (no_boxes,)
    homepage = "https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K"
    licence = "cc-by-nc-4.0 for what is taken over from LLaVA-Instruct, cc-by-4.0 for COCO's captions and boxes"
    citation = f"""
@inproceedings{{liu2023visual,
  title     = {{Visual Instruction Tuning}},
  author    = {{Liu, Haotian and Li, Chunyuan and Wu, Qingyang and Lee, Yong Jae}},
  booktitle = {{Advances in Neural Information Processing Systems}},
  year      = {{2023}}
}}
{CITATION}"""
    with_boxes = True  #: whether the model sees the boxes besides the captions

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """Yield one query per image, with COCO's twelve-digit number as its id."""
        for record in _read_records(path):
            image = _image_id(record)
            row = {"id": image, "image_ids": [_image_key(image)]}
            if "conversations" in record:
                pairs = self.select_rounds(_read_rounds(record))
                yield {**row, "sentences": [t for p in pairs for t in (p.instruction, p.answer)], "pairs": pairs}
            else:
                yield {**row, "sentences": texts(record, "captions") + (_box_lines(record) if self.with_boxes else [])}

    def _also_reads(self, path: str) -> list[Path]:
        return [_instances_file(Path(path))] if _COCO_FILE.match(read_beginning(path)) else []

    def _load_images(self, path: str) -> Iterator[Still]:
        """Yield COCO's photos: all of a folder, or those that a JSON file names in the folder `--image_root`.

        The JSON file is LLaVA-Instruct, or an object whose keys are COCO's numbers.
        """
        if Path(path).is_dir():
            yield from (Still(_image_key(f"{image:012}"), file) for image, file in coco_files(path))
        elif read_beginning(path).startswith("{") and not _COCO_FILE.match(read_beginning(path)):
            yield from (Still(_image_key(f"{key:0>12}"), f"{key:0>12}.jpg") for key, _ in read_json_items(path))
        else:
            # several conversations may share an image
            images = dict.fromkeys(_image_id(record) for record in _read_records(path))
            yield from (Still(_image_key(image), f"{image}.jpg") for image in images)

    @abstractmethod
    def select_rounds(self, rounds: Sequence[Pair]) -> Sequence[Pair]:
        """Return the rounds of a LLaVA-Instruct conversation that belong to this dataset."""

    def instruction_id(self, query: Query, number: int) -> str:  # noqa: ARG002  there is one pair
        """Return an id made from the image alone, as in the original."""
        return f"{self.short_name}_INS_{query.id}"

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:  # noqa: ARG002
        """Return nothing, because there is one pair."""
        return ()


class LlavaConversation(_Llava):
    """LLaVA-Instruct, conversations: questions and answers about one COCO image, in rounds."""

    short_name = "LACONV"
    prompt = "llava_conversation"
    json_form = PAIRS_FORM
    rules = (*_Llava.rules, *_FACTS)
    with_boxes = False
    train = Train("last rounds", last=2)

    def select_rounds(self, rounds: Sequence[Pair]) -> Sequence[Pair]:
        """Return all rounds."""
        return rounds

    def parse_response(self, text: str, query: Query) -> Parsed:  # noqa: ARG002
        """Parse two to twelve rounds; a conversation of LLaVA-Instruct may have one."""
        return _check_pair_count(parse_pairs(text), 2, 12)

    def instruction_id(self, query: Query, number: int) -> str:
        """Return an id made from the image and the round, counted from 0."""
        return f"LACONV_INS_{query.id}_{number - 1}"

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:  # noqa: ARG002
        """Return the earlier rounds in order."""
        return list(range(1, number))


class LlavaDetail(_Llava):
    """LLaVA-Instruct, detailed descriptions of COCO images."""

    short_name = "LADD"
    prompt = "llava_detail"
    json_form = text_form("description")
    rules = (*_Llava.rules, *_FACTS)

    def select_rounds(self, rounds: Sequence[Pair]) -> Sequence[Pair]:
        """Return the only round."""
        if len(rounds) > 1:
            raise record_error(f"{len(rounds)} rounds, where a description has one")
        return rounds

    def parse_response(self, text: str, query: Query) -> Parsed:
        """Return the description as the answer to one of our instructions, which only depends on the image."""
        read = parse_plain_text(text, "description")
        if read.problems:
            return Parsed((), read.problems, read.notes)
        return Parsed((Pair(choose_stably(DESCRIPTION_INSTRUCTIONS, 1, query.id)[0], read.text),), (), read.notes)


class LlavaReasoning(_Llava):
    """LLaVA-Instruct, complex reasoning about COCO images: one question, and an answer that argues."""

    short_name = "LACR"
    prompt = "llava_reasoning"
    json_form = PAIRS_FORM
    set_names: Mapping[str, str] = {"nearest by text": "LACR_T2T", "nearest by image": "LACR_I2I"}
    train = Train("every", first=2)

    def select_rounds(self, rounds: Sequence[Pair]) -> Sequence[Pair]:
        """Return the first round."""
        return rounds[:1]

    def parse_response(self, text: str, query: Query) -> Parsed:  # noqa: ARG002
        """Parse one question."""
        return _check_pair_count(parse_pairs(text), 1, 1)


def _check_pair_count(parsed: Parsed, least: int, most: int) -> Parsed:
    """Add a problem for a wrong number of pairs, unless there are other problems."""
    if parsed.problems or least <= len(parsed.pairs) <= most:
        return parsed
    return replace(parsed, problems=(f"not {least} pair" if most == 1 else f"not {least} to {most} pairs",))


def _read_records(path: str) -> Iterator[Any]:
    if Path(path).is_dir():
        files = sorted(Path(path).glob("captions_*.json"))
        if not files:
            raise InputError(f"{path}: no captions_*.json in this folder")
        for file in files:
            yield from _coco_records(file)
        return
    start = read_beginning(path)
    if _COCO_FILE.match(start):
        yield from _coco_records(Path(path))
    else:
        yield from read_jsonl(path) if start.startswith("{") else read_json(path)


def _instances_file(captions: Path) -> Path:
    """Return the file of the boxes, which is in the folder of the captions."""
    return captions.with_name(captions.name.replace("captions", "instances", 1))


def _coco_records(captions: Path) -> Iterator[Mapping[str, object]]:
    """Convert COCO's own files to records with captions and boxes, as fractions of the image with three decimals."""
    instances = _instances_file(captions)
    sizes = {field(image, "id", int): _image_size(image) for _, image in read_json_lists(captions, "images")}
    coco = Coco(captions, instances, wanted=sizes)
    for image, (width, height) in sizes.items():
        yield {
            "id": str(image),
            "captions": coco.captions(image),
            "instances": [
                {"category": category, "bbox": _relative_box(box, width, height)} for category, box in coco.boxes(image)
            ],
        }


def _image_size(image: Any) -> tuple[int, int]:
    width, height = field(image, "width", int), field(image, "height", int)
    if width < 1 or height < 1:
        raise record_error(f"an image of {width} x {height} pixels")
    return width, height


def _relative_box(box: Sequence[float], width: int, height: int) -> list[float]:
    """Convert x, y, width and height in pixels to left, top, right and bottom as fractions of the image."""
    x, y, wide, high = box
    corners = (x / width, y / height, (x + wide) / width, (y + high) / height)
    return [round(min(max(corner, 0.0), 1.0), 3) for corner in corners]


def _image_id(record: Any) -> str:
    number = field(record, "id", str)
    if not re.fullmatch(r"\d{1,12}", number):
        raise record_error(f'"id" must be the number of a COCO image, this is {number!r:.60}')
    return f"{number:0>12}"


def _image_key(image: str) -> str:
    return f"LA_IMG_{image}"


def _box_lines(record: Any) -> list[str]:
    """Return an empty line and one line per box, or nothing if there are no boxes."""
    lines = []
    for instance in field(record, "instances", list):
        box = field(instance, "bbox", list)
        if len(box) != 4 or not all(type(share) in (int, float) and 0 <= share <= 1 for share in box):
            raise record_error('"bbox" must be four shares of width and height, from 0 to 1')
        lines.append(f"{field(instance, 'category', str)}: {json.dumps(box)}")
    return ["", *lines] if lines else []


def _read_rounds(record: Any) -> list[Pair]:
    """Return the rounds of a conversation, without the image placeholder."""
    turns = field(record, "conversations", list)
    utterances = [field(turn, "value", str).strip().replace("<image>", "").strip() for turn in turns]
    speakers = [field(turn, "from", str) for turn in turns]
    if not turns or speakers != ["human", "gpt"] * (len(turns) // 2):
        raise record_error('"conversations" must be turns of human and gpt, in this order')
    if not all(utterances):
        raise record_error('"conversations" holds an empty turn')
    return [Pair(question, answer) for question, answer in zip(utterances[::2], utterances[1::2], strict=True)]
