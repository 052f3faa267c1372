"""Which headers pass the gateway."""

import re
from collections.abc import Iterable, Iterator

from shiftwork.gateway.head import Head

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_CREDENTIALS = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "cookie2",
        "proxy-authorization",
        "x-api-key",
        "x-auth-token",
        "x-goog-api-key",
        # These choose who pays.
        "openai-organization",
        "openai-project",
    }
)
_PROXIES = re.compile(
    r"x-forwarded.*|forwarded|via|x-real-ip|x-client-ip|true-client-ip|cf-.*|x-original-.*|x-rewrite-.*"
    r"|x-http-method.*|x-method-override|x-host|x-shiftwork-.*"
)
_GOOGLES = re.compile(r"x-goog-(?!api-client$).*")
"""Google's own choose who pays, and what is left out of an answer: its tokens, for one."""
_OWN = frozenset({"host", "content-length", "accept-encoding"})
_ANSWER = frozenset(
    {
        "alt-svc",
        "content-length",
        "location",
        "proxy-authenticate",
        "proxy-connection",
        "refresh",
        "set-cookie",
        "set-cookie2",
        "strict-transport-security",
        "x-shiftwork-refused",
    }
)
_PLAIN = re.compile(r"[\t -~]*")


def request_headers(head: Head) -> Iterator[tuple[str, str]]:
    """Those of a request that are forwarded: no credentials, cookies, hop-by-hop or proxies' headers."""
    dropped = _HOP_BY_HOP | _CREDENTIALS | _OWN | head.tokens("connection")
    for name, value in head.headers:
        if name not in dropped and not _PROXIES.fullmatch(name) and not _GOOGLES.fullmatch(name):
            yield name, value


def proxied_headers(head: Head, authority: str) -> Iterator[tuple[str, str]]:
    """Those of a plain HTTP request to a listed host, for a connection that carries only this request."""
    dropped = _HOP_BY_HOP | {"proxy-authorization", "host", "content-length"} | head.tokens("connection")
    yield "host", authority
    for name, value in head.headers:
        if name not in dropped and not _PROXIES.fullmatch(name):
            yield name, value
    if head.length is None:
        yield "transfer-encoding", "chunked"
    elif head.length or head.method not in {"GET", "HEAD"}:
        yield "content-length", str(head.length)
    yield "connection", "close"


def response_headers(raw: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Those of a provider's answer that are passed on; bytes that may be misread are dropped with theirs."""
    decoded = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]
    named = {
        token.strip().lower() for name, value in decoded if name == "connection" for token in value.split(",")
    }
    dropped = _HOP_BY_HOP | _ANSWER | named
    return [(name, value) for name, value in decoded if name not in dropped and _PLAIN.fullmatch(value)]
