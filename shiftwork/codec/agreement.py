"""Whether this process encrypts as the running stack does: else neither could read what the other sends."""

import asyncio
import os
import time
from collections.abc import Mapping

from shiftwork.codec.sources import StateKeys, encodes, key_source
from shiftwork.errors import InvalidInput
from shiftwork.settings import Settings
from shiftwork.stack.file import StackFile, read_stack, temporal_is_external

ROTATION_SECONDS = 5.0
"""How long the stack may take to say that its keys were rotated."""

_POLL_SECONDS = 0.1


async def agree(settings: Settings, environ: Mapping[str, str] | None = None) -> None:
    """Check that what this process sends can be read by the running stack, and the other way round.

    Nothing is sent, and no key is made, by then. A rotation that only one of the two has seen is waited for.
    A Temporal server of which no stack speaks is left alone.

    Raises:
        InvalidInput: one of the two encrypts and the other does not, or they do it with other keys.
    """
    deadline = time.monotonic() + ROTATION_SECONDS
    while (stack := _stack(settings, environ)) is not None:
        if encodes(settings, environ) is not stack.codec:
            raise InvalidInput(_other_mode(settings, stack))
        if not stack.codec:
            return
        mine = _key_ids(settings, environ)
        if mine and mine[0] in stack.codec_key_ids and stack.codec_key_ids[0] in mine:
            return
        if not set(mine).intersection(stack.codec_key_ids) or time.monotonic() > deadline:
            raise InvalidInput(
                f"The stack in {settings.state} encrypts what it sends to Temporal with other keys than this "
                "process: set SHIFTWORK_CODEC_KEYS here as it is set for `shiftwork dev`, or unset it if it "
                "is unset there."
            )
        await asyncio.sleep(_POLL_SECONDS)


def _stack(settings: Settings, environ: Mapping[str, str] | None) -> StackFile | None:
    """The stack whose workers read what this process sends, if it says how it encrypts."""
    if not os.path.exists(settings.stack_file):  # noqa: PTH110 - a folder that can't be looked into has none
        return None
    stack = read_stack(settings)
    if stack is None or stack.codec is None:
        return None
    elsewhere = temporal_is_external(environ) and stack.temporal_address is not None
    return None if elsewhere else stack


def _key_ids(settings: Settings, environ: Mapping[str, str] | None) -> tuple[str, ...]:
    """The ids of this process's keys; none if they would have to be made first."""
    source = key_source(settings, environ)
    if isinstance(source, StateKeys):
        source.check_kept()
        if not source.exists:
            return ()
    return source.ring().ids if source is not None else ()


def _other_mode(settings: Settings, stack: StackFile) -> str:
    if stack.codec:
        return (
            f"The stack in {settings.state} encrypts what it sends to Temporal, and this process would not: "
            "unset SHIFTWORK_CODEC here."
        )
    return (
        f"The stack in {settings.state} does not encrypt what it sends to Temporal, and this process would: "
        "set SHIFTWORK_CODEC=off here, as it is set for `shiftwork dev`."
    )
