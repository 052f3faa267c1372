"""What one run of an agent leaves for the next."""

from shiftwork.handoffs.context import HandoffContext
from shiftwork.handoffs.manager import HandoffManager
from shiftwork.store.handoffs import HandoffArtifact

__all__ = ["HandoffArtifact", "HandoffContext", "HandoffManager"]
