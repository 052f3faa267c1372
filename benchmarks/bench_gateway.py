"""What the gateway adds to a call: whole answers and the first streamed byte, against a direct call.

Direct calls and calls through the gateway alternate in one run, over kept-alive connections, with the same
client and the same scripted provider. The provider and the client are in processes of their own, so that
what is measured is not their share of the gateway's event loop.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from shiftwork.gateway import Gateway, Policy, Upstream, Wire

GOAL_MS = 3.0
EVENTS = 20
DELTA = b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {"text": "word "}}\n\n'
START = (
    b'event: message_start\ndata: {"type": "message_start", '
    b'"message": {"model": "m", "usage": {"input_tokens": 9}}}\n\n'
)
STOP = b'event: message_delta\ndata: {"type": "message_delta", "usage": {"output_tokens": 9}}\n\n'
WHOLE = json.dumps({"model": "m", "content": [], "usage": {"input_tokens": 9, "output_tokens": 9}}).encode()


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer at once; a streamed answer has a pause behind its first event, as a model's has."""
    head = "HTTP/1.1 200 OK\r\ncontent-type: {}\r\n{}\r\n\r\n"
    try:
        while data := await reader.readuntil(b"\r\n\r\n"):
            fields = dict(line.lower().split(": ", 1) for line in data.decode().split("\r\n")[1:] if line)
            body = await reader.readexactly(int(fields["content-length"]))
            if b'"stream": true' in body:
                writer.write(
                    head.format("text/event-stream", "transfer-encoding: chunked").encode() + chunk(START)
                )
                await asyncio.sleep(0.002)
                writer.write(chunk(DELTA) * EVENTS + chunk(STOP) + b"0\r\n\r\n")
            else:
                writer.write(
                    head.format("application/json", f"content-length: {len(WHOLE)}").encode() + WHOLE
                )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def serve(pipe: Connection) -> None:
    """The provider's process; tells its port."""

    async def main() -> None:
        server = await asyncio.start_server(provider, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@dataclass
class Client:
    """One kept-alive connection; what it measures is in milliseconds."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: str

    async def ask(self, body: bytes) -> tuple[float, float]:
        """To the first byte of the body, and to its end."""
        started = time.perf_counter()
        self.writer.write(f"{self.head}content-length: {len(body)}\r\n\r\n".encode() + body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        if b"content-length" in head:
            await self.reader.readexactly(len(WHOLE))
            first = time.perf_counter()
        else:
            size = await self.reader.readuntil(b"\r\n")
            first = time.perf_counter()
            while int(size, 16):
                await self.reader.readexactly(int(size, 16) + 2)
                size = await self.reader.readuntil(b"\r\n")
            await self.reader.readexactly(2)
        return (first - started) * 1e3, (time.perf_counter() - started) * 1e3


def question(kilobytes: int, *, stream: bool) -> bytes:
    """A question of about this size."""
    messages = [{"role": "user", "content": "x" * 1000} for _ in range(kilobytes)]
    return json.dumps({"model": "m", "stream": stream, "messages": messages}).encode()


def measure(pipe: Connection, *, direct: int, through: int, token: str, rounds: int, kilobytes: int) -> None:
    """The client's process; tells the figures."""

    async def connect(port: int) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-api-key: {token}\r\n"
        return Client(reader, writer, head)

    async def main() -> dict[str, list[float]]:
        clients = {"direct": await connect(direct), "gateway": await connect(through)}
        figures: dict[str, list[float]] = {}
        for number in range(rounds + 20):
            for stream in (False, True):
                body = question(kilobytes, stream=stream)
                for name, client in clients.items():
                    first, whole = await client.ask(body)
                    if number >= 20:  # The first ones warm up.
                        kind = "first byte" if stream else "call"
                        figures.setdefault(f"{name} {kind}", []).append(first if stream else whole)
        return figures

    pipe.send(asyncio.run(main()))


async def through_gateway(
    context: multiprocessing.context.SpawnContext, rounds: int, kilobytes: int
) -> dict[str, list[float]]:
    """Run provider, gateway and client, and return the client's figures."""
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = await asyncio.to_thread(ours.recv)
    upstream = Upstream(Wire.ANTHROPIC, f"http://127.0.0.1:{port}", "key")
    try:
        async with Gateway() as gateway, gateway.open(Policy(upstream=upstream)) as session:
            ours, theirs = context.Pipe()
            task = {
                "direct": port,
                "through": int(session.url.rpartition(":")[2]),
                "token": session.token,
                "rounds": rounds,
                "kilobytes": kilobytes,
            }
            client = context.Process(target=measure, args=(theirs,), kwargs=task)
            client.start()
            figures: dict[str, list[float]] = await asyncio.to_thread(ours.recv)
            client.join()
            return figures
    finally:
        server.terminate()
        server.join()


def report(figures: dict[str, list[float]]) -> bool:
    """Print the figures; whether both are within the goal."""
    good = True
    for kind in ("call", "first byte"):
        direct, through = figures[f"direct {kind}"], figures[f"gateway {kind}"]
        added = statistics.median(through) - statistics.median(direct)
        tail = statistics.quantiles(through, n=20)[-1] - statistics.quantiles(direct, n=20)[-1]
        good = good and added < GOAL_MS
        print(
            f"{kind:11} direct p50 {statistics.median(direct):6.2f} ms   "
            f"gateway p50 {statistics.median(through):6.2f} ms   "
            f"added p50 {added:5.2f} ms, p95 {tail:5.2f} ms"
        )
    return good


def main() -> int:
    """Measure; the exit status says whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--kilobytes", type=int, default=50, help="the size of a question")
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    figures = asyncio.run(through_gateway(context, args.rounds, args.kilobytes))
    good = report(figures)
    print(f"goal: under {GOAL_MS} ms added at p50: {'met' if good else 'missed'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
