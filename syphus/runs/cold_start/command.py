"""The command `cold-start`: from its options to a prompt that a person can read, and a page that shows why it is so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from syphus.errors import ConfigError
from syphus.options import Options
from syphus.pipeline.engine import Observer
from syphus.plugins.contract import AbstractDataset, prompt_file, shipped
from syphus.runs.cold_start.plan import Plan
from syphus.runs.cold_start.prompt_file import write_prompt
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
    return ended._replace(files=(*ended.files, _written(place, prepared, ended, observer)))


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


def _written(place: Path, prepared: Prepared, ended: Ended, observer: Observer) -> str:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        old = place.with_name(f"{place.name}.old")
        place.replace(old)
        observer.say(f"The prompt that was there is kept as {short_path(old)}.")
    write_prompt(place, prepared.plugin.name, ended.prefix, ended.found)
    return short_path(place)
