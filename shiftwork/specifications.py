"""What holds for the name and the specification of a project, whichever way they come."""

from typing import Final

from shiftwork.errors import InvalidInput
from shiftwork.storable import check_text
from shiftwork.text import one_line

MOST_BYTES: Final = 1_000_000
"""Of a specification in UTF-8; planning agents read all of it, and more than this nobody's context holds."""
MOST_CHARACTERS: Final = 120
"""Of a name: it appears in commits, lists and histories."""


def check_specification(spec: str, what: str = "specification") -> None:
    """Raise `InvalidInput` if a specification, or what counts as one, is too long or can't be kept."""
    check_text(f"The {what}", spec)
    size = len(spec) if len(spec) > MOST_BYTES else len(spec.encode())
    if size > MOST_BYTES:
        raise InvalidInput(
            f"The {what} is larger than {MOST_BYTES:,} bytes; shorten it, and put long documents into "
            "the repository, where agents read them."
        )


def project_name(given: str) -> str:
    """The name as it is kept, on one line; raises `InvalidInput` for what can't be one."""
    what = "The project's name"
    check_text(what, given)
    name = one_line(given)
    if not name:
        raise InvalidInput(f"{what} has no character that can be seen; give one that has.")
    if len(name) > MOST_CHARACTERS:
        raise InvalidInput(
            f"{what} has {len(name):,} characters, and may have {MOST_CHARACTERS}; shorten it."
        )
    return name
