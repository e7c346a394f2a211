"""Narrations of a camera that somebody wears, as told to this person: "C opens the door" is "You open the door"."""

from __future__ import annotations

import re

_PERSON = re.compile(r"\b(?i:an? |the )?(?i:(man|woman|person|lady|guy|boy|girl|individual)) [A-Z]\b")
_SUBJECT = re.compile(r"\bC (\w+)")
_WHOSE, _WHOM = re.compile(r"\bC's\b"), re.compile(r"\bC\b")
_IRREGULAR = {"is": "are", "was": "were", "has": "have", "does": "do"}


def told_to_wearer(fact: str) -> str:
    """A narration without letters for people; its verbs agree with "you"."""
    told = _PERSON.sub(lambda found: f"a {found[1].lower()}", fact)
    told = _SUBJECT.sub(lambda found: f"you {_plural(found[1])}", told)
    told = _WHOM.sub("you", _WHOSE.sub("your", told))
    return told[0].upper() + told[1:]


def _plural(verb: str) -> str:
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if verb.endswith(("ches", "shes", "sses", "xes", "oes")):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb
