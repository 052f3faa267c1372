"""Whether what a project landed is on the person's branch yet; imports nothing heavy, since `status` asks."""

import os
import subprocess
from pathlib import Path
from typing import Any

from client.cli.output import counted

_DELIVERED = "refs/remotes/shiftwork/main"
_SECONDS = 5.0


def undelivered(status: dict[str, Any]) -> str:
    """The sentence about commits that wait for the person to merge them; empty if none do.

    Says nothing of a repository that is not a folder on this machine.
    """
    where, branch = status["repository"], status["branch"]
    if not where or not branch or not Path(where).is_dir():
        return ""
    number = _missing(Path(where), branch)
    if not number:
        return ""
    return (
        f"{counted(number, 'commit')} not delivered to branch {branch!r} of {where}: commit or stash what "
        "you changed there, then `git merge shiftwork/main`."
    )


def _missing(repository: Path, branch: str) -> int:
    """How many commits of `shiftwork/main` the branch lacks; 0 where git can't tell."""
    argv = ("git", "-C", str(repository), "rev-list", "--count", f"refs/heads/{branch}..{_DELIVERED}", "--")
    env = {**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            argv,
            env=env,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return int(done.stdout) if done.returncode == 0 else 0
