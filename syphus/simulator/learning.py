"""What a simulated model learns from in-context examples: good ones make it do the task well, bad ones are imitated.

Without examples, a share of its answers fails as those of real models do: in another form, about things that are not in
the annotation, with stock phrases, with a single pair, or by referring to the annotation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from syphus.simulator.annotation_facts import extract_facts
from syphus.simulator.answer_form_types import AnswerInput, Form

Obedience = Literal["form", "examples", "never"]
OBEDIENCE: tuple[Obedience, ...] = ("form", "examples", "never")

FORMAT, UNGROUNDED, COPIED, FEW, LEAK = FAILURES = ("format", "ungrounded", "copied", "few", "leak")

_REMAINING = (1.0, 0.4, 0.12, 0.02)  # share of the failures, by the number of good examples
_IMITATED = 0.7  # share of the answers, if all examples are bad
_MIN_SUPPORTED = 0.15  # share of the long words of an example that make it grounded
_MIN_WORDS = 8  # fewer long words are too few to tell
_LEAKS = re.compile(r"\b(?:descriptions?|captions?|annotations?|timestamps?|sentences)\b", re.IGNORECASE)
_LONG_WORD = re.compile(r"[^\W\d_]{5,}")
_STEM = 4  # letters; words that begin with the same ones count as equal

_INVENTED = (
    "A violin lies on a red carpet.",
    "42 balloons float above the fountain.",
    "Seven penguins stand in line at the ticket office.",
    "An astronaut paints a purple lighthouse.",
    "The orchestra plays beneath a giant umbrella.",
    "Nineteen lanterns hang from the drawbridge.",
)
_STOCK = (
    "Several interesting objects can be noticed throughout.",
    "Everything seems perfectly ordinary and rather peaceful.",
    "Various activities are taking place simultaneously.",
)


@dataclass(frozen=True, slots=True)
class JudgedExample:
    """An in-context example, and what is wrong with it, by names of FAILURES."""

    prompt: str
    answer: str
    faults: tuple[str, ...]


def judge_examples(examples: Sequence[tuple[str, str]], form: Form) -> tuple[JudgedExample, ...]:
    """Return the in-context examples, given as prompt and answer, with what is wrong with each."""
    max_items = max((form.count_items(answer) for _, answer in examples), default=0)
    return tuple(JudgedExample(prompt, answer, _faults(prompt, answer, form, max_items)) for prompt, answer in examples)


def _faults(prompt: str, answer: str, form: Form, max_items: int) -> tuple[str, ...]:
    items = form.count_items(answer)
    found = {
        FORMAT: not items and form.name != "plain text",
        UNGROUNDED: _supported(prompt, answer) < _MIN_SUPPORTED,
        COPIED: any(stock in answer for stock in _STOCK),
        FEW: items == 1 < 3 <= max_items and len(extract_facts(prompt)) > 1,
        LEAK: bool(_LEAKS.search(answer)) and not _LEAKS.search(prompt.replace("sentences:", "")),
    }
    return tuple(name for name in FAILURES if found[name])


def choose_failure(examples: Sequence[JudgedExample], obedience: Obedience, cold: float, random: Random) -> str:
    """Choose how the next answer fails, one of FAILURES, or "". `cold` is the share that fails without examples."""
    bad = [each for each in examples if each.faults]
    good = len(examples) - len(bad)
    share = cold * (1.0 if obedience == "never" else _REMAINING[min(good, len(_REMAINING) - 1)])
    draw, imitated = random.random(), _IMITATED * len(bad) / len(examples) if examples else 0.0
    if draw < imitated:
        return random.choice(random.choice(bad).faults)
    return random.choice(FAILURES) if draw < imitated + share * (1 - imitated) else ""


def failure_writer(kind: str, form: Form, examples: Sequence[JudgedExample]) -> Callable[[AnswerInput, Random], str]:
    """Return a function that writes an answer that fails in this way."""

    def copied(_: AnswerInput, random: Random) -> str:
        if examples:
            return random.choice(examples).answer
        return form.write(_about(_STOCK), Random(0))  # always the same answer

    def ungrounded(source: AnswerInput, random: Random) -> str:
        return form.write(_about(random.sample(_INVENTED, 3), source), random)

    def malformed(source: AnswerInput, random: Random) -> str:
        return form.defects[random.choice(("chatter", "unpaired"))](source, random)

    return {
        FORMAT: malformed,
        UNGROUNDED: ungrounded,
        COPIED: copied,
        FEW: form.defects["one_pair"],
        LEAK: form.defects["leak_phrase"],
    }[kind]


def _about(facts: Sequence[str], source: AnswerInput | None = None) -> AnswerInput:
    return AnswerInput(facts, max(3, source.count if source else 3), False, source.example if source else "", "")


def _supported(annotation: str, answer: str) -> float:
    """Return the share of the answer's long words that are in the annotation as well."""
    known = {word[:_STEM] for word in _LONG_WORD.findall(annotation.lower())}
    words = [word[:_STEM] for word in _LONG_WORD.findall(answer.lower())]
    return sum(word in known for word in words) / len(words) if known and len(words) >= _MIN_WORDS else 1.0
