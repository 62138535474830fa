"""The log of operators' acts and of refused attempts at /platform: append-only, chained and listed in
checkpoints like a province's journal, and verified every night."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import (
    Connection,
    Engine,
    Table,
    func,
    insert,
    literal,
    or_,
    select,
)

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.errors import NotFound
from dingkao.integrations.storage import current_store
from dingkao.journal import checkpoint_files, checkpoints, verification
from dingkao.journal.findings import VerificationReport
from dingkao.journal.ledgers import SETTLED_QUERY, using_ledger
from dingkao.operators.models import (
    ActVerification,
    Operator,
    OperatorAct,
)
from dingkao.tenants.clients import current_client
from dingkao.tenants.encryption import DecryptionFailed, current_vault

ACTS_LOCK_ID = 0x646B6163
MAX_ENTRIES_SHOWN = 200
NO_OPERATOR_ID = UUID(int=0)
log = structlog.get_logger()


def write_act(
    connection: Connection,
    operator: UUID | None,
    verb: str,
    province: int | None = None,
    details: str | None = None,
) -> None:
    """Write an act in the caller's transaction; others that write acts wait until it ends, because each act
    is chained to the one before. `operator`: None for the command line, a scheduled task or an unknown user
    name."""
    client, acts = current_client(), _acts_table()
    connection.execute(select(func.pg_advisory_xact_lock(ACTS_LOCK_ID)))
    last = connection.execute(select(acts.c.id, acts.c.seal).order_by(acts.c.id.desc()).limit(1)).first()
    act_id = new_id()
    act = OperatorAct(
        id=max(act_id, UUID(int=last.id.int + 1)) if last else act_id,
        operator_id=operator,
        verb=verb,
        province=province,
        at=clock.now(),
        details=details,
        address=client.address,
        device=client.device,
        previous=last.seal if last else None,
    )
    values = {column.name: getattr(act, column.name) for column in acts.columns}
    connection.execute(insert(acts).values(values | {"seal": _act_mac(act)}))


def record_act(
    operator: UUID,
    verb: str,
    province: int | None = None,
    details: str | None = None,
) -> None:
    """Write an operator's act in a separate transaction, committed here; it waits for others that write
    acts."""
    with db.engines["platform"].begin() as connection:
        write_act(connection, operator, verb, province, details)


def latest_acts(limit: int = 30) -> list[dict[str, Any]]:
    """Returns the latest acts, the newest first, as dicts of their columns, with `name` of the operator: None
    for acts of the command line or a scheduled task, and for attempts with an unknown user name."""
    acts, operators = _acts_table(), Operator.__table__
    query = select(acts, operators.c.name).outerjoin(operators, operators.c.id == acts.c.operator_id)
    with db.engines["platform"].connect() as connection:
        return [
            dict(act) for act in connection.execute(query.order_by(acts.c.id.desc()).limit(limit)).mappings()
        ]


class PlatformActLog:
    """The operators' acts as a ledger (`journal.ledgers.Ledger` says what each method returns), with one
    chain of all acts. Acts from before the chain was introduced have no seal; the first checkpoint lists them
    as they are."""

    is_platform = True

    def owner_code(self) -> int:
        """0, for the platform."""
        return 0

    def engine(self) -> Engine:
        return db.engines["platform"]

    def settled_at(self) -> datetime:
        """The start of the oldest open transaction of the platform's database role that has written
        something; now if there is none."""
        with self.engine().connect() as connection:
            moment: datetime = connection.execute(SETTLED_QUERY).scalar_one()
        return moment

    def fetch_entries(self, after: UUID, until: UUID, limit: int) -> list[Any]:
        """The acts with `after` < id <= `until`, by id, `limit` at most."""
        return self._fetch(select(_acts_table()), after, until, limit)

    def fetch_linked_entries(self, after: UUID, until: UUID, limit: int) -> list[Any]:
        """The acts with `after` < id <= `until`, by id, `limit` at most, each with whether it follows on an
        earlier one (or is the first): `follows`."""
        acts, previous_acts = _acts_table(), _acts_table().alias()
        linked = (
            select(literal(1))
            .where(
                previous_acts.c.id < acts.c.id,
                previous_acts.c.seal == acts.c.previous,
            )
            .exists()
        )
        return self._fetch(
            select(
                acts,
                or_(acts.c.previous.is_(None), linked).label("follows"),
            ),
            after,
            until,
            limit,
        )

    def entry_subject(self, row: Any) -> UUID:
        """The operator who acted; NO_OPERATOR_ID for an act without one."""
        return row.operator_id or NO_OPERATOR_ID

    def is_valid(self, row: Any, *, first: bool) -> bool:
        """Whether the act has the MAC that its columns give; without a MAC, whether the ledger has no
        checkpoint yet (`first`)."""
        return first if row.seal is None else bytes(row.seal) == _act_mac(row)

    def entry_digest(self, row: Any) -> bytes:
        """The digest of the act's columns and its MAC, for the checkpoint that lists it."""
        return current_vault().mac(
            "operator-act-listed",
            _act_content(row) + bytes(row.seal or b""),
            platform=True,
        )

    def _fetch(self, query: Any, after: UUID, until: UUID, limit: int) -> list[Any]:
        """The rows of a query about the acts with `after` < id <= `until`, by id, `limit` at most."""
        acts = _acts_table()
        page = query.where(acts.c.id > after, acts.c.id <= until).order_by(acts.c.id).limit(limit)
        with self.engine().connect() as connection:
            return list(connection.execute(page))


