"""The servers that answer, and what their replies mean.

remote.py     an endpoint at OpenAI, Azure OpenAI or a compatible server
services.py   what it is asked for: chat completions, embeddings
sdk_errors.py what the SDK raises, in our terms
tokens.py     Entra tokens
transport.py  what carries the bytes: connections, proxies, certificates
problems.py   an error's body: its words, its code
verdicts.py   an error reply: retry, pause, record or stop
answers.py    a good reply: the completion, its finish reason, its usage
embeddings.py a good reply: vectors
hints.py      how long to wait, which limits are stated
simulated/    an endpoint that makes its answers up
"""
