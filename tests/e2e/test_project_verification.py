"""What may land: executed steps, on a fresh checkout of the merged tree, of everything that passes."""

from tests.e2e.lab import SHOW_BRIEF, Lab, no_process_lives
from tests.e2e.support import simple_attempt, simple_feature


def step(command: str, **more) -> dict:
    return {"description": command[:40], "command": command, **more}


def feature(name: str, *steps: dict, needs: tuple[str, ...] = (), **more) -> dict:
    return {"name": name, "depends_on": list(needs), "verification_steps": list(steps), **more}


async def test_a_claim_alone_passes_nothing(lab: Lab) -> None:
    """An agent that says it is done, and is believed."""
    project = await lab.project(sessions={"a": [[{"say": "All done!"}], simple_attempt("a", SHOW_BRIEF)]})
    await project.completes()
    assert (await project.features())["a"].attempts == 1
    failure = project.request()["previous_failure"]
    assert failure.startswith("Verification step 1 of 'a' ended with exit status 2.")
    assert "grep: a.txt: No such file or directory" in failure


async def test_a_candidate_that_breaks_a_passing_feature_is_refused(lab: Lab) -> None:
    """Work that lands although it breaks what passed before, or a refusal that does not say what."""
    breaking = simple_attempt("b", {"write": {"path": "a.txt", "content": "broken\n"}})
    features = [simple_feature("a"), simple_feature("b", "a")]
    project = await lab.project(features, {"b": [breaking, simple_attempt("b", SHOW_BRIEF)]})
    await project.completes()
    assert project.read("a.txt") == "done"
    row = (await project.features())["b"]
    assert row.attempts == 1
    [failed] = await project.events("verification_failed")
    assert failed.data["failure"] == "broke_feature"
    assert "This work breaks features that passed before." in project.request()["previous_failure"]
    assert "of 'a' ended with exit status 1" in project.request()["previous_failure"]
    ended = [e.data["outcome"] for e in await project.events("session_ended")]
    assert ended[1] == "failed: broke feature: a"


async def test_step_files_belong_to_the_harness(lab: Lab) -> None:
    """A session that passes by editing the test it is measured with."""
    check = {"tests/check.sh": "grep -qx done a.txt\n"}
    cheating = [
        {"write": {"path": "tests/check.sh", "content": "true\n"}},
        {"write": {"path": "other.txt", "content": "x\n"}},
    ]
    honest = [*cheating, {"write": {"path": "a.txt", "content": "done\n"}}]
    project = await lab.project(
        [feature("a", step("sh tests/check.sh", files=check)), simple_feature("b", "a")],
        {"a": [cheating, honest], "b": [simple_attempt("b", cheating[0])]},
    )
    await project.completes()
    assert (await project.features())["a"].attempts == 1
    assert project.read("tests/check.sh") == "grep -qx done a.txt"
    restored = [e.data.get("restored") for e in await project.events("verification_passed")]
    assert restored == [["tests/check.sh"], ["tests/check.sh"]]
    assert [e.data["restored"] for e in await project.events("verification_failed")] == [["tests/check.sh"]]


async def test_a_flaky_feature_is_nobodys_fault(lab: Lab) -> None:
    """A candidate that is refused because an older feature's step fails now and then."""
    count = lab.folder / "count"
    # Fails the second time: when b's candidate is verified first.
    flaky = f"n=$(cat {count} 2>/dev/null || echo 0); echo $((n+1)) > {count}; [ $n -ne 1 ]"
    project = await lab.project([feature("a", step(flaky)), simple_feature("b", "a")])
    await project.completes()
    passed = await project.events("verification_passed")
    assert passed[1].data["flaky"] == [(await project.features())["a"].id]
    assert (await project.features())["b"].attempts == 0


async def test_a_feature_that_fails_on_main_too_is_failing_and_mended(lab: Lab) -> None:
    """A candidate that pays for what time broke, or a broken feature that goes on counting as passing."""
    gate = lab.folder / "gate"
    gate.touch()
    mended = simple_attempt("a", {"run": {"command": f"touch {gate}"}})
    steps = feature("a", step(f"[ -e {gate} ] && grep -qx done a.txt"))
    breaks = {"run": {"command": f"rm -f {gate}"}}  # no commit breaks it
    project = await lab.project(
        [steps, simple_feature("b", "a")],
        {"a": [simple_attempt("a"), mended], "b": [simple_attempt("b", breaks)]},
    )
    await project.completes()
    landed = await project.events("verification_passed")
    assert landed[1].data["regressed"] == [(await project.features())["a"].id]
    rows = await project.features()
    assert (rows["a"].attempts, rows["b"].attempts) == (0, 0)
    assert project.landings() == ["a", "b", "a"]


