"""Which attempt a home's conversation is of: noted beside the home, where no agent writes.

Names of hosts don't tell it. Two machines may have the same one, and one that starts again another; several
may share the folder, and a session may come back to a host that has an older state.
"""

from pathlib import Path


def note_attempt(home: Path, session: int, attempt: int) -> None:
    """From now on the home is that attempt's; blocks."""
    note = _note(home)
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = note.with_suffix(".new")
    draft.write_text(f"{session} {attempt}\n")
    draft.replace(note)


def noted_attempt(home: Path) -> tuple[int, int] | None:
    """The session and the attempt that used it last; None: nobody noted it."""
    try:
        session, attempt = _note(home).read_text().split()
        return int(session), int(attempt)
    except (OSError, ValueError):
        return None


def move_home(old: Path, new: Path, session: int, attempt: int) -> None:
    """Move a home as that attempt left it; repeated after a crash, it goes on; blocks."""
    note_attempt(new, session, attempt)
    old.rename(new)
    _note(old).unlink(missing_ok=True)


def _note(home: Path) -> Path:
    return home.with_name(f"{home.name}.attempt")
