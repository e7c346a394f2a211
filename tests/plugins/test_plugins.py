from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from syphus.errors import PluginError, PromptError
from syphus.plugins.contract import load_prompt_template, queries
from syphus.plugins.discovery import PluginInfo, find_plugin, list_plugins, shipped_folder

TOY = '''
from syphus.plugins.contract import AbstractDataset

class {name}(AbstractDataset):
    """A toy."""

    def _load_query_inputs(self, path):
        return [{{"id": 1, "sentences": "from {name}"}}]
'''
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current folder, and no plugins from installed packages."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("SYPHUS_PLUGINS", "none")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "home" / "datasets").mkdir(parents=True)
    return tmp_path / "home" / "datasets"


def add(folder: Path, module: str, source: str = "", name: str = "Toy") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}.py"
    path.write_text(source or TOY.format(name=name), encoding="utf-8")
    return path


def text(name: str, folder: Path) -> str:
    (query,) = queries(find_plugin(name, [folder]).create())
    return query.text


def refused(name: str, *folders: Path) -> str:
    with pytest.raises(PluginError) as caught:
        find_plugin(name, folders)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def others(infos: list[PluginInfo]) -> list[PluginInfo]:
    """Without the shipped ones."""
    return [info for info in infos if not Path(info.path).is_relative_to(shipped_folder("datasets"))]


@pytest.mark.parametrize("name", ["Toy.mine", "mine.Toy"])
def test_both_orders_of_the_name_find_the_class(folder: Path, name: str) -> None:
    path = add(folder, "mine")
    plugin = find_plugin(name, [folder])
    assert (plugin.name, plugin.path, plugin.cls.__name__) == ("Toy.mine", path, "Toy")
    assert text(name, folder) == "from Toy"


@pytest.mark.parametrize("module", ["3d", "my-data", "datasets", "json", "class"])
def test_a_module_may_have_any_file_name(folder: Path, module: str) -> None:
    add(folder, module)
    assert text(f"Toy.{module}", folder) == "from Toy"
    assert find_plugin(f"Toy.{module}", [folder]).cls.prompt == module


def test_the_shipped_plugins_and_those_in_the_current_folder_are_found(tmp_path: Path) -> None:
    add(tmp_path / "cwd" / "datasets", "mine")
    assert find_plugin("SpotTheDifference.change").path == shipped_folder("datasets") / "change.py"
    assert find_plugin("Toy.mine").path == tmp_path / "cwd" / "datasets" / "mine.py"
    assert [info.path for info in others(list_plugins())] == ["datasets/mine.py"]


def test_two_files_may_have_the_same_name_in_different_folders(folder: Path, tmp_path: Path) -> None:
    add(folder, "mine", name="One")
    add(tmp_path / "more", "mine", name="Two")
    found = [find_plugin(f"{name}.mine", [folder, tmp_path / "more"]) for name in ("One", "Two")]
    assert [plugin.cls.__name__ for plugin in found] == ["One", "Two"]


def test_the_same_name_in_two_files_is_an_error_that_names_both(folder: Path, tmp_path: Path) -> None:
    one, two = add(folder, "mine"), add(tmp_path / "more", "mine")
    told = refused("Toy.mine", folder, tmp_path / "more")
    assert told == f'"Toy.mine" is found more than once: Toy.mine in {one} and Toy.mine in {two}. Rename one of them'
    infos = others(list_plugins([folder, tmp_path / "more"]))
    assert [info.error for info in infos] == [f"also in {two}; rename one", f"also in {one}; rename one"]


def test_a_plugin_of_the_users_hides_the_shipped_one_of_its_name(folder: Path) -> None:
    own = add(folder, "change", name="SpotTheDifference")
    assert find_plugin("SpotTheDifference.change", [folder]).path == own
    listed = [(info.path, info.error) for info in list_plugins([folder]) if info.name == "SpotTheDifference.change"]
    assert listed == [(str(own), "")]


