"""`stack.json`: where the servers of a running stack are. Imports nothing heavy; every command reads it."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from shiftwork.errors import StackError
from shiftwork.settings import DEFAULT_STATE, Settings
from shiftwork.stack.private import check_own_folder, read_own, write_private

VERSION = 1

_EXTERNAL_TEMPORAL = ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFile:
    """What a running stack says of itself; a server that is not embedded has no entry.

    Attributes:
        pid: the process that keeps the stack up.
        started_at: when it was ready, ISO 8601 in UTC.
        database_url: the DSN, password included: the file is its owner's alone.
        postgres_socket: the folder of PostgreSQL's unix socket.
        temporal_address: host and port of Temporal's gRPC service.
        temporal_http_address: host and port of its HTTP API, quick to ask for a status.
        temporal_http_host: what requests to that must say as their Host.
        temporal_ui: the link to the Web UI, token included; a path may be added.
        api_url: where the REST interface answers; None if `shiftwork dev` runs none.
        codec_endpoint: where Temporal's tools have payloads decoded; None if nothing is encoded.
        codec_auth: the Authorization header for that.
        codec: whether what goes to Temporal is encrypted; None: a version that did not say wrote this.
        codec_key_ids: the ids of the keys, that which encrypts first; never the keys themselves.
    """

    pid: int
    started_at: str
    namespace: str
    database_url: str
    postgres_socket: str | None = None
    temporal_address: str | None = None
    temporal_http_address: str | None = None
    temporal_http_host: str | None = None
    temporal_ui: str | None = None
    api_url: str | None = None
    codec_endpoint: str | None = None
    codec_auth: str | None = None
    codec: bool | None = None
    codec_key_ids: tuple[str, ...] = ()
    version: int = VERSION

    @property
    def ui_address(self) -> str | None:
        """The address of the Web UI as it may be shown to anybody, without the token."""
        return self.temporal_ui.partition("/open/")[0] if self.temporal_ui else None


def write_stack(settings: Settings, stack: StackFile) -> None:
    """Publish the addresses, atomically, to their owner alone."""
    write_private(settings.stack_file, json.dumps(asdict(stack), indent=2) + "\n")


def remove_stack(settings: Settings) -> None:
    """Say that no stack runs any more."""
    settings.stack_file.unlink(missing_ok=True)


def read_stack(settings: Settings) -> StackFile | None:
    """The running stack of this state folder, or None; what a killed one left behind counts as none.

    Raises:
        InvalidInput: another user made the file or its folder, or can write to them.
        StackError: the file is damaged, or a newer version wrote it.
    """
    check_own_folder(settings.state)
    try:
        text = read_own(settings.stack_file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StackError(f"{settings.stack_file} can't be read: {error.strerror}.") from error
    stack = _parse(settings, text)
    return stack if _alive(stack.pid) else None


def require_stack(settings: Settings) -> StackFile:
    """The running stack; raises `StackError` with the sentence that says how to start one."""
    stack = read_stack(settings)
    if stack is None:
        alone = settings.state.name == DEFAULT_STATE and not settings.state.exists()
        above = f", and no folder above has a {DEFAULT_STATE} of yours" if alone else ""
        raise StackError(
            f"No stack is running in {settings.state}{above}: start one with `shiftwork dev`, "
            "or name another folder with SHIFTWORK_STATE."
        )
    return stack


def database_url(settings: Settings) -> str:
    """The DSN of the database: the one that was set, or the running stack's.

    Raises:
        StackError: none was set, and no stack runs.
    """
    return settings.database_url or require_stack(settings).database_url


def has_own_database(settings: Settings) -> bool:
    """Whether that is on the stack's own server, to which nobody else connects; raises as `database_url`."""
    return settings.database_url is None and require_stack(settings).postgres_socket is not None


def temporal_is_external(environ: Mapping[str, str] | None = None) -> bool:
    """Whether Temporal's own environment configuration names a server, so that none is embedded."""
    env = os.environ if environ is None else environ
    return any(env.get(name) for name in _EXTERNAL_TEMPORAL)


def _parse(settings: Settings, text: str) -> StackFile:
    try:
        values = json.loads(text)
        if values["version"] > VERSION:
            raise StackError(
                f"{settings.stack_file} was written by a newer Shiftwork: use that one, or stop its stack."
            )
        values["codec_key_ids"] = tuple(values.get("codec_key_ids", ()))
        known = {field.name for field in fields(StackFile)}
        return StackFile(**{name: value for name, value in values.items() if name in known})
    except (ValueError, TypeError, KeyError) as error:
        raise StackError(
            f"{settings.stack_file} is damaged: stop the stack, remove the file and start the stack again."
        ) from error


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's process: alive
    return True
