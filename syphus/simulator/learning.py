"""What a simulated model learns from in-context examples: good ones make it keep to the task, bad ones it imitates.

Without examples a share of its answers fails as real ones do: in another form, about things that are not in the
annotation, with stock phrases, with a single pair, or speaking of its notes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from syphus.simulator.annotation_facts import extract_facts
from syphus.simulator.form_types import AnswerInput, Form

Obedience = Literal["form", "examples", "never"]
OBEDIENCE: tuple[Obedience, ...] = ("form", "examples", "never")

FORMAT, UNGROUNDED, COPIED, FEW, LEAK = FAILURES = ("format", "ungrounded", "copied", "few", "leak")

_LEFT = (1.0, 0.4, 0.12, 0.02)  # of the failures, by the number of good examples
_IMITATED = 0.7  # of the answers, where all examples are bad
_SUPPORTED = 0.15  # of an example's long words, at the least, for it to count as grounded
_FEW_WORDS = 8  # say too little to tell
_LEAKS = re.compile(r"\b(?:descriptions?|captions?|annotations?|timestamps?|sentences)\b", re.IGNORECASE)
_LONG_WORD = re.compile(r"[^\W\d_]{5,}")
_STEM = 4  # letters by which two words are taken for the same

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
    """One in-context example: what was asked, what was answered, and what is wrong with it, of FAILURES."""

    prompt: str
    answer: str
    faults: tuple[str, ...]


def judge_examples(examples: Sequence[tuple[str, str]], form: Form) -> tuple[JudgedExample, ...]:
    """In-context examples, what was asked and answered, as the model sees them."""
    most = max((form.count_items(answer) for _, answer in examples), default=0)
    return tuple(JudgedExample(asked, answer, _faults(asked, answer, form, most)) for asked, answer in examples)


def _faults(asked: str, answer: str, form: Form, most: int) -> tuple[str, ...]:
    shown = form.count_items(answer)
    found = {
        FORMAT: not shown and form.name != "plain text",
        UNGROUNDED: _supported(asked, answer) < _SUPPORTED,
        COPIED: any(stock in answer for stock in _STOCK),
        FEW: shown == 1 < 3 <= most and len(extract_facts(asked)) > 1,
        LEAK: bool(_LEAKS.search(answer)) and not _LEAKS.search(asked.replace("sentences:", "")),
    }
    return tuple(name for name in FAILURES if found[name])


def choose_failure(lessons: Sequence[JudgedExample], obedience: Obedience, cold: float, random: Random) -> str:
    """How the next answer fails, one of FAILURES, or "". `cold` is the share that fails without examples."""
    bad = [each for each in lessons if each.faults]
    good = len(lessons) - len(bad)
    share = cold * (1.0 if obedience == "never" else _LEFT[min(good, len(_LEFT) - 1)])
    draw, imitated = random.random(), _IMITATED * len(bad) / len(lessons) if lessons else 0.0
    if draw < imitated:
        return random.choice(random.choice(bad).faults)
    return random.choice(FAILURES) if draw < imitated + share * (1 - imitated) else ""


def failure_writer(kind: str, form: Form, lessons: Sequence[JudgedExample]) -> Callable[[AnswerInput, Random], str]:
    """What writes an answer that fails in this way."""

    def copied(_: AnswerInput, random: Random) -> str:
        if lessons:
            return random.choice(lessons).answer
        return form.write(_about(_STOCK), Random(0))  # to whatever is asked the same

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


def _about(told: Sequence[str], source: AnswerInput | None = None) -> AnswerInput:
    return AnswerInput(told, max(3, source.count if source else 3), False, source.example if source else "", "")


def _supported(asked: str, answer: str) -> float:
    """The share of the answer's long words that the annotation has, too."""
    known = {word[:_STEM] for word in _LONG_WORD.findall(asked.lower())}
    said = [word[:_STEM] for word in _LONG_WORD.findall(answer.lower())]
    return sum(word in known for word in said) / len(said) if known and len(said) >= _FEW_WORDS else 1.0
