"""Records that name no command: found on their topic, sent again, or settled."""
