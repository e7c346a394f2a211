"""The cold start, from no in-context examples to a proven set, on made-up annotations and on real ones.

    python benchmarks/cold_start.py [SEEDS [SD=train.json DC=val_1.json]]

The endpoint is the simulated one, whose obedience depends on the examples; or, in the second table, one that can't be
satisfied. `unseen` queries are asked with the prompt that was found, and counted as the main job would; none of them
is among those that the cold start saw. The seed changes the endpoint, the sample and the held-out part alike.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from common import table

from syphus.cold_start.command import cold_start
from syphus.cold_start.plan import SearchPlan
from syphus.cold_start.search import ColdStartResult
from syphus.config.options import Options
from syphus.main_job import run
from syphus.pipeline.observer import Observer
from syphus.simulator import Simulation, serve_in_thread

SEEN, UNSEEN = 400, 200
ROWS = SEEN + UNSEEN
NAMES = {"SD": "SpotTheDifference.change", "DC": "DenseCaptions.video", "VST": "VisualStoryTelling.video"}
_LOOKS = "tall|young|old|cheerful|tired|bearded|barefoot|smiling|masked|sleepy|elegant|muddy|blonde|limping|curious"
_WHO = "man|woman|girl|boy|waiter|cyclist|nurse|coach|clown|soldier|farmer|dancer|painter|tourist|child|sailor|baker"
_DOES = "carrying|repairing|painting|pushing|lifting|washing|throwing|examining|unpacking|decorating|measuring"
_WHAT = (
    "wooden ladder|striped tent|broken piano|heavy suitcase|stone wall|rowing boat|ripe melon|paper kite|glass door|"
    "iron stove|birthday cake|long table|brick oven|horse cart|steel drum|garden bench|plastic chair|leather saddle"
)
_WHERE = (
    "near the fountain|behind the garage|in the courtyard|under the bridge|at the bakery|on the balcony|by the river|"
    "next to the stairs|in front of the church|at the harbour|between the trees|on the platform|inside the barn"
)


def sentence(rng: random.Random) -> str:
    """One of some 700,000."""
    looks, who, does, what, where = (rng.choice(part.split("|")) for part in (_LOOKS, _WHO, _DOES, _WHAT, _WHERE))
    return f"the {looks} {who} is {does} a {what} {where}"


def several(rng: random.Random, least: int, most: int) -> list[str]:
    return [sentence(rng) for _ in range(rng.randint(least, most))]


def spot_the_difference(rng: random.Random) -> object:
    return [{"img_id": str(n), "sentences": several(rng, 1, 4)} for n in range(ROWS)]


def dense_captions(rng: random.Random) -> object:
    made = {}
    for n in range(ROWS):
        told = several(rng, 2, 5)
        times = [[9.5 * k, 9.5 * (k + 1)] for k in range(len(told))]
        made[f"v_{n:05}"] = {"duration": 9.5 * len(told), "timestamps": times, "sentences": [f"{t}." for t in told]}
    return made


def visual_story_telling(rng: random.Random) -> object:
    albums, images, annotations = [], [], []
    for n in range(ROWS):
        albums.append({"id": f"a{n}", "title": rng.choice(_WHAT.split("|")), "description": ""})
        for k in range(rng.randint(2, 5)):
            photo = f"{n:04}{k}"
            images.append({"id": photo, "album_id": f"a{n}", "title": f"DSC_{k}", "tags": ""})
            told = {"album_id": f"a{n}", "photo_flickr_id": photo, "text": f"{sentence(rng)} ."}
            annotations.append([told])
    return {"images": images, "albums": albums, "annotations": annotations}


MADE: dict[str, Callable[[random.Random], object]] = {
    "SD": spot_the_difference,
    "DC": dense_captions,
    "VST": visual_story_telling,
}


class Trial(NamedTuple):
    """One seed: how the search ended, and the valid share on unseen queries without examples and with the set."""

    ended: ColdStartResult
    plain: float
    taught: float
    seconds: float


def valid_share(options: Options, prompt: str) -> float:
    """What the main job makes of the unseen queries, which are asked once each."""
    asked = replace(
        options, prompt_path=prompt, cold_start="never", slice_start=SEEN, slice_end=SEEN + UNSEEN, max_rounds=0
    )
    report = run(asked, {}, Observer()).report
    return report.counts.states["ok"] / report.counts.total  # type: ignore[index]  # a State is its text


def seeds(name: str, path: Path, count: int, obedience: Any, folder: Path) -> Iterator[Trial]:
    for seed in range(count):
        place = folder / f"{name}_{obedience}_{seed}"
        place.mkdir()
        with serve_in_thread(Simulation(seed=seed, obedience=obedience)) as server:
            settings = {"endpoint": {"base_url": server.url, "api_key": "sk-0123456789"}, "model": "chat"}
            (place / "config.json").write_text(json.dumps(settings), encoding="utf-8")
            options = Options(
                name=NAMES[name],
                query_inputs_path=str(path),
                config=place / "config.json",
                output_dir=place,
                num_threads=16,
                slice_end=SEEN,
                seed=seed,
            )
            began = time.monotonic()
            ended = cold_start(options, SearchPlan(seed=seed), {}, Observer())
            seconds = time.monotonic() - began
            plain = taught = 0.0
            if obedience == "examples":
                found = place / NAMES[name] / "v1" / "prompt.yaml"
                bare = place / "bare.json"
                bare.write_text(json.dumps({"system_message": ended.template.system_message}), encoding="utf-8")
                plain = valid_share(replace(options, dataset_version="bare"), str(bare))
                taught = valid_share(replace(options, dataset_version="taught"), str(found))
            yield Trial(ended, plain, taught, seconds)


def told(name: str, what: str, trials: list[Trial]) -> tuple[str, ...]:
    rounds = [len(each.ended.found.rounds) for each in trials]
    good = sum(each.ended.exit_code == 0 for each in trials)
    requests = [each.ended.report.spending.requests for each in trials]
    return (
        name,
        what,
        f"{good} of {len(trials)}",
        f"{statistics.mean(rounds):.2f}, most {max(rounds)}",
        f"{min(e.plain for e in trials):.1%} to {max(e.plain for e in trials):.1%}",
        f"{min(e.taught for e in trials):.1%} to {max(e.taught for e in trials):.1%}",
        f"{statistics.mean(requests):.0f}, most {max(requests)} (told: {SearchPlan().max_requests()})",
        f"{statistics.mean(e.seconds for e in trials):.1f}",
    )


def refused(name: str, what: str, trials: list[Trial]) -> tuple[str, ...]:
    ended = [each.ended for each in trials]
    kept = sum(each.found.best is not None and bool(each.files) for each in ended)
    named = sum(bool(each.found.missing) and bool(each.found.advice) for each in ended)
    codes = sorted({each.exit_code for each in ended})
    rounds = max(len(each.found.rounds) for each in ended)
    first = next((each.found.missing[0] for each in ended if each.found.missing), "")
    return name, what, f"exit {codes}", f"{kept} of {len(ended)}", f"{named} of {len(ended)}", str(rounds), first


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    real = dict(argument.split("=", 1) for argument in sys.argv[2:])
    good: list[tuple[str, ...]] = [
        ("", "annotations", "satisfactory", "rounds", "valid without", "valid with", "requests", "seconds")
    ]
    bad: list[tuple[str, ...]] = [("", "annotations", "ends", "best set kept", "cause named", "rounds", "for example")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        inputs = [(name, "made up", folder / f"{name}.json") for name in NAMES]
        for name, _, path in inputs:
            path.write_text(json.dumps(MADE[name](random.Random(name))), encoding="utf-8")
        inputs += [(name, "real", Path(path)) for name, path in real.items()]
        for name, what, path in inputs:
            place = folder / what
            place.mkdir(exist_ok=True)
            good.append(told(name, what, list(seeds(name, path, count, "examples", place))))
            bad.append(refused(name, what, list(seeds(name, path, count, "never", place))))
            print(*good[-1], *bad[-1], sep=" | ", file=sys.stderr)
    table(good)
    print()
    table(bad)


if __name__ == "__main__":
    main()
