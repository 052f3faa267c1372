"""The program `play` by which agents act, as a real process at a real gateway."""

import asyncio
import base64
import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from shiftwork.agents.environment import TOKEN_VARIABLE, URL_VARIABLE
from shiftwork.agents.player_brief import EnvironmentBrief, Move, PlayRequest, render_play, write_play_brief
from shiftwork.environments import play_command
from shiftwork.environments.examples.number_guess import NumberGuessHarness
from shiftwork.environments.play_command import Unusable, parameters, told
from shiftwork.environments.protocol import ActionDefinition, Observation
from shiftwork.environments.trajectory import Choice, Step
from shiftwork.environments.turns import Turns, said
from shiftwork.gateway import ENVIRONMENT_PATH, Gateway, GatewaySession, Policy, Said

GUESS = ActionDefinition(name="guess", description="Guess it", parameters={"number": {"type": "integer"}})
BEGIN = Observation(content="Guess!", available_actions=[GUESS], metadata={"left": 3})
PNG = b"\x89PNG\r\n\x1a\nno more of it"


@dataclass
class Player:
    """An agent's folder and its brief, and the play that it meets."""

    turns: Turns
    session: GatewaySession
    folder: Path
    brief: Path
    variables: bool = True

    async def play(self, *words: str, said: bytes = b"") -> tuple[int, str, str]:
        """The program's exit status, and what it printed."""
        known = {
            URL_VARIABLE: self.session.url + ENVIRONMENT_PATH,
            TOKEN_VARIABLE: self.session.token,
            # Whoever plays may have the gateway as its proxy, which leads elsewhere.
            "HTTP_PROXY": "http://127.0.0.1:9",
        }
        process = await asyncio.create_subprocess_exec(
            self.brief / "play",
            *words,
            cwd=self.folder,
            env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LC_ALL": "C"}
            | (known if self.variables else {}),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(100):
            out, errors = await process.communicate(said)
        assert process.returncode is not None
        return process.returncode, out.decode(), errors.decode()


@asynccontextmanager
async def playing(tmp_path: Path, first: Observation = BEGIN) -> AsyncIterator[Player]:
    turns = Turns()
    turns.show(first, None)
    workspace = tmp_path / "workspace"
    workspace.mkdir()

    async def answer(data: bytes) -> Said:
        return Said(*await said(turns, data))

    async with Gateway() as gateway, gateway.open(Policy(environment=answer)) as session:
        told = PlayRequest(agent="guess", episode=1, environment=EnvironmentBrief(name="guess"))
        url = session.url + ENVIRONMENT_PATH
        write_play_brief(tmp_path / "brief", told, "Play.", url=url, token=session.token)
        yield Player(turns, session, workspace, tmp_path / "brief")


async def stepped(
    player: Player, *words: str, said: bytes = b"", result: Observation | None = None, **more: object
) -> tuple[Choice, tuple[int, str, str]]:
    """What it chose, and what it said of the outcome; None as the result: the episode ends there."""
    running = asyncio.create_task(player.play("step", *words, said=said))
    choice = await player.turns.choose()
    number = len(player.turns.history) + 1
    step = Step.model_validate({"number": number, "action": choice.action, "observation": "-", **more})
    if result is None:
        player.turns.end(Observation(content="Right!", terminated=True, reward=1.0), step)
    else:
        player.turns.show(result, step)
    return choice, await running


async def test_an_episode_is_played_by_commands(tmp_path: Path) -> None:
    """If it failed, an agent with a shell could not play, or not know what came of its actions."""
    async with playing(tmp_path) as player:
        status, out, _ = await player.play("observe")
        assert status == 0
        assert out.splitlines() == [
            "Guess!",
            'More: {"left": 3}',
            "",
            "Actions:",
            "- guess: Guess it",
            '  parameters: {"number": {"type": "integer"}}',
            "Steps: 0. Reward so far: 0.",
        ]
        low = Observation(content="Too low: 50 < ½ π", available_actions=[GUESS], reward=0.25)
        choice, (status, out, _) = await stepped(player, "guess", "number=50", result=low, reward=0.25)
        assert (choice, status) == (Choice(action="guess", parameters={"number": 50}), 0)
        assert out.startswith("Reward: 0.25\n\nToo low: 50 < ½ π\n")
        refused = {"success": False, "error": "'x' is not of type 'integer'"}
        choice, (status, out, _) = await stepped(player, "guess", '{"number": "x"}', result=low, **refused)
        assert (choice.parameters, status) == ({"number": "x"}, 1)
        assert out.startswith("Not done: 'x' is not of type 'integer'\n")
        _, (status, out, _) = await stepped(player, "guess", "-", said=b'{"number": 75}', reward=1.0)
        assert status == 0
        assert "The episode is over. It ended by its own rules.\nSteps: 3, 1 of them refused." in out
        status, out, _ = await player.play("step", "guess", "number=1", "--json")
        assert (status, json.loads(out)["over"], json.loads(out)["total_reward"]) == (1, True, 1.25)
        status, out, _ = await player.play("stats")
        assert (status, out.splitlines()[0]) == (0, "The episode is over. It ended by its own rules.")


async def test_it_finds_the_environment_without_its_variables(tmp_path: Path) -> None:
    """If it failed, agents whose tools get few variables could not play."""
    async with playing(tmp_path) as player:
        player.variables = False
        assert (await player.play("observe"))[0] == 0
        (player.brief / "play.json").unlink()
        status, _, errors = await player.play("observe")
        assert (status, "where the environment is" in errors) == (2, True)
        assert stat.S_IMODE((player.brief / "play").stat().st_mode) == 0o700


async def test_texts_of_files_are_parameters(tmp_path: Path) -> None:
    """If it failed, a solution of many lines would have to be quoted for a shell."""
    async with playing(tmp_path) as player:
        (player.folder / "solution.py").write_text("print('½')\n")
        given = ("code=@solution.py", "title=no=1", "fast=true", "zip=007")
        choice, _ = await stepped(player, "submit", *given, result=BEGIN)
        assert choice.parameters == {"code": "print('½')\n", "title": "no=1", "fast": True, "zip": "007"}


async def test_a_picture_is_saved(tmp_path: Path) -> None:
    """If it failed, an agent would get a wall of letters in the place of a picture."""
    picture = Observation(content=base64.b64encode(PNG).decode(), content_type="image")
    async with playing(tmp_path, picture) as player:
        status, out, _ = await player.play("observe")
        assert (status, "observation.png" in out) == (0, True)
        assert (player.folder / "observation.png").read_bytes() == PNG


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ((), 2, ""),
        (("--help",), 0, ""),
        (("reset",), 2, "say observe, stats, or step ACTION"),
        (("observe", "twice"), 2, "say observe, stats, or step ACTION"),
        (("step",), 2, "say observe, stats, or step ACTION"),
        (("step", "guess", "50"), 2, "'50' is no parameter: write NAME=VALUE"),
        (("step", "guess", "=50"), 2, "is no parameter"),
        (("step", "guess", "{5"), 2, "have to be a JSON object"),
        (("step", "guess", "number=@missing"), 2, "'missing' can't be read"),
        (("step", ""), 1, ""),
    ],
    ids=["none", "help", "reset", "twice", "step", "no name", "no word", "broken", "no file", "no action"],
)
async def test_mistakes_are_told(tmp_path: Path, words: tuple[str, ...], status: int, says: str) -> None:
    """If it failed, an agent would see a traceback, or act by mistake."""
    async with playing(tmp_path) as player:
        found, _, errors = await player.play(*words)
        assert (found, "Traceback" in errors) == (status, False)
        assert says in errors
        assert player.turns.history == []


