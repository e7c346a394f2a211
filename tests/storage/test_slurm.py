"""The scripts for Slurm, run as it runs them: with its variables, its signal, and its commands made up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import server
from processes import MAIN, Watch

SCRIPTS = MAIN.parent / "examples" / "slurm"
EXAMPLE = MAIN.parent / "examples" / "spot_the_difference.json"


@pytest.mark.parametrize("name", ["array.sh", "ray.sh"])
def test_the_scripts_have_no_mistakes_of_syntax(name: str) -> None:
    assert subprocess.run(["bash", "-n", SCRIPTS / name], check=False).returncode == 0
    assert "#SBATCH --signal=B:USR1@" in (SCRIPTS / name).read_text("utf-8")


class Job:
    """A job of Slurm on two nodes, which are both this machine: with Slurm's variables and commands."""

    def __init__(self, folder: Path, script: str, number: int, **variables: str) -> None:
        self._folder, self._script = folder, SCRIPTS / script
        self.requeued = folder / "requeued"
        (folder / "bin").mkdir()
        hosts = "127.0.0.1\\nlocalhost"
        self._add("scontrol", f'[ "$1" = show ] && printf "{hosts}\\n" || echo "$@" >> {self.requeued}')
        self._add("srun", 'while [ "$1" != ray ]; do shift; done; exec "$@"')  # what it starts is on this machine
        self._variables = {
            "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "SYPHUS": f"{sys.executable} {MAIN}",
            "DATASET": "SpotTheDifference.change",
            "SHARED": str(folder / "shared"),
            "THREADS": "2",
            "OPENAI_API_KEY": "none",
            "SLURM_JOB_ID": str(number),
            **variables,
        }

    def _add(self, name: str, does: str) -> None:
        command = self._folder / "bin" / name
        command.write_text(f"#!/bin/sh\n{does}\n", "utf-8")
        command.chmod(0o755)

    def start(self, node: str, restarts: int, url: str) -> subprocess.Popen[str]:
        own = {"OPENAI_BASE_URL": url, "TMPDIR": str(self._folder / node), "SLURM_RESTART_COUNT": str(restarts)}
        return subprocess.Popen(
            ["bash", self._script], env={**self._variables, **own}, cwd=self._folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def stops_and_goes_on(job: Job, number: int, run: str, released: Path) -> None:
    """A job gets the signal of `--signal=B:USR1@180`, is put back into the queue, and ends on another node."""
    with server(latency=0.2) as simulated:
        watch = Watch(simulated)
        with job.start("node-1", 0, simulated.url) as first:
            watch.at("answer", 6, lambda: first.send_signal(signal.SIGUSR1))
            said, _ = first.communicate(timeout=240)
        assert (first.returncode, job.requeued.read_text("utf-8")) == (0, f"requeue {number}\n"), said
        assert watch.requests < 24
        with job.start("node-2", 1, simulated.url) as second:
            said, _ = second.communicate(timeout=240)
        assert second.returncode == 0, said
        assert f"is from the snapshot of SpotTheDifference.change/{run}" in said
        assert watch.requests <= 26  # 24 rows, and now and then a second sample
    assert (released / "mimicit" / "SD_instructions.json").is_file()


def test_a_task_stops_before_the_limit_and_goes_on_on_another_node(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    shutil.copy(EXAMPLE, tmp_path / "shards" / "part-003.json")
    shards = {"SHARDS": str(tmp_path / "shards"), "ENDING": "json"}
    job = Job(tmp_path, "array.sh", 7, **shards, SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID="3")
    stops_and_goes_on(job, 7, "part-003", tmp_path / "shared" / "dataset" / "part-003")


def test_a_run_on_the_nodes_of_an_allocation_stops_and_goes_on_and_ends_its_own_cluster(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    number = os.getpid()  # another one than that of each job here
    allocation = {"SLURM_JOB_NODELIST": "node-[1-2]", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "1"}
    job = Job(tmp_path, "ray.sh", number, **allocation, INPUT=str(EXAMPLE))
    stops_and_goes_on(job, number, "v1", tmp_path / "shared" / "dataset" / "SpotTheDifference.change")
    files = Path(f"/tmp/ray-{number}")
    assert not [each for each in Path("/proc").glob("[0-9]*/cmdline") if bytes(files) in command_line(each)]
    shutil.rmtree(files)


def command_line(file: Path) -> bytes:
    """That of a process; empty if it has just ended."""
    try:
        return file.read_bytes()
    except OSError:
        return b""
