"""Entra tokens from a command: real commands, an injected clock."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from token_command import LIFE, command, runs, token

from syphus.config.secrets import SecretRedactor
from syphus.endpoints.entra_tokens import DEFAULT_LIFETIME, RENEWAL_MARGIN, TokenSource
from syphus.errors import ConfigError

NOW = 1_790_000_000.0
PATIENCE = 30.0  #: seconds after which a test fails that waits in vain


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def source(
    folder: Path, how: str, clock: Clock | None = None, redactor: SecretRedactor | None = None, life: float = LIFE
) -> TokenSource:
    given = command(folder, how, life, NOW)
    return TokenSource(given, redactor or SecretRedactor(), clock or Clock(), timeout=20.0, first_wait=0.001)


def ask(tokens: TokenSource, times: int = 1) -> list[str]:
    async def main() -> list[str]:
        return [await tokens() for _ in range(times)]

    return asyncio.run(main())


def refusal(tokens: TokenSource) -> str:
    with pytest.raises(ConfigError) as error:
        ask(tokens)
    assert str(error.value).isprintable()
    assert "token-" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("how", ["az", "bare", "azd", "oauth", "stdin"])
def test_every_form_of_a_token_is_read_and_the_command_asked_once(tmp_path: Path, how: str) -> None:
    assert ask(source(tmp_path, how), 3) == [token(1)] * 3
    assert runs(tmp_path) == 1


@pytest.mark.parametrize(
    ("how", "life", "holds"),
    [
        ("az", LIFE, LIFE - RENEWAL_MARGIN),
        ("az", 100.0, 50.0),  # a short life is halved
        ("az", -5.0, DEFAULT_LIFETIME - RENEWAL_MARGIN),  # our clock is wrong, or the command's
        ("bare", LIFE, DEFAULT_LIFETIME - RENEWAL_MARGIN),
        ("azd", LIFE, DEFAULT_LIFETIME - RENEWAL_MARGIN),
    ],
)
def test_a_token_is_renewed_before_it_ends(tmp_path: Path, how: str, life: float, holds: float) -> None:
    clock = Clock()
    tokens = source(tmp_path, how, clock, life=life)
    assert not tokens.is_valid()
    assert ask(tokens) == [token(1)]
    clock.now += holds - 0.5
    assert tokens.is_valid()
    assert ask(tokens) == [token(1)]
    clock.now += 1.0
    assert not tokens.is_valid()
    assert ask(tokens) == [token(2)]


def test_a_token_that_was_refused_is_renewed(tmp_path: Path) -> None:
    tokens = source(tmp_path, "az")
    assert ask(tokens) == [token(1)]
    tokens.discard()
    assert not tokens.is_valid()
    assert ask(tokens) == [token(2)]


def test_every_token_is_redacted_from_then_on(tmp_path: Path) -> None:
    redactor = SecretRedactor()
    tokens = source(tmp_path, "az", redactor=redactor)
    ask(tokens)
    tokens.discard()
    ask(tokens)
    assert redactor.scrub(f"{token(1)} and {token(2)}") == "[secret] and [secret]"


def test_a_command_that_fails_is_tried_three_times_and_its_last_words_are_shown(tmp_path: Path) -> None:
    said = refusal(source(tmp_path, "fail"))
    assert runs(tmp_path) == 3
    assert said.startswith("The token command ")
    assert said.endswith("failed (1): ERROR: Please run 'az login' to set up an account. [0m")
    assert "get_token.py" not in said  # its arguments may hold a secret


def test_a_command_that_fails_now_and_then_is_no_reason_to_stop(tmp_path: Path) -> None:
    assert ask(source(tmp_path, "fail2")) == [token(3)]


@pytest.mark.parametrize(
    "printed",
    [
        b"",
        b"\n",
        b"Please log in first\n",
        b"<html>Log in</html>",
        b"{",
        b"{}",
        b'{"accessToken": null}',
        b'{"accessToken": ["a"]}',
        b'{"accessToken": "two words"}',
        b'{"accessToken": "abc\\r\\nX-Header: 1"}',
        b'["abc"]',
        b"abc\ndef",
        b"\xff\xfe\x00a",
        "tök€n".encode(),
    ],
)
def test_rubbish_is_no_token_and_is_not_shown(tmp_path: Path, printed: bytes) -> None:
    (tmp_path / "printed").write_bytes(printed)
    said = refusal(source(tmp_path, str(tmp_path / "printed")))
    assert said.endswith(" printed no token")
    assert runs(tmp_path) == 1  # it would only print it again


@pytest.mark.parametrize("expires", ["soon", "null", "[]", "1e400", '"1e400"', "true"])
def test_an_end_that_makes_no_sense_is_an_unknown_one(tmp_path: Path, expires: str) -> None:
    (tmp_path / "printed").write_text(f'{{"accessToken": "abc", "expires_on": {expires}}}', "utf-8")
    clock = Clock()
    tokens = source(tmp_path, str(tmp_path / "printed"), clock)
    if expires in ("soon", "1e400"):  # no JSON at all
        refusal(tokens)
        return
    assert ask(tokens) == ["abc"]
    clock.now += DEFAULT_LIFETIME - RENEWAL_MARGIN - 1
    assert tokens.is_valid()


@pytest.mark.parametrize("name", ["nowhere-to-be-found", "."])
def test_a_command_that_can_not_be_started_is_said_so(name: str) -> None:
    said = refusal(TokenSource((name, "--secret", "hunter2"), SecretRedactor()))
    assert said.startswith(f"The token command {name} can't be started: ")
    assert "hunter2" not in said


def is_over(number: int) -> bool:
    """Whether a process has ended; one that nobody has fetched yet counts."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{number}/stat").read_text("utf-8").split(") ")[1].startswith("Z")


