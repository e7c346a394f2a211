"""Which vectors are nearest to each other. Pure functions over arrays; numpy and faiss come with the extra `relations`.

embedding.py     vectors of texts
local_model.py   vectors from a model of sentence-transformers, in this process
nearest.py       the pairs that are nearest to each pair, from vectors of their texts or of their images
neighbours.py    the nearest of each vector by cosine: exact for few, approximate for many
relate.py        how the pairs of a run are related
vector_files.py  vectors that a user brings, each with the id of an image
"""
