"""Tells a network file system from a local disk, by the list of mounts that Linux keeps in `/proc/self/mounts`.

A ledger is in SQLite's WAL mode, whose index is memory that all its processes share. "WAL does not work over a network
filesystem" (https://www.sqlite.org/wal.html): two hosts would each have their own index, and overwrite each other's
pages. Locks, too, often hold on one host only.
"""

from __future__ import annotations

import re
from pathlib import Path

from syphus.storage.addresses import as_url, protocol

MOUNTS = Path("/proc/self/mounts")

#: File systems of several hosts, by the name of their type in the list of mounts; see filesystems(5).
_NETWORK = frozenset({
    "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre",
    "lustre_lite", "mmfs", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3",
    "smbfs", "wekafs",
})  # fmt: skip
#: The same for those in user space, whose type is `fuse.NAME`.
_FUSE = frozenset({
    "beegfs", "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "cephfs", "davfs", "gcsfuse", "geesefs", "glusterfs",
    "goofys", "juicefs", "mount-s3", "mountpoint-s3", "moosefs", "mfs",
    "rclone", "s3fs", "seaweedfs", "sshfs", "wekafs",
})  # fmt: skip
_ESCAPED = re.compile(r"\\([0-7]{3})")


def network_disk(path: Path, mounts: str | None = None) -> str:
    """Return the type of the network file system that a path is on, such as "nfs4"; "" for a local disk.

    Of a URL, it is the protocol.

    The path need not exist. `mounts` is the list of mounts in the format of fstab(5); by default that of this process,
    and a system without one has local disks only.
    """
    if url := as_url(path):
        return protocol(url)
    if mounts is None:
        try:
            mounts = MOUNTS.read_text("utf-8", "surrogateescape")
        except OSError:
            return ""
    kind, longest = "", -1
    real = path.resolve()
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_unescaped(fields[1]))
        depth = len(point.parts)
        if depth >= longest and real.is_relative_to(point):  # of two at one place, the later one hides the other
            kind, longest = fields[2], depth
    user_space = kind.partition(".")[2] if kind.startswith("fuse.") else ""
    return kind if kind.lower() in _NETWORK or user_space.lower() in _FUSE else ""


def _unescaped(text: str) -> str:
    r"""Return a path of the list as it is: a space in it is written as `\040`."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
