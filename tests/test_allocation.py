"""A freed block is used again, seen from the pages that the system has to bring."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, resource, sys
from heatlift.allocation import keep_freed_memory

libc, size = ctypes.CDLL(None), 100 * 2**20
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "kept":
    keep_freed_memory()

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(size)
    libc.memset(block, 1, size)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages()
print(pages() * resource.getpagesize() / 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc hands large blocks back at once")
def test_a_large_block_is_brought_once() -> None:
    def brought(which: str) -> float:
        call = [sys.executable, "-c", PROGRAM, which]
        return float(subprocess.run(call, capture_output=True, text=True, check=True).stdout)

    assert brought("given back") > 50
    assert brought("kept") < 5
