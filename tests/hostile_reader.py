"""A reader with every defect that fuzzing is there to find, in a module that its child process can import."""

from __future__ import annotations

import os
import signal
import time
import zlib
from pathlib import Path

DEFECTS = {0: "crash", 1: "hang", 2: "error", 3: "code", 4: "memory"}


def defect(content: bytes) -> str | None:
    """What happens to a file with this content."""
    return DEFECTS.get(zlib.crc32(content) % 40)


def read(path: Path) -> str:
    match defect(path.read_bytes()):
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(60)
        case "error":
            raise KeyError("odd")
        case "code":
            (path.parent / "ran").touch()
        case "memory":
            bytearray(64 * 2**30)
    return "decoded"
