"""The protocol of pieces: whatever is lost, sent twice, out of place or undone, what comes out is what was
sent, once."""

from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dingkao.database.base import db
from dingkao.errors import InvalidInput, NotFound, Unavailable
from dingkao.integrations import storage
from dingkao.journal.entries import Actor
from dingkao.people.models import Account
from dingkao.uploads import chunked_uploads
from dingkao.uploads.models import Upload
from tests.property_examples import property_examples

PIECE = 16
MISHAPS = st.one_of(
    st.tuples(st.just("sent"), st.just(0)),
    st.tuples(st.just("answer lost"), st.just(0)),
    st.tuples(st.just("undone"), st.just(0)),
    st.tuples(st.just("store down"), st.just(0)),
    st.tuples(st.just("begun again"), st.just(0)),
    st.tuples(st.just("finished early"), st.just(0)),
    st.tuples(st.just("sent at"), st.integers(-2, 8)),
    st.tuples(st.just("cut short"), st.integers(0, PIECE - 1)),
    st.tuples(st.just("swept"), st.just(0)),
)


@pytest.fixture
def trial(in_province, provinces, monkeypatch):
    """A purpose of the test's own that keeps what it is given, and pieces small enough for many of them."""
    stored_contents = []
    monkeypatch.setattr(chunked_uploads, "CHUNK_SIZE", PIECE)
    monkeypatch.setattr(chunked_uploads, "MAX_OPEN_UPLOADS", 10**6)
    monkeypatch.setattr(chunked_uploads, "MAX_BYTES_PER_DAY", 10**9)

    def keep(subject, name, content, by, _fields):
        stored_contents.append((subject, name, content))
        return uuid4()

    monkeypatch.setitem(
        chunked_uploads.REGISTERED_PURPOSES,
        "trial",
        chunked_uploads.UploadPurpose(lambda _subject, _by: None, keep),
    )
    with in_province("shanxi"):
        actor = Actor("doctor", db.session.scalars(select(Account.id).order_by(Account.id).limit(1)).one())
    return actor, stored_contents


class Wire:
    """A sender with its own view of how far it is, and a wire on which things happen; each of its requests is
    a unit of work."""

    def __init__(self, in_province, by, content):
        self.in_province, self.by, self.content, self.key = in_province, by, content, uuid4()
        self.id, self.known, self.done = None, 0, None

    def begin(self):
        with self.in_province("shanxi"):
            upload = chunked_uploads.start_upload(
                "trial", None, self.key, "名", len(self.content), by=self.by
            )
            db.session.commit()
            self.id, self.known = upload.id, upload.received

    def piece(self, offset, *, told=True, committed=True, cut=None):
        chunk = self.content[max(offset, 0) : max(offset, 0) + PIECE][:cut]
        with self.in_province("shanxi"):
            try:
                upload = chunked_uploads.receive_chunk(self.id, offset, chunk, by=self.by)
                received = upload.received
            except chunked_uploads.WrongOffset as fault:
                received = fault.received
            except (InvalidInput, Unavailable):
                return
            if committed:
                db.session.commit()
        if told and committed:
            self.known = received

    def finish(self):
        with self.in_province("shanxi"):
            try:
                self.done = chunked_uploads.finish_upload(self.id, {}, by=self.by).document_id
                db.session.commit()
            except chunked_uploads.WrongOffset as fault:
                self.known = fault.received

    def suffer(self, what, number):
        offset = self.known
        if what in ("sent", "answer lost", "undone") and offset < len(self.content):
            self.piece(offset, told=what != "answer lost", committed=what != "undone")
        elif what == "sent at":
            self.piece(number * PIECE)
        elif what == "cut short":
            self.piece(offset, cut=number)
        elif what == "begun again":
            self.begin()
        elif what == "finished early":
            self.finish()
        elif what == "swept":
            with self.in_province("shanxi"):
                chunked_uploads.delete_expired()
                db.session.commit()
        elif what == "store down" and offset < len(self.content):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(storage.ObjectStore, "put", _down)
                self.piece(offset)


@settings(
    deadline=None,
    max_examples=property_examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.binary(min_size=1, max_size=PIECE * 6), mishaps=st.lists(MISHAPS, max_size=14))
def test_whatever_happens_on_the_wire_the_same_bytes_come_out_once(trial, in_province, content, mishaps):
    actor, stored_contents = trial
    stored_contents.clear()
    wire = Wire(in_province, actor, content)
    wire.begin()
    for what, number in mishaps:
        wire.suffer(what, number)
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
    assert stored_contents == [(None, "名", content)]


def _down(*_args, **_more):
    raise Unavailable(storage.UNAVAILABLE_MESSAGE)


def test_what_is_swept_after_the_end_leaves_no_piece_and_still_says_done(trial, in_province):
    actor, _ = trial
    wire = Wire(in_province, actor, bytes(PIECE * 3))
    wire.begin()
    for offset in (0, PIECE, 2 * PIECE):
        wire.piece(offset)
    wire.finish()
    with in_province("shanxi"):
        chunked_uploads.delete_expired()
        db.session.commit()
        for offset in (0, PIECE, 2 * PIECE):
            with pytest.raises(NotFound):
                storage.current_store().get("chunk", chunked_uploads._chunk_id(wire.id, offset))
        assert db.session.scalars(select(Upload.state).where(Upload.id == wire.id)).one() == "done"
    wire.finish()
    assert wire.done
