"""From the fields of `Options` to options on the command line, for every command that takes them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from syphus.config.options import ALWAYS, COLD_STARTS, ColdStartOptions, Options, QuoteOptions, make_options
from syphus.declarations import Relation
from syphus.errors import SyphusError, machine_faults
from syphus.formats import FORMAT_NAMES
from syphus.images.convert_options import ConvertOptions
from syphus.types import State

# Options that several commands have, or long ones
CorpusPaths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Folders with MIMIC-IT files, instruction files, or data yamls.")
]
PluginFolders = Annotated[
    list[Path] | None,
    typer.Option("--datasets-dir", metavar="FOLDER", help="Search this folder for plugins, too; can be repeated."),
]
RunFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The run's folder: OUTPUT_DIR/NAME/DATASET_VERSION.")]
ExportFormats = Annotated[
    str, typer.Option("--format", metavar="NAME,...", help=f"One or several: {', '.join(FORMAT_NAMES)}.")
]

_METAVARS: dict[object, str] = {
    str: "TEXT", str | None: "TEXT", int: "N", int | None: "N", float: "X", float | None: "X", Path: "PATH",
    Path | None: "PATH", tuple[Path, ...]: "FOLDER", tuple[State, ...]: "STATES",
    Relation | None: "RELATION",
}  # fmt: skip


_ALL = (
    "Input", "Endpoint", "Sampling", "Limits and budget", "Images", "Judging", "Translation", "Relations",
    "Output and progress",
)  # fmt: skip
INPUT, ENDPOINT, SAMPLING, LIMITS, IMAGES, JUDGING, TRANSLATION, RELATIONS, OUTPUT = _ALL

#: The options about what the pairs are worth.
JUDGE_OPTIONS = frozenset(
    {
        "judge",
        "judge_model",
        "judge_config",
        "judge_margin",
        "calibrate_judge",
        "min_quality",
        "no_breaker",
        "breaker_rise",
        "until_accepted",
        "balance",
    }
)
#: The group of each option in `--help`.
GROUPS: dict[type, dict[str, str]] = {
    Options: {
        INPUT: "name query_inputs_path example slice_start slice_end random_sample allow_bad_rows check_input "
        "prompt_path datasets_dir cold_start accept_examples",
        ENDPOINT: "offline config model batch deadline wait batch_file batch_results ray ray_local timeout "
        "no_hedging max_attempts",
        SAMPLING: "temperature top_p max_tokens reasoning_effort verbosity structured seed max_rounds pack no_sharing "
        "retry retry_reason",
        LIMITS: "num_threads requests_per_minute tokens_per_minute max_cost ask_above yes max_requests drain "
        "share shared_max_cost shared_max_requests",
        IMAGES: "with_images images image_size image_detail max_images",
        JUDGING: "judge judge_model judge_config judge_margin calibrate_judge min_quality no_breaker breaker_rise "
        "until_accepted balance",
        TRANSLATION: "languages glossary tone per_language judge_translations partial",
        RELATIONS: "relate embedding_model image_embeddings train",
        OUTPUT: "output_dir dataset_version accept_changes snapshot snapshot_every notify metrics json",
    },
    ConvertOptions: {
        INPUT: "name image_path image_root query_inputs_path allow_bad_rows from_ download requests_per_second "
        "datasets_dir",
        IMAGES: "size keep_aspect original image_format quality lenient max_pixels",
        LIMITS: "num_threads ray timeout max_bad",
        OUTPUT: "output layout part_mb restart json",
    },
    ColdStartOptions: {"Search": "rounds examples sample answers held_out tokens strategy judge judge_held_out pinned "
                       "review write_prompt"},
    QuoteOptions: {"Quote": "pilot models"},
}  # fmt: skip


def group_of(kind: type, name: str) -> str:
    """Return the group of a field in `--help`."""
    return next(group for group, names in GROUPS[kind].items() if name in names.split())


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show only results and errors.", rich_help_panel=OUTPUT)]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Also show the outcome of each request.", rich_help_panel=OUTPUT)
]
LogFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Append all messages, with times, to this file.", rich_help_panel=OUTPUT),
]
_DISPLAY = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (("quiet", False, Quiet), ("verbose", False, Verbose), ("log_file", None, LogFile))
)


def arguments(options: Options | QuoteOptions | ConvertOptions, without: Container[str] = ()) -> Any:
    """Return options as arguments of a function of the Python API, by name. Any: each as it is there."""
    values = {each.name: getattr(options, each.name) for each in fields(options)}
    return {name: value for name, value in values.items() if name not in ("name", "json") and name not in without}


def with_batch_value(words: Sequence[str]) -> list[str]:
    """Return a command line in which `--batch` has a value: alone it means always, which the parser can't express."""
    following = {*COLD_STARTS}
    return [
        f"--batch={ALWAYS}" if word == "--batch" and after not in following else word
        for word, after in zip(words, [*words[1:], ""], strict=False)
    ]


