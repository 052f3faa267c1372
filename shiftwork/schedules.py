"""When registered agents run by themselves: cron expressions of five fields, or a fixed interval."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from shiftwork.errors import InvalidInput

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(days=366)

_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_RANGES = ("0 to 59", "0 to 23", "1 to 31", "1 to 12, or JAN to DEC", "0 to 7, or SUN to SAT")
_SIGNS = "[0-9*/,-]"
_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_DAYS = "SUN|MON|TUE|WED|THU|FRI|SAT"
_ALLOWED = tuple(
    re.compile(f"(?:{_SIGNS}{names})+", re.IGNORECASE) for names in ("", "", "", f"|{_MONTHS}", f"|{_DAYS}")
)
_EXAMPLES = "write a cron expression such as `0 9 * * MON-FRI`, or an interval such as `@every 90s`"
_EVERY = re.compile(r"@every\s+(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_MOST_DIGITS = 8
_OF_THE_HOST = re.compile(r"localtime|posixrules|(posix|right)/.*")
"""Files beside the zones of the IANA database: another host has others, or none, or counts leap seconds."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When something happens again and again.

    A day that is given both as a day of the month and as a day of the week is any that is one of them, as
    cron has it.

    Attributes:
        text: as a person wrote it: `0 9 * * MON-FRI`, `@every 90s`.
        timezone: whose clock a cron expression is read by.
        interval: of `@every`; None: it is a cron expression.
    """

    text: str
    timezone: ZoneInfo
    interval: timedelta | None = None

    @classmethod
    def parse(cls, text: str, timezone: str = "UTC") -> "Recurrence":
        """The recurrence that this text means; raises `InvalidInput` saying what is wrong with it."""
        if not isinstance(text, str) or not text.strip():
            given = "empty" if isinstance(text, str) else f"{text!r:.60}, which is no text"
            raise InvalidInput(f"The schedule is {given}: {_EXAMPLES}.")
        text = " ".join(text.split())
        zone = time_zone(timezone)
        if text.startswith("@"):
            return cls(text, zone, _interval(text))
        fields = text.split()
        if len(fields) != len(_FIELDS):
            number = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
            raise InvalidInput(
                f"The schedule {text!r:.100} has {number}; a cron expression has five ("
                f"{', '.join(_FIELDS)}), such as `0 9 * * MON-FRI`; `@every 90s` is an interval."
            )
        for index, field in enumerate(fields):
            if not _can_be(index, field):
                raise InvalidInput(
                    f"The schedule {text!r:.100} has {field!r:.40} as its {_FIELDS[index]}, which is none; "
                    f"it must be {_RANGES[index]}, a list or range of these, or *."
                )
        recurrence = cls(text, zone)
        if not recurrence.next_runs(1):
            raise InvalidInput(
                f"The schedule {text!r:.100} names a moment that never comes: no month that it names has "
                "such a day; choose another day."
            )
        return recurrence

    def cron_expressions(self) -> tuple[str, ...]:
        """What means the same where a day has to be both: one expression for each way of giving days."""
        if self.interval is not None:
            return ()
        minute, hour, day, month, weekday = self.text.split()
        if day.startswith("*") or weekday.startswith("*"):
            return (self.text,)
        return (f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}")

    def next_runs(self, number: int, after: datetime | None = None) -> list[datetime]:
        """The next so many moments, in the schedule's own time zone; fewer where no more come.

        Args:
            after: a moment with a time zone; None: now. An interval is counted from the epoch.
        """
        after = (after or datetime.now(UTC)).astimezone(self.timezone)
        if self.interval is None:
            try:
                return list(islice(CronSim(self.text, after), number))
            except CronSimError:
                return []
        seconds = self.interval.total_seconds()
        first = (after.timestamp() // seconds + 1) * seconds
        return [datetime.fromtimestamp(first + n * seconds, self.timezone) for n in range(number)]


def _can_be(index: int, field: str) -> bool:
    """Whether a field of an expression means something by itself."""
    if not _ALLOWED[index].fullmatch(field):
        return False
    fields = ["*"] * len(_FIELDS)
    fields[index] = field
    try:
        CronSim(" ".join(fields), datetime.now(UTC))
    except CronSimError:
        return False
    return True


def time_zone(name: str) -> ZoneInfo:
    """The time zone that has this name in the IANA database; raises `InvalidInput`."""
    try:
        if isinstance(name, str) and not _OF_THE_HOST.fullmatch(name):
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder
        pass
    raise InvalidInput(f"There is no time zone {name!r:.100}; name one such as Europe/Berlin.")


def _interval(text: str) -> timedelta:
    found = _EVERY.fullmatch(text)
    if found is None or not any(found.groups()):
        raise InvalidInput(
            f"The schedule {text!r:.100} is none: write a cron expression such as `0 9 * * *`, or an "
            "interval such as `@every 90s` or `@every 1h30m`."
        )
    if any(len(part or "") > _MOST_DIGITS for part in found.groups()):
        raise InvalidInput(f"The interval of the schedule {text!r:.100} is too long.")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    interval = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not SHORTEST <= interval <= LONGEST:
        raise InvalidInput(f"The interval of the schedule {text!r:.100} must be 1 second to 366 days.")
    return interval
