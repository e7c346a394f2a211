"""From the fields of `Options` to options on the command line, for every command that takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from syphus.config.options import ColdStartOptions, Options, make_options
from syphus.images.convert_options import ConvertOptions
from syphus.types import Relation, State

_METAVARS: dict[object, str] = {
    str: "TEXT", str | None: "TEXT", int: "N", int | None: "N", float: "X", float | None: "X", Path: "PATH",
    Path | None: "PATH", tuple[Path, ...]: "FOLDER", tuple[State, ...]: "STATES",
    Relation | None: "RELATION",
}  # fmt: skip


def with_options(command: Callable[..., None], without: Container[str] = ()) -> Callable[..., None]:
    """Gives a command, which takes `options`, the fields of `Options`, but for some, as options on the command line."""
    return with_fields(Options, without)(command)


def with_fields(
    kind: type[Options] | type[ColdStartOptions] | type[ConvertOptions],
    without: Container[str] = (),
    parameter: str = "options",
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The same for the fields of another dataclass, which are declared as those of `Options` are.

    The command gets an instance of `kind` as `parameter`.

    typer makes options from a function's parameters; this writes those parameters, so that each option is declared
    once, and has the same name, default and help in every command. A parameter of the command's own goes before the
    option of that name.
    """
    hints = get_type_hints(kind)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters
        mine = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, each in own.items() if name != parameter]
        taken = [each for each in fields(kind) if each.name not in own and each.name not in without]

        def run(**values: Any) -> None:  # what typer has read, and checked by the parameters below
            given = {each.name: values.pop(each.name) for each in taken}
            command(**values, **{parameter: make_options(kind, given)})

        shared = [_parameter(each, hints[each.name]) for each in taken]
        vars(run)["__signature__"] = inspect.Signature([*mine, *shared])
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return decorate


def _parameter(option: Field[object], hint: object) -> inspect.Parameter:
    flag = f"--{option.name.rstrip('_').replace('_', '-')}"  # `from_` is --from
    read_as: object = {tuple[Path, ...]: list[Path], tuple[State, ...]: str, Relation | None: str | None}.get(
        hint, hint
    )  # type: ignore[call-overload]  # a hint can be anything, and is only looked up
    default = [] if read_as == list[Path] else "" if hint == tuple[State, ...] else option.default
    metavar = option.metadata["metavar"] or ("PATH" if option.name.endswith("_path") else _METAVARS.get(hint))
    how = typer.Option(flag, *option.metadata["flags"], help=option.metadata["help"], metavar=metavar)
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[read_as, how]
    )
