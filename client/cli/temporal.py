"""`temporal`: Temporal's own command line, told where the stack is and what decodes its payloads."""

import os
import sys
from argparse import Namespace
from collections.abc import Mapping

from shiftwork.codec.sources import state_keys
from shiftwork.settings import Settings
from shiftwork.stack.file import StackFile, read_stack, require_stack, temporal_is_external
from shiftwork.stack.temporal_server import temporal_binary


def temporal(args: Namespace) -> int:
    """Take this process's place; the exit status is the program's own."""
    program = str(temporal_binary())
    settings = Settings.from_environment()
    stack = read_stack(settings) if temporal_is_external() else require_stack(settings)
    if stack is not None and stack.codec_endpoint and settings.codec_keys is None:
        # Temporal's program takes what the codec server answers for something that passes, and waits.
        state_keys(settings).check_kept()
    sys.stdout.flush()
    os.execve(program, [program, *args.rest], environment(stack, os.environ))


def environment(stack: StackFile | None, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which Temporal's command line finds a stack.

    On the embedded server nothing of Temporal's own configuration holds, as for every other command; on
    another one all of it does. The token goes by the environment, which only its owner can read, unlike a
    list of arguments.
    """
    if stack is None:
        return dict(environ)
    codec = {}
    if stack.codec_endpoint and stack.codec_auth:
        codec = {"TEMPORAL_CODEC_ENDPOINT": stack.codec_endpoint, "TEMPORAL_CODEC_AUTH": stack.codec_auth}
    if stack.temporal_address is None:
        return {**codec, **environ}
    inherited = {name: value for name, value in environ.items() if not name.startswith("TEMPORAL_")}
    where = {"TEMPORAL_ADDRESS": stack.temporal_address, "TEMPORAL_NAMESPACE": stack.namespace}
    return {**inherited, **where, **codec, "TEMPORAL_CONFIG_FILE": os.devnull}
