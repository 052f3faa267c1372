"""A secret of each evaluation, of which the seeds are made that its players get."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what has none yet gets one when it is played on."""
    op.execute("ALTER TABLE evaluations ADD COLUMN player_key BYTEA")
