"""Requests made to be misunderstood: each is refused, and the same request without the trick passes."""

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.gateway import Bounds, Outcome
from shiftwork.gateway.head import parse_head
from shiftwork.gateway.hosts import split_authority
from shiftwork.gateway.refusals import Refused
from shiftwork.gateway.routes import split_target
from tests.unit.gateway_support import (
    QUESTIONS,
    proxy_credential,
    read_answer,
    request,
    running,
    send,
)

BODY = json.dumps(QUESTIONS["messages"][2])
SIZE = f"content-length: {len(BODY)}"
PATH = "/v1/messages"
CHUNKED = f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n"


def written(run, *, line=f"POST {PATH} HTTP/1.1", host=None, fields=(SIZE,), body=BODY, end="\r\n") -> bytes:
    host = f"host: 127.0.0.1:{run.port}" if host is None else host.format(port=run.port)
    lines = [line, host, f"x-api-key: {run.session.token}", "connection: close", *fields, "", ""]
    return end.join(line for line in lines if line is not None).encode("latin-1") + body.encode("latin-1")


SMUGGLING = {
    "length and coding": {"fields": (SIZE, "transfer-encoding: chunked"), "body": CHUNKED},
    "coding and length": {"fields": ("transfer-encoding: chunked", SIZE), "body": CHUNKED},
    "two lengths": {"fields": (SIZE, "content-length: 5")},
    "two equal lengths": {"fields": (SIZE, SIZE)},
    "a list of lengths": {"fields": (f"content-length: {len(BODY)}, {len(BODY)}",)},
    "a signed length": {"fields": (f"content-length: +{len(BODY)}",)},
    "a negative length": {"fields": ("content-length: -1",)},
    "a length in hexadecimal": {"fields": (f"content-length: 0x{len(BODY):x}",)},
    "a length with a leading zero": {"fields": (f"content-length: 0{len(BODY)}",)},
    "a length with an underscore": {"fields": ("content-length: 1_0",)},
    "an endless length": {"fields": (f"content-length: {'9' * 30}",)},
    "another digit": {"fields": ("content-length: \xb2",)},
    "an empty length": {"fields": ("content-length:",)},
    "two codings": {"fields": ("transfer-encoding: chunked", "transfer-encoding: identity"), "body": CHUNKED},
    "a list of codings": {"fields": ("transfer-encoding: gzip, chunked",), "body": CHUNKED},
    "identity": {"fields": ("transfer-encoding: identity",)},
    "a coding with a tail": {"fields": ("transfer-encoding: chunked;x",), "body": CHUNKED},
    "a vertical tab before chunked": {"fields": ("transfer-encoding: \x0bchunked",), "body": CHUNKED},
    "a quoted coding": {"fields": ('transfer-encoding: "chunked"',), "body": CHUNKED},
    "a blank before the colon": {"fields": ("transfer-encoding : chunked",), "body": CHUNKED},
    "a blank in a name": {"fields": (SIZE, "transfer encoding: chunked")},
    "a blank before a name": {"fields": (SIZE, " transfer-encoding: chunked")},
    "a folded value": {"fields": (SIZE, "x-a: b", " c")},
    "a folded coding": {"fields": ("transfer-encoding:", " chunked"), "body": CHUNKED},
    "a folded coding by tab": {"fields": ("transfer-encoding:", "\tchunked"), "body": CHUNKED},
    "no name": {"fields": (SIZE, ": x")},
    "no colon": {"fields": (SIZE, "x-a")},
    "a zero byte in a value": {"fields": (SIZE, "x-a: b\x00c")},
    "a zero byte in a name": {"fields": (SIZE, "x-\x00a: b")},
    "a bare return in a value": {"fields": (SIZE, "x-a: b\rtransfer-encoding: chunked")},
    "a bare newline": {"fields": (SIZE, "x-a: b\ntransfer-encoding: chunked")},
    "an escape": {"fields": (SIZE, "x-a: \x1b[2J")},
    "a delete": {"fields": (SIZE, "x-a: \x7f")},
    "a byte over ASCII": {"fields": (SIZE, "x-a: \xe9")},
    "bare newlines only": {"end": "\n", "body": "x\r\n\r\n"},
    "an empty line first": {"line": f"\r\nPOST {PATH} HTTP/1.1"},
    "a chunk with an extension": {
        "fields": ("transfer-encoding: chunked",),
        "body": CHUNKED.replace("\r\n", ";a=b\r\n", 1),
    },
    "a chunk's size signed": {"fields": ("transfer-encoding: chunked",), "body": f"+{CHUNKED}"},
    "a chunk's size with 0x": {"fields": ("transfer-encoding: chunked",), "body": f"0x{CHUNKED}"},
    "a chunk's size with a blank": {"fields": ("transfer-encoding: chunked",), "body": f" {CHUNKED}"},
    "a chunk's size that overflows": {
        "fields": ("transfer-encoding: chunked",),
        "body": f"10000000000000002\r\n{BODY}",
    },
    "a chunk's size empty": {"fields": ("transfer-encoding: chunked",), "body": f"\r\n{CHUNKED}"},
    "a negative chunk": {"fields": ("transfer-encoding: chunked",), "body": f"-1\r\n{CHUNKED}"},
    "a chunk ended by newline": {
        "fields": ("transfer-encoding: chunked",),
        "body": CHUNKED.replace("\r\n", "\n", 1),
    },
    "a chunk without its end": {
        "fields": ("transfer-encoding: chunked",),
        "body": f"{len(BODY) - 1:x}\r\n{BODY}\r\n0\r\n\r\n",
    },
    "an expectation nobody knows": {"fields": (SIZE, "expect: 200-ok")},
    "two expectations": {"fields": (SIZE, "expect: 100-continue", "expect: 100-continue")},
}

