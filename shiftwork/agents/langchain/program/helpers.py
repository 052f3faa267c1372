"""The sub-agents: helpers with a conversation of their own, for a part of the work."""

from collections.abc import Mapping
from typing import Final

from shiftwork.agents.roles import prompt_for
from shiftwork.contracts.session import Role

_HELPER = """\
You are a helper: another agent gave you the task that follows, a part of its work in the same folder. Do
that and nothing else. You have no brief and hand nothing over: your last message is all that agent gets from
you, so put into it what it needs to know. What is said below of a brief or a handover is said of this task
and that message.
"""

_GENERAL = "Find out what is asked, or do what is asked, and report exactly what you found and changed."

HELPERS: Final[Mapping[str, tuple[str, Role | None]]] = {
    "general": ("Finds things out in the folder, or does some small thing, and reports.", None),
    "code": ("Writes a part of the code, with its tests.", Role.SESSION),
    "research": ("Finds out how something outside of the project really behaves.", Role.RESEARCH),
    "testing": ("Writes tests, and finds out what breaks.", Role.TESTING),
    "documentation": ("Writes or corrects documentation, and tries every example in it.", Role.DOCUMENTATION),
}
"""Sub-agents by name: what the agent is told of them, and whose prompt they follow."""


def helper_prompt(role: Role | None, own: Mapping[Role, str]) -> str:
    """What a sub-agent is told of its work; `own`: the project's own prompts."""
    return f"{_HELPER}\n{prompt_for(role, own).text if role else _GENERAL}"
