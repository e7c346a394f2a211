"""The model servers: sending requests, and reading what they reply.

chat_reply.py          reads a chat completion: the text, and why it ended
classify.py            decides what a reply means: answer, retry, pause, or stop
connections.py         HTTP for one JSON request and its reply, which takes a fifth of aiohttp's time
entra_tokens.py        Entra ID tokens for Azure, printed by a command and renewed before they expire
error_body.py          reads the error in a body of any shape: message, code, parameter
image_tokens.py        the size in which an image is sent, and the tokens that it takes
prompt_cache.py        marks the prefix that requests share, and says what a prompt cache will save
rate_limit_headers.py  parses Retry-After and x-ratelimit-* headers
refusals.py            reads which fields of a request a server does not accept, and what to send instead
remote_endpoint.py     an endpoint at OpenAI, Azure OpenAI or a compatible server
reply_body.py          reads a body as JSON, whatever gateways have made of it: encodings, comment lines, streams
request.py             builds the body of a request, and its key
routes.py              the routes of the API, and how replies with embeddings are read
structured.py          how strictly answers are asked for: JSON schema, JSON mode or text
token_limits.py        reads from an error how many tokens an answer may take
token_usage.py         reads the tokens that a reply says it used, and estimates the rest
transport.py           HTTP: connections, proxies, certificates
"""
