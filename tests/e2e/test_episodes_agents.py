"""Episodes played by agents, each by a real program in its sandbox."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus, EvaluationSpec, Player, PlayerKind
from shiftwork.contracts.prices import Prices
from shiftwork.contracts.project import AgentOptions
from shiftwork.environments.playing import Choice, Ending, play
from shiftwork.environments.protocol import Observation
from shiftwork.environments.registry import make_environment
from shiftwork.store.episodes import EpisodeRow
from tests.e2e.agents import KEYS, MODELS, PATHS, shell
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import PATIENCE, WorkerProcess, processes_of
from tests.llm.programs import find_program_or_skip
from tests.llm.script import Answer, Fault, Reply, Turn, Usage
from tests.llm.server import LlmServer

HALVES = """
import json, subprocess, sys

def play(*words):
    done = subprocess.run(["./play", *words, "--json"], capture_output=True, text=True)
    return json.loads(done.stdout)

seen = play("observe")
while not seen["over"]:
    known = seen["observation"]["metadata"]
    guess = (known["least"] + known["most"]) // 2
    seen = play("step", "guess", f"number={guess}")
print("played", seen["steps"], play("stats")["total_reward"], play("step", "guess", "number=1")["error"])
"""
"""Guesses by halves, to the end; then once more."""


def player(backend: str, instruction: str = "", **settings: Any) -> Player:
    return Player(
        kind=PlayerKind.AGENT,
        agent=AgentOptions(backend=backend, settings=settings),
        instruction=instruction,
    )


def program(script: str, *arguments: str, **more: Any) -> Player:
    """An agent that is a Python program."""
    argv = ["python3", "-c", script.replace("{", "{{").replace("}", "}}"), *arguments]
    return player("command", argv=argv, **more)


async def played(lab: Lab, agent: Player, seconds: float = PATIENCE, **spec: Any) -> EpisodeRow:
    """The first episode of an evaluation, ended."""
    (row,) = await evaluated(lab, agent, seconds, **spec)
    return row


async def evaluated(lab: Lab, agent: Player, seconds: float = PATIENCE, **spec: Any) -> list[EpisodeRow]:
    chosen = {"environment": "number_guess", "seed": 3, **spec}
    evaluation = await lab.shiftwork.evaluate(EvaluationSpec(player=agent, **chosen))

    async def look() -> bool:
        return (await lab.shiftwork.evaluation(evaluation.id)).status.ended

    await eventually(look, seconds)
    return list(await lab.shiftwork.episodes(evaluation.id))


async def nothing_lives(lab: Lab) -> None:
    async def look() -> bool:
        return not processes_of(lab.settings.state, "tasks/e")

    await eventually(look, every=0.2)


async def test_a_program_plays_to_the_end(lab: Lab) -> None:
    """If it failed, no agent could be exercised in an environment, or its results would be others."""
    rows = await evaluated(lab, program(HALVES), episodes=3, parallel=2)
    assert [(row.status, row.error, row.ending) for row in rows] == [
        (EpisodeStatus.COMPLETED, None, Ending.TERMINATED)
    ] * 3
    assert [row.success for row in rows] == [True] * 3
    assert all(0 < row.total_steps <= 7 and row.refused_actions == 0 for row in rows)
    assert rows[0].usage is None
    for row in rows:
        assert len(await lab.shiftwork.episode_steps(row.id)) == row.total_steps
        assert not lab.settings.episode_folder(row.id, 1).exists()
    await nothing_lives(lab)


PYTHON = """
assert handoff is None
seen = environment.observe()
while not seen["over"]:
    known = seen["observation"]["metadata"]
    seen = environment.step("guess", number=(known["least"] + known["most"]) // parameters["parts"])
after = environment.step("guess", number=1)
assert not after["ok"] and "over" in after["error"], after
assert environment.stats()["steps"] == seen["steps"]
assert instruction.count("Be quick.") == 1, instruction
"""


@pytest.mark.parametrize("code", [PYTHON, HALVES], ids=["by-an-object", "by-the-program"])
async def test_code_of_python_plays(lab: Lab, code: str) -> None:
    """If it failed, the simplest agent that anybody can write could not be exercised in an environment."""
    file = lab.folder / "agent.py"
    file.write_text(code)
    agent = player("python", "Be quick.", file=str(file), parameters={"parts": 2})
    row = await played(lab, agent)
    assert (row.status, row.error, row.success) == (EpisodeStatus.COMPLETED, None, True)
    assert 0 < row.total_steps <= 7
    await nothing_lives(lab)


async def test_what_code_of_python_dies_of_is_the_players_failure(lab: Lab) -> None:
    """If it failed, an environment would be blamed for the mistakes of who plays."""
    code = "environment.step('guess', number=1)\nenvironment.ask()"
    row = await played(lab, player("python", code=code))
    assert (row.status, row.error_kind) == (EpisodeStatus.FAILED, EpisodeErrorKind.PLAYER)
    assert "AttributeError: 'Environment' object has no attribute 'ask'" in (row.error or "")


SLOW_HALVES = """
import json, os, pathlib, subprocess, sys, time

told = json.loads(pathlib.Path(os.environ["SHIFTWORK_BRIEF"], "request.json").read_text())
goes_on = "This episode goes on" in pathlib.Path(os.environ["SHIFTWORK_BRIEF"], "brief.md").read_text()
assert goes_on == (told["run"] > 0 and told["steps"] > 0), told
play = lambda *words: json.loads(subprocess.run(["./play", *words, "--json"], capture_output=True).stdout)
seen = play("observe")
assert seen["steps"] == told["steps"] == len(told["moves"]), (seen, told)
while not seen["over"]:
    known = seen["observation"]["metadata"]
    seen = play("step", "guess", "number=%d" % ((known["least"] + known["most"]) // 2))
    time.sleep(0.3)
"""


async def test_another_agent_takes_over_from_a_lost_worker_s(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, a crash would lose a play, take a step twice, or leave two agents at one episode."""
    spec = {"environment": "number_guess", "parameters": {"high": 10_000}, "seed": 11}
    evaluation = await lab.shiftwork.evaluate(EvaluationSpec(player=program(SLOW_HALVES), **spec))
    (row,) = await lab.shiftwork.episodes(evaluation.id)

    async def has(steps: int) -> bool:
        return len(await lab.shiftwork.episode_steps(row.id)) >= steps

    await eventually(lambda: has(4), every=0.02)
    shared_worker.kill()
    shared_worker.start()

    async def look() -> bool:
        return (await lab.shiftwork.evaluation(evaluation.id)).status.ended

    await eventually(look)
    (row,) = await lab.shiftwork.episodes(evaluation.id)
    assert (row.status, row.error, row.attempt, row.success) == (EpisodeStatus.COMPLETED, None, 2, True)
    taken = [each.step for each in await lab.shiftwork.episode_steps(row.id)]
    undisturbed = make_environment("number_guess", spec["parameters"])
    expected = await play(undisturbed, _Halves(), seed=11)
    assert taken == list(expected.steps)
    await nothing_lives(lab)


class _Halves:
    async def act(self, observation: Observation, _: object) -> Choice:
        known: Any = observation.metadata
        return Choice(action="guess", parameters={"number": (known["least"] + known["most"]) // 2})


SPY = """
import http.client, json, os, pathlib, subprocess, sys, urllib.parse

found = {}
places = [os.environ["SHIFTWORK_BRIEF"], os.environ["SHIFTWORK_OUTBOX"], os.getcwd(), os.environ["HOME"]]
files = [p for place in places for p in pathlib.Path(place).rglob("*") if p.is_file()]
found["seed"] = [str(p) for p in files if "seed" in p.read_text(errors="replace")]
found["variables"] = [name for name, value in os.environ.items() if "seed" in name.lower() + value.lower()]
lines = [p.read_bytes() for p in pathlib.Path("/proc").glob("[0-9]*/cmdline")]
found["host"] = [line.decode() for line in lines if b"environments.host" in line and b"-c" not in line]
url = urllib.parse.urlsplit(os.environ["SHIFTWORK_ENVIRONMENT_URL"])
token = {"authorization": "Bearer " + os.environ["SHIFTWORK_ENVIRONMENT_TOKEN"]}

def say(said, path=url.path, token=token):
    asked = http.client.HTTPConnection(url.hostname, url.port)
    asked.request("POST", path, json.dumps(said), token)
    answer = asked.getresponse()
    return answer.status, answer.read().decode()

go = {"do": "step", "action": "guess"}
found["statuses"] = [
    say({"do": "reset", "seed": 1})[0],
    say({"do": "observe", "seed": 1})[0],
    say({**go, "parameters": {"number": 1}, "reward": 100})[0],
    say({"do": "observe"}, "/shiftwork/environment/state")[0],
    say({"do": "observe"}, token={"authorization": "Bearer wrong"})[0],
]
tries = [
    {"do": "step", "action": "reset", "parameters": {"seed": 1}},
    {"do": "step", "action": "shutdown"},
    {"do": "step", "action": "number"},
    {**go, "parameters": {"number": 1, "self": 1, "reward": 100}},
    {**go, "parameters": {"number": "1"}},
    {**go, "parameters": {"number": {"$ref": "file:///etc/passwd"}}},
]
found["refused"] = [json.loads(say(each)[1])["ok"] for each in tries]
found["stats"] = json.loads(say({"do": "stats"})[1])
pathlib.Path(sys.argv[1]).write_text(json.dumps(found))
"""


async def test_an_agent_finds_nothing_but_what_it_perceives(lab: Lab) -> None:
    """If it failed, an agent could look at what an environment hides, begin it anew, or reward itself."""
    lab.folder.chmod(0o777)
    report = lab.folder / "found.json"
    row = await played(lab, program(SPY, str(report)), sandbox={"writable": [str(lab.folder)]})
    assert (row.status, row.error, row.ending) == (EpisodeStatus.COMPLETED, None, Ending.STOPPED)
    found = json.loads(report.read_text())
    assert (found["seed"], found["variables"], found["host"]) == ([], [], [])
    assert found["statuses"] == [400, 400, 400, 404, 401] or found["statuses"] == [400, 400, 400, 403, 401]
    assert found["refused"] == [False] * 6
    assert (found["stats"]["steps"], found["stats"]["refused"], found["stats"]["total_reward"]) == (6, 6, 0)
    assert (row.total_reward, row.total_steps, row.refused_actions, row.success) == (0, 0, 6, False)


@pytest.mark.parametrize(
    ("script", "status", "kind", "says"),
    [
        ("pass", EpisodeStatus.COMPLETED, None, ""),
        ("raise SystemExit(3)", EpisodeStatus.FAILED, EpisodeErrorKind.PLAYER, "exit status 3"),
        ("import time; time.sleep(100)", EpisodeStatus.FAILED, EpisodeErrorKind.TIMEOUT, "its time was over"),
    ],
    ids=["leaves", "fails", "sleeps"],
)
async def test_who_does_not_play_says_why(
    lab: Lab, script: str, status: EpisodeStatus, kind: EpisodeErrorKind | None, says: str
) -> None:
    """If it failed, a broken agent would count as a bad player, or hold its place for ever."""
    seconds = 4 if kind is EpisodeErrorKind.TIMEOUT else 60
    row = await played(lab, program(script), timeout=seconds)
    assert (row.status, row.error_kind) == (status, kind)
    assert says in (row.error or "")
    assert row.ending == (Ending.STOPPED if kind is None else None)
    await nothing_lives(lab)


async def test_a_cassette_plays_and_who_lingers_is_ended(lab: Lab) -> None:
    """If it failed, an agent that goes on after the end would hold its place until its time is over."""
    lab.folder.chmod(0o755)
    cassette = lab.folder / "cassette.yml"
    steps = [{"run": "./play step guess number=2 > seen.txt && grep -q Reward seen.txt"}, {"sleep": 250}]
    cassette.write_text(yaml.safe_dump({"sessions": {"number_guess": [steps]}}))
    agent = player("scripted", cassette=str(cassette))
    row = await played(lab, agent, parameters={"low": 2, "high": 2}, timeout=9)
    assert (row.status, row.error, row.success) == (EpisodeStatus.COMPLETED, None, True)
    await nothing_lives(lab)


async def test_a_cancelled_episode_leaves_no_agent(lab: Lab) -> None:
    """If it failed, people could not end an agent that plays and plays."""
    agent = program("import subprocess, time; subprocess.Popen(['setsid', 'sleep', '300']); time.sleep(300)")
    evaluation = await lab.shiftwork.evaluate(EvaluationSpec(environment="number_guess", player=agent))

    async def runs() -> bool:
        return any("sleep 300" in each for each in processes_of(lab.settings.state, "tasks/e"))

    await eventually(runs)
    await lab.shiftwork.cancel_evaluation(evaluation.id)

    async def look() -> bool:
        (row,) = await lab.shiftwork.episodes(evaluation.id)
        return row.status.ended

    await eventually(look)
    (row,) = await lab.shiftwork.episodes(evaluation.id)
    assert (row.status, row.error_kind) == (EpisodeStatus.FAILED, EpisodeErrorKind.CANCELLED)
    await nothing_lives(lab)


async def test_an_agent_without_a_sandbox_plays_too(lab: Lab) -> None:
    """If it failed, agents of a project's profile `open` could not be exercised."""
    row = await played(lab, program(HALVES), sandbox={"profile": "open"})
    assert (row.status, row.error, row.success) == (EpisodeStatus.COMPLETED, None, True)
    await nothing_lives(lab)


# Models -----------------------------------------------------------------------------------------------

ASKS = """
import json, os, subprocess, sys, time, urllib.error, urllib.request
body = json.dumps({"model": "unknown-1", "messages": [{"role": "user", "content": "well?"}]}).encode()
where = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
key = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}
for number in range(int(sys.argv[1])):
    urllib.request.urlopen(urllib.request.Request(where, body, key)).read()
    subprocess.run(["./play", "step", "guess", f"number={number + 1}"], check=True)
    time.sleep(float(sys.argv[2]))
"""
"""Asks a model before each of its guesses, which are the numbers from one on."""


def asking(server: LlmServer, times: int, wait: float = 0, **more: Any) -> Player:
    """A program that asks; a hundred tokens cost ten cents."""
    settings = {
        "provider": "openai",
        "base_url": f"{server.url}/v1",
        "environment": {"OPENAI_API_KEY": "no-secret"},
    }
    asks = program(ASKS, str(times), str(wait), **settings)
    assert asks.agent is not None
    agent = asks.agent.model_copy(update={"prices": Prices(input=1_000.0, output=1_000.0)})
    return asks.model_copy(update={"agent": agent, **more})


def answer(_: Turn) -> Reply:
    return Reply("yes", usage=Usage(input=90, output=10))


async def test_what_an_agent_spends_is_told_and_bounded(lab: Lab) -> None:
    """If it failed, nobody would know what an episode cost, or it would cost more than it may."""
    with LlmServer.in_thread(answer) as server:
        row = await played(lab, asking(server, 2, max_cost_usd=0.5))
        assert (row.status, row.ending, row.error) == (EpisodeStatus.COMPLETED, Ending.STOPPED, None)
        assert row.usage is not None
        assert (row.usage.calls, row.usage.tokens, row.usage.cost_usd) == (2, 200, 0.2)
        row = await played(lab, asking(server, 6, max_cost_usd=0.3))
        assert len(server.turns) == 5
    assert (row.status, row.error_kind) == (EpisodeStatus.FAILED, EpisodeErrorKind.BUDGET)
    assert row.error == "The budget of this run is spent: $0.30 of $0.30."
    assert row.usage is not None
    assert row.usage.cost_usd == 0.3


async def test_what_a_lost_attempt_s_agent_spent_counts(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, each crash of a worker would give an episode its whole budget again."""
    with LlmServer.in_thread(answer) as server:
        agent = asking(server, 1, 60, max_cost_usd=0.1)
        evaluation = await lab.shiftwork.evaluate(EvaluationSpec(environment="number_guess", player=agent))

        async def spent() -> bool:
            (row,) = await lab.shiftwork.episodes(evaluation.id)
            return row.usage is not None

        await eventually(spent)
        shared_worker.kill()
        shared_worker.start()

        async def look() -> bool:
            return (await lab.shiftwork.evaluation(evaluation.id)).status.ended

        await eventually(look)
        assert len(server.turns) == 1
    (row,) = await lab.shiftwork.episodes(evaluation.id)
    assert (row.attempt, row.error_kind) == (2, EpisodeErrorKind.BUDGET)
    assert row.usage is not None
    assert row.usage.cost_usd == 0.1


@pytest.mark.parametrize("seconds", [2, 7_200], ids=["near", "far"])
async def test_a_limit_is_waited_out_if_it_is_near(lab: Lab, seconds: int) -> None:
    """If it failed, a busy provider would end an episode, or hold its place for hours."""
    faults = [Fault(429, headers={"retry-after": str(seconds)})]
    with LlmServer.in_thread(lambda turn: faults.pop() if faults else answer(turn)) as server:
        row = await played(lab, asking(server, 3), parameters={"high": 1_000})
    if seconds == 2:
        assert (row.status, row.error, row.attempt) == (EpisodeStatus.COMPLETED, None, 1)
        steps = await lab.shiftwork.episode_steps(row.id)
        assert [each.parameters["number"] for each in steps] == [1, 2, 3]
    else:
        assert (row.status, row.error_kind) == (EpisodeStatus.FAILED, EpisodeErrorKind.RATE_LIMITED)
        assert "wants no more questions until " in (row.error or "")


KNOWN = re.compile(r"least\W+(\d+)\W+most\W+(\d+)")


def halving(turn: Turn, act: Callable[[int], Reply], begin: Callable[[], Reply]) -> Answer:
    """What a model does that guesses by halves, by what its tools told it."""
    if not turn.tools:
        return Reply("ok")
    if not turn.tool_results:
        return begin()
    told = turn.tool_results[-1]
    if "The episode is over" in told:
        return Reply("It is found.")
    assert KNOWN.search(told), turn.tool_results
    least, most = KNOWN.findall(told)[-1]
    return act((int(least) + int(most)) // 2)


async def test_a_chat_model_plays_by_a_tool(lab: Lab) -> None:
    """If it failed, agents of our own would have to play by shell commands, or could not."""

    def use(**arguments: Any) -> Reply:
        return Reply(tool_calls=(("harness_number_guess", arguments),))

    def script(turn: Turn) -> Answer:
        if turn.tool_results and "The episode is over" in turn.tool_results[-1]:
            return Reply("", (("hand_over", {"summary": "found"}),))
        return halving(
            turn,
            lambda number: use(action="step", action_name="guess", parameters={"number": number}),
            lambda: use(action="observe"),
        )

    with LlmServer.in_thread(script) as server:
        settings = {"base_url": f"{server.url}/v1", "environment": {"OPENAI_API_KEY": "no-secret"}}
        agent = player("langchain", "Be quick.", model="openai:gpt-5-mini", **settings)
        row = await played(lab, agent)
        first = server.turns[0]
        assert "Be quick." in first.user_text
        assert "Act by the tool `harness_number_guess`" in first.user_text
    assert (row.status, row.error, row.success) == (EpisodeStatus.COMPLETED, None, True)
    assert row.usage is not None
    assert row.usage.cost_usd > 0


def by_halves(turn: Turn) -> Answer:
    """What a model does whose program has a shell."""
    return halving(
        turn,
        lambda number: shell(turn, f"./play step guess number={number}"),
        lambda: shell(turn, "./play observe"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "opencode"])
async def test_a_real_agent_plays(name: str, lab: Lab) -> None:
    """If it failed, the agents that people use could not be exercised in an environment."""
    found = find_program_or_skip(name)
    with LlmServer.in_thread(by_halves) as server:
        settings = {
            "program": found,
            "model": MODELS[name],
            "base_url": server.url + PATHS[name],
            "environment": {KEYS[name]: "no-secret"},
        }
        row = await played(lab, player(name, "Guess by halves.", **settings), seconds=200)
        assert any("Guess by halves." in turn.user_text for turn in server.turns)
    assert (row.status, row.error, row.success) == (EpisodeStatus.COMPLETED, None, True)
    assert row.usage is not None
    assert row.usage.cost_usd > 0
    await nothing_lives(lab)


@pytest.mark.slow
async def test_an_agent_plays_that_speaks_its_protocol(lab: Lab) -> None:
    """If it failed, agents of the Agent Client Protocol could not be exercised in an environment."""
    found = find_program_or_skip("opencode")
    limit = {"context": 100_000, "output": 4_000}
    provider = {
        "npm": "@ai-sdk/anthropic",
        "options": {"baseURL": "{env:ANTHROPIC_BASE_URL}/v1", "apiKey": "{env:ANTHROPIC_API_KEY}"},
        "models": {MODELS["claude"]: {"name": "scripted", "limit": limit}},
    }
    model = f"scripted/{MODELS['claude']}"
    config = {
        "model": model,
        "small_model": model,
        "enabled_providers": ["scripted"],
        "provider": {"scripted": provider},
    }
    off = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
    environment = {f"OPENCODE_DISABLE_{name}": "1" for name in off}
    environment |= {"OPENCODE_CONFIG_CONTENT": json.dumps(config), "ANTHROPIC_API_KEY": "no-secret"}
    with LlmServer.in_thread(by_halves) as server:
        agent = player(
            "acp",
            "Guess by halves.",
            argv=[found, "acp"],
            provider="anthropic",
            base_url=server.url,
            environment=environment,
        )
        row = await played(lab, agent, seconds=200)
        assert any("Guess by halves." in turn.user_text for turn in server.turns)
    assert (row.status, row.error, row.success) == (EpisodeStatus.COMPLETED, None, True)
    assert row.usage is not None
    assert row.usage.cost_usd > 0
    await nothing_lives(lab)
