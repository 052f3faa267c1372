"""What a runner counts, where it tells it, and a collector that Prometheus can read."""

import json
import logging
import threading
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

_LOG = logging.getLogger("shiftwork.runner")
_BUCKETS = (0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 7200.0)
"""Upper bounds in seconds: from a program that fails at once to a long session."""

HELP = {
    "shiftwork_agents_spawned_total": "Agents started.",
    "shiftwork_agents_failed_to_spawn_total": "Agents that could not be started.",
    "shiftwork_agents_ended_total": "Agents that ended, by status.",
    "shiftwork_agents_running": "Agents alive.",
    "shiftwork_agents_stalled_total": "Agents that were seen to do nothing any more.",
    "shiftwork_agent_limits_breached_total": "Agents ended by a limit.",
    "shiftwork_agent_signals_total": "Signals sent to agents.",
    "shiftwork_agent_seconds": "How long agents lived.",
    "shiftwork_agent_cpu_seconds_total": "CPU time of agents that ended.",
    "shiftwork_agent_output_bytes_total": "Bytes that agents printed.",
    "shiftwork_agent_dropped_lines_total": "Lines that nobody read in time.",
}
"""Every metric of the runner."""


@dataclass(frozen=True, slots=True)
class AgentMetrics:
    """What one agent uses and says.

    Attributes:
        cpu_usage: percent of one core, on average over its life.
        memory_mb: resident memory of its tree when it was last looked at, in millions of bytes.
        uptime_secs: seconds since its start, or until its end.
        messages_sent: times something was written to its standard input.
        messages_received: lines that it printed on standard output, the dropped ones included.
    """

    cpu_usage: float
    memory_mb: int
    uptime_secs: float
    messages_sent: int
    messages_received: int


class MetricsSink(Protocol):
    """Where figures go; called from the event loop, so it must not block."""

    def count(self, name: str, value: float = 1, **labels: str) -> None:
        """Add to a counter."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add one observation to a histogram."""


class NoMetrics:
    """Forgets everything."""

    def count(self, name: str, value: float = 1, **labels: str) -> None:
        """See `MetricsSink.count`."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """See `MetricsSink.gauge`."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """See `MetricsSink.observe`."""


_Series = dict[tuple[tuple[str, str], ...], float]


class GuardedMetrics:
    """Passes figures on to a sink; should that fail, the log says so, and the agents are no worse off."""

    def __init__(self, sink: MetricsSink) -> None:
        self._sink = sink

    def count(self, name: str, value: float = 1, **labels: str) -> None:
        """See `MetricsSink.count`."""
        self._call(self._sink.count, name, value, labels)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """See `MetricsSink.gauge`."""
        self._call(self._sink.gauge, name, value, labels)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """See `MetricsSink.observe`."""
        self._call(self._sink.observe, name, value, labels)

    def _call(self, call: Callable[..., None], name: str, value: float, labels: dict[str, str]) -> None:
        try:
            call(name, value, **labels)
        except Exception:  # noqa: BLE001 - somebody else's program, which may raise anything
            _LOG.exception("the metrics sink failed at %s", name)


class PrometheusText:
    """Collects figures, and renders them in Prometheus's text format; may be shared by threads."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], _Series] = {}
        self._histograms: dict[str, dict[tuple[tuple[str, str], ...], list[float]]] = {}
        self._lock = threading.Lock()

    def count(self, name: str, value: float = 1, **labels: str) -> None:
        """See `MetricsSink.count`."""
        with self._lock:
            series = self._values.setdefault((name, "counter"), {})
            key = tuple(sorted(labels.items()))
            series[key] = series.get(key, 0) + value

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """See `MetricsSink.gauge`."""
        with self._lock:
            self._values.setdefault((name, "gauge"), {})[tuple(sorted(labels.items()))] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        """See `MetricsSink.observe`."""
        with self._lock:
            series = self._histograms.setdefault(name, {})
            # The counts of the buckets, of those beyond them, and the sum.
            counts = series.setdefault(tuple(sorted(labels.items())), [0.0] * (len(_BUCKETS) + 2))
            counts[bisect_left(_BUCKETS, value)] += 1
            counts[-1] += value

    def render(self) -> str:
        """All figures so far."""
        lines: list[str] = []
        with self._lock:
            for (name, kind), series in sorted(self._values.items()):
                lines += _head(name, kind)
                lines += [f"{name}{_labels(key)} {_number(value)}" for key, value in sorted(series.items())]
            for name, histograms in sorted(self._histograms.items()):
                lines += _head(name, "histogram")
                for key, counts in sorted(histograms.items()):
                    lines += _histogram(name, key, counts)
        return "\n".join(lines) + "\n" if lines else ""


def log_event(event: str, agent: str, name: str, **facts: object) -> None:
    """One line of JSON in the log: what happened to which agent. Never its task, never its environment."""
    if _LOG.isEnabledFor(logging.INFO):
        _LOG.info("%s", json.dumps({"event": event, "agent": agent, "name": name, **facts}))


def _head(name: str, kind: str) -> list[str]:
    described = [f"# HELP {name} {HELP[name]}"] if name in HELP else []
    return [*described, f"# TYPE {name} {kind}"]


def _labels(key: tuple[tuple[str, str], ...], **more: str) -> str:
    pairs = [f'{name}="{_escape(value)}"' for name, value in (*key, *more.items())]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _number(value: float) -> str:
    """As short as it can be without losing anything."""
    return str(int(value)) if value == int(value) else repr(value)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _histogram(name: str, key: tuple[tuple[str, str], ...], counts: list[float]) -> list[str]:
    lines, total = [], 0.0
    for bound, number in zip((*map("{:g}".format, _BUCKETS), "+Inf"), counts, strict=False):
        total += number
        lines.append(f"{name}_bucket{_labels(key, le=bound)} {_number(total)}")
    return [
        *lines,
        f"{name}_sum{_labels(key)} {_number(counts[-1])}",
        f"{name}_count{_labels(key)} {_number(total)}",
    ]
