"""Programs that play: by the protocol, wrongly, and with bad intentions."""

import asyncio
import json
import os
import shlex
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shiftwork.environments.commanded import MOST_ANSWER, CommandPlayer, player_seed
from shiftwork.environments.host import Order, Over
from shiftwork.environments.hosting import EnvironmentHost, PlayFailed
from shiftwork.environments.playing import play
from shiftwork.environments.registry import make_environment
from shiftwork.environments.trajectory import Choice, Ending, Step
from shiftwork.runner.limits import Limits
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.sandbox.user import choose_user
from shiftwork.verification.shell import Shell
from tests.unit.process_support import living, token, wait_until_dead

GREEDY = Path(__file__).parents[2] / "examples" / "players" / "greedy_maze.py"
MAZE = {"rows": 6, "columns": 6}
SECRET = b"hunter2-hunter2"
KEY = b"of an evaluation"


def python(code: str) -> str:
    """A command that runs this code."""
    return f"python3 -u -c {shlex.quote(code)}"


class Table:
    """Where programs play, each in a sandbox like that of a worker."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o711)
        self.folder = folder
        self.sandbox = choose_sandbox()
        self.host = EnvironmentHost(self.sandbox, folder)
        self.steps: list[Step] = []

    @asynccontextmanager
    async def seat(self, command: str, *, seed=0, history=(), patience=100.0, limits: Limits | None = None):
        """A player."""
        workspace = self.folder / f"w{len(list(self.folder.iterdir()))}" / "workspace"
        workspace.mkdir(parents=True)
        shell = Shell(
            self.sandbox,
            user=choose_user(workspace, namespaces=self.sandbox.own_network),
            limits=limits or Limits(processes=100),
            redact=lambda text: text.replace(SECRET, b"[secret]"),
        )
        async with shell.talk(command, cwd=workspace, scratch=workspace.with_name("scratch")) as process:
            own = player_seed(KEY, seed)
            yield CommandPlayer(process, seed=own, history=history, patience=patience, redact=shell.redact)

    async def play(
        self,
        command: str,
        *,
        environment="maze",
        parameters=MAZE,
        most_steps=None,
        history=(),
        seed=0,
        **more,
    ) -> Over:
        """An episode, of the maze unless it says otherwise."""

        async def keep(step: Step, seconds: float) -> None:
            self.steps.append(step)

        order = Order(
            environment=environment,
            parameters=parameters,
            seed=seed,
            recorded=history,
            most_steps=most_steps,
            player="asked",
        )
        async with self.seat(command, seed=seed, history=history, **more) as player:
            over = await self.host.play(order, on_step=keep, on_turn=player.act, on_begin=player.begin)
            await player.over(over.observation, self.steps[-1] if self.steps else None)
            return over


@pytest.fixture
def table(tmp_path) -> Table:
    return Table(tmp_path)


def greedy() -> str:
    return python(GREEDY.read_text(encoding="utf-8"))


async def test_the_example_finds_the_exit(table):
    """If it failed, the program that people start from would not play, or not to the end."""
    over = await table.play(greedy(), seed=3)
    assert over.trajectory.ending is Ending.TERMINATED
    assert over.trajectory.stats.success
    assert all(step.success for step in table.steps)


async def test_the_program_of_the_docs_plays(table):
    """If it failed, what people copy from the docs would not play."""
    text = (GREEDY.parents[2] / "docs" / "environments.md").read_text(encoding="utf-8")
    program = text.partition("cat > player.py <<'END'\n")[2].partition("END\n")[0]
    over = await table.play(python(program), environment="number_guess", parameters={})
    assert over.trajectory.stats.success


async def test_the_example_goes_on_as_it_would_have(table):
    """If it failed, people would learn from the example how a crash changes what a program does."""
    await table.play(greedy(), seed=3)
    expected = list(table.steps)
    table.steps.clear()
    await table.play(greedy(), seed=3, history=tuple(expected[:7]))
    assert table.steps == expected[7:]


ECHO = """
import json, os, sys
lines = []
for line in sys.stdin:
    turn = json.loads(line)
    lines.append(turn)
    if turn.get("over"):
        break
    print(json.dumps({"action": "move", "parameters": {"direction": "nowhere"}}))
