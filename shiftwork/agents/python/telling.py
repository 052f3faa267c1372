"""How the interpreter of a `python` agent is started and told its job."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from shiftwork.errors import InvalidInput
from shiftwork.runner.environment import base_python

MOST_CODE_BYTES: Final = 1_000_000
MOST_PARAMETERS_BYTES: Final = 256 * 1024
MOST_INSTRUCTION_BYTES: Final = 1_000_000


def check_code(code: str) -> None:
    """Raise `InvalidInput` for what can't be given to an interpreter at all."""
    if not code.strip():
        raise InvalidInput("A Python agent has no code; give it some.")
    if "\0" in code:
        raise InvalidInput("The code of a Python agent holds a NUL character; remove it.")
    check_size("code", code, MOST_CODE_BYTES)


def told(
    code: str, parameters: Mapping[str, Any], handoff: Mapping[str, Any] | None, instruction: str
) -> bytes:
    """What `program.py` reads; raises `InvalidInput` for parameters that are too large, or no JSON."""
    try:
        given = json.dumps(dict(parameters), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"The parameters of a Python agent can't be written as JSON: {error}.") from error
    check_size("parameters", given, MOST_PARAMETERS_BYTES)
    rest = json.dumps({"code": code, "handoff": handoff, "instruction": instruction})
    return f'{{"parameters": {given}, {rest[1:]}'.encode()


def interpreter(mode: str) -> tuple[str, ...]:
    """What starts the base interpreter with `program.py`, in one of its modes.

    It is isolated: neither its folder nor variables nor a user's own packages change what it imports.
    """
    return (str(base_python()), "-I", "-X", "utf8", "-c", _program(), mode)


@cache
def _program() -> str:
    text = Path(__file__).with_name("program.py").read_text(encoding="utf-8")
    # Under a name of its own, by which its frames are told from those of the agent's code.
    return f"exec(compile({text!r}, '<shiftwork>', 'exec'))"


def check_size(what: str, text: str, most: int) -> None:
    """Raise `InvalidInput` for text of more than so many bytes, or that no encoding has."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"The {what} of a Python agent holds half of a character (a lone surrogate) at {error.start}."
        ) from error
    if size > most:
        raise InvalidInput(f"The {what} of a Python agent takes {size:,} bytes, and may take {most:,}.")
