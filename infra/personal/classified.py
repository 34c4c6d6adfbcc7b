"""What each table knows about people, column by column: a test fails for one that nobody has classified."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one table, separated by spaces."""

    #: What may name somebody, or tell something about them: it is exported, and erased or its row removed.
    personal: str = ""
    #: What says nothing about anybody who registered, once what is personal is gone.
    impersonal: str = ""


#: Names of operators, of programs and of processes are not about people who register: who did what stays in the audit.
TABLES = {
    "users": Columns("id name email email_key", "registered_at event_id reminded_at"),
    "outbox": Columns(
        "subject body error", "sequence event_id type available_at released_at added_at attempts set_aside"
    ),
    "event_log": Columns("subject body", "position event_id type published_at erased_at"),
    "inbox": Columns("error", "event_id consumer state attempts first_at handled_at failed_at retry_at"),
    "effect": Columns("arguments error", "event_id consumer ordinal kind key state owner busy_until sent_at"),
    "activity": Columns("subject", "event_id type time"),
    "dead_letter": Columns(
        "subject error body closed_with",
        "id key consumer event_id type reason exception frame fingerprint attempts first_failed_at last_failed_at "
        "version state operation_id replays replayed_at closed_at",
    ),
    "resend": Columns("body", "sequence consumer event_id type dead_letter_id backfilled asked added_at"),
    "waiting": Columns("subject", "consumer position event_id backfilled since"),
    "idempotency": Columns("key fingerprint headers body", "status created_at"),
    "audit": Columns("target why details", "id at who action"),
    "operation": Columns(
        "request message", "id kind state total sent handled failed created_at updated_at finished_at"
    ),
    "schedule": Columns(
        "data",
        "name origin description trigger type missed missed_limit overlap counts_from created_at paused_at paused_by "
        "paused_why retired_at silent_since version",
    ),
    "job": Columns(
        "parameters unique_key progress_text error checkpoint",
        "id kind state event_id requested_by progress attempts created_at started_at updated_at finished_at retry_at "
        "cancelled_at owner busy_until checkpoint_at effects worked",
    ),
    "job_file": Columns("name key digest", "job_id ordinal media_type size created_at expires_at"),
    "erasure": Columns("subject address", "key begun_at announced again_at"),
    "subscription": Columns(
        impersonal="consumer types description since declared_at scanned resent options retiring_since seen_at"
    ),
    "schedule_run": Columns(impersonal="schedule due_at event_id fired_at kind state operation_id note"),
    "schedule_gap": Columns(
        impersonal="id schedule reason first_due_at last_due_at due fired policy found_at",
    ),
    "lease": Columns(impersonal="name holder expires_at counter"),
    "unsettled": Columns(impersonal="consumer position event_id published_at resent_at"),
    "emptied": Columns(impersonal="queue at"),
    "pause": Columns(impersonal="consumer by reason since probe_at prober"),
    "backfill": Columns(impersonal="operation_id consumer types after until joined sent settled rate"),
    "health": Columns(impersonal="component state since checked_at detail doubted_since"),
}
