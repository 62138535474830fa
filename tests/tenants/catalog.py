"""The rules of tenancy.md that the database's catalog can be asked about, as one function, so that each can
be shown to bite."""

from typing import Any

import psycopg

OWNER, APP, PLATFORM = "dingkao_owner", "dingkao_app", "dingkao_platform"
NOT_A_PROVINCES = ("alembic_version",)
BARE = "(tenant_id = (NULLIF(current_setting('dingkao.tenant'::text, true), ''::text))::integer)"
APPEND_ONLY = ("journal_entry",)
LEAKPROOF = ("bool", "bytea", "date", "int2", "int4", "int8", "text", "timestamptz", "uuid")
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
COLUMN_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "REFERENCES")

TABLES = """
select c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner)
from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'f') and c.relname <> all(%s) order by 2
"""
COLUMNS = """
select a.attname, t.typname, a.attnotnull, a.attidentity::text, t.typtype::text, e.typtype::text, e.typname
from pg_attribute a join pg_type t on t.oid = a.atttypid left join pg_type e on e.oid = t.typelem and t.typlen = -1
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped order by a.attnum
"""
POLICIES = """
select p.polname, p.polpermissive, p.polcmd::text, array(select case r when 0 then 'PUBLIC' else pg_get_userbyid(r)::text end from unnest(p.polroles) r),
       pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
from pg_policy p where p.polrelid = %s order by 1
"""
INDEXES = """
select i.indexrelid::regclass::text, (i.indkey::smallint[])[0], i.indexprs is not null, not i.indisvalid,
       array(select t.typname::text from pg_attribute k join pg_type t on t.oid = k.atttypid where k.attrelid = i.indexrelid order by k.attnum),
       (select a.attnum from pg_attribute a where a.attrelid = i.indrelid and a.attname = 'tenant_id')
from pg_index i where i.indrelid = %s order by 1
"""
CONSTRAINTS = """
select k.conname, k.contype::text, k.condeferrable, k.convalidated, k.confupdtype::text, k.confdeltype::text, k.confrelid::regclass::text,
       (select n.nspname from pg_class f join pg_namespace n on n.oid = f.relnamespace where f.oid = k.confrelid),
       (select a.attname from pg_attribute a where a.attrelid = k.conrelid and a.attnum = k.conkey[1]),
       (select a.attname from pg_attribute a where a.attrelid = k.confrelid and a.attnum = k.confkey[1])
from pg_constraint k where k.conrelid = %s order by 1
"""
LOOSE = {
    ("a policy that lacks the province's predicate"): "select polrelid::regclass || "
    "'.' || polname from pg_policy "
    "where array[pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)] <> "
    "array_fill($$(tenant_id = (NULLIF(current_setting('dingkao.tenant'::text, true), "
    "''::text))::integer)$$::text, array[2])",
    ("a policy for another role than the application's"): "select polrelid::regclass || "
    "'.' || polname from pg_policy "
    "where polpermissive and polroles <> array['dingkao_app'::regrole::oid]",
    "a trigger": "select tgrelid::regclass || '.' || tgname from pg_trigger where not tgisinternal",
    "a rule": "select r.ev_class::regclass || '.' || r.rulename from pg_rewrite r join pg_class c on c.oid = "
    "r.ev_class "
    "where r.rulename <> '_RETURN' and c.relnamespace in (select oid from pg_namespace where nspname "
    "in ('public', 'platform'))",
    "a view": "select oid::regclass::text from pg_class where relkind = 'v' and relnamespace in "
    "(select oid from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema')",
    "a materialised view": "select oid::regclass::text from pg_class where relkind = 'm'",
    "a sequence": "select oid::regclass::text from pg_class where relkind = 'S'",
    "a function of its definer": "select oid::regprocedure::text from "
    "pg_proc where prosecdef and pronamespace in "
    "(select oid from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema')",
    "a default privilege": "select pg_get_userbyid(defaclrole) || ' ' || defaclacl::text from pg_default_acl",
    ("a table owned by the application's role"): "select c.oid::regclass::text from pg_class "
    "c where pg_get_userbyid(c.relowner) "
    "in ('dingkao_app', 'dingkao_platform')",
    ("a membership of the application's roles"): "select pg_get_userbyid(member) || ' in ' || "
    "pg_get_userbyid(roleid) from pg_auth_members "
    "where pg_get_userbyid(member) in ('dingkao_app', 'dingkao_platform')",
    "a role that may change what is only added to": "select oid::regclass || ' by ' || p from pg_class, "
    "unnest(array['UPDATE', 'DELETE', 'TRUNCATE']) p, unnest(array['dingkao_app', 'dingkao_platform']) r "
    "where relnamespace = 'platform'::regnamespace and relname in ('operator_act', "
    "'act_verification', 'key_canary') "
    "and (has_table_privilege(r, oid, p) or p = 'UPDATE' and has_any_column_privilege(r, oid, p))",
    "a role that may make temporary tables": "select r from unnest(array['dingkao_app', "
    "'dingkao_platform']) r "
    "where has_database_privilege(r, current_database(), 'TEMPORARY')",
    "a role that may use large objects": "select r || ' by ' || oid::regprocedure from "
    "unnest(array['dingkao_app', 'dingkao_platform']) "
    "r, "
    "pg_proc where proname ~ '^(lo_|loread$|lowrite$)' and has_function_privilege(r, oid, 'EXECUTE')",
    "a strong role": "select rolname from pg_roles where rolname in ('dingkao_app', 'dingkao_platform', "
    "'dingkao_owner') and "
    "(rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)",
    "a role that may create tables": "select r || ' in ' || s from "
    "unnest(array['dingkao_app', 'dingkao_platform']) r, "
    "unnest(array['public', 'platform']) s where has_schema_privilege(r, s, 'CREATE')",
}


