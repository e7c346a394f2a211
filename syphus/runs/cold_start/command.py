"""The command `cold-start`: from its options to a prompt that a person can read, and a page that shows why it is so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from syphus.errors import ConfigError, StorageError
from syphus.formats.files import replacing
from syphus.ledger.store import storage_faults
from syphus.options import Options
from syphus.pipeline.engine import Observer
from syphus.plugins.contract import AbstractDataset, prompt_file, shipped
from syphus.runs.cold_start.plan import Plan
from syphus.runs.cold_start.prompt_file import prompt_text
from syphus.runs.cold_start.review import Reviewer
from syphus.runs.cold_start.search import Ended, Search
from syphus.runs.prepare import Prepared, prepare
from syphus.runs.projections import short_path
from syphus.runs.refusal import opened
from syphus.runs.settings import refuse_mixing
from syphus.text import many


def cold_start(
    options: Options,
    plan: Plan,
    environ: Mapping[str, str],
    observer: Observer,
    *,
    pinned: str = "",
    reviewer: Reviewer | None = None,
    write: bool = False,
) -> Ended:
    """Looks for in-context examples, whether or not the prompt has some; see `Search` for what it raises.

    `pinned` is a prompt file whose examples are in every set; `write` puts a satisfactory prompt where the dataset's
    own is, and keeps that as `*.old`.
    """
    prepared = prepare(options, environ)
    if prepared.no_endpoint is not None:
        raise prepared.no_endpoint
    place = own_prompt(prepared) if write else None
    with opened(prepared.options.folder) as store:
        refuse_mixing(store, prepared.options.offline)
        own = sum(turn["role"] == "assistant" for turn in prepared.prefix.in_context)
        if own and not pinned:
            left_out = f"{many(own, 'in-context example')} of the prompt {'is' if own == 1 else 'are'} left out"
            observer.say(f"{left_out}; --pinned FILE keeps those of a file.")
        ended = Search(prepared, plan, store, observer).run(pinned, reviewer)
    if place is None:
        return ended
    if not ended.found.satisfactory:
        observer.say(f"{place} was not written: the set is not satisfactory.")
        return ended
    try:
        _put(place, prompt_text(prepared.plugin.name, ended.prefix, ended.found).encode(), observer)
    except StorageError as error:
        return ended._replace(stopped_by=error)
    return ended._replace(files=(*ended.files, short_path(place)))


def own_prompt(prepared: Prepared) -> Path:
    """Where the dataset's prompt file is, or belongs: never inside of an installed Syphus.

    Raises `ConfigError` where the plugin makes its prompt itself.
    """
    dataset = prepared.dataset
    if type(dataset)._load_prefix is not AbstractDataset._load_prefix:
        raise ConfigError(f"--write-prompt: {prepared.plugin.name} makes its prompt itself, and reads no file.")
    source = Path(prepared.options.prompt_path or prompt_file(dataset, dataset.prompt, needed=True))
    if source.resolve().is_relative_to(shipped("prompts").resolve()) and "builtin" in source.resolve().parts:
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
    with replacing(place) as file:
        file.write(prompt)
