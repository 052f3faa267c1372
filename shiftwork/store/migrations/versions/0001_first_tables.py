"""The tables of projects, features, sessions, and of what is remembered of them."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
CREATE TABLE projects (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    spec TEXT DEFAULT '' NOT NULL,
    working_directory TEXT,
    repository TEXT,
    branch TEXT,
    status TEXT NOT NULL,
    status_reason TEXT DEFAULT '' NOT NULL,
    options JSONB NOT NULL,
    budget_usd NUMERIC(18, 8),
    not_before TIMESTAMP WITH TIME ZONE,
    revision BIGINT DEFAULT 0 NOT NULL,
    event_sequence BIGINT DEFAULT 0 NOT NULL,
    total_tokens BIGINT DEFAULT 0 NOT NULL,
    total_cost_usd NUMERIC(18, 8) DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_projects PRIMARY KEY (id),
    CONSTRAINT uq_projects_name UNIQUE (name)
)
""",
    """
CREATE TABLE events (
    project_id UUID NOT NULL,
    sequence BIGINT NOT NULL,
    key TEXT,
    kind TEXT NOT NULL,
    actor TEXT DEFAULT '' NOT NULL,
    reference TEXT DEFAULT '' NOT NULL,
    data JSONB NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_events PRIMARY KEY (project_id, sequence),
    CONSTRAINT uq_events_project_id_key UNIQUE (project_id, key),
    CONSTRAINT fk_events_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
)
""",
    """
CREATE TABLE features (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    project_id UUID NOT NULL,
    name TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    category TEXT NOT NULL,
    priority INTEGER NOT NULL,
    depends_on TEXT[] DEFAULT '{}' NOT NULL,
    verification_steps JSONB NOT NULL,
    status TEXT NOT NULL,
    revision BIGINT DEFAULT 0 NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    runs INTEGER DEFAULT 0 NOT NULL,
    kept_commit TEXT,
    candidate TEXT,
    waiting BOOLEAN DEFAULT false NOT NULL,
    question TEXT,
    last_error TEXT,
    last_failure JSONB,
    blocked_reason TEXT,
    passed_commit TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_features PRIMARY KEY (id),
    CONSTRAINT uq_features_project_id_name UNIQUE (project_id, name),
    CONSTRAINT ck_features_priority CHECK (priority BETWEEN 1 AND 10),
    CONSTRAINT fk_features_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
)
""",
    """
CREATE TABLE sessions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    project_id UUID NOT NULL,
    number INTEGER NOT NULL,
    feature_id BIGINT,
    role TEXT NOT NULL,
    phase TEXT NOT NULL,
    working_memory JSONB,
    memory_expires_at TIMESTAMP WITH TIME ZONE,
    last_action TEXT DEFAULT '' NOT NULL,
    recommended_next_action TEXT DEFAULT '' NOT NULL,
    outcome TEXT,
    error TEXT,
    landed_commit TEXT,
    total_tokens BIGINT DEFAULT 0 NOT NULL,
    total_cost_usd NUMERIC(18, 8) DEFAULT 0 NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT uq_sessions_project_id_number UNIQUE (project_id, number),
    CONSTRAINT fk_sessions_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_sessions_feature_id FOREIGN KEY(feature_id) REFERENCES features (id) ON DELETE CASCADE
)
""",
    """
CREATE TABLE attempts (
    session_id BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    host TEXT DEFAULT '' NOT NULL,
    token BIGINT NOT NULL,
    outcome TEXT,
    candidate TEXT,
    kept_commit TEXT,
    outbox JSONB,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_attempts PRIMARY KEY (session_id, attempt),
    CONSTRAINT fk_attempts_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE,
    CONSTRAINT uq_attempts_token UNIQUE (token)
)
""",
    """
CREATE TABLE checkpoints (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    project_id UUID NOT NULL,
    commit TEXT NOT NULL,
    session_id BIGINT,
    passing BIGINT[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_checkpoints PRIMARY KEY (id),
    CONSTRAINT uq_checkpoints_project_id_commit UNIQUE (project_id, commit),
    CONSTRAINT fk_checkpoints_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_checkpoints_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE
)
""",
    """
CREATE TABLE decisions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    project_id UUID NOT NULL,
    session_id BIGINT,
    attempt INTEGER DEFAULT 0 NOT NULL,
    sequence INTEGER DEFAULT 0 NOT NULL,
    context TEXT DEFAULT '' NOT NULL,
    decision TEXT NOT NULL,
    reasoning TEXT DEFAULT '' NOT NULL,
    tags TEXT[] DEFAULT '{}' NOT NULL,
    outcome TEXT,
    score DOUBLE PRECISION,
    lesson TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    judged_at TIMESTAMP WITH TIME ZONE,
    search TSVECTOR GENERATED ALWAYS AS (
        to_tsvector('english'::regconfig, context || ' ' || decision || ' ' || reasoning)
    ) STORED NOT NULL,
    CONSTRAINT pk_decisions PRIMARY KEY (id),
    CONSTRAINT uq_decisions_session_id_attempt_sequence UNIQUE (session_id, attempt, sequence),
    CONSTRAINT ck_decisions_score CHECK (score BETWEEN -1 AND 1),
    CONSTRAINT fk_decisions_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_decisions_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE
)
""",
    """
CREATE TABLE evidence (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    session_id BIGINT,
    round INTEGER NOT NULL,
    feature_id BIGINT NOT NULL,
    step INTEGER NOT NULL,
    commit TEXT NOT NULL,
    command TEXT,
    exit_status INTEGER,
    output_digest TEXT NOT NULL,
    output_tail TEXT DEFAULT '' NOT NULL,
    duration_seconds DOUBLE PRECISION NOT NULL,
    verdict TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_evidence PRIMARY KEY (id),
    CONSTRAINT uq_evidence_session_id_round_feature_id_step_commit
        UNIQUE NULLS NOT DISTINCT (session_id, round, feature_id, step, commit),
    CONSTRAINT fk_evidence_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE,
    CONSTRAINT fk_evidence_feature_id FOREIGN KEY(feature_id) REFERENCES features (id) ON DELETE CASCADE
)
""",
    """
CREATE TABLE leases (
    session_id BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    token BIGINT NOT NULL,
    host TEXT DEFAULT '' NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_leases PRIMARY KEY (session_id),
    CONSTRAINT fk_leases_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE
)
""",
    """
CREATE TABLE progress (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    project_id UUID NOT NULL,
    session_id BIGINT,
    attempt INTEGER DEFAULT 0 NOT NULL,
    sequence INTEGER DEFAULT 0 NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT DEFAULT '' NOT NULL,
    files_changed TEXT[] DEFAULT '{}' NOT NULL,
    commit TEXT,
    tokens BIGINT DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_progress PRIMARY KEY (id),
    CONSTRAINT uq_progress_session_id_attempt_sequence UNIQUE (session_id, attempt, sequence),
    CONSTRAINT fk_progress_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_progress_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE
)
""",
    """
CREATE TABLE transcript (
    session_id BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    sequence BIGINT NOT NULL,
    kind TEXT NOT NULL,
    payload JSONB NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_transcript PRIMARY KEY (session_id, attempt, sequence),
    CONSTRAINT fk_transcript_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE
)
""",
    """
CREATE TABLE usage (
    session_id BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    sequence BIGINT NOT NULL,
    cli_session TEXT DEFAULT '' NOT NULL,
    input_tokens BIGINT DEFAULT 0 NOT NULL,
    output_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_read_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_write_tokens BIGINT DEFAULT 0 NOT NULL,
    cost_usd NUMERIC(18, 8) DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_usage PRIMARY KEY (session_id, attempt, sequence),
    CONSTRAINT fk_usage_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE
)
""",
)

