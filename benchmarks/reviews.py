"""Three people review at once while the viewer is killed again and again: is every decision there, once?

Starts the real command `view` on a run of pairs, and sends decisions over HTTP from three threads, as the page does: a
decision that was not answered is sent again with the same id. Every so often the viewer's process gets SIGKILL, and is
started again. Then the file is compared with what was sent, and kappa with a estimator of its own.

    python benchmarks/reviews.py                       # 10,000 decisions, 50 kills
    python benchmarks/reviews.py --decisions 600 --kills 5
    python benchmarks/reviews.py --keyboard            # pairs a minute with the keyboard alone, in a browser
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from uuid import UUID

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from syphus import AbstractDataset, Pair, api, read_jsonl  # noqa: E402 - of this checkout
from syphus.ledger.reviews import FILE, ReviewLog  # noqa: E402

PEOPLE = ("ann", "bob", "cid")
PAIRS_OF_A_ROW = 3
VERDICTS = ("accept", "reject", "edit")


class Street(AbstractDataset):
    """Rows that bring their pairs along."""

    short_name = "ST"
    brings_pairs = True

    def _load_query_inputs(self, path: str) -> Iterator[dict[str, object]]:
        for row in read_jsonl(path):
            pairs = [Pair(question, answer) for question, answer in row["pairs"]]
            yield {"id": row["id"], "sentences": row["text"], "image_ids": [], "pairs": pairs}


def make_run(folder: Path, rows: int) -> Path:
    """Return the folder of a run with three pairs in each row."""
    lines = [
        {
            "id": f"r{n}",
            "text": f"House {n} is red, and {n % 7} people stand before it.",
            "pairs": [
                [f"What colour is house {n}?", f"House {n} is red."],
                [f"How many people stand before house {n}?", f"There are {n % 7} people before it."],
                [f"What stands behind the people at house {n}?", "A red house stands behind them."],
            ],
        }
        for n in range(rows)
    ]
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    prompt = folder / "street.yaml"
    prompt.write_text("system_message: Write pairs.\nin_context: []\n", "utf-8")
    run = api.run(Street, query_inputs_path=source, output_dir=folder / "output", prompt_path=prompt, quiet=True)
    return run.folder


class ViewerProcess:
    """The command `view`, which can be killed and comes back at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self.starts = 0
        self.start()

    def start(self) -> None:
        """Start the command, and read its address."""
        command = [sys.executable, str(ROOT / "main.py"), "view", str(self._folder), "--no-browser", "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", line)
        assert found, line
        with self._lock:
            self.port, self.token = int(found[1]), found[2]
            self.starts += 1

    def place(self) -> tuple[int, str]:
        """Return port and token of the process that runs now."""
        with self._lock:
            return self.port, self.token

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def ask(self, path: str, value: object | None = None) -> dict[str, object]:
        """Return a reply; wait for a viewer that is gone, and ask again."""
        while True:
            port, token = self.place()
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "X-Syphus": "1"}
            try:
                body = None if value is None else json.dumps(value).encode()
                connection.request("POST" if body else "GET", path, body, headers)
                reply = connection.getresponse()
                content = json.loads(reply.read())
                if reply.status != 200:
                    raise SystemExit(f"{path}: {reply.status} {content}")
                return dict(content)
            except (OSError, HTTPException, ValueError):
                time.sleep(0.05)
            finally:
                connection.close()


def read_pairs(viewer: ViewerProcess, base: str) -> list[dict[str, object]]:
    """Return all pairs of the run, as the page gets them."""
    pairs: list[dict[str, object]] = []
    after = ""
    while True:
        page = viewer.ask(f"{base}/pairs?limit=100{after}")
        found = page["pairs"]
        assert isinstance(found, list)
        pairs += found
        if page["next"] is None:
            return pairs
        after = f"&after={page['next']}"


def reckon_kappa(said: dict[str, dict[str, str]]) -> float:
    """Return Fleiss' kappa, written down a second time."""
    items = [Counter(each.values()) for each in said.values() if len(each) > 1]
    agreeing = [sum(c * (c - 1) for c in i.values()) / (sum(i.values()) * (sum(i.values()) - 1)) for i in items]
    share = sum(agreeing) / len(items)
    totals: Counter[str] = sum(items, Counter())
    chance = sum((c / totals.total()) ** 2 for c in totals.values())
    return (share - chance) / (1 - chance)