async def test_without_the_environment_it_says_so(tmp_path: Path) -> None:
    """If it failed, an agent would take an environment that is gone for a mistake of its own."""
    async with playing(tmp_path) as player:
        pass
    status, _, errors = await player.play("observe")
    assert (status, "can't be reached" in errors) == (2, True)


async def test_a_wrong_token_is_told_as_the_gateway_does(tmp_path: Path) -> None:
    """If it failed, a refusal of the gateway would look like an answer of the environment."""
    async with playing(tmp_path) as player:
        player.variables = False
        place = {"url": player.session.url + ENVIRONMENT_PATH, "token": "wrong"}
        (player.brief / "play.json").write_text(json.dumps(place))
        status, _, errors = await player.play("observe")
        assert (status, "the session's token is missing or wrong" in errors) == (2, True)


def test_what_else_an_answer_holds_is_shown() -> None:
    """If it failed, an agent that plays for several could not tell whose turn it is, or who earned what."""
    seen = {"content": {"board": [1]}, "content_type": "json", "agent": "white", "available_actions": []}
    many = [{"name": f"a{number}"} for number in range(40)]
    shown = told({"ok": True, "rewards": {"white": 1.0, "black": -1.0}, "observation": seen})
    assert "Reward of black: -1\nReward of white: 1" in shown
    assert "It is the turn of white." in shown
    assert '"board": [' in shown
    assert "- and 10 more; --json lists all" in told(
        {"ok": True, "observation": {**seen, "available_actions": many}}
    )
    with pytest.raises(Unusable):
        parameters(["[1]"])


