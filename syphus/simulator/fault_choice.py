"""Which fault a request meets."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from syphus.simulator.prompt_reader import ReadPrompt
from syphus.simulator.settings import OK, Simulation


class FaultChooser:
    """Chooses by script, then by the text of the message, then by chance. Counts the requests that it was asked
    about.
    """

    def __init__(self, seed: int) -> None:
        self._asked = 0
        self._seen: set[bytes] = set()
        self._random = Random(f"faults/{seed}")

    def fault(self, prompt: ReadPrompt, simulation: Simulation) -> str:
        """The name of the fault that `prompt` meets under `simulation`, "" for none."""
        place = self._asked
        self._asked += 1
        draw = self._random.random()  # always one a request, so that a script shifts nothing
        if place < len(simulation.script):
            chosen = simulation.script[place]
            return "" if chosen == OK else chosen
        return self._poison(prompt, simulation) or _drawn(draw, simulation.faults)

    def _poison(self, prompt: ReadPrompt, simulation: Simulation) -> str:
        found = _matching(simulation.poison, prompt)
        if found or not simulation.poison_once:
            return found
        first = prompt.key not in self._seen
        self._seen.add(prompt.key)
        return _matching(simulation.poison_once, prompt) if first else ""


def _matching(poison: Mapping[str, str], prompt: ReadPrompt) -> str:
    """The fault for the last user message, or for the annotation whose answer that message corrects."""
    return next((name for text, name in poison.items() if text in prompt.last_user or text in prompt.annotation), "")


def _drawn(draw: float, shares: Mapping[str, float]) -> str:
    for name, share in shares.items():
        draw -= share
        if draw < 0:
            return name
    return ""
