"""What people send holds no secret: it is refused where it comes in, as redacted it were something else."""

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


def refuse_in_words(what: str, words: str | None, redactor: Finds) -> None:
    """Raise `InvalidInput` if what a person says holds a secret; `what` begins the sentence."""
    if name := redactor.secret_in(words or ""):
        raise InvalidInput(
            f"{what} would hold the secret {name!r}, and no agent may read it: "
            "say where it is, in a variable or a file, not what it is."
        )


def refuse_in_code(code: str, redactor: Finds) -> None:
    """Raise `InvalidInput` if the code of an agent holds a secret: it is kept, shown and run as it is."""
    if name := redactor.secret_in(code):
        lines = enumerate(code.splitlines(), 1)
        line = next((f" in line {number}" for number, text in lines if redactor.secret_in(text)), "")
        raise InvalidInput(
            f"The agent's code would hold the secret {name!r}{line}, and would be stored as it is; "
            "remove it: what needs a secret is a backend or a provider, which is given a reference to it."
        )


def refuse_in_feature(feature: FeatureSpec | FeatureEdit, redactor: Finds) -> None:
    """Raise `InvalidInput` if a feature holds a secret, as a person sends it."""
    refuse_in_exact(feature, redactor)
    refuse_in_words(f"The description of the feature {_name(feature)!r}", feature.description, redactor)


def refuse_in_plan(plan: Plan, redactor: Finds) -> None:
    """Raise `InvalidInput` if the exact parts of a plan hold a secret; its prose is redacted."""
    for feature in plan.features:
        refuse_in_exact(feature, redactor)
    refuse_secrets("The plan's set-up", [command.model_dump(mode="json") for command in plan.setup], redactor)


def refuse_in_exact(feature: FeatureSpec | FeatureEdit, redactor: Finds) -> None:
    """Raise `InvalidInput` if what of a feature means something to programs holds a secret."""
    name = _name(feature)
    shown = "A feature's name" if redactor.secret_in(name) else f"The feature {name!r}"
    dumped = feature.model_dump(mode="json", include={"name", "depends_on", "verification_steps"})
    refuse_secrets(shown, dumped, redactor)


def _name(feature: FeatureSpec | FeatureEdit) -> str:
    return feature.feature if isinstance(feature, FeatureEdit) else feature.name
