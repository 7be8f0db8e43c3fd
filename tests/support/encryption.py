"""A folder that the kernel encrypts, with its key or without."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SET_POLICY = 0x800C6613
_ADD_KEY = 0xC0506617
_REMOVE_KEY = 0xC0406618
_IDENTIFIER = 2
_KEY = bytes(range(64))


class Encrypted:
    """An encrypted folder; its key is there until it is locked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._identifier = bytes(16)
        try:
            self.unlock()
        except OSError as error:
            pytest.skip(f"no encryption here: {error.strerror}")
        # AES-256-XTS for contents, AES-256-CTS for names, padded to 32.
        policy = struct.pack("=BBBBB3x16s", 2, 1, 4, 3, 0, self._identifier)
        self._ask(_SET_POLICY, bytearray(policy))

    def unlock(self) -> None:
        """Give the kernel the key."""
        asked = bytearray(struct.pack("=II32x II32x", _IDENTIFIER, 0, len(_KEY), 0) + _KEY)
        self._ask(_ADD_KEY, asked)
        self._identifier = bytes(asked[8:24])

    def _lock(self) -> None:
        asked = bytearray(struct.pack("=II16s16x", _IDENTIFIER, 0, self._identifier) + bytes(24))
        self._ask(_REMOVE_KEY, asked)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Take the key away for a while, as when its user has logged out."""
        os.sync()
        self._lock()
        try:
            yield
        finally:
            self.unlock()

    def _ask(self, question: int, words: bytearray) -> None:
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, question, words)
        finally:
            os.close(fd)
