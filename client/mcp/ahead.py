"""What the first call of a tool needs, loaded while the client thinks."""

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger("shiftwork.mcp")


class Ahead:
    """Loads once, in a thread, beside whatever the server answers meanwhile.

    Args:
        load: imports; it may run beside calls that import the same.
    """

    def __init__(self, load: Callable[[], None]) -> None:
        self._load = load
        self._begun = False

    def begin(self) -> None:
        """Begin, unless that was done. What goes wrong is logged, and met again by the call that needs it."""
        if self._begun:
            return
        self._begun = True
        asyncio.get_running_loop().run_in_executor(None, self._load).add_done_callback(_tell)


def _tell(loading: "asyncio.Future[None]") -> None:
    if not loading.cancelled() and (error := loading.exception()) is not None:
        log.error("What tools work with can't be loaded: %s", error)
