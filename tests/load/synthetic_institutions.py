"""Made-up institutions: hospitals, centres and clinics named after real counties, their assessment
organisations and their staff. The largest come first."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from dingkao.people.accounts import staff_login_index
from tests.load.synthetic_divisions import number_space
from tests.load.synthetic_names import draw_name
from tests.load.synthetic_people import institution_count, sample_id

DOCTORS_PER_ASSESSOR = 4_000
COUNTY_KINDS = (
    ("人民医院", "医疗机构"), ("中医医院", "医疗机构"), ("妇幼保健院", "妇幼保健机构"), ("第二人民医院", "医疗机构"),
    ("疾病预防控制中心", "疾病预防控制机构"), ("急救中心", "医疗机构"), ("精神卫生中心", "医疗机构"),
)  # fmt: skip
"""What each county has one of: the end of the name, and the category (机构类别)."""
LOCAL_KINDS = (
    "镇中心卫生院", "乡卫生院", "街道社区卫生服务中心", "社区卫生服务站", "村卫生室", "综合门诊部", "口腔诊所", "中医诊所", "内科诊所",
)  # fmt: skip
PLACE_CHARACTERS = (
    "东西南北上下大小新安平和龙凤青白石河山川林泉桥店庄营堡沟坡湾寨岭台城关柳杨槐枣梁王张李赵刘郭"
)
SURNAME_ROLES = ("clerk", "reviewer")


@dataclass(frozen=True, slots=True)
class StaffMember:
    """Somebody who works at an institution, in one role."""

    account_id: UUID
    membership_id: UUID
    user_name: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Institution:
    """An institution with its division, its assessment organisation (None: not given) and its staff.
    `reviewer`, `organisation_reviewer`: their accounts, if there are any."""

    id: UUID
    position: int
    name: str
    registration_number: str
    division: str
    category: str
    health_authority: str
    assesses: bool
    assessor_id: UUID | None
    staff: tuple[StaffMember, ...]

    def account_of(self, role: str) -> UUID | None:
        """The account of the member of staff in that role."""
        return next((member.account_id for member in self.staff if member.role == role), None)


def make_institutions(
    province: int, doctors: int, *, seed: int, assessor: UUID | None, with_staff: bool
) -> list[Institution]:
    """The institutions of a province of so many doctors. Without `assessor`, the largest of them are the
    assessment organisations of all `with_staff`, and there are none without."""
    count = institution_count(doctors)
    ids = [sample_id(Random(f"{province}/{seed}/institution/{at}"), at) for at in range(count)]  # noqa: S311
    assessors = max(doctors // DOCTORS_PER_ASSESSOR, 1) if with_staff and assessor is None else 0
    return [
        _make_institution(
            province,
            at,
            ids[at],
            seed,
            assessor or (ids[at % assessors] if assessors else None),
            at < assessors,
            with_staff,
        )
        for at in range(count)
    ]


def _make_institution(
    province: int,
    position: int,
    identity: UUID,
    seed: int,
    assessor: UUID | None,
    assesses: bool,
    with_staff: bool,
) -> Institution:
    chance = Random(f"{province}/{seed}/name/{position}")  # noqa: S311 - makes names up
    counties = number_space(province).present
    county = counties[position % len(counties)]
    order = position // len(counties)
    if order < len(COUNTY_KINDS):
        name, category = county.name + COUNTY_KINDS[order][0], COUNTY_KINDS[order][1]
    else:
        place = "".join(chance.choices(PLACE_CHARACTERS, k=2))
        name, category = f"{county.name}{place}{chance.choice(LOCAL_KINDS)}", "医疗机构"
    roles = ["institution_clerk", "institution_reviewer"] if with_staff else []
    roles += ["organisation_clerk", "organisation_reviewer"] if assesses else []
    return Institution(
        id=identity,
        position=position,
        name=name,
        registration_number=f"PDY{county.code}{position:08d}",
        division=county.code,
        category=category,
        health_authority=f"{county.name}卫生健康局",
        assesses=assesses,
        assessor_id=assessor,
        staff=tuple(_make_member(chance, position, role) for role in roles),
    )


def _make_member(chance: Random, position: int, role: str) -> StaffMember:
    return StaffMember(
        sample_id(chance, position),
        sample_id(chance, position),
        f"{role.replace('_', '-')}-{position}",
        draw_name(chance, "female" if chance.random() < 0.6 else "male", "汉族"),
        role,
    )


ORGANISATION_COLUMNS = (
    "tenant_id", "id", "name", "registration_number", "division", "category", "health_authority", "assesses", "assessment_organisation_id",
    "created_at",
)  # fmt: skip


def organisation_cells(tenant: int, institution: Institution, now: Any) -> tuple[Any, ...]:
    """The row of an institution."""
    return (
        tenant, institution.id, institution.name, institution.registration_number, institution.division, institution.category,
        institution.health_authority, institution.assesses, institution.assessor_id, now,
    )  # fmt: skip


STAFF_COLUMNS = (
    "tenant_id",
    "id",
    "kind",
    "login_index",
    "user_name",
    "name",
    "state",
    "initial_until",
    "second_factor_counter",
    "created_at",
)
MEMBERSHIP_COLUMNS = ("tenant_id", "id", "account_id", "organisation_id", "role", "created_at")


def iter_staff_cells(tenant: int, institutions: list[Institution], now: Any) -> Iterator[tuple[Any, ...]]:
    """The accounts of all staff."""
    for institution in institutions:
        for member in institution.staff:
            login_index = staff_login_index(member.user_name)
            yield (
                tenant,
                member.account_id,
                "staff",
                login_index,
                member.user_name,
                member.name,
                "active",
                now,
                0,
                now,
            )


def iter_membership_cells(
    tenant: int, institutions: list[Institution], now: Any
) -> Iterator[tuple[Any, ...]]:
    """The roles of all staff."""
    for institution in institutions:
        for member in institution.staff:
            yield tenant, member.membership_id, member.account_id, institution.id, member.role, now
