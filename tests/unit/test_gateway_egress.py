"""The forward proxy: listed hosts and nothing else, whatever the trick."""

import asyncio

import pytest

from shiftwork.errors import InvalidInput
from shiftwork.gateway import Bounds, Outcome, Policy, Upstream, Wire
from shiftwork.gateway.hosts import is_public, split_authority
from tests.unit.gateway_support import (
    PUBLIC,
    Played,
    internet,
    played,
    proxy_credential,
    read_answer,
    read_head,
    running,
    send,
    until_end,
)

LISTED = (
    "packages.example",
    "*.hosted.example",
    "registry.example:8443",
    "rebound.example",
    "mixed.example",
    "gone.example",
)
NAMES = {
    "packages.example": [PUBLIC, "2606:2800:220:1::1"],
    "files.hosted.example": [PUBLIC],
    "registry.example": [PUBLIC],
    "evil.example": [PUBLIC],
    "rebound.example": ["127.0.0.1"],
    "mixed.example": [PUBLIC, "169.254.169.254"],
}

REFUSED_ADDRESSES = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:93.184.216.34",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::5db8:d822",
    "64:ff9b:1::1",
    "2600::5efe:10.0.0.1",
    "2600::200:5efe:7f00:1",
    "2001:db8::5efe:1.1.1.1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:5db8:d822::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "2606:2800:220:1::1%eth0",
    "fec0::1",
    "ff02::1",
    "4000::1",
    "",
    "localhost",
    "0x7f000001",
    "2130706433",
    "0177.0.0.1",
    "127.1",
]

BAD_HOSTS = [
    "",
    "127.0.0.1",
    "93.184.216.34",
    "127.1",
    "0",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "1.2.3.0x4",
    "packages.example.0x",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[fd00::1]",
    "::1",
    "packages.example.",
    ".packages.example",
    "pypi..org",
    "-packages.example",
    "pypi-.org",
    "user@packages.example",
    "user:x@packages.example",
    "packages.example@evil.example",
    "packages.example\\evil.example",
    "packages.example#evil.example",
    "packages.example?evil.example",
    "packages.example%00.evil.example",
    "pypi%2eorg",
    "pypi\u3002org",
    "pyp\u0456.org",
    "\uff50ypi.org",
    "\u2488org",
    "packages.example:0",
    "packages.example:",
    "packages.example:+443",
    "packages.example:0443",
    "packages.example:65536",
    "packages.example:443:443",
    "packages.example:\u0664",
    "*",
    "*.org",
    "a" * 64 + ".org",
    "a." * 127 + "org",
]


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_an_address_that_is_not_of_the_internet_is_refused(address):
    """If it failed, a name could lead into the worker's own network, or to a cloud's credentials."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "1.1.1.1", "2606:2800:220:1::1", "2a00:1450::1", "2600::5efe:1.1.1.1"]
)
def test_an_address_of_the_internet_is_not(address):
    """If it failed, listed hosts could not be reached."""
    assert is_public(address)


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_a_host_that_is_no_plain_name_is_none(host):
    """If it failed, two readers could take a host for different ones."""
    assert split_authority(host) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PackAges.example", ("packages.example", None)),
        ("packages.example:443", ("packages.example", 443)),
        ("localhost:1", ("localhost", 1)),
        ("xn--bcher-kva.example", ("xn--bcher-kva.example", None)),
        ("a_b.example", ("a_b.example", None)),
        ("3m.com", ("3m.com", None)),
    ],
)
def test_a_plain_name_is_read(text, expected):
    """If it failed, hosts could not be listed."""
    assert split_authority(text) == expected


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "**",
        "*:443",
        "*.",
        "*.org",
        "127.0.0.1",
        "a.*.org",
        "https://packages.example",
        "packages.example/simple",
    ],
)
def test_a_pattern_that_means_too_much_is_refused(pattern):
    """If it failed, a slip in the settings would open everything."""
    with pytest.raises(InvalidInput, match="host pattern"):
        Policy(hosts=(pattern,))


@pytest.mark.parametrize(
    "url",
    ["", "api.example", "ftp://x", "http://", "http://u:p@x", "http://x?y", "http://x:99999", "http://x y"],
)
def test_a_base_url_that_cannot_work_is_refused(url):
    """If it failed, every question to the model would fail with a riddle."""
    with pytest.raises(InvalidInput, match="base URL"):
        Upstream(Wire.OPENAI, url)


def test_a_provider_at_another_host_is_refused():
    """If it failed, a project's settings could send the key to a host that nobody allowed."""
    Policy(upstream=Upstream(Wire.OPENAI, "https://API.openai.com/v1"), model_hosts=("api.openai.com",))
    with pytest.raises(InvalidInput, match="not among those allowed"):
        Policy(upstream=Upstream(Wire.OPENAI, "https://evil.example/v1"), model_hosts=("api.openai.com",))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Played) -> None:
    while data := await reader.read(4096):
        seen.received += data
        writer.write(data)
    seen.ended.set()


