"""How many translations of pairs are checked in a second of one core: the corpus of the tests, again and again.

python benchmarks/verification.py [SECONDS]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

from common import ROOT, table

sys.path.insert(0, str(ROOT / "tests" / "support"))

from damaged_translations import samples

from syphus.answers.translation import LANGUAGES, PairFeatures, check_translation
from syphus.answers.translation.identify import identify


def once(cached: bool) -> int:
    """Checks the whole corpus, with the features of each source made once or for every language."""
    count = 0
    for sample in (*samples("tuning"), *samples("held_out")):
        features = PairFeatures(sample.source)
        for code, language in LANGUAGES.items():
            check_translation(features if cached else sample.source, sample.translations[code], language)
            count += 1
    return count


def identified() -> int:
    """Asks only the identifier, for the languages whose script does not say which they are."""
    count = 0
    for sample in (*samples("tuning"), *samples("held_out")):
        for code in (code for code, language in LANGUAGES.items() if not language.script_is_unique):
            identify(sample.translations[code].instruction, code)
            identify(sample.translations[code].answer, code)
            count += 1
    return count


def main() -> None:
    wanted = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    rows = [("", "pair-languages/s", "microseconds each")]
    kinds: dict[str, Callable[[], int]] = {
        "checks, features made once": partial(once, True),
        "checks, features made each time": partial(once, False),
        "the identifier alone": identified,
    }
    for name, work in kinds.items():
        work()  # loads the model, compiles the patterns
        count, began = 0, time.process_time()
        while time.process_time() - began < wanted:
            count += work()
        seconds = time.process_time() - began
        rows.append((name, f"{count / seconds:,.0f}", f"{seconds / count * 1e6:.0f}"))
    table(rows)


if __name__ == "__main__":
    main()
