"""The options of the main job and of `cold-start`: one field for each option, with its help.

`cli/parameters.py` builds the command line from these fields, so each option is declared once.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TypeVar, get_args, get_type_hints

from syphus.declarations import Relation
from syphus.errors import ConfigError
from syphus.text import alternatives, did_you_mean, read_deadline
from syphus.types import State

T = TypeVar("T")

JUDGE_ALL, JUDGE_AUTO = "all", "auto"
COLD_STARTS = AUTO, ALWAYS, NEVER = ("auto", "always", "never")
STRATEGY_NAMES = ("diverse", "best", "random")  #: ways to choose in-context examples


def option(
    default: T,
    help_text: str,
    *flags: str,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float = math.inf,
    metavar: str = "",
) -> T:
    """Return a field with its option's help, further flags and range; `metavar` names its value in the help."""
    metadata = {
        "help": help_text,
        "flags": flags,
        "minimum": minimum,
        "above": above,
        "maximum": maximum,
        "metavar": metavar,
    }
    value: T = field(default=default, metadata=metadata)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the main job. Raises `ConfigError` for a number out of range."""

    name: str = option("", "The dataset: YourDataset.your_dataset or your_dataset.YourDataset.")
    num_threads: int = option(8, "Maximum concurrent requests (0 = 1).", minimum=0)

    query_inputs_path: str = option("", "Annotations: a file, or a folder for some datasets.", "-in")
    example: bool = option(False, "Use the example annotations that come with the dataset.")
    slice_start: int = option(0, "First row to process, counted from 0; further slices extend the run.", minimum=0)
    slice_end: int = option(-1, "Row to stop before (-1 = process all).", minimum=-1)
    random_sample: bool = option(False, "Shuffle the rows before slicing.")
    seed: int = option(0, "Seed of the row order, the waits between attempts, and the simulator.")
    allow_bad_rows: bool = option(False, "Count unreadable rows as failed instead of stopping at the first.")
    check_input: bool = option(False, "Read the input again even if it looks unchanged.")
    prompt_path: str = option("", "Use this prompt file instead of the dataset's own.")
    datasets_dir: tuple[Path, ...] = option((), "Search this folder for plugins, too; can be repeated.")

    cold_start: str = option("auto", "Find in-context examples first: auto (if the prompt has none), always or never.")
    accept_examples: bool = option(
        False, "Accept examples that are significantly better than none, even if they are not satisfactory."
    )
    output_dir: Path = option(Path("output"), "Folder for runs.")
    dataset_version: str = option("v1", "Name of this run; its folder is OUTPUT_DIR/NAME/DATASET_VERSION.")
    accept_changes: bool = option(False, "Continue even if settings or finished rows have changed.")
    retry: tuple[State, ...] = option((), "Retry queries in these states: failed,invalid,refused,truncated, or all.")
    retry_reason: str = option("", "With --retry, only queries whose reason contains this.", metavar="TEXT")
    offline: bool = option(False, "Use the simulated endpoint: made-up answers, free of charge.")
    config: Path | None = option(None, "YAML file with endpoint, sampling, limits and prices.")
    model: str | None = option(None, "Model, or deployment on Azure.")
    temperature: float | None = option(None, "Sampling temperature (default: 0.7).")
    top_p: float | None = option(None, "Nucleus sampling (default: 0.95).")
    max_tokens: int | None = option(None, "Maximum tokens of an answer (default: 3200).")
    reasoning_effort: str | None = option(
        None,
        "How much a model reasons: none, minimal, low, medium, high, xhigh or max (default: the least).",
        metavar="NAME",
    )
    verbosity: str | None = option(None, "How long answers are: low, medium or high.", metavar="NAME")
    structured: str | None = option(
        None, "Ask for JSON by a schema: auto (if the prompt file has `form: json`), always or never.", metavar="WHEN"
    )
    with_images: bool = option(False, "Send the images of each row along with its annotation.")
    images: Path | None = option(None, "Image store or folder of image files.")
    image_size: int | None = option(
        None, "Scale images to this longest side in pixels (0 = send as they are).", minimum=0
    )
    image_detail: str | None = option(None, "Image detail for models that support it: low, high, auto or original.")
    max_images: int | None = option(None, "Send at most N evenly spaced images per row.", minimum=1)
    pack: int | None = option(
        None,
        "Ask about up to N short annotations in one request; each answer is checked by itself.",
        minimum=2,
        maximum=32,
    )
    no_sharing: bool = option(False, "Do not share answers between identical queries.")

    languages: str = option("", "Translate the pairs into these languages: zh,ja,es,de,fr,ko,ar, or all.")
    glossary: Path | None = option(None, "YAML file with terms and their translations.")
    tone: str = option("", "Form of address in translations: formal, informal, or by language: zh=formal,...")
    per_language: bool = option(False, "Translate each language in a separate request.")
    judge_translations: float = option(
        0.0, "Share of the translations to have judged by a model, such as 0.02 (1 = all).", minimum=0, maximum=1
    )
    partial: bool = option(False, "Keep translated rounds even if an earlier round could not be translated.")

    requests_per_minute: float | None = option(None, "Requests per minute, if the server reports no limit.", above=0)
    tokens_per_minute: float | None = option(None, "Tokens per minute, if the server reports no limit.", above=0)
    judge: str = option(
        "",
        "Have a model judge the pairs: a share such as 0.1, all, or auto (until the share of bad ones is known).",
        metavar="SHARE",
    )
    judge_model: str | None = option(None, "Model of the judge (default: the one that writes the pairs).")
    judge_config: Path | None = option(None, "YAML file with the endpoint of the judge (default: --config).")
    judge_margin: float | None = option(
        None,
        "With --judge auto: stop when the share of bad pairs is known to within plus or minus this (default: 0.02).",
        above=0,
    )
    calibrate_judge: int | None = option(
        None, "Put N answers with known faults before the judge, too, and say how often it is right.", minimum=1
    )
    min_quality: float | None = option(
        None, "Stop if the share of good pairs is significantly below this, such as 0.9.", minimum=0, maximum=1
    )
    until_accepted: int | None = option(
        None, "Stop once there are N accepted pairs; the other rows stay pending.", minimum=1
    )
    balance: str = option(
        "",
        "With --until-accepted, count only what `balance` would choose, as near-duplicates=0.7,answer:yes=0.1.",
        metavar="NAME=X,...",
    )
    no_breaker: bool = option(False, "Continue even if the answers get significantly worse during the run.")
    breaker_rise: float = option(
        0.2, "Stop if the share of one kind of bad answers rises by this, and significantly.", above=0, maximum=1
    )
    relate: Relation | None = option(
        None, "Pairs that form a pair's context: siblings, earlier-rounds, none, nearest-by-text or nearest-by-image."
    )
    embedding_model: str | None = option(None, "Embedding model for nearest-by-text, or its deployment on Azure.")
    image_embeddings: Path | None = option(None, "Image vectors for nearest-by-image: .parquet, .npz or .npy.")
    train: Path | None = option(None, "Your own train file: JSON with ids, or with ids and their context.")

    max_cost: float | None = option(None, "Maximum cost of the run in dollars, over all sessions.", minimum=0)
    yes: bool = option(False, "Start without asking for confirmation, whatever the cost.", "-y")
    ask_above: float | None = option(
        None, "Without --max-cost, ask on a terminal before spending more dollars than this (default: 50).", minimum=0
    )
    max_requests: int | None = option(None, "Maximum requests of the run, over all sessions.", minimum=0)
    max_rounds: int | None = option(
        None, "Maximum retries after an invalid answer (default: 1; translations: 6).", minimum=0
    )
    max_attempts: int | None = option(None, "Maximum attempts per request if errors occur (default: 6).")
    share: str = option(
        "", "Share limits with other runs: DIR on this host, or http://HOST:PORT of `syphus gate`.", metavar="WHERE"
    )
    shared_max_cost: float | None = option(
        None, "With --share, maximum cost in dollars of all runs together.", minimum=0
    )
    shared_max_requests: int | None = option(None, "With --share, maximum requests of all runs together.", minimum=0)
    batch: str = option(NEVER, "Use the Batch API: never, always (just `--batch`), or auto.", metavar="WHEN")
    deadline: str = option("", "Finish within 8h, or by 08:00: by batch, with the rest online.", metavar="TIME")
    wait: bool = option(True, "Wait for batches; after --no-wait, the same command collects them later.")
    batch_file: Path | None = option(None, "Write the requests to a file, to submit it by hand.", metavar="FILE")
    batch_results: tuple[Path, ...] = option((), "Read the results of such a file; can be repeated.", metavar="FILE")
    ray: str = option("", "Send from the nodes of this Ray cluster: HOST:PORT, or auto.", metavar="ADDRESS")
    ray_local: bool = option(False, "With --ray, each node asks its own server, such as http://127.0.0.1:8000/v1.")
    timeout: float | None = option(
        None, "Maximum seconds of one attempt (default: 180); attempts that are much slower than usual end earlier."
    )
    no_hedging: bool = option(False, "Do not send a second request for the last rows when the first one is slow.")
    notify: str | None = option(
        None, "Run this command when the work ends or stops; {message} in it is replaced.", metavar="COMMAND"
    )
    metrics: str = option(
        "", "Export metrics: PORT or HOST:PORT for Prometheus, a file FILE.prom, or otlp.", metavar="WHERE"
    )
    snapshot: str = option(
        "", "Copy the run's folder there regularly; another machine can continue from the copy.", metavar="URL|DIR"
    )
    snapshot_every: float = option(10.0, "Minutes between snapshots; one more is taken at the end.", above=0)
    drain: float = option(30.0, "Seconds to wait for requests in flight after Ctrl-C.", minimum=0)
    json: bool = option(False, "Print the report as JSON on stdout (preview: the messages).")

    def __post_init__(self) -> None:
        if self.cold_start not in COLD_STARTS:
            raise ConfigError(f"--cold-start {self.cold_start}: must be {alternatives(COLD_STARTS)}.")
        if self.retry_reason and not self.retry:
            raise ConfigError("--retry-reason needs --retry STATES.")
        if self.pack and self.with_images:
            raise ConfigError("--pack takes no --with-images: nothing says which image belongs to which annotation.")
        if self.pack and self.until_accepted is not None and self.pack > self.until_accepted:
            raise ConfigError(
                f"--pack {self.pack} asks about {self.pack} rows at once, and --until-accepted wants only "
                f"{self.until_accepted} pairs: use --pack {self.until_accepted} at most."
            )
        if self.batch not in COLD_STARTS:
            raise ConfigError(f"--batch {self.batch}: must be {alternatives(COLD_STARTS)}.")
        if self.deadline:  # a span becomes a time, so that all stages have the same
            object.__setattr__(self, "deadline", read_deadline(self.deadline, datetime.now().astimezone()).isoformat())
            object.__setattr__(self, "batch", AUTO if self.batch == NEVER else self.batch)
        _check_ranges(self)
        self._check_judge()

    def _check_judge(self) -> None:
        for name in ("min_quality", "judge_model", "judge_config", "calibrate_judge"):
            if getattr(self, name) is not None and not self.judge:
                raise ConfigError(f"--{name.replace('_', '-')} needs --judge SHARE, all or auto.")
        if self.balance and self.until_accepted is None:
            raise ConfigError(
                "--balance needs --until-accepted N; the command balance chooses pairs of a finished run."
            )
        if self.judge_margin is not None and self.judge.lower() != JUDGE_AUTO:
            raise ConfigError("--judge-margin needs --judge auto.")
        if self.judge.lower() in ("", JUDGE_ALL, JUDGE_AUTO):
            object.__setattr__(self, "judge", self.judge.lower())
            return
        try:
            share = float(self.judge[:-1]) / 100 if self.judge.endswith("%") else float(self.judge)
        except ValueError:
            share = 0.0
        if not 0 < share <= 1:
            raise ConfigError(f"--judge {self.judge}: must be a share above 0 and up to 1, all or auto.")
        object.__setattr__(self, "judge", f"{share:g}")

    @property
    def folder(self) -> Path:
        """The folder of the run. Expects `name` in the order Class.module."""
        return self.output_dir / self.name / self.dataset_version


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartOptions:
    """The options of `cold-start` besides those of the main job. Raises `ConfigError` for a number out of range."""

    rounds: int = option(3, "Maximum number of rounds.", minimum=1)
    examples: int = option(3, "In-context examples to find.", minimum=1)
    sample: int = option(24, "Queries to send in each round, to choose examples from.", minimum=1)
    answers: int = option(1, "Answers to request for each of these queries.", minimum=1)
    held_out: int = option(40, "Held-out queries to test the examples on.", minimum=6)
    tokens: int = option(2_000, "Maximum tokens of all examples together.", minimum=1)
    strategy: str = option("diverse", "How to choose examples: diverse, best or random.", metavar="NAME")
    judge: bool = option(False, "Have the model judge the answers, too.")
    judge_held_out: bool = option(
        True, "Have the model judge the pairs of the held-out queries, with the set and without."
    )
    pinned: str = option("", "Prompt file whose examples are in every set.", metavar="FILE")
    review: bool = option(False, "Accept, reject or edit the examples before they are tested.")
    write_prompt: bool = option(False, "Write the prompt to the dataset's own prompt file; keep the old one as .old.")

    def __post_init__(self) -> None:
        _check_ranges(self)
        if self.strategy not in STRATEGY_NAMES:
            raise ConfigError(f"--strategy {self.strategy}: must be {alternatives(STRATEGY_NAMES)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteOptions:
    """The options of `quote` besides those of the main job. Raises `ConfigError` for a number out of range."""

    pilot: int | None = option(
        None,
        "Send N rows first and base the quote on their answers, which the run keeps. Without it, nothing is sent.",
        minimum=1,
    )
    models: str = option("", "Also quote these models: gpt-6-luna,...", metavar="NAME,...")

    def __post_init__(self) -> None:
        if not all(self.other_models):
            raise ConfigError(f"--models {self.models}: there must be a name before and after each comma.")
        _check_ranges(self)

    @property
    def other_models(self) -> tuple[str, ...]:
        """The names in `models`."""
        return tuple(each.strip() for each in self.models.split(",")) if self.models else ()


def _check_ranges(options: Options | ColdStartOptions | QuoteOptions) -> None:
    for each in fields(options):
        value, limits = getattr(options, each.name), each.metadata
        if value is None:
            continue
        flag = f"--{each.name.replace('_', '-')} {value}"
        minimum, above, maximum = limits.get("minimum"), limits.get("above"), limits.get("maximum", math.inf)
        if minimum is not None and not (minimum <= value < math.inf and value <= maximum):
            allowed = f"at least {minimum}" if maximum == math.inf else f"between {minimum} and {maximum}"
            raise ConfigError(f"{flag}: must be {allowed}.")
        if above is not None and not (above < value < math.inf and value <= maximum):
            upper = "" if maximum == math.inf else f" and at most {maximum}"
            raise ConfigError(f"{flag}: must be more than {above}{upper}.")


_RETRIED = (State.FAILED, State.INVALID, State.REFUSED, State.TRUNCATED)
_NAMES_OF_TYPES = {str: "text", int: "a whole number", float: "a number", bool: "True or False"}


def make_options(kind: type[T], values: Mapping[str, object]) -> T:
    """Make options from values as they are typed or written in Python, with paths and states as text.

    `kind` is a dataclass whose fields are declared like those of `Options`. Raises `ConfigError` for an option that
    does not exist or has the wrong type.
    """
    hints = get_type_hints(kind)
    for name in values:
        if name not in hints:
            similar = difflib.get_close_matches(name, hints)
            hint = f"; did you mean {' or '.join(similar)}?" if similar else "."
            raise ConfigError(f"there is no option {name}{hint}")
    return kind(**{name: _converted(name, value, hints[name]) for name, value in values.items()})


def _converted(name: str, value: object, hint: object) -> object:
    if hint == tuple[State, ...]:
        states = _listed(value)
        every = [each.lower() for each in states] == ["all"]
        return _RETRIED if every else tuple(_state(name, each) for each in states)
    if hint == tuple[Path, ...]:
        return tuple(Path(each) for each in ([value] if isinstance(value, str | Path) else _listed(value)))
    if name == "batch" and isinstance(value, bool):
        return ALWAYS if value else NEVER
    kinds = [each for each in (get_args(hint) or (hint,)) if isinstance(each, type)]
    if type(None) in kinds and value is None:
        return None
    if Relation in kinds:
        return _relation(name, str(value))
    if Path in kinds and isinstance(value, str | Path):
        return Path(value)
    if kinds == [str] and not isinstance(value, str):  # a path, or a list of languages
        if isinstance(value, Path) or (name == "judge" and type(value) in (int, float)):
            return str(value)
        if isinstance(value, list | tuple):
            return ",".join(map(str, value))
    fitting = (int, float) if float in kinds else tuple(kinds)
    if not isinstance(value, fitting) or (isinstance(value, bool) and bool not in kinds):
        needed = next((text for each, text in _NAMES_OF_TYPES.items() if each in kinds), "a path")
        raise ConfigError(f"{_flag(name)} {value!r}: must be {needed}.")
    return value


def _flag(name: str) -> str:
    return f"--{name.rstrip('_').replace('_', '-')}"


def _listed(value: object) -> list[str]:
    """Return the items of a list, or of a text with commas."""
    items = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
    return [text for each in items if (text := str(each).strip())]


def _state(name: str, text: str) -> State:
    if text.lower() not in _RETRIED:
        near = did_you_mean(text, _RETRIED)
        raise ConfigError(f"{_flag(name)} {text}: must be {alternatives((*_RETRIED, 'all'))}{near or '.'}")
    return State(text.lower())


def _relation(name: str, text: str) -> Relation:
    """Return a relation by its name, with spaces, dashes or underscores between the words."""
    words = " ".join(text.lower().replace("-", " ").replace("_", " ").split())
    if words not in list(Relation):
        known = alternatives(each.replace(" ", "-") for each in Relation)
        raise ConfigError(f"{_flag(name)} {text}: must be {known}.")
    return Relation(words)
