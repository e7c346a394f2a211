"""In-context examples for the main job: those of the prompt, those that a cold start has found, or a search for some.

Rows that are tried before that are asked with the prompt as it is. They keep their answers if the run continues without
examples, and are asked again if it finds some: all rows of a run have one prompt.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from syphus.cold_start.advice import shortcoming_lines
from syphus.cold_start.plan import MIN_DISTINCT_QUERIES, SearchPlan
from syphus.cold_start.prompt_file import PROMPT_FILE, SavedPrompt, load_saved_prompt, search_key
from syphus.cold_start.search import ColdStart, ColdStartResult
from syphus.config.options import ALWAYS
from syphus.errors import BudgetError, SyphusError, UnsatisfactoryError
from syphus.ledger.results import count_distinct_texts
from syphus.ledger.sessions import last_settings
from syphus.ledger.store import Store
from syphus.pipeline.observer import Observer
from syphus.runs.generate import GenerateStage
from syphus.runs.inputs import sync_input
from syphus.runs.prepare import PreparedRun
from syphus.runs.run_settings import was_only_tried
from syphus.text import pluralize, short_path

MIN_QUERIES_UNASKED = 100  #: distinct ones; for fewer, a search would cost more than the run


def ensure_examples(prepared: PreparedRun, store: Store, observer: Observer) -> PreparedRun | SyphusError:
    """Return the run with the in-context examples of a cold start, or as it is if it needs none.

    Returns an error if the search failed. Raises `UsageError` and `StorageError`.
    """
    ready = find_examples(prepared, store, observer)
    if ready is not None:
        return ready
    if prepared.options.cold_start != ALWAYS:
        observer.say("The prompt has no in-context examples: searching for some first (--cold-start never skips this).")
    result = ColdStart(prepared, SearchPlan(seed=prepared.options.seed), store, observer).run()
    return _use_result(result, prepared, store, observer)


def find_examples(prepared: PreparedRun, store: Store, observer: Observer) -> PreparedRun | None:
    """Return the run with the examples that it has or needs none of, or None if it is to search for some."""
    saved = load_saved_prompt(store)
    settings = None if was_only_tried(store) else last_settings(store, GenerateStage.name)
    key = search_key(prepared.template.system_message, prepared.config.model)
    if saved is not None and (saved.edited or (saved.search_key == key and (saved.satisfactory or settings))):
        return _use_saved_prompt(prepared, saved, store, observer)
    if settings is not None and not prepared.options.accept_changes:
        return prepared  # it resumes as it began; changed settings are reported as usual
    return None if _should_search(prepared, store, observer) else prepared


def _use_saved_prompt(prepared: PreparedRun, saved: SavedPrompt, store: Store, observer: Observer) -> PreparedRun:
    origin = "edited by hand" if saved.edited else "found by a cold start"
    observer.say(f"Using the in-context examples of {short_path(store.folder / PROMPT_FILE)}, {origin}.")
    return replace(prepared, template=saved.template)


def _should_search(prepared: PreparedRun, store: Store, observer: Observer) -> bool:
    """Return whether to search. Without `--cold-start always`, only if the search is a small part of the run's cost."""
    with closing(prepared.attachments(store.folder)) as attachments:
        sync_input(store, GenerateStage.name, prepared, observer.reading, attachments)
    count = count_distinct_texts(store, GenerateStage.name, MIN_QUERIES_UNASKED)
    if prepared.options.cold_start == ALWAYS and count:
        return True
    if count >= MIN_QUERIES_UNASKED:
        return True
    if count:
        queries = pluralize(count, "different query", "different queries")
        hint = " (--cold-start always forces it)" if count >= MIN_DISTINCT_QUERIES else ""
        observer.say(f"The prompt has no in-context examples. With only {queries}, the search is skipped{hint}.")
    return False


def _use_result(
    result: ColdStartResult, prepared: PreparedRun, store: Store, observer: Observer
) -> PreparedRun | SyphusError:
    stopped_by = result.stopped_by
    if result.found.satisfactory:
        observer.say(f"Satisfactory. Files: {', '.join(result.files)}")
        return replace(prepared, template=result.template)
    if stopped_by is not None and not isinstance(stopped_by, BudgetError):
        return stopped_by
    for line in shortcoming_lines(result.found):
        observer.say(line)
    if stopped_by is not None:
        return stopped_by
    if result.found.accepted:
        observer.say(f"Accepted, as it is better than none by more than chance. Files: {', '.join(result.files)}")
        return replace(prepared, template=result.template)
    best = f"Edit the best set in {short_path(store.folder / PROMPT_FILE)}, or generate" if result.files else "Generate"
    accept = (
        " The set is better than none by more than chance: --accept-examples takes it."
        if result.found.is_better
        else ""
    )
    return UnsatisfactoryError(
        "The cold start found no satisfactory in-context examples, so nothing was generated. "
        f"{best} without examples: --cold-start never.{accept if result.found.is_better else ''}"
    )
