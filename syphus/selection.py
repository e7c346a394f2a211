"""For dataset plugins: scores of answers as in-context examples."""

from syphus.answers.scoring import (
    HEURISTICS,
    Background,
    Candidate,
    Heuristic,
    Scored,
    score_all,
    things_of_the_annotation,
)

__all__ = ["HEURISTICS", "Background", "Candidate", "Heuristic", "Scored", "score_all", "things_of_the_annotation"]
