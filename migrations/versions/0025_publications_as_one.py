"""A publication is gathered, made public and settled by jobs of chunks, and seen as one: from `published_at`
on."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

MOMENTS = ("gathered_at", "changed_at", "published_at", "settled_at")
UNDER_WAY = (
    "SELECT FROM job j WHERE j.tenant_id = p.tenant_id AND j.name = 'publish' AND j.subject_id = p.id "
    "AND j.state IN ('waiting', 'running')"
)


def upgrade() -> None:
    for moment in MOMENTS:
        op.add_column(
            "publication",
            sa.Column(moment, sa.DateTime(timezone=True), nullable=True),
        )
    op.alter_column("publication", "digest", nullable=True)
    op.execute("UPDATE publication SET gathered_at = proposed_at")
    op.execute(
        "UPDATE publication p SET published_at = approved_at, settled_at = approved_at WHERE "  # noqa: S608
        f"approved_at IS NOT NULL AND NOT EXISTS ({UNDER_WAY})"
    )
    op.create_check_constraint(
        op.f("publication_gathered_is_sealed_ck"),
        "publication",
        "(gathered_at is null) = (digest is null)",
    )
    op.create_check_constraint(
        op.f("publication_published_is_approved_ck"),
        "publication",
        "published_at is null or (approved_at is not null and withdrawn_at is null)",
    )
    op.create_check_constraint(
        op.f("publication_settled_is_published_ck"),
        "publication",
        "settled_at is null or published_at is not null",
    )


def downgrade() -> None:
    for name in (
        "gathered_is_sealed",
        "published_is_approved",
        "settled_is_published",
    ):
        op.drop_constraint(op.f(f"publication_{name}_ck"), "publication")
    op.execute("UPDATE publication SET digest = '' WHERE digest IS NULL")
    op.alter_column("publication", "digest", nullable=False)
    for moment in MOMENTS:
        op.drop_column("publication", moment)
