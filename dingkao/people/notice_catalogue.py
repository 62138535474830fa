"""Every notice (消息) and every text message that the product sends: its wording, the page it leads to, and
the channels by which it is announced.

To add a notice, add one entry here and call `notify` (assessments.doctor_notices) or `notify_account`
(people.notices) with it. A notice keeps the wording with which it was written; code refers to its kind, never
to its wording.
"""

from dataclasses import dataclass
from string import Formatter

TARGET_OF_RECORD = "of_record"
"""Target: the page that fits the state of the doctor's assessment."""
BY_PROVINCE = frozenset({"sms", "wechat"})
"""Channels: the notice is announced by each of these that the province has switched on."""


@dataclass(frozen=True)
class NoticeKind:
    """A kind of notice. `title`, `body` and `sms` are templates for `str.format` with named fields. `code` is
    stored in `notice.kind`.
    `target`: one of `people.models.NOTICE_TARGETS`, TARGET_OF_RECORD, or None if the recipient has nothing to
    do. `channels`: by which the notice is announced. `sms`: the text of a text message of its own, sent at
    once even if the province has switched the channels off."""

    code: str
    title: str
    body: str
    target: str | None = TARGET_OF_RECORD
    channels: frozenset[str] = BY_PROVINCE
    sms: str | None = None

    def title_text(self, **fields: object) -> str:
        """The title with its fields filled in. Raises KeyError if a field is missing."""
        return self.title.format(**fields)

    def body_text(self, **fields: object) -> str:
        """The body with its fields filled in. Raises KeyError if a field is missing."""
        return self.body.format(**fields)

    def field_names(self) -> set[str]:
        """The fields that the title, the body and the text message need."""
        texts = (self.title, self.body, self.sms or "")
        return {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}


NOTICE_KINDS: dict[str, NoticeKind] = {}
"""All kinds, by code."""


def _register(
    code: str,
    title: str,
    body: str,
    *,
    target: str | None = TARGET_OF_RECORD,
    channels: frozenset[str] = BY_PROVINCE,
    sms: str | None = None,
) -> NoticeKind:
    """Add a kind to NOTICE_KINDS and return it (parameters as in NoticeKind). Raises ValueError if its code
    is taken."""
    if code in NOTICE_KINDS:
        raise ValueError(f"notice kind {code} is registered twice")
    kind = NoticeKind(code, title, body, target, channels, sms)
    NOTICE_KINDS[code] = kind
    return kind


LEGACY = _register("legacy", "{title}", "{body}", target=None)
"""Notices written before the kind was stored, whose wording didn't show their kind."""

# --- enrolment and review

