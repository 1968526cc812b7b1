"""This module reads the few bits of H.264 that tell what a stream is and which parameter sets it uses.

Numbers in brackets are clauses of ITU-T H.264; the head of an MP4's stream (avcC) is in ISO/IEC 14496-15.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Kinds of units (7.4.1). Each begins with its kind in the lowest five bits.
SLICE, IDR_SLICE = 1, 5
SEQUENCE, PICTURE = 7, 8
BESIDE = {6, 9, 12}  # supplemental information, delimiters, filler
KIND = 0x1F
UNIT_HEAD = 4  # bytes that say how long a unit is

# Profiles whose sequence parameter sets say more of chroma and depth (7.3.2.1.1).
HIGH = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
OTHER_ASPECT = 255  # the shape of a pixel follows
MAX_ID = 31  # of sequence parameter sets, and of those of pictures that x264 writes
START = 256  # bytes of a unit in which all that is read here stands


class Bits:
    """`Bits` reads bits of a unit, one after the other."""

    def __init__(self, unit: bytes | memoryview) -> None:
        plain = bytes(unit[1:START]).replace(b"\0\0\3", b"\0\0")  # without emulation prevention (7.4.1)
        self._value, self._left = int.from_bytes(plain, "big"), 8 * len(plain)

    def number(self, bits: int) -> int:
        """Read a number of so many bits.

        Raises:
            ValueError: There are not so many.
        """
        self._left -= bits
        if self._left < 0:
            raise ValueError("a parameter set is cut short")
        return self._value >> self._left & ((1 << bits) - 1)

    def counted(self) -> int:
        """Read a number that says itself how long it is (9.1)."""
        zeros = 0
        while not self.number(1):
            zeros += 1
        return (1 << zeros) - 1 + self.number(zeros)

    def skip(self, count: int) -> None:
        """Read so many numbers that say themselves how long they are."""
        for _ in range(count):
            self.counted()


@dataclass(frozen=True)
class Buffering:
    """A buffering says how many pictures may wait in a decoder (E.2.1).

    Attributes:
        reordered: That are coded before one and shown after it.
        kept: At a time.
    """

    reordered: int
    kept: int


@dataclass(frozen=True)
class ParameterSets:
    """The parameter sets of a stream, as they stand in an MP4.

    Attributes:
        profile: Number of the profile.
        constraints: Flags of what the stream does not use.
        level: Ten times the level.
        sequences: Sequence parameter sets.
        pictures: Picture parameter sets.
    """

    profile: int
    constraints: int
    level: int
    sequences: tuple[bytes, ...]
    pictures: tuple[bytes, ...]

    @classmethod
    def of(cls, head: bytes) -> ParameterSets:
        """Read an avcC.

        Raises:
            ValueError: It is none, or its units have no heads of four bytes.
        """
        if len(head) < 7 or head[0] != 1 or head[4] & 3 != UNIT_HEAD - 1:
            raise ValueError("expected an avcC with lengths of 4 bytes")
        sequences, place = _units(head, 6, head[5] & 0x1F)
        pictures, _ = _units(head, place + 1, head[place] if place < len(head) else 0)
        return cls(head[1], head[2], head[3], sequences, pictures)

    @property
    def ids(self) -> set[int]:
        """Return the ids of all of them."""
        return {_sequence_id(unit) for unit in self.sequences} | {
            Bits(unit).counted() for unit in self.pictures
        }

    @property
    def is_progressive(self) -> bool:
        """Say whether they are of whole pictures alone, in 8 bits and 4:2:0."""
        return all(_is_progressive(unit) for unit in self.sequences)

    @property
    def buffering(self) -> Buffering | None:
        """Return what the first sequence parameter set says of it, None where it says nothing.

        Raises:
            ValueError: It is cut short.
        """
        return _buffering(self.sequences[0])

    def joined(self, other: ParameterSets) -> bytes:
        """Return an avcC of these and others, which a decoder must be able for both of."""
        sequences, pictures = self.sequences + other.sequences, self.pictures + other.pictures
        profile = max(self.profile, other.profile)
        head = bytes((1, profile, self.constraints & other.constraints, max(self.level, other.level), 0xFF))
        head += bytes([0xE0 | len(sequences)]) + _written(sequences)
        head += bytes([len(pictures)]) + _written(pictures)
        return head + (bytes((0xFD, 0xF8, 0xF8, 0)) if profile in HIGH else b"")  # 4:2:0, 8 bits


def units(packet: bytes) -> Iterator[memoryview]:
    """Yield the units of a packet.

    Raises:
        ValueError: It does not consist of whole ones.
    """
    view, place = memoryview(packet), 0
    while place < len(view):
        begin = place + UNIT_HEAD
        place = begin + int.from_bytes(view[place:begin], "big")
        if not begin < place <= len(view):
            raise ValueError("a packet is cut short")
        yield view[begin:place]


def used_set(packet: bytes) -> int:
    """Return the id of the picture parameter set that a packet's picture uses (7.3.3)."""
    for unit in units(packet):
        if unit[0] & KIND in {SLICE, IDR_SLICE}:
            bits = Bits(unit)
            bits.counted()  # the place of its first block
            bits.counted()  # its kind
            return bits.counted()
    raise ValueError("a packet has no picture")


