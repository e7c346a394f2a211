"""Images in the prompt: looked at when the input is read, and made ready to go when their call goes.

album.py     the pictures of a run: measured, marked in a request, encoded
places.py    where they are: files, the image store, the run's own folder
sources.py   image files as a dataset's source has them
pixels.py    one image: its measures, its data URL
examples.py  those of the in-context examples
"""
