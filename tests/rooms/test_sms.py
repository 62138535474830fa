"""Short messages by the carrier's interface, against a stand-in written from its documents (阿里云短信服务 SendSms, RPC signature)."""

import base64
import hashlib
import hmac
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dingkao.errors import Unavailable
from dingkao.outside.sms import AliyunSms
from dingkao.settings import REQUIRED, Settings, SettingsMissing

SECRET = "a-secret"


def signature(query):
    """The signature as the document describes it: sorted, percent-encoded by RFC 3986, HMAC-SHA1 with the secret and «&»."""
    def quote(text):
        return urllib.parse.quote(text, safe="-_.~")

    canonical = "&".join(f"{quote(name)}={quote(query[name])}" for name in sorted(query) if name != "Signature")
    digest = hmac.new(f"{SECRET}&".encode(), f"POST&{quote('/')}&{quote(canonical)}".encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


@pytest.fixture
def carrier():
    """The stand-in: its address, what it was sent, what it answers."""
    sent, answers = [], {"Code": "OK", "Message": "OK"}

    class Carrier(BaseHTTPRequestHandler):
        def do_POST(self):
            query = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            sent.append(query)
            told = answers if query["Signature"] == signature(query) else {"Code": "SignatureDoesNotMatch"}
            body = json.dumps(told).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Carrier)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", sent, answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_message_is_handed_over_signed(carrier):
    address, sent, _ = carrier
    AliyunSms(address, "key", SECRET, "定考", "SMS_1").send("13900000001", {"code": "012345"}, "【定考】验证码012345")
    assert sent[0]["PhoneNumbers"] == "13900000001"
    assert json.loads(sent[0]["TemplateParam"]) == {"code": "012345"}
    assert (sent[0]["SignName"], sent[0]["TemplateCode"], sent[0]["Action"]) == ("定考", "SMS_1", "SendSms")


@pytest.mark.parametrize("secret", ["another", SECRET])
def test_a_carrier_that_refuses_is_told_in_words(carrier, secret):
    address, _, answers = carrier
    answers["Code"] = "isv.BUSINESS_LIMIT_CONTROL"
    with pytest.raises(Unavailable, match="短信暂时发不出去"):
        AliyunSms(address, "key", secret, "定考", "SMS_1").send("13900000001", {"code": "012345"}, "")


def test_a_carrier_that_is_away_is_told_in_words():
    with pytest.raises(Unavailable):
        AliyunSms("http://127.0.0.1:9/", "key", SECRET, "定考", "SMS_1").send("13900000001", {"code": "012345"}, "")


def test_the_settings_ask_for_what_the_adapter_needs():
    given = dict.fromkeys(REQUIRED, "x") | {"SMS_ADAPTER": "aliyun"}
    with pytest.raises(SettingsMissing, match="SMS_SIGN_NAME"):
        Settings.from_environment(given)
    with pytest.raises(SettingsMissing, match="SMS_ADAPTER"):
        Settings.from_environment(given | {"SMS_ADAPTER": "pigeon"})
