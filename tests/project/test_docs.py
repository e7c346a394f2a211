"""The documentation is true: the commands on its pages are run here, and print what the pages show.

A fenced block of a page is, by its language and by the line above it:

- `console`: commands after `$`, which bash runs one after the other, and their output. Costs, times, sizes, rates and
  shares may differ from those on the page; a line `...` stands for lines that the page leaves out. A comment, which
  GitHub hides, gives the exit codes of the commands, 0 where it gives none: `<!-- exit codes: 0 4 -->`.
- below a line `**path/of/the/file**`: a file, which is written before the next command runs; with `(at the end)`,
  the text is appended to it.
- any other: only shown; tests of their own check what can be checked.

Everything is run in a copy of the checkout, at a simulated endpoint that is called api.openai.com in the pages.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
import typer.main
from harness import HERE, server, write_rows
from typer.core import TyperGroup
from warm_python import server_address

import syphus
from syphus import errors
from syphus.cli.app import app
from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.options import Options
from syphus.config.settings import Config, EmbeddingsConfig, load_config
from syphus.config.values import BatchConfig
from syphus.main_job import run
from syphus.pipeline.observer import Observer
from syphus.plugins.contract import AbstractDataset
from syphus.plugins.discovery import list_plugins
from syphus.runs.reader import AnswerRecord, OutcomeRecord, PairRecord
from syphus.types import State

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
TYPED = [page for page in PAGES if "```console" in (ROOT / page).read_text("utf-8")]

_BLOCK = re.compile(
    r"(?:^\*\*(?P<file>\S+)\*\*(?P<append> \(at the end\))?\n\n)?"
    r"(?:^<!-- exit codes: (?P<exit_codes>[\d ]+) -->\n\n)?"
    r"^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_MEASURED = re.compile(
    r"\d+\.\d+k?"  # costs, scores, rates, and times and sizes that are no whole number
    r"|\d+(?=%|k? tokens|/s| s\b| min\b| [kM]B| requests, \$| retried| judged|    \$| pairs    \$)"
    r"|(?<=\()\d+ to \d+(?=\))|\d+(?= \(\d+ to \d+\))"  # an estimate and its bounds
    r"|\b[0-9a-f]{16}\b"  # a digest
)
_FENCED = re.compile(r"^ *(`{3,4})\w+\n.*?^ *\1$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z_-]+)")
_OF_SERVERS = {
    "context-length", "jinja", "max-model-len", "max-num-seqs", "max-running-requests", "model-path", "cache-reuse",
    "served-model-name", "tensor-parallel-size", "data-parallel-size",
}  # fmt: skip
_OF_OTHERS = {  # options of other programs, by the page that shows them
    "docs/local-servers.md": _OF_SERVERS,
    "docs/ray.md": {"address", "head", "port"},
    "docs/slurm.md": {"array", "nodes", "port", "ray", "requeue", "signal"},
}
_ELSEWHERE = {"help", "check", "fix", "resource"}  # options of other programs


class Block(NamedTuple):
    """A fenced block: its language, the file that it is or is appended to, the exit codes of its commands, its text."""

    language: str
    file: str
    append: bool
    exit_codes: tuple[int, ...]
    text: str


class Step(NamedTuple):
    """A command of a page, and the exit code and the output that the page gives."""

    command: str
    exit_code: int
    output: str


def blocks(page: str) -> list[Block]:
    return [
        Block(
            found["language"],
            found["file"] or "",
            bool(found["append"]),
            tuple(map(int, (found["exit_codes"] or "").split())),
            found["text"],
        )
        for found in _BLOCK.finditer((ROOT / page).read_text("utf-8"))
    ]


def steps(block: Block) -> Iterator[Step]:
    """The commands of a `console` block; a command ends where its line does not end in a backslash."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    assert len(block.exit_codes) <= len(parts), block.text
    for part, exit_code in zip_longest(parts, block.exit_codes, fillvalue=0):
        assert isinstance(part, str)
        lines = part.splitlines(keepends=True)
        last = next(number for number, line in enumerate(lines) if not line.endswith("\\\n"))
        yield Step("".join(lines[: last + 1]).strip(), int(exit_code), "".join(lines[last + 1 :]))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a user has after `git clone`, and a file of annotations."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "syphus").symlink_to(ROOT / "syphus")
    for name in ("datasets", "prompts", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "main.py").write_bytes((ROOT / "main.py").read_bytes())
    (folder / "train.json").write_bytes((ROOT / "examples" / "spot_the_difference.json").read_bytes())
    return folder


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody whose `python` is this one, and whose endpoint is the simulated one."""
    programs = tmp_path / "bin"
    programs.mkdir()
    real, warm = shlex.quote(sys.executable), f"{shlex.quote(str(HERE / 'warm_python.py'))} call {server_address()}"
    forks = "*.py-|-c-) exec"  # a script or a program, unless PYTHONPATH is set: a fork has a path already
    switch = f'case "$1-${{PYTHONPATH:-}}" in {forks} {real} -S -E {warm} "$@";; *) exec {real} "$@";; esac'
    (programs / "python").write_text(f"#!/bin/sh\n{switch}\n", "utf-8")
    (programs / "python").chmod(0o755)
    with server() as endpoint:
        yield {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "LANG": "C.UTF-8",
            "OPENAI_BASE_URL": endpoint.url,
            "SYPHUS_PLUGINS": "",
        }


def run_commands(page: str, folder: Path, environ: Mapping[str, str]) -> None:
    """Run the commands of a page in one shell, so that a `cd` or an `export` lasts, and compare their output."""
    host = environ["OPENAI_BASE_URL"].split("/")[2]
    typed: list[Step] = []
    script = ["exec 2>&1"]
    for block in blocks(page):
        if block.file:
            path = folder / block.file
            script.append(f"mkdir -p {shlex.quote(str(path.parent))}")
            script.append(
                f"cat {'>>' if block.append else '>'} {shlex.quote(str(path))} <<'END OF FILE'\n{block.text}END OF FILE"
            )
        elif block.language == "console":
            for step in steps(block):
                script.append(f"printf '\\n<<<%s>>>\\n' {len(typed)}; {step.command}\nprintf '\\n<<<exit %s>>>\\n' $?")
                typed.append(step)
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, env=dict(environ), capture_output=True, timeout=120, check=False
    )
    output = done.stdout.decode().replace(host, "api.openai.com").replace(str(folder), "/home/you/syphus")
    output = output.replace(sys.executable, "python")  # the script above
    ran = re.findall(r"\n<<<(\d+)>>>\n(.*?)\n<<<exit (\d+)>>>\n", output, re.DOTALL)
    assert len(ran) == len(typed), done.stderr.decode()
    for step, (_, printed, code) in zip(typed, ran, strict=True):
        assert matches(step.output, printed), f"$ {step.command}\n{printed}"
        assert int(code) == step.exit_code, f"$ {step.command}\n{printed}"


def matches(shown: str, printed: str) -> bool:
    """Whether a page shows what is printed; blank lines and the width of columns don't count."""
    lines = [normal(line) for line in shown.splitlines() if line.strip()]
    pattern = "".join(r"(?s:.*)" if line == "..." else re.escape(line) + "\n" for line in lines)
    text = "".join(f"{normal(line)}\n" for line in printed.splitlines() if line.strip())
    return re.fullmatch(pattern, text) is not None


