"""Submitting and withdrawing a request; what is missing before it can be submitted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dingkao.assessments.models import Assessment
from dingkao.doctors.code_lists import SCOPES
from dingkao.errors import InvalidInput
from dingkao.filings.dossier import Dossier
from dingkao.journal.entries import Actor
from dingkao.requests import request_transitions
from dingkao.requests.approval_chains import CHANGE_CHAIN_BY_STATE
from dingkao.requests.availability import require_available
from dingkao.requests.change_items import Item, load_items
from dingkao.requests.drafting import offered_reasons
from dingkao.requests.models import (
    REQUEST_KINDS,
    Request,
    RequestFile,
)
from dingkao.requests.request_files import delete_file, list_files
from dingkao.requests.request_queries import open_test_replacements

MIN_APPEAL_LENGTH = 10
CHANGE_VERBS = {"change": "修改", "correction": "更正"}
KINDS_WITH_REASON = ("exemption", "deferral")
KINDS_REQUIRING_FILE = ("exemption", "deferral", "correction")


@dataclass(frozen=True)
class MissingItem:
    """Something that prevents submission: `anchor` is its place on the page, `message` says what to do
    (Chinese)."""

    anchor: str
    message: str


def missing_items(doctor_request: Request, dossier: Dossier) -> list[MissingItem]:
    """Returns what is missing before the request can be submitted, in the order of its page."""
    items = load_items(doctor_request)
    files = list_files(doctor_request)
    checked_items = (
        _missing_reason(doctor_request, dossier),
        _missing_note(doctor_request),
        _missing_changes(doctor_request, items, files),
        _missing_scope(items),
        _missing_proof(doctor_request, files),
    )
    return [missing_item for missing_item in checked_items if missing_item]


def _missing_reason(doctor_request: Request, dossier: Dossier) -> MissingItem | None:
    """Returns the missing item if the request needs one of the offered reasons and has none, else None."""
    if doctor_request.kind not in KINDS_WITH_REASON:
        return None
    if doctor_request.reason in offered_reasons(doctor_request, dossier):
        return None
    return MissingItem(
        "reason",
        f"请选择{REQUEST_KINDS[doctor_request.kind]}申请理由。",
    )


def _missing_note(doctor_request: Request) -> MissingItem | None:
    """Returns the missing item if an appeal gives less than MIN_APPEAL_LENGTH characters of reasons, else
    None."""
    if doctor_request.kind != "appeal":
        return None
    if _length_without_blanks(doctor_request.note) >= MIN_APPEAL_LENGTH:
        return None
    return MissingItem(
        "note",
        f"请写明对结果有异议的理由，不少于{MIN_APPEAL_LENGTH}字。",
    )


def _missing_changes(
    doctor_request: Request,
    items: Sequence[Item],
    files: Iterable[RequestFile],
) -> MissingItem | None:
    """Returns the missing item if a change or correction changes nothing, else None."""
    verb = CHANGE_VERBS.get(doctor_request.kind)
    if verb is None or items or _has_file(files, "photo"):
        return None
    return MissingItem("items", f"请先填写要{verb}的内容。")


def _missing_scope(items: Iterable[Item]) -> MissingItem | None:
    """Returns the missing item if the items change the category without scopes of practice of the new
    category, else None."""
    new_values = {(item["what"], item["name"]): item["after"] for item in items}
    category = new_values.get(("doctor", "category"))
    scopes = new_values.get(("field", "scope"))
    if category is None or (scopes and _belong_to_category(scopes, category)):
        return None
    return MissingItem("items", "更正执业类别的，请同时填写该类别的执业范围。")


def _belong_to_category(scopes: Iterable[str], category: str) -> bool:
    """Whether all scopes of practice (codes) are of the category, or of any."""
    return all(SCOPES[code][0] in (category, "any") for code in scopes)


def _missing_proof(doctor_request: Request, files: Iterable[RequestFile]) -> MissingItem | None:
    """Returns the missing item if the request needs a proof and has none, else None."""
    if doctor_request.kind not in KINDS_REQUIRING_FILE or _has_file(files, "proof"):
        return None
    return MissingItem("files", "请上传证明材料。")


def _length_without_blanks(text: str | None) -> int:
    """How many characters a text has that are no white space; 0 for None."""
    return len("".join((text or "").split()))


def _has_file(files: Iterable[RequestFile], kind: str) -> bool:
    """Whether one of the files is of the kind "proof" or "photo"."""
    return any(file.kind == kind for file in files)


def submit(doctor_request: Request, dossier: Dossier, *, by: Actor) -> None:
    """Submit a request (record and request locked); does nothing if it waits for its first decision already.
    The sides of a change become those of the record's state now. Raises InvalidInput with the first missing
    item (its anchor as the field), InvalidState if none can be made now or the request is no draft,
    Forbidden."""
    if doctor_request.state == "first_pending":
        return
    require_available(dossier, doctor_request.kind)
    _require_complete(doctor_request, dossier)
    if doctor_request.kind == "change":
        doctor_request.first_side, doctor_request.second_side = CHANGE_CHAIN_BY_STATE[dossier.record.state]
    request_transitions.submit(doctor_request, by=by)


def _require_complete(doctor_request: Request, dossier: Dossier) -> None:
    """Raises InvalidInput with the first missing item."""
    missing = missing_items(doctor_request, dossier)
    if missing:
        raise InvalidInput(missing[0].message, missing[0].anchor)


def withdraw(doctor_request: Request, *, by: Actor) -> None:
    """Withdraw a request (locked); does nothing if it is withdrawn already. The files of a draft are deleted.
    Raises InvalidState once somebody has decided, Forbidden."""
    if doctor_request.state == "withdrawn":
        return
    if doctor_request.state == "draft":
        _delete_files(doctor_request)
    request_transitions.withdraw(doctor_request, by=by)


def _delete_files(doctor_request: Request) -> None:
    """Delete all files of a request: the rows now, the files themselves after the commit, by jobs."""
    for file in list_files(doctor_request):
        delete_file(file)


def lapse_test_replacements(record: Assessment, *, by: Actor, reason: str) -> list[Request]:
    """自动撤回: lapse the open requests for 免考 and 延考 (record locked), also drafts, whose files are
    deleted, because the test has begun or one of them was granted; with journal entries. Returns them; that
    the doctor knows is seen to by the caller, who notifies or has asked first."""
    lapsed_requests = open_test_replacements(record)
    for doctor_request in lapsed_requests:
        if doctor_request.state == "draft":
            _delete_files(doctor_request)
        request_transitions.lapse(doctor_request, by=by, reason=reason)
    return lapsed_requests
