"""How long people and agents wait before anything is done, beside what the libraries take to be imported.

Each stands beside its floor, and they alternate, so that a busy moment of the machine meets them alike:

- `shiftwork mcp` until it answers `initialize`, and until it has told of its tools, beside an import of the
  protocol's own server: at most twice as long;
- `import client.api`, which every command that changes something begins with, beside an import of the clients
  of Temporal and of the database: at most twice as long;
- `shiftwork --help` and a `status` that finds no stack, beside `python -c pass`: at most ten times as long.

An interpreter that may write no byte code (`PYTHONDONTWRITEBYTECODE`) compiles all of it each time: what is
measured here keeps it in a folder of its own, and the first round, which fills it, does not count.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

ROUNDS = 7
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
LIST_TOOLS = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}

Measure = Callable[[dict[str, str]], float]
"""Takes the environment; the seconds that it took."""


def until_end(*arguments: str) -> Measure:
    """An interpreter with these arguments, from its start to its end."""

    def measure(env: dict[str, str]) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-P", *arguments], env=env, capture_output=True, check=False)
        return time.perf_counter() - started

    return measure


def until_answers(*messages: dict[str, object]) -> Measure:
    """The MCP server, from its start to its last answer to these."""
    wanted = sum("id" in message for message in messages)

    def measure(env: dict[str, str]) -> float:
        started = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "client", "mcp"],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.writelines(json.dumps(message).encode() + b"\n" for message in messages)
            server.stdin.flush()
            for _ in range(wanted):
                if b'"result"' not in server.stdout.readline():
                    raise RuntimeError("the MCP server gave no answer")
            took = time.perf_counter() - started
            server.stdin.close()
        return took

    return measure


PASS = until_end("-c", "pass")
PROTOCOL = until_end("-c", "import mcp.server.lowlevel, pydantic")
CLIENTS = until_end("-c", "import temporalio.client, sqlalchemy.ext.asyncio, pydantic")

MEASURED: dict[str, tuple[Measure, str, Measure]] = {
    "mcp: initialize": (until_answers(INITIALIZE), "its library", PROTOCOL),
    "mcp: tools/list": (until_answers(INITIALIZE, INITIALIZED, LIST_TOOLS), "its library", PROTOCOL),
    "import client.api": (until_end("-c", "import client.api"), "libraries", CLIENTS),
    "shiftwork --help": (until_end("-m", "client", "--help"), "python", PASS),
    "shiftwork status": (until_end("-m", "client", "status"), "python", PASS),
}


def main() -> None:
    """Print the medians and their ratio for each."""
    with tempfile.TemporaryDirectory() as folder:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env |= {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "SHIFTWORK_STATE": f"{folder}/state"}
        took: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in MEASURED}
        for _ in range(ROUNDS + 1):
            for name, (ours, _, floor) in MEASURED.items():
                took[name][0].append(ours(env))
                took[name][1].append(floor(env))
    for name, (_, called, _) in MEASURED.items():
        ours, floor = (statistics.median(seconds[1:]) for seconds in took[name])
        print(f"{name:18} {ours * 1000:6.0f} ms  {called} {floor * 1000:5.0f} ms  {ours / floor:5.2f} x")


if __name__ == "__main__":
    main()