ACT_LEDGER = PlatformActLog()


# --- sealing and verifying


def write_checkpoint() -> int:
    """The scheduled task that lists new acts in the object store every minute; returns how many, 0 also while
    another process does it. Raises checkpoint_files.InvalidCheckpoint, Unavailable."""
    with using_ledger(ACT_LEDGER):
        return checkpoints.write_checkpoint()


def verify_acts(*, merge_batches: bool = False) -> VerificationReport:
    """Verify all acts against their MACs and the checkpoints. `merge_batches`: verified batches become
    volumes in the store. Raises Unavailable, and checkpoint_files.InvalidCheckpoint if the head is altered
    meanwhile."""
    report, last = VerificationReport(), latest_verification()
    with using_ledger(ACT_LEDGER):
        cursor: verification.Cursor | None = verification.initial_cursor(last.number if last else 0)
        while cursor is not None:
            cursor, step_report = verification.verify_step(cursor, merge_batches=merge_batches)
            report.merge(step_report)
    return report


def verify_nightly() -> None:
    """The scheduled task that verifies the acts, merges the verified batches into volumes, stores the
    findings for the operators' page (committed here), and re-encrypts files with an older key. Raises
    Unavailable, and checkpoint_files.InvalidCheckpoint if the head is altered meanwhile."""
    report = verify_acts(merge_batches=True)
    if not report.is_clean:
        log.error(
            "acts.broken",
            entries=len(report.entries),
            files=len(report.files),
        )
    report_values = report.as_dict()
    findings = {
        "entries": report_values["entries"][:MAX_ENTRIES_SHOWN],
        "files": report_values["files"][:MAX_ENTRIES_SHOWN],
        "faults": len(report.entries) + len(report.files),
    }
    values = {
        "id": new_id(),
        "at": clock.now(),
        "checked": report.checked,
        "uncovered": report.uncovered,
        "number": _last_batch_number(),
        "found": json.dumps(findings),
    }
    with db.engines["platform"].begin() as connection:
        connection.execute(insert(ActVerification).values(values))
    _reencrypt_files()


def last_verified_at() -> datetime | None:
    """Returns when the acts were last verified, or None."""
    last = latest_verification()
    return last.at if last else None


def latest_verification() -> Any:
    """Returns the row of the latest verification (the columns of ActVerification); None if there was none."""
    with db.engines["platform"].connect() as connection:
        verifications: Any = ActVerification.__table__
        return connection.execute(select(verifications).order_by(verifications.c.id.desc()).limit(1)).first()


def _last_batch_number() -> int:
    """Returns the number of the last batch in the store; if the head can't be read, the number known before.
    Raises Unavailable."""
    last = latest_verification()
    verified_number = last.number if last else 0
    try:
        with using_ledger(ACT_LEDGER):
            head = checkpoint_files.load_head()
    except checkpoint_files.InvalidCheckpoint:
        return int(verified_number)
    return max(head.number if head else 0, verified_number)


def _reencrypt_files() -> None:
    """Re-encrypt those of the platform's files in the object store that have an older key; one that is
    damaged is logged. Raises Unavailable."""
    files, last_key = current_store().platform_store(), ""
    while listed_files := files.list_objects(last_key, verification.FILES_PER_STEP):
        for kind, identity in listed_files:
            try:
                files.encrypt_existing(kind, identity)
            except NotFound:  # deleted since it was listed
                continue
            except DecryptionFailed:
                log.exception(
                    "file.damaged",
                    kind=kind,
                    file=str(identity),
                    exc_info=False,
                )
        last_key = files.key_of(*listed_files[-1])


def _act_mac(act: Any) -> bytes:
    """The keyed MAC of an act, over `_act_content`, which includes the MAC of the act before."""
    return current_vault().mac("operator-act", _act_content(act), platform=True)


def _act_content(act: Any) -> bytes:
    """Returns the columns that the MAC of an act covers, as JSON."""
    content = [
        str(act.id),
        str(act.operator_id),
        act.verb,
        act.province,
        act.at.astimezone(UTC).isoformat(timespec="microseconds"),
        act.details,
        act.address,
        act.device,
        bytes(act.previous).hex() if act.previous else None,
    ]
    return json.dumps(content, ensure_ascii=True).encode()


def _acts_table() -> Table:
    return OperatorAct.__table__  # type: ignore[return-value]
