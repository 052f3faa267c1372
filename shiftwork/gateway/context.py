"""What all connections of one session share."""

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from shiftwork.gateway.call import Call
from shiftwork.gateway.egress import Egress
from shiftwork.gateway.head import Head
from shiftwork.gateway.holding import Holding
from shiftwork.gateway.limits import Limits
from shiftwork.gateway.policy import Policy
from shiftwork.gateway.providers import Providers
from shiftwork.gateway.question import Reading
from shiftwork.gateway.refusals import Reason, Refused
from shiftwork.gateway.routes import query_tokens


@dataclass(frozen=True, slots=True)
class Context:
    """What all connections of one session share.

    Attributes:
        authorities: what a request's `host` may be.
        report: is told of every request after its end.
        settle: waits, not for long, until what was told is durable.
        holding: the bytes of questions that are in memory.
        reading: of questions.
        limits: that the session ran into.
        admit: is told of each request that bears the token; raises `Refused` if too many connections do.
    """

    policy: Policy
    token: str = field(repr=False)
    authorities: frozenset[str]
    providers: Providers
    egress: Egress
    report: Callable[[Call], None]
    settle: Callable[[], Awaitable[None]]
    holding: Holding
    reading: Reading
    limits: Limits
    admit: Callable[[], None]

    def check_token(self, head: Head, query: str) -> None:
        """Raise `Refused` unless the session's token is where any of the providers takes its key."""
        given = [value for name, value in head.headers if name in {"x-api-key", "x-goog-api-key"}]
        given += [_after(value, "bearer") for name, value in head.headers if name == "authorization"]
        if not self._holds(given + query_tokens(query)):
            raise Refused(401, Reason.CREDENTIAL, "the session's token is missing or wrong.")
        self.admit()

    def check_proxy_token(self, head: Head) -> None:
        """Raise `Refused` unless the token comes as a proxy's credential, as the password or alone."""
        values = [value for name, value in head.headers if name == "proxy-authorization"]
        passwords = [_password(_after(value, "basic")) for value in values]
        if not self._holds([*passwords, *(_after(value, "bearer") for value in values)]):
            ask = (("proxy-authenticate", 'Basic realm="gateway"'),)
            raise Refused(407, Reason.CREDENTIAL, "the session's token is missing or wrong.", ask)
        self.admit()

    def _holds(self, given: list[str]) -> bool:
        # All are compared, so that the time does not tell which one was right.
        right = [hmac.compare_digest(each.encode("utf-8", "replace"), self.token.encode()) for each in given]
        return any(right)


def _after(value: str, scheme: str) -> str:
    name, _, rest = value.partition(" ")
    return rest.strip() if name.lower() == scheme else ""


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
