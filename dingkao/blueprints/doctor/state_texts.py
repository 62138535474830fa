"""The texts of the home page [S6] for each state of a doctor's assessment."""

from dataclasses import dataclass

from dingkao.practice import practice_access


@dataclass(frozen=True)
class StateText:
    """A state for the home page: its label, its stage on the timeline (a key of PHASES), the message, and the
    next step.
    `phases`: kinds of the phases of which the last day is the deadline; `until`: the deadline's label;
    `contact_order`: whether the institution or the assessor is to be contacted first; `needs_action`: the
    doctor must act before the deadline; `help`: the topic of the help link."""

    label: str
    stage: str
    message: str
    next_step: str = ""
    phases: tuple[str, ...] = ()
    until: str = ""
    contact_order: str = "institution"
    needs_action: bool = False
    help: str = ""


STATE_TEXTS = {
    "not_included": StateText(
        "未纳入", "filing", "您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人", "本机构在报名截止前把您纳入后，这里会开放填报", ("filing",), "报名截止", help="not-included",
    ),
    "included": StateText(
        "待填报", "filing", "您已被主要执业机构纳入本周期考核,请点击下方“填报信息”,及时提交完成报名", "分五步填写，在最后一步提交", ("filing",), "报名截止", needs_action=True, help="saved-not-submitted",
    ),
    "draft": StateText(
        "填报中", "filing", "您的报名信息已保存，尚未提交。请点击下方“填报信息”，填写完整后提交，否则机构无法审核", "填完五步，在最后一步提交", ("filing",), "报名截止",
        needs_action=True, help="saved-not-submitted",
    ),
    "institution_pending": StateText(
        "待机构审核", "review", "您的报名信息已提交，正在等待主要执业机构审核，请留意审核结果", "机构审核通过后，由考核机构复核", ("review",), "审核截止", help="withdraw",
    ),
    "institution_returned": StateText(
        "机构退回", "filing", "您的报名信息已被退回，请点击下方“填报信息”，按退回原因修改后重新提交", "修改后重新提交", ("filing", "review"), "重新提交截止", needs_action=True, help="returned",
    ),
    "organisation_pending": StateText(
        "待考核机构复核", "review", "主要执业机构已审核通过，正在等待考核机构复核，请留意复核结果", "复核通过后，进入待测评", ("review",), "审核截止", "assessor",
    ),
    "organisation_returned": StateText(
        "考核机构退回", "review", "考核机构已将材料退回主要执业机构核对，您暂时无需操作，请留意后续通知", "机构核对后重新送考核机构复核", ("review",), "审核截止",
    ),
    "ready": StateText(
        "待测评", "examination", "个人报名信息已通过审核,请关注后续考试通知,点击下方“参加测评”,按时完成测评({procedure})", "先在线学习，再参加测评", ("examination",),
        "考核截止", "assessor", needs_action=True, help="connection",
    ),
    "deferred": StateText(
        "已延考备案", "examination", "您的延考申请已通过并备案，本次不需要参加测评。延考时间另行通知，请留意消息", "延考安排好后会有消息通知您", contact_order="assessor", help="deferred",
    ),
    "testing": StateText(
        "测评中", "examination", "您已开始测评，请点击下方“参加测评”，在截止时间前完成全部试卷（{procedure}）", "完成全部试卷", ("examination",), "考核截止", "assessor",
        needs_action=True, help="connection",
    ),
    "scored": StateText(
        "已交卷", "examination", "您已完成测评，请等待本省公布合格线和考核结果（{procedure}）", "公布合格线后综合评定", ("completion",), "完成阶段至", "assessor", help="score",
    ),
    "absent": StateText("缺考", "examination", "您未在规定时间内参加测评，请联系所属考核机构了解后续安排", "由考核机构告知是否安排补考", contact_order="assessor", help="missed-exam"),
    "grading": StateText(
        "待综合评定", "examination", "测评已结束，考核机构正在综合评定，请等待考核结果发布", "评定后由本省发布结果", ("completion",), "完成阶段至", "assessor", help="score",
    ),
    "confirming": StateText("待发布", "examination", "综合评定已完成，请等待本省发布考核结果", "结果发布后会有消息通知您", ("completion",), "完成阶段至", "assessor", help="score"),
    "passed": StateText("考核结果：合格", "completion", "您本周期的考核结果已发布,请点击下方“考核结果”查看({procedure})", contact_order="assessor", help="save-certificate"),
    "failed": StateText("考核结果：不合格", "completion", "您本周期的考核结果已发布,请点击下方“考核结果”查看({procedure})", contact_order="assessor", help="failed"),
}  # fmt: skip
NO_CYCLE_TEXT = "本省尚未开始新的考核周期，开始后本机构会通知您，请留意。"
DEADLINE_PASSED_TEXTS = {
    "included": "您已被纳入本周期考核，但报名已截止，您还没有填报。如需补报，请尽快联系主要执业机构",
    "draft": "报名已截止，您的报名信息已保存但没有提交，机构无法审核。如需补报，请尽快联系主要执业机构",
    "institution_returned": "您的报名信息已被退回，重新提交的时间已过。如需补报，请尽快联系主要执业机构",
}
BEFORE_PHASE_TEXT = "您已被主要执业机构纳入本周期考核，报名从{}开始，届时请点击下方“填报信息”填写并提交"
EXEMPTED_TEXT = "您的免考申请已通过，不需要参加测评。考核机构正在综合评定，请等待考核结果发布"
REQUEST_STATE_TEXTS = {
    "draft": "您有一份{}申请尚未提交",
    "first_pending": "您的{}申请正在办理",
    "second_pending": "您的{}申请正在复审",
}
NO_TEST_TEXT = "您的材料已通过复核，按本省规定简易程序不参加测评，考核机构正在综合评定，请等待考核结果发布"
PRACTICE_CLOSED_TEXTS = {
    practice_access.NOT_INCLUDED_MESSAGE: "纳入考核后开放",
    practice_access.NOT_YET_OPEN_MESSAGE: "通过审核后开放",
    practice_access.TEST_STARTED_MESSAGE: "测评开始后关闭",
    practice_access.TEST_FINISHED_MESSAGE: "测评已结束",
    practice_access.DEFERRED_MESSAGE: "延考安排好后开放",
    practice_access.ABSENT_MESSAGE: "测评已结束",
    practice_access.EXEMPTED_MESSAGE: "免考，不参加测评",
    practice_access.PHASE_OVER_MESSAGE: "考核结束后关闭",
}
"""Reason why practice is closed → a few words, for which a tile has room."""
UNSUBMITTED_TEXTS = {
    "draft": "已保存，尚未提交",
    "institution_returned": "已退回，尚未重新提交",
}
