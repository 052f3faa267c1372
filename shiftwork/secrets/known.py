"""The secrets that a process knows of: what is to be kept out of everything it stores and shows."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, AnyStr

from shiftwork.secrets.fingerprints import Fingerprints
from shiftwork.secrets.redactor import Redactor
from shiftwork.secrets.reference import Secret
from shiftwork.secrets.within import in_address, in_dsn, in_header, split

_WORDS = re.compile(
    r"(?:KEYS?|PASS|PWD|PRIVATE|WEBHOOKS?"
    r"|\w*(?:PASSWORDS?|PASSWD|PASSPHRASE|PASSCODE|SECRETS?|TOKENS?|CREDENTIALS?|APIKEYS?|(?:ACCESS|SECRET|PRIVATE)KEY)"
    r"|(?:SSH|MYSQL|PG|DB)(?:PASS|PWD))"
)
"""Words of a variable's name, in capitals, that make its value a secret."""

_LAST_WORDS = re.compile(r"PW|CREDS?|JWT")
"""The same at its end alone: `LDAP_PW`, not `PW_LENGTH`."""

_HEADERS = re.compile(r"AUTH|\w*AUTHORIZATION|COOKIES?")
"""The same, where more may stand before the secret: `Bearer …`, `user:…`, `session=…`."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FOLDERS = {"PWD", "OLDPWD"}
_ORDINARY = re.compile(r"(?:.*_|PG)?(?:USER|USERNAME|LOGNAME|HOST|HOSTNAME|DB|DATABASE|BACKEND|AGENT)")

_NO_SECRET = re.compile(
    r"(?:env|file|keyring):|\d{1,5}$|(?:true|false|on|off|yes|no|(?:scram-)?sha-\d+(?:-plus)?)$",
    re.IGNORECASE,
)
"""References, switches and small numbers, whatever their variable is called."""

_ADDRESS = re.compile(r"https?://[^@]*$", re.IGNORECASE)


def known_secrets(environ: Mapping[str, str], urls: Iterable[str] = ()) -> tuple[Secret, ...]:
    """What an environment holds under names of credentials, and the passwords in these addresses.

    Values too weak to be looked for are left to the redactor, which names them.
    """
    found: list[Secret] = []
    for name, value in sorted(environ.items()):
        words = _words(name)
        if _names_a_place(words) or value[:5].lower() == "jdbc:":
            found += (Secret(name, password) for password in in_dsn(value) if password)
        elif _is_no_secret(name, words, value):
            continue
        elif words[-1:] and _HEADERS.fullmatch(words[-1]):
            found += (Secret(name, part) for part in dict.fromkeys(in_header(value)))
        elif any(_WORDS.fullmatch(word) for word in words) or _LAST_WORDS.fullmatch(words[-1]):
            found.append(Secret(name, value))
    return (*found, *passwords([*urls, *environ.values()]))


def ordinary_words(environ: Mapping[str, str], urls: Iterable[str] = ()) -> Iterator[str]:
    """Names of users, hosts and databases: what is equal to one of these is no secret."""
    yield from (value for name, value in environ.items() if value and _ORDINARY.fullmatch(name.upper()))
    for parts in filter(None, map(split, [*urls, *environ.values()])):
        user = parts.username if parts.password or not parts.scheme.startswith("http") else None
        yield from filter(None, (user, parts.hostname, parts.path.strip("/")))


class LazyRedactor:
    """A redactor that is made when it is first needed: making one takes longer than most commands do."""

    def __init__(self, environ: Mapping[str, str], urls: Iterable[str] = ()) -> None:
        self._environ = dict(environ)
        self._urls = tuple(urls)
        self._made: Redactor | None = None
        self._told: list[Secret] = []
        self._prints = Fingerprints()

    @property
    def redactor(self) -> Redactor:
        """The redactor itself."""
        if self._made is None:
            known = known_secrets(self._environ, self._urls)
            told = (secret for secret in dict.fromkeys(self._told) if secret not in known)
            made = Redactor((*known, *told), ordinary=ordinary_words(self._environ, self._urls))
            self._made = made.recognising(self._prints)
        return self._made

    def learn(self, *secrets: Secret) -> None:
        """Look for these too from now on; harmless when repeated, and nothing is made for it alone."""
        if self._made is None:
            self._told += secrets
            return
        new = [one for one in secrets if not self.redactor.was_told(one)]
        if new:
            self._made = self.redactor.extended(new)

    def recognise(self, prints: Fingerprints) -> None:
        """From now on look for what has these fingerprints too, instead of any that were given before."""
        self._prints = prints
        if self._made is not None:
            self._made = self._made.recognising(prints)

    def redact(self, text: AnyStr) -> AnyStr:
        """See `Redactor.redact`."""
        return self.redactor.redact(text)

    def redact_json(self, value: Any) -> Any:
        """See `Redactor.redact_json`."""
        return self.redactor.redact_json(value)

    def known_in(self, data: bytes) -> str | None:
        """See `Redactor.known_in`."""
        return self.redactor.known_in(data)

    def redact_exact(self, value: Any) -> Any:
        """See `Redactor.redact_exact`."""
        return self.redactor.redact_exact(value)

    def redact_excerpts(self, value: Any) -> Any:
        """See `Redactor.redact_excerpts`."""
        return self.redactor.redact_excerpts(value)

    def secret_in(self, value: Any) -> str | None:
        """See `Redactor.secret_in`."""
        return self.redactor.secret_in(value)


def own_redactor() -> LazyRedactor:
    """One that knows what this process's environment holds now; made anew only where that has changed."""
    return _redactor_of(tuple(sorted(os.environ.items())))


@lru_cache(maxsize=1)
def _redactor_of(environ: tuple[tuple[str, str], ...]) -> LazyRedactor:
    return LazyRedactor(dict(environ))


def passwords(texts: Iterable[str]) -> Iterator[Secret]:
    """The passwords within addresses such as `postgresql://user:password@host/`."""
    for text in texts:
        if (parts := split(text)) is not None:
            name = f"password for {parts.hostname or parts.scheme}"
            yield from (Secret(name, password) for password in in_address(parts))


def _words(name: str) -> list[str]:
    return [part.upper() for part in re.split(r"[^0-9A-Za-z]+", _CAMEL.sub("_", name)) if part]


def _names_a_place(words: list[str]) -> bool:
    joined = "_".join(words)
    return "DSN" in words or "CONNECTION_STRING" in joined or "CONNECTIONSTRING" in words


def _is_no_secret(name: str, words: list[str], value: str) -> bool:
    if not value or not words or name in _FOLDERS or _NO_SECRET.match(value):
        return True
    if _ADDRESS.match(value) and not {"WEBHOOK", "WEBHOOKS"}.intersection(words):
        return True
    return value[0] in "/.~" and _exists(value)


def _exists(value: str) -> bool:
    try:
        return Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, no path at all, a home that nobody has
        return False