def normal(line: str) -> str:
    """A line without what differs from run to run."""
    return re.sub(r" +", " ", _MEASURED.sub("0", line.rstrip()))


@pytest.mark.parametrize("page", TYPED)
def test_the_commands_of_a_page_print_what_it_shows(page: str, checkout: Path, environ: Mapping[str, str]) -> None:
    run_commands(page, checkout, environ)


# What can be counted is compared with the code.


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def table(page: str, heading: str) -> dict[str, list[str]]:
    """The first table below a line with `heading`: its rows by what stands in code in their first cell."""
    below = text(page).partition(heading)[2].partition("\n|")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in below.splitlines()[2:]]
    return {name: cells for cells in rows for name in re.findall(r"`([^`]+)`", cells[0]) or [cells[0]]}


def test_the_commands_page_is_what_the_command_line_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "make_commands.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_and_every_option_is_on_the_commands_page() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    commands = text("docs/commands.md")
    for command in group.commands:
        assert f"## `{command}`" in commands
    for option in Options.__dataclass_fields__:
        assert f"`--{option.replace('_', '-')}" in commands


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_every_option_on_a_page_exists(page: str) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    parameters = [p for each in (group, *group.commands.values()) for p in each.params]
    known = {flag.lstrip("-") for p in parameters for flag in (*p.opts, *p.secondary_opts)}
    mentioned = {name.replace("_", "-") for name in _OPTION.findall(text(page))}
    assert mentioned <= known | _ELSEWHERE | _OF_OTHERS.get(page, set())


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    for link in _LINK.findall(_FENCED.sub("", text(page))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings], link


