"""What tokens cost, where the agent's program does not say: the price table of `genai-prices`."""

from functools import lru_cache
from typing import Annotated

from pydantic import Field

from shiftwork.agents.events import AgentEvent
from shiftwork.contracts.base import Document

_MILLION = 1_000_000


class Prices(Document):
    """US dollars per million tokens, for models that no table knows, or that cost something else."""

    input: Annotated[float, Field(ge=0)] = 0.0
    output: Annotated[float, Field(ge=0)] = 0.0
    cache_read: Annotated[float, Field(ge=0)] | None = None
    """None: as `input`."""
    cache_write: Annotated[float, Field(ge=0)] | None = None
    """None: as `input`."""

    def cost(self, usage: AgentEvent) -> float:
        """US dollars."""
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        total = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_read_tokens * read
            + usage.cache_write_tokens * write
        )
        return total / _MILLION


def cost(usage: AgentEvent, prices: Prices | None = None, *, model: str = "") -> float | None:
    """What a `usage` event cost in US dollars; None if nobody knows the model's price.

    A project's own prices come first, then what the agent's program says, then the price table.

    Args:
        prices: those of the project.
        model: what to assume if the event does not name its model.
    """
    if prices is not None:
        return prices.cost(usage)
    if usage.cost_usd is not None:
        return usage.cost_usd
    found = _table(usage.model or model)
    return None if found is None else found.cost(usage)


@lru_cache(maxsize=256)
def _table(model: str) -> Prices | None:
    """The price table's entry, taken apart into prices per class of tokens.

    Tiers that begin with long prompts are left out: they are known for whole requests only.
    """
    if not model:
        return None
    # Imported here: the table takes longer to load than most commands take to run.
    from genai_prices import Usage, calc_price  # noqa: PLC0415

    provider, _, name = model.rpartition("/")
    sample = 1000

    def dollars(**tokens: int) -> float:
        usage = Usage(**tokens)
        return float(calc_price(usage, model_ref=name, provider_id=provider or None).total_price)

    try:
        plain = dollars(input_tokens=sample)
        return Prices(
            input=plain / sample * _MILLION,
            output=dollars(output_tokens=sample) / sample * _MILLION,
            cache_read=dollars(input_tokens=sample, cache_read_tokens=sample) / sample * _MILLION,
            cache_write=dollars(input_tokens=sample, cache_write_tokens=sample) / sample * _MILLION,
        )
    except (LookupError, ValueError):
        return _table(name) if provider else None
