"""A list of a whole province is published by jobs of chunks, and appears to its doctors as one: nothing of it
before, all of it from then on."""

import io
from uuid import UUID, uuid4

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from dingkao.assessments import assessment_transitions
from dingkao.assessments.assessment_transitions import (
    publish_fail,
    publish_pass,
    reapply_pass_line,
    return_for_objection,
)
from dingkao.assessments.models import Assessment
from dingkao.certificates import certificate_rendering, issuing
from dingkao.certificates.models import Certificate
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidState
from dingkao.jobs import chunks, enqueueing
from dingkao.jobs.models import Job
from dingkao.journal.models import JournalEntry
from dingkao.journal.state_machine import can
from dingkao.people import list_exports
from dingkao.people.models import Notice
from dingkao.results import publication_lists, publishing
from dingkao.results.models import Publication, PublicationEntry
from tests import actors
from tests.blueprints.list_export_steps import ask_for_file
from tests.blueprints.publishing_steps import (
    SLUG,
    approved,
    finish,
    proposed,
    publication,
    seen,
    states,
    turns,
)
from tests.blueprints.signed_in_client import post_form, signed_in_client


@pytest.fixture(scope="module")
def doctors(application, in_province):
    """Four doctors, of whom the second and the third have failed; before each test they wait for
    publication."""
    signed_in_doctors = [
        actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
        for _ in range(4)
    ]
    for doctor in signed_in_doctors:
        doctor.post("/filing/notice")
    return signed_in_doctors


@pytest.fixture(scope="module")
def admins(application, in_province, doctors):
    return [signed_in_client(application, in_province, SLUG, "province_admin") for _ in range(2)]


@pytest.fixture
def waiting(doctors, in_province, monkeypatch):
    """They wait for publication, in chunks of two, a turn a chunk; no worker listens. What was left open of
    earlier tests is ended."""
    monkeypatch.setattr(enqueueing, "DEFAULT_QUEUE", f"quiet-{uuid4().hex}")
    monkeypatch.setattr(chunks, "MAX_TURN_SECONDS", 0.0)
    monkeypatch.setattr(publication_lists, "GATHER_BATCH_SIZE", 2)
    monkeypatch.setattr(publishing, "COMPARE_BATCH_SIZE", 2)
    monkeypatch.setattr(publishing, "SETTLE_BATCH_SIZE", 2)
    with in_province(SLUG):
        db.session.execute(update(Assessment).where(Assessment.state == "confirming").values(state="grading"))
        for number, doctor in enumerate(doctors):
            verdict = "fail" if number in (1, 2) else "pass"
            values = {
                "state": "confirming",
                "performance": "pass",
                "ethics": "pass",
                "competence": verdict,
                "procedure": "general",
            }
            db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(values))
        db.session.execute(update(Job).where(Job.state.in_(("waiting", "running"))).values(state="done"))
        db.session.execute(
            update(Publication).where(Publication.published_at.is_(None)).values(withdrawn_at=func.now())
        )
        db.session.execute(
            update(Publication).where(Publication.published_at.is_not(None)).values(settled_at=func.now())
        )
        db.session.execute(PublicationEntry.__table__.delete().where(PublicationEntry.tenant_id == 13))
        db.session.commit()
    return doctors


VERDICTS = ["合格", "不合格", "不合格", "合格"]
HIDDEN, STATES = [None] * 4, ["passed", "failed", "failed", "passed"]


def test_a_list_is_gathered_chunk_by_chunk_and_sealed_with_its_digest(waiting, admins, in_province):
    place = post_form(admins[0], f"/{SLUG}/office/publications").location
    assert "正在生成清单" in admins[1].get(place).get_data(as_text=True)
    assert post_form(admins[0], f"/{SLUG}/office/publications").status_code == 409
    progress = [(turn.done, turn.total) for turn in turns(in_province, "gather_publication")]
    assert progress == [(2, 4), (4, 4), (4, 4)]
    publication_list = publication(in_province)
    assert (publication_list.passed, publication_list.failed) == (2, 2)
    with in_province(SLUG):
        entries = dict(
            db.session.execute(select(PublicationEntry.assessment_id, PublicationEntry.verdict)).all()
        )
    assert entries == {doctor.record_id: state for doctor, state in zip(waiting, STATES, strict=True)}
    assert publication_list.digest == publication_lists.list_digest(entries)
    text = admins[1].get(place).get_data(as_text=True)
    assert publication_list.digest.hex()[:16] in text
    assert "确认并发布" in text
    assert "共4人" in text
    passed = admins[1].get(f"{place}?verdict=passed&sort=name&dir=desc").get_data(as_text=True)
    assert "共2人" in passed
    assert passed.count("的原因") == 2, "a line each"
    another = place.replace(place.rsplit("/", 1)[1], str(UUID(int=7)))
    assert admins[1].get(f"{place}?publication={UUID(int=7)}").location.startswith(another)