LINES = {
    name: {"line": line}
    for name, line in {
        "HTTP/0.9": f"POST {PATH}",
        "HTTP/1.0": f"POST {PATH} HTTP/1.0",
        "HTTP/2.0": f"POST {PATH} HTTP/2.0",
        "HTTP/1.10": f"POST {PATH} HTTP/1.10",
        "http in small letters": f"POST {PATH} http/1.1",
        "two blanks": f"POST  {PATH} HTTP/1.1",
        "a tab": f"POST\t{PATH} HTTP/1.1",
        "a blank in the path": f"POST {PATH} x HTTP/1.1",
        "a small method": f"post {PATH} HTTP/1.1",
        "a method with a zero byte": f"PO\x00ST {PATH} HTTP/1.1",
        "an unknown method": f"TRACE {PATH} HTTP/1.1",
        "another method": f"GET {PATH} HTTP/1.1",
        "an asterisk": "OPTIONS * HTTP/1.1",
        "dots": "POST /v1/x/../messages HTTP/1.1",
        "leading dots": "POST /../v1/messages HTTP/1.1",
        "a single dot": "POST /v1/./messages HTTP/1.1",
        "trailing dots": "POST /v1/messages/.. HTTP/1.1",
        "encoded dots": "POST /v1/x/%2e%2e/messages HTTP/1.1",
        "dots encoded twice": "POST /v1/x/%252e%252e/messages HTTP/1.1",
        "an encoded slash": "POST /v1%2fmessages HTTP/1.1",
        "an encoded zero byte": "POST /v1/messages%00 HTTP/1.1",
        "an encoded letter": "POST /v1/m%65ssages HTTP/1.1",
        "an overlong dot": "POST /v1/x/%c0%ae%c0%ae/messages HTTP/1.1",
        "a backslash": "POST /v1\\messages HTTP/1.1",
        "dots by backslash": "POST /v1/x\\..\\messages HTTP/1.1",
        "an encoded backslash": "POST /v1/x/..%5cmessages HTTP/1.1",
        "two slashes first": "POST //v1/messages HTTP/1.1",
        "another host by slashes": "POST //evil.example/v1/messages HTTP/1.1",
        "two slashes within": "POST /v1//messages HTTP/1.1",
        "a parameter": "POST /v1/messages;x=/../files HTTP/1.1",
        "a fragment": "POST /v1/messages#/../files HTTP/1.1",
        "an at sign": "POST /@evil.example/v1/messages HTTP/1.1",
        "a trailing slash": "POST /v1/messages/ HTTP/1.1",
        "capitals": "POST /V1/Messages HTTP/1.1",
        "an odd query": "POST /v1/messages?a=%0d%0ax:y&beta=\\ HTTP/1.1",
        "no slash": "POST v1/messages HTTP/1.1",
        "a path as authority": "POST evil.example:80 HTTP/1.1",
        "an absolute URL": "POST http://evil.example/v1/messages HTTP/1.1",
        "an absolute URL of the provider": "POST http://api.anthropic.com/v1/messages HTTP/1.1",
        "an absolute URL of ours": "POST http://127.0.0.1:{port}/v1/messages HTTP/1.1",
        "an absolute URL by https": "POST https://evil.example/v1/messages HTTP/1.1",
        "a file": "GET file:///etc/passwd HTTP/1.1",
        "gopher": "GET gopher://127.0.0.1:6379/_x HTTP/1.1",
        "a tunnel": "CONNECT evil.example:443 HTTP/1.1",
        "a long target": f"POST /v1/{'a' * 9000} HTTP/1.1",
        "the preface of HTTP/2": "PRI * HTTP/2.0",
    }.items()
}

