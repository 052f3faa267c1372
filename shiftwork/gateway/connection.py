"""One client's connection: request after request, each answered or refused, none ending in a traceback."""

import asyncio
import logging

from shiftwork.gateway.call import Outcome
from shiftwork.gateway.context import Context
from shiftwork.gateway.environment import EnvironmentCall, is_environment
from shiftwork.gateway.forward import Forward
from shiftwork.gateway.head import Head, malformed, parse_head
from shiftwork.gateway.incoming import ClientGone, Incoming
from shiftwork.gateway.outgoing import AnswerBroken, Outgoing
from shiftwork.gateway.record import Record
from shiftwork.gateway.refusals import REFUSAL_HEADER, Reason, Refused, body_of

_LOG = logging.getLogger("shiftwork.gateway")

_OUTCOMES = {Reason.BUDGET: Outcome.BUDGET, Reason.UPSTREAM: Outcome.FAILED}


class Connection:
    """One client's connection."""

    def __init__(self, context: Context, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._context = context
        self._reader = reader
        self._incoming = Incoming(reader, context.policy.bounds)
        self._outgoing = Outgoing(writer, context.policy.bounds)

    async def serve(self) -> None:
        """Answer requests until the client, or a refusal, ends the connection."""
        while await self._incoming.begin():
            self._outgoing.begin()
            if not await self._one(Record()):
                break
        if not self._incoming.body_read:
            await self._outgoing.linger(self._reader)

    async def _one(self, record: Record) -> bool:
        """Whether the connection may carry another request."""
        head: Head | None = None
        try:
            head = parse_head(await self._incoming.head())
            await self._answer(head, record)
        except (ClientGone, AnswerBroken) as error:
            if isinstance(error, AnswerBroken):
                record.outcome = Outcome.FAILED
            self._outgoing.abort()
            return False
        except Refused as refused:
            await self._refused(refused, head, record)
            return False
        except Exception:  # noqa: BLE001 - a fault of ours: the log tells it, the agent survives it
            _LOG.exception("the gateway failed at a request")
            await self._refused(Refused(500, Reason.INTERNAL, "it failed; its log says why."), head, record)
            return False
        else:
            return not self._outgoing.closing
        finally:
            if not record.told:
                self._context.report(
                    record.call(self._outgoing.status, self._outgoing.sent, self._incoming.received)
                )

    async def _answer(self, head: Head, record: Record) -> None:
        parts = self._context, self._incoming, self._outgoing, record
        if head.method == "CONNECT":
            await Forward(*parts).tunnel(head)
            return
        environment = self._context.policy.environment
        if environment is not None and is_environment(head.target):
            answer = EnvironmentCall(*parts, environment).run(head)
        elif head.target.startswith("/"):
            # It takes long to load; that was done when a session was opened that may ask a model.
            from shiftwork.gateway.modelcall import ModelCall  # noqa: PLC0415

            answer = ModelCall(*parts).run(head)
        elif "://" in head.target:
            answer = Forward(*parts).plain(head)
        else:
            raise malformed("the request's target is neither a path nor a URL.")
        await _unless_gone(asyncio.ensure_future(answer), *parts)

    async def _refused(self, refused: Refused, head: Head | None, record: Record) -> None:
        record.outcome = _OUTCOMES.get(refused.reason, Outcome.REFUSED)
        record.reason = refused.reason
        if self._outgoing.status:  # An answer is under way already; it can only be broken off.
            self._outgoing.abort()
            return
        record.began()
        try:
            await self._refuse(refused, head)
        except ClientGone:
            _LOG.debug("a client did not wait for its refusal")

    async def _refuse(self, refused: Refused, head: Head | None) -> None:
        body = body_of(refused, self._context.policy.wire)
        headers = [
            ("content-type", "application/json"),
            (REFUSAL_HEADER, refused.reason.value),
            *refused.headers,
        ]
        bodyless = head is not None and head.method == "HEAD"
        await self._outgoing.start(refused.status, headers, length=len(body), bodyless=bodyless, close=True)
        await self._outgoing.write(body)
        await self._outgoing.finish()


async def _unless_gone(
    call: "asyncio.Future[None]", context: Context, incoming: Incoming, outgoing: Outgoing, record: Record
) -> None:
    """Wait for a call, and end it once its client is gone and its cost is known; raises `ClientGone` then."""
    gone = asyncio.ensure_future(incoming.gone())
    try:
        await asyncio.wait({call, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not call.done() and record.asked:
            outgoing.abort()  # The call finds this out by itself, and only hears the rest.
            await asyncio.wait({call}, timeout=context.policy.bounds.read_on)
        if not call.done():
            raise ClientGone
        call.result()
    finally:
        gone.cancel()
        call.cancel()
        await asyncio.gather(gone, call, return_exceptions=True)
