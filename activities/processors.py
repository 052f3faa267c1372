"""The processors of this worker, by the provider that a task names."""

from collections.abc import Mapping

from shiftwork.errors import InvalidInput
from shiftwork.tasks.processing import Processor, refuse_outward


class Processors:
    """Those that this worker has.

    Args:
        processors: one for each provider.
        outward: the providers that may act on the world beyond this stack.
    """

    def __init__(self, processors: Mapping[str, Processor], outward: frozenset[str] = frozenset()) -> None:
        self._processors = dict(processors)
        self._outward = outward

    def of(self, provider: str) -> Processor:
        """The processor of this provider's tasks.

        Raises:
            InvalidInput: there is none, or it acts outwards and may not.
        """
        processor = self._processors.get(provider)
        if processor is None:
            known = ", ".join(sorted(self._processors))
            raise InvalidInput(f"The provider {provider!r} is not known; known are: {known}.")
        if processor.outward and provider not in self._outward:
            raise refuse_outward(provider)
        return processor
