"""Which pairs a train file has as its keys, and with which context: by a rule, or by a file of the user's own.

firsts        `pipeline/utils/make_a_train.py` of Otter: a pair that has been another's context is no key
every         its `get_llava_train_data.py` for LACR, with the first two of the context
last rounds   the same for LACONV, with the last two; and the released train file of SN, with all of it
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from syphus.formats.conversations import conversations
from syphus.ledger.relations import TrainEntries
from syphus.ledger.results import QueryResult
from syphus.types import Train

MAX_PROBLEMS_SHOWN = 20  #: problems of a train file that are told one by one


class RuleTrainFile:
    """Goes through the pairs of a run, in their order, and says which are keys of the train file by a rule."""

    def __init__(self, rule: Train) -> None:
        self._rule = rule
        self._seen: set[str] = set()  # what was the context of a key

    def entries(self, result: QueryResult, contexts: Sequence[Sequence[str]]) -> Iterator[tuple[str, list[str]]]:
        """The keys among the pairs of the next query, with their context out of the `contexts` of all."""
        if result.nearest is None:
            self._seen.clear()  # the context of a pair is in its own query
        last = _last_rounds(result) if self._rule.keys == "last rounds" else set()
        for pair, context in zip(result.pairs, contexts, strict=True):
            if self._rule.keys == "last rounds" and (pair.id not in last or not context):
                continue
            if self._rule.keys == "firsts":
                if pair.id in self._seen:
                    continue
                self._seen.update(context)
            yield pair.id, _kept(context, self._rule)

    def remaining(self) -> Iterator[tuple[str, list[str]]]:
        """Nothing: all keys have been said with their queries."""
        return iter(())


class OwnTrainFile(NamedTuple):
    """The entries of the user's own file, which come in its own order, behind all queries."""

    own_entries: Sequence[tuple[str, list[str]]]

    def entries(self, result: QueryResult, contexts: Sequence[Sequence[str]]) -> Iterator[tuple[str, list[str]]]:  # noqa: ARG002 - as `Keys`
        """Nothing yet."""
        return iter(())

    def remaining(self) -> Iterator[tuple[str, list[str]]]:
        """All of them."""
        return iter(self.own_entries)


TrainFile = RuleTrainFile | OwnTrainFile


def resolve_own_entries(
    own: TrainEntries, results: Iterable[QueryResult]
) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """The entries of a user's own file, with the context of the pairs where it names none, and what is wrong with it.

    Every problem is one line; it holds the ids of all pairs in memory.
    """
    contexts: dict[str, list[str] | None] = {}
    bare = {name for name, context in own if context is None}
    for result in results:
        for pair, context in zip(result.pairs, result.contexts(), strict=True):
            contexts[pair.id] = context if pair.id in bare else None
    entries: list[tuple[str, list[str]]] = []
    problems: list[str] = []
    for name, given in own:
        context = given if given is not None else contexts.get(name) or []
        problems += _problems(name, context, contexts)
        entries.append((name, context))
    return entries, problems


def summarize_problems(problems: Sequence[str]) -> list[str]:
    """The problems for a person: the first of them, and how many more there are."""
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


def _kept(context: Sequence[str], rule: Train) -> list[str]:
    """As much of a context as the rule wants; what is too short is repeated, what is empty stays so."""
    wanted = rule.first or rule.last
    if not wanted or not context:
        return list(context)
    repeated = list(context) * -(-wanted // len(context))
    return repeated[:wanted] if rule.first else repeated[-wanted:]