def test_nothing_of_a_list_is_seen_before_all_of_it_is(waiting, admins, in_province):
    place = approved(in_province, admins)
    looks = []
    for _ in turns(in_province, "publish"):
        looks.append((seen(waiting), states(in_province, waiting).count("confirming")))
    assert [verdicts for verdicts, _ in looks] == [HIDDEN] * 2 + [VERDICTS] * 4, (
        "a list that is seen in part is not published as one"
    )
    assert [confirming_count for _, confirming_count in looks] == [4, 4, 4, 2, 0, 0]
    assert states(in_province, waiting) == STATES
    assert "已发布" in admins[0].get(place).get_data(as_text=True)
    with in_province(SLUG):
        assert [
            journal_entry.verb
            for journal_entry in db.session.scalars(
                select(JournalEntry)
                .where(JournalEntry.subject_id == publication(in_province).id)
                .order_by(JournalEntry.id)
            )
        ] == [
            "begun",
            "proposed",
            "approved",
            "published",
            "settled",
        ]


def test_each_record_is_moved_and_its_doctor_told_once_whatever_breaks(
    waiting, admins, in_province, monkeypatch
):
    approved(in_province, admins)
    with in_province(SLUG):
        count_before = _trail(waiting)
    notify, broken = publishing.notify, []

    def breaks(record, *given, **more):
        broken.append(1)
        if len(broken) in (1, 4):
            raise ZeroDivisionError
        return notify(record, *given, **more)

    monkeypatch.setattr(publishing, "notify", breaks)
    job = finish(in_province, "publish")
    assert (job.state, job.done, job.total, job.result["passed"], job.result["failed"]) == (
        "done",
        8,
        8,
        2,
        2,
    )
    assert len(broken) == 6
    with in_province(SLUG):
        assert {
            key: count_after - count_before[key] for key, count_after in _trail(waiting).items()
        } == dict.fromkeys(count_before, 1)


def _trail(doctors):
    """How many entries of publishing, and how many messages of it, each doctor has."""
    verbs = ("publish_pass", "publish_fail")
    counts = {}
    for doctor in doctors:
        entries = (
            select(func.count())
            .select_from(JournalEntry)
            .where(JournalEntry.subject_id == doctor.record_id, JournalEntry.verb.in_(verbs))
        )
        account = actors.account_of(doctor.record_id)
        notices = (
            select(func.count())
            .select_from(Notice)
            .where(Notice.account_id == account, Notice.title == "考核结果已发布")
        )
        counts |= {
            (doctor.record_id, "entries"): db.session.scalar(entries),
            (doctor.record_id, "notices"): db.session.scalar(notices),
        }
    return counts


def test_what_was_approved_is_frozen_until_it_is_published(waiting, admins, in_province):
    place = approved(in_province, admins)
    answer = post_form(
        admins[1],
        f"/{SLUG}/office/publications/object/{waiting[0].record_id}",
        page=f"/{SLUG}/office/lines",
        reason="抽查发现材料不全",
    )
    assert answer.status_code == 409
    assert "考核结果正在发布" in answer.get_data(as_text=True)
    assert post_form(admins[0], f"{place}/withdraw", page=f"/{SLUG}/office/lines").status_code == 409
    assert (
        post_form(admins[0], f"/{SLUG}/office/publications", page=f"/{SLUG}/office/lines").status_code == 409
    )
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == waiting[0].record_id)).one()
        assert publication_lists.is_frozen(record.cycle_id)
    finish(in_province, "publish")
    with in_province(SLUG):
        assert not publication_lists.is_frozen(record.cycle_id)


