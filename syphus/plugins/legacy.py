"""Runs plugins of the original Syphus unchanged: their imports, their constructor, their attributes.

Their `from abstract_dataset import AbstractDataset` gets `LegacyDataset`. What the original loaded in the constructor
is loaded here on first use, so that a plugin without a prompt can go through a cold start.

The messages are those of the original, to the byte: its rendering of examples, an empty system message, and for
`3d.SceneNavigation` the candidates and the request that it added to each query. Syphus 0.1.0 sent other bytes, and gave
the pairs of several plugins the same ids. A run that began so continues so: a changed request would have to be paid
again, and a changed name would change the ids of its pairs. The settings in the ledger say how a run began.
"""

from __future__ import annotations

import importlib
import random
import re
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from types import ModuleType

from syphus.answers.parsing.json_forms import PAIRS_FORM
from syphus.answers.parsing.original_forms import ROUND, parse_original
from syphus.answers.parsing.pairs import ANSWER_KEYS, QUESTION_KEYS, Parsed
from syphus.errors import InputError, UsageError
from syphus.io.text_files import read_text
from syphus.plugins.contract import (
    AbstractDataset,
    check_rows,
    default_short_name,
    plugin_name,
    plugin_root,
    prompt_file,
    resolve_path,
    shipped_folder,
)
from syphus.plugins.prompts import SUFFIXES, TEXT_FORM, PromptTemplate, read_prompt, to_prompt_template
from syphus.types import Pair, Query

ORIGINAL_MESSAGES = "original_messages"  #: in the settings of runs that send the original's messages

_ROW_KEYS = frozenset({"id", "sentences", "image_ids", "meta"})  # the last two are those of Syphus
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_KEY = re.compile(r"^([^\W\d][^:\n]{0,60}): ", re.MULTILINE)  # of a text in a rendered example

# What the original added to the queries of one plugin, by its name. The words are the original's, byte for byte.
_WITH_CANDIDATES = ("3d", "SceneNavigation")
_CANDIDATES_FILE, _CANDIDATES = "candidates.txt", 9
_SCENE_REQUEST = (
    "Sentences: {sentences}\nCandidate activities and the role who want to do these activities:{candidates}\n"
    "Please give me three conversations for three activities. Each conversation should have three rounds. You should "
    "select activities from the candidates. At the beginning of conversation (after introducing the human role), must "
    "giving me the reason why the current activity is selected for this room, in the format:reason:XXX\nPlease "
    "ensuring that the assistant should not always answer in the format of listing."
)

_sends_original: ContextVar[bool] = ContextVar("sends_original", default=True)


@contextmanager
def original_messages(wanted: bool) -> Iterator[None]:
    """Within the block, plugins are constructed that send the original's messages, or those of Syphus 0.1.0."""
    token = _sends_original.set(wanted)
    try:
        yield
    finally:
        _sends_original.reset(token)


