"""The protocol of pieces: whatever is lost, sent twice, out of place or undone, what comes out is what was sent, once."""

from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dingkao.database.model import db
from dingkao.errors import Invalid, NotFound, Unavailable
from dingkao.journal.writing import Actor
from dingkao.outside import storage
from dingkao.people.models import Account
from dingkao.uploads import taking
from dingkao.uploads.models import Upload

PIECE = 16
MISHAPS = st.one_of(
    st.tuples(st.just("sent"), st.just(0)), st.tuples(st.just("answer lost"), st.just(0)), st.tuples(st.just("undone"), st.just(0)),
    st.tuples(st.just("store down"), st.just(0)), st.tuples(st.just("begun again"), st.just(0)), st.tuples(st.just("finished early"), st.just(0)),
    st.tuples(st.just("sent at"), st.integers(-2, 8)), st.tuples(st.just("cut short"), st.integers(0, PIECE - 1)), st.tuples(st.just("swept"), st.just(0)),
)  # fmt: skip


@pytest.fixture
def trial(in_province, provinces, monkeypatch):
    """A purpose of the test's own that keeps what it is given, and pieces small enough for many of them."""
    kept = []
    monkeypatch.setattr(taking, "CHUNK", PIECE)
    monkeypatch.setattr(taking, "MOST_OPEN", 10**6)
    monkeypatch.setattr(taking, "MOST_BYTES_A_DAY", 10**9)

    def keep(subject, name, content, by):
        kept.append((subject, name, content))
        return uuid4()

    monkeypatch.setitem(taking.PURPOSES, "trial", taking.Purpose(lambda _subject, _by: None, keep))
    with in_province("shanxi"):
        by = Actor("doctor", db.session.scalars(select(Account.id).order_by(Account.id).limit(1)).one())
    return by, kept


class Wire:
    """A sender with its own view of how far it is, and a wire on which things happen; each of its requests is a unit of work."""

    def __init__(self, in_province, by, content):
        self.in_province, self.by, self.content, self.key = in_province, by, content, uuid4()
        self.id, self.known, self.done = None, 0, None

    def begin(self):
        with self.in_province("shanxi"):
            row = taking.begin("trial", None, self.key, "名", len(self.content), by=self.by)
            db.session.commit()
            self.id, self.known = row.id, row.received

    def piece(self, offset, *, told=True, committed=True, cut=None):
        sent = self.content[max(offset, 0) : max(offset, 0) + PIECE][:cut]
        with self.in_province("shanxi"):
            try:
                row = taking.take(self.id, offset, sent, by=self.by)
                received = row.received
            except taking.Elsewhere as fault:
                received = fault.received
            except (Invalid, Unavailable):
                return
            if committed:
                db.session.commit()
        if told and committed:
            self.known = received

    def finish(self):
        with self.in_province("shanxi"):
            try:
                self.done = taking.finish(self.id, by=self.by).document_id
                db.session.commit()
            except taking.Elsewhere as fault:
                self.known = fault.received


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(min_size=1, max_size=PIECE * 6), mishaps=st.lists(MISHAPS, max_size=14))
def test_whatever_happens_on_the_wire_the_same_bytes_come_out_once(trial, in_province, content, mishaps):
    by, kept = trial
    kept.clear()
    wire = Wire(in_province, by, content)
    wire.begin()
    for what, number in mishaps:
        at = wire.known
        if what in ("sent", "answer lost", "undone") and at < len(content):
            wire.piece(at, told=what != "answer lost", committed=what != "undone")
        elif what == "sent at":
            wire.piece(number * PIECE)
        elif what == "cut short":
            wire.piece(at, cut=number)
        elif what == "begun again":
            wire.begin()
        elif what == "finished early":
            wire.finish()
        elif what == "swept":
            with in_province("shanxi"):
                taking.sweep()
                db.session.commit()
        elif what == "store down" and at < len(content):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(storage.Store, "put", _down)
                wire.piece(at)
    for _ in range(20):
        if wire.known < len(content):
            wire.piece(wire.known)
        else:
            wire.finish()
            break
    assert wire.done
    first = wire.done
    wire.finish()
    assert wire.done == first
    assert kept == [(None, "名", content)]


def _down(*_args, **_more):
    raise Unavailable(storage.DOWN)


def test_what_is_swept_after_the_end_leaves_no_piece_and_still_says_done(trial, in_province):
    by, _ = trial
    wire = Wire(in_province, by, bytes(PIECE * 3))
    wire.begin()
    for offset in (0, PIECE, 2 * PIECE):
        wire.piece(offset)
    wire.finish()
    with in_province("shanxi"):
        taking.sweep()
        db.session.commit()
        for offset in (0, PIECE, 2 * PIECE):
            with pytest.raises(NotFound):
                storage.store().get("chunk", taking._piece(wire.id, offset))
        assert db.session.scalars(select(Upload.state).where(Upload.id == wire.id)).one() == "done"
    wire.finish()
    assert wire.done