HOSTS = {
    "no host": {"host": "x-nothing: here"},
    "two hosts": {"host": "host: 127.0.0.1:{port}\r\nhost: evil.example"},
    "two equal hosts": {"host": "host: 127.0.0.1:{port}\r\nhost: 127.0.0.1:{port}"},
    "another host": {"host": "host: evil.example"},
    "another port": {"host": "host: 127.0.0.1:1"},
    "a name that resolves to loopback": {"host": "host: localtest.me:{port}"},
    "a trailing dot": {"host": "host: localhost.:{port}"},
    "a user": {"host": "host: evil@127.0.0.1:{port}"},
    "an empty host": {"host": "host:"},
    "a list of hosts": {"host": "host: 127.0.0.1:{port}, evil.example"},
}

SIZES = {
    "many headers": {"fields": (SIZE, *(f"x-{n}: y" for n in range(200)))},
    "one large header": {"fields": (SIZE, f"x-a: {'b' * 100_000}")},
    "a large body by length": {"fields": (f"content-length: {10**9}",)},
    "a large body by chunks": {
        "fields": ("transfer-encoding: chunked",),
        "body": "10000\r\n" + "x" * 65536 + "\r\n1\r\nx\r\n0\r\n\r\n",
    },
}

CORPUS = {**SMUGGLING, **LINES, **HOSTS, **SIZES}
CONTROLS = {
    "plain": {},
    "chunked": {"fields": ("transfer-encoding: chunked",), "body": CHUNKED},
    "chunks in capitals": {"fields": ("Transfer-Encoding: Chunked",), "body": CHUNKED.upper()},
    "an expectation": {"fields": (SIZE, "expect: 100-continue")},
    "blanks around a value": {"fields": (SIZE, "x-a: \t b c \t")},
    "localhost": {"host": "host: localhost:{port}"},
    "a query": {"line": f"POST {PATH}?beta=true HTTP/1.1"},
    "an empty value": {"fields": (SIZE, "x-a:")},
}
BOUNDS = Bounds(body=65_536)


@pytest.mark.parametrize("name", CORPUS)
async def test_a_request_that_can_be_misread_goes_nowhere(name):
    """If it failed, what the gateway checks would not be what the provider gets."""
    case = dict(CORPUS[name])
    async with running(bounds=BOUNDS) as run:
        if "line" in case:
            case["line"] = case["line"].replace("{port}", str(run.port))
        answer = await send(run, written(run, **case))
        assert 400 <= answer.status < 600
        assert answer.headers["connection"] == "close"
        assert answer.json["type"] == "error"
        assert run.model.requests == []
    assert [call.outcome for call in run.calls] == [Outcome.REFUSED]


@pytest.mark.parametrize("name", CONTROLS)
async def test_the_same_request_without_a_trick_passes(name):
    """If it failed, the tests of tricks would prove nothing."""
    async with running(bounds=BOUNDS) as run:
        case = CONTROLS[name]
        if "capitals" in name:
            case = {**case, "body": CHUNKED.replace(f"{len(BODY):x}", f"{len(BODY):X}", 1)}
        answer = await send(run, written(run, **case))
        assert answer.status == 200
        assert len(run.model.requests) == 1


async def test_nothing_after_a_refusal_is_read_as_a_request():
    """If it failed, a refused body could hold a second request that is then answered."""
    async with running() as run:
        smuggled = request(run)
        data = written(run, fields=("content-length: 5", "transfer-encoding: chunked"), body="0\r\n\r\n")
        assert (await send(run, data + smuggled)).status == 400
        assert run.model.requests == []
        assert len(run.calls) == 1


async def test_what_follows_a_body_is_a_request_of_its_own():
    """If it failed, the length of a body would not be kept to."""
    async with running() as run:
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        first = request(run, connection="keep-alive")
        writer.write(first + b"GET /nowhere HTTP/1.1\r\n" + f"host: 127.0.0.1:{run.port}\r\n\r\n".encode())
        assert [(await read_answer(reader)).status for _ in range(2)] == [200, 401]
        writer.close()
        assert len(run.model.requests) == 1


