"""The options of commands as they are written in Python: the types of keyword arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict


class EndpointValues(TypedDict, total=False):
    """The options of everything that asks a model, as they are written in Python."""

    num_threads: int
    seed: int
    allow_bad_rows: bool
    check_input: bool
    accept_changes: bool
    retry: str | Sequence[str]
    retry_reason: str
    offline: bool
    config: str | Path | None
    model: str | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    reasoning_effort: str | None
    verbosity: str | None
    structured: str | None
    languages: str | Sequence[str]
    glossary: str | Path | None
    tone: str
    per_language: bool
    judge_translations: float
    judge: str | float
    judge_model: str | None
    judge_config: str | Path | None
    judge_margin: float | None
    calibrate_judge: int | None
    min_quality: float | None
    no_breaker: bool
    breaker_rise: float
    until_accepted: int | None
    balance: str
    partial: bool
    requests_per_minute: float | None
    tokens_per_minute: float | None
    max_cost: float | None
    yes: bool
    notify: str | None
    ask_above: float | None
    max_requests: int | None
    max_rounds: int | None
    max_attempts: int | None
    share: str
    shared_max_cost: float | None
    shared_max_requests: int | None
    timeout: float | None
    no_hedging: bool
    metrics: str
    batch: str | bool
    deadline: str
    wait: bool
    batch_file: str | Path | None
    batch_results: str | Path | Sequence[str | Path]
    ray: str
    ray_local: bool
    drain: float


class RunValues(TypedDict, total=False):
    """The options of a run besides those, as they are written in Python."""

    query_inputs_path: str | Path
    example: bool
    slice_start: int
    slice_end: int
    random_sample: bool
    prompt_path: str | Path
    datasets_dir: str | Path | Sequence[str | Path]
    cold_start: str
    accept_examples: bool
    output_dir: str | Path
    snapshot: str | Path
    snapshot_every: float
    dataset_version: str
    with_images: bool
    images: str | Path | None
    image_size: int | None
    image_detail: str | None
    max_images: int | None
    no_sharing: bool
    pack: int | None
    relate: str | None
    embedding_model: str | None
    image_embeddings: str | Path | None
    train: str | Path | None


class ExportArguments(TypedDict, total=False):
    """The options of `export`, which `push` has too."""

    images: str | Path | Sequence[str | Path]
    videos: str | Path | None
    allow_missing_images: bool
    max_images: int | None
    split: str
    system: str
    no_image_names: bool
    languages: str | Sequence[str]
    reviewed: str
    on_note: Callable[[str], None] | None
