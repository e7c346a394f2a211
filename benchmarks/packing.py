"""What packs save: tokens and dollars for an accepted pair, with and without `--pack`, in lines and as JSON.

    python benchmarks/packing.py [ROWS [SHARE]]

The simulated model writes the same kind of pairs for a packed annotation as for one alone, has a prompt cache as
gpt-6-luna has, and makes a mistake with an item in this SHARE of its answers to packs (0.1), each of which costs one
more request or two. Dollars are those of its tokens at the price of gpt-6-luna. What real models write for packs, and
how good it is, this can't show.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import DATASET, table, write_annotations

from syphus.config.options import Options
from syphus.config.pricing import load_prices
from syphus.main_job import run
from syphus.pipeline.observer import Observer
from syphus.simulator import Simulation, serve_in_thread

MODEL = "gpt-6-luna"
PACKS = (None, 2, 4, 8, 16)


def main() -> None:
    rows, share = int(sys.argv[1]) if len(sys.argv) > 1 else 480, float(sys.argv[2]) if len(sys.argv) > 2 else 0.1
    price = load_prices({}).find(MODEL)
    assert price is not None
    found: list[tuple[str, ...]] = [
        ("answers", "pack", "requests", "pairs", "tokens in", "cached", "tokens out", "a pair", "dollars/1,000", "of 1")
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        annotations = write_annotations(folder / "annotations.json", rows)
        for structured in ("never", "always"):
            alone = 0.0
            for pack in PACKS:
                simulation = Simulation(sloppiness=0.02, pack_slips=share, latency=0.0)
                with serve_in_thread(simulation) as server:
                    environ = {"OPENAI_API_KEY": "any", "OPENAI_BASE_URL": server.url}
                    version = f"{structured}-{pack or 1}"
                    options = Options(
                        name=DATASET,
                        query_inputs_path=str(annotations),
                        output_dir=folder,
                        dataset_version=version,
                        model=MODEL,
                        structured=structured,
                        pack=pack,
                        num_threads=16,
                        no_hedging=True,
                        yes=True,
                    )
                    done = run(options, environ, Observer())
                usage, pairs = done.report.spending.usage, done.report.counts.pairs
                dollars = 1000 * price.cost(usage) / pairs
                alone = alone or dollars
                numbers = (done.report.spending.requests, pairs, usage.prompt_tokens)
                found.append(
                    (
                        *("JSON" if structured == "always" else "lines", str(pack or 1), *(f"{n:,}" for n in numbers)),
                        *(f"{usage.read_share:.0%}", f"{usage.completion_tokens:,}"),
                        f"{(usage.prompt_tokens + usage.completion_tokens) / pairs:.0f}",
                        *(f"{dollars:.4f}", f"{dollars / alone:.2f}"),
                    )
                )
    table(found)


if __name__ == "__main__":
    main()
