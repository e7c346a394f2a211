"""Which vectors are nearest to each other. Pure functions over arrays; numpy and faiss come with the extra `relations`.

neighbours.py   the nearest of each vector by cosine: exact for few, approximate for many
distinct.py     without doubles, the first ten
"""
