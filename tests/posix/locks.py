"""Locks: flock(2), POSIX records and records of open file descriptions, between processes.

The kernel keeps them all (the mount asks for neither FUSE_POSIX_LOCKS nor FUSE_FLOCK_LOCKS); these cases say what must hold
whoever keeps them.
"""

import errno
import fcntl
import os
import signal
import struct
import subprocess
import time

from suite import LIMIT, Peer, case, main, refuses, together

READ, WRITE, NONE = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK
RECORD = "hhqqi4x"  # struct flock on 64-bit Linux: type, whence, start, length, pid


def record(command, fd, kind, start=0, length=0):
    """fcntl(2) with a struct flock; the struct that comes back."""
    answer = fcntl.fcntl(fd, command, struct.pack(RECORD, kind, os.SEEK_SET, start, length, 0))
    return struct.unpack(RECORD, answer)


class Whole:
    """flock(2)."""

    @staticmethod
    def lock(fd, exclusive=True, wait=False):
        fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))

    @staticmethod
    def unlock(fd):
        fcntl.flock(fd, fcntl.LOCK_UN)


class Posix:
    """fcntl(2) records, which belong to the process."""

    SET, WAIT = fcntl.F_SETLK, fcntl.F_SETLKW

    @classmethod
    def lock(cls, fd, exclusive=True, wait=False, start=0, length=0):
        record(cls.WAIT if wait else cls.SET, fd, WRITE if exclusive else READ, start, length)

    @classmethod
    def unlock(cls, fd, start=0, length=0):
        record(cls.SET, fd, NONE, start, length)


class Description(Posix):
    """fcntl(2) records of the open file description."""

    SET, WAIT = fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW


KINDS = (Whole, Posix, Description)


def opened(path, flags=os.O_RDWR | os.O_CREAT):
    return os.open(path, flags, 0o644)


def held(kind, fd, exclusive=True):
    """A peer's lock is refused."""
    refuses(errno.EAGAIN, kind.lock, fd, exclusive)


def by_kind(function):
    """One case for each kind of lock."""
    for kind in KINDS:
        def run(folder, kind=kind):
            function(folder + "/file", kind)
        run.__name__ = f"{function.__name__}_{kind.__name__.lower()}"
        case(run)
    return function


@by_kind
def exclusive_excludes(path, kind):
    fd, peer = opened(path), Peer()
    theirs = peer(opened, path)
    peer(kind.lock, theirs)
    held(kind, fd)
    held(kind, fd, False)
    peer(kind.unlock, theirs)
    kind.lock(fd)


@by_kind
def shared_shares(path, kind):
    fd, peer, third = opened(path), Peer(), Peer()
    theirs, more = peer(opened, path), third(opened, path)
    peer(kind.lock, theirs, False)
    kind.lock(fd, False)
    refuses(errno.EAGAIN, third, kind.lock, more)
    third(kind.lock, more, False)


@by_kind
def upgrade_and_downgrade(path, kind):
    fd, peer = opened(path), Peer()
    theirs = peer(opened, path)
    kind.lock(fd, False)
    kind.lock(fd)
    refuses(errno.EAGAIN, peer, kind.lock, theirs, False)
    kind.lock(fd, False)
    peer(kind.lock, theirs, False)
    held(kind, fd)


@by_kind
def a_waiter_wakes(path, kind):
    fd, peer = opened(path), Peer()
    theirs = peer(opened, path)
    kind.lock(fd)
    peer.start(kind.lock, theirs, True, True)
    assert peer.is_busy(0.4), "it did not wait"
    kind.unlock(fd)
    peer.result(3)
    held(kind, fd)


class Interrupted(Exception):
    pass


def interrupt(*_):
    raise Interrupted


@by_kind
def a_waiter_can_be_interrupted(path, kind):
    fd, peer = opened(path), Peer()
    theirs = peer(opened, path)
    kind.lock(fd)
    peer(arm)
    peer.start(kind.lock, theirs, True, True)
    assert peer.is_busy(0.3), "it did not wait"
    os.kill(peer.pid, signal.SIGUSR1)
    try:
        peer.result(3)
        raise AssertionError("a lock that is held was granted")
    except Interrupted:
        pass
    kind.unlock(fd)
    kind.lock(fd)


def arm():
    signal.signal(signal.SIGUSR1, interrupt)


@by_kind
def a_killed_holder_lets_go(path, kind):
    fd, peer = opened(path), Peer()
    peer(kind.lock, peer(opened, path))
    held(kind, fd)
    peer.kill()
    end = time.monotonic() + 3
    while True:
        try:
            return kind.lock(fd)
        except BlockingIOError:
            assert time.monotonic() < end, "still locked 3 s after the holder was killed"
            time.sleep(0.01)