async def test_a_body_that_breaks_off_reaches_no_provider_whole():
    """If it failed, half of a question would be asked, and paid."""
    async with running() as run:
        for body in (CHUNKED[:-9], "40000\r\n" + "x" * 0x40000 + "\r\nzz\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
            writer.write(written(run, fields=("transfer-encoding: chunked",), body=body))
            writer.write_eof()
            await reader.read()
            writer.close()
        assert run.model.requests == []
    assert [call.outcome for call in run.calls] == [Outcome.ABANDONED, Outcome.REFUSED]


@pytest.mark.parametrize("wait", ["head", "body"])
async def test_a_client_that_stands_still_is_let_go(wait):
    """If it failed, slow clients would hold every connection."""
    bounds = replace(BOUNDS, head=0.2, stall=0.2)
    async with running(bounds=bounds) as run:
        data = written(run)
        answer = await send(run, data[:40] if wait == "head" else data[:-5])
        assert (answer.status, answer.headers["x-shiftwork-refused"]) == (408, "too-slow")
        assert run.model.requests == []


async def test_an_idle_connection_is_closed():
    """If it failed, connections without a request would add up."""
    async with running(bounds=replace(BOUNDS, idle=0.1)) as run:
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        async with asyncio.timeout(100):
            assert await reader.read() == b""
        writer.close()
    assert run.calls == []


async def test_there_are_only_so_many_connections():
    """If it failed, an agent could take every descriptor of the worker."""
    async with running(bounds=replace(BOUNDS, connections=3)) as run:
        held = [await asyncio.open_connection("127.0.0.1", run.port) for _ in range(3)]
        for reader, writer in held:
            writer.write(written(run).replace(b"connection: close\r\n", b""))
            assert await reader.readexactly(12) == b"HTTP/1.1 200"
        answer = await send(run, written(run))
        assert (answer.status, answer.headers["x-shiftwork-refused"]) == (503, "busy")
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.05)
        assert (await send(run, written(run))).status == 200


@pytest.mark.parametrize("begun", [b"", b"POST /v1/mess"], ids=["silent", "half a head"])
async def test_strangers_do_not_shut_a_session_out(begun):
    """If it failed, any user of the machine could keep an agent from its model, where no door is."""
    async with running(bounds=replace(BOUNDS, connections=3)) as run:
        strangers = [await asyncio.open_connection("127.0.0.1", run.port) for _ in range(9)]
        for _, writer in strangers:
            writer.write(begun)
        await asyncio.sleep(0.05)
        assert (await send(run, written(run))).status == 200
        for _, writer in strangers:
            writer.close()


async def test_a_stranger_stays_for_a_while_alone():
    """If it failed, connections without a token would pile up until no descriptor is left."""
    async with running(bounds=replace(BOUNDS, stranger=0.1)) as run:
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(b"POST /v1/mess")
        async with asyncio.timeout(100):
            assert await reader.read() == b""
        writer.close()


async def test_the_proxys_credential_is_no_credential_for_a_model():
    """If it failed, a page that makes a browser use the proxy could ask models."""
    async with running() as run:
        data = written(run, fields=(SIZE, f"proxy-authorization: {proxy_credential(run)}"))
        data = data.replace(f"x-api-key: {run.session.token}\r\n".encode(), b"")
        assert (await send(run, data)).status == 401


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.sampled_from(
            ["POST", " ", "/v1", "HTTP/1.1", "\r\n", "\n", "a", ":", "host", "\x00", "\xff", "%2e", "1"]
        )
    )
    | st.lists(st.characters(max_codepoint=255))
)
def test_no_head_is_a_riddle(parts):
    """If it failed, some request would end in a traceback, or be read in another way than it was sent."""
    data = "".join(parts).encode("latin-1") + b"\r\n\r\n"
    for head in (data, b"POST / HTTP/1.1\r\n" + data):
        try:
            read = parse_head(head)
        except Refused:
            continue
        told = head.decode().split("\r\n")
        assert told[0] == f"{read.method} {read.target} HTTP/1.{read.minor}"
        assert len(told) == len(read.headers) + 3


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.text())
def test_no_target_and_no_host_is_a_riddle(text):
    """If it failed, an odd path or host would end in a traceback, or pass."""
    found = split_authority(text)
    assert found is None or found[0] == text.lower().partition(":")[0]
    try:
        path, query = split_target(f"/{text}")
    except Refused:
        return
    assert f"/{text}" == path + (f"?{query}" if "?" in text else "")
    assert not set("\\%@#;") & set(path)
