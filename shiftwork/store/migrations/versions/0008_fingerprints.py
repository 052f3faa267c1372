"""What workers publish of the secrets that they know, so that clients keep them out, too."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_FINGERPRINTS = """
CREATE TABLE secret_fingerprints (
    owner UUID NOT NULL,
    place TEXT NOT NULL,
    content TEXT NOT NULL,
    body BYTEA NOT NULL,
    renewed_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_secret_fingerprints PRIMARY KEY (owner)
)
"""


def upgrade() -> None:
    """Add the table; one row a worker."""
    op.execute(_FINGERPRINTS)
