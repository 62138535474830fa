"""Passwords: argon2id hashes, the minimal length, and refused passwords (security.md 1, 2).

A hash takes 19 MiB and about 25 ms of CPU, the minimum that OWASP recommends. On the last evening tens of
thousands sign in within an hour while others sit their exam on the same cores; therefore only few hashes are
computed at the same time. Other requests wait for a moment, and then are refused with Busy."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import lru_cache
from itertools import islice

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dingkao.errors import Busy, InvalidInput
from dingkao.people.password_guessability import is_guessable
from dingkao.tenants.registry import Province

INITIAL_PASSWORD = "666666"  # noqa: S105
MIN_DOCTOR_LENGTH, MIN_STAFF_LENGTH, MAX_LENGTH = 8, 12, 128
COMMON_PASSWORD_COUNT = 3000
LOCAL_COMMON_PASSWORDS = frozenset(
    [
        "12345678",
        "123456789",
        "1234567890",
        "87654321",
        "11111111",
        "00000000",
        "88888888",
        "66666666",
        "99999999",
        "12341234",
        "11223344",
        "123123123",
        "abcd1234",
        "a1234567",
        "a12345678",
        "aa123456",
        "abc12345",
        "abc123456",
        "qwertyui",
        "qwerty123",
        "password",
        "password1",
        "password123",
        "passw0rd",
        "iloveyou",
        "1qaz2wsx",
        "1q2w3e4r",
        "asdfghjkl",
        "zxcvbnm123",
        "woaini1314",
        "5201314520",
        "wang123456",
        "zhang123456",
        "yishi123456",
        "doctor123456",
        "dingkao123456",
        "admin123456",
    ]
)
"""Passwords common in China and in this profession, which foreign lists don't contain."""
ARGON2_MEMORY_KIB, ARGON2_TIME_COST, ARGON2_PARALLELISM = (
    19 * 1024,
    2,
    1,
)
"""The minimum that OWASP recommends for argon2id (Password Storage Cheat Sheet)."""
MAX_MEMORY_KIB = 1024 * 1024
MAX_CONCURRENT_HASHES = 2
QUEUE_TIMEOUT_SECONDS = 1.5
BUSY_MESSAGE = (
    "现在登录的人较多，系统正在依次处理。请稍候几秒，重新输入密码，再提交一次。已保存的内容不受影响。"
)
_hasher = PasswordHasher(
    time_cost=ARGON2_TIME_COST,
    memory_cost=ARGON2_MEMORY_KIB,
    parallelism=ARGON2_PARALLELISM,
)
_DUMMY_HASH = _hasher.hash("nobody has this password")


