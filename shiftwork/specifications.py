"""What holds for the specification of a project, whichever way it comes."""

from typing import Final

from shiftwork.errors import InvalidInput

MOST_BYTES: Final = 1_000_000
"""Of a specification in UTF-8; planning agents read all of it, and more than this nobody's context holds."""


def check_specification(spec: str, what: str = "specification") -> None:
    """Raise `InvalidInput` if a specification is too long, or another text that counts as one."""
    size = len(spec) if len(spec) > MOST_BYTES else len(spec.encode("utf-8", "surrogatepass"))
    if size > MOST_BYTES:
        raise InvalidInput(
            f"The {what} is larger than {MOST_BYTES:,} bytes; shorten it, and put long documents into "
            "the repository, where agents read them."
        )