def connect(run, target, *, host=None, credential=None, version="1.1") -> bytes:
    fields = [
        f"host: {target if host is None else host}",
        f"proxy-authorization: {credential or proxy_credential(run)}",
    ]
    return "\r\n".join([f"CONNECT {target} HTTP/{version}", *fields, "", ""]).encode()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    "target", ["packages.example:443", "FILES.hosted.example:443", "registry.example:8443"]
)
async def test_a_tunnel_leads_to_a_listed_host(target, version):
    """If it failed, nothing could be installed, and the refusals below would prove nothing."""
    async with played(echo) as server:
        egress, dialled = internet(NAMES, server.port)
        async with running(egress=egress, hosts=LISTED) as run:
            reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
            writer.write(connect(run, target, version=version) + b"early ")
            assert (await read_head(reader))[0] == 200
            writer.write(b"and late")
            assert await reader.readexactly(14) == b"early and late"
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
        assert dialled == [(PUBLIC, int(target.rpartition(":")[2]))]
    (call,) = run.calls
    assert (call.kind, call.target, call.outcome) == ("tunnel", target.lower(), Outcome.ANSWERED)
    assert (call.received, call.sent >= 14) == (14, True)


TUNNELS = [
    *(host if host.rpartition(":")[2].isdigit() else f"{host}:443" for host in BAD_HOSTS if host.isascii()),
    "packages.example",
    "packages.example:80",
    "packages.example:22",
    "packages.example:8443",
    "registry.example:443",
    "hosted.example:443",
    "xhosted.example:443",
    "evil.example:443",
    "packages.example.evil.example:443",
    "localhost:443",
    "metadata.google.internal:80",
    "rebound.example:443",
    "mixed.example:443",
]


@pytest.mark.parametrize("target", TUNNELS)
async def test_no_tunnel_leads_elsewhere(target):
    """If it failed, a confined program could reach what is not listed."""
    async with played(echo) as server:
        egress, dialled = internet(NAMES, server.port)
        async with running(egress=egress, hosts=LISTED) as run:
            answer = await send(run, connect(run, target))
            assert answer.status in {400, 403}
        assert (dialled, server.connections) == ([], 0)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"credential": "Basic eDp5"}, 407),
        ({"credential": "Basic !"}, 407),
        ({"credential": "Bearer x"}, 407),
        ({"host": "evil.example:443"}, 400),
        ({"host": ""}, 400),
        ({"host": "packages.example:443\r\ncontent-length: 3"}, 400),
        ({"host": "packages.example:443\r\ntransfer-encoding: chunked"}, 400),
    ],
)
async def test_a_tunnel_needs_the_token_and_one_meaning(change, status):
    """If it failed, others could use the proxy, or it could be told two hosts at once."""
    egress, dialled = internet(NAMES, 9)
    async with running(egress=egress, hosts=LISTED) as run:
        answer = await send(run, connect(run, "packages.example:443", **change))
        assert answer.status == status
        assert ("proxy-authenticate" in answer.headers) == (status == 407)
    assert dialled == []


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("packages.example:443", 200),
        ("evil.example:443", 200),
        ("packages.example:22", 403),
        ("packages.example:80", 403),
        ("rebound.example:443", 403),
        ("mixed.example:443", 403),
        ("127.0.0.1:443", 400),
        ("[::1]:443", 400),
    ],
)
async def test_every_host_is_still_none_of_our_own(target, status):
    """If it failed, set-up commands that may fetch from everywhere could reach the worker's own network."""
    async with played(echo) as server:
        egress, _ = internet(NAMES, server.port)
        async with running(egress=egress, hosts=("*",)) as run:
            reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
            writer.write(connect(run, target))
            assert (await read_head(reader))[0] == status
            writer.close()
        assert server.connections == (status == 200)


async def test_a_session_without_hosts_has_no_proxy():
    """If it failed, `strict` would not be strict."""
    egress, dialled = internet(NAMES, 9)
    async with running(egress=egress) as run:
        assert (await send(run, connect(run, "packages.example:443"))).status == 403
    assert dialled == []


async def test_a_host_that_is_gone_is_told_as_what_it_is():
    """If it failed, a program would wait for a name that nobody has."""
    egress, _ = internet(NAMES, 9)
    async with running(egress=egress, hosts=LISTED) as run:
        assert (await send(run, connect(run, "gone.example:443"))).status == 502
        assert (await send(run, connect(run, "packages.example:443"))).status == 502
    assert {call.outcome for call in run.calls} == {Outcome.FAILED}


