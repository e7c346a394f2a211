"""Labelled answers, and what the cleaning rules make of them.

`corpus/` has the answers, in two parts that share no source.

A line of `corpus/development.jsonl` or `corpus/test.jsonl` is one answer:

    id           unique in both files
    part         development or test
    source       where annotation and answer come from; a source is in one part only
    style        which dataset's prompt and rules apply, a key of `STYLES`
    annotation   the text of the query
    asked_pairs  the least and the most pairs that the prompt asks for
    pairs        [question, answer] each, as parsed
    label        sound or faulty
    fault        one of `FAULTS`, "" for a sound answer
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from syphus.answers.cleaning import Context, RuleSet
from syphus.answers.cleaning.endings import is_complete
from syphus.answers.cleaning.sent_texts import SentTexts, scripts_of
from syphus.answers.parsing.pairs import parse_pairs
from syphus.plugins.discovery import find_plugin
from syphus.plugins.prompts import PromptTemplate, find_prompt, read_prompt, to_prompt_template
from syphus.quality.estimates import wilson
from syphus.runs.generate import CORRECTION, cleaning_rules
from syphus.types import Pair, Query

FOLDER = Path(__file__).resolve().parent / "corpus"
PARTS = ("development", "test")

#: The kinds of fault, with what they are.
FAULTS = {
    "invented": "a thing that the annotation does not hold",
    "number": "a wrong number",
    "name": "a name that nobody can see, or that the prompt forbids",
    "meaning": "the opposite of the annotation: another colour, place, order or doer",
    "time": "a time that the annotation does not hold, or that the prompt forbids",
    "leak": "a mention of the notes that the model was given",
    "refusal": "no answer, but why there is none",
    "cut": "a text that ends in the middle",
    "repeat": "a question or an answer that came before",
    "echo": "words of an example, the instructions or a correction",
    "form": "marks of the form, notes, coordinates",
    "count": "far more or fewer pairs than asked for",
    "language": "another language than the examples",
    "answer": "an answer to another question, or one against itself",
}

#: The kinds of fault that a rule is for, by its name; a rule that is not here has no recall.
KINDS_OF_RULES = {
    rule: frozenset(kinds.split())
    for rule, kinds in {
        "a thing that the annotation does not hold": "invented",
        "a number that the annotation does not hold": "number",
        "a name of the annotation": "name",
        "a name that the annotation does not hold": "name",
        "a colour that the annotation does not hold": "meaning",
        "a time that the annotation does not hold": "time",
        "says the opposite of the annotation": "meaning",
        "names a time of the video": "time",
        "speaks of its notes": "leak",
        "refuses": "refusal",
        "speaks to whoever asked": "form",
        "gives coordinates": "form",
        "holds the form and no text": "form",
        "repeats its instructions": "echo",
        "copies an in-context example": "echo",
        "repeats a question": "repeat",
        "gives one answer twice": "repeat",
        "says one sentence twice": "repeat",
        "answers with the question": "repeat",
        "only repeats its question": "repeat answer",
        "does not answer its question": "answer",
        "is in another script than the examples": "language",
        "is in another language than the examples": "language",
        "ends in the middle of a sentence": "cut",
        "far from the number of pairs asked for": "count",
        "holds the form of another pair": "form",
        "a letter stands for a person": "name",
    }.items()
}

#: The dataset whose rules apply, by style. The number of pairs is the line's own.
STYLES = {
    "spot": "SpotTheDifference.change",
    "photo": "LlavaDetail.llava",
    "scene": "TVCaptions.video",
    "video": "DenseCaptions.video",
    "wearer": "EGO4D.fpv",
}
_PROMPTS = {"photo": "llava_conversation"}  # the rules are those of descriptions, the pairs those of conversations


class Answer(NamedTuple):
    """One labelled answer; `fault` is "" for a sound one."""

    id: str
    source: str
    style: str
    annotation: str
    asked_pairs: tuple[int, int]
    pairs: tuple[Pair, ...]
    fault: str


class Verdict(NamedTuple):
    """What the rules make of an answer: rules that reject it, that changed it, and that doubt it."""

    rejected: frozenset[str]
    changed: frozenset[str]
    doubted: frozenset[str]


class Rate(NamedTuple):
    """How many of how many."""

    part: int
    whole: int

    def __str__(self) -> str:
        low, high = wilson(self.part / self.whole if self.whole else 0.0, self.whole)
        share = f"{self.part / self.whole:.0%}" if self.whole else "-"
        return f"{share} ({self.part} of {self.whole}; {low:.0%} to {high:.0%})"

    @property
    def share(self) -> float:
        """The share, 0 of nothing."""
        return self.part / self.whole if self.whole else 0.0


def read_part(part: str, folder: Path = FOLDER) -> list[Answer]:
    """Return the answers of a part. Raises `ValueError` for a line with an unknown kind of fault."""
    lines = (folder / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
    return [_read_answer(json.loads(line)) for line in lines]


def _read_answer(line: dict[str, Any]) -> Answer:
    fault = line["fault"]
    if (fault or "sound") not in (*FAULTS, "sound") or (line["label"] == "sound") != (fault == ""):
        raise ValueError(f"{line['id']}: {line['label']} and {fault!r} do not fit")
    pairs = tuple(Pair(question, answer) for question, answer in line["pairs"])
    least, most = line["asked_pairs"]
    return Answer(line["id"], line["source"], line["style"], line["annotation"], (least, most), pairs, fault)


class _Style(NamedTuple):
    rules: RuleSet
    sent: SentTexts
    scripts: frozenset[str]
    ends_sentences: bool


@cache
def _style(name: str) -> _Style:
    """Return the rules and the prompt of a style, as the main job has them."""
    dataset = find_plugin(STYLES[name]).create()
    rules = (rule for rule in cleaning_rules(dataset) if not (rule.name.startswith("not ") and "pair" in rule.name))
    template = _prompt(_PROMPTS.get(name, dataset.prompt))
    examples, question = [], ""
    for turn in template.in_context:
        if turn["role"] == "user":
            question = turn["content"]
        else:
            examples += [
                (question, text) for p in parse_pairs(turn["content"]).pairs for text in (p.instruction, p.answer)
            ]
    shown = [(asked, line) for asked, _ in examples for line in asked.splitlines()]
    sent = SentTexts([*examples, *shown], [template.system_message], CORRECTION.split("{}"))
    texts = [text for _, text in examples]
    return _Style(RuleSet(rules), sent, scripts_of(texts), all(map(is_complete, texts)))


def _prompt(name: str) -> PromptTemplate:
    path = find_prompt(name, [FOLDER.parent.parent / "prompts"])
    return to_prompt_template(read_prompt(path), str(path))


def judge(answer: Answer) -> Verdict:
    """Apply the rules of the answer's dataset, as the main job does."""
    style = _style(answer.style)
    context = Context(
        Query(answer.id, answer.annotation),
        style.sent,
        scripts=style.scripts,
        asked_pairs=answer.asked_pairs,
        ends_sentences=style.ends_sentences,
    )
    cleaned = style.rules.clean(answer.pairs, context)
    return Verdict(frozenset(cleaned.rejections), frozenset(cleaned.repairs), frozenset(cleaned.doubts))


def verdicts(answers: Iterable[Answer]) -> Iterator[tuple[Answer, Verdict]]:
    """Yield each answer with its verdict."""
    return ((answer, judge(answer)) for answer in answers)


def in_context_answers() -> Sequence[Answer]:
    """Return the answers of the shipped in-context examples, which are sound, each with its own annotation."""
    found = []
    for style, name in STYLES.items():
        dataset = find_plugin(name).create()
        question = ""
        for number, turn in enumerate(_prompt(_PROMPTS.get(style, dataset.prompt)).in_context):
            if turn["role"] == "user":
                question = turn["content"]
            else:
                pairs = tuple(parse_pairs(turn["content"]).pairs)
                found.append(Answer(f"{style}-{number}", "prompts", style, question, (len(pairs),) * 2, pairs, ""))
    return found
