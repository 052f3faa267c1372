"""What the issuers of tokens put at the beginning of theirs. A new one is one line here.

The tests hold this table against the rules of detectors that others keep up.
"""

from collections.abc import Iterator

from shiftwork.secrets.shapes import DASHED, HEX, LOWER, WORD, Shape, general_shapes, token, word


def default_shapes() -> tuple[Shape, ...]:
    """Every shape that is known."""
    return (*_models(), *_forges(), *_clouds(), *_services(), *_more(), *general_shapes())


def _models() -> Iterator[Shape]:
    yield token("anthropic-key", r"sk-ant-", DASHED, 20)
    yield token("openai-key", r"sk-(?:proj|svcacct|admin|service|None)-", DASHED, 20)
    yield token("openrouter-key", r"sk-or-v[0-9]{1,6}-", DASHED, 20)
    yield token("langfuse-key", r"sk-lf-", DASHED, 20)
    yield token("openai-key", r"sk-", WORD, 20, begins=True)
    yield word("openai-key", r"sk-", rf"[{DASHED}]{{0,150}}T3BlbkFJ", DASHED, body=DASHED)
    yield Shape("moonshot-key", r"\bsk-", rf"[{DASHED}]{{48}}", DASHED, DASHED)
    yield token("voyage-key", r"(?:pa|al)-", DASHED, 43, begins=True)
    yield token("cerebras-key", r"csk-", LOWER, 40, begins=True)
    yield token("groq-key", r"gsk_", WORD, 40, begins=True)
    yield token("xai-key", r"xai-", DASHED, 60, begins=True)
    yield token("perplexity-key", r"pplx-", WORD, 40, begins=True)
    yield token("hugging-face-token", r"(?:hf|api_org)_", "A-Za-z", 34, begins=True)
    yield token("replicate-token", r"r8_", WORD, 36, begins=True)
    yield token("together-key", r"tgp_v1_", DASHED, 40)
    yield token("fireworks-key", r"fw_", WORD, 22, begins=True)
    yield token("nvidia-key", r"nvapi-", DASHED, 50)
    yield token("langsmith-key", r"lsv2_(?:pt|sk)_", "0-9A-Za-z_", 32)
    yield token("langsmith-key", r"ls__", WORD, 16, begins=True)
    yield token("elevenlabs-key", r"sk_", "0-9a-f", 48, begins=True)
    yield token("pinecone-key", r"pcsk_", "0-9A-Za-z_", 60)
    yield token("google-key", r"AIza", DASHED, 35)
    yield token("google-oauth-token", r"ya29\.", "0-9A-Za-z_.-", 10)
    yield token("google-oauth-secret", r"GOCSPX-", DASHED, 28)


def _forges() -> Iterator[Shape]:
    yield token("github-token", r"gh[opusr]_", "0-9A-Za-z_", 36)
    yield token("github-token", r"github_pat_", "0-9A-Za-z_", 36)
    yield token("gitlab-token", r"gl(?:pat|dt|ft|soat|rt|rtr|cbt|imt|oas|agent|ptt|wt)-", "0-9A-Za-z_.-", 20)
    yield token("gitlab-token", r"glffct-", DASHED, 20)
    yield token("gitlab-token", r"GR1348941", DASHED, 20)
    yield token("gitlab-session", r"_gitlab_session=", "0-9a-z", 32)
    yield token("bitbucket-token", r"BBDC-", "0-9A-Za-z+/=", 32)
    yield token("atlassian-token", r"ATAT", "0-9A-Za-z_=-", 100, begins=True)
    yield token("npm-token", r"npm_", WORD, 36)
    yield Shape("npm-token", r":_authToken=", rf"\s{{0,3}}(?P<secret>[{DASHED}]{{5}})", DASHED)
    yield token("pypi-token", r"pypi-Ag", DASHED, 50)
    yield token("rubygems-token", r"rubygems_", HEX, 48)
    yield token("clojars-token", r"CLOJARS_", WORD, 60)
    yield token("packagist-token", r"packagist_[aou][cru][ktrs]_", HEX, 28)
    yield token("docker-token", r"dckr_[op]at_", DASHED, 27)
    yield token("docker-swarm-token", r"SWM(?:TKN|KEY)-1-", "0-9A-Za-z+/-", 40)
    yield token("circleci-token", r"CCI(?:PAT|PRJ)_", "0-9A-Za-z_", 60)
    yield token("buildkite-token", r"bk(?:aa|aj|ar|ct|pt|pat|ps|ua)_", DASHED, 40, begins=True)
    yield token("jfrog-token", r"AKCp", WORD, 60, begins=True)
    yield token("jfrog-token", r"cmVmd", WORD, 59, begins=True)
    yield token("sonar-token", r"sq[uap]_", HEX, 40, begins=True)
    yield token("sourcegraph-token", r"sgp_(?:[0-9a-fA-F]{16}_|local_)?", HEX, 40)


