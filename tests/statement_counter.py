"""What is sent to the database."""

from contextlib import contextmanager

from sqlalchemy import event

from dingkao.database.base import db


@contextmanager
def counted_statements(statements):
    """Puts what is sent to the database in the block into a list."""

    def note(_connection, _cursor, statement, *_more):
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
