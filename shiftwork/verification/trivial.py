"""Commands that show nothing: they come out alike, whatever the project holds."""

from typing import Final

from shiftwork.contracts.feature import FeatureSpec
from shiftwork.verification.tokens import Unclear
from shiftwork.verification.walk import FAILED, Walk, Way

_MOST_CHARACTERS: Final = 2_000
"""Of a command that is looked into: an easy way out is short, and looking must cost next to nothing."""


def is_trivial(command: str, *, output: bool = True) -> bool:
    """Whether a shell command comes out alike whatever there is: `exit 0`, `echo ok`, `test -d .`, or none.

    It keeps a model from an easy way out, not a malicious one. To refuse a command wrongly blocks a feature,
    to overlook one is a weak step: what isn't seen through to the end counts as a check. It never raises.

    Args:
        output: whether what the command says counts, too; else its exit status alone does.
    """
    if len(command) > _MOST_CHARACTERS:
        return False
    try:
        # What is said depends from the beginning where nobody listens: then no two ways differ by it.
        ways = Walk(command).ends(Way(said="" if output else None))
    except Unclear:
        return False
    ends = {(way.status, way.said) for way in ways}
    if len(ends) != 1:
        return False
    [(status, said)] = ends
    return status != FAILED and (said is not None or not output)


def proves_nothing(feature: FeatureSpec) -> str | None:
    """A sentence on the first step of a feature that comes out alike whatever there is; None: all check."""
    for number, step in enumerate(feature.verification_steps, start=1):
        if step.command is not None and is_trivial(step.command, output=step.expect_output is not None):
            return (
                f"feature {feature.name!r}, step {number} checks nothing: {step.command!r:.200} comes "
                "out alike whatever there is"
            )
    return None
