"""The command `cold-start`. What the main job does before it asks is in `before_run.py`.

Both do the same, in the same folder and within the same budget. Whichever runs first does the work; the other uses what
was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from syphus.cold_start.plan import SearchPlan
from syphus.cold_start.prompt_file import prompt_text
from syphus.cold_start.review import Reviewer
from syphus.cold_start.search import ColdStart, ColdStartResult
from syphus.config.options import Options
from syphus.errors import ConfigError, StorageError
from syphus.io.durable import replace_file, storage_faults
from syphus.pipeline.observer import Observer
from syphus.plugins.contract import AbstractDataset, prompt_file, shipped_folder
from syphus.runs.generate import GenerateStage
from syphus.runs.prepare import PreparedRun, go_on_as_begun, prepare
from syphus.runs.run_log import keep_log
from syphus.runs.run_settings import refuse_mixing
from syphus.runs.session import open_run_folder
from syphus.text import pluralize, short_path


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
