"""Photos of doctors in bulk: a zip whose files are named by document number or 执业证书编号, imported by a
job as spreadsheets are (`people/spreadsheet_imports`), a file a row. Importing the same archive again changes
nothing."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao.cycles.cycles import current_cycle
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import candidate_number_indices
from dingkao.errors import NotFound, Refusal
from dingkao.filings.dossier import EDITABLE, Dossier, dossier_of
from dingkao.filings.filing_documents import photo_content, replace_photo
from dingkao.filings.photo_settings import photo_rules
from dingkao.integrations.images import images, photo_archives
from dingkao.integrations.images.images import Portrait
from dingkao.integrations.spreadsheets.import_rows import ImportReport, ImportRow, RowProblem
from dingkao.integrations.storage import current_store
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.import_checks import UPLOAD_KIND, is_check
from dingkao.people.scopes import Grant, load_grant, scope_condition
from dingkao.people.spreadsheet_imports import SpreadsheetImport, authorize_action, journal_counts
from dingkao.tenants.encryption import SecretLocation, current_vault, normalise_text
from dingkao.uploads import chunked_uploads

ACTION = "photos.import"
COLUMNS = {"file": ("文件",)}
PHOTOS_PER_CHUNK = 20
MAX_SEARCHED_DOCTORS = 20_000
"""Up to so many doctors of one's institutions are looked through for 执业证书编号, which has no index."""
MIN_NUMBER_LENGTH = 10
OTHER_PHOTO_REMEDY = f"请换成{images.MAX_DOCUMENT_BYTES // 1024 // 1024}MB以内、没有密码的jpg或png照片。"
UPLOAD_LIMITS = chunked_uploads.UploadLimits(
    photo_archives.MAX_ARCHIVE_BYTES,
    photo_archives.TOO_LARGE_MESSAGE,
    16 * photo_archives.MAX_ARCHIVE_BYTES,
    1024 * 1024,
)


@dataclass(frozen=True)
class MatchedPhoto:
    """A file of the archive, the doctor whose photo it is, and the photo as it will be stored."""

    row: ImportRow
    doctor: Doctor
    portrait: Portrait


class RefusedPhoto(Exception):  # noqa: N818 - an answer, not a fault of the program
    """A file isn't taken: why, and what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


def read_rows(content: bytes, _report: ImportReport) -> Iterator[ImportRow]:
    """Yield a row for each file of an archive. Raises InvalidInput, TooLarge, Unavailable."""
    for number, (position, name, problem) in enumerate(photo_archives.list_entries(content), 1):
        yield ImportRow(number, {"file": name, "position": position, "problem": problem})


def row_keys(row: ImportRow) -> list[bytes]:
    """The key by which a file is recognised as a duplicate within its archive: the number in its name."""
    return [_number_of(row).encode()]


def _number_of(row: ImportRow) -> str:
    """The number by which a file is named: its name without ending, in upper case and half width."""
    return normalise_text(row.text("file").rpartition(".")[0] or row.text("file"))


def import_batch(
    rows: Sequence[ImportRow],
    content: bytes,
    report: ImportReport,
    seen: set[bytes],
    *,
    grant: Grant,
    by: Actor,
    dry_run: bool,
) -> None:
    """Store the photos of a batch of files, and add to `report` what happened; with `dry_run` only that.
    `content`: the archive; `grant`: whose doctors they may be of; `seen`: the keys of the archive's files so
    far, to which those of this batch are added. Locks the records, and journals each photo that is stored.
    Raises Unavailable, and InvalidInput or TooLarge if the archive can't be read."""
    cycle = current_cycle()
    doctors = _find_doctors(rows, grant)
    named = dict(_iter_named(rows, doctors, report, seen))
    pictures = photo_archives.read_pictures(content, sorted(named)) if named else iter(())
    matched = list(_iter_matched(pictures, named, report))
    with journal.batched_entries():
        for photo in sorted(matched, key=lambda matched_photo: matched_photo.doctor.id):
            try:
                _store_photo(photo, cycle, report, by=by, dry_run=dry_run)
            except RefusedPhoto as refusal:
                report.errors.append(_problem(photo.row, refusal))
            else:
                _warn_of_hints(photo, report)
    db.session.flush()


