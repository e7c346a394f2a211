"""Answers and counts requests to a simulated model, over HTTP and as lines of batches in the same way."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from random import Random

from syphus.exchange import BYTES_PER_TOKEN, Usage
from syphus.simulator.answer_form_types import DefectShares
from syphus.simulator.auth import Client, check_parameters
from syphus.simulator.chat_request import ChatRequest, images_of, read_chat
from syphus.simulator.completion import Exchange, normal_reply
from syphus.simulator.embeddings import ROUTE as EMBEDDINGS
from syphus.simulator.embeddings import EmbeddingsRequest, embeddings_object, read_embeddings_request
from syphus.simulator.faults import FAULTS, Cost, draw_fault, scripted
from syphus.simulator.model_answers import ModelBehaviour, SimulatedAnswer, add_reasoning, write_answer
from syphus.simulator.profiles import PROFILES, Profile
from syphus.simulator.prompt_cache import CacheLookup, CacheRule, CacheSettings, SimulatedCache, check_cache_fields
from syphus.simulator.prompt_reader import ParsedPrompt, PromptReader
from syphus.simulator.replies import SimulatedReply
from syphus.simulator.settings import Simulation
from syphus.simulator.stats import BATCH_TIER, CLIENT_LEFT, RequestRecord, ServerStats, Tariff, read_tariffs


@dataclass(slots=True)
class ModelCall:
    """A request to a model that is being answered, and what is known about it so far."""

    number: int
    at: float
    id: str  #: of the request and of its completion
    in_batch: bool = False
    prompt: ParsedPrompt | None = None
    fault: str = ""
    cost: Cost = Cost.FREE
    usage: Usage = field(default_factory=Usage)
    tariff: Tariff | None = None
    service_tier: str = "default"
    status: int = CLIENT_LEFT
    images: tuple[str, ...] = ()
    lookup: CacheLookup | None = None

    def record(self) -> RequestRecord:
        """Return the entry of the request log. Only an answer that was made is billed."""
        billed = self.cost is not Cost.FREE
        usage = self.usage if billed else Usage()
        tier = BATCH_TIER if self.in_batch else self.service_tier
        dollars = self.tariff.dollars(usage, tier) if billed and self.tariff else Fraction(0)
        return RequestRecord(
            number=self.number,
            at=self.at,
            status=self.status,
            fault=self.fault,
            key=self.prompt.key.hex() if self.prompt else "",
            billed=billed,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            dollars=dollars,
            last_user=self.prompt.last_user if self.prompt else "",
            request_id=f"req_{self.id}",
            images=self.images,
            in_batch=self.in_batch,
        )


class ParsedRequest:
    """A request in `raw` to `path`, parsed and checked. Raises `Rejected` with the error that the provider sends."""

    def __init__(self, raw: bytes, path: str, client: Client, simulation: Simulation) -> None:
        self.texts: EmbeddingsRequest | None = read_embeddings_request(raw) if path.endswith(EMBEDDINGS) else None
        self.chat: ChatRequest = self.texts.chat if self.texts else read_chat(raw, simulation.vision)
        self.client = client
        check_parameters(self.chat, client, simulation)
        check_cache_fields(self.chat, self.name, CacheRule(simulation.prompt_cache))

    @property
    def name(self) -> str:
        """The requested model or deployment; "chat" if the request names none."""
        return self.chat.model or self.client.deployment or "chat"


class Answerer:
    """The simulated model with its memory: prompts that it has seen, prompt caches, faults, and the counters."""

    def __init__(self, simulation: Simulation, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.simulation = simulation
        self.stats = ServerStats()
        self.requests: deque[RequestRecord] = deque()
        self.reset()
        self.apply(simulation, {"all"})

    def apply(self, simulation: Simulation, names: set[str]) -> None:
        """Use other settings, of which these have changed ("all": all of them)."""
        self.simulation = simulation
        self._behaviour = ModelBehaviour(
            simulation.seed,
            simulation.sloppiness,
            simulation.cold_sloppiness,
            simulation.obedience,
            simulation.cold_failures,
            DefectShares(simulation.translation_damage, simulation.translation_slips),
            simulation.pair_slips,
            simulation.judge_misses,
            simulation.judge_alarms,
            simulation.sound_pairs,
            simulation.schema or PROFILES[simulation.profile].schema,
            simulation.pack_slips,
            simulation.pack_slip,
        )
        if names & {"all", "tariffs"}:
            self._tariffs = read_tariffs(simulation.tariffs)
        if names & {"all", "keep_requests"}:
            self.requests = deque(self.requests, simulation.keep_requests)
        if names & {"all", "seed", "script"}:
            self._chooser = FaultChooser(simulation.seed)
        if names & {"all", "prompt_cache", "cache_rpm", "cache_machines", "cache_seconds"}:
            self._caches = self._new_caches()

    def reset(self) -> None:
        """Forget all requests: counters, request log, messages, and prompt caches."""
        self.stats = ServerStats(in_flight=self.stats.in_flight)
        self.requests = deque(maxlen=self.simulation.keep_requests)
        self._prompt_reader = PromptReader()
        self._caches = self._new_caches()
        self._answered: set[bytes] = set()
        self._started = time.monotonic()

    def _new_caches(self) -> dict[bool, SimulatedCache]:
        """Return the cache of batches (True), whose machines and clock are their own, and that of other requests."""
        chosen = self.simulation
        rule = CacheRule(chosen.prompt_cache)
        settings = CacheSettings(rule, chosen.cache_rpm, chosen.cache_machines, chosen.cache_seconds, chosen.seed)
        return {in_batch: SimulatedCache(settings) for in_batch in (False, True)}

    def begin(self, request_id: str, *, in_batch: bool = False) -> ModelCall:
        """Count a request that has arrived, or a line whose turn has come."""
        if in_batch:
            self.stats.batch_lines += 1
        else:
            self.stats.start()
        number = self.stats.batch_lines if in_batch else self.stats.requests
        return ModelCall(number, time.monotonic() - self._started, request_id, in_batch)

    def end(self, call: ModelCall) -> None:
        """Count and log a request that has ended."""
        record = call.record()
        self.requests.append(record)
        self.stats.end(record)
        if call.prompt and call.cost is Cost.ANSWERED and call.status == 200:
            self.stats.ok += 1
            self._answered.add(call.prompt.key)

    def read_prompt(self, asked: ParsedRequest, call: ModelCall) -> SimulatedReply | None:
        """Read the prompt of a request into `call`. Return the refusal of one that is too long for the model."""
        messages = asked.chat.messages
        call.images = tuple(str(image) for message in messages for image in images_of(message))
        call.prompt = prompt = self._prompt_reader.read(messages)
        self.stats.unique += not prompt.repeated
        self.stats.dup_requests += prompt.repeated
        self.stats.dup_after_ok += prompt.key in self._answered
        return self._check_context(asked.chat, prompt)

    def _check_context(self, chat: ChatRequest, prompt: ParsedPrompt) -> SimulatedReply | None:
        """Return the refusal of a request whose max_tokens leaves no room for the prompt, in the profile's words."""
        refuse, context = PROFILES[self.simulation.profile].over_context, self.simulation.context
        if refuse is None or not context or prompt.tokens + chat.max_tokens <= context:
            return None
        name = "max_tokens" if "max_tokens" in chat.body else "max_completion_tokens"
        return refuse(context, prompt.tokens, chat.max_tokens, name)

    def answer(self, asked: ParsedRequest, call: ModelCall, now: float) -> SimulatedReply:
        """Return the reply to a request that was read, or that of its fault; what it costs is in `call` afterwards.

        `now` is the time for the prompt cache. Once the answer is made, `finish` stores the prompt in the cache.
        """
        simulation, name, chat = self.simulation, asked.name, asked.chat
        profile = PROFILES[simulation.profile]
        if simulation.schema == "misplaced":
            profile = replace(profile, schema="misplaced")
        assert call.prompt is not None
        call.lookup = self._caches[call.in_batch].look_up(chat, name, now)
        prompt = _count_tokens(call.prompt, call.lookup, len(chat.messages), simulation.bytes_per_token)
        call.prompt = prompt
        served = _in_turn(simulation.served_models, call.number) or ""
        call.tariff = self._tariffs.get(served or name)
        call.service_tier = _in_turn(simulation.served_tiers, call.number) or _requested_tier(chat)
        exchange = self._exchange(asked, call, prompt, profile, served)
        call.fault = self._chooser.fault(prompt, simulation)
        fault = FAULTS.get(call.fault)
        if fault and call.in_batch and fault.cost is Cost.LOST:  # nothing gets lost on the way into a file
            fault, call.fault = None, ""
        reply = fault.make_reply(exchange) if fault else normal_reply(exchange)
        call.cost = fault.cost if fault else Cost.ANSWERED
        call.usage = reply.usage or exchange.answer.usage
        return reply

    def _exchange(
        self, asked: ParsedRequest, call: ModelCall, prompt: ParsedPrompt, profile: Profile, served: str
    ) -> Exchange:
        """Write the answer, or the vectors, of a request."""
        simulation, name, chat, texts = self.simulation, asked.name, asked.chat, asked.texts
        if texts:
            answer = SimulatedAnswer((), (), Usage(prompt.tokens))
        else:
            written = write_answer(chat, prompt, self._behaviour)
            answer = add_reasoning(written, chat, profile.reasoning_tokens(chat.body))
        return Exchange(
            chat=chat,
            prompt=prompt,
            answer=answer,
            seed=simulation.seed,
            requested_model=name,
            embeddings=embeddings_object(texts, name, prompt.tokens) if texts else None,
            azure=asked.client.azure,
            key=asked.client.key,
            api_version=asked.client.api_version,
            id=f"chatcmpl-{call.id}",
            created=int(time.time()),
            retry_after=simulation.retry_after,
            redirect_to=simulation.redirect_to,
            profile=profile,
            served_model=served,
            service_tier=call.service_tier,
        )

    def finish(self, call: ModelCall, now: float) -> None:
        """Store the prompt of an answer that was made in the prompt cache."""
        if call.lookup and call.cost is not Cost.FREE:
            self._caches[call.in_batch].store(call.lookup, now)


