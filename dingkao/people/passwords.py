"""Passwords: argon2id, a length, and what may not be one (security.md 1, 2)."""

import re
from datetime import date
from functools import lru_cache
from itertools import islice

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dingkao.errors import Invalid

INITIAL = "666666"
DOCTOR_LENGTH, STAFF_LENGTH, LONGEST = 8, 12, 128
MOST_COMMON = 3000
COMMON_HERE = frozenset(
    ["12345678", "123456789", "1234567890", "87654321", "11111111", "00000000", "88888888", "66666666", "99999999", "12341234", "11223344", "123123123", "abcd1234", "a1234567", "a12345678", "aa123456", "abc12345", "abc123456", "qwertyui", "qwerty123", "password", "password1", "password123", "passw0rd", "iloveyou", "1qaz2wsx", "1q2w3e4r", "asdfghjkl", "zxcvbnm123", "woaini1314", "5201314520", "wang123456", "zhang123456", "yishi123456", "doctor123456", "dingkao123456", "admin123456"]
)
"""Common in this country and in this trade, which lists made elsewhere don't know."""
_hasher = PasswordHasher()
_DUMMY = _hasher.hash("nobody has this password")


def hashed(password: str) -> str:
    """The argon2id hash to keep."""
    return _hasher.hash(password)


def matches(kept: str | None, password: str) -> bool:
    """Whether `password` is the one kept. It takes the same time when there is none, so that nobody learns who exists."""
    try:
        _hasher.verify(kept or _DUMMY, password)
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def check(password: str, *, staff: bool, birth_date: date | None = None, numbers: tuple[str, ...] = ()) -> None:
    """Refuse a password that others would try first (security.md 1, 2): too short, common, one's birth date, the tail of one's own `numbers`
    (ID, phone), dashes between them or none. Raises Invalid on the field new_password."""
    least = STAFF_LENGTH if staff else DOCTOR_LENGTH
    low = password.lower()
    if len(password) < least:
        raise Invalid(f"新密码至少{least}位,可以用字母、数字、符号或汉字。", "new_password")
    if len(password) > LONGEST:
        raise Invalid(f"新密码最多{LONGEST}位。", "new_password")
    if low in _common(least) or len(set(low)) < 4 or INITIAL in low or _ladder(low):
        raise Invalid("这个密码太常见,容易被猜到,请换一个。", "new_password")
    parts = [birth_date.strftime("%Y%m%d"), birth_date.strftime("%y%m%d")] if birth_date else []
    parts += [number[-6:].lower() for number in numbers if len(number) >= 6]
    joined = re.sub(r"[-./_ 年月日]", "", low)
    if any(part in low or part in joined for part in parts):
        raise Invalid("新密码不能含有您的出生日期、证件号码或手机号的后6位,请换一个。", "new_password")


def _ladder(text: str) -> bool:
    steps = {ord(b) - ord(a) for a, b in zip(text, text[1:], strict=False)}
    return steps in ({1}, {-1}, {0})


@lru_cache(maxsize=2)
def _common(least: int) -> frozenset[str]:
    """The most common passwords among those that are long enough (ASVS 6.2.4), and those common here."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # it takes a while to load

    long_enough = (word for word in FREQUENCY_LISTS["passwords"] if len(word) >= least)
    return frozenset(islice(long_enough, MOST_COMMON)) | COMMON_HERE
