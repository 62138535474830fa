"""Organisations are found by the endings of their names instead of their pairs of characters."""

from alembic import op

revision = "0067"
down_revision = "0066"

ENDINGS_OF_NAMES = """
INSERT INTO organisation_search_key (tenant_id, key, organisation_id)
SELECT DISTINCT tenant_id, 'e' || substr(key, start), organisation_id
FROM organisation_search_key, generate_series(3, char_length(key) - 1) AS start
WHERE key >= 'n' AND key < 'o'
"""
"""Made from the whole names, which are keys: «n» and the folded name."""
PAIRS_OF_NAMES = """
INSERT INTO organisation_search_key (tenant_id, key, organisation_id)
SELECT DISTINCT tenant_id, 'g' || substr(key, start, 2), organisation_id
FROM organisation_search_key, generate_series(2, char_length(key) - 1) AS start
WHERE key >= 'n' AND key < 'o'
"""


def upgrade() -> None:
    op.execute("DELETE FROM organisation_search_key WHERE key >= 'g' AND key < 'h'")
    op.execute(ENDINGS_OF_NAMES)


def downgrade() -> None:
    op.execute("DELETE FROM organisation_search_key WHERE key >= 'e' AND key < 'f'")
    op.execute(PAIRS_OF_NAMES)
