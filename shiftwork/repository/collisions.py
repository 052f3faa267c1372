"""Names that differ for git and are one name on some people's machines."""

from collections.abc import Callable, Mapping

from shiftwork.repository.deadline import Tick, refuse
from shiftwork.repository.names import folded, folders_of, shown
from shiftwork.repository.objects import TreeEntry

LINK = "120000"


def note_collisions(
    base: Mapping[str, TreeEntry],
    found: Mapping[str, TreeEntry],
    note: Callable[[str, str], None],
    tick: Tick,
) -> None:
    """Note each new path that collides with another one; refuse it where one of them is a link."""
    new = [path for path in found if path not in base]
    if not new:
        return
    old = [path for path in found if path in base]
    seen: dict[str, str] = {}
    for path in (*old, *folders_of(old)):
        tick()
        seen[folded(path)] = path
    for path in (*new, *folders_of(new)):
        tick()
        other = seen.setdefault(folded(path), path)
        if other != path:
            why = f"differs from {shown(other)!r} in case or accents alone, which macOS can't keep apart"
            if any(name in found and found[name].mode == LINK for name in (path, other)):
                refuse(path, f"{why}; one of them is a symbolic link, through which files would be written")
            note(path, why)
