"""`kill -9` at random moments of a pipeline of six stages, and the same command again.

    python benchmarks/pipeline_kills.py http://127.0.0.1:8900 [50]

The stages are generate, judge, clean, translate, relate and export. Each round is one pipeline that is
killed several times, at moments drawn from a seed, and then runs to its end. It is exact where the files are those of a
pipeline that nobody killed. "Paid twice" are requests that the server had answered in full before, beyond those that a
pipeline without kills sends again; allowed are the requests in flight at each kill. The server is one that embeds, too:
`python main.py simulate --port 8900 --set latency=0.03`. (A cold start is killed in tests: whether it finds a set
that is proven to be better, and the pipeline goes on, is up to the simulated model.)
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import DATASET, ROOT, Server, environment, measured, table, write_annotations

QUERIES, THREADS, KILLS_EACH = 60, 8, 5
PIPELINE = """\
name: {dataset}
query_inputs_path: {annotations}
output_dir: {output}
model: gpt-6-luna
num_threads: {threads}
no_hedging: true
max_cost: 5
stages:
  - generate
  - judge
  - clean
  - translate: {{languages: "de,ja"}}
  - relate: {{relate: nearest-by-text, embedding_model: text-embedding-3-small}}
  - export: {{format: "llava,chat"}}
"""


def pipeline(folder: Path, annotations: Path) -> list[str]:
    """The command of a pipeline whose run is below `folder`."""
    folder.mkdir()
    file = folder / "pipeline.yaml"
    values = {"dataset": DATASET, "annotations": annotations, "output": folder / "output", "threads": THREADS}
    file.write_text(PIPELINE.format(**values), "utf-8")
    return [sys.executable, str(ROOT / "main.py"), "run", str(file)]


def digest(folder: Path) -> str:
    """Of the MIMIC-IT files in all languages, pairs.jsonl and the exports."""
    run = folder / "output" / DATASET / "v1"
    files = [
        run / "pairs.jsonl",
        *sorted(run.glob("*SD_*.json")),
        *sorted(run.glob("export/*/SD_*")),
    ]
    assert len(files) >= 7, files
    return hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()


def main() -> None:
    server, kills = Server(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 50
    rng, environ = random.Random(0), environment(server)
    exact, done = 0, 0
    twice: list[int] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        annotations = write_annotations(folder / "annotations.json", QUERIES)
        server.reset()
        calm = measured(pipeline(folder / "calm", annotations), environ)
        if calm.exit_code:
            sys.exit(calm.said)
        wanted, usual = digest(folder / "calm"), server.stats()["dup_after_ok"]
        while done < kills:
            server.reset()
            start, here = pipeline(folder / str(len(twice)), annotations), 0
            until = min(KILLS_EACH, kills - done)
            while here < until:
                process = subprocess.Popen(start, env=environ, stderr=subprocess.DEVNULL)
                time.sleep(rng.uniform(0.1, calm.seconds * 0.6))
                if process.poll() is not None:
                    break
                process.kill()
                process.wait()
                here += 1
            done += here
            ended = measured(start, environ)
            is_exact = ended.exit_code == 0 and digest(folder / str(len(twice))) == wanted
            exact += is_exact
            twice.append(server.stats()["dup_after_ok"] - usual)
            print(
                f"{here} kills, {done} so far: {'exact' if is_exact else ended.said}, {twice[-1]} twice",
                file=sys.stderr,
            )
    table(
        [
            ("kills", "pipelines", "exact", "paid twice, most of a pipeline", "in all", "allowed for a kill"),
            (str(done), str(len(twice)), str(exact), str(max(twice)), str(sum(twice)), str(THREADS)),
        ]
    )


if __name__ == "__main__":
    main()
