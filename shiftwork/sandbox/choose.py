"""Which sandboxes work on this machine, strongest first."""

import sys
from functools import cache

from shiftwork.errors import SandboxTooWeak
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.confinement import Confinement
from shiftwork.sandbox.landlock import Landlock
from shiftwork.sandbox.levels import Level, default_minimum, level_named
from shiftwork.sandbox.namespace import find_bubblewrap, find_unshare
from shiftwork.sandbox.obstacles import obstacles
from shiftwork.sandbox.probe import holds
from shiftwork.sandbox.seatbelt import Seatbelt
from shiftwork.sandbox.subreaper import Subreaper


def choose_sandbox(minimum: Level | None = None, wanted: Confinement | None = None) -> Sandbox:
    """The strongest sandbox that really confines a program here; tried once per process.

    Args:
        minimum: the weakest level that is accepted; None: the weakest of this platform that confines files.
        wanted: what programs are to be confined to; tried is its user, who can be another one than ours.

    Raises:
        SandboxTooWeak: none reaches the minimum; the text says why, and what would help.
    """
    least = default_minimum() if minimum is None else minimum
    sandbox = _strongest(least, wanted.user if wanted else None)
    if sandbox is None:
        raise too_weak(least)
    return sandbox


def best_sandbox() -> Sandbox:
    """The strongest that works here, whatever the minimum, to tell people of it."""
    return choose_sandbox(Level.NONE)


@cache
def cheap_sandbox() -> Subreaper:
    """The one that costs least, for many short programs; all of a process share its warden."""
    return Subreaper()


@cache
def candidates() -> tuple[Sandbox, ...]:
    """Every sandbox that might work here, strongest first; the last one always does."""
    if sys.platform == "darwin":
        return (Seatbelt(cheap_sandbox()), cheap_sandbox())
    return (*find_bubblewrap(), Landlock(cheap_sandbox()), *find_unshare(), cheap_sandbox())


def of_one_thread(sandbox: Sandbox) -> Sandbox:
    """The same for an event loop in a thread of its own, with a warden that nobody shares."""
    if isinstance(sandbox, Landlock):
        return Landlock(Subreaper(), sandbox.abi)
    if isinstance(sandbox, Seatbelt):
        return Seatbelt(Subreaper())
    return Subreaper() if isinstance(sandbox, Subreaper) else sandbox


def works(sandbox: Sandbox) -> bool:
    """Whether a program can really be run in it."""
    return sandbox.works()


def too_weak(least: Level) -> SandboxTooWeak:
    """The error that says why no sandbox reaches this level here, and what to do."""
    reasons = [one.reason for one in obstacles() if any(level >= least for level in one.levels)]
    weaker = best_sandbox().level
    allow = level_named(weaker).label
    sentence = (
        f"No sandbox of this machine reaches the minimum {least.label!r}; the strongest that works is "
        f"{weaker!r}, which SHIFTWORK_SANDBOX_MINIMUM={allow} would accept."
    )
    return SandboxTooWeak(" ".join([sentence, *reasons]), reasons)


@cache
def _strongest(least: Level, user: int | None) -> Sandbox | None:
    reaching = (one for one in candidates() if level_named(one.level) >= least)
    return next((one for one in reaching if _keeps_its_promise(one, user)), None)


def _keeps_its_promise(sandbox: Sandbox, user: int | None) -> bool:
    """Whether it runs programs, and does what its level promises."""
    return sandbox.works() and ("files" not in level_named(sandbox.level).confines or holds(sandbox, user))
