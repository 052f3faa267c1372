"""What the gateway knows of a run that the agent's program does not, or does not say."""

from dataclasses import replace
from datetime import UTC, datetime

from shiftwork.agents.protocol import Provider, Settings
from shiftwork.agents.run import AgentEnd
from shiftwork.contracts.session import InterruptionReason, RunStatus
from shiftwork.errors import InvalidInput
from shiftwork.gateway import GatewaySession

_THE_PROVIDERS_WORD = (InterruptionReason.AUTHENTICATION, InterruptionReason.REJECTED)
"""What programs take the gateway's refusal of a model for."""


def allowed_models(provider: Provider | None, settings: Settings) -> tuple[str, ...]:
    """The models that an agent may ask; none: any.

    Args:
        provider: that the gateway stands in for, if it does.
        settings: of the agent.

    Raises:
        InvalidInput: models are listed, and nothing would keep the agent to them.
    """
    listed = settings.get("models")
    if listed and provider is None:
        raise InvalidInput(
            "The agent's setting 'models' can't be kept, since no gateway stands between it and its model: "
            "choose another profile than 'open', give the setting 'credential', or take 'models' away."
        )
    return tuple(listed or ())


def as_the_gateway_saw(end: AgentEnd, way_out: GatewaySession | None, model: str = "") -> AgentEnd:
    """The end, with what the agent's program did not say of the limits that it ran into.

    Args:
        model: the agent's own, as its settings name it; '' if they don't.
    """
    if way_out is None or end.status is RunStatus.COMPLETED:
        return end
    if way_out.budget_refusals:
        return _interrupted(end, InterruptionReason.BUDGET)
    if _lacked_its_model(end, way_out):
        said = f"{_refused_model(way_out)}\n{end.message}".strip()
        return replace(_interrupted(end, InterruptionReason.REJECTED), message=said)
    return _limited(end, way_out, model)


def _interrupted(end: AgentEnd, reason: InterruptionReason) -> AgentEnd:
    return replace(end, status=RunStatus.INTERRUPTED, failure=None, reason=reason)


def _limited(end: AgentEnd, way_out: GatewaySession, model: str) -> AgentEnd:
    until = way_out.limited_until
    if until is None or until <= datetime.now(UTC):
        return end
    if end.reason is InterruptionReason.RATE_LIMITED:
        return replace(end, until=end.until or until)
    # A model beside its own may be limited while its own answers: then it failed by itself.
    if end.status is RunStatus.FAILED and way_out.is_limited(model):
        return replace(_interrupted(end, InterruptionReason.RATE_LIMITED), until=until)
    return end


def _lacked_its_model(end: AgentEnd, way_out: GatewaySession) -> bool:
    """Whether it ended because of a model that it may not ask: not one beside its own, which answered."""
    if way_out.refused_model is None:
        return False
    if end.reason in _THE_PROVIDERS_WORD:
        return True
    return end.status is RunStatus.FAILED and not way_out.answered_since


def _refused_model(way_out: GatewaySession) -> str:
    asked = f"the model {way_out.refused_model!r}" if way_out.refused_model else "a model without naming it"
    return (
        f"The agent asked {asked}, which its setting 'models' does not allow: "
        "allow it there, or choose another by the setting 'model'."
    )
