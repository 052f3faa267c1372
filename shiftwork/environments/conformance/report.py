"""What came of holding an environment against the rules."""

from dataclasses import dataclass

from shiftwork.environments.conformance.wording import sentence
from shiftwork.errors import EnvironmentFailed


@dataclass(frozen=True, slots=True)
class Fault:
    """What an environment does wrong.

    Attributes:
        rule: the name of the rule that is broken.
        message: one sentence: what, at which action or step, what to do.
    """

    rule: str
    message: str


class NotConforming(EnvironmentFailed):
    """An environment breaks rules; `faults` are what it does wrong."""

    def __init__(self, message: str, faults: tuple[Fault, ...]) -> None:
        super().__init__(message)
        self.faults = faults


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """What came of `check_harness`.

    Attributes:
        environment: its name.
        faults: what it does wrong, in the order of the rules.
        checked: the rules that it was held against.
        skipped: a sentence on each rule, or part of one, that it could not be held against.
    """

    environment: str
    faults: tuple[Fault, ...] = ()
    checked: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return not self.faults

    def raise_for_faults(self) -> None:
        """Do nothing where none was found.

        Raises:
            NotConforming: there are faults; the text names them all.
        """
        if self.faults:
            told = "; ".join(f"{fault.rule}: {sentence(fault.message)}" for fault in self.faults)
            raise NotConforming(f"environment {self.environment!r} breaks rules: {told}", self.faults)
