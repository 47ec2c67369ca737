"""Memory that tensors free stays at hand for the next ones.

The C library gives large blocks back to the system as soon as they are free, and the system hands them out again page
by page, each cleared first. Work that allocates the same few megabytes over and over spends half its time on that.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# glibc, malloc.h: parameters of mallopt, and what they are unless set
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_DEFAULT_THRESHOLD, _DEFAULT_MAPS = 128 * 1024, 65536
_NEVER = 2**31 - 1


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside, the process keeps what it frees; afterwards the system gets it back. Does nothing without glibc."""
    try:
        library = ctypes.CDLL(None)
        adjust, trim = library.mallopt, library.malloc_trim
    except (OSError, TypeError, AttributeError):  # another system's C library
        yield
        return
    adjust(_MMAP_MAX, 0)
    adjust(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        adjust(_MMAP_MAX, _DEFAULT_MAPS)
        adjust(_MMAP_THRESHOLD, _DEFAULT_THRESHOLD)
        adjust(_TRIM_THRESHOLD, _DEFAULT_THRESHOLD)
        trim(0)