def test_the_tree_for_contributors_is_the_tree() -> None:
    tree = next(block.text for block in blocks("CONTRIBUTING.md") if block.language == "text")
    listed = re.findall(r"^(\S+)", tree, re.MULTILINE)
    for name in listed:
        assert (ROOT / name).exists(), name
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folders = {f"{Path(name).parts[0]}/" for name in tracked if "/" in name and not name.startswith(".")}
    assert folders == {name for name in listed if name.endswith("/")}


def test_the_rooms_in_the_design_note_are_the_packages() -> None:
    tree = next(block.text for block in blocks("docs/design.md") if block.language == "text")
    rooms = re.findall(r"^(\S+)", tree, re.MULTILINE)
    for name in rooms:
        assert (ROOT / "syphus" / name).exists(), name
    packages = {path.parent.name for path in (ROOT / "syphus").glob("*/__init__.py")}
    assert packages == {name.rstrip("/") for name in rooms if name.endswith("/")}


def test_the_two_commands_do_what_the_readme_says() -> None:
    commands = next(block.text for block in blocks("README.md") if block.language == "sh")
    assert re.findall(r"^make (\w+)", commands, re.MULTILINE) == ["demo", "test"]
    demo, test = (
        subprocess.run(["make", "-n", "-C", str(ROOT), target], capture_output=True, text=True, check=True).stdout
        for target in ("demo", "test")
    )
    assert "main.py --name SpotTheDifference.change --example --offline" in demo
    assert all(program in test for program in ("ruff check", "ruff format --check", "mypy", "pytest"))


def test_the_examples_in_the_readme_are_true(tmp_path: Path) -> None:
    record, pair = (
        json.loads(block.text) for block in blocks("README.md") if block.language == "json" and not block.file
    )
    assert record in json.loads((ROOT / "examples" / "spot_the_difference.json").read_text("utf-8"))
    folder = offline_run(tmp_path)
    made = json.loads((folder / "RW_instructions.json").read_text("utf-8"))["data"]
    assert list(next(iter(pair.values()))) == list(next(iter(made.values())))


def test_the_picture_in_the_readme_is_what_a_run_prints(tmp_path: Path) -> None:
    def words(path: Path) -> list[str]:
        namespace = "{http://www.w3.org/2000/svg}"
        return ["".join(each.itertext()) for each in ElementTree.parse(path).getroot().iter(f"{namespace}text")]

    drawing = [sys.executable, str(ROOT / "docs" / "make_pictures.py"), str(tmp_path), "run.svg"]
    subprocess.run(drawing, check=True)
    drawn, photographed = map(Path, re.findall(r"!\[.*?\]\((\S+)\)", text("README.md")))
    assert words(ROOT / drawn) == words(tmp_path / drawn.name)
    assert (ROOT / photographed).read_bytes().startswith(b"\x89PNG")


