"""The table of faults. A module adds one by decorating the function that makes its reply; the function's name is the
fault's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from syphus.simulator.completion import Case
from syphus.simulator.replies import SimulatedReply

Play = Callable[[Case], SimulatedReply]


class Cost(Enum):
    """What a fault does to the bill."""

    FREE = auto()  #: no answer was made: nothing is billed
    LOST = auto()  #: an answer was made and is billed, but the client does not get it whole
    ANSWERED = auto()  #: an answer was made, is billed, and arrives


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what it is in one line, its reply, and what it costs."""

    about: str
    play: Play
    cost: Cost


FAULTS: dict[str, Fault] = {}


def add(name: str, about: str, play: Play, cost: Cost = Cost.FREE) -> None:
    """Put a fault into the table under `name`."""
    assert name not in FAULTS, name
    FAULTS[name] = Fault(about, play, cost)


def fixed(name: str, about: str, reply: SimulatedReply) -> None:
    """Put a fault into the table that always makes the same reply, and no answer."""

    def play(_: Case) -> SimulatedReply:
        return reply

    add(name, about, play)


def fault(cost: Cost = Cost.FREE) -> Callable[[Play], Play]:
    """A decorator: the function is a fault, its docstring says what it is."""

    def enter(play: Play) -> Play:
        add(play.__name__, (play.__doc__ or "").strip(), play, cost)
        return play

    return enter
