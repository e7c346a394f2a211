"""The commands that try prompts: cold-start, compare and describe. Thin, as those in cli.py."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from syphus.options import Options
from syphus.terminal.command_line import with_options
from syphus.terminal.streams import command_given, print_as_json, print_lines
from syphus.text import MADE_UP


@with_options
def cold_start(
    options: Options,
    rounds: Annotated[int, typer.Option(metavar="N", help="Rounds at the most.")] = 3,
    examples: Annotated[int, typer.Option(metavar="N", help="In-context examples to look for.")] = 3,
    sample: Annotated[
        int, typer.Option(metavar="N", help="Queries that are asked in each round, to choose from.")
    ] = 24,
    answers: Annotated[int, typer.Option(metavar="N", help="Answers to each of them.")] = 1,
    held_out: Annotated[int, typer.Option(metavar="N", help="Other queries, which prove the set.")] = 40,
    tokens: Annotated[int, typer.Option(metavar="N", help="Tokens that the examples may have together.")] = 2000,
    strategy: Annotated[str, typer.Option(metavar="NAME", help="How to choose: diverse, best or random.")] = "diverse",
    judge: Annotated[bool, typer.Option("--judge", help="Have the model judge the answers, too.")] = False,
    pinned: Annotated[str, typer.Option(metavar="FILE", help="A prompt file whose examples are in every set.")] = "",
    review: Annotated[
        bool, typer.Option("--review", help="Accept, reject or edit the examples before the proof.")
    ] = False,
    write_prompt: Annotated[
        bool, typer.Option("--write-prompt", help="Put the prompt where the dataset's own is; that is kept as .old.")
    ] = False,
) -> None:
    """Looks for in-context examples for a prompt, and proves that they help; exit 1 where they do not."""
    from syphus.runs.cold_start.as_json import as_json
    from syphus.runs.cold_start.command import cold_start as search
    from syphus.runs.cold_start.plan import Plan
    from syphus.terminal.progress import make_observer
    from syphus.terminal.review import TerminalReviewer
    from syphus.terminal.trials import searched

    plan = Plan(
        rounds=rounds,
        sample=sample,
        answers=answers,
        held_out=held_out,
        examples=examples,
        tokens=tokens,
        strategy=strategy,
        judge=judge,
        seed=options.seed,
    )
    observer, reviewer = make_observer(), TerminalReviewer() if review else None
    ended = search(options, plan, os.environ, observer, pinned=pinned, reviewer=reviewer, write=write_prompt)
    for line in searched(ended, command_given()):
        observer.say(line)
    if options.json:
        print_as_json(as_json(ended.found, ended.report))
    raise typer.Exit(ended.exit_code)


@with_options
def compare(
    options: Options,
    prompt: Annotated[list[str], typer.Option(metavar="FILE", help="A prompt file; given several times.")],
    model: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="A model; may be given several times.")
    ] = None,
    sample: Annotated[int, typer.Option(metavar="N", help="Queries that each is asked.")] = 40,
) -> None:
    """Asks the same queries with several prompts or models: which answers are better, and what do they cost?"""
    from syphus.runs.compare import as_json
    from syphus.runs.compare import compare as measure
    from syphus.terminal.progress import make_observer
    from syphus.terminal.telling import going_on
    from syphus.terminal.trials import compared

    observer = make_observer()
    done = measure(options, prompt, model or [], sample, os.environ, observer)
    if options.json:
        print_as_json(as_json(done))
    elif done.variants:
        print_lines(*compared(done))
    if done.simulated:
        observer.say(MADE_UP)
    if done.stopped_by is not None:
        observer.say(str(done.stopped_by))
        observer.say(going_on(done.stopped_by, command_given()))
        raise typer.Exit(done.stopped_by.exit_code)


@with_options
def describe(
    options: Options,
    sample: Annotated[int, typer.Option(metavar="N", help="Pairs that the model is shown, at the most.")] = 30,
    into: Annotated[
        str, typer.Option("--into", metavar="DATA.yaml", help="A data yaml; this run's dataset gets the descriptions.")
    ] = "",
) -> None:
    """Has the model describe the task of a finished run's pairs, in short and at length."""
    from syphus.runs.describe import describe as ask
    from syphus.terminal.progress import make_observer

    observer = make_observer()
    done = ask(options, sample, into, os.environ, observer)
    if options.json:
        print_as_json({"short": done.short, "long": done.long, "simulated": done.simulated})
    else:
        print_lines(f"Short: {done.short}", f"Long: {done.long}")
    if done.simulated:
        observer.say(MADE_UP)
    observer.say(f"Files: {', '.join(done.files)}")
