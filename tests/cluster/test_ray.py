"""Runs on a real Ray cluster of two nodes: the same results as without it, whatever dies."""

from __future__ import annotations

import asyncio
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
from harness import HERE, KEY, run_rows, server, write_config
from image_rows import ask, write_picture
from media import every, skipped, write_still, write_video
from processes import MAIN, Watch, finish, start
from ray_nodes import RayNodes, ray_nodes
from translation_runs import make_pairs, run_translation, write_pairs

from syphus.cluster.ray_connection import NodeFacts, RayNode, check_facts
from syphus.cluster.ray_worker import Got, RequestWorker, WorkerTarget
from syphus.endpoints.request import UnbuiltBody, as_it_is
from syphus.errors import ConfigError
from syphus.simulator import SimulatedServer
from syphus.types import State

pytest.importorskip("ray", reason="the extra ray is not installed")

ROWS, THREADS = 40, 8
FILES = ("PI_instructions.json", "PI_train.json", "pairs.jsonl")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayNodes]:
    with ray_nodes(2) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def slow_server() -> Iterator[SimulatedServer]:
    with server(latency=0.2) as running:
        yield running


@pytest.fixture(scope="module")
def plain(slow_server: SimulatedServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same run without Ray; its parent's parent has the input."""
    folder = tmp_path_factory.mktemp("plain")
    for number in range(ROWS - 1):  # the last row's image is missing
        write_picture(folder / "images" / f"p{number}.jpg", seed=number)
    rows = [{"id": f"r{number}", "images": [f"p{number}.jpg"]} for number in range(ROWS)]
    ran = ask(folder, slow_server, rows, with_images=True, images=folder / "images", num_threads=THREADS)
    assert ran.states == {State.OK: ROWS - 1, State.FAILED: 1}
    return ran.folder


def run_command(folder: Path, plain: Path, url: str, address: str) -> list[str]:
    """The same run with Ray, as a command."""
    source = plain.parents[2]
    settings = write_config(folder / "config.json", url, timeout=60, max_outage=60)
    return [
        *(sys.executable, str(MAIN), "--name", "Pictures.pictures", "--datasets-dir", str(HERE / "plugins")),
        *("-in", str(source / "images.jsonl"), "--with-images", "--images", str(source / "images")),
        *("--config", str(settings), "--num_threads", str(THREADS)),
        *("--output-dir", str(folder / "output"), "--ray", address),
    ]


def same_bytes(folder: Path, plain: Path) -> bool:
    ours = folder / "output" / "Pictures.pictures" / "v1"
    return [(ours / name).read_bytes() for name in FILES] == [(plain / name).read_bytes() for name in FILES]


def test_the_results_are_those_of_a_run_without_ray(
    cluster: RayNodes, slow_server: SimulatedServer, plain: Path, tmp_path: Path
) -> None:
    slow_server.reset()
    done = finish(run_command(tmp_path, plain, slow_server.url, cluster.address), tmp_path)
    assert done.returncode == 1, done.stderr  # one row has failed
    assert same_bytes(tmp_path, plain)
    assert slow_server.stats.requests == ROWS - 1
    assert "ray" not in done.stdout + done.stderr.lower().replace("--ray", "")
    files = [path for path in cluster.folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_nodes_that_die_cost_what_they_had_in_flight(
    cluster: RayNodes, slow_server: SimulatedServer, plain: Path, tmp_path: Path
) -> None:
    def replace_nodes() -> None:  # all, since on a busy machine one of them may send nothing yet
        for change in (cluster.kill, cluster.kill, cluster.add):
            change()

    slow_server.reset()
    Watch(slow_server).at("answer", 12, replace_nodes)
    done = finish(run_command(tmp_path, plain, slow_server.url, cluster.address), tmp_path)
    cluster.add()
    assert done.returncode == 1, done.stderr
    assert same_bytes(tmp_path, plain)
    again = slow_server.stats.requests - (ROWS - 1)
    assert 1 <= again <= THREADS
    assert "may have been billed" in done.stderr
    assert "raylet" not in done.stdout + done.stderr


def test_a_driver_that_was_killed_is_resumed(
    cluster: RayNodes, slow_server: SimulatedServer, plain: Path, tmp_path: Path
) -> None:
    slow_server.reset()
    arguments = run_command(tmp_path, plain, slow_server.url, cluster.address)
    with start(arguments, tmp_path) as process:
        Watch(slow_server).at("answer", 20, process.kill)
        process.communicate(timeout=60)
    assert finish(arguments, tmp_path).returncode == 1
    assert same_bytes(tmp_path, plain)
    assert slow_server.stats.requests <= ROWS - 1 + THREADS


def test_the_second_stage_of_a_command_has_nodes_too(cluster: RayNodes, tmp_path: Path) -> None:
    with server() as running:
        settings = write_config(tmp_path / "config.json", running.url)
        arguments = [
            *(sys.executable, str(MAIN), "cold-start", "--name", "SpotTheDifference.change", "--example"),
            *("--rounds", "1", "--sample", "4", "--config", str(settings), "--output-dir", str(tmp_path / "output")),
            *("--ray", cluster.address),
        ]
        done = finish(arguments, tmp_path)  # which ends a command that takes a minute
        assert done.returncode == 1, done.stderr  # so few examples do not help
        assert running.stats.requests > 8, done.stderr


def test_the_judge_of_translations_loses_all_nodes_and_gets_others(cluster: RayNodes, tmp_path: Path) -> None:
    def replace_nodes() -> None:
        for change in (cluster.kill, cluster.kill, cluster.add, cluster.add):
            change()

    plain, ours = tmp_path / "plain", tmp_path / "ours"
    for folder in (plain, ours):
        folder.mkdir()
        write_pairs(folder, make_pairs(12))
    with server(latency=0.2) as running:
        patient = {"timeout": 60, "max_outage": 60}
        file = plain / "TR_instructions.json"
        assert run_translation(file, running.url, config=patient, languages="de", judge_translations=1).exit_code == 0
        calm = running.stats.requests
        Watch(running).at("answer", calm * 3 // 4, replace_nodes)  # counted from here
        arguments = [
            *(sys.executable, str(MAIN), "translate", str(ours / "TR_instructions.json"), "--languages", "de"),
            *("--judge-translations", "1", "--config", str(plain / "config.json"), "--num_threads", "4"),
            *("--ray", cluster.address),
        ]
        done = finish(arguments, tmp_path)
        assert done.returncode == 0, done.stderr
        assert "has died; its requests are sent again" in done.stderr
        assert 1 <= running.stats.requests - calm <= 4
    written = ("TR_instructions_de.json", "TR_multilingual.parquet")
    assert [(ours / name).read_bytes() for name in written] == [(plain / name).read_bytes() for name in written]


MIXED = """
from pathlib import Path

from syphus import AbstractDataset, Still, Video, image_files, video_files


class Mixed(AbstractDataset):
    short_name = "MX"

    def _load_query_inputs(self, path):
        return []

    def _load_images(self, path):
        yield Still("MX_IMG_lost", "lost.jpg")
        for file in image_files(path):
            yield Still(f"MX_IMG_{Path(file).stem}", file)
        for file in video_files(path):
            yield Video(file, f"MX_IMG_{Path(file).stem}_")
"""


def test_convert_writes_the_same_bytes_although_a_node_dies(cluster: RayNodes, tmp_path: Path) -> None:
    images, store, with_ray = tmp_path / "images", tmp_path / "MX.parquet", tmp_path / "ray" / "MX.parquet"
    with_ray.parent.mkdir()
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "mixed.py").write_text(MIXED, "utf-8")
    for number in range(120):
        write_still(images / f"s{number:03}.png", number, (640, 480))
    (images / "s050.png").write_bytes(b"no image")
    write_video(images / "v.mp4", every(5, 8))
    arguments = [
        *(sys.executable, str(MAIN), "convert", "--name", "Mixed.mixed", "--datasets-dir", "datasets"),
        *("--image-path", str(images), "--part-mb", "1", "--output"),
    ]
    plain = finish([*arguments, str(store)], tmp_path)
    with start([*arguments, str(with_ray), "--ray", cluster.address], tmp_path) as process:
        while process.poll() is None and not with_ray.with_name(f".{with_ray.name}.convert").exists():
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        cluster.kill()
        out, err = process.communicate(timeout=120)
    cluster.add()
    assert (plain.returncode, process.returncode) == (1, 1), err
    assert "raylet" not in out + err
    for name in ("MX.parquet", "MX.parquet.skipped.jsonl"):
        assert with_ray.with_name(name).read_bytes() == store.with_name(name).read_bytes()
    assert set(skipped(store.with_name("MX.parquet.skipped.jsonl"))) == {"MX_IMG_lost", "MX_IMG_s050"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ray": "127.0.0.1:1"}, r"--ray 127\.0\.0\.1:1: no Ray cluster there: Connection refused"),
        ({"ray": "OTHER"}, r"no Ray cluster there: something else listens\. `ray start"),
        ({"ray": "ray://127.0.0.1:10001"}, r"must be auto, or HOST:PORT"),
        ({"ray": "node7"}, r"must be auto, or HOST:PORT"),
        ({"ray_local": True}, r"--ray-local needs --ray"),
        ({"ray": "127.0.0.1:1", "batch": "always"}, r"--ray and --batch"),
    ],
)
def test_bad_use_is_one_line_and_costs_nothing(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with server() as running:
        if options.get("ray") == "OTHER":  # a server of another kind
            options = {"ray": urlsplit(running.url).netloc}
        ran = run_rows(tmp_path, running.url, **options)
    assert ran.exit_code == 2
    assert re.search(said, str(ran.error))
    assert "\n" not in str(ran.error)
    assert running.stats.requests == 0
    assert not ran.folder.exists()


def test_without_ray_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    ran = run_rows(tmp_path, "http://127.0.0.1:1/v1", ray="auto")
    assert "pip install 'syphus[ray]'" in str(ran.error)


HERE_FACTS = NodeFacts("3.11.7", "2.60.0", "1.0", (), (("pillow", "12.1"),))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (HERE_FACTS._replace(syphus=None), "has no Syphus"),
        (HERE_FACTS._replace(syphus="0.9"), "has Syphus 0.9, this machine 1.0"),
        (HERE_FACTS._replace(ray="2.51.0"), "has Ray 2.51.0, this machine 2.60.0"),
        (HERE_FACTS._replace(python="3.12.1"), "has Python 3.12.1, this machine 3.11.7"),
        (HERE_FACTS._replace(unseen=("/data/images",)), "does not see /data/images"),
        (HERE_FACTS._replace(packages=(("pillow", ""),)), "lacks pillow"),
        (HERE_FACTS._replace(packages=(("pillow", "11.0"),)), "has pillow 11.0, this machine 12.1"),
    ],
)
def test_a_node_that_is_unfit_says_why(facts: NodeFacts, said: str) -> None:
    node = RayNode("1", "10.0.0.7", 8)
    check_facts(node, HERE_FACTS, HERE_FACTS)
    with pytest.raises(ConfigError, match=f"^Ray node 10.0.0.7 {said}"):
        check_facts(node, facts, HERE_FACTS)


