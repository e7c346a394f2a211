"""LLaVA-Instruct on COCO: conversations, detailed descriptions and complex reasoning.

Each takes three kinds of input, told apart by their shape:

- LLaVA-Instruct itself (`conversation_58k.json`, `detail_23k.json`, `complex_reasoning_77k.json`): its pairs are taken
  over, and no model is asked.
- An array or JSON Lines of images with captions and boxes, as LLaVA's evaluation has them: boxes are
  `[left, top, right, bottom]`, as shares of width and height.
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
from syphus.cleaning import Rule, no_boxes
from syphus.errors import InputError
from syphus.io.coco import CITATION, Coco, coco_files
from syphus.io.records import read_beginning, read_json_lists, record_error
from syphus.parsing import parse_pairs, parse_plain_text
from syphus.plugins.stable_choice import choose_stably
from syphus.selection import things_of_the_annotation

_COCO_FILE = re.compile(r"\{\s*\"(?:info|licenses|images|annotations|categories|type)\"")

DESCRIBE = (
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
    """What the three have in common: the input, and the images."""

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
    with_boxes = True  #: does the model get to see the boxes besides the captions?

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """One query an image, by COCO's number in twelve digits."""
        for record in _records(path):
            image = _image(record)
            row = {"id": image, "image_ids": [_image_key(image)]}
            if "conversations" in record:
                pairs = self.taken(_rounds(record))
                yield {**row, "sentences": [t for p in pairs for t in (p.instruction, p.answer)], "pairs": pairs}
            else:
                yield {**row, "sentences": texts(record, "captions") + (_boxes(record) if self.with_boxes else [])}

    def _also_reads(self, path: str) -> list[Path]:
        return [_instances(Path(path))] if _COCO_FILE.match(read_beginning(path)) else []

    def _load_images(self, path: str) -> Iterator[Still]:
        """COCO's photos: those of a folder; or those that a JSON file names, LLaVA-Instruct or an object whose keys are
        COCO's numbers, in the folder `--image_root`.
        """
        if Path(path).is_dir():
            yield from (Still(_image_key(f"{image:012}"), file) for image, file in coco_files(path))
        elif read_beginning(path).startswith("{") and not _COCO_FILE.match(read_beginning(path)):
            yield from (Still(_image_key(f"{key:0>12}"), f"{key:0>12}.jpg") for key, _ in read_json_items(path))
        else:
            images = dict.fromkeys(_image(record) for record in _records(path))  # several conversations may share one
            yield from (Still(_image_key(image), f"{image}.jpg") for image in images)

    @abstractmethod
    def taken(self, rounds: Sequence[Pair]) -> Sequence[Pair]:
        """Which rounds of a LLaVA-Instruct conversation are this dataset's."""

    def instruction_id(self, query: Query, number: int) -> str:  # noqa: ARG002  there is one pair
        """By the image alone, as the original has it."""
        return f"{self.short_name}_INS_{query.id}"

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:  # noqa: ARG002
        """Nothing: there is one pair."""
        return ()


class LlavaConversation(_Llava):
    """LLaVA-Instruct, conversations: questions and answers about one COCO image, in rounds."""

    short_name = "LACONV"
    prompt = "llava_conversation"
    with_boxes = False
    train = Train("last rounds", last=2)

    def taken(self, rounds: Sequence[Pair]) -> Sequence[Pair]:
        """All of them."""
        return rounds

    def parse_response(self, text: str, query: Query) -> Parsed:  # noqa: ARG002
        """Two rounds at least; a conversation that is taken over may have one."""
        return _counted(parse_pairs(text), 2, 12)

    def instruction_id(self, query: Query, number: int) -> str:
        """By the image and the round, from 0."""
        return f"LACONV_INS_{query.id}_{number - 1}"

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:  # noqa: ARG002
        """The earlier rounds, the first of them first."""
        return list(range(1, number))


class LlavaDetail(_Llava):
    """LLaVA-Instruct, detailed descriptions of COCO images."""

    short_name = "LADD"
    prompt = "llava_detail"
    rules = (*_Llava.rules, things_of_the_annotation)

    def taken(self, rounds: Sequence[Pair]) -> Sequence[Pair]:
        """The only one."""
        if len(rounds) > 1:
            raise record_error(f"{len(rounds)} rounds, where a description has one")
        return rounds

    def parse_response(self, text: str, query: Query) -> Parsed:
        """The answer is the description; the instruction is one of ours, always the same for an image."""
        read = parse_plain_text(text)
        if read.problems:
            return Parsed((), read.problems, read.notes)
        return Parsed((Pair(choose_stably(DESCRIBE, 1, query.id)[0], read.text),), (), read.notes)


