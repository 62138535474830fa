"""Saving an answer: a moment of tapping outside the sitting's own span counts as not given, so it lets
nothing in after the end. The 60 seconds after the end are GRACE_PERIOD of
dingkao/exams/sitting_completion.py."""

from alembic import op

revision = "0022"
down_revision = "0021"

FUNCTION = """
CREATE OR REPLACE FUNCTION save_answer(
    in_tenant int, in_sitting uuid, in_epoch int, in_position int, in_letters text, in_sequence int,
    in_tapped timestamptz
) RETURNS text LANGUAGE plpgsql VOLATILE SECURITY INVOKER AS $$
DECLARE
    open_one record;
    moment timestamptz := clock_timestamp();
    kept int;
BEGIN
    PERFORM set_config('dingkao.tenant', in_tenant::text, true);
    SELECT s.opened_at, s.closes_at, s.handed_in_at, s.epoch, jsonb_array_length(s.layout) AS size
        INTO open_one
        FROM sitting s WHERE s.tenant_id = in_tenant AND s.id = in_sitting FOR SHARE;
    IF NOT FOUND OR in_position < 0 OR in_position >= open_one.size THEN RETURN 'absent'; END IF;
    IF open_one.handed_in_at IS NOT NULL THEN RETURN 'handed_in'; END IF;
    IF open_one.epoch <> in_epoch THEN RETURN 'superseded'; END IF;
    IF in_tapped NOT BETWEEN open_one.opened_at AND open_one.closes_at THEN in_tapped := NULL; END IF;
    IF moment > open_one.closes_at
        AND (in_tapped IS NULL OR moment > open_one.closes_at + interval '60 seconds')
        THEN RETURN 'closed'; END IF;
    INSERT INTO sitting_answer AS a (
            tenant_id, sitting_id, position, letters, sequence, tapped_at, received_at
        )
        VALUES (in_tenant, in_sitting, in_position::smallint, in_letters, in_sequence, in_tapped, moment)
        ON CONFLICT (tenant_id, sitting_id, position) DO UPDATE
        SET letters = excluded.letters, sequence = excluded.sequence, tapped_at = excluded.tapped_at,
            received_at = excluded.received_at
        WHERE a.tenant_id = excluded.tenant_id AND a.sequence < excluded.sequence;
    GET DIAGNOSTICS kept = ROW_COUNT;
    RETURN CASE WHEN kept = 1 THEN 'saved' ELSE 'older' END;
END $$
"""


def upgrade() -> None:
    op.execute(FUNCTION)


def downgrade() -> None:
    """The older code asks the function in the same words."""
