"""Taking secrets out of what an environment tells, before anybody cuts it or passes it on."""

from dataclasses import replace
from typing import Any, Protocol

from shiftwork.environments.protocol import ActionDefinition, Observation
from shiftwork.environments.tool_result import ToolResult, image_of
from shiftwork.environments.trajectory import Step


class Redacts(Protocol):
    """What a `Redactor` does, and a `LazyRedactor`."""

    def redact_json(self, value: Any) -> Any: ...

    def redact_exact(self, value: Any) -> Any: ...

    def redact_excerpts(self, value: Any) -> Any: ...


def redacted_observation(seen: Observation, redactor: Redacts) -> Observation:
    """The same without secrets; the very same object if it holds none.

    Of the names of actions and what they take, which are said back, only what is beyond doubt goes. An image
    stays as it is.
    """
    told: dict[str, Any] = {"metadata": redactor.redact_json(seen.metadata)}
    if seen.content_type != "image" or image_of(str(seen.content)) is None:
        told["content"] = redactor.redact_json(seen.content)
    told["available_actions"] = [_action(each, redactor) for each in seen.available_actions]
    changed = {name: value for name, value in told.items() if value != getattr(seen, name)}
    return seen.model_copy(update=changed) if changed else seen


def _action(there: ActionDefinition, redactor: Redacts) -> ActionDefinition:
    told = {
        "name": redactor.redact_exact(there.name),
        "description": redactor.redact_json(there.description),
        "parameters": redactor.redact_exact(there.parameters),
    }
    return there.model_copy(update=told)


def redacted_step(step: Step, redactor: Redacts) -> Step:
    """The same without secrets in what the environment said of it."""
    if step.error is None:
        return step
    return step.model_copy(update={"error": redactor.redact_excerpts(step.error)})


def redacted_result(result: ToolResult, redactor: Redacts) -> ToolResult:
    """The same without secrets in what was perceived, and in what is said beside it."""
    output = result.output
    return replace(
        result,
        output=redacted_observation(output, redactor) if isinstance(output, Observation) else output,
        metadata=redactor.redact_json(result.metadata),
        error=redactor.redact_excerpts(result.error),
    )
