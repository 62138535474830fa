"""The public page that verifies a certificate; it is outside every province, because the serial number names
the province."""

from flask import (
    Blueprint,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response

from dingkao.certificates.lookup import (
    STATE_LABELS,
    log_unknown_serial,
    look_up,
)
from dingkao.certificates.serials import normalise_serial
from dingkao.people.sign_in_attempts import network_of
from dingkao.tenants.blueprint_guard import platform_blueprint
from dingkao.web.access_control import PUBLIC, require
from dingkao.web.request_lifecycle import limiter

certificate_lookup = platform_blueprint(Blueprint("certificate_lookup", "dingkao"))


@certificate_lookup.get("/verify")
@require(PUBLIC)
def lookup_form() -> Response | str:
    """The form; with `serial` in the address a redirect to the certificate."""
    serial = normalise_serial(request.args.get("serial", ""))[:40]
    return (
        redirect(url_for("certificate_lookup.show_certificate", serial=serial))
        if serial
        else render_template("public/certificate_lookup/form.html")
    )


@certificate_lookup.get("/verify/<string:serial>")
@require(PUBLIC)
@limiter.limit("60/minute")
def show_certificate(serial: str) -> tuple[str, int]:
    """The certificate with that serial number: masked name, cycle, issuing body, and whether it is valid;
    status 404 for an unknown serial, which is entered in the journal of the province that it names."""
    lookup = look_up(normalise_serial(serial)[:40])
    if lookup is None:
        log_unknown_serial(
            normalise_serial(serial)[:40],
            network_of(request.remote_addr),
        )
    return render_template(
        "public/certificate_lookup/certificate.html",
        found=lookup,
        serial=normalise_serial(serial)[:40],
        states=STATE_LABELS,
    ), 200 if lookup else 404
