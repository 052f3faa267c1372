"""The gate: what passes it, and everything that must not."""

import asyncio
import base64
import contextlib
import gzip
import sys
from contextlib import asynccontextmanager

import aiohttp
import psutil
import pytest
from aiohttp import web
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads
from yarl import URL

from shiftwork.codec.choose import choose_codec
from shiftwork.codec.gate import BODY_LIMIT, Gate
from shiftwork.errors import StackError
from shiftwork.settings import Settings
from shiftwork.stack.strangers import MOST, Strangers

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"CANARY"')
JSON = {"Content-Type": "application/json"}


class Upstream:
    """A Web UI of the test's own, which remembers what came through."""

    def __init__(self):
        self.requests = []

    async def answer(self, request):
        self.requests.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        response = web.Response(text="<html>page", headers={"X-Kept": "1", "Connection": "close"})
        response.set_cookie("_csrf", "abc")
        return response


@pytest.fixture
async def upstream():
    """A running `Upstream`, with its address in `url`."""
    upstream = Upstream()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", upstream.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream.url = "http://{}:{}".format(*runner.addresses[0])
    yield upstream
    await runner.cleanup()


@pytest.fixture
async def codec(tmp_path):
    """With keys of the test's own."""
    return choose_codec(Settings(state=tmp_path / "state"), {})


@pytest.fixture
async def gate(codec, upstream):
    """Before the upstream."""
    async with Gate(codec, upstream.url) as gate:
        yield gate


@asynccontextmanager
async def asked(gate, method, path, **options):
    """An answer to a request with exactly these headers and cookies."""
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.request(
            method, URL(f"http://{gate.access.host}{path}", encoded=True), allow_redirects=False, **options
        ) as answer,
    ):
        yield answer


async def status(gate, method, path, **options):
    async with asked(gate, method, path, **options) as answer:
        return answer.status


def body(*payloads):
    return json_format.MessageToJson(Payloads(payloads=payloads))


def bearer(gate, **more):
    return {"Authorization": gate.access.authorization, **JSON, **more}


def cookie(gate, **more):
    return {
        "Cookie": f"{gate.access.cookie}={gate.access.pass_}",
        "Origin": gate.access.origin,
        **JSON,
        **more,
    }


@pytest.mark.parametrize("who", [bearer, cookie])
async def test_payloads_are_encoded_and_decoded(gate, who):
    """Temporal's tools would show people what only a program can read."""
    async with asked(gate, "POST", "/codec/encode", data=body(PLAIN), headers=who(gate)) as answer:
        encoded = await answer.text()
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert "CANARY" not in encoded
    assert base64.b64encode(PLAIN.data).decode() not in encoded
    path = "/codec/decode?preserveStorageRefs=true"  # as the Web UI asks
    async with asked(gate, "POST", path, data=encoded, headers=who(gate)) as answer:
        assert json_format.Parse(await answer.text(), Payloads()) == Payloads(payloads=[PLAIN])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"Authorization": "Bearer guess"}, 401),
        ({"Authorization": ""}, 401),
        ({"Authorization": "", "Cookie": "shiftwork-1=x"}, 401),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost"}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        *(
            ({"Content-Type": f"application/json; charset={name}"}, 415)
            for name in ("undefined", "utf-7", "hex", "idna", "nothing-at-all")
        ),
    ],
    ids=str,
)
async def test_who_is_not_meant_gets_nothing(gate, change, expected):
    """Any page in a browser, or any local user, would read what people sent."""
    headers = bearer(gate, **change)
    async with asked(gate, "POST", "/codec/decode", data=body(PLAIN), headers=headers) as answer:
        text = await answer.text()
        assert answer.status == expected
        assert not any(name.startswith("Access-Control") for name in answer.headers)
    assert gate.access.token not in text
    assert text.count("\n") == 1


async def test_a_cookie_alone_does_nothing(gate, upstream):
    """A form on any page of the loopback would act for the person who looks at it."""
    headers = cookie(gate)
    del headers["Origin"]
    assert await status(gate, "POST", "/codec/decode", data=body(PLAIN), headers=headers) == 401
    assert await status(gate, "POST", "/api/v1/namespaces/default/workflows/x", headers=headers) == 401
    assert await status(gate, "GET", "/", headers=headers) == 200
    assert [method for method, *_ in upstream.requests] == ["GET"]


