"""The servers that answer, and what their replies mean.

classify.py            what a reply means for the row and for the run
completions.py         reading a 200: what the model wrote, why it stopped, and what it cost
embeddings.py          a good reply: vectors
entra_tokens.py        entra tokens for Azure that a command prints, renewed before they expire
image_tokens.py        how images go to a model
rate_limit_headers.py  how long a server asks to be left alone, and what limits it states
remote.py              an endpoint at OpenAI, Azure OpenAI or a compatible server
request.py             the sampling parameters, the exact body of a request, and its key
services.py            what it is asked for: chat completions, embeddings
transport.py           what carries the bytes: connections, proxies, certificates
"""
