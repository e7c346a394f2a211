"""What a cold start has come to, kept in the run's ledger and in its folder, and taken up again by later commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import orjson

from syphus.answers.scoring import Scored
from syphus.cold_start.plan import SearchResult, SearchRound
from syphus.cold_start.prompt_file import FILE, write_prompt
from syphus.errors import RunError
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.plugins.prompts import prompt_digest, read_prompt, to_prompt_template
from syphus.text import one_line
from syphus.types import Message, PromptTemplate, State

_META = "cold start"  # meta: JSON


class SavedPrompt(NamedTuple):
    """A prompt that was found for a system message and a model. `edited` says that a person has changed its file."""

    asked_for: str
    template: PromptTemplate
    satisfactory: bool
    missing: tuple[str, ...]
    edited: bool = False


def search_key(system_message: str, model: str) -> str:
    """What a cold start is for: a prompt that was proven with one model is not proven with another."""
    return f"{prompt_digest(PromptTemplate(system_message))} {model}"


def save_prompt(store: Store, name: str, wanted: str, prefix: PromptTemplate, found: SearchResult) -> Path:
    """Keeps what was found, and writes `prompt.yaml`; gives its path. Commits.

    Raises `RunError` where a person has edited that file: it is never written over.
    """
    path = store.folder / FILE
    _refuse_edited(store, path)
    data = write_prompt(path, name, prefix, found)
    kept = {
        "asked_for": wanted,
        "system_message": prefix.system_message,
        "in_context": list(prefix.in_context),
        "satisfactory": found.satisfactory,
        "missing": found.missing,
        "file": _digest(data),
    }
    set_meta(store, _META, orjson.dumps(kept).decode())
    store.commit()
    return path


def load_saved_prompt(store: Store) -> SavedPrompt | None:
    """What was found, with the file as it is now; None where there was no cold start."""
    kept = _kept(store)
    if not kept:
        return None
    path = store.folder / FILE
    turns: list[Message] = kept["in_context"]  # type: ignore[assignment]  # as `conclude` has written it
    prefix = PromptTemplate(str(kept["system_message"]), tuple(turns))
    missing = tuple(map(str, kept["missing"]))  # type: ignore[call-overload]  # as above
    edited = path.is_file() and _digest(path.read_bytes()) != kept["file"]
    if edited:
        prefix = to_prompt_template(read_prompt(path), str(path))
    return SavedPrompt(str(kept["asked_for"]), prefix, kept["satisfactory"] is True, missing, edited)


def refuse_edited(store: Store) -> None:
    """Raises `RunError` where the run's `prompt.yaml` was edited, before anything is paid for."""
    _refuse_edited(store, store.folder / FILE)


def _refuse_edited(store: Store, path: Path) -> None:
    if path.is_file() and _digest(path.read_bytes()) != _kept(store).get("file"):
        raise RunError(
            f"{path} was edited by hand, and is not written over. Generate with it (the main job takes it as it is), "
            "move it away, or use another --dataset_version."
        )


def _kept(store: Store) -> Mapping[str, object]:
    kept: Mapping[str, object] = orjson.loads(str(get_meta(store, _META) or "{}"))
    return kept


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()


# FOLDED from advice.py:
# What to try where no set was satisfactory: it follows from the answers, and is usually about the system message.

_LOW = 0.7  #: a mean score below says that something is wrong
_OFTEN = 0.1  #: a share of the answers above says so, too
_MOST_TOLD = 3
_GOOD_SHARE = 0.95

#: By the name of a heuristic: what a system message can do about it.
_TRY = {
    "parses": "show the form of an answer in the system message, line by line, and say: nothing before or after it",
    "keeps the rules": "say in the system message what must not be said",
    "number of pairs": "say in the system message how many pairs are wanted, in numbers",
    "grounding": "say in the system message that everything in an answer must be supported by the annotation",
    "coverage": "say in the system message that everything in the annotation should come up",
    "variety": "name in the system message the kinds of questions that are wanted",
    "length": "say in the system message how long an answer should be",
    "whole sentences": "ask for full sentences in the system message",
    "copies no example": "take examples that are less alike what is asked (--sample, --strategy diverse)",
    "copies no other": "say in the system message that each answer is about its own annotation alone",
    "no leak": "say in the system message: speak as if you saw it, and never of a description or an annotation",
}

