"""Finds answers that do not answer their question: of another kind than it wants, or against themselves.

What can't be an answer leaves its pair out. What may be one ("Where is he?" "He is skiing.") is a doubt, and a judge
looks at it first. The words here are closed classes of grammar, and colours, so that nothing depends on what is seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from itertools import takewhile
from operator import eq
from typing import Literal, NamedTuple

from syphus.answers.cleaning.rules import Context, Doubt, Drop, Rule, describe_match
from syphus.answers.cleaning.sent_texts import split_words
from syphus.answers.cleaning.unfinished import EMPTY_WORDS, TELLS_BY_SIGNS, names_a_thing, only_restates
from syphus.types import Pair

# What kind of answer a question wants, by the words of its grammar. Only English questions are understood.

Kind = Literal["count", "colour", "place", "inside", "what", "who", "truth", "reason", "kind", "other"]

_AUXILIARIES = "is|are|was|were|do|does|did|has|have|had|can|could|will|would"
_PREPOSITIONS = (
    "in|on|inside|at|under|behind|near|beside|beneath|underneath|above|below|over|between|among|outside|around|across"
    "|along|against|within|atop|upon"
)
_DETERMINERS = "the|a|an|this|that|these|those|his|her|its|their|your|my"

#: What may stand before the question itself: "In the second image, where is the car?"
_LEAD = r"(?:(?:and|so|then|now|but) |(?:in|on|at|from|of|compared|looking|based) [^,?]{3,60}, )?"
_KINDS = {
    "count": r"(?:approximately |about |exactly )?how many",
    "colour": r"(?:what|which) colou?rs?",
    "place": r"where",
    "inside": rf"what(?:'s| is| are)(?: there)? (?:{_PREPOSITIONS}) (?:{_DETERMINERS})",
    "what": rf"what(?:'s| is| are) (?:{_DETERMINERS})",
    "who": r"who",
    "truth": rf"(?:{_AUXILIARIES}) (?!not )",
    "reason": r"why",
    "kind": rf"(?:what|which)(?: (?:kind|type|sort)s? of)? (?!(?:{_AUXILIARIES}|may|might) )",
    "other": r"what|which|whose|when|how",
}
_QUESTION = re.compile(
    _LEAD + "(?:" + "|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()) + r")(?:(?<= )|\b)",
)
#: More than one question, a tag, or a choice that the question itself explains: no single kind of answer fits.
_SEVERAL = re.compile(
    rf"\?.*\?|[\n;]|(?:\b(?:and|or|but)|,)(?: also| if so,?)? (?:what|where|which|who|how|why|when|{_AUXILIARIES})\b"
    r"|n't (?:it|he|she|they|there)\b|\b(?:what|how) (?:about|if|come)\b|\belse\b|\bwhether\b|\bwho said\b",
    re.DOTALL,
)
#: What an answer may choose from: "the cat or the dog", "of the two men, how many".
_CHOICE = re.compile(r" (?:or|and|between|among) |^of ")


class Question(NamedTuple):
    """A question, in lower case and with straight apostrophes, and what kind of answer it wants."""

    kind: Kind
    text: str
    rest: str  #: the text after the words that tell the kind
    offers_a_choice: bool = False


def read_question(text: str) -> Question | None:
    """Return what a question wants, or None if that is no single thing, or nothing that is understood here."""
    lowered = text.lower().replace("\u2019", "'")
    found = _QUESTION.match(lowered)
    if found is None:
        return None
    kind: Kind = found.lastgroup  # type: ignore[assignment]  # the groups are the kinds
    if _SEVERAL.search(lowered, found.end() - 1) and kind != "kind":  # the answer names the kind in any case
        return None
    rest = lowered[found.end() :].strip(" ?.!")
    return Question(kind, lowered, rest, _CHOICE.search(rest) is not None)


# What an answer is.


class NonAnswer(Enum):
    """How sure it is that an answer is none."""

    SURE = "sure"
    DOUBTFUL = "doubtful"


_QUANTITY_WORDS = """
    no none nobody nothing several many few some couple pair both all dozens hundreds thousands countless numerous
    multiple various each every another lot lots group crowd once twice half most plenty trio quartet only and
"""
_PLACE_WORDS = f"""
    {_PREPOSITIONS.replace("|", " ")} next left right there here everywhere nowhere somewhere anywhere home away back
    indoors outdoors upstairs downstairs overhead nearby beyond off out up down uphill downhill through to toward
    towards into onto from by past front middle center centre corner side top bottom edge foreground background further
    farther closer opposite alongside amid with
