"""The one tree of errors.

    ShiftworkError                 something a person can act on; its text is one sentence
    ├── InvalidInput               a file, argument or message is wrong: which, what, what to do
    │   └── CassetteError          a scripted agent's cassette is wrong: file, line, field
    ├── NotFound                   a project, feature, session … that does not exist
    ├── Conflict                   a name that is taken, a state that does not allow it
    │   └── Stale                  somebody changed it since the caller looked
    ├── RepositoryError            a repository that can't be used, or git that failed
    │   ├── MergeConflict          two sides changed the same lines; carries the paths
    │   ├── SnapshotRefused        a workspace holds what no commit may hold; carries the paths
    │   │   └── SecretRefused      a commit would add a secret; carries the paths
    │   └── PeopleCommitsAtRisk    a revert would undo commits of people; carries them
    ├── LeaseLost                  this attempt was superseded: write nothing, end the agents
    ├── UnreadableRow              a row that another version wrote, or that somebody changed: which, and why
    ├── StackError                 an embedded server can't be started or reached
    ├── CodecError                 what Temporal stores can't be decoded: an unknown key, or it was changed
    ├── SandboxTooWeak             nothing here confines programs as far as is asked; carries the reasons
    ├── SecretExposed              a process that we start would be given a secret
    ├── ModelFailed                a chat model did not answer what it was asked
    ├── EnvironmentFailed          an environment could not get ready, begin an episode, or play it to its end
    ├── AgentError                 an agent's process: see `shiftwork.runner.failures`
    └── ShadowedPackage            another distribution stands in the place of one of ours

Only `StackError` and plain I/O errors can be helped by trying again.
"""

from collections.abc import Sequence


class ShiftworkError(Exception):
    """Something a person can act on; the text is one sentence that says what, which and what to do."""


class InvalidInput(ShiftworkError):  # noqa: N818 - the tree names what happened, as httpx does
    """A file, argument or message is wrong."""


class CassetteError(InvalidInput):
    """A cassette of the scripted agent is wrong."""


class NotFound(ShiftworkError):  # noqa: N818
    """A project, feature, session or decision that does not exist."""


class Conflict(ShiftworkError):  # noqa: N818
    """A name that is taken, or a state that does not allow what was asked."""


class Stale(Conflict):
    """Somebody changed it since the caller looked; nothing was changed now."""


class RepositoryError(ShiftworkError):
    """A repository that can't be used, or a git command that failed."""


class MergeConflict(RepositoryError):  # noqa: N818
    """Two sides changed the same lines; `paths` are the files in conflict."""

    def __init__(self, message: str, paths: Sequence[str]) -> None:
        super().__init__(message)
        self.paths = tuple(paths)


class SnapshotRefused(RepositoryError):  # noqa: N818
    """A workspace holds what no commit may hold, or more than that; `paths` are to blame, if any."""

    def __init__(self, message: str, paths: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.paths = tuple(paths)


class SecretRefused(SnapshotRefused):
    """A commit would add a secret; the sentence names path, line and kind, never the value."""


class PeopleCommitsAtRisk(RepositoryError):  # noqa: N818
    """A revert would undo commits of people; `commits` are their ids, newest first."""

    def __init__(self, message: str, commits: Sequence[str]) -> None:
        super().__init__(message)
        self.commits = tuple(commits)


class LeaseLost(ShiftworkError):  # noqa: N818
    """Another attempt took over: nothing more may be written, and the agents end."""


class UnreadableRow(ShiftworkError):  # noqa: N818
    """A row of the store says what this version can't take: another one wrote it, or somebody changed it.

    `row_id` is its id, if it is known and a number.
    """

    def __init__(self, message: str, row_id: int | None = None) -> None:
        super().__init__(message)
        self.row_id = row_id


class StackError(ShiftworkError):
    """An embedded server can't be started or reached."""


class CodecError(ShiftworkError):
    """What Temporal stores can't be decoded: its key is unknown, or somebody changed it."""


class SandboxTooWeak(ShiftworkError):  # noqa: N818
    """No sandbox of this machine reaches the configured minimum; `reasons` say why, and what would help."""

    def __init__(self, message: str, reasons: Sequence[str]) -> None:
        super().__init__(message)
        self.reasons = tuple(reasons)


class SecretExposed(ShiftworkError):  # noqa: N818
    """An argument or a variable of a process that we start would hold a secret; it was not started."""


class ModelFailed(ShiftworkError):  # noqa: N818
    """A chat model did not answer what it was asked."""


class EnvironmentFailed(ShiftworkError):  # noqa: N818
    """An environment could not get ready, begin an episode, take one up again, or play it to its end."""


class ShadowedPackage(ShiftworkError):  # noqa: N818
    """Another distribution stands in the place of one of our top-level packages."""
