"""Chooses the keys of `XX_train.json`, and the context of each: by a rule, or from the user's own file.

The rules follow the original datasets:

firsts        Otter's `pipeline/utils/make_a_train.py`: a pair that was another's context is not a key
every         Otter's `get_llava_train_data.py` for LACR, with the first two pairs of the context
last rounds   the same for LACONV, with the last two; the released train file of SN, with the whole context
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from syphus.declarations import Train
from syphus.ledger.relations import TrainEntries
from syphus.ledger.results import QueryResult, conversations

MAX_PROBLEMS_SHOWN = 20  #: in the message about a bad train file


class RuleTrainFile:
    """A train file by a rule. Takes the pairs of a run in their order."""

    def __init__(self, rule: Train) -> None:
        self._rule = rule
        self._used: set[str] = set()  # pairs that were the context of a key

    def entries(self, result: QueryResult, contexts: Sequence[Sequence[str]]) -> Iterator[tuple[str, list[str]]]:
        """Yield the keys among the pairs of the next query, each with its context from `contexts`."""
        if result.nearest is None:
            self._used.clear()  # the context of a pair is in its own query
        last = _last_rounds(result) if self._rule.keys == "last rounds" else set()
        for pair, context in zip(result.pairs, contexts, strict=True):
            if self._rule.keys == "last rounds" and (pair.id not in last or not context):
                continue
            if self._rule.keys == "firsts":
                if pair.id in self._used:
                    continue
                self._used.update(context)
            yield pair.id, _trim_context(context, self._rule)

    def remaining(self) -> Iterator[tuple[str, list[str]]]:
        """Return nothing: `entries` has given all keys."""
        return iter(())


class OwnTrainFile(NamedTuple):
    """The user's own train file. Its entries come in its own order, after all queries."""

    own_entries: Sequence[tuple[str, list[str]]]

    def entries(self, result: QueryResult, contexts: Sequence[Sequence[str]]) -> Iterator[tuple[str, list[str]]]:  # noqa: ARG002 - as in `RuleTrainFile`
        """Return nothing: the entries come at the end."""
        return iter(())

    def remaining(self) -> Iterator[tuple[str, list[str]]]:
        """Return all entries."""
        return iter(self.own_entries)


class TranslatedTrainFile:
    """The English train file, reduced to the pairs that a language has, as `translate` writes it.

    `take` is given each English query before its translation is written.
    """

    def __init__(self, english: RuleTrainFile | OwnTrainFile, has: Callable[[str], bool]) -> None:
        self._english = english
        self._has = has
        self._taken: list[tuple[str, list[str]]] = []

    def take(self, result: QueryResult) -> None:
        """Take the entries of the next English query."""
        self._taken += self._english.entries(result, result.contexts())

    def entries(self, result: QueryResult, contexts: Sequence[Sequence[str]]) -> Iterator[tuple[str, list[str]]]:  # noqa: ARG002 - as in `RuleTrainFile`
        """Yield the taken entries, reduced to the pairs that the language has."""
        taken, self._taken = self._taken, []
        return self._reduced(taken)

    def remaining(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the entries that come after all queries."""
        return self._reduced(chain(self._taken, self._english.remaining()))

    def _reduced(self, entries: Iterable[tuple[str, list[str]]]) -> Iterator[tuple[str, list[str]]]:
        return ((key, [each for each in context if self._has(each)]) for key, context in entries if self._has(key))


TrainFile = RuleTrainFile | OwnTrainFile | TranslatedTrainFile


def resolve_own_entries(
    own_entries: TrainEntries, results: Iterable[QueryResult]
) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """Return the entries of the user's own train file, and its problems, one line each.

    An entry without a context gets that of its pair. Holds the ids of all pairs in memory.
    """
    contexts: dict[str, list[str] | None] = {}
    without_context = {name for name, context in own_entries if context is None}
    for result in results:
        for pair, context in zip(result.pairs, result.contexts(), strict=True):
            contexts[pair.id] = context if pair.id in without_context else None
    entries: list[tuple[str, list[str]]] = []
    problems: list[str] = []
    for name, given in own_entries:
        context = given if given is not None else contexts.get(name) or []
        problems += _problems(name, context, contexts)
        entries.append((name, context))
    return entries, problems


def summarize_problems(problems: Sequence[str]) -> list[str]:
    """Return the first problems, and how many more there are."""
    more = len(problems) - MAX_PROBLEMS_SHOWN
    return [*problems[:MAX_PROBLEMS_SHOWN], *([f"... and {more:,} more"] if more > 0 else [])]


def _problems(name: str, context: Sequence[str], known: dict[str, list[str] | None]) -> Iterator[str]:
    if name not in known:
        yield f"{name}: unknown pair"
    for other in context:
        if other == name:
            yield f"{name}: names itself as its context"
        elif other not in known:
            yield f"{name}: unknown context: {other}"


def _last_rounds(result: QueryResult) -> set[str]:
    return {conversation[-1].id for conversation in conversations(result.pairs)}


def _trim_context(context: Sequence[str], rule: Train) -> list[str]:
    """Return as many pairs of a context as the rule sets. Repeats a context that is too short; keeps an empty one."""
    length = rule.first or rule.last
    if not length or not context:
        return list(context)
    repeated = list(context) * -(-length // len(context))
    return repeated[:length] if rule.first else repeated[-length:]
