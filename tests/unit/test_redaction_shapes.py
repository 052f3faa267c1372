"""Tokens are recognised by their shape, as by the detectors that others keep up."""

import re
import warnings

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from langsmith.anonymizer import DEFAULT_SECRET_RULES

from shiftwork.secrets import Redactor
from shiftwork.secrets.issuers import default_shapes
from shiftwork.secrets.redactor import SHORTEST_MATCH
from shiftwork.secrets.shapes import OPENING_WIDTH, WIDTH

REDACTOR = Redactor()

# Rules that look for something else than the shape of a token.
NOT_SHAPES = {
    "AWSKeyDetector": {1},  # a string after the name of a variable
    "ArtifactoryDetector": {0, 1},  # shorter than many words
    "BasicAuthDetector": {0},  # placeholders too; ours is tried below
    "CloudantDetector": {0, 1, 2, 3},  # names of variables
    "IPPublicDetector": {0},
    "IbmCloudIamDetector": {0},
    "IbmCosHmacDetector": {0},
    "JwtTokenDetector": {0},  # checks afterwards what its expression can't
    "NpmDetector": {0},  # anything after `_authToken=`
    "PrivateKeyDetector": set(range(9)),  # a header without a key
    "SoftlayerDetector": {0, 1},  # names of variables
}
SHORTEST = 20  # characters of a token that somebody may have issued


def detect_secrets_rules():
    for plugin in get_mapping_from_secret_type_to_class().values():
        if issubclass(plugin, RegexBasedDetector):
            for number, rule in enumerate(plugin().denylist):
                if number not in NOT_SHAPES.get(plugin.__name__, ()):
                    yield pytest.param(rule, id=f"detect-secrets-{plugin.__name__}-{number}")


def langsmith_rules():
    # The last ones tell a secret by the name of a variable or header, not by its shape; the last
    # but those are JWT and key files, of any length, which are tried below.
    for number, rule in enumerate(DEFAULT_SECRET_RULES):
        if not rule["pattern"].flags & re.IGNORECASE and not re.match("eyJ|-----", rule["pattern"].pattern):
            yield pytest.param(rule["pattern"], id=f"langsmith-{number}")


def test_the_detectors_are_there():
    """If this failed, the next test would compare with nothing."""
    assert len(list(detect_secrets_rules())) > 20
    assert len(list(langsmith_rules())) > 10


@pytest.mark.parametrize("rule", [*detect_secrets_rules(), *langsmith_rules()])
def test_what_other_detectors_find_is_redacted(rule):
    """If this failed, a shape that a kept-up detector knows would be missing here."""

    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def check(data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            token = data.draw(
                st.from_regex(re.compile(rule.pattern, rule.flags & ~re.UNICODE | re.ASCII), fullmatch=True)
            )
        assume(len(token) >= SHORTEST)
        done = REDACTOR.redact(f'"{token}"')
        assert "[redacted:" in done, token

    check()


ALPHABET = "a1B2c3D4e5F6g7H8i9J0"
TOKENS = {
    "anthropic-key": "sk-ant-api03-" + "aB3-x9_Kq7" * 9 + "abcAA",
    "openai-key": "sk-proj-" + ALPHABET * 4,
    "xai-key": "xai-" + ALPHABET * 4,
    "groq-key": "gsk_" + ALPHABET * 3,
    "hugging-face-token": "hf_" + "aBcDeFgHiJkLmNoPq" * 2,
    "google-key": "AIza" + "SyA-1234567890abcdefghijklmnopqrstu_",
    "github-token": "github_pat_" + ALPHABET + "_" + ALPHABET * 3,
    "gitlab-token": "glpat-" + ALPHABET,
    "npm-token": "//registry.example/:_authToken=0123abcd-0123-4abc-9def-0123456789ab",
    "npm-token ": "npm_" + ALPHABET * 2,
    "aws-key-id": "AKIA" + "IOSFODNN7REALKEY",
    "azure-key": "AccountKey=" + ALPHABET * 4 + "abcdef==",
    "digitalocean-token": "dop_v1_" + "0123456789abcdef" * 4,
    "databricks-token": "dapi" + "0123456789abcdef" * 2,
    "slack-token": "xoxb-1234567890-1234567890123-" + ALPHABET,
    "stripe-key": "sk_live_" + ALPHABET * 2,
    "telegram-token": "1234567890:AA" + "Hk1-" * 8 + "x",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.TJVA95OrM7E2cBab30RM",
    "private-key": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,A0B1\n\n"
    + ("MIIEpAIBAAKCAQEA" * 4 + "\n") * 20
    + "-----END RSA PRIVATE KEY-----",
    "bearer-token": "Authorization: Bearer 0123456789.abcdefXYZ",
    "api-key-header": "x-api-key: abcdef0123456789",
    "url-password": "postgresql://shiftwork:hunter2000@db.example.org/x",
}


@pytest.mark.parametrize(("kind", "token"), TOKENS.items())
def test_tokens_are_named_by_their_kind(kind, token):
    """If this failed, a token would be shown, or nobody could tell what was taken out."""
    for text in (f"x={token} y", f'{{"k":"{token}"}}', f"one\\n{token}\\ntwo"):
        done = REDACTOR.redact(text)
        assert f"[redacted:{kind.strip()}]" in done, done
        assert (
            token[-12:-4] not in done.replace("-----END RSA PRIVATE KEY-----", "") or kind == "url-password"
        )


@pytest.mark.parametrize(
    "text",
    [
        "task-management and risk-assessment-of-everything-that-we-know",
        "def re_read_the_configuration_of_all_projects(): ...",
        "commit 10b09bb5d7c1f6e2a3948576bcadef0123456789",
        "b2f0c1de-1234-4abc-9def-0123456789ab",
        "https://example.org:8080/path@1.2.3 and http://localhost:3000/@vite/client",
        'if data.startswith(b"-----BEGIN PRIVATE KEY-----"):',
        "git clone ssh://git@github.com/a/b.git",
        "postgresql://user:${PASSWORD}@host/db",
        "sha512-" + "Zz9+" * 21 + "Zw==",
        "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAA" * 20,
        "import { sk-folding-cube } from 'spinkit'; .sk-chasing-dot { color: red }",
    ],
)
def test_ordinary_text_stays(text):
    """If this failed, redaction would make transcripts unreadable."""
    assert REDACTOR.redact(text) is text


@pytest.mark.parametrize("shape", default_shapes(), ids=lambda shape: shape.kind)
def test_shapes_keep_to_their_widths(shape):
    """If this failed, a stream would put out what it should have held back."""
    parse = re._parser.parse  # nothing public tells how long a match may be
    opening = shape.opening.replace("(?P<secret>", "(?:")
    opening += ")" * (opening.count("(") - opening.count(")"))

    least, most = parse(shape.pattern).getwidth()
    assert least >= SHORTEST_MATCH
    assert most < WIDTH
    assert parse(opening).getwidth()[1] < OPENING_WIDTH
