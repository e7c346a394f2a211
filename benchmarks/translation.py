"""Translation: tokens, repair, `kill -9`, memory. It starts its own simulated endpoint.

    python benchmarks/translation.py tokens [FILE]     tokens an accepted pair in seven languages, in three ways
    python benchmarks/translation.py repair [FILE]     a tenth of the translations no good, in ten ways
    python benchmarks/translation.py kills [50]        killed at random moments, and the same command again
    python benchmarks/translation.py memory [100000]   pairs in seven languages

FILE is a MIMIC-IT file; without one, pairs are made up. Tokens are counted as the simulated endpoint counts them, a
quarter of the bytes; texts in other scripts have more bytes and so count for more than at most real models.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import ROOT, Run, Server, measured, table

from syphus.answers.translation import LANGUAGES, PairFeatures, Translatable, check_translation
from syphus.simulator.model_answers import count_tokens
from syphus.simulator.translation.fake_text import fake_translation, with_damage

PAIRS, THREADS, DAMAGE = 1000, 32, 0.1
_THINGS = ("red bicycle", "wooden bench", "street lamp", "yellow taxi", "small dog", "glass door", "market stall")
_PLACES = ("next to the fountain", "in front of the station", "behind the parked cars", "near the crossing")
_EXAMPLE = Translatable(
    "What is on the table in the picture?", "There is a cup of tea on the table, and a book beside it."
)


def write_pairs(path: Path, count: int) -> Path:
    """A MIMIC-IT file of made-up pairs, every one another."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"meta": {}, "data": {\n')
        for i in range(count):
            thing, place = _THINGS[i % 7], _PLACES[i % 4]
            asked = f"What can you tell me about the {thing} {place}, and how many people are close to it?"
            answer = (
                f"The {thing} stands {place}. There are {i % 40 + 3} people close to it, and the sign beside it says "
                f'"Gate {i}". It has not been moved since {i % 12 + 1}:{i % 60:02d}, as far as one can tell.'
            )
            entry = {"instruction": asked, "answer": answer, "image_ids": [f"B_IMG_{i}"], "rel_ins_ids": []}
            file.write((",\n" if i else "") + json.dumps(f"B_INS_{i}") + ": " + json.dumps(entry))
        file.write("\n}}\n")
    return path


