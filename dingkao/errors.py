"""The refusals. Each carries a sentence for the person it is shown to; the web gives it the status written here."""


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a fault of the program
    """Something was asked that is not done; `sentence` (Chinese) says why and what to do instead."""

    status = 400

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Invalid(Refusal):
    """What was handed in can't be used as it is. `field` names the form field or column it stands in, where there is one."""

    status = 422

    def __init__(self, sentence: str, field: str | None = None) -> None:
        super().__init__(sentence)
        self.field = field


class NotFound(Refusal):
    """No such thing, or none this person may know of: another province's row is the same as no row."""

    status = 404

    def __init__(self, sentence: str = "没有找到您要的内容,可能已被移动或删除。请返回上一页重新选择。") -> None:
        super().__init__(sentence)


class Forbidden(Refusal):
    """The person is known, and this is not for them."""

    status = 403

    def __init__(self, sentence: str = "您的账号没有此项权限。如确需办理,请联系本单位或省级管理员。") -> None:
        super().__init__(sentence)


class NotAllowed(Refusal):
    """The thing is not in a state in which this can be done."""

    status = 409


class Late(NotAllowed):
    """It could have been done, but the time for it is over."""


class TooLarge(Refusal):
    """More bytes than we take."""

    status = 413


class TooMany(Refusal):
    """Asked too often; `retry_after` is in seconds."""

    status = 429

    def __init__(self, sentence: str, retry_after: int = 60) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class Unavailable(Refusal):
    """An engine we need (store, queue, database) does not answer just now."""

    status = 503