@pytest.mark.usefixtures("package")
def test_a_plugin_of_an_installed_package_hides_the_shipped_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SYPHUS_PLUGINS")
    add(tmp_path / "site" / "toypack", "change", name="SpotTheDifference")
    points = tmp_path / "site" / "toypack-1.0.dist-info" / "entry_points.txt"
    points.write_text("[syphus.datasets]\nown = toypack.change:SpotTheDifference\n", "utf-8")
    assert find_plugin("SpotTheDifference.change").cls.__module__ == "toypack.change"
    (info,) = (info for info in list_plugins() if info.name == "SpotTheDifference.change")
    assert (info.path, info.error) == ("toypack.change:SpotTheDifference", "")


def test_an_import_that_never_ends_is_that_files_error(folder: Path) -> None:
    add(folder, "endless", TOY.format(name="Endless") + "\nwhile True: pass\n")
    add(folder, "good")
    endless, good = others(list_plugins([folder], seconds=0.3))
    assert endless.error == "endless.py:10 PluginTimeoutError: it took too long and was interrupted"
    assert (endless.name, good.name, good.error) == ("Endless.endless", "Toy.good", "")


def test_the_same_folder_given_twice_is_no_clash(folder: Path) -> None:
    add(folder, "mine")
    (folder.parent / "link").symlink_to(folder)
    assert find_plugin("Toy.mine", [folder, folder / ".", folder.parent / "link"]).name == "Toy.mine"


def test_a_name_that_can_be_read_in_two_ways_is_an_error(folder: Path) -> None:
    one, two = add(folder, "a", name="b"), add(folder, "b", name="a")
    told = refused("a.b", folder)
    assert f"a.b in {two}" in told
    assert f"b.a in {one}" in told


def test_a_file_is_run_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(folder, "mine", TOY.format(name="Toy") + "\nprint('running')\n")
    one, two = find_plugin("Toy.mine", [folder]), find_plugin("mine.Toy", [folder / ".." / "datasets"])
    list_plugins([folder])
    assert one.cls is two.cls
    assert capsys.readouterr() == ("", "running\n")


def test_no_bytecode_is_left_in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    add(folder, "mine")
    find_plugin("Toy.mine", [folder])
    assert [path.name for path in folder.iterdir()] == ["mine.py"]


def test_a_file_that_failed_is_run_again_when_it_is_mended(folder: Path) -> None:
    path = add(folder, "mine", "import AbstractDataset\n")
    assert "mine.py:1 ModuleNotFoundError" in refused("Toy.mine", folder)
    add(folder, "mine")
    assert find_plugin("Toy.mine", [folder]).path == path


@pytest.mark.parametrize("name", ["Toy.mien", "toy.mine", "mine.toy", "Tpy.mine", "Toymine"])
def test_a_near_miss_is_answered_with_the_name(folder: Path, name: str) -> None:
    add(folder, "mine")
    searched = f"(looked in {folder}, {shipped_folder('datasets')}; --datasets-dir adds folders)"
    assert refused(name, folder) == f'there is no dataset "{name}"; did you mean Toy.mine? {searched}'


@pytest.mark.parametrize("name", ["Toy", "toy", "mine", "MINE", "mine.py"])
def test_a_class_or_a_module_is_enough_if_it_is_the_only_one(folder: Path, name: str) -> None:
    add(folder, "mine")
    assert find_plugin(name, [folder]).name == "Toy.mine"
    add(folder, "other")  # has the same class
    if "mine" in name.lower():
        assert find_plugin(name, [folder]).name == "Toy.mine"
    else:
        assert "did you mean Toy." in refused(name, folder)


@pytest.mark.parametrize("name", ["Qqqq.zzzz", ".", "a.b.c", "../../etc.passwd", "a/b.C", "\0.a"])
def test_an_unknown_name_is_answered_with_those_that_are_there(folder: Path, name: str) -> None:
    add(folder, "mine")
    add(folder, "broken", "class Half(AbstractDataset")
    told = refused(name, folder)
    assert told.startswith(f'there is no dataset "{name}"; known datasets: ')
    assert told.endswith(f" (in {folder}, {shipped_folder('datasets')})")
    assert "SpotTheDifference.change, TVCaptions.video, Toy.mine, " in told
    assert not [each for each in ("Narration", "_ByVideo", "_Llava") if f" {each}." in told]


def test_looking_for_a_name_runs_no_other_file(folder: Path) -> None:
    add(folder, "mine")
    add(folder, "trap", TOY.format(name="Trap") + "raise SystemError('run')")
    assert "did you mean Toy.mine" in refused("Toy.mien", folder)
    assert find_plugin("Toy.mine", [folder]).name == "Toy.mine"


