"""Registered agents, their tasks and their handoffs."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = (
    """
CREATE TABLE agents (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_agents PRIMARY KEY (id)
)
""",
    """
CREATE TABLE agent_versions (
    agent_id BIGINT NOT NULL,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    code TEXT,
    settings JSONB NOT NULL,
    config JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_agent_versions PRIMARY KEY (agent_id, version),
    CONSTRAINT fk_agent_versions_agent_id FOREIGN KEY(agent_id)
        REFERENCES agents (id) ON DELETE CASCADE
)
""",
    """
CREATE TABLE tasks (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    uuid UUID DEFAULT gen_random_uuid() NOT NULL,
    agent_id BIGINT,
    agent_version INTEGER,
    user_id TEXT DEFAULT '' NOT NULL,
    provider TEXT NOT NULL,
    instruction TEXT DEFAULT '' NOT NULL,
    parameters JSONB NOT NULL,
    request_key TEXT,
    scheduled_at TIMESTAMP WITH TIME ZONE,
    status TEXT NOT NULL,
    trace JSONB NOT NULL,
    result TEXT,
    error TEXT,
    error_kind TEXT,
    worker TEXT DEFAULT '' NOT NULL,
    attempt BIGINT DEFAULT 0 NOT NULL,
    token BIGINT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    duration DOUBLE PRECISION,
    CONSTRAINT pk_tasks PRIMARY KEY (id),
    CONSTRAINT uq_tasks_uuid UNIQUE (uuid),
    CONSTRAINT uq_tasks_request_key UNIQUE (request_key),
    CONSTRAINT fk_tasks_agent_id FOREIGN KEY(agent_id)
        REFERENCES agents (id) ON DELETE CASCADE
)
""",
    """
CREATE TABLE handoff_artifacts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    agent_id BIGINT,
    task_id BIGINT,
    session_id BIGINT,
    context_data TEXT NOT NULL,
    summary TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_handoff_artifacts PRIMARY KEY (id),
    CONSTRAINT ck_handoff_artifacts_one_owner CHECK (num_nonnulls(agent_id, session_id) = 1),
    CONSTRAINT ck_handoff_artifacts_summary_length CHECK (char_length(summary) <= 2000),
    CONSTRAINT uq_handoff_artifacts_session_id UNIQUE (session_id),
    CONSTRAINT fk_handoff_artifacts_agent_id FOREIGN KEY(agent_id)
        REFERENCES agents (id) ON DELETE CASCADE,
    CONSTRAINT fk_handoff_artifacts_task_id FOREIGN KEY(task_id)
        REFERENCES tasks (id) ON DELETE CASCADE,
    CONSTRAINT fk_handoff_artifacts_session_id FOREIGN KEY(session_id)
        REFERENCES sessions (id) ON DELETE CASCADE
)
""",
)

INDEXES = (
    "CREATE UNIQUE INDEX uq_agents_name ON agents (name) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_tasks_agent_id ON tasks (agent_id, id DESC)",
    "CREATE INDEX ix_tasks_open ON tasks (status, id) WHERE status IN ('created', 'running')",
    "CREATE INDEX ix_handoff_artifacts_agent_id ON handoff_artifacts (agent_id, created_at DESC)",
    "CREATE INDEX ix_handoff_artifacts_expires_at ON handoff_artifacts (expires_at)",
    "CREATE INDEX ix_handoff_artifacts_task_id ON handoff_artifacts (task_id)",
)


def upgrade() -> None:
    """Make the tables and what finds their rows."""
    for statement in (*TABLES, *INDEXES):
        op.execute(statement)
