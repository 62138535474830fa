"""Pages by keyset: all of a list, each row once, whatever the keys; a mark that was tampered with begins
anew."""

import base64
import json

import pytest
from sqlalchemy import select

from dingkao.database import pagination
from dingkao.database.base import db, new_id
from dingkao.database.pagination import CappedCount, capped_count, fetch_page
from dingkao.doctors.doctor_list import MAX_DEPARTMENT_LENGTH
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import name_sort_key
from dingkao.doctors.roster_rows import MAX_NAME_LENGTH
from dingkao.journal import entries as journal
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Account


@pytest.mark.parametrize("keys", [[Doctor.id], [Doctor.name_key, Doctor.id]], ids=["one key", "two keys"])
@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_every_row_is_on_one_page(in_province, provinces, keys, size, newest):
    with in_province("shanxi"):
        listed_ids, mark = [], None
        while True:
            page = fetch_page(select(Doctor), keys, mark, size, descending=newest)
            assert len(page.rows) <= size
            listed_ids += [doctor.id for doctor in page.rows]
            mark = page.next_cursor
            if mark is None:
                break
        assert len(listed_ids) == len(set(listed_ids)) >= 6
        assert listed_ids == list(
            db.session.scalars(select(Doctor.id).order_by(*(key.desc() if newest else key for key in keys)))
        )


def test_moments_order_a_list_too(in_province, provinces):
    with in_province("shanxi"):
        for _ in range(4):
            journal.write_entry("trial", new_id(), "tried", by=TERMINAL_ACTOR)
        first = fetch_page(select(JournalEntry), [JournalEntry.at, JournalEntry.id], None, 2)
        second = fetch_page(select(JournalEntry), [JournalEntry.at, JournalEntry.id], first.next_cursor, 2)
        journal_entry_ids = db.session.scalars(
            select(JournalEntry.id).order_by(JournalEntry.at, JournalEntry.id).limit(4)
        ).all()
        assert [entry.id for entry in (*first.rows, *second.rows)] == journal_entry_ids


@pytest.mark.parametrize("mark", ["x", "W10=", "WyJ4Il0=", "bnVsbA==", "é", "WzEsMl0="])
def test_a_strange_mark_begins_at_the_beginning(in_province, provinces, mark):
    with in_province("shanxi"):
        assert [account.id for account in fetch_page(select(Account), [Account.id], mark, 2).rows] == [
            account.id for account in fetch_page(select(Account), [Account.id], None, 2).rows
        ]


@pytest.mark.parametrize(
    "name", ["\U00031350", "\ue000", "内\u200b科"], ids=["new ideograph", "private", "invisible"]
)
def test_a_list_goes_on_after_any_name_that_is_stored(name):
    """A cursor holds the name of a page's last row, which Python may not call printable."""
    keys, values = [Doctor.name_key, Doctor.id], [name, new_id()]
    assert pagination.parse_cursor(pagination.encode_cursor(values), keys) == values


def test_the_longest_name_and_department_fit_into_a_mark():
    keys = [Doctor.department, Doctor.name_key, Doctor.id]
    values = ["科" * MAX_DEPARTMENT_LENGTH, name_sort_key("庄" * MAX_NAME_LENGTH), new_id()]
    assert pagination.parse_cursor(pagination.encode_cursor(values), keys) == values


@pytest.mark.parametrize("text", ["a\0", "\ud800"])
def test_a_mark_with_what_no_text_can_be_begins_at_the_beginning(text):
    mark = base64.urlsafe_b64encode(json.dumps([text]).encode()).decode()
    assert pagination.parse_cursor(mark, [Doctor.name_key]) is None


def test_a_list_is_counted_no_further_than_it_is_told(in_province, provinces, monkeypatch):
    assert (CappedCount(1000).with_unit("人"), CappedCount(1001).with_unit("人")) == ("1000人", "1,000人以上")
    with in_province("shanxi"):
        doctor_count = capped_count(select(Doctor))
        assert (int(doctor_count), str(doctor_count), doctor_count.with_unit("人")) == (
            len(db.session.scalars(select(Doctor.id)).all()),
            f"{int(doctor_count)}",
            f"{int(doctor_count)}人",
        )
        monkeypatch.setattr(pagination, "MAX_COUNTED", 2)
        assert (int(capped_count(select(Doctor))), str(capped_count(select(Doctor)))) == (3, "2以上")
        assert sum([CappedCount(1), CappedCount(2)]).with_unit("人") == "2人以上"
