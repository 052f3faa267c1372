"""Steps of a feature that can't show anything: a shell can't read them, or they always end alike."""

from collections.abc import Iterable

from shiftwork.contracts.feature import LAST_STATUS, FeatureSpec
from shiftwork.shells import complaint, shell_name
from shiftwork.verification.trivial import proves_nothing


def flaw(feature: FeatureSpec) -> str | None:
    """A sentence on the first step that can't show anything; None: each may.

    It starts a shell for each command, which only reads it: some milliseconds, not for an event loop.
    """
    return unreadable_step(feature) or decided_already(feature)


def decided_already(feature: FeatureSpec) -> str | None:
    """A sentence on the first step that comes out alike whatever there is; None: each may come out both ways.

    It reads no command, but looks into those that are short.
    """
    for number, step in enumerate(feature.verification_steps, start=1):
        if step.command is not None and (problem := no_status(step.expect_status)):
            return f"feature {feature.name!r}, step {number} can't pass: {problem}"
    return proves_nothing(feature)


def no_status(expected: int) -> str | None:
    """A sentence on an exit status that no command ends with; None: one may."""
    if 0 <= expected <= LAST_STATUS:
        return None
    return f"no command ends with the exit status {expected}; they are from 0 to {LAST_STATUS}"


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
        found.append(flaw(feature) if asked <= most else decided_already(feature))
    return [sentence for sentence in found if sentence]
