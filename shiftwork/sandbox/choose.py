"""Which sandboxes work on this machine, strongest first."""

from functools import cache

from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.namespace import find_bubblewrap, find_unshare
from shiftwork.sandbox.subreaper import Subreaper


def choose_sandbox() -> Sandbox:
    """The strongest sandbox that works here, found by running something in it; ask once, at start."""
    return next(candidate for candidate in candidates() if works(candidate))


@cache
def cheap_sandbox() -> Subreaper:
    """The one that costs least, for many short programs; all of a process share its warden."""
    return Subreaper()


def candidates() -> list[Sandbox]:
    """Every sandbox that might work here, strongest first; the last one always does."""
    return [*find_bubblewrap(), *find_unshare(), cheap_sandbox()]


def works(sandbox: Sandbox) -> bool:
    """Whether a program can really be run in it."""
    return sandbox.works()
