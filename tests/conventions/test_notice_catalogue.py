"""The catalogue of notices: every text can be written, leads somewhere, and stands nowhere else."""

import importlib.util
from pathlib import Path
from string import Formatter

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine, text

from dingkao.people import notice_catalogue
from dingkao.people.models import NOTICE_TARGETS, Notice
from dingkao.people.notice_catalogue import NOTICE_KINDS, SMS_CODE, TARGET_OF_RECORD, NoticeKind
from dingkao.people.sms_codes import CODE_MINUTES
from tests import actors

HOUSE = Path(__file__).resolve().parents[2]
KNOWN_TEXTS = [
    (
        "报名信息被退回",
        "主要执业机构退回了您的报名信息，请修改后重新提交。退回原因：复核已通过",
        "returned_by_institution",
    ),
    (
        "报名信息被退回",
        "考核机构退回了您的报名信息，请修改后重新提交。退回原因：照片不清",
        "returned_by_organisation",
    ),
    ("复核已通过", "个人报名信息已通过审核，请关注后续考试通知", "accepted"),
    ("复核已通过", "您的报名信息已通过考核机构复核。按本省规定", "accepted_without_test"),
    ("作答时间已延长", "因停电，您的作答截止时间由10:00延长至10:30。请继续作答。", "sitting_extended"),
    ("作答时间已延长", "因停电，您的作答时间已延长5分钟，截止时间为10:00。请继续作答。", "time_added"),
    (
        "作答时间已延长",
        "因停电，您的作答时间已延长5分钟，截止时间为10:00。试卷已重新打开，请尽快",
        "time_added_reopened",
    ),
    ("考试情况核查结果", "经核查，您的这次作答作废，按缺考处理。对处理有异议的", "case_voided_absent"),
    ("复核申请已通过", "您的复核申请已部分通过：职业道德改为合格。", "appeal_granted_partly"),
    ("信息更正申请已通过一级审核", "您的信息更正申请已通过主要执业机构审核", "request_first_approved"),
    ("信息更正申请已通过", "您申请更正的信息已更新。", "correction_granted"),
    ("复核申请已答复", "您的复核申请已有答复：维持原考核结果。", "appeal_upheld"),
    ("延考申请已撤回", "您的免考申请已通过，延考申请已自动撤回。", "request_lapsed"),
    ("报名即将截止：还有3天", "2026年的报名将于…截止。您的报名信息已保存，尚未提交，机构", "reminder_draft"),
    ("测评即将截止：今天是最后一天", "…您还没有参加测评。请在主页", "reminder_ready"),
    ("考核结果已发布", "您本周期的考核结果已发布，请在主页点击", "result_published"),
    ("您有新的学习资料", "…", "legacy"),
]


def test_each_kind_is_registered_under_a_code_of_its_own():
    constants = [value for value in vars(notice_catalogue).values() if isinstance(value, NoticeKind)]
    assert sorted(kind.code for kind in constants) == sorted(NOTICE_KINDS)
    with pytest.raises(ValueError, match="not a notice kind"):
        Notice(kind="unknown")


@pytest.mark.parametrize("kind", NOTICE_KINDS.values(), ids=NOTICE_KINDS)
def test_each_text_can_be_written_and_leads_somewhere(kind):
    fields = {name: f"<{name}>" for name in kind.field_names()}
    written = kind.title_text(**fields) + kind.body_text(**fields) + (kind.sms or "").format(**fields)
    assert "{" not in written
    assert all(mark in written for mark in fields.values())
    assert kind.target in (None, TARGET_OF_RECORD, *NOTICE_TARGETS)


def test_the_texts_stand_nowhere_else():
    longest = {
        kind.code: max((literal for literal, *_ in Formatter().parse(kind.body)), key=len)
        for kind in NOTICE_KINDS.values()
    }
    modules = [path for path in (HOUSE / "dingkao").rglob("*.py") if path.stem != "notice_catalogue"]
    sources = {path: path.read_text() for path in modules}
    twice = [
        (code, str(path))
        for code, part in longest.items()
        if len(part) > 8
        for path, source in sources.items()
        if part in source
    ]
    assert twice == []


def test_notices_of_before_get_their_kinds_and_results_their_day_of_receipt(stack, application, in_province):
    """The migration, upon notices written before there were kinds; one batch holds two of them."""
    [path] = (HOUSE / "migrations" / "versions").glob("*_notice_kinds.py")
    spec = importlib.util.spec_from_file_location("notice_kinds", path)
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    migration.BATCH = 2
    someone = actors.signed_in_doctor(application, in_province, "jiangsu", 412)
    engine = create_engine(stack.environment["MIGRATOR_DATABASE_URL"])
    with engine.connect() as connection, Operations.context(MigrationContext.configure(connection)):
        record = connection.execute(
            text(
                "SELECT a.tenant_id, a.id, d.account_id FROM assessment a JOIN doctor d ON "
                "d.tenant_id = a.tenant_id AND d.id = a.doctor_id"
                " WHERE a.id = :id"
            ),
            {"id": someone.record_id},
        ).one()
        _mapping = record._mapping
        connection.execute(text("DELETE FROM notice WHERE tenant_id = :tenant_id"), _mapping)
        connection.execute(
            text(
                "UPDATE assessment SET state = 'failed', performance = 'pass', ethics = 'pass', "
                "changed_at = now() - interval '9 days',"
                " result_received_at = NULL WHERE tenant_id = :tenant_id AND id = :id"
            ),
            _mapping,
        )
        for title, body, _ in KNOWN_TEXTS:
            connection.execute(
                text(
                    "INSERT INTO notice (tenant_id, id, account_id, kind, title, body, written_at, read_at)"
                    " VALUES (:tenant_id, gen_random_uuid(), :account_id, 'legacy', :title, :body, "
                    "now() - interval '8 days', now() - interval '7 days')"
                ),
                {**_mapping, "title": title, "body": body},
            )
        migration.fill_kinds(connection, record.tenant_id)
        found = connection.execute(
            text("SELECT title, body, kind FROM notice WHERE tenant_id = :tenant_id"), _mapping
        ).all()
        assert sorted(map(tuple, found)) == sorted(KNOWN_TEXTS)
        connection.execute(text(migration.RECEIPTS), {"tenant": record.tenant_id})
        received = text(
            "SELECT result_received_at = now() - interval '7 days' FROM assessment WHERE tenant_id = "
            ":tenant_id AND id = :id"
        )
        assert connection.scalar(received, _mapping)
        linked = text("SELECT kind FROM notice WHERE tenant_id = :tenant_id AND subject_id = :id")
        assert connection.scalars(linked, _mapping).all() == ["result_published"]
        connection.rollback()
    engine.dispose()


def test_carriers_templates_say_of_codes_what_the_text_says():
    text = SMS_CODE.format(code="${code}", minutes=CODE_MINUTES).removeprefix("【定考】")
    assert f"«{text}»" in (HOUSE / "deploy" / "README.md").read_text()
