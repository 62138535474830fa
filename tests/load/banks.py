"""A bank of a hundred thousand questions: taken in, let in by another person, had as a sheet, by the pages
and workers of a stack, while workers are killed; then counted that each question is there once. Then one as
large that the platform shares: brought, compared, taken over. JSON lines as of `make bench`.

python -m tests.load.banks --questions 100000 --kills 3
"""

import argparse
import os
import secrets
import tempfile
import time
from pathlib import Path

from sqlalchemy import func, select

from dingkao.database.base import db
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.people.models import Account
from dingkao.people.provinces import open_province
from dingkao.question_banks import import_jobs, shared_bank_updates, shared_banks
from dingkao.question_banks.importing.columns import TEMPLATE
from dingkao.question_banks.models import Question, QuestionBank
from tests import conftest
from tests.load.bench_stack import Bench, report_at_most, report_result
from tests.load.province import PAGE_MS, WORKER_MB, WorkerKiller, admin, finished

SLUG, BANK, SHARED, SMALL = "shanxi", "十万题", "共享十万题", "共享小题库"
REQUEST_MS = 2_000


def sheet(questions: int) -> bytes:
    """A file in the template's columns: single questions of 公共知识, and among them cases of three."""

    def row(number: int) -> list[str]:
        case = number % 50 < 3
        shared_cells = (
            ["A3", str(number // 50), f"病例{number // 50}，女，30岁。"] if case else ["A1", "", ""]
        )
        options = [f"{letter}项，第{number}题" for letter in "ABCDE"]
        return [
            *shared_cells,
            f"第{number}题，下列说法正确的是？",
            *options,
            "ABCDE"[number % 5],
            f"解析{number}",
            "公共知识",
            "",
            f"第{number % 40}章",
            "",
            "",
        ]

    return xlsx_writer.write_xlsx(list(TEMPLATE), map(row, range(questions)), "试题", large=True)


def work(bench: Bench, questions: int, kills: int) -> None:
    """All of it."""
    with bench.inside(SLUG) as province:
        open_province(province, by=TERMINAL_ACTOR)
        db.session.commit()
    administrator, colleague, killer = (
        admin(bench, SLUG, "bench-one"),
        admin(bench, SLUG, "bench-two"),
        WorkerKiller(bench, kills),
    )
    content = sheet(questions)
    report_result("sheet_mb", len(content) / 1e6, "MB", None, None)
    with bench.inside(SLUG):
        asker = db.session.scalars(
            select(Account.id).where(Account.name == "测试").order_by(Account.id).limit(1)
        ).one()
        began = time.monotonic()
        import_jobs.enqueue_import(
            content, "十万题.xlsx", bank_name=BANK, by=Actor("staff", asker, frozenset({"province_admin"}))
        )
        db.session.commit()
    report_at_most("import_request_ms", (time.monotonic() - began) * 1000, "ms", REQUEST_MS)
    report_result("import_job_seconds", finished(bench, SLUG, "import_questions", killer), "s", None, None)
    with bench.inside(SLUG):
        bank = db.session.scalars(select(QuestionBank.id).where(QuestionBank.name == BANK)).one()
    page = f"/office/banks/{bank}"
    report_at_most("bank_page_ms", administrator.get(page)[1], "ms", PAGE_MS)
    report_at_most("approve_request_ms", colleague.post(f"{page}/approve", page, all="1")[1], "ms", PAGE_MS)
    report_result("approve_job_seconds", finished(bench, SLUG, "approve_bank", killer), "s", None, None)
    job, took = administrator.post(f"{page}/export/xlsx", page)
    report_at_most("export_request_ms", took, "ms", PAGE_MS)
    report_result("export_job_seconds", finished(bench, SLUG, "export_bank", killer), "s", None, None)
    status, _, body, _ = administrator.ask("GET", f"/{SLUG}{job}/sheet.xlsx")
    assert status == 200, status
    report_result("export_mb", len(body) / 1e6, "MB", None, None)
    shared(bench, questions, killer)
    report_at_most("worker_peak_mb", killer.memory, "MB", WORKER_MB)
    report_result("workers_killed", killer.killed, "kills", None, None)
    with bench.inside(SLUG):
        question_count = (
            db.session.scalar(select(func.count()).select_from(Question).where(Question.bank_id == bank)) or 0
        )
        used = (
            db.session.scalar(
                select(func.count())
                .select_from(Question)
                .where(
                    Question.bank_id == bank, Question.retired_at.is_(None), Question.approved_at.is_not(None)
                )
            )
            or 0
        )
    for name, number in (("questions", question_count), ("used", used)):
        report_result(name, number, "rows", questions, number == questions)


def shared(bench: Bench, questions: int, killer: WorkerKiller) -> None:
    """A bank that the platform shares, in the province that takes it over."""
    office = admin(bench, SLUG, "bench-three")
    with bench.application.app_context():
        began = time.monotonic()
        shared_bank_updates.update_from_file(sheet(questions), SHARED, whole=True, file_name="共享.xlsx")
        report_result("share_by_terminal_seconds", time.monotonic() - began, "s", None, None)
        small_file = sheet(shared_banks.MAX_QUESTIONS_IN_REQUEST)
        began = time.monotonic()
        shared_bank_updates.update_from_file(
            small_file,
            SHARED,
            whole=False,
            file_name="共享.xlsx",
            limit=shared_banks.MAX_QUESTIONS_IN_REQUEST,
        )
        report_at_most("share_in_request_ms", (time.monotonic() - began) * 1000, "ms", REQUEST_MS)
        small = shared_bank_updates.update_from_file(
            sheet(shared_banks.MAX_INLINE_QUESTIONS), SMALL, whole=True, file_name="共享.xlsx"
        )
        assert small.accepted == shared_banks.MAX_INLINE_QUESTIONS
        banks = {
            shared_bank.name: f"/office/banks/shared/{shared_bank.id}"
            for shared_bank in shared_banks.list_shared_banks()
        }
    report_at_most("small_shared_page_ms", office.get(banks[SMALL])[1], "ms", PAGE_MS)
    report_at_most("small_take_over_request_ms", office.post(banks[SMALL], banks[SMALL])[1], "ms", REQUEST_MS)
    page = banks[SHARED]
    report_at_most("shared_banks_page_ms", office.get("/office/banks/shared")[1], "ms", PAGE_MS)
    report_at_most("compare_request_ms", office.post(f"{page}/compare", page)[1], "ms", PAGE_MS)
    report_result(
        "compare_job_seconds", finished(bench, SLUG, "compare_shared_bank", killer), "s", None, None
    )
    report_at_most("compared_page_ms", office.get(page)[1], "ms", PAGE_MS)
    report_at_most("take_over_request_ms", office.post(page, page)[1], "ms", PAGE_MS)
    report_result("take_over_job_seconds", finished(bench, SLUG, "take_over_bank", killer), "s", None, None)
    with bench.inside(SLUG):
        of_bank = (QuestionBank.tenant_id == Question.tenant_id) & (QuestionBank.id == Question.bank_id)
        taken_count = (
            db.session.scalar(
                select(func.count())
                .select_from(Question)
                .join(QuestionBank, of_bank)
                .where(QuestionBank.name == SHARED)
            )
            or 0
        )
    report_result("taken_over", taken_count, "rows", questions, taken_count == questions)


def main() -> None:
    """A stack of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=3, help="how often the worker is killed")
    args = parser.parse_args()
    for name in conftest.FROM_OUTSIDE:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="dingkao-banks-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        bench = Bench(Path(folder) / f"home-{secrets.token_hex(3)}")
        try:
            work(bench, args.questions, args.kills)
        finally:
            bench.end()


if __name__ == "__main__":
    main()
