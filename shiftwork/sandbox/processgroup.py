"""The sandbox of last resort: a parent process that finds its descendants and kills them."""

import sys
from collections.abc import Sequence
from pathlib import Path


class ProcessGroup:
    """A warden process keeps the agent's descendants together, where there are no PID namespaces (macOS).

    Weaker than a namespace: an agent that kills its warden, or a daemon that clears its environment where
    the system can't make the warden adopt orphans, may escape until the next sweep.
    """

    level = "process-group"

    def wrap(self, argv: Sequence[str], *, cwd: Path) -> tuple[str, ...]:
        """See `Sandbox.wrap`."""
        return (sys.executable, "-P", "-m", "shiftwork.sandbox.warden", str(cwd), *argv)