def _in_turn(values: Sequence[str], number: int) -> str | None:
    """Return the value for the request of this number, counted from 1; None if there are no values."""
    return values[(number - 1) % len(values)] if values else None


def _requested_tier(chat: ChatRequest) -> str:
    tier = chat.body.get("service_tier")
    return tier if isinstance(tier, str) and tier != "auto" else "default"


def _count_tokens(prompt: ParsedPrompt, lookup: CacheLookup, messages: int, bytes_per_token: float) -> ParsedPrompt:
    """Return the prompt with what the cache says, and with its text counted at `bytes_per_token`."""
    if bytes_per_token == BYTES_PER_TOKEN:
        return replace(prompt, cached_tokens=lookup.cached_tokens, cache_write_tokens=lookup.cache_write_tokens)
    ratio, frame = BYTES_PER_TOKEN / bytes_per_token, 4 * messages
    tokens = math.ceil((prompt.tokens - frame) * ratio) + frame
    cached = min(tokens, int(lookup.cached_tokens * ratio))
    written = min(tokens - cached, int(lookup.cache_write_tokens * ratio))
    return replace(prompt, tokens=tokens, cached_tokens=cached, cache_write_tokens=written)


class FaultChooser:
    """Chooses the fault of each request: from the script, then by the text of the message, then at random."""

    def __init__(self, seed: int) -> None:
        self._count = 0
        self._seen: set[bytes] = set()
        self._random = Random(f"faults/{seed}")

    def fault(self, prompt: ParsedPrompt, simulation: Simulation) -> str:
        """Return the name of the fault for the next request, "" for none."""
        number = self._count
        self._count += 1
        draw = self._random.random()  # always one per request, so that a script changes nothing for later requests
        chosen = scripted(simulation.script, number)
        if chosen is not None:
            return chosen
        return self._poison(prompt, simulation) or draw_fault(draw, simulation.faults)

    def _poison(self, prompt: ParsedPrompt, simulation: Simulation) -> str:
        fault = _matching(simulation.poison, prompt)
        if fault or not simulation.poison_once:
            return fault
        first = prompt.key not in self._seen
        self._seen.add(prompt.key)
        return _matching(simulation.poison_once, prompt) if first else ""


def _matching(poison: Mapping[str, str], prompt: ParsedPrompt) -> str:
    """Return the fault for the last user message, or for the annotation whose answer that message corrects."""
    return next((name for text, name in poison.items() if text in prompt.last_user or text in prompt.annotation), "")
