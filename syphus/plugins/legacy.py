"""Runs plugins of the original Syphus unchanged: their imports, their constructor, their attributes.

Their `from abstract_dataset import AbstractDataset` gets `LegacyDataset`. What the original loaded in the constructor
is loaded here on first use, so that a plugin without a prompt can go through a cold start.
"""

from __future__ import annotations

import importlib
import random
import re
import runpy
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from types import ModuleType

from syphus.plugins.contract import AbstractDataset, check_rows, plugin_name, plugin_root, prompt_file, resolve_path
from syphus.plugins.prompts import SUFFIXES, TEXT_FORM, PromptTemplate, read_prompt, to_prompt_template

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


class LegacyDataset(AbstractDataset):
    """The original `AbstractDataset`: the whole input is a list, the prompt is JSON or a Python module.

    A plugin may implement `_load_prompt`, as in the original's code, or `_load_prefix`, as in its documentation.
    """

    _prompt_name = ""

    def __init__(self, name: str = "", prompt_path: str = "", query_inputs_path: str = "") -> None:
        super().__init__(name, prompt_path, query_inputs_path)
        self.query_inputs_path = resolve_path(self, self.query_inputs_path)

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        if isinstance(vars(cls).get("prompt"), str):  # the name of a prompt file, as in current plugins
            cls._prompt_name = vars(cls)["prompt"]
            del cls.prompt

    @cached_property
    def prompt(self) -> Mapping[str, object]:  # type: ignore[override]  # the original's name for the loaded prompt
        """The prompt: `system_message` and `in_context` with rendered contents."""
        plugin = type(self)
        name = self._prompt_name or plugin.__module__.rpartition(".")[2]
        reads = plugin._load_prompt is LegacyDataset._load_prompt and plugin._load_prefix is LegacyDataset._load_prefix
        return self._read_prompt(prompt_file(self, name, needed=reads))

    @cached_property
    def query_inputs(self) -> list[object]:
        """The rows as the plugin returns them."""
        return self._read_inputs(self.query_inputs_path)

    def _read_prompt(self, path: str) -> Mapping[str, object]:
        with legacy_modules(plugin_root(self)):
            return self._load_prefix(path)

    def _read_inputs(self, path: str) -> list[object]:
        """Read the rows with a fixed seed, so that a plugin that shuffles gives the same order in every run."""
        with legacy_modules(plugin_root(self)), _seeded():
            return list(check_rows(self, self._load_query_inputs(path)))

    def _load_prefix(self, path: str) -> Mapping[str, object]:
        return self._load_prompt(path)

    def _load_prompt(self, path: str) -> Mapping[str, object]:
        """Read a prompt file, or `system_message` and `in_context` of a module, given as a file or a dotted name."""
        if path.endswith(".py"):
            data: Mapping[str, object] = _of_module(runpy.run_path(path))
        elif _DOTTED.fullmatch(path) and not path.endswith(SUFFIXES):
            data = _of_module(vars(importlib.import_module(path)))
        else:
            data = read_prompt(path)
        prefix = to_prompt_template(data, path, lenient=True)
        form = {"form": prefix.form} if prefix.form != TEXT_FORM else {}
        return {"system_message": prefix.system_message, "in_context": list(prefix.in_context), **form}

    def _rows(self, path: str) -> Iterator[object]:
        return _renamed(self._read_inputs(path) if path not in ("", self.query_inputs_path) else self.query_inputs)

    def _prefix(self, path: str) -> PromptTemplate:
        other = path not in ("", self.prompt_path)
        where = path or self.prompt_path or plugin_name(type(self))
        return to_prompt_template(self._read_prompt(path) if other else self.prompt, where, lenient=True)

    def __iter__(self) -> Iterator[dict[str, object]]:
        for index in range(len(self)):
            yield self[index]

    def __getitem__(self, index: int) -> dict[str, object]:
        return {
            "system_messages": self.prompt["system_message"],
            "in_context": self.prompt["in_context"],
            "query_input": self.query_inputs[index],
        }

    def __len__(self) -> int:
        return len(self.query_inputs)

    def __str__(self) -> str:
        return f"{self.name} dataset"


@contextmanager
def legacy_modules(folder: Path) -> Iterator[None]:
    """Within the block, `abstract_dataset` is our module, and `prompts` has the modules here and in `folder`.

    Other modules of these names are restored afterwards.
    """
    abstract_dataset, prompts = ModuleType("abstract_dataset"), ModuleType("prompts")
    vars(abstract_dataset)["AbstractDataset"] = LegacyDataset
    prompts.__path__ = [str(Path("prompts").absolute()), str(folder / "prompts")]
    others = _take_out()
    sys.modules.update(abstract_dataset=abstract_dataset, prompts=prompts)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        _take_out()
        sys.modules.update(others)


def _take_out() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] in ("abstract_dataset", "prompts")]
    return {name: sys.modules.pop(name) for name in names}


@contextmanager
def _seeded() -> Iterator[None]:
    state = random.getstate()
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(state)


def _of_module(names: Mapping[str, object]) -> dict[str, object]:
    return {name: names[name] for name in ("system_message", "in_context") if name in names}


def _renamed(rows: list[object]) -> Iterator[object]:
    """Give rows with a repeated id the id `<id>_<hash of the text>`, and if that is taken, add `_2`, `_3`.

    Inputs of the original repeat ids (one line per moment, one record per annotator), and it ignored them.
    """
    used: set[str] = set()
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("id"), (str, int)) or isinstance(row["id"], bool):
            yield row
            continue
        name = plain = str(row["id"])
        if name in used:
            digest = blake2b(str(row.get("sentences")).encode(errors="surrogatepass"), digest_size=3).hexdigest()
            name = plain = f"{plain}_{digest}"
        number = 1
        while name in used:
            number += 1
            name = f"{plain}_{number}"
        used.add(name)
        yield {**row, "id": name}
