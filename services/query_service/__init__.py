"""Answers over HTTP what the log and the read models hold, one tenant at a time."""
