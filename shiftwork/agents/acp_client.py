"""What an ACP agent may ask of its client: leave, files of the workspace, terminals."""
# ruff: noqa: ARG002 - the protocol's library calls these methods by keyword, so each takes all of them

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from acp import (
    Agent,
    Client,
    CreateTerminalResponse,
    KillTerminalResponse,
    ReadTextFileResponse,
    ReleaseTerminalResponse,
    RequestError,
    RequestPermissionResponse,
    TerminalOutputResponse,
    WaitForTerminalExitResponse,
    WriteTextFileResponse,
)
from acp.schema import (
    AllowedOutcome,
    CreateElicitationResponse,
    DeclineElicitationResponse,
    DeniedOutcome,
    ElicitationMode,
    EnvVariable,
    PermissionOption,
    TerminalExitStatus,
    ToolCallUpdate,
)

from shiftwork.agents.acp import BridgeRequest
from shiftwork.agents.acp_terminals import Terminals
from shiftwork.agents.acp_updates import Updates

_FILE_BYTES = 10_000_000
"""No larger file is handed to an agent through the protocol."""


class BridgeClient(Client):
    """The client of one agent. Its files are those of the workspace, the brief (to read) and the outbox."""

    def __init__(self, request: BridgeRequest, updates: Updates) -> None:
        self.terminals = Terminals()
        self._updates = updates
        self._wanted = ("reject_once", "reject_always") if request.reject else ("allow_once", "allow_always")
        self._workspace = Path(request.workspace)
        self._writable = [Path(folder) for folder in (request.workspace, request.outbox) if folder]
        self._readable = [*self._writable, *([Path(request.brief)] if request.brief else [])]

    def on_connect(self, conn: Agent) -> None:
        """Nothing: the bridge holds the connection."""

    async def session_update(self, session_id: str, update: object, **_: Any) -> None:
        """Say what it means."""
        self._updates.hear(update)

    async def request_permission(
        self, session_id: str, tool_call: ToolCallUpdate, options: list[PermissionOption], **_: Any
    ) -> RequestPermissionResponse:
        """The same answer to everything, for once where that is offered."""
        for wanted in self._wanted:
            for option in options:
                if option.kind == wanted:
                    chosen = AllowedOutcome(option_id=option.option_id, outcome="selected")
                    return RequestPermissionResponse(outcome=chosen)
        return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))

    async def create_elicitation(
        self, message: str, mode: ElicitationMode, **_: Any
    ) -> CreateElicitationResponse:
        """Nobody is there to answer."""
        return DeclineElicitationResponse(action="decline")

    async def complete_elicitation(self, elicitation_id: str, **_: Any) -> None:
        """Nothing: none was begun."""

    # Files --------------------------------------------------------------------------------------------

    async def read_text_file(
        self, session_id: str, path: str, line: int | None = None, limit: int | None = None, **_: Any
    ) -> ReadTextFileResponse:
        """The file's text, or `limit` lines of it from `line` on, which is counted from 1."""
        text = _read(_inside(path, self._readable))
        if line is not None or limit is not None:
            first = max(0, (line or 1) - 1)
            lines = text.splitlines(keepends=True)[first:]
            text = "".join(lines if limit is None else lines[:limit])
        return ReadTextFileResponse(content=text)

    async def write_text_file(
        self, session_id: str, path: str, content: str, **_: Any
    ) -> WriteTextFileResponse:
        """Write the whole file; missing folders are made."""
        _write(_inside(path, self._writable), content)
        return WriteTextFileResponse()

    # Terminals ----------------------------------------------------------------------------------------

    async def create_terminal(  # noqa: PLR0917 - the library's signature
        self,
        session_id: str,
        command: str,
        args: list[str] | None = None,
        env: list[EnvVariable] | None = None,
        cwd: str | None = None,
        output_byte_limit: int | None = None,
        **_: Any,
    ) -> CreateTerminalResponse:
        """Start a command in the workspace, or in a folder of it."""
        identity = self.terminals.create(
            command,
            args or (),
            cwd=_inside(cwd or str(self._workspace), self._writable),
            environment={variable.name: variable.value for variable in env or ()},
            limit=output_byte_limit,
        )
        return CreateTerminalResponse(terminal_id=identity)

    async def terminal_output(self, session_id: str, terminal_id: str, **_: Any) -> TerminalOutputResponse:
        """What its command printed so far, and how it ended if it has."""
        terminal = self.terminals.get(terminal_id)
        ended = terminal.status()
        status = TerminalExitStatus(exit_code=ended[0], signal=ended[1]) if ended else None
        return TerminalOutputResponse(
            output=terminal.text(), truncated=terminal.truncated, exit_status=status
        )

    async def wait_for_terminal_exit(
        self, session_id: str, terminal_id: str, **_: Any
    ) -> WaitForTerminalExitResponse:
        """Wait for the end of its command."""
        code, signal = await self.terminals.wait(terminal_id)
        return WaitForTerminalExitResponse(exit_code=code, signal=signal)

    async def kill_terminal(self, session_id: str, terminal_id: str, **_: Any) -> KillTerminalResponse:
        """End its command; what it printed can still be read."""
        self.terminals.get(terminal_id).kill()
        return KillTerminalResponse()

    async def release_terminal(self, session_id: str, terminal_id: str, **_: Any) -> ReleaseTerminalResponse:
        """End its command and forget it."""
        self.terminals.release(terminal_id)
        return ReleaseTerminalResponse()

    async def ext_method(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """No extension is known here."""
        raise RequestError.method_not_found(method)

    async def ext_notification(self, method: str, params: dict[str, Any]) -> None:
        """No extension is known here."""


def _inside(path: str, folders: Sequence[Path]) -> str:
    """The path without symbolic links; raises `RequestError` if it is in none of these folders."""
    real = os.path.realpath(path)
    if os.path.isabs(path) and any(Path(real).is_relative_to(os.path.realpath(base)) for base in folders):  # noqa: PTH117
        return real
    raise RequestError.invalid_params({"details": f"{path!r} is not an absolute path in the workspace."})


def _read(path: str) -> str:
    with _open_regular(path, os.O_RDONLY, "rb") as file:
        data = file.read(_FILE_BYTES + 1)
    if len(data) > _FILE_BYTES:
        raise RequestError.invalid_params({"details": f"{path!r} is larger than {_FILE_BYTES} bytes."})
    return data.decode("utf-8", "replace")


def _write(path: str, content: str) -> None:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError.invalid_params({"details": f"{path!r}: {error.strerror}."}) from error
    with _open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "wb") as file:
        file.write(content.encode("utf-8", "replace"))


def _open_regular(path: str, flags: int, mode: str) -> IO[bytes]:
    # Without O_NONBLOCK a FIFO would hold us up for ever; links were resolved, so a link now is a trick.
    try:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except FileNotFoundError as error:
        raise RequestError.resource_not_found(path) from error
    except OSError as error:
        raise RequestError.invalid_params({"details": f"{path!r}: {error.strerror}."}) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise RequestError.invalid_params({"details": f"{path!r} is not a regular file."})
    return os.fdopen(fd, mode)
