"""Tickets as paper, and the page of a paper: what is drawn and printed for whom, what is short and what is odd."""

import re
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pypdfium2
import pytest
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.certificates import admission_tickets
from dingkao.database.base import db
from dingkao.errors import NotFound
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.tickets import find_ticket
from dingkao.jobs.models import Job
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Organisation
from tests import actors
from tests.blueprints.exam_hall import CODE, FIRST, SECOND, SERIALS, SLUG, local
from tests.blueprints.signed_in_client import post_form, signed_in_client

PAPER = f"/{SLUG}/office/papers/professional/dental/assistant"


# --- tickets as paper


def words(document):
    """The text of a PDF, page by page."""
    opened = pypdfium2.PdfDocument(document)
    return [page.get_textpage().get_text_range() for page in opened]


def test_a_doctor_has_the_ticket_drawn_and_again_when_the_hall_is_known(
    application, in_province, candidate, slot, clerk
):
    doctor = candidate()
    assert "生成准考证" in doctor.get("/ticket")
    assert doctor.client.get(f"/{SLUG}/ticket/picture.png").status_code == 404
    for _ in range(2):
        doctor.post("/ticket")
    waiting = doctor.client.get(f"/{SLUG}/ticket")
    assert "正在生成" in waiting.get_data(as_text=True)
    assert waiting.headers["Refresh"]
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "下载PDF" in doctor.get("/ticket")
    assert doctor.client.get(f"/{SLUG}/ticket/picture.png").data.startswith(b"\x89PNG")
    page = words(doctor.post("/ticket/download", page="/ticket").data)
    assert len(page) == 1
    with in_province(SLUG):
        number = find_ticket(db.session.get_one(Assessment, (CODE, doctor.record_id))).number
    assert number in page[0]
    assert doctor.name in page[0]
    assert "网上作答" in page[0]
    assert doctor.number not in page[0]
    slot_id = slot()
    post_form(
        clerk,
        f"/{SLUG}/office/slots/{slot_id}/places",
        page=f"/{SLUG}/office/slots/{slot_id}",
        record=str(doctor.record_id),
    )
    assert "生成准考证" in doctor.get("/ticket")
    doctor.post("/ticket")
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "长安路1号3楼" in words(doctor.post("/ticket/download", page="/ticket").data)[0]
    with in_province(SLUG):
        job_count = db.session.scalar(
            select(func.count()).select_from(Job).where(Job.asked_by == actors.account_of(doctor.record_id))
        )
    assert job_count == 2


def test_a_slots_tickets_come_as_one_document_for_whoever_asked(
    application, in_province, candidate, slot, clerk, admin
):
    doctors, slot_id = [candidate() for _ in range(2)], slot()
    page = f"/{SLUG}/office/slots/{slot_id}"
    post_form(clerk, f"{page}/places", page=page, record=[str(doctor.record_id) for doctor in doctors])
    work = post_form(clerk, f"{page}/tickets", page=page).location
    assert clerk.get(f"{work}/document-1.pdf").status_code == 404
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "已生成 2" in clerk.get(work).get_data(as_text=True)
    pages = words(clerk.get(f"{work}/document-1.pdf").data)
    assert [doctor.name in text for doctor, text in zip(doctors, pages, strict=True)] == [True, True]
    assert ["座位" in text and "1号" in text for text in pages[:1]] == [True]
    assert admin.get(f"{work}/document-1.pdf").status_code == 404


def test_the_photo_is_on_the_ticket(application, in_province, exam_ground):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(SERIALS))
    doctor.file()
    actors.advance_to(in_province, doctor, "ready")
    doctor.post("/ticket")
    actors.run_pending_jobs(application, in_province, SLUG)
    page = pypdfium2.PdfDocument(doctor.post("/ticket/download", page="/ticket").data)[0]
    assert len(list(page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]))) == 1


