"""Writes the dataset card: a README.md with the origin of the data, how to train with it, and front matter for the Hub.

Source: "Dataset cards" in the Hub's documentation. The front matter has one key of our own, `pairs`: `verify` compares
it with the files, and `push` recognizes by it a folder that `export` has written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import yaml

from syphus.errors import InputError
from syphus.formats.judge_lines import calibration_lines, judged_line
from syphus.formats.registry import Format
from syphus.formats.report import Report
from syphus.formats.reviewed_pairs import Reviewed
from syphus.io.durable import replace_file
from syphus.io.text_files import read_text
from syphus.ledger.reviewed import ReviewCounts
from syphus.model_names import is_simulated, public_name
from syphus.plugins.contract import AbstractDataset, plugin_name
from syphus.text import format_dollars, pluralize
from syphus.types import State

CARD_FILE = "README.md"
SIMULATED_TAG = "simulated"  #: the tag of data that no model wrote
PAIRS_KEY = "pairs"  #: our own key: the number of pairs
IMAGES_KEY = (
    "images"  #: our own key, if there are images: whether they are "files" or "bytes" in the files of the pairs
)
REVIEWS_KEY = "reviews"  #: our own key, if people have reviewed the run: their decisions by kind

ENGLISH = "en"
_MAX_BYTES = 1 << 20  # of a card to read
_SHOWN = 6  # files
_SIMULATED_TRANSLATIONS = "**Simulated translations: no model wrote them, and they are worthless for training.**\n"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
          (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"))  # fmt: skip
# The identifiers that the Hub takes: https://huggingface.co/docs/hub/repositories-licenses, looked up 2026-11-30.
_HUB_LICENCES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m afl-3.0
artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0
cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0
epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research
intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0 openrail++ osl-3.0 postgresql
ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1
llama3.2 llama3.3 llama4 grok2-community gemma unknown other
"""


class LanguageFiles(NamedTuple):
    """The files of one language by split, the main file first, and the number of pairs in them."""

    files: Mapping[str, Sequence[str]]
    pairs: int
    translators: Sequence[str] = ()  #: the models that translated them, as the server names them


class CardContents(NamedTuple):
    """What lies beside a card: the name of the format, its files by split, and the number of pairs in them."""

    name: str
    form: Format
    files: Mapping[str, Sequence[str]]  #: the main file first; the split is "" if there is only one
    pairs: int
    has_images: bool = False
    translations: Mapping[str, LanguageFiles] = {}  #: by the code of the language; the files above are English
    reviews: ReviewCounts | None = None  #: what people decided about the pairs of the run
    reviewed: Reviewed | None = None  #: which of them are here

    @property
    def languages(self) -> dict[str, LanguageFiles]:
        """The files by language, English first."""
        return {ENGLISH: LanguageFiles(self.files, self.pairs), **self.translations}

    @property
    def has_simulated_translations(self) -> bool:
        """Whether the simulated endpoint made up any of the translations."""
        return any(is_simulated(model) for each in self.translations.values() for model in each.translators)

    @property
    def all_files(self) -> list[str]:
        """All files, each once."""
        every = (files for each in self.languages.values() for files in each.files.values())
        return list(dict.fromkeys(file for files in every for file in files))


def write_card(folder: Path, plugin: type[AbstractDataset], report: Report, contents: CardContents) -> None:
    """Write the card of one format. Raises `StorageError` if the disk fails."""
    matter = yaml.safe_dump(
        _front_matter(folder, plugin, report, contents), sort_keys=False, allow_unicode=True, width=120
    )
    parts = [f"---\n{matter}---\n", f"# {plugin_name(plugin)}\n", *_paragraphs(plugin, report, contents)]
    with replace_file(folder / CARD_FILE) as file:
        file.write("\n".join(parts).encode())


def read_front_matter(card: Path) -> dict[str, object]:
    """Read the front matter of a card by any author; {} if there is none or it can't be read."""
    with suppress(InputError, yaml.YAMLError):
        before, _, rest = read_text(card, _MAX_BYTES).partition("---\n")
        matter = yaml.safe_load(rest.partition("\n---")[0]) if not before else None
        return matter if isinstance(matter, dict) else {}
    return {}


def _front_matter(
    folder: Path, plugin: type[AbstractDataset], report: Report, contents: CardContents
) -> dict[str, object]:
    pairs, simulated = contents.pairs, report.simulated or contents.has_simulated_translations
    size = next((name for limit, name in _SIZES if pairs < limit), "n>100M")
    matter: dict[str, object] = {"pretty_name": plugin_name(plugin), **_licence(plugin.licence, plugin.homepage)}
    if contents.translations:
        matter["language"] = list(contents.languages)
    matter["task_categories"] = ["visual-question-answering"]
    matter["tags"] = ["mimic-it", "synthetic", *([SIMULATED_TAG] if simulated else [])]
    matter["size_categories"] = [size]
    if contents.form.tabular:
        configs, sizes = zip(*_configs(folder, contents), strict=True)
        matter["configs"] = list(configs)
        matter["dataset_info"] = list(sizes) if contents.translations else sizes[0]
    else:
        matter["viewer"] = False
    if contents.reviews:
        chosen = {"exported": contents.reviewed.value} if contents.reviewed else {}
        matter[REVIEWS_KEY] = {**contents.reviews.as_json(), **chosen}
    return {**matter, PAIRS_KEY: pairs, **({IMAGES_KEY: contents.form.images} if contents.has_images else {})}


def _configs(folder: Path, contents: CardContents) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    """Yield for each language which files `datasets` loads, and their size; English is the default.

    `datasets` knows a folder by its card alone: without a number of its own, it would load the files that another
    folder of this name had before, out of its cache.
    """
    for code, language in contents.languages.items():
        name = code if contents.translations else "default"
        default = {"default": True} if contents.translations and code == ENGLISH else {}
        data = [{"split": split or "train", "path": _pattern(files)} for split, files in language.files.items()]
        files = dict.fromkeys(file for each in language.files.values() for file in each)
        size = sum((folder / file).stat().st_size for file in files)
        yield {"config_name": name, **default, "data_files": data}, {"config_name": name, "download_size": size}


def _pattern(files: Sequence[str]) -> str:
    """Return the path of the data files: the main file, or a pattern of all its numbered parts."""
    return re.sub(r"-\d{5}-of-\d{5}\.", "-*.", files[0])


def _licence(licence: str, homepage: str) -> dict[str, object]:
    """Return a licence as the Hub accepts it: one that it knows, or the name of another, as an identifier."""
    name = re.sub(r"[^a-z0-9.+]+", "-", licence.lower()).strip("-.")
    if not licence:
        return {}
    if name in _HUB_LICENCES.split():
        return {"license": name}
    link = {"license_link": homepage} if homepage.startswith(("https://", "http://")) else {}
    return {"license": "other", "license_name": name or "custom", **link}


def _paragraphs(plugin: type[AbstractDataset], report: Report, contents: CardContents) -> list[str]:
    warning = "**Simulated data: no model wrote these pairs, and they are worthless for training.**\n"
    all_files = contents.all_files
    names = ", ".join(f"`{name}`" for name in all_files[:_SHOWN]) + (", ..." if len(all_files) > _SHOWN else "")
    split, files = next(iter(contents.files.items()))
    training = _how_to_train(contents.name, files, split)
    return [
        f"{plugin.description}\n",
        *([warning] if report.simulated else []),
        *([_SIMULATED_TRANSLATIONS] if contents.has_simulated_translations else []),
        f"Instruction-response pairs about images. {names}: {contents.form.description}.\n",
        _facts(report, contents),
        *(["## Train with it\n", f"{training}\n"] if training else []),
        *([_translated_files(contents)] if contents.translations else []),
        *_prompts(report),
        "## Source\n",
        f"- Homepage: {plugin.homepage or 'not stated'}",
        f"- Licence of the source: {plugin.licence or 'not stated; ask the source before you share this data'}\n",
        *([f"```bibtex\n{plugin.citation.strip()}\n```\n"] if plugin.citation else []),
    ]


def _facts(report: Report, contents: CardContents) -> str:
    counts, newest = report.counts, report.settings[-1] if report.settings else {}
    others = [f"{counts.states[state]:,} {state}" for state in State if state is not State.OK and counts.states[state]]
    models = [
        f"`{public_name(use.model)}` ({pluralize(use.answers, 'answer')})"
        for use in report.spending.models
        if use.stage == report.stage
    ]
    usage, accepted = report.spending.usage, report.accepted.line()
    errors = [line.strip() for line in calibration_lines(report.calibration)] if report.calibration else []
    rows = {
        "Pairs": f"{contents.pairs:,}",
        **({"Splits": ", ".join(contents.files)} if len(contents.files) > 1 else {}),
        "Queries": ", ".join([f"{counts.states[State.OK]:,} ok", *others]),
        "Models": ", ".join(models) or "none: the source already has the pairs",
        **({"Reviews": contents.reviews.line()} if contents.reviews else {}),
        **({"Chosen": _CHOSEN[contents.reviewed]} if contents.reviewed else {}),
        **({"Judge": judged_line(report.judged)} if report.judged else {}),
        **({"Errors of the judge": "; ".join(errors)} if errors else {}),
        "Prompt": f"`{newest.get('prompt', '')}`",
        "Tokens": f"{usage.prompt_tokens:,} in, {usage.completion_tokens:,} out",
        "Cost": "unknown" if report.cost is None else format_dollars(report.cost),
        **({"Each accepted pair": accepted.removeprefix("Each accepted pair: ")} if accepted else {}),
        "Simulated": "yes" if report.simulated else "no",
        "Made with": ", ".join(sorted({f"Syphus {session.version}" for session in report.sessions})),
    }
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows.items())


_CHOSEN = {
    Reviewed.ACCEPTED: "only pairs that reviewers accepted, with their edits",
    Reviewed.NOT_REJECTED: "all pairs but those that reviewers rejected, with their edits",
    Reviewed.EDITED: "only pairs that reviewers edited",
}


def _translated_files(contents: CardContents) -> str:
    """Return how to load another language than English."""
    lines = ["## Languages\n", "Ids, splits and images are the same in all languages.\n"]
    if contents.form.tabular:
        lines.append('With `datasets`, name the language: `load_dataset("FOLDER", "CODE")`.\n')
    lines += ["| | pairs | files | translated by |", "|---|---|---|---|"]
    for code, each in contents.languages.items():
        models = ", ".join(f"`{public_name(model)}`" for model in each.translators)
        lines.append(f"| {code} | {each.pairs:,} | {_main_files(each)} | {models} |")
    return "\n".join([*lines, ""])


def _main_files(language: LanguageFiles) -> str:
    return ", ".join(f"`{_pattern(files)}`" for files in language.files.values() if files)


def _prompts(report: Report) -> list[str]:
    """Show each prompt of the sessions in full; nothing if no model was asked."""
    parts = []
    prompts = {each["prompt"]: each["prompt_text"] for each in report.settings if report.models}
    for digest, prompt in prompts.items():
        assert isinstance(prompt, dict)
        turns = [{"role": "system", "content": prompt["system_message"]}, *prompt["in_context"]]
        parts.append(f"## Prompt `{digest}`\n")
        parts += [f"{turn['role']}:\n\n{_fenced(turn['content'])}" for turn in turns if turn["content"]]
    return parts


def _fenced(text: str) -> str:
    """Fence a text so that fences inside it do no harm."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}\n"


# How to train with each format. docs/formats.md says which lines were run on exports, and with which version.
_LLAVA = """
FOLDER is this folder, wherever it lies.

| trainer | how to use the file |
|---|---|
| LLaVA (one image a row), LLaVA-NeXT | `--data_path FOLDER/{file} --image_folder FOLDER` |
| LLaMA-Factory | `dataset_dir: FOLDER` and `dataset: {stem}`; `dataset_info.json` has the entry |
| ms-swift | `ROOT_IMAGE_DIR=FOLDER swift sft --dataset FOLDER/{file} ...` |
| Qwen-VL (qwen-vl-finetune) | the entry below in `data_dict` of `qwenvl/data/__init__.py`, and `--dataset_use {stem}` |

```python
"{stem}": {{"annotation_path": "FOLDER/{file}", "data_path": "FOLDER"}},
```
"""

_ALPACA = """
FOLDER is this folder, wherever it lies.

| trainer | how to use the file |
|---|---|
| LLaMA-Factory | `dataset_dir: FOLDER` and `dataset: {stem}`; `dataset_info.json` has the entry |
| ms-swift | `ROOT_IMAGE_DIR=FOLDER swift sft --dataset FOLDER/{file} ...` |
"""

_CHAT = """
```python
from openai import OpenAI

client = OpenAI()
file = client.files.create(file=open("{file}", "rb"), purpose="fine-tune")
client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-2024-08-06")
```
"""

_TRL = """
```python
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

data = load_dataset("FOLDER")  # this folder, or this repository on the Hub
trainer = SFTTrainer("MODEL", args=SFTConfig(max_length=None), train_dataset=data["{split}"])
trainer.train()
```

`max_length=None` keeps TRL from cutting off the tokens of an image.
"""

_INTERNVL = """
Start `internvl_chat_finetune.py` in this folder, with `--meta_path {second}`: InternVL opens the paths in that file
as they are, and they are relative to this folder. To start it elsewhere, write the path of this folder in front of
`root` and `annotation`.
"""

_AXOLOTL = """
```yaml
processor_type: AutoProcessor
skip_prepare_dataset: true
remove_unused_columns: false
sample_packing: false
datasets:
  - path: {file}
    ds_type: json
    type: chat_template
```

Start `axolotl train` in this folder, because the paths of the images are relative to it.
"""

_WEBDATASET = """
```python
import webdataset as wds

data = wds.WebDataset("FOLDER/{shards}", shardshuffle=False).decode("pil")
```

Each sample has `json`, a conversation, and its images under the names that `json["image"]` lists.
"""

_PARQUET = """
```python
from datasets import load_dataset

data = load_dataset("FOLDER")["{split}"]
```

A row is a pair; the format `trl` has conversations for training.
"""

_MIMICIT = """
`syphus mix FOLDER --output data.yaml` writes the data file of Otter's loader; `syphus verify FOLDER` checks the files.
"""

_TEXTS = {
    "mimicit": _MIMICIT,
    "llava": _LLAVA,
    "chat": _CHAT,
    "alpaca": _ALPACA,
    "parquet": _PARQUET,
    "trl": _TRL,
    "internvl": _INTERNVL,
    "axolotl": _AXOLOTL,
    "webdataset": _WEBDATASET,
}


def _how_to_train(name: str, files: Sequence[str], split: str) -> str:
    """Return what the card of a format says, for the files of its first split, the main file first; "" if unknown."""
    main = PurePosixPath(files[0])
    shards = main.name
    if len(files) > 1:
        shards = f"{main.stem[:-6]}{{{main.stem[-6:]}..{PurePosixPath(files[-1]).stem[-6:]}}}{main.suffix}"
    text = _TEXTS.get(name, "")
    second = files[1] if len(files) > 1 else ""
    return text.strip("\n").format(file=main, stem=main.stem, second=second, shards=shards, split=split or "train")
