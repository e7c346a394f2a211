"""The routes and the state of a simulated endpoint."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from itertools import count
from random import Random

import orjson
from aiohttp import web

from syphus.simulator.answering import Answerer, ModelCall, ParsedRequest
from syphus.simulator.auth import authenticate
from syphus.simulator.batches.batch_routes import BatchRoutes
from syphus.simulator.embeddings import ROUTE as EMBEDDINGS
from syphus.simulator.faults import Cost
from syphus.simulator.rate_limiter import LimitExceeded, RateLimits
from syphus.simulator.replies import Delivery, Rejected, SimulatedReply, deliver, json_reply, openai_error
from syphus.simulator.settings import Simulation, as_options, with_options
from syphus.simulator.stats import RequestRecord, ServerStats

_CONCURRENCY_WAIT = 1.0  # seconds that a request above max_concurrency is asked to wait


class SimulatedEndpoint:
    """A simulated endpoint without a socket: `handle` answers one HTTP request.

    `clock` returns seconds, and is that of the limits, of the prompt cache, and of batches.
    """

    def __init__(self, simulation: Simulation, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._id_prefix = secrets.token_hex(10)  # a client may meet two endpoints, whose ids must differ
        self._ids = count(1)
        self._tasks: set[asyncio.Task[object]] = set()
        self.simulation = simulation
        self._answerer = Answerer(simulation, clock)
        self.batches = BatchRoutes(simulation, self._answerer, clock)
        self._apply({"all"})

    @property
    def stats(self) -> ServerStats:
        """The counters since the start or the last reset."""
        return self._answerer.stats

    @stats.setter
    def stats(self, stats: ServerStats) -> None:
        """Count with other counters from now on."""
        self._answerer.stats = stats

    @property
    def requests(self) -> deque[RequestRecord]:
        """The latest finished requests to a model, oldest first."""
        return self._answerer.requests

    def configure(self, options: Mapping[str, object]) -> None:
        """Change settings by name, as `with_options` does. Changed limits start full, a changed script at its start."""
        self.simulation = with_options(self.simulation, options)
        self._answerer.apply(self.simulation, set(options))
        self.batches.apply(self.simulation, set(options))
        self._apply(set(options))

    def _apply(self, names: set[str]) -> None:
        simulation = self.simulation
        if names & {"all", "rpm", "tpm", "burst_seconds"}:
            self._limits = RateLimits(simulation.rpm, simulation.tpm, simulation.burst_seconds, self._clock())
        if names & {"all", "seed", "script"}:
            self._latency = Random(f"latency/{simulation.seed}")
        if names & {"all", "capacity"}:
            self._slots = asyncio.Semaphore(simulation.capacity) if simulation.capacity else nullcontext()

    def reset(self) -> None:
        """Forget all requests: counters, request log, messages, and prompt cache. Settings, files and batches stay."""
        self._answerer.reset()

    def stop(self) -> None:
        """Cancel all requests that are being answered."""
        for task in self._tasks:
            task.cancel()
        self.batches.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request on any route."""
        path, method = request.path, request.method
        if path.endswith(("/chat/completions", EMBEDDINGS)) and method == "POST":
            return await self._handle_model_request(request)
        if self.batches.serves(request):
            return await self.batches.handle(request)
        if path == "/config":
            reply = self._config(dict(request.query), await request.read())
        elif method == "GET" and path.endswith("/models") and self.simulation.list_models:
            reply = self._models()
        elif method == "GET" and path == "/stats":
            await self.batches.bring_up_to_date()
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
        call = self._answerer.begin(f"{self._id_prefix}{next(self._ids):012x}")
        try:
            reply = await self._reply(request, call)
            headers = {"x-request-id": f"req_{call.id}", "x-syphus-simulated": "1"}
            if self.simulation.state_limits:
                headers |= self._limits.headers()
            call.status = reply.received_status
            return await deliver(request, reply, headers, self.simulation.hang_seconds, self.simulation.drip_seconds)
        finally:
            self._tasks.discard(task)
            self._answerer.end(call)

    async def _reply(self, request: web.BaseRequest, call: ModelCall) -> SimulatedReply:
        raw = await request.content.read()
        simulation = self.simulation
        if simulation.down:
            call.fault = "down"
            return SimulatedReply(200, delivery=Delivery.RESET)
        try:
            asked = ParsedRequest(raw, request.path, authenticate(request, simulation), simulation)
        except Rejected as rejected:
            return rejected.reply
        if too_large := self._answerer.read_prompt(asked, call):
            return too_large
        if exceeded := self._check_limits(asked, call):
            return exceeded.reply(asked.name, asked.client.api_version if asked.client.azure else None)
        reply = self._answerer.answer(asked, call, self._clock())
        if simulation.charge == "usage" and call.cost is not Cost.FREE:
            self._limits.settle(call.usage.completion_tokens)
        if call.cost is not Cost.FREE:
            await self._delay()
            self._answerer.finish(call, self._clock())
        return reply

    def _check_limits(self, asked: ParsedRequest, call: ModelCall) -> LimitExceeded | None:
        maximum = self.simulation.max_concurrency
        if maximum and self.stats.in_flight > maximum:
            return LimitExceeded("concurrency", _CONCURRENCY_WAIT)
        assert call.prompt is not None
        chat = asked.chat
        expected = chat.n * chat.max_tokens if self.simulation.charge == "max" else 0
        return self._limits.admit(call.prompt.tokens + expected, self._clock())

    async def _delay(self) -> None:
        """Wait for a free slot, if `capacity` limits them, and take the time that an answer takes."""
        simulation = self.simulation
        if not simulation.latency and not simulation.capacity:
            return
        seconds = simulation.latency * math.exp(self._latency.gauss(0, simulation.latency_sigma))
        async with self._slots:
            await asyncio.sleep(seconds)
