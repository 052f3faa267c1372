"""One question to a model's provider, and its answer, passed on as it comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from shiftwork.gateway.call import Outcome
from shiftwork.gateway.context import Context
from shiftwork.gateway.head import Head, malformed
from shiftwork.gateway.headers import request_headers, response_headers
from shiftwork.gateway.incoming import ClientGone, Incoming, too_large
from shiftwork.gateway.limited import is_limit, limited_until
from shiftwork.gateway.metering import Meter
from shiftwork.gateway.outgoing import Outgoing
from shiftwork.gateway.policy import Upstream
from shiftwork.gateway.question import (
    check_encoding,
    check_foreground,
    check_model,
    metered_chat,
    model_told,
)
from shiftwork.gateway.record import Record
from shiftwork.gateway.refusals import Reason, Refused, Wire
from shiftwork.gateway.routes import Route, check_host, find_route, model_in, split_target, upstream_url
from shiftwork.text import one_line

_WHOLE = 256 * 1024
"""A body up to this size is sent at once, and is always whole before; a larger one goes in pieces."""
_PIECE = 64 * 1024
_READ_ON = 8 * 1024 * 1024
"""Bytes of an answer that are still heard once its client has gone."""


class AnswerBroken(Exception):  # noqa: N818 - it names what happened
    """The provider broke off in the middle of its answer, which then can't be made good."""


