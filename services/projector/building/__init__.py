"""Builds a new generation of a read model beside the live one, and swaps it in.

It notes the topic's end, scans the event store by order, goes on from there on the topic until it is level,
compares itself with the live one, and takes its place in one transaction. A build is a row of
`operations.builds`: it survives the process that works at it, and any projector of its version takes it up.
"""

from projector.building.builder import Builder

__all__ = ["Builder"]
