"""The provider's key, where a provider repeats it."""

import pytest

from shiftwork.gateway import Upstream, Wire
from shiftwork.gateway.hiding import Hiding
from tests.unit.gateway_support import SECRET, played, request, running, send

STARS = b"*" * len(SECRET)


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_an_answer_that_repeats_the_key_passes_without_it(status, chunked):
    """If it failed, a provider's echo would give the agent the key that it must never hold."""
    body = b'{"error": {"message": "Incorrect API key provided: %b, %b"}}' % ((SECRET.encode(),) * 2)
    framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % len(body)
    # In two pieces, of which the first ends within the key.
    at = body.index(SECRET.encode()) + 9
    pieces = [body[:at], body[at:]]

    async def echo(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\nx-plain: yes\r\nx-echo: Bearer %b\r\n" % (status, SECRET.encode()))
        writer.write(framing + b"\r\n\r\n")
        for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
        writer.write(b"0\r\n\r\n" if chunked else b"")
        await reader.read()

    async with (
        played(echo) as server,
        running(upstream=Upstream(Wire.OPENAI, server.url, SECRET)) as run,
    ):
        answer = await send(run, request(run, "chat"))
    assert answer.status == status
    assert answer.body == body.replace(SECRET.encode(), STARS)
    assert answer.headers["x-plain"] == "yes"
    assert "x-echo" not in answer.headers
    assert [call.sent for call in run.calls] == [len(body)]


@pytest.mark.parametrize("size", range(1, 40))
def test_the_key_is_found_in_whatever_pieces_it_comes(size):
    """If it failed, the key would come through in halves."""
    body = f"sk sk-the {SECRET}{SECRET} sk-the-real-key-{SECRET} sk-the-real".encode()
    hiding = Hiding(f"Bearer {SECRET}")
    passed = [hiding.body(body[at : at + size]) for at in range(0, len(body), size)]
    assert b"".join([*passed, hiding.rest()]) == body.replace(SECRET.encode(), STARS)


@pytest.mark.parametrize("secret", [None, "key", "Bearer ollama"])
def test_what_is_no_secret_is_not_looked_for(secret):
    """If it failed, answers would be garbled where a local server is given a word in the place of a key."""
    hiding = Hiding(secret)
    assert hiding.body(b"the key of ollama") == b"the key of ollama"
    assert hiding.headers([("x", "key")]) == [("x", "key")]
