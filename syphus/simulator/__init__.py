"""A chat endpoint that makes its answers up: for `--offline`, for tests, and for trying any OpenAI client without a
key.

    async with serve(Simulation(seed=1)) as server:
        client = AsyncOpenAI(base_url=server.url, api_key="any")

It speaks the OpenAI and the Azure chat routes over real HTTP on loopback, answers in the form that the prompt asks for,
always the same for the same seed and messages, enforces limits and plays faults. Everything that it answers says that
it is made up.

auth.py           the door
chat_request.py   reading a chat request, and refusing a bad one in the words and the shape of api.openai.com
completion.py     the completion object, as OpenAI writes it, with what Azure adds to it
embeddings.py     made-up embeddings
endpoint.py       the routes of the simulated endpoint, and what it remembers
facts.py          what an annotation says, as plain sentences, and what each sentence is about
faults/           everything that can go wrong at an endpoint, by name
forms.py          the forms that an answer can be asked for in
learning.py       what a simulated model learns from in-context examples
model_answers.py  the made-up answer to a prompt, and the completion object around it
prompt_reader.py  what a prompt asks for
rate.py           the limits that are really enforced
replies.py        what goes back over the wire, and the two error shapes that clients of OpenAI and of Azure know
scene.py          what an answer is written from, and what a form of answers is
server.py         A simulated endpoint on a loopback socket
settings.py       what a simulated endpoint can be told
special_forms.py  forms of answers that are no pairs in lines or JSON: conversations of rounds, multiple choice, texts
stats.py          what the server saw
translation/      translations for show
wording.py        from the facts of an annotation to questions and answers about them
"""

from syphus.simulator.faults import FAULTS
from syphus.simulator.server import SimulatedServer, run_simulated, serve, serve_in_thread
from syphus.simulator.settings import Simulation, changed
from syphus.simulator.stats import CLIENT_LEFT, RequestRecord, ServerStats

__all__ = [
    "CLIENT_LEFT",
    "FAULTS",
    "RequestRecord",
    "ServerStats",
    "SimulatedServer",
    "Simulation",
    "changed",
    "run_simulated",
    "serve",
    "serve_in_thread",
]
