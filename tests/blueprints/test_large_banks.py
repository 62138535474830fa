"""A bank of a hundred thousand questions: brought, let in and taken out chunk by chunk, each question
once."""

import io
from uuid import UUID, uuid4

import openpyxl
import pytest
from sqlalchemy import select

from dingkao.database.base import db
from dingkao.integrations import job_parts
from dingkao.jobs import chunks, enqueueing
from dingkao.journal.models import JournalEntry
from dingkao.people import list_exports, spreadsheet_imports
from dingkao.question_banks import question_approval
from dingkao.question_banks.importing import batch
from tests import actors
from tests.blueprints.sample_bank import OFFICE, SLUG, Bank
from tests.blueprints.signed_in_client import post_form


@pytest.fixture
def ground(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))


@pytest.fixture
def bank(application, in_province, ground, request):
    return Bank(application, in_province, request.node.name[:60])


@pytest.fixture
def turns(bank, monkeypatch):
    """Take the turns of a job one by one, each of one chunk; gives its row after each. No worker listens."""
    monkeypatch.setattr(enqueueing, "DEFAULT_QUEUE", f"quiet-{uuid4().hex}")
    monkeypatch.setattr(chunks, "MAX_TURN_SECONDS", 0.0)

    return lambda place: actors.iter_job_turns(bank.in_province, SLUG, UUID(place.rsplit("/", 1)[1]))


def case(number, stem, shared=""):
    return f"A3,{number},{shared},{stem},A 一\\nB 二,A,公共知识"


GROUPED = "\n".join(
    [
        "题型,组号,共用题干,题干,选项,答案,科目",
        case(7, "甲?", "病例七"),
        case(7, "乙?"),
        "A1,,,单?,A 一\\nB 二,Z,公共知识",
        case(7, "丙?"),
        case(7, "甲?"),
        case(8, "丁?", "病例八"),
    ]
).encode()


def test_a_file_goes_in_chunk_by_chunk_and_each_question_once_whatever_breaks(bank, turns, monkeypatch):
    monkeypatch.setattr(spreadsheet_imports, "ROWS_PER_CHUNK", 2)
    import_batch, broken = batch.import_batch, []

    def breaks(*given, **more):
        import_batch(*given, **more)
        broken.append(1)
        if len(broken) in (2, 4):
            raise ZeroDivisionError

    monkeypatch.setattr("dingkao.question_banks.import_jobs.import_batch", breaks)
    place = post_form(
        bank.editor,
        f"{OFFICE}/banks/import",
        page=f"{OFFICE}/banks",
        bank=bank.name,
        file=(io.BytesIO(GROUPED), "x.csv"),
    ).location
    job_turns = list(turns(place))
    assert [turn.done for turn in job_turns[:4]] == [0, 2, 2, 4]
    last = job_turns[-1]
    assert (last.state, last.done, last.total) == ("done", 6, 6)
    assert [last.result[name] for name in ("accepted", "changed", "unchanged", "refused")] == [4, 0, 0, 2]
    questions = bank.rows()
    assert [
        (version.stem, version.case_stem, question.group_position) for question, version in questions
    ] == [
        ("甲?", "病例七", 1),
        ("乙?", "病例七", 2),
        ("丙?", "病例七", 3),
        ("丁?", "病例八", 1),
    ]
    assert len({question.group_id for question, _ in questions}) == 2
    report = openpyxl.load_workbook(io.BytesIO(bank.editor.get(f"{place}/report.xlsx").data)).active
    assert [[cell.value for cell in row[:3]] for row in report.rows][1:] == [
        [4, "答案", "未导入"],
        [6, "题干", "未导入"],
    ]
    with bank.in_province(SLUG):
        journal_entries = db.session.scalars(
            select(JournalEntry).where(JournalEntry.subject_id == UUID(bank.address.rsplit("/", 1)[1]))
        ).all()
        assert [(entry.verb, entry.details["accepted"]) for entry in journal_entries] == [
            ("questions_imported", 4)
        ]
        with pytest.raises(Exception, match="没有找到"):
            job_parts.load_part(last.id, spreadsheet_imports.ROWS_SERIES, 1)


def test_a_bank_is_let_in_chunk_by_chunk_each_question_once_and_what_is_let_in_stays_when_it_is_cancelled(
    bank, turns, monkeypatch
):
    monkeypatch.setattr(question_approval, "APPROVE_BATCH_SIZE", 2)
    lines = [f"第{number}题?,A 一\\nB 二,A,公共知识" for number in range(7)]
    bank.bring("\n".join(["题干,选项,答案,科目", *lines]).encode())
    approve, broken = question_approval.approve_version, []

    def breaks(version, *, by):
        broken.append(1)
        if len(broken) == 4:
            raise ZeroDivisionError
        approve(version, by=by)

    monkeypatch.setattr(question_approval, "approve_version", breaks)
    place = post_form(bank.approver, f"{bank.address}/approve", page=bank.address, all="1").location
    job_turns = turns(place)
    assert [(next(job_turns).done, bank.drawn()) for _ in range(3)] == [(2, 2), (2, 2), (4, 4)]
    post_form(bank.approver, f"{place}/cancel", page=place)
    assert [turn.state for turn in job_turns] == ["cancelled"]
    assert bank.drawn() == 4
    location = post_form(bank.approver, f"{bank.address}/approve", page=bank.address, all="1").location
    last = list(turns(location))[-1]
    assert (last.state, last.done, last.total, last.result["changed"], bank.drawn()) == ("done", 3, 3, 3, 7)
    with bank.in_province(SLUG):
        journal_entries = db.session.scalars(
            select(JournalEntry)
            .where(
                JournalEntry.subject_id == UUID(bank.address.rsplit("/", 1)[1]),
                JournalEntry.verb == "approved",
            )
            .order_by(JournalEntry.at)
        ).all()
        assert [entry.details["approved"] for entry in journal_entries] == [4, 3]


@pytest.mark.parametrize("kind", ["xlsx", "gift"])
def test_a_large_bank_leaves_by_a_job_the_same(bank, turns, monkeypatch, kind):
    assert "新增 4" in bank.bring(GROUPED)
    assert bank.editor.post(f"{bank.address}/export/{kind}").status_code == 400, (
        "without its token nothing leaves"
    )
    monkeypatch.setattr(list_exports, "MAX_INLINE_ROWS", 3)
    monkeypatch.setattr(list_exports, "BATCH_SIZE", 1)
    place = post_form(bank.editor, f"{bank.address}/export/{kind}", page=bank.address).location
    job_turns = list(turns(place))
    assert [(turn.done, turn.state) for turn in job_turns][:3] == [
        (3, "running"),
        (4, "running"),
        (4, "running"),
    ]
    assert job_turns[-1].state == "done"
    assert bank.approver.get(f"{place}/sheet.xlsx").status_code == 404
    exported = bank.editor.get(f"{place}/sheet.xlsx")
    assert exported.mimetype == (
        "text/plain"
        if kind == "gift"
        else "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    )
    assert "新增 0，更新 0，未变 4，拒绝 0" in bank.bring(exported.data, f"x.{kind}")
