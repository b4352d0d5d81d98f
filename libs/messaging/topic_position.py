"""A place in a whole topic, as a short text that a reader can keep and come back with."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import NamedTuple, Self
from uuid import UUID

MOST_PARTITIONS = 1_000
LONGEST_VECTOR = 8 * 1024
# Offsets are 64 bits with a sign; each has one way to be written.
_VECTOR = re.compile(r"([A-Za-z0-9_-]{22})((?:\.(?:0|[1-9][0-9]{0,18}))+)")
_GREATEST_OFFSET = 2**63 - 1


class BadVector(ValueError):
    """A text that is no vector; it says what one is."""


class Vector(NamedTuple):
    """The topic's id, and for each partition, from 0 on, the offset of the next record to be read.

    Written `Q7kXb0pUT9mZ3jH1vYw2Lg.12.0.7`: the id in base64url (RFC 4648), then the offsets.
    """

    topic_id: UUID
    offsets: tuple[int, ...]

    @classmethod
    def of(cls, topic_id: UUID, positions: Mapping[int, int]) -> Self:
        """Return the vector of partition → offset; the partitions are numbered from 0 without a gap."""
        return cls(topic_id, tuple(positions[number] for number in range(len(positions))))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` has written. Raises BadVector for anything else."""
        found = _VECTOR.fullmatch(text) if len(text) <= LONGEST_VECTOR else None
        if found is None:
            raise BadVector("is no place in the topic: it is what an earlier event's id was, as it was")
        offsets = tuple(map(int, found[2][1:].split(".")))
        topic_id = UUID(bytes=urlsafe_b64decode(f"{found[1]}=="))
        vector = cls(topic_id, offsets)
        # The last character of the id holds bits that count for nothing.
        if len(offsets) > MOST_PARTITIONS or max(offsets) > _GREATEST_OFFSET or str(vector) != text:
            raise BadVector("is no place in the topic: its id or an offset is out of range")
        return vector

    @property
    def positions(self) -> dict[int, int]:
        """Partition → offset of the next record."""
        return dict(enumerate(self.offsets))

    def __str__(self) -> str:
        """Return the text."""
        name = urlsafe_b64encode(self.topic_id.bytes).rstrip(b"=").decode()
        return f"{name}.{'.'.join(map(str, self.offsets))}"
