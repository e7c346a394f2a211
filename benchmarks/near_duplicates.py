"""How many planted near-duplicates are found among a million pairs, in which time and memory.

    python benchmarks/near_duplicates.py [--pairs 1000000] [--planted 0.05] [--seed 0]

The pairs are made of 6,000 words by the law of Zipf, 12 to 45 words each. A share of them are copies of earlier ones
with one to three changes: another case, marks, bold, spaces, a contraction, a word added, left out or replaced.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from syphus.quality.near_duplicates import NearDuplicates

WORDS = [f"{a}{b}{c}" for a in ("ba", "ce", "di", "fo", "gu", "ha") for b in map(str, range(100)) for c in "abcdefghij"]


def sentence(rng: random.Random) -> str:
    """Return a text whose words are as frequent as in a language."""
    words = [WORDS[min(len(WORDS) - 1, int(rng.paretovariate(0.6)) - 1)] for _ in range(rng.randint(12, 45))]
    return f"What is {' '.join(words[:6])}? It is not {' '.join(words[6:])}."


def changed(text: str, rng: random.Random) -> str:
    """Return a near-duplicate."""
    for _ in range(rng.randint(1, 3)):
        words = text.split()
        place = rng.randrange(len(words))
        match rng.randrange(7):
            case 0:
                words[place] = words[place].upper()
            case 1:
                words[place] = f"**{words[place]}**"
            case 2:
                words[place] += ","
            case 3:
                text = " ".join(words).replace("is not", "isn't")
                continue
            case 4:
                words.insert(place, rng.choice(WORDS))
            case 5:
                del words[place]
            case _:
                words[place] = rng.choice(WORDS)
        text = "  ".join(words)
    return text


def main() -> None:
    """Plant, search, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--planted", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    index, planted, recent, making = NearDuplicates(), dict[int, int](), list[tuple[int, str]](), 0.0
    began = time.process_time()
    for number in range(arguments.pairs):
        start = time.process_time()
        if recent and rng.random() < arguments.planted:
            source, text = rng.choice(recent)
            planted[number] = source
            text = changed(text, rng)
        else:
            text = sentence(rng)
            if rng.random() < 1_000 / arguments.pairs or len(recent) < 100:
                recent.append((number, text))
        making += time.process_time() - start
        index.add(text)
    found = index.repeats()
    seconds = time.process_time() - began - making
    hits = sum(number in found for number in planted)
    others = len(found) - hits
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("| pairs | planted | found | others called repeats | CPU seconds | peak MB |")
    print("|---|---|---|---|---|---|")
    share = f"{hits / len(planted):.1%}" if planted else "-"
    print(f"| {arguments.pairs:,} | {len(planted):,} | {share} | {others:,} | {seconds:.0f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
