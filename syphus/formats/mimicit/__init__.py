"""MIMIC-IT files, whoever wrote them: found, checked, counted and mixed.

data_yaml.py     the data yaml of MIMIC-IT: groups of datasets, which Otter's loader puts together
descriptions.py  task descriptions in data yamls
discovery.py     from what a person names, a folder, a file or a data yaml, to the files that are loaded together
ids.py           ids that may come only once, over millions of pairs
images.py        whether the images of a store can be decoded, on all cores
mix.py           a data yaml from datasets, and what it makes of them
stats.py         images, pairs and words, counted
stats_page.py    the numbers of MIMIC-IT files as one HTML page with small pictures, which needs no network and no scr
verify.py        what is wrong with them
writer.py        MIMIC-IT: `XX_instructions.json` and `XX_train.json`, as the original's loaders open them
"""