def test_an_institutions_tickets_are_of_its_doctors_alone(application, in_province, candidate, clerk):
    candidate()
    with in_province(SLUG):
        first = db.session.scalars(
            select(Organisation.id).where(Organisation.registration_number == FIRST)
        ).one()
        own_count = db.session.scalar(
            select(func.count())
            .select_from(Assessment)
            .where(Assessment.institution_id == first, Assessment.state.in_(("ready", "testing")))
        )
    empty = post_form(clerk, f"/{SLUG}/office/tickets", institution=SECOND)
    assert empty.status_code == 422
    assert "暂无准考证可打印" in empty.get_data(as_text=True)
    work = post_form(clerk, f"/{SLUG}/office/tickets", institution=FIRST).location
    actors.run_pending_jobs(application, in_province, SLUG)
    assert len(words(clerk.get(f"{work}/document-1.pdf").data)) == own_count


def test_the_tickets_of_a_large_batch_are_drawn_in_chunks_and_come_as_several_documents(
    application, in_province, candidate, slot, clerk, monkeypatch
):
    """A worker that breaks off in one of them goes on there; each ticket is drawn once."""
    monkeypatch.setattr(admission_tickets, "BATCH_SIZE", 1)
    monkeypatch.setattr(admission_tickets, "PARTS_PER_PDF", 2)
    draw, drawn_batches = admission_tickets.render_tickets, []

    def breaks(records):
        drawn_batches.append(records)
        if len(drawn_batches) == 2:
            raise ZeroDivisionError
        return draw(records)

    monkeypatch.setattr(admission_tickets, "render_tickets", breaks)
    doctors, slot_id = [candidate() for _ in range(3)], slot(seats=3)
    page = f"/{SLUG}/office/slots/{slot_id}"
    post_form(clerk, f"{page}/places", page=page, record=[str(doctor.record_id) for doctor in doctors])
    work = post_form(clerk, f"{page}/tickets", page=page).location
    actors.run_pending_jobs(application, in_province, SLUG)
    page_text = clerk.get(work).get_data(as_text=True)
    assert "已生成 3" in page_text
    assert "第2份" in page_text
    documents = [words(clerk.get(f"{work}/document-{number}.pdf").data) for number in (1, 2)]
    assert [len(pages) for pages in documents] == [2, 1]
    assert [doctor.name in text for doctor, text in zip(doctors, sum(documents, []), strict=True)] == [
        True
    ] * 3
    assert clerk.get(f"{work}/document-3.pdf").status_code == 404
    with in_province(SLUG), pytest.raises(NotFound):
        admission_tickets.job_parts.load_part(UUID(work.rsplit("/", 1)[1]), admission_tickets.PAGES_SERIES, 0)


# --- the page of a paper


def paper_form(**more):
    return {
        "A1": "10",
        "mark_A1": "1",
        "A2": "0",
        "A3": "0",
        "A4": "0",
        "B1": "0",
        "X": "2",
        "mark_X": "1.5",
        "TF": "0",
        "humanities": "0",
        "form": "drawn",
        "procedure": "any",
        "minutes": "60",
        "opens_at": local(clock.now()),
        "closes_at": local(clock.now() + timedelta(days=2)),
    } | more


def test_what_is_short_is_shown_before_anything_is_saved(admin, in_province):
    preview = post_form(admin, PAPER, **paper_form(check="1"))
    assert preview.status_code == 200
    assert "题库可以组成这份试卷" in preview.get_data(as_text=True)
    short = post_form(admin, PAPER, **paper_form(check="1", A1="200", **{"cell-0-hard": "90%"})).get_data(
        as_text=True
    )
    assert "题库凑不成这份试卷" in short
    assert re.search("不足200道", short)
    assert "难度：难" in short
    refused = post_form(admin, PAPER, **paper_form(A1="200"))
    assert refused.status_code == 422
    assert "不足200道" in refused.get_data(as_text=True)
    with in_province(SLUG):
        assert (
            db.session.scalar(select(func.count()).select_from(Paper).where(Paper.category == "dental")) == 0
        )


def test_marks_are_points_with_one_decimal(admin, in_province):
    refused = post_form(admin, PAPER, **paper_form(mark_X="1.25"))
    assert refused.status_code == 422
    assert "最多一位小数" in refused.get_data(as_text=True)
    assert post_form(admin, PAPER, **paper_form()).status_code == 303
    with in_province(SLUG):
        paper = db.session.scalars(select(Paper).where(Paper.category == "dental")).one()
        assert paper.points == {"A1": 10, "X": 15}
        assert (paper.closes_at.second, paper.closes_at.microsecond, paper.opens_at.second) == (
            59,
            999_999,
            0,
        )
    assert 'value="1.5"' in admin.get(PAPER).get_data(as_text=True)
    assert "13分" in admin.get(f"/{SLUG}/office/papers").get_data(as_text=True)
    assert post_form(admin, PAPER, **paper_form(form="fixed", procedure="general")).status_code == 303
    with in_province(SLUG):
        paper = db.session.scalars(select(Paper).where(Paper.category == "dental")).one()
        assert (paper.procedure, len(paper.fixed)) == ("general", 12)


def test_the_key_is_printed_for_the_province_alone_and_that_it_was_is_kept(
    application, in_province, admin, clerk
):
    assert (
        post_form(
            admin, f"{PAPER}?procedure=general", **paper_form(form="fixed", procedure="general")
        ).status_code
        == 303
    )
    with in_province(SLUG):
        paper = db.session.scalars(select(Paper).where(Paper.category == "dental")).one().id
        paper_id = db.session.scalars(select(Paper).where(Paper.category == "clinical")).first().id
    page = f"/{SLUG}/office/papers/{paper}/print"
    reviewer = signed_in_client(application, in_province, SLUG, "organisation_reviewer", FIRST)
    for client, may in (
        (clerk, {"sheet"}),
        (reviewer, {"sheet", "booklet"}),
        (admin, {"sheet", "booklet", "key"}),
    ):
        for what in ("booklet", "sheet", "key"):
            assert (post_form(client, page, what=what).status_code == 303) is (what in may), what
            assert (f'value="{what}"' in client.get(page).get_data(as_text=True)) is (what in may)
    assert admin.get(f"/{SLUG}/office/papers/{paper_id}/print").status_code == 409
    with in_province(SLUG):
        verbs = db.session.scalars(
            select(JournalEntry.verb).where(
                JournalEntry.subject_id == paper, JournalEntry.verb.contains("printed")
            )
        ).all()
    assert Counter(verbs) == {"sheet_printed": 3, "booklet_printed": 2, "key_printed": 1}
    with in_province(SLUG):  # nobody looks into these documents
        db.session.execute(update(Job).where(Job.state == "waiting").values(state="cancelled"))
        db.session.commit()
    work = post_form(admin, page, what="key").location
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "参考答案" in words(admin.get(f"{work}/document.pdf").data)[0]
    assert clerk.get(f"{work}/document.pdf").status_code == 404


@pytest.mark.parametrize(
    "odd",
    [
        {"A1": "-1"},
        {"A1": "99999999999999999999"},
        {"A1": "x"},
        {"mark_A1": "NaN"},
        {"mark_A1": "-3"},
        {"mark_A1": "1e9"},
        {"mark_A1": "Infinity"},
        {"humanities": "-1"},
        {"humanities": "999999999999"},
        {"cell-0-hard": "-3"},
        {"cell-0-easy": "500%"},
        {"cell-0-": "3"},
        {"topic": "x", "cell-1-hard": "2"},
        {"procedure": "?"},
        {"form": "?"},
        {"minutes": "-5"},
        {"closes_at": ""},
        {"A1": "", "X": ""},
    ],
)
def test_nothing_that_is_typed_breaks_the_page(admin, odd):
    for check in ({"check": "1"}, {}):
        answer = post_form(admin, PAPER, **paper_form(**odd, **check))
        assert answer.status_code in (200, 422), odd
    assert answer.status_code == 422
