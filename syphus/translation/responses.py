"""What a model has written: one JSON object, member by member, so that a cut in the last one takes none of the others.

Each member is a translation that is judged by itself. So nothing is repaired, and nothing whole is thrown away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import orjson

from syphus.answers.code_digest import TRANSLATION_CHECK_FILES, code_digest
from syphus.answers.parsing.answer_text import extract_answer, strip
from syphus.answers.parsing.json_answers import decoding_problems
from syphus.answers.translation import LANGUAGES, Features, Language, Term, Translatable, check_translation
from syphus.formats.translation_report import TRANSLATE_STAGE
from syphus.ledger.parts import parts_of_all, replace_parts
from syphus.ledger.reasons import ReasonKind
from syphus.ledger.store import Store
from syphus.translation.chunks import load_texts
from syphus.translation.prompts import terms_in_source
from syphus.types import State

# FOLDED from judging.py:
# What a translation is worth: everything that is wrong with it, as a reason that can be counted and a detail that the
# model is told.


class CheckOutcome(NamedTuple):
    """Nothing where the translation is good."""

    reason: str = ""
    detail: str = ""


class SourceChecker:
    """A source with what the checks know of it, worked out once for all its languages."""

    def __init__(self, source: Translatable, terms: Sequence[Term]) -> None:
        self.texts = source
        self._features = Features(source)
        self._terms = terms_in_source(source, terms) if terms else []

    def check(self, translated: Translatable, language: Language) -> CheckOutcome:
        """Whether this is its translation."""
        checked = check_translation(self._features, translated, language, self._terms)
        return CheckOutcome(checked.reason, "\n".join(fault.told for fault in checked.faults))


def checks_digest(terms: Sequence[Term]) -> str:
    """Return 16 hex digits that change with the code of the translation checks, and with the glossary."""
    glossary = orjson.dumps([(term.source, dict(term.wanted)) for term in terms], option=orjson.OPT_SORT_KEYS)
    return code_digest(TRANSLATION_CHECK_FILES, glossary)


NO_JSON = "no JSON object"
NOT_VALID = "not valid JSON"
MISSING = "missing in the answer"

_START = re.compile(r"\{\s*(?=[\"}])")
_COLON, _COMMA = re.compile(r"\s*:\s*"), re.compile(r"\s*(,?)\s*")
_DECODER = json.JSONDecoder(strict=False)


class AnswerMembers(NamedTuple):
    """The members of the object up to where it can be read, and why it ended there ("" where that is its end)."""

    values: dict[str, object]
    problem: str = ""
    state: State = State.INVALID  #: of what is missing, once it is not asked for any more


def read_members(text: str) -> AnswerMembers:
    """Reads the object that an answer is, with whatever stands around it."""
    answer = extract_answer(text)
    start = _START.search(answer.text)
    if start is None:
        return AnswerMembers({}, answer.problems[0] if answer.problems else NO_JSON)
    values: dict[str, object] = {}
    at, problem = start.end(), ""
    while answer.text[at : at + 1] != "}":
        try:
            key, at = _DECODER.raw_decode(answer.text, at)
            colon = _COLON.match(answer.text, at)
            if colon is None or not isinstance(key, str):
                return AnswerMembers(values, NOT_VALID)
            value, at = _DECODER.raw_decode(answer.text, colon.end())
        except (ValueError, RecursionError):
            return AnswerMembers(values, NOT_VALID)
        if key in values:
            problem = "the same key twice"
        values[key] = value
        comma = _COMMA.match(answer.text, at)
        assert comma is not None
        at = comma.end()
    return AnswerMembers(values, problem)


def read_translation(members: AnswerMembers, name: str, source: Translatable) -> Translatable | str:
    """The texts under `name`, or in a few words why there are none; a text that the source has not got is left out."""
    if name not in members.values:
        return members.problem or MISSING
    value = members.values[name]
    if not isinstance(value, Mapping):
        return "not an object with the texts"
    texts = []
    for field in ("instruction", "answer"):
        text = value.get(field, "") if getattr(source, field).strip() else ""
        if not isinstance(text, str):
            return f"the {field} is no text"
        texts.append(text)
    if problems := decoding_problems(texts):
        return problems[0]
    return Translatable(*map(strip, texts))


# FOLDED from recheck.py:
# What the ledger holds, judged by today's checks and today's glossary: no request is sent.


def recheck(store: Store, terms: Sequence[Term], tick: Callable[[int], None]) -> int:
    """Judges every translation that is ok or invalid again; returns how many have another outcome now. Commits.

    What is no longer good is invalid from now on, and asked for again with `--retry invalid`.
    """
    changed = 0
    for read, held in enumerate(parts_of_all(store, TRANSLATE_STAGE, (State.OK, State.INVALID)), 1):
        texts = SourceChecker(load_texts(held.text), terms)
        judged = []
        for name, state, reason, text in held.parts:
            if not text or name not in LANGUAGES:
                continue
            verdict = texts.check(load_texts(text), LANGUAGES[name])
            if not verdict.reason and ReasonKind.parse(reason) is ReasonKind.JUDGE:
                continue  # what no rule sees
            now = State.INVALID if verdict.reason else State.OK
            if (now, verdict.reason) != (state, reason):
                judged.append((held.n, name, now, verdict.reason, verdict.detail))
        changed += len(judged)
        replace_parts(store, judged)
        if read % 1000 == 0:
            tick(read)
    store.commit()
    return changed
