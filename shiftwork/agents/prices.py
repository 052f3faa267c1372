"""What tokens cost, where the agent's program does not say: the price table of `genai-prices`."""

from functools import lru_cache

from shiftwork.agents.bounds import MOST_DOLLARS
from shiftwork.agents.events import AgentEvent
from shiftwork.contracts.prices import Prices

_MILLION = 1_000_000


def cost(usage: AgentEvent, prices: Prices | None = None, *, model: str = "") -> float | None:
    """What a `usage` event cost in US dollars; None if nobody knows the model's price.

    A project's own prices come first, then what the agent's program says, then the price table.

    Args:
        prices: those of the project.
        model: what to assume if the event does not name its model.
    """
    if prices is not None:
        return _dollars(prices, usage)
    if usage.cost_usd is not None:
        return usage.cost_usd
    found = _table(usage.model or model)
    return None if found is None else _dollars(found, usage)


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


def _dollars(prices: Prices, usage: AgentEvent) -> float:
    read = prices.input if prices.cache_read is None else prices.cache_read
    write = prices.input if prices.cache_write is None else prices.cache_write
    total = (
        usage.input_tokens * prices.input
        + usage.output_tokens * prices.output
        + usage.cache_read_tokens * read
        + usage.cache_write_tokens * write
    )
    return min(total / _MILLION, MOST_DOLLARS)
