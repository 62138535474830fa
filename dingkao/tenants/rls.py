"""Row-level security from Python: every BEGIN tells PostgreSQL the current province, and outside a province
nothing is sent.

The policies in the database separate the provinces. This module enforces the same before a statement is sent:
queries get the predicate of the province, a session serves only one province, and a row of another one is
refused.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import (
    Mapped,
    ORMExecuteState,
    Session,
    mapped_column,
    with_loader_criteria,
)

from dingkao.database.base import new_id
from dingkao.tenants.context import WrongProvince, current_tenant

_is_read_only: ContextVar[bool] = ContextVar("dingkao_reading", default=False)
_is_planned_by_value: ContextVar[bool] = ContextVar("dingkao_planning", default=False)

ROLE_STRENGTH_QUERY = """
select r.rolsuper, r.rolbypassrls,
       exists (select from pg_class c where c.relowner = r.oid and c.relkind in ('r', 'p', 'v', 'm')),
       exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname in ('public', 'platform') and c.relkind in ('r', 'p')
                   and has_table_privilege(r.oid, c.oid, 'TRUNCATE'))
from pg_roles r where r.rolname = current_user
"""


class RoleTooPowerful(SystemExit):
    """The process was given a database role that row-level security does not restrict, so it ends."""


class OfTenant:
    """A row of one province; the province's code is the first column of the primary key, and of every key and
    index."""

    tenant_id: Mapped[int] = mapped_column(
        primary_key=True,
        default=current_tenant,
        autoincrement=False,
        sort_order=-2,
    )


class TenantOwned(OfTenant):
    """A row of one province with an id."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id, sort_order=-1)


@contextmanager
def read_only_transactions() -> Iterator[None]:
    """Transactions begun in the block are READ ONLY, so that a GET request that writes fails."""
    token = _is_read_only.set(True)
    try:
        yield
    finally:
        _is_read_only.reset(token)


@contextmanager
def read_write_transactions() -> Iterator[None]:
    """Transactions begun in the block may write, although the request is a GET: for records of the system,
    such as when a session was last used; never for what a person asked for."""
    token = _is_read_only.set(False)
    try:
        yield
    finally:
        _is_read_only.reset(token)


@contextmanager
def plans_by_value() -> Iterator[None]:
    """In transactions begun in the block PostgreSQL plans each statement as the console's lists need it
    (LIST_PLANNING)."""
    token = _is_planned_by_value.set(True)
    try:
        yield
    finally:
        _is_planned_by_value.reset(token)


LIST_PLANNING = "".join(
    f"; SET LOCAL {name} = {value}"
    for name, value in {
        "plan_cache_mode": "force_custom_plan",
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "enable_mergejoin": "off",
        "seq_page_cost": "0.1",
        "random_page_cost": "0.1",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
    }.items()
)
"""How statements of lists are planned. For the values they have: with a plan for all values no partial index
is used, and no LIMIT is known (docs/decisions/0047). And along indexes: every statement of the console shows,
or counts, a bounded number of rows, which an index gives in their order. PostgreSQL would read a whole table
where it takes a condition for commoner than it is, or a page for one that must come from a disk, though what
lists read lies in memory."""


def set_tenant_on_begin(engine: Engine) -> None:
    """Make every transaction of `engine` set the current province together with its BEGIN, which raises
    context.NoProvince outside every province; a statement within it raises WrongProvince in another one. Too
    strong roles are refused (`require_restricted_role`)."""
    require_restricted_role(engine)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        """Send the BEGIN with the province, READ ONLY and planning as the context has them, and remember the
        province with the connection. Raises context.NoProvince."""
        mode = " READ ONLY" if _is_read_only.get() else ""
        driver: Any = connection.connection.driver_connection
        planning = LIST_PLANNING if _is_planned_by_value.get() else ""
        tenant = int(current_tenant())
        driver.execute(
            f"BEGIN{mode}; SET LOCAL dingkao.tenant = '{tenant}'{planning}",
            prepare=False,
        )
        connection.info["tenant"] = tenant

    @event.listens_for(engine, "before_cursor_execute")
    def require_same_province(connection: Connection, *_: Any) -> None:
        """Raises WrongProvince if the connection's transaction was begun in another province."""
        if connection.info.get("tenant", current_tenant()) != current_tenant():
            raise WrongProvince("a transaction begun in one province was used in another")


def require_restricted_role(engine: Engine) -> None:
    """At each new connection of `engine`, raise RoleTooPowerful if its role is a superuser, has BYPASSRLS,
    owns tables or may TRUNCATE one."""

    @event.listens_for(engine, "connect")
    def check(driver: Any, _record: Any) -> None:
        """Raises RoleTooPowerful if the role of a new connection has one of these rights."""
        strength = driver.execute(ROLE_STRENGTH_QUERY).fetchone()
        if strength is None or any(strength):
            raise RoleTooPowerful(
                "The database role is stronger than the application may be; use dingkao_app (and dingkao_"
                "platform)."
            )


@event.listens_for(Session, "do_orm_execute")
def add_tenant_predicate(state: ORMExecuteState) -> None:
    """Add the predicate of the province to every ORM statement about a province's rows, in addition to the
    policies; with several database servers it also selects the shard. Raises what `session_tenant` raises."""
    tenant = session_tenant(state.session)
    if state.is_orm_statement and not (state.is_column_load or state.is_relationship_load):
        state.statement = state.statement.options(_tenant_predicate(tenant))


@lru_cache(maxsize=64)
def _tenant_predicate(tenant: int) -> Any:
    """Returns the predicate of a province, cached because building it costs more than the statement."""
    return with_loader_criteria(
        OfTenant,
        lambda owned: owned.tenant_id == tenant,
        include_aliases=True,
    )


@event.listens_for(Session, "before_flush")
def _before_flush(session: Session, _context: Any, _instances: Any) -> None:
    """Before anything is written, raise what `require_own_rows` raises for new, changed or deleted rows."""
    require_own_rows(session, (*session.new, *session.dirty, *session.deleted))


def require_own_rows(session: Session, rows: Iterable[Any]) -> None:
    """Raises WrongProvince if one of the `rows` belongs to another province."""
    owned = [instance for instance in rows if isinstance(instance, OfTenant)]
    if owned:
        tenant = session_tenant(session)
        for instance in owned:
            if instance.tenant_id not in (None, tenant):
                raise WrongProvince(
                    f"a {type(instance).__name__} of province {instance.tenant_id} in province {tenant}"
                )


def session_tenant(session: Session) -> int:
    """Returns the current province's code. Raises WrongProvince if the session has served another province,
    context.NoProvince outside every province."""
    tenant = current_tenant()
    if session.info.setdefault("tenant", tenant) != tenant:
        raise WrongProvince(f"a session of province {session.info['tenant']} used in province {tenant}")
    return tenant
