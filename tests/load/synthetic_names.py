"""Names of made-up people as real ones are spread: surnames by frequency, given names by sex, names of
minorities in several lengths, characters that few fonts have."""

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


def _words(text: str) -> tuple[str, ...]:
    """The words of a text, by its blanks."""
    return tuple(text.split())


MAX_NAME_LENGTH = 20
SURNAME_SHARES = (
    "王720 李700 张680 刘510 陈450 杨310 赵250 黄230 周210 吴200 徐160 孙150 胡130 朱125 高113 林112 何110 郭108 马105 罗100 "
    "梁90 宋86 郑85 谢78 韩76 唐74 冯70 于68 董66 萧12 肖56 程60 曹60 袁58 邓58 许56 傅42 沈46 曾52 彭55 吕48 苏47 卢46 "
    "蒋47 蔡46 贾44 丁43 魏45 薛38 叶42 阎16 闫30 余40 潘40 杜40 戴36 夏36 钟36 汪37 田40 任38 姜38 范37 方37 石36 姚36 "
    "谭36 廖33 邹34 熊34 金33 陆34 郝31 孔27 白30 崔30 康29 毛28 邱28 秦30 江29 史28 顾27 侯28 邵26 孟28 龙26 万26 段26 "
    "雷25 钱22 汤24 尹22 黎22 易22 常21 武21 乔20 贺21 赖20 龚20 文20 庞15 樊14 兰14 殷13 施16 陶16 洪15 翟13 安14 颜12 "
    "倪12 严14 牛13 温13 芦6 季10 俞9 章12 鲁10 葛11 伍10 韦14 申10 尤6 毕8 聂10 丛4 焦8 向10 柳8 邢8 路7 岳7 齐8 梅7 "
    "莫9 庄8 辛7 管6 祝6 左6 涂6 谷6 祁5 时5 舒5 耿7 牟4 卜3 詹6 关7 苗5 凌5 费3 纪6 靳5 盛4 童5 欧5 甄3 项4 曲5 成4 "
    "游4 阳3 裴4 席3 卫4 查3 屈4 鲍4 位1 霍4 翁4 隋3 植1 甘4 景3 薄1 单4 包4 司2 柏3 宁4 柯4 阮4 桂2 闵2 解3 强1 柴4 "
    "华3 车3 冉4 房3 边3 仇2 区2 盖1 尉1 乐1 缪2 晁1 黑1 种1 朴2 逯1 覃4 仝1 郗1 麴1 粘1 是1"
)
"""The commonest single surnames with how many of 10,000 people have them, rare and heteronymous ones
behind."""
COMPOUND_SURNAMES = _words(
    "欧阳 欧阳 欧阳 上官 上官 皇甫 令狐 诸葛 司徒 司马 夏侯 尉迟 慕容 东方 端木 公孙 轩辕 南宫 万俟 长孙 宇文 澹台 呼延 "
    "单于 申屠 濮阳 闻人"
)
COMPOUND_SHARE = 0.0011
SINGLE_GIVEN_SHARE = 0.17
RARE_SHARE = 0.004
RARE_CHARACTERS = "𠮷㛃䶮㼆㴓㙦㻢䥽䜣䴙𫖮𬱖𫗧𬬭𬭎𪾢𫍽𥖄𡘙𠅤堃喆昇淼犇垚犇骉彧翀翯赟昶煊燊"
"""Characters beyond the common sets, some outside the Basic Multilingual Plane: a surname 𠮷, a given 䶮."""
GIVEN_MALE = (
    "伟强磊军洋勇杰涛明超刚平辉鹏飞波斌亮建国志文华峰龙宇浩俊林海东宁毅松杨凯阳健康鑫博晨旭昊天泽睿子轩一鸣家豪思远庆"
    "福生德荣贵民新春成立光永红卫东玉金树世少良诚振兴学友祥云峻岭武江河山川继业承维克忠孝义仁礼智信恒立新兵奇正达"
)
GIVEN_FEMALE = (
    "芳娜敏静丽艳霞秀娟燕玲红梅英兰萍桂花玉凤洁云琴慧莉雪颖晶婷倩佳欣怡雨璐蕾丹琳瑶雯娇妍彤萌悦子涵梓思诗琪晓春淑珍华"
    "爱荣香月菊美珠荷秋冬青素真环翠芬芝彩莲巧惠文君亚男海宁琼瑛瑾瑜薇莹菲菁芸冰楠珊珊"
)
TURKIC_MALE = _words(
    "买买提 艾合买提 阿卜杜勒凯尤木 阿不都热合曼 玉素甫 吐尔逊 艾尔肯 库尔班 阿迪力 依布拉音 阿卜杜克里木 努尔买买提 "
    "艾力 肉孜 塔依尔 帕尔哈提 亚森 阿布都热西提 伊力哈木江 达吾提"
)
TURKIC_FEMALE = _words(
    "阿依古丽 古丽娜尔 帕提古丽 迪丽努尔 热依汗古丽 阿孜古丽 米热古丽 祖丽菲亚 麦热姆尼萨 阿米娜 茹仙古丽 热孜万古丽 "
    "凯丽比努尔 再娜甫 努尔比耶 佐日古丽 吐尔逊阿依"
)
TIBETAN = _words("扎西 多吉 卓玛 次仁 达瓦 尼玛 平措 旺堆 格桑 拉姆 央金 丹增 洛桑 白玛 仁青 德吉 索朗 顿珠")
MONGOLIAN_MALE = _words("巴特尔 苏日勒和 那顺 阿拉坦仓 布和 青格勒 乌力吉 特木尔巴根 宝音 哈斯巴特尔 孟和")
MONGOLIAN_FEMALE = _words("乌云其木格 萨仁高娃 其其格 托娅 娜仁 斯琴 乌日娜 阿荣 萨日娜 苏布道 乌仁图雅")
FOREIGN = ("JAMES SMITH", "MARIA GARCIA LOPEZ", "ANNA-LENA MÜLLER", "DAVID KIM", "OLGA IVANOVA")


