"""The files and the shell that the agent's tools work with, as deepagents wants them."""

import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from deepagents.backends import FilesystemBackend
from deepagents.backends.protocol import (
    DeleteResult,
    EditResult,
    ExecuteResponse,
    FileDownloadResponse,
    FileUploadResponse,
    GlobResult,
    GrepResult,
    LsResult,
    ReadResult,
    SandboxBackendProtocol,
    WriteResult,
)

from shiftwork.agents.langchain.program.finding import find
from shiftwork.agents.langchain.program.shell import Shell

_OUTPUT_BYTES = 1_048_576
"""Of one command; what a model is shown of it is cut further, see `calling`."""

_BINARY_BYTES = 512_000

_TEXT_BYTES = 20_000_000
"""Of a file that is read or edited: all of it is in memory then, several times."""

_INSTEAD = "Change it by edit_file; to replace all of it, delete it and then write it."


def _too_large(size: int) -> str:
    return f"it has {size:,} bytes, more than {_TEXT_BYTES:,}; look at parts of it by commands"


class Outside(PermissionError):  # noqa: N818 - reads as what it is
    """A path that leads to where the agent's file tools have no business."""


class Workspace(FilesystemBackend, SandboxBackendProtocol):
    """Files of a folder under their real paths, and a shell in it.

    Paths are confined to the folder, and for reading to some others. A path from the root that is in none of
    them is taken from the folder, as models like to write `/src/main.py`. The shell is not confined by this:
    that is the work of the sandbox around the process.
    """

    def __init__(
        self,
        folder: Path,
        *,
        readable: Sequence[Path] = (),
        environment: Mapping[str, str],
        command_timeout: float,
    ) -> None:
        super().__init__(root_dir=folder, virtual_mode=False)
        self._readable = tuple(Path(os.path.realpath(path)) for path in readable)
        self._timeout = command_timeout
        self.shell = Shell(self.cwd, environment, _OUTPUT_BYTES)

    @property
    def id(self) -> str:
        """Where it is."""
        return str(self.cwd)

    # The shell ---------------------------------------------------------------------------------------

    def execute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        """Run a command in the folder; never longer than the configured time."""
        seconds = min(timeout, self._timeout) if timeout and timeout > 0 else self._timeout
        ran = self.shell.run(command, seconds)
        return ExecuteResponse(output=ran.output, exit_code=ran.status, truncated=ran.left_out > 0)

    # Files -------------------------------------------------------------------------------------------

    def ls(self, path: str) -> LsResult:
        """The entries of a folder, with their absolute paths."""
        try:
            result = super().ls(str(self._resolve_path(path)))
        except (OSError, ValueError) as error:
            return LsResult(error=str(error))
        for entry in result.entries or []:
            entry["path"] = entry["path"].rstrip("/")
        return result

    def read(self, file_path: str, offset: int = 0, limit: int = 2000) -> ReadResult:
        """Lines of a text file, or a small binary one in base64.

        Pages joined by line breaks are the file: only the last one has the break that ends its last line.
        """
        try:
            size = self._size(file_path)
            if size > _TEXT_BYTES:
                return ReadResult(error=f"Error reading file '{file_path}': {_too_large(size)}")
            data = super().read(file_path, offset, limit)
        except (OSError, ValueError) as error:
            return ReadResult(error=f"Error reading file '{file_path}': {error}")
        if data.file_data is not None and data.file_data["encoding"] != "utf-8" and size > _BINARY_BYTES:
            return ReadResult(
                error=f"File '{file_path}': Binary file exceeds maximum preview size of {_BINARY_BYTES} bytes"
            )
        if data.file_data is not None and data.next_offset is not None:
            data.file_data["content"] = data.file_data["content"].removesuffix("\n")
        return data

    def write(self, file_path: str, content: str) -> WriteResult:
        """Create a file, with the folders it needs, or fill an empty one; what has content stays."""
        try:
            target = self._resolve_for_writing(file_path)
            if target.is_dir():
                return WriteResult(error=f"Error: '{file_path}' already exists, and is a folder.")
            if target.exists() and (not target.is_file() or target.stat().st_size):
                return WriteResult(error=f"Error: '{file_path}' already exists. {_INSTEAD}")
            return super().write(file_path, content)
        except (OSError, ValueError) as error:
            return WriteResult(error=f"Error writing file '{file_path}': {error}")

    def edit(
        self,
        file_path: str,
        old_string: str,
        new_string: str,
        replace_all: bool = False,  # noqa: FBT001, FBT002 - deepagents' own signature
    ) -> EditResult:
        """Replace text in a file."""
        try:
            self._resolve_for_writing(file_path)
            if (size := self._size(file_path)) > _TEXT_BYTES:
                return EditResult(error=f"Error editing file '{file_path}': {_too_large(size)}")
            result = super().edit(file_path, old_string, new_string, replace_all)
        except (OSError, ValueError) as error:
            return EditResult(error=f"Error editing file '{file_path}': {error}")
        if result.error and "replace_all" in result.error:
            result.error += " There are multiple places."
        return result

    def delete(self, file_path: str) -> DeleteResult:
        """Delete a file, a folder with all in it, or a link itself."""
        try:
            target = self._lexical(file_path)
            real = self._resolve_for_writing(str(target.parent)) / target.name
            if target == self.cwd:
                return DeleteResult(error=f"Error deleting '{file_path}': it is the workspace itself")
            mode = real.lstat().st_mode
            shutil.rmtree(real) if stat.S_ISDIR(mode) else real.unlink()
        except FileNotFoundError:
            return DeleteResult(error=f"Error: '{file_path}' not found")
        except (OSError, ValueError) as error:
            return DeleteResult(error=f"Error deleting '{file_path}': {error}")
        return DeleteResult(path=file_path)

    def grep(
        self,
        pattern: str,
        path: str | None = None,
        glob: str | None = None,
        *,
        max_count: int | None = None,
        context_lines: int = 0,
    ) -> GrepResult:
        """Lines that hold this text; links that lead out are left out."""
        try:
            place = self._place(path)
            found = super().grep(pattern, place, glob, max_count=max_count, context_lines=context_lines)
        except (OSError, ValueError) as error:
            return GrepResult(error=str(error))
        if found.matches is not None:
            found.matches = [match for match in found.matches if self._is_inside(match["path"])]
        return found

    def glob(self, pattern: str, path: str | None = None) -> GlobResult:
        """Files and folders that match, by their paths from that folder; links that lead out are left out."""
        try:
            place = Path(self._place(path))
            if not place.is_dir():
                return GlobResult(error=f"'{path}' is no folder of the workspace {self.cwd}")
            found = find(pattern, place)
        except (OSError, ValueError) as error:
            return GlobResult(error=str(error))
        found.matches = [
            entry for entry in found.matches or [] if self._is_inside(f"{place}/{entry['path']}")
        ]
        return found

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """Write files; their paths are absolute."""
        return [self._upload(path, content) for path, content in files]

    def download_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        """Read files; their paths are absolute."""
        return [
            super(Workspace, self).download_files([path])[0]
            if path.startswith("/")
            else FileDownloadResponse(path=path, error="invalid_path")
            for path in paths
        ]

    # Paths -------------------------------------------------------------------------------------------

    def _size(self, path: str) -> int:
        """In bytes; 0 of what is no file."""
        real = self._resolve_path(path)
        return real.stat().st_size if real.is_file() else 0

    def _upload(self, path: str, content: bytes) -> FileUploadResponse:
        if not path.startswith("/"):
            return FileUploadResponse(path=path, error="invalid_path")
        try:
            self._resolve_for_writing(path)
        except (OSError, ValueError):
            return FileUploadResponse(path=path, error="permission_denied")
        return super().upload_files([(path, content)])[0]

    def _place(self, path: str | None) -> str:
        return str(self.cwd if path in (None, "", "/") else self._resolve_path(str(path)))

    def _is_inside(self, path: str) -> bool:
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(root) for root in (self.cwd, *self._readable))

    def _resolve_path(self, key: str) -> Path:
        real = Path(os.path.realpath(self._lexical(key)))
        if not self._is_inside(str(real)):
            raise Outside(f"{key!r} leads out of the workspace {self.cwd}")
        return real

    def _resolve_for_writing(self, key: str) -> Path:
        real = self._resolve_path(key)
        if not real.is_relative_to(self.cwd):
            raise Outside(f"{key!r} is not in the workspace {self.cwd}; it can only be read")
        return real

    def _lexical(self, key: str) -> Path:
        if "\0" in key:
            raise ValueError("a path holds no NUL character")
        path = Path(os.path.normpath(self.cwd / key))
        roots = (self.cwd, *self._readable)
        if any(path.is_relative_to(root) for root in roots) or not key.startswith("/") or ".." in key:
            return path
        return self.cwd / os.path.normpath(key).lstrip("/")
