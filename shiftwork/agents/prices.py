"""What tokens cost, where the agent's program does not say: the price table of `genai-prices`."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from shiftwork.agents.bounds import MOST_DOLLARS
from shiftwork.agents.events import AgentEvent
from shiftwork.agents.langchain.providers import BY_WIRE, PROVIDERS
from shiftwork.contracts.prices import Prices

_AT_HOME = frozenset(
    {
        *("gpt4all", "hostedvllm", "koboldcpp", "llamacpp", "llamacpppython", "llamafile", "lmstudio"),
        *("localai", "ollama", "ollamachat", "sglang", "vllm"),
    }
)
"""Whoever provides models by these names runs them on machines of their own, which nobody is paid for.

In small letters, and without what people part the words of them with.
"""
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
        model: what the agent was told to work with (see `told_model`): it says whose prices are looked at
            first, and is assumed if the provider has no other name of the model.
        asked: the model as the question named it, before that: a server may answer by a name of its own.
        beside: what else is charged, which the table alone has prices for.
    """
    if prices is not None:
        return _dollars(prices, usage)
    if usage.cost_usd is not None:
        return usage.cost_usd
    found = _found(usage.model or "", asked, model)
    if found is None:
        return None
    hours, searches = beside or Beside()
    more = hours * found.hour_write + searches * found.search
    return min(_dollars(found.prices, usage) + more, MOST_DOLLARS)


def told_model(settings: Mapping[str, Any]) -> str:
    """The model that an agent's settings name, as `provider:model` if they say whose it is."""
    model = str(settings.get("model") or "")
    chosen = BY_WIRE.get(str(settings.get("provider")))
    made_by = str(settings.get("chat_model") or "").partition(":")[0].partition(".")[0]
    provider = chosen or next((each for each in PROVIDERS.values() if each.module == made_by), None)
    if provider is None or model.startswith(f"{provider.name}:"):
        return model
    return f"{provider.name}:{model}"


def _found(answered: str, asked: str, told: str) -> _Rates | None:
    """The price of the first name that has one; those of the provider that was told before anybody else's.

    What runs at home costs nobody's prices, whatever it is called: what was told or asked for decides that,
    and no answer, whose server may be at home and name the model as another one does.
    """
    if _runs_at_home(told):
        return None
    names = [] if _runs_at_home(asked) else [name for name in (answered, asked) if not _runs_at_home(name)]
    provider, bare = _parts(told)
    own = [*names, bare] if provider else []
    theirs = (_table(provider, name.removeprefix(f"{provider}/")) for name in own)
    anybodys = (rates for name in (*names, told) for rates in _of_anybody(name))
    return next((rates for rates in chain(theirs, anybodys) if rates is not None), None)


def _runs_at_home(model: str) -> bool:
    """Whether a name says so, also behind another provider's: `openai:` may be what the server speaks."""
    return any(_is_at_home(provider) for provider, _ in _peeled(model))


def _of_anybody(name: str) -> Iterator[_Rates | None]:
    """The prices of a name, then of what is left of it without what is in front of it."""
    return (_table(provider, bare) for provider, bare in _peeled(name))


def _peeled(name: str) -> Iterator[tuple[str, str]]:
    """Provider and name, then those of the name, until no provider is in front of it."""
    provider, bare = _parts(name)
    yield provider, bare
    while provider:
        provider, bare = _parts(bare)
        yield provider, bare


@lru_cache(maxsize=256)
def _table(provider: str, name: str) -> _Rates | None:
    """The price table's entry, taken apart into prices per class of tokens; '' as a provider: whoever has it.

    Tiers that begin with long prompts are left out: they are known for whole requests only.
    """
    if not name:
        return None
    # Imported here: the table takes longer to load than most commands take to run.
    from genai_prices import Usage, calc_price  # noqa: PLC0415

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
        return None


def _parts(model: str) -> tuple[str, str]:
    """Provider and name of `provider:name` or `provider/name`; a colon may also be a part of the name."""
    for separator in ":/":
        provider, found, name = model.partition(separator)
        if found and (separator == "/" or provider in PROVIDERS or _is_at_home(provider)):
            return provider, name
    return "", model


def _is_at_home(provider: str) -> bool:
    return re.sub("[-_. ]", "", provider.casefold()) in _AT_HOME


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
