"""Who may do what: the only table of permissions (docs/domain.md §12).

An action is what a person does (`filings.approve`). A role is granted actions; its scope says whose records
it reaches with them (`people/scopes` makes a SQL condition of it). Views (`@require`), the menu, buttons,
state transitions (`actors=roles_for(…)`), uploads and jobs read this table and have no lists of roles of
their own.
What the table cannot express is checked by the rule that needs it: two persons (`people/second_person`),
states (`journal/state_machine`), times.

A new role is one entry in ROLES and a migration of the CHECK on `membership.role`.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """Whose records a role reaches."""

    OWN = "own"
    """The person's own records."""
    INSTITUTION = "institution"
    """Records of doctors of the institutions where the role is held."""
    DEPARTMENT = "department"
    """Records of doctors of the departments where the role is held."""
    ASSESSOR = "assessor"
    """Records assessed by the assessment organisations where the role is held."""
    OFFICE = "office"
    """Records of institutions in the administrative division (county, prefecture or province) of an
    office."""
    PROVINCE = "province"
    """All records of the province."""


@dataclass(frozen=True)
class Action:
    """An action that may be granted. `meaning`: what it allows; `second_person`: it takes effect only when a
    second person agrees."""

    code: str
    meaning: str
    second_person: bool = False


@dataclass(frozen=True)
class Role:
    """Who may act: a role of staff (`membership.role`), or a kind of account. `grants`: codes of actions.
    `can_be_added`: it can be given to an existing account, and removed from it. `needs_second_factor`: its
    holders must always use a second factor; for other roles the province's setting decides."""

    code: str
    label: str
    scope: Scope
    grants: frozenset[str]
    can_be_added: bool = True
    needs_second_factor: bool = False

    @property
    def is_of_province(self) -> bool:
        """Whether the role is held in an office of the province, not at an organisation."""
        return self.scope in (Scope.PROVINCE, Scope.OFFICE)


