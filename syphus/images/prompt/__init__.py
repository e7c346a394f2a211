"""Images in the prompt: inspected when the input is read, encoded when their request is sent.

attachments.py  the images of a run: inspects them, and gives requests placeholders for them
encoder.py      puts images into requests in place of their placeholders, here or on another machine
lookup.py       finds the images of a query: files, the image store, or images that a plugin hands over
"""
