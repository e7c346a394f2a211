"""All settings of a simulated endpoint: `Simulation`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import orjson

from syphus.errors import ConfigError
from syphus.simulator.answer_forms import SCHEMA_HABITS
from syphus.simulator.batches.batch_faults import BATCH_FAULTS, BatchCall, Level, as_script, check_batch_fault
from syphus.simulator.faults import FAULTS, OK
from syphus.simulator.learning import OBEDIENCE, Obedience
from syphus.simulator.pack_answers import PackSlip
from syphus.simulator.profiles import PROFILES
from syphus.simulator.prompt_cache import CacheRule
from syphus.simulator.stats import read_tariffs

_QUICK = 300.0  # speed of the clock of batches: seven minutes pass in less than two seconds
_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """All settings of a simulated endpoint. Times are in seconds. 0 or an empty value means no limit, unless noted.

    Raises `ValueError` for an unknown fault (the message lists the known ones) and for values out of range.
    """

    seed: int = 0  #: of all random choices

    # Access
    key: str = ""  #: the accepted key; if empty, any key is accepted, but there must be one
    models: Sequence[str] = ()  #: known models; any if empty
    deployments: Sequence[str] = ()  #: known Azure deployments; any if empty
    api_versions: Sequence[str] = ()  #: known Azure api-versions; any if empty
    list_models: bool = True  #: whether GET /v1/models exists
    shutdown_date: str = ""  #: of all models, as GET /v1/models states it: a date, "null" for none; not stated if empty
    refuse_max_tokens: bool = False  #: 400 unsupported_parameter: use max_completion_tokens
    refuse_parameters: Sequence[str] = ()  #: 400 unsupported_parameter for these as well, e.g. response_format
    fixed_temperature: bool = False  #: 400 unsupported_value unless temperature is 1
    vision: bool = True  #: whether the model accepts images
    fixed_top_p: bool = False  #: 400 unsupported_value unless top_p is 1
    profile: str = ""  #: refuse, think and answer as a known server does: one of `profiles.PROFILES`
    schema: str = ""  #: what becomes of response_format, one of `SCHEMA_HABITS`; "" as the profile does it
    context: int = 0  #: tokens of prompt and max_tokens together; what does not fit gets the profile's 400

    # Answers
    sloppiness: float = 0.01  #: share of answers with a formal defect; 0 turns all defects off
    cold_sloppiness: float = 0.35  #: the same if no in-context example shows the form
    translation_damage: float = 0.0  #: share of translations, in each language, that are damaged, in ten ways
    translation_slips: float = 0.0  #: share of translations with another meaning, which only a judge can tell
    pair_slips: float = 0.0  #: share of pairs whose answer is not in the annotation, which only a judge can tell
    pack_slips: float = 0.0  #: share of answers about several items at once that have a mistake, see `pack_slip`
    pack_slip: PackSlip = (
        "mixed"  #: that mistake: missing, doubled, swapped, unknown, leaked, untagged, unordered, mixed
    )
    judge_misses: float = 0.0  #: share of the bad pairs that a judge lets pass
    judge_alarms: float = 0.0  #: share of the sound pairs that a judge calls bad
    sound_pairs: Mapping[str, str] = field(
        default_factory=dict
    )  #: question -> the one answer to it that a judge takes for sound; other pairs it judges by the words

    obedience: Obedience = (
        "form"  #: what in-context examples achieve: form shows the form, examples teaches the task, never does nothing
    )
    cold_failures: float = 0.6  #: share of answers that fail without good examples; ignored if `obedience` is form

    # Limits
    rpm: float = 0.0  #: requests per minute
    tpm: float = 0.0  #: tokens per minute
    burst_seconds: float = 60.0  #: capacity of the limits: how many seconds' worth may be used at once
    charge: Literal["max", "usage"] = (
        "max"  #: charge prompt + max_tokens when a request is admitted, or the real usage afterwards
    )
    max_concurrency: int = 0  #: more requests in flight get a 429
    state_limits: bool = True  #: whether to send x-ratelimit headers
    latency: float = 0.0  #: median seconds of an answer
    latency_sigma: float = 0.0  #: of the lognormal distribution around it
    capacity: int = 0  #: how many requests are answered at once; the others wait in a queue and never get a 429

    # Prompt cache
    prompt_cache: str = CacheRule.BY_MODEL.value  #: its rules: by_model, automatic, marked or none
    cache_rpm: float = 15.0  #: requests per minute of one prefix and key; more go to machines without it
    cache_machines: int = 0  #: how many other machines there are; 0 is endless
    cache_seconds: float = 0.0  #: how long a prefix is kept after its last use; 0 is as long as the rules say

    # Batches
    batches: bool = True  #: whether the routes of files and batches exist
    batch_minutes: float = 7.0  #: median minutes from the creation of a batch to its end
    batch_sigma: float = 0.0  #: of the lognormal distribution around it
    batch_speed: float = 1.0  #: how many seconds pass for files and batches in one second
    batch_hours: float = 24.0  #: until a batch expires; those of the Azure routes never do
    batch_listing_delay: float = 0.0  #: how long a new file or batch is missing in the lists
    batch_most_lines: int = 50_000  #: of an input file
    batch_most_bytes: int = 200_000_000  #: of an input file
    batch_most_files: int = 0  #: input files that never expire; more are refused
    batch_enqueued_tokens: int = 0  #: input tokens of a model that unfinished batches may have together
    batch_models: Sequence[str] = ()  #: models or deployments that batches can use; all if empty
    batch_calls: Mapping[str, str] = field(
        default_factory=dict
    )  #: call (upload, files, file, content, delete, create, batches, batch, cancel) -> faults of its first calls
    batch_script: Sequence[str] = ()  #: faults of the first batches, in order; "ok" is no fault
    batch_faults: Mapping[str, float] = field(default_factory=dict)  #: fault -> its share of the lines of batches
    batch_folder: str = ""  #: where files and batches are kept for the next server; a temporary folder if empty

    # Bill
    tariffs: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict
    )  #: served model -> what it costs: the fields of `stats.Tariff`; other models are free
    served_models: Sequence[str] = ()  #: model names in the answers, one after the other; "simulated-..." if empty
    served_tiers: Sequence[str] = ()  #: service tiers in the answers, one after the other; the requested one if empty
    bytes_per_token: float = 4.0  #: bytes of a prompt's text that are counted as a token

    # Faults
    script: Sequence[str] = ()  #: faults of the first requests, in order; "ok" is no fault
    poison: Mapping[str, str] = field(default_factory=dict)  #: text in the last user message -> its fault
    poison_once: Mapping[str, str] = field(
        default_factory=dict
    )  #: the same, but only the first time that the messages are seen
    faults: Mapping[str, float] = field(default_factory=dict)  #: fault -> its share of all requests
    down: bool = False  #: reset every connection
    retry_after: float = 1.0  #: seconds that rate limit faults ask to wait
    hang_seconds: float = 600.0  #: how long a hanging connection stays open
    drip_seconds: float = 1.0  #: between the bytes of a dripping answer, or the blanks of an endless one
    redirect_to: str = "http://elsewhere.invalid/v1/chat/completions"

    keep_requests: int = 10_000  #: how many of the latest requests the request log keeps; 0 keeps none

    def __post_init__(self) -> None:
        for name in (*self.script, *self.poison.values(), *self.poison_once.values(), *self.faults):
            if name != OK and name not in FAULTS:
                raise ValueError(f"There is no fault {name!r}. Known faults: {', '.join(sorted(FAULTS))}.")
        self._check_batches()
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, int | float) and item.name != "seed" and not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{item.name} must be a number of at least 0, not {value}.")
        if self.obedience not in OBEDIENCE:
            raise ValueError(f"obedience must be one of {', '.join(OBEDIENCE)}, not {self.obedience!r}.")
        if self.schema and self.schema not in SCHEMA_HABITS:
            raise ValueError(f"schema must be one of {', '.join(SCHEMA_HABITS)}, not {self.schema!r}.")
        if self.profile not in PROFILES:
            raise ValueError(f"profile must be one of {', '.join(filter(None, PROFILES))}, not {self.profile!r}.")
        if self.prompt_cache not in tuple(CacheRule):
            raise ValueError(f"prompt_cache must be one of {', '.join(CacheRule)}, not {self.prompt_cache!r}.")
        read_tariffs(self.tariffs)
        if not self.bytes_per_token:
            raise ValueError("bytes_per_token must be more than 0.")
        if self.charge not in {"max", "usage"}:
            raise ValueError(f"charge must be max or usage, not {self.charge!r}.")
        if any(share < 0 for share in self.faults.values()) or sum(self.faults.values()) > 1:
            raise ValueError(
                f"The shares in faults must be from 0 to 1, and their sum at most 1, not {dict(self.faults)}."
            )

    def _check_batches(self) -> None:
        for call, script in self.batch_calls.items():
            if call not in tuple(BatchCall):
                raise ValueError(f"batch_calls: there is no call {call!r}. The calls are {', '.join(BatchCall)}.")
            for name in as_script(script):
                check_batch_fault(name, Level.CALL)
        for name in self.batch_script:
            check_batch_fault(name, Level.BATCH)
        for name in self.batch_faults:
            check_batch_fault(name, Level.LINE)
        if any(share < 0 for share in self.batch_faults.values()) or sum(self.batch_faults.values()) > 1:
            raise ValueError("The shares in batch_faults must be from 0 to 1, and their sum at most 1.")


def with_options(simulation: Simulation, options: Mapping[str, object]) -> Simulation:
    """Return `simulation` with the settings in `options`; `all=1` starts from the defaults.

    Values may be strings as in a URL query: `rpm=60`, `down=true`, `script=ok,reset`, `faults={"reset": 0.1}`. Raises
    `ValueError` for an unknown name (the message lists the known ones), and for a value that can't be parsed.
    """
    base = Simulation() if options.get("all") else simulation
    known = {item.name: getattr(base, item.name) for item in fields(base)}
    values: dict[str, Any] = {}  # `_parse` and `Simulation` check the values
    for name, value in options.items():
        if name == "all":
            continue
        if name not in known:
            raise ValueError(f"There is no setting {name!r}. Known settings: {', '.join(known)}.")
        values[name] = _parse(name, value, known[name]) if isinstance(value, str) else value
    return replace(base, **values)


def with_quick_batches(simulation: Simulation, folder: str) -> Simulation:
    """Return `simulation` with batches that take seconds and are kept in `folder`, where the next server finds them."""
    return replace(simulation, batch_speed=_QUICK, batch_folder=folder)


def as_options(simulation: Simulation) -> dict[str, object]:
    """Return the settings as JSON values, without the key."""
    return {item.name: getattr(simulation, item.name) for item in fields(simulation) if item.name != "key"}


def _parse(name: str, text: str, default: object) -> object:
    """Parse `text` as a value of the type of `default`."""
    try:
        match default:
            case bool():
                return _BOOLEANS[text.lower()]
            case int() | float():
                return type(default)(text)
            case str():
                return text
            case Mapping():
                return orjson.loads(text)
            case _:
                return tuple(part for part in text.split(",") if part)
    except (KeyError, ValueError):
        raise ValueError(f"{name}={text} can't be parsed as {type(default).__name__}.") from None


def parse_settings(settings: Sequence[str]) -> Simulation:
    """Make a simulation from NAME=VALUE texts. Raises `ConfigError` for a setting that does not exist."""
    pairs = [setting.partition("=") for setting in settings]
    incomplete = [name for name, sign, _ in pairs if not sign]
    if incomplete:
        raise ConfigError(f"--set {incomplete[0]}: must be NAME=VALUE; `--set help` lists the names.")
    try:
        return with_options(Simulation(), {name.strip(): value for name, _, value in pairs})
    except ValueError as error:
        raise ConfigError(str(error)) from error


_BATCH_TITLES = {
    Level.CALL: 'Faults of calls of the Batch API, for batch_calls, such as {"create": "ok,lost_reply"}:',
    Level.BATCH: "Faults of batches, for batch_script:",
    Level.LINE: "Faults of lines of batches, for batch_faults:",
}


def _described(level: Level, width: int) -> list[str]:
    return [f"  {name.ljust(width)}  {each.description}" for name, each in BATCH_FAULTS.items() if each.level is level]


def describe_settings() -> list[str]:
    """Return the settings with their defaults, and the faults with what each does, a line each."""
    width = max(map(len, FAULTS))
    defaults = {"key": "", **as_options(Simulation())}
    return [
        "Settings, as --set NAME=VALUE (separate the items of a list with commas; write mappings as JSON):",
        *(f"  {name}={'' if value in ((), {}) else value}" for name, value in defaults.items()),
        "Faults, for the settings script, poison, poison_once and faults:",
        *(f"  {name.ljust(width)}  {fault.description}" for name, fault in sorted(FAULTS.items())),
        *(line for level, title in _BATCH_TITLES.items() for line in (title, *_described(level, width))),
    ]
