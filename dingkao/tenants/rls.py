"""PostgreSQL is told which province we are in, with every BEGIN; without one nothing is sent.

Row-level security does the keeping apart. What stands here makes the same true in Python: queries carry the predicate, a session
serves one province, a row of another is refused before it is sent.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, mapped_column, with_loader_criteria

from dingkao.database.model import new_id
from dingkao.tenants.context import WrongProvince, current_tenant

_reading: ContextVar[bool] = ContextVar("dingkao_reading", default=False)

STRENGTH = """
select r.rolsuper, r.rolbypassrls,
       exists (select from pg_class c where c.relowner = r.oid and c.relkind in ('r', 'p', 'v', 'm')),
       exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname in ('public', 'platform') and c.relkind in ('r', 'p') and has_table_privilege(r.oid, c.oid, 'TRUNCATE'))
from pg_roles r where r.rolname = current_user
"""


class StrongRole(SystemExit):
    """The process was given a database role that row-level security doesn't hold, so it does not start."""


class OfTenant:
    """A row of one province: its code first in the primary key, and in every key and index besides."""

    tenant_id: Mapped[int] = mapped_column(primary_key=True, default=current_tenant, autoincrement=False, sort_order=-2)


class TenantOwned(OfTenant):
    """A row of one province with an id of its own."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id, sort_order=-1)


@contextmanager
def reading() -> Iterator[None]:
    """Transactions begun in the block are READ ONLY: a GET that writes raises."""
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


@contextmanager
def writing() -> Iterator[None]:
    """Transactions begun in the block may write, though the request is a GET: for marks of the house's own, such as when a session
    was last seen; never for what a person asked for."""
    token = _reading.set(False)
    try:
        yield
    finally:
        _reading.reset(token)


def enclose_engine(engine: Engine) -> None:
    """Make every transaction of `engine` begin in the current province, in one message with its BEGIN."""
    refuse_strong_role(engine)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = " READ ONLY" if _reading.get() else ""
        driver: Any = connection.connection.driver_connection
        tenant = int(current_tenant())
        driver.execute(f"BEGIN{mode}; SET LOCAL dingkao.tenant = '{tenant}'", prepare=False)
        connection.info["tenant"] = tenant

    @event.listens_for(engine, "before_cursor_execute")
    def still_there(connection: Connection, *_: Any) -> None:
        if connection.info.get("tenant", current_tenant()) != current_tenant():
            raise WrongProvince("a transaction begun in one province was used in another")


def refuse_strong_role(engine: Engine) -> None:
    """At each new connection, raise StrongRole if its role is superuser, BYPASSRLS, an owner of tables, or may TRUNCATE one."""

    @event.listens_for(engine, "connect")
    def check(driver: Any, _record: Any) -> None:
        found = driver.execute(STRENGTH).fetchone()
        if found is None or any(found):
            raise StrongRole("The database role is stronger than the application may be; use dingkao_app (and dingkao_platform).")


@event.listens_for(Session, "do_orm_execute")
def carry_the_predicate(state: ORMExecuteState) -> None:
    """Every ORM statement over a province's rows says so itself, beside the policy: on many machines it is what finds the shard."""
    tenant = one_session_one_province(state.session)
    if state.is_orm_statement and not (state.is_column_load or state.is_relationship_load):
        state.statement = state.statement.options(_own(tenant))


@lru_cache(maxsize=64)
def _own(tenant: int) -> Any:
    """The predicate of a province; made once, because making it costs more than the statement it goes with."""
    return with_loader_criteria(OfTenant, lambda owned: owned.tenant_id == tenant, include_aliases=True)


@event.listens_for(Session, "before_flush")
def _before_flush(session: Session, _context: Any, _instances: Any) -> None:
    refuse_foreign_rows(session, (*session.new, *session.dirty, *session.deleted))


def refuse_foreign_rows(session: Session, rows: Iterable[Any]) -> None:
    """A row of another province doesn't leave this process: raises WrongProvince."""
    owned = [row for row in rows if isinstance(row, OfTenant)]
    if owned:
        tenant = one_session_one_province(session)
        for row in owned:
            if row.tenant_id not in (None, tenant):
                raise WrongProvince(f"a {type(row).__name__} of province {row.tenant_id} in province {tenant}")


def one_session_one_province(session: Session) -> int:
    """The province we are in; raises WrongProvince where the session has served another."""
    tenant = current_tenant()
    if session.info.setdefault("tenant", tenant) != tenant:
        raise WrongProvince(f"a session of province {session.info['tenant']} used in province {tenant}")
    return tenant
