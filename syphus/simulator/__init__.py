"""A simulated chat endpoint: for `--offline`, for tests, and for trying any OpenAI client without a key.

    async with serve(Simulation(seed=1)) as server:
        client = AsyncOpenAI(base_url=server.url, api_key="any")

It speaks the OpenAI and Azure chat routes over real HTTP on loopback. It answers in the form that the prompt asks for,
always with the same text for the same seed and messages, enforces rate limits, and plays faults. Every answer says that
it is simulated.

annotation_facts.py      the sentences of an annotation, and what each of them is about
answer_form_types.py     `AnswerInput`, what an answer is written from, and `Form`, how answers of one form are detect
answer_forms.py          all forms of answers
answering.py             answers and counts requests, over HTTP and as lines of batches
auth.py                  checks key, route, model and parameters of a request
batches/                 the Batch API: files, batches, their states, and what goes wrong with them
chat_request.py          parses a chat request; a bad one gets the error that api.openai.com sends
completion.py            the completion object of OpenAI and Azure, and its event stream
dataset_answer_forms.py  forms of answers other than pairs in lines or JSON.  Conversations of rounds, multiple choice
embeddings.py            simulated embeddings
endpoint.py              the routes and the state of a simulated endpoint
faults/                  everything that can go wrong at an endpoint, by name
learning.py              what a simulated model learns from in-context examples
model_answers.py         writes the answer to a prompt
pack_answers.py          answers several items of one prompt between their tags, and makes mistakes with them
profiles.py              how known servers differ: what they refuse, and where they put reasoning
prompt_cache.py          the prompt cache: automatic for older models, at marks for newer ones
prompt_reader.py         reads from a prompt which answer it asks for
rate_limiter.py          enforces limits on requests and tokens per minute
replies.py               HTTP replies, error bodies, and broken deliveries
server.py                runs a simulated endpoint on a loopback socket
settings.py              all settings of a simulated endpoint: `Simulation`
stats.py                 the counters, the request log and the bill of an endpoint
translation/             simulated translations
wording.py               questions and answers about the facts of an annotation
"""

from syphus.simulator.faults import FAULTS
from syphus.simulator.server import SimulatedServer, run_simulated, serve, serve_in_thread
from syphus.simulator.settings import Simulation, with_options
from syphus.simulator.stats import CLIENT_LEFT, RequestRecord, ServerStats

__all__ = [
    "CLIENT_LEFT",
    "FAULTS",
    "RequestRecord",
    "ServerStats",
    "SimulatedServer",
    "Simulation",
    "run_simulated",
    "serve",
    "serve_in_thread",
    "with_options",
]
