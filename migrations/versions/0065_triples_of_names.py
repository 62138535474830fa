"""Triples of characters of names that have more than three, for searching by three and more of them."""

from alembic import op

revision = "0065"
down_revision = "0064"

TRIPLES_OF_NAMES = """
INSERT INTO doctor_search_key (tenant_id, key, name_key, doctor_id, organisation_id)
SELECT DISTINCT tenant_id, 't' || substr(folded, start, 3), name_key, id, organisation_id
FROM (SELECT *, upper(translate(name, '· ', '')) AS folded FROM doctor) named,
    generate_series(1, char_length(folded) - 2) AS start
WHERE (char_length(folded) > 3 OR folded <> name) AND EXISTS (
    SELECT FROM doctor_search_key AS known
    WHERE known.tenant_id = named.tenant_id AND known.doctor_id = named.id
)
"""
"""Doctors without keys, of a release before names were indexed, get all of theirs by a job."""


def upgrade() -> None:
    op.execute(TRIPLES_OF_NAMES)


def downgrade() -> None:
    op.execute("DELETE FROM doctor_search_key WHERE key >= 't' AND key < 'u'")
