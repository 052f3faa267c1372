"""What it adds to an answer that its cost is in the database before its end is passed on.

Calls that are counted and written later, and calls whose end waits until it is written, alternate in one
run, with the same client and the same scripted provider. The floor is a transaction that writes the same and
nothing else.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench_conversations import LEASE, connect
from bench_gateway import question, serve

from activities.ending import AttemptRows
from activities.metering import Meter
from activities.orphans import WorkerRecord
from activities.services import Services
from activities.stop import Stop
from shiftwork.contracts.session import Role
from shiftwork.gateway import Call, Gateway, Policy, Tokens, Upstream, Wire
from shiftwork.sandbox.choose import cheap_sandbox
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.stack.postgres import EmbeddedPostgres
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store

GOAL = 2.0
"""Times the floor that an answer may take longer, at the median."""
CALL = Call(kind="messages", model="m", tokens=Tokens(input=9, output=9))
WARM_UP = 20


@asynccontextmanager
async def metered(folder: Path) -> AsyncIterator[Meter]:
    """What counts the calls of one attempt, over a database that keeps what it is told (fsync)."""
    settings = Settings(state=folder / "state")
    server = EmbeddedPostgres(folder / "postgres")
    await server.start()
    try:
        await migrate(server.url())
        async with Store(server.url()) as store:
            parts = settings, store, cheap_sandbox(), {}, WorkerRecord(settings.state), Gateway()
            async with store.transaction() as tx:
                project = await tx.projects.create("bench")
                session = await tx.sessions.begin(project.id, 1, None, Role.SESSION, datetime.now(UTC))
                attempt = await tx.attempts.begin(session.id, "here", LEASE)
            rows = AttemptRows(project, None, session, attempt, project.options.agent)
            async with Meter(Services(*parts, LazyRedactor({})), rows, Stop()) as meter:
                yield meter
    finally:
        await server.stop()


async def measure(port: int, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call to its end, with the wait and without, and of the floor."""
    upstream = Upstream(Wire.ANTHROPIC, f"http://127.0.0.1:{port}", "key")
    figures: dict[str, list[float]] = {}
    async with metered(folder) as meter, Gateway() as gateway:
        later = Policy(upstream=upstream, on_call=meter.count)
        first = Policy(upstream=upstream, on_call=meter.count, settle=meter.settle)
        async with gateway.open(later) as one, gateway.open(first) as other:
            clients = {"later": await connect(one), "first": await connect(other)}
            for number in range(rounds + WARM_UP):
                for kind in ("whole", "stream"):
                    for name, client in clients.items():
                        _, took = await client.ask(question(50, stream=kind == "stream"))
                        if number >= WARM_UP:
                            figures.setdefault(f"{name} {kind}", []).append(took)
                        await meter.settle()
                began = time.perf_counter()
                meter.count(CALL)
                await meter.settle()
                if number >= WARM_UP:
                    figures.setdefault("floor", []).append((time.perf_counter() - began) * 1e3)
    return figures


def report(figures: dict[str, list[float]]) -> bool:
    """Print the figures; whether they are within the goal."""
    good, floor = True, statistics.median(figures["floor"])
    print(f"floor: a transaction p50 {floor:.2f} ms")
    for kind in ("whole", "stream"):
        later, first = (statistics.median(figures[f"{name} {kind}"]) for name in ("later", "first"))
        ratio = (first - later) / floor
        good = good and ratio < GOAL
        print(
            f"{kind:7} written later p50 {later:6.2f} ms   written first p50 {first:6.2f} ms   "
            f"added {first - later:5.2f} ms, {ratio:.2f} of the floor"
        )
    return good


def main() -> int:
    """Measure; the exit status says whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            good = report(asyncio.run(measure(ours.recv(), Path(folder), args.rounds)))
    finally:
        server.terminate()
        server.join()
    print(f"goal: under {GOAL} transactions added at p50: {'met' if good else 'missed'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
