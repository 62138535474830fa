"""Settings: which are declared, and what each is by its days: a version holds from its own day on."""

import subprocess
import sys
from datetime import timedelta

import pytest

from dingkao import clock
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

DECLARED = """
contact contact_hours credential_mode initial_days wechat_sign_in sms_codes_a_day staff_second_factor recusal_days
unused_days sms_account wechat_account notify_by_sms notify_by_wechat quiet_from quiet_until
elsewhere_told_an_hour
simple_sits_common_paper reminder_days
user_notice filing_also_needed filing_not_needed certificate_number_check direct_fail_list photo_size photo_ratio
photo_sharpness photo_ground photo_least_width photo_least_height photo_most_kb simple_years_with_good_record
simple_years_without_bad_record simple_other_cases simple_without_ground simple_report_least simple_proof_good
simple_proof_clean
requires_annual_appraisal requires_ethics_grading residents_included_by review_days_before_test late_review
x_rule offline_scores answers_review added_minutes_most hearing_days exam_stages exam_stage_line
practice_opens practice_closes
ticket_notice certificate_number_form certificate_download seal certificate_foot
pass_line_physician pass_line_assistant show_scores
exemption_open exempt_residency exempt_promotion exempt_retired exempt_registered exempt_others exemption_again
exemption_in_makeup deferral_open deferral_reasons appeal_days appeal_answer_days exemption_answer_days
"""
"""By rooms, as they are stored: a setting under another name has lost what every province has set."""


def test_the_application_knows_every_setting_and_with_it_the_worker():
    program = "import dingkao.app; from dingkao.tenants.settings import SETTINGS; print(*SETTINGS)"
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout  # noqa: S603
    assert sorted(output.split()) == sorted(DECLARED.split())


def test_a_name_is_declared_once():
    with pytest.raises(ValueError, match="hearing_days"):
        settings.register("hearing_days", Setting("另一项", 1))


def test_a_version_holds_from_its_day_on_and_the_later_of_two_wins(in_province, provinces):
    today = clock.today()
    days = [today + timedelta(days=number) for number in range(-1, 4)]
    with in_province("henan"):
        for value, from_day in ((10, days[1]), (20, days[3]), (15, days[2])):
            settings.change("hearing_days", value, by=None, reason="试", effective_from=from_day)
        usual = settings.SETTINGS["hearing_days"].default
        assert [settings.value("hearing_days", day) for day in days] == [usual, 10, 15, 20, 20]
        assert settings.value("hearing_days") == 10
