"""A process gives up what it does not need, before it runs code that nobody has read.

Four kinds of limits, all of which a process may put on itself without being root, and none of which
it can take off again:

    limits       processor time, memory, open files, size of files (setrlimit)
    Landlock     files: reading where Python and its packages lie, writing in one folder, nothing
                 else (Linux 5.13)
    seccomp      system calls: no new process or program, no socket, no signal to others, no tracing
                 (Linux, x86-64 and ARM64)
    a session    of its own, so that it can be ended with all its threads (the parent's part)

`enclose` says which of them hold. Where Landlock or seccomp is missing, foreign code can read the
user's files or reach the network: the grader says so loudly.

Source: Linux manual pages landlock(7), seccomp(2), prctl(2), setrlimit(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence
from typing import Any

_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2  # of prctl
_LANDLOCK = 444  # create_ruleset; add_rule and restrict_self follow

# Rights of Landlock, bit by bit, and how many of them each version of it knows.
_EXECUTE, _WRITE, _READ, _READ_DIR = 1, 2, 4, 8
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # 5 and later: 16

# What no answer needs, by name, on x86-64 and on ARM64; None where there is no such call.
_CALLS = {
    "bpf": (321, 280),
    "chmod": (90, None),
    "chown": (92, None),
    "chroot": (161, 51),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "fork": (57, None),
    "fremovexattr": (199, 16),
    "fsetxattr": (190, 7),
    "futimesat": (261, None),
    "io_uring_setup": (425, 425),
    "ioprio_set": (251, 30),
    "kill": (62, 129),
    "lchown": (94, None),
    "lremovexattr": (198, 15),
    "lsetxattr": (189, 6),
    "mount": (165, 40),
    "msgget": (68, 186),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "prlimit64": (302, 261),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "removexattr": (197, 14),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "semget": (64, 190),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "setxattr": (188, 5),
    "shmget": (29, 194),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "tkill": (200, 130),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "utime": (132, None),
    "utimensat": (280, 88),
    "utimes": (235, None),
    "vfork": (58, None),
}
_CLONE, _CLONE3, _THREAD = (56, 220), 435, 0x00010000  # a clone that is no thread is a process
_TGKILL = (234, 131)  # a signal to a thread: its own only
_CAPSET, _CAPABILITIES = (126, 91), 0x20080522
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def enclose(folder: str, readable: Sequence[str], *, seconds: int, mebibytes: int) -> list[str]:
    """Limit this process for good; which of "limits", "files" and "calls" hold.

    folder      the only place where it may write
    readable    where it may read
    seconds     of processor time, after which it is ended
    mebibytes   of memory
    """
    held = []
    if _limit(seconds, mebibytes):
        held.append("limits")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0:
            if _restrict_files(libc, folder, readable):
                held.append("files")
            if _restrict_calls(libc):
                held.append("calls")
    return held


def _limit(seconds: int, mebibytes: int) -> bool:
    try:
        import resource
    except ImportError:  # Windows
        return False
    for what, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, mebibytes << 20),
        (resource.RLIMIT_FSIZE, 16 << 20),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    return True


def _restrict_files(libc: Any, folder: str, readable: Sequence[str]) -> bool:
    """Landlock: everything about files is forbidden, but for what a rule allows below a place."""
    version = libc.syscall(_LANDLOCK, None, 0, 1)
    if version < 1:
        return False
    everything = (1 << _RIGHTS.get(version, 16)) - 1
    handled = ctypes.create_string_buffer(struct.pack("=Q", everything))
    rules = libc.syscall(_LANDLOCK, handled, 8, 0)
    if rules < 0:
        return False
    allowed = dict.fromkeys(readable, _EXECUTE | _READ | _READ_DIR)
    allowed |= {"/dev/null": _READ | _WRITE, "/dev/urandom": _READ, folder: everything}
    for place, rights in allowed.items():
        try:
            descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        if not os.path.isdir(place):
            rights &= _EXECUTE | _WRITE | _READ  # the others are about folders
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor))
        done = libc.syscall(_LANDLOCK + 1, rules, 1, rule, 0)
        os.close(descriptor)
        if done < 0:
            return False
    restricted = bool(libc.syscall(_LANDLOCK + 2, rules, 0) == 0)
    os.close(rules)
    return restricted


def _restrict_calls(libc: Any) -> bool:
    """seccomp: a small program of the kernel that looks at each system call's number."""
    if platform.machine() not in _MACHINES or struct.calcsize("P") != 8:
        return False
    column, machine = _MACHINES[platform.machine()]
    nobody = ctypes.create_string_buffer(struct.pack("=II", _CAPABILITIES, 0))
    libc.syscall(_CAPSET[column], nobody, ctypes.create_string_buffer(24))  # root is root no more
    code = _program(column, machine)
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *c) for c in code))
    program = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(code), ctypes.addressof(instructions))
    )
    return bool(libc.prctl(_SET_SECCOMP, _FILTER, program, 0, 0) == 0)


def _program(column: int, machine: int) -> list[tuple[int, int, int, int]]:
    """(code, jump if true, jump if false, number): load, compare, return."""
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, allow, refuse = 0x80000000, 0x7FFF0000, 0x00050000
    number, architecture, first = 0, 4, 16  # where the call's data have them
    code = [
        (load, 0, 0, architecture),
        (equal, 1, 0, machine),
        (give, 0, 0, kill),
        (load, 0, 0, number),
        (at_least, 0, 1, 0x40000000),  # a second set of numbers, on x86-64
        (give, 0, 0, kill),
        (equal, 0, 1, _CLONE3),  # its flags cannot be seen: the C library then takes clone
        (give, 0, 0, refuse | errno.ENOSYS),
        (equal, 0, 4, _CLONE[column]),
        (load, 0, 0, first),
        (any_bit, 0, 1, _THREAD),
        (give, 0, 0, allow),
        (give, 0, 0, refuse | errno.EPERM),
        (equal, 0, 4, _TGKILL[column]),
        (load, 0, 0, first),
        (equal, 0, 1, os.getpid()),
        (give, 0, 0, allow),
        (give, 0, 0, refuse | errno.EPERM),
    ]
    for numbers in _CALLS.values():
        refused = numbers[column]
        if refused is not None:
            code += [(equal, 0, 1, refused), (give, 0, 0, refuse | errno.EPERM)]
    return [*code, (give, 0, 0, allow)]
