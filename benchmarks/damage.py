"""Good pairs made bad on purpose, each in one way: what heuristics have to notice."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from syphus.types import Pair, Query

_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER = re.compile(rf"\b(?:{'|'.join(_NUMBERS)}|\d+)\b", re.IGNORECASE)
_FIRST_ONE = re.compile(r"\b(?:a|an)\b")  # where there is no number, "a dog" can become "five dogs"

#: Half of them common, half of them rare, so that no list of words knows them all.
THINGS = (
    "violin", "giraffe", "umbrella", "helicopter", "snowman", "piano", "wheelchair", "penguin", "chandelier", "canoe",
    "gramophone", "sarcophagus", "zeppelin", "abacus", "harpoon", "hourglass", "trombone", "sundial", "cauldron",
    "scarecrow",
)  # fmt: skip
_ADDED = (
    "There is also a {} in the image.",
    "A {} can be seen in the background.",
    "Next to it stands a large {}.",
    "In addition, two {}s are visible on the left side.",
)
_NAMES = re.compile(
    r"\b(?:man|woman|person|people|boy|girl|dog|cat|car|bus|train|table|bird|horse|tree|building|road|street)s?\b"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """An annotation, and one pair about it."""

    query: Query
    pair: Pair


Damage = Callable[[int, Sequence[Sample], Random], Pair | None]


def damaged(samples: Sequence[Sample], kind: str, random: Random) -> list[tuple[int, Sample]]:
    """The samples that can be damaged in this way, each with its place in `samples`, and with the damaged pair."""
    made = ((place, DAMAGES[kind](place, samples, random)) for place in range(len(samples)))
    return [(place, replace(samples[place], pair=pair)) for place, pair in made if pair is not None]


def _swapped(place: int, samples: Sequence[Sample], random: Random) -> Pair | None:
    """The pair of another image."""
    others = [each for each in samples if each.query.id != samples[place].query.id]
    return random.choice(others).pair


def _swapped_answer(place: int, samples: Sequence[Sample], random: Random) -> Pair | None:
    """The answer to a question about another image that begins alike."""
    own = samples[place]
    others = [each for each in samples if each.query.id != own.query.id]
    alike = [each for each in others if each.pair.instruction.split()[0] == own.pair.instruction.split()[0]]
    return Pair(own.pair.instruction, random.choice(alike or others).pair.answer)


def _numbers(place: int, samples: Sequence[Sample], random: Random) -> Pair | None:
    """All numbers are others; None where there is none."""
    pair = samples[place].pair
    if not _NUMBER.search(pair.answer):
        return None
    return Pair(pair.instruction, _NUMBER.sub(lambda found: _another(found[0], random), pair.answer))


def _another(number: str, random: Random) -> str:
    if number.isdigit():
        return str(int(number) + random.randint(1, 9))
    return random.choice([word for word in _NUMBERS if word != number.lower()])


def _invented(place: int, samples: Sequence[Sample], random: Random) -> Pair | None:
    """A thing more, in a sentence behind."""
    pair = samples[place].pair
    return Pair(pair.instruction, f"{pair.answer} {random.choice(_ADDED).format(random.choice(THINGS))}")


def _replaced(place: int, samples: Sequence[Sample], random: Random) -> Pair | None:
    """A thing that is another, in every place; None where there is no common one."""
    pair = samples[place].pair
    found = _NAMES.search(pair.answer)
    if found is None:
        return None
    name = found[0].removesuffix("s")
    thing = random.choice(THINGS)
    return Pair(pair.instruction, re.sub(rf"\b{name}(s?)\b", rf"{thing}\1", pair.answer))


def _truncated(place: int, samples: Sequence[Sample], random: Random) -> Pair | None:
    """The first 30% to 80% of the words."""
    pair = samples[place].pair
    words = pair.answer.split()
    kept = words[: max(1, int(len(words) * random.uniform(0.3, 0.8)))]
    return Pair(pair.instruction, " ".join(kept))


def _cut_at_a_sentence(place: int, samples: Sequence[Sample], random: Random) -> Pair | None:  # noqa: ARG001
    """The first half of the sentences; None where there is only one."""
    pair = samples[place].pair
    sentences = re.split(r"(?<=[.!?])\s+", pair.answer)
    return Pair(pair.instruction, " ".join(sentences[: len(sentences) // 2])) if len(sentences) > 1 else None


DAMAGES: dict[str, Damage] = {
    "swapped": _swapped,
    "answer swapped": _swapped_answer,
    "numbers changed": _numbers,
    "object invented": _invented,
    "object replaced": _replaced,
    "truncated": _truncated,
    "cut at a sentence": _cut_at_a_sentence,
}