def _clouds() -> Iterator[Shape]:
    yield word("aws-key-id", r"(?:A3T[0-9A-Z]|AKIA|ASIA|ABIA|ACCA)", r"[0-9A-Z]{16}\b", body="0-9A-Z")
    yield Shape(
        "aws-secret-key",
        r"(?i:secret_?access_?key)",
        r"[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<secret>[0-9A-Za-z/+]{40})",
        "0-9A-Za-z/+",
    )
    yield token("aws-bedrock-key", r"ABSK", "0-9A-Za-z+/=", 100, begins=True)
    yield token("aws-bedrock-key", r"bedrock-api-key-", "0-9A-Za-z+/=", 40)
    yield Shape("azure-key", r"AccountKey=", r"(?P<secret>[0-9A-Za-z+/=]{80})", "0-9A-Za-z+/=")
    yield Shape("azure-key", r"SharedAccessKey=", r"(?P<secret>[0-9A-Za-z+/]{32})", "0-9A-Za-z+/=")
    yield word(
        "azure-client-secret", r"[0-9A-Za-z_~.]{3}[0-9]Q~", r"[0-9A-Za-z_~.-]{31}", body="0-9A-Za-z_~.-"
    )
    yield token("alibaba-key-id", r"LTAI", WORD, 17, begins=True)
    yield token("digitalocean-token", r"do[opr]_v1_", HEX, 64)
    yield token("databricks-token", r"dapi", "0-9a-f", 32, begins=True)
    yield token("heroku-key", r"HRKU-", DASHED, 36, begins=True)
    yield token("fly-token", r"(?:fo1_|fm[12]r?_)", "0-9A-Za-z+/=_-", 40, begins=True)
    yield token("cloudflare-key", r"v1\.0-[0-9a-f]{8}", HEX + "-", 100, begins=True)
    yield token("tailscale-key", r"tskey-", DASHED, 20)
    yield token("vault-token", r"hv[bsr]\.", DASHED, 80, begins=True)
    yield Shape("terraform-token", r"\.atlasv1\.", r"[0-9A-Za-z_=-]{60}", "0-9A-Za-z_=-")
    yield token("pulumi-token", r"pul-", "0-9a-f", 40, begins=True)
    yield token("doppler-token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", "0-9A-Za-z_.-", 40, begins=True)
    yield token("planetscale-token", r"pscale_(?:tkn|pw|oauth)_", "0-9A-Za-z_=.-", 32)
    yield token("supabase-token", r"sbp_", "0-9a-z_-", 40, begins=True)
    yield token("supabase-key", r"sb_secret_", DASHED, 20)
    yield token("neon-key", r"napi_", WORD, 40, begins=True)
    yield token("vercel-token", r"vc[kacprit]{1,2}_", DASHED, 50, begins=True)
    yield token("render-key", r"rnd_", WORD, 28, begins=True)
    yield token("prefect-token", r"pnu_", WORD, 36, begins=True)
    yield token("yandex-key", r"AQVN", DASHED, 35, begins=True)
    yield token("1password-token", r"ops_eyJ", "0-9A-Za-z+/=", 100)
    yield Shape(
        "1password-key", r"\bA3-", r"(?:[0-9A-Z]{6}-){1,2}[0-9A-Z]{5,11}(?:-[0-9A-Z]{5}){3}\b", body="0-9A-Z-"
    )
    yield token("age-key", r"AGE-SECRET-KEY-1", "0-9A-Z", 58)


