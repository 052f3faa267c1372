"""Chat models of every provider, each playing an episode; in a process whose connections end with it."""

import asyncio
import json
import sys

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI

from shiftwork.environments.adapter import HarnessAdapter
from shiftwork.environments.examples import NumberGuessHarness
from shiftwork.environments.runtime import AgentRuntime


def models(url: str) -> dict[str, BaseChatModel]:
    openai = {"model": "gpt-scripted", "base_url": f"{url}/v1", "api_key": "none", "max_retries": 0}
    return {
        "anthropic": ChatAnthropic(model="claude-scripted", base_url=url, api_key="none", max_retries=0),
        "openai": ChatOpenAI(**openai),
        "openai_responses": ChatOpenAI(**openai, use_responses_api=True),
        "gemini": ChatGoogleGenerativeAI(
            model="gemini-scripted", base_url=url, google_api_key="none", max_retries=1
        ),
        "ollama": ChatOllama(model="scripted", base_url=url),
    }


async def main(url: str) -> None:
    """Print what came of each, by provider."""
    played = {}
    for provider, model in models(url).items():
        harness = NumberGuessHarness()
        agent = AgentRuntime(model)
        agent.register_tool(HarnessAdapter(harness))
        said = await agent.run(f"Win, {provider}.")
        played[provider] = {"said": said, "stats": harness.get_stats().model_dump()}
    print(json.dumps(played))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