def test_it_needs_nothing_but_the_standard_library() -> None:
    """If it failed, `play` would not start on the interpreter that agents have."""
    source = Path(play_command.__file__).read_text()
    imported = {
        line.split()[1].partition(".")[0]
        for line in source.splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported <= sys.stdlib_module_names


# What an agent is told --------------------------------------------------------------------------------


def request(**more: object) -> PlayRequest:
    harness = NumberGuessHarness()
    environment = EnvironmentBrief(
        name=harness.name,
        description=harness.description,
        max_steps=10,
        content="I am thinking of a number.",
        actions=tuple(harness.get_action_space()),
    )
    return PlayRequest.model_validate(
        {"agent": "number_guess", "episode": 7, "environment": environment, **more}
    )


def test_the_brief_says_how_to_play() -> None:
    """If it failed, an agent would not know what it plays, how it acts, or when it is over."""
    text = render_play(request(instruction="Be quick."), Path("/brief/play"))
    for said_ in (
        "# Play number_guess: episode 7",
        "Be quick.",
        "Find the number from 1 to 100",
        "It is cut short after 10 actions.",
        "/brief/play step ACTION NAME=VALUE",
        "I am thinking of a number.",
        "- `guess`: Guess the number",
        '"maximum": 100',
        "An episode that you leave before counts as given up.",
    ):
        assert said_ in text
    assert "goes on" not in text


def test_the_brief_says_what_was_done_before() -> None:
    """If it failed, an agent that takes over would begin from nothing, or repeat what was done."""
    moves = [
        Move(action="guess", parameters={"number": 50}, reward=0.15),
        Move(action="guess", success=False, error="'number' is\n# required"),
    ]
    text = render_play(request(steps=9, moves=tuple(moves)), Path("/brief/play"))
    assert "This episode goes on." in text
    assert (
        '(Steps 1 to 7 are left out.)\n8. guess {"number": 50} → reward 0.15\n9. guess {} → refused' in text
    )
    assert "\n# required" not in text


def test_who_has_a_tool_is_told_of_it_alone(tmp_path: Path) -> None:
    """If it failed, a chat model would look for a program that it does not have."""
    told_ = request()
    environment = told_.environment.model_copy(update={"by": "tool", "tool": "harness_number_guess"})
    told_ = told_.model_copy(update={"environment": environment})
    text = render_play(told_, tmp_path / "brief" / "play")
    assert "Act by the tool `harness_number_guess`" in text
    assert "ACTION NAME=VALUE" not in text
    write_play_brief(tmp_path / "brief", told_, text, url="http://127.0.0.1:1/x", token="secret")
    assert sorted(path.name for path in (tmp_path / "brief").iterdir()) == ["brief.md", "request.json"]
