"""The settings that answers depend on, the prices of a run, and its command, as the ledger stores them.

The ledger keeps the newest command of a run: its options that are not the defaults, with absolute paths, without
anything secret, since keys are in the environment or in the config file. So `resume` works from any folder.
"""

from __future__ import annotations

import json
import shlex
import socket
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import NamedTuple

import orjson

from syphus.config.model_table import PricePerMillion
from syphus.config.options import JUDGE_AUTO, Options, make_options
from syphus.config.pricing import Prices, load_prices
from syphus.config.sampling import resolve_sampling
from syphus.config.settings import Config
from syphus.errors import ConfigError, RunError
from syphus.ledger.records import reopen
from syphus.ledger.sessions import get_meta, is_simulated_run, last_settings, set_meta
from syphus.ledger.store import Store, open_for_reading, open_for_writing
from syphus.plugins.prompts import PromptTemplate, prompt_digest, turns_as_json
from syphus.storage.addresses import absolute, as_url
from syphus.types import State

_NOT_COMPARED = ("dataset", "prompt_text")
GENERATE = "generate"  #: the name of the main stage in ledgers
JUDGE_PAIRS = "judge pairs"  #: and of the stage that judges its pairs
CALIBRATE_JUDGE = "judge pairs calibration"  #: and of the one that puts pairs before the judge whose truth is known
STRUCTURED = "structured"  #: in the settings of runs that ask for JSON
_IMAGE_SETTINGS = ("image_size", "image_detail", "max_images")


def run_settings(
    dataset: str, config: Config, template: PromptTemplate, simulated: bool, with_images: bool = False
) -> dict[str, object]:
    """Return the settings of a run as JSON values, with the whole prompt."""
    return {
        "dataset": dataset,
        "model": config.model,
        **sampling_settings(config),
        "prompt": prompt_digest(template),
        "simulated": simulated,
        "prompt_text": {"system_message": template.system_message, "in_context": turns_as_json(template)},
        **_image_settings(config, with_images),
    }


def _image_settings(config: Config, with_images: bool) -> dict[str, object]:
    """Return the image settings that the user gave. Other runs store none, like those of before images."""
    given = {name: getattr(config, name) for name in _IMAGE_SETTINGS if getattr(config, name) is not None}
    return {"with_images": True, **given} if with_images else given


def refuse_mixing(store: Store, simulated: bool) -> None:
    """Raise `RunError` if a run would mix simulated answers with those of a real model, in any stage."""
    before = is_simulated_run(store)
    if before not in (None, simulated):
        kind = "made-up answers of the simulated endpoint" if before else "answers of a real model"
        raise RunError(
            f"{store.folder} holds {kind}. Real and made-up answers are never mixed: use another --dataset_version."
        )


def sampling_settings(config: Config) -> dict[str, object]:
    """Return the settings of the sampling. Those of newer versions are in it if they are set, as in older runs."""
    fields = resolve_sampling(config).fields
    newer: dict[str, object] = {name: fields[name] for name in ("reasoning_effort", "verbosity") if name in fields}
    return {
        "temperature": config.temperature,
        "top_p": config.top_p,
        "max_tokens": config.max_tokens,
        "seed": config.seed,
        **newer,
        **config.extra_body,
    }


def requested_tier(config: Config) -> str | None:
    """Return the service tier that every request asks for, or None if it asks for none."""
    tier = config.extra_body.get("service_tier")
    return None if tier is None else str(tier)


