"""The head of a request: what two readers could understand differently is refused."""

import re
from dataclasses import dataclass

from shiftwork.gateway.refusals import Reason, Refused

MAX_HEAD = 64 * 1024
"""Bytes of a request's line and headers together."""

_MAX_TARGET = 8 * 1024
_MAX_HEADERS = 100
_LINE = re.compile(r"([A-Z]{1,16}) ([!-~]+) HTTP/1\.([01])")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~]*")
_LENGTH = re.compile(r"0|[1-9][0-9]{0,14}")
_ONCE = frozenset(
    {"host", "content-length", "transfer-encoding", "content-type", "content-encoding", "expect", "upgrade"}
)


@dataclass(frozen=True, slots=True)
class Head:
    """A request's line and headers.

    Attributes:
        target: as it was sent.
        minor: of the HTTP version 1.x.
        headers: names in lower case, in order.
        length: bytes of the body; None if it is chunked.
    """

    method: str
    target: str
    minor: int
    headers: tuple[tuple[str, str], ...]
    length: int | None

    def get(self, name: str) -> str | None:
        """The first header of this name."""
        return next((value for key, value in self.headers if key == name), None)

    def tokens(self, name: str) -> set[str]:
        """What the headers of this name list, in lower case."""
        values = ",".join(value for key, value in self.headers if key == name)
        return {token.strip().lower() for token in values.split(",")} - {""}

    @property
    def keeps_alive(self) -> bool:
        """Whether the client wants to go on with its connection."""
        return self.minor == 1 and "close" not in self.tokens("connection")

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a word before it sends the body."""
        return self.get("expect") is not None


def malformed(message: str, status: int = 400) -> Refused:
    """What is raised for a request that can't be understood in only one way."""
    return Refused(status, Reason.MALFORMED, message)


def parse_head(data: bytes) -> Head:
    """The head of a request, up to and with its empty line.

    Raises:
        Refused: it is not well-formed, or too long.
    """
    if not data.isascii():
        raise malformed("the request's head holds bytes that are not ASCII.")
    line, *fields = data.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    match = _LINE.fullmatch(line)
    if match is None:
        raise malformed("the request line is malformed, or not of HTTP/1.1.")
    method, target, minor = match[1], match[2], int(match[3])
    if len(target) > _MAX_TARGET:
        raise malformed("the request's target is too long.", 414)
    headers = _headers(fields)
    return Head(method, target, minor, headers, _framing(headers, minor))


def _headers(fields: list[str]) -> tuple[tuple[str, str], ...]:
    if len(fields) > _MAX_HEADERS:
        raise malformed("the request has too many headers.", 431)
    headers = []
    for field in fields:
        name, colon, value = field.partition(":")
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise malformed("a header is malformed.")
        headers.append((name.lower(), value.strip(" \t")))
    names = [name for name, _ in headers]
    for name in _ONCE.intersection(names):
        if names.count(name) > 1:
            raise malformed(f"the header {name} is there twice.")
    return tuple(headers)


def _framing(headers: tuple[tuple[str, str], ...], minor: int) -> int | None:
    """The length of the body; None if it is chunked."""
    given = dict(headers)
    coding, length = given.get("transfer-encoding"), given.get("content-length")
    if given.get("expect", "100-continue").lower() != "100-continue":
        raise malformed("the header expect asks for what is not known.", 417)
    if coding is not None:
        if length is not None:
            raise malformed("the request has both a content-length and a transfer-encoding.")
        if coding.lower() != "chunked" or minor == 0:
            raise malformed("the transfer-encoding must be chunked, over HTTP/1.1.")
        return None
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise malformed("the content-length is no plain number.")
    return int(length)
