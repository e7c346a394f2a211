"""What an accepted pair costs, by prompt, form of the answers, prompt cache, batch and packs, beside the defaults.

    python benchmarks/accepted_cost.py [--rows 300] [--model gpt-6-luna] [--judge SHARE]

Each line is a run of the main job on the simulated endpoint, whose numbers are those of `per_accepted_pair` in the
report: dollars at the prices of the model table, tokens and requests, divided by the pairs that are in the data after
rules and judge. Annotations, seed, shares of faulty answers and, with `--judge`, the judge are the same for all.

The prompt `long` is the shipped one with more examples, so that its prefix is above the 1,024 tokens from which the
prompt is cached. One key holds the whole prefix here, as in a run of hours: a run of seconds would be spread over many
machines that each have to write it. In batches Syphus switches the cache of these models off.

What this can't show: the answers are made up. The simulator writes the same pairs for a packed annotation as for one
alone, with slips in a share of the packs, loses form without examples by a fixed share, and gains nothing from more
examples. Whether a real model writes less or worse in one of these ways, only a run with it says: use `compare` and
`--judge`. Tokens are counted as bytes divided by four, and a schema takes none.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from common import DATASET, ROOT, table, write_annotations

from syphus.config.options import Options
from syphus.exchange import BYTES_PER_TOKEN
from syphus.main_job import run
from syphus.pipeline.observer import Observer
from syphus.simulator import Simulation, serve_in_thread
from syphus.types import State

TARGET = 0.25  # of what an accepted pair costs with the defaults
SHIPPED, BARE, LONG = "shipped", "no examples", "long"
_LONG_TOKENS = 1_200  # of the shared prefix of the long prompt
_FAULTS: dict[str, Any] = {"sloppiness": 0.02, "pack_slips": 0.1, "pair_slips": 0.02, "seed": 1}
_HEADER = (
    "prompt",
    "answers",
    "cache",
    "batch",
    "pack",
    "ok",
    "pairs",
    "cached",
    "requests",
    "tokens",
    "$/1,000",
    "of 1",
)


class Combination(NamedTuple):
    """A row of the table: what differs from the defaults."""

    prompt: str = SHIPPED
    structured: str = "never"
    batch: str = "never"
    pack: int | None = None


DEFAULTS = Combination()
COMBINATIONS = (
    DEFAULTS,
    Combination(BARE),
    Combination(LONG),
    Combination(structured="always"),
    Combination(BARE, "always"),
    Combination(LONG, "always"),
    Combination(batch="always"),
    Combination(LONG, batch="always"),
    Combination(pack=8),
    Combination(structured="always", pack=8),
    Combination(BARE, pack=8),
    Combination(BARE, "always", pack=8),
    Combination(LONG, pack=8),
    Combination(batch="always", pack=8),
    Combination(SHIPPED, "always", "always", 8),
    Combination(BARE, "always", "always", 8),
    Combination(LONG, "always", "always", 8),
    Combination(batch="always", pack=16),
    Combination(SHIPPED, "always", "always", 16),
    Combination(BARE, "always", "always", 16),
)


def write_prompts(folder: Path) -> dict[str, Path]:
    """Write the prompt files, and return them by name."""
    shipped: dict[str, Any] = yaml.safe_load((ROOT / "prompts" / "spot_the_difference.yaml").read_text("utf-8"))
    turns = list(shipped["in_context"])
    tokens = len(json.dumps(shipped)) / BYTES_PER_TOKEN
    while tokens < _LONG_TOKENS:
        number = len(turns) // 2
        said = f"The bicycle near door {number} has been moved to the other side of the road."
        more = [
            {"role": "user", "content": f"the bicycel near door {number} has been moved to the other side of the road"},
            {"role": "assistant", "content": [{"question": f"What has moved near door {number}?", "answer": said}]},
        ]
        turns += more
        tokens += len(json.dumps(more)) / BYTES_PER_TOKEN
    found = {}
    for name, examples in ((SHIPPED, shipped["in_context"]), (BARE, []), (LONG, turns)):
        found[name] = folder / f"{name}.json"
        found[name].write_text(json.dumps({**shipped, "in_context": examples}), "utf-8")
    return found


def measure(folder: Path, each: Combination, given: argparse.Namespace, prompts: dict[str, Path]) -> dict[str, Any]:
    """Run a combination to its end; return the report as JSON values."""
    folder.mkdir()
    with serve_in_thread(Simulation(batch_speed=300.0, batch_minutes=2.0, cache_rpm=0.0, **_FAULTS)) as server:
        cache = {"kind": "marked", "minimum": 1024, "marks": 4, "minutes": 30, "requests_per_minute": None}
        config = {"endpoint": {"base_url": server.url, "api_key": "any"}, "models": {given.model: {"cache": cache}}}
        (folder / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
        options = Options(
            name=DATASET,
            query_inputs_path=given.annotations,
            output_dir=folder,
            prompt_path=str(prompts[each.prompt]),
            config=folder / "config.yaml",
            model=given.model,
            structured=each.structured,
            batch=each.batch,
            pack=each.pack,
            judge=given.judge,
            cold_start="never",
            no_hedging=True,
            no_breaker=True,
            yes=True,
        )
        done = run(options, {}, Observer())
    report: dict[str, Any] = json.loads(next(folder.glob("*/*/report.json")).read_text("utf-8"))
    usage = done.report.spending.usage
    return {**report["per_accepted_pair"], "ok": done.report.counts.states[State.OK], "cached": usage.read_share}


def line(each: Combination, found: dict[str, Any], defaults: float, rows: int) -> tuple[str, ...]:
    """Return a line of the table."""
    return (
        each.prompt,
        "text" if each.structured == "never" else "JSON",
        "too short" if each.prompt != LONG else "off" if each.batch == "always" else "yes",
        "yes" if each.batch == "always" else "no",
        str(each.pack or 1),
        f"{found['ok'] / rows:.0%}",
        f"{found['pairs']:,}",
        f"{found['cached']:.0%}",
        f"{found['requests']:.2f}",
        f"{found['tokens']:.0f}",
        f"{1000 * found['cost']:.4f}",
        f"{found['cost'] / defaults:.2f}",
    )


def main() -> int:
    """Run all combinations, and print the table; exit 1 if the best is above the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--model", default="gpt-6-luna", help="one with a prompt cache that is marked")
    parser.add_argument("--judge", default="", help="share of the queries whose pairs are judged")
    given = parser.parse_args()
    lines: list[tuple[str, ...]] = [_HEADER]
    costs: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        given.annotations = write_annotations(folder / "annotations.json", given.rows)
        prompts = write_prompts(folder)
        for number, each in enumerate(COMBINATIONS):
            found = measure(folder / str(number), each, given, prompts)
            costs.append(found["cost"])
            lines.append(line(each, found, costs[0], given.rows))
    table(lines)
    best = min(costs) / costs[0]
    print(f"The best costs {best:.2f} of the defaults; the target is {TARGET}.")
    return int(best > TARGET)


if __name__ == "__main__":
    sys.exit(main())
