"""What two readers of HTTP may read differently does not reach our servers."""

import pytest

from client.framing import AmbiguousError, Framing

HEAD = b"POST /api/projects HTTP/1.1\r\nHost: a\r\n"
PLAIN = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /\xc3\xa4?a=b HTTP/1.0\r\nHost:a\r\nX-A: \xe4\t b\r\n\r\n",
    HEAD + b"Content-Length: 5\r\n\r\nhello",
    HEAD + b"Content-Length: 0\r\n\r\n",
    HEAD + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n00b\r\n0\r\n\r\n\r\n\r\nab\r\n0\r\n\r\n",
]
AMBIGUOUS = {
    "length and coding": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding and length": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
    "two equal lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": HEAD + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": HEAD + b"Content-Length: +2\r\n\r\n{}",
    "no length": HEAD + b"Content-Length:\r\n\r\n",
    "a chunked body of old": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two codings": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "a coding twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n",
    "bare line ends": b"GET / HTTP/1.1\nHost: a\n\n",
    "one bare line end": b"GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n",
    "a bare return": HEAD + b"X-A: b\rX-B: c\r\n\r\n",
    "a zero": HEAD + b"X-A: b\0\r\n\r\n",
    "a folded field": HEAD + b"X-A: b\r\n c\r\n\r\n",
    "a field folded at first": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "a space before the colon": HEAD + b"Content-Length : 2\r\n\r\n{}",
    "no name": HEAD + b": a\r\n\r\n",
    "an empty line first": b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "another version": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a head without end": HEAD + b"X-A: " + b"b" * 70_000,
    "an extension": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n",
    "an extension of the last": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0;a\r\n\r\n",
    "trailers": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-A: b\r\n\r\n",
    "bare ends of sizes": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "a bare end of a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\n0\r\n\r\n",
    "a chunk too long": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a size of another base": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a size without end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 40,
}


def passed(data: bytes, size: int) -> bytes:
    framing = Framing()
    pieces = (framing.feed(data[at : at + size]) for at in range(0, len(data), size))
    return b"".join(piece for each in pieces for piece in each)


@pytest.mark.parametrize("size", [1, 3, 1_000_000])
def test_plain_requests_pass_as_they_are(size):
    """If this failed, clients would be refused that do nothing odd, or get another's answer."""
    data = b"".join(PLAIN) * 2

    assert passed(data, size) == data


@pytest.mark.parametrize("size", [1, 1_000_000])
@pytest.mark.parametrize("case", AMBIGUOUS)
def test_what_may_be_read_differently_is_refused(case, size):
    """If this failed, a proxy before a server could be made to see other requests than the server does."""
    with pytest.raises(AmbiguousError):
        passed(PLAIN[0] + AMBIGUOUS[case], size)


def test_what_follows_is_not_handed_on():
    """If this failed, what stands behind an odd request would be answered."""
    pieces = Framing().feed(PLAIN[0] + AMBIGUOUS["length and coding"] + PLAIN[0])

    assert next(pieces) == PLAIN[0]
    with pytest.raises(AmbiguousError):
        next(pieces)


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (HEAD + b"X-A: b\r\n c\r\n\r\n", "folded over two lines"),
        (HEAD + b"X-A: b\x01c\r\n\r\n", "The field X-A of the head holds a control character"),
        (HEAD + b"X-A: b\x7f\r\n\r\n", "The field X-A of the head holds a control character"),
        (HEAD + b"X A: b\r\n\r\n", "no name"),
    ],
)
def test_what_is_wrong_with_a_field_is_said(case, why):
    """If this failed, people would look for a folded line where there is none."""
    with pytest.raises(AmbiguousError, match=why):
        passed(case, 1_000_000)
