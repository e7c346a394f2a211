"""The command that runs the simulated endpoint alone."""

from __future__ import annotations

from collections.abc import Sequence

from syphus.endpoints.simulated import FAULTS, Simulation, changed, run_simulated
from syphus.errors import ConfigError


def simulate(port: int, settings: Sequence[str]) -> None:
    """Serves until it is stopped; `settings` are NAME=VALUE. Raises `ConfigError` for a setting that there is not."""
    pairs = [setting.partition("=") for setting in settings]
    if any(not sign for _, sign, _ in pairs):
        raise ConfigError(f"--set takes NAME=VALUE. {explanation()}")
    try:
        simulation = changed(Simulation(), {name.strip(): value for name, _, value in pairs})
    except ValueError as error:
        raise ConfigError(str(error)) from error
    run_simulated(simulation, port)


def explanation() -> str:
    """The names of the settings, and of the faults."""
    names = ", ".join(Simulation.__dataclass_fields__)
    return f"Names: {names}. Faults: {', '.join(FAULTS)}."
