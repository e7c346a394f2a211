"""The Batch API of a simulated endpoint: files, batches, their states on a clock that tests can move, and its lies.

    with serve_in_thread(Simulation(batch_minutes=30)) as server:
        ...  # upload a file and create a batch with any OpenAI client
        server.advance(1800)  # half an hour later

Lines are answered as the same requests are online; a line costs half as much. Files stay on the disk, so memory does
not grow with them. Nothing happens by itself: whenever a client asks, batches are brought to the time of the clock.

batch_faults.py  what can go wrong with calls, batches and lines, by name
batch_job.py     one batch: its states over time, and how it is shown; the clock of all
batch_lines.py   the lines of an input file, their validation, and the lines of results
batch_routes.py  the routes of files and batches
batch_worker.py  validates and answers the lines of batches as their time comes
file_store.py    uploaded and written files
multipart.py     receives an uploaded file
"""
