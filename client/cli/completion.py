"""`completion`: the shell's own completion script, made from the parser."""

from argparse import Namespace

import shtab

from client.cli.exits import DONE
from client.cli.parser import build_parser


def completion(args: Namespace) -> int:
    """Print the script."""
    print(shtab.complete(build_parser(), shell=args.shell))
    return DONE