open(os.environ["HOME"] + "/lines", "w").write(json.dumps(lines))
"""


async def test_what_a_program_reads(table):
    """If it failed, programs written by the documentation would not find what it promises."""
    await table.play(python(ECHO), most_steps=2, seed=5)
    (written,) = table.folder.glob("*/scratch/lines")
    first, second, end = json.loads(written.read_text(encoding="utf-8"))
    opening = {"protocol", "environment", "description", "history"}
    assert set(first) - set(second) == opening
    assert (first["protocol"], first["environment"], first["history"]) == (1, "maze", [])
    assert set(second) == {"number", "seed", "last", "observation"}
    assert (first["number"], first["last"]) == (1, None)
    assert first["observation"]["available_actions"][0]["name"] == "move"
    assert (second["number"], second["last"]["success"]) == (2, False)
    assert "nowhere" in second["last"]["error"]
    assert (end["over"], end["number"], end["last"]["number"]) == (True, 2, 2)
    assert {turn["seed"] for turn in (first, second, end)} == {player_seed(KEY, 5)}


async def test_a_program_that_stops(table):
    """If it failed, a program that gives up would count as broken."""
    over = await table.play(python("input(); print('{\"stop\": true}')"))
    assert over.trajectory.ending is Ending.STOPPED


@pytest.mark.parametrize(
    ("command", "why"),
    [
        pytest.param("echo hello; cat", "answered turn 1 with 'hello', which is no JSON", id="prose"),
        pytest.param("echo '[1]'; cat", "in which the whole is wrong", id="a list"),
        pytest.param("echo '{}'; cat", "give either an action, or that the player stops", id="nothing"),
        pytest.param("""echo '{"action": "move", "stop": true}'; cat""", "give either", id="both"),
        pytest.param(
            """echo '{"action": "move", "reward": 1}'; cat""", "in which reward is wrong", id="more"
        ),
        pytest.param("""echo '{"action": 3}'; cat""", "in which action is wrong", id="a number"),
        pytest.param("""echo '{"action": "a\\u0000"}'; cat""", "its action ", id="NUL"),
        pytest.param("printf '\\377\\n'; cat", "which is no JSON", id="no text"),
        pytest.param("cat", "in which ", id="an echo"),
        pytest.param("true", "ended with status 0 before it answered turn 1.", id="an end"),
        pytest.param(
            "echo first >&2; echo hunter2-hunter2 is wrong >&2; exit 3",
            "ended with status 3 before it answered turn 1; the last that it wrote to standard error: "
            "'[secret] is wrong'",
            id="a failure",
        ),
        pytest.param("echo hunter2-hunter2; cat", "with '[secret]'", id="a secret"),
        pytest.param("exec >&-; sleep 100", " turn 1", id="closed"),
        pytest.param("no-such-program", "ended with status 127", id="missing"),
        pytest.param("kill -9 $$", "ended with status 137", id="killed"),
        pytest.param("yes x | tr -d '\\n'", f"a line of more than {MOST_ANSWER:,} bytes", id="endless"),
        pytest.param("yes", "answered turn 1 with 'y', which is no JSON", id="forever"),
        pytest.param("yes >&2", "did not answer turn 1 within 1 s", id="all to stderr"),
        pytest.param("sleep 100", "did not answer turn 1 within 1 s; it has to write", id="silence"),
    ],
)
async def test_what_is_no_answer_is_said_in_one_sentence(table, command, why):
    """If it failed, people could not tell why their program does not play, or it would hang the worker."""
    with pytest.raises(PlayFailed) as caught:
        await table.play(command, patience=1.0 if "within" in why or why == " turn 1" else 100.0)
    said = str(caught.value)
    assert caught.value.why == "player"
    assert said.startswith("The player's program ")
    assert why in said
    assert "\n" not in said
    assert len(said) < 1_000
    assert "hunter2" not in said


async def test_a_program_that_uses_too_much_is_ended(table):
    """If it failed, a program could take all processes of the machine."""
    forks = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    with pytest.raises(PlayFailed, match=r"ended with status \d+ \(The limit processes of 20 was breached"):
        await table.play(python(forks), limits=Limits(processes=20))


async def test_nothing_of_a_program_lives_on(table):
    """If it failed, what a program started would go on after its episode."""
    word = token()
    tree = f"(trap '' TERM HUP; setsid sleep {word} & sleep {word}) >/dev/null 2>&1 & "
    with pytest.raises(PlayFailed):
        await table.play(f"{tree} echo nonsense; cat")
    assert living(word) == []
    deaf = tree + "trap '' TERM HUP; while true; do echo '{\"stop\": true}'; sleep 0.1; done"
    over = await table.play(deaf)
    assert over.trajectory.ending is Ending.STOPPED
    assert living(word) == []


async def test_a_cancelled_episode_leaves_nothing(table):
    """If it failed, cancelling an evaluation would leave its programs running."""
    word = token()
    task = asyncio.create_task(table.play(f"sleep {word}"))
    async with asyncio.timeout(100):
        while not living(word):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wait_until_dead(word) == []


HOSTILE = """
import json, os, signal, sys
from pathlib import Path
seen = []
def attempt(what, act):
    try:
        seen.append([what, bool(act())])
    except OSError as error:
        seen.append([what, False])
