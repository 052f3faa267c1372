"""What agent programs take as instructions or settings when it lies in the folder that they work in."""

import os
from contextlib import suppress
from pathlib import Path

from shiftwork.repository.files import remove_tree

INSTRUCTIONS = frozenset(
    {
        "agents.md",
        "agents.override.md",
        "claude.md",
        "claude.local.md",
        "gemini.md",
        "qwen.md",
        "copilot-instructions.md",
        ".aider.conf.yml",
        ".claude",
        ".clinerules",
        ".codex",
        ".copilot",
        ".cursor",
        ".cursorrules",
        ".gemini",
        ".mcp.json",
        ".opencode",
        ".qwen",
        ".windsurfrules",
        "opencode.json",
        "opencode.jsonc",
    }
)
"""Names, in lower case: in any folder, as programs read them also where they work deeper in."""

_MOST = 200_000
"""Folders and files looked at."""


def remove_instructions(workspace: Path) -> list[str]:
    """Take them out of a workspace, never following a link; what was removed, by path. May block."""
    removed: list[str] = []
    looked = 0
    for folder, folders, files in os.walk(workspace, followlinks=False):
        looked += len(folders) + len(files)
        if looked > _MOST:
            break
        for name in [name for name in (*folders, *files) if name.lower() in INSTRUCTIONS]:
            path = Path(folder, name)
            with suppress(FileNotFoundError):
                _remove(path)
                removed.append(str(path.relative_to(workspace)))
        folders[:] = [name for name in folders if name.lower() not in INSTRUCTIONS and name != ".git"]
    return removed


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink()
