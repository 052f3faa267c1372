"""When agents run: what a schedule means, and what is refused."""

from datetime import UTC, datetime, timedelta

import pytest

from shiftwork.errors import InvalidInput
from shiftwork.schedules import Recurrence

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "timezone", "first", "second"),
    [
        ("0 * * * *", "UTC", "2026-01-01T01:00:00+00:00", "2026-01-01T02:00:00+00:00"),
        ("*/5 * * * *", "UTC", "2026-01-01T00:05:00+00:00", "2026-01-01T00:10:00+00:00"),
        ("0 9 * * 1-5", "Europe/Berlin", "2026-01-01T09:00:00+01:00", "2026-01-02T09:00:00+01:00"),
        ("0 9 * * MON-FRI", "UTC", "2026-01-01T09:00:00+00:00", "2026-01-02T09:00:00+00:00"),
        ("0 0 1 * MON", "UTC", "2026-01-05T00:00:00+00:00", "2026-01-12T00:00:00+00:00"),
        ("0 0 29 2 *", "UTC", "2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00"),
        ("0 0 * * 7", "UTC", "2026-01-04T00:00:00+00:00", "2026-01-11T00:00:00+00:00"),
        ("@every 1s", "UTC", "2026-01-01T00:00:01+00:00", "2026-01-01T00:00:02+00:00"),
        ("@every 1h30m", "UTC", "2026-01-01T01:30:00+00:00", "2026-01-01T03:00:00+00:00"),
    ],
)
def test_the_next_runs(text, timezone, first, second):
    """If it failed, an agent would run at another time than its schedule says."""
    runs = Recurrence.parse(text, timezone).next_runs(2, NEW_YEAR)
    assert [run.isoformat() for run in runs] == [first, second]


def test_a_day_given_twice_is_either():
    """If it failed, `0 0 1 * MON` would run on no day but a Monday the first."""
    assert Recurrence.parse("0 0 1 * MON").cron_expressions() == ("0 0 1 * *", "0 0 * * MON")
    assert Recurrence.parse("0 0 */2 * MON").cron_expressions() == ("0 0 */2 * MON",)
    assert Recurrence.parse("@every 5m").cron_expressions() == ()
    assert Recurrence.parse(" 0   9 * * * ").text == "0 9 * * *"
    assert Recurrence.parse("@every 1d2h3m4s").interval == timedelta(days=1, hours=2, minutes=3, seconds=4)


@pytest.mark.parametrize(
    ("text", "timezone", "says"),
    [
        ("", "UTC", "The schedule is empty: write"),
        (" ", "UTC", "The schedule is empty: write"),
        (None, "UTC", "The schedule is None, which is no text: write"),
        (5, "UTC", "The schedule is 5, which is no text: write"),
        ("daily", "UTC", "has 1 field; a cron expression has five"),
        ("* * * *", "UTC", "has 4 fields"),
        ("0 0 9 * * *", "UTC", "has 6 fields"),
        ("60 * * * *", "UTC", "has '60' as its minute, which is none; it must be 0 to 59,"),
        ("0 0 0 * *", "UTC", "has '0' as its day of the month, which is none; it must be 1 to 31,"),
        ("0 0 * * 6-2", "UTC", "has '6-2' as its day of the week"),
        ("0 0 31 2 *", "UTC", "never comes: no month that it names has such a day"),
        ("0 0 30 2 *", "UTC", "never comes: no month that it names has such a day"),
        ("0 0 31 4,6 *", "UTC", "never comes: no month that it names has such a day"),
        ("0 0 L * *", "UTC", "has 'L' as its day of the month, which is none"),
        ("0 0 * * 5#2", "UTC", "as its day of the week"),
        ("CRON_TZ=UTC 0 9 * *", "UTC", "as its minute"),
        ("@daily", "UTC", "is none: write"),
        ("@every", "UTC", "is none: write"),
        ("@every 0s", "UTC", "1 second to 366 days"),
        ("@every 367d", "UTC", "1 second to 366 days"),
        ("@every 99999999999999d", "UTC", "too long"),
        ("@every 1000000000d", "UTC", "too long"),
        (f"@every {'9' * 5000}s", "UTC", "too long"),
        ("@every 99999999d99999999h99999999m99999999s", "UTC", "1 second to 366 days"),
        ("@every \u0661s", "UTC", "is none: write"),
        ("0 9 * * *", "Europe/Nowhere", "no time zone 'Europe/Nowhere'"),
        ("0 9 * * *", "../../etc/passwd", "no time zone"),
        ("0 9 * * *", "Europe", "no time zone"),
        ("0 9 * * *", "localtime", "no time zone"),
        ("0 9 * * *", "right/Europe/Berlin", "no time zone"),
        ("0 9 * * *", 5, "no time zone 5"),
    ],
)
def test_what_is_no_schedule_is_refused(text, timezone, says):
    """If it failed, an agent would never run, and nobody would be told."""
    with pytest.raises(InvalidInput, match=says):
        Recurrence.parse(text, timezone)
