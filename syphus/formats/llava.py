r"""The LLaVA format, which ShareGPT shares: one JSON array, one conversation per line.

    [{"id": "SD_INS_00058_67c0ba_1", "image": ["images/SD_IMG_00058_1.jpg", "images/SD_IMG_00058_2.jpg"],
      "conversations": [{"from": "human", "value": "<image>\n<image>\nWhich vehicle ...?"},
                        {"from": "gpt", "value": "A second motorcycle ..."}]}]

Source: `docs/Finetune_Custom_Data.md` and `llava/train/train.py` of haotian-liu/LLaVA, where the first human turn has
one `<image>` for each image. LLaVA-NeXT allows a list of images. LLaMA-Factory finds the file by `dataset_info.json`.

InternVL reads the same rows as JSON Lines, and finds them by a "meta" file (`internvl_chat_finetune.py`), whose paths
are relative to the folder in which the training starts: its loader opens them as they are.

WebDataset shards: `XX-000000.tar`, ..., with one sample per conversation.

    SD_INS_00058_67c0ba_1.json     {"id": "SD_INS_00058_67c0ba_1", "image": ["0.jpg", "1.jpg"], "conversations": [...]}
    SD_INS_00058_67c0ba_1.0.jpg
    SD_INS_00058_67c0ba_1.1.jpg

The JSON is a row of the LLaVA format, with the members of the sample in place of paths. If no pair of the dataset has
several images, the image is `SD_INS_00058_67c0ba_1.jpg`. A key ends at the first dot of a name, so that keys have none.
Source: "The WebDataset Format" in webdataset's documentation; `tariterators.py`, `group_by_keys`. The same input gives
the same bytes: owners and times are 0.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from syphus.formats.export_images import SafeNames, image_suffix
from syphus.formats.mimicit.ids import check_unique
from syphus.formats.source import IMAGE_MARK, VIDEO_MARK, ExportSource, turns
from syphus.io.durable import replace_file, storage_faults
from syphus.ledger.results import conversations
from syphus.ledger.serialization import StoredPair

_SHARD_BYTES = 500_000_000
DATASET_INFO = "dataset_info.json"  #: the file in which LLaMA-Factory looks a dataset up


def write_llava(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Write `XX_llava.json` and `dataset_info.json` in UTF-8; return their names.

    Raises `RunError` if two pairs have the same id, `StorageError` if the disk fails.
    """
    name = source.file_name("llava", ".json")
    columns = {"id"}
    with replace_file(folder / name) as file:
        separator = b"[\n"
        for row in llava_rows(source):
            columns |= row.keys()
            file.write(separator + orjson.dumps(row))
            separator = b",\n"
        file.write(b"\n]\n" if separator == b",\n" else b"[]\n")
    known = {"messages": "conversations", "images": "image", "videos": "video", "system": "system"}
    used = {role: column for role, column in known.items() if column in columns or role == "messages"}
    _add_to_info(folder, name, {"formatting": "sharegpt", "columns": used})
    return name, DATASET_INFO


