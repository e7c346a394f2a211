"""How much of the input is read from the prompt cache, what the input costs, and how far the forecast is from that.

    python benchmarks/prompt_cache.py

First whole runs of 300 rows with a prefix of 2,000 tokens against the simulated endpoint, with 64 threads: as if
nothing was marked, and with marks; and a model that finds the prefix by itself. Then the same loop in simulated time at
60, 300 and 3,000 requests a minute: without marks, with one key for all requests, and with the keys that the rate asks
for. Above 15 requests a minute for one key, the endpoint sends a request to a machine that has to write the prefix.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from common import ROOT, environment, measured, table

sys.path.insert(0, str(ROOT / "tests" / "support"))

from common import Server
from simulated_session import FakeServer, Prompt, simulate

from syphus.config.model_table import PromptCache, find_model
from syphus.endpoints.prompt_cache import expected_cache_use
from syphus.exchange import BYTES_PER_TOKEN, Usage
from syphus.runs.reader import read_status
from syphus.simulator import Simulation, serve_in_thread
from syphus.simulator.prompt_cache import CacheSettings, SimulatedCache
from syphus.types import Message

NEW, OLD = "gpt-6-luna", "gpt-4o-mini"
ROWS, THREADS = 300, 64
PREFIX_TOKENS, OWN_TOKENS = 2000, 150
_SHOWN = "a person with a red bag has moved to the other side of the road, and the blue lorry is gone. "
_OWN = "the {n}th grey van is parked closer to the gate, and two children look at it from the left. "
_ANSWER = [{"question": "What has moved?", "answer": "A person with a red bag has moved to the other side."}] * 2
_HEADER = ("what", "rows", "per minute", "read", "written", "forecast: read", "cost of the input")


def rules_of(model: str) -> PromptCache:
    """Return the cache rules of a model in the table."""
    family = find_model(model)
    assert family is not None
    assert family.cache is not None
    return family.cache


def write_prompt(path: Path) -> None:
    """Write a prompt file of about PREFIX_TOKENS."""
    system, tokens = "Write pairs of Question and Answer.", 13.0
    turns: list[dict[str, object]] = []
    while tokens < PREFIX_TOKENS:
        turns += [{"role": "user", "content": f"{len(turns)}: {_SHOWN * 4}"}, {"role": "assistant", "content": _ANSWER}]
        tokens += (4 * len(_SHOWN) + 150) / BYTES_PER_TOKEN + 8
    path.write_text(json.dumps({"system_message": system, "in_context": turns}), "utf-8")


def cost(model: str, usage: Usage) -> float:
    """Return what the input costs, in tokens at the full price."""
    family = find_model(model)
    assert family is not None
    assert family.price is not None
    full, read = family.price.input, family.price.cached_input or 0.0
    written = family.price.cache_write or full
    rest = usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens
    return rest + usage.cached_tokens * read / full + usage.cache_write_tokens * written / full


def whole_run(folder: Path, model: str, marks: bool) -> Usage:
    """Run the main job as a user would; return the usage in its ledger."""
    folder.mkdir()
    write_prompt(folder / "prompt.json")
    own = BYTES_PER_TOKEN * OWN_TOKENS
    rows = [{"img_id": str(n), "sentences": [(_OWN.format(n=n) * 9)[:own]]} for n in range(ROWS)]
    (folder / "rows.json").write_text(json.dumps(rows), "utf-8")
    with serve_in_thread(Simulation(sloppiness=0)) as server:
        config = {"endpoint": {"base_url": server.url, "api_key": "sk-benchmark-0123456789"}, "model": model}
        left_alone = {model: {"cache": {"kind": "prefix", "minimum": 10**9}}}
        (folder / "config.json").write_text(json.dumps(config if marks else {**config, "models": left_alone}), "utf-8")
        options = ["--prompt_path", "prompt.json", "--config", "config.json", "--num_threads", str(THREADS)]
        paths = [str(folder / each) if each.endswith(".json") else each for each in options]
        name = ["--name", "SpotTheDifference.change", "-in", str(folder / "rows.json")]
        command = [sys.executable, str(ROOT / "main.py"), *name, "--output_dir", str(folder / "output"), *paths]
        done = measured(command, environment(Server(server.host_url)))
    assert done.exit_code == 0, done.said
    return read_status(next((folder / "output").glob("*/v1"))).spending.usage


def simulated(folder: Path, rules: PromptCache | None, rows: int, threads: int, latency: float) -> tuple[Usage, float]:
    """Run the loop in simulated time; return the usage and the requests per minute."""
    shown = (PREFIX_TOKENS - 16) * BYTES_PER_TOKEN
    examples = (Message(role="system", content=(_SHOWN * 100)[:shown]), Message(role="user", content="a"))
    server = FakeServer(latency=latency, cache=SimulatedCache(CacheSettings()))
    prompt = Prompt([*examples, Message(role="assistant", content="b")], NEW, rules)
    ended = simulate(folder, [server], rows, threads, prompt=prompt)
    assert ended.states == {"ok": rows}, ended
    return Usage(server.tokens, 0, server.read, cache_write_tokens=server.written), 60 * rows / ended.seconds


def line(
    what: str, usage: Usage, rows: int, rate: float | None, rules: PromptCache | None, prefix: float
) -> tuple[str, ...]:
    """Return a line of the table. The cost is a share of what the same input costs if all of it is written."""
    expected = expected_cache_use(prefix, rows, usage.prompt_tokens / rows - prefix, rules, rate)
    everything = cost(NEW, Usage(usage.prompt_tokens, cache_write_tokens=usage.prompt_tokens))
    return (
        what,
        f"{rows:,}",
        f"{rate:,.0f}" if rate else "-",
        f"{usage.read_share:.1%}",
        f"{usage.written_share:.1%}",
        f"{expected.share:.1%}",
        f"{cost(NEW, usage) / everything:.1%}",
    )


def main() -> None:
    lines: list[tuple[str, ...]] = [_HEADER]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for what, model, marks in (
            ("nothing marked", NEW, False),
            ("marked", NEW, True),
            ("found by itself", OLD, True),
        ):
            usage = whole_run(folder / what, model, marks)
            prefix = usage.prompt_tokens / ROWS - OWN_TOKENS - 4
            lines.append(line(what, usage, ROWS, None, rules_of(model) if marks else None, prefix))
        rules = rules_of(NEW)
        one_key = rules.model_copy(update={"requests_per_minute": None})
        for rate, threads, latency in ((60, 4, 4.0), (300, 16, 3.2), (3000, 200, 4.0)):
            rows = 3 * rate
            for what, known in (("nothing marked", None), ("one key", one_key), ("keys by the rate", rules)):
                usage, reached = simulated(folder / f"{what} {rate}", known, rows, threads, latency)
                own_rules = known if known is rules else None
                lines.append(line(f"{what}, {threads} threads", usage, rows, reached, own_rules, PREFIX_TOKENS))
    table(lines)


if __name__ == "__main__":
    main()
