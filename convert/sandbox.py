"""The worker's sandbox on Linux: it may write into its scratch folder only, and has no network.

Landlock (landlock(7)) takes away writing, and seccomp (seccomp(2)) the system calls that make sockets. Both need no
privileges, hold for everything that the process starts, and cannot be undone. Called through ctypes, since the kernel's
interface is three system calls and one filter of ten instructions; the package `landlock` on PyPI knows files only, not
networks and signals, and is an alpha version.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from pathlib import Path

# include/uapi/linux/landlock.h; the numbers of the system calls are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_VERSION = 1
_RULE_PATH_BENEATH = 1

_WRITE_FILE = 1 << 1
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_REFER = 1 << 13
_TRUNCATE = 1 << 14
_TCP = 1 << 0 | 1 << 1
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 1 << 0 | 1 << 1

_VERSION_OF_REFER, _VERSION_OF_TRUNCATE, _VERSION_OF_TCP, _VERSION_OF_SCOPES = 2, 3, 4, 6

_WRITABLE_DEVICES = (Path("/dev/null"), Path("/dev/zero"), Path("/dev/full"))

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_SECCOMP_MODE_FILTER = 2

# include/uapi/linux/audit.h, and each architecture's own table of system calls.
_ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""By machine: the number by which a filter knows it, and that of the system call `socket`."""

_IO_URING_SETUP = 425
_X32_BIT = 0x40000000


def enter_sandbox(writable: Path) -> tuple[str, ...]:
    """Give up writing anywhere but below `writable`, and making sockets. Call it before any thread is started.

    Returns:
        What this machine could not take away, in words; nothing where all is well.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return ("it may write files outside of its scratch folder", "it may use the network")
    return _forbid_writing(libc, writable) + _forbid_sockets(libc)


def _forbid_writing(libc: ctypes.CDLL, writable: Path) -> tuple[str, ...]:
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION)
    if version < 1:
        return ("it may write files outside of its scratch folder (Landlock is not there)",)
    rights = _WRITE_FILE | _REMOVE_AND_MAKE
    rights |= _REFER if version >= _VERSION_OF_REFER else 0
    rights |= _TRUNCATE if version >= _VERSION_OF_TRUNCATE else 0
    network = _TCP if version >= _VERSION_OF_TCP else 0
    scopes = _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if version >= _VERSION_OF_SCOPES else 0
    attributes = struct.pack("<3Q", rights, network, scopes)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        done = (
            ruleset >= 0
            and _allow(libc, ruleset, writable, rights)
            # A rule for what is no folder may only speak of the file itself.
            and all(_allow(libc, ruleset, each, rights & (_WRITE_FILE | _TRUNCATE)) for each in _WRITABLE_DEVICES)
            and libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
        )
    finally:
        if ruleset >= 0:
            os.close(ruleset)
    if not done:
        return (f"it may write files outside of its scratch folder ({os.strerror(ctypes.get_errno())})",)
    if version < _VERSION_OF_TRUNCATE:
        return ("it may empty files outside of its scratch folder (the kernel's Landlock is too old)",)
    return ()


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> bool:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return path in _WRITABLE_DEVICES
    try:
        rule = struct.pack("<Qi", rights, handle)
        return bool(libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0) == 0)
    finally:
        os.close(handle)


def _forbid_sockets(libc: ctypes.CDLL) -> tuple[str, ...]:
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return (f"it may use the network (no filter for {machine})",)
    program = _filter(*_ARCHITECTURES[machine])
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are.
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header):
        return (f"it may use the network ({os.strerror(ctypes.get_errno())})",)
    return ()


def _filter(architecture: int, socket_call: int) -> bytes:
    """A classic BPF program over `struct seccomp_data`: sockets, and what could make them unseen, fail with EACCES.

    `socketpair` stays, which reaches nobody but one's own children.
    """
    load, equal, set_bits, answer = 0x20, 0x15, 0x45, 0x06
    allow, refuse = 0x7FFF0000, 0x00050000 | errno.EACCES
    return b"".join(
        struct.pack("<HBBI", code, if_true, if_false, value)
        for code, if_true, if_false, value in (
            (load, 0, 0, 4),  # the architecture
            (equal, 0, 5, architecture),
            (load, 0, 0, 0),  # the system call's number
            (set_bits, 3, 0, _X32_BIT),
            (equal, 2, 0, socket_call),
            (equal, 1, 0, _IO_URING_SETUP),
            (answer, 0, 0, allow),
            (answer, 0, 0, refuse),
        )
    )