class Weighted(Generic[T]):
    """Values that are drawn as often as their weights say."""

    def __init__(self, shares: Sequence[tuple[T, float]]) -> None:
        self.values = [value for value, _ in shares]
        self.bounds = list(accumulate(weight for _, weight in shares))

    def draw(self, chance: Random) -> T:
        """One of the values."""
        return self.values[bisect(self.bounds, chance.random() * self.bounds[-1])]


def _surname_shares() -> list[tuple[str, float]]:
    return [(share[0], float(share[1:])) for share in SURNAME_SHARES.split()]


_SURNAMES = Weighted(_surname_shares())


def draw_name(chance: Random, sex: str, ethnicity: str) -> str:
    """A name of 2 to MAX_NAME_LENGTH characters as people of that sex («male» or «female») and ethnicity
    have it."""
    is_male = sex == "male"
    if ethnicity in ("维吾尔族", "哈萨克族", "柯尔克孜族", "乌孜别克族", "塔塔尔族"):
        return _turkic_name(chance, is_male=is_male)
    if ethnicity == "藏族":
        return "".join(chance.sample(TIBETAN, 2 if chance.random() < 0.85 else 1))
    if ethnicity == "蒙古族" and chance.random() < 0.6:
        return chance.choice(MONGOLIAN_MALE if is_male else MONGOLIAN_FEMALE)
    return _han_name(chance, is_male=is_male)


def draw_foreign_name(chance: Random) -> str:
    """A name in Latin letters, as in a passport."""
    return chance.choice(FOREIGN)


def _turkic_name(chance: Random, *, is_male: bool) -> str:
    """A name with ·: one's own, the father's, sometimes the grandfather's."""
    names = [
        chance.choice(TURKIC_MALE if is_male else TURKIC_FEMALE),
        chance.choice(TURKIC_MALE),
        *([chance.choice(TURKIC_MALE)] if chance.random() < 0.15 else []),
    ]
    full_name = "·".join(names)
    return full_name if len(full_name) <= MAX_NAME_LENGTH else "·".join(names[:2])


def _han_name(chance: Random, *, is_male: bool) -> str:
    """A surname and one or two characters; of two, one in a hundred is doubled."""
    surname = _surname(chance)
    characters = GIVEN_MALE if is_male else GIVEN_FEMALE
    given_name = chance.choice(characters)
    if chance.random() >= SINGLE_GIVEN_SHARE:
        given_name += chance.choice(characters)
    if chance.random() < RARE_SHARE:
        given_name = given_name[:-1] + chance.choice(RARE_CHARACTERS)
    return surname + given_name


def _surname(chance: Random) -> str:
    """A compound one or a single one; 𠮷 once among some thirty thousand."""
    draw = chance.random()
    if draw < COMPOUND_SHARE:
        return chance.choice(COMPOUND_SURNAMES)
    return "𠮷" if draw > 0.99997 else _SURNAMES.draw(chance)
