"""What an agent says to the environment that it plays: passed on to whoever holds it, never to a provider."""

from contextlib import aclosing
from typing import Final

from shiftwork.gateway.call import Outcome
from shiftwork.gateway.context import Context
from shiftwork.gateway.head import Head, malformed
from shiftwork.gateway.incoming import Incoming, too_large
from shiftwork.gateway.outgoing import Outgoing
from shiftwork.gateway.policy import AnswerEnvironment
from shiftwork.gateway.question import check_encoding
from shiftwork.gateway.record import Record
from shiftwork.gateway.refusals import Reason, Refused
from shiftwork.gateway.routes import check_host, split_target

ENVIRONMENT_PATH: Final = "/shiftwork/environment"
"""Where an agent finds it, at the gateway's address."""

MOST_BYTES: Final = 1024 * 1024
"""Of what is said at once: solutions of programming problems are actions too."""


class EnvironmentCall:
    """One request about the environment.

    Args:
        answer: answers it.
    """

    def __init__(
        self,
        context: Context,
        incoming: Incoming,
        outgoing: Outgoing,
        record: Record,
        answer: AnswerEnvironment,
    ) -> None:
        self._context = context
        self._incoming = incoming
        self._outgoing = outgoing
        self._record = record
        self._answer = answer

    async def run(self, head: Head) -> None:
        """Answer it; raises `Refused` or `ClientGone`."""
        self._check(head)
        if head.expects_continue:
            await self._outgoing.go_on()
        said = await self._answer(await self._body(head))
        self._record.outcome = Outcome.ANSWERED
        self._record.began()
        await self._outgoing.start(
            said.status,
            [("content-type", "application/json")],
            length=len(said.body),
            close=not head.keeps_alive,
        )
        await self._outgoing.write(said.body)
        await self._outgoing.finish()

    def _check(self, head: Head) -> None:
        path, query = split_target(head.target)
        check_host(head, self._context.authorities)
        self._record.target, self._record.kind = path, "environment"
        self._context.check_token(head, query)
        if head.method != "POST":
            raise Refused(405, Reason.FORBIDDEN, "this path takes POST only.", (("allow", "POST"),))
        if head.minor == 0:
            raise malformed("HTTP/1.1 is spoken here.", 505)
        check_encoding(head)
        if head.length is not None and head.length > MOST_BYTES:
            raise too_large(MOST_BYTES)

    async def _body(self, head: Head) -> bytes:
        whole = bytearray()
        try:
            async with aclosing(self._incoming.body(head)) as pieces:
                async for piece in pieces:
                    self._context.holding.take(len(piece))
                    whole += piece
                    if len(whole) > MOST_BYTES:
                        raise too_large(MOST_BYTES)
            return bytes(whole)
        finally:
            self._context.holding.release(len(whole))


def is_environment(target: str) -> bool:
    """Whether a request's target is the path of the environment."""
    return target.partition("?")[0] == ENVIRONMENT_PATH
