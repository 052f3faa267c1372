"""What an episode that failed came to, by the steps that are kept of it."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, literal_column

_OF_IT: Final = "FROM episode_steps WHERE episode_id = episodes.id"
_EACH: Final = (
    "SELECT key AS agent, sum(value::float8 ORDER BY number) AS earned "  # in order, as it was counted
    "FROM episode_steps, jsonb_each_text(rewards) WHERE episode_id = episodes.id GROUP BY key"
)


def by_kept_steps() -> Mapping[str, ColumnElement[Any]]:
    """Values for an UPDATE of `episodes`: sums over its steps, and no reward where it has none."""
    return {
        "total_steps": literal_column(f"(SELECT count(*) {_OF_IT} AND success)"),
        "refused_actions": literal_column(f"(SELECT count(*) {_OF_IT} AND NOT success)"),
        "total_reward": literal_column(f"(SELECT sum(reward ORDER BY number) {_OF_IT})"),
        "rewards": literal_column(f"(SELECT jsonb_object_agg(agent, earned) FROM ({_EACH}) AS each)"),  # noqa: S608 - all of it is ours
    }