def _find_doctors(rows: Iterable[ImportRow], grant: Grant) -> dict[str, Doctor]:
    """Number in a file's name → the doctor within `grant` who has it as document number, or else as
    执业证书编号 (only of one's institutions, see `_find_by_practice_number`). A number that nobody has is
    left out; two may be written differently and be of one doctor."""
    numbers = {number for row in rows if (number := _number_of(row))}
    indices = {number: candidate_number_indices(number).values() for number in numbers}
    query = select(Doctor).where(
        in_array(Doctor.number_index, set(chain.from_iterable(indices.values()))),
        scope_condition(grant, institution=Doctor.organisation_id),
    )
    by_index = {bytes(doctor.number_index): doctor for doctor in db.session.scalars(query)}
    doctors = {
        number: by_index[index]
        for number, number_indices in indices.items()
        for index in number_indices
        if index in by_index
    }
    others = {number for number in numbers - doctors.keys() if len(number) >= MIN_NUMBER_LENGTH}
    return doctors | _find_by_practice_number(others, grant)


def _find_by_practice_number(numbers: Collection[str], grant: Grant) -> dict[str, Doctor]:
    """执业证书编号 → the doctor of the grant's institutions whose roster row has it; of an office that
    reaches the province nobody, because the numbers are encrypted and have no index. Only
    MAX_SEARCHED_DOCTORS of the institutions' doctors are looked through, whichever those are."""
    if not numbers or not grant.institution_ids:
        return {}
    query = select(Doctor.id, Doctor.practice_sealed).where(
        in_array(Doctor.organisation_id, grant.institution_ids),
        Doctor.practice_sealed.is_not(None),
    )
    ids: dict[UUID, str] = {}
    for doctor_id, encrypted in db.session.execute(query.limit(MAX_SEARCHED_DOCTORS)):
        location = SecretLocation("doctor", "practice", doctor_id)
        number = normalise_text(current_vault().decrypt(location, encrypted)) if encrypted else ""
        if number in numbers:
            ids[doctor_id] = number
    doctors = db.session.scalars(select(Doctor).where(in_array(Doctor.id, set(ids))))
    return {ids[doctor.id]: doctor for doctor in doctors}


def _iter_named(
    rows: Iterable[ImportRow],
    doctors: Mapping[str, Doctor],
    report: ImportReport,
    seen: set[bytes],
) -> Iterator[tuple[int, tuple[ImportRow, Doctor]]]:
    """Yield position in the archive → file and doctor, of the files that name one; the others are added to
    the report."""
    for row in rows:
        try:
            doctor = _doctor_of_row(row, doctors, seen)
        except RefusedPhoto as refusal:
            report.errors.append(_problem(row, refusal))
        else:
            yield int(row.cells["position"]), (row, doctor)


def _doctor_of_row(row: ImportRow, doctors: Mapping[str, Doctor], seen: set[bytes]) -> Doctor:
    """The doctor whom a file names, whose keys are added to `seen`. Raises RefusedPhoto for a file that can't
    be a photo, names nobody in `doctors`, or is the second of a number or doctor."""
    if problem := row.text("problem"):
        raise RefusedPhoto(problem, OTHER_PHOTO_REMEDY)
    doctor = doctors.get(_number_of(row))
    if doctor is None:
        raise RefusedPhoto(
            "您负责的名单中没有这个号码的医师",
            "文件名应为证件号码，或名单中的执业证书编号；省级导入只按证件号码。",
        )
    keys = {*row_keys(row), doctor.id.bytes}
    if seen & keys:
        raise RefusedPhoto("压缩包中已有这位医师的另一张照片", "请只保留一张。")
    seen.update(keys)
    return doctor


def _iter_matched(
    pictures: Iterable[tuple[int, bytes | None]],
    named: Mapping[int, tuple[ImportRow, Doctor]],
    report: ImportReport,
) -> Iterator[MatchedPhoto]:
    """Yield the photos that the province's rules take, as they will be stored; the others are added to the
    report. `pictures`: position in the archive and content (None: it can't be read); `named`: position → file
    and doctor. Raises Unavailable, and what reading the archive raises."""
    rules = photo_rules()
    for position, picture in pictures:
        row, doctor = named[position]
        if picture is None:
            refusal = RefusedPhoto(photo_archives.DAMAGED_PROBLEM, "请重新压缩后上传。")
            report.errors.append(_problem(row, refusal))
            continue
        try:
            portrait = images.process_portrait(picture, rules)
        except Refusal as error:
            if error.status >= 500:
                raise
            refusal = RefusedPhoto(error.message.rstrip("。"), "请换一张照片。")
            report.errors.append(_problem(row, refusal))
        else:
            yield MatchedPhoto(row, doctor, portrait)


