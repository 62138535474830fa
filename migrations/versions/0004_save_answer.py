"""The one statement that saves an answer: it enters the province, looks whether the sitting takes answers,
and keeps the newest."""

from alembic import op

revision = "0004"
down_revision = "0003"

FUNCTION = """
CREATE FUNCTION save_answer(
    in_tenant int, in_sitting uuid, in_epoch int, in_position int, in_letters text, in_sequence int,
    in_tapped timestamptz
) RETURNS text LANGUAGE plpgsql VOLATILE SECURITY INVOKER AS $$
DECLARE
    open_one record;
    moment timestamptz := clock_timestamp();
    kept int;
BEGIN
    PERFORM set_config('dingkao.tenant', in_tenant::text, true);
    SELECT s.closes_at, s.handed_in_at, s.epoch, jsonb_array_length(s.layout) AS size INTO open_one
        FROM sitting s WHERE s.tenant_id = in_tenant AND s.id = in_sitting FOR SHARE;
    IF NOT FOUND OR in_position < 0 OR in_position >= open_one.size THEN RETURN 'absent'; END IF;
    IF open_one.handed_in_at IS NOT NULL THEN RETURN 'handed_in'; END IF;
    IF open_one.epoch <> in_epoch THEN RETURN 'superseded'; END IF;
    IF moment > open_one.closes_at AND NOT (
        in_tapped IS NOT NULL AND in_tapped <= open_one.closes_at
            AND moment <= open_one.closes_at + interval '60 seconds'
    ) THEN RETURN 'closed'; END IF;
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
SIGNATURE = "save_answer(int, uuid, int, int, text, int, timestamptz)"


def upgrade() -> None:
    op.execute(FUNCTION)
    op.execute(f"ALTER FUNCTION {SIGNATURE} OWNER TO dingkao_owner")
    op.execute(f"REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {SIGNATURE} TO dingkao_app")


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {SIGNATURE}")
