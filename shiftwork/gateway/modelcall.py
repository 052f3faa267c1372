"""One question to a model's provider, and its answer, passed on as it comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from shiftwork.gateway.answer import Answer
from shiftwork.gateway.context import Context
from shiftwork.gateway.head import Head, malformed
from shiftwork.gateway.headers import request_headers
from shiftwork.gateway.incoming import ClientGone, Incoming, too_large
from shiftwork.gateway.outgoing import AnswerBroken, Outgoing
from shiftwork.gateway.policy import Upstream
from shiftwork.gateway.question import (
    check_charset,
    check_encoding,
    check_foreground,
    check_json,
    check_model,
    metered_chat,
    model_seen,
)
from shiftwork.gateway.record import Record
from shiftwork.gateway.refusals import Reason, Refused, Wire
from shiftwork.gateway.routes import Route, check_host, find_route, model_in, split_target, upstream_url
from shiftwork.text import one_line

_WHOLE = 256 * 1024
"""A body up to this size is sent at once, and is always whole before; a larger one goes in pieces."""
_PIECE = 64 * 1024


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
                await self._wait_until_ready()
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
        if head.method == "POST":
            check_charset(head)
        if policy.wire is Wire.GEMINI and head.method == "POST":
            check_json(head)
            check_model(policy.models, self._record.model)
        if route.metered and (spent := policy.check_budget()):
            raise Refused(402, Reason.BUDGET, f"the budget is spent: {spent}")

    async def _wait_until_ready(self) -> None:
        """What must be safe before a question is paid for."""
        if self._metered and (why := await self._context.policy.before_question()):
            raise Refused(503, Reason.BUSY, why, (("retry-after", "1"),))

    def _looks_at(self, route: Route) -> bool:
        policy = self._context.policy
        if policy.wire is Wire.OPENAI:
            return route.kind in {"chat", "responses"}
        told_in_body = policy.wire in {Wire.ANTHROPIC, Wire.OLLAMA} and "POST" in route.methods
        return told_in_body and bool(policy.models)

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
            if self._context.policy.wire is Wire.OPENAI and route.kind == "chat":
                data = metered_chat(question, data)
            return len(data), data if len(data) <= _WHOLE else _in_pieces(data)
        if head.length is None or head.length > _WHOLE:
            first = await anext(pieces, b"")
            self._record.model = self._record.model or model_seen(first)
            return head.length, self._passed(first, pieces)
        self._data = await self._whole(pieces, bounds.body)
        return head.length, self._data if head.method == "POST" else None

    async def _whole(self, pieces: AsyncIterator[bytes], bound: int) -> bytes:
        whole = bytearray()  # A list of tiny pieces would take many times what is counted as held.
        async for piece in pieces:
            if self._held + len(piece) > bound:
                raise too_large(bound)
            self._context.holding.take(len(piece))
            self._held += len(piece)
            whole += piece
        return bytes(whole)

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
            # Whatever comes before the answer's head, as `100 Continue` again and again, does not prolong it.
            async with asyncio.timeout(bounds.silence):
                response = await self._context.providers.http.request(
                    head.method,
                    URL(url, encoded=True),
                    data=body,
                    headers=headers,
                    timeout=timeout,
                    allow_redirects=False,
                )
            async with response:
                parts = self._context, self._incoming, self._outgoing, self._record
                answer = Answer(*parts, upstream=upstream, question=self._data, response=response)
                await answer.pass_on(head)
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


async def _in_pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), _PIECE):
        yield data[at : at + _PIECE]
