"""For dataset plugins: heuristics that score answers as in-context examples.

`syphus/cold_start/example_selection.py` selects the examples by these scores.
"""

from syphus.answers.scoring import (
    HEURISTICS,
    Candidate,
    Heuristic,
    Scored,
    ScoringContext,
    changes_of_the_annotation,
    colours_of_the_annotation,
    names_of_the_annotation,
    score_all,
    things_of_the_annotation,
)

__path__: list[str] = []  # a package, whose former modules `syphus.former_paths` finds
__all__ = [
    "HEURISTICS",
    "Candidate",
    "Heuristic",
    "Scored",
    "ScoringContext",
    "changes_of_the_annotation",
    "colours_of_the_annotation",
    "names_of_the_annotation",
    "score_all",
    "things_of_the_annotation",
]