class LlavaReasoning(_Llava):
    """LLaVA-Instruct, complex reasoning about COCO images: one question, and an answer that argues."""

    short_name = "LACR"
    prompt = "llava_reasoning"
    set_names: Mapping[str, str] = {"nearest by text": "LACR_T2T", "nearest by image": "LACR_I2I"}
    train = Train("every", first=2)

    def taken(self, rounds: Sequence[Pair]) -> Sequence[Pair]:
        """The first."""
        return rounds[:1]

    def parse_response(self, text: str, query: Query) -> Parsed:  # noqa: ARG002
        """One question."""
        return _counted(parse_pairs(text), 1, 1)


def _counted(parsed: Parsed, least: int, most: int) -> Parsed:
    """An answer with another number of pairs has a problem, if it has no other yet."""
    if parsed.problems or least <= len(parsed.pairs) <= most:
        return parsed
    return replace(parsed, problems=(f"not {least} pair" if most == 1 else f"not {least} to {most} pairs",))


def _records(path: str) -> Iterator[Any]:
    if Path(path).is_dir():
        files = sorted(Path(path).glob("captions_*.json"))
        if not files:
            raise InputError(f"{path}: no captions_*.json in this folder")
        for file in files:
            yield from _from_coco(file)
        return
    start = read_beginning(path)
    if _COCO_FILE.match(start):
        yield from _from_coco(Path(path))
    else:
        yield from read_jsonl(path) if start.startswith("{") else read_json(path)


def _instances(captions: Path) -> Path:
    """The file of the boxes, which lies beside that of the captions."""
    return captions.with_name(captions.name.replace("captions", "instances", 1))


def _from_coco(captions: Path) -> Iterator[Mapping[str, object]]:
    """COCO's own files in the other shape: boxes as shares of the image, in three decimals."""
    instances = _instances(captions)
    sizes = {field(image, "id", int): _size(image) for _, image in read_json_lists(captions, "images")}
    coco = Coco(captions, instances, wanted=sizes)
    for image, (width, height) in sizes.items():
        yield {
            "id": str(image),
            "captions": coco.captions(image),
            "instances": [
                {"category": category, "bbox": _shares(box, width, height)} for category, box in coco.boxes(image)
            ],
        }


def _size(image: Any) -> tuple[int, int]:
    width, height = field(image, "width", int), field(image, "height", int)
    if width < 1 or height < 1:
        raise record_error(f"an image of {width} x {height} pixels")
    return width, height


def _shares(box: Sequence[float], width: int, height: int) -> list[float]:
    """From x, y, width and height in pixels to left, top, right and bottom as shares of the image."""
    x, y, wide, high = box
    corners = (x / width, y / height, (x + wide) / width, (y + high) / height)
    return [round(min(max(corner, 0.0), 1.0), 3) for corner in corners]


def _image(record: Any) -> str:
    number = field(record, "id", str)
    if not re.fullmatch(r"\d{1,12}", number):
        raise record_error(f'"id" must be the number of a COCO image, this is {number!r:.60}')
    return f"{number:0>12}"


def _image_key(image: str) -> str:
    return f"LA_IMG_{image}"


def _boxes(record: Any) -> list[str]:
    """An empty line, and a line for each box; nothing where there is none."""
    lines = []
    for instance in field(record, "instances", list):
        box = field(instance, "bbox", list)
        if len(box) != 4 or not all(type(share) in (int, float) and 0 <= share <= 1 for share in box):
            raise record_error('"bbox" must be four shares of width and height, from 0 to 1')
        lines.append(f"{field(instance, 'category', str)}: {json.dumps(box)}")
    return ["", *lines] if lines else []


def _rounds(record: Any) -> list[Pair]:
    """The rounds of a conversation, without the mark of the image."""
    turns = field(record, "conversations", list)
    said = [field(turn, "value", str).strip().replace("<image>", "").strip() for turn in turns]
    speakers = [field(turn, "from", str) for turn in turns]
    if not turns or speakers != ["human", "gpt"] * (len(turns) // 2):
        raise record_error('"conversations" must be turns of human and gpt, in this order')
    if not all(said):
        raise record_error('"conversations" holds an empty turn')
    return [Pair(question, answer) for question, answer in zip(said[::2], said[1::2], strict=True)]