def test_only_what_knows_of_the_freeze_moves_a_record_that_waits_for_publication():
    """publishing.py and rescoring.py ask `is_frozen` before they move one; a new move from 待发布 has to."""
    record = Assessment(state="confirming")
    everyone = actors.make_actor(
        "province_admin",
        "organisation_reviewer",
        "institution_reviewer",
        "organisation_clerk",
        "system",
        "doctor",
    )
    matching_values = {
        move
        for move in vars(assessment_transitions).values()
        if hasattr(move, "rule") and can(record, move, everyone)
    }
    assert matching_values == {return_for_objection, reapply_pass_line, publish_pass, publish_fail}


def test_a_list_that_no_longer_holds_is_never_shown(waiting, admins, in_province):
    approved(in_province, admins)
    with in_province(SLUG):  # nothing of ours moves it unseen; whatever did, the list isn't what was approved
        db.session.execute(
            update(Assessment).where(Assessment.id == waiting[3].record_id).values(ethics="fail")
        )
        db.session.commit()
    looks = [seen(waiting) for _ in turns(in_province, "publish")]
    assert looks == [HIDDEN] * len(looks)
    job = finish(in_province, "publish")
    assert job.state == "failed"
    assert "1位医师的状态或评定发生变化，本清单已作废" in job.sentence
    assert states(in_province, waiting) == ["confirming"] * 4
    assert publication(in_province).withdrawn_at is not None


def test_a_list_whose_rows_were_touched_is_never_shown(waiting, admins, in_province):
    approved(in_province, admins)
    with in_province(SLUG):
        db.session.execute(
            PublicationEntry.__table__.delete().where(
                PublicationEntry.tenant_id == 13, PublicationEntry.assessment_id == waiting[2].record_id
            )
        )
        db.session.commit()
    assert finish(in_province, "publish").state == "failed"
    assert seen(waiting) == HIDDEN


def test_cancelled_before_it_is_public_the_list_waits_again_and_afterwards_it_is_too_late(
    waiting, admins, in_province
):
    place = approved(in_province, admins)
    location = post_form(admins[1], f"{place}/approve", page=f"/{SLUG}/office/lines").location
    assert location == place, "approving twice asks for one job"
    first_turns = turns(in_province, "publish")
    job = next(first_turns)
    post_form(admins[0], f"/{SLUG}/office/work/{job.id}/cancel", page=f"/{SLUG}/office/work/{job.id}")
    assert [turn.state for turn in first_turns] == ["cancelled"]
    assert seen(waiting) == HIDDEN
    assert "确认并发布" in admins[1].get(place).get_data(as_text=True)
    assert post_form(admins[1], f"{place}/approve", page=place).status_code == 303
    for _, turn in zip(range(3), second_turns := turns(in_province, "publish"), strict=False):
        job = turn
    assert seen(waiting) == VERDICTS
    post_form(admins[0], f"/{SLUG}/office/work/{job.id}/cancel", page=f"/{SLUG}/office/work/{job.id}")
    assert [turn.state for turn in second_turns][-1] == "done"
    assert states(in_province, waiting).count("confirming") == 0


def test_cancelled_while_it_is_gathered_the_list_is_withdrawn(waiting, admins, in_province):
    post_form(admins[0], f"/{SLUG}/office/publications")
    gathering = turns(in_province, "gather_publication")
    job = next(gathering)
    post_form(admins[0], f"/{SLUG}/office/work/{job.id}/cancel", page=f"/{SLUG}/office/work/{job.id}")
    assert [turn.state for turn in gathering] == ["cancelled"]
    assert publication(in_province).withdrawn_at is not None
    proposed(in_province, admins)


def test_a_doctor_may_appeal_as_soon_as_the_result_is_seen(waiting, admins, in_province):
    approved(in_province, admins)
    for turn in turns(in_province, "publish"):
        if turn.cursor and "settled" in turn.cursor:
            break
    failed = waiting[2]
    assert states(in_province, waiting)[2] == "confirming"
    assert "申请复核 &gt;" in failed.get("/result")
    assert "不需要申请复核" in waiting[3].get("/requests/new/appeal")
    assert failed.post("/requests/new/appeal", page="/requests/new/appeal").status_code == 303
    assert states(in_province, waiting)[2] == "failed"
    with in_province(SLUG):
        counts_before = _trail([failed])
    finish(in_province, "publish")
    with in_province(SLUG):
        assert _trail([failed]) == counts_before
    assert states(in_province, waiting) == STATES


