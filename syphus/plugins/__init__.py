"""Dataset plugins: the contract they keep, how they are found, and how a stranger's code is run.

contract.py       AbstractDataset, and what the core makes of a plugin: checked queries, a checked prefix
discovery.py      finding dataset plugins by name, and listing them
hook_results.py   what a plugin's hooks return and what its attributes hold, checked against the contract
image_sources.py  where a plugin's images are
legacy.py         plugins of the first Syphus, unchanged
loading.py        from a source file or an entry point to plugin classes, and from a class to a dataset
prompts.py        prompt files, and how a query is rendered into the messages that go out
rows.py           a plugin's row as a checked Query
sandbox.py        running a stranger's code
stable_choice.py  drawing by lot so that it comes out the same on every run and every machine, whatever else is there
"""