def write_internvl(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Write `XX_internvl.jsonl`, and the meta file that names it; return their names. Raises as `write_llava` does."""
    name, rows = source.file_name("internvl", ".jsonl"), 0
    with replace_file(folder / name) as file:
        for row in llava_rows(source):
            if system := row.pop("system", None):
                row["conversations"] = [{"from": "system", "value": system}, *_turns_of(row)]
                if isinstance(image := row.get("image"), str):  # for text, the loader puts a token into the first turn
                    row["image"] = [image]
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            rows += 1
    meta_name = source.file_name("internvl_meta", ".json")
    meta = {"root": "./", "annotation": name, "data_augment": False, "repeat_time": 1, "length": rows}
    key = source.file_name("", "")
    with replace_file(folder / meta_name) as file:
        file.write(orjson.dumps({key: meta}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return name, meta_name


def llava_rows(source: ExportSource) -> Iterator[dict[str, object]]:
    """Yield the conversations: `id`, `image` or `video` if there is one, `system` if it is set, `conversations`."""
    max_images = source.max_images()
    system = {"system": source.system} if source.system else {}
    for result in check_unique(source.results()):
        media, marks = _media(source, result.image_ids, max_images)
        for pairs in conversations(result.pairs):
            spoken = conversation_turns(pairs, marks)
            yield {"id": pairs[0].id, **media, **system, "conversations": spoken, **source.edited(result, pairs)}


def _media(source: ExportSource, image_ids: Sequence[str], max_images: int) -> tuple[Mapping[str, object], str]:
    """Return the field of the media, and their tokens before the first question.

    `image` is text if no pair of the dataset has several images, otherwise always a list.
    """
    if not image_ids:
        return {}, ""
    if source.images and (video := source.images.video(image_ids)):
        return {"video": video}, f"{VIDEO_MARK}\n"
    images = list(map(source.images.path, image_ids)) if source.images else image_ids
    return {"image": images[0] if max_images == 1 else images}, f"{IMAGE_MARK}\n" * len(images)


def conversation_turns(pairs: Sequence[StoredPair], marks: str) -> list[dict[str, str]]:
    """Return the turns of a conversation, with the tokens of its media before the first question."""
    values = []
    for question, answer in turns(pairs):
        values += [{"from": "human", "value": marks + question}, {"from": "gpt", "value": answer}]
        marks = ""
    return values


def _turns_of(row: Mapping[str, object]) -> list[object]:
    turns_of_row = row["conversations"]
    assert isinstance(turns_of_row, list)
    return turns_of_row


def _add_to_info(folder: Path, name: str, entry: Mapping[str, object]) -> None:
    """Add a file to `dataset_info.json`, which other splits share. The dataset is called as the file."""
    path = folder / DATASET_INFO
    others = orjson.loads(path.read_bytes()) if path.is_file() else {}
    others[Path(name).stem] = {"file_name": name, **entry}
    with replace_file(path) as file:
        file.write(orjson.dumps(others, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_alpaca(folder: Path, source: ExportSource) -> tuple[str, ...]:
    r"""Write `XX_alpaca.jsonl` and `dataset_info.json` in UTF-8; return their names.

        {"instruction": "Which vehicle ...?", "input": "[image: SD_IMG_00058_1]\n[image: SD_IMG_00058_2]",
         "output": "A second motorcycle ..."}

    One pair per line, without its context. The input names the images, and is "" for a pair without images. With image
    files, it has one `<image>` for each, and `images` their paths, as LLaMA-Factory and ms-swift read them. Source:
    the README of tatsu-lab/stanford_alpaca. Raises `StorageError` if the disk fails.
    """
    name = source.file_name("alpaca", ".jsonl")
    system = {"system": source.system} if source.system else {}
    with replace_file(folder / name) as file:
        for result in source.results():
            images = {"images": list(map(source.images.path, result.image_ids))} if source.images else {}
            marks = "\n".join([IMAGE_MARK] * len(result.image_ids))
            shown = marks if source.images else source.placeholders(result.image_ids)
            for pair, (question, answer) in zip(result.pairs, turns(result.pairs), strict=True):
                line: dict[str, object] = {
                    "instruction": question,
                    "input": shown,
                    "output": answer,
                    **images,
                    **system,
                }
                line |= source.edited(result, [pair])
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    columns |= {"images": "images"} if source.images else {}
    _add_to_info(folder, name, {"columns": columns | {name: name for name in system}})
    return name, DATASET_INFO


def write_webdataset(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Write the shards; return their names.

    Raises `RunError` if two pairs have the same id, `StorageError` if the disk fails.
    """
    stem = source.file_name("", "").replace("_", "-")
    several = source.max_images() > 1
    system = {"system": source.system} if source.system else {}
    names = SafeNames()
    shards = _Shards(folder, stem)
    try:
        for result in check_unique(source.results()):
            images = [source.images.read(image_id) for image_id in result.image_ids] if source.images else []
            endings = map(image_suffix, images)
            members = [f"{n}{ending}" if several else ending[1:] for n, ending in enumerate(endings)]
            for pairs in conversations(result.pairs):
                shown = {"image": members} if members else {}
                spoken = conversation_turns(pairs, f"{IMAGE_MARK}\n" * len(images))
                row = {"id": pairs[0].id, **shown, **system, "conversations": spoken, **source.edited(result, pairs)}
                key = names.find(pairs[0].id) or names.add(pairs[0].id, "", pairs[0].id.replace(".", ":"))
                shards.add(key, orjson.dumps(row), list(zip(members, images, strict=True)))
    finally:
        shards.close()
        names.close()
    return tuple(shards.names)


class _Shards:
    """Tar files that are written one after another."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._folder = folder
        self._stem = stem
        self._tar: tarfile.TarFile | None = None
        self._bytes = 0
        self.names: list[str] = []

    def add(self, key: str, row: bytes, members: Sequence[tuple[str, bytes]]) -> None:
        """Add a sample. A sample is never in two shards."""
        with storage_faults(self._folder):
            if self._tar is None:
                self.names.append(f"{self._stem}-{len(self.names):06}.tar")
                self._tar = tarfile.TarFile(self._folder / self.names[-1], "w", format=tarfile.PAX_FORMAT)
            for ending, data in (("json", row), *members):
                entry = tarfile.TarInfo(f"{key}.{ending}")
                entry.size = len(data)
                self._tar.addfile(entry, io.BytesIO(data))
                self._bytes += len(data)
        if self._bytes >= _SHARD_BYTES:
            self.close()

    def close(self) -> None:
        """Finish the present shard."""
        if self._tar is not None:
            with storage_faults(self._folder):
                self._tar.close()
        self._tar, self._bytes = None, 0
