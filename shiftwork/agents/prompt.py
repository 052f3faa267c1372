"""What an agent's program is told when a session starts or goes on."""

from pathlib import Path

_FOLDERS = """\
This brief, with its attachments, is the folder `{brief}`.
`SHIFTWORK_OUTBOX` is the folder `{outbox}`: write there the files that you leave.
Nobody can answer while you work; decide by yourself, or leave a question in the outbox and end."""

_RESUMED = """\
You were interrupted in the middle of this session, and go on now. Your folder is `{workspace}`:
it holds the files as you left them, perhaps at another place than before. What ran when you were
interrupted has ended. Look at the state of the files first, then finish the feature. Here is your
brief again."""


def session_prompt(brief_text: str, *, workspace: Path, brief: Path, outbox: Path, resumed: bool) -> str:
    """The prompt of a session: the brief, and where its folders are.

    Args:
        resumed: whether the agent goes on with a conversation that was cut off.
    """
    parts = [
        _RESUMED.format(workspace=workspace) if resumed else "",
        brief_text.rstrip(),
        _FOLDERS.format(brief=brief, outbox=outbox),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
