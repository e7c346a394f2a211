"""Dataset plugins: their contract, how they are found, and how their code is run safely.

annotation_shape.py  looks at a file of annotations: how to read it, its columns, what they hold
contract.py          AbstractDataset, and what the core gets from a plugin: checked queries, a checked prompt template
discovery.py         finds dataset plugins by name, and lists them
hook_results.py      checks results of hooks, attributes, and where images are, against the contract
input_sources.py     the files that the name of an input stands for, and copies of those that are URLs
legacy.py            runs plugins of the original Syphus unchanged
loading.py           loads plugin classes from source files and entry points, and constructs datasets
new_dataset.py       guesses the columns of a file of annotations, and writes a new plugin and its prompt for it
plugin_source.py     the text of a new plugin and of its prompt
prompts.py           reads prompt files, and renders queries into messages
rows.py              converts a plugin's row to a checked Query; a random choice that is the same in every run
sandbox.py           runs a plugin's code: contains what it prints and raises
"""
