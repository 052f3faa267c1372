"""Features that are a program which has to play an environment well."""

from pathlib import Path

from client.telling import tell
from tests.e2e.lab import Lab

GREEDY = (Path(__file__).parents[2] / "examples" / "players" / "greedy_maze.py").read_text(encoding="utf-8")
LIAR = """import json, sys
for line in sys.stdin:
    print(json.dumps({"reward": 1, "over": True, "success": True}), flush=True)
"""
LAZY = """import sys
for line in sys.stdin:
    print('{"stop": true}', flush=True)
"""
MAZE = {"name": "maze", "parameters": {"rows": 4, "columns": 4}, "min_reward": 0.4, "seed": 7, "episodes": 2}


def attempt(program: str) -> list[dict]:
    return [{"write": {"path": "bot.py", "content": program}}]


async def test_a_bot_passes_by_what_it_earns(lab: Lab) -> None:
    """A feature that passes by what its program says of itself, or that no good program can pass."""
    step = {"description": "it finds the exit", "command": "python3 bot.py", "environment": MAZE}
    bot = {"name": "bot", "verification_steps": [step]}
    project = await lab.project([bot], {"bot": [attempt(LIAR), attempt(LAZY), attempt(GREEDY)]})
    await project.completes()
    assert (await project.features())["bot"].attempts == 2
    failed = await project.events("verification_failed")
    lied, stopped = (event.data["detail"] for event in failed)
    assert "verification failed: The player's program answered turn 1 with '{\"reward\"" in tell(failed[0])
    assert "verification failed: The reward was 0 on average, 0 at least; a reward" in tell(failed[1])
    assert lied.startswith("Verification step 1 of 'bot' did not earn what it has to.")
    assert "The player's program answered turn 1 with '{\"reward\": 1" in lied
    assert "The reward was 0 on average, 0 at least; a reward of at least 0.4 in maze, in each of" in stopped
    async with lab.shiftwork.store.transaction() as tx:
        [evidence] = await tx.evidence.latest((await project.features())["bot"].id)
    assert (evidence.verdict, evidence.exit_status, evidence.command) == ("passed", None, "python3 bot.py")
    first, *episodes = evidence.output_tail.splitlines()
    assert first.startswith("The reward was 0.")
    assert [line.split(":")[0] for line in episodes] == ["seed 7", "seed 8"]
    assert all("aim reached, terminated" in line for line in episodes)


async def test_a_bot_that_gets_worse_does_not_land(lab: Lab) -> None:
    """Later work that breaks a program which plays, and lands."""
    step = {"command": "python3 bot.py", "environment": MAZE}
    features = [
        {"name": "bot", "verification_steps": [step]},
        {"name": "notes", "depends_on": ["bot"], "verification_steps": [{"command": "test -s notes.txt"}]},
    ]
    notes = {"write": {"path": "notes.txt", "content": "It plays.\n"}}
    project = await lab.project(
        features, {"bot": [attempt(GREEDY)], "notes": [[*attempt(LAZY), notes], [notes]]}
    )
    await project.completes()
    [failed] = await project.events("verification_failed")
    assert failed.data["failure"] == "broke_feature"
    assert project.read("bot.py") == GREEDY.strip()
