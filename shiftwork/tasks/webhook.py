"""A webhook: an address that is told of the end of each task, as Standard Webhooks says.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import json
import time
from contextlib import suppress
from typing import Final

from shiftwork.addresses import webhook_place
from shiftwork.errors import InvalidInput, ShiftworkError
from shiftwork.secrets import Secret
from shiftwork.store.notices import EndedTask, Notice
from shiftwork.tasks.http import HttpClient
from shiftwork.text import one_line, truncate

ANSWER_SECONDS: Final = 10.0
"""How long an answer is waited for."""

_PREFIX: Final = "whsec_"
_MOST_SHOWN: Final = 200


class Undelivered(ShiftworkError):  # noqa: N818 - the tree names what happened
    """The address did not take what it was told."""


class Webhook(HttpClient):
    """A webhook, as an async context.

    Attributes:
        endpoint: a digest of the address, which may hold a token.
        place: its host, as it may be shown.
        key: of which signatures are made; None: there are none.

    Args:
        url: `https`, or `http` on this machine.
        secret: of which signatures are made; None: there are none.

    Raises:
        InvalidInput: the address is none, or others could read what is told; or the secret can't be one.
    """

    def __init__(self, url: str, secret: Secret | None) -> None:
        self.place = webhook_place(url)
        self.endpoint = hashlib.sha256(
            f"shiftwork webhook\0{url}".encode("utf-8", "surrogateescape")
        ).hexdigest()
        self._url = url
        self.key = None if secret is None else _key(secret)
        super().__init__({"content-type": "application/json"}, ANSWER_SECONDS)

    async def tell(self, notice: Notice) -> None:
        """Tell of it; raises `Undelivered` unless the address says within ten seconds that it took it."""
        import aiohttp  # noqa: PLC0415 - loaded when this was entered

        body = content(notice)
        try:
            async with self.http.post(
                self._url,
                data=body,
                headers=headers(f"task-{notice.uuid}", int(time.time()), body, self.key),
                allow_redirects=False,  # whom it names instead was not allowed
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            why = truncate(one_line(_why(error)), _MOST_SHOWN) or f"no answer in {ANSWER_SECONDS:g} s"
            raise Undelivered(f"The webhook at {self.place} can't be reached: {why}.") from error
        if not 200 <= status < 300:  # as every status of success is
            raise Undelivered(f"The webhook at {self.place} answered with {status}.")


def content(notice: Notice) -> bytes:
    """The body that is sent."""
    task = EndedTask.model_validate(notice.model_dump(exclude={"attempts"})).model_dump(mode="json")
    message = {"type": f"task.{notice.status}", "timestamp": task["ended_at"], "data": task}
    return json.dumps(message, ensure_ascii=False).encode()


def headers(message_id: str, seconds: int, body: bytes, key: bytes | None) -> dict[str, str]:
    """What says which message it is, so that one that comes twice is known, when it was sent, and by whom."""
    said = {"webhook-id": message_id, "webhook-timestamp": str(seconds)}
    if key is not None:
        signed = hmac.digest(key, f"{message_id}.{seconds}.".encode() + body, "sha256")
        said["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
    return said


def _why(error: Exception) -> str:
    """What it says, without the address: that may hold a token, and is not written as it was given."""
    import aiohttp  # noqa: PLC0415 - loaded by whoever met the error

    if isinstance(error, aiohttp.InvalidURL):
        return "the address is none"
    return error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)


def _key(secret: Secret) -> bytes:
    text = secret.reveal()
    if not text.startswith(_PREFIX):
        return text.encode("utf-8", "surrogateescape")
    with suppress(ValueError):
        if key := base64.b64decode(text.removeprefix(_PREFIX), validate=True):
            return key
    raise InvalidInput(
        f"The secret {secret.name!r} of the webhook begins with {_PREFIX!r}, and base64 must follow; "
        "give one of those, or any other text."
    )
