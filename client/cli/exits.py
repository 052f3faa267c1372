"""What the exit status of a command means."""

DONE = 0
ERROR = 1
USAGE = 2
"""Given by argparse."""
PAUSED = 3
"""The project rests, paused: what a waiting command found."""
ABANDONED = 4
NOT_PASSED = 5
"""Of `run-session --wait`: the session failed or was interrupted. Of a task waited for: it failed.

Of environments: one breaks a rule, or an episode could not be played."""
INTERRUPTED = 130
PIPE_CLOSED = 141
"""Whoever read our output has gone; the same as any program that SIGPIPE ends."""

_ERROR_MEANING = (
    "error: one sentence on standard error says what, which and what to do; nothing was changed\n"
    "       (but what a waiting command was told to begin goes on)"
)
_NOT_PASSED_MEANING = (
    "the session failed or was interrupted (run-session --wait), or the task failed\n"
    "       (agents run, tasks run TASK, tasks wait), or an environment breaks a rule (env check), or\n"
    "       an episode could not be played (env run, env watch)"
)
MEANINGS = (
    (DONE, "done"),
    (ERROR, _ERROR_MEANING),
    (USAGE, "the command line is wrong"),
    (PAUSED, "the project rests, paused (start --wait, resume --wait, pause --wait, watch)"),
    (ABANDONED, "the project is abandoned (the same commands)"),
    (NOT_PASSED, _NOT_PASSED_MEANING),
    (INTERRUPTED, "interrupted by Ctrl-C; what was started goes on"),
)

_OF_STATUS = {"completed": DONE, "paused": PAUSED, "abandoned": ABANDONED}


def of_status(status: str) -> int:
    """The exit status of a command that waited until a project came to rest with this status."""
    return _OF_STATUS[status]
