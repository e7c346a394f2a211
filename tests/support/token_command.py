"""A token command for tests: prints tokens that differ, and counts how often it was run.

command(folder, "az", life=3600, start=NOW)   -> JSON as `az account get-access-token` prints it
"""

from __future__ import annotations

import sys
from pathlib import Path

_PROGRAM = """
import json, os, pathlib, signal, sys
folder, how, life, now = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
count = len(list(folder.glob("run-*"))) + 1
(folder / f"run-{count}").write_text(str(os.getpid()))
token = f"eyJ0eXAi.token-{count}.sig_{'x' * 20}"
if how == "az":
    print(json.dumps({"accessToken": token, "expiresOn": "2026-11-20 12:00:00.000000", "expires_on": int(now + life)}))
elif how == "bare":
    print(token)
elif how == "azd":
    print(json.dumps({"token": token, "expiresOn": "2026-11-20T12:00:00Z"}))
elif how == "oauth":
    print(json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 3599}))
elif how == "stdin":
    sys.stdin.read()
    print(token)
elif how.startswith("fail"):
    if count <= int(how[4:] or 99):
        print(token)
        sys.stderr.write("WARNING: there is an update\\nERROR: Please run 'az login' to set up an account.\\x1b[0m\\n")
        sys.exit(1)
    print(token)
elif how == "daemon":
    ready, done = os.pipe()
    if os.fork() == 0:
        os.setsid()
        (folder / "daemon").write_text(str(os.getpid()))
        os.write(done, b".")
        signal.pause()
    os.read(ready, 1)
    print(token)
elif how in ("hang", "leave"):
    ready, done = os.pipe()
    if os.fork() == 0:
        if how == "leave":
            os.setsid()
            (folder / "daemon").write_text(str(os.getpid()))
        os.write(done, b".")
        os.execvp(sys.executable, [sys.executable, "-c", "import signal; signal.pause()"])
    os.read(ready, 1)
    (folder / "hangs").write_text(".")
    signal.pause()
else:
    sys.stdout.buffer.write(pathlib.Path(how).read_bytes())
"""

LIFE = 3600.0  #: seconds


def command(folder: Path, how: str, life: float = LIFE, start: float = 0.0) -> tuple[str, ...]:
    """The command; `how` is az, bare, azd, oauth, stdin, fail (or fail2: twice, then not), or a file to print.

    Or: hang never ends, and neither does what it starts; leave is the same, with that in a session of its own; daemon
    prints a token and leaves such a process behind. A command that hangs writes to `hangs` in the folder, which may be
    a named pipe.
    """
    program = folder / "get_token.py"
    program.write_text(_PROGRAM, "utf-8")
    return (sys.executable, "-I", "-S", str(program), str(folder), how, str(life), str(start))


def runs(folder: Path) -> int:
    """How often it was run."""
    return len(list(folder.glob("run-*")))


def token(number: int) -> str:
    """What its run of this number prints."""
    return f"eyJ0eXAi.token-{number}.sig_{'x' * 20}"
