"""Write questions and answers about the facts of an annotation: grounded, and never the same question twice."""

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
_FIRST_PERSON = (
    "What can I see of {}?",
    "What is going on with {}?",
    "What should I know about {}?",
    "How would I describe {}?",
    "What do I notice about {}?",
    "Is there anything special about {}?",
    "What might I miss about {}?",
    "Which detail of {} should I remember?",
)
_FALLBACK = (  # if all others are used up
    "What else is there to see of {}?",
    "What more is there to know about {}?",
    "Is there anything else about {}?",
)
_NOTHING_CHANGED = ("Is there any difference between the two images?", "Can you spot a change between the two images?")
_NOTHING_TO_SEE = Pair("Is there anything special to be seen here?", "Nothing in particular stands out here.")
_OPENINGS = ("It seems that ", "One can see that ", "Clearly, ", "At a closer look, ", "As far as one can tell, ")
_PLACES = frozenset(
    ("above", "at", "behind", "beside", "between", "by", "in", "inside", "near", "on", "outside", "under")
)
_FIRST_OPENINGS = (0, 0, 0, 1, 2)  # index of the opening that a fact starts with; 0, none, is the most likely


# For narrations that name people by letters, and the camera wearer C
_PERSON = re.compile(r"\b(?i:an? |the )?(?i:(man|woman|person|lady|guy|boy|girl|individual)) [A-Z]\b")
_SUBJECT = re.compile(r"\bC (\w+)")
_WHOSE, _WHOM = re.compile(r"\bC's\b"), re.compile(r"\bC\b")
_IRREGULAR = {"is": "are", "was": "were", "has": "have", "does": "do"}


def make_pairs(
    facts: Sequence[str], count: int, about_change: bool, random: Random, avoid: frozenset[str] = frozenset()
) -> list[Pair]:
    """Return `count` pairs about `facts`, or fewer if the facts do not yield as many different questions.

    Questions in `avoid`, those of in-context examples, are not asked unless no others are left.
    """
    if not facts:
        return [_NOTHING_TO_SEE]
    order = random.sample(facts, len(facts))
    patterns = _shuffled(_patterns(facts, about_change), random)
    openings = ["", *_shuffled(_OPENINGS, random)]
    starts = [random.choice(_FIRST_OPENINGS) for _ in order]
    answers: dict[str, str] = {}
    for number in range(len(order) * len(openings)):
        turn, index = divmod(number, len(order))
        question = _new_question(order[index], patterns[number % len(patterns) :] + patterns, answers.keys() | avoid)
        if question:
            answers[question] = _response(order[index], openings[(turn + starts[index]) % len(openings)])
        if len(answers) == count:
            break
    if not answers and avoid:
        return make_pairs(facts, count, about_change, random)
    return [Pair(question, response) for question, response in answers.items()]


def _patterns(facts: Sequence[str], about_change: bool) -> Sequence[str]:
    """Return patterns for questions; facts such as "You open the door" get questions in the first person."""
    if any(re.search(r"\byou\b", fact, re.IGNORECASE) for fact in facts):
        return _FIRST_PERSON
    return _ABOUT_CHANGE if about_change else _ABOUT_ANYTHING


def _shuffled(texts: Sequence[str], random: Random) -> list[str]:
    return random.sample(texts, len(texts))


def _new_question(fact: str, patterns: Sequence[str], used: Container[str]) -> str:
    """Return a question about `fact` that was not asked yet; "" if none is left."""
    usable = _NOTHING_CHANGED if denies_change(fact) else (*patterns, *_FALLBACK)
    about = subject(fact)
    return next((question for pattern in usable if (question := pattern.format(about)) not in used), "")


def _response(fact: str, opening: str) -> str:
    return opening + lower_first(fact) if opening else fact


def retold(text: str) -> str:
    """Return a sentence with its last statement of place in front: "At the sink, a girl is washing a kettle."."""
    words = text.rstrip(".").split()
    places = [number for number, word in enumerate(words[:-1]) if number > 2 and word in _PLACES]
    if not places:
        return text
    front, rest = " ".join(words[places[-1] :]), " ".join(words[: places[-1]])
    return f"{front[0].upper()}{front[1:]}, {lower_first(rest)}."


def lower_first(fact: str) -> str:
    """Return `fact` as it would continue a sentence; "TV" and "I" keep their capitals."""
    first = fact.split(maxsplit=1)[0]
    keeps = first == "I" or (len(first) > 1 and first.isupper())
    return fact if keeps else fact[0].lower() + fact[1:]


def to_second_person(fact: str) -> str:
    """Return a narration that addresses the camera wearer: "You open the door" for "C opens the door"."""
    text = _PERSON.sub(lambda found: f"a {found[1].lower()}", fact)
    text = _SUBJECT.sub(lambda found: f"you {_second_person_verb(found[1])}", text)
    text = _WHOM.sub("you", _WHOSE.sub("your", text))
    return text[0].upper() + text[1:]


def _second_person_verb(verb: str) -> str:
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if verb.endswith(("ches", "shes", "sses", "xes", "oes")):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb
