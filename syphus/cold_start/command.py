"""The command `cold-start`: from its options to a prompt that a person can read, and a page that shows why it is so."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from syphus.cold_start.conclusion import SavedPrompt, load_saved_prompt, search_key, shortcoming_lines
from syphus.cold_start.plan import FEWEST_QUERIES, SearchPlan
from syphus.cold_start.prompt_file import FILE, prompt_text
from syphus.cold_start.review import Reviewer
from syphus.cold_start.search import ColdStart, ColdStartResult
from syphus.config.options import ALWAYS, Options
from syphus.errors import BudgetError, ConfigError, StorageError, SyphusError, UnsatisfactoryError
from syphus.io.durable import replace_file, storage_faults
from syphus.ledger.results import count_distinct_texts
from syphus.ledger.sessions import last_settings
from syphus.ledger.store import Store
from syphus.pipeline.engine import Observer
from syphus.plugins.contract import AbstractDataset, prompt_file, shipped_folder
from syphus.runs.generate import GenerateStage
from syphus.runs.inputs import sync_input
from syphus.runs.prepare import PreparedRun, prepare
from syphus.runs.run_settings import refuse_mixing
from syphus.runs.session import open_run_folder
from syphus.text import pluralize, short_path
from syphus.types import PromptTemplate


def cold_start(
    options: Options,
    plan: SearchPlan,
    environ: Mapping[str, str],
    observer: Observer,
    *,
    pinned: str = "",
    reviewer: Reviewer | None = None,
    write: bool = False,
) -> ColdStartResult:
    """Looks for in-context examples, whether or not the prompt has some; see `Search` for what it raises.

    `pinned` is a prompt file whose examples are in every set; `write` puts a satisfactory prompt where the dataset's
    own is, and keeps that as `*.old`.
    """
    prepared = prepare(options, environ)
    prepared.require_endpoint()
    place = prompt_destination(prepared) if write else None
    with open_run_folder(prepared.options.folder) as store:
        refuse_mixing(store, prepared.options.offline)
        own = sum(turn["role"] == "assistant" for turn in prepared.template.in_context)
        if own and not pinned:
            left_out = f"{pluralize(own, 'in-context example')} of the prompt {'is' if own == 1 else 'are'} left out"
            observer.say(f"{left_out}; --pinned FILE keeps those of a file.")
        ended = ColdStart(prepared, plan, store, observer).run(pinned, reviewer)
    if place is None:
        return ended
    if not ended.found.satisfactory:
        observer.say(f"{place} was not written: the set is not satisfactory.")
        return ended
    try:
        _put(place, prompt_text(prepared.plugin.name, ended.template, ended.found).encode(), observer)
    except StorageError as error:
        return ended._replace(stopped_by=error)
    return ended._replace(files=(*ended.files, short_path(place)))


def prompt_destination(prepared: PreparedRun) -> Path:
    """Where the dataset's prompt file is, or belongs: never inside of an installed Syphus.

    Raises `ConfigError` where the plugin makes its prompt itself.
    """
    dataset = prepared.dataset
    if type(dataset)._load_prefix is not AbstractDataset._load_prefix:
        raise ConfigError(f"--write-prompt: {prepared.plugin.name} makes its prompt itself, and reads no file.")
    source = Path(prepared.options.prompt_path or prompt_file(dataset, dataset.prompt, needed=True))
    if source.resolve().is_relative_to(shipped_folder("prompts").resolve()) and "builtin" in source.resolve().parts:
        source = Path("prompts") / source.name
    return source.with_suffix(".yaml")


def _put(place: Path, prompt: bytes, observer: Observer) -> None:
    """Writes it there; what was there is kept beside it, and nothing that was kept before is written over."""
    with storage_faults(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        before = place.read_bytes() if place.exists() else prompt
        if before != prompt:
            names = (f"{place.name}.old{number}" for number in ("", *range(2, 10_000)))
            old = next(path for path in map(place.with_name, names) if not path.exists())
            old.write_bytes(before)
            observer.say(f"The prompt that was there is kept as {short_path(old)}.")
    with replace_file(place) as file:
        file.write(prompt)


# FOLDED from before.py:
# The cold start before the main job: where the prompt has no in-context examples, or where it is told to.
#
# It is the same as that of the command `cold-start`, in the same folder and within the same budget;
# whichever comes first
# does it, and the other takes what was found.

MIN_QUERIES_UNASKED = 100  #: different ones; for fewer, a search would cost more than the run


def ensure_examples(prepared: PreparedRun, store: Store, observer: Observer) -> PreparedRun | SyphusError:
    """The run with in-context examples that were found for it, or without; or what keeps it from being begun.

    Raises `UsageError` and `StorageError`.
    """
    prefix = prepared.template
    begun = last_settings(store, GenerateStage.name)
    known = load_saved_prompt(store)
    wanted = search_key(prefix.system_message, prepared.config.model)
    if known is not None and (known.edited or (known.asked_for == wanted and (known.satisfactory or begun))):
        return _known(prepared, known, store, observer)
    if begun is not None and not prepared.options.accept_changes:
        return prepared  # it goes on as it was begun; what has changed in it is told as ever
    if not _worthwhile(prepared, store, observer):
        return prepared
    ended = ColdStart(prepared, SearchPlan(seed=prepared.options.seed), store, observer).run()
    return _after(ended, prepared, store, observer)


def _known(prepared: PreparedRun, known: SavedPrompt, store: Store, observer: Observer) -> PreparedRun:
    how = "which was edited by hand" if known.edited else "which a cold start has found"
    observer.say(f"The in-context examples are those of {short_path(store.folder / FILE)}, {how}.")
    return _taught(prepared, known.template)


def _worthwhile(prepared: PreparedRun, store: Store, observer: Observer) -> bool:
    """Whether to do it: with `auto` only where the queries are so many that it is a small part of their cost."""
    with closing(prepared.attachments(store.folder)) as attachments:
        sync_input(store, GenerateStage.name, prepared, observer.reading, attachments)
    found = count_distinct_texts(store, GenerateStage.name, MIN_QUERIES_UNASKED)
    if prepared.options.cold_start == ALWAYS and found:
        return True
    if found >= MIN_QUERIES_UNASKED:
        observer.say(
            "The prompt has no in-context examples: they are looked for first (--cold-start never goes without)."
        )
        return True
    if found:
        told = pluralize(found, "different query", "different queries")
        hint = " (--cold-start always does)" if found >= FEWEST_QUERIES else ""
        observer.say(f"The prompt has no in-context examples. For {told} none are looked for{hint}.")
    return False


def _after(
    ended: ColdStartResult, prepared: PreparedRun, store: Store, observer: Observer
) -> PreparedRun | SyphusError:
    stopped_by = ended.stopped_by
    if ended.found.satisfactory:
        observer.say(f"Satisfactory. Files: {', '.join(ended.files)}")
        return _taught(prepared, ended.template)
    if stopped_by is not None and not isinstance(stopped_by, BudgetError):
        return stopped_by
    for line in shortcoming_lines(ended.found):
        observer.say(line)
    if stopped_by is not None:
        return stopped_by
    best = f" Its best set is in {short_path(store.folder / FILE)}: edit that," if ended.files else " Go on"
    return UnsatisfactoryError(
        "The cold start has found no satisfactory in-context examples, and nothing was generated."
        f"{best} or go without: --cold-start never."
    )


def _taught(prepared: PreparedRun, prefix: PromptTemplate) -> PreparedRun:
    return replace(prepared, template=prefix)