turn = json.loads(sys.stdin.readline())
for n in (p for p in os.listdir("/proc") if p.isdigit()):
    try:
        words = Path("/proc", n, "cmdline").read_bytes()
    except OSError:
        continue
    if b"environments." + b"host" in words:  # which is not what this program itself is started with
        attempt("memory of the environment", lambda: open(f"/proc/{n}/mem", "rb"))
        attempt("its input", lambda: open(f"/proc/{n}/fd/0", "wb"))
        attempt("its end", lambda: os.kill(int(n), 9) is None)
for pid in PIDS:
    attempt("end of the worker", lambda: os.kill(pid, 0) is None)
    attempt("its variables", lambda: open(f"/proc/{pid}/environ").read())
attempt("files of the worker", lambda: list(Path(FOLDER).iterdir()))
attempt("the network", lambda: __import__("socket").create_connection(("127.0.0.1", PORT), 1))
print(json.dumps({"action": "move", "parameters": {"direction": json.dumps(seen)}}))
os.kill(0, signal.SIGTERM)
"""


async def test_a_program_can_not_reach_the_environment(table, tmp_path_factory):
    """If it failed, a program could read where the exit is, write its own reward, or end the worker."""
    private = tmp_path_factory.mktemp("private")
    private.chmod(0o700)
    (private / "state").write_text("the exit is in the south")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    names = f"PIDS, FOLDER, PORT = {[os.getpid(), os.getppid()]}, {str(private)!r}, {port}\n"
    async with server:
        with pytest.raises(PlayFailed, match="before it answered turn 2"):
            await table.play(python(names + HOSTILE))
    (step,) = table.steps
    seen = json.loads(step.parameters["direction"])
    assert [what for what, reached in seen if reached] == []
    assert not step.success


async def test_what_a_program_says_of_rewards_counts_for_nothing(table):
    """If it failed, a program could write its own results."""
    lines = ['{"action": "move", "parameters": {"direction": "nowhere"}}'] * 2
    fake = '{"kind": "over", "observation": {"reward": 100}, "over": true}'
    with pytest.raises(PlayFailed, match="answered turn 3"):
        await table.play(f"printf '%s\\n' {' '.join(map(shlex.quote, [*lines, fake]))}; cat >/dev/null")
    assert [step.reward for step in table.steps] == [0.0, 0.0]


async def test_the_seed_of_a_player_is_not_the_episodes() -> None:
    """If it failed, a program could make the same episode for itself and look where the exit is."""
    assert len({player_seed(KEY, seed) for seed in range(100)}) == 100
    assert all(player_seed(KEY, seed) != seed for seed in range(100))
    assert player_seed(KEY, 5) not in {player_seed(b"", seed) for seed in range(10_000)}


async def test_programs_play_as_policies_do(table):
    """If it failed, an episode of a program would differ from the same choices made elsewhere."""
    await table.play(greedy(), seed=9)

    class Again:
        async def act(self, observation, history):
            step = table.steps[len(history)]
            return Choice(action=step.action, parameters=step.parameters)

    trajectory = await play(make_environment("maze", MAZE), Again(), seed=9)
    assert list(trajectory.steps) == table.steps
