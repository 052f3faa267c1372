"""Who may come through the gate: the right host, the right origin, and somebody who knows the token."""

import hmac
import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

from aiohttp import web

_READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Access:
    """The one address of a gate, and its token.

    Browsers send a page's requests to any port of the loopback, under any name that somebody made to point
    there, so the token alone would not do: Host and Origin have to be the gate's own.

    Attributes:
        host: host and port, the only ones that are answered to.
        token: known to whoever may read `stack.json`.
        pass_: what browsers that followed the link have instead, because their cookies know no ports: any
            server at the same address would be sent it.
    """

    host: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    pass_: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def origin(self) -> str:
        """As browsers send it."""
        return f"http://{self.host}"

    @property
    def link(self) -> str:
        """What a person opens: it leaves the pass in the browser and goes on to the page that follows."""
        return f"{self.origin}/open/{self.token}"

    @property
    def authorization(self) -> str:
        """The header that programs send."""
        return f"Bearer {self.token}"

    @property
    def cookie(self) -> str:
        """The cookie's name; cookies know no ports, so each gate has one of its own."""
        return f"shiftwork-{self.host.rpartition(':')[2]}"

    def knows(self, token: str) -> bool:
        """Whether that is the token, without telling by the time it takes."""
        return _same(token, self.token)

    def check_place(self, request: web.Request) -> None:
        """Raise `HTTPForbidden` unless the request is for this gate, and comes from no other page."""
        if request.headers.getall("Host", []) != [self.host]:
            raise web.HTTPForbidden(text=f"This gate answers to {self.origin} alone.\n")
        if request.headers.getall("Origin", [self.origin]) != [self.origin]:
            raise web.HTTPForbidden(text="Other pages may not ask this gate.\n")

    def check(self, request: web.Request) -> None:
        """Raise `HTTPUnauthorized` unless the request bears the token, or a browser's pass.

        A pass alone changes nothing: browsers add it by themselves, so its request must say its origin.
        """
        header = request.headers.get("Authorization", "")
        if header and self.knows(header.removeprefix("Bearer ")):
            return
        from_here = request.method in _READING or "Origin" in request.headers
        if from_here and _same(request.cookies.get(self.cookie, ""), self.pass_):
            return
        raise web.HTTPUnauthorized(
            text="Open the link that `shiftwork dev` printed; programs send its token as Authorization.\n",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def admit(self, response: web.StreamResponse) -> None:
        """Leave the pass in the browser, out of reach of scripts and of other sites."""
        response.set_cookie(self.cookie, self.pass_, httponly=True, samesite="Strict", path="/")

    def without_cookie(self, header: str) -> str:
        """A Cookie header as the server behind the gate may see it."""
        try:
            found = SimpleCookie(header)
        except CookieError:
            return ""
        return "; ".join(f"{name}={each.coded_value}" for name, each in found.items() if name != self.cookie)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
