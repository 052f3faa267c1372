"""Backfills of schedules, occurrences that were skipped, and an index that finds those that ran."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLES = (
    """
CREATE TABLE schedule_backfills (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    agent_id BIGINT NOT NULL,
    schedule_id TEXT NOT NULL,
    start_at TIMESTAMP WITH TIME ZONE NOT NULL,
    end_at TIMESTAMP WITH TIME ZONE NOT NULL,
    overlap TEXT NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_schedule_backfills PRIMARY KEY (id),
    CONSTRAINT fk_schedule_backfills_agent_id FOREIGN KEY(agent_id)
        REFERENCES agents (id) ON DELETE CASCADE
)
""",
    """
CREATE TABLE schedule_skips (
    agent_id BIGINT NOT NULL,
    schedule_id TEXT NOT NULL,
    skipped BIGINT DEFAULT 0 NOT NULL,
    CONSTRAINT pk_schedule_skips PRIMARY KEY (agent_id, schedule_id),
    CONSTRAINT fk_schedule_skips_agent_id FOREIGN KEY(agent_id)
        REFERENCES agents (id) ON DELETE CASCADE
)
""",
)

INDEXES = (
    "CREATE INDEX ix_schedule_backfills_agent_id ON schedule_backfills (agent_id, schedule_id)",
    "CREATE INDEX ix_tasks_scheduled ON tasks (request_key text_pattern_ops) WHERE scheduled_at IS NOT NULL",
)


def upgrade() -> None:
    """Make the tables and what finds their rows."""
    for statement in (*TABLES, *INDEXES):
        op.execute(statement)
