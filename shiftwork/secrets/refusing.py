"""What must be stored as it is holds no secret: it is refused where it comes in, as it can't be redacted."""

from typing import Any, Protocol

from shiftwork.contracts.feature import FeatureEdit, FeatureSpec
from shiftwork.contracts.plan import Plan
from shiftwork.errors import InvalidInput


class Finds(Protocol):
    """What a `Redactor` does, and a `LazyRedactor`."""

    def secret_in(self, value: Any) -> str | None: ...


def refuse_secrets(what: str, value: Any, redactor: Finds) -> None:
    """Raise `InvalidInput` if a name, path, command or option holds a secret; `what` begins the sentence."""
    if name := redactor.secret_in(value):
        raise InvalidInput(
            f"{what} would hold the secret {name!r}, and would be stored as it is: "
            "have commands read it from a variable or a file."
        )


def refuse_in_feature(feature: FeatureSpec | FeatureEdit, redactor: Finds) -> None:
    """Raise `InvalidInput` if the exact parts of a feature hold a secret; its description is redacted."""
    dumped = feature.model_dump(mode="json", include={"name", "depends_on", "verification_steps"})
    name = feature.feature if isinstance(feature, FeatureEdit) else feature.name
    shown = "A feature's name" if redactor.secret_in(name) else f"The feature {name!r}"
    refuse_secrets(shown, dumped, redactor)


def refuse_in_plan(plan: Plan, redactor: Finds) -> None:
    """Raise `InvalidInput` if the exact parts of a plan hold a secret."""
    for feature in plan.features:
        refuse_in_feature(feature, redactor)
    refuse_secrets("The plan's set-up", [command.model_dump(mode="json") for command in plan.setup], redactor)
