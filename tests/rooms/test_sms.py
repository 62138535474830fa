"""Short messages by the carriers' interfaces, against stand-ins written from the carriers' documents: each
checks the signature, the parameters it requires, and answers the errors it documents.

阿里云短信服务 «SendSms», API version 2017-05-25, and «RPC 签名机制»; 腾讯云短信 «发送短信», API version
2021-01-11, and «签名方法 v3».
"""

import base64
import hashlib
import hmac
import json
import threading
import time
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dingkao.config import REQUIRED, AppConfig, ConfigError
from dingkao.errors import Unavailable
from dingkao.integrations.sms import (
    AliyunSms,
    CarrierRejected,
    SmsMessage,
    TencentSms,
    from_settings,
    tc3_authorization,
)
from tests.rooms.test_settings import KEY

SECRET = "a-secret"
TEMPLATES = {"code": "1001", "notice": "1002"}
CODE = SmsMessage("code", "13900000001", {"code": "012345"}, "【定考】验证码012345")
NOTICE = SmsMessage(
    "notice",
    "13900000001",
    {"province": "山西"},
    "【定考】您在山西医师定期考核系统有新消息，请登录系统查看。",
)


@contextmanager
def serving(answer):
    """A server that answers each POST by `answer(headers, body)`; its address and what it was sent."""
    bodies = []

    class Carrier(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            bodies.append(body)
            reply = answer(self.headers, body)
            content = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Carrier)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Aliyun:
    """The RPC gateway and SendSms behind it."""

    REQUIRED = (
        "Action",
        "Version",
        "AccessKeyId",
        "Signature",
        "SignatureMethod",
        "SignatureVersion",
        "SignatureNonce",
        "Timestamp",
        "PhoneNumbers",
        "SignName",
        "TemplateCode",
    )

    def __init__(self):
        self.code, self.nonces, self.taken = "OK", set(), []

    def __call__(self, _headers, body):
        query = dict(urllib.parse.parse_qsl(body, strict_parsing=True))
        missing = [name for name in self.REQUIRED if not query.get(name)]
        if missing:
            return {"Code": f"Missing{missing[0]}", "Message": "required"}
        if denial := self.denial(query):
            return {"Code": denial}
        self.nonces.add(query["SignatureNonce"])
        if query["SignName"] != "定考":
            return {"Code": "isv.SMS_SIGNATURE_ILLEGAL"}
        parameter_names = {"1001": {"code"}, "1002": {"province"}}.get(query["TemplateCode"])
        if parameter_names is None:
            return {"Code": "isv.SMS_TEMPLATE_ILLEGAL"}
        if set(json.loads(query.get("TemplateParam", "{}"))) != parameter_names:
            return {"Code": "isv.TEMPLATE_MISSING_PARAMETERS"}
        if self.code == "OK":
            self.taken.append(query)
        return {"Code": self.code, "Message": self.code, "RequestId": "1", "BizId": "2"}

    def denial(self, query):
        """The code by which the gateway refuses a request, or None."""
        if (query["Action"], query["Version"], query["SignatureVersion"]) != ("SendSms", "2017-05-25", "1.0"):
            return "InvalidAction.NotFound"
        if query["AccessKeyId"] != "key":
            return "InvalidAccessKeyId.NotFound"
        if query["Signature"] != self.signature(query):
            return "SignatureDoesNotMatch"
        if (
            abs(
                time.mktime(time.strptime(query["Timestamp"], "%Y-%m-%dT%H:%M:%SZ"))
                - time.timezone
                - time.time()
            )
            > 900
        ):
            return "InvalidTimeStamp.Expired"
        if query["SignatureNonce"] in self.nonces:
            return "SignatureNonceUsed"
        return None

    @staticmethod
    def signature(query):
        """Sorted, percent-encoded by RFC 3986, HMAC-SHA1 with the secret and «&»."""

        def quote(text):
            return urllib.parse.quote(text, safe="-_.~")

        canonical = "&".join(
            f"{quote(name)}={quote(query[name])}" for name in sorted(query) if name != "Signature"
        )
        digest = hmac.new(
            f"{SECRET}&".encode(), f"POST&{quote('/')}&{quote(canonical)}".encode(), hashlib.sha1
        ).digest()
        return base64.b64encode(digest).decode()