def violations(connection: psycopg.Connection) -> list[str]:
    """Every rule the database breaks, a line each; empty when it keeps them all. `connection` must see the
    whole catalog."""
    tables = connection.execute(TABLES, (list(NOT_A_PROVINCES),)).fetchall()
    faults = [] if tables else ["public has no tables"]
    for oid, name, enabled, forced, owner in tables:
        table_faults = [
            *([] if enabled else ["row-level security is not enabled"]),
            *([] if forced else ["row-level security is not forced"]),
            *([] if owner == OWNER else [f"owned by {owner}"]),
            *_columns(connection, oid),
            *_policies(connection, oid),
            *_indexes(connection, oid),
            *_constraints(connection, oid),
            *_privileges(connection, oid, name),
        ]
        faults += [f"{name}: {fault}" for fault in table_faults]
    for oid, name in connection.execute(
        "select oid, relname from pg_class where relname = any(%s)", (list(NOT_A_PROVINCES),)
    ).fetchall():
        faults += [f"{name}: {PLATFORM} has {privilege}" for privilege in _held(connection, PLATFORM, oid)]
        faults += [f"{name}: {APP} has {privilege}" for privilege in _held(connection, APP, oid)]
    for what, query in LOOSE.items():
        faults += [f"{what}: {record[0]}" for record in connection.execute(query).fetchall()]
    return faults


def _columns(connection: psycopg.Connection, oid: int) -> list[str]:
    faults, tenant = [], None
    for name, kind, not_null, identity, family, element_family, element in connection.execute(
        COLUMNS, (oid,)
    ).fetchall():
        if name == "tenant_id":
            tenant = (kind, not_null)
        if identity:
            faults.append(f"{name} is an identity column")
        if "e" in (family, element_family) or "numeric" in (kind, element) or family == "d":
            faults.append(f"{name} is of type {kind}")
    if tenant != ("int4", True):
        faults.append(f"tenant_id is not int NOT NULL but {tenant}")
    return faults


def _policies(connection: psycopg.Connection, oid: int) -> list[str]:
    policies: dict[bool, list[Any]] = {True: [], False: []}
    for _name, permissive, *definition in connection.execute(POLICIES, (oid,)).fetchall():
        policies[permissive].append(tuple(definition))
    faults = []
    if policies[False] != [("*", ["PUBLIC"], BARE, BARE)]:
        faults.append(f"restrictive policies are {policies[False]}")
    if policies[True] != [("*", [APP], BARE, BARE)]:
        faults.append(f"permissive policies are {policies[True]}")
    return faults


def _indexes(connection: psycopg.Connection, oid: int) -> list[str]:
    faults = []
    for name, first, expressions, invalid, kinds, tenant in connection.execute(INDEXES, (oid,)).fetchall():
        if tenant is None or first != tenant:
            faults.append(f"index {name} does not begin with tenant_id")
        if expressions or invalid:
            faults.append(f"index {name} has an expression or is invalid")
        if strange := [kind for kind in kinds if kind not in LEAKPROOF]:
            faults.append(f"index {name} over {strange}, whose operators are not leakproof")
    return faults


def _constraints(connection: psycopg.Connection, oid: int) -> list[str]:
    faults, primary = [], False
    for (
        name,
        kind,
        deferrable,
        validated,
        on_update,
        on_delete,
        referenced_table,
        schema,
        first,
        referenced_column,
    ) in connection.execute(CONSTRAINTS, (oid,)).fetchall():
        primary = primary or kind == "p"
        if deferrable:
            faults.append(f"{name} is deferrable")
        if not validated:
            faults.append(f"{name} is not validated")
        if kind in ("p", "u", "x", "f") and first != "tenant_id":
            faults.append(f"{name} does not begin with tenant_id")
        if kind == "t":
            faults.append(f"{name} is a constraint trigger")
        if kind == "f":
            if referenced_column != "tenant_id" or schema != "public":
                faults.append(f"{name} points to {referenced_table}.{referenced_column}")
            if on_update != "a" or on_delete not in ("a", "r", "c"):
                faults.append(f"{name} sets or moves what points (update {on_update}, delete {on_delete})")
    return faults if primary else [*faults, "no primary key"]


def _privileges(connection: psycopg.Connection, oid: int, name: str) -> list[str]:
    allowed = {"SELECT", "INSERT"} if name in APPEND_ONLY else {"SELECT", "INSERT", "UPDATE", "DELETE"}
    faults = [
        f"{APP} has {privilege}" for privilege in _held(connection, APP, oid) if privilege not in allowed
    ]
    return faults + [f"{PLATFORM} has {privilege}" for privilege in _held(connection, PLATFORM, oid)]


def _held(connection: psycopg.Connection, role: str, oid: int) -> list[str]:
    """The privileges of `role` on a table or on any column of it, given to itself or to PUBLIC."""
    privileges = connection.execute(
        "select p from unnest(%(whole)s::text[]) p where has_table_privilege(%(role)s, %(oid)s::oid, p) "
        "union select p from unnest(%(column)s::text[]) p where has_any_column_privilege(%(role)s, "
        "%(oid)s::oid, p) order by 1",
        {"whole": list(PRIVILEGES), "column": list(COLUMN_PRIVILEGES), "role": role, "oid": oid},
    )
    return [privilege[0] for privilege in privileges.fetchall()]
