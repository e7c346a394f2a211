"""Dataset plugins: the contract they keep, how they are found, and how a stranger's code is run.

contract.py   AbstractDataset, and what the core makes of a plugin: checked queries, a checked prefix
rows.py       a plugin's row as a checked Query
images.py     where a plugin's images are, checked
returned.py   what its hooks return, checked
finding.py    plugins by name, and the list of all
modules.py    from a file or an entry point to a class, and to a dataset
code.py       running a plugin's code: what it prints, raises, or never ends with
drawing.py    drawing by lot, the same on every run
legacy.py     plugins of the first Syphus, unchanged
"""