ENROLLED = _register(
    "enrolled",
    "您已被纳入本周期考核",
    "您已被主要执业机构纳入{cycle}考核，请及时填报信息并提交。",
    target="filing",
)
REMOVED_FROM_LIST = _register(
    "removed_from_list",
    "您已被移出本周期考核名单",
    "主要执业机构已将您移出{cycle}考核名单，原因：{reason}。如有疑问请联系本机构。",
    target=None,
)
TRANSFER_ASKED = _register(
    "transfer_asked",
    "正在办理变更主要执业机构",
    "机构已提出将您的主要执业机构变更为{institution}，须原机构和新机构双方同意。"
    "如与实际不符，请尽快联系本机构。",
    target=None,
)
TRANSFER_DONE = _register(
    "transfer_done",
    "主要执业机构已变更",
    "您的主要执业机构已变更为{institution}。{next}",
    target=None,
)
TRANSFER_REFUSED = _register(
    "transfer_refused",
    "变更主要执业机构未办成",
    "变更主要执业机构没有得到同意，原因：{reason}。您的主要执业机构不变。",
    target=None,
)
INSTITUTION_MERGED = _register(
    "institution_merged",
    "主要执业机构已合并",
    "{former}已并入{institution}，您的主要执业机构已变更为{institution}。您已填报的内容和考核进度都在，"
    "无需另行办理。",
    target=None,
)
ASSISTANCE_BEGUN = _register(
    "assistance_begun",
    "机构正在代您填报",
    "主要执业机构正在代您填报报名信息，原因：{reason}。您可以登录查看代填的内容，并可自行修改；"
    "提交前须由您本人确认。",
    target="filing",
)
ASSISTED_SUBMITTED = _register(
    "assisted_submitted",
    "代填的报名信息已提交",
    "经您本人确认，主要执业机构已提交代您填写的报名信息。如与实际不符，请尽快登录撤回，或联系本机构。",
    target="filing",
)
INSTITUTION_APPROVED = _register(
    "institution_approved",
    "机构审核已通过",
    "您的报名信息已通过主要执业机构审核，正在等待考核机构复核。",
)
RETURNED_BY_INSTITUTION = _register(
    "returned_by_institution",
    "报名信息被退回",
    "主要执业机构退回了您的报名信息，请修改后重新提交。退回原因：{reason}",
)
RETURNED_BY_ORGANISATION = _register(
    "returned_by_organisation",
    "报名信息被退回",
    "考核机构退回了您的报名信息，请修改后重新提交。退回原因：{reason}",
)
ACCEPTED = _register(  # the body is the manual's text, word for word
    "accepted",
    "复核已通过",
    "个人报名信息已通过审核，请关注后续考试通知，在主页点击“参加测评”，按时完成测评。",
)
ACCEPTED_WITHOUT_TEST = _register(
    "accepted_without_test",
    "复核已通过",
    "您的报名信息已通过考核机构复核。按本省规定，简易程序不参加测评，请等待考核结果。",
)
REVIEW_RECALLED = _register(
    "review_recalled",
    "审核结果已撤回",
    "{office}已撤回对您报名信息的审核结果，将重新审核，您暂时无需操作。原因：{reason}",
    target=None,
)
PROCEDURE_CHANGED = _register(
    "procedure_changed",
    "考核程序已改为一般程序",
    "考核机构将您的考核程序由简易程序改为一般程序，您需要参加测评。原因：{reason}",
)

# --- the exam

SLOT_ASSIGNED = _register(
    "slot_assigned",
    "考试场次安排",
    "您的{subject}场次为{opens}至{closes}{place}。请在场次时间内进入考试。",
)
SLOT_CHANGED = _register(
    "slot_changed",
    "考试场次变更",
    "您的{subject}场次为{opens}至{closes}{place}。请在场次时间内进入考试。",
)
SLOT_SEAT = "，考场：{hall}（{address}），座位{seat}号"
"""The `place` of SLOT_ASSIGNED and SLOT_CHANGED if the slot has a hall; else `place` is ""."""
SLOT_CANCELLED = _register(
    "slot_cancelled",
    "考试场次取消",
    "您原定{opens}的考试场次已取消，请留意新的安排，或联系所属考核机构。",
)
TIME_ADDED = _register(
    "time_added",
    "作答时间已延长",
    "因{reason}，您的作答时间已延长{minutes}分钟，截止时间为{until}。请继续作答。",
)
TIME_ADDED_REOPENED = _register(
    "time_added_reopened",
    "作答时间已延长",
    "因{reason}，您的作答时间已延长{minutes}分钟，截止时间为{until}。"
    "试卷已重新打开，请尽快用原来的手机从“参加测评”进入，没有送达的答案会自动送出并计入。",
)
SITTING_EXTENDED = _register(
    "sitting_extended",
    "作答时间已延长",
    "因{reason}，您的作答截止时间由{before}延长至{until}。请继续作答。",
)
WINDOW_EXTENDED = _register(
    "window_extended",
    "考试时间已延长",
    "因{reason}，“{paper}”的考试时间已延长，请在{until}前进入考试。",
)
HANDED_IN_BY_SYSTEM = _register(
    "handed_in_by_system",
    "试卷已到时自动交卷",
    "您有一份试卷作答时间已到，系统已自动交卷，已保存的答案全部计入。",
)
ABSENT = _register(
    "absent",
    "缺考",
    "您未在规定时间内参加全部测评，已记为缺考。请联系所属考核机构了解后续安排。",
)
PAPER_SCORE_ENTERED = _register(
    "paper_score_entered",
    "线下测评成绩已登记",
    "您参加线下测评的成绩已由考核机构登记。考核结果由省级统一发布，发布后会通知您。",
)
CASE_OPENED = _register(
    "case_opened",
    "考试情况需要您说明",
    "所属考核机构正在核查您的一次作答。请在{until}前进入系统查看原因并作出说明；说明会作为处理依据。",
    target="cases",
)
CASE_DISMISSED = _register(
    "case_dismissed",
    "考试情况核查结果",
    "经核查不予处理，您的作答有效。处理依据：{opinion}",
    target="cases",
)
CASE_VOIDED_RESIT = _register(
    "case_voided_resit",
    "考试情况核查结果",
    "经核查，您的这次作答作废，可在{until}前重新参加该试卷的考试。处理依据：{opinion}",
    target="cases",
)
CASE_VOIDED_ABSENT = _register(
    "case_voided_absent",
    "考试情况核查结果",
    "经核查，您的这次作答作废，按缺考处理。对处理有异议的，可在结果发布后申请复核。处理依据：{opinion}",
    target="cases",
)

