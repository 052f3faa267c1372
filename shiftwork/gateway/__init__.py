"""The model gateway: the only way out of a sandbox. It holds the keys, meters, bounds and refuses."""

from shiftwork.gateway.call import Call, Outcome, Tokens
from shiftwork.gateway.egress import Egress
from shiftwork.gateway.environment import ENVIRONMENT_PATH
from shiftwork.gateway.gateway import Gateway
from shiftwork.gateway.policy import Bounds, Policy, Said, Upstream
from shiftwork.gateway.refusals import REFUSAL_HEADER, Reason, Wire
from shiftwork.gateway.session import DoorClosed, GatewaySession

__all__ = [
    "ENVIRONMENT_PATH",
    "REFUSAL_HEADER",
    "Bounds",
    "Call",
    "DoorClosed",
    "Egress",
    "Gateway",
    "GatewaySession",
    "Outcome",
    "Policy",
    "Reason",
    "Said",
    "Tokens",
    "Upstream",
    "Wire",
]
