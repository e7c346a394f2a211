"""From the facts of an annotation to questions and answers about them: made up, but grounded, and never twice the same
question.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from random import Random

from syphus.simulator.annotation_facts import denies_change, subject
from syphus.types import Pair

_ABOUT_CHANGE = (
    "What has changed with {}?",
    "What is different about {}?",
    "How do the two images differ when it comes to {}?",
    "Can you tell me what happened to {}?",
    "What do you notice about {} when you compare the two images?",
    "Is there any change to {}?",
)
_ABOUT_ANYTHING = (
    "What can you tell me about {}?",
    "What is going on with {}?",
    "Which detail stands out about {}?",
    "How would you describe {}?",
    "What is there to see of {}?",
    "Could you say more about {}?",
)
_OF_THE_WEARER = (
    "What can I see of {}?",
    "What is going on with {}?",
    "What should I know about {}?",
    "How would I describe {}?",
    "What do I notice about {}?",
    "Is there anything special about {}?",
    "What might I miss about {}?",
    "Which detail of {} should I remember?",
)
_FURTHER = (  # where all others are used up
    "What else is there to see of {}?",
    "What more is there to know about {}?",
    "Is there anything else about {}?",
)
_NOTHING_CHANGED = ("Is there any difference between the two images?", "Can you spot a change between the two images?")
_NOTHING_TO_SEE = Pair("Is there anything special to be seen here?", "Nothing in particular stands out here.")
_OPENINGS = ("It seems that ", "One can see that ", "Clearly, ", "At a closer look, ", "As far as one can tell, ")
_FIRST_OPENINGS = (0, 0, 0, 1, 2)  # where each fact starts among none and the openings: mostly with none


def make_pairs(
    facts: Sequence[str], count: int, about_change: bool, random: Random, avoid: frozenset[str] = frozenset()
) -> list[Pair]:
    """About `count` pairs over `facts`: fewer where the facts do not yield so many different ones.

    Questions to `avoid` are not asked: those of in-context examples; unless no other is left.
    """
    if not facts:
        return [_NOTHING_TO_SEE]
    order = random.sample(facts, len(facts))
    patterns = _shuffled(_patterns(facts, about_change), random)
    openings = ["", *_shuffled(_OPENINGS, random)]
    starts = [random.choice(_FIRST_OPENINGS) for _ in order]
    made: dict[str, str] = {}
    for place in range(len(order) * len(openings)):
        turn, which = divmod(place, len(order))
        question = _new_question(order[which], patterns[place % len(patterns) :] + patterns, made.keys() | avoid)
        if question:
            made[question] = _response(order[which], openings[(turn + starts[which]) % len(openings)])
        if len(made) == count:
            break
    if not made and avoid:
        return make_pairs(facts, count, about_change, random)
    return [Pair(question, response) for question, response in made.items()]


def _patterns(facts: Sequence[str], about_change: bool) -> Sequence[str]:
    """Ways to ask: whoever is told "You open the door" asks as "I"."""
    if any(re.search(r"\byou\b", fact, re.IGNORECASE) for fact in facts):
        return _OF_THE_WEARER
    return _ABOUT_CHANGE if about_change else _ABOUT_ANYTHING


def _shuffled(texts: Sequence[str], random: Random) -> list[str]:
    return random.sample(texts, len(texts))


def _new_question(fact: str, patterns: Sequence[str], asked: Container[str]) -> str:
    """A question about `fact` that was not asked yet; "" if there is none left."""
    usable = _NOTHING_CHANGED if denies_change(fact) else (*patterns, *_FURTHER)
    about = subject(fact)
    return next((question for pattern in usable if (question := pattern.format(about)) not in asked), "")


def _response(fact: str, opening: str) -> str:
    return opening + lower_first(fact) if opening else fact


def lower_first(fact: str) -> str:
    """`fact` as it stands in the middle of a sentence; "TV" and "I" keep their capitals."""
    first = fact.split(maxsplit=1)[0]
    keeps = first == "I" or (len(first) > 1 and first.isupper())
    return fact if keeps else fact[0].lower() + fact[1:]


# FOLDED from wearer.py:
# Narrations of a camera that somebody wears, as told to this person: "C opens the door" is "You open the door".

_PERSON = re.compile(r"\b(?i:an? |the )?(?i:(man|woman|person|lady|guy|boy|girl|individual)) [A-Z]\b")
_SUBJECT = re.compile(r"\bC (\w+)")
_WHOSE, _WHOM = re.compile(r"\bC's\b"), re.compile(r"\bC\b")
_IRREGULAR = {"is": "are", "was": "were", "has": "have", "does": "do"}


def to_second_person(fact: str) -> str:
    """A narration without letters for people; its verbs agree with "you"."""
    told = _PERSON.sub(lambda found: f"a {found[1].lower()}", fact)
    told = _SUBJECT.sub(lambda found: f"you {_second_person_verb(found[1])}", told)
    told = _WHOM.sub("you", _WHOSE.sub("your", told))
    return told[0].upper() + told[1:]


def _second_person_verb(verb: str) -> str:
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if verb.endswith(("ches", "shes", "sses", "xes", "oes")):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb
