"""The store holds nothing in clear: everything is sealed as it comes in, and what lay there from before is
sealed by a job that may run again."""

import importlib
import re
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.certificates import official_seals
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import NotFound
from dingkao.filings.dossier import dossier_of
from dingkao.filings.filing_documents import save_proof
from dingkao.integrations import storage
from dingkao.integrations.storage import current_store
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.models import Job
from dingkao.journal.checkpoint_files import BATCH_KIND, HEAD_KIND, VOLUME_KIND
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import proposed_acts
from dingkao.question_banks import question_pictures
from dingkao.tenants.encryption import DecryptionFailed, Vault, current_vault
from dingkao.tenants.keys import object_key
from dingkao.tenants.models import OpenedProvince
from dingkao.uploads import file_encryption
from tests import actors

HOUSE = Path(storage.__file__).resolve().parents[1]
PUT = re.compile(r'store\(\)\.put\(\s*("[a-z-]+"|[A-Z]+\b)')
IN_CLEAR = [actors.portrait_image(), actors.portrait_image(400, 400, kind="PNG"), b"%PDF-1.7 of old"]


def kinds() -> list[str]:
    """The kinds of files that are kept anywhere in the house."""
    stored_kinds = {BATCH_KIND, HEAD_KIND, VOLUME_KIND}
    for path in HOUSE.rglob("*.py"):
        for text in PUT.findall(path.read_text()):
            name = ".".join(path.relative_to(HOUSE.parent).with_suffix("").parts)
            stored_kinds.add(
                text.strip('"') if text.startswith('"') else getattr(importlib.import_module(name), text)
            )
    return sorted(stored_kinds)


FILES = {kind: IN_CLEAR[number % 3] for number, kind in enumerate(kinds())} | {"proof": IN_CLEAR[1]}


def raw(kind: str, identity: UUID) -> bytes:
    return (
        current_store()
        .client.get_object(Bucket=current_store().bucket, Key=object_key(kind, identity))["Body"]
        .read()
    )


def in_clear(kind: str, content: bytes) -> UUID:
    """A file as it was kept before everything was sealed."""
    identity = uuid4()
    current_store().client.put_object(
        Bucket=current_store().bucket, Key=object_key(kind, identity), Body=content
    )
    return identity


def files_sealed_at(value) -> None:
    with db.engines["platform"].begin() as connection:
        connection.execute(
            update(OpenedProvince).where(OpenedProvince.code == 41).values(files_sealed_at=value)
        )


@pytest.fixture
def province(provinces, in_province, monkeypatch):
    """河南 as it was before everything was sealed; jobs are done here alone."""
    monkeypatch.setattr(enqueueing, "DEFAULT_QUEUE", "quiet-storage")
    monkeypatch.setattr(file_encryption, "BATCH_SIZE", 3)
    with in_province("henan"):
        files_sealed_at(None)
        yield
        for job in db.session.scalars(select(Job).where(Job.name == file_encryption.ENCRYPT_JOB)):
            db.session.delete(job)
        db.session.commit()
        files_sealed_at(clock.now())


def done() -> int:
    """Do the job in this process; how many files it sealed."""
    job = file_encryption.enqueue_encryption()
    db.session.commit()
    worker.run_turn(job.id)
    while db.session.scalar(select(Job.state).where(Job.id == job.id)) in ("waiting", "running"):
        worker.run_turn(job.id)
    db.session.expire_all()
    return job.result["sealed"]


def test_what_is_kept_lies_sealed(provinces, in_province):
    with in_province("shanxi"):
        identity = uuid4()
        for kind, content in FILES.items():
            current_store().put(kind, identity, content)
            assert current_store().get(kind, identity) == content
            sealed = raw(kind, identity)
            assert sealed[0] == current_vault().current_key_number
            assert content[4:40] not in sealed
            current_store().delete(kind, identity)


def test_a_file_opens_in_its_own_place_alone(provinces, in_province):
    identity, other_identity = uuid4(), uuid4()
    with in_province("shanxi"):
        current_store().put("photo", identity, FILES["photo"])
        sealed = raw("photo", identity)
    for slug, kind, target_identity in (
        ("shanxi", "photo", other_identity),
        ("shanxi", "proof", identity),
        ("henan", "photo", identity),
    ):
        with in_province(slug):
            current_store().client.put_object(
                Bucket=current_store().bucket, Key=object_key(kind, target_identity), Body=sealed
            )
            with pytest.raises(DecryptionFailed):
                current_store().get(kind, target_identity)
            current_store().delete(kind, target_identity)


def test_nothing_of_a_province_lies_in_clear(application, provinces, in_province):
    doctor = actors.signed_in_doctor(
        application, in_province, "shanxi", next(actors.unused_serials("shanxi"))
    )
    doctor.file()
    with in_province("shanxi"):
        doctor_record = db.session.scalars(select(Doctor).where(Doctor.id == doctor.doctor_id)).one()
        save_proof(
            dossier_of(doctor_record, actors.get_or_open_cycle(), for_update=True),
            "证明.png",
            FILES["proof"],
            by=TERMINAL_ACTOR,
        )
        question_pictures.save_picture(actors.portrait_image(kind="PNG"), by=TERMINAL_ACTOR)
        actor, second_actor = actors.make_actor("province_admin"), actors.make_actor("province_admin")
        proposed_acts.approve(
            official_seals.propose_seal(actors.portrait_image(400, 400, kind="PNG"), by=actor, reason="测试"),
            by=second_actor,
        )
        db.session.commit()
        assert official_seals.current_seal().content.startswith(b"\x89PNG")
        last_key, kinds = "", set()
        while files := current_store().list_objects(last_key, 100):
            for kind, identity in files:
                sealed = raw(kind, identity)
                assert sealed[0] == current_vault().current_key_number, kind
                assert not any(
                    head in sealed[:64] for head in (b"JFIF", b"PNG", b"%PDF", b"PK\x03\x04", b"<svg")
                )
                kinds.add(kind)
            last_key = object_key(*files[-1])
        assert {"photo", "proof", "question-picture", "seal"} <= kinds


def test_files_in_clear_are_read_until_a_job_has_sealed_them_and_it_may_run_again(province):
    identities = {kind: in_clear(kind, content) for kind, content in FILES.items()}
    assert {kind: current_store().get(kind, identity) for kind, identity in identities.items()} == FILES
    assert done() == len(FILES)
    for kind, identity in identities.items():
        assert raw(kind, identity)[0] == current_vault().current_key_number
        assert current_store().get(kind, identity) == FILES[kind]
    assert done() == 0


def test_once_all_were_found_sealed_a_file_in_clear_is_nobodys(province):
    identity = in_clear("photo", FILES["photo"])
    assert done() == 1
    assert done() == 0
    planted = in_clear("photo", FILES["photo"])
    assert current_store().get("photo", planted) == FILES["photo"]  # old processes may still be about
    assert done() == 1
    for job in db.session.scalars(select(Job).where(Job.name == file_encryption.ENCRYPT_JOB)):
        job.asked_at = clock.now() - 2 * file_encryption.CONFIRM_AFTER
    db.session.commit()
    assert done() == 0
    planted = in_clear("photo", FILES["photo"])
    with pytest.raises(DecryptionFailed):
        current_store().get("photo", planted)
    assert current_store().get("photo", identity) == FILES["photo"]
    current_store().delete("photo", planted)


def test_the_duty_asks_where_files_may_lie_in_clear_and_nobody_is_at_it(province):
    def asked() -> int:
        return len(
            list(
                db.session.scalars(
                    select(Job).where(Job.name == file_encryption.ENCRYPT_JOB, Job.state == "waiting")
                )
            )
        )

    for _ in range(2):
        file_encryption.enqueue_encryption_if_needed()
        assert asked() == 1
    for job in db.session.scalars(select(Job).where(Job.name == file_encryption.ENCRYPT_JOB)):
        db.session.delete(job)
    files_sealed_at(clock.now() - timedelta(days=1))
    file_encryption.enqueue_encryption_if_needed()
    assert asked() == 0


def test_what_was_sealed_with_an_older_key_is_sealed_with_the_present_one(province, application, monkeypatch):
    identity = uuid4()
    current_store().put("photo", identity, FILES["photo"])
    with monkeypatch.context() as patch:
        patch.setitem(
            application.extensions, "vault", Vault({2: bytes(range(32))} | dict(current_vault().data_keys))
        )
        assert current_store().get("photo", identity) == FILES["photo"]
        assert current_store().encrypt_existing("photo", identity)
        assert raw("photo", identity)[0] == 2
        assert current_store().get("photo", identity) == FILES["photo"]
        assert not current_store().encrypt_existing("photo", identity)
    with pytest.raises(DecryptionFailed):
        current_store().get("photo", identity)
    current_store().delete("photo", identity)


@pytest.mark.parametrize("content", [None, b"%PDF-1.7 of now"], ids=["deleted", "replaced"])
def test_what_is_deleted_or_replaced_while_it_is_sealed_stays_so(province, monkeypatch, content):
    identity = in_clear("proof", FILES["proof"])
    load = storage.ObjectStore._load_object

    def load_and_change(store, *place):
        loaded = load(store, *place)
        store.delete(*place) if content is None else store.put(*place, content)
        return loaded

    with monkeypatch.context() as patch:
        patch.setattr(storage.ObjectStore, "_load_object", load_and_change)
        assert done() == 0
    if content is None:
        with pytest.raises(NotFound):
            current_store().get("proof", identity)
    else:
        assert current_store().get("proof", identity) == content
        current_store().delete("proof", identity)


def test_a_damaged_file_stops_no_other(province, monkeypatch):
    log_events = []
    monkeypatch.setattr(
        file_encryption.log, "exception", lambda event, **values: log_events.append(event), raising=False
    )
    damaged = in_clear("proof", bytes([current_vault().current_key_number]) + b"damaged" * 9)
    intact_id = in_clear("proof", FILES["proof"])
    assert done() == 1
    assert log_events == ["file.damaged"]
    assert current_store().get("proof", intact_id) == FILES["proof"]
    current_store().delete("proof", damaged)


def test_there_is_one_way_into_the_store():
    places = [
        path.relative_to(HOUSE).as_posix()
        for path in HOUSE.rglob("*.py")
        if "put_object" in path.read_text() or "upload_file" in path.read_text()
    ]
    assert places == ["integrations/storage.py"]