def test_a_class_that_is_no_dataset_is_reported_so(folder: Path) -> None:
    path = add(
        folder,
        "mine",
        "from syphus.plugins.contract import AbstractDataset\nclass Plain: ...\nclass Half(AbstractDataset): ...\n",
    )
    assert refused("Plain.mine", folder) == f"{path}: Plain does not inherit from AbstractDataset"
    assert refused("mine.Half", folder) == f"{path}: Half.mine does not implement _load_query_inputs"
    assert [info.error for info in others(list_plugins([folder]))] == [
        "Half.mine does not implement _load_query_inputs"
    ]
    assert "there is no dataset" in refused("AbstractDataset.mine", folder)


def test_a_base_class_for_others_in_the_file_is_not_listed(folder: Path) -> None:
    source = "from syphus.plugins.contract import AbstractDataset\nclass Base(AbstractDataset): ...\n"
    add(folder, "mine", source + "class Toy(Base):\n    def _load_query_inputs(self, path): return []\n")
    assert [info.name for info in others(list_plugins([folder]))] == ["Toy.mine"]


BROKEN = {
    "error": ("import syphus\nclass Toy(Base): ...\n", "Toy.bad", "bad.py:2 NameError: name 'Base' is not defined"),
    "in a function": ("import syphus\ndef f():\n  {}['caption']\nf()\n", "", "bad.py:3 KeyError: 'caption'"),
    "exit": ("import syphus, sys\nsys.exit(3)\n", "", "bad.py:2 SystemExit: 3"),
    "syntax": ("import syphus\nclass Toy(\n", "", "bad.py:2 SyntaxError: '(' was never closed"),
    "no module": ("import syphus.nothing\n", "", "bad.py:1 ModuleNotFoundError: No module named 'syphus.nothing'"),
    "not text": ("import syphus\n\udcff", "", "bad.py:2 SyntaxError: (unicode error)"),
}