def figures(page: str) -> list[str]:
    """The lines between the marks."""
    found = re.search(r"<!-- figures: begin -->\n(.*)<!-- figures: end -->", text(page), re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def test_the_figures_of_the_readme_are_on_the_page_of_figures() -> None:
    own = [line for line in figures("README.md") if line.startswith("| ")]
    assert len(own) > 1
    assert set(own) <= set(figures("docs/figures.md"))


def test_every_figure_is_between_the_marks_and_is_printed_by_a_script() -> None:
    assert "benchmarks/" in "\n".join(figures("docs/figures.md"))
    for page in ("README.md", "docs/figures.md"):
        below = text(page).partition("| what | reached |")[2].partition("\n\n")[0]
        rows = re.findall(r"^\| .*", below, re.MULTILINE)
        assert rows
        assert set(rows) <= set(figures(page)), page


def test_every_shipped_dataset_is_in_the_table_and_has_a_page_that_names_it_and_runs_its_example() -> None:
    listed = table("docs/datasets.md", "# The datasets of MIMIC-IT")
    for plugin in list_plugins(installed="none"):
        link = re.search(rf"\[`{plugin.name}`\]\((\S+)\)", listed[plugin.name][0])
        assert link is not None, plugin.name
        assert plugin.short_name in listed[plugin.name][1]
        page = text(f"docs/{link[1]}")
        assert page.startswith("# ")
        assert f"`{plugin.name}`" in page.splitlines()[0]
        assert f"--name {plugin.name} --example --offline" in page


def test_every_hook_and_attribute_of_a_plugin_is_in_the_tutorial() -> None:
    tutorial = text("docs/plugins.md")
    hooks = [name for name in vars(AbstractDataset) if not name.startswith("_") and name != "name"]
    for name in (*hooks, *AbstractDataset._defaulted, "_load_query_inputs", "_load_prefix"):
        assert f"`{name}" in tutorial, name


def test_what_may_be_imported_is_on_the_page_of_plugins_or_of_the_api() -> None:
    pages = "".join(text(page) for page in PAGES if page in ("docs/plugins.md", "docs/python-api.md"))
    assert [name for name in syphus.__all__ if name not in pages and name != "__version__"] == []


def test_what_scripts_may_import_is_on_its_page() -> None:
    for name in (name for name in syphus.__all__ if getattr(getattr(syphus, name), "__module__", "") == "syphus.api"):
        assert f"`{name}`" in text("docs/python-api.md") or f"syphus.{name}(" in text("docs/python-api.md"), name
    for record in (PairRecord, OutcomeRecord, AnswerRecord):
        assert all(f"`{field}`" in text("docs/python-api.md") for field in record._fields)


def test_the_entry_point_of_the_tutorial_is_found(checkout: Path, environ: dict[str, str], tmp_path: Path) -> None:
    block = next(block for block in blocks("docs/plugins.md") if block.language == "toml")
    project = tomllib.loads(block.text)["project"]
    lines = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in e.items()) for group, e in project["entry-points"].items()
    ]
    site = tmp_path / "site"
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8"
    )
    (info / "entry_points.txt").write_text("".join(lines), "utf-8")
    (site / "my_birds").mkdir()
    (site / "my_birds" / "__init__.py").write_text("", "utf-8")
    owls = next(block for block in blocks("docs/plugins.md") if block.file.endswith("owls.py"))
    (site / "my_birds" / "swans.py").write_text(owls.text.replace("Owls", "Swans"), "utf-8")

    def listed(switch: str) -> str:
        return subprocess.run(
            ["python", "main.py", "datasets"],
            cwd=checkout,
            env={**environ, "PYTHONPATH": str(site), "SYPHUS_PLUGINS": switch},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert "Swans.swans" in listed("birds")
    assert "Swans.swans" not in listed("none")


def test_every_variable_that_is_read_is_on_the_configuration_page_and_no_other() -> None:
    sources = [path.read_text("utf-8") for path in (ROOT / "syphus").rglob("*.py") if "simulator" not in path.parts]
    read = set(re.findall(r"\"((?:OPENAI|AZURE|SYPHUS|SSL|REQUESTS|CURL)_[A-Z_]+)\"", "".join(sources)))
    listed = set(table("docs/configuration.md", "## The environment"))
    proxies = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}  # the standard library reads these
    assert listed == read | proxies


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("With several endpoints", Config),
        ("An endpoint has:", EndpointConfig),
        ("`embeddings` has,", EmbeddingsConfig),
        ("## Batches", BatchConfig),
    ],
)
def test_every_setting_is_on_the_configuration_page_with_its_default(
    heading: str, model: type[Config] | type[EndpointConfig] | type[EmbeddingsConfig] | type[BatchConfig]
) -> None:
    listed = table("docs/configuration.md", heading)
    assert list(listed) == list(model.model_fields)
    for name, field in model.model_fields.items():
        default: object = "" if field.is_required() else field.get_default(call_default_factory=True)
        shown = json.dumps(default) if default is None or isinstance(default, bool) else str(default)
        assert listed[name][1].strip("`") == shown, name