ACTIONS = (
    Action("account.manage_own", "see and change one's own sign-in: password, mobile number, sessions"),
    Action("account.bind_wechat", "bind WeChat to one's account, or release it"),
    Action("uploads.send", "send a file in chunks; each purpose asks for its own action besides"),
    Action("console.open", "open the console"),
    Action("views.save", "save views of lists for oneself and one's colleagues"),
    Action("handover.open", "hand over what one has open to a colleague; others' work takes an action on staff besides"),
    Action("inbox.own", "read the notices to oneself as a member of staff"),
    Action("jobs.own", "see and control the jobs one has enqueued"),
    Action("jobs.see_all", "see and control the jobs of other administrators and of the system"),
    Action("lists.export", "ask for a list that one may have as a file"),
    Action("lists.export_large", "a list of more than 1,000 people, or with full numbers, as a file",
           second_person=True),
    # A doctor's own record
    Action("doctor.home", "open the home page"),
    Action("notices.own", "read one's notices"),
    Action("filing.edit", "fill in one's filing"),
    Action("filing.submit", "submit one's filing"),
    Action("filing.withdraw", "take a submitted filing back before it is opened"),
    Action("requests.own", "ask for an exemption, a deferral, a change or a correction"),
    Action("practice.use", "practise, sit a mock exam"),
    Action("ticket.own", "draw one's admission ticket"),
    Action("sitting.sit", "sit the exam; see and answer an integrity case of one's own"),
    Action("results.own", "see one's results, answers and certificate"),
    # Doctors, filings, requests
    Action("people.search", "find doctors by name, number, institution or department"),
    Action("doctors.view", "list doctors, see their records with masked numbers"),
    Action("doctors.manage", "add doctors"),
    Action("doctors.import", "import a roster"),
    Action("departments.manage", "the departments of institutions and how far each is; remind their liaisons"),
    Action("photos.import", "import photos of doctors in bulk"),
    Action("conduct.import", "import and remove what is known of doctors' conduct; each kind asks for its own action besides"),
    Action("conduct.appraisals", "annual appraisals"),
    Action("conduct.ethics", "gradings of medical ethics"),
    Action("conduct.events", "good and bad records, penalties"),
    Action("register.compare", "compare the list with the register, say what has become of whom they differ in"),
    Action("participation.manage", "lists of those who should take part and don't: message them, say why, disown them"),
    Action("doctors.reveal_numbers", "see a doctor's full numbers"),
    Action("doctors.issue_code", "hand out a doctor's one-time code", second_person=True),
    Action("enrolment.manage", "include doctors in the cycle's assessment, exclude them"),
    Action("enrolment.export", "the included doctors as a file"),
    Action("filings.assist", "fill in and submit a filing on the doctor's behalf, marked"),
    Action("transfers.own", "ask to be moved to another institution"),
    Action("transfers.view", "see transfers, and exclusions after filing began"),
    Action("transfers.manage", "ask for and consent to transfers, propose exclusions", second_person=True),
    Action("exclusions.approve", "let a doctor be excluded after filing began", second_person=True),
    Action("filings.review", "read filings that wait for review, leave return marks"),
    Action("filings.reveal_numbers", "see the full numbers in a filing under review"),
    Action("filings.approve", "decide on a filing for its institution"),
    Action("gradings.draft", "see how doctors stand, draft the verdicts on their work and ethics"),
    Action("filings.accept", "decide on a filing for its assessment organisation"),
    Action("filings.assign", "give filings that wait to colleagues, hand them over"),
    Action("requests.view", "read requests that one's side decides on"),
    Action("requests.decide_first", "decide on a request as the first"),
    Action("requests.decide_second", "grant or refuse a request finally", second_person=True),
    Action("requests.exempt_or_defer", "carry out what was granted: no exam, or a later one"),
    Action("results.overturn", "carry out what was granted: another result"),
    # Question banks and exams
    Action("questions.edit", "edit and import questions"),
    Action("questions.approve", "let questions into a bank, or return them", second_person=True),
    Action("questions.export", "a bank as a file"),
    Action("questions.copy_shared", "copy questions of a shared bank"),
    Action("questions.see_picture", "see a picture that a question shows"),
    Action("papers.view", "list the exam's papers"),
    Action("papers.make", "assemble a paper"),
    Action("papers.extend_window", "extend the time within which papers can be sat"),
    Action("papers.preview", "read a paper; question editors before anybody has sat it"),
    Action("papers.print_sheet", "print the answer sheet"),
    Action("papers.print_booklet", "print the booklet"),
    Action("papers.print_key", "print the answer key"),
    Action("halls.manage", "halls, slots and seats"),
    Action("halls.export", "the list of a slot as a file"),
    Action("halls.tickets", "print admission tickets"),
    Action("halls.start_code", "show the start code of a slot"),
    Action("halls.extra_time", "grant a doctor extra time"),
    Action("monitoring.view", "watch sittings, see outages"),
    Action("monitoring.give_time", "register an outage, give time back"),
    Action("sittings.announce", "tell something to doctors who sit, in a hall or one"),
    Action("sittings.reopen", "let a doctor go on with a test that was handed in or missed"),
    Action("absences.prepare", "see who missed the exam, draft the list of absences"),
    Action("sittings.mark_absent", "confirm that a doctor missed the exam"),
    Action("cases.view", "see integrity cases"),
    Action("cases.open", "open an integrity case"),
    Action("cases.propose", "propose how an integrity case ends"),
    Action("cases.decide", "decide how an integrity case ends", second_person=True),
    Action("scores.import", "import scores from paper"),
    Action("scores.confirm", "confirm imported scores", second_person=True),
    Action("analysis.view", "see item analyses"),
    Action("analysis.run", "run an item analysis"),
    Action("analysis.export", "an item analysis as a file"),
    Action("corrections.view", "see corrections of answer keys"),
    Action("corrections.propose", "propose the correction of an answer key"),
    Action("corrections.approve", "approve the correction of an answer key", second_person=True),
    Action("corrections.decide_changes", "decide on results that a correction would change", second_person=True),
    Action("corrections.export", "the changes by a correction as a file"),
    # Results
    Action("pass_lines.manage", "propose and approve pass lines", second_person=True),
    Action("conclusions.view", "see how overall assessments stand"),
    Action("conclusions.decide", "conclude overall assessments"),
    Action("meetings.prepare", "prepare a committee's meeting, read and sign its minutes"),
    Action("results.view", "see publications of results"),
    Action("results.export", "a publication as a file"),
    Action("results.publish", "propose and approve a publication of results", second_person=True),
    Action("results.return_record", "return a record from publication to its assessment organisation"),
    Action("certificates.view", "see certificates"),
    Action("certificates.manage", "draw certificates again, propose their revocation", second_person=True),
    # Notices
    Action("notices.to_own_doctors", "write notices to doctors within one's scope"),
    # The province's office
    Action("articles.view", "list news and answers in the console"),
    Action("articles.edit", "write, publish and withdraw news and answers"),
    Action("institutions.view", "list institutions and assessment organisations"),
    Action("institutions.manage", "add, import, change, rename, assign, merge, close and reopen institutions"),
    Action("staff.invite_own", "invite staff to one's own organisation, up to reviewer"),
    Action("staff.close_own", "close, when their work is handed over, accounts of staff of one's own organisation"),
    Action("staff.manage", "invite staff, give and take roles, close accounts"),
    Action("proposed_acts.view", "see what was proposed to two administrators"),
    Action("proposed_acts.decide", "approve or withdraw what was proposed", second_person=True),
    Action("cycle.manage", "the cycle and its phases"),
    Action("settings.manage", "the province's settings, channels and official seal"),
    Action("journal.verify", "see and ask for the verification of the journal"),
    # The platform
    Action("platform.operate", "open and close provinces, appoint administrators, keep shared banks"),
)  # fmt: skip

