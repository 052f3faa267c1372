"""Which values of an environment count as secrets, and which only look like some."""

import base64

import pytest

from shiftwork.secrets import LazyRedactor, Secret, known_secrets

VALUE = "s3cr3t-Value-0123"


def found(name, value):
    return [secret.reveal() for secret in known_secrets({name: value})]


@pytest.mark.parametrize(
    "name",
    [
        *("OPENAI_API_KEY", "openaiApiKey", "GITHUB_TOKEN", "DB_PASS", "SSH_PASS", "SSHPASS", "MYSQL_PWD"),
        *("PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "NPM_AUTH_TOKEN", "APP_CREDENTIALS", "GPG_PASSPHRASE"),
        *("SLACK_WEBHOOK", "SLACK_WEBHOOK_URL", "SIGNING_PRIVATE", "npm.password", "MY-APIKEY"),
        *("NPM_CONFIG__AUTH", "HTTP_AUTHORIZATION", "LDAP_BIND_PW", "DB_CREDS", "VAULT_PASSCODE", "COOKIE"),
        *("SESSION_COOKIE", "SERVICE_JWT", "CRED"),
    ],
)
def test_values_of_telling_names_are_known(name):
    """If this failed, a secret of the worker would be stored wherever somebody repeats it."""
    assert found(name, VALUE) == [VALUE]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "GIT_AUTHOR_NAME",
            "AUTH_BACKEND",
            "TOKENIZERS_PARALLELISM",
            "KEYBOARD_LAYOUT",
            "MONKEY",
            "COMPASS",
        ),
        *("PWD", "OLDPWD", "BYPASS_PROXY", "EDITOR"),
        *("COOKIE_DOMAIN", "JWT_AUDIENCE", "PW_POLICY", "SSH_AUTH_SOCK", "AUTH_METHOD", "DB_CONNECTION"),
    ],
)
def test_names_that_only_hold_such_words_are_not(name):
    """If this failed, an author's name would vanish from every commit and text."""
    assert found(name, VALUE) == []


@pytest.mark.parametrize(
    "value",
    [
        "scram-sha-256",
        "env:OTHER",
        "file:/etc/key",
        "https://auth.example.org/token",
        "/etc/passwd",
        "~",
        "4096",
        "True",
        "",
    ],
)
def test_references_paths_and_switches_are_no_secrets(value):
    """If this failed, the path of a key file would be taken out of what is to be read."""
    assert found("SSH_KEY", value) == []


@pytest.mark.parametrize(
    "value", ["/Zx9+qq7Lm0aa==", ".hidden-Pa55word", "~tilde-Pa55word", "/" + "x1/" * 5000]
)
def test_what_only_begins_like_a_path_is_a_secret(value):
    """If this failed, base64 that begins with a slash would never be looked for."""
    assert found("API_SECRET", value) == [value]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_DSN", f"host=h user=u password={VALUE} dbname=d"),
        ("DATABASE_DSN", f"host=h password='{VALUE}'"),
        ("DATABASE_DSN", f"user:{VALUE}@tcp(localhost:3306)/db"),
        ("DATABASE_DSN", f"postgresql://u:{VALUE}@h/d"),
        ("SENTRY_DSN", f"https://{VALUE}@o1.ingest.example.org/1"),
        ("DATABASE_URL", f"postgresql://h/d?user=u&password={VALUE}"),
        ("ANY", f"redis://:{VALUE}@h/0"),
        ("ANY", f"jdbc:sqlserver://h:1433;databaseName=d;user=u;password={VALUE};encrypt=true"),
        ("ANY", f"jdbc:oracle:thin:u/{VALUE}@//h:1521/x"),
        ("ANY", f"jdbc:mysql://u:{VALUE}@h/d"),
        ("DB_DSN", f"Driver={{x}};Server=h;UID=u;PWD={{{VALUE}}};"),
        ("DB_DSN", f'Server=h;Password="{VALUE}";'),
        ("DB_CONNECTION_STRING", f"Server=h;User Id=u;Password={VALUE};"),
        ("STORE_CONNECTION_STRING", f"AccountName=x;AccountKey={VALUE}==;EndpointSuffix=h"),
        ("API_AUTH", f"Bearer {VALUE}"),
        ("API_AUTH", f"user:{VALUE}"),
        ("API_AUTH", f"Basic {base64.b64encode(f'user:{VALUE}'.encode()).decode()}"),
        ("COOKIE", f"theme=dark; session={VALUE}"),
    ],
)
def test_passwords_are_found_in_what_names_a_database(name, value):
    """If this failed, the password of a database would be known only if it stands where most put it."""
    redactor = LazyRedactor({name: value})

    assert VALUE not in redactor.redact(f"x {VALUE} y")