@asynccontextmanager
async def hanging(folder: Path, tokens: TokenSource) -> AsyncIterator[asyncio.Task[str]]:
    """Ask for a token, and enter the block when the command hangs, which it reports through a named pipe."""
    os.mkfifo(folder / "hangs")
    pipe = os.open(folder / "hangs", os.O_RDWR | os.O_NONBLOCK)  # never at its end, as this process could write too
    hangs = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe, hangs.set)
    asking = asyncio.create_task(tokens())
    try:
        async with asyncio.timeout(PATIENCE):
            await hangs.wait()
        loop.remove_reader(pipe)
        yield asking
    finally:
        loop.remove_reader(pipe)
        os.close(pipe)
        asking.cancel()
        await asyncio.wait([asking], timeout=PATIENCE)


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be set forward."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped


async def pass_on() -> None:
    """Let the loop do what is due, and what follows from it."""
    for _ in range(8):
        await asyncio.sleep(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the test's command starts another process")
def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    loop = SkippingLoop()

    async def main() -> str:
        tokens = TokenSource(command(tmp_path, "hang"), SecretRedactor(), timeout=3600)
        async with hanging(tmp_path, tokens) as asking:
            loop.skipped = 36_000  # at once, as for a machine that slept: that does not count
            await pass_on()
            assert not asking.done()
            for _ in range(19):
                assert not asking.done()
                loop.skipped += 181
                await pass_on()
            with pytest.raises(ConfigError) as error:  # although its child holds the output open
                await asking
        return str(error.value)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        message = runner.run(main())
    assert message.endswith(" printed nothing for 3600 s")
    assert runs(tmp_path) == 1
    assert is_over(int((tmp_path / "run-1").read_text("utf-8")))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the test's command starts another process")
def test_a_call_that_is_given_up_ends_the_command(tmp_path: Path) -> None:
    async def main() -> None:
        async with hanging(tmp_path, TokenSource(command(tmp_path, "hang"), SecretRedactor())) as asking:
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(main())
    assert is_over(int((tmp_path / "run-1").read_text("utf-8")))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the test's command starts another process")
@pytest.mark.parametrize("turns", range(1, 9))
def test_a_call_that_is_given_up_while_the_command_starts_ends_it(tmp_path: Path, turns: int) -> None:
    async def main() -> None:
        asking = asyncio.create_task(TokenSource(command(tmp_path, "hang"), SecretRedactor())())
        for _ in range(turns):  # of the event loop, whatever its clock
            await asyncio.sleep(0)
        asking.cancel()
        ended, _ = await asyncio.wait([asking], timeout=PATIENCE)
        assert ended

    asyncio.run(main())
    started = list(tmp_path.glob("run-*"))
    assert all(is_over(int(file.read_text("utf-8"))) for file in started)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the test's command starts another process")
def test_what_a_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    """It has left the command's session, and holds its output open."""
    try:
        assert ask(source(tmp_path, "daemon")) == [token(1)]
    finally:
        os.kill(int((tmp_path / "daemon").read_text("utf-8")), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the test's command starts another process")
def test_a_call_that_is_given_up_does_not_wait_for_what_has_left_the_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with hanging(tmp_path, TokenSource(command(tmp_path, "leave"), SecretRedactor())) as asking:
            asking.cancel()
            ended, _ = await asyncio.wait([asking], timeout=PATIENCE)  # what has left the session never ends
            assert ended

    try:
        asyncio.run(main())
    finally:
        os.kill(int((tmp_path / "daemon").read_text("utf-8")), signal.SIGKILL)
    assert is_over(int((tmp_path / "run-1").read_text("utf-8")))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the test's command starts another process")
def test_the_signals_of_the_terminal_do_not_reach_the_command(tmp_path: Path) -> None:
    """Ctrl-C is for the run: the command is in a session of its own."""

    async def main() -> int:
        async with hanging(tmp_path, TokenSource(command(tmp_path, "hang"), SecretRedactor())):
            return os.getsid(int((tmp_path / "run-1").read_text("utf-8")))

    assert asyncio.run(main()) != os.getsid(0)
