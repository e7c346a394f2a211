"""The cold start before the main job: where the prompt has no in-context examples, or where it is told to.

It is the same as that of the command `cold-start`, in the same folder and within the same budget; whichever comes first
does it, and the other takes what was found.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from syphus.errors import BudgetError, SyphusError, UnsatisfactoryError
from syphus.ledger.sample import different
from syphus.ledger.sessions import last_settings
from syphus.ledger.store import Store
from syphus.options import ALWAYS
from syphus.pipeline.engine import Observer
from syphus.runs.cold_start.advice import shortcomings
from syphus.runs.cold_start.conclusion import Conclusion, asked_for, concluded
from syphus.runs.cold_start.plan import FEWEST_QUERIES, Plan
from syphus.runs.cold_start.prompt_file import FILE
from syphus.runs.cold_start.search import Ended, Search
from syphus.runs.inputs import check_input
from syphus.runs.prepare import Prepared
from syphus.runs.projections import short_path
from syphus.stages.generate import Generate
from syphus.text import many
from syphus.types import Prefix

WORTHWHILE = 100  #: different queries from which on it is done unasked: for fewer it would cost more than they do


def with_examples(prepared: Prepared, store: Store, observer: Observer) -> Prepared | SyphusError:
    """The run with in-context examples that were found for it, or without; or what keeps it from being begun.

    Raises `UsageError` and `StorageError`.
    """
    prefix = prepared.prefix
    begun = last_settings(store, Generate.name)
    known = concluded(store)
    wanted = asked_for(prefix.system_message, prepared.config.model)
    if known is not None and (known.edited or (known.asked_for == wanted and (known.satisfactory or begun))):
        return _known(prepared, known, store, observer)
    if begun is not None and not prepared.options.accept_changes:
        return prepared  # it goes on as it was begun; what has changed in it is told as ever
    if not _worthwhile(prepared, store, observer):
        return prepared
    ended = Search(prepared, Plan(seed=prepared.options.seed), store, observer).run()
    return _after(ended, prepared, store, observer)


def _known(prepared: Prepared, known: Conclusion, store: Store, observer: Observer) -> Prepared:
    how = "which was edited by hand" if known.edited else "which a cold start has found"
    observer.say(f"The in-context examples are those of {short_path(store.folder / FILE)}, {how}.")
    return _taught(prepared, known.prefix)


def _worthwhile(prepared: Prepared, store: Store, observer: Observer) -> bool:
    """Whether to do it: with `auto` only where the queries are so many that it is a small part of their cost."""
    plugin = prepared.plugin.digest()
    with closing(prepared.album(store.folder)) as album:
        check_input(store, Generate.name, prepared.dataset, prepared.options, plugin, observer.reading, album)
    found = different(store, Generate.name, WORTHWHILE)
    if prepared.options.cold_start == ALWAYS and found:
        return True
    if found >= WORTHWHILE:
        observer.say(
            "The prompt has no in-context examples: they are looked for first (--cold-start never goes without)."
        )
        return True
    if found:
        told = many(found, "different query", "different queries")
        hint = " (--cold-start always does)" if found >= FEWEST_QUERIES else ""
        observer.say(f"The prompt has no in-context examples. For {told} none are looked for{hint}.")
    return False


def _after(ended: Ended, prepared: Prepared, store: Store, observer: Observer) -> Prepared | SyphusError:
    stopped_by = ended.stopped_by
    if ended.found.satisfactory:
        observer.say(f"Satisfactory. Files: {', '.join(ended.files)}")
        return _taught(prepared, ended.prefix)
    if stopped_by is not None and not isinstance(stopped_by, BudgetError):
        return stopped_by
    for line in shortcomings(ended.found):
        observer.say(line)
    if stopped_by is not None:
        return stopped_by
    best = f" Its best set is in {short_path(store.folder / FILE)}: edit that," if ended.files else " Go on"
    return UnsatisfactoryError(
        "The cold start has found no satisfactory in-context examples, and nothing was generated."
        f"{best} or go without: --cold-start never."
    )


def _taught(prepared: Prepared, prefix: Prefix) -> Prepared:
    return replace(prepared, prefix=prefix)
