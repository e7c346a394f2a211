"""The prompt that a cold start found: a YAML file that a person can edit, and its record in the run's ledger.

A comment above each in-context example says which query, round and model it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import orjson
import yaml

from syphus.answers.parsing.pairs import parse_pairs, render_pairs
from syphus.answers.scoring import Candidate, Scored
from syphus.cold_start.plan import SearchResult
from syphus.cold_start.trials import BY_HAND, TrialStage, describe_model
from syphus.errors import PromptError, RunError
from syphus.io.durable import replace_file
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.plugins.prompts import TEXT_FORM, PromptTemplate, prompt_digest, read_prompt, to_prompt_template
from syphus.text import one_line
from syphus.types import Message, Query

PROMPT_FILE = "prompt.yaml"  #: in the run's folder

_META = "cold start"  # meta: JSON with the keys that `save_prompt` writes
_OTHER_BREAKS = frozenset("\x85\u2028\u2029")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, if YAML can keep every character of them in a block."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    if not _OTHER_BREAKS.isdisjoint(text):  # YAML readers take these for line ends
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def prompt_text(name: str, template: PromptTemplate, found: SearchResult) -> str:
    """Return the file's text, YAML. It reads back as exactly this `template`."""
    lines = [f"# {line}" for line in _heading(name, found)]
    lines += _dump({"system_message": template.system_message}).splitlines()
    lines += [f"form: {template.form}"] * (template.form != TEXT_FORM)
    lines.append("in_context:" if template.in_context else "in_context: []")
    chosen = found.best.chosen if found.best else ()
    for start in range(0, len(template.in_context), 2):
        lines += [f"  # {line}" for line in _provenance(start // 2 + 1, chosen)]
        for turn in template.in_context[start : start + 2]:
            content = _content(turn["content"]) if turn["role"] == "assistant" else turn["content"]
            dumped = _dump([{"role": turn["role"], "content": content}])
            lines += [f"  {line}" if line else "" for line in dumped.splitlines()]
    return "\n".join(lines) + "\n"


def write_prompt(path: Path, name: str, template: PromptTemplate, found: SearchResult) -> bytes:
    """Write the file, UTF-8; return its content. Raises `StorageError`, and `PromptError` if it does not read back."""
    data = prompt_text(name, template, found).encode()
    with replace_file(path) as file:
        file.write(data)
    if to_prompt_template(read_prompt(path), str(path)) != template:
        raise PromptError(f"{path} can't hold this prompt: it does not read back as it was written")
    return data


def _heading(name: str, found: SearchResult) -> Iterator[str]:
    yield f"The prompt of {name}. A cold start found its in-context examples."
    yield "You can edit every word; the model gets exactly what is written here."
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
    origin = f"round {candidate.round}" if candidate.round else "by hand"
    query, model = one_line(candidate.query.id, 60), one_line(describe_model(candidate.model), 60)
    yield f"{number}: query {query}, {origin}, {model}, score {scored.total:.2f}"
    low = [f"{name} {score:.2f}" for name, score in scored.scores.items() if score < 1]
    yield f"   below 1: {', '.join(low)}" if low else "   every score is 1"


def _content(text: str) -> object:
    """Return pairs if the text is nothing but pairs in the usual form, otherwise the text."""
    pairs = parse_pairs(text).pairs
    if pairs and render_pairs(pairs) == text:
        return [{"question": pair.instruction, "answer": pair.answer} for pair in pairs]
    return text


def _dump(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)


# The record in the ledger.


class SavedPrompt(NamedTuple):
    """The prompt that a run's cold start found. `edited` says that a person has changed its file.

    `search_key` names the system message and the model that it was found for.
    """

    search_key: str
    template: PromptTemplate
    satisfactory: bool
    missing: tuple[str, ...]
    edited: bool = False


def search_key(system_message: str, model: str) -> str:
    """Return what a prompt was found for: it is proven for this system message and this model alone."""
    return f"{prompt_digest(PromptTemplate(system_message))} {model}"


def save_prompt(store: Store, name: str, key: str, template: PromptTemplate, found: SearchResult) -> Path:
    """Store what was found, and write `prompt.yaml`; return its path. Commits.

    Raises `RunError` if a person has edited that file: it is never overwritten.
    """
    path = store.folder / PROMPT_FILE
    refuse_edited(store)
    data = write_prompt(path, name, template, found)
    record = {
        "asked_for": key,
        "system_message": template.system_message,
        "in_context": list(template.in_context),
        "form": template.form,
        "satisfactory": found.is_taken,
        "missing": found.missing,
        "file": _digest(data),
    }
    set_meta(store, _META, orjson.dumps(record).decode())
    store.commit()
    return path


def load_saved_prompt(store: Store) -> SavedPrompt | None:
    """Return what was found, with the file as it is now; None if the run had no cold start."""
    record = _record(store)
    if not record:
        return None
    path = store.folder / PROMPT_FILE
    turns: list[Message] = record["in_context"]  # type: ignore[assignment]  # as `save_prompt` wrote it
    template = PromptTemplate(str(record["system_message"]), tuple(turns), str(record.get("form", TEXT_FORM)))
    missing = tuple(map(str, record["missing"]))  # type: ignore[call-overload]  # as above
    edited = path.is_file() and _digest(path.read_bytes()) != record["file"]
    if edited:
        template = to_prompt_template(read_prompt(path), str(path))
    return SavedPrompt(str(record["asked_for"]), template, record["satisfactory"] is True, missing, edited)


def refuse_edited(store: Store) -> None:
    """Raise `RunError` if a person has edited the run's `prompt.yaml`."""
    path = store.folder / PROMPT_FILE
    if path.is_file() and _digest(path.read_bytes()) != _record(store).get("file"):
        raise RunError(
            f"{path} was edited by hand, and is not overwritten. Generate with it (the main job uses it as it is), "
            "move it away, or use another --dataset_version."
        )


def _record(store: Store) -> Mapping[str, object]:
    record: Mapping[str, object] = orjson.loads(str(get_meta(store, _META) or "{}"))
    return record


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()


# In-context examples: from chosen candidates to the turns of a prompt, and from what a person wrote to candidates.


def make_template(system_message: str, candidates: Iterable[Candidate], stage: TrialStage) -> PromptTemplate:
    """Return the prompt with these candidates as its in-context examples."""
    turns: list[Message] = []
    for each in candidates:
        turns.append(Message(role="user", content=each.user_turn))
        turns.append(Message(role="assistant", content=stage.example_text(each.query, each.pairs, each.answer)))
    return PromptTemplate(system_message, tuple(turns), stage.form)


def read_pinned(path: str, stage: TrialStage) -> list[Candidate]:
    """Return the in-context examples of a prompt file as candidates of round 0. Raises `PromptError`."""
    template = to_prompt_template(read_prompt(path), path)
    if any("images" in turn for turn in template.in_context):
        raise PromptError(f"{path}: an in-context example with images can't be pinned; leave the images out")
    questions = [turn["content"] for turn in template.in_context if turn["role"] == "user"]
    answers = [turn["content"] for turn in template.in_context if turn["role"] == "assistant"]
    if not answers:
        raise PromptError(f"{path}: no in-context examples to pin")
    return [
        _candidate(Query(f"pinned {number}", question), answer, stage, user_turn="")
        for number, (question, answer) in enumerate(zip(questions, answers, strict=True), 1)
    ]


def candidate_by_hand(query: Query, answer: str, stage: TrialStage) -> Candidate:
    """Return a candidate whose answer to a query a person wrote."""
    return _candidate(query, answer, stage, stage.user_turn(query))


def _candidate(query: Query, answer: str, stage: TrialStage, user_turn: str) -> Candidate:
    outcome = stage.judge_text(query, answer)
    pairs = tuple(outcome.pairs) or stage.read_pairs(query, answer)
    return Candidate(query, pairs, answer, outcome.state, outcome.reason, BY_HAND, 0, user_turn)
