"""What a simulated endpoint can be told: `Simulation`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import orjson

from syphus.errors import ConfigError
from syphus.simulator.faults import FAULTS
from syphus.simulator.learning import OBEDIENCE, Obedience

OK = "ok"  #: in a script: no fault
_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """All settings of a simulated endpoint. Times are in seconds; 0 or an empty value means no limit, unless said
    otherwise.

    Raises ValueError for a fault that does not exist (the message lists those that do) and for figures that make no
    sense.
    """

    seed: int = 0  #: everything that is drawn follows from it

    # Who may ask for what
    key: str = ""  #: the key that is accepted; any if empty, but there must be one
    models: Sequence[str] = ()  #: known models; any if empty
    deployments: Sequence[str] = ()  #: known Azure deployments; any if empty
    api_versions: Sequence[str] = ()  #: known Azure api-versions; any if empty
    list_models: bool = True  #: whether there is a GET /v1/models
    refuse_max_tokens: bool = False  #: 400 unsupported_parameter: use max_completion_tokens
    refuse_parameters: Sequence[str] = ()  #: 400 unsupported_parameter for these too, e.g. response_format
    fixed_temperature: bool = False  #: 400 unsupported_value unless temperature is 1
    vision: bool = True  #: whether the model takes images
    fixed_top_p: bool = False  #: 400 unsupported_value unless top_p is 1

    # The answers
    sloppiness: float = 0.01  #: share of answers with a defect of form; 0 switches all defects off
    cold_sloppiness: float = 0.35  #: the same where no in-context example shows the form
    translation_damage: float = 0.0  #: share of translations, in each language, that are no good, in ten ways
    translation_slips: float = 0.0  #: share that say something else, which only a judge sees

    obedience: Obedience = "form"  #: what in-context examples do: they show the form; or teach the task; or nothing
    cold_failures: float = 0.6  #: share of answers that fail without good examples; not where `obedience` is form

    # The limits
    rpm: float = 0.0  #: requests a minute
    tpm: float = 0.0  #: tokens a minute
    burst_seconds: float = 60.0  #: how many seconds' worth of the limits may come at once
    charge: Literal["max", "usage"] = (
        "max"  #: tokens count as prompt + max_tokens at admission, or as what was really used
    )
    max_concurrency: int = 0  #: 429 above
    state_limits: bool = True  #: whether x-ratelimit headers are sent
    latency: float = 0.0  #: median time of an answer
    latency_sigma: float = 0.0  #: of the lognormal distribution around it
    capacity: int = 0  #: at most so many are answered at once, the rest wait in a queue and never get a 429

    # The faults
    script: Sequence[str] = ()  #: the first requests play these in order; "ok" is none
    poison: Mapping[str, str] = field(default_factory=dict)  #: text in the last user message -> fault
    poison_once: Mapping[str, str] = field(
        default_factory=dict
    )  #: the same, only the first time that these messages are seen
    faults: Mapping[str, float] = field(default_factory=dict)  #: fault -> its share of the requests
    down: bool = False  #: every connection is reset
    retry_after: float = 1.0  #: what limits that are played as faults ask for
    hang_seconds: float = 600.0  #: after so long a connection that hangs is closed
    drip_seconds: float = 1.0  #: between two bytes of a dripping answer, and two blanks of an endless one
    redirect_to: str = "http://elsewhere.invalid/v1/chat/completions"

    keep_requests: int = 10_000  #: how many of the latest requests the bill holds; 0 is none

    def __post_init__(self) -> None:
        for name in (*self.script, *self.poison.values(), *self.poison_once.values(), *self.faults):
            if name != OK and name not in FAULTS:
                raise ValueError(f"There is no fault {name!r}. Known are: {', '.join(sorted(FAULTS))}.")
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, int | float) and item.name != "seed" and not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{item.name} must be a number from 0 on, not {value}.")
        if self.obedience not in OBEDIENCE:
            raise ValueError(f"obedience is {', '.join(OBEDIENCE)}, not {self.obedience!r}.")
        if self.charge not in {"max", "usage"}:
            raise ValueError(f"charge is max or usage, not {self.charge!r}.")
        if any(share < 0 for share in self.faults.values()) or sum(self.faults.values()) > 1:
            raise ValueError(
                f"The shares in faults must be from 0 to 1 and add up to 1 at most, not {dict(self.faults)}."
            )


def with_options(simulation: Simulation, options: Mapping[str, object]) -> Simulation:
    """`simulation` with `options` by name, whose values may be texts as in a query string: `rpm=60`, `down=true`,
    `script=ok,reset`, `faults={"reset": 0.1}`. `all=1` starts from the defaults.

    Raises ValueError for an unknown name, with the known ones, and for a value that can't be read.
    """
    base = Simulation() if options.get("all") else simulation
    known = {item.name: getattr(base, item.name) for item in fields(base)}
    values: dict[str, Any] = {}  # the names are checked below, the values by _read and by Simulation
    for name, value in options.items():
        if name == "all":
            continue
        if name not in known:
            raise ValueError(f"There is no setting {name!r}. Known are: {', '.join(known)}.")
        values[name] = _read(name, value, known[name]) if isinstance(value, str) else value
    return replace(base, **values)


def as_options(simulation: Simulation) -> dict[str, object]:
    """The settings as JSON values, without the key."""
    return {item.name: getattr(simulation, item.name) for item in fields(simulation) if item.name != "key"}


def _read(name: str, text: str, like: object) -> object:
    """`text` as a value of the type of `like`."""
    try:
        match like:
            case bool():
                return _TRUTH[text.lower()]
            case int() | float():
                return type(like)(text)
            case str():
                return text
            case Mapping():
                return orjson.loads(text)
            case _:
                return tuple(part for part in text.split(",") if part)
    except (KeyError, ValueError):
        raise ValueError(f"{name}={text} can't be read as {type(like).__name__}.") from None


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


def describe_settings() -> list[str]:
    """Return the settings with their defaults, and the faults with what each does, a line each."""
    width = max(map(len, FAULTS))
    defaults = {"key": "", **as_options(Simulation())}
    return [
        "Settings, as --set NAME=VALUE; lists with commas, mappings as JSON:",
        *(f"  {name}={'' if value in ((), {}) else value}" for name, value in defaults.items()),
        "Faults, for script, poison, poison_once and faults:",
        *(f"  {name.ljust(width)}  {fault.description}" for name, fault in sorted(FAULTS.items())),
    ]
