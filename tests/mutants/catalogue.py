"""The mutants: small faults in the product, each named by the behaviour that it breaks.

`old` is a piece of the file that occurs in it once, however it is broken into lines (see `scratch.place_of`),
`new` what stands in its place. Where a piece has been renamed, `python -m tests.mutants --anchors` names the
mutant: give it the new words of the same rule, in the file where that stands now. `tests` are those known to
fail by it, quickest first; where one has been renamed, its whole file is run.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One fault: a name for the command line, the behaviour it breaks, what is put in the place of what, and
    what is known to fail."""

    name: str
    behaviour: str
    file: str
    original: str
    replacement: str
    tests: tuple[str, ...]


MUTANTS = (
    # --- provinces, the database
    Mutant(
        "tenancy-predicate", "every statement of the ORM names its province",
        "dingkao/tenants/rls.py", "state.statement = state.statement.options(_tenant_predicate(tenant))", "state.statement = state.statement",
        ("tests/tenants/test_isolation.py::test_every_statement_of_the_orm_names_the_province",),
    ),
    Mutant(
        "tenancy-transaction", "a connection goes back to the pool without its province",
        "dingkao/tenants/rls.py", "SET LOCAL dingkao.tenant", "SET dingkao.tenant",
        ("tests/tenants/test_isolation.py::test_a_connection_goes_back_to_the_pool_without_its_province",),
    ),
    Mutant(
        "tenancy-foreign-row", "a row of another province doesn't leave the process",
        "dingkao/tenants/rls.py", "if instance.tenant_id not in (None, tenant):", "if instance.tenant_id is not None and instance.tenant_id < 0:",
        ("tests/tenants/test_isolation.py::test_a_row_of_another_province_does_not_leave_the_process",),
    ),
    Mutant(
        "tenancy-suspended", "a province whose service is stopped isn't served",
        "dingkao/tenants/blueprint_guard.py", 'if state != "open":', 'if state == "removed":',
        ("tests/blueprints/test_certificate_access.py::test_a_suspended_provinces_certificates_verify_and_the_page_says_so",),
    ),
    Mutant(
        "reading-writes-nothing", "a GET runs in a transaction that can't write",
        "dingkao/tenants/middleware.py", 'if environ.get("REQUEST_METHOD") in SAFE_METHODS:', 'if environ.get("REQUEST_METHOD") == "OPTIONS":',
        ("tests/tenants/test_province_middleware.py::test_what_is_only_read_is_read_in_a_transaction_that_can_not_write",),
    ),
    Mutant(
        "sealed-for-its-row", "a sealed value opens in its own row alone",
        "dingkao/tenants/encryption.py", '{self.table}|{self.column}|{self.row}', '{self.table}|{self.column}|',
        ("tests/tenants/test_encryption.py::test_a_value_moved_to_another_row_column_or_table_does_not_open",),
    ),
    Mutant(
        "counting-window", "what may happen so often is counted from the first time on, not from the last",
        "dingkao/tenants/rate_counters.py", "pipeline.expire(key, seconds, nx=True)", "pipeline.expire(key, seconds)",
        ("tests/tenants/test_counting.py::test_the_time_begins_with_the_first_and_is_not_drawn_out",),
    ),
    Mutant(
        "setting-from-its-day", "a setting holds from its day on, not before",
        "dingkao/tenants/settings.py", 'ProvinceSetting.effective_from <= date_param("today"))', "ProvinceSetting.tenant_id > 0)",
        ("tests/tenants/test_setting_versions.py::test_a_version_holds_from_its_day_on_and_the_later_of_two_wins",),
    ),
    Mutant(
        "keyset-page", "every row of a long list stands on one page",
        "dingkao/database/pagination.py", "cursor_of(page_rows[size - 1], order_columns)", "cursor_of(page_rows[size], order_columns)",
        ("tests/rooms/test_pagination.py::test_every_row_is_on_one_page",),
    ),
    Mutant(
        "clocks-apart", "no sitting begins while the clocks differ, whichever is ahead",
        "dingkao/database/clock_skew.py", "return abs(clock_skew().seconds_ahead()) > MAX_SKEW_SECONDS", "return clock_skew().seconds_ahead() > MAX_SKEW_SECONDS",
        ("tests/blueprints/test_engine_unavailable.py::test_no_sitting_begins_while_the_clocks_differ_and_none_is_closed",),
    ),
    # --- the journal, jobs, uploads
    Mutant(
        "move-state", "a move starts only from the states it names",
        "dingkao/journal/state_machine.py", "if row.state not in rule.from_states:", "if row.state == rule.to_state:",
        ("tests/rooms/test_moves.py::test_a_move_starts_only_from_the_states_it_names_and_by_the_roles_it_names",),
    ),
    Mutant(
        "move-actor", "a move is made only by the roles it names",
        "dingkao/journal/state_machine.py", "if not rule.allowed_actors & ({by.kind} | by.roles):", "if not rule.allowed_actors:",
        ("tests/rooms/test_moves.py::test_a_move_starts_only_from_the_states_it_names_and_by_the_roles_it_names",),
    ),
    Mutant(
        "journal-chain", "an entry taken out of the journal is missed",
        "dingkao/journal/entries.py", "if entry.previous != last_seal or entry.seal != entry_mac(entry):", "if entry.seal != entry_mac(entry):",
        ("tests/rooms/test_journal.py::test_an_entry_taken_out_of_the_middle_or_the_beginning_is_missed",),
    ),
    Mutant(
        "journal-margin", "an entry is listed only once nothing older can still come",
        "dingkao/journal/checkpoints.py", "current_ledger().settled_at() - CLOCK_MARGIN", "current_ledger().settled_at()",
        ("tests/rooms/test_checkpoints.py::test_an_entry_younger_than_the_margin_waits",),
    ),
    Mutant(
        "journal-attempts", "refused attempts leave a few entries a minute, however many there are",
        "dingkao/journal/failed_attempts.py", "MAX_PER_ACCOUNT, MAX_PER_PROVINCE = 3, 600", "MAX_PER_ACCOUNT, MAX_PER_PROVINCE = 3000, 600",
        ("tests/blueprints/test_attempts.py::test_failed_sign_ins_leave_a_few_entries_a_minute_whoever_was_named",),
    ),
    Mutant(
        "job-chunk-commit", "each chunk of a job is committed with the cursor of the next",
        "dingkao/jobs/worker.py", "db.session.commit() if time.monotonic() >= ends_at:", "db.session.flush()\n        if time.monotonic() >= ends_at:",
        ("tests/rooms/test_job_chunks.py::test_each_chunk_is_committed_with_the_cursor_of_the_next",),
    ),
    Mutant(
        "job-rolled-back", "a job whose transaction was rolled back is never queued",
        "dingkao/database/after_commit.py", "if not _is_within(pair[0], rolled_back)]", "]",
        ("tests/rooms/test_job_queue.py::test_what_was_rolled_back_is_neither_queued_nor_there",),
    ),
    Mutant(
        "job-given-up", "a job that has killed its workers is given up without being run again",
        "dingkao/jobs/worker.py", "if job.tries >= turn.max_tries:", "if job.tries > turn.max_tries:",
        ("tests/rooms/test_job_queue.py::test_what_has_killed_its_workers_is_given_up_unrun",),
    ),
    Mutant(
        "upload-piece-twice", "a piece of a file that is sent twice counts once",
        "dingkao/uploads/chunked_uploads.py", "if offset == current.received:", "if offset <= current.received:",
        ("tests/blueprints/test_uploads.py::test_a_file_in_pieces_comes_out_whole_whatever_is_sent_twice",),
    ),
    Mutant(
        "upload-owner", "an upload is its own account's alone",
        "dingkao/uploads/chunked_uploads.py", "return select(Upload).where(Upload.account_id == by.id)", "return select(Upload)",
        ("tests/blueprints/test_uploads.py::test_another_account_and_another_province_know_nothing_of_it",),
    ),
    # --- people, operators, articles
    Mutant(
        "session-renewal", "signing in ends whatever session the browser had",
        "dingkao/web/access_control.py",
        "if current_user.is_authenticated: sign_in_sessions.end_session(current_user.session) device =", "device =",
        ("tests/blueprints/test_sessions.py::test_signing_in_gives_a_new_session_whatever_was_there",),
    ),
    Mutant(
        "form-token-renewal", "the form's token is another once somebody has signed in",
        "dingkao/web/access_control.py", 'rotate_csrf_token() set_cookie(response, "", token)', 'set_cookie(response, "", token)',
        ("tests/blueprints/test_same_origin.py::test_the_forms_token_is_another_at_each_change_of_who_is_here",),
    ),
    Mutant(
        "session-idle", "a session ends after half an hour of rest",
        "dingkao/people/sign_in_sessions.py", "idle=now - IDLE_TIMEOUT", "idle=now - ABSOLUTE_TIMEOUT",
        ("tests/blueprints/test_sessions.py::test_a_session_ends_after_half_an_hour_of_rest_and_after_twelve",),
    ),
    Mutant(
        "password-ends-sessions", "a changed password ends every other session",
        "dingkao/people/authentication.py", 'end_all_sessions(account.id) journal.write_entry("account", account.id, verb', 'journal.write_entry("account", account.id, verb',
        ("tests/blueprints/test_sessions.py::test_a_changed_password_ends_every_other_session",),
    ),
    Mutant(
        "second-factor-once", "a code of the second factor is good once",
        "dingkao/people/second_factor.py", "counter <= account.second_factor_counter", "counter < account.second_factor_counter",
        ("tests/blueprints/test_second_factor.py::test_one_code_lets_one_of_six_sessions_in_however_they_race",),
    ),
    Mutant(
        "initial-credential", "the initial credential lapses",
        "dingkao/people/authentication.py", "account.state == \"initial\" and account.initial_until > clock.now()", "account.state == \"initial\"",
        ("tests/blueprints/test_sign_in.py::test_the_initial_credential_lapses_and_says_whom_to_ask_without_telling_who_exists",),
    ),
    Mutant(
        "sms-code-tries", "a code by short message is over after five wrong ones",
        "dingkao/people/sms_codes.py", "if tonumber(kept[3]) >= tonumber(ARGV[3]) then return 'over' end", "",
        ("tests/blueprints/test_sms_codes.py::test_five_wrong_ones_end_a_code_and_the_sixth_is_told_so",),
    ),
    Mutant(
        "guessing-network", "a network of long addresses is one place where tries are counted",
        "dingkao/people/sign_in_attempts.py", "int(parsed) >> 64", "int(parsed)",
        ("tests/blueprints/test_second_factor.py::test_a_network_of_long_addresses_counts_as_one",),
    ),
    Mutant(
        "two-persons", "nobody decides on what he or she proposed",
        "dingkao/people/second_person.py", "if by.id is not None and by.id in earlier:", "if by.id is None and earlier:",
        ("tests/blueprints/test_proposed_acts.py::test_a_seal_holds_once_a_second_administrator_has_looked_at_it",),
    ),
    Mutant(
        "quiet-hours", "by night nobody is disturbed, from the first minute of the hour that is set",
        "dingkao/people/notice_delivery.py", "hour >= start or hour < end", "hour > start or hour < end",
        ("tests/rooms/test_notices.py::test_quiet_hours_are_a_stretch_of_the_clock",),
    ),
    Mutant(
        "operator-code-once", "an operator's one-time code is good once",
        "dingkao/operators/operator_authentication.py", '"state": "active", "code_hash": None, "code_until": None,', '"state": "active", ',
        ("tests/blueprints/test_platform.py::test_a_one_time_code_sets_one_password",),
    ),
    Mutant(
        "article-withdrawn", "an article that was withdrawn is read by nobody",
        "dingkao/articles/queries.py", 'Article.state == "published", *words_conditions(words)', 'Article.state != "draft", *words_conditions(words)',
        ("tests/blueprints/test_articles.py::test_a_draft_is_seen_by_nobody_until_it_is_published_and_no_more_once_withdrawn",),
    ),
    Mutant(
        "article-links", "no link of an article runs a script",
        "dingkao/articles/markdown.py", "bool(ALLOWED_LINK_SCHEMES.match(url.strip()))", "bool(url.strip())",
        ("tests/rooms/test_articles.py::test_only_our_marks_come_out",),
    ),
    # --- cycles, doctors, records, filings
    Mutant(
        "phase-last-day", "a phase is open on its last day",
        "dingkao/cycles/cycles.py", "phase.first_day <= clock.today() <= phase.last_day", "phase.first_day <= clock.today() < phase.last_day",
        ("tests/blueprints/test_filing_submission.py::test_on_the_last_day_it_is_saved_and_afterwards_only_what_was_returned_is_handed_in",),
    ),
    Mutant(
        "today-in-beijing", "a day begins at midnight in Beijing",
        "dingkao/clock.py", "return now().astimezone(BEIJING).date()", "return now().date()",
        ("tests/rooms/test_identity.py::test_today_is_the_day_in_beijing",),
    ),
    Mutant(
        "roster-duplicate", "of two rows with one number the earlier goes in",
        "dingkao/doctors/roster.py", "if index in self.seen_numbers:", "if index is None:",
        ("tests/rooms/test_roster.py::test_of_two_rows_with_one_number_the_earlier_goes_in",),
    ),
    Mutant(
        "roster-own-institution", "a clerk's roster brings the doctors of the own institution alone",
        "dingkao/doctors/roster.py", "if self.own_numbers is not None and valid_row.registration_number not in self.own_numbers:", "if self.own_numbers is valid_row:",
        ("tests/rooms/test_roster.py::test_a_clerk_brings_the_doctors_of_the_own_institution_alone",),
    ),
    Mutant(
        "elsewhere-told", "that a doctor is another institution's is told only so often",
        "dingkao/doctors/disclosure_limits.py", "return current_count(COUNTER_KIND, self.subject) >= self.limit", "return current_count(COUNTER_KIND, self.subject) > self.limit",
        ("tests/blueprints/test_doctors.py::test_that_a_doctor_is_anothers_is_told_so_often_and_then_nothing_is_looked_up",),
    ),
    Mutant(
        "submit-after-filing", "after enrolment only what was returned is handed in",
        "dingkao/assessments/assessment_transitions.py", 'return record.state == "institution_returned" and is_phase_open(cycle, "review")', 'return is_phase_open(cycle, "review")',
        ("tests/blueprints/test_filing_submission.py::test_on_the_last_day_it_is_saved_and_afterwards_only_what_was_returned_is_handed_in",),
    ),
    Mutant(
        "include-scope", "an institution includes its own doctors alone",
        "dingkao/assessments/enrolment.py",
        "in_array(Assessment.id, ids), scope_condition(grant, institution=Assessment.institution_id), )",
        "in_array(Assessment.id, ids),\n        )",
        ("tests/blueprints/test_dashboard.py::test_a_clerk_neither_includes_nor_removes_anothers_doctors",),
    ),
    Mutant(
        "reminder-mark", "a reminder goes out on the very day of its mark",
        "dingkao/assessments/reminders.py", "if threshold >= days_left", "if threshold > days_left",
        ("tests/rooms/test_reminders.py::test_each_doctor_who_has_not_handed_in_is_told_once_a_mark",),
    ),
    Mutant(
        "filing-overwritten", "two pages never overwrite each other unseen",
        "dingkao/filings/merging.py", "if known_etag is not None and stored_etag != known_etag:", "if known_etag is merged:",
        ("tests/rooms/test_filing_fields.py::test_two_pages_never_overwrite_each_other_unseen",),
    ),
    Mutant(
        "review-lease", "a record that one reviewer holds is decided by no other",
        "dingkao/filings/review.py", 'raise InvalidState(f"{holder}正在审核这条记录，请先审核其他记录，或稍后再试。")', "return",
        ("tests/blueprints/test_filing_review.py::test_a_record_is_in_one_pair_of_hands",),
    ),
    Mutant(
        "review-at-once", "whoever failed a part at the institution isn't accepted among many",
        "dingkao/filings/batch_review.py", 'if "fail" in (record.performance, record.ethics):', 'if record.performance == "fail":',
        ("tests/blueprints/test_filing_review.py::test_many_at_once_leaves_out_who_needs_a_look",),
    ),
    # --- exams
    Mutant(
        "marking-partial", "of an X question a wrong choice takes all",
        "dingkao/exams/scoring.py", "for key in keys if chosen < key)", "for key in keys if chosen & key)",
        ("tests/rooms/test_scoring.py::test_of_partial_credit_each_right_choice_is_a_share_and_a_wrong_one_takes_all",),
    ),
    Mutant(
        "marking-rounding", "half a tenth of a point counts up",
        "dingkao/exams/scoring.py", "int((points * 2000 + total) // (2 * total))", "int(points * 1000 // total)",
        ("tests/rooms/test_scoring.py::test_by_hand",),
    ),
    Mutant(
        "drawing-copies", "no form has a question and its copy",
        "dingkao/exams/question_pool.py", "if not seen.isdisjoint(group.likenesses):", "if group.likenesses is None:",
        ("tests/rooms/test_question_copies.py::test_a_form_never_has_a_question_and_its_copy",),
    ),
    Mutant(
        "stages-in-turn", "a later stage opens once the earlier one is handed in",
        "dingkao/exams/papers.py", "if sitting is None or sitting.handed_in_at is None:", "if sitting is None:",
        ("tests/rooms/test_papers.py::test_stages_that_follow_one_another_open_one_after_the_other",),
    ),
    Mutant(
        "sitting-end", "a sitting never ends after its paper's window",
        "dingkao/exams/admission.py",
        "return min(begun + timedelta(minutes=self.minutes), self.closes_at + timedelta(minutes=self.extra_minutes))",
        "return begun + timedelta(minutes=self.minutes)",
        ("tests/rooms/test_sitting_ends.py::test_a_sitting_ends_with_its_minutes_and_never_after_its_paper",),
    ),
    Mutant(
        "sitting-grace", "a sitting is handed in a minute after its end, for answers on their way",
        "dingkao/exams/sitting_completion.py", "GRACE_PERIOD = timedelta(seconds=60)", "GRACE_PERIOD = timedelta(seconds=0)",
        ("tests/rooms/test_sitting_ends.py::test_the_duty_hands_in_what_is_past_its_grace_and_nothing_else",),
    ),
    Mutant(
        "answer-token", "the token of a sitting saves in its own province alone",
        "dingkao/exams/answer_saving.py", "if token.tenant != current_tenant():", "if token.tenant < 0:",
        ("tests/rooms/test_sittings.py::test_a_token_holds_in_its_own_province_and_by_its_own_key_alone",),
    ),
    Mutant(
        "take-over", "once another device has taken over, the one before saves no more",
        "dingkao/exams/sittings.py", "sitting.epoch, sitting.device = sitting.epoch + 1, device", "sitting.device = device",
        ("tests/blueprints/test_sitting.py::test_a_reload_goes_on_and_another_device_takes_over",),
    ),
    Mutant(
        "void-heard", "no sitting is proposed to be voided before its doctor was heard",
        "dingkao/exams/integrity_cases.py", "if case.stated_at is None and clock.now() < case.heard_until:", "if case.heard_until is None:",
        ("tests/blueprints/test_integrity_cases.py::test_a_sitting_is_voided_by_two_persons_after_the_doctor_was_heard_and_sat_again",),
    ),
    Mutant(
        "practice-share", "no question of an exam is ever practised",
        "dingkao/practice/practice_queries.py", 'return Question.purpose == "practice", Question.retired_at.is_(None)', "return (Question.retired_at.is_(None),)",
        ("tests/rooms/test_practice.py::test_no_question_of_an_exam_is_ever_practised",),
    ),
    # --- results, certificates, requests
    Mutant(
        "line-reached", "who has exactly the line passes",
        "dingkao/results/pass_lines.py", "score is not None and score >= line_tenths for", "score is not None and score > line_tenths for",
        ("tests/blueprints/test_results.py::test_every_paper_has_to_reach_the_line",),
    ),
    Mutant(
        "publication-whole", "nothing of a list is seen before all of it is public",
        "dingkao/results/publishing.py", "Publication.published_at.is_not(None)", "Publication.approved_at.is_not(None)",
        ("tests/blueprints/test_publishing.py::test_nothing_of_a_list_is_seen_before_all_of_it_is",),
    ),
    Mutant(
        "publication-digest", "a list whose rows were touched is never published",
        "dingkao/results/publishing.py", "if bytes(summary.digest) != publication.digest:", "if publication.digest is None:",
        ("tests/blueprints/test_publishing.py::test_a_list_whose_rows_were_touched_is_never_shown",),
    ),
    Mutant(
        "certificate-content", "a certificate prints the number of the practice certificate in its place",
        "dingkao/certificates/issuing.py", '"practice": numbers.get("practice", "")', '"practice": numbers.get("qualification", "")',
        ("tests/blueprints/test_results.py::test_from_scores_to_the_certificate",),
    ),
    Mutant(
        "certificate-serial", "a serial with a wrong check digit is none",
        "dingkao/certificates/serials.py", "if match is None or mod_11_10.calc_check_digit(match[1] + match[2] + match[3]) != match[4]:", "if match is None:",
        ("tests/blueprints/test_certificate_access.py::test_serials",),
    ),
    Mutant(
        "verification-revoked", "the page of verification says that a certificate was revoked",
        "dingkao/certificates/lookup.py", "certificate.issued_on, certificate.state, suspended", 'certificate.issued_on, "issued", suspended',
        ("tests/blueprints/test_certificate_access.py::test_a_suspended_provinces_certificates_verify_and_the_page_says_so",),
    ),
    Mutant(
        "appeal-term", "an appeal may be made on the thirtieth day from receipt",
        "dingkao/requests/availability.py", "if clock.today() > appeal_last_day(dossier):", "if clock.today() >= appeal_last_day(dossier):",
        ("tests/blueprints/test_appeals.py::test_an_appeal_has_its_thirty_days_from_receipt",),
    ),
    Mutant(
        "appeal-never-worse", "an appeal makes nobody's result worse",
        "dingkao/requests/decisions.py", 'if set(changes.values()) != {"pass"}:', "if not changes:",
        ("tests/blueprints/test_appeals.py::test_an_appeal_overturns_the_result_and_issues_a_certificate",),
    ),
    Mutant(
        "request-turn", "a request is decided by the side whose turn it is",
        "dingkao/requests/decision_scope.py", "return doctor_request.pending_side in self.decided_sides", "return self.decided_sides != ()",
        ("tests/blueprints/test_requests.py::test_exemption_is_agreed_to_by_two_and_spares_the_test",),
    ),
    # --- the web, the terminal, what lies outside
    Mutant(
        "form-token", "every change asks for the form's token",
        "dingkao/web/request_lifecycle.py", "WTF_CSRF_SSL_STRICT=False", "WTF_CSRF_SSL_STRICT=False, WTF_CSRF_CHECK_DEFAULT=False",
        ("tests/sweeps/test_routes.py::test_every_change_asks_for_the_forms_token",),
    ),
    Mutant(
        "content-policy", "no page runs a script that stands in it",
        "dingkao/web/request_lifecycle.py", "script-src 'self';", "script-src 'self' 'unsafe-inline';",
        ("tests/sweeps/test_routes.py::test_no_answer_lets_itself_be_framed_or_brings_in_what_is_not_ours",),
    ),
    Mutant(
        "refusal-undone", "what was refused is undone",
        "dingkao/web/request_lifecycle.py", "if response.status_code < 400:", "if response.status_code < 500:",
        ("tests/blueprints/test_error_pages.py::test_what_is_answered_with_a_refusal_is_undone",),
    ),
    Mutant(
        "access", "a page is for the roles it names alone",
        "dingkao/web/access_control.py", "if action is None or not current_user.may(action):", "if action is None:",
        ("tests/permissions/test_matrix.py::test_each_action_is_for_the_roles_of_the_paper",),
    ),
    Mutant(
        "grant-widened", "an auditor looks at certificates and doesn't revoke them",
        "dingkao/people/permissions.py", '"results.view", "results.export", "certificates.view",',
        '"results.view", "results.export", "certificates.view", "certificates.manage",',
        ("tests/permissions/test_matrix.py::test_each_action_is_for_the_roles_of_the_paper",),
    ),
    Mutant(
        "grant-narrowed", "a question editor reads a paper",
        "dingkao/people/permissions.py", '"questions.see_picture", "papers.preview",', '"questions.see_picture",',
        ("tests/permissions/test_matrix.py::test_each_action_is_for_the_roles_of_the_paper",),
    ),
    Mutant(
        "scope-forgotten", "an assessment organisation watches its own sittings alone",
        "dingkao/exams/monitoring.py", "scope_condition(self.scope, assessor=Assessment.assessor_id),", "",
        ("tests/blueprints/test_exam_monitoring.py::test_the_live_page_is_narrowed_to_a_hall_or_a_slot_and_counts_there",),
    ),
    Mutant(
        "second-factor-asked", "who has to show a second factor sees nothing before",
        "dingkao/web/access_control.py", "if not current_user.is_second_factor_shown:", "if not current_user.is_authenticated:",
        ("tests/blueprints/test_sessions.py::test_the_second_factor_gives_the_session_another_id",),
    ),
    Mutant(
        "cookie-scripts", "no script reads the session's cookie",
        "dingkao/web/province_cookies.py", 'httponly=True, samesite="Lax"', 'httponly=False, samesite="Lax"',
        ("tests/blueprints/test_sessions.py::test_cookies_are_for_this_host_for_tls_and_for_no_script",),
    ),
    Mutant(
        "verification-limit", "serials are asked for so often a minute from one place",
        "dingkao/blueprints/public/certificate_lookup.py", '@limiter.limit("60/minute")', '@limiter.limit("60000/minute")',
        ("tests/blueprints/test_certificate_access.py::test_serials_are_asked_for_sixty_times_a_minute_from_one_place",),
    ),
    Mutant(
        "sheet-formula", "no cell of a sheet that we write is a formula",
        "dingkao/integrations/spreadsheets/xlsx_writer.py", 'worksheet.write_string(number, column, str(cell', 'worksheet.write_formula(number, column, str(cell',
        ("tests/rooms/test_spreadsheets.py::test_what_was_written_is_read_again_and_nothing_is_a_formula",),
    ),
    Mutant(
        "store-sealed", "a file in clear is nobody's once all of a province were found sealed",
        "dingkao/integrations/storage.py", "content.startswith(UNENCRYPTED_SIGNATURES) and not all_files_encrypted()", "content.startswith(UNENCRYPTED_SIGNATURES)",
        ("tests/rooms/test_storage.py::test_once_all_were_found_sealed_a_file_in_clear_is_nobodys",),
    ),
    Mutant(
        "duty-everywhere", "the journal of a suspended province is sealed and verified too",
        "dingkao/timetable.py", "province_states() if task.include_suspended else served_province_codes()", "served_province_codes()",
        ("tests/blueprints/test_journal_verification.py::test_a_suspended_provinces_journal_is_sealed_and_verified_too",),
    ),
    Mutant(
        "data-key-length", "a data key of another length is refused",
        "dingkao/config.py", "1 <= number <= MAX_DATA_KEYS and len(key) == 32 for", "1 <= number <= MAX_DATA_KEYS for",
        ("tests/rooms/test_settings.py::test_a_data_key_of_another_length_is_refused",),
    ),
    Mutant(
        "stack-given-engine", "an engine that is given from outside is never mixed with the stack's own",
        "dingkao/embedded/environment.py", "if any(values.get(name) for name in names):", "if all(values.get(name) for name in names):",
        ("tests/embedded/test_process_environment.py::test_an_engine_that_is_given_is_given_whole",),
    ),
    Mutant(
        "terminal-status", "the terminal ends with a status of its own where rows were refused",
        "dingkao/cli/context.py", "if refused_count: sys.exit(2)", "if refused_count < 0:\n        sys.exit(2)",
        ("tests/rooms/test_institutions.py::test_the_terminal_tells_as_one_object_or_in_sentences",),
    ),
    Mutant(
        "demonstration-picture", "the demonstration's picture is the same each time",
        "dingkao/demonstration/sample_chart.py", "str(cases), fill=", "str(id(picture)), fill=",
        ("tests/rooms/test_demonstration_bank.py::test_the_chart_is_the_same_each_time",),
    ),
)  # fmt: skip
