"""Who has no token can't keep our HTTP servers from those who have one, nor be read in two ways."""

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shiftwork.stack.strangers import MOST, SECONDS
from tests.integration.rest_support import COMMAND, environment

ASKS = {"api": "GET /api/health", "mcp": "POST /mcp"}
HALF = b"GET /api/health HTTP/1.1\r\nHost: x\r\nX-"


@pytest.fixture(scope="module", params=ASKS)
def asked(request, tmp_path_factory) -> Iterator[tuple[tuple[str, int], str]]:
    """A server without a stack, and the head of a request of who knows its token."""
    arguments = [request.param, *(["--http"] if request.param == "mcp" else []), "--json"]
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(tmp_path_factory.mktemp("home") / "state"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        told = json.loads(process.stdout.readline())
        host, port = told["url"].removeprefix("http://").partition("/")[0].split(":")
        token = Path(told["token_file"]).read_text().strip()
        head = (
            f"{ASKS[request.param]} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\n"
        )
        yield (host, int(port)), head
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
    assert (process.returncode, out, err) == (0, "", "")


def answers(place: tuple[str, int], data: str, seconds: float = 100.0) -> tuple[list[int], bool]:
    """The statuses of the answers to these bytes, and whether the connection was ended."""
    with socket.create_connection(place, timeout=seconds) as connection:
        connection.sendall(data.encode())
        got, ended = b"", False
        try:
            while not ended:
                piece = connection.recv(65536)
                got, ended = got + piece, not piece
        except TimeoutError:
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", got)], ended


def test_who_sends_nothing_keeps_nobody_out(asked) -> None:
    """If it failed, any program of this machine could shut the interface for its owner."""
    place, head = asked
    with ExitStack() as opened:
        crowd = []
        for number in range(300):
            stranger = opened.enter_context(socket.create_connection(place, timeout=100))
            if number % 2:
                stranger.sendall(HALF)
            crowd.append(stranger)
        statuses, _ = answers(place, f"{head}Connection: close\r\nContent-Length: 2\r\n\r\n{{}}")
        assert len(statuses) == 1
        assert statuses[0] != 503
        assert sum(_is_open(each) for each in crowd) <= MOST
        until = time.monotonic() + SECONDS + 100
        while any(_is_open(each) for each in crowd):
            assert time.monotonic() < until
            time.sleep(0.2)


def _is_open(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_who_knows_the_token_may_stay(asked) -> None:
    """If it failed, a stream of events would end after a few seconds."""
    place, head = asked
    with socket.create_connection(place, timeout=100) as connection:
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n".encode())
        time.sleep(SECONDS + 1)
        assert _is_open(connection)


@pytest.mark.parametrize(
    "rest",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "Content-Length: 2, 2\r\n\r\n{}",
        "X-A: b\nX-B: c\r\nContent-Length: 2\r\n\r\n{}",
        "X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
        "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-A: b\r\n\r\n",
    ],
)
def test_what_may_be_read_in_two_ways_is_refused(asked, rest) -> None:
    """If it failed, a proxy before a server would see other requests in its bytes than the server does."""
    place, head = asked
    statuses, ended = answers(place, f"{head}{rest}GET /api/health HTTP/1.1\r\nHost: a\r\n\r\n")

    assert statuses == [400]
    assert ended


def test_chunks_of_old_are_refused(asked) -> None:
    """If it failed, a reader of HTTP/1.0 would take a body for the next request."""
    place, head = asked
    data = f"{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"

    assert answers(place, data.replace("HTTP/1.1", "HTTP/1.0")) == ([400], True)
