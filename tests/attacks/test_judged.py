"""Landings that try to consent in their verifier's name, in the sandbox of this machine."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from shiftwork.agents.events import AgentEvent
from shiftwork.agents.outbox import read_outbox
from shiftwork.agents.protocol import AgentCommand, AgentRequest
from shiftwork.agents.run import AgentEnd, run_agent_process
from shiftwork.agents.scripted import ScriptedBackend
from shiftwork.agents.spoken import Spoken
from shiftwork.contracts.feature import FeatureSpec
from shiftwork.contracts.outbox import Verdict
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.contracts.session import Role, RunStatus
from shiftwork.sandbox.cell import HOME, OUTBOX, WORKSPACE, make_cell
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.sandbox.confinement import Bind
from shiftwork.verification.judging import judge, weigh
from shiftwork.verification.word import Word
from tests.attacks.judged import ATTACKS, HONEST, PROGRAM, WHY, landing

FEATURE = FeatureSpec(name="a", verification_steps=("it works",))


class VerifierBackend(ScriptedBackend):
    """A verifier's program that speaks the scripted agent's protocol."""

    def command(self, request: AgentRequest) -> AgentCommand:
        return AgentCommand((sys.executable, "-c", PROGRAM))


@dataclass(frozen=True)
class Judged:
    """What came of a verifier."""

    end: AgentEnd
    word: Word
    verdict: Verdict | None

    @property
    def consents_by_its_file(self) -> bool:
        """Whether it would pass if an end that was said and a file were enough."""
        found = judge(FEATURE, self.verdict)
        return self.end.status is RunStatus.COMPLETED and not (found.vetoes or found.problems)

    @property
    def consents(self) -> bool:
        """Whether it passes."""
        found = weigh(FEATURE, self.verdict, self.word)
        return self.end.status is RunStatus.COMPLETED and not (found.vetoes or found.problems)


async def judged(folder: Path, attack: str, *, sealed: bool) -> Judged:
    """Have a landing judged, as our own user, whose pipes it can open; `sealed`: as verifiers are."""
    folders = {name: folder / name for name in ("workspace", "outbox", "home")}
    for path in folders.values():
        path.mkdir()
    (folders["workspace"] / "check.py").write_text(landing(attack))
    sandbox, spoken = choose_sandbox(), Spoken(quotes_model=False)
    targets = {"workspace": WORKSPACE, "outbox": OUTBOX, "home": HOME}
    binds = [Bind(path.resolve(), targets[name], writable=True) for name, path in folders.items()]
    cell = make_cell(sandbox, SandboxOptions(), binds)

    async def hear(event: AgentEvent) -> None:
        spoken.hear(event)

    end = await run_agent_process(
        VerifierBackend(),
        AgentRequest(folders["workspace"], outbox=folders["outbox"], home=folders["home"], binds=cell.binds),
        env={"HOME": str(cell.seen(folders["home"]))},
        sandbox=sandbox,
        timeout=5,
        on_event=hear,
        confinement=cell.confinement,
        grace=1.0,
        sealed=sealed,
    )
    word = spoken.word(by_itself=end.by_itself, gateway=False)
    return Judged(end, word, read_outbox(folders["outbox"], Role.VERIFIER).verdict)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_a_landing_can_t_consent_to_itself(tmp_path: Path, attack: str) -> None:
    """Work lands that its verifier would have vetoed, or did, because the work itself wrote its consent."""
    (tmp_path / "file").mkdir()
    before = await judged(tmp_path / "file", attack, sealed=False)
    assert before.consents_by_its_file, (before, "the attack does not work: it shows nothing")
    (tmp_path / "said").mkdir()
    now = await judged(tmp_path / "said", attack, sealed=True)
    assert not now.consents, now


async def test_an_honest_verdict_is_heard(tmp_path: Path) -> None:
    """A veto that does not bind, or whose reason nobody learns."""
    heard = await judged(tmp_path, HONEST, sealed=True)
    assert heard.end.by_itself
    assert heard.word.vetoes == (WHY,)
    assert weigh(FEATURE, heard.verdict, heard.word).vetoes == {0: WHY}
