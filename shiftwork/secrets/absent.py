"""No process that we start can show a secret to whoever lists processes."""

from collections.abc import Mapping, Sequence
from typing import AnyStr, Protocol

from shiftwork.errors import SecretExposed


class Guards(Protocol):
    """What a `Redactor` does, and a `LazyRedactor`."""

    def redact(self, text: AnyStr) -> AnyStr: ...

    def known_in(self, data: bytes) -> str | None: ...


def assert_absent(argv: Sequence[str | bytes], env: Mapping[str, str], redactor: Guards) -> None:
    """Raise `SecretExposed` if an argument or a variable holds a known secret, in any form."""
    for number, argument in enumerate(argv):
        if name := redactor.known_in(_encoded(argument)):
            raise SecretExposed(
                f"The program was not started: its argument {number} would show the secret {name!r} in "
                "the list of processes; give it a token of the gateway instead."
            )
    for variable, value in env.items():
        if name := redactor.known_in(_encoded(value)) or redactor.known_in(_encoded(variable)):
            raise SecretExposed(
                f"The program was not started: its variable {redactor.redact(variable)!r} would hand it the "
                f"secret {name!r}; give it a token of the gateway instead."
            )


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
