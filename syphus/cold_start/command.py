"""The command `cold-start`, and the cold start before the main job.

Both do the same, in the same folder and within the same budget. Whichever runs first does the work; the other uses what
was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from syphus.cold_start.advice import shortcoming_lines
from syphus.cold_start.plan import MIN_DISTINCT_QUERIES, SearchPlan
from syphus.cold_start.prompt_file import PROMPT_FILE, SavedPrompt, load_saved_prompt, prompt_text, search_key
from syphus.cold_start.review import Reviewer
from syphus.cold_start.search import ColdStart, ColdStartResult
from syphus.config.options import ALWAYS, Options
from syphus.errors import BudgetError, ConfigError, StorageError, SyphusError, UnsatisfactoryError
from syphus.io.durable import replace_file, storage_faults
from syphus.ledger.results import count_distinct_texts
from syphus.ledger.sessions import last_settings
from syphus.ledger.store import Store
from syphus.pipeline.observer import Observer
from syphus.plugins.contract import AbstractDataset, prompt_file, shipped_folder
from syphus.runs.generate import GenerateStage
from syphus.runs.inputs import sync_input
from syphus.runs.prepare import PreparedRun, go_on_as_begun, prepare
from syphus.runs.run_log import keep_log
from syphus.runs.run_settings import refuse_mixing
from syphus.runs.session import open_run_folder
from syphus.text import pluralize, short_path

MIN_QUERIES_UNASKED = 100  #: distinct ones; for fewer, a search would cost more than the run


def cold_start(
    options: Options,
    plan: SearchPlan,
    environ: Mapping[str, str],
    observer: Observer,
    reviewer: Reviewer | None = None,
) -> ColdStartResult:
    """Search for in-context examples, whether or not the prompt has some. Raises what `ColdStart.run` raises.

    With `write_prompt`, a satisfactory prompt replaces the dataset's own file, which is kept as `*.old`.
    """
    prepared = prepare(options, environ)
    prepared.require_endpoint()
    destination = prompt_destination(prepared) if plan.write_prompt else None
    with (
        open_run_folder(prepared.options.folder) as store,
        keep_log(store, prepared, observer, "cold start") as log,
    ):
        refuse_mixing(store, prepared.options.offline)
        prepared = go_on_as_begun(prepared, store, GenerateStage.name, log)
        present = sum(turn["role"] == "assistant" for turn in prepared.template.in_context)
        if present and not plan.pinned:
            examples = pluralize(present, "in-context example")
            log.say(f"Ignoring {examples} of the prompt; --pinned FILE keeps the examples of a file.")
        result = ColdStart(prepared, plan, store, log).run(reviewer)
        log.end(result.report, result.stopped_by, result.exit_code)
    if destination is None:
        return result
    if not result.found.is_taken:
        observer.say(f"{destination} was not written: the set is not satisfactory.")
        return result
    try:
        text = prompt_text(prepared.plugin.name, result.template, result.found)
        _install_prompt(destination, text.encode(), observer)
    except StorageError as error:
        return result._replace(stopped_by=error)
    return result._replace(files=(*result.files, short_path(destination)))


def prompt_destination(prepared: PreparedRun) -> Path:
    """Return where the dataset's prompt file is or belongs: never inside an installed Syphus.

    Raises `ConfigError` if the plugin makes its prompt itself.
    """
    dataset = prepared.dataset
    if type(dataset)._load_prefix is not AbstractDataset._load_prefix:
        raise ConfigError(f"--write-prompt: {prepared.plugin.name} builds its own prompt, and reads no prompt file.")
    source = Path(prepared.options.prompt_path or prompt_file(dataset, dataset.prompt, needed=True))
    if source.resolve().is_relative_to(shipped_folder("prompts").resolve()) and "builtin" in source.resolve().parts:
        source = Path("prompts") / source.name
    return source.with_suffix(".yaml")


def _install_prompt(path: Path, prompt: bytes, observer: Observer) -> None:
    """Write the prompt to `path`. Keep the file that was there as `*.old`, and overwrite no earlier copy."""
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_bytes() if path.exists() else prompt
        if before != prompt:
            names = (f"{path.name}.old{number}" for number in ("", *range(2, 10_000)))
            backup = next(each for each in map(path.with_name, names) if not each.exists())
            backup.write_bytes(before)
            observer.say(f"The previous prompt is kept as {short_path(backup)}.")
    with replace_file(path) as file:
        file.write(prompt)


# Before the main job.


def ensure_examples(prepared: PreparedRun, store: Store, observer: Observer) -> PreparedRun | SyphusError:
    """Return the run with the in-context examples of a cold start, or as it is if it needs none.

    Returns an error if the search failed. Raises `UsageError` and `StorageError`.
    """
    ready = find_examples(prepared, store, observer)
    if ready is not None:
        return ready
    result = ColdStart(prepared, SearchPlan(seed=prepared.options.seed), store, observer).run()
    return _use_result(result, prepared, store, observer)


def find_examples(prepared: PreparedRun, store: Store, observer: Observer) -> PreparedRun | None:
    """Return the run with the examples that it has or needs none of, or None if it is to search for some."""
    saved = load_saved_prompt(store)
    settings = last_settings(store, GenerateStage.name)
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
        observer.say("The prompt has no in-context examples: searching for some first (--cold-start never skips this).")
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