"""
_COLOUR_WORDS = """
    red blue green yellow black white brown orange purple pink grey gray silver gold golden beige tan cream ivory maroon
    navy teal turquoise cyan magenta violet lavender crimson scarlet khaki bronze copper olive burgundy charcoal blond
    blonde brunette ginger amber lime indigo dark light bright pale clear transparent striped plaid checkered spotted
    floral camouflage wooden rainbow same
"""
_WORDS_FOR_PLACES = "location position place setting scene spot destination background foreground"
_WORDS_FOR_PERSONS = "i you we he she they everyone everybody anyone one both nobody who"
_STEMS_OF_SEEING = "see spot notic find identifi tell observ detect"

_QUANTITIES = frozenset(_QUANTITY_WORDS.split())
_ONE = frozenset(("a", "an"))
_PLACES = frozenset(_PLACE_WORDS.split())
_COLOURS = frozenset(_COLOUR_WORDS.split())
_COLOUR_FORM = re.compile(r"ish\b|colou?r(?:ed|ful|less| of)|multi|pattern|tone")
_OF_PLACES = frozenset(_WORDS_FOR_PLACES.split())
_WHO = frozenset(_WORDS_FOR_PERSONS.split())
_SEEING = frozenset(_STEMS_OF_SEEING.split())
_EMPTY = frozenset(f"{EMPTY_WORDS} any some someone somebody still yet such really to".split())
_DENYING = frozenset(("no", "not", "none", "longer", "anymore"))
_ARTICLES = frozenset(_DETERMINERS.split("|"))
_PARTS_OF_PHRASE = frozenset((*_PREPOSITIONS.split("|"), "of", "with", "to", "from", "that", "which", "who"))

_LEAST_KINDS = 5  #: things that the lexicon has of a kind, before one of them is expected
_LEAST_CLAUSE = 4  #: words; a shorter answer is a phrase, which may be all that is asked for
_REPLY = re.compile(r"(yes|no)(?:[,.!;:\u2013\u2014-]+\s*|\Z)")
_CLAUSE = re.compile(r"[^.;!?\n]*")
_DENIAL = re.compile(r"\b(?:no|not|none|never|nothing|nobody|neither|nor|nowhere|without|cannot|hardly)\b|n't\b")
#: What takes back a part of what a clause says.
_LIMIT = re.compile(
    r"\b(?:but|although|though|however|except|only|just|instead|rather|while|whereas|because|since|other|another|or)\b"
)
_ASKS_IF_THERE = re.compile(r"there |you (?:see|spot|notice|find|identify|observe|detect) ")
_NONE_THERE = re.compile(r"there (?:is|are)(?: no|n't any|n't an?| not any| not an?) ")
#: A reason: a conjunction, a purpose, what is possible or wanted.
_REASON = re.compile(
    r"\b(?:because|since|as|so|to|for|due|if|when|may|might|can|could|would|will|should|must|probably|perhaps|likely"
    r"|wants?|needs?|helps?|makes?|lets?|keeps?|causes?|reasons?)\b"
)
_ASKS_ABOUT = re.compile(rf"(?:{_AUXILIARIES}|may|might|should) (?:{_DETERMINERS}) ([\w'-]+)")
_PRONOUN = re.compile(
    r"\b(?:it|its|he|him|his|she|her|they|them|their|this|that|these|those|there|ones?|both|each|all|none|you|i)\b"
)
#: The beginning of a sentence that names what it is about.
_SUBJECT = re.compile(
    r"(?:the|his|her|its|their|your|my) (?:[\w'-]+ ){1,8}?(?:is|are|was|were|has|have|had|can)\b"
    r"|there(?:'s| is| are| was| were) "
)
#: What follows a thing that is said to be somewhere: "is parked in", "next to".
_STANDS = re.compile(
    r"(?:(?:is|are|was|were) )?(?:now |also |still |just )?(?:\w+(?:ed|ing|s) )?(?:right |directly )?"
    rf"(?:{_PREPOSITIONS}|next)\b"
)
_IS = re.compile(r"(?:is|are|was|were) ")
_IS_DONE = re.compile(r"(?:is|are|was|were) (?:being )?\w+(?:ed|ing)\.?\Z")
_HOLDS = re.compile(
    r"\b(?:with|by|has|have|had|holds?|holding|contains?|containing|full|shows?|showing|includes?|empty|there|made)\b"
)


def find_non_answer(pair: Pair) -> NonAnswer | None:
    """Return how sure it is that an answer does not answer its question; None if nothing says so."""
    question = read_question(pair.instruction)
    if question is None or TELLS_BY_SIGNS.search(pair.answer):
        return None
    answer = pair.answer.lower().replace("\u2019", "'")
    reply = _REPLY.match(answer)
    if question.kind == "truth":
        if reply:
            return _contradiction(question, reply[1], answer[reply.end() :])
        return None if answer.startswith("no ") else _off_topic(question, answer)
    if reply:  # to a question that can't be answered so
        return None if question.offers_a_choice else NonAnswer.SURE if reply[1] == "yes" else NonAnswer.DOUBTFUL
    check = _CHECKS.get(question.kind)
    found = check(question, answer, pair.answer) if check is not None else None
    return found or _restatement(question, answer)


def _contradiction(question: Question, reply: str, answer: str) -> NonAnswer | None:
    """Find a yes before a denial of what is asked, or a no before its affirmation, in the question's own words."""
    found = _CLAUSE.match(answer)
    clause = found[0] if found else ""
    if (_DENIAL.search(clause) is None) == (reply == "yes") or " or " in question.rest:
        return None
    if _DENIAL.search(question.text) or _LIMIT.search(clause):
        return None
    asked, told = _content(question.rest), _content(clause)
    left, new = asked - told - _SEEING, told - asked
    if not told or (new and len(left) != len(new)):
        return None
    if new:
        return NonAnswer.DOUBTFUL if all(left & _synonyms(each) for each in new) else None
    return NonAnswer.SURE if not left or _denies_that_it_is_there(question, clause) else None


