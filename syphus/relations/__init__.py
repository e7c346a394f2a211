"""Which pairs are related: the nearest by text or by image, or those of the user's own train file.

numpy and faiss come with the extra `relations`.

embedding.py     get a vector for each text from an embedding model, at an endpoint or in this process
neighbours.py    find the nearest vectors by cosine: exactly for few, approximately for many
relate.py        relate the pairs of a run: check the options, find the nearest, store them
vector_files.py  read the user's own vectors of images
"""
