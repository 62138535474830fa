"""A sitting's layout keeps a short text a question, version and letters: as objects it was most of what a
sitting took."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute(
        "UPDATE sitting SET layout = (SELECT jsonb_agg(concat(entry ->> 'version', ' ', entry ->> "
        "'order') ORDER BY place) "
        "FROM jsonb_array_elements(layout) WITH ORDINALITY AS one (entry, place)) WHERE "
        "jsonb_typeof(layout -> 0) = 'object'"
    )


def downgrade() -> None:
    op.execute(
        "UPDATE sitting SET layout = (SELECT jsonb_agg(jsonb_build_object('version', left(entry, "
        "36), 'order', substr(entry, 38)) ORDER BY place) "
        "FROM jsonb_array_elements_text(layout) WITH ORDINALITY AS one (entry, place)) WHERE "
        "jsonb_typeof(layout -> 0) = 'string'"
    )
