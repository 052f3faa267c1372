"""What a webhook is sent, and where to."""

import pytest

from shiftwork.errors import InvalidInput
from shiftwork.secrets import Secret
from shiftwork.tasks.webhook import Webhook, headers

SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"
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
    with pytest.raises(InvalidInput, match="SHIFTWORK_TASK_WEBHOOK") as refused:
        Webhook(url, None)
    assert said in str(refused.value)
    assert "word" not in str(refused.value)


def test_a_secret_that_was_cut_is_refused():
    """If it failed, each signature would be wrong, and nobody would know why."""
    with pytest.raises(InvalidInput, match=r"'env:KEY' of the webhook begins with 'whsec_', and base64 must"):
        Webhook("https://example.com", Secret("env:KEY", "whsec_abc"))
