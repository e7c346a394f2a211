"""What is wrong with a command line, in one line with the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from syphus.cli.streams import program
from syphus.text import nearest_name

#: Options that other programs have, and what to do here.
_HABITS = {
    "--api-base": "set OPENAI_BASE_URL, or write base_url into a --config file",
    "--api-key": "set OPENAI_API_KEY in the environment; a command line can be seen by others",
    "--base-url": "set OPENAI_BASE_URL, or write base_url into a --config file",
    "--batch-size": "use --num-threads N, the maximum of concurrent requests",
    "--budget": "use --max-cost DOLLARS or --max-requests N",
    "--concurrency": "use --num-threads N",
    "--continue": "it is not needed: the same command resumes",
    "--data": "name the annotations with -in FILE",
    "--dataset": "name the dataset with --name",
    "--dry-run": "use the command preview, which sends nothing; export writes what push would send",
    "--file": "name the annotations with -in FILE",
    "--force": "use --accept-changes to continue in spite of changes, or --dataset-version for a new run",
    "--input": "name the annotations with -in FILE",
    "--key": "set OPENAI_API_KEY in the environment; a command line can be seen by others",
    "--limit": "use --slice-end N for the first N rows, or --max-requests N",
    "--max-samples": "use --slice-end N",
    "--max-workers": "use --num-threads N",
    "--out": "use --output-dir FOLDER",
    "--overwrite": "use --dataset-version for a new run; finished answers are kept",
    "--parallel": "use --num-threads N",
    "--plugin": "name the dataset with --name, and its folder with --datasets-dir",
    "--prompt": "use --prompt-path FILE",
    "--resume": "it is not needed: the same command resumes",
    "--retries": "use --max-attempts N",
    "--rpm": "use --requests-per-minute N",
    "--shuffle": "use --random-sample",
    "--start": "use --slice-start N",
    "--threads": "use --num-threads N",
    "--tpm": "use --tokens-per-minute N",
    "--url": "set OPENAI_BASE_URL, or write base_url into a --config file",
    "--workers": "use --num-threads N",
}
#: What a value must be, by the kind of error that typer's reader of values gives.
_KINDS = {
    "bool_parsing": "true or false",
    "float_parsing": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
}


def usage_problem(error: typer.TyperException, arguments: Sequence[str]) -> str:
    """Return what is wrong with the command line, and what to type instead."""
    context: Any = getattr(error, "ctx", None)
    inner = context is not None and context.parent is not None
    where = f"{program()} {context.info_name}" if inner else program()
    option = getattr(error, "option_name", "") or ""
    if option and hasattr(error, "possibilities"):
        return f"There is no option {option}{_instead(option, context)} See {where} --help."
    if not inner and arguments and Path(arguments[0]).is_file():
        return f"{arguments[0]} is not a command; to begin with a file: {program()} new NAME -in {arguments[0]}"
    message = _bad_value(error) or error.format_message().rstrip(".")
    return f"{message}{'' if message.endswith('?') else '.'} See {where} --help."


def _instead(option: str, context: Any) -> str:
    known = [flag for parameter in context.command.params for flag in parameter.opts] if context is not None else []
    if habit := _HABITS.get(option):
        return f": {habit}."
    near = _nearest_option(option, known)
    if near:
        return f"; did you mean {near}?"
    commands = context.command.commands if isinstance(context.command, TyperGroup) else {}
    owner = next((n for n, c in commands.items() if any(option in p.opts for p in c.params)), "")
    if owner:
        return f" here; it belongs to {program()} {owner}."
    return "."


def _nearest_option(option: str, known: Iterable[str]) -> str:
    longer = sorted((flag for flag in known if flag.startswith(option) and len(option) > 3), key=len)
    return longer[0] if longer else nearest_name(option, [flag for flag in known if flag.startswith("--")])


def _bad_value(error: typer.TyperException) -> str:
    """Return what a value should be, such as `--temperature hot: must be a number`, or ""."""
    parameter, cause = getattr(error, "param", None), error.__cause__ or error.__context__
    if parameter is None or not isinstance(cause, ValidationError):
        return ""
    fault = cause.errors()[0]
    wanted = _KINDS.get(fault["type"]) or str(fault.get("ctx", {}).get("error", ""))
    flag, value = parameter.opts[0], f"{fault['input']!s:.60}"
    if fault["type"] in _KINDS:
        return f"{flag} {value}: must be {wanted}"
    return f"{flag}: {wanted.rstrip('.')}" if wanted else ""
