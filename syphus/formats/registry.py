"""The formats that a run can be exported in, in one place: `export FOLDER --format NAME`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from syphus.formats.alpaca import write_alpaca
from syphus.formats.chat import write_chat
from syphus.formats.llava import write_llava
from syphus.formats.mimicit.writer import write_mimicit
from syphus.formats.parquet import write_parquet
from syphus.formats.source import ExportSource


class Format(NamedTuple):
    """`write` leaves the files in a folder and returns their names; `about` tells a person what they are.

    `tabular`: whether `datasets.load_dataset` makes a table of the first of them.
    """

    write: Callable[[Path, ExportSource], tuple[str, ...]]
    description: str
    tabular: bool = True


FORMATS: dict[str, Format] = {
    "mimicit": Format(write_mimicit, "MIMIC-IT, as Otter's loaders open it", tabular=False),
    "llava": Format(write_llava, "conversations as LLaVA and ShareGPT have them, a JSON array"),
    "chat": Format(write_chat, "OpenAI's fine-tuning format, JSON Lines; images are named in the text"),
    "alpaca": Format(write_alpaca, "instruction, input and output, JSON Lines; the input names the images"),
    "parquet": Format(write_parquet, "one row a pair: id, instruction, answer, image_ids, rel_ins_ids, query, model, "
                      "simulated"),
}  # fmt: skip
