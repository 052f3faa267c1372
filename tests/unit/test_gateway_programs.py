"""The real agent programs through the gateway: what they ask for passes, and they hold no key."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from shiftwork.gateway import Outcome, Wire
from tests.llm.programs import find_program_or_skip
from tests.unit.gateway_support import SECRET, USAGE, Run, running, says


def claude(program: str, run: Run, home: Path) -> tuple[list[str], dict[str, str]]:
    env = {
        "ANTHROPIC_BASE_URL": run.session.url,
        "ANTHROPIC_API_KEY": run.session.token,
        "CLAUDE_CONFIG_DIR": str(home),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    return [program, "-p", "--output-format", "stream-json", "--verbose"], env


def codex(program: str, run: Run, home: Path) -> tuple[list[str], dict[str, str]]:
    base = f'name="X",base_url="{run.session.url}/v1",env_key="KEY",wire_api="responses"'
    provider = f"{{{base},request_max_retries=1,stream_max_retries=1}}"
    options = ['model="gpt-test"', 'model_provider="x"', f"model_providers.x={provider}"]
    options += ["check_for_update_on_startup=false", "analytics.enabled=false"]
    argv = [program, "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    argv += [word for option in options for word in ("-c", option)]
    return [*argv, "-"], {"CODEX_HOME": str(home), "KEY": run.session.token}


def opencode(program: str, run: Run, home: Path) -> tuple[list[str], dict[str, str]]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{run.session.url}/v1", "apiKey": run.session.token},
        "models": {"m": {"limit": {"context": 100000, "output": 1000}}},
    }
    # What it would fetch from npm at its first start.
    installed = {"packages": {"": {"dependencies": {"@opencode-ai/plugin": "*"}}}}
    (home / ".config" / "opencode" / "node_modules").mkdir(parents=True)
    (home / ".config" / "opencode" / "package-lock.json").write_text(json.dumps(installed))
    config = {"model": "x/m", "small_model": "x/m", "provider": {"x": provider}}
    switches = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
    env = {f"OPENCODE_DISABLE_{name}": "1" for name in switches}
    return [program, "run", "--format", "json"], env | {"OPENCODE_CONFIG_CONTENT": json.dumps(config)}


def gemini(program: str, run: Run, home: Path) -> tuple[list[str], dict[str, str]]:
    (home / ".gemini").mkdir()
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
    }
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))
    env = {
        "GOOGLE_GEMINI_BASE_URL": run.session.url,
        "GEMINI_API_KEY": run.session.token,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
        "GEMINI_CLI_NO_RELAUNCH": "true",
    }
    return [program, "-o", "stream-json", "--approval-mode", "yolo", "--model", "gemini-2.5-pro"], env


PROGRAMS = {
    "claude": (claude, Wire.ANTHROPIC, "messages"),
    "codex": (codex, Wire.OPENAI, "responses"),
    "opencode": (opencode, Wire.OPENAI, "chat"),
    "gemini": (gemini, Wire.GEMINI, "generate"),
}


async def ask(name: str, run: Run, home: Path) -> str:
    """What the program prints when it is asked something."""
    argv, env = PROGRAMS[name][0](find_program_or_skip(name), run, home)
    workspace = home / "workspace"
    workspace.mkdir()
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=workspace,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **env},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        printed, errors = await asyncio.wait_for(process.communicate(b"say the word"), 100)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 9)
            await process.wait()
    return (printed + errors).decode()


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_program_works_through_the_gateway(name, tmp_path):
    """If it failed, an agent would have to hold the key itself, or could not be used confined."""
    _, wire, kind = PROGRAMS[name]
    async with running(wire, says("xylophone")) as run:
        printed = await ask(name, run, tmp_path)
        assert "xylophone" in printed
        asked = [request for request in run.model.requests if request.method == "POST"]
        assert asked
        for request in asked:
            assert SECRET in " ".join(request.headers.values())
            assert run.session.token not in json.dumps([dict(request.headers), request.query])
    metered = [call for call in run.calls if call.kind == kind and call.outcome is Outcome.ANSWERED]
    assert metered
    assert {(call.tokens.output, call.tokens.cache_read) for call in metered} == {
        (USAGE.output, USAGE.cache_read)
    }


@pytest.mark.parametrize("name", ["claude", "codex"])
async def test_a_program_understands_that_its_budget_is_spent(name, tmp_path):
    """If it failed, an agent would go on asking, or end without a reason."""
    _, wire, _ = PROGRAMS[name]
    async with running(wire, check_budget=lambda: "all of it") as run:
        assert "the budget is spent: all of it" in await ask(name, run, tmp_path)
        assert 0 < run.session.budget_refusals <= 3
    assert not run.model.turns
