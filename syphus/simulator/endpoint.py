"""The routes and the state of a simulated endpoint."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import count
from random import Random

import orjson
from aiohttp import web

from syphus.simulator.answer_form_types import DefectShares
from syphus.simulator.auth import Client, authenticate, check_parameters
from syphus.simulator.chat_request import ChatRequest, images_of, read_chat
from syphus.simulator.completion import Exchange, normal_reply
from syphus.simulator.embeddings import ROUTE as EMBEDDINGS
from syphus.simulator.embeddings import EmbeddingsRequest, embeddings_object, read_embeddings_request
from syphus.simulator.faults import FAULTS, Cost
from syphus.simulator.model_answers import ModelBehaviour, SimulatedAnswer, add_reasoning, write_answer
from syphus.simulator.profiles import PROFILES
from syphus.simulator.prompt_cache import CacheLookup, CacheRule, CacheSettings, SimulatedCache, check_cache_fields
from syphus.simulator.prompt_reader import ParsedPrompt, PromptReader
from syphus.simulator.rate_limiter import LimitExceeded, RateLimits
from syphus.simulator.replies import Delivery, Rejected, SimulatedReply, deliver, json_reply, openai_error
from syphus.simulator.settings import OK, Simulation, as_options, with_options
from syphus.simulator.stats import CLIENT_LEFT, RequestRecord, ServerStats, Tariff, read_tariffs
from syphus.types import BYTES_PER_TOKEN, Usage

_CONCURRENCY_WAIT = 1.0  # seconds that a request above max_concurrency is asked to wait


@dataclass(slots=True)
class _Call:
    """A request to a model that is being answered, and what is known about it so far."""

    number: int
    at: float
    id: str  #: of the request and of its completion
    prompt: ParsedPrompt | None = None
    fault: str = ""
    cost: Cost = Cost.FREE
    usage: Usage = field(default_factory=Usage)
    tariff: Tariff | None = None
    service_tier: str = "default"
    status: int = CLIENT_LEFT
    images: tuple[str, ...] = ()

    def record(self) -> RequestRecord:
        billed = self.cost is not Cost.FREE
        usage = self.usage if billed else Usage()
        dollars = self.tariff.dollars(usage, self.service_tier) if billed and self.tariff else Fraction(0)
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
        )


class SimulatedEndpoint:
    """A simulated endpoint without a socket: `handle` answers one HTTP request.

    `clock` returns seconds, and is that of the limits and of the prompt cache.
    """

    def __init__(self, simulation: Simulation, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._id_prefix = secrets.token_hex(10)  # a client may meet two endpoints, whose ids must differ
        self._ids = count(1)
        self._tasks: set[asyncio.Task[object]] = set()
        self.simulation = simulation
        self.stats = ServerStats()
        self.requests: deque[RequestRecord] = deque()
        self.reset()
        self._apply({"all"})

    def configure(self, options: Mapping[str, object]) -> None:
        """Change settings by name, as `with_options` does. Changed limits start full, a changed script at its start."""
        self.simulation = with_options(self.simulation, options)
        self._apply(set(options))

    def _apply(self, names: set[str]) -> None:
        simulation = self.simulation
        self._behaviour = ModelBehaviour(
            simulation.seed,
            simulation.sloppiness,
            simulation.cold_sloppiness,
            simulation.obedience,
            simulation.cold_failures,
            DefectShares(simulation.translation_damage, simulation.translation_slips),
            simulation.schema or PROFILES[simulation.profile].schema,
        )
        if names & {"all", "tariffs"}:
            self._tariffs = read_tariffs(simulation.tariffs)
        if names & {"all", "keep_requests"}:
            self.requests = deque(self.requests, simulation.keep_requests)
        if names & {"all", "rpm", "tpm", "burst_seconds"}:
            self._limits = RateLimits(simulation.rpm, simulation.tpm, simulation.burst_seconds, self._clock())
        if names & {"all", "seed", "script"}:
            self._chooser = FaultChooser(simulation.seed)
            self._latency = Random(f"latency/{simulation.seed}")
        if names & {"all", "prompt_cache", "cache_rpm", "cache_machines", "cache_seconds"}:
            self._prompt_cache = self._new_cache()
        if names & {"all", "capacity"}:
            self._slots = asyncio.Semaphore(simulation.capacity) if simulation.capacity else nullcontext()

    def reset(self) -> None:
        """Forget all requests: counters, request log, messages, and prompt cache. The settings stay."""
        self.stats = ServerStats(in_flight=self.stats.in_flight)
        self.requests = deque(maxlen=self.simulation.keep_requests)
        self._prompt_reader = PromptReader()
        self._prompt_cache = self._new_cache()
        self._answered: set[bytes] = set()
        self._started = time.monotonic()

    def _new_cache(self) -> SimulatedCache:
        chosen = self.simulation
        rule = CacheRule(chosen.prompt_cache)
        settings = CacheSettings(rule, chosen.cache_rpm, chosen.cache_machines, chosen.cache_seconds, chosen.seed)
        return SimulatedCache(settings)

    def stop(self) -> None:
        """Cancel all requests that are being answered."""
        for task in self._tasks:
            task.cancel()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request on any route."""
        path, method = request.path, request.method
        if path.endswith(("/chat/completions", EMBEDDINGS)) and method == "POST":
            return await self._handle_model_request(request)
        if path == "/config":
            reply = self._config(dict(request.query), await request.read())
        elif method == "GET" and path.endswith("/models") and self.simulation.list_models:
            reply = self._models()
        elif method == "GET" and path == "/stats":
            reply = json_reply(200, self.stats.as_dict())
        elif path == "/reset":
            self.reset()
            reply = json_reply(200, {})
        else:
            reply = openai_error(404, f"Invalid URL ({method} {path})")
        return await deliver(request, reply, {}, 0, 0)

    def _config(self, query: dict[str, str], body: bytes) -> SimulatedReply:
        try:
            options = orjson.loads(body) if body else {}
            if options or query:
                self.configure({**options, **query})
        except (TypeError, ValueError) as error:
            return openai_error(400, str(error))
        return json_reply(200, as_options(self.simulation))

    def _models(self) -> SimulatedReply:
        names = self.simulation.models or ("chat",)
        stated = self.simulation.shutdown_date
        end = {"shutdown_date": None if stated == "null" else stated} if stated else {}
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "simulated", **end} for name in names]
        return json_reply(200, {"object": "list", "data": models})

    async def _handle_model_request(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request to a model, and record it whatever happens."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.stats.start()
        call = _Call(self.stats.requests, time.monotonic() - self._started, f"{self._id_prefix}{next(self._ids):012x}")
        try:
            reply = await self._reply(request, call)
            headers = {"x-request-id": f"req_{call.id}", "x-syphus-simulated": "1"}
            if self.simulation.state_limits:
                headers |= self._limits.headers()
            call.status = reply.received_status
            return await deliver(request, reply, headers, self.simulation.hang_seconds, self.simulation.drip_seconds)
        finally:
            self._tasks.discard(task)
            self._record(call)

    def _record(self, call: _Call) -> None:
        record = call.record()
        self.requests.append(record)
        self.stats.end(record)
        if call.prompt and call.cost is Cost.ANSWERED and call.status == 200:
            self.stats.ok += 1
            self._answered.add(call.prompt.key)

    async def _reply(self, request: web.BaseRequest, call: _Call) -> SimulatedReply:
        raw = await request.content.read()
        simulation = self.simulation
        if simulation.down:
            call.fault = "down"
            return SimulatedReply(200, delivery=Delivery.RESET)
        try:
            client = authenticate(request, simulation)
            texts = read_embeddings_request(raw) if request.path.endswith(EMBEDDINGS) else None
            chat = texts.chat if texts else read_chat(raw, simulation.vision)
            check_parameters(chat, client, simulation)
            check_cache_fields(chat, _name(chat, client), CacheRule(simulation.prompt_cache))
        except Rejected as rejected:
            return rejected.reply
        call.images = tuple(str(image) for message in chat.messages for image in images_of(message))
        call.prompt = prompt = self._read_prompt(chat)
        if too_large := self._check_context(chat, prompt):
            return too_large
        if exceeded := self._check_limits(chat, prompt):
            return exceeded.reply(_name(chat, client), client.api_version if client.azure else None)
        return await self._answer(chat, texts, prompt, client, call)

    def _read_prompt(self, chat: ChatRequest) -> ParsedPrompt:
        prompt = self._prompt_reader.read(chat.messages)
        self.stats.unique += not prompt.repeated
        self.stats.dup_requests += prompt.repeated
        self.stats.dup_after_ok += prompt.key in self._answered
        return prompt

    def _check_context(self, chat: ChatRequest, prompt: ParsedPrompt) -> SimulatedReply | None:
        """Return the refusal of a request whose max_tokens leaves no room for the prompt, in the profile's words."""
        refuse, context = PROFILES[self.simulation.profile].over_context, self.simulation.context
        if refuse is None or not context or prompt.tokens + chat.max_tokens <= context:
            return None
        name = "max_tokens" if "max_tokens" in chat.body else "max_completion_tokens"
        return refuse(context, prompt.tokens, chat.max_tokens, name)

    def _check_limits(self, chat: ChatRequest, prompt: ParsedPrompt) -> LimitExceeded | None:
        maximum = self.simulation.max_concurrency
        if maximum and self.stats.in_flight > maximum:
            return LimitExceeded("concurrency", _CONCURRENCY_WAIT)
        expected = chat.n * chat.max_tokens if self.simulation.charge == "max" else 0
        return self._limits.admit(prompt.tokens + expected, self._clock())

    async def _answer(
        self, chat: ChatRequest, texts: EmbeddingsRequest | None, prompt: ParsedPrompt, client: Client, call: _Call
    ) -> SimulatedReply:
        simulation, name = self.simulation, _name(chat, client)
        profile = PROFILES[simulation.profile]
        if simulation.schema == "misplaced":
            profile = replace(profile, schema="misplaced")
        thought = profile.reasoning_tokens(chat.body)
        lookup = self._prompt_cache.look_up(chat, name, self._clock())
        prompt = _count_tokens(prompt, lookup, len(chat.messages), simulation.bytes_per_token)
        served = _in_turn(simulation.served_models, call.number) or ""
        call.tariff = self._tariffs.get(served or name)
        call.service_tier = _in_turn(simulation.served_tiers, call.number) or _requested_tier(chat)
        written = (
            SimulatedAnswer((), (), Usage(prompt.tokens))
            if texts
            else add_reasoning(write_answer(chat, prompt, self._behaviour), chat, thought)
        )
        exchange = Exchange(
            chat=chat,
            prompt=prompt,
            answer=written,
            seed=simulation.seed,
            requested_model=name,
            embeddings=embeddings_object(texts, name, prompt.tokens) if texts else None,
            azure=client.azure,
            key=client.key,
            api_version=client.api_version,
            id=f"chatcmpl-{call.id}",
            created=int(time.time()),
            retry_after=simulation.retry_after,
            redirect_to=simulation.redirect_to,
            profile=profile,
            served_model=served,
            service_tier=call.service_tier,
        )
        call.fault = self._chooser.fault(prompt, simulation)
        fault = FAULTS.get(call.fault)
        reply = fault.make_reply(exchange) if fault else normal_reply(exchange)
        call.cost = fault.cost if fault else Cost.ANSWERED
        call.usage = reply.usage or exchange.answer.usage
        if simulation.charge == "usage" and call.cost is not Cost.FREE:
            self._limits.settle(call.usage.completion_tokens)
        if call.cost is not Cost.FREE:
            await self._delay()
            self._prompt_cache.store(lookup, self._clock())
        return reply

    async def _delay(self) -> None:
        """Wait for a free slot, if `capacity` limits them, and take the time that an answer takes."""
        simulation = self.simulation
        if not simulation.latency and not simulation.capacity:
            return
        seconds = simulation.latency * math.exp(self._latency.gauss(0, simulation.latency_sigma))
        async with self._slots:
            await asyncio.sleep(seconds)


def _in_turn(values: Sequence[str], number: int) -> str | None:
    """Return the value for the request of this number, counted from 1; None if there are no values."""
    return values[(number - 1) % len(values)] if values else None


def _requested_tier(chat: ChatRequest) -> str:
    tier = chat.body.get("service_tier")
    return tier if isinstance(tier, str) and tier != "auto" else "default"


def _count_tokens(prompt: ParsedPrompt, lookup: CacheLookup, messages: int, bytes_per_token: float) -> ParsedPrompt:
    """Return the prompt with what the cache says, and with its text counted at so many bytes per token."""
    if bytes_per_token == BYTES_PER_TOKEN:
        return replace(prompt, cached_tokens=lookup.cached_tokens, cache_write_tokens=lookup.cache_write_tokens)
    ratio, frame = BYTES_PER_TOKEN / bytes_per_token, 4 * messages
    tokens = math.ceil((prompt.tokens - frame) * ratio) + frame
    cached = min(tokens, int(lookup.cached_tokens * ratio))
    written = min(tokens - cached, int(lookup.cache_write_tokens * ratio))
    return replace(prompt, tokens=tokens, cached_tokens=cached, cache_write_tokens=written)


def _name(chat: ChatRequest, client: Client) -> str:
    return chat.model or client.deployment or "chat"


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
        if number < len(simulation.script):
            chosen = simulation.script[number]
            return "" if chosen == OK else chosen
        return self._poison(prompt, simulation) or _pick(draw, simulation.faults)

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


def _pick(draw: float, shares: Mapping[str, float]) -> str:
    for name, share in shares.items():
        draw -= share
        if draw < 0:
            return name
    return ""
