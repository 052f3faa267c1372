"""The live display of a project, for terminals."""

from collections import deque
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from client.cli.output import bar, counted, duration, money
from client.cli.status import current_session, standing
from client.patience import PatientStore, silence
from client.saying import said_line
from client.telling import tell, worth_watching
from client.watch import NO_WORKER, Idleness, Listener, moments
from shiftwork.store.rows import FeatureRow, ProjectRow
from shiftwork.text import one_line, truncate

_EVENTS = 6
_CHROME = 8
"""Lines of the display that are neither features nor events nor sessions."""

_FEWEST_FEATURES = 3
_QUIET_SECONDS = 2.0
"""A stack that is silent for less has only been restarted."""

_STYLES = {
    "passing": ("✔", "green"),
    "in_progress": ("▶", "cyan"),
    "failing": ("✘", "red"),
    "blocked": ("■", "red"),
    "not_started": ("·", "dim"),
}
_ORDER = ("in_progress", "failing", "blocked", "not_started", "passing")
"""Which features are shown first where there is no room for all."""


class LiveDisplay:
    """What is known of the project, as something rich can draw at any moment.

    Everything of other people's making becomes a `Text`, in which no markup is looked for.
    """

    def __init__(self, project: ProjectRow, console: Console) -> None:
        self._project = project
        self._console = console
        self.status: dict[str, Any] = {}
        self.features: list[FeatureRow] = []
        self.lines: deque[str] = deque(maxlen=_EVENTS)
        self.said: dict[int, str] = {}
        """What the agent of each session said last."""
        self.over = False
        self.silence: float | None = None
        """For how many seconds the stack has not answered."""
        self.idle = False
        """Whether nothing happens, although the project could go on."""

    def __rich__(self) -> RenderableType:
        """Draw it."""
        if not self.status:
            return Text("waiting for the project …")
        parts: list[RenderableType] = [self._head(), Text(""), self._table(), *self._sessions(), Text("")]
        if self.silence is not None and self.silence > _QUIET_SECONDS:
            parts.append(Text(silence(self.silence), style="yellow"))
        elif self.idle:
            parts.append(Text(NO_WORKER, style="yellow"))
        recent = list(self.lines)[-self._room_for_lines() :]
        return Group(*parts, *(Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in recent))

    def hear_silence(self, seconds: float | None) -> None:
        """Take what a `PatientStore` tells."""
        self.silence = seconds

    def _head(self) -> Text:
        status = self.status
        end = datetime.fromisoformat(status["updated_at"]) if self.over else datetime.now(UTC)
        age = duration((end - self._project.created_at).total_seconds())
        passing, total = status["passing_features"], status["total_features"]
        return Text.assemble(
            (one_line(status["name"]), "bold"),
            f" is {standing(status, datetime.now(UTC))}\n",
            (bar(passing, total), "green"),
            f" {passing}/{counted(total, 'feature')} · {counted(status['sessions'], 'session')} · ",
            f"{money(status['cost_usd'])} · {age}",
        )

    def _sessions(self) -> list[Text]:
        now = datetime.now(UTC)
        lines: list[Text] = []
        for each in self.status["current_sessions"]:
            lines.append(Text(f"▶ {current_session(each, now)}", style="cyan"))
            if said := self.said.get(each["number"]):
                lines.append(Text(f"    {said}", style="dim", no_wrap=True, overflow="ellipsis"))
        return lines

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=1)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=40)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        shown, hidden = self._room()
        for row in shown:
            mark, style = _STYLES[row.status]
            remark = one_line(row.question or "") if row.waiting else one_line(row.blocked_reason or "")
            attempts = f"{row.attempts} failed" if row.attempts else ""
            table.add_row(
                Text(mark, style),
                Text(row.name, style),
                Text(attempts),
                Text(truncate(remark, 200), "yellow"),
            )
        if hidden:
            table.add_row(Text("…"), Text(f"and {hidden} more", "dim"), Text(""), Text(""))
        return table

    def _room_for_lines(self) -> int:
        """How many events there is room for beside the heading, sessions and the fewest features."""
        taken = _CHROME + _FEWEST_FEATURES + 2 * len(self.status["current_sessions"])
        return max(1, min(_EVENTS, self._console.height - taken))

    def _room(self) -> tuple[list[FeatureRow], int]:
        """The features there is room for, in the order of the plan, and how many there is none for."""
        room = self._console.height - _CHROME - _EVENTS - 2 * len(self.status["current_sessions"])
        room = max(_FEWEST_FEATURES, room)
        if len(self.features) <= room:
            return self.features, 0
        urgent = sorted(self.features, key=lambda row: (_ORDER.index(row.status), row.id))[: room - 1]
        return sorted(urgent, key=lambda row: row.id), len(self.features) - len(urgent)


async def watch_live(
    store: PatientStore,
    project: ProjectRow,
    *,
    console: Console,
    after: int = 0,
    rest_after: int | None = None,
) -> dict[str, Any]:
    """Show a display that follows the project; returns the status at rest."""
    display = LiveDisplay(project, console)
    idleness = Idleness()
    store.on_silence = display.hear_silence
    with Live(display, console=console, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False):
        async for moment in moments(
            store, project.id, after=after, rest_after=rest_after, listener=Listener()
        ):
            display.idle = idleness.noticed(moment)
            display.said.update({number: said_line(item) for number, item in moment.said})
            display.lines.extend(tell(event) for event in moment.events if worth_watching(event))
            if moment.events or not display.status:
                display.features = await store.read(lambda tx: tx.features.list(project.id))
            display.status, display.over = moment.status, moment.at_rest
    return display.status