_CONDUCT = frozenset(("conduct.import", "conduct.appraisals", "conduct.ethics", "conduct.events"))
_AT_INSTITUTION = _CONDUCT | frozenset(
    (
        "people.search",
        "doctors.view",
        "doctors.manage",
        "doctors.import",
        "departments.manage",
        "photos.import",
        "register.compare",
        "participation.manage",
        "doctors.reveal_numbers",
        "doctors.issue_code",
        "enrolment.manage",
        "enrolment.export",
        "transfers.view",
        "transfers.manage",
        "filings.review",
        "filings.reveal_numbers",
        "requests.view",
        "requests.decide_second",
        "notices.to_own_doctors",
        "uploads.send",
    ),
)
_AT_ASSESSOR = frozenset(
    (
        "people.search",
        "filings.review",
        "filings.reveal_numbers",
        "requests.view",
        "papers.view",
        "papers.print_sheet",
        "halls.manage",
        "halls.export",
        "halls.tickets",
        "halls.start_code",
        "halls.extra_time",
        "monitoring.view",
        "monitoring.give_time",
        "sittings.announce",
        "absences.prepare",
        "meetings.prepare",
        "sittings.reopen",
        "cases.view",
        "cases.open",
        "scores.import",
        "conclusions.view",
        "notices.to_own_doctors",
        "uploads.send",
    ),
)

ROLES = (
    Role("institution_clerk", "机构经办人", Scope.INSTITUTION, _AT_INSTITUTION | {"filings.assist", "gradings.draft"}),
    Role("institution_reviewer", "机构审核人", Scope.INSTITUTION, _AT_INSTITUTION | {
        "gradings.draft", "filings.approve", "filings.assign", "requests.decide_first", "lists.export_large", "staff.invite_own", "staff.close_own",
    }),
    Role("department_liaison", "科室联络员", Scope.DEPARTMENT, frozenset(("gradings.draft",))),
    Role("personnel_officer", "人事经办人", Scope.INSTITUTION, frozenset((
        "conduct.import", "conduct.appraisals", "uploads.send",
    ))),
    Role("ethics_officer", "党办经办人", Scope.INSTITUTION, frozenset((
        "conduct.import", "conduct.ethics", "uploads.send",
    ))),
    Role("organisation_clerk", "考核机构经办人", Scope.ASSESSOR, _AT_ASSESSOR),
    Role("organisation_reviewer", "考核机构复核人", Scope.ASSESSOR, _AT_ASSESSOR | _CONDUCT | {
        "filings.accept", "filings.assign",
        "requests.decide_first", "requests.decide_second", "requests.exempt_or_defer",
        "papers.print_booklet", "sittings.mark_absent", "cases.propose", "scores.confirm", "conclusions.decide",
        "lists.export_large", "staff.invite_own", "staff.close_own",
    }),
    Role("province_admin", "省级管理员", Scope.PROVINCE, _CONDUCT | frozenset((
        "people.search", "doctors.view", "doctors.manage", "doctors.import", "departments.manage", "photos.import", "doctors.reveal_numbers", "doctors.issue_code",
        "register.compare", "participation.manage", "enrolment.manage", "enrolment.export", "transfers.view",
        "transfers.manage", "exclusions.approve",
        "requests.view", "requests.decide_second", "results.overturn",
        "questions.edit", "questions.approve", "questions.export", "questions.copy_shared",
        "questions.see_picture",
        "papers.view", "papers.make", "papers.extend_window", "papers.preview",
        "papers.print_sheet", "papers.print_booklet", "papers.print_key",
        "halls.manage", "halls.export", "halls.tickets", "halls.start_code", "halls.extra_time",
        "monitoring.view", "sittings.reopen",
        "cases.view", "cases.decide",
        "scores.import", "scores.confirm",
        "analysis.view", "analysis.run", "analysis.export",
        "corrections.view", "corrections.propose", "corrections.approve", "corrections.decide_changes",
        "corrections.export",
        "pass_lines.manage", "conclusions.view",
        "results.view", "results.export", "results.publish", "results.return_record",
        "certificates.view", "certificates.manage",
        "notices.to_own_doctors",
        "articles.view", "articles.edit",
        "institutions.view", "institutions.manage", "staff.manage",
        "proposed_acts.view", "proposed_acts.decide",
        "cycle.manage", "settings.manage", "journal.verify",
        "jobs.see_all", "lists.export_large", "uploads.send",
    )), can_be_added=False, needs_second_factor=True),
    Role("question_editor", "题库编辑", Scope.PROVINCE, frozenset((
        "questions.edit", "questions.approve", "questions.export", "questions.copy_shared",
        "questions.see_picture", "papers.preview",
        "analysis.view", "analysis.run", "analysis.export", "corrections.view", "corrections.propose",
        "uploads.send",
    ))),
    Role("auditor", "审计员", Scope.PROVINCE, frozenset((
        "people.search", "doctors.view", "transfers.view", "questions.see_picture", "monitoring.view", "cases.view",
        "analysis.view", "analysis.export", "corrections.view", "corrections.export",
        "results.view", "results.export", "certificates.view",
        "articles.view", "institutions.view", "proposed_acts.view", "journal.verify",
    ))),
)  # fmt: skip
"""The roles of staff, as in `membership.role`."""

