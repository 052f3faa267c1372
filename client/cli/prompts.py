"""`prompts`: what agents are told of their roles."""

from argparse import Namespace

from client.cli.exits import DONE
from client.cli.output import print_json
from shiftwork.agents.roles import prompt_for
from shiftwork.contracts.session import Role


def prompts(args: Namespace) -> int:
    """Print our own prompt of one role as it is, or of all with their names."""
    found = [prompt_for(Role(role), {}) for role in ([args.role] if args.role else Role)]
    if args.json:
        print_json([{"role": each.role, "version": each.version, "text": each.text} for each in found])
    elif args.role:
        print(found[0].text)
    else:
        print("\n\n".join(f"# {each.role}, version {each.version}\n\n{each.text}" for each in found))
    return DONE