@by_kind
def a_lock_follows_the_inode(path, kind):
    fd, peer = opened(path), Peer()
    os.link(path, path + ".link")
    os.rename(path, path + ".moved")
    kind.lock(fd)
    for name in (path + ".link", path + ".moved"):
        refuses(errno.EAGAIN, peer, kind.lock, peer(opened, name))


@by_kind
def a_file_without_names_locks(path, kind):
    fd, peer = opened(path), Peer()
    theirs = peer(opened, path)
    os.unlink(path)
    kind.lock(fd)
    refuses(errno.EAGAIN, peer, kind.lock, theirs)
    put_back = opened(path)
    kind.lock(put_back)  # Another inode, whatever its name.


@by_kind
def two_paths_are_one_file(path, kind):
    other = path + ".bound"
    os.mkdir(other)
    subprocess.run(["mount", "--bind", os.path.dirname(path), other], check=True)
    try:
        fd, peer = opened(path), Peer()
        kind.lock(fd)
        refuses(errno.EAGAIN, peer, kind.lock, peer(opened, other + "/file"))
        peer.end()
    finally:
        subprocess.run(["umount", "-l", other], check=True)


def count_up(number, path, kind, rounds):
    fd = opened(path)
    for _ in range(rounds):
        kind.lock(fd, True, True)
        value = int(os.pread(fd, 12, 0))
        if value % 5 == number:
            time.sleep(0.0003)
        os.pwrite(fd, b"%012d" % (value + 1), 0)
        kind.unlock(fd)


@by_kind
def no_update_is_lost(path, kind):
    fd = opened(path)
    os.write(fd, b"%012d" % 0)
    together(count_up, 4, path, kind, 150)
    assert int(os.pread(fd, 12, 0)) == 600, "updates were lost"


class LockFile:
    """Mutual exclusion by a name that only one can make."""

    @staticmethod
    def exclusive(path):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))

    @staticmethod
    def linked(path):
        own = f"{path}.{os.getpid()}"
        os.close(opened(own))
        try:
            os.link(own, path)
        finally:
            os.unlink(own)

    @staticmethod
    def symlinked(path):
        os.symlink("owner", path)

    @staticmethod
    def directory(path):
        os.mkdir(path)


def count_up_by_name(number, path, take, drop, rounds):
    fd = opened(path)
    for _ in range(rounds):
        end = time.monotonic() + LIMIT / 2
        while True:
            try:
                take(path + ".lock")
                break
            except FileExistsError:
                assert time.monotonic() < end, "the lock is never free"
                time.sleep(0.0002)
        os.pwrite(fd, b"%012d" % (int(os.pread(fd, 12, 0)) + 1), 0)
        drop(path + ".lock")


def by_name(take, drop):
    def run(folder):
        fd = opened(folder + "/file")
        os.write(fd, b"%012d" % 0)
        together(count_up_by_name, 4, folder + "/file", take, drop, 50)
        assert int(os.pread(fd, 12, 0)) == 200, "updates were lost"
    run.__name__ = f"no_update_is_lost_{take.__name__}"
    case(run)


by_name(LockFile.exclusive, os.unlink)
by_name(LockFile.linked, os.unlink)
by_name(LockFile.symlinked, os.unlink)
by_name(LockFile.directory, os.rmdir)


@case
def flock_belongs_to_the_description(folder):
    path = folder + "/file"
    fd, other = opened(path), opened(path)
    fcntl.flock(fd, fcntl.LOCK_EX)
    held(Whole, other)
    copy = os.dup(fd)
    os.close(fd)
    held(Whole, other)
    child = os.fork()
    if child == 0:
        fcntl.flock(copy, fcntl.LOCK_UN)
        os._exit(0)
    os.waitpid(child, 0)
    Whole.lock(other)
    os.close(other)
    Whole.lock(opened(path))


@case
def flock_needs_no_right_to_write(folder):
    path = folder + "/file"
    os.close(opened(path))
    fd, other = opened(path, os.O_RDONLY), opened(path, os.O_RDONLY)
    Whole.lock(fd)
    held(Whole, other, False)


@case
def flock_works_on_directories(folder):
    fd, other = opened(folder, os.O_RDONLY), opened(folder, os.O_RDONLY)
    Whole.lock(fd)
    held(Whole, other)


@case
def flock_and_records_are_apart(folder):
    fd, peer = opened(folder + "/file"), Peer()
    Whole.lock(fd)
    peer(Posix.lock, peer(opened, folder + "/file"))