async def test_a_tunnel_in_which_nothing_moves_is_closed():
    """If it failed, forgotten tunnels would stay for ever."""
    async with played(echo) as server:
        egress, _ = internet(NAMES, server.port)
        async with running(egress=egress, hosts=LISTED, bounds=Bounds(idle=0.2)) as run:
            reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
            writer.write(connect(run, "packages.example:443"))
            assert (await read_head(reader))[0] == 200
            async with asyncio.timeout(100):
                assert await reader.read() == b""
                await server.ended.wait()
            writer.close()


async def test_a_tunnel_ends_with_its_session():
    """If it failed, a connection would outlive the agent it was for."""
    async with played(echo) as server:
        egress, _ = internet(NAMES, server.port)
        async with running(egress=egress, hosts=LISTED) as run:
            reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
            writer.write(connect(run, "packages.example:443"))
            assert (await read_head(reader))[0] == 200
        async with asyncio.timeout(100):
            await server.ended.wait()
        writer.close()


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Played) -> None:
    seen.received += await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    writer.write_eof()
    await until_end(reader, seen)


def get(run, url, *, host=None, method="GET", fields=(), body="") -> bytes:
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0]
    lines = [f"{method} {url} HTTP/1.1", f"host: {authority if host is None else host}", *fields]
    lines += [f"proxy-authorization: {proxy_credential(run)}", "", ""]
    return ("\r\n".join(lines) + body).encode()


@pytest.mark.parametrize(
    ("url", "line", "port"),
    [
        (
            "http://packages.example/simple/?a=b",
            b"GET /simple/?a=b HTTP/1.1\r\nhost: packages.example\r\n",
            80,
        ),
        ("HTTP://packages.example", b"GET / HTTP/1.1\r\nhost: packages.example\r\n", 80),
        ("http://packages.example?a", b"GET /?a HTTP/1.1\r\nhost: packages.example\r\n", 80),
        ("http://registry.example:8443/x", b"GET /x HTTP/1.1\r\nhost: registry.example:8443\r\n", 8443),
    ],
)
async def test_plain_http_leads_to_a_listed_host(url, line, port):
    """If it failed, what is fetched without TLS could not be had."""
    async with played(web) as server:
        egress, dialled = internet(NAMES, server.port)
        async with running(egress=egress, hosts=LISTED) as run:
            reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
            writer.write(get(run, url, fields=("authorization: Bearer own", "connection: x-hop", "x-hop: 1")))
            answer = await read_answer(reader)
            assert (answer.status, answer.body) == (200, b"ok")
            writer.close()
        assert dialled == [(PUBLIC, port)]
        assert server.received.startswith(line)
        assert b"authorization: Bearer own" in server.received
        assert b"connection: close" in server.received
        assert run.session.token.encode() not in server.received
        assert b"x-hop" not in server.received
        assert b"proxy" not in server.received
    assert (run.calls[0].kind, run.calls[0].status, run.calls[0].outcome) == ("http", 200, Outcome.ANSWERED)


@pytest.mark.parametrize("fields", [("content-length: 5",), ("transfer-encoding: chunked",)])
async def test_plain_http_takes_bodies(fields):
    """If it failed, nothing could be sent to a listed host."""
    async with played(web) as server:
        egress, _ = internet(NAMES, server.port)
        async with running(egress=egress, hosts=LISTED) as run:
            body = "hello" if "length" in fields[0] else "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
            writer.write(get(run, "http://packages.example/", method="POST", fields=fields, body=body))
            assert (await read_answer(reader)).status == 200
            writer.close()
            await asyncio.wait_for(server.ended.wait(), 100)
        assert server.received.endswith(body.encode())


@pytest.mark.parametrize(
    ("url", "host"),
    [
        *((f"http://{host}/", None) for host in BAD_HOSTS if host.isascii() and "?" not in host),
        ("http://evil.example/", None),
        ("http://evil.example/", "packages.example"),
        ("http://packages.example/", "evil.example"),
        ("http://packages.example/", "packages.example@evil.example"),
        ("http://packages.example:443/", None),
        ("http://packages.example:22/", None),
        ("http://packages.example/#x", None),
        ("http://packages.example/\\..\\x", None),
        ("http:/packages.example/", "packages.example"),
        ("http:\\\\packages.example/", "packages.example"),
        ("https://packages.example/", None),
        ("ftp://packages.example/", None),
        ("http://rebound.example/", None),
        ("http://mixed.example/", None),
    ],
)
async def test_no_plain_http_leads_elsewhere(url, host):
    """If it failed, a confined program could reach what is not listed."""
    egress, dialled = internet(NAMES, 9)
    async with running(egress=egress, hosts=LISTED) as run:
        assert (await send(run, get(run, url, host=host))).status in {400, 403}
    assert dialled == []
