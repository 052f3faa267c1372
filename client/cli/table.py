"""Every command of the command line, in the order in which `--help` shows them."""

from client.cli.table_changes import CHANGES, MEMORY
from client.cli.table_projects import PROJECTS, STACK

COMMANDS = (*STACK, *PROJECTS, *CHANGES, *MEMORY)
