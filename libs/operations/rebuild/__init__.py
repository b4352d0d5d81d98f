"""A new generation of a read model, beside the live one: asked for, followed, ended."""

from operations.rebuild.builds import (
    Build,
    BuildKind,
    ask_for_rebuild,
    ask_for_rollback,
    await_dropped,
    cancel_build,
    drop_previous,
    open_build,
    read_build,
    release_build,
    request_build,
    under_way,
)
from operations.rebuild.following import FollowedBuild, follow

__all__ = [
    "Build",
    "BuildKind",
    "FollowedBuild",
    "ask_for_rebuild",
    "ask_for_rollback",
    "await_dropped",
    "cancel_build",
    "drop_previous",
    "follow",
    "open_build",
    "read_build",
    "release_build",
    "request_build",
    "under_way",
]
