"""What `start` makes of its options and of the front matter: which one holds, and what is refused."""

import os
from pathlib import Path

import pytest

from client.api import Shiftwork
from client.cli.beginning import all_missing
from client.cli.options import project_options
from client.cli.parser import build_parser
from client.specification import read_prompt, read_specification
from client.vetting import vet_options
from shiftwork.contracts.limits import AgentLimits
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.contracts.sandbox import Profile, SandboxOptions
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.specifications import MOST_BYTES

HEAD = """\
---
agent: {backend: claude}
session_timeout: 60
sandbox:
  profile: networked
  readable: [/opt]
  hosts: [front.example]
limits: {memory_mb: 100, processes: 5}
---
# A thing
"""


@pytest.fixture
def redactor():
    return LazyRedactor({})


@pytest.fixture
def options(tmp_path):
    """The options that `start` makes of these arguments."""

    def make(*arguments, text=HEAD):
        path = tmp_path / "spec.md"
        path.write_text(text)
        args = build_parser().parse_args(["start", str(path), *arguments])
        return project_options(read_specification(path), args)

    return make


def test_without_options_the_front_matter_holds(options):
    """If it failed, the front matter would be ignored."""
    made = options()
    assert made.sandbox == SandboxOptions(
        profile=Profile.NETWORKED, readable=("/opt",), hosts=("front.example",)
    )
    assert made.limits == AgentLimits(memory_mb=100, processes=5)
    assert made.session_timeout == 60


def test_without_either_the_defaults_hold(options):
    """If it failed, a project that says nothing would be confined less than promised."""
    made = options("--agent", "claude", text="# A thing\n")
    assert (made.sandbox, made.limits) == (SandboxOptions(), AgentLimits())


def test_an_option_goes_before_the_front_matter_and_leaves_the_rest(options):
    """If it failed, what a person types would lose against a file, or take more from it than it says."""
    made = options("--allow-host", "a.example", "--limit", "memory_mb=200", "--limit", "processes=none")
    assert made.sandbox.hosts == ("a.example",)
    assert (made.sandbox.profile, made.sandbox.readable) == (Profile.NETWORKED, ("/opt",))
    assert (made.limits.memory_mb, made.limits.processes) == (200, None)
    assert made.limits.disk_mb == AgentLimits().disk_mb


def test_hosts_that_nobody_could_reach_are_refused(options):
    """If it failed, a person would believe that a list of hosts has an effect."""
    text = "---\nagent: {backend: claude}\nsandbox: {hosts: [a.example]}\n---\n# A thing\n"
    with pytest.raises(InvalidInput, match=r"^sandbox.hosts: 'a.example' has no effect in the profile 'str"):
        options(text=text)
    assert options("--profile", "networked", text=text).sandbox.hosts == ("a.example",)
    assert options("--profile", "strict").sandbox.hosts == ()


async def test_python_refuses_hosts_that_nobody_could_reach(redactor):
    """If it failed, what the command line refuses would be taken in silence from a program."""
    sandbox = SandboxOptions(hosts=("a.example",))
    agent = AgentOptions(backend="claude")
    with pytest.raises(InvalidInput, match=r"^sandbox.hosts: 'a.example' has no effect"):
        vet_options(ProjectOptions(agent=agent, sandbox=sandbox), redactor)


def test_the_agents_of_all_roles_are_looked_at(tmp_path):
    """If it failed, a project would stop at its first session of a role, for a program that is not there."""
    absent = {"program": str(tmp_path / "absent")}
    first, second = (
        AgentOptions(backend="claude", settings=absent),
        AgentOptions(backend="codex", settings=absent),
    )
    third = AgentOptions(backend="claude", settings={**absent, "model": "x"})
    options = ProjectOptions(
        agent=first.model_copy(update={"fallbacks": (second,)}),
        roles={Role.VERIFIER: third},
        sandbox=SandboxOptions(profile=Profile.OPEN),
    )
    said = all_missing(options)
    assert len(said) == len(set(said))
    assert [sentence.split("'")[1] for sentence in said] == ["claude", "codex"]


@pytest.mark.parametrize("profile", Profile)
def test_the_profile_of_the_command_line_holds(options, profile):
    """If it failed, an agent could reach more than the person who starts it wants."""
    assert options("--profile", profile.value).sandbox.profile is profile