def test_certificates_are_issued_and_drawn_in_chunks_and_each_once(waiting, admins, in_province, monkeypatch):
    monkeypatch.setattr(issuing, "ISSUE_BATCH_SIZE", 2)
    monkeypatch.setattr(issuing, "RENDER_BATCH_SIZE", 2)
    drawn_ids, keep = [], certificate_rendering.render_and_store

    def breaks(certificate):
        drawn_ids.append(certificate.id)
        if len(drawn_ids) == 2:
            raise ZeroDivisionError
        keep(certificate)

    monkeypatch.setattr(issuing, "render_and_store", breaks)
    monkeypatch.setattr(
        certificate_rendering, "render", lambda _row: (b"%PDF", b"PNG")
    )  # how one is drawn is test_results.py's
    approved(in_province, admins)
    finish(in_province, "publish")
    job = finish(in_province, "issue_certificates")
    assert (job.state, job.result["issued"], job.result["drawn"]) == ("done", 2, 2)
    with in_province(SLUG):
        certificates = db.session.scalars(select(Certificate).where(Certificate.drawn_at.is_not(None))).all()
        records = [certificate.assessment_id for certificate in certificates]
    assert {waiting[number].record_id for number in (0, 3)} <= set(records)
    assert len(records) == len(set(records))


def test_a_list_becomes_a_sheet_by_a_job(waiting, admins, in_province, monkeypatch):
    place = proposed(in_province, admins)
    monkeypatch.setattr(list_exports, "BATCH_SIZE", 3)
    job_page = ask_for_file(admins[0], place).location
    assert [turn.done for turn in turns(in_province, "export_list")] == [3, 4, 4, 4]
    assert "下载表格" in admins[0].get(job_page).get_data(as_text=True)
    assert "下载表格" not in admins[1].get(job_page).get_data(as_text=True)
    assert admins[1].get(f"{job_page}/sheet.xlsx").status_code == 404
    active = openpyxl.load_workbook(_file(admins[0].get(f"{job_page}/sheet.xlsx"))).worksheets[0]
    cell_values = [[cell.value for cell in row] for row in active.rows]
    assert cell_values[0][:5] == ["姓名", "证件号码", "级别", "执业类别", "主要执业机构"]
    with in_province(SLUG):
        listed = select(Doctor.name, Doctor.number_masked).order_by(Doctor.name_key, Doctor.id)
        on_list = listed.join(Assessment, Assessment.doctor_id == Doctor.id).join(
            PublicationEntry, PublicationEntry.assessment_id == Assessment.id
        )
        publication_id = UUID(place.rsplit("/", 1)[1])
        expected = db.session.execute(on_list.where(PublicationEntry.publication_id == publication_id)).all()
        assert [tuple(cells[:2]) for cells in cell_values[1:]] == expected
        job_id = db.session.scalars(
            select(Job.id).where(Job.name == "export_list").order_by(Job.id.desc()).limit(1)
        ).one()
        with pytest.raises(Exception, match="没有找到"):
            list_exports.job_parts.load_part(job_id, list_exports.ROWS_SERIES, 0)


def _file(answer):
    assert answer.status_code == 200
    return io.BytesIO(answer.data)


def test_gathering_needs_somebody(waiting, admins, in_province):
    with in_province(SLUG):
        db.session.execute(update(Assessment).where(Assessment.state == "confirming").values(state="grading"))
        db.session.commit()
    assert (
        post_form(admins[0], f"/{SLUG}/office/publications", page=f"/{SLUG}/office/lines").status_code == 409
    )
    with in_province(SLUG), pytest.raises(InvalidState):
        publication_lists.propose_publication(
            actors.get_or_open_cycle(), by=actors.make_actor("province_admin")
        )


@given(
    st.dictionaries(st.uuids(), st.sampled_from(["passed", "failed"]), min_size=1, max_size=6), st.randoms()
)
def test_a_digest_is_of_the_list_and_not_of_its_order(verdicts, chance):
    shuffled = list(verdicts.items())
    chance.shuffle(shuffled)
    assert publication_lists.list_digest(dict(shuffled)) == publication_lists.list_digest(verdicts)
    record = next(iter(verdicts))
    assert publication_lists.list_digest(
        verdicts | {record: "failed" if verdicts[record] == "passed" else "passed"}
    ) != publication_lists.list_digest(verdicts)