def _units(head: bytes, place: int, count: int) -> tuple[tuple[bytes, ...], int]:
    found = []
    for _ in range(count):
        begin = place + 2
        place = begin + int.from_bytes(head[place:begin], "big")
        found.append(head[begin:place])
    if place > len(head) or not found or not all(found):
        raise ValueError("an avcC is cut short")
    return tuple(found), place


def _written(sets: tuple[bytes, ...]) -> bytes:
    return b"".join(len(unit).to_bytes(2, "big") + unit for unit in sets)


def _sequence_id(unit: bytes) -> int:
    bits = Bits(unit)
    bits.number(24)  # profile, constraints, level
    return bits.counted()


def _up_to_size(unit: bytes) -> Bits | None:
    """Read a sequence parameter set up to its size (7.3.2.1.1); None where it is not of 8 bits and 4:2:0."""
    bits = Bits(unit)
    profile = bits.number(8)
    bits.number(16)
    bits.counted()
    if profile in HIGH:
        chroma, luma_bits, chroma_bits = bits.counted(), bits.counted(), bits.counted()
        if (chroma, luma_bits, chroma_bits) != (1, 0, 0) or bits.number(2):  # scaling matrices are seldom
            return None
    bits.counted()
    order = bits.counted()
    if order == 0:
        bits.counted()
    elif order == 1:
        bits.number(1)
        bits.skip(2)
        bits.skip(bits.counted())
    bits.counted()  # how many pictures others may refer to
    bits.number(1)
    bits.skip(2)  # the size
    return bits


def _is_progressive(unit: bytes) -> bool:
    bits = _up_to_size(unit)
    return bits is not None and bool(bits.number(1))


def _buffering(unit: bytes) -> Buffering | None:
    """Read a progressive sequence parameter set up to what it says at its end (E.1.1)."""
    bits = _up_to_size(unit)
    if bits is None or not bits.number(1):
        return None
    bits.number(1)
    if bits.number(1):  # the edges that are cut off
        bits.skip(4)
    if not bits.number(1):
        return None
    if bits.number(1) and bits.number(8) == OTHER_ASPECT:
        bits.number(32)
    if bits.number(1):
        bits.number(1)
    if bits.number(1) and bits.number(5) & 1:  # the last of these bits says that colours follow
        bits.number(24)
    if bits.number(1):
        bits.skip(2)
    if bits.number(1):  # the rate
        bits.number(65)
    if sum([_read_rates(bits), _read_rates(bits)]):
        bits.number(1)
    bits.number(1)
    if not bits.number(1):
        return None
    bits.number(1)
    bits.skip(4)
    return Buffering(bits.counted(), bits.counted())


def _read_rates(bits: Bits) -> bool:
    """Read the bit rates that a stream keeps to (E.1.2), and say whether there are some."""
    if not bits.number(1):
        return False
    count = bits.counted() + 1
    bits.number(8)
    for _ in range(count):
        bits.skip(2)
        bits.number(1)
    bits.number(20)
    return True
