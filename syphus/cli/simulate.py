"""The command that runs the simulated endpoint alone."""

from __future__ import annotations

from collections.abc import Sequence

from syphus.errors import ConfigError
from syphus.simulator import FAULTS, Simulation, run_simulated, with_options
from syphus.simulator.settings import as_options


def simulate(port: int, settings: Sequence[str]) -> None:
    """Serves until it is stopped; `settings` are NAME=VALUE. Raises `ConfigError` for a setting that there is not."""
    pairs = [setting.partition("=") for setting in settings]
    wrong = [name for name, sign, _ in pairs if not sign]
    if wrong:
        raise ConfigError(f"--set {wrong[0]}: NAME=VALUE is needed; `--set help` lists the names.")
    try:
        simulation = with_options(Simulation(), {name.strip(): value for name, _, value in pairs})
    except ValueError as error:
        raise ConfigError(str(error)) from error
    run_simulated(simulation, port)


def explanation() -> list[str]:
    """The settings with their defaults, and the faults with what they are."""
    wide = max(map(len, FAULTS))
    return [
        "Settings, as --set NAME=VALUE; lists with commas, mappings as JSON:",
        *(f"  {name}={_shown(value)}" for name, value in {"key": "", **as_options(Simulation())}.items()),
        "Faults, for script, poison, poison_once and faults:",
        *(f"  {name.ljust(wide)}  {fault.description}" for name, fault in sorted(FAULTS.items())),
    ]


def _shown(value: object) -> object:
    return value if value not in ((), {}) else ""
