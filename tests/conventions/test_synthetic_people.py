"""The made-up people of load tests are as people are: names, numbers, births, sexes, shares; the same seed
makes the same."""

from collections import Counter
from itertools import islice
from random import Random

import pytest
from stdnum.cn import ric

from dingkao.doctors.code_lists import CATEGORIES, LEVELS, SCOPES
from dingkao.people.identity_numbers import parse_document
from dingkao.people.names import normalise_name
from tests.load.synthetic_divisions import number_space
from tests.load.synthetic_names import draw_name
from tests.load.synthetic_people import CHUNK_SIZE, iter_people

COUNT = 12_000
REAL_SIZE = 446_000


@pytest.fixture(scope="module")
def people():
    """Some of the doctors of a province of real size."""
    return list(islice(iter_people(14, REAL_SIZE), COUNT))


@pytest.fixture(scope="module")
def residents(people):
    """Those of them with an ID card."""
    return [person for person in people if person.document_type == "resident"]


def test_numbers_are_right_and_agree_with_sex_and_birth(residents):
    assert len(residents) > COUNT * 0.99
    for person in residents:
        document = parse_document("resident", person.number)
        assert (document.sex, document.birth_date) == (person.sex, person.birth_date)
    for person in residents[:1000]:
        assert ric.validate(person.number) == person.number, "a division that there was in that year"
    assert {person.birth_date.year for person in residents} == set(range(1955, 2001))


def test_no_two_people_have_the_same_number(people):
    assert len({person.number for person in people}) == COUNT
    space = number_space(46)  # the fewest counties
    assert space.size > REAL_SIZE
    serials = range(0, REAL_SIZE, 7)
    assert len({space.number_of(serial, "male")[0] for serial in serials}) == len(serials)


def test_surnames_are_as_frequent_as_in_life(people):
    surnames = Counter(person.name[0] for person in people)
    assert [surname for surname, _ in surnames.most_common(4)] in (
        ["王", "李", "张", "刘"],
        ["王", "张", "李", "刘"],
    )
    assert 0.06 < surnames["王"] / COUNT < 0.085
    assert len(surnames) > 150
    assert any(person.name.startswith(("欧阳", "上官", "司马", "诸葛", "皇甫", "令狐")) for person in people)


def test_names_have_two_to_twenty_characters_and_some_are_rare(people):
    chance = Random(1)  # noqa: S311 - makes names up
    lengths = {len(draw_name(chance, sex, "维吾尔族")) for sex in ("male", "female") for _ in range(2000)}
    assert min(lengths) < 9
    assert max(lengths) in range(17, 21)
    assert {len(person.name) for person in people} >= {2, 3, 4}
    assert any(ord(max(person.name)) > 0xFFFF for person in people), "beyond the Basic Multilingual Plane"
    assert all(2 <= len(person.name) <= 20 for person in people)
    assert all(normalise_name(person.name) == person.name for person in people)


def test_both_sexes_and_every_category_are_there_in_their_shares(people):
    assert 0.45 < sum(person.sex == "female" for person in people) / COUNT < 0.51
    categories = Counter(person.category for person in people)
    assert set(categories) == set(CATEGORIES)
    assert 0.74 < categories["clinical"] / COUNT < 0.78
    assert {person.level for person in people} == set(LEVELS)
    assert all(SCOPES[person.scope][0] == person.category for person in people)
    assert len({person.department for person in people}) > 30


def test_the_same_seed_makes_the_same_people_and_every_chunk_by_itself(people):
    assert list(islice(iter_people(14, REAL_SIZE), CHUNK_SIZE)) == people[:CHUNK_SIZE]
    assert (
        list(islice(iter_people(14, REAL_SIZE, first=CHUNK_SIZE), 5)) == people[CHUNK_SIZE : CHUNK_SIZE + 5]
    )
    assert next(iter_people(14, REAL_SIZE, seed=1)) != people[0]


def test_one_institution_has_thousands_and_most_have_a_few(people):
    sizes = Counter(person.institution for person in people)
    assert sizes.most_common(1)[0][0] == 0
    assert 0.01 < sizes[0] / COUNT < 0.02
    assert len(sizes) > 5000
