"""What people see in terminals of usual and of small widths: real ones, as wide as they say."""

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import uuid
from pathlib import Path

import pytest

from client.api import Shiftwork
from shiftwork.contracts.feature import FeatureSpec

WIDTHS = (60, 80, 120)
FEATURES = (
    "a short one",
    "a feature whose name is so long that it has no room beside the other columns of its table",
)


@pytest.fixture
async def project(stack) -> str:
    """A project with much to say, of which nothing runs."""
    async with Shiftwork(stack) as shiftwork, shiftwork.store.transaction() as tx:
        row = await tx.projects.create(f"narrow-{uuid.uuid4().hex[:8]}", description="What it is. " * 20)
        specs = [FeatureSpec(name=name, verification_steps=("look at it " * 9,)) for name in FEATURES]
        await tx.features.adopt(row.id, specs, 1)
        await tx.events.append(row.id, "warning", data={"text": "Something was seen by somebody. " * 8})
    return row.id


def shown(state: Path, width: int, *arguments: str) -> str:
    """What a command shows in a terminal of this width."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SHIFTWORK_", "TEMPORAL_"))}
        kept.pop("COLUMNS", None)
        env = {**kept, "SHIFTWORK_STATE": str(state), "TERM": "xterm"}
        os.execve(sys.executable, [sys.executable, "-P", "-m", "client", *arguments], env)
    said = bytearray()
    try:
        while piece := os.read(terminal, 65_536):
            said += piece
    except OSError:
        pass  # how a terminal says that nobody writes to it any more
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode()).replace("\r\n", "\n")


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_has_room(stack, project: str, width: int) -> None:
    """If it failed, tables and sentences would be broken by the terminal wherever a line is full."""
    for command in (
        ("list",),
        ("status", project),
        ("features", project),
        ("report", project),
        ("logs", project),
        *((("doctor",),) if width == min(WIDTHS) else ()),  # it asks every agent for its version
    ):
        page = shown(stack.state, width, *command)
        alone = {line for line in page.splitlines() if " " not in line.strip()}
        long = [line for line in page.splitlines() if len(line) > width and line not in alone]
        # A folder stays whole, so that it can be copied.
        assert [line for line in long if str(stack.state) not in line] == [], command
        assert "Traceback" not in page
