"""Bodies held against the types that the OpenAPI document says."""

from collections.abc import Iterator
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError

from client.json_types import Misfit, misfits


async def check_types(request: Request) -> None:
    """Refuse a body's values of another type than described, and any field where no body is."""
    if not await request.body():
        return
    route, document = request.scope["route"], request.app.state.document
    body = await request.json()
    described = document["paths"].get(route.path, {}).get(request.method.lower(), {}).get("requestBody")
    if described is None:
        found = list(_undescribed(body))
    else:
        schema = described["content"]["application/json"]["schema"]
        found = list(misfits(body, schema, document["components"]["schemas"]))
    if found:
        errors = [{"type": "json_type", "loc": ("body", *place), "msg": said} for place, said in found]
        raise RequestValidationError(errors, body=body)


def _undescribed(body: Any) -> Iterator[Misfit]:
    match body:
        case None:
            return
        case dict():
            yield from (((name,), "is not known: this takes no fields") for name in body)
        case _:
            yield (), "must be left out: this takes no fields"
