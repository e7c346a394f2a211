"""What the main job can be told: one field for each option of the command, with its help.

`command_line.py` makes the command line from these fields, so each option is declared once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from syphus.errors import ConfigError
from syphus.types import Relation, State

T = TypeVar("T")

COLD_STARTS = AUTO, ALWAYS, NEVER = ("auto", "always", "never")
STRATEGY_NAMES = ("diverse", "best", "random")  #: ways to choose in-context examples


def _option(
    default: T,
    explained: str,
    *flags: str,
    least: float | None = None,
    above: float | None = None,
    most: float = math.inf,
    metavar: str = "",
) -> T:
    """Return a field with its option's help, further flags and range; `metavar` names its value in the help."""
    metadata = {"help": explained, "flags": flags, "least": least, "above": above, "most": most, "metavar": metavar}
    value: T = field(default=default, metadata=metadata)
    return value


option = _option  #: for the options of other commands


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the main job. Raises `ConfigError` for a number that makes no sense."""

    name: str = _option("", "The dataset: YourDataset.your_dataset, or your_dataset.YourDataset.")
    num_threads: int = _option(8, "Calls in flight at the most; 0 means one.", least=0)

    query_inputs_path: str = _option("", "The annotations.", "-in")
    example: bool = _option(False, "Take the made-up annotations that come with the dataset.")
    slice_start: int = _option(0, "The first row to take, from 0; the slices of a run add up.", least=0)
    slice_end: int = _option(-1, "The row to stop before; -1 takes all.", least=-1)
    random_sample: bool = _option(False, "Slice the rows in a random order instead of the input's.")
    seed: int = _option(0, "For the random order, the waits between attempts, and the simulated endpoint.")
    allow_bad_rows: bool = _option(False, "Count rows that can't be read as failed, instead of stopping at the first.")
    check_input: bool = _option(False, "Read the input again, though it looks unchanged.")
    prompt_path: str = _option("", "A prompt file, instead of the dataset's own.")
    datasets_dir: tuple[Path, ...] = _option((), "Another folder with plugins; may be given several times.")

    cold_start: str = _option(
        "auto", "Look for in-context examples first: auto (where the prompt has none), always or never."
    )

    output_dir: Path = _option(Path("output"), "Where runs are kept.")
    dataset_version: str = _option("v1", "The name of this run: its folder is OUTPUT_DIR/NAME/DATASET_VERSION.")
    accept_changes: bool = _option(False, "Go on although settings, or rows that are done, have changed.")
    retry: tuple[State, ...] = _option((), "Ask these again: failed,invalid,refused,truncated.")

    offline: bool = _option(False, "Answers from the simulated endpoint: made up, and free.")
    config: Path | None = _option(None, "A YAML file with endpoint, sampling, limits and prices.")
    model: str | None = _option(None, "The model, or the deployment on Azure.")
    temperature: float | None = _option(None, "Sampling temperature; 0.7 if nothing says otherwise.")
    top_p: float | None = _option(None, "Nucleus sampling; 0.95 if nothing says otherwise.")
    max_tokens: int | None = _option(None, "Tokens that an answer may have; 3200 if nothing says otherwise.")
    with_images: bool = _option(False, "Show the model the images that the rows name, besides their annotations.")
    images: Path | None = _option(None, "Where the images are: an image store, or a folder of image files.")
    image_size: int | None = _option(None, "Pixels of an image's longest side; 0 sends it as it is.", least=0)
    image_detail: str | None = _option(None, "low, high or auto, for models that know it.")
    max_images: int | None = _option(None, "Of a row with more images, so many evenly spaced ones go out.", least=1)
    no_sharing: bool = _option(False, "An answer of its own for each of several queries that ask the very same.")

    languages: str = _option("", "Translate the pairs into these: zh,ja,es,de,fr,ko,ar, or all.")
    glossary: Path | None = _option(None, "A YAML file with terms, and how translations write them.")
    tone: str = _option("", "How translations address the reader: formal, informal, or by language: zh=formal,...")
    per_language: bool = _option(False, "Ask for each language of a pair by itself.")
    judge_translations: float = _option(
        0.0, "The share of the translations that a model judges as well, such as 0.02; 1 is all.", least=0, most=1
    )
    partial: bool = _option(False, "Keep translated rounds whose earlier rounds could not be translated.")

    requests_per_minute: float | None = _option(None, "The limit, where the server does not state it.", above=0)
    tokens_per_minute: float | None = _option(None, "The limit, where the server does not state it.", above=0)
    relate: Relation | None = _option(
        None, "The context of pairs: siblings, earlier-rounds, none, nearest-by-text or nearest-by-image."
    )
    embedding_model: str | None = _option(None, "The model that nearest-by-text asks; its deployment on Azure.")
    image_embeddings: Path | None = _option(None, "Vectors of images for nearest-by-image: .parquet, .npz or .npy.")
    train: Path | None = _option(None, "Your own train file: JSON with ids, or with ids and their context.")

    max_cost: float | None = _option(None, "Dollars that the run may cost, over all sessions.", least=0)
    max_requests: int | None = _option(None, "Requests that the run may make, over all sessions.", least=0)
    max_rounds: int | None = _option(
        None, "Further answers where one is no good; 1 if nothing says otherwise, for translations 6.", least=0
    )
    max_attempts: int | None = _option(None, "Attempts of a query that runs into errors; 6 if nothing says otherwise.")
    timeout: float | None = _option(None, "Seconds for one attempt in all; 180 if nothing says otherwise.")
    drain: float = _option(30.0, "Seconds for the calls in flight after Ctrl-C.", least=0)
    json: bool = _option(False, "Print the report on stdout as JSON; of preview, the messages.")

    def __post_init__(self) -> None:
        if self.cold_start not in COLD_STARTS:
            raise ConfigError(f"--cold-start {self.cold_start}: there is {', '.join(COLD_STARTS)}.")
        _check_ranges(self)

    @property
    def folder(self) -> Path:
        """Where the run is kept, once `name` is in the order Class.module."""
        return self.output_dir / self.name / self.dataset_version


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartOptions:
    """The options of `cold-start` besides those of the main job. Raises `ConfigError` for a number out of range."""

    rounds: int = _option(3, "Maximum number of rounds.", least=1)
    examples: int = _option(3, "In-context examples to find.", least=1)
    sample: int = _option(24, "Queries to ask in each round, to choose examples from.", least=1)
    answers: int = _option(1, "Answers to each of these queries.", least=1)
    held_out: int = _option(40, "Other queries to ask, to prove the set.", least=6)
    tokens: int = _option(2_000, "Maximum tokens of all examples together.", least=1)
    strategy: str = _option("diverse", "How to choose examples: diverse, best or random.", metavar="NAME")
    judge: bool = _option(False, "Have the model judge the answers, too.")
    pinned: str = _option("", "A prompt file whose examples are in every set.", metavar="FILE")
    review: bool = _option(False, "Accept, reject or edit the examples before the proof.")
    write_prompt: bool = _option(False, "Write the prompt to the dataset's own prompt file; keep the old one as .old.")

    def __post_init__(self) -> None:
        _check_ranges(self)
        if self.strategy not in STRATEGY_NAMES:
            raise ConfigError(f"--strategy {self.strategy}: there is {', '.join(STRATEGY_NAMES)}.")


def _check_ranges(options: Options | ColdStartOptions) -> None:
    for option in fields(options):
        least, above = option.metadata.get("least"), option.metadata.get("above")
        most = option.metadata.get("most", math.inf)
        value = getattr(options, option.name)
        flag = f"--{option.name.replace('_', '-')} {value}"
        if value is not None and least is not None and not (least <= value < math.inf and value <= most):
            upto = "on" if most == math.inf else f"to {most}"
            raise ConfigError(f"{flag}: a number from {least} {upto} is needed.")
        if value is not None and above is not None and not above < value < math.inf:
            raise ConfigError(f"{flag}: a number above {above} is needed.")
