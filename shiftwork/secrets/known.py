"""The secrets that a process knows of: what is to be kept out of everything it stores and shows."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, AnyStr
from urllib.parse import unquote, urlsplit

from shiftwork.secrets.redactor import Redactor
from shiftwork.secrets.reference import Secret

_NAME = re.compile(r"key|token|secret|passw|passphrase|credential|auth", re.IGNORECASE)
_NO_SECRET = re.compile(
    r"(?:env|file|keyring):|[/~.]|https?://[^@]*$|\d{1,5}$|(?:true|false|on|off|yes|no)$",
    re.IGNORECASE,
)
"""References, paths, addresses, switches and small numbers, whatever their variable is called."""


def known_secrets(environ: Mapping[str, str], urls: Iterable[str] = ()) -> tuple[Secret, ...]:
    """What an environment holds under names of credentials, and the passwords in these addresses.

    Values too short to be looked for are left to the redactor, which names them.
    """
    found = [
        Secret(name, value)
        for name, value in sorted(environ.items())
        if value and _NAME.search(name) and not _NO_SECRET.match(value)
    ]
    return (*found, *passwords([*urls, *environ.values()]))


class LazyRedactor:
    """A redactor that is made when it is first needed: making one takes longer than most commands do."""

    def __init__(self, environ: Mapping[str, str], urls: Iterable[str] = ()) -> None:
        self._environ = dict(environ)
        self._urls = tuple(urls)
        self._made: Redactor | None = None

    @property
    def redactor(self) -> Redactor:
        """The redactor itself."""
        if self._made is None:
            self._made = Redactor(known_secrets(self._environ, self._urls))
        return self._made

    def learn(self, *secrets: Secret) -> None:
        """Look for these too from now on; harmless when repeated."""
        new = [one for one in secrets if self.redactor.known_in(one.reveal().encode()) is None]
        if new:
            self._made = self.redactor.extended(new)

    def redact(self, text: AnyStr) -> AnyStr:
        """See `Redactor.redact`."""
        return self.redactor.redact(text)

    def redact_json(self, value: Any) -> Any:
        """See `Redactor.redact_json`."""
        return self.redactor.redact_json(value)

    def redact_exact(self, value: Any) -> Any:
        """See `Redactor.redact_exact`."""
        return self.redactor.redact_exact(value)

    def secret_in(self, value: Any) -> str | None:
        """See `Redactor.secret_in`."""
        return self.redactor.secret_in(value)


def passwords(texts: Iterable[str]) -> Iterator[Secret]:
    """The passwords within addresses such as `postgresql://user:password@host/`."""
    for text in texts:
        if "://" not in text or "@" not in text:
            continue
        try:
            parts = urlsplit(text)
            password = parts.password
        except ValueError:
            continue
        if password:
            yield Secret(f"password for {parts.hostname or parts.scheme}", unquote(password))
