"""Evaluations, episodes and their steps."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_EVALUATIONS = """
CREATE TABLE evaluations (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    uuid UUID DEFAULT gen_random_uuid() NOT NULL,
    environment TEXT NOT NULL,
    player TEXT NOT NULL,
    spec JSONB NOT NULL,
    status TEXT NOT NULL,
    request_key TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_evaluations PRIMARY KEY (id),
    CONSTRAINT uq_evaluations_uuid UNIQUE (uuid),
    CONSTRAINT uq_evaluations_request_key UNIQUE (request_key)
)
"""
_EPISODES = """
CREATE TABLE episodes (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    evaluation_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    seed BIGINT NOT NULL,
    status TEXT NOT NULL,
    ending TEXT,
    success BOOLEAN DEFAULT false NOT NULL,
    terminated BOOLEAN DEFAULT false NOT NULL,
    truncated BOOLEAN DEFAULT false NOT NULL,
    reproducible BOOLEAN DEFAULT false NOT NULL,
    total_reward DOUBLE PRECISION,
    total_steps BIGINT DEFAULT 0 NOT NULL,
    refused_actions BIGINT DEFAULT 0 NOT NULL,
    rewards JSONB,
    seconds DOUBLE PRECISION,
    usage JSONB,
    error TEXT,
    error_kind TEXT,
    worker TEXT DEFAULT '' NOT NULL,
    sandbox TEXT DEFAULT '' NOT NULL,
    attempt BIGINT DEFAULT 0 NOT NULL,
    token BIGINT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_episodes PRIMARY KEY (id),
    CONSTRAINT uq_episodes_evaluation_id_number UNIQUE (evaluation_id, number),
    CONSTRAINT fk_episodes_evaluation_id FOREIGN KEY (evaluation_id)
        REFERENCES evaluations (id) ON DELETE CASCADE
)
"""
_STEPS = """
CREATE TABLE episode_steps (
    episode_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    agent TEXT,
    action TEXT NOT NULL,
    parameters JSONB NOT NULL,
    success BOOLEAN NOT NULL,
    reward DOUBLE PRECISION NOT NULL,
    rewards JSONB NOT NULL,
    error TEXT,
    observation TEXT NOT NULL,
    terminated BOOLEAN NOT NULL,
    truncated BOOLEAN NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_episode_steps PRIMARY KEY (episode_id, number),
    CONSTRAINT fk_episode_steps_episode_id FOREIGN KEY (episode_id)
        REFERENCES episodes (id) ON DELETE CASCADE
)
"""


def upgrade() -> None:
    """Add the tables."""
    for table in (_EVALUATIONS, _EPISODES, _STEPS):
        op.execute(table)
    op.execute("CREATE INDEX ix_evaluations_environment ON evaluations (environment, id DESC)")
    op.execute(
        "CREATE INDEX ix_episodes_open ON episodes (status, id) WHERE status IN ('created', 'running')"
    )
