"""Data that is not on a local disk: files by URL, and network file systems.

addresses.py      what is a URL, how one is written, and which names stand for several files
folders.py        folders that files are written to, local or by URL, and writes on a condition
local_copies.py   local copies of files by URL, fetched once, and again when they have changed
network_disks.py  tells a network file system, on which a ledger is not safe, from a local disk
publish.py        finished files below a URL: versions that are never changed, and a manifest that is written last
remote_files.py   files by URL through fsspec: what is there, which version, and errors in one line
snapshots.py      a folder's files in another place: chunks, and a manifest that is written last
"""