def _store_photo(
    photo: MatchedPhoto,
    cycle: Cycle | None,
    report: ImportReport,
    *,
    by: Actor,
    dry_run: bool,
) -> None:
    """Make a photo that of the doctor's filing, and count it as new, changed or unchanged; with `dry_run`
    only count it. Locks record and filing. Raises RefusedPhoto, Unavailable."""
    dossier = _require_replaceable(photo.doctor, cycle)
    earlier = _stored_photo(dossier)
    if earlier == photo.portrait.content:
        report.unchanged += 1
        return
    report.accepted += earlier is None
    report.changed += earlier is not None
    if not dry_run:
        replace_photo(dossier, photo.portrait, by=by)


def _stored_photo(dossier: Dossier) -> bytes | None:
    """The photo of the filing; None if there is none, or its file is missing. Raises Unavailable."""
    try:
        return photo_content(dossier.filing) if dossier.filing else None
    except NotFound:
        return None


def _require_replaceable(doctor: Doctor, cycle: Cycle | None) -> Dossier:
    """The doctor's dossier, locked, if its photo may be written. Raises RefusedPhoto for a doctor who is not
    included, for a record that is submitted or decided, and for a photo that was submitted before, which
    nobody replaces but the doctor."""
    try:
        dossier = dossier_of(doctor, cycle, for_update=True) if cycle else None
    except NotFound:
        dossier = None
    if dossier is None:
        raise RefusedPhoto(f"{doctor.name}没有纳入本周期考核", "请先纳入，再导入照片。")
    has_photo = bool(dossier.filing and dossier.filing.photo_id)
    is_submitted = dossier.record.state not in EDITABLE
    if is_submitted or (has_photo and dossier.record.submitted_at is not None):
        raise RefusedPhoto(
            f"{doctor.name}的信息已提交或已审核，照片没有更换",
            "确需更换的，请退回后由本人更换。",
        )
    return dossier


def _warn_of_hints(photo: MatchedPhoto, report: ImportReport) -> None:
    """Add what the checks of a photo have to say to the report's warnings."""
    for code in photo.portrait.hints:
        report.warnings.append(_problem(photo.row, RefusedPhoto(images.HINTS[code].rstrip("。"), "")))


def _problem(row: ImportRow, refusal: RefusedPhoto) -> RowProblem:
    return RowProblem(row.number, COLUMNS["file"][0], f"{row.text('file')}：{refusal.reason}", refusal.remedy)


def _import_part(job: Job, rows: list[ImportRow], report: ImportReport, seen: set[bytes]) -> None:
    """Import the next photos of a job, with the roles that the asker has now; of a check, only count them.
    Raises Unavailable, NotFound if the stored archive is gone, and what `import_batch` raises."""
    import_batch(
        rows,
        current_store().get(UPLOAD_KIND, UUID(job.arguments["upload"])),
        report,
        seen,
        grant=load_grant(ACTION, job.asked_by),
        by=load_actor(job.asked_by),
        dry_run=is_check(job),
    )


PHOTO_IMPORT = SpreadsheetImport(
    "import_photos",
    ACTION,
    read_rows,
    row_keys,
    _import_part,
    COLUMNS,
    journal_counts("photos_imported"),
    has_warnings=True,
    rows_per_chunk=PHOTOS_PER_CHUNK,
)


def enqueue_import(content: bytes, name: str, *, dry_run: bool, by: Actor) -> Job:
    """Store an archive of photos and enqueue its import, or its check (`dry_run`). `name`: the file's name.
    Raises InvalidInput, TooLarge, Unavailable."""
    return PHOTO_IMPORT.enqueue(content, f"照片 {name[:60]}", by=by, dry_run=dry_run)


def _accept_upload(
    _subject: UUID | None,
    name: str,
    content: bytes,
    by: Actor,
    fields: Mapping[str, Any],
) -> UUID:
    """Enqueue the import (or with the field «check» the check) of an archive that came in chunks. Returns the
    job's id. Raises InvalidInput, TooLarge, Unavailable."""
    return enqueue_import(content, name, dry_run="check" in fields, by=by).id


chunked_uploads.register_purpose("photos", authorize_action(ACTION), _accept_upload, UPLOAD_LIMITS)