# --- the result

RESULT_PUBLISHED = _register(
    "result_published",
    "考核结果已发布",
    "您本周期的考核结果已发布，请在主页点击“考核结果”查看。",
)
RESULT_CHANGED_TO_PASSED = _register(
    "result_changed_to_passed",
    "考核结果已更正为合格",
    "因试题答案更正重新判分，您的业务水平评定改为合格，考核结果改为合格。"
    "结果通知书生成后可在“考核结果”中查看。",
)
VERDICT_CORRECTED = _register(
    "verdict_corrected",
    "业务水平评定已更正",
    "因试题答案更正重新判分，您的业务水平评定改为合格。其他评定仍有不合格，考核结果不变。",
)
SCORE_CORRECTED = _register(
    "score_corrected",
    "测评成绩已更正",
    "因试题答案更正重新判分，您的测评成绩有变化，考核结果不变。",
)

# --- requests; `request` is the kind of the request, as 免考

REQUEST_FIRST_APPROVED = _register(
    "request_first_approved",
    "{request}申请已通过一级审核",
    "您的{request}申请已通过{side}审核，正在等待{next_side}复审。",
)
EXEMPTION_GRANTED = _register(
    "exemption_granted",
    "免考申请已通过",
    "您的免考申请已通过，业务水平测评免考，不需要参加考试。请等待综合评定和考核结果。",
)
DEFERRAL_GRANTED = _register(
    "deferral_granted",
    "延考申请已通过",
    "您的延考申请已通过并备案，本次不需要参加考试。延考时间另行通知，请留意消息。",
)
CHANGE_GRANTED = _register("change_granted", "信息修改申请已通过", "您申请修改的信息已更新。")
CORRECTION_GRANTED = _register(
    "correction_granted",
    "信息更正申请已通过",
    "您申请更正的信息已更新。{new_number}{new_certificate}",
)
NEW_NUMBER = "今后请使用新的证件号码登录。"
NEW_CERTIFICATE = "考核结果通知书已重新签发，原通知书作废。"
"""Sentences that CORRECTION_GRANTED adds if the number was corrected, or a certificate issued again; else
""."""
APPEAL_GRANTED_PASSED = _register(
    "appeal_granted_passed",
    "复核申请已通过",
    "您的复核申请已通过：{verdicts}，考核结果改为合格。结果通知书生成后可在“考核结果”中查看。",
)
APPEAL_GRANTED_PARTLY = _register(
    "appeal_granted_partly",
    "复核申请已通过",
    "您的复核申请已部分通过：{verdicts}。其他评定仍有不合格，考核结果不变。",
)
REQUEST_REFUSED = _register(
    "request_refused",
    "{request}申请未通过",
    "您的{request}申请未通过。原因：{opinion}",
)
APPEAL_UPHELD = _register(
    "appeal_upheld",
    "复核申请已答复",
    "您的复核申请已有答复：维持原考核结果。答复意见：{opinion}",
)
REQUEST_LAPSED = _register(
    "request_lapsed",
    "{request}申请已撤回",
    "您的{granted}申请已通过，{request}申请已自动撤回。",
)

# --- the account

