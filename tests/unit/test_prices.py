"""What tokens cost."""

import pytest

from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.prices import Beside, cost, told_model
from shiftwork.contracts.prices import Prices


def used(**facts) -> AgentEvent:
    return AgentEvent(kind=AgentEventKind.USAGE, **facts)


def test_a_known_model_has_a_price_for_each_class_of_tokens():
    """If it failed, cached tokens would be charged as new ones, or the reverse."""
    million = 1_000_000
    plain = cost(used(model="claude-sonnet-4-5", input_tokens=million))
    cached = cost(used(model="claude-sonnet-4-5", cache_read_tokens=million))
    out = cost(used(model="claude-sonnet-4-5", output_tokens=million))
    assert None not in (plain, cached, out)
    assert 0 < cached < plain < out
    tokens = {"input_tokens": million, "cache_read_tokens": million, "output_tokens": million}
    together = cost(used(model="claude-sonnet-4-5", **tokens))
    assert together == pytest.approx(plain + cached + out)


def test_who_is_believed():
    """If it failed, a project's own prices, or what a program reports, would be ignored."""
    event = used(model="gpt-5-codex", input_tokens=1_000_000, cost_usd=7.0)
    assert cost(event) == 7.0
    assert cost(event, Prices(input=2.0)) == 2.0
    assert cost(used(input_tokens=1_000_000), model="gpt-5-codex") == cost(
        used(input_tokens=1_000_000, model="openai/gpt-5-codex")
    )


def test_an_unknown_model_has_no_price():
    """If it failed, a model of somebody's own would cost what another one costs."""
    assert cost(used(model="somebody/their-own-model", input_tokens=10)) is None
    assert cost(used(input_tokens=10)) is None
    assert cost(used(input_tokens=10), model="openai:somebodys-own") is None


@pytest.mark.parametrize(
    "named",
    [
        {"model": "gpt-5"},
        {"model": "openai:gpt-5"},
        {"model": "openai/gpt-5"},
        {"asked": "gpt-5"},
        {"asked": "gpt-5", "model": "openai:gpt-5-mini"},
        {"asked": "proxy-default", "model": "openai:gpt-5"},
    ],
)
def test_a_server_that_answers_by_a_name_of_its_own_costs_what_was_asked(named):
    """If it failed, work through a proxy would be free in all figures, and no budget would hold."""
    expected = cost(used(model="gpt-5", input_tokens=1_000_000))
    assert expected
    assert cost(used(model="proxy-default", input_tokens=1_000_000), **named) == expected
    assert cost(used(input_tokens=1_000_000), **named) == expected


def test_what_runs_at_home_is_not_charged_by_its_name():
    """If it failed, a model of one's own machine would cost what its namesake costs elsewhere."""
    assert cost(used(input_tokens=10), model="deepseek:deepseek-chat") is not None
    for told in (
        *("ollama:deepseek-chat", "ollama/deepseek-chat", "lmstudio/deepseek-chat", "ollama:"),
        *(
            "OLLAMA:deepseek-chat",
            "Ollama/deepseek-chat",
            "LM-Studio/deepseek-chat",
            "lm_studio/deepseek-chat",
        ),
        *("llama.cpp/deepseek-chat", "llama-cpp/deepseek-chat", "hosted_vllm/deepseek-chat", "vLLM:gpt-4o"),
    ):
        assert cost(used(input_tokens=10), model=told) is None
        assert cost(used(input_tokens=10, model="deepseek-chat"), model=told, asked="deepseek-r1:8b") is None


@pytest.mark.parametrize("answered", ["gpt-4o", "openai/gpt-4o", "LM-Studio/gpt-4o", "own", ""])
@pytest.mark.parametrize(
    "told",
    ["openai:LM-Studio/gpt-4o", "openai:lmstudio:gpt-4o", "litellm/ollama/gpt-4o", "openai:a/ollama:gpt-4o"],
)
def test_no_answer_takes_a_model_from_home(told, answered):
    """If it failed, a server of one's own that answers by a bare name would be paid for as another one."""
    event = used(input_tokens=1_000_000, model=answered)
    for asked in ("", told.partition(":")[2], "gpt-4o"):
        assert cost(event, model=told, asked=asked) is None


@pytest.mark.parametrize(
    ("told", "dollars"), [("", None), ("openai:own-proxy", None), ("openai:gpt-4o", 2.5)]
)
def test_what_was_asked_for_at_home_costs_at_most_what_was_told(told, dollars):
    """If it failed, an answer would price what was asked for at home, or such a question be free anywhere."""
    for answered in ("gpt-5", "openai/gpt-5", ""):
        event = used(input_tokens=1_000_000, model=answered)
        assert cost(event, model=told, asked="LM-Studio/gpt-5") == dollars


def test_what_is_charged_beside_tokens():
    """If it failed, searches and caches of an hour would cost nothing in all figures, and pass any budget."""
    written = used(model="claude-sonnet-4-5", cache_write_tokens=1_000_000)
    plain = cost(used(model="claude-sonnet-4-5", input_tokens=1_000_000))
    assert cost(written, beside=Beside(hour_writes=1_000_000)) == pytest.approx(2 * plain)
    assert cost(written, beside=Beside()) == cost(written)
    assert cost(used(model="claude-sonnet-4-5"), beside=Beside(searches=1000)) == pytest.approx(10.0)
    assert cost(used(model="somebody/their-own-model"), beside=Beside(searches=1)) is None


@pytest.mark.parametrize(
    ("told", "answered", "dollars"),
    [
        ("groq:openai/gpt-oss-120b", "openai/gpt-oss-120b", 0.15),
        ("groq:openai/gpt-oss-120b", "groq/openai/gpt-oss-120b", 0.15),
        ("groq/openai/gpt-oss-120b", "openai/gpt-oss-120b", 0.15),
        ("openrouter:deepseek/deepseek-r1:free", "deepseek/deepseek-r1:free", 0.0),
        ("openrouter/deepseek/deepseek-r1:free", "deepseek/deepseek-r1:free", 0.0),
        ("groq:deepseek-r1-distill-llama-70b", "deepseek-r1-distill-llama-70b", 0.75),
        ("groq:deepseek-r1-distill-llama-70b", "a-name-of-its-own", 0.75),
    ],
)
def test_the_provider_that_was_chosen_has_its_own_prices(told, answered, dollars):
    """If it failed, a budget would be counted in another provider's prices for a model of the same name."""
    event = used(input_tokens=1_000_000, model=answered)
    for asked in ("", told.partition(":")[2]):
        assert cost(event, model=told, asked=asked) == pytest.approx(dollars)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, ""),
        ({"model": "claude-sonnet-4-5"}, "claude-sonnet-4-5"),
        ({"model": "groq:gpt-oss-120b"}, "groq:gpt-oss-120b"),
        ({"model": "deepseek-r1:8b", "provider": "ollama"}, "ollama:deepseek-r1:8b"),
        ({"model": "ollama:deepseek-r1:8b", "provider": "ollama"}, "ollama:deepseek-r1:8b"),
        ({"chat_model": "own.models:make", "provider": "ollama"}, "ollama:"),
        ({"chat_model": "langchain_ollama:ChatOllama"}, "ollama:"),
        ({"model": "gemini-2.5-pro", "provider": "gemini"}, "google_genai:gemini-2.5-pro"),
    ],
)
def test_settings_say_whose_the_model_is(settings, told):
    """If it failed, a model of one's own machine would be charged where `provider` says that it is."""
    assert told_model(settings) == told
