"""Write the answer to a prompt. The same seed and messages always give the same text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import orjson

from syphus.exchange import Usage
from syphus.simulator.annotation_facts import extract_facts
from syphus.simulator.answer_form_types import DEFECTS, AnswerInput, DefectShares, Flaws
from syphus.simulator.answer_forms import as_schema, break_json, schema_of
from syphus.simulator.chat_request import ChatRequest
from syphus.simulator.dataset_answer_forms import DESCRIPTION, PAIR_VERDICTS, VERDICT
from syphus.simulator.learning import Obedience, choose_failure, failure_writer
from syphus.simulator.pack_answers import PackItem, answer_schema, read_items, write_pack
from syphus.simulator.prompt_reader import ParsedPrompt
from syphus.simulator.translation.form import OPINION, TRANSLATIONS
from syphus.simulator.wording import to_second_person

_NO_DEFECTS = DefectShares()
_NEVER_DEFECTIVE = (PAIR_VERDICTS, VERDICT, DESCRIPTION, OPINION)
_JSON_FORMS = (PAIR_VERDICTS, VERDICT, OPINION, TRANSLATIONS)  # are JSON by themselves
_CORRECTED_SHARE = 0.1  # of the defects remain after a turn that says that the answer could not be used


@dataclass(frozen=True, slots=True)
class SimulatedAnswer:
    """The choices of one completion, and their usage."""

    texts: tuple[str, ...]
    finish_reasons: tuple[str, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class ModelBehaviour:
    """How well the simulated model answers; see `Simulation` for the settings.

    `sloppiness` and `cold_sloppiness` are the shares of answers with a formal defect, with and without in-context
    examples. `cold_failures` is the share of answers that fail without good examples, see `learning.py`.
    """

    seed: int
    sloppiness: float
    cold_sloppiness: float
    obedience: Obedience = "form"
    cold_failures: float = 0.0
    translation_defects: DefectShares = _NO_DEFECTS
    pair_slips: float = 0.0
    judge_misses: float = 0.0
    judge_alarms: float = 0.0
    sound_pairs: Mapping[str, str] = field(default_factory=dict)
    schema_habit: str = "enforced"  #: what the server makes of `response_format`, one of `SCHEMA_HABITS`
    pack_slips: float = 0.0
    pack_slip: str = "mixed"

    def defect_share(self, prompt: ParsedPrompt) -> float:
        """Return the share of answers to such a prompt that have a formal defect."""
        if not self.sloppiness:
            return 0.0
        if self.obedience != "form" or prompt.style.form in _NEVER_DEFECTIVE:
            return 0.0
        share = self.sloppiness if prompt.style.form_shown else self.cold_sloppiness
        return share * _CORRECTED_SHARE if prompt.corrected else share

    def failure(self, prompt: ParsedPrompt, random: Random) -> str:
        """Choose how the next answer fails, one of `learning.FAILURES`; "" if it does not."""
        if self.obedience == "form" or prompt.style.form in _NEVER_DEFECTIVE:
            return ""
        cold = self.cold_failures * (_CORRECTED_SHARE if prompt.corrected else 1.0)
        return choose_failure(prompt.style.examples, self.obedience, cold, random)


def write_answer(chat: ChatRequest, prompt: ParsedPrompt, behaviour: ModelBehaviour) -> SimulatedAnswer:
    """Write the `chat.n` choices for `prompt`, each cut off at `chat.max_tokens`."""
    schema = _schema_of_answer(chat, prompt, behaviour.schema_habit)
    if schema is not None:  # the form has no defects then, other than those of the server
        behaviour = replace(behaviour, sloppiness=0.0)
    if items := read_items(prompt.annotation):
        return truncate([_write_items(items, schema, chat, prompt, behaviour)] * chat.n, chat, prompt)
    texts = [_write(prompt, _random(chat, prompt, behaviour.seed, index), behaviour) for index in range(chat.n)]
    if schema is not None:
        facts = extract_facts(prompt.annotation)
        random = Random(f"schema/{behaviour.seed}/{prompt.key.hex()}")
        texts = [
            break_json(as_schema(text, schema, facts), behaviour.schema_habit, chat.max_tokens, random)
            for text in texts
        ]
    return truncate(texts, chat, prompt)


def _write_items(
    items: Sequence[PackItem],
    schema: Mapping[str, object] | None,
    chat: ChatRequest,
    prompt: ParsedPrompt,
    behaviour: ModelBehaviour,
) -> str:
    """Write the answer to several items, each as if it were alone."""
    inner = answer_schema(schema) or schema

    def write(item: PackItem) -> str:
        own = replace(prompt, annotation=item.annotation)
        text = _write(own, Random(f"{behaviour.seed}/{chat.seed}/{item.id}/{prompt.key.hex()}"), behaviour)
        return text if inner is None else as_schema(text, inner, extract_facts(item.annotation))

    random = Random(f"pack/{behaviour.seed}/{prompt.key.hex()}")
    return write_pack(items, write, behaviour.pack_slip, behaviour.pack_slips, random, inner is not None)


def _schema_of_answer(chat: ChatRequest, prompt: ParsedPrompt, habit: str) -> Mapping[str, object] | None:
    """Return the schema that an answer is written by; None if it is written as the prompt shows it."""
    asked = chat.body.get("response_format")
    if habit == "ignored" or not isinstance(asked, dict) or prompt.style.form in _JSON_FORMS:
        return None
    if isinstance(asked.get("json_schema"), dict):
        schema: Mapping[str, object] = asked["json_schema"]["schema"]
        return schema
    return schema_of(orjson.loads(prompt.style.outline)) if prompt.style.outline else None


def answer_with_defect(defect: str, chat: ChatRequest, prompt: ParsedPrompt, seed: int) -> SimulatedAnswer:
    """Write an answer with this one of `DEFECTS` in every choice."""
    texts = []
    for index in range(chat.n):
        random = _random(chat, prompt, seed, index)
        texts.append(prompt.style.form.defects[defect](_scene(prompt, prompt.annotation, random), random))
    return truncate(texts, chat, prompt)


def answer_about(annotation: str, chat: ChatRequest, prompt: ParsedPrompt, seed: int) -> SimulatedAnswer:
    """Write a well-formed answer to `prompt` about another annotation."""
    random = _random(chat, prompt, seed, 0)
    return truncate([prompt.style.form.write(_scene(prompt, annotation, random), random)] * chat.n, chat, prompt)


def truncate(texts: Sequence[str], chat: ChatRequest, prompt: ParsedPrompt) -> SimulatedAnswer:
    """Return `texts` as the choices of a completion, each cut off at `chat.max_tokens`."""
    cut = [_shortened(text, chat.max_tokens) for text in texts]
    reasons = tuple("stop" if short == text else "length" for short, text in zip(cut, texts, strict=True))
    completion_tokens = sum(count_tokens(text) for text in cut)
    read, written = prompt.cached_tokens, prompt.cache_write_tokens
    return SimulatedAnswer(
        tuple(cut), reasons, Usage(prompt.tokens, completion_tokens, read, cache_write_tokens=written)
    )


def add_reasoning(answer: SimulatedAnswer, chat: ChatRequest, tokens: int) -> SimulatedAnswer:
    """Add `tokens` of reasoning before the answer: they are billed, and leave less room for it."""
    if not tokens:
        return answer
    if chat.max_tokens and tokens >= chat.max_tokens:
        usage = replace(answer.usage, completion_tokens=chat.max_tokens, reasoning_tokens=chat.max_tokens)
        return SimulatedAnswer(("",) * chat.n, ("length",) * chat.n, usage)
    room = chat.max_tokens - tokens if chat.max_tokens else 0
    texts = tuple(_shortened(text, room) for text in answer.texts)
    reasons = tuple(
        reason if short == text else "length"
        for short, text, reason in zip(texts, answer.texts, answer.finish_reasons, strict=True)
    )
    written = sum(count_tokens(text) for text in texts)
    usage = replace(answer.usage, completion_tokens=written + tokens, reasoning_tokens=tokens)
    return SimulatedAnswer(texts, reasons, usage)


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text at four bytes per token."""
    return -(-len(text.encode()) // 4)


def _shortened(text: str, max_tokens: int) -> str:
    if not max_tokens or count_tokens(text) <= max_tokens:
        return text
    return text.encode()[: 4 * max_tokens].decode(errors="ignore")


def _random(chat: ChatRequest, prompt: ParsedPrompt, seed: int, index: int) -> Random:
    return Random(f"{seed}/{chat.seed}/{index}/{prompt.key.hex()}")


def _scene(prompt: ParsedPrompt, annotation: str, random: Random) -> AnswerInput:
    facts, style = extract_facts(annotation), prompt.style
    if style.second_person:
        facts = list(dict.fromkeys(map(to_second_person, facts)))
    count = random.randint(style.min_items, style.max_items)
    if not style.count_requested:
        count = max(1, min(count, 2 * len(facts)))
    return AnswerInput(facts, count, style.about_change, style.last_example, annotation, style.example_questions)


def _write(prompt: ParsedPrompt, random: Random, behaviour: ModelBehaviour) -> str:
    form = prompt.style.form
    if form.write_with_defects is not None and any(behaviour.translation_defects):
        return form.write_with_defects(_scene(prompt, prompt.annotation, random), random, behaviour.translation_defects)
    if kind := behaviour.failure(prompt, random):
        write = failure_writer(kind, form, prompt.style.examples)
    else:
        write = form.defects[random.choice(DEFECTS)] if random.random() < behaviour.defect_share(prompt) else form.write
    source = replace(_scene(prompt, prompt.annotation, random), retells=behaviour.obedience != "form")
    if (
        behaviour.obedience == "examples" and prompt.style.examples
    ):  # as many items as the examples show, even for few facts
        source = replace(source, count=max(source.count, prompt.style.min_items))
    flaws = Flaws(behaviour.pair_slips, behaviour.judge_misses, behaviour.judge_alarms, behaviour.sound_pairs)
    return write(replace(source, flaws=flaws) if any(flaws) else source, random)