class LegacyDataset(AbstractDataset):
    """The original `AbstractDataset`: the whole input is a list, the prompt is JSON or a Python module.

    A plugin may implement `_load_prompt`, as in the original's code, or `_load_prefix`, as in its documentation.
    """

    json_form = PAIRS_FORM
    _prompt_name = ""
    _drawn: Sequence[str] = ()  # the candidates of each row, where the original added some

    def __init__(self, name: str = "", prompt_path: str = "", query_inputs_path: str = "") -> None:
        super().__init__(name, prompt_path, query_inputs_path)
        self.query_inputs_path = resolve_path(self, self.query_inputs_path)
        self.sends_original = _sends_original.get()
        if not self.sends_original and "short_name" in type(self)._defaulted:
            self.short_name = default_short_name(type(self))

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
        """Read the rows with a fixed seed, so that a plugin that shuffles gives the same order in every run.

        The candidates of each row are drawn with what follows, as the original did while it asked, one row at a time.
        """
        with legacy_modules(plugin_root(self)), _seeded():
            rows = list(check_rows(self, self._load_query_inputs(path)))
            if self._has_candidates:
                lines = self._candidate_lines()
                self._drawn = ["\n".join(random.sample(lines, _CANDIDATES)) for _ in rows]
        return rows

    @property
    def _has_candidates(self) -> bool:
        plugin = type(self)
        return self.sends_original and (plugin.__module__.rpartition(".")[2], plugin.__name__) == _WITH_CANDIDATES

    def _candidates_path(self) -> Path:
        """Return the file of the activities: the user's own, which the original did not ship, or else ours."""
        own = [Path(_CANDIDATES_FILE), plugin_root(self) / _CANDIDATES_FILE]
        return next((path for path in own if path.is_file()), shipped_folder("datasets") / "scene_activities.txt")

    def _candidate_lines(self) -> list[str]:
        path = self._candidates_path()
        lines = read_text(path, 1 << 24).splitlines(keepends=True)
        if len(lines) < _CANDIDATES:
            raise InputError(f"{path}: {len(lines)} activities; at least {_CANDIDATES} are needed, one in each line")
        return lines

    def _also_reads(self, path: str) -> list[Path]:  # noqa: ARG002  as in the contract
        return [self._candidates_path()] if self._has_candidates else []

    def render_query(self, query: Query) -> str:
        """Return the text of a query, with what the original added to it."""
        candidates = query.meta.get("candidates") if self._has_candidates else None
        if not isinstance(candidates, str):
            return query.text
        return _SCENE_REQUEST.format(sentences=query.text, candidates=candidates)

    def parse_response(self, text: str, query: Query) -> Parsed:
        """Parse an answer in any of the forms that the original's prompts teach."""
        return parse_original(text, query, self.short_name, self._taught_keys)

    @cached_property
    def _taught_keys(self) -> tuple[str, ...]:
        """The keys of the texts in the first example's answer, if they are not questions and answers."""
        try:
            turns = self._prefix("").in_context
        except UsageError:  # the prompt that asked is elsewhere: the answers are judged again
            return ()
        answers = [turn["content"] for turn in turns if turn["role"] == "assistant"]
        keys = tuple(dict.fromkeys(_KEY.findall(answers[0]))) if answers else ()
        is_pair = {key.casefold() for key in keys} & (QUESTION_KEYS | ANSWER_KEYS)
        return () if is_pair or len(keys) < 2 else keys

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:
        """Return the other pairs of the query; for a round of a conversation, the earlier rounds."""
        conversation, is_round, _ = pairs[number - 1].id.rpartition(ROUND)
        if not is_round:
            return super().related(pairs, number)
        return [other for other in range(1, number) if pairs[other - 1].id.rpartition(ROUND)[0] == conversation]

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
        prefix = to_prompt_template(data, path, lenient=True, as_original=self.sends_original)
        form = {"form": prefix.form} if prefix.form != TEXT_FORM else {}
        return {"system_message": prefix.system_message, "in_context": list(prefix.in_context), **form}

    def _rows(self, path: str) -> Iterator[object]:
        rows = _renamed(self._read_inputs(path) if path not in ("", self.query_inputs_path) else self.query_inputs)
        if not self._has_candidates:
            return rows
        return (_with_candidates(row, drawn) for row, drawn in zip(rows, self._drawn, strict=True))

    def _prefix(self, path: str) -> PromptTemplate:
        other = path not in ("", self.prompt_path)
        where = path or self.prompt_path or plugin_name(type(self))
        prompt = self._read_prompt(path) if other else self.prompt
        return to_prompt_template(prompt, where, lenient=True, as_original=self.sends_original)

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


def tell_apart(plugins: Sequence[type[LegacyDataset]]) -> None:
    """Give plugins of one file whose default short names are equal their whole names, in capitals: `FUNQA_MCQA`.

    The pairs of the original's three plugins for FunQA would have the same ids.
    """
    defaulted = [plugin for plugin in plugins if "short_name" in plugin._defaulted]
    names = [default_short_name(plugin) for plugin in defaulted]
    for plugin, name in zip(defaulted, names, strict=True):
        plugin.short_name = plugin.__name__.upper() if names.count(name) > 1 else name


def short_name_of_run(plugin: type[AbstractDataset], settings: Mapping[str, object]) -> str:
    """Return the `short_name` of a run with these settings, if its ledger does not say it."""
    began_before = issubclass(plugin, LegacyDataset) and ORIGINAL_MESSAGES not in settings
    return default_short_name(plugin) if began_before and "short_name" in plugin._defaulted else plugin.short_name


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


def _with_candidates(row: object, candidates: str) -> object:
    return {**row, "meta": {"candidates": candidates}} if isinstance(row, dict) else row


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
        # The original took two keys of a row and ignored the others.
        yield {**{key: value for key, value in row.items() if key in _ROW_KEYS}, "id": name}
