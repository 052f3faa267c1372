"""A provider's answer, passed on as it comes, and what is learnt from it."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp

from shiftwork.gateway.call import Outcome
from shiftwork.gateway.context import Context
from shiftwork.gateway.head import Head
from shiftwork.gateway.headers import response_headers
from shiftwork.gateway.hiding import Hiding
from shiftwork.gateway.incoming import ClientGone, Incoming
from shiftwork.gateway.limited import is_limit, limited_until
from shiftwork.gateway.metering import Meter
from shiftwork.gateway.outgoing import Outgoing
from shiftwork.gateway.policy import Upstream
from shiftwork.gateway.question import model_told
from shiftwork.gateway.record import Record
from shiftwork.gateway.refusals import Reason, Refused
from shiftwork.gateway.words import Words

_LOG = logging.getLogger("shiftwork.gateway")
_READ_ON = 8 * 1024 * 1024
"""Bytes of an answer that are still heard once its client has gone."""


class Answer:
    """One answer.

    Args:
        question: what was asked, as far as it is in memory.
    """

    def __init__(
        self,
        context: Context,
        incoming: Incoming,
        outgoing: Outgoing,
        record: Record,
        *,
        upstream: Upstream,
        question: bytes,
        response: aiohttp.ClientResponse,
    ) -> None:
        self._context = context
        self._incoming = incoming
        self._outgoing = outgoing
        self._record = record
        self._question = question
        self._response = response
        self._hiding = Hiding(upstream.secret)
        headers = response.headers
        self._words = Words(upstream.wire) if context.policy.on_words else None
        self._meter = Meter(
            upstream.wire, headers.get("content-type", ""), headers.get("content-encoding", ""), self._words
        )

    async def pass_on(self, head: Head) -> None:
        """Send it to the client that asked so; raises `Refused`, `ClientGone` or `aiohttp.ClientError`."""
        status = self._response.status
        if status < 200:
            raise Refused(502, Reason.UPSTREAM, "the model's provider changes the protocol unasked.")
        if 300 <= status < 400 and status != 304:
            raise Refused(
                502, Reason.UPSTREAM, "the model's provider redirects elsewhere; its base URL is wrong."
            )
        self._record.meter, self._record.answered = self._meter, status
        try:
            await self._outgoing.start(
                status,
                self._hiding.headers(response_headers(self._response.raw_headers)),
                length=self._response.content_length,
                bodyless=head.method == "HEAD",
                close=not (head.keeps_alive and self._incoming.body_read),
            )
            await self._stream()
        except ClientGone:
            await self._read_on()
            raise
        finally:
            if not self._record.told:
                try:
                    await self._meter.end()
                finally:
                    self._learn()

    async def _stream(self) -> None:
        left = self._response.content_length
        async for data in self._response.content.iter_any():
            await self._meter.hear(data)
            self._record.began()
            left = None if left is None else left - len(data)
            whole = left is not None and left <= 0
            passed = self._hiding.body(data, last=whole)
            if whole or self._meter.ended:
                await self._tell(self._outgoing.sent + len(passed))
            await self._outgoing.write(passed)
        self._record.began()
        rest = self._hiding.rest()
        await self._tell(self._outgoing.sent + len(rest))
        await self._outgoing.write(rest)
        await self._outgoing.finish()

    async def _tell(self, sent: int) -> None:
        """Report the call before its client has all of it: whoever can use an answer has been counted."""
        if self._record.told or self._outgoing.lost:
            return
        await self._meter.end()
        self._record.outcome = Outcome.ANSWERED
        self._learn()
        self._record.told = True
        self._context.report(self._record.call(self._outgoing.status, sent, self._incoming.received))
        if self._record.asked:
            await self._context.settle()

    async def _read_on(self) -> None:
        """Hear the rest of an answer that costs although its client has gone: how much is told last."""
        left = _READ_ON if self._record.asked else 0
        with suppress(aiohttp.ClientError, OSError):  # What was not heard is guessed.
            async with asyncio.timeout(self._context.policy.bounds.read_on):
                while left > 0 and (data := await self._response.content.readany()):
                    await self._meter.hear(data)
                    left -= len(data)

    def _learn(self) -> None:
        if self._words is not None and self._context.policy.on_words and (said := self._words.text()):
            self._context.policy.on_words(said)
        limited = is_limit(self._response.status, self._meter.error)
        # It is read again only for whom it says something.
        if self._question and (limited or self._context.limits or not self._meter.model):
            self._record.model = self._record.model or model_told(self._question)
        if limited:
            self._record.outcome = Outcome.LIMITED
            self._record.until = self._limited_until()

    def _limited_until(self) -> datetime | None:
        headers = {name.lower(): value for name, value in self._response.headers.items()}
        try:
            return limited_until(headers, self._meter.error, datetime.now(UTC))
        except (ValueError, TypeError, ArithmeticError):
            # The answer is the client's, whatever its provider wrote into it.
            _LOG.exception("the end of a limit was not understood")
            return None