async def test_a_browser_never_has_the_token(gate):
    """Cookies go to every port of an address: another user's server there would have the token."""
    async with asked(gate, "GET", f"/open/{gate.access.token}") as answer:
        cookie = answer.cookies[gate.access.cookie].value
    assert cookie == gate.access.pass_ != gate.access.token
    headers = {**JSON, "Authorization": f"Bearer {cookie}"}
    assert await status(gate, "POST", "/codec/decode", data=body(PLAIN), headers=headers) == 401
    headers = {**JSON, "Cookie": f"{gate.access.cookie}={gate.access.token}", "Origin": gate.access.origin}
    assert await status(gate, "POST", "/codec/decode", data=body(PLAIN), headers=headers) == 401
    assert await status(gate, "GET", f"/open/{cookie}") == 401


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the loopback has one address alone")
async def test_no_other_server_is_sent_the_cookie(gate, upstream):
    """Any web server on 127.0.0.1 would be sent what opens the gate."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(gate.ui_link):
            assert len(session.cookie_jar) >= 1
        async with session.get(f"{upstream.url}/elsewhere"):
            *_, (_, _, sent, _) = upstream.requests
            assert gate.access.cookie not in str(sent)


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/settings", "/open", "/open/", "/open//x", "//open/x", "/%2fopen/x"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE", "TRACE"])
async def test_nothing_passes_without_the_token(gate, upstream, path, method):
    """A path that the router knows by another name would be an open door."""
    assert await status(gate, method, path) in (401, 405)
    assert await status(gate, method, f"{path}?token=x", headers={"Origin": "http://evil"}) == 403
    assert upstream.requests == []


async def test_the_link_lets_a_browser_in(gate, upstream):
    """A person would have to type a token."""
    host = gate.access.host.partition(":")[0]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(f"{gate.ui_link}/namespaces/default/workflows/project-1?x=%20y") as answer:
            assert (answer.status, await answer.text()) == (200, "<html>page")
            assert str(answer.url) == f"{gate.access.origin}/namespaces/default/workflows/project-1?x=+y"
        [mine] = [c for c in session.cookie_jar if c.key == gate.access.cookie]
        assert (mine["httponly"], mine["samesite"], mine["domain"]) == (True, "Strict", host)
        async with session.get(f"{gate.access.origin}/api/v1/settings") as answer:
            assert answer.headers["X-Kept"] == "1"
            assert answer.headers["Referrer-Policy"] == "same-origin"
    assert [path for _, path, *_ in upstream.requests] == [
        "/namespaces/default/workflows/project-1?x=+y",
        "/api/v1/settings",
    ]


@pytest.mark.parametrize(
    "rest", ["//evil.example/x", "/%2F%2Fevil.example", "/\\evil.example", "/%5Cevil.example"]
)
async def test_the_link_leads_nowhere_else(gate, rest):
    """A crafted link would take a person to somebody else's page."""
    async with asked(gate, "GET", f"/open/{gate.access.token}{rest}") as answer:
        assert answer.status == 303
        assert answer.headers["Location"].startswith("/")
        assert answer.headers["Location"][1] not in "/\\"
    assert await status(gate, "GET", f"/open/guess{rest}") == 401


