"""In-context examples: from chosen candidates to the turns of a prompt, and from what a person wrote to candidates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syphus.errors import PromptError
from syphus.prompts import read_prompt, to_prefix
from syphus.selection import Candidate
from syphus.stages.propose import BY_HAND, Propose
from syphus.types import Message, Prefix, Query


def with_examples(system_message: str, candidates: Iterable[Candidate], stage: Propose) -> Prefix:
    """The prompt with these candidates as its in-context examples."""
    turns: list[Message] = []
    for each in candidates:
        turns.append(Message(role="user", content=each.user_turn))
        turns.append(Message(role="assistant", content=stage.example(each.query, each.pairs, each.answer)))
    return Prefix(system_message, tuple(turns))


def pinned(path: str, stage: Propose) -> list[Candidate]:
    """The in-context examples of a prompt file, as candidates of round 0. Raises `PromptError`."""
    prefix = to_prefix(read_prompt(path), path)
    if any("images" in turn for turn in prefix.in_context):
        raise PromptError(f"{path}: an in-context example with images can't be pinned; leave the images out")
    found = _by_hand(prefix.in_context, stage)
    if not found:
        raise PromptError(f"{path}: there are no in-context examples to be pinned")
    return found


def _by_hand(turns: Sequence[Message], stage: Propose) -> list[Candidate]:
    asked = [turn["content"] for turn in turns if turn["role"] == "user"]
    told = [turn["content"] for turn in turns if turn["role"] == "assistant"]
    return [
        by_hand(Query(f"pinned {number}", question), answer, stage)
        for number, (question, answer) in enumerate(zip(asked, told, strict=True), 1)
    ]


def by_hand(query: Query, answer: str, stage: Propose) -> Candidate:
    """What a person wrote as the answer to a query."""
    outcome = stage.verdict(query, answer)
    pairs = tuple(outcome.pairs) or stage.pairs(query, answer)
    asked = stage.asked(query) if not query.id.startswith("pinned ") else ""
    return Candidate(query, pairs, answer, outcome.state, outcome.reason, BY_HAND, 0, asked)
