"""How each format of `export FOLDER --format NAME` is written.

CONTRIBUTING.md, "Add an export format", has the steps to add one, with a complete example.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from syphus.formats.chat import write_axolotl, write_chat
from syphus.formats.llava import write_alpaca, write_internvl, write_llava, write_webdataset
from syphus.formats.mimicit.writer import write_mimicit
from syphus.formats.parquet import write_parquet, write_trl
from syphus.formats.source import ExportSource


class Format(NamedTuple):
    """A format. `write` writes its files into a folder, and returns their names, the main file first.

    `description` is a phrase for people. `images` says how it holds them: as files beside it, with which it can have
    videos, too, or inside it as bytes. `tabular` says whether `datasets.load_dataset` can load the main file as a
    table; `needs_pyarrow` whether to refuse the export early without pyarrow, `needs_images` whether to refuse it
    early for pairs with images but without `--images`.
    """

    write: Callable[[Path, ExportSource], tuple[str, ...]]
    description: str
    images: Literal["files", "bytes"] = "files"
    tabular: bool = True
    needs_pyarrow: bool = False
    needs_images: bool = False


#: By the names in `FORMAT_NAMES`, in the same order.
FORMATS: dict[str, Format] = {
    "mimicit": Format(write_mimicit, "MIMIC-IT, for Otter's loaders", "bytes", tabular=False),
    "llava": Format(write_llava, "LLaVA and ShareGPT conversations, a JSON array"),
    "chat": Format(write_chat, "OpenAI's fine-tuning format, JSON Lines", "bytes"),
    "alpaca": Format(write_alpaca, "instruction, input and output, JSON Lines; the input stands for the images"),
    "parquet": Format(
        write_parquet,
        "one row per pair: id, instruction, answer, image_ids, rel_ins_ids, query_id, model, simulated",
        "bytes",
        needs_pyarrow=True,
    ),
    "trl": Format(
        write_trl,
        "one row per conversation: id, query_id, messages, images",
        "bytes",
        needs_pyarrow=True,
        needs_images=True,
    ),
    "internvl": Format(write_internvl, "InternVL's conversations, JSON Lines", needs_images=True),
    "axolotl": Format(write_axolotl, "messages whose content is a list of parts, JSON Lines", needs_images=True),
    "webdataset": Format(
        write_webdataset,
        "WebDataset shards, a JSON and its images per sample",
        "bytes",
        tabular=False,
        needs_images=True,
    ),
}

#: The format for each trainer and loader, by the names that people look for; docs/formats.md has the table.
TRAINERS = {
    **dict.fromkeys(("llava-next", "qwen-vl", "llama-factory", "ms-swift", "sharegpt", "lmms-finetune"), "llava"),
    **dict.fromkeys(("openai", "together", "fireworks"), "chat"),
    **dict.fromkeys(("datasets", "unsloth", "huggingface", "hub"), "trl"),
    "otter": "mimicit",
    "energon": "webdataset",
}
