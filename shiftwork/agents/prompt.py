"""What an agent's program is told when a session or a task starts, or a session goes on."""

from pathlib import Path

_FOLDERS = """\
This brief, with its attachments, is the folder `{brief}`.
`SHIFTWORK_OUTBOX` is the folder `{outbox}`: write there the files that you leave.
Nobody can answer while you work; decide by yourself, or leave a question in the outbox and end."""

_TASK_FOLDERS = """\
This brief is the folder `{brief}` (`request.json` has the same for programs).
`SHIFTWORK_OUTBOX` is the folder `{outbox}`: write there what you hand over.
Nobody can answer while you work; decide by yourself."""

_BRIEF_FOLDER = """\
This brief is the folder `{brief}` (`request.json` has the same for programs).
Nobody can answer while you play; decide by yourself."""

_RESUMED = """\
You were interrupted in the middle of this session, and go on now. Your folder is `{workspace}`:
{files}. What ran when you were interrupted has
ended. Look at the state of the files first, then finish the feature. Here is your brief again."""

_AS_THEY_WERE = "it holds the files as you left them, perhaps at another place than before"
_LOST = """\
it holds the files of the main branch, because what you had changed was lost with the machine you worked
on: make those changes again"""


def session_prompt(
    brief_text: str, *, workspace: Path, brief: Path, outbox: Path, resumed: bool, intact: bool = True
) -> str:
    """The prompt of a session: the brief, and where its folders are.

    Args:
        resumed: whether the agent goes on with a conversation that was cut off.
        intact: whether it finds its files as it left them then.
    """
    files = _AS_THEY_WERE if intact else _LOST
    parts = [
        _RESUMED.format(workspace=workspace, files=files) if resumed else "",
        brief_text.rstrip(),
        _FOLDERS.format(brief=brief, outbox=outbox),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def task_prompt(brief_text: str, *, brief: Path, outbox: Path) -> str:
    """The prompt of a task: the brief, and where its folders are."""
    return f"{brief_text.rstrip()}\n\n{_TASK_FOLDERS.format(brief=brief, outbox=outbox)}\n"


def play_prompt(brief_text: str, *, brief: Path) -> str:
    """The prompt of an episode: the brief, and where it is."""
    return f"{brief_text.rstrip()}\n\n{_BRIEF_FOLDER.format(brief=brief)}\n"