@pytest.mark.parametrize(
    ("value", "password"),
    [
        ("Driver={x};Server=h;PWD={Zk7-Lm2;Vw9};", "Zk7-Lm2;Vw9"),
        ("Driver={x};PWD={Zk7}}Lm2;Vw9};Server=h", "Zk7}Lm2;Vw9"),
        ('Server=h;Password="Zk7-Lm2;""Vw9";', 'Zk7-Lm2;"Vw9'),
        ("Server=h;Password=Zk7 Lm2 Vw9;Database=d", "Zk7 Lm2 Vw9"),
        ("host=h password='it''s Zk7-Lm2' user=u", "it's Zk7-Lm2"),
        (r"host=h password = 'it\'s \\Zk7-Lm2' user=u", r"it's \Zk7-Lm2"),
        ("host=h password=Zk7-Lm2-Vw9 user=u", "Zk7-Lm2-Vw9"),
    ],
)
def test_a_quoted_password_is_found_as_it_is_meant(value, password):
    """If this failed, half a password would be known, which nobody says, and the whole would be stored."""
    assert password in found("DB_DSN", value)


@pytest.mark.parametrize(
    "encode", [lambda t: base64.b64encode(t.encode()).decode(), lambda t: t.encode().hex()]
)
def test_an_address_is_found_as_it_stands_in_any_form(encode):
    """If this failed, a dump of the environment in base64 would hold a password that has an escape in it."""
    url = "postgres://u:p4ss%21w0rd%2FZz9q@h/db"
    redactor = LazyRedactor({"DATABASE_URL": url})
    assert "[redacted:password?for?h]" in redactor.redact(encode(f"x{url}"))
    assert "[redacted:password?for?h]" in redactor.redact("say p4ss!w0rd/Zz9q")


def test_a_webhook_is_a_secret_as_a_whole():
    """If this failed, an address that lets anybody post would be stored."""
    url = "https://hooks.example.org/services/T00/B00/abc"

    assert found("CHAT_WEBHOOK_URL", url) == [url]


def test_what_is_learned_again_changes_nothing():
    """If this failed, every start of an agent would make the worker's expressions anew."""
    redactor = LazyRedactor({"A_KEY": VALUE})
    redactor.learn(Secret("credential", VALUE), Secret("weak", "postgres"), Secret("new", f"{VALUE}-2"))
    made = redactor.redactor
    redactor.learn(Secret("credential", VALUE), Secret("weak", "postgres"), Secret("new", f"{VALUE}-2"))

    assert redactor.redactor is made
    assert made.unprotected == ("weak",)
    assert redactor.redact(f"{VALUE}-2") == "[redacted:new]"


def test_passwords_that_are_words_or_names_are_told_and_left():
    """If this failed, the password `postgres` would change every command that names the database."""
    environ = {"POSTGRES_PASSWORD": "postgres", "ADMIN_PASSWORD": "Shop-Admin-1", "SHOP_USER": "shop-admin-1"}
    redactor = LazyRedactor(environ, ["postgresql://app-user-1:app-user-1@db.example.org/shop"])

    assert redactor.redactor.unprotected == (
        "ADMIN_PASSWORD",
        "POSTGRES_PASSWORD",
        "password for db.example.org",
    )
    command = "psql -U postgres -d Shop-Admin-1"
    assert redactor.redact(command) is command
