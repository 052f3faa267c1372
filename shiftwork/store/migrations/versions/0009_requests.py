"""Requests with an idempotency key, and their answers."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE requests (
    digest TEXT NOT NULL,
    asked TEXT NOT NULL,
    thing UUID DEFAULT gen_random_uuid() NOT NULL,
    claim UUID NOT NULL,
    leased_until TIMESTAMP WITH TIME ZONE NOT NULL,
    status INTEGER,
    answer JSON,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_requests PRIMARY KEY (digest)
)
"""


def upgrade() -> None:
    """Add the table."""
    op.execute(_TABLE)
    op.execute("CREATE INDEX ix_requests_created_at ON requests (created_at)")
