"""What a session leaves in its outbox, as a handoff like those of registered agents."""

import json
from typing import Any

from shiftwork.contracts.outbox import Handoff, Outbox
from shiftwork.errors import InvalidInput
from shiftwork.handoffs.context import HandoffContext

_LARGE = ("observations", "actions", "state", "metadata")


def context_of(handoff: Handoff) -> HandoffContext:
    """The context that says the same; what is not of its part's form is kept under the part's name.

    Raises:
        InvalidInput: it holds what no context may.
    """
    told = {name: getattr(handoff, name) for name in ("last_action", "recommended_next_action")}
    parts = {
        "observations": _mapping("observations", handoff.observations),
        "actions": _mappings(handoff.actions),
        "state": _mapping("state", handoff.state),
        "metadata": {**_mapping("metadata", handoff.metadata), **{k: v for k, v in told.items() if v}},
    }
    return HandoffContext.from_json(json.dumps(parts))


def with_fitting_handoff(outbox: Outbox) -> Outbox:
    """The outbox with a handoff that can be kept: what is too large is left out, and a problem says so."""
    if outbox.handoff is None:
        return outbox
    try:
        context_of(outbox.handoff).to_json()
    except InvalidInput as error:
        problem = f"handoff.json: {error} Only its summary and its two actions in words were kept."
        bare = outbox.handoff.model_copy(update=dict.fromkeys(_LARGE))
        return outbox.model_copy(update={"handoff": bare, "problems": (*outbox.problems, problem)})
    return outbox


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    return value if isinstance(value, dict) else {name: value}


def _mappings(value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    return [_mapping("action", item) for item in (value if isinstance(value, list) else [value])]
