"""Data that is not on a local disk: files by URL, and network file systems.

network_disks.py  tells a network file system, on which a ledger is not safe, from a local disk
"""
