"""Copies of conversations, with which an attempt on another host goes on."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CONVERSATIONS = """
CREATE TABLE conversations (
    session_id BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    sequence BIGINT NOT NULL,
    body BYTEA NOT NULL,
    bytes BIGINT DEFAULT 0 NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_conversations PRIMARY KEY (session_id),
    CONSTRAINT fk_conversations_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE
)
"""


def upgrade() -> None:
    """Add the table."""
    op.execute(CONVERSATIONS)
    # It is encrypted: the server would try in vain to make it smaller.
    op.execute("ALTER TABLE conversations ALTER COLUMN body SET STORAGE EXTERNAL")
