"""The sentences of an annotation, and what each of them is about.

Annotations differ: one sentence per line, numbered captions, `key: value` lines, JSON lists of captions, boxes. Only
the sentences are used. Times, boxes, tags and instructions that come with an annotation are left out, so that answers
stay clean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

MAX_FACTS = 12
_MAX_CHARACTERS = 300  # of a sentence; the rest is cut off

_LINE = re.compile(r"\s*(?:[-*•]|\d+[.)])?\s*(?:([A-Za-z_][\w-]*(?: [\w-]+)?)\s*:\s*)?(.*?)\s*$")
_ENDS = "!?\u3002\uff01\uff1f"  # and the full-width full stop, exclamation and question marks
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])\s*(?=\S)")
_CANDIDATE = " - Human role: "  # an activity that is possible in a scene, and not a fact
_BOX = re.compile(r"\[[\d\s.,-]+\]$")
_INSTRUCTION = re.compile(
    r"\b(questions?|answers?|please|you (?:should|must|are)|do not|don't|generate|instructions?|format|json"
    r"|pairs?(?! of\b))\b",
    re.IGNORECASE,
)
_SKIPPED_KEYS = frozenset({"timestamp", "timestamps", "time", "tags", "objects", "id", "duration", "candidates"})
_EXISTENTIAL = re.compile(
    r"\bthere (?:is|are|was|were|(?:seems?|appears?) to be)\s+(?:(?:now|also|no longer)\s+)*", re.IGNORECASE
)
_NEGATION = re.compile(r"\bno (?:\w+ )?(?:differences?|changes?)\b|\bnothing\b", re.IGNORECASE)

_VERBS = """
    is are was were be been being has have had do does did can could will would may might must seem seems seemed appear
    appears appeared disappeared moved missing gone not no now still also parked shown seen walks runs stands sits holds
    plays rides wears looks talks moves takes puts gets goes opens closes shows comes turns picks makes gives helps
    smiles leans lies hangs eats drinks drives jumps throws cuts uses begins starts continues says tells asks
"""
_PREPOSITIONS = """
    in on at of to from with without by near next behind beside under over above below between into onto through across
    around along toward towards inside outside that which who whose where when while as but because so than then there
    here up down out off back away
"""
_STOP = frozenset(_VERBS.split()) | frozenset(_PREPOSITIONS.split())
_ING_NOUNS = frozenset(
    {"building", "ceiling", "painting", "ring", "king", "string", "railing", "clothing", "wing", "thing"}
)
_ARTICLES = frozenset({"a", "an", "the", "some", "one", "another"})
_PRONOUNS = frozenset({"he", "she", "it", "they", "we", "i", "you", "this", "these", "those", "someone"})


def extract_facts(annotation: str) -> list[str]:
    """Return the sentences of `annotation`, at most `MAX_FACTS`, each with a capital letter and a full stop.

    If it has no sentences but names objects (`pizza: [51.2, 460.8, 206.3, 115.9]`), return one sentence per object.
    """
    found: list[str] = []
    objects: list[str] = []
    for line in annotation.splitlines():
        match = _LINE.match(line)
        key, value = (match[1] or "", match[2]) if match else ("", line)
        if _BOX.search(value):
            objects.append(key)
        elif _CANDIDATE in line:
            continue
        elif key.lower() not in _SKIPPED_KEYS:
            found += [text for text in _sentences(value) if _usable(text)]
        if len(found) >= MAX_FACTS:
            break
    found = found or [f"There is a {name} in the picture" for name in dict.fromkeys(objects) if name]
    return [_tidy(text) for text in dict.fromkeys(found)][:MAX_FACTS]


def subject(fact: str) -> str:
    """Return the noun phrase that `fact` is about: "the blue car" for "The blue car has moved."."""
    existential = _EXISTENTIAL.search(fact)
    words = (fact[existential.end() :] if existential else fact).rstrip(".!?").split()
    phrase = list(_noun_phrase(words))
    if phrase and phrase[0].lower() in _ARTICLES:
        del phrase[0]
    if not phrase or phrase[0].lower() in _PRONOUNS or not phrase[0].isascii():
        return "the scene"
    if len(phrase[0]) == 1 and phrase[0].isupper():  # "C opens the door": narrations name people by a letter
        return "the person"
    return "the " + " ".join([phrase[0].lower() if phrase[0].istitle() else phrase[0], *phrase[1:]])


def denies_change(fact: str) -> bool:
    """Return whether `fact` says that nothing has changed ("There are no differences.")."""
    return _NEGATION.search(fact) is not None


def _sentences(value: str) -> Iterator[str]:
    if value.startswith("["):
        try:
            listed = orjson.loads(value)
        except orjson.JSONDecodeError:
            listed = [value]
        for item in listed:
            if isinstance(item, str):
                yield item
        return
    yield from _SENTENCE_END.split(value)


def _usable(text: str) -> bool:
    words = text.split()
    enough = len(words) >= 3 or (len(text) >= 6 and not text.isascii())
    return enough and any(character.isalpha() for character in text) and not _INSTRUCTION.search(text)


def _tidy(text: str) -> str:
    text = " ".join(text.split())[:_MAX_CHARACTERS].rstrip(" ,;:.")
    end = "" if text[-1] in _ENDS else "."
    return text[0].upper() + text[1:] + end


def _noun_phrase(words: list[str]) -> Iterator[str]:
    """Return the words up to the first verb or preposition; only the first noun if none is among the first six."""
    stop = next((position for position, word in enumerate(words[:6]) if _ends_phrase(position, word)), None)
    if stop is None:
        stop = 2 if words and words[0].lower() in _ARTICLES else 1
    return (word.strip(",;:\"'()") for word in words[:stop])


def _ends_phrase(position: int, word: str) -> bool:
    bare = word.lower().strip(",;:\"'()")
    if bare in _STOP or word.endswith(","):
        return True
    return position > 1 and bare.endswith("ing") and bare not in _ING_NOUNS
