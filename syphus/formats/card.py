"""Writes the dataset card: a README.md with the origin of the data, and with front matter for the Hugging Face Hub.

Source: "Dataset cards" in the Hub's documentation. The front matter has one key of our own, `pairs`: `verify` compares
it with the files, and `push` recognizes by it a folder that `export` has written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from syphus.errors import InputError
from syphus.formats.registry import Format
from syphus.formats.report import Report
from syphus.io.durable import replace_file
from syphus.io.text_files import read_text
from syphus.model_names import public_name
from syphus.plugins.contract import AbstractDataset, plugin_name
from syphus.text import format_dollars, pluralize
from syphus.types import State

CARD_FILE = "README.md"
SIMULATED_TAG = "simulated"  #: the tag of data that no model wrote
PAIRS_KEY = "pairs"  #: our own key: the number of pairs

_MAX_BYTES = 1 << 20  # of a card to read
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


def write_card(
    folder: Path, plugin: type[AbstractDataset], report: Report, file_format: Format, files: Sequence[str]
) -> None:
    """Write the card beside the `files` of one format. Raises `StorageError` if the disk fails."""
    matter = yaml.safe_dump(
        _front_matter(plugin, report, file_format, files), sort_keys=False, allow_unicode=True, width=120
    )
    parts = [f"---\n{matter}---\n", f"# {plugin_name(plugin)}\n", *_paragraphs(plugin, report, file_format, files)]
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
    plugin: type[AbstractDataset], report: Report, file_format: Format, files: Sequence[str]
) -> dict[str, object]:
    pairs = report.counts.pairs
    size = next((name for limit, name in _SIZES if pairs < limit), "n>100M")
    matter: dict[str, object] = {"pretty_name": plugin_name(plugin), **_licence(plugin.licence, plugin.homepage)}
    matter["task_categories"] = ["visual-question-answering"]
    matter["tags"] = ["mimic-it", "synthetic", *([SIMULATED_TAG] if report.simulated else [])]
    matter["size_categories"] = [size]
    if file_format.tabular:
        matter["configs"] = [{"config_name": "default", "data_files": [{"split": "train", "path": files[0]}]}]
    else:
        matter["viewer"] = False
    return {**matter, PAIRS_KEY: pairs}


def _licence(licence: str, homepage: str) -> dict[str, object]:
    """Return a licence as the Hub accepts it: one that it knows, or the name of another, as an identifier."""
    name = re.sub(r"[^a-z0-9.+]+", "-", licence.lower()).strip("-.")
    if not licence:
        return {}
    if name in _HUB_LICENCES.split():
        return {"license": name}
    link = {"license_link": homepage} if homepage.startswith(("https://", "http://")) else {}
    return {"license": "other", "license_name": name or "custom", **link}


def _paragraphs(plugin: type[AbstractDataset], report: Report, file_format: Format, files: Sequence[str]) -> list[str]:
    warning = "**Simulated data: no model wrote these pairs, and they are worthless for training.**\n"
    names = ", ".join(f"`{name}`" for name in files)
    return [
        f"{plugin.description}\n",
        *([warning] if report.simulated else []),
        f"Instruction-response pairs about images. {names}: {file_format.description}.\n",
        _facts(report),
        *_prompts(report),
        "## Source\n",
        f"- Homepage: {plugin.homepage or 'not stated'}",
        f"- Licence of the source: {plugin.licence or 'not stated; ask the source before you share this data'}\n",
        *([f"```bibtex\n{plugin.citation.strip()}\n```\n"] if plugin.citation else []),
    ]


def _facts(report: Report) -> str:
    counts, newest = report.counts, report.settings[-1] if report.settings else {}
    others = [f"{counts.states[state]:,} {state}" for state in State if state is not State.OK and counts.states[state]]
    models = [
        f"`{public_name(use.model)}` ({pluralize(use.answers, 'answer')})"
        for use in report.spending.models
        if use.stage == report.stage
    ]
    usage = report.spending.usage
    rows = {
        "Pairs": f"{counts.pairs:,}",
        "Queries": ", ".join([f"{counts.states[State.OK]:,} ok", *others]),
        "Models": ", ".join(models) or "none: the source already has the pairs",
        "Prompt": f"`{newest.get('prompt', '')}`",
        "Tokens": f"{usage.prompt_tokens:,} in, {usage.completion_tokens:,} out",
        "Cost": "unknown" if report.cost is None else format_dollars(report.cost),
        "Simulated": "yes" if report.simulated else "no",
        "Made with": ", ".join(sorted({f"Syphus {session.version}" for session in report.sessions})),
    }
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows.items())


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
