"""The codec server: `POST …/encode` and `POST …/decode`, as Temporal's Web UI and command line speak it."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads

from shiftwork.codec.payloads import EncryptionCodec
from shiftwork.errors import ShiftworkError

PATH = "/codec"
"""Before `/encode` and `/decode`."""

_Transform = Callable[[Sequence[Payload]], Awaitable[list[Payload]]]


def codec_routes(codec: EncryptionCodec) -> list[web.RouteDef]:
    """The two routes; whoever serves them sees to it who may come in, and how much is taken."""
    return [
        web.post(f"{PATH}/encode", _handler(codec.encode)),
        web.post(f"{PATH}/decode", _handler(codec.decode)),
    ]


def _handler(transform: _Transform) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        # A page may send any other type to any address, without asking first.
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="Send application/json.\n")
        if (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
            raise web.HTTPUnsupportedMediaType(text="Send it in UTF-8.\n")
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise web.HTTPBadRequest(text="Send the body as it is, without a Content-Encoding.\n")
        payloads = Payloads()
        try:
            json_format.Parse(await request.text(), payloads)
            changed = await transform(payloads.payloads)
        except (json_format.ParseError, UnicodeError, LookupError) as error:
            raise web.HTTPBadRequest(text='Send {"payloads": […]}, each as Temporal writes it.\n') from error
        except ShiftworkError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        text = json_format.MessageToJson(Payloads(payloads=changed), indent=None)
        return web.Response(text=text, content_type="application/json", headers={"Cache-Control": "no-store"})

    return handle
