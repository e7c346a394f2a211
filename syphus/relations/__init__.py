"""Which pairs are related: the nearest by text or by image, or those of the user's own train file.

numpy and faiss come with the extra `relations`.

embedding.py     get a vector for each text from an embedding model
local_model.py   run an embedding model of sentence-transformers in this process
nearest.py       find the pairs nearest to each pair
neighbours.py    find the nearest vectors by cosine: exactly for few, approximately for many
relate.py        relate the pairs of a run: check the options, find the nearest, store them
vector_files.py  read the user's own vectors of images
"""
