"""Cleaning a run once more: every answer that it holds is judged anew by today's parser, rules and plugin, for free."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from syphus.errors import RunError
from syphus.formats.report import Report, make_report
from syphus.ledger.records import Records
from syphus.ledger.relations import kept_choice
from syphus.ledger.sessions import last_settings, set_meta
from syphus.ledger.store import Store, open_for_reading, open_for_writing
from syphus.pipeline.engine import Observer
from syphus.plugins.finding import LoadedPlugin, find_plugin
from syphus.runs.prices import kept_prices
from syphus.runs.projections import forget_exports, forget_pairs, write_exports
from syphus.sampling import Sampling
from syphus.secrets import Vault
from syphus.stages.generate import Generate, parser_digest
from syphus.stages.rejudge import rejudge
from syphus.types import Message, Prefix

PARSER = f"{Generate.name} parser"  #: meta: a digest of the code that the answers were read with


class Cleaning(NamedTuple):
    """A run before and after, how many queries have another outcome now, and its files."""

    before: Report
    after: Report
    changed: int
    files: tuple[str, ...]


def clean_run(folder: Path, datasets_dir: Iterable[Path], observer: Observer) -> Cleaning:
    """Judges every answer of the run in `folder` again, and writes its files again where that changed something.

    Raises `RunError` where the folder is no run or holds none of a dataset, `PluginError` where that is not found.
    """
    open_for_reading(folder).close()  # a folder that is no run must not become one
    store = open_for_writing(folder)
    try:
        settings = last_settings(store, Generate.name)
        if settings is None:
            raise RunError(f"{folder} holds no answers yet.")
        plugin = find_plugin(str(settings["dataset"]), datasets_dir)
        return _clean(store, plugin, _prefix(settings), observer)
    finally:
        store.close()


def reader(plugin: LoadedPlugin, short_name: str) -> str:
    """What answers are read with, as the ledger notes it: the code, and the name of the set where it is not usual."""
    digest = parser_digest(plugin.path)
    return digest if short_name == plugin.cls.short_name else f"{digest} {short_name}"


def judge_anew(store: Store, stage: Generate, plugin: LoadedPlugin, short_name: str, observer: Observer) -> int:
    """Reads every answer again; returns how many queries have another outcome now. Commits."""
    forget_pairs(store)
    forget_exports(store)
    changed = rejudge(store, Records(store, Generate.name, session=0), stage, observer.reading)
    set_meta(store, PARSER, reader(plugin, short_name))
    store.commit()
    return changed


def _clean(store: Store, plugin: LoadedPlugin, prefix: Prefix, observer: Observer) -> Cleaning:
    before = make_report(store, Generate.name, kept_prices(store))
    dataset, choice = plugin.create(), kept_choice(store)
    if choice is not None:
        dataset.short_name = choice.short_name
    stage = Generate(dataset, prefix, Sampling("", {}, []), Vault())  # nobody is asked
    changed = judge_anew(store, stage, plugin, dataset.short_name, observer)
    after = make_report(store, Generate.name, kept_prices(store))
    return Cleaning(before, after, changed, write_exports(store, Generate.name, dataset.short_name, after))


def _prefix(settings: dict[str, object]) -> Prefix:
    """The prompt that the answers were asked with, as the ledger keeps it."""
    text = settings["prompt_text"]
    assert isinstance(text, dict)
    turns = [Message(role=turn["role"], content=turn["content"]) for turn in text["in_context"]]
    return Prefix(str(text["system_message"]), tuple(turns))
