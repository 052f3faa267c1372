"""What storing a conversation adds to a question: calls through the gateway with the gate, and without it.

Both alternate in one run, with the same client and the same scripted provider. Before each call the
conversation's file grows by one step. `at once`: the question follows the file without a pause, which is
the worst that can be; `in time`: as many milliseconds after it as an agent takes to make a question.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench_gateway import Client, question, serve

from activities.conversations import ConversationCopies
from activities.orphans import WorkerRecord
from activities.services import Services
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.codec.sealing import Seal
from shiftwork.contracts.session import Role
from shiftwork.gateway import Gateway, GatewaySession, Policy, Upstream, Wire
from shiftwork.sandbox.choose import cheap_sandbox
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.stack.postgres import EmbeddedPostgres
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store

GOAL_MS = 3.0
FILE = "conversation.state"
STEP_BYTES = 2_000
LEASE = 3_600.0
_CHANCE = random.Random(1)


def text(size: int) -> bytes:
    """About as compressible as what agents and commands say."""
    words = (f"{_CHANCE.getrandbits(_CHANCE.choice((8, 16, 32))):x}" for _ in range(size))
    return " ".join(words).encode()[:size]


def grown(content: bytes, number: int) -> bytes:
    """The next state: an id at the beginning, and one step before the end, in the place of the first one."""
    return b"%016d" % number + content[16 + STEP_BYTES : -500] + text(STEP_BYTES) + content[-500:]


def replace(path: Path, content: bytes) -> None:
    """As the program does."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


@asynccontextmanager
async def conversation(folder: Path) -> AsyncIterator[ConversationCopies]:
    """What stores the conversation of one attempt."""
    settings = Settings(state=folder / "state", codec=True)
    server = EmbeddedPostgres(folder / "postgres")
    await server.start()
    try:
        await migrate(server.url())
        async with Store(server.url()) as store:
            parts = settings, store, cheap_sandbox(), {}, WorkerRecord(settings.state), Gateway()
            services = Services(*parts, LazyRedactor({}), seal=Seal.of(settings))
            async with store.transaction() as tx:
                project = await tx.projects.create("bench")
                session = await tx.sessions.begin(project.id, 1, None, Role.SESSION, datetime.now(UTC))
                attempt = await tx.attempts.begin(session.id, "here", LEASE)
            home = folder / "home"
            home.mkdir()
            async with ConversationCopies(services, session.id, attempt, home, FILE) as copies:
                yield copies
    finally:
        await server.stop()


async def connect(session: GatewaySession) -> Client:
    """A kept-alive connection to the gateway."""
    reader, writer = await asyncio.open_connection("127.0.0.1", session.port)
    head = f"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1:{session.port}\r\nx-api-key: {session.token}\r\n"
    return Client(reader, writer, head)


async def measure(
    port: int, folder: Path, *, rounds: int, kilobytes: int, pause: float
) -> dict[str, list[float]]:
    """Milliseconds of each call, with the gate and without."""
    upstream, body = Upstream(Wire.ANTHROPIC, f"http://127.0.0.1:{port}", "key"), question(50, stream=False)
    figures: dict[str, list[float]] = {"without": [], "with": []}
    async with conversation(folder) as copies, Gateway() as gateway:
        policies = {
            "without": Policy(upstream=upstream),
            "with": Policy(upstream=upstream, before_question=copies.before_question),
        }
        async with gateway.open(policies["without"]) as one, gateway.open(policies["with"]) as other:
            clients = {"without": await connect(one), "with": await connect(other)}
            content, path = text(kilobytes * 1000), folder / "home" / FILE
            for number in range(rounds + 20):
                for name, client in clients.items():
                    content = grown(content, number)
                    await asyncio.to_thread(replace, path, content)
                    if pause:
                        copies.saved(AgentEvent(kind=AgentEventKind.SAVED, data={"file": FILE}))
                        await asyncio.sleep(pause)
                    _, took = await client.ask(body)
                    if number >= 20:  # The first ones warm up.
                        figures[name].append(took)
    return figures


def report(title: str, figures: dict[str, list[float]]) -> bool:
    """Print the figures; whether they are within the goal."""
    without, gated = figures["without"], figures["with"]
    added = statistics.median(gated) - statistics.median(without)
    tail = statistics.quantiles(gated, n=20)[-1] - statistics.quantiles(without, n=20)[-1]
    print(
        f"{title:16} without p50 {statistics.median(without):6.2f} ms   "
        f"with p50 {statistics.median(gated):6.2f} ms   added p50 {added:5.2f} ms, p95 {tail:5.2f} ms"
    )
    return added < GOAL_MS


def main() -> int:
    """Measure; the exit status says whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--kilobytes", type=int, nargs="+", default=[20, 200, 1000])
    parser.add_argument("--pause", type=float, default=10.0, help="milliseconds, for `in time`")
    args = parser.parse_args()
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port, good = ours.recv(), True
    try:
        for kilobytes in args.kilobytes:
            for when, pause in (("at once", 0.0), ("in time", args.pause / 1000)):
                with tempfile.TemporaryDirectory() as folder:
                    sizes = {"rounds": args.rounds, "kilobytes": kilobytes, "pause": pause}
                    figures = asyncio.run(measure(port, Path(folder), **sizes))
                met = report(f"{kilobytes:5} KB {when}", figures)
                good = good and (met or not pause)
    finally:
        server.terminate()
        server.join()
    print(f"goal: under {GOAL_MS} ms added at p50, in time: {'met' if good else 'missed'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
