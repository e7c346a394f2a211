"""Made-up scenes with good answers about them, and bad candidates planted among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from damage import Sample

from syphus.answers.parsing.pairs import parse_pairs, render_pairs
from syphus.answers.scoring import Candidate
from syphus.types import Message, Pair, Query, State

WHO = (
    "a fisherman", "two nuns", "an old sailor", "three schoolgirls", "a brown dog", "a delivery man", "five geese",
    "a toddler", "four cyclists", "a street musician", "two mechanics", "a black cat", "a beekeeper", "six hikers",
)  # fmt: skip
DOES = (
    ("mends a torn net", "mending a torn net"), ("feeds the pigeons", "feeding the pigeons"),
    ("looks at a broken bicycle", "looking at a broken bicycle"), ("waits for the ferry", "waiting for the ferry"),
    ("carries a wooden ladder", "carrying a wooden ladder"), ("sleeps on a blanket", "sleeping on a blanket"),
    ("reads a yellow poster", "reading a yellow poster"), ("pulls a small cart", "pulling a small cart"),
)  # fmt: skip
WHERE = (
    "beside the old lighthouse", "in front of a bakery", "on the market square", "near the harbour wall",
    "under a large oak", "at the edge of a meadow", "outside the railway station", "on a narrow bridge",
)  # fmt: skip
ALSO = (
    "A red kite hangs in the sky.", "Two empty benches stand next to the path.", "Fresh snow lies on the roofs.",
    "A green tram passes behind.", "Laundry dries on a line.", "Three lanterns are lit.", "A sign says closed.",
    "Some pumpkins are piled up in a crate.",
)  # fmt: skip
SYSTEM = "You see a photo. Write exactly three pairs of a question and an answer about it."
EXAMPLE = (
    Pair("What is the knight doing?", "The knight polishes his dented helmet in the courtyard of the ruined castle."),
    Pair("Where is the dragon?", "The dragon rests behind the crumbling tower, with its tail around the well."),
    Pair("What may happen next?", "The knight might notice the dragon when the smoke drifts over the wall."),
)
EXAMPLES: tuple[Message, ...] = (
    Message(role="user", content="A knight polishes his dented helmet.\nA dragon rests behind the crumbling tower."),
    Message(role="assistant", content=render_pairs(EXAMPLE)),
)


def scene(number: int, random: Random) -> tuple[Query, list[Pair]]:
    """A scene in three sentences, and three good pairs: what is seen, the whole in detail, and a reasoned guess."""
    who, where, also = (random.choice(each) for each in (WHO, WHERE, ALSO))
    does, doing = random.choice(DOES)
    plural = who.split()[0] in ("two", "three", "four", "five", "six")
    verb, told = ("are", who) if plural else ("is", "the " + who.split(maxsplit=1)[1])
    annotation = f"{who} {verb} {doing}.\nThe photo was taken {where}.\n{also}"
    pairs = [
        Pair(f"What {verb} {told} doing?", f"{who.capitalize()} {verb} {doing} {where}."),
        Pair("Can you describe the photo?", f"{where.capitalize()}, {who} can be seen {doing}. {also}"),
        Pair(
            f"Why might {told} be there?", f"Somebody who {does} {where} probably has some time, or a job to do there."
        ),
    ]
    return Query(f"s{number:03}", annotation), pairs


def samples(count: int, seed: int) -> list[Sample]:
    """Scenes with one good pair each, its kinds in turn."""
    random = Random(seed)
    made = (scene(number, random) for number in range(count))
    return [Sample(query, pairs[number % 3]) for number, (query, pairs) in enumerate(made)]


def candidate(query: Query, text: str) -> Candidate:
    """What a completion makes: read as pairs, or invalid."""
    parsed = parse_pairs(text)
    if parsed.problems:
        return Candidate(query, (), text, State.INVALID, parsed.problems[0])
    return Candidate(query, parsed.pairs, text)


def planted(count: int, bad: int, seed: int) -> tuple[list[Candidate], set[str]]:
    """So many candidates, in no order, and the keys of those that were made bad, in the ways of BAD in turn."""
    random = Random(seed)
    scenes = [scene(number, random) for number in range(count)]
    ways = list(BAD.values())
    texts = [
        ways[number % len(ways)](number, scenes, random) if number < bad else render_pairs(pairs)
        for number, (_, pairs) in enumerate(scenes)
    ]
    made = [candidate(query, text) for (query, _), text in zip(scenes, texts, strict=True)]
    keys = {each.key for each in made[:bad]}
    return random.sample(made, count), keys


Scenes = Sequence[tuple[Query, list[Pair]]]


def _ungrounded(number: int, scenes: Scenes, random: Random) -> str:
    """About things that are not there, one of them or all."""
    invented = [
        "A violinist plays on a frozen lake beside 42 penguins.",
        "Seven elephants march through the supermarket.",
        "Captain Ahab steers a purple submarine over the volcano.",
    ]
    pairs = scenes[number][1]
    return render_pairs([Pair(pair.instruction, text) for pair, text in zip(pairs, invented, strict=True)])


def _of_another(number: int, scenes: Scenes, random: Random) -> str:
    """The answer to another scene's query, which has nothing in common with this one."""
    own = set(scenes[number][0].text.split())
    return render_pairs(min(scenes, key=lambda other: len(own & set(other[0].text.split())))[1])


def _copied(number: int, scenes: Scenes, random: Random) -> str:
    """One pair, or all, of the in-context example."""
    pairs = list(EXAMPLE) if random.random() < 0.5 else [*scenes[number][1][:2], random.choice(EXAMPLE)]
    return render_pairs(pairs)


def _leaking(number: int, scenes: Scenes, random: Random) -> str:
    """Grounded, but one answer speaks of the notes."""
    pairs = list(scenes[number][1])
    place = random.randrange(3)
    said = random.choice(
        ["According to the description, {}", "The captions say that {}", "{} This is told in the annotation."]
    )
    pairs[place] = Pair(pairs[place].instruction, said.format(pairs[place].answer))
    return render_pairs(pairs)


def _malformed(number: int, scenes: Scenes, random: Random) -> str:
    """Nothing that the parser takes."""
    text = render_pairs(scenes[number][1])
    broken = (text.rpartition("Answer:")[0], "I'm sorry, I can't help with that.", text.replace("Answer:", "So:"), "")
    return random.choice(broken)


BAD: dict[str, Callable[[int, Scenes, Random], str]] = {
    "ungrounded": _ungrounded,
    "of another": _of_another,
    "copied": _copied,
    "leaking": _leaking,
    "malformed": _malformed,
}
