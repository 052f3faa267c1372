"""Every command of the command line, in the order in which `--help` shows them.

The name of a command may have two words: then the first is a noun of `GROUPS`, the second what is done to it.
"""

from client.cli.table_agents import AGENTS, AGENTS_HELP
from client.cli.table_changes import CHANGES, MEMORY
from client.cli.table_environments import ENVIRONMENTS, ENVIRONMENTS_HELP
from client.cli.table_projects import PROJECTS, STACK
from client.cli.table_tasks import TASKS, TASKS_HELP

COMMANDS = (*STACK, *PROJECTS, *CHANGES, *AGENTS, *TASKS, *ENVIRONMENTS, *MEMORY)

GROUPS = {**AGENTS_HELP, **TASKS_HELP, **ENVIRONMENTS_HELP}
"""What the commands of a noun are about, for `--help`."""