CODE_ISSUED = _register(
    "code_issued",
    "您的账号发放了一次性代码",
    "{moment}，{issuer}为您的账号发放了一次性代码，凭它可以设置新密码、更换手机号。"
    "如非本人申请，请立即联系本机构，并修改密码。",
    target=None,
    sms="【定考】您的{province}医师定期考核账号于{moment}由{issuer}发放了一次性代码。"
    "如非本人申请，请立即联系本机构。",
)
MOBILE_CHANGED = _register(
    "mobile_changed",
    "手机号码已修改",
    "您绑定的手机号码已修改，以后请用新号码找回密码。如果不是您本人操作，请立即修改密码，并联系本机构。",
    target=None,
)
JOURNAL_PROBLEM = _register(  # to the province's administrators and auditors
    "journal_problem",
    "审计日志核验发现异常",
    "核验审计日志发现异常：{findings}。请在“审计日志”页查看是哪些记录，并立即报告平台运营人员；"
    "查明原因之前请保留现场。",
    target=None,
)
DESK_HANDED_OVER = _register(  # to staff, as the next
    "desk_handed_over",
    "工作已交接给{name}",
    "您在{place}的待办事项共{count}项，已交接给{name}。",
    target=None,
)
DESK_TAKEN_OVER = _register(
    "desk_taken_over",
    "{name}的工作已交接给您",
    "{name}在{place}的待办事项共{count}项，已交接给您，请在“待办”“审核”和“我的任务”中查看。",
    target=None,
)
ROLE_ADDED = _register(  # to staff
    "role_added",
    "您有了新的角色",
    "您已被添加为{place}的{role}。如与实际不符，请联系该机构或省级管理员。",
    target=None,
)
_TRANSFER_PLACE = "请在“转入转出”中办理。"
STAFF_TRANSFER_ASKED = _register(  # to the staff of an institution whose consent is missing
    "staff_transfer_asked",
    "转入转出待办理：{doctor}",
    "{side}提出将{doctor}转入{institution}，等待本机构同意。" + _TRANSFER_PLACE,
    target=None,
)
STAFF_TRANSFER_CONSENTED = _register(  # to the staff of the other institution, as those below
    "staff_transfer_consented",
    "转入转出：{doctor}",
    "{side}已同意将{doctor}转入{institution}。",
    target=None,
)
STAFF_TRANSFER_DONE = _register(
    "staff_transfer_done",
    "转入转出已办结：{doctor}",
    "双方已同意，{doctor}已转入{institution}。",
    target=None,
)
STAFF_TRANSFER_REFUSED = _register(
    "staff_transfer_refused",
    "转入转出未获同意：{doctor}",
    "{side}不同意将{doctor}转入{institution}，原因：{reason}。",
    target=None,
)
STAFF_EXCLUSION_DECIDED = _register(
    "staff_exclusion_decided",
    "移出考核名单：{doctor}",
    "上级部门已答复移出{doctor}的申请：{decision}。",
    target=None,
)
STAFF_MOVED = _register(  # to staff
    "staff_moved",
    "所在机构已合并",
    "{former}已并入{institution}，您的角色和待办事项已转到{institution}。",
    target=None,
)

# --- reminders (domain.md §6 no. 1); `what`: what must be done by the last day, `when`: how much time is left

_REMINDER_TITLE = "{what}即将截止：{when}"
_REMINDER_BODY = "{cycle}的{what}将于{last_day}截止，{when}。"
REMINDER_INCLUDED = _register(
    "reminder_included",
    _REMINDER_TITLE,
    _REMINDER_BODY + "您还没有填报。请在主页点击“填报信息”，填写完整后提交；只保存不提交，机构无法审核。",
    target="filing",
)
REMINDER_DRAFT = _register(
    "reminder_draft",
    _REMINDER_TITLE,
    _REMINDER_BODY + "您的报名信息已保存，尚未提交，机构无法审核。请在主页点击“填报信息”，检查无误后提交。",
    target="filing",
)
REMINDER_RETURNED = _register(
    "reminder_returned",
    _REMINDER_TITLE,
    _REMINDER_BODY + "您的报名信息已被退回，尚未重新提交。请在主页点击“填报信息”，按退回原因修改后重新提交。",
    target="filing",
)
REMINDER_READY = _register(
    "reminder_ready",
    _REMINDER_TITLE,
    _REMINDER_BODY + "您还没有参加测评。请在主页点击“参加测评”，按时完成；无正当理由不参加的，考核不合格。",
    target="sitting",
)
REMINDER_TESTING = _register(
    "reminder_testing",
    _REMINDER_TITLE,
    _REMINDER_BODY + "您还有试卷没有完成。请在主页点击“参加测评”，在截止时间前完成全部试卷。",
    target="sitting",
)
REMINDER_RESIT = _register(
    "reminder_resit",
    _REMINDER_TITLE,
    _REMINDER_BODY + "您有准予重考的试卷还没有完成。请在主页点击“参加测评”，在截止时间前完成。",
    target="sitting",
)

