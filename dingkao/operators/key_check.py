"""Checks that the installation's data keys belong to its database, so that nothing is encrypted with a wrong
key.

The database has canaries: a known word encrypted with each key that was ever in use. A process decrypts them
before anything else, and ends if that fails.
"""

from uuid import UUID

from flask import Flask
from sqlalchemy import event, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from dingkao.clock import now
from dingkao.database.base import db
from dingkao.operators.models import KeyCanary, Operator
from dingkao.people.models import Account
from dingkao.people.provinces import opened_provinces
from dingkao.tenants.context import in_tenant
from dingkao.tenants.encryption import (
    DecryptionFailed,
    SecretLocation,
    current_vault,
)

CANARY_TEXT = "dingkao"
CANARY_LOCATION = SecretLocation("key_canary", "sealed", UUID(int=0))


class WrongDataKey(SystemExit):
    """DATA_KEY does not belong to the database, so the process ends."""

    def __init__(self) -> None:
        super().__init__(
            "DATA_KEY 与数据库不符：数据库中的证件号码和文件是用另一个密钥加密的。"
            "请改用原来的 DATA_KEY（所有服务器和命令行使用同一个）；"
            "更换密钥时，新旧密钥须同时给出，编号最小的密钥一直保留（见 deploy/README.md）。"
        )


def install(app: Flask) -> None:
    """Check the keys of `app` now; if the database does not respond or has no tables yet, at the first
    connection. Raises WrongDataKey."""
    pending = not _try_check(app)

    @event.listens_for(db.engine, "connect")
    def connected(_driver: object, _record: object) -> None:
        """Check the keys, if they couldn't be checked before. Raises WrongDataKey, at every connection."""
        nonlocal pending
        if pending:
            pending = False  # the check itself opens connections
            try:
                pending = not _try_check(app)
            except WrongDataKey:
                pending = True
                raise


def _try_check(app: Flask) -> bool:
    """Check the keys; returns False if the database could not be asked. It leaves no open connection, which
    forked processes would share. Raises WrongDataKey."""
    with app.app_context():
        try:
            check_keys()
        except SQLAlchemyError:
            return False
        finally:
            for engine in db.engines.values():
                engine.dispose()
    return True


def check_keys() -> None:
    """Decrypt the canaries, and add one (committed here) for the key that encrypts now. Raises WrongDataKey,
    also if the key with the lowest number has changed; SQLAlchemyError if the database can't be asked."""
    words = _load_canaries()
    if not words and not _decrypts_existing():
        raise WrongDataKey
    _validate_canaries(words)
    if current_vault().current_key_number not in words:
        canary = {
            "number": current_vault().current_key_number,
            "sealed": current_vault().encrypt_for_platform(CANARY_LOCATION, CANARY_TEXT),
            "made_at": now(),
        }
        with db.engines["platform"].begin() as connection:
            connection.execute(insert(KeyCanary).values(canary).on_conflict_do_nothing())
        _validate_canaries(_load_canaries())  # another process may have been quicker, with another key


def _load_canaries() -> dict[int, bytes]:
    """Returns number of the data key → encrypted word."""
    with db.engines["platform"].connect() as connection:
        return {
            canary.number: canary.sealed
            for canary in connection.execute(select(KeyCanary.number, KeyCanary.sealed))
        }


def _validate_canaries(words: dict[int, bytes]) -> None:
    """Raises WrongDataKey if the canary of a data key in use can't be decrypted, or the key with the lowest
    number, which blind indexes use, has changed."""
    ours = current_vault().data_keys
    if any(number in ours and not _decrypts(CANARY_LOCATION, sealed) for number, sealed in words.items()):
        raise WrongDataKey
    if words and min(words) != min(ours):
        raise WrongDataKey


def _decrypts_existing() -> bool:
    """Whether stored second factors can be decrypted. It replaces the canaries in a database from before they
    were introduced; True if there are none."""
    with db.engines["platform"].connect() as connection:
        query = (
            select(Operator.id, Operator.second_factor_sealed)
            .where(Operator.second_factor_sealed.is_not(None))
            .limit(1)
        )
        operator = connection.execute(query).first()
    if operator and not _decrypts(
        SecretLocation("operator", "second_factor", operator.id),
        operator.second_factor_sealed,
    ):
        return False
    return all(_decrypts_province(province.code) for province in opened_provinces())


def _decrypts_province(code: int) -> bool:
    """Whether a stored second factor of a province's accounts can be decrypted; True if there is none. What
    the session holds is dropped."""
    query = (
        select(Account.id, Account.second_factor_sealed)
        .where(Account.second_factor_sealed.is_not(None))
        .limit(1)
    )
    with in_tenant(code):
        account = db.session.execute(query).first()
        db.session.remove()
        try:
            if account:
                current_vault().decrypt(
                    SecretLocation("account", "second_factor", account.id),
                    account.second_factor_sealed or b"",
                )
        except DecryptionFailed:
            return False
    return True


def _decrypts(location: SecretLocation, sealed: bytes | None) -> bool:
    """Whether an encrypted value of the platform can be decrypted."""
    try:
        current_vault().decrypt_for_platform(location, sealed or b"")
    except DecryptionFailed:
        return False
    return True