def plan(pairs: Sequence[Mapping[str, object]], decisions: int, rng: random.Random) -> list[dict[str, object]]:
    """Return decisions, as many by each person; three in ten have a verdict drawn at random."""
    planned: list[dict[str, object]] = []
    for number in range(decisions):
        pair = pairs[number // len(PEOPLE)]
        usual = VERDICTS[number // len(PEOPLE) % len(VERDICTS)]
        verdict = usual if rng.random() < 0.7 else rng.choice(VERDICTS)
        planned.append({
            "id": str(UUID(int=rng.getrandbits(128))),
            "pair": pair["id"],
            "n": pair["n"],
            "text_hash": pair["text_hash"],
            "reviewer": PEOPLE[number % len(PEOPLE)],
            "verdict": verdict,
            **({"instruction": "What?", "answer": "That."} if verdict == "edit" else {}),
        })  # fmt: skip
    return planned


def send(
    viewer: ViewerProcess, base: str, planned: Sequence[dict[str, object]], kills: int, rng: random.Random
) -> list[str]:
    """Let all people send their decisions while the viewer is killed; return the ids of those that were answered."""
    acknowledged: list[str] = []

    def person(who: str) -> None:
        for decision in planned:
            if decision["reviewer"] == who:
                viewer.ask(f"{base}/reviews", decision)
                acknowledged.append(str(decision["id"]))

    threads = [threading.Thread(target=person, args=(who,)) for who in PEOPLE]
    for thread in threads:
        thread.start()
    for kill in range(1, kills + 1):
        while len(acknowledged) < kill * len(planned) // (kills + 1) and any(map(threading.Thread.is_alive, threads)):
            time.sleep(0.005)
        time.sleep(rng.random() * 0.02)
        viewer.kill()
        viewer.start()
    for thread in threads:
        thread.join()
    return acknowledged


def review(decisions: int, kills: int, seed: int) -> bool:
    """Run the trial; print what came out, and return whether all is right."""
    with tempfile.TemporaryDirectory() as name:
        run = make_run(Path(name), -(-decisions // len(PEOPLE) // PAIRS_OF_A_ROW) + 1)
        viewer = ViewerProcess(run)
        runs = viewer.ask("/api/runs")["runs"]
        assert isinstance(runs, list)
        base = f"/api/runs/{runs[0]['key']}"
        rng = random.Random(seed)
        planned = plan(read_pairs(viewer, base), decisions, rng)
        began = time.monotonic()
        acknowledged = send(viewer, base, planned, kills, rng)
        seconds = time.monotonic() - began
        agreement = viewer.ask(f"{base}/review/queue?reviewer=dan&limit=1")["agreement"]
        assert isinstance(agreement, dict)
        viewer.kill()
        sent = {str(decision["id"]): decision for decision in planned}
        return report(run, sent, acknowledged, agreement, (kills, seconds))


def report(
    run: Path,
    sent: dict[str, dict[str, object]],
    acknowledged: list[str],
    agreement: dict[str, object],
    about: tuple[int, float],
) -> bool:
    """Compare the file with what was sent."""
    log = ReviewLog(run)
    log.refresh()
    found = Counter(each.of.id for each in log.all_decisions())
    lines = Counter(json.loads(line)["id"] for line in (run / FILE).read_bytes().splitlines())
    lost = [each for each in acknowledged if each not in found]
    doubled = [each for each, count in lines.items() if count > 1]
    said: dict[str, dict[str, str]] = {}
    for each in sent.values():
        said.setdefault(str(each["pair"]), {})[str(each["reviewer"])] = str(each["verdict"])
    expected, kappa = reckon_kappa(said), agreement["kappa"]
    kills, seconds = about
    print(f"{len(sent):,} decisions of {len(PEOPLE)} people, {kills} kills, {seconds:.0f} s")
    print(f"lost {len(lost)}, not there {len(sent.keys() - found.keys())}, doubled {len(doubled)}, torn {log.notes}")
    print(f"kappa {kappa:.6f}, reckoned apart {expected:.6f}" if isinstance(kappa, float) else f"kappa {kappa}")
    return found.keys() == sent.keys() and not (lost or doubled) and abs(float(str(kappa)) - expected) < 1e-9


def keyboard(pairs: int) -> bool:
    """Print how many pairs a minute a reviewer does who reads for 1.5 seconds and only uses the keyboard."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name:
        viewer = ViewerProcess(make_run(Path(name), pairs + 5))
        port, token = viewer.place()
        with sync_playwright() as running:
            browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{port}/?token={token}")
            page.wait_for_selector("main h1")
            page.keyboard.press("g")
            page.keyboard.press("r")
            page.wait_for_selector("input[name=name]")
            page.locator("input[name=name]").focus()
            page.keyboard.type("Ann")
            page.keyboard.press("Enter")
            page.wait_for_selector(".review")
            began = time.monotonic()
            waits = []
            for number in range(pairs):
                before = page.locator(".review-card").inner_text()
                time.sleep(1.5)  # to read it
                pressed = time.monotonic()
                for key in ("a",) if number % 4 else ("r", "2"):
                    page.keyboard.press(key)
                while page.locator(".review-card").inner_text() == before:
                    time.sleep(0.002)
                waits.append(time.monotonic() - pressed)
            seconds = time.monotonic() - began
            time.sleep(1)
            browser.close()
        viewer.kill()
        log = ReviewLog(next(Path(name).rglob("run.sqlite")).parent)
        saved = log.refresh()
    rate = 60 * pairs / seconds
    print(
        f"{rate:.0f} pairs a minute, the next pair after {1000 * sorted(waits)[len(waits) // 2]:.0f} ms; {saved} saved"
    )
    return rate >= 20 and saved == pairs


def main() -> None:
    """Read the options, and run the trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keyboard", action="store_true", help="measure a reviewer at the keyboard instead")
    options = parser.parse_args()
    is_right = keyboard(30) if options.keyboard else review(options.decisions, options.kills, options.seed)
    raise SystemExit(0 if is_right else 1)


if __name__ == "__main__":
    main()