@pytest.mark.parametrize(("source", "name", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_listed_with_its_line_and_spoils_no_other(
    folder: Path, source: str, name: str, problem: str
) -> None:
    add(folder, "good")
    (folder / "bad.py").write_bytes(source.encode(errors="surrogateescape"))
    bad, good = others(list_plugins([folder]))
    assert good == PluginInfo("Toy.good", "T", "A toy.", str(folder / "good.py"))
    assert bad == PluginInfo(name or bad.path, "", "", str(folder / "bad.py"), bad.error)
    assert bad.error.startswith(problem)
    assert "\n" not in bad.error
    assert refused("Toy.bad", folder) == f"{folder / 'bad.py'} can't be loaded: {bad.error}"


def test_a_file_that_can_not_be_read_is_listed(folder: Path) -> None:
    (folder / "gone.py").symlink_to(folder / "nowhere.py")
    (info,) = others(list_plugins([folder]))
    assert "FileNotFoundError" in info.error


def test_only_files_that_speak_of_syphus_are_run_for_a_listing(folder: Path) -> None:
    add(folder, "train", "raise SystemError('never run')\n")
    add(folder, "_private", TOY.format(name="Toy"))
    assert others(list_plugins([folder])) == []


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"there is no folder .*/nowhere to look for datasets in"):
        list_plugins([tmp_path / "nowhere"])


def test_a_listing_never_reaches_the_network(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        call = f"\nimport socket\nsocket.create_connection(('127.0.0.1', {port})).close()\n"
        add(folder, "caller", TOY.format(name="Caller") + call)
        (info,) = others(list_plugins([folder]))
        assert info.error.startswith("caller.py:11 OSError: plugins have no network access while they are listed")
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
        server.settimeout(10)
        assert find_plugin("Caller.caller", [folder]).name == "Caller.caller"  # whoever names it wants it run
        server.accept()[0].close()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package with two entry points, `toys` for a module and `one` for a class."""
    site = tmp_path / "site"
    add(site / "toypack", "toys", TOY.format(name="Toy") + TOY.format(name="Other"))
    add(site / "toypack", "__init__", "from toypack.toys import Toy as OneToy\n")
    info = site / "toypack-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toypack\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[syphus.datasets]\ntoys = toypack.toys\none = toypack:OneToy\nlost = toypack.lost:Lost\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(site)
    yield site
    for name in [name for name in sys.modules if name.partition(".")[0] == "toypack"]:
        del sys.modules[name]


@pytest.mark.usefixtures("package")
def test_the_entry_points_of_installed_packages_are_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYPHUS_PLUGINS")
    assert find_plugin("Other.toys").cls.__module__ == "toypack.toys"
    assert find_plugin("toypack.Toy").cls is find_plugin("Toy.toys").cls
    infos = {info.name: info.error for info in others(list_plugins())}
    assert set(infos) == {"Toy.toys", "Other.toys", "Toy.toypack", "toypack.lost:Lost"}
    assert infos["Toy.toys"] == ""
    assert "ModuleNotFoundError: No module named 'toypack.lost'" in infos["toypack.lost:Lost"]
    assert "did you mean OneToy.toypack? (looked in" in refused("Tyo.toypack")


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("narrow", "left"), [("none", set()), ("", set()), ("one", {"Toy.toypack"}), ("x,one", {"Toy.toypack"})]
)
def test_the_environment_and_an_argument_narrow_the_entry_points(
    monkeypatch: pytest.MonkeyPatch, narrow: str, left: set[str]
) -> None:
    monkeypatch.setenv("SYPHUS_PLUGINS", narrow)
    assert {info.name for info in others(list_plugins())} == left
    monkeypatch.setenv("SYPHUS_PLUGINS", "toys")
    assert {info.name for info in others(list_plugins(installed=narrow))} == left
    with pytest.raises(PluginError):
        find_plugin("Toy.toys", installed=narrow)


@pytest.mark.usefixtures("package")
def test_a_name_in_a_file_and_in_a_package_is_a_clash(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYPHUS_PLUGINS")
    add(folder, "toys", name="Toy")
    assert "more than once: Toy.toys in " in refused("Toy.toys", folder)


HUGGING_FACE = """
import sys
sys.path.insert(0, {site!r})
from syphus.plugins.discovery import find_plugin, list_plugins
plugin = find_plugin("User.uses", [{folder!r}])
list_plugins([{folder!r}])
find_plugin("SpotTheDifference.change").create()
assert plugin.cls.theirs == "theirs", plugin.cls.theirs
assert sys.modules["datasets"].__file__ == {site!r} + "/datasets/__init__.py"
import datasets
assert datasets.WHOSE == "theirs"
assert {folder!r} not in sys.path
"""
WITHOUT = """
import sys
before = list(sys.path)
from syphus.plugins.discovery import find_plugin, list_plugins
find_plugin("Toy.mine", [{folder!r}]).create()
list_plugins([{folder!r}])
assert "datasets" not in sys.modules and sys.path == before
"""


def run(script: str, cwd: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_well_known_package_called_datasets_stays_what_it_is(tmp_path: Path, folder: Path) -> None:
    site = tmp_path / "site"
    add(site / "datasets", "__init__", "WHOSE = 'theirs'\n")
    add(folder, "uses", "import datasets\n" + TOY.format(name="User") + "\n    theirs = datasets.WHOSE\n")
    run(HUGGING_FACE.format(site=str(site), folder=str(folder)), folder.parent)


def test_without_that_package_there_is_no_module_called_datasets(folder: Path) -> None:
    add(folder, "mine")
    run(WITHOUT.format(folder=str(folder)), folder.parent)


def test_in_a_wheel_what_is_shipped_is_inside_the_package(tmp_path: Path) -> None:
    inside = tmp_path / "syphus" / "builtin" / "prompts"
    inside.mkdir(parents=True)
    shutil.copytree(ROOT / "syphus", tmp_path / "syphus", dirs_exist_ok=True)
    script = (
        "from syphus.plugins.discovery import shipped_folder as folder; print(folder('prompts'), folder('examples'))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(inside), str(tmp_path / "examples")]


def prompt(folder: Path, name: str, system: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(f"system_message: {system}\n", encoding="utf-8")
    return folder / f"{name}.yaml"


def test_the_prompt_is_looked_for_from_the_nearest_place_on(tmp_path: Path, folder: Path) -> None:
    add(folder, "spot_the_difference")
    plugin = find_plugin("Toy.spot_the_difference", [folder])
    assert load_prompt_template(plugin.create()).system_message.startswith("You write training data")  # the shipped one
    prompt(tmp_path / "cwd" / "prompts", "spot_the_difference", "here")
    assert load_prompt_template(plugin.create()).system_message == "here"
    prompt(folder.parent / "prompts", "spot_the_difference", "beside")
    assert load_prompt_template(plugin.create()).system_message == "beside"
    given = prompt(tmp_path, "given", "given")
    assert load_prompt_template(plugin.create(given)).system_message == "given"
    assert load_prompt_template(plugin.create(), given).system_message == "given"


def test_a_prompt_that_is_nowhere_names_the_places(tmp_path: Path, folder: Path) -> None:
    add(folder, "mine")
    with pytest.raises(PromptError) as caught:
        load_prompt_template(find_plugin("Toy.mine", [folder]).create())
    assert (
        str(caught.value)
        == f"no prompt file mine.yaml (or .json) in {folder.parent / 'prompts'}, prompts, {shipped_folder('prompts')}; "
        "write one, or name one with --prompt_path"
    )


PATHS = TOY.format(name="Toy").replace('"from Toy"', "path") + "    query_inputs_path = 'annotations/a.json'\n"


def test_the_plugins_own_path_is_looked_for_here_and_above_its_folder(tmp_path: Path, folder: Path) -> None:
    add(folder, "mine", PATHS)
    assert text("Toy.mine", folder) == "annotations/a.json"
    beside = folder.parent / "annotations" / "a.json"
    beside.parent.mkdir()
    beside.touch()
    assert text("Toy.mine", folder) == str(beside)
    (tmp_path / "cwd" / "annotations").mkdir()
    (tmp_path / "cwd" / "annotations" / "a.json").touch()
    assert text("Toy.mine", folder) == "annotations/a.json"


def test_the_users_path_is_never_looked_for_beside_the_plugin(tmp_path: Path, folder: Path) -> None:
    add(folder, "mine", PATHS)
    (folder.parent / "b.json").touch()
    dataset = find_plugin("Toy.mine", [folder]).create(query_inputs_path="b.json")
    assert [query.text for query in queries(dataset)] == [str(tmp_path / "cwd" / "b.json")]
    assert [query.text for query in queries(dataset, "c.json")] == ["c.json"]


PASS_ON = "super().__init__(name, prompt_path, query_inputs_path)"
CONSTRUCTORS = {
    "none": ("self", "super().__init__()"),
    "documented": ("self, name='N', prompt_path='p', query_inputs_path='q'", PASS_ON),
    "required": ("self, name, prompt_path, query_inputs_path", PASS_ON),
    "own": ("self, split='train', limit=10", "assert (split, limit) == ('train', 10)"),
    "anything": ("self, *args, **kwargs", "super().__init__(*args, **kwargs)"),
    "silent": ("self", "pass"),
}


@pytest.mark.parametrize(("parameters", "body"), CONSTRUCTORS.values(), ids=CONSTRUCTORS)
def test_the_users_paths_arrive_through_any_constructor(folder: Path, parameters: str, body: str) -> None:
    add(folder, "mine", f"{TOY.format(name='Toy')}    def __init__({parameters}):\n        {body}\n")
    (folder.parent / "p.yaml").touch()
    dataset = find_plugin("Toy.mine", [folder]).create(folder.parent / "p.yaml", folder.parent / "p.yaml")
    assert dataset.prompt_path == dataset.query_inputs_path == str(folder.parent / "p.yaml")


def test_a_constructor_that_fails_is_reported_with_its_line(folder: Path) -> None:
    add(folder, "mine", TOY.format(name="Toy") + "    def __init__(self):\n        raise ValueError('no\\ngood')\n")
    with pytest.raises(PluginError) as caught:
        find_plugin("Toy.mine", [folder]).create()
    assert str(caught.value) == "Toy.mine: ValueError: no good (mine.py:10)"
    assert isinstance(caught.value.__cause__, ValueError)


def test_the_digest_changes_with_the_source(folder: Path) -> None:
    path = add(folder, "mine")
    plugin = find_plugin("Toy.mine", [folder])
    before = plugin.digest()
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert plugin.digest() != before
    assert len(before) == 16
