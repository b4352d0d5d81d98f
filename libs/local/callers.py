"""Whom the query service on this machine takes its callers for."""

import os

# The demo's busiest store. An auditor asks everything of one tenant and changes nothing.
DEMO_IDENTITY = "store-361:demo:auditor"
_SETTING = "TILLSTREAM_DEVELOPMENT_IDENTITY"
_CHOICES = (_SETTING, "TILLSTREAM_JWT_KEYS", "TILLSTREAM_JWT_KEYS_FILE")


def caller_settings() -> dict[str, str]:
    """Give the setting that lets callers without a token in; none where the environment says who they are."""
    return {} if any(map(os.environ.get, _CHOICES)) else {_SETTING: DEMO_IDENTITY}
