"""What `fuzz.py` does to files: bits, lengths that lie, splices, cuts, and words of the formats."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

WORDS = (
    b"\x89PNG\r\n\x1a\n IHDR IDAT PLTE tRNS iCCP zTXt acTL fcTL fdAT eXIf IEND GIF87a GIF89a \x21\xf9\x04 "
    b"\x2c \x3b RIFF WEBP VP8X VP8L ANIM ANMF ALPH BM II*\0 MM\0* II+\0 \xff\xd8\xff \xff\xc0 \xff\xc4 "
    b"\xff\xda \xff\xdb \xff\xdd \xff\xe1 \xff\xd9 Exif\0\0 P1 P2 P3 P4 P5 P6 P7 PF Pf Pyf \xff\x4f\xff\x51 "
    b"\xff\x52 \xff\x90 ihdr jp2c ftypavif meta iloc ipma av1C mdat path label PAR1 \x80\x02 ccopy_reg "
    b"cos\nsystem\n cbuiltins\nexec\n R. tR. PK\x03\x04 PK\x01\x02 data.pkl F32 dtype data_offsets \xff\xfe "
    b'\xef\xbb\xbf \0 " , \r \n'
).split(b" ")
"""What the formats are made of."""

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63)
"""Lengths that lie."""


def mutated(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """A file's content with one to six things done to it; ``other`` is what is spliced in."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        chance.choice(MUTATIONS)(data, other, chance)
    # A checksum that is wrong ends the reading of a PNG before anything else can.
    return _with_checksums(bytes(data)) if chance.random() < 0.6 else bytes(data)


def _bits(data: bytearray, other: bytes, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _number(data: bytearray, other: bytes, chance: random.Random) -> None:
    value, kind = chance.choice(NUMBERS), chance.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    written = struct.pack(kind, value % 2 ** (8 * struct.calcsize(kind)))
    # Most lengths stand near a file's beginning.
    place = min(_place(data, chance), _place(data, chance)) if chance.random() < 0.5 else _place(data, chance)
    data[place : place + len(written)] = written


def _splice(data: bytearray, other: bytes, chance: random.Random) -> None:
    start, place = chance.randrange(len(other) + 1), _place(data, chance)
    piece = other[start : start + chance.choice((1, 4, 16, 256, 4096))]
    data[place : place + (len(piece) if chance.random() < 0.5 else 0)] = piece


def _cut(data: bytearray, other: bytes, chance: random.Random) -> None:
    del data[_place(data, chance) :]


def _leave_out(data: bytearray, other: bytes, chance: random.Random) -> None:
    place = _place(data, chance)
    del data[place : place + chance.choice((1, 2, 8, 64, 1024))]


def _repeat(data: bytearray, other: bytes, chance: random.Random) -> None:
    place = _place(data, chance)
    piece = data[place : place + chance.choice((1, 4, 32, 512))]
    data[place:place] = piece * chance.choice((1, 2, 50))


def _word(data: bytearray, other: bytes, chance: random.Random) -> None:
    word, place = chance.choice(WORDS), _place(data, chance)
    data[place : place + (len(word) if chance.random() < 0.7 else 0)] = word


MUTATIONS: tuple[Callable[[bytearray, bytes, random.Random], None], ...] = (
    _bits,
    _bits,
    _number,
    _number,
    _splice,
    _cut,
    _leave_out,
    _repeat,
    _word,
)


def _place(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(len(data) + 1)


def _with_checksums(data: bytes) -> bytes:
    """A PNG's chunks with the sums that belong to them, as far as there are chunks."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    done, place = bytearray(data), 8
    while place + 12 <= len(data):
        end = place + 8 + struct.unpack_from(">I", data, place)[0]
        if end + 4 > len(data):
            break
        struct.pack_into(">I", done, end, zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(done)
