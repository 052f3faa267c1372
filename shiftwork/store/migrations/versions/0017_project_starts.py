"""Projects whose workflow is to be started, so that somebody does when their maker ended before that."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; nobody knows of the projects before it which of them were to be started."""
    op.execute(
        """
CREATE TABLE project_starts (
    project_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_project_starts PRIMARY KEY (project_id),
    CONSTRAINT fk_project_starts_project_id FOREIGN KEY(project_id)
        REFERENCES projects (id) ON DELETE CASCADE
)
"""
    )