@contextlib.contextmanager
def endpoint() -> Iterator[Server]:
    """The simulated endpoint in a process of its own."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as told:
        command = [sys.executable, str(ROOT / "main.py"), "simulate", "--port", "0", "--set", "sloppiness=0"]
        process = subprocess.Popen(command, stdout=told, stderr=told, cwd=ROOT)
        try:
            url = ""
            while not url:
                time.sleep(0.1)
                told.seek(0)
                url = next((word.rstrip(".,") for word in told.read().split() if word.startswith("http://127")), "")
            yield Server(url.removesuffix("/v1").removesuffix("/"))
        finally:
            process.terminate()
            process.wait()


def command(file: Path, output: Path, *options: str) -> list[str]:
    """Translating, as a user would type it."""
    given = ["--output-dir", str(output), "--num_threads", str(THREADS), "--model", "gpt-6-luna"]
    return [sys.executable, str(ROOT / "main.py"), "translate", str(file), *given, *options]


def environment(server: Server) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "AZURE"))}
    return {**kept, "OPENAI_API_KEY": "sk-benchmark-0123456789", "OPENAI_BASE_URL": f"{server.url}/v1"}


def translated(file: Path, output: Path, server: Server, *options: str) -> Run:
    return measured(command(file, output, *options), environment(server))


def configure(server: Server, **settings: float) -> None:
    """Not the `configure` of the fast server, which has other settings."""
    query = "&".join(f"{name}={value}" for name, value in {"all": 1, "sloppiness": 0, **settings}.items())
    server._get(f"/config?{query}")
    server._get("/reset")


def numbers(file: Path, output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / f"{file.stem}.translation" / "report.json").read_text("utf-8"))
    return found


def tokens_each(report: dict[str, Any]) -> float:
    """Tokens, in and out, for each pair that has all its languages; None of them may be missing here."""
    pairs: int = min(each["states"]["ok"] for each in report["translation"]["languages"].values())
    return (report["tokens"]["prompt"] + report["tokens"]["completion"]) / pairs if pairs else float("nan")


def pairs_of(file: Path) -> list[Translatable]:
    data = json.loads(file.read_text("utf-8"))["data"]
    return [Translatable(entry["instruction"], entry["answer"]) for entry in data.values()]


def first_way(file: Path, share: float) -> tuple[float, float]:
    """The first Syphus's way, counted: all languages in one answer, by field and then by language, as in one in-context
    example; nothing is checked and nothing asked again. Tokens a pair that is good in all of them, and their share.
    """

    def answer(pair: Translatable, wrong: float, rng: random.Random) -> tuple[str, bool]:
        features, good = PairFeatures(pair), True
        source = {"instruction": pair.instruction, "answer": pair.answer}
        fields: dict[str, dict[str, str]] = {"a": {}, "b": {}}
        for code, language in LANGUAGES.items():
            made = {field: fake_translation(text, code, field) for field, text in source.items()}
            if rng.random() < wrong:
                made = with_damage(source, made, code, rng)
            good = good and check_translation(features, Translatable(**made), language).ok
            fields["a"][code], fields["b"][code] = made["instruction"], made["answer"]
        return json.dumps(fields, ensure_ascii=False), good

    def asked(pair: Translatable) -> str:
        return f"<a>{pair.instruction}</a><b>{pair.answer}</b>"

    system = (
        "You are a translator. Translate the two texts between the tags <a> and <b> into Chinese, Japanese, Spanish, "
        "German, French, Korean and Arabic. Answer with a JSON object that has the keys a and b, each with them all."
    )
    rng = random.Random(0)
    prefix = count_tokens(system) + count_tokens(asked(_EXAMPLE)) + count_tokens(answer(_EXAMPLE, 0, rng)[0]) + 16
    total = good = 0
    pairs = pairs_of(file)
    for pair in pairs:
        text, whole = answer(pair, share, rng)
        total += prefix + count_tokens(asked(pair)) + count_tokens(text)
        good += whole
    return total / good, good / len(pairs)


def tokens(file: Path, folder: Path, server: Server) -> None:
    rows = [("asked for", "no damage", "10% damage", "pairs good in all seven")]
    for name, option in (("all languages at once", ()), ("each language alone", ("--per-language",))):
        spent = []
        for share in (0.0, DAMAGE):
            configure(server, translation_damage=share)
            output = folder / f"{name}{share}".replace(" ", "_")
            translated(file, output, server, *option)
            spent.append(tokens_each(numbers(file, output)))
        rows.append((name, f"{spent[0]:,.0f} tokens a pair", f"{spent[1]:,.0f}", "100%"))
    calm, hit = first_way(file, 0.0), first_way(file, DAMAGE)
    rows.append(("the first Syphus's way", f"{calm[0]:,.0f}", f"{hit[0]:,.0f}", f"{calm[1]:.0%}, {hit[1]:.0%}"))
    table(rows)


def contents(output: Path) -> dict[str, Any]:
    """All pairs of all languages."""
    return {path.name: json.loads(path.read_text("utf-8"))["data"] for path in sorted(output.glob("*_instructions_*"))}


def repair(file: Path, folder: Path, server: Server) -> None:
    rows = [("damage", "requests", "of without", "pairs", "in all seven", "the same as without damage")]
    calm: dict[str, Any] = {}
    first = 0
    for share in (0.0, DAMAGE):
        configure(server, translation_damage=share)
        output = folder / f"damage{share}"
        translated(file, output, server)
        made, requests = contents(output), server.stats()["requests"]
        calm, first = calm or made, first or requests
        languages = numbers(file, output)["translation"]["languages"].values()
        total = len(calm[next(iter(calm))])
        same = sum(made[name].get(key) == entry for name, data in calm.items() for key, entry in data.items())
        whole = min(each["states"]["ok"] for each in languages)
        share_same = f"{same:,} of {total * len(calm):,}"
        rows.append(
            (f"{share:.0%}", f"{requests:,}", f"{requests / first:.2f}", f"{total:,}", f"{whole:,}", share_same)
        )
    table(rows)


def digest(output: Path) -> str:
    """Of the files in all languages."""
    paths = [*sorted(output.glob("*_instructions_*.json")), *sorted(output.glob("*.parquet"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def kills(file: Path, folder: Path, server: Server, rounds: int) -> None:
    rng = random.Random(0)
    settings = {"latency": 0.02, "translation_damage": 0.05}
    configure(server, **settings)
    calm = translated(file, folder / "calm", server)
    wanted, exact, twice = digest(folder / "calm"), 0, []
    for number in range(rounds):
        configure(server, **settings)
        output = folder / str(number)
        process = subprocess.Popen(command(file, output), env=environment(server), stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.3, calm.seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        done = translated(file, output, server)
        exact += done.exit_code == 0 and digest(output) == wanted
        twice.append(server.stats()["dup_after_ok"])
    heads = ("kills", "exact", "requests paid twice, most", "mean", "allowed")
    table([heads, (str(rounds), str(exact), str(max(twice)), f"{sum(twice) / rounds:.1f}", str(THREADS))])


def memory(folder: Path, server: Server, count: int) -> None:
    rows = [("pairs in seven languages", "peak memory", "seconds", "of which asking", "again, with nothing to do")]
    for pairs in (count // 10, count):
        file = write_pairs(folder / f"B{pairs}_instructions.json", pairs)
        configure(server, keep_requests=0)
        output = folder / f"memory{pairs}"
        run = translated(file, output, server)
        asked = numbers(file, output)["seconds"]
        again = translated(file, output, server)
        told = f"{again.seconds:.1f} s, {again.peak_mb:.0f} MB"
        rows.append((f"{pairs:,}", f"{run.peak_mb:.0f} MB", f"{run.seconds:.0f}", f"{asked:.0f}", told))
        assert run.exit_code == again.exit_code == 0, run.said
    table(rows)


def main() -> None:
    what, told = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    with tempfile.TemporaryDirectory() as temporary, endpoint() as server:
        folder = Path(temporary)
        is_file = told.endswith(".json")
        file = Path(told) if is_file else write_pairs(folder / "B_instructions.json", PAIRS)
        ways: dict[str, Callable[[], None]] = {
            "tokens": lambda: tokens(file, folder, server),
            "repair": lambda: repair(file, folder, server),
            "kills": lambda: kills(write_pairs(folder / "B_instructions.json", 300), folder, server, int(told or 50)),
            "memory": lambda: memory(folder, server, int(told or 100_000)),
        }
        ways[what]()


if __name__ == "__main__":
    main()