def changed_settings(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return how new answers would differ from earlier ones: "temperature 0.7, now 0.2"."""
    names = [name for name in {**before, **now} if name not in _NOT_COMPARED]
    return [
        f"{name} {_format(before.get(name))}, now {_format(now.get(name))}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _format(value: object) -> str:
    return "unset" if value is None else str(value)


_TRIED_META = "tried without examples"  # meta: the prompt of rows that `try` asked before a cold start


def note_plain_try(store: Store, settings: Mapping[str, object]) -> None:
    """Note that rows are tried with a prompt without examples, before the run searches for some. Does not commit."""
    set_meta(store, _TRIED_META, str(settings["prompt"]))


def was_only_tried(store: Store) -> bool:
    """Return whether all rows that were asked are those of a try before the cold start of the run."""
    tried = get_meta(store, _TRIED_META)
    return tried is not None and tried == (last_settings(store, GENERATE) or {}).get("prompt")


def forget_plain_try(store: Store) -> None:
    """Continue without examples, so that what was tried is the beginning of the run. Does not commit."""
    if get_meta(store, _TRIED_META) is not None:
        set_meta(store, _TRIED_META, None)


def check_settings(store: Store, now: Mapping[str, object], accept_changes: bool) -> int:
    """Check that new answers are made under the settings of the run. Return how many rows are to be asked again.

    Those are rows that were tried before the cold start, if `now` has the examples that it found. Raises `RunError` for
    settings that have changed, unless the user accepts that.
    """
    before = last_settings(store, GENERATE)
    if before is None:
        return 0
    prompt = now["prompt_text"]
    is_tried = isinstance(prompt, Mapping) and bool(prompt["in_context"]) and was_only_tried(store)
    changes = changed_settings({**before, "prompt": now["prompt"]} if is_tried else before, now)
    if changes and not accept_changes:
        raise RunError(
            f"{store.folder} was made with other settings: {'; '.join(changes)}. Use --dataset_version for a "
            "new run, or --accept-changes to use the new settings for the remaining rows."
        )
    return reopen(store, GENERATE, [state for state in State if state is not State.PENDING]) if is_tried else 0


_META = "prices"  # meta: the config's own prices as JSON


def store_prices(store: Store, prices: Mapping[str, PricePerMillion]) -> None:
    """Store the config's own prices with the run, so that reports need no config. Does not commit."""
    if prices:
        set_meta(
            store,
            _META,
            orjson.dumps({name: price.model_dump(exclude_unset=True) for name, price in prices.items()}).decode(),
        )


def stored_prices(store: Store) -> Prices:
    """Return the prices for a run's cost: those stored with it, and the built-in ones."""
    stored = orjson.loads(str(get_meta(store, _META) or "{}"))
    return load_prices({name: PricePerMillion.model_validate(price) for name, price in stored.items()})


_LIMITS_META = "limits"  # meta: what the servers last stated, as JSON


def store_limits(store: Store, limits: Mapping[str, float]) -> None:
    """Store the limits per minute that the servers state, by "requests" and "tokens". Does not commit."""
    if limits:
        set_meta(store, _LIMITS_META, orjson.dumps(limits, option=orjson.OPT_SORT_KEYS).decode())


def stored_limits(store: Store) -> dict[str, float]:
    """Return the limits per minute that the servers last stated, by "requests" and "tokens"."""
    return dict(orjson.loads(str(get_meta(store, _LIMITS_META) or "{}")))


_COMMAND_META = "command"  # meta: the newest command of the run as JSON
_PIPELINE_META = "pipeline"  # meta: the file of the pipeline that the run is a part of
_RUN_META = "run_command"  # meta: the newest command of the main job, where another one followed it
RUN, TRANSLATE = "run", "translate"  #: the commands that are kept
#: Options that are not kept: where the run is follows from its folder, and the others are about one start only.
_NOT_KEPT = frozenset(
    {
        *(
            "name",
            "output_dir",
            "dataset_version",
            "retry",
            "retry_reason",
            "accept_changes",
            "check_input",
            "json",
            "yes",
        ),
        *("deadline", "wait", "batch_file", "batch_results"),
    }
)
_TEXT_PATHS = frozenset({"query_inputs_path", "prompt_path", "snapshot"})  # paths that are declared as text


class KeptCommand(NamedTuple):
    """The newest command of a run. `options` are those that are not the defaults, as JSON values."""

    command: str
    options: Mapping[str, object]
    host: str
    at: float  #: seconds since the epoch

    def line(self, folder: Path) -> str:
        """Return it as it can be typed: for a run with its name, version and folder."""
        words = ["syphus"]
        if self.command == RUN:
            place = {
                "name": folder.parent.name,
                "dataset_version": folder.name,
                "output_dir": str(folder.parent.parent),
            }
        else:
            words += [self.command, str(folder)]
            place = {}
        for name, value in {**place, **self.options}.items():
            flag = f"--{name.replace('_', '-')}"
            values = value if isinstance(value, list) else [value]
            words += [flag] if value is True else [word for each in values for word in (flag, str(each))]
        return shlex.join(words)


def keep_command(store: Store, command: str, options: Options, plugins: tuple[Path, ...] = ()) -> None:
    """Keep a command with its run, without committing. `plugins` are the folders in which its plugin was found.

    A command that is kept already stays as it is: a run that has nothing to do leaves its ledger untouched.
    """
    if plugins:
        options = replace(options, datasets_dir=tuple(dict.fromkeys((*options.datasets_dir, *plugins))))
    if options.example:
        options = replace(options, query_inputs_path="")  # it follows from the dataset
    default = Options()
    given = {
        each.name: _as_json(each.name, getattr(options, each.name))
        for each in fields(Options)
        if each.name not in _NOT_KEPT and getattr(options, each.name) != getattr(default, each.name)
    }
    before = kept_command(store)
    if before is None or (before.command, before.options) != (command, given):
        if before is not None and before.command == RUN != command:
            set_meta(store, _RUN_META, json.dumps(before._asdict()))
        kept = KeptCommand(command, given, socket.gethostname(), time.time())
        set_meta(store, _COMMAND_META, json.dumps(kept._asdict()))  # orjson takes no path that is not UTF-8


def _as_json(name: str, value: object) -> object:
    if isinstance(value, tuple):
        return [_as_json(name, each) for each in value]
    if isinstance(value, Path) or (name in _TEXT_PATHS and value):
        return as_url(str(value)) or absolute(str(value))
    return value


def kept_command(store: Store) -> KeptCommand | None:
    """Return the newest command of a run; None if an earlier version made it."""
    kept = get_meta(store, _COMMAND_META)
    return KeptCommand(**json.loads(str(kept))) if kept else None


def run_command(store: Store) -> KeptCommand | None:
    """Return the newest command of the main job, which knows where images and plugins are; None if none is kept."""
    newest = kept_command(store)
    if newest is None or newest.command == RUN:
        return newest
    kept = get_meta(store, _RUN_META)
    return KeptCommand(**json.loads(str(kept))) if kept else None


def keep_pipeline(folder: Path, path: Path) -> None:
    """Note in the ledger of a run that a stage of the pipeline in the file `path` has worked on it."""
    store = open_for_writing(folder)
    try:
        if get_meta(store, _PIPELINE_META) != absolute(str(path)):
            set_meta(store, _PIPELINE_META, absolute(str(path)))
            store.commit()
    finally:
        store.close()


def pipeline_of(folder: Path) -> str:
    """Return the file of the pipeline that a run is a part of, "" without one. Raises `RunError` if it is no run."""
    store = open_for_reading(folder)
    try:
        return str(get_meta(store, _PIPELINE_META) or "")
    finally:
        store.close()


def resumed_options(folder: Path, overrides: Mapping[str, object]) -> tuple[str, Options]:
    """Return the command and the options with which a run continues; `overrides` replace those that were given.

    Raises `RunError` if the folder holds no run, or none that keeps its command; `ConfigError` for a wrong option.
    """
    for name in overrides.keys() & {"name", "output_dir", "dataset_version"}:
        raise ConfigError(f"--{name.replace('_', '-')}: the folder says which run it is.")
    folder = folder.absolute()
    store = open_for_reading(folder)
    try:
        kept = kept_command(store)
    finally:
        store.close()
    if kept is None:
        raise RunError(f"{folder} keeps no command, since an earlier version made it. Run its command again.")
    place: dict[str, object] = {}
    if kept.command == RUN:
        place = {"name": folder.parent.name, "output_dir": folder.parent.parent, "dataset_version": folder.name}
    values = {**kept.options, **place, **overrides}
    if str(values.get("judge", "")).lower() != JUDGE_AUTO and "judge_margin" not in overrides:
        values.pop("judge_margin", None)  # of another judge
    return kept.command, make_options(Options, values)
