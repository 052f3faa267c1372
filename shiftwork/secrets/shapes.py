"""Shapes by which tokens are recognised without being known: what issuers put at their beginning.

Each expression is RE2's, on bytes, and matches at most `WIDTH` bytes, so that a stream holds back no more;
a token that may be longer goes on through `tail`. Those of one issuer are in `issuers`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

WIDTH = 1100
"""Bytes that decide whether a shape begins at a place."""

OPENING_WIDTH = 24
"""Bytes that an opening may take at most, the escape before it included."""

_BEGIN = r"(?:\b|\\[bfnrt])"
WORD, DASHED, HEX, LOWER = "0-9A-Za-z", "0-9A-Za-z_-", "0-9a-fA-F", "0-9a-z"
"""Alphabets of tokens."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of token.

    Attributes:
        kind: what it is called where it stood.
        opening: an expression for its first bytes.
        rest: what must follow; a group named `secret` in the two tells what of it is secret, else all is.
        tail: the class of bytes that belong to it as long as they go on; empty for none.
        body: the class of all bytes that may follow the opening within the expression; empty for any.
        unmistakable: whether a commit that adds one is refused; others are only redacted.
    """

    kind: str
    opening: str
    rest: str
    tail: str = ""
    body: str = ""
    unmistakable: bool = True

    @property
    def pattern(self) -> str:
        """The expression of opening and rest, with its group `secret`."""
        whole = self.opening + self.rest
        return whole if "(?P<secret>" in whole else f"(?P<secret>{whole})"


def token(kind: str, prefix: str, alphabet: str, least: int, *, begins: bool = False) -> Shape:
    """A token of a prefix and at least so many of these characters.

    Args:
        kind: see `Shape`.
        prefix: an expression; where it `begins`, it counts only at the beginning of a word.
        alphabet: a class of bytes, without brackets.
        least: how many of them make a token.
        begins: see `prefix`.
    """
    if not begins:
        return Shape(kind, prefix, f"[{alphabet}]{{{least}}}", alphabet, alphabet)
    return Shape(kind, f"{_BEGIN}(?P<secret>{prefix}", f"[{alphabet}]{{{least}}})", alphabet, alphabet)


def word(kind: str, opening: str, rest: str, tail: str = "", *, body: str) -> Shape:
    """A token that is a word of its own."""
    return Shape(kind, f"{_BEGIN}(?P<secret>{opening}", f"{rest})", tail, body)


def general_shapes() -> Iterator[Shape]:
    """Shapes of no one issuer."""
    line_end = r"(?:[\r\n]|\\{1,4}[rn]){1,4}"  # as they are, in JSON, and in JSON within JSON
    glue = r"(?:[\s\"'+,]|\\{1,4}[nrt]){0,40}"  # between the lines of a key in a program
    yield Shape(
        "private-key",
        r"-----BEGIN ",
        r"[0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        rf"(?:{line_end}(?:Proc-Type|DEK-Info|Version|Comment): [^\r\n\\]{{0,100}}){{0,3}}"
        rf"{glue}[0-9A-Za-z+/=]{{40}}",
        r"0-9A-Za-z+/=\\\r\n\t ",
    )
    yield Shape(
        "putty-key",
        r"PuTTY-User-Key-File-",
        rf"[23]: [^\r\n\\]{{0,80}}{line_end}",
        r"0-9A-Za-z+/=\\\r\n\t :_.@-",
    )
    yield Shape(
        "jwt", r"eyJ", rf"[={DASHED}]{{4,800}}\.eyJ[={DASHED}]{{4}}", "0-9A-Za-z_=.-", "0-9A-Za-z_=.-"
    )
    yield Shape(
        "bearer-token",
        r"(?i:bearer)(?:\s|%20)",
        r"\s{0,3}(?P<secret>[0-9A-Za-z._~+/-]{16})",
        "0-9A-Za-z._~+/=-",
        unmistakable=False,
    )
    yield Shape(
        "basic-credentials",
        r"(?i:authorization)",
        r"[\\\"']{0,4}\s{0,3}[:=]\s{0,3}[\\\"']{0,4}(?i:basic|token)\s{1,3}(?P<secret>[0-9A-Za-z._~+/-]{8})",
        "0-9A-Za-z._~+/=-",
        unmistakable=False,
    )
    yield Shape(
        "api-key-header",
        r"(?i:x-(?:api-key|auth-token|goog-api-key))",
        r"[\\\"']{0,4}\s{0,3}[:=,]\s{0,3}[\\\"']{0,4}(?P<secret>[0-9A-Za-z._~+/-]{12})",
        "0-9A-Za-z._~+/=-",
        unmistakable=False,
    )
    yield Shape(
        "url-password",
        r"://",
        r"[^\s:/@\"'<>\\]{0,100}:(?P<secret>[^\s/@\"'<>\\${}*%][^\s/@\"'<>\\{}]{2,200})@",
        body=r"^\s/\"'<>\\",
        unmistakable=False,
    )
