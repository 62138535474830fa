"""Pages by keyset: all of a list, each row once, whatever the keys; a mark that was tampered with begins anew."""

import pytest
from sqlalchemy import select

from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.doctors.models import Doctor
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Account


@pytest.mark.parametrize("keys", [[Doctor.id], [Doctor.name_key, Doctor.id]], ids=["one key", "two keys"])
@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_every_row_is_on_one_page(in_province, provinces, keys, size, newest):
    with in_province("shanxi"):
        seen, mark = [], None
        while True:
            found = page(select(Doctor), keys, mark, size, newest=newest)
            assert len(found.rows) <= size
            seen += [row.id for row in found.rows]
            mark = found.onward
            if mark is None:
                break
        assert len(seen) == len(set(seen)) >= 6
        assert seen == list(db.session.scalars(select(Doctor.id).order_by(*(key.desc() if newest else key for key in keys))))


def test_moments_order_a_list_too(in_province, provinces):
    with in_province("shanxi"):
        first = page(select(JournalEntry), [JournalEntry.at, JournalEntry.id], None, 2)
        second = page(select(JournalEntry), [JournalEntry.at, JournalEntry.id], first.onward, 2)
        wanted = db.session.scalars(select(JournalEntry.id).order_by(JournalEntry.at, JournalEntry.id).limit(4)).all()
        assert [row.id for row in (*first.rows, *second.rows)] == wanted


@pytest.mark.parametrize("mark", ["x", "W10=", "WyJ4Il0=", "bnVsbA==", "é", "WzEsMl0="])
def test_a_strange_mark_begins_at_the_beginning(in_province, provinces, mark):
    with in_province("shanxi"):
        assert [row.id for row in page(select(Account), [Account.id], mark, 2).rows] == [row.id for row in page(select(Account), [Account.id], None, 2).rows]