async def test_what_a_step_may_expect(lab: Lab) -> None:
    """Exit statuses and output that are asked for and not looked at; a tree that a step leaves behind."""
    steps = [
        step("exit 3", expect_status=3),
        step("echo the answer is 42", expect_output="42"),
        step("(trap '' TERM; setsid sleep 300 &) ; true"),
        step(
            "test -d .git && exit 1; test ! -e left-by-agent.tmp; python3 -c 'import sys; print(sys.prefix)'"
        ),
    ]
    slow = [step("trap '' TERM; setsid sleep 300 & sleep 300", timeout=1)]
    project = await lab.project(
        [feature("a", *steps), feature("b", *slow), feature("c", step("echo 41", expect_output="42"))],
        {name: [simple_attempt(name)] for name in "abc"},
        max_attempts=1,
    )
    await project.pauses()
    await no_process_lives(lab)
    rows = await project.features()
    assert {name: f.status.value for name, f in rows.items()} == {
        "a": "passing",
        "b": "blocked",
        "c": "blocked",
    }
    assert "Verification step 1 of 'b' ran out of time" in (rows["b"].last_error or "")
    assert "(standard output lacks '42')" in (rows["c"].last_error or "")
    async with lab.shiftwork.store.transaction() as tx:
        evidence = await tx.evidence.latest(rows["a"].id)
    assert [(e.step, e.exit_status, e.verdict) for e in evidence] == [
        (0, 3, "passed"),
        (1, 0, "passed"),
        (2, 0, "passed"),
        (3, 0, "passed"),
    ]
    assert {e.commit for e in evidence} == {rows["a"].passed_commit}


async def test_set_up_runs_once_and_is_never_committed(lab: Lab) -> None:
    """Set-up that is paid for with every checkout, or whose products land on main."""
    count = lab.folder / "count"
    setup = [{"run": f"echo x >> {count}; mkdir -p deps; echo lib > deps/lib", "outputs": ["deps"]}]
    command = "grep -qx lib deps/lib && grep -qx done {}.txt"
    features = [
        simple_feature("a", command=command.format("a")),
        simple_feature("b", "a", command=command.format("b")),
    ]
    uses = {"run": {"command": "cp deps/lib seen.txt"}}
    project = await lab.project(features, {"a": [simple_attempt("a", uses)]}, setup=setup)
    await project.completes()
    assert count.read_text() == "x\n"
    assert project.files() == ["a.txt", "b.txt", "seen.txt"]
    assert project.read("seen.txt") == "lib"


async def test_failing_set_up_is_told(lab: Lab) -> None:
    """Set-up that fails silently, or whose failure the next agent does not read."""
    gate = lab.folder / "gate"
    setup = [{"run": f"[ -e {gate} ] || {{ touch {gate}; echo no network >&2; exit 9; }}"}]
    project = await lab.project(sessions={"a": [simple_attempt("a", SHOW_BRIEF)]}, setup=setup)
    await project.completes()
    assert (await project.features())["a"].attempts == 1
    failure = project.request()["previous_failure"]
    assert "set-up command" in failure
    assert "exited 9: no network" in failure


async def test_parallel_sessions_that_conflict_are_tried_again(lab: Lab) -> None:
    """Two candidates for the same lines, of which one is lost or breaks the other."""
    names = ["a", "b", "c"]
    write = "touch shared.txt; sort -u -o shared.txt shared.txt; echo {} >> shared.txt"
    sessions = {
        name: [simple_attempt(name, {"sleep": 0.5}, {"run": {"command": write.format(name)}})]
        for name in names
    }
    features = [simple_feature(n, command=f"grep -qx done {n}.txt && grep -qx {n} shared.txt") for n in names]
    project = await lab.project(features, sessions, max_parallel=3)
    await project.completes()
    assert sorted(project.landings()) == names
    assert sorted(project.read("shared.txt").split()) == names
    conflicts = [
        e for e in await project.events("verification_failed") if "Merge conflict" in e.data["detail"]
    ]
    assert conflicts


async def test_one_feature_s_steps_do_not_furnish_another_s(lab: Lab) -> None:
    """A session that has main fail too, by what its step leaves in the home, and so breaks what passed."""
    check = 'python3 -c \'import sys; sys.exit(open("a.txt").read() != "done\\n")\''
    folder = "$(python3 -c 'import site; print(site.getusersitepackages())')"
    plant = f'd={folder}; mkdir -p "$d"; echo "import os; os._exit(1)" > "$d/usercustomize.py"'
    breaking = simple_attempt(
        "b",
        {"write": {"path": "a.txt", "content": "broken\n"}},
        {"write": {"path": "b.sh", "content": f"{plant}\ntrue\n"}},
    )
    features = [simple_feature("a", command=check), simple_feature("b", "a", command="sh b.sh")]
    project = await lab.project(features, {"b": [breaking]}, max_attempts=1)
    await project.pauses()
    [failed] = await project.events("verification_failed")
    assert failed.data["failure"] == "broke_feature"
    assert project.landings() == ["a"]