@case
def records_of_both_kinds_exclude_each_other(folder):
    fd, peer = opened(folder + "/file"), Peer()
    Description.lock(fd, True, False, 0, 10)
    theirs = peer(opened, folder + "/file")
    refuses(errno.EAGAIN, peer, Posix.lock, theirs, True, False, 5, 1)
    peer(Posix.lock, theirs, True, False, 10, 5)


@case
def a_records_holder_is_told(folder):
    fd, peer = opened(folder + "/file"), Peer()
    theirs = peer(opened, folder + "/file")
    peer(Posix.lock, theirs, True, False, 100, 50)
    for start, length in ((149, 1), (0, 0), (90, 20)):
        refuses(errno.EAGAIN, Posix.lock, fd, False, False, start, length)
    Posix.lock(fd, True, False, 150, 10)
    Posix.lock(fd, True, False, 0, 100)
    kind, _, start, length, pid = record(fcntl.F_GETLK, fd, WRITE, 120, 5)
    assert (kind, start, length, pid) == (WRITE, 100, 50, peer.pid), (kind, start, length, pid)
    peer(Posix.unlock, theirs, 100, 50)
    assert record(fcntl.F_GETLK, fd, WRITE, 120, 5)[0] == NONE


@case
def records_split_and_merge(folder):
    fd, peer = opened(folder + "/file"), Peer()
    Posix.lock(fd, True, False, 0, 300)
    Posix.unlock(fd, 100, 100)
    Posix.lock(fd, False, False, 250, 50)
    theirs = peer(opened, folder + "/file")
    peer(Posix.lock, theirs, True, False, 100, 100)
    for exclusive, start in ((False, 99), (False, 200), (True, 299)):
        refuses(errno.EAGAIN, peer, Posix.lock, theirs, exclusive, False, start, 1)
    peer(Posix.lock, theirs, False, False, 250, 50)
    peer(Posix.lock, theirs, True, False, 300, 0)


@case
def any_close_drops_a_processes_records(folder):
    fd, peer = opened(folder + "/file"), Peer()
    theirs = peer(opened, folder + "/file")
    Posix.lock(fd)
    refuses(errno.EAGAIN, peer, Posix.lock, theirs)
    os.close(opened(folder + "/file"))
    peer(Posix.lock, theirs)


@case
def a_close_elsewhere_keeps_a_descriptions_records(folder):
    fd, other = opened(folder + "/file"), opened(folder + "/file")
    Description.lock(fd)
    os.close(opened(folder + "/file"))
    held(Description, other)
    os.close(fd)
    Description.lock(other)


@case
def a_child_does_not_inherit_records(folder):
    fd = opened(folder + "/file")
    Posix.lock(fd)
    child = os.fork()
    if child == 0:
        held(Posix, fd)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@case
def a_cycle_of_waiters_is_found(folder):
    fd, peer = opened(folder + "/file"), Peer()
    theirs = peer(opened, folder + "/file")
    Posix.lock(fd, True, False, 0, 1)
    peer(Posix.lock, theirs, True, False, 1, 1)
    peer.start(Posix.lock, theirs, True, True, 0, 1)
    assert peer.is_busy(0.3), "it did not wait"
    refuses(errno.EDEADLK, Posix.lock, fd, True, True, 1, 1)
    Posix.unlock(fd, 0, 1)
    peer.result(3)


@case
def records_need_the_right_to_do_it(folder):
    os.close(opened(folder + "/file"))
    refuses(errno.EBADF, Posix.lock, opened(folder + "/file", os.O_RDONLY), True)
    refuses(errno.EBADF, Posix.lock, opened(folder + "/file", os.O_WRONLY), False)


@case
def records_reach_the_end_of_offsets(folder):
    fd, peer = opened(folder + "/file"), Peer()
    Posix.lock(fd, True, False, 2**62, 0)
    theirs = peer(opened, folder + "/file")
    refuses(errno.EAGAIN, peer, Posix.lock, theirs, True, False, 2**63 - 2, 1)
    peer(Posix.lock, theirs, True, False, 0, 2**62)


@case
def a_thousand_records(folder):
    fd, peer = opened(folder + "/file"), Peer()
    for number in range(1000):
        Posix.lock(fd, number % 2 == 0, False, number * 4, 2)
    theirs = peer(opened, folder + "/file")
    for number in range(0, 1000, 41):
        refuses(errno.EAGAIN, peer, Posix.lock, theirs, True, False, number * 4 + 1, 1)
        peer(Posix.lock, theirs, True, False, number * 4 + 2, 2)


if __name__ == "__main__":
    main()
