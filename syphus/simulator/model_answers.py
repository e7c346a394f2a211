"""The made-up answer to a prompt, and the completion object around it. The same seed and messages always give the same
text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from syphus.simulator.chat_request import ChatRequest
from syphus.simulator.facts import facts
from syphus.simulator.learning import Obedience, failing, failure
from syphus.simulator.prompt_reader import ReadPrompt
from syphus.simulator.scene import DEFECTS, DefectShares, Scene
from syphus.simulator.special_forms import DESCRIPTION, VERDICT
from syphus.simulator.translation.form import OPINION
from syphus.simulator.wording import told_to_wearer
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
    spoiling: DefectShares = _UNSPOILT

    def share(self, prompt: ReadPrompt) -> float:
        """The share of answers to prompts such as `prompt` that have a defect."""
        if not self.sloppiness:
            return 0.0
        if self.obedience != "form" or prompt.style.form in _TASKS:
            return 0.0
        share = self.sloppiness if prompt.style.shown else self.cold_sloppiness
        return share * _CORRECTED_SHARE if prompt.corrected else share

    def failure(self, prompt: ReadPrompt, random: Random) -> str:
        """How the next answer fails, of `lessons.FAILURES`; "" where it does not."""
        if self.obedience == "form" or prompt.style.form in _TASKS:
            return ""
        cold = self.cold_failures * (_CORRECTED_SHARE if prompt.corrected else 1.0)
        return failure(prompt.style.lessons, self.obedience, cold, random)


def answer(chat: ChatRequest, prompt: ReadPrompt, manners: ModelBehaviour) -> SimulatedAnswer:
    """The `chat.n` choices for `prompt`, each cut at `chat.max_tokens`."""
    written = [_write(prompt, _random(chat, prompt, manners.seed, index), manners) for index in range(chat.n)]
    return cut(written, chat, prompt)


def defective(defect: str, chat: ChatRequest, prompt: ReadPrompt, seed: int) -> SimulatedAnswer:
    """As `answer`, with the named one of `DEFECTS` in every choice."""
    written = []
    for index in range(chat.n):
        random = _random(chat, prompt, seed, index)
        written.append(prompt.style.form.defects[defect](_scene(prompt, prompt.annotation, random), random))
    return cut(written, chat, prompt)


def about(annotation: str, chat: ChatRequest, prompt: ReadPrompt, seed: int) -> SimulatedAnswer:
    """A well-formed answer to `prompt`, but about another annotation."""
    random = _random(chat, prompt, seed, 0)
    return cut([prompt.style.form.write(_scene(prompt, annotation, random), random)] * chat.n, chat, prompt)


def cut(texts: Sequence[str], chat: ChatRequest, prompt: ReadPrompt) -> SimulatedAnswer:
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


def _random(chat: ChatRequest, prompt: ReadPrompt, seed: int, index: int) -> Random:
    return Random(f"{seed}/{chat.seed}/{index}/{prompt.key.hex()}")


def _scene(prompt: ReadPrompt, annotation: str, random: Random) -> Scene:
    found, style = facts(annotation), prompt.style
    if style.to_wearer:
        found = list(dict.fromkeys(map(told_to_wearer, found)))
    count = random.randint(style.fewest, style.most)
    if not style.exact:
        count = max(1, min(count, 2 * len(found)))
    return Scene(found, count, style.about_change, style.example, annotation, style.asked)


def _write(prompt: ReadPrompt, random: Random, manners: ModelBehaviour) -> str:
    form = prompt.style.form
    if form.spoilt is not None and any(manners.spoiling):
        return form.spoilt(_scene(prompt, prompt.annotation, random), random, manners.spoiling)
    if kind := manners.failure(prompt, random):
        write = failing(kind, form, prompt.style.lessons)
    else:
        write = form.defects[random.choice(DEFECTS)] if random.random() < manners.share(prompt) else form.write
    scene = _scene(prompt, prompt.annotation, random)
    if manners.obedience == "examples" and prompt.style.lessons:  # as many as they show, however little there is
        scene = replace(scene, count=max(scene.count, prompt.style.fewest))
    return write(scene, random)
