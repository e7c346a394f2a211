"""The result of a cold start for programs: `cold_start.json`."""

from __future__ import annotations

from pathlib import Path

import orjson

from syphus.answers.scoring import Scored
from syphus.cold_start.evaluation import Interval, Judged, Proof
from syphus.cold_start.plan import SearchResult, SearchRound
from syphus.formats.report import Report
from syphus.io.durable import replace_file
from syphus.types import State

RESULT_FILE = "cold_start.json"


def write_json(path: Path, found: SearchResult, report: Report) -> None:
    """Write the file, indented, UTF-8. Raises `StorageError` if the disk fails."""
    with replace_file(path) as file:
        file.write(orjson.dumps(as_json(found, report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def as_json(found: SearchResult, report: Report) -> dict[str, object]:
    """Return JSON values. Scores are 0 to 1; `cost` is dollars of the whole run, None if a price is unknown."""
    return {
        "satisfactory": found.satisfactory,
        "missing": found.missing,
        "advice": found.advice,
        "best_round": found.best.number if found.best else None,
        "examples": [_scored(each) for each in found.best.chosen] if found.best else [],
        "rounds": [_round(each) for each in found.rounds],
        "requests": report.spending.requests,
        "cost": report.cost,
        "simulated": report.simulated,
    }


def _round(round_: SearchRound) -> dict[str, object]:
    return {
        "round": round_.number,
        "candidates": [
            {**_scored(each), "fate": round_.fates.get(each.candidate.key, "not taken")}
            for each in round_.scored
            if each.candidate.round in (0, round_.number)
        ],
        "chosen": [each.candidate.key for each in round_.chosen],
        "proof": _proof(round_.proof) if round_.proof else None,
        "hurts": {each.example: each.gain.mean for each in round_.harmful},
    }


def _proof(proof: Proof) -> dict[str, object]:
    return {
        "satisfactory": proof.satisfactory,
        "missing": proof.missing,
        "asked": proof.asked,
        "copies": proof.copies,
        "with_the_set": {"valid_share": proof.valid_share, "score": proof.mean_score},
        "without": {"valid_share": proof.plain_share, "score": proof.plain_score},
        "gain": _interval(proof.gain),
        "judged": _judged(proof.judged),
        "own_examples": {
            "valid_share": proof.own.valid_share,
            "score": proof.own.mean_score,
            "gain": _interval(proof.own.gain),
            "judged": _judged(proof.own.judged),
            "the_set_is": proof.own.verdict or "not different",
        }
        if proof.own
        else None,
    }


def _judged(judged: Judged | None) -> dict[str, object] | None:
    if judged is None:
        return None
    return {
        "with_the_set": judged.with_set,
        "other": judged.other,
        "gain": _interval(judged.gain),
        "queries": judged.asked,
    }


def _interval(gain: Interval) -> dict[str, float]:
    return {"mean": gain.mean, "low": gain.low, "high": gain.high}


def _scored(scored: Scored) -> dict[str, object]:
    candidate = scored.candidate
    return {
        "key": candidate.key,
        "query": candidate.query.id,
        "round": candidate.round,
        "model": candidate.model,
        "state": candidate.state.value,
        "reason": candidate.reason,
        "valid": candidate.state is State.OK,
        "score": round(scored.total, 4),
        "scores": {name: round(score, 4) for name, score in scored.scores.items()},
        "notes": dict(scored.notes),
        "barred": scored.barred,
        "annotation": candidate.user_turn,
        "pairs": [{"question": pair.instruction, "answer": pair.answer} for pair in candidate.pairs],
    }