def hash_password(password: str) -> str:
    """The argon2id hash of a password, to be stored. Raises Busy."""
    with hash_slot():
        return _hasher.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Whether `password` matches the stored hash `stored`. If that is None, the result is False after the
    same time, so that the time doesn't tell which accounts exist. Raises Busy."""
    with hash_slot():
        try:
            _hasher.verify(stored or _DUMMY_HASH, password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None


def rehash_if_needed(stored: str, password: str) -> str | None:
    """A new hash of a password that has just matched, if `stored` was computed with other costs; else None.
    Raises Busy."""
    return hash_password(password) if _hasher.check_needs_rehash(stored) else None


def max_concurrent_hashes(processes: int) -> int:
    """How many hashes each of `processes` processes may compute at the same time: at most
    MAX_CONCURRENT_HASHES, and all processes together within MAX_MEMORY_KIB where possible; but at least one,
    even if so many processes need more."""
    return max(
        1,
        min(
            MAX_CONCURRENT_HASHES,
            MAX_MEMORY_KIB // ARGON2_MEMORY_KIB // max(processes, 1),
        ),
    )


_hash_slots = threading.BoundedSemaphore(
    max_concurrent_hashes(int(os.environ.get("WEB_WORKERS") or os.cpu_count() or 1))
)


class _HeldSlot(threading.local):
    """Whether this thread has a slot already."""

    is_held = False


_held_slot = _HeldSlot()


@contextmanager
def hash_slot() -> Iterator[None]:
    """Occupy one of the few slots for hashing during the block; all hashes in the block are computed in this
    slot. Raises Busy if none becomes free within QUEUE_TIMEOUT_SECONDS, so that a rush of sign-ins leaves
    threads for people who are signed in.
    A one-time code that the action consumes is consumed inside the block: Busy is raised before it is used
    up."""
    if _held_slot.is_held:
        yield
        return
    if not _hash_slots.acquire(timeout=QUEUE_TIMEOUT_SECONDS):
        raise Busy(BUSY_MESSAGE)
    _held_slot.is_held = True
    try:
        yield
    finally:
        _held_slot.is_held = False
        _hash_slots.release()


def min_password_length(*, staff: bool) -> int:
    """How many characters a new password must have."""
    return MIN_STAFF_LENGTH if staff else MIN_DOCTOR_LENGTH


def validate_new_password(
    password: str,
    *,
    staff: bool,
    birth_date: date | None = None,
    numbers: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    province: Province | None = None,
) -> None:
    """Refuse a password that an attacker would try first (security.md 1, 2): a short, overlong or common one,
    one that contains the birth date or the last six characters of one of `numbers` (document, mobile), with
    or without separators, or one made of `names` (the person's name, the user name) or names of the province
    or the product. `staff`: their minimal length is greater. Raises InvalidInput for the field
    `new_password`."""
    min_length = min_password_length(staff=staff)
    _require_length(password, min_length)
    if _is_common(password, min_length):
        raise InvalidInput("这个密码太常见，容易被猜到，请换一个。", "new_password")
    if _contains_personal_numbers(password, birth_date, numbers):
        raise InvalidInput(
            "新密码不能含有您的出生日期、证件号码或手机号的后6位，请换一个。",
            "new_password",
        )
    if is_guessable(password, names, province):
        raise InvalidInput(
            "新密码不能只由平台或省份的名称、您的姓名或用户名、年份、键盘上相邻的键组成，"
            "请再加入至少5个其他字符，或换一个。",
            "new_password",
        )


def _require_length(password: str, min_length: int) -> None:
    """Raise InvalidInput for a password that is shorter than `min_length` or longer than MAX_LENGTH."""
    if len(password) < min_length:
        raise InvalidInput(
            f"新密码至少{min_length}位，可以用字母、数字、符号或汉字。",
            "new_password",
        )
    if len(password) > MAX_LENGTH:
        raise InvalidInput(f"新密码最多{MAX_LENGTH}位。", "new_password")


def _is_common(password: str, min_length: int) -> bool:
    """Whether a password, its case ignored, is on the lists, has fewer than four different characters,
    contains the initial password or is a sequence (`_is_sequence`)."""
    lowered = password.lower()
    if lowered in _common_passwords(min_length) or len(set(lowered)) < 4:
        return True
    return INITIAL_PASSWORD in lowered or _is_sequence(lowered)


def _contains_personal_numbers(password: str, birth_date: date | None, numbers: tuple[str, ...]) -> bool:
    """Whether the password contains the birth date or the end of one of `numbers`, with or without
    separators."""
    lowered = password.lower()
    without_separators = re.sub(r"[-./_ 年月日]", "", lowered)
    return any(
        part in lowered or part in without_separators for part in _personal_numbers(birth_date, numbers)
    )


def _personal_numbers(birth_date: date | None, numbers: tuple[str, ...]) -> list[str]:
    """The birth date, with four and with two digits of the year, and the last six characters of each number
    that has as many, in lower case."""
    parts = [number[-6:].lower() for number in numbers if len(number) >= 6]
    if birth_date:
        parts += [
            birth_date.strftime("%Y%m%d"),
            birth_date.strftime("%y%m%d"),
        ]
    return parts


def _is_sequence(text: str) -> bool:
    """Whether each character follows the one before it by the same step: 1, -1 or 0."""
    steps = {ord(b) - ord(a) for a, b in zip(text, text[1:], strict=False)}
    return steps in ({1}, {-1}, {0})


@lru_cache(maxsize=2)
def _common_passwords(min_length: int) -> frozenset[str]:
    """The COMMON_PASSWORD_COUNT most common passwords among those with at least `min_length` characters (ASVS
    6.2.4), and LOCAL_COMMON_PASSWORDS."""
    from zxcvbn.frequency_lists import (
        FREQUENCY_LISTS,
    )  # it takes a while to load

    long_enough = (word for word in FREQUENCY_LISTS["passwords"] if len(word) >= min_length)
    return frozenset(islice(long_enough, COMMON_PASSWORD_COUNT)) | LOCAL_COMMON_PASSWORDS