def with_observer(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, which takes an `observer`, the options --quiet, --verbose and --log-file.

    The observer shows what the command says, and is closed when it ends. What stops the command goes to the log file.
    """
    own = [each for name, each in _parameters(command).items() if name != "observer"]

    def run(quiet: bool, verbose: bool, log_file: Path | None, **values: Any) -> None:  # Any: as typer has read them
        from syphus.progress import open_observer  # it loads what `--help` does without

        with open_observer(quiet, verbose, log_file) as observer:
            try:
                with machine_faults():
                    command(**values, observer=observer)
            except SyphusError as error:
                observer.record([str(error)])
                raise

    vars(run)["__signature__"] = inspect.Signature([*own, *_DISPLAY])
    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
    return run


def with_made(make: Callable[..., object], parameter: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, instead of the named parameter, the options that `make` declares; it gets what `make` returns."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own, made = _parameters(command), _parameters(make)

        def run(**values: Any) -> None:  # Any: as typer has read them
            given = {name: values.pop(name) for name in made}
            command(**values, **{parameter: make(**given)})

        at = list(own).index(parameter)
        declared = list(own.values())
        vars(run)["__signature__"] = inspect.Signature([*declared[:at], *made.values(), *declared[at + 1 :]])
        run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
        return run

    return decorate


def with_options(command: Callable[..., None], without: Container[str] = ()) -> Callable[..., None]:
    """Turn the fields of `Options`, except those in `without`, into command-line options of a command."""
    return with_fields(Options, without)(command)


def with_fields(
    kind: type[Options] | type[ColdStartOptions] | type[QuoteOptions] | type[ConvertOptions],
    without: Container[str] = (),
    parameter: str = "options",
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn the fields of a dataclass, except those in `without`, into command-line options of a command.

    The command receives an instance of `kind` as `parameter`. typer makes options from a function's parameters; this
    writes those parameters. So each option is declared once, and has the same name, default and help in every command.
    A parameter that the command declares itself replaces the option of the same name.
    """
    hints = get_type_hints(kind)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = _parameters(command)
        mine = [each for name, each in own.items() if name != parameter]
        taken = [each for each in fields(kind) if each.name not in own and each.name not in without]

        def run(**values: Any) -> None:  # what typer has read, and checked by the parameters below
            given = {each.name: values.pop(each.name) for each in taken}
            command(**values, **{parameter: make_options(kind, given)})

        shared = [_parameter(each, hints[each.name], group_of(kind, each.name)) for each in taken]
        vars(run)["__signature__"] = inspect.Signature([*mine, *shared])
        run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
        return run

    return decorate


def _parameters(command: Callable[..., object]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a command, for keywords only; the type of its observer is not loaded yet."""
    names = {**vars(sys.modules[command.__module__]), "PlainObserver": object}
    signature = inspect.signature(command, globals=names, eval_str=True)
    return {name: each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, each in signature.parameters.items()}


def _parameter(option: Field[object], hint: object, group: str) -> inspect.Parameter:
    flag = f"--{option.name.rstrip('_').replace('_', '-')}"  # `from_` is --from
    if hint is bool and option.default is True:
        flag = f"{flag}/--no-{flag[2:]}"
    read_as: object = {tuple[Path, ...]: list[Path], tuple[State, ...]: str, Relation | None: str | None}.get(
        hint, hint
    )  # type: ignore[call-overload]  # a hint can be anything, and is only looked up
    default = [] if read_as == list[Path] else "" if hint == tuple[State, ...] else option.default
    metavar = option.metadata["metavar"] or ("PATH" if option.name.endswith("_path") else _METAVARS.get(hint))
    how = typer.Option(
        flag,
        *option.metadata["flags"],
        help=option.metadata["help"],
        metavar=metavar,
        rich_help_panel=group,
        show_default=default != Path(),  # an empty path stands for none
    )
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[read_as, how]
    )