class Tencent:
    """The API 3.0 gateway and SendSms behind it."""

    def __init__(self):
        self.code, self.taken = "Ok", []

    def __call__(self, headers, body):
        if (headers["X-TC-Action"], headers["X-TC-Version"]) != ("SendSms", "2021-01-11") or not headers[
            "X-TC-Region"
        ]:
            return self.error("InvalidAction")
        if abs(int(headers["X-TC-Timestamp"]) - time.time()) > 300:
            return self.error("AuthFailure.SignatureExpire")
        if headers["Authorization"] != self.authorization(headers, body):
            return self.error("AuthFailure.SignatureFailure")
        payload = json.loads(body)
        for name in ("PhoneNumberSet", "SmsSdkAppId", "TemplateId", "SignName"):
            if not payload.get(name):
                return self.error("MissingParameter")
        if payload["SmsSdkAppId"] != "1400006666":
            return self.error("UnauthorizedOperation.SmsSdkAppIdVerifyFail")
        code = self.delivery_code(payload)
        if code == "Ok":
            self.taken.append(payload)
        return {
            "Response": {
                "SendStatusSet": [
                    {
                        "SerialNo": "1",
                        "PhoneNumber": payload["PhoneNumberSet"][0],
                        "Fee": 1,
                        "Code": code,
                        "Message": code,
                    }
                ],
                "RequestId": "1",
            }
        }

    def delivery_code(self, payload):
        """What SendSms says of a message that the gateway has let through."""
        if payload["SignName"] != "定考":
            return "FailedOperation.SignatureIncorrectOrUnapproved"
        if len(payload["TemplateParamSet"]) != 1 or not all(
            isinstance(parameter, str) for parameter in payload["TemplateParamSet"]
        ):
            return "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"
        if not payload["PhoneNumberSet"][0].startswith("+86"):
            return "InvalidParameterValue.IncorrectPhoneNumber"
        return self.code

    @staticmethod
    def error(code):
        return {"Response": {"Error": {"Code": code, "Message": code}, "RequestId": "1"}}

    @staticmethod
    def authorization(headers, body):
        """TC3-HMAC-SHA256 over the request as it came."""
        day = time.strftime("%Y-%m-%d", time.gmtime(int(headers["X-TC-Timestamp"])))
        canonical = f"POST\n/\n\ncontent-type:{headers['Content-Type']}\nhost:{headers['Host']}\n\ncontent-type;host\n{hashlib.sha256(body.encode()).hexdigest()}"
        text = f"TC3-HMAC-SHA256\n{headers['X-TC-Timestamp']}\n{day}/sms/tc3_request\n{hashlib.sha256(canonical.encode()).hexdigest()}"

        def sign(key, part):
            return hmac.new(key, part.encode(), hashlib.sha256).digest()

        key = sign(sign(sign(f"TC3{SECRET}".encode(), day), "sms"), "tc3_request")
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return (
            f"TC3-HMAC-SHA256 Credential=key/{day}/sms/tc3_request, SignedHeaders=content-type;host, "
            f"Signature={signature}"
        )


def aliyun(address, secret=SECRET, sign="定考", templates=TEMPLATES):
    return AliyunSms(address, "key", secret, sign, templates)


def tencent(address, secret=SECRET, sign="定考", templates=TEMPLATES):
    return TencentSms(address, "key", secret, sign, templates, "1400006666")


BOTH_CARRIERS = pytest.mark.parametrize(("make", "carrier"), [(aliyun, Aliyun), (tencent, Tencent)])


def test_aliyun_takes_a_code_and_a_notice_each_by_its_template():
    carrier = Aliyun()
    with serving(carrier) as (address, _):
        aliyun(address).send(CODE)
        aliyun(address).send(NOTICE)
    assert [
        (message["PhoneNumbers"], message["TemplateCode"], json.loads(message["TemplateParam"]))
        for message in carrier.taken
    ] == [
        ("13900000001", "1001", {"code": "012345"}),
        ("13900000001", "1002", {"province": "山西"}),
    ]


def test_tencent_takes_a_code_and_a_notice_each_by_its_template():
    carrier = Tencent()
    with serving(carrier) as (address, _):
        tencent(address).send(CODE)
        tencent(address).send(NOTICE)
    assert [
        (message["PhoneNumberSet"], message["TemplateId"], message["TemplateParamSet"])
        for message in carrier.taken
    ] == [
        (["+8613900000001"], "1001", ["012345"]),
        (["+8613900000001"], "1002", ["山西"]),
    ]


def test_the_signature_is_that_of_the_documents_worked_example():
    """«签名方法 v3»: DescribeInstances of cvm at 1551113065, with the document's own masked keys."""
    body = '{"Limit": 1, "Filters": [{"Values": ["\\u672a\\u547d\\u540d"], "Name": "instance-name"}]}'
    authorization = tc3_authorization(
        "AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******",
        "Gu5t9xGARNpq86cd98joQYCN3*******",
        "cvm",
        "cvm.tencentcloudapi.com",
        body,
        1551113065,
    )
    assert authorization == (
        "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******/2019-02-25/cvm/tc3_request, "
        "SignedHeaders=content-type;host, "
        "Signature=2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c"
    )