INDEXES = (
    "CREATE INDEX ix_sessions_feature_id ON sessions (feature_id)",
    "CREATE INDEX ix_checkpoints_session_id ON checkpoints (session_id)",
    "CREATE INDEX ix_decisions_project_id_id ON decisions (project_id, id)",
    "CREATE INDEX ix_decisions_search ON decisions USING gin (search)",
    "CREATE INDEX ix_decisions_tags ON decisions USING gin (tags)",
    "CREATE INDEX ix_evidence_feature_id_id ON evidence (feature_id, id)",
    "CREATE INDEX ix_progress_project_id_id ON progress (project_id, id)",
    "CREATE INDEX ix_transcript_at ON transcript (at)",
)

# A cascade deletes events after their project is gone; any other update or delete finds the project there.
KEEP_EVENTS = (
    """
CREATE FUNCTION keep_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM projects WHERE id = OLD.project_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'events are append-only' USING ERRCODE = 'restrict_violation';
END $$
""",
    """
CREATE TRIGGER keep_events BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION keep_events()
""",
    """
CREATE TRIGGER keep_all_events BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION keep_events()
""",
)


def upgrade() -> None:
    """Create everything."""
    for statement in ("CREATE SEQUENCE lease_tokens", *TABLES, *INDEXES, *KEEP_EVENTS):
        op.execute(statement)
