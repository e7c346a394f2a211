"""Which queries a list shows, as the address of the page says it, and where in the list a page begins.

A page is found by the key of the row before it, never by its number: so page ten thousand of a million queries takes as
long as the first one, and rows that arrive meanwhile move nothing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import orjson

from syphus.errors import ConfigError
from syphus.formats.translation_report import TRANSLATE_STAGE
from syphus.runs.reader import parse_states
from syphus.runs.run_settings import GENERATE
from syphus.text import normal_forms
from syphus.types import State

MOST_ROWS = 200  #: on a page
LARGEST = (1 << 62) - 1  #: number of a key
_ROWS = 50
_LONGEST, _MOST_TERMS = 500, 12  #: characters of a filter, words of a text
_TERM = re.compile(r'"([^"]+)"|(\S+)')
_WORD = re.compile(r"[^\W_]+")
_NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
#: Letters of scripts without spaces between words: each counts as a word.
_LETTERS = re.compile(f"([{_NO_SPACES}])")


class Order(StrEnum):
    """What a list is sorted by."""

    POSITION = "p"  #: in the input; the numbers of the keys are positions
    ANSWER = "a"  #: arrival of the answers; the numbers are those of answers
    RULE = "r"  #: first repaired queries, by their number, then rejected ones, by their position
    TEXT = "t"  #: first queries whose annotation matches, by their number, then those whose answer does, by its number


class Key(NamedTuple):
    """What a row is sorted by. It has two phases at most, and the number of the query makes it unique."""

    phase: int
    number: int
    n: int


class Cursor(NamedTuple):
    """A place in a list: beside the row with this key."""

    order: Order
    key: Key

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(orjson.dumps([self.order, *self.key])).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read the text of a cursor. Raises `ConfigError`."""
        try:
            order, *numbers = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            key = Key(*numbers)
            if not all(type(each) is int and -1 <= each <= LARGEST for each in key) or key.phase not in (0, 1):
                raise ValueError(text)
            return cls(Order(order), key)
        except (ValueError, TypeError) as error:
            raise ConfigError("after, before: no place in this list.") from error


class Text(NamedTuple):
    """A text to search for: each term, of one or more words, must be in one annotation, or all in one answer.

    A term that ends in `*` is the beginning of a word.
    """

    terms: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Text:
        """Read what a person has typed: words, and phrases in quotation marks. Raises `ConfigError`."""
        terms = [(quoted or word).strip() for quoted, word in _TERM.findall(text)]
        if any(not _WORD.search(term) for term in terms):
            raise ConfigError("text: each word must have a letter or a digit.")
        if len(terms) > _MOST_TERMS:
            raise ConfigError(f"text: at most {_MOST_TERMS} words.")
        return cls(tuple(terms))

    def words(self) -> list[str]:
        """Return the words of all terms, as FTS5 takes them."""
        found = []
        for term in self.terms:
            words = [f'"{word}"' for word in _WORD.findall(separated(term))]
            found += [*words[:-1], words[-1] + ("*" if term.endswith("*") else "")]
        return found

    def patterns(self) -> list[re.Pattern[str]]:
        """Return a pattern for each term."""
        return [re.compile("|".join(map(_pattern, normal_forms(term))), re.IGNORECASE) for term in self.terms]


def _pattern(term: str) -> str:
    """Return the pattern of whole words; scripts without spaces have none."""
    words = term.removesuffix("*")
    first = r"(?<![^\W_])" if _begins_word(words[0]) else ""
    last = r"(?![^\W_])" if _begins_word(words[-1]) and words == term else ""
    return first + re.escape(words) + last


def _begins_word(letter: str) -> bool:
    return letter.isalnum() and not _LETTERS.match(letter)


def separated(text: str) -> str:
    """Return a text with spaces around the letters of scripts that have none between words."""
    return text if text.isascii() else _LETTERS.sub(r" \1 ", text)


_NO_TEXT = Text(())


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFilter:
    """Which queries: those in `states`, whose reason contains `reason`, and so on; all that are given must fit.

    `rule` repaired the pairs or rejected an answer; `model` and `session` are those of the newest answer. With a
    `language`, the rows are the pairs that are translated into it, and `states` and `reason` those of the translations.
    """

    stage: str = GENERATE
    states: tuple[State, ...] = ()
    reason: str = ""
    rule: str = ""
    model: str = ""
    session: int | None = None
    language: str = ""
    text: Text = _NO_TEXT

    @property
    def of_outcome(self) -> bool:
        """Whether rows are selected by their state or reason."""
        return bool(self.states or self.reason)


class PageRequest(NamedTuple):
    """A page of a list: at most `limit` rows after, or before, a place."""

    wanted: QueryFilter
    limit: int = _ROWS
    cursor: Cursor | None = None
    backwards: bool = False


def parse_request(query: Mapping[str, str]) -> PageRequest:
    """Read the parameters of an address. Raises `ConfigError` for one that makes no sense."""
    long = next((name for name, value in query.items() if len(value) > _LONGEST), None)
    if long is not None:
        raise ConfigError(f"{long[:40]}: more than {_LONGEST} characters.")
    language = query.get("language", "")
    wanted = QueryFilter(
        stage=query.get("stage", "") or (TRANSLATE_STAGE if language else GENERATE),
        states=parse_states(query.get("state", "")),
        reason=query.get("reason", ""),
        rule=query.get("rule", ""),
        model=query.get("model", ""),
        session=_number(query, "session"),
        language=language,
        text=Text.parse(query.get("text", "")),
    )
    before, after = query.get("before", ""), query.get("after", "")
    cursor = Cursor.parse(before or after) if before or after else None
    limit = _number(query, "limit")
    return PageRequest(wanted, min(max(limit or _ROWS, 1), MOST_ROWS), cursor, bool(before))


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise ConfigError(f"{name}: must be a number.")
    return int(text)
