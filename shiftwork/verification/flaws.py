"""Steps of a feature that can't show anything: a shell can't read them, or they come out alike."""

from collections.abc import Iterable

from shiftwork.contracts.feature import FeatureSpec
from shiftwork.shells import complaint, shell_name
from shiftwork.verification.trivial import proves_nothing


def flaw(feature: FeatureSpec) -> str | None:
    """A sentence on the first step that can't show anything; None: each may.

    It starts a shell for each command, which only reads it: some milliseconds, not for an event loop.
    """
    return unreadable_step(feature) or proves_nothing(feature)


def unreadable_step(feature: FeatureSpec) -> str | None:
    """A sentence on the first step whose command the shell can't read; None: it can read all."""
    for number, step in enumerate(feature.verification_steps, start=1):
        if step.command is not None and (problem := unreadable(step.command)):
            return f"feature {feature.name!r}, step {number}: {problem}"
    return None


def unreadable(command: str) -> str | None:
    """A sentence on a command that the shell can't read, with the shell's own words; None if it can."""
    said = complaint(command)
    return said and f"{shell_name()} can't read {command!r:.200} ({said})"


def flaws(features: Iterable[FeatureSpec], most: int) -> list[str]:
    """The sentences of `flaw`; shells are asked for the first features only, with `most` steps together."""
    found, asked = [], 0
    for feature in features:
        asked += len(feature.verification_steps)
        found.append(flaw(feature) if asked <= most else proves_nothing(feature))
    return [sentence for sentence in found if sentence]