#: The same by what became of answers, where no system message is at fault.
_TRY_STATE = {
    State.TRUNCATED: "leave answers more room (--max-tokens), or ask for fewer and shorter pairs in the system message",
    State.REFUSED: "say in the system message what the pairs are for, leave out what is refused, or ask another model",
    State.FAILED: "see why they fail: `status` says it of each",
}


def find_shortcomings(rounds: Sequence[SearchRound], best: SearchRound | None, stopped: bool) -> list[str]:
    """What keeps the best set from being satisfactory, and why; `stopped` before it could be known."""
    if best is not None:
        return [*(best.proof.missing if best.proof else ["the set was not proven"]), *_causes(best.with_set)]
    return [] if stopped else ["no answer could become an example", *_causes(_all(rounds))]


def _all(rounds: Sequence[SearchRound]) -> list[Scored]:
    """All candidates, each once."""
    return list({each.candidate.key: each for round_ in rounds for each in round_.scored}.values())


def _causes(answers: Sequence[Scored]) -> list[str]:
    """Why answers are not what they should be: reasons with their counts, low scores with a note."""
    reasons = Counter(each.candidate.reason for each in answers if each.candidate.state is not State.OK)
    told = [f"{count} of {len(answers)} answers: {one_line(why, 90)}" for why, count in reasons.most_common(_MOST_TOLD)]
    low = [f"{name} {score:.2f}: {one_line(note, 90)}" for name, score, note in _low(answers)]
    return [*told, *low[:_MOST_TOLD]]


def shortcoming_lines(found: SearchResult) -> list[str]:
    """What is missing and what to try, a line each."""
    missing = [f"  missing: {each}" for each in found.missing]
    return [*missing, *(f"  to try:  {each}" for each in found.advice)]


def suggest_fixes(rounds: Sequence[SearchRound], best: SearchRound | None) -> list[str]:
    """What to try, the likeliest first."""
    if best is None:
        return [*_of_answers(_all(rounds)), "write one example by hand, and pin it: --pinned FILE"]
    found = []
    proof = best.proof
    if proof is not None and proof.plain_share >= _GOOD_SHARE and proof.valid_share >= _GOOD_SHARE:
        found.append(f"answers are good without examples, too ({proof.plain_share:.0%} valid): --cold-start never")
    if proof is not None and proof.gain.low <= 0 < proof.gain.mean and len(proof.missing) == 1:
        found.append(f"prove with more queries than {proof.asked}: --held-out, or a larger input")
    found += _of_answers(best.with_set)
    if proof is not None and proof.copies:
        found.append(_TRY["copies no example"])
    return list(dict.fromkeys(found)) or ["more rounds (--rounds), more queries (--sample), or another system message"]


def _of_answers(scored: Sequence[Scored]) -> list[str]:
    """What follows from states that are frequent, and from scores of the other answers that are low."""
    states = Counter(each.candidate.state for each in scored)
    found = [told for state, told in _TRY_STATE.items() if states[state] > _OFTEN * len(scored)]
    read = [each for each in scored if each.candidate.state not in _TRY_STATE]
    found += (_TRY.get(name, f"see on the page why {name!r} is low") for name, *_ in _low(read))
    return list(dict.fromkeys(found))[:_MOST_TOLD]


def _low(scored: Sequence[Scored]) -> Iterator[tuple[str, float, str]]:
    """Heuristics by their mean, those that bar first; with the commonest note."""
    if not scored:
        return
    barring = Counter(name for each in scored for name in each.barred)
    means = {name: mean(each.scores[name] for each in scored) for name in scored[0].scores}
    for name in sorted(means, key=lambda name: (-barring[name], means[name])):
        if means[name] < _LOW or barring[name] > _OFTEN * len(scored):
            notes = Counter(each.notes[name] for each in scored if name in each.notes)
            yield name, means[name], notes.most_common(1)[0][0] if notes else ""