# --- what an institution, an assessment organisation or the province writes to its own doctors, by the
# channels of which it chooses

OFFICE_NOTICE = _register("office_notice", "{title}", "{body}\n\n{sender}", channels=frozenset())
OFFICE_NOTICE_SMS = _register(
    "office_notice_sms", OFFICE_NOTICE.title, OFFICE_NOTICE.body, channels=frozenset({"sms"})
)
OFFICE_NOTICE_WECHAT = _register(
    "office_notice_wechat", OFFICE_NOTICE.title, OFFICE_NOTICE.body, channels=frozenset({"wechat"})
)
OFFICE_NOTICE_SMS_WECHAT = _register("office_notice_sms_wechat", OFFICE_NOTICE.title, OFFICE_NOTICE.body)

# --- messages to those who should take part and don't (assessments/gap_messages)

GAP_NOT_INCLUDED = _register(
    "gap_not_included",
    "您还没有报名参加本周期考核",
    "您在本省医师名单中，尚未被纳入{cycle}考核。请联系主要执业机构确认参加；"
    "已退休、离职或另有情况的，也请告知机构。",
    target=None,
)
GAP_NOT_SIGNED_IN = _register(
    "gap_not_signed_in",
    "您还没有登录填报",
    "您已被纳入{cycle}考核，尚未登录填报。请在主页点击“填报信息”，填写完整后提交。",
    target="filing",
)
GAP_NOT_SUBMITTED = _register(
    "gap_not_submitted",
    "您的报名信息还没有提交",
    "您已被纳入{cycle}考核，报名信息尚未提交，机构无法审核。请在主页点击“填报信息”，检查无误后提交。",
    target="filing",
)
GAP_RETURNED = _register(
    "gap_returned",
    "您的报名信息被退回后还没有重新提交",
    "您的{cycle}报名信息已被退回，尚未重新提交。请在主页点击“填报信息”，按退回原因修改后重新提交。",
    target="filing",
)
GAP_NOT_SAT = _register(
    "gap_not_sat",
    "您没有参加测评",
    "您没有参加或没有完成{cycle}的测评。有正当理由的，请尽快联系主要执业机构或考核机构；"
    "无正当理由不参加的，考核不合格。",
    target=None,
)

# --- messages to liaisons of departments (filings/department_reminders)

DEPARTMENT_REMINDER = _register(
    "department_reminder",
    "{department}的定考准备还没有完成",
    "{department}（{cycle}）：{lacking}。请督促本人，并在“草拟评定”中办理。{words}",
    target=None,
)

# --- text messages without a notice

SMS_NEW_NOTICE = "【定考】您在{province}医师定期考核系统有新消息，请登录系统查看。"
WECHAT_NEW_NOTICE = "医师定期考核有新消息"
"""Announcements say only that there is a notice, because others may read a phone's messages."""
SMS_CODE = "【定考】验证码{code}，{minutes}分钟内有效。请勿告诉他人。"
SMS_CHANNEL_TEST = "【定考】{province}医师定期考核测试短信。"
SMS_ACCOUNT_UNUSED = (
    "【定考】您在{province}医师定期考核系统的管理账号已近{days}天未使用，将于{day}自动停用，"
    "登录一次即可保留。"
)
SMS_ADMINISTRATOR_INVITED = (
    "【定考】您已被任命为{province}医师定期考核系统省级管理员，用户名{user_name}。"
    "请在{days}天内打开 {address} 设置密码和动态口令，请勿转发。"
)
SMS_ADMINISTRATOR_RENEWED = (
    "【定考】请在{days}天内打开 {address} 重新设置{province}医师定期考核系统的密码和动态口令，"
    "用户名{user_name}。非本人要求的请联系平台运营。"
)
