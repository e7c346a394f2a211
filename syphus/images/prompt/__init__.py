"""Images in the prompt: looked at when the input is read, and made ready to go when their call goes.

attachments.py  the pictures of a run
encode.py       an image as its bytes, its size, or a data URL; what is wrong with it is an `ImageError`
lookup.py       where the images of a query are, and their bytes
"""
