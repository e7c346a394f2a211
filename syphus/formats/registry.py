"""How each format of `export FOLDER --format NAME` is written.

CONTRIBUTING.md, "Add an export format", has the steps to add one, with a complete example.
"""

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
    """A format. `write` writes its files into a folder, and returns their names, the main file first.

    `description` is a phrase for people. `tabular` says whether `datasets.load_dataset` can load the main file as a
    table, `needs_pyarrow` whether to refuse the export early without pyarrow.
    """

    write: Callable[[Path, ExportSource], tuple[str, ...]]
    description: str
    tabular: bool = True
    needs_pyarrow: bool = False


#: By the names in `FORMAT_NAMES`, in the same order.
FORMATS: dict[str, Format] = {
    "mimicit": Format(write_mimicit, "MIMIC-IT, for Otter's loaders", tabular=False),
    "llava": Format(write_llava, "LLaVA and ShareGPT conversations, a JSON array"),
    "chat": Format(write_chat, "OpenAI's fine-tuning format, JSON Lines; the text names the images"),
    "alpaca": Format(write_alpaca, "instruction, input and output, JSON Lines; the input names the images"),
    "parquet": Format(
        write_parquet,
        "one row per pair: id, instruction, answer, image_ids, rel_ins_ids, query_id, model, simulated",
        needs_pyarrow=True,
    ),
}
