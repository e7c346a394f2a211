"""The prompt that was found, as a file that a person can read and edit: where each example is from stands above it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml

from syphus.answers.parsing.pairs import parse_pairs, render_pairs
from syphus.answers.scoring import Candidate, Scored
from syphus.cold_start.plan import SearchResult
from syphus.cold_start.trials import BY_HAND, TrialStage, describe_model
from syphus.errors import PromptError
from syphus.io.durable import replace_file
from syphus.plugins.prompts import read_prompt, to_prompt_template
from syphus.text import one_line
from syphus.types import Message, PromptTemplate, Query

FILE = "prompt.yaml"  #: in the run's folder

_OTHER_BREAKS = frozenset("\x85\u2028\u2029")


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, where YAML can keep every character of them so."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    if not _OTHER_BREAKS.isdisjoint(text):  # which a reader of YAML would take for line ends
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def prompt_text(name: str, prefix: PromptTemplate, found: SearchResult) -> str:
    """The file, YAML. It reads back as exactly this `prefix`."""
    lines = [f"# {line}" for line in _heading(name, found)]
    lines += _dumped({"system_message": prefix.system_message}).splitlines()
    lines.append("in_context:" if prefix.in_context else "in_context: []")
    chosen = found.best.chosen if found.best else ()
    for number in range(0, len(prefix.in_context), 2):
        lines += [f"  # {line}" for line in _provenance(number // 2 + 1, chosen)]
        for turn in prefix.in_context[number : number + 2]:
            content = _content(turn["content"]) if turn["role"] == "assistant" else turn["content"]
            dumped = _dumped([{"role": turn["role"], "content": content}])
            lines += [f"  {line}" if line else "" for line in dumped.splitlines()]
    return "\n".join(lines) + "\n"


def write_prompt(path: Path, name: str, prefix: PromptTemplate, found: SearchResult) -> bytes:
    """Writes it, UTF-8; gives what was written. Raises `StorageError`, `PromptError` where it does not read back."""
    data = prompt_text(name, prefix, found).encode()
    with replace_file(path) as file:
        file.write(data)
    if to_prompt_template(read_prompt(path), str(path)) != prefix:
        raise PromptError(f"{path} can't hold this prompt: it does not read back as it was written")
    return data


def _heading(name: str, found: SearchResult) -> Iterator[str]:
    yield f"What {name} asks with: the in-context examples were found by a cold start."
    yield "Every word of it can be edited; what is written is sent."
    proof = found.best.proof if found.best else None
    if proof is not None:
        yield (
            f"{proof.valid_share:.0%} of {proof.asked} held-out answers are valid with them, {proof.plain_share:.0%} "
            f"without; score {proof.mean_score:.2f}, {proof.gain.mean:+.2f} "
            f"({proof.gain.low:+.2f} to {proof.gain.high:+.2f})."
        )
    yield from (f"NOT satisfactory: {one_line(each, 110)}" for each in found.missing)


def _provenance(number: int, chosen: Sequence[Scored]) -> Iterator[str]:
    if number > len(chosen):
        return
    scored = chosen[number - 1]
    candidate = scored.candidate
    round_ = f"round {candidate.round}" if candidate.round else "by hand"
    query, model = one_line(candidate.query.id, 60), one_line(describe_model(candidate.model), 60)
    yield f"{number}: query {query}, {round_}, {model}, score {scored.total:.2f}"
    low = [f"{name} {score:.2f}" for name, score in scored.scores.items() if score < 1]
    yield f"   below 1: {', '.join(low)}" if low else "   every score is 1"


def _content(text: str) -> object:
    """Pairs where the text is nothing but pairs in the form that they are taught in, otherwise the text."""
    pairs = parse_pairs(text).pairs
    if pairs and render_pairs(pairs) == text:
        return [{"question": pair.instruction, "answer": pair.answer} for pair in pairs]
    return text


def _dumped(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)


# FOLDED from examples.py:
# In-context examples: from chosen candidates to the turns of a prompt, and from what a person wrote to candidates.


def make_template(system_message: str, candidates: Iterable[Candidate], stage: TrialStage) -> PromptTemplate:
    """The prompt with these candidates as its in-context examples."""
    turns: list[Message] = []
    for each in candidates:
        turns.append(Message(role="user", content=each.user_turn))
        turns.append(Message(role="assistant", content=stage.example_text(each.query, each.pairs, each.answer)))
    return PromptTemplate(system_message, tuple(turns))


def read_pinned(path: str, stage: TrialStage) -> list[Candidate]:
    """The in-context examples of a prompt file, as candidates of round 0. Raises `PromptError`."""
    prefix = to_prompt_template(read_prompt(path), path)
    if any("images" in turn for turn in prefix.in_context):
        raise PromptError(f"{path}: an in-context example with images can't be pinned; leave the images out")
    found = _by_hand(prefix.in_context, stage)
    if not found:
        raise PromptError(f"{path}: there are no in-context examples to be pinned")
    return found


def _by_hand(turns: Sequence[Message], stage: TrialStage) -> list[Candidate]:
    asked = [turn["content"] for turn in turns if turn["role"] == "user"]
    told = [turn["content"] for turn in turns if turn["role"] == "assistant"]
    return [
        candidate_by_hand(Query(f"pinned {number}", question), answer, stage)
        for number, (question, answer) in enumerate(zip(asked, told, strict=True), 1)
    ]


def candidate_by_hand(query: Query, answer: str, stage: TrialStage) -> Candidate:
    """What a person wrote as the answer to a query."""
    outcome = stage.judge_text(query, answer)
    pairs = tuple(outcome.pairs) or stage.read_pairs(query, answer)
    asked = stage.user_turn(query) if not query.id.startswith("pinned ") else ""
    return Candidate(query, pairs, answer, outcome.state, outcome.reason, BY_HAND, 0, asked)
