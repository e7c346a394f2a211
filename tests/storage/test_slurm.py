"""The scripts for Slurm, run as it runs them: with its variables, its signal, and a `scontrol` that notes its calls."""

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


@pytest.mark.parametrize("name", ["array.sh", "ray.sh"])
def test_the_scripts_have_no_mistakes_of_syntax(name: str) -> None:
    assert subprocess.run(["bash", "-n", SCRIPTS / name], check=False).returncode == 0
    assert "#SBATCH --signal=B:USR1@" in (SCRIPTS / name).read_text("utf-8")


def test_a_task_stops_before_the_limit_and_goes_on_on_another_node(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/requeued\n', "utf-8")
    scontrol.chmod(0o755)
    (tmp_path / "shards").mkdir()
    shutil.copy(MAIN.parent / "examples" / "spot_the_difference.json", tmp_path / "shards" / "part-003.json")
    fixed = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "SYPHUS": f"{sys.executable} {MAIN}",
        "DATASET": "SpotTheDifference.change",
        "SHARDS": str(tmp_path / "shards"),
        "ENDING": "json",
        "SHARED": str(tmp_path / "shared"),
        "THREADS": "2",
        "OPENAI_API_KEY": "none",
        "SLURM_JOB_ID": "7",
        "SLURM_ARRAY_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "3",
    }

    def task(node: str, restarts: int, url: str) -> subprocess.Popen[str]:
        environ = {
            **fixed,
            "OPENAI_BASE_URL": url,
            "TMPDIR": str(tmp_path / node),
            "SLURM_RESTART_COUNT": f"{restarts}",
        }
        return subprocess.Popen(
            ["bash", SCRIPTS / "array.sh"], env=environ, cwd=tmp_path, text=True, stdout=-1, stderr=subprocess.STDOUT
        )

    with server(latency=0.2) as simulated:
        watch = Watch(simulated)
        with task("node-1", 0, simulated.url) as first:
            watch.at("answer", 6, lambda: first.send_signal(signal.SIGUSR1))  # as --signal=B:USR1@180 does
            said, _ = first.communicate(timeout=120)
        assert (first.returncode, (tmp_path / "requeued").read_text("utf-8")) == (0, "requeue 7\n"), said
        asked = watch.requests
        assert asked < 24
        with task("node-2", 1, simulated.url) as second:
            said, _ = second.communicate(timeout=120)
        assert second.returncode == 0, said
        assert "is from the snapshot of SpotTheDifference.change/part-003" in said
        assert watch.requests <= 26  # 24 rows, and now and then a second sample
    assert (tmp_path / "shared" / "dataset" / "part-003" / "mimicit" / "SD_instructions.json").is_file()
