"""Who is told of the ends of tasks, and what was told."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and the index by which tasks are found that have just ended."""
    op.execute("CREATE INDEX ix_tasks_ended_at ON tasks (ended_at)")
    op.execute(
        """
CREATE TABLE webhooks (
    endpoint TEXT NOT NULL,
    since TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_webhooks PRIMARY KEY (endpoint)
)
"""
    )
    op.execute(
        """
CREATE TABLE task_notices (
    endpoint TEXT NOT NULL,
    task_id BIGINT NOT NULL,
    attempts BIGINT DEFAULT 0 NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    delivered_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_task_notices PRIMARY KEY (endpoint, task_id),
    CONSTRAINT fk_task_notices_endpoint FOREIGN KEY(endpoint)
        REFERENCES webhooks (endpoint) ON DELETE CASCADE,
    CONSTRAINT fk_task_notices_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
)
"""
    )
    op.execute("CREATE INDEX ix_task_notices_due_at ON task_notices (due_at) WHERE delivered_at IS NULL")
    op.execute("CREATE INDEX ix_task_notices_task_id ON task_notices (task_id)")
