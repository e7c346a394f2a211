"""The table of heuristics. Each is one small function in a module of its subject."""

from __future__ import annotations

from syphus.selection import copying, coverage, form, grounding, leaks, variety
from syphus.selection.candidates import Heuristic

HEURISTICS: tuple[Heuristic, ...] = (
    Heuristic("parses", 2, form.parses, "Pairs could be read out of a whole answer.", floor=1.0),
    Heuristic("keeps the rules", 2, form.keeps_rules, "No rule of cleaning rejects anything in it.", floor=1.0),
    Heuristic(
        "number of pairs", 1, form.pairs, "It has as many pairs as the rules or the system message ask for.", 0.5
    ),
    Heuristic("grounding", 5, grounding.grounding, "The annotation supports what the answers say.", floor=0.4),
    Heuristic("coverage", 4, coverage.coverage, "What the annotation says comes up.", floor=0.05),
    Heuristic("variety", 1, variety.variety, "The questions begin, ask and are about different things."),
    Heuristic("length", 0.5, form.length, "The answers are neither a word or two nor a page."),
    Heuristic("whole sentences", 2, form.whole, "The answers end as sentences do."),
    Heuristic("copies no example", 1, copying.no_copy_of_examples, "No phrase is an in-context example's.", floor=0.8),
    Heuristic("copies no other", 1, copying.no_copy_of_others, "No phrase is another query's.", floor=0.8),
    Heuristic("repeats nothing", 1, copying.no_repeats, "No answer says again what another, or itself, has said."),
    Heuristic("no leak", 1, leaks.no_leak, "Nothing speaks of the notes that the model was given.", floor=1.0),
)
