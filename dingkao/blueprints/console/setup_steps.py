"""The steps to set up a new province, on the console's first page."""

from dataclasses import dataclass

from flask import url_for

from dingkao.cycles.models import Cycle
from dingkao.requests.dashboard import setup_progress


@dataclass(frozen=True)
class SetupStep:
    """A step to set up a province: its label and hint, whether it is done, and the URL of the page on which
    it is done."""

    label: str
    hint: str
    is_done: bool
    address: str


def open_setup_steps(cycle: Cycle | None) -> list[SetupStep]:
    """All steps that a province needs before its doctors can begin, in their order; empty once all are
    done."""
    progress = setup_progress(cycle)
    if progress.is_complete:
        return []
    step_values = (
        (
            "公布客服电话",
            "显示在每位医师的主页上。",
            progress.has_contact,
            url_for("province_settings.edit_settings"),
        ),
        (
            "上传公章",
            "未上传前，结果通知书标注“样张”。",
            progress.has_seal,
            url_for("province_settings.edit_settings", _anchor="seal"),
        ),
        (
            "添加机构",
            "从表格导入，或逐个添加。",
            progress.has_institutions,
            url_for("institutions.list_institutions"),
        ),
        (
            "指定考核机构",
            "每家机构都要有所属考核机构，医院可以考核本院。",
            progress.has_assessors,
            url_for("institutions.list_institutions"),
        ),
        (
            "邀请第二位省级管理员",
            "公章、合格线和结果发布须由两人办理。",
            progress.has_second_administrator,
            url_for("staff.list_staff"),
        ),
        (
            "邀请机构和考核机构人员",
            "经办人、审核人、复核人。",
            progress.has_organisation_staff,
            url_for("staff.list_staff"),
        ),
        (
            "开始考核周期",
            "填写报名、审核、考核、完成的日期。",
            progress.has_cycle,
            url_for("enrolment.cycle"),
        ),
        (
            "导入题库",
            "公共知识和各执业类别的业务水平。",
            progress.has_questions,
            url_for("question_banks.list_banks"),
        ),
        (
            "安排试卷",
            "按执业类别、级别和科目。",
            progress.has_papers,
            url_for("papers.list_papers"),
        ),
        (
            "导入医师名单",
            "也可以由各机构经办人导入本机构的名单。",
            progress.has_doctors,
            url_for("doctors.import_roster"),
        ),
    )
    return [SetupStep(*values) for values in step_values]
