"""What is no password, because anybody would try it."""

import random
import string
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given
from hypothesis import strategies as st

from dingkao.errors import Busy, InvalidInput
from dingkao.people import passwords
from dingkao.people.password_guessability import KEYBOARD_ROWS, is_guessable
from dingkao.tenants.registry import PROVINCES, by_slug, search_terms

SHANXI = by_slug("shanxi")


@pytest.mark.parametrize(
    "bad",
    [
        "dingkao2026",
        "Dingkao2026!",
        "D1ngka0-2026",
        "定考2026定考2026",
        "定期考核20252026",
        "yishi2024yishi",
        "kaohe@2025",
        "dingkao123456!",
        "ＤＩＮＧＫＡＯ２０２６",
        "shanxi123456",
        "Shanxi2026#",
        "山西山西2026",
        "5hanxi2025",
        "山西省1234",
        "wanghong1985",
        "Wang.Hong1985",
        "hongwang888",
        "王红王红1985",
        "王红王红王红王红",
        "wanghong8888",
        "w4nghong12",
        "WANGhong!!1",
        "wanghong8317",
        "19851985",
        "2024-2025",
        "20262027!",
        "1998.2003x",
        "qwerty1234",
        "asdfghjkl;",
        "poiuytrewq",
        "zxcvbnm,./1",
        "1qaz2wsx3edc",
        "qazwsxedc1",
        "!@#$%^&*()",
        "qwer1234!",
        "asdf7890asdf",
        "t-clerk2026",
        "clerk-t.1234",
        "password2026!",
        "admin2026admin",
        "woaini2026!",
    ],
)
def test_names_years_and_rows_alone_are_no_password(bad):
    assert is_guessable(bad, ("王红", "t-clerk"), SHANXI)
    with pytest.raises(InvalidInput) as refusal:
        passwords.validate_new_password(bad, staff=False, names=("王红", "t-clerk"), province=SHANXI)
    assert refusal.value.field == "new_password"


@pytest.mark.parametrize(
    "good",
    [
        "helan-shanxia-77",
        "taihang-chunfeng-2026",
        "wanghong-mifan-62",
        "7Kp9x2qwer",
        "Frühling-im-Taunus",
        "三月的雨下在山西",
        "shanxi-8d6k2m",
        "dingkao&Lv7xq",
        "x7#mQ2v9",
    ],
)
def test_with_enough_besides_they_are(good):
    assert not is_guessable(good, ("王红", "t-clerk"), SHANXI)
    passwords.validate_new_password(good, staff=False, names=("王红", "t-clerk"), province=SHANXI)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("单雄", "shanxiong2020"),
        ("曾国", "zengguo2020"),
        ("曾国", "cengguo2020"),
        ("吕绿", "lvlv19901990"),
        ("吕绿", "lulu19901990"),
        ("欧阳文静", "ouyangwenjing1"),
        ("欧阳文静", "wenjing1990wj"),
        ("欧阳文静", "ouyang199012"),
        ("Maria del Carmen", "maria.carmen.1990"),
        ("阿布都·热依木", "abudu1990!"),
        ("李安", "lian1234lian"),
        ("古丽努尔·买买提", "gulinuer88"),
        ("古丽努尔‧买买提", "GulinuerMaimaiti!1"),
        ("Li Na", "lina8888"),
        ("吕旭", "lyuxu8317"),
    ],
)
def test_a_name_is_known_in_every_reading(name, written):
    assert is_guessable(written, (name,), None)


@pytest.mark.parametrize("province", PROVINCES, ids=lambda one: one.slug)
def test_every_provinces_name_counts_in_itself(province):
    for word in search_terms(province):
        if len(word) > 3 or not word.isascii():
            assert is_guessable(f"{word}2026{word}", (), province), word


def test_another_person_and_place_do_not_matter():
    assert not is_guessable("wanghong-qinghai", ("李安",), SHANXI)
    assert is_guessable("wanghong-qinghai", ("王红",), by_slug("qinghai"))


@given(
    st.sampled_from(KEYBOARD_ROWS),
    st.integers(0, 30),
    st.booleans(),
    st.sampled_from(["", "1", "ab", "!?", "7x9"]),
)
def test_any_part_of_a_row_either_way(row, start, turned, more):
    part = row[start : start + 8]
    part = part[::-1] if turned else part
    if len(part) >= 4:
        assert is_guessable(part + more, (), None)


@given(st.text(max_size=140), st.lists(st.text(max_size=60), max_size=3))
def test_whatever_is_typed_and_called_gets_an_answer(password, names):
    is_guessable(password, names, SHANXI)


def test_what_is_drawn_by_chance_is_hardly_ever_refused():
    chance = random.Random(1)  # noqa: S311 - made-up passwords
    random_passwords = [
        "".join(chance.choices(string.ascii_letters + string.digits, k=10)) for _ in range(2000)
    ]
    assert sum(is_guessable(password, ("王红",), SHANXI) for password in random_passwords) <= 2


# --- hashing


def test_a_hash_has_the_least_cost_that_is_recommended_and_one_of_other_costs_is_renewed(real_hashes):
    stored_hash = passwords.hash_password("taiyuan-chunfeng")
    costs = extract_parameters(stored_hash)
    assert (costs.type.name, costs.memory_cost, costs.time_cost, costs.parallelism) == ("ID", 19456, 2, 1)
    assert passwords.rehash_if_needed(stored_hash, "taiyuan-chunfeng") is None
    former = PasswordHasher().hash("taiyuan-chunfeng")
    assert passwords.verify_password(former, "taiyuan-chunfeng")
    renewed = passwords.rehash_if_needed(former, "taiyuan-chunfeng")
    assert renewed
    assert extract_parameters(renewed) == costs
    assert passwords.verify_password(renewed, "taiyuan-chunfeng")


class Counted:
    """A hasher that takes a moment and notes how many are at it at once."""

    def __init__(self, seconds):
        self.seconds, self.now, self.most, self.lock = seconds, 0, 0, threading.Lock()

    def verify(self, _kept, _password):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        with self.lock:
            self.now -= 1


def test_few_hash_at_once_and_the_others_wait_for_a_place(monkeypatch):
    hasher = Counted(0.02)
    monkeypatch.setattr(passwords, "_hasher", hasher)
    monkeypatch.setattr(passwords, "QUEUE_TIMEOUT_SECONDS", 20)
    with ThreadPoolExecutor(12) as crowd:
        assert all(crowd.map(lambda _: passwords.verify_password("kept", "typed"), range(40)))
    assert hasher.most == 2


def test_who_gets_no_place_in_time_is_asked_to_come_again(monkeypatch):
    hasher = Counted(0.5)
    monkeypatch.setattr(passwords, "_hasher", hasher)
    monkeypatch.setattr(passwords, "QUEUE_TIMEOUT_SECONDS", 0.05)
    with ThreadPoolExecutor(2) as thread_pool_executor:
        busy = [thread_pool_executor.submit(passwords.verify_password, "kept", "typed") for _ in range(2)]
        while hasher.now < 2:
            time.sleep(0.01)
        with pytest.raises(Busy):
            passwords.verify_password("kept", "typed")
        assert all(verification.result() for verification in busy)
    assert passwords.verify_password("kept", "typed"), "the places are given back"


def test_all_processes_together_hash_within_a_gibibyte():
    assert [passwords.max_concurrent_hashes(processes) for processes in (1, 2, 26, 32, 64)] == [2, 2, 2, 1, 1]
    assert all(
        passwords.max_concurrent_hashes(processes) * processes * 19 <= 1024 for processes in range(1, 54)
    )
