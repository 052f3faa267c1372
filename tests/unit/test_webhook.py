"""What a webhook is sent, and where to."""

import asyncio
from datetime import UTC, datetime

import pytest

from shiftwork.errors import InvalidInput
from shiftwork.secrets import Secret
from shiftwork.settings import Settings
from shiftwork.store.notices import Notice
from shiftwork.tasks.webhook import Undelivered, Webhook, headers

SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"
_NOW = datetime.now(UTC)
NOTICE = Notice.model_validate(
    dict.fromkeys(Notice.model_fields)
    | {"id": 1, "uuid": "u", "provider": "noop", "status": "completed", "attempt": 1, "attempts": 1}
    | {"created_at": _NOW, "ended_at": _NOW}
)
BODY = b'{"event_type":"ping","data":{"success":true}}'


def test_the_signature_is_that_of_the_specification():
    """If it failed, no receiver could tell who tells it."""
    key = Webhook("https://example.com/x", Secret("s", SECRET)).key
    assert headers("msg_loFOjxBNrRLzqYUf", 1731705121, BODY, key) == {
        "webhook-id": "msg_loFOjxBNrRLzqYUf",
        "webhook-timestamp": "1731705121",
        "webhook-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    }


def test_any_other_text_is_a_secret_too():
    """If it failed, a secret that was made elsewhere could not be used."""
    assert Webhook("https://example.com", Secret("s", "plain words")).key == b"plain words"
    assert "webhook-signature" not in headers("a", 1, BODY, None)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("example.com/x", "is no address; write it as https://HOST/PATH"),
        ("ftp://example.com", "is no address"),
        ("https://", "is no address"),
        ("http://[x", "is no address"),
        ("https://u:word@h:port/x", "is no address"),
        ("http://example.com/word", "names 'example.com' by http, where others could read"),
        ("http://u:word@example.com/", "names 'example.com' by http"),
    ],
)
def test_what_can_be_no_webhook_is_refused(url, said):
    """If it failed, a typing error would show as a traceback, or a token in a log."""
    with pytest.raises(InvalidInput, match="SHIFTWORK_TASK_WEBHOOK"):
        Webhook(url, None)
    with pytest.raises(InvalidInput, match="SHIFTWORK_TASK_WEBHOOK") as refused:  # before anything is started
        Settings.from_environment({"SHIFTWORK_TASK_WEBHOOK": url})
    assert said in str(refused.value)
    assert "word" not in str(refused.value)


@pytest.mark.parametrize("secret", ["whsec_abc", "whsec_", "whsec_é"])
def test_a_secret_that_was_cut_is_refused(secret):
    """If it failed, each signature would be wrong, or anybody's, and nobody would know why."""
    with pytest.raises(InvalidInput, match=r"'env:KEY' of the webhook begins with 'whsec_', and base64 must"):
        Webhook("https://example.com", Secret("env:KEY", secret))


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n"])
async def test_a_token_in_the_address_is_not_told_of_one_that_speaks_no_http(answer):
    """If it failed, a log would hold it, in a form that nobody knows as secret."""

    async def take(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Webhook(f"http://user:word@127.0.0.1:{port}/to%6ben?key=word", None) as webhook:
        with pytest.raises(
            Undelivered, match=f"The webhook at 127.0.0.1:{port} can't be reached: "
        ) as refused:
            await webhook.tell(NOTICE)
    assert "token" not in str(refused.value)
    assert "word" not in str(refused.value)


async def test_a_host_that_no_name_can_be_is_told_of_without_the_token():
    """If it failed, a typing error would put it into the log."""
    async with Webhook("https://exam\\ple.com/word", None) as webhook:
        with pytest.raises(Undelivered, match="can't be reached: the address is none") as refused:
            await webhook.tell(NOTICE)
    assert "word" not in str(refused.value)
