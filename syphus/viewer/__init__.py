"""The local page that shows runs while they work and afterwards, and on which people review pairs.

comparison.py           the queries of several runs beside each other
control_routes.py       steer a run from its page, and offer the numbers of all runs to Prometheus
events.py               what changes in a run while people look at it
image_process.py        the process that reads images
image_reader.py         read images for the pages, through that process
index_writer.py         write the viewer's own index of a run
ledger_access.py        read ledgers in threads, with short snapshots
overview.py             the numbers of a run for its first page and for the list of runs
page_parts.py           the parts of pages that are written as files
query_detail.py         everything that is known of one query
query_filter.py         which queries a list shows, and where a page of it begins
query_images.py         the images of queries, and the seconds of frames
query_list.py           a page of the list of queries
query_sources.py        where the rows of a list come from
random_order.py         a random order of numbers that needs no list of them
replies.py              replies and requests as JSON, errors as one line
report_routes.py        answer what the pages about cold start, translation, statistics and comparison ask
review_items.py         what people review: pairs, rejected answers, judged pairs
review_lists.py         lists for reviewers: pairs, the queue, what rules are worth
review_queue.py         which items a reviewer gets next, and which decisions are a random sample
reviews_api.py          answer what the pages for reviewers ask
rule_accuracy.py        precision and recall of rules and of the judge, with intervals
run_list.py             the runs in the folders given, and their names in addresses
run_routes.py           answer what the pages ask about runs
run_statistics.py       pairs, words and images of a run, exactly or from a sample
security.py             who may talk to the viewer
server.py               the routes of all modules, serving them until Ctrl-C, and the user's browser
side_index.py           the viewer's own index of a run: words, models, sessions, repairs
translation_numbers.py  the numbers of a translation for its page
viewer.py               what the routes share: runs, numbers, events, threads
write_page.py           write a page as one file, with its pictures and fonts
written_pages.py        what the pages look like as files
written_reports.py      the pages about translation, statistics and a cold start as files
"""