class ModelCall:
    """One question."""

    def __init__(self, context: Context, incoming: Incoming, outgoing: Outgoing, record: Record) -> None:
        self._context = context
        self._incoming = incoming
        self._outgoing = outgoing
        self._record = record
        self._data = b""
        self._held = 0
        self._metered = False
        self._body_failure: Refused | ClientGone | None = None

    async def run(self, head: Head) -> None:
        """Answer a request to the gateway itself; raises `Refused`, `ClientGone` or `AnswerBroken`."""
        path, query = split_target(head.target)
        check_host(head, self._context.authorities)
        self._record.target = path
        self._context.check_token(head, query)
        route = find_route(self._context.policy.wire, head.method, path)
        upstream = self._context.policy.upstream
        assert upstream is not None
        self._record.kind, self._record.model = route.kind, model_in(path)
        url = upstream_url(upstream, path, query)
        self._check(head, route)
        if head.expects_continue:
            await self._outgoing.go_on()
        async with aclosing(self._incoming.body(head)) as pieces:
            try:
                length, body = await self._question(head, route, pieces)
                self._metered = route.metered
                self._record.asked = route.metered and self._incoming.body_read
                await self._ask(head, upstream, url, length, body)
            finally:
                self._context.holding.release(self._held)

    def _check(self, head: Head, route: Route) -> None:
        policy = self._context.policy
        bound = policy.bounds.inspected if self._looks_at(route) else policy.bounds.body
        if head.length is not None and head.length > bound:
            raise too_large(bound)
        if head.method != "POST" and head.length != 0:
            raise malformed("this request takes no body.")
        if head.minor == 0:
            raise malformed("HTTP/1.1 is spoken here.", 505)
        if policy.wire is Wire.GEMINI and head.method == "POST":
            check_model(policy.models, self._record.model)
        if route.metered and (spent := policy.check_budget()):
            raise Refused(402, Reason.BUDGET, f"the budget is spent: {spent}")

    def _looks_at(self, route: Route) -> bool:
        policy = self._context.policy
        told_in_body = policy.wire is Wire.ANTHROPIC and route.kind in {"messages", "count_tokens"}
        return route.kind in {"chat", "responses"} or (told_in_body and bool(policy.models))

    async def _question(
        self, head: Head, route: Route, pieces: AsyncIterator[bytes]
    ) -> tuple[int | None, bytes | AsyncIterator[bytes] | None]:
        """The length and the body to send; nothing is sent before its beginning is well-formed."""
        bounds = self._context.policy.bounds
        if self._looks_at(route):
            check_encoding(head)
            data = await self._whole(pieces, bounds.inspected)
            question = await self._context.reading.read(data)
            check_foreground(question)
            self._record.model = one_line(question.model)
            check_model(self._context.policy.models, question.model, others=question.others)
            data = metered_chat(question, data) if route.kind == "chat" else data
            return len(data), data if len(data) <= _WHOLE else _in_pieces(data)
        if head.length is None or head.length > _WHOLE:
            return head.length, self._passed(await anext(pieces, b""), pieces)
        self._data = await self._whole(pieces, bounds.body)
        return head.length, self._data if head.method == "POST" else None

    async def _whole(self, pieces: AsyncIterator[bytes], bound: int) -> bytes:
        parts = []
        async for piece in pieces:
            if self._held + len(piece) > bound:
                raise too_large(bound)
            self._context.holding.take(len(piece))
            self._held += len(piece)
            parts.append(piece)
        return b"".join(parts)

    async def _passed(self, first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            if first:  # An empty piece would end a chunked body.
                yield first
            async for piece in pieces:
                yield piece
            self._record.asked = self._metered
        except (Refused, ClientGone) as failure:
            self._body_failure = failure
            raise

    async def _ask(
        self,
        head: Head,
        upstream: Upstream,
        url: str,
        length: int | None,
        body: bytes | AsyncIterator[bytes] | None,
    ) -> None:
        headers = CIMultiDict(request_headers(head))
        headers["accept-encoding"] = "identity"
        if credential := upstream.credential():
            headers[credential[0]] = credential[1]
        if not isinstance(body, bytes | None) and length is not None:
            headers["content-length"] = str(length)
        bounds = self._context.policy.bounds
        timeout = aiohttp.ClientTimeout(sock_connect=bounds.connect, sock_read=bounds.silence)
        try:
            async with self._context.http.request(
                head.method,
                URL(url, encoded=True),
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                await self._pass_on(head, upstream.wire, response)
        except (aiohttp.ClientError, OSError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> Exception:
        if self._body_failure is not None:
            return self._body_failure
        if self._outgoing.status:
            return AnswerBroken()
        if isinstance(error, TimeoutError):
            return Refused(504, Reason.UPSTREAM, "the model's provider did not answer in time.")
        if isinstance(error, aiohttp.ClientSSLError):
            return Refused(502, Reason.UPSTREAM, "the certificate of the model's provider is not trusted.")
        if isinstance(error, aiohttp.ClientConnectorError):
            return Refused(502, Reason.UPSTREAM, "the model's provider can't be reached.")
        return Refused(502, Reason.UPSTREAM, "the model's provider broke off before it answered.")

    async def _pass_on(self, head: Head, wire: Wire, response: aiohttp.ClientResponse) -> None:
        if response.status < 200:
            raise Refused(502, Reason.UPSTREAM, "the model's provider changes the protocol unasked.")
        if 300 <= response.status < 400 and response.status != 304:
            raise Refused(
                502, Reason.UPSTREAM, "the model's provider redirects elsewhere; its base URL is wrong."
            )
        meter = Meter(
            wire, response.headers.get("content-type", ""), response.headers.get("content-encoding", "")
        )
        self._record.meter, self._record.answered = meter, response.status
        try:
            await self._outgoing.start(
                response.status,
                response_headers(response.raw_headers),
                length=response.content_length,
                bodyless=head.method == "HEAD",
                close=not (head.keeps_alive and self._incoming.body_read),
            )
            await self._stream(response, meter)
        except ClientGone:
            await self._read_on(response, meter)
            raise
        finally:
            if not self._record.told:
                self._learn(response, meter)

    async def _stream(self, response: aiohttp.ClientResponse, meter: Meter) -> None:
        left = response.content_length
        async for data in response.content.iter_any():
            meter.feed(data)
            self._record.began()
            if left is not None and (left := left - len(data)) <= 0:
                self._tell(response, meter, self._outgoing.sent + len(data))
            await self._outgoing.write(data)
        self._record.began()
        self._tell(response, meter, self._outgoing.sent)
        await self._outgoing.finish()

    def _tell(self, response: aiohttp.ClientResponse, meter: Meter, sent: int) -> None:
        """Report the call before its client has all of it, so that the next question finds it counted."""
        if self._record.told or self._outgoing.lost:
            return
        self._record.outcome = Outcome.ANSWERED
        self._learn(response, meter)
        self._record.told = True
        self._context.report(self._record.call(self._outgoing.status, sent, self._incoming.received))

    async def _read_on(self, response: aiohttp.ClientResponse, meter: Meter) -> None:
        """Hear the rest of an answer that costs although its client has gone: how much is told last."""
        left = _READ_ON if self._record.asked else 0
        with suppress(aiohttp.ClientError, OSError):  # What was not heard is guessed.
            async with asyncio.timeout(self._context.policy.bounds.read_on):
                while left > 0 and (data := await response.content.readany()):
                    meter.feed(data)
                    left -= len(data)

    def _learn(self, response: aiohttp.ClientResponse, meter: Meter) -> None:
        meter.finish()
        if not meter.model and self._data:
            self._record.model = model_told(self._data) or self._record.model
        if is_limit(response.status, meter.error):
            headers = {name.lower(): value for name, value in response.headers.items()}
            self._record.outcome = Outcome.LIMITED
            self._record.until = limited_until(headers, meter.error, datetime.now(UTC))


async def _in_pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), _PIECE):
        yield data[at : at + _PIECE]


async def unless_gone(
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