def _services() -> Iterator[Shape]:
    yield token("slack-token", r"(?i:xox[abcdeoprs])-", "0-9A-Za-z%/+._-", 10)
    yield token("slack-token", r"xoxe\.xox[bp]-", "0-9A-Za-z-", 100)
    yield token("slack-token", r"xapp-[0-9]{1,10}-", "0-9A-Za-z-", 10)
    yield Shape(
        "slack-webhook",
        r"(?i:hooks\.slack\.com)/",
        r"(?i:services|workflows|triggers)/(?P<secret>[0-9A-Za-z/_])",
        "0-9A-Za-z/_",
        "0-9A-Za-z/_",
    )
    yield token("teams-webhook", r"office\.com/webhookb2/", "0-9A-Za-z@/-", 36)
    yield token("discord-webhook", r"/api/webhooks/[0-9]{1,2}", "0-9A-Za-z_/-", 60)
    yield word(
        "discord-token",
        r"[MNO]",
        rf"[{DASHED}]{{23,25}}\.[{DASHED}]{{6}}\.[{DASHED}]{{27}}",
        DASHED,
        body=f".{DASHED}",
    )
    yield word("telegram-token", r"[0-9]{8,10}:", rf"[{DASHED}]{{35}}", DASHED, body=DASHED)
    yield token("stripe-key", r"[rs]k_(?:live|test|prod)_", WORD, 10, begins=True)
    yield token("stripe-webhook-secret", r"whsec_", "0-9A-Za-z+/=", 32, begins=True)
    yield token("square-token", r"sq0[a-z]{3}-", r"0-9A-Za-z_\\-", 22)
    yield token("square-token", r"EAAA[EH]", DASHED, 58, begins=True)
    yield token("shopify-token", r"shp(?:at|ca|pa|ss)_", HEX, 32)
    yield token("razorpay-key", r"rzp_(?:live|test)_", WORD, 14)
    yield token("sendgrid-key", r"SG\.", "0-9A-Za-z_.=-", 66, begins=True)
    yield token("sendinblue-key", r"xkeysib-", DASHED, 64)
    yield word("mailgun-key", r"key-", r"[0-9a-f]{32}\b", body=HEX)
    yield word("mailchimp-key", r"[0-9a-z]{10}", r"[0-9a-z]{22}-us[0-9]{1,2}\b", body="0-9a-z-")
    yield word("twilio-key", r"(?:SK|AC)", r"[0-9a-zA-F]{32}\b", body="0-9a-zA-F")
    yield token("resend-key", r"re_[0-9A-Za-z]{8}_", WORD, 24, begins=True)
    yield token("linear-key", r"lin_(?:api|oauth)_", WORD, 32)
    yield token("notion-token", r"ntn_", WORD, 40, begins=True)
    yield token("airtable-token", r"pat[0-9A-Za-z]{14}\.", "0-9a-f", 64, begins=True)
    yield token("figma-token", r"fig[doru]{1,2}_", DASHED, 38, begins=True)
    yield token("postman-key", r"PMA[KT]-", "0-9A-Za-z-", 26)
    yield token("grafana-token", r"gl(?:c|sa)_", "0-9A-Za-z+/=_", 32, begins=True)
    yield token("sentry-token", r"sntry[su]_", "0-9A-Za-z+/=_", 60)
    yield token("new-relic-key", r"NR(?:AK|JS|II)-", "0-9A-Za-z-", 19)
    yield token("dynatrace-token", r"dt0[a-z][0-9]{2}\.", "0-9A-Za-z.", 80)
    yield token("posthog-key", r"phx_", DASHED, 40, begins=True)
    yield token("wandb-key", r"wandb_v1_", "0-9A-Za-z_", 70)
    yield token("duffel-token", r"duffel_(?:test|live)_", "0-9A-Za-z_=-", 43)
    yield token("easypost-key", r"EZ[AT]K", WORD, 54, begins=True)
    yield token("flutterwave-key", r"FLWSECK_TEST-", WORD, 12)
    yield token("shippo-token", r"shippo_(?:live|test)_", HEX, 40)
    yield token("typeform-token", r"tfp_", "0-9A-Za-z_.=-", 59, begins=True)
    yield token("readme-token", r"rdme_", WORD, 70)
    yield token("deno-token", r"dd[op]_", WORD, 36, begins=True)
    yield token("cockroach-key", r"CCDB1_", "0-9A-Za-z_", 60)
    yield token("astra-token", r"AstraCS:", "0-9A-Za-z:", 20)
    yield token("apify-token", r"apify_api_", WORD, 34)
    yield Shape("softlayer-key", r"softlayer\.com/soap/v", rf"3(?:\.1)?/(?P<secret>[{LOWER}]{{64}})")


