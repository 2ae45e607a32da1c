"""The command line: serve, work, migrate or rotate-keys."""

from chassis.serve import Verb, main
from iam.main import build, rotate_keys
from iam.settings import Settings

main(
    "iam",
    Settings,
    build,
    rotate_keys=Verb(
        "make the next key that signs tokens, ahead of its time",
        rotate_keys,
        {
            "--now": {"action": "store_true", "help": "sign with it in seconds, not in an hour"},
            "--revoke-old": {
                "action": "store_true",
                "help": "an emergency: refuse every access token signed before, at once",
            },
            "--reason": {"default": "", "help": "why, for the audit log"},
        },
    ),
)