def _denies_that_it_is_there(question: Question, clause: str) -> bool:
    """Return whether a clause says that there is none of what the question asks for: "Yes, there are no boats"."""
    denied, asked = _NONE_THERE.match(clause), _ASKS_IF_THERE.match(question.rest)
    if denied is None or asked is None:
        return False
    thing = _meaningful(question.rest[asked.end() :])[:1]
    return [*map(_stem, _meaningful(clause[denied.end() :])[:1])] == [*map(_stem, thing)]


def _check_count(question: Question, answer: str, _: str) -> NonAnswer | None:
    words = split_words(answer)
    if not _QUANTITIES.isdisjoint(words) or any(map(_is_number, words)) or _DENIAL.search(answer):
        return None
    if not _ONE.isdisjoint(words):
        return None if _is_about(question, answer) else NonAnswer.DOUBTFUL
    return NonAnswer.SURE if len(words) >= _LEAST_CLAUSE else NonAnswer.DOUBTFUL


def _check_colour(_: Question, answer: str, __: str) -> NonAnswer | None:
    has_colour = not _COLOURS.isdisjoint(split_words(answer)) or _COLOUR_FORM.search(answer) or _DENIAL.search(answer)
    return None if has_colour else NonAnswer.DOUBTFUL


def _check_place(question: Question, answer: str, _: str) -> NonAnswer | None:
    words = split_words(answer)
    if _has_only_words_of(question, words):
        return NonAnswer.SURE
    if len(words) < _LEAST_CLAUSE or not _PLACES.isdisjoint(words) or _DENIAL.search(answer):
        return _off_topic(question, answer)
    return NonAnswer.DOUBTFUL


def _check_inside(question: Question, answer: str, _: str) -> NonAnswer | None:
    """Find answers that describe a thing itself when the question asks for its contents."""
    told = _said_of_it(question.rest, answer)
    if told is None or _HOLDS.search(answer):
        return None
    return NonAnswer.SURE if _STANDS.match(told) else NonAnswer.DOUBTFUL if _IS.match(told) else None


def _check_thing(question: Question, answer: str, _: str) -> NonAnswer | None:
    if _has_only_words_of(question, split_words(answer)):
        return NonAnswer.SURE
    told = _said_of_it(question.rest, answer)
    if told and (_STANDS.match(told) or _IS_DONE.match(told)) and _OF_PLACES.isdisjoint(split_words(question.rest)):
        return NonAnswer.DOUBTFUL
    return _off_topic(question, answer)


def _check_person(_: Question, answer: str, written: str) -> NonAnswer | None:
    words = set(split_words(answer))
    has_name = any(word[:1].isupper() for word in written.split()[1:]) or answer.partition(" ")[0] not in _EMPTY
    if has_name or not words.isdisjoint(_WHO) or _DENIAL.search(answer) or not _persons().isdisjoint(map(_stem, words)):
        return None
    return NonAnswer.DOUBTFUL


def _check_kind(question: Question, answer: str, _: str) -> NonAnswer | None:
    """Find answers without anything of the kind that is asked for: "What animal is that?"."""
    kinds = _kinds_of(_stem(question.rest.partition(" ")[0]))
    if not kinds or _DENIAL.search(answer) or not kinds.isdisjoint(map(_stem, split_words(answer))):
        return _check_other(question, answer, "")
    return NonAnswer.DOUBTFUL


def _check_reason(_: Question, answer: str, __: str) -> NonAnswer | None:
    return None if _REASON.search(answer) or _DENIAL.search(answer) else NonAnswer.DOUBTFUL


