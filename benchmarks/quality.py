"""How good the cleaning rules are: how often they find a fault, and how often they reject a sound answer.

    python benchmarks/quality.py [--misses] [--part development]

The answers are those of `benchmarks/corpus/` (`answer_corpus.py` says what a line is). Each share comes with its 95%
interval (Wilson). Precision: of the answers that a rule rejects, how many are faulty. Recall: of the answers with a
fault that the rule is for, how many it rejects or repairs. False alarms: of the sound answers, how many it rejects.
A doubt rejects nothing: a judge looks at such answers first.
`--misses` shows the answers that were judged wrongly; for the test part that is for a release, not for work on rules.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from answer_corpus import FAULTS, KINDS_OF_RULES, PARTS, Answer, Rate, Verdict, read_part, verdicts

Judged = Sequence[tuple[Answer, Verdict]]


def caught(verdict: Verdict) -> bool:
    """Return whether an answer does not go out as it is."""
    return bool(verdict.rejected or verdict.changed)


def totals(judged: Judged) -> Iterator[tuple[str, Rate]]:
    """Yield the shares that sum a part up."""
    sound = [verdict for answer, verdict in judged if not answer.fault]
    faulty = [verdict for answer, verdict in judged if answer.fault]
    yield "sound answers rejected", Rate(sum(bool(each.rejected) for each in sound), len(sound))
    yield "sound answers changed", Rate(sum(bool(each.changed) for each in sound), len(sound))
    yield "sound answers doubted", Rate(sum(bool(each.doubted) for each in sound), len(sound))
    yield "faulty answers caught", Rate(sum(map(caught, faulty)), len(faulty))
    yield "faulty answers caught or doubted", Rate(sum(caught(v) or bool(v.doubted) for v in faulty), len(faulty))


def by_fault(judged: Judged) -> Iterator[tuple[str, Rate, Rate]]:
    """Yield for each kind of fault how many are caught, and how many are caught or doubted."""
    for fault in FAULTS:
        found = [verdict for answer, verdict in judged if answer.fault == fault]
        hits = sum(map(caught, found))
        yield (
            fault,
            Rate(hits, len(found)),
            Rate(hits + sum(bool(v.doubted) and not caught(v) for v in found), len(found)),
        )


def by_rule(judged: Judged) -> Iterator[tuple[str, Rate, Rate, Rate, Rate]]:
    """Yield precision, recall, false alarms and doubts of each rule that finds something, in the order of their names.

    What a rule doubts counts in the last alone: how many of its doubts are about faulty answers.
    """
    rules = {rule for _, verdict in judged for kind in verdict for rule in kind}
    for rule in sorted(rules):
        fires = [(answer, rule in verdict.rejected | verdict.changed) for answer, verdict in judged]
        doubts = [answer.fault != "" for answer, verdict in judged if rule in verdict.doubted - verdict.rejected]
        found = [answer for answer, fired in fires if fired]
        kinds = KINDS_OF_RULES.get(rule, frozenset())
        meant = [fired for answer, fired in fires if answer.fault in kinds]
        sound = [fired for answer, fired in fires if not answer.fault]
        right = sum(answer.fault != "" for answer in found)
        precision, recall = Rate(right, len(found)), Rate(sum(meant), len(meant))
        yield rule, precision, recall, Rate(sum(sound), len(sound)), Rate(sum(doubts), len(doubts))


def misses(judged: Judged) -> Iterator[str]:
    """Yield a line for each sound answer that is rejected or changed, and for each faulty one that is not."""
    for answer, verdict in judged:
        if caught(verdict) != bool(answer.fault):
            rules = "; ".join(sorted(verdict.rejected | verdict.changed | verdict.doubted)) or "-"
            pairs = " / ".join(f"{pair.instruction} -> {pair.answer!r}" for pair in answer.pairs)
            yield f"{answer.id} {answer.fault or 'sound'} [{rules}] {pairs}"


def table(rows: Iterable[Sequence[object]], head: Sequence[str]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> None:
    """Print the tables of both parts, or of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--misses", action="store_true", help="show what was judged wrongly")
    options = parser.parse_args()
    for part in options.part or PARTS:
        judged = list(verdicts(read_part(part)))
        sources = sorted({answer.source for answer, _ in judged})
        print(f"## {part}: {len(judged)} answers from {', '.join(sources)}\n")
        print(table(totals(judged), ("what", "share")), end="\n\n")
        print(table(by_fault(judged), ("fault", "caught", "caught or doubted")), end="\n\n")
        print(
            table(by_rule(judged), ("rule", "precision", "recall", "false alarms", "doubts that were right")),
            end="\n\n",
        )
        if options.misses:
            print("\n".join(misses(judged)), end="\n\n")


if __name__ == "__main__":
    main()
