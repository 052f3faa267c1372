"""Shapes by which tokens are recognised without being known: what issuers put at their beginning.

Each expression is RE2's, on bytes, and matches at most `WIDTH` bytes, so that a stream holds back no more;
a token that may be longer goes on through `tail`. A new issuer is one line here; the tests hold this table
against the rules of detectors that others keep up.
"""

from collections.abc import Iterator
from dataclasses import dataclass

WIDTH = 1100
"""Bytes that decide whether a shape begins at a place."""

OPENING_WIDTH = 24
"""Bytes that an opening may take at most, the escape before it included."""

_BEGIN = r"(?:\b|\\[bfnrt])"
_W, _U, _HEX, _LOWER = "0-9A-Za-z", "0-9A-Za-z_-", "0-9a-fA-F", "0-9a-z"


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of token.

    Attributes:
        kind: what it is called where it stood.
        opening: an expression for its first bytes.
        rest: what must follow; a group named `secret` in the two tells what of it is secret, else all is.
        tail: the class of bytes that belong to it as long as they go on; empty for none.
        body: the class of all bytes that may follow the opening within the expression; empty for any.
        unmistakable: whether a commit that adds one is refused; others are only redacted.
    """

    kind: str
    opening: str
    rest: str
    tail: str = ""
    body: str = ""
    unmistakable: bool = True

    @property
    def pattern(self) -> str:
        """The expression of opening and rest, with its group `secret`."""
        whole = self.opening + self.rest
        return whole if "(?P<secret>" in whole else f"(?P<secret>{whole})"


def _token(kind: str, prefix: str, alphabet: str, least: int, *, begins: bool = False) -> Shape:
    """A token of a prefix and at least so many of these characters.

    Args:
        kind: see `Shape`.
        prefix: an expression; where it `begins`, it counts only at the beginning of a word.
        alphabet: a class of bytes, without brackets.
        least: how many of them make a token.
        begins: see `prefix`.
    """
    if not begins:
        return Shape(kind, prefix, f"[{alphabet}]{{{least}}}", alphabet, alphabet)
    return Shape(kind, f"{_BEGIN}(?P<secret>{prefix}", f"[{alphabet}]{{{least}}})", alphabet, alphabet)


def _word(kind: str, opening: str, rest: str, tail: str = "", *, body: str) -> Shape:
    """A token that is a word of its own."""
    return Shape(kind, f"{_BEGIN}(?P<secret>{opening}", f"{rest})", tail, body)


def default_shapes() -> tuple[Shape, ...]:
    """Every shape that is known."""
    return (*_models(), *_forges(), *_clouds(), *_services(), *_general())


def _models() -> Iterator[Shape]:
    yield _token("anthropic-key", r"sk-ant-", _U, 20)
    yield _token("openai-key", r"sk-(?:proj|svcacct|admin|service|None)-", _U, 20)
    yield _token("openrouter-key", r"sk-or-v[0-9]-", _U, 20)
    yield _token("langfuse-key", r"sk-lf-", _U, 20)
    yield _token("openai-key", r"sk-", _W, 20, begins=True)
    yield _word("openai-key", r"sk-", rf"[{_U}]{{0,150}}T3BlbkFJ", _U, body=_U)
    yield _token("cerebras-key", r"csk-", _LOWER, 40, begins=True)
    yield _token("groq-key", r"gsk_", _W, 40, begins=True)
    yield _token("xai-key", r"xai-", _U, 60, begins=True)
    yield _token("perplexity-key", r"pplx-", _W, 40, begins=True)
    yield _token("hugging-face-token", r"(?:hf|api_org)_", "A-Za-z", 34, begins=True)
    yield _token("replicate-token", r"r8_", _W, 36, begins=True)
    yield _token("together-key", r"tgp_v1_", _U, 40)
    yield _token("fireworks-key", r"fw_", _W, 22, begins=True)
    yield _token("nvidia-key", r"nvapi-", _U, 50)
    yield _token("langsmith-key", r"lsv2_(?:pt|sk)_", "0-9A-Za-z_", 32)
    yield _token("langsmith-key", r"ls__", _W, 16, begins=True)
    yield _token("elevenlabs-key", r"sk_", "0-9a-f", 48, begins=True)
    yield _token("pinecone-key", r"pcsk_", "0-9A-Za-z_", 60)
    yield _token("google-key", r"AIza", _U, 35)
    yield _token("google-oauth-token", r"ya29\.", "0-9A-Za-z_.-", 10)
    yield _token("google-oauth-secret", r"GOCSPX-", _U, 28)


def _forges() -> Iterator[Shape]:
    yield _token("github-token", r"gh[opusr]_", "0-9A-Za-z_", 36)
    yield _token("github-token", r"github_pat_", "0-9A-Za-z_", 36)
    yield _token("gitlab-token", r"gl(?:pat|dt|ft|soat|rt|rtr|cbt|imt|oas|agent|ptt|wt)-", "0-9A-Za-z_.-", 20)
    yield _token("gitlab-token", r"glffct-", _U, 20)
    yield _token("gitlab-token", r"GR1348941", _U, 20)
    yield _token("gitlab-session", r"_gitlab_session=", "0-9a-z", 32)
    yield _token("bitbucket-token", r"BBDC-", "0-9A-Za-z+/=", 32)
    yield _token("atlassian-token", r"ATAT", "0-9A-Za-z_=-", 100, begins=True)
    yield _token("npm-token", r"npm_", _W, 36)
    yield Shape("npm-token", r":_authToken=", rf"\s{{0,3}}(?P<secret>[{_U}]{{5}})", _U)
    yield _token("pypi-token", r"pypi-Ag", _U, 50)
    yield _token("rubygems-token", r"rubygems_", _HEX, 48)
    yield _token("clojars-token", r"CLOJARS_", _W, 60)
    yield _token("packagist-token", r"packagist_[aou][cru][ktrs]_", _HEX, 28)
    yield _token("docker-token", r"dckr_[op]at_", _U, 27)
    yield _token("docker-swarm-token", r"SWM(?:TKN|KEY)-1-", "0-9A-Za-z+/-", 40)
    yield _token("circleci-token", r"CCI(?:PAT|PRJ)_", "0-9A-Za-z_", 60)
    yield _token("buildkite-token", r"bk(?:aa|aj|ar|ct|pt|pat|ps|ua)_", _U, 40, begins=True)
    yield _token("jfrog-token", r"AKCp", _W, 60, begins=True)
    yield _token("jfrog-token", r"cmVmd", _W, 59, begins=True)
    yield _token("sonar-token", r"sq[uap]_", _HEX, 40, begins=True)
    yield _token("sourcegraph-token", r"sgp_(?:[0-9a-fA-F]{16}_|local_)?", _HEX, 40)


def _clouds() -> Iterator[Shape]:
    yield _word("aws-key-id", r"(?:A3T[0-9A-Z]|AKIA|ASIA|ABIA|ACCA)", r"[0-9A-Z]{16}\b", body="0-9A-Z")
    yield Shape(
        "aws-secret-key",
        r"(?i:secret_?access_?key)",
        r"[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<secret>[0-9A-Za-z/+]{40})",
        "0-9A-Za-z/+",
    )
    yield _token("aws-bedrock-key", r"ABSK", "0-9A-Za-z+/=", 100, begins=True)
    yield _token("aws-bedrock-key", r"bedrock-api-key-", "0-9A-Za-z+/=", 40)
    yield Shape("azure-key", r"AccountKey=", r"(?P<secret>[0-9A-Za-z+/=]{80})", "0-9A-Za-z+/=")
    yield Shape("azure-key", r"SharedAccessKey=", r"(?P<secret>[0-9A-Za-z+/]{32})", "0-9A-Za-z+/=")
    yield _token("alibaba-key-id", r"LTAI", _W, 17, begins=True)
    yield _token("digitalocean-token", r"do[opr]_v1_", _HEX, 64)
    yield _token("databricks-token", r"dapi", "0-9a-f", 32, begins=True)
    yield _token("heroku-key", r"HRKU-", _U, 36, begins=True)
    yield _token("fly-token", r"(?:fo1_|fm[12]r?_)", "0-9A-Za-z+/=_-", 40, begins=True)
    yield _token("cloudflare-key", r"v1\.0-[0-9a-f]{8}", _HEX + "-", 100, begins=True)
    yield _token("tailscale-key", r"tskey-", _U, 20)
    yield _token("vault-token", r"hv[bsr]\.", _U, 80, begins=True)
    yield Shape("terraform-token", r"\.atlasv1\.", r"[0-9A-Za-z_=-]{60}", "0-9A-Za-z_=-")
    yield _token("pulumi-token", r"pul-", "0-9a-f", 40, begins=True)
    yield _token("doppler-token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", "0-9A-Za-z_.-", 40, begins=True)
    yield _token("planetscale-token", r"pscale_(?:tkn|pw|oauth)_", "0-9A-Za-z_=.-", 32)
    yield _token("supabase-token", r"sbp_", "0-9a-z_-", 40, begins=True)
    yield _token("supabase-key", r"sb_secret_", _U, 20)
    yield _token("neon-key", r"napi_", _W, 40, begins=True)
    yield _token("vercel-token", r"vc[kacprit]{1,2}_", _U, 50, begins=True)
    yield _token("render-key", r"rnd_", _W, 28, begins=True)
    yield _token("prefect-token", r"pnu_", _W, 36, begins=True)
    yield _token("yandex-key", r"AQVN", _U, 35, begins=True)
    yield _token("1password-token", r"ops_eyJ", "0-9A-Za-z+/=", 100)
    yield Shape(
        "1password-key", r"\bA3-", r"(?:[0-9A-Z]{6}-){1,2}[0-9A-Z]{5,11}(?:-[0-9A-Z]{5}){3}\b", body="0-9A-Z-"
    )
    yield _token("age-key", r"AGE-SECRET-KEY-1", "0-9A-Z", 58)


def _services() -> Iterator[Shape]:
    yield _token("slack-token", r"(?i:xox[abcdeoprs])-", "0-9A-Za-z%/+.-", 10)
    yield _token("slack-token", r"xoxe\.xox[bp]-", "0-9A-Za-z-", 100)
    yield _token("slack-token", r"xapp-[0-9]-", "0-9A-Za-z-", 10)
    yield Shape(
        "slack-webhook",
        r"(?i:hooks\.slack\.com)/",
        r"(?i:services|workflows|triggers)/(?P<secret>[0-9A-Za-z/_])",
        "0-9A-Za-z/_",
        "0-9A-Za-z/_",
    )
    yield _token("discord-webhook", r"/api/webhooks/[0-9]{1,2}", "0-9A-Za-z_/-", 60)
    yield _word("discord-token", r"[MNO]", rf"[{_U}]{{23,25}}\.[{_U}]{{6}}\.[{_U}]{{27}}", _U, body=f".{_U}")
    yield _word("telegram-token", r"[0-9]{8,10}:", rf"[{_U}]{{35}}", _U, body=_U)
    yield _token("stripe-key", r"[rs]k_(?:live|test|prod)_", _W, 20, begins=True)
    yield _token("stripe-webhook-secret", r"whsec_", "0-9A-Za-z+/=", 32, begins=True)
    yield _token("square-token", r"sq0[a-z]{3}-", r"0-9A-Za-z_\\-", 22)
    yield _token("square-token", r"EAAA[EH]", _U, 58, begins=True)
    yield _token("shopify-token", r"shp(?:at|ca|pa|ss)_", _HEX, 32)
    yield _token("razorpay-key", r"rzp_(?:live|test)_", _W, 14)
    yield _token("sendgrid-key", r"SG\.", "0-9A-Za-z_.-", 66, begins=True)
    yield _token("sendinblue-key", r"xkeysib-", _U, 64)
    yield _word("mailgun-key", r"key-", r"[0-9a-f]{32}\b", body=_HEX)
    yield _word("mailchimp-key", r"[0-9a-z]{10}", r"[0-9a-z]{22}-us[0-9]{1,2}\b", body="0-9a-z-")
    yield _word("twilio-key", r"(?:SK|AC)", r"[0-9a-z]{32}\b", body=_LOWER)
    yield _token("resend-key", r"re_[0-9A-Za-z]{8}_", _W, 24, begins=True)
    yield _token("linear-key", r"lin_(?:api|oauth)_", _W, 32)
    yield _token("notion-token", r"ntn_", _W, 40, begins=True)
    yield _token("airtable-token", r"pat[0-9A-Za-z]{14}\.", "0-9a-f", 64, begins=True)
    yield _token("figma-token", r"fig[doru]{1,2}_", _U, 40, begins=True)
    yield _token("postman-key", r"PMA[KT]-", "0-9A-Za-z-", 26)
    yield _token("grafana-token", r"gl(?:c|sa)_", "0-9A-Za-z+/=_", 32, begins=True)
    yield _token("sentry-token", r"sntry[su]_", "0-9A-Za-z+/=_", 60)
    yield _token("new-relic-key", r"NR(?:AK|JS|II)-", "0-9A-Za-z-", 19)
    yield _token("dynatrace-token", r"dt0[a-z][0-9]{2}\.", "0-9A-Za-z.", 80)
    yield _token("posthog-key", r"phx_", _U, 40, begins=True)
    yield _token("wandb-key", r"wandb_v1_", "0-9A-Za-z_", 70)
    yield _token("duffel-token", r"duffel_(?:test|live)_", "0-9A-Za-z_=-", 43)
    yield _token("easypost-key", r"EZ[AT]K", _W, 54, begins=True)
    yield _token("flutterwave-key", r"FLWSECK_TEST-", _W, 12)
    yield _token("shippo-token", r"shippo_(?:live|test)_", _HEX, 40)
    yield _token("typeform-token", r"tfp_", "0-9A-Za-z_.=-", 59, begins=True)
    yield _token("readme-token", r"rdme_", _W, 70)
    yield _token("deno-token", r"dd[op]_", _W, 36, begins=True)
    yield _token("cockroach-key", r"CCDB1_", "0-9A-Za-z_", 60)
    yield _token("astra-token", r"AstraCS:", "0-9A-Za-z:", 20)
    yield _token("apify-token", r"apify_api_", _W, 34)
    yield Shape("softlayer-key", r"softlayer\.com/soap/v", rf"3(?:\.1)?/(?P<secret>[{_LOWER}]{{64}})")


def _general() -> Iterator[Shape]:
    line_end = r"(?:\r|\n|\\r|\\n){1,4}"
    glue = r"(?:[\s\"'+,]|\\[nrt]){0,40}"  # between the lines of a key in a program
    yield Shape(
        "private-key",
        r"-----BEGIN ",
        r"[0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        rf"(?:{line_end}(?:Proc-Type|DEK-Info|Version|Comment): [^\r\n\\]{{0,100}}){{0,3}}"
        rf"{glue}[0-9A-Za-z+/=]{{40}}",
        r"0-9A-Za-z+/=\\\r\n\t ",
    )
    yield Shape("putty-key", r"PuTTY-User-Key-File-", r"[23]: [^\n]{0,80}\n", r"0-9A-Za-z+/=\r\n\t :_.@-")
    yield Shape("jwt", r"eyJ", rf"[={_U}]{{4,800}}\.eyJ[={_U}]{{4}}", "0-9A-Za-z_=.-", "0-9A-Za-z_=.-")
    yield Shape(
        "bearer-token",
        r"(?i:bearer)(?:\s|%20)",
        r"\s{0,3}(?P<secret>[0-9A-Za-z._~+/-]{16})",
        "0-9A-Za-z._~+/=-",
        unmistakable=False,
    )
    yield Shape(
        "basic-credentials",
        r"(?i:authorization)",
        r"[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?i:basic|token)\s{1,3}(?P<secret>[0-9A-Za-z._~+/-]{8})",
        "0-9A-Za-z._~+/=-",
        unmistakable=False,
    )
    yield Shape(
        "api-key-header",
        r"(?i:x-(?:api-key|auth-token|goog-api-key))",
        r"[\"']?\s{0,3}[:=,]\s{0,3}[\"']?(?P<secret>[0-9A-Za-z._~+/-]{12})",
        "0-9A-Za-z._~+/=-",
        unmistakable=False,
    )
    yield Shape(
        "url-password",
        r"://",
        r"[^\s:/@\"'<>\\]{0,100}:(?P<secret>[^\s/@\"'<>\\${}*%][^\s/@\"'<>\\{}]{0,200})@",
        body=r"^\s/\"'<>\\",
        unmistakable=False,
    )
