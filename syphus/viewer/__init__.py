"""The local page that shows runs while they work and afterwards, and on which people review pairs.

browser.py        open the user's browser, and find the folder for what the viewer keeps
events.py         what changes in a run while people look at it
ledger_access.py  read ledgers in threads, with short snapshots
overview.py       the numbers of a run for its first page and for the list of runs
replies.py        replies and requests as JSON, errors as one line
run_list.py       the runs in the folders given, and their names in addresses
run_routes.py     answer what the pages ask about runs
security.py       who may talk to the viewer
server.py         the routes of all modules, and serving them until Ctrl-C
viewer.py         what the routes share: runs, numbers, events, threads
"""