def test_a_worker_keeps_a_reply_until_it_was_taken_and_sends_nothing_twice() -> None:
    async def talk(url: str) -> None:
        worker = RequestWorker()
        body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "the door is open"}]}).encode()
        headers = [("Authorization", f"Bearer {KEY}"), ("Content-Type", "application/json")]
        await worker.aim(1, pickle.dumps(WorkerTarget(f"{url}/chat/completions", headers, url, True)))
        message = pickle.dumps(([(7, 1, body, True)], []))
        await worker.submit(1, message)
        await worker.submit(1, message)  # Ray has delivered it a second time
        first, again = await worker.collect(0), await worker.collect(0)
        assert first == again
        number, results, _ = pickle.loads(first)
        assert [(each[0], each[1], each[2]) for each in results] == [(7, Got.REPLY, 200)]
        waits = asyncio.create_task(worker.collect(number))
        await worker.submit(2, pickle.dumps(([(8, 1, body, True)], [])))
        assert [each[0] for each in pickle.loads(await waits)[1]] == [8]
        await worker.reset()

    with server() as running:
        asyncio.run(talk(running.url))
    assert running.stats.requests == 2


def load_of_a_plugin() -> bytes:
    return b"{}"


def test_a_body_that_needs_code_of_the_driver_is_left_to_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = ModuleType("plugin_of_the_driver")
    vars(plugin)["load_of_a_plugin"] = load_of_a_plugin
    monkeypatch.setattr(load_of_a_plugin, "__module__", plugin.__name__)
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
    body = pickle.dumps(UnbuiltBody(load_of_a_plugin, as_it_is))
    monkeypatch.delitem(sys.modules, plugin.__name__)  # as on a node

    async def ask() -> list[Any]:
        worker = RequestWorker()
        await worker.aim(1, pickle.dumps(WorkerTarget("http://127.0.0.1:1", [], "http://127.0.0.1:1", True)))
        await worker.submit(1, pickle.dumps(([(7, 1, body, False)], [])))
        results: list[Any] = pickle.loads(await worker.collect(0))[1]
        return results

    ((number, got, _, problem, _),) = asyncio.run(ask())
    assert (number, got, problem) == (7, Got.BAD_IMAGE, "this node lacks code: No module named 'plugin_of_the_driver'")