ACCOUNT_KINDS = (
    Role("doctor", "医师", Scope.OWN, frozenset((
        "account.manage_own", "account.bind_wechat", "uploads.send", "doctor.home", "notices.own",
        "filing.edit", "filing.submit", "filing.withdraw", "requests.own", "transfers.own", "practice.use", "ticket.own",
        "sitting.sit", "results.own", "questions.see_picture",
    ))),
    Role("staff", "工作人员", Scope.OWN, frozenset((
        "account.manage_own", "console.open", "handover.open", "inbox.own", "views.save", "jobs.own", "lists.export",
    ))),
    Role("operator", "平台运营人员", Scope.OWN, frozenset(("platform.operate",))),
)  # fmt: skip
"""What an account of each kind may do without any role."""

ROLE_LABELS = {role.code: role.label for role in ROLES}
PROVINCE_ROLES = tuple(role.code for role in ROLES if role.is_of_province)
ADDABLE_ROLE_LABELS = {role.code: role.label for role in ROLES if role.can_be_added}
SECOND_FACTOR_ROLES = frozenset(role.code for role in ROLES if role.needs_second_factor)
SCOPES = {role.code: role.scope for role in ROLES}


def _roles_by_action() -> dict[str, frozenset[str]]:
    """Action → codes of the roles and kinds of account that are granted it. Raises ValueError for an action
    that is granted but not in ACTIONS, or in ACTIONS but granted to nobody."""
    roles_by_action = defaultdict[str, set[str]](set)
    for role in (*ROLES, *ACCOUNT_KINDS):
        for action in role.grants:
            roles_by_action[action].add(role.code)
    unmatched = roles_by_action.keys() ^ {action.code for action in ACTIONS}
    if unmatched:
        raise ValueError(f"actions granted or declared unmatched: {sorted(unmatched)}")
    return {action: frozenset(roles) for action, roles in roles_by_action.items()}


ACTION_ROLES = _roles_by_action()


def roles_for(*actions: str) -> frozenset[str]:
    """The roles and kinds of account that are granted at least one of `actions`. Raises KeyError for an
    unknown action."""
    return frozenset().union(*(ACTION_ROLES[action] for action in actions))


def grants(action: str, kinds: Collection[str]) -> bool:
    """Whether a person is granted `action`; `kinds`: the person's roles and kind of account. Raises KeyError
    for an unknown action."""
    return not ACTION_ROLES[action].isdisjoint(kinds)