@pytest.mark.parametrize(
    ("make", "carrier", "code"),
    [
        (aliyun, Aliyun, code)
        for code in (
            "isv.BUSINESS_LIMIT_CONTROL",
            "isv.MOBILE_NUMBER_ILLEGAL",
            "isv.AMOUNT_NOT_ENOUGH",
            "isp.SYSTEM_ERROR",
        )
    ]
    + [
        (tencent, Tencent, code)
        for code in (
            "LimitExceeded.PhoneNumberThirtySecondLimit",
            "LimitExceeded.PhoneNumberDailyLimit",
            "FailedOperation.InsufficientBalanceInSmsPackage",
        )
    ],
)
def test_what_the_carrier_refuses_is_told_in_words_and_by_its_code(make, carrier, code):
    server = carrier()
    server.code = code
    with serving(server) as (address, _), pytest.raises(CarrierRejected, match="短信暂时发不出去") as raised:
        make(address).send(CODE)
    assert raised.value.code == code
    assert server.taken == []


@BOTH_CARRIERS
@pytest.mark.parametrize(
    "wrong", [{"secret": "another"}, {"sign": "别的签名"}, {"templates": {"code": "1001"}}]
)
def test_what_was_set_wrong_is_refused_by_the_carrier_and_sends_nothing(make, carrier, wrong):
    server = carrier()
    with serving(server) as (address, _), pytest.raises(CarrierRejected):
        make(address, **wrong).send(NOTICE)
    assert server.taken == []


@BOTH_CARRIERS
@pytest.mark.parametrize("answer", [b"<html>502</html>", b"[]", b""])
def test_an_answer_that_is_none_means_that_nothing_went(make, carrier, answer, capsys):
    with serving(lambda *_: answer) as (address, _), pytest.raises(Unavailable) as raised:
        make(address).send(CODE)
    assert not isinstance(raised.value, CarrierRejected)
    assert "sms.down" in "".join(capsys.readouterr())


@BOTH_CARRIERS
def test_a_purpose_without_template_is_refused_and_logged(make, carrier, capsys):
    with pytest.raises(CarrierRejected):
        make("http://127.0.0.1:9/", templates={"code": "1001"}).send(NOTICE)
    assert "sms.no_template" in "".join(capsys.readouterr())


@BOTH_CARRIERS
def test_a_carrier_that_is_away_is_told_in_words(make, carrier):
    with pytest.raises(Unavailable, match="短信暂时发不出去"):
        make("http://127.0.0.1:9/").send(CODE)


def test_nothing_secret_stands_in_what_is_printed():
    assert SECRET not in repr(aliyun("x")) + repr(tencent("x"))


def test_the_settings_ask_for_what_the_adapter_needs_and_choose_it():
    environment = dict.fromkeys(REQUIRED, "x") | {"DATA_KEY": KEY}
    with pytest.raises(ConfigError, match="SMS_SIGN_NAME"):
        AppConfig.from_environment(environment | {"SMS_ADAPTER": "aliyun"})
    with pytest.raises(ConfigError, match="SMS_APP_ID"):
        AppConfig.from_environment(environment | {"SMS_ADAPTER": "tencent"})
    with pytest.raises(ConfigError, match="SMS_ADAPTER"):
        AppConfig.from_environment(environment | {"SMS_ADAPTER": "pigeon"})
    full = environment | dict.fromkeys(
        ("SMS_ENDPOINT", "SMS_ACCESS_KEY", "SMS_SECRET", "SMS_SIGN_NAME", "SMS_TEMPLATE", "SMS_APP_ID"), "y"
    )
    for adapter, kind in (("aliyun", AliyunSms), ("tencent", TencentSms)):
        assert isinstance(
            from_settings(AppConfig.from_environment(full | {"SMS_ADAPTER": adapter}), None), kind
        )


def test_the_official_account_is_off_unless_told_and_asks_for_both():
    environment = dict.fromkeys(REQUIRED, "x") | {"DATA_KEY": KEY}
    assert AppConfig.from_environment(environment).wechat == {}
    with pytest.raises(ConfigError, match="WECHAT_SECRET"):
        AppConfig.from_environment(environment | {"WECHAT_APP_ID": "wx1"})
    assert (
        AppConfig.from_environment(environment | {"WECHAT_APP_ID": "wx1", "WECHAT_SECRET": "s"}).wechat[
            "WECHAT_API_URL"
        ]
        == "https://api.weixin.qq.com"
    )
