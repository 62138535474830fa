"""The choices of fields in a filing."""

from collections.abc import Mapping

from dingkao.doctors.code_lists import (
    ETHNIC_GROUPS,
    ethnicity_name,
)

ETHNICITIES = (
    *(ethnicity_name(group) for group in ETHNIC_GROUPS),
    "其他",
)
EDUCATIONS = (
    "博士研究生",
    "硕士研究生",
    "本科",
    "大专",
    "中专及以下",
)
DEGREES = ("博士", "硕士", "学士", "无")
TITLES = {
    "physician": (
        "主任医师",
        "副主任医师",
        "主治医师",
        "住院医师",
        "其他",
    ),
    "assistant": ("医师", "医士", "其他"),
}
YES_NO_CHOICES = {"yes": "有", "no": "无"}
PASS_FAIL_CHOICES = {"pass": "合格", "fail": "不合格"}
PROCEDURES = {"general": "一般程序", "simple": "简易程序"}
GROUNDS = {
    "good": "执业{}年以上，考核周期内有良好行为记录",
    "clean": "执业{}年以上，考核周期内无不良行为记录",
}
DEFAULT_DIRECT_FAIL_TEXTS = (
    "01 在发生的医疗事故中负有完全或者主要责任的",
    "02 未经所在机构或者卫生行政部门批准，擅自在注册地点以外的医疗、预防、保健机构进行执业活动的",
    "03 跨执业类别进行执业活动的",
    "04 代他人参加医师资格考试的",
    "05 在医疗卫生服务活动中索要患者及其亲友财物或者牟取其他不正当利益的",
    (
        "06 "
        "索要或者收受医疗器械、药品、试剂等生产、销售企业或者其工作人员给予的回扣、提成或者谋取其他不正当"
        "利益的"
    ),
    "07 通过介绍病人到其他单位检查、治疗或者购买药品、医疗器械等收取回扣或者提成的",
    "08 出具虚假医学证明文件，参与虚假医疗广告宣传和药品医疗器械促销的",
    "09 未按照规定执行医院感染控制任务，未有效实施消毒或者无害化处置，造成疾病传播、流行的",
    "10 故意泄漏传染病人、病原携带者、疑似传染病病人、密切接触者涉及个人隐私的有关信息、资料的",
    "11 疾病预防控制机构的医师未依法履行传染病监测、报告、调查、处理职责，造成严重后果的",
    "12 考核周期内，有一次以上医德考评结果为医德较差的",
    "13 无正当理由不参加考核，或者扰乱考核秩序的",
    "14 违反《执业医师法》有关规定，被行政处罚的",
)
"""The cases of direct failure (直接认定不合格), unless a province has its own list: 01 to 11 are as in the
manual and the 办法, 12 to 14 from memory (manual.md [S10], domain.md §1.7)."""

ChoiceMap = Mapping[str, str]


def identity_choices(words: tuple[str, ...] | list[str]) -> ChoiceMap:
    """Returns choices whose codes are the texts themselves."""
    return {word: word for word in words}
