"""The made-up answer to a prompt, and the completion object around it. The same seed and messages always give the same
text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from syphus.simulator.annotation_facts import extract_facts
from syphus.simulator.chat_request import ChatRequest
from syphus.simulator.form_types import DEFECTS, AnswerInput, DefectShares
from syphus.simulator.learning import Obedience, choose_failure, failure_writer
from syphus.simulator.prompt_reader import ParsedPrompt
from syphus.simulator.special_forms import DESCRIPTION, VERDICT
from syphus.simulator.translation.form import OPINION
from syphus.simulator.wording import to_second_person
from syphus.types import Usage

_UNSPOILT = DefectShares()
_TASKS = (VERDICT, DESCRIPTION, OPINION)  # are always done well
_CORRECTED_SHARE = 0.1  # of the defects are left once a turn has said that the answer could not be used


@dataclass(frozen=True, slots=True)
class SimulatedAnswer:
    """The choices of one completion, and what they cost."""

    texts: tuple[str, ...]
    finish_reasons: tuple[str, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class ModelBehaviour:
    """How well the simulated model keeps to the form: the share of answers with a defect, with and without in-context
    examples. `obedience` says what else they do for it: see `lessons.py`; `cold_failures` is the share of answers that
    fail where there are none.
    """

    seed: int
    sloppiness: float
    cold_sloppiness: float
    obedience: Obedience = "form"
    cold_failures: float = 0.0
    translation_defects: DefectShares = _UNSPOILT

    def defect_share(self, prompt: ParsedPrompt) -> float:
        """The share of answers to prompts such as `prompt` that have a defect."""
        if not self.sloppiness:
            return 0.0
        if self.obedience != "form" or prompt.style.form in _TASKS:
            return 0.0
        share = self.sloppiness if prompt.style.form_shown else self.cold_sloppiness
        return share * _CORRECTED_SHARE if prompt.corrected else share

    def failure(self, prompt: ParsedPrompt, random: Random) -> str:
        """How the next answer fails, of `lessons.FAILURES`; "" where it does not."""
        if self.obedience == "form" or prompt.style.form in _TASKS:
            return ""
        cold = self.cold_failures * (_CORRECTED_SHARE if prompt.corrected else 1.0)
        return choose_failure(prompt.style.examples, self.obedience, cold, random)


def write_answer(chat: ChatRequest, prompt: ParsedPrompt, behaviour: ModelBehaviour) -> SimulatedAnswer:
    """The `chat.n` choices for `prompt`, each cut at `chat.max_tokens`."""
    written = [_write(prompt, _random(chat, prompt, behaviour.seed, index), behaviour) for index in range(chat.n)]
    return truncate(written, chat, prompt)


def answer_with_defect(defect: str, chat: ChatRequest, prompt: ParsedPrompt, seed: int) -> SimulatedAnswer:
    """As `answer`, with the named one of `DEFECTS` in every choice."""
    written = []
    for index in range(chat.n):
        random = _random(chat, prompt, seed, index)
        written.append(prompt.style.form.defects[defect](_scene(prompt, prompt.annotation, random), random))
    return truncate(written, chat, prompt)


def answer_about(annotation: str, chat: ChatRequest, prompt: ParsedPrompt, seed: int) -> SimulatedAnswer:
    """A well-formed answer to `prompt`, but about another annotation."""
    random = _random(chat, prompt, seed, 0)
    return truncate([prompt.style.form.write(_scene(prompt, annotation, random), random)] * chat.n, chat, prompt)


def truncate(texts: Sequence[str], chat: ChatRequest, prompt: ParsedPrompt) -> SimulatedAnswer:
    """`texts` as the choices of a completion: what is longer than `chat.max_tokens` is cut there."""
    kept = [_shortened(text, chat.max_tokens) for text in texts]
    reasons = tuple("stop" if short == text else "length" for short, text in zip(kept, texts, strict=True))
    completion_tokens = sum(count_tokens(text) for text in kept)
    return SimulatedAnswer(tuple(kept), reasons, Usage(prompt.tokens, completion_tokens, prompt.cached_tokens))


def count_tokens(text: str) -> int:
    """About four bytes a token."""
    return -(-len(text.encode()) // 4)


def _shortened(text: str, max_tokens: int) -> str:
    if not max_tokens or count_tokens(text) <= max_tokens:
        return text
    return text.encode()[: 4 * max_tokens].decode(errors="ignore")


def _random(chat: ChatRequest, prompt: ParsedPrompt, seed: int, index: int) -> Random:
    return Random(f"{seed}/{chat.seed}/{index}/{prompt.key.hex()}")


def _scene(prompt: ParsedPrompt, annotation: str, random: Random) -> AnswerInput:
    found, style = extract_facts(annotation), prompt.style
    if style.second_person:
        found = list(dict.fromkeys(map(to_second_person, found)))
    count = random.randint(style.min_items, style.max_items)
    if not style.count_requested:
        count = max(1, min(count, 2 * len(found)))
    return AnswerInput(found, count, style.about_change, style.last_example, annotation, style.example_questions)


def _write(prompt: ParsedPrompt, random: Random, manners: ModelBehaviour) -> str:
    form = prompt.style.form
    if form.write_with_defects is not None and any(manners.translation_defects):
        return form.write_with_defects(_scene(prompt, prompt.annotation, random), random, manners.translation_defects)
    if kind := manners.failure(prompt, random):
        write = failure_writer(kind, form, prompt.style.examples)
    else:
        write = form.defects[random.choice(DEFECTS)] if random.random() < manners.defect_share(prompt) else form.write
    source = _scene(prompt, prompt.annotation, random)
    if manners.obedience == "examples" and prompt.style.examples:  # as many as they show, however little there is
        source = replace(source, count=max(source.count, prompt.style.min_items))
    return write(source, random)
