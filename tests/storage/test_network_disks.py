"""Network file systems, by lists of mounts as Linux writes them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from syphus.errors import RunError
from syphus.ledger.store import open_for_writing
from syphus.storage.network_disks import network_disk

MOUNTS = r"""/dev/vda1 / ext4 rw,relatime 0 0
tmpfs /tmp tmpfs rw 0 0
overlay /var/lib/docker/overlay2/1/merged overlay rw 0 0
server:/home /home nfs4 rw,vers=4.2,addr=10.0.0.1 0 0
/dev/nvme0n1 /home/me/local xfs rw 0 0
10.0.0.2@o2ib:/scratch /scratch lustre rw,flock 0 0
gpfs0 /gpfs gpfs rw 0 0
//nas/data /mnt/my\040data cifs rw 0 0
me@host:/d /home/me/local/far fuse.sshfs rw 0 0
/dev/sdb1 /media/usb fuseblk rw 0 0
/dev/sdc1 /scratch/over ext4 rw 0 0
server:/over /scratch/over nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/output", ""),
        ("/tmp/output", ""),
        ("/home/me/output/X.x/v1", "nfs4"),
        ("/home/me/local/output", ""),
        ("/home/me/locality", "nfs4"),  # begins like a mount, and is none
        ("/home/me/local/far/output", "fuse.sshfs"),
        ("/scratch/run", "lustre"),
        ("/scratch/over/run", "nfs"),  # the later of two mounts at one place
        ("/gpfs", "gpfs"),
        ("/mnt/my data/run", "cifs"),
        ("/media/usb/run", ""),
        ("s3://bucket/output/X.x/v1", "s3"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_the_mount_above_it(path: str, kind: str) -> None:
    assert network_disk(Path(path), MOUNTS) == kind


def test_a_list_that_is_broken_or_missing_stops_nobody(tmp_path: Path) -> None:
    assert network_disk(tmp_path, "") == ""
    assert network_disk(tmp_path, "nonsense\n/dev/x\n") == ""


def test_a_ledger_on_a_network_disk_is_refused_in_one_line_and_leaves_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "output" / "X.x" / "v1"
    with pytest.raises(RunError, match=r"v1 is on a network file system \(nfs4\)[^\n]*--output-dir[^\n]*$") as refused:
        open_for_writing(folder, f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    assert refused.value.exit_code == 2
    assert not folder.exists()


def test_a_link_to_a_network_disk_does_not_hide_it(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "output").symlink_to(tmp_path / "far")
    mounts = f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path / 'far'} nfs rw 0 0\n"
    with pytest.raises(RunError, match="nfs"):
        open_for_writing(tmp_path / "output" / "run", mounts)
    with closing(open_for_writing(tmp_path / "local", mounts)) as store:
        assert store.path.is_file()
