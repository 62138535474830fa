"""Names are kept in one form: of characters that look the same one; rare ones are found by an index of their
own."""

import sqlalchemy as sa
from alembic import op
from pypinyin import lazy_pinyin

from dingkao.people.names import normalise_name

revision = "0030"
down_revision = "0029"

USUAL = "^[一-龥·A-Za-z ]*$"


def upgrade() -> None:
    op.create_index(
        "doctor_rare_name_ix",
        "doctor",
        ["tenant_id", "name_key", "id"],
        postgresql_where=sa.text(f"name !~ '{USUAL}'"),
    )
    connection = op.get_bind()
    found = connection.execute(
        sa.text("SELECT tenant_id, id, account_id, name FROM doctor WHERE name !~ :usual"),
        {"usual": USUAL},
    )
    changed = [(row, normalise_name(row.name)) for row in found if normalise_name(row.name) != row.name]
    for row, name in changed:
        key = "".join(lazy_pinyin(name)).lower() + " " + name
        given = {
            "tenant": row.tenant_id,
            "id": row.id,
            "account": row.account_id,
            "name": name,
            "key": key,
        }
        connection.execute(
            sa.text(
                "UPDATE doctor SET name = :name, name_key = :key, roster_digest = NULL WHERE "
                "tenant_id = :tenant AND id = :id"
            ),
            given,
        )
        connection.execute(
            sa.text("UPDATE account SET name = :name WHERE tenant_id = :tenant AND id = :account"),
            given,
        )


def downgrade() -> None:
    op.drop_index("doctor_rare_name_ix", "doctor")