def _check_other(question: Question, answer: str, _: str) -> NonAnswer | None:
    subject = _ASKS_ABOUT.search(question.rest)
    return _off_topic(question, answer) if subject and subject[1] not in _EMPTY else None


def _has_only_words_of(question: Question, words: Sequence[str]) -> bool:
    """Return whether an answer, however short, adds no word with a meaning to those of the question."""
    if question.offers_a_choice or len(words) < 2:
        return False
    new = _EMPTY.issuperset
    return new(set(words).difference(split_words(question.text)))


def _said_of_it(asked: str, answer: str) -> str | None:
    """Return the rest of an answer that begins with the thing that is asked about; None if it begins otherwise."""
    thing, told = asked.split(), answer.split()
    if told and told[0] in _ARTICLES:
        told = told[1:]
    same = sum(takewhile(bool, map(eq, thing, told)))
    if not same or (same < len(thing) and thing[same] not in _PARTS_OF_PHRASE):
        return None  # "What is the man wearing?" asks for more than what the man is
    return " ".join(told[same:])


def _off_topic(question: Question, answer: str) -> NonAnswer | None:
    """Find a whole sentence about something else, which does not name what the question asks about."""
    subject = _SUBJECT.match(answer)
    if subject is None or _PRONOUN.search(answer, subject.end()) or _is_about(question, answer):
        return None
    return NonAnswer.DOUBTFUL


def _is_about(question: Question, answer: str) -> bool:
    """Return whether an answer has a word of the question, or one of its kind; True if the question has no content."""
    asked, told = _content(question.rest) - _PLACES, _content(answer) - _PLACES
    return not asked or not asked.isdisjoint(told) or any(asked & _kin(each) for each in told)


def _restatement(question: Question, answer: str) -> NonAnswer | None:
    """Find answers whose words with a meaning all come from the question, in whatever form."""
    words, asked = split_words(answer), split_words(question.text)
    begins = {word[0] for word in asked}
    if not all(word[0] in begins for word in set(words) - _EMPTY) or question.kind == "who" or question.offers_a_choice:
        return None  # as nearly all
    told = _content(answer)
    if len(words) < _LEAST_CLAUSE or not told or not told <= _content(question.text):
        return None
    is_more = any(map(_is_number, words)) or any(names_a_thing(words, place) for place in range(len(words)))
    return None if is_more or _DENIAL.search(answer) else NonAnswer.DOUBTFUL


def _meaningful(text: str) -> list[str]:
    return [word for word in split_words(text) if word not in _EMPTY and not word.endswith("n't")]


def _content(text: str) -> set[str]:
    """Return the stems of the words that say what a text is about."""
    return set(map(_stem, _meaningful(text))) - _DENYING


# Imported late: scoring builds on this package.


def _stem(word: str) -> str:
    from syphus.answers.scoring.words import stem

    return stem(word.partition("'")[0])


def _is_number(word: str) -> bool:
    from syphus.answers.scoring.words import NUMBERS

    return word[0].isdecimal() or word in NUMBERS


def _synonyms(stemmed: str) -> frozenset[str]:
    from syphus.answers.scoring.lexicon import synonyms

    return synonyms().get(stemmed, frozenset())


def _kin(stemmed: str) -> frozenset[str]:
    from syphus.answers.scoring.lexicon import related_words

    return related_words().get(stemmed, frozenset())


def _kinds_of(stemmed: str) -> frozenset[str]:
    """Return the stems of a kind ("animal") and of the things of that kind; nothing for other words."""
    from syphus.answers.scoring.lexicon import supporting_words

    kinds = supporting_words().get(stemmed, frozenset())
    return kinds | {stemmed} if len(kinds) >= _LEAST_KINDS else frozenset()


def _persons() -> frozenset[str]:
    from syphus.answers.scoring.lexicon import supporting_words

    return supporting_words()["person"] | {"person"}


_CHECKS: dict[Kind, Callable[[Question, str, str], NonAnswer | None]] = {
    "count": _check_count,
    "colour": _check_colour,
    "place": _check_place,
    "inside": _check_inside,
    "what": _check_thing,
    "who": _check_person,
    "kind": _check_kind,
    "reason": _check_reason,
    "other": _check_other,
}


def _find_non_answers(pairs: Sequence[Pair], _: Context) -> Iterable[tuple[int, str]]:
    for index, pair in enumerate(pairs):
        if (found := find_non_answer(pair)) and not only_restates(pair):  # which has its own rule
            place = describe_match(f"answer {index + 1}", pair.answer)
            yield index, place if found is NonAnswer.SURE else Doubt(place)


answers_its_question: Rule = Drop("does not answer its question", _find_non_answers, least=1)
