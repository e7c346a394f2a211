"""Queries a second of the whole pipeline, beside what the SDK and a bare client reach in the same minute.

    python benchmarks/throughput.py http://127.0.0.1:8900 [queries, 20000 by default]

Every figure is answers a second of the middle of a run: a run's seconds are those of its session, without starting
Python. "CPU" is CPU seconds for a thousand queries; what the pipeline adds is its own minus that of the bare endpoint.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import httpx2
import openai
import orjson
from common import Server, report, run, table, write_annotations
from pydantic import SecretStr

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.remote_endpoint import RemoteEndpoint
from syphus.endpoints.request import RequestBuilder
from syphus.plugins.contract import load_prompt_template
from syphus.plugins.discovery import find_plugin
from syphus.plugins.prompts import render_messages

Ask = Callable[[bytes], Awaitable[bytes]]


def bodies(count: int) -> list[bytes]:
    """The very requests that the pipeline sends for the first `count` queries."""
    prefix = load_prompt_template(find_plugin("SpotTheDifference.change").create())
    builder = RequestBuilder("gpt-4o-mini", {"temperature": 0.7, "top_p": 0.95, "max_tokens": 3200})
    return [builder.request(render_messages(prefix, f"#id={i} the blue car has moved " * 3)).body for i in range(count)]


async def drive(ask: Ask, threads: int, requests: list[bytes]) -> tuple[float, float]:
    """Answers a second, and CPU seconds for a thousand, of `threads` loops over the requests."""
    waiting = iter(requests)

    async def work() -> None:
        for body in waiting:
            assert orjson.loads(await ask(body))["choices"]

    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    await asyncio.gather(*(work() for _ in range(threads)))
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return len(requests) / seconds, cpu / len(requests) * 1000


async def bare_aiohttp(server: Server, threads: int, requests: list[bytes]) -> tuple[float, float]:
    """A bare aiohttp loop."""
    headers = {"Authorization": "Bearer x", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=threads)) as session:

        async def ask(body: bytes) -> bytes:
            async with session.post(f"{server.url}/v1/chat/completions", data=body, headers=headers) as reply:
                return await reply.read()

        return await drive(ask, threads, requests)


async def sdk_post(server: Server, threads: int, requests: list[bytes]) -> tuple[float, float]:
    """The official SDK's `client.post` on its own aiohttp transport, the body as bytes."""
    http = openai.DefaultAioHttpClient(limits=httpx2.Limits(max_connections=threads))
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0, http_client=http) as client:

        async def ask(body: bytes) -> bytes:
            reply = await client.post(
                "/chat/completions",
                cast_to=httpx2.Response,
                content=body,
                options={"headers": {"Content-Type": "application/json"}},
            )
            return reply.content

        return await drive(ask, threads, requests)


async def our_endpoint(server: Server, threads: int, requests: list[bytes]) -> tuple[float, float]:
    """Syphus's endpoint alone: what the SDK prepared, replayed over aiohttp."""
    config = EndpointConfig(base_url=f"{server.url}/v1", api_key=SecretStr("sk-benchmark-0123456789"))
    endpoint = RemoteEndpoint(config, threads, SecretRedactor())

    async def ask(body: bytes) -> bytes:
        return (await endpoint.send(body)).body

    try:
        return await drive(ask, threads, requests)
    finally:
        await endpoint.close()


def pipeline(server: Server, threads: int, count: int, folder: Path) -> tuple[float, float]:
    """The whole main job: render, send, parse, commit, write."""
    annotations = write_annotations(folder / f"{count}.json", count)
    output = folder / f"output-{threads}-{time.monotonic_ns()}"
    done = run(annotations, output, server, "--num_threads", str(threads))
    numbers = report(output)
    assert numbers["states"]["ok"] == count, done.said
    return count / numbers["seconds"], done.cpu / count * 1000


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {0})
    server, count = Server(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    rows: list[tuple[str, ...]] = [("latency", "threads", "what", "queries/s", "CPU ms a query")]
    with tempfile.TemporaryDirectory() as temporary:
        for latency, threads in ((0, 64), (0, 1024), (200, 256)):
            server.configure(latency_ms=latency)
            requests = bodies(count)
            alone = (("bare aiohttp", bare_aiohttp), ("SDK client.post", sdk_post), ("our endpoint", our_endpoint))
            for name, client in alone:
                rate, cpu = asyncio.run(client(server, threads, requests))
                rows.append((f"{latency} ms", str(threads), name, f"{rate:,.0f}", f"{cpu:.3f}"))
            rate, cpu = pipeline(server, threads, count, Path(temporary))
            rows.append((f"{latency} ms", str(threads), "the whole pipeline", f"{rate:,.0f}", f"{cpu:.3f}"))
    table(rows)


if __name__ == "__main__":
    main()