def test_the_wall_time_is_the_session_s(options):
    """If it failed, the one limit that has an option of its own could not be set like the others."""
    assert options("--limit", "session_timeout=7").session_timeout == 7
    assert options("--session-timeout", "8").session_timeout == 8
    with pytest.raises(InvalidInput, match="--limit session_timeout and --session-timeout say the same"):
        options("--limit", "session_timeout=7", "--session-timeout", "8")


@pytest.mark.parametrize("profile", ["strict", "open"])
def test_a_host_that_the_profile_does_not_heed_is_refused(options, profile):
    """If it failed, somebody would believe that a host can be reached, or that no other can."""
    with pytest.raises(
        InvalidInput, match=f"--allow-host 'a.example' .* '{profile}'; give --profile networked"
    ):
        options("--profile", profile, "--allow-host", "a.example")


@pytest.mark.parametrize("field", ["hosts", "setup_hosts"])
async def test_python_and_the_front_matter_are_told_of_a_wrong_host(field, tmp_path, database_url):
    """If it failed, a project would start, and pause at its first session."""
    sandbox = SandboxOptions(profile=Profile.NETWORKED, **{field: ("https://a.example",)})
    options = ProjectOptions(agent=AgentOptions(backend="claude"), sandbox=sandbox)
    settings = Settings(state=tmp_path, database_url=database_url)
    async with Shiftwork(settings) as shiftwork:
        with pytest.raises(InvalidInput, match=f"sandbox.{field}: The host pattern 'https://a.example'"):
            await shiftwork.create("any", "x", options=options)


ROLES = """\
---
agent: {backend: claude, fallbacks: [{backend: codex}]}
roles:
  verifier: {backend: gemini}
  testing: {backend: codex}
categories: {security: {role: testing}}
prompts: {testing: how.md}
---
# A thing
"""


def test_roles_come_from_both(options, tmp_path):
    """If it failed, a role that a person gave away would be played by somebody else."""
    (tmp_path / "how.md").write_text("Only property tests.\n")
    (tmp_path / "mine.md").write_text("Slowly.\n")
    given = ("--role", "verifier=langchain:openai:m", "--prompt", f"session={tmp_path / 'mine.md'}")
    made = options(*given, text=ROLES)
    assert made.agent.fallbacks == (AgentOptions(backend="codex"),)
    assert made.roles == {
        "testing": AgentOptions(backend="codex"),
        "verifier": AgentOptions(backend="langchain", settings={"model": "openai:m"}),
    }
    assert made.prompts == {"testing": "Only property tests.", "session": "Slowly."}
    assert made.categories["security"].role == "testing"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ROLES.replace("how.md", "none.md"), "prompt '.*none.md' can't be read: No such file"),
        (ROLES.replace("{backend: gemini}", "{backnd: gemini}"), "roles.verifier.backnd: is not known"),
        (ROLES.replace("verifier:", "boss:"), "roles: 'boss' is not known"),
        (ROLES.replace("role: testing", "role: verifier"), "the verifier does no features"),
    ],
)
def test_a_cast_that_can_not_be_is_refused(options, tmp_path, text, complaint):
    """If it failed, a slip of the pen would give a role to nobody, and be noticed days later."""
    (tmp_path / "how.md").write_text("Only property tests.\n")
    with pytest.raises(InvalidInput, match=complaint):
        options(text=text)


def test_a_prompt_that_can_not_be_read_to_its_end_is_refused(tmp_path):
    """If it failed, a command would wait for ever, take all memory, or fail in the database."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large.md").write_text("x" * (MOST_BYTES + 1))
    (tmp_path / "nul.md").write_bytes(b"a\0b")
    for path, complaint in (
        (tmp_path / "pipe", "is no regular file; give the path of one"),
        (Path("/dev/zero"), "is no regular file"),
        (tmp_path, "can't be read: Is a directory|is no regular file"),
        (tmp_path / "large.md", "is larger than 1,000,000 bytes; shorten it"),
        (tmp_path / "nul.md", r"^prompt '.*nul.md' holds"),
        (tmp_path / "a\0b", "the path of a prompt holds"),
    ):
        with pytest.raises(InvalidInput, match=complaint):
            read_prompt(path)
