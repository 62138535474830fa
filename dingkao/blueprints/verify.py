"""The public page that verifies a certificate; outside every province, which the serial names."""

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from dingkao.blueprints.access import ANYONE, allow
from dingkao.blueprints.web import limiter
from dingkao.certificates.numbering import plain
from dingkao.certificates.verifying import STATES, verify
from dingkao.tenants.guard import outside

verifying = outside(Blueprint("verifying", "dingkao"))


@verifying.get("/verify")
@allow(ANYONE)
def ask() -> Response | str:
    """The form."""
    serial = plain(request.args.get("serial", ""))[:40]
    return redirect(url_for("verifying.show", serial=serial)) if serial else render_template("verify/ask.html")


@verifying.get("/verify/<string:serial>")
@allow(ANYONE)
@limiter.limit("60/minute")
def show(serial: str) -> tuple[str, int]:
    """What the serial stands for: a masked name, the cycle, the issuing body, whether it is valid."""
    found = verify(plain(serial)[:40])
    return render_template("verify/show.html", found=found, serial=plain(serial)[:40], states=STATES), 200 if found else 404
