"""What tokens cost, where the agent's program does not say: the price table of `genai-prices`."""

from functools import lru_cache
from typing import NamedTuple

from shiftwork.agents.bounds import MOST_DOLLARS
from shiftwork.agents.events import AgentEvent
from shiftwork.agents.langchain.providers import PROVIDERS
from shiftwork.contracts.prices import Prices

_AT_HOME = "ollama"
_MILLION = 1_000_000


class Beside(NamedTuple):
    """What else a provider takes money for.

    Attributes:
        hour_writes: tokens that were written to a cache for an hour; they are in `cache_write_tokens`, too.
        searches: in the web.
    """

    hour_writes: int = 0
    searches: int = 0


class _Rates(NamedTuple):
    """An entry of the price table; what a token kept for an hour costs more, and a search, in dollars."""

    prices: Prices
    hour_write: float
    search: float


def cost(
    usage: AgentEvent,
    prices: Prices | None = None,
    *,
    model: str = "",
    asked: str = "",
    beside: Beside | None = None,
) -> float | None:
    """What a `usage` event cost in US dollars; None if nobody knows the model's price.

    A project's own prices come first, then what the agent's program says, then the price table.

    Args:
        prices: those of the project.
        model: what the agent was told to work with: assumed if the table knows no other name of the model.
        asked: the model as the question named it, before that: a server may answer by a name of its own.
        beside: what else is charged, which the table alone has prices for.
    """
    if prices is not None:
        return _dollars(prices, usage)
    if usage.cost_usd is not None:
        return usage.cost_usd
    names = (usage.model or "", asked, model)
    found = next((rates for name in names if (rates := _table(name)) is not None), None)
    if found is None:
        return None
    hours, searches = beside or Beside()
    more = hours * found.hour_write + searches * found.search
    return min(_dollars(found.prices, usage) + more, MOST_DOLLARS)


@lru_cache(maxsize=256)
def _table(model: str) -> _Rates | None:
    """The price table's entry, taken apart into prices per class of tokens.

    Tiers that begin with long prompts are left out: they are known for whole requests only.
    """
    if not model:
        return None
    # Imported here: the table takes longer to load than most commands take to run.
    from genai_prices import Usage, calc_price  # noqa: PLC0415

    provider, name = _parts(model)
    sample = 1000

    def dollars(**tokens: int) -> float:
        usage = Usage(**tokens)
        return float(calc_price(usage, model_ref=name, provider_id=provider or None).total_price)

    try:
        plain = dollars(input_tokens=sample)
        writes = {"input_tokens": sample, "cache_write_tokens": sample}
        written = dollars(**writes)
        prices = Prices(
            input=plain / sample * _MILLION,
            output=dollars(output_tokens=sample) / sample * _MILLION,
            cache_read=dollars(input_tokens=sample, cache_read_tokens=sample) / sample * _MILLION,
            cache_write=written / sample * _MILLION,
        )
        for_hours = dollars(**writes, cache_write_1h_tokens=sample)
        return _Rates(prices, (for_hours - written) / sample, dollars(web_searches=sample) / sample)
    except (LookupError, ValueError):
        # What runs at home costs nobody's prices, whatever it is called.
        return _table(name) if provider and provider != _AT_HOME else None


def _parts(model: str) -> tuple[str, str]:
    """Provider and name of `provider:name` or `provider/name`; a colon may also be a part of the name."""
    provider, _, name = model.partition(":")
    if provider in PROVIDERS:
        return provider, name
    provider, _, name = model.rpartition("/")
    return provider, name


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