def test_the_config_of_the_page_can_be_read(tmp_path: Path) -> None:
    block = next(block for block in blocks("docs/configuration.md") if block.language == "yaml")
    path = tmp_path / block.file
    path.write_text(block.text, "utf-8")
    config = load_config(path, {}, {"OPENAI_API_KEY": "sk-0123456789"})
    assert [endpoint.kind for endpoint in config.endpoints] == ["openai", "azure"]


def offline_run(folder: Path) -> Path:
    """The folder of a finished run."""
    options = Options(
        name="Rows.rows",
        query_inputs_path=str(write_rows(folder / "rows.jsonl", 4)),
        datasets_dir=(ROOT / "tests" / "support" / "plugins",),
        output_dir=folder / "output",
        offline=True,
    )
    run(options, {}, Observer())
    return options.folder


def test_the_files_of_a_run_are_those_on_the_files_page(tmp_path: Path) -> None:
    listed = {
        name.replace("XX", "RW") for name in table("docs/files.md", "# The files of a run") if name != "short_name"
    }
    others = {
        "invalid.json",
        "prompt.yaml",
        "cold_start.html",
        "cold_start.json",
        "compare.html",
        "task_description.json",
        "reviews.jsonl",
        "snapshot.json",
    }
    assert {
        path.name for path in offline_run(tmp_path).iterdir()
    } == listed - others  # nothing rejected, sought, described, reviewed, kept elsewhere


def test_the_states_and_the_exit_codes_are_those_on_the_files_page() -> None:
    assert list(table("docs/files.md", "## States")) == list(State)
    classes = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.SyphusError)
    ]
    assert [int(code) for code in table("docs/files.md", "## Exit codes")] == sorted(
        {0, *(e.exit_code for e in classes)}
    )


def test_the_tables_and_the_questions_on_the_files_page_fit_the_ledger(tmp_path: Path) -> None:
    with sqlite3.connect(f"file:{offline_run(tmp_path)}/run.sqlite?mode=ro", uri=True) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        listed = {name: re.findall(r"`(\w+)`", row[1]) for name, row in table("docs/files.md", "## The ledger").items()}
        assert listed == {name: [column[1] for column in db.execute(f"PRAGMA table_info({name})")] for name in listed}
        assert sorted(listed) == sorted(tables)
        answers = [db.execute(block.text).fetchall() for block in blocks("docs/files.md") if block.language == "sql"]
    db.close()
    states, raw, sources, prompts = answers
    assert states == [("ok", "", 4)]
    assert raw == []
    assert [row[1] for row in sources] == ["simulated-chat"] * 4
    assert prompts[0][0].startswith("Write pairs of Question and Answer")


def test_the_examples_on_the_files_page_have_the_true_shape(tmp_path: Path) -> None:
    folder = offline_run(tmp_path)
    instructions, line = (json.loads(block.text) for block in blocks("docs/files.md") if block.language == "json")
    made = json.loads((folder / "RW_instructions.json").read_text("utf-8"))
    assert list(instructions["meta"]) == list(made["meta"])
    assert list(next(iter(instructions["data"].values()))) == list(next(iter(made["data"].values())))
    first = (folder / "pairs.jsonl").read_text("utf-8").splitlines()[0]
    assert [*line, "simulated"] == list(json.loads(first))


def test_the_changelog_has_what_is_unreleased_and_then_the_version() -> None:
    headings = re.findall(r"^## (.+)$", text("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1].split()[0] == syphus.__version__