async def test_the_ui_never_sees_the_token(gate, upstream):
    """The token would be in the logs of another program."""
    headers = cookie(gate)
    headers["Cookie"] += "; _csrf=abc"
    path = "/api/v1/namespaces/default/workflows/x/signal?a=%2F"
    async with asked(gate, "POST", path, data=b"{}", headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Set-Cookie"].startswith("_csrf=abc")
    assert await status(gate, "GET", "//evil.example/", headers=bearer(gate)) == 200
    [(method, seen, sent, content), (_, other, *_)] = upstream.requests
    assert (method, seen, content) == ("POST", path, b"{}")
    assert other == "//evil.example/"
    assert gate.access.token not in str(sent)
    assert gate.access.pass_ not in str(sent)
    assert sent["Cookie"] == "_csrf=abc"
    assert sent["Host"] == upstream.url.removeprefix("http://")


@pytest.mark.parametrize(
    "content",
    ["", "{", "1", '{"payloads": 1}', '{"nothing": []}', b"\xff", "[" * 9999],
    ids=lambda content: repr(content[:20]),
)
async def test_junk_is_refused_in_one_sentence(gate, content):
    """A mistake of a tool would end in a traceback."""
    async with asked(gate, "POST", "/codec/decode", data=content, headers=bearer(gate)) as answer:
        assert answer.status == 400
        assert (await answer.text()).startswith('Send {"payloads": […]}')


async def test_what_was_changed_says_so(gate, codec):
    """A person would see a blank where somebody tampered."""
    [payload] = await codec.encode([PLAIN])
    payload.data = payload.data[:-1] + bytes([payload.data[-1] ^ 1])
    async with asked(gate, "POST", "/codec/decode", data=body(payload), headers=bearer(gate)) as answer:
        assert answer.status == 400
        assert "was changed after it was encoded" in await answer.text()


async def test_too_much_is_refused(gate):
    """One request would take all memory."""

    async def endless():
        for _ in range(BODY_LIMIT // 2**20 + 1):
            yield b" " * 2**20

    for path in ("/codec/decode", "/api/v1/x"):
        assert await status(gate, "POST", path, data=endless(), headers=bearer(gate)) == 413


async def test_a_ui_that_is_gone_is_told(codec):
    """A person would see a traceback while the server starts again."""
    async with Gate(codec, "http://127.0.0.1:1") as gate:
        assert await status(gate, "GET", "/", headers=bearer(gate)) == 502


async def test_without_codec_or_ui_there_is_less(codec, upstream):
    """With the codec switched off, or Temporal elsewhere, the other half would be missing too."""
    async with Gate(None, upstream.url) as gate:
        assert gate.codec_endpoint is None
        assert await status(gate, "GET", "/", headers=bearer(gate)) == 200
    async with Gate(codec, None) as gate:
        assert gate.ui_link is None
        assert await status(gate, "GET", "/", headers=bearer(gate)) == 404
        assert await status(gate, "POST", "/codec/encode", data=body(), headers=bearer(gate)) == 200
        ip, _, port = gate.access.host.partition(":")
        with pytest.raises(StackError, match=f"Port {port} for the Web UI can't be used"):
            await Gate(codec, None, ip=ip, port=int(port)).__aenter__()


async def test_it_listens_on_the_loopback_alone(gate):
    """Anybody on the network could try."""
    mine = psutil.Process().net_connections("inet")
    listening = [tuple(c.laddr) for c in mine if c.status == psutil.CONN_LISTEN]
    host, _, port = gate.access.host.partition(":")
    assert (host, int(port)) in listening
    assert all(host.startswith("127.") for host, _ in listening)


async def test_it_is_no_proxy(gate, upstream):
    """Whoever has the token could reach any other server from here."""
    reader, writer = await asyncio.open_connection(*gate.access.host.split(":"))
    head = (
        f"Host: {gate.access.host}\r\nAuthorization: {gate.access.authorization}\r\nConnection: close\r\n\r\n"
    )
    writer.write(f"GET http://evil.example/x HTTP/1.1\r\n{head}".encode())
    assert b" 400 " in (await reader.read()).split(b"\r\n")[0]
    writer.close()
    await writer.wait_closed()
    assert upstream.requests == []


async def closed(reader):
    """Wait for its end, however it comes."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(1000):
            pass


async def half_head(gate):
    reader, writer = await asyncio.open_connection(*gate.access.host.split(":"))
    writer.write(f"GET / HTTP/1.1\r\nHost: {gate.access.host}\r\nX-Slow: ".encode())
    return reader, writer


async def test_connections_that_ask_nothing_take_no_descriptors(gate, upstream):
    """Any local user could take all of them, and a killed worker would never be started again."""
    before = psutil.Process().num_fds()
    slow = [await half_head(gate) for _ in range(200)]
    assert len(gate.strangers) <= MOST
    assert await status(gate, "GET", "/", headers=bearer(gate)) == 200
    await asyncio.gather(*(closed(reader) for reader, _ in slow[:-MOST]))
    for _, writer in slow:
        writer.close()
    for _ in range(500):
        await asyncio.sleep(0.02)
        if psutil.Process().num_fds() <= before + 5 and not gate.strangers:
            break
    else:
        pytest.fail("Connections that ended keep their descriptors.")


@pytest.mark.parametrize("answered", [False, True], ids=["half a head", "refused, then half a head"])
async def test_a_stranger_does_not_stay(answered):
    """A request that is sent a byte a minute would hold its connection for ever."""
    async with Gate(None, "http://127.0.0.1:1", strangers=Strangers(seconds=0.3)) as gate:
        reader, writer = await half_head(gate)
        if answered:
            writer.write(b"x\r\n\r\n")
            assert b"401" in await reader.readline()
            writer.write(b"GET / HT")
        async with asyncio.timeout(100):
            await closed(reader)
        writer.close()


async def test_who_has_the_token_may_stay(codec, upstream):
    """A person's browser would be cut off in the middle of a page."""
    async with Gate(codec, upstream.url, strangers=Strangers(seconds=0.2)) as gate:
        reader, writer = await asyncio.open_connection(*gate.access.host.split(":"))
        head = f"Host: {gate.access.host}\r\nAuthorization: {gate.access.authorization}\r\n\r\n"
        for _ in range(3):
            writer.write(f"HEAD / HTTP/1.1\r\n{head}".encode())
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.3)
        writer.close()
        await writer.wait_closed()


def broken(gate, *lines):
    """A request of which the body is not what its head says."""
    head = "\r\n".join(("POST /codec/decode HTTP/1.1", f"Host: {gate.access.host}", *lines))
    return f"{head}\r\nContent-Type: application/json\r\n".encode()


async def test_what_is_no_http_is_not_logged(gate, caplog):
    """Any local user could fill the log, and a person's terminal."""
    for junk in (
        broken(gate, "Content-Encoding: gzip") + b"Content-Length: 2\r\n\r\n{}",
        broken(gate, "Content-Encoding: br") + b"Content-Length: 2\r\n\r\n{}",
        broken(gate, "Transfer-Encoding: chunked") + b"\r\n1\r\na\r\nZZ\r\n",
        broken(gate, "Transfer-Encoding: chunked") + b"\r\nZZ\r\n",
        b"POST / HTTP/1.1\r\nHost: evil\r\nContent-Encoding: deflate\r\nContent-Length: 4\r\n\r\nabcd",
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(*gate.access.host.split(":"))
        writer.write(junk)
        writer.write_eof()
        await closed(reader)
        writer.close()
    assert caplog.records == []


@pytest.mark.parametrize("path", ["/codec/decode", "/codec/encode"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
async def test_a_body_that_is_not_what_it_says_is_refused(gate, caplog, path, encoding):
    """A mistake of a tool would look like one of ours, and end in a traceback."""
    head = bearer(gate, **{"Content-Encoding": encoding, "Content-Length": "2"})
    reader, writer = await asyncio.open_connection(*gate.access.host.split(":"))
    lines = [f"POST {path} HTTP/1.1", f"Host: {gate.access.host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in head.items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n{}")
    assert b" 400 " in await reader.readline()
    await closed(reader)
    writer.close()
    assert caplog.records == []


async def test_a_packed_body_reaches_the_ui_as_it_is(gate, upstream):
    """The server behind would be told that it is packed, and given it unpacked."""
    packed = gzip.compress(b"x" * 1000)
    headers = bearer(gate, **{"Content-Encoding": "gzip"})
    assert await status(gate, "POST", "/api/v1/x", data=packed, headers=headers) == 200
    [(_, _, sent, content)] = upstream.requests
    assert (sent["Content-Encoding"], len(content)) == ("gzip", 1000)  # it unpacked that itself


async def test_a_broken_body_of_a_friend_is_told(gate, caplog):
    """A tool that ends a body in the middle would see an error of ours, and a person a traceback."""
    reader, writer = await asyncio.open_connection(*gate.access.host.split(":"))
    lines = (f"Authorization: {gate.access.authorization}", "Transfer-Encoding: chunked")
    writer.write(broken(gate, *lines) + b"\r\n1\r\na\r\nZZ\r\n")
    assert b" 400 " in await reader.readline()
    await closed(reader)
    writer.close()
    assert caplog.records == []