# More of the same kind: what they are called, their prefix, alphabet and shortest length.
_MORE = (
    ("asaas-token", r"aact_(?:prod|hmlg)_", DASHED, 20),
    ("adobe-secret", r"p8e-", WORD, 32),
    ("aikido-token", r"AIK_(?:CI|CLIENT|SECRET)_", WORD, 20),
    ("alibaba-key-id", r"STS\.", WORD, 16),
    ("brave-key", r"BSA", DASHED, 24),
    ("canva-secret", r"cnvca", DASHED, 51),
    ("cartesia-key", r"sk_car_", "0-9A-Za-z_", 20),
    ("cloudflare-token", r"cf[aku]t_", WORD, 40),
    ("cloudsmith-key", r"csa_", WORD, 36),
    ("configcat-key", r"configcat-sdk-1/", "0-9A-Za-z_/-", 45),
    ("devcycle-key", r"dvc_(?:client|mobile|server)_", "0-9A-Za-z_", 8),
    ("devin-key", r"apk_(?:user_)?", "0-9A-Za-z+/=", 80),
    ("devin-key", r"cog_", LOWER, 52),
    ("elastic-key", r"essu_", "0-9A-Za-z_=-", 60),
    ("facebook-token", r"EAA[CM]", WORD, 100),
    ("fly-token", r"FlyV1\s", "0-9A-Za-z=_,/+-", 100),
    ("frameio-token", r"fio-u-", "0-9A-Za-z_=-", 64),
    ("google-key", r"AQ\.Ab8RN6", DASHED, 40),
    ("grafana-token", r"eyJrIjoi", "0-9A-Za-z+/=", 40),
    ("harness-token", r"[ps]at\.[0-9A-Za-z_-]{17}", "0-9A-Za-z_.-", 50),
    ("infracost-token", r"ico-", WORD, 32),
    ("ionic-token", r"ion_", WORD, 42),
    ("langfuse-key", r"pk-lf-", "0-9a-f-", 36),
    ("lichess-token", r"lip_", "0-9A-Za-z", 20),
    ("llama-key", r"llx-", WORD, 44),
    ("mailersend-token", r"mlsn\.", WORD, 30),
    ("mergify-key", r"mergify_app", DASHED, 50),
    ("minimax-key", r"sk-api-", DASHED, 60),
    ("miro-token", r"eyJtaXJv", DASHED, 30),
    ("mongodb-atlas-secret", r"mdb_sa_sk_", DASHED, 40),
    ("nylas-key", r"nyk_", WORD, 60),
    ("octopus-key", r"API-", "0-9A-Z", 26),
    ("onesignal-token", r"os_v2_(?:app|org)_", LOWER, 100),
    ("onfido-token", r"api_live(?:_ca|_us)?\.", DASHED, 20),
    ("openshift-token", r"sha256~", DASHED, 43),
    ("paddle-key", r"pdl_live_apikey_", "0-9A-Za-z_", 50),
    ("persona-key", r"persona_production_", DASHED, 20),
    ("pinterest-token", r"pina_", DASHED, 30),
    ("polar-token", r"polar_(?:at|oat|pat)_", DASHED, 20),
    ("ramp-secret", r"ramp_sec_", WORD, 48),
    ("rootly-key", r"rootly_", "0-9a-f", 64),
    ("runpod-key", r"rpa_", WORD, 30),
    ("samsara-token", r"samsara_api_", WORD, 26),
    ("salesforce-token", r"00[0-9A-Za-z]{13}!", "0-9A-Za-z._-", 80),
    ("scalingo-token", r"tk-us-", DASHED, 48),
    ("segment-token", r"sgp_", WORD, 60),
    ("settlemint-token", r"sm_[aps]at_", WORD, 16),
    ("unkey-key", r"unkey_", WORD, 20),
    ("upcloud-token", r"ucat_", WORD, 24),
    ("val-town-token", r"vtwn_", DASHED, 20),
    ("wakatime-key", r"waka_", "0-9a-z-", 36),
    ("workato-token", r"wrka(?:[a-z]{2})?-eyJ", "0-9A-Za-z_.-", 80),
    ("xendit-key", r"xnd_production_", WORD, 56),
    ("zuplo-key", r"zpka_", "0-9a-z_", 40),
)


def _more() -> Iterator[Shape]:
    for kind, prefix, alphabet, least in _MORE:
        yield token(kind, prefix, alphabet, least, begins=True)
