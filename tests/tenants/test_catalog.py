"""The catalog keeps every rule of tenancy; and each rule, broken on purpose, is told."""

import pytest

from tests.tenants.catalog import NOT_A_PROVINCES, violations
from tests.tenants.foreign_keys import dangling_references, list_foreign_keys
from tests.tenants.models import TABLE_NAMES

BARE = "tenant_id = nullif(current_setting('dingkao.tenant', true), '')::int"
MUTANTS = {
    "ALTER TABLE doctor DISABLE ROW LEVEL SECURITY": "doctor: row-level security is not enabled",
    "ALTER TABLE doctor NO FORCE ROW LEVEL SECURITY": "doctor: row-level security is not forced",
    "CREATE POLICY everyone ON doctor USING (true)": "doctor: permissive policies",
    "CREATE POLICY platform ON doctor TO dingkao_platform USING (true)": "doctor: permissive policies",
    "CREATE POLICY backup ON doctor TO dingkao_backup USING (true)": "doctor: permissive policies",
    "DROP POLICY doctor_app ON doctor": "doctor: permissive policies",
    "ALTER POLICY doctor_app ON doctor USING (true)": "doctor: permissive policies",
    "ALTER POLICY doctor_app ON doctor WITH CHECK (true)": "doctor: permissive policies",
    "ALTER POLICY doctor_app ON doctor TO PUBLIC": "doctor: permissive policies",
    f"ALTER POLICY doctor_app ON doctor USING ({BARE} OR true)": "doctor: permissive policies",
    (
        "DROP POLICY doctor_app ON doctor; CREATE POLICY p ON doctor FOR SELECT TO dingkao_app USING "
        f"({BARE})"
    ): "doctor: permissive",
    (
        "ALTER TABLE platform.operator ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON platform.operator "
        "TO dingkao_platform USING (true)"
    ): ("a policy that lacks the province's predicate: platform.operator.p"),
    "DROP POLICY doctor_own_province ON doctor": "doctor: restrictive policies",
    "ALTER POLICY doctor_own_province ON doctor USING (true)": "doctor: restrictive policies",
    "ALTER POLICY doctor_own_province ON doctor WITH CHECK (true)": "doctor: restrictive policies",
    f"ALTER POLICY doctor_own_province ON doctor USING ({BARE} OR true)": "doctor: restrictive policies",
    f"ALTER POLICY doctor_own_province ON doctor USING ((select {BARE}))": "doctor: restrictive policies",
    "ALTER POLICY doctor_own_province ON doctor TO dingkao_app": "doctor: restrictive policies",
    (
        "DROP POLICY doctor_own_province ON doctor; CREATE POLICY p ON doctor AS RESTRICTIVE FOR SELECT "
        f"USING ({BARE})"
    ): "doctor: restrictive",
    "CREATE INDEX loose ON doctor (name_key)": "doctor: index loose does not begin",
    "CREATE UNIQUE INDEX loose ON doctor (number_index)": "doctor: index loose does not begin",
    "CREATE INDEX loose ON doctor (tenant_id, lower(name))": "doctor: index loose has an expression",
    "CREATE INDEX loose ON filing USING btree (tenant_id, basic)": "filing: index loose over",
    ("ALTER TABLE doctor ADD UNIQUE (number_index, tenant_id)"): (
        "doctor_number_index_tenant_id_key does not begin"
    ),
    (
        "ALTER TABLE doctor ADD CONSTRAINT u UNIQUE (tenant_id, name_key, id) DEFERRABLE"
    ): "doctor: u is deferrable",
    (
        "ALTER TABLE account ADD CONSTRAINT u UNIQUE (id); ALTER TABLE notice ADD CONSTRAINT f FOREIGN "
        "KEY (account_id) REFERENCES account (id)"
    ): ("notice: f does not begin with tenant_id"),
    (
        "ALTER TABLE notice ADD CONSTRAINT f FOREIGN KEY (tenant_id) REFERENCES platform.province (code)"
    ): "notice: f points to platform.province",
    (
        "ALTER TABLE notice ADD CONSTRAINT f FOREIGN KEY (tenant_id, account_id) REFERENCES account ON "
        "DELETE SET NULL"
    ): "notice: f sets",
    (
        "ALTER TABLE notice ADD CONSTRAINT f FOREIGN KEY (tenant_id, account_id) REFERENCES account ON "
        "UPDATE CASCADE"
    ): "notice: f sets",
    (
        "ALTER TABLE notice ADD CONSTRAINT f FOREIGN KEY (tenant_id, account_id) REFERENCES account "
        "DEFERRABLE"
    ): "notice: f is deferrable",
    (
        "ALTER TABLE notice ADD CONSTRAINT f FOREIGN KEY (tenant_id, account_id) REFERENCES account NOT VALID"
    ): "notice: f is not validated",
    "ALTER TABLE notice DROP CONSTRAINT notice_pk": "notice: no primary key",
    (
        "ALTER TABLE notice DROP CONSTRAINT notice_pk; ALTER TABLE notice ALTER tenant_id DROP NOT NULL"
    ): "notice: tenant_id is not int NOT NULL",
    (
        "CREATE TABLE stray (id uuid primary key); ALTER TABLE stray OWNER TO dingkao_owner"
    ): "stray: tenant_id is not int",
    (
        "CREATE TABLE stray (tenant_id int NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY)"
    ): "stray: id is an identity column",
    "CREATE TABLE stray (tenant_id int NOT NULL, id bigserial)": "a sequence: stray_id_seq",
    "ALTER TABLE doctor ADD points numeric": "doctor: points is of type numeric",
    "CREATE TYPE mood AS ENUM ('fine'); ALTER TABLE doctor ADD mood mood": "doctor: mood is of type mood",
    (
        "CREATE TYPE mood AS ENUM ('fine'); ALTER TABLE doctor ADD moods mood[]"
    ): "doctor: moods is of type _mood",
    "ALTER TABLE doctor OWNER TO dingkao_migrator": "doctor: owned by dingkao_migrator",
    "ALTER TABLE doctor OWNER TO dingkao_app": "a table owned by the application's role: doctor",
    "GRANT TRUNCATE ON doctor TO dingkao_app": "doctor: dingkao_app has TRUNCATE",
    "GRANT ALL ON doctor TO dingkao_app": "doctor: dingkao_app has TRIGGER",
    "GRANT UPDATE ON journal_entry TO dingkao_app": "journal_entry: dingkao_app has UPDATE",
    "GRANT UPDATE (reason) ON journal_entry TO dingkao_app": "journal_entry: dingkao_app has UPDATE",
    "GRANT DELETE ON journal_entry TO PUBLIC": "journal_entry: dingkao_app has DELETE",
    "GRANT SELECT ON doctor TO dingkao_platform": "doctor: dingkao_platform has SELECT",
    "GRANT SELECT (name) ON doctor TO dingkao_platform": "doctor: dingkao_platform has SELECT",
    "GRANT dingkao_owner TO dingkao_app": (
        "a membership of the application's roles: dingkao_app in dingkao_owner"
    ),
    "ALTER ROLE dingkao_app BYPASSRLS": "a strong role: dingkao_app",
    "ALTER ROLE dingkao_platform BYPASSRLS": "a strong role: dingkao_platform",
    "GRANT CREATE ON SCHEMA public TO dingkao_app": "a role that may create tables: dingkao_app in public",
    ("GRANT UPDATE ON platform.operator_act TO dingkao_platform"): (
        "a role that may change what is only added to: platform.operator_act by UPDATE"
    ),
    ("GRANT UPDATE (verb) ON platform.operator_act TO dingkao_platform"): (
        "what is only added to: platform.operator_act by UPDATE"
    ),
    ("GRANT DELETE ON platform.act_verification TO PUBLIC"): (
        "what is only added to: platform.act_verification by DELETE"
    ),
    "GRANT TEMPORARY ON DATABASE {database} TO PUBLIC": "a role that may make temporary tables: dingkao_app",
    ("GRANT EXECUTE ON FUNCTION lo_from_bytea(oid, bytea) TO PUBLIC"): (
        "a role that may use large objects: dingkao_app by lo_from_bytea"
    ),
    ("GRANT EXECUTE ON FUNCTION lowrite(int, bytea) TO dingkao_platform"): (
        "a role that may use large objects: dingkao_platform by lowrite"
    ),
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO dingkao_platform": "a default privilege",
    "CREATE VIEW all_doctors AS SELECT * FROM doctor": "a view: all_doctors",
    "CREATE MATERIALIZED VIEW all_doctors AS SELECT * FROM doctor": "a materialised view: all_doctors",
    "CREATE RULE r AS ON DELETE TO doctor DO INSTEAD NOTHING": "a rule: doctor.r",
    (
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'select 1'"
    ): "a function of its definer: f()",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'begin return new; end'; "
    "CREATE TRIGGER t BEFORE UPDATE ON doctor FOR EACH ROW EXECUTE FUNCTION f()": "a trigger: doctor.t",
}


def test_the_database_keeps_every_rule(owner_connection):
    assert violations(owner_connection) == []


def test_the_models_and_the_database_have_the_same_tables(owner_connection):
    table_names = owner_connection.execute(
        "select tablename from pg_tables where schemaname = 'public'"
    ).fetchall()
    assert {table_name[0] for table_name in table_names} - set(NOT_A_PROVINCES) == set(TABLE_NAMES)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_rule_is_told(owner_connection, mutant):
    owner_connection.execute("SET LOCAL lock_timeout = '5s'")
    owner_connection.execute(mutant.replace("{database}", owner_connection.info.dbname))
    faults = violations(owner_connection)
    owner_connection.rollback()
    assert any(MUTANTS[mutant] in fault for fault in faults), faults


def test_every_foreign_key_holds_in_fact(owner_connection, provinces):
    """By anti-join: a key added by a role that row-level security holds would have been validated against
    nothing."""
    assert list_foreign_keys(owner_connection)
    assert dangling_references(owner_connection) == []
