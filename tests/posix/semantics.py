"""What programs rely on beyond the POSIX suite: flags, holes, mappings, attributes, times, names, streams, replaced files.

Each case says one thing that ext4 does and a mounted drive must do too. Needs root, a mount with `allow_other,suid,dev`,
and the tools of the Debian packages acl and attr.
"""

import ctypes
import errno
import mmap
import os
import random
import resource
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time

from suite import Peer, Skip, as_user, case, get, main, put, refuses, together

LIBC = ctypes.CDLL(None, use_errno=True)
NOBODY = 65534
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO_RANGE, INSERT = 1, 2, 8, 16, 32


def call(name, *args):
    """A function of libc; raises its errno."""
    answer = getattr(LIBC, name)(*args)
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


def renameat2(old, new, flags):
    return call("renameat2", -100, os.fsencode(old), -100, os.fsencode(new), flags)


def fallocate(fd, mode, offset, length):
    return call("fallocate", fd, mode, ctypes.c_long(offset), ctypes.c_long(length))


def noise(seed, length):
    return random.Random(seed).randbytes(length)


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def create(path):
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


# Names


@case
def rename_noreplace(folder):
    a, b = folder + "/a", folder + "/b"
    put(a, b"a")
    put(b, b"b")
    refuses(errno.EEXIST, renameat2, a, b, NOREPLACE)
    assert (get(a), get(b)) == (b"a", b"b")
    renameat2(a, folder + "/c", NOREPLACE)
    assert sorted(os.listdir(folder)) == ["b", "c"]


@case
def rename_exchange(folder):
    a, b = folder + "/a", folder + "/b"
    put(a, b"a")
    os.makedirs(b + "/below")
    links = os.stat(folder).st_nlink
    renameat2(a, b, EXCHANGE)
    assert get(b) == b"a" and os.listdir(a) == ["below"] and os.stat(folder).st_nlink == links
    refuses(errno.ENOENT, renameat2, a, folder + "/none", EXCHANGE)
    os.mkdir(folder + "/other")
    renameat2(b, a + "/below", EXCHANGE)
    assert get(a + "/below") == b"a" and os.path.isdir(b)
    refuses(errno.EINVAL, renameat2, a, a + "/below", EXCHANGE)


@case
def rename_flags_that_do_not_go_together(folder):
    put(folder + "/a")
    put(folder + "/b")
    refuses(errno.EINVAL, renameat2, folder + "/a", folder + "/b", NOREPLACE | EXCHANGE)
    refuses(errno.EINVAL, renameat2, folder + "/a", folder + "/b", 1 << 10)
    # An overlay's upper layer would need it; nothing else does.
    refuses(errno.EINVAL, renameat2, folder + "/a", folder + "/b", WHITEOUT)


@case
def rename_rules(folder):
    os.makedirs(folder + "/full/below")
    os.mkdir(folder + "/empty")
    put(folder + "/file")
    refuses(errno.EINVAL, os.rename, folder + "/full", folder + "/full/below/x")
    refuses(errno.ENOTEMPTY, os.rename, folder + "/empty", folder + "/full")
    refuses(errno.ENOTDIR, os.rename, folder + "/empty", folder + "/file")
    refuses(errno.EISDIR, os.rename, folder + "/file", folder + "/empty")
    os.rename(folder + "/full", folder + "/empty")
    assert os.listdir(folder + "/empty") == ["below"]
    os.link(folder + "/file", folder + "/link")
    os.rename(folder + "/file", folder + "/link")
    assert os.path.exists(folder + "/file"), "renaming between names of one file does nothing"


def replace_for(number, target, seconds):
    end = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < end:
        put(target + ".new", bytes([48 + rounds % 10]) * 70000)
        os.rename(target + ".new", target)
        rounds += 1
    return rounds


@case
def a_replaced_file_is_never_missing_or_half(folder):
    target = folder + "/file"
    put(target, b"0" * 70000)
    peer = Peer()
    peer.start(replace_for, 0, target, 2)
    reads = 0
    while peer.is_busy(0):
        seen = get(target)
        assert len(seen) == 70000 and len(set(seen)) == 1, f"half a file after {reads} reads"
        reads += 1
    assert peer.result() > 10 and reads > 10


@case
def link_counts(folder):
    os.mkdir(folder + "/a")
    os.mkdir(folder + "/b")
    for name in "xyz":
        os.mkdir(folder + "/a/" + name)
    put(folder + "/a/file")

    def counts():
        return os.stat(folder + "/a").st_nlink, os.stat(folder + "/b").st_nlink
    assert counts() == (5, 2)
    os.rename(folder + "/a/x", folder + "/b/x")
    assert counts() == (4, 3)
    os.rename(folder + "/a/y", folder + "/b/x")
    assert counts() == (3, 3), "a replaced directory counts no more"
    os.rmdir(folder + "/b/x")
    assert counts() == (3, 2)
    renameat2(folder + "/a/z", folder + "/b/z", NOREPLACE)
    put(folder + "/plain")
    renameat2(folder + "/plain", folder + "/b/z", EXCHANGE)
    assert counts() == (2, 2) and os.stat(folder).st_nlink == 5
    for number in range(1000):
        os.link(folder + "/a/file", f"{folder}/b/{number}")
    assert os.stat(folder + "/a/file").st_nlink == 1001


@case
def names_of_every_byte(folder):
    folder = os.fsencode(folder)
    names = [bytes([byte]) for byte in range(1, 256) if byte not in b"./"]
    names += [bytes([byte]) * 255 for byte in range(1, 256) if byte != ord("/")]
    names += ["ü".encode(), "u\u0308".encode(), "日本語".encode(), b"...", b"..x", b"new\nline", b"a b", b"-x", b"a.", b"a "]
    for name in names:
        put(folder + b"/" + name, name)
    assert sorted(os.listdir(folder)) == sorted(names)
    for name in names:
        assert get(folder + b"/" + name) == name
    for length in (256, 300):
        refuses(errno.ENAMETOOLONG, create, folder + b"/" + b"n" * length)
        refuses(errno.ENAMETOOLONG, os.stat, folder + b"/" + b"n" * length)


@case
def symlinks_of_any_length(folder):
    for length in (1, 255, 256, 2048, 4000, 4095):
        target = "t" * length
        os.symlink(target, f"{folder}/{length}")
        assert os.readlink(f"{folder}/{length}") == target and os.lstat(f"{folder}/{length}").st_size == length
    refuses(errno.ENAMETOOLONG, os.symlink, "t" * 4096, folder + "/long")
    os.utime(folder + "/1", (5, 6), follow_symlinks=False)
    assert os.lstat(folder + "/1").st_mtime == 6


@case
def a_deep_tree(folder):
    here = os.open(folder, os.O_RDONLY)
    for depth in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    assert os.listdir(here) == ["bottom"]
    subprocess.run(["rm", "-r", folder + "/d"], check=True)


@case
def handles_outlive_a_move(folder):
    os.makedirs(folder + "/a/b")
    fd = create(folder + "/a/b/file")
    directory = os.open(folder + "/a/b", os.O_RDONLY)
    os.rename(folder + "/a", folder + "/z")
    os.write(fd, b"after")
    os.close(os.open("made", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
    assert get(folder + "/z/b/file") == b"after" and os.path.exists(folder + "/z/b/made")
    refuses(errno.ENOENT, os.stat, folder + "/a")


@case
def missing_names_are_not_remembered_too_long(folder):
    for number in range(50):
        path = f"{folder}/{number}"
        assert not os.path.exists(path)
        put(path)
        assert os.path.exists(path)
        os.unlink(path)
        assert not os.path.exists(path)
        os.mkdir(path)
        assert os.path.isdir(path)


@case
def errnos(folder):
    put(folder + "/file")
    os.makedirs(folder + "/dir/x")
    os.symlink("loop", folder + "/loop")
    for number, path, flags in [
        (errno.ENOENT, "/none", os.O_RDONLY),
        (errno.EEXIST, "/file", os.O_CREAT | os.O_EXCL),
        (errno.EISDIR, "/dir", os.O_WRONLY),
        (errno.ENOTDIR, "/file/x", os.O_RDONLY),
        (errno.ENOTDIR, "/file", os.O_RDONLY | os.O_DIRECTORY),
        (errno.ELOOP, "/loop", os.O_RDONLY),
        (errno.ELOOP, "/loop", os.O_RDONLY | os.O_NOFOLLOW),
    ]:
        refuses(number, os.open, folder + path, flags)
    refuses(errno.ENOTEMPTY, os.rmdir, folder + "/dir")
    refuses(errno.ENOTDIR, os.rmdir, folder + "/file")
    refuses(errno.EISDIR, os.unlink, folder + "/dir")
    refuses(errno.EEXIST, os.mkdir, folder + "/file")
    refuses(errno.EEXIST, os.symlink, "x", folder + "/file")
    refuses(errno.EPERM, os.link, folder + "/dir", folder + "/hard")
    refuses(errno.EINVAL, os.readlink, folder + "/file")
    refuses(errno.EXDEV, os.rename, folder + "/file", "/dev/shm/walrusfs-test")
    refuses(errno.EXDEV, os.link, folder + "/file", "/dev/shm/walrusfs-test")
    refuses(errno.EBADF, os.write, os.open(folder + "/file", os.O_RDONLY), b"x")
    refuses(errno.EINVAL, os.ftruncate, os.open(folder + "/file", os.O_RDONLY), 1)


# Directories


@case
def a_stream_is_stable_while_names_come_and_go(folder):
    for number in range(3000):
        put(f"{folder}/{number:05}")
    seen = []
    for count, entry in enumerate(os.scandir(folder)):
        seen.append(entry.name)
        if count % 10 == 0:
            put(f"{folder}/new{count}")
        if count % 7 == 0 and entry.name.isdigit():
            os.rename(entry.path, f"{folder}/moved{entry.name}")
    old = [name for name in seen if name.isdigit()]
    assert len(old) == len(set(old)), "a name twice"
    assert len(old) == 3000, f"{len(old)} of 3000 names"


@case
def a_stream_can_be_positioned(folder):
    for number in range(500):
        put(f"{folder}/{number:04}")
    LIBC.opendir.restype = LIBC.readdir.restype = ctypes.c_void_p
    LIBC.telldir.restype = ctypes.c_long
    LIBC.readdir.argtypes = LIBC.telldir.argtypes = LIBC.rewinddir.argtypes = [ctypes.c_void_p]
    LIBC.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
    stream = LIBC.opendir(os.fsencode(folder))

    def following():
        entry = LIBC.readdir(stream)
        return ctypes.string_at(entry + 19) if entry else None
    places = []
    while True:
        place = LIBC.telldir(stream)
        name = following()
        if name is None:
            break
        places.append((place, name))
    assert len(places) == 502, len(places)
    for place, name in random.Random(2).sample(places, 80):
        LIBC.seekdir(stream, place)
        assert following() == name, "seekdir leads elsewhere"
    put(folder + "/later")
    LIBC.rewinddir(stream)
    count = 0
    while following():
        count += 1
    assert count == 503, "rewinddir does not see a new name"


@case
def entries_say_type_and_inode(folder):
    put(folder + "/file")
    os.mkdir(folder + "/dir")
    os.symlink("file", folder + "/link")
    os.mkfifo(folder + "/fifo")
    os.mknod(folder + "/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    for entry in os.scandir(folder):
        found = os.lstat(entry.path)
        assert entry.inode() == found.st_ino
        kinds = (entry.is_dir(follow_symlinks=False), entry.is_symlink(), entry.is_file(follow_symlinks=False))
        assert kinds == (stat.S_ISDIR(found.st_mode), stat.S_ISLNK(found.st_mode), stat.S_ISREG(found.st_mode))
    assert os.stat(folder + "/null").st_rdev == os.makedev(1, 3)
    with open(folder + "/null", "wb") as null:
        null.write(b"into the device")


@case
def a_removed_directory(folder):
    os.mkdir(folder + "/gone")
    fd = os.open(folder + "/gone", os.O_RDONLY)
    os.rmdir(folder + "/gone")
    assert os.listdir(fd) == [] and os.fstat(fd).st_nlink == 0
    refuses(errno.ENOENT, lambda: os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    refuses(errno.ENOENT, lambda: os.mkdir("x", dir_fd=fd))
    os.mkdir(folder + "/gone")


def make_rename_remove(number, folder):
    for count in range(200):
        path = f"{folder}/{number}-{count}"
        put(path)
        if count % 2:
            os.rename(path, f"{folder}/moved-{number}-{count}")
        elif count % 3 == 0:
            os.unlink(path)


@case
def many_work_in_one_directory(folder):
    together(make_rename_remove, 6, folder)
    expected = {
        ("moved-%d-%d" if count % 2 else "%d-%d") % (number, count)
        for number in range(6) for count in range(200) if count % 2 or count % 3
    }
    assert set(os.listdir(folder)) == expected


def try_to_make(number, path):
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        return 1
    except FileExistsError:
        return 0


@case
def one_wins_an_exclusive_create(folder):
    for number in range(20):
        assert sum(together(try_to_make, 5, f"{folder}/{number}")) == 1


# Content


def append_lines(number, path):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for count in range(500):
        os.write(fd, b"%d %06d " % (number, count) * 11 + b"\n")


@case
def appends_of_many_do_not_mix(folder):
    together(append_lines, 4, folder + "/log")
    lines = get(folder + "/log").split(b"\n")
    assert lines.pop() == b"" and len(lines) == 2000
    for number in range(4):
        own = [line for line in lines if line.startswith(b"%d " % number)]
        assert own == [b"%d %06d " % (number, count) * 11 for count in range(500)], "lost, mixed or out of order"


@case
def append_ignores_the_position(folder):
    fd = os.open(folder + "/a", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.write(fd, b"abc")
    os.lseek(fd, 0, 0)
    os.write(fd, b"def")
    other = os.open(folder + "/a", os.O_WRONLY)
    os.pwrite(other, b"ghi", 6)
    os.write(fd, b"jkl")
    assert get(folder + "/a") == b"abcdefghijkl"


@case
def o_direct(folder):
    fd = os.open(folder + "/a", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    block = mmap.mmap(-1, 1 << 20)
    block[:] = noise(1, 1 << 20)
    assert os.write(fd, block) == 1 << 20
    assert get(folder + "/a") == block[:], "a buffered read sees it"
    buffered = os.open(folder + "/a", os.O_RDWR)
    os.pwrite(buffered, b"e" * 4096, 8192)
    back = mmap.mmap(-1, 65536)
    assert os.preadv(fd, [back], 0) == 65536
    assert back[8192:12288] == b"e" * 4096, "a direct read sees a buffered write"
    mapped = mmap.mmap(buffered, 65536)
    os.pwrite(fd, block[:4096], 4096)
    assert mapped[4096:8192] == block[:4096], "a mapping sees a direct write"


@case
def parts_of_vectors(folder):
    fd = create(folder + "/a")
    parts = [noise(number, number * 37 + 1) for number in range(200)]
    assert os.writev(fd, parts) == sum(map(len, parts))
    assert get(folder + "/a") == b"".join(parts)
    os.lseek(fd, 0, 0)
    back = [bytearray(len(part)) for part in parts]
    os.readv(fd, back)
    assert back == parts and os.read(fd, 10) == b"" and os.pread(fd, 10, 10**9) == b""


@case
def a_truncate_is_seen_by_all(folder):
    put(folder + "/a", b"z" * 100000)
    one, other = create(folder + "/a"), create(folder + "/a")
    os.pread(other, 100000, 0)
    os.ftruncate(one, 50)
    assert os.fstat(other).st_size == 50 and os.pread(other, 100, 0) == b"z" * 50
    os.ftruncate(one, 100)
    assert os.pread(other, 100, 0) == b"z" * 50 + bytes(50)
    os.close(os.open(folder + "/a", os.O_WRONLY | os.O_TRUNC))
    assert os.fstat(other).st_size == 0 and os.pread(one, 10, 0) == b""


@case
def a_file_without_names_lives(folder):
    one = create(folder + "/a")
    os.write(one, b"1" * 100000)
    other = os.open(folder + "/a", os.O_RDONLY)
    os.unlink(folder + "/a")
    put(folder + "/a", b"new")
    os.pwrite(one, b"2" * 100000, 100000)
    os.fsync(one)
    os.fchmod(one, 0o600)
    assert os.pread(other, 200000, 0) == b"1" * 100000 + b"2" * 100000
    found = os.fstat(other)
    assert (found.st_nlink, found.st_size) == (0, 200000) and get(folder + "/a") == b"new"
    again = os.open(f"/proc/self/fd/{one}", os.O_RDWR)
    os.ftruncate(again, 3)
    assert os.pread(other, 9, 0) == b"111"


@case
def a_tmpfile_gets_a_name(folder):
    try:
        fd = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise Skip("O_TMPFILE: fuser 0.18.0 does not know FUSE_TMPFILE") from None
        raise
    os.write(fd, b"content")
    assert os.listdir(folder) == [] and os.fstat(fd).st_nlink == 0
    os.link(f"/proc/self/fd/{fd}", folder + "/named", follow_symlinks=True)
    assert get(folder + "/named") == b"content"


@case
def the_largest_write_is_limited_by_the_process(folder):
    def write_beyond(path):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
        fd = create(path)
        assert os.write(fd, bytes(20000)) == 10000
        refuses(errno.EFBIG, os.write, fd, b"x")
    child = os.fork()
    if child == 0:
        try:
            write_beyond(folder + "/a")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@case
def mappings_and_calls_see_the_same(folder):
    size = 1 << 20
    fd, other = create(folder + "/a"), create(folder + "/a")
    os.ftruncate(fd, size)
    memory = mmap.mmap(fd, size)
    for number in range(200):
        at = number * 5003 % (size - 8)
        memory[at:at + 4] = struct.pack("<I", number)
        assert os.pread(other, 4, at) == struct.pack("<I", number)
        os.pwrite(other, struct.pack("<I", number + 1), at + 4)
        assert memory[at + 4:at + 8] == struct.pack("<I", number + 1)
    expected = memory[:]
    memory.close()
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    assert get(folder + "/a") == expected


def write_by_mapping(path):
    fd = os.open(path, os.O_RDWR)
    mmap.mmap(fd, 8192)[5000:5005] = b"hello"


@case
def mappings_of_two_processes_are_one(folder):
    fd = create(folder + "/a")
    os.ftruncate(fd, 8192)
    memory = mmap.mmap(fd, 8192)
    Peer()(write_by_mapping, folder + "/a")
    assert memory[5000:5005] == b"hello"


@case
def mappings_end_with_the_file(folder):
    put(folder + "/a", b"x" * 5000)
    fd = os.open(folder + "/a", os.O_RDWR)
    memory = mmap.mmap(fd, 5000, mmap.MAP_PRIVATE)
    memory[0:3] = b"abc"
    assert get(folder + "/a")[:3] == b"xxx", "a private mapping is private"
    os.ftruncate(fd, 10)
    child = os.fork()
    if child == 0:
        memory[4500]
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGBUS
    os.ftruncate(fd, 6000)
    assert get(folder + "/a") == b"x" * 10 + bytes(5990), "cut bytes do not come back"


@case
def programs_run_from_it(folder):
    shutil.copy("/bin/sleep", folder + "/program")
    os.chmod(folder + "/program", 0o755)
    running = subprocess.Popen([folder + "/program", "5"])
    time.sleep(0.2)
    refuses(errno.ETXTBSY, os.open, folder + "/program", os.O_WRONLY)
    running.kill()
    running.wait()


# Holes


@case
def files_of_4_pib(folder):
    fd = create(folder + "/a")
    end = 1 << 52
    os.ftruncate(fd, end)
    marks = [0, (1 << 32) + 7, (1 << 50) + 123, end - 5]
    for at in marks:
        os.pwrite(fd, b"mark!", at)
    for at in marks:
        assert os.pread(fd, 6, at)[:5] == b"mark!" and os.pread(fd, 4, at + 100000) in (bytes(4), b"")
    found = os.fstat(fd)
    assert found.st_size == end and found.st_blocks * 512 < 1 << 20, found
    at, seen = 0, []
    while at < end:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            assert error.errno == errno.ENXIO
            break
        at = os.lseek(fd, start, os.SEEK_HOLE)
        seen.append((start, at))
    assert len(seen) == 4 and all(start <= mark < stop for mark, (start, stop) in zip(marks, seen)), seen
    os.ftruncate(fd, 3)
    assert os.pread(fd, 9, 0) == b"mar"


@case
def offsets_end_where_the_kernel_says(folder):
    """A limit of our own below the kernel's would lose data without a word: write(2) only reaches the page cache."""
    fd = create(folder + "/a")
    last = (1 << 63) - 2
    os.pwrite(fd, b"end", last - 4096)
    os.fsync(fd)
    assert os.fstat(fd).st_size == last - 4093 and os.pread(fd, 9, last - 4096) == b"end"
    refuses(errno.EINVAL, os.pwrite, fd, b"xyz", last)
    os.ftruncate(fd, 0)
    os.close(fd)


@case
def data_and_holes_are_found(folder):
    fd = create(folder + "/a")
    os.pwrite(fd, noise(1, 65536), 1 << 20)
    os.ftruncate(fd, 4 << 20)
    for _ in range(2):
        assert os.lseek(fd, 0, os.SEEK_DATA) == 1 << 20
        assert os.lseek(fd, 1 << 20, os.SEEK_HOLE) == (1 << 20) + 65536
        assert os.lseek(fd, 0, os.SEEK_HOLE) == 0
        refuses(errno.ENXIO, os.lseek, fd, 2 << 20, os.SEEK_DATA)
        refuses(errno.ENXIO, os.lseek, fd, 5 << 20, os.SEEK_HOLE)
        os.fsync(fd)
    assert os.fstat(fd).st_blocks * 512 == 65536


@case
def another_process_sees_data_not_yet_written_back(folder):
    source = folder + "/source"
    fd = create(source)
    expected = bytearray(6 << 20)
    for number in range(5):
        part = noise(number, 100000)
        at = number * (1 << 20) + number * 777
        expected[at:at + len(part)] = part
        os.pwrite(fd, part, at)
        os.ftruncate(fd, 6 << 20)
        assert Peer()(first_data, source, at) == at
        for sparse in ("always", "auto", "never"):
            subprocess.run(["cp", "--sparse=" + sparse, source, folder + "/copy"], check=True)
            assert get(folder + "/copy") == expected, f"cp --sparse={sparse} lost what was just written"
    memory = mmap.mmap(fd, 6 << 20)
    memory[5 << 20:(5 << 20) + 5] = expected[5 << 20:(5 << 20) + 5] = b"store"
    subprocess.run(["cp", "--sparse=always", source, folder + "/copy"], check=True)
    assert get(folder + "/copy") == expected, "a store into a mapping is data too"


def first_data(path, at):
    return os.lseek(os.open(path, os.O_RDONLY), at, os.SEEK_DATA)


@case
def fallocate_keeps_or_grows(folder):
    fd = create(folder + "/a")
    os.write(fd, b"x" * 1000)
    fallocate(fd, KEEP_SIZE, 0, 1 << 20)
    assert os.fstat(fd).st_size == 1000
    os.posix_fallocate(fd, 0, 1 << 20)
    assert os.fstat(fd).st_size == 1 << 20 and os.pread(fd, 1001, 0) == b"x" * 1000 + b"\0"


@case
def fallocate_punches_and_zeroes(folder):
    expected = bytearray(noise(3, 1 << 20))
    put(folder + "/a", bytes(expected))
    fd = create(folder + "/a")
    for mode, at, length in [
        (PUNCH_HOLE | KEEP_SIZE, 5000, 300000),
        (ZERO_RANGE, 400000, 1000),
        (ZERO_RANGE | KEEP_SIZE, (1 << 20) - 10, 100),
        (ZERO_RANGE, (1 << 20) - 5, 5005),
    ]:
        fallocate(fd, mode, at, length)
        grown = max(len(expected), at + length) if not mode & KEEP_SIZE else len(expected)
        expected += bytes(grown - len(expected))
        end = min(at + length, len(expected))
        expected[at:end] = bytes(end - at)
        assert get(folder + "/a") == expected, (mode, at, length)
    assert os.fstat(fd).st_blocks * 512 < (1 << 20) - 150000, "a punched chunk takes no space"
    for mode in (COLLAPSE, INSERT):
        refuses(errno.EOPNOTSUPP, fallocate, fd, mode, 0, 65536)


@case
def any_sequence_of_changes(folder):
    """What fsx does, with zero ranges too, which it does not know."""
    limit = 400000
    dice = random.Random(time.time_ns())
    seed = dice.getrandbits(32)
    dice.seed(seed)
    fd, model = create(folder + "/a"), bytearray()
    for step in range(1500):
        kind = dice.choice(["write", "write", "map", "truncate", "punch", "zero", "keep", "copy", "sync", "drop", "again"])
        at, length = dice.randrange(limit), dice.choice([1, 100, 4096, 65536, dice.randrange(1, 150000)])
        if dice.random() < 0.3:
            at -= at % 65536
        end = at + length
        if kind == "write":
            content = noise(step, length)
            os.pwrite(fd, content, at)
            model += bytes(max(0, end - len(model)))
            model[at:end] = content
        elif kind == "map" and at < len(model):
            with mmap.mmap(fd, len(model)) as memory:
                end = min(end, len(model))
                memory[at:end] = model[at:end] = noise(step, end - at)
        elif kind == "truncate":
            os.ftruncate(fd, at)
            model = model[:at] + bytes(max(0, at - len(model)))
        elif kind in ("punch", "zero", "keep"):
            fallocate(fd, {"punch": PUNCH_HOLE | KEEP_SIZE, "zero": ZERO_RANGE, "keep": ZERO_RANGE | KEEP_SIZE}[kind], at, length)
            if kind == "zero":
                model += bytes(max(0, end - len(model)))
            end = min(end, len(model))
            model[at:end] = bytes(max(0, end - at))
        elif kind == "copy":
            to = dice.randrange(limit)
            to -= (to - at) % 65536 if to >= 65536 and dice.random() < 0.7 else 0
            if abs(to - at) >= length and at < len(model):
                count = os.copy_file_range(fd, fd, length, at, to)
                assert count > 0
                model += bytes(max(0, to + count - len(model)))
                model[to:to + count] = model[at:at + count]
        elif kind == "sync":
            os.fsync(fd)
        elif kind == "drop":
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        else:
            os.close(fd)
            fd = create(folder + "/a")
        at = dice.randrange(limit)
        seen = os.pread(fd, 70000, at)
        assert seen == model[at:at + 70000], f"step {step} ({kind}) of seed {seed}"
    assert get(folder + "/a") == model, f"seed {seed}"


@case
def ranges_are_copied(folder):
    content = noise(4, (5 << 20) + 77)
    put(folder + "/a", content)
    source, target = os.open(folder + "/a", os.O_RDONLY), create(folder + "/b")
    done = 0
    while done < len(content):
        done += os.copy_file_range(source, target, len(content) - done, done, done)
    assert get(folder + "/b") == content
    os.pwrite(target, b"changed", 70000)
    assert get(folder + "/a") == content, "the copy is its own"
    copied = os.copy_file_range(source, target, 300000, 12345, 700001)
    assert copied > 0 and os.pread(target, copied, 700001) == content[12345:12345 + copied]
    refuses(errno.EINVAL, os.copy_file_range, target, target, 1000, 0, 500)
    sent = create(folder + "/sent")
    done = 0
    while done < len(content):
        done += os.sendfile(sent, source, done, len(content) - done)
    assert get(folder + "/sent") == content
    read, write = os.pipe()
    os.lseek(source, 0, 0)
    count = os.splice(source, write, 60000)
    assert os.read(read, count) == content[:count]


# Attributes


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_longlong), ("nanoseconds", ctypes.c_long)]


def set_times(path, seconds, nanoseconds):
    call("utimensat", -100, os.fsencode(path), (Timespec * 2)(*[(seconds, nanoseconds)] * 2), 0)


@case
def times_of_all_ages(folder):
    put(folder + "/a")
    for seconds, nanoseconds in [
        (1234567890, 123456789), (2**31 - 1, 999999999), (2**31, 0), (2**31 + 5, 1), (2**32 + 1, 7), (2**40, 999999999),
        (0, 0), (-1, 5), (-1, 999999999), (-5, 0), (-(2**31) - 1, 1), (-(2**40), 7), (2**62, 3), (-(2**62), 9),
        (-(2**63) + 1, 999999999), (2**63 - 2, 999999999),
    ]:
        set_times(folder + "/a", seconds, nanoseconds)
        found = os.stat(folder + "/a")
        for seen in (found.st_atime_ns, found.st_mtime_ns):
            assert divmod(seen, 10**9) == (seconds, nanoseconds), f"{divmod(seen, 10**9)} for {(seconds, nanoseconds)}"


@case
def no_time_ends_the_mount(folder):
    """The kernel cuts the nanoseconds at the ends of its range; fuser 0.18.0 overflows at the lower one."""
    for path in (folder + "/a", folder + "/b"):
        put(path)
        for seconds in (-(2**63), 2**63 - 1, -(2**63)):
            set_times(path, seconds, 5)
            assert os.stat(path).st_mtime_ns == seconds * 10**9
    fd = os.open(folder + "/a", os.O_RDWR)
    os.write(fd, b"dirty")
    set_times(f"/proc/self/fd/{fd}", -(2**63), 0)
    os.fsync(fd)
    os.close(fd)
    for number in range(20):
        put(f"{folder}/after{number}")
    assert len(os.listdir(folder)) == 22


@case
def times_follow_changes(folder):
    path = folder + "/a"

    def changes(function, *fields, of=path):
        before = os.stat(of)
        time.sleep(0.011)
        function()
        after = os.stat(of)
        for field in ("st_mtime_ns", "st_ctime_ns"):
            assert (getattr(after, field) > getattr(before, field)) == (field in fields), f"{field} of {function}"
    both = ("st_mtime_ns", "st_ctime_ns")
    put(path, b"content")
    changes(lambda: os.chmod(path, 0o600), "st_ctime_ns")
    changes(lambda: os.setxattr(path, "user.a", b"1"), "st_ctime_ns")
    changes(lambda: os.link(path, path + ".link"), "st_ctime_ns")
    changes(lambda: os.rename(path + ".link", path + ".moved"), "st_ctime_ns")
    changes(lambda: os.truncate(path, 3), *both)
    changes(lambda: get(path))
    changes(lambda: put(folder + "/made"), *both, of=folder)
    changes(lambda: os.rename(folder + "/made", folder + "/moved"), *both, of=folder)
    changes(lambda: os.unlink(folder + "/moved"), *both, of=folder)
    changes(lambda: os.chmod(path, 0o644), of=folder)
    fd = os.open(path, os.O_RDWR)
    changes(lambda: os.write(fd, b"x"), *both)
    memory = mmap.mmap(fd, 3)

    def store():
        memory[0:1] = b"y"
        memory.flush()
    changes(store, *both)


@case
def a_time_set_before_close_stays(folder):
    fd = create(folder + "/a")
    os.write(fd, noise(1, 300000))
    os.utime(fd, (1000, 2000))
    os.close(fd)
    for _ in range(3):
        found = os.stat(folder + "/a")
        assert (found.st_atime, found.st_mtime) == (1000, 2000), "cp -p, rsync and tar lose the time"
        time.sleep(0.1)


@case
def extended_attributes(folder):
    path = folder + "/a"
    put(path)
    os.setxattr(path, "user.a", b"1")
    os.setxattr(path, "user.empty", b"")
    os.setxattr(path, "trusted.t", b"2")
    os.setxattr(path, "user.big", b"v" * 65536)
    assert sorted(os.listxattr(path)) == ["trusted.t", "user.a", "user.big", "user.empty"]
    assert os.getxattr(path, "user.big") == b"v" * 65536 and os.getxattr(path, "user.empty") == b""
    refuses(errno.EEXIST, os.setxattr, path, "user.a", b"2", os.XATTR_CREATE)
    refuses(errno.ENODATA, os.setxattr, path, "user.none", b"2", os.XATTR_REPLACE)
    refuses(errno.ENODATA, os.getxattr, path, "user.none")
    refuses(errno.ENODATA, os.removexattr, path, "user.none")
    refuses(errno.E2BIG, os.setxattr, path, "user.a", b"v" * 65537)
    refuses(errno.EOPNOTSUPP, os.setxattr, path, "other.a", b"")
    os.setxattr(path, "user." + "n" * 250, b"1")
    refuses(errno.ERANGE, os.setxattr, path, "user." + "n" * 251, b"1")
    short = ctypes.create_string_buffer(10)
    refuses(errno.ERANGE, lambda: call("getxattr", os.fsencode(path), b"user.big", short, 10))
    refuses(errno.ERANGE, lambda: call("listxattr", os.fsencode(path), short, 10))
    os.chmod(folder, 0o755)
    assert "trusted.t" not in as_user(NOBODY, os.listxattr, path)
    os.symlink("a", folder + "/link")
    refuses(errno.EPERM, lambda: os.setxattr(folder + "/link", "user.a", b"", follow_symlinks=False))
    os.rename(path, folder + "/b")
    os.removexattr(folder + "/b", "user.a")
    assert os.getxattr(folder + "/b", "user.empty") == b""
    os.setxattr(folder, "user.dir", b"d")
    assert os.getxattr(folder, "user.dir") == b"d"


@case
def attributes_can_always_be_listed(folder):
    path = folder + "/a"
    put(path)
    count = 0
    try:
        while count < 1000:
            os.setxattr(path, f"user.{count:0250}", b"")
            count += 1
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    assert count == 256 and len(os.listxattr(path)) == 256


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@case
def acls_rule_access_and_mode(folder):
    path = folder + "/a"
    put(path, b"secret", 0o600)
    refuses(errno.EACCES, as_user, NOBODY, get, path)
    run("setfacl", "-m", f"u:{NOBODY}:r", path)
    assert mode_of(path) == 0o640, oct(mode_of(path))
    assert as_user(NOBODY, get, path) == b"secret"
    refuses(errno.EACCES, as_user, NOBODY, os.open, path, os.O_WRONLY)
    refuses(errno.EACCES, as_user, 12345, get, path)
    os.chmod(path, 0o600)
    refuses(errno.EACCES, as_user, NOBODY, get, path)
    assert f"user:{NOBODY}:r--" in run("getfacl", "-pcn", path), "the mask hides the entry, it does not remove it"
    os.chmod(path, 0o640)
    run("setfacl", "-b", path)
    assert "system.posix_acl_access" not in os.listxattr(path)
    refuses(errno.EACCES, as_user, NOBODY, get, path)
    value = struct.pack("<I", 2) + struct.pack("<HHI", 1, 6, 2**32 - 1)
    refuses(errno.EINVAL, os.setxattr, path, "system.posix_acl_access", value)


@case
def acls_are_inherited_instead_of_the_umask(folder):
    run("setfacl", "-d", "-m", f"u:{NOBODY}:rwx,g:4711:r-x,m::rwx", folder)
    old = os.umask(0o077)
    put_without_chmod = os.open(folder + "/file", os.O_CREAT | os.O_WRONLY, 0o666)
    os.mkdir(folder + "/dir", 0o777)
    os.mkdir(folder + "/dir/below", 0o777)
    os.umask(old)
    os.close(put_without_chmod)
    acl = run("getfacl", "-pcn", folder + "/file").split()
    assert f"user:{NOBODY}:rwx" in acl and "group:4711:r-x" in acl and "mask::rw-" in acl and "other::r--" in acl, acl
    acl = run("getfacl", "-pcn", folder + "/dir/below").split()
    assert f"default:user:{NOBODY}:rwx" in acl and f"user:{NOBODY}:rwx" in acl, acl
    refuses(errno.EACCES, os.setxattr, folder + "/file", "system.posix_acl_default",
            os.getxattr(folder, "system.posix_acl_default"))
    os.chmod(folder, 0o755)
    as_user(NOBODY, create, folder + "/dir/theirs")
    assert os.stat(folder + "/dir/theirs").st_uid == NOBODY


@case
def set_id_bits_go_with_a_change(folder):
    os.chmod(folder, 0o777)

    def cleared(change, *args, mode=0o6777, left=0o777):
        put(folder + "/a", b"content", 0o777)
        os.chmod(folder + "/a", mode)
        as_user(NOBODY, change, *args)
        assert mode_of(folder + "/a") == left, f"{mode_of(folder + '/a'):o} after {change.__name__}"
    cleared(write_some, folder + "/a")
    cleared(os.truncate, folder + "/a", 3)
    cleared(write_by_long_mapping, folder + "/a", left=0o6777)
    cleared(write_some, folder + "/a", mode=0o2767, left=0o2767)
    put(folder + "/a", b"content", 0o777)
    os.chmod(folder + "/a", 0o6777)
    write_some(folder + "/a")
    assert mode_of(folder + "/a") == 0o6777, "root keeps them"
    os.chown(folder + "/a", NOBODY, NOBODY)
    assert mode_of(folder + "/a") == 0o777, "chown does not"


def write_some(path):
    os.write(os.open(path, os.O_WRONLY), b"x")


def write_by_long_mapping(path):
    """A store into a mapping asks nobody: the bits stay, as on every filesystem."""
    fd = os.open(path, os.O_RDWR)
    mmap.mmap(fd, 7)[0:1] = b"x"


@case
def set_user_id_works(folder):
    os.chmod(folder, 0o755)
    shutil.copy("/usr/bin/id", folder + "/id")
    os.chmod(folder + "/id", 0o4755)
    if os.statvfs(folder).f_flag & os.ST_NOSUID:
        raise Skip("the mount is nosuid")
    assert as_user(NOBODY, run, folder + "/id", "-u") == "0\n"


@case
def a_set_group_id_directory_gives_its_group(folder):
    os.mkdir(folder + "/dir")
    os.chown(folder + "/dir", -1, 12345)
    os.chmod(folder + "/dir", 0o2775)
    put(folder + "/dir/file")
    os.makedirs(folder + "/dir/a/b")
    os.symlink("x", folder + "/dir/link")
    for name in ("file", "a", "a/b", "link"):
        assert os.lstat(f"{folder}/dir/{name}").st_gid == 12345, name
    assert mode_of(folder + "/dir/a/b") & 0o2000 and not mode_of(folder + "/dir/file") & 0o2000


@case
def a_sticky_directory_protects(folder):
    os.mkdir(folder + "/tmp")
    os.chmod(folder, 0o755)
    os.chmod(folder + "/tmp", 0o1777)
    as_user(NOBODY, put, folder + "/tmp/theirs")
    refuses(errno.EPERM, as_user, 12345, os.unlink, folder + "/tmp/theirs")
    refuses(errno.EPERM, as_user, 12345, os.rename, folder + "/tmp/theirs", folder + "/tmp/mine")
    as_user(NOBODY, os.unlink, folder + "/tmp/theirs")


@case
def umask_and_modes(folder):
    old = os.umask(0o027)
    os.close(os.open(folder + "/file", os.O_CREAT | os.O_WRONLY, 0o777))
    os.mkdir(folder + "/dir", 0o777)
    os.umask(old)
    assert (mode_of(folder + "/file"), mode_of(folder + "/dir")) == (0o750, 0o750)
    fd = os.open(folder + "/none", os.O_CREAT | os.O_RDWR, 0)
    os.write(fd, b"x")
    assert mode_of(folder + "/none") == 0 and os.pread(fd, 1, 0) == b"x"


@case
def birth_times(folder):
    put(folder + "/a")
    buffer = ctypes.create_string_buffer(256)
    call("statx", -100, os.fsencode(folder + "/a"), 0, 0xfff, buffer)
    if not struct.unpack_from("I", buffer)[0] & 0x800:
        raise Skip("birth time: FUSE has it only in FUSE_STATX, which fuser 0.18.0 does not know")


@case
def special_files(folder):
    os.mkfifo(folder + "/fifo")
    child = os.fork()
    if child == 0:
        put(folder + "/fifo", b"through")
        os._exit(0)
    assert get(folder + "/fifo") == b"through"
    os.waitpid(child, 0)
    os.chdir(folder)
    server, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    server.bind("socket")
    server.listen(1)
    client.connect("socket")
    assert stat.S_ISSOCK(os.stat("socket").st_mode)


@case
def space_is_told(folder):
    found = os.statvfs(folder)
    assert found.f_bsize and found.f_frsize and found.f_namemax == 255
    assert 0 < found.f_bavail <= found.f_bfree <= found.f_blocks and 0 < found.f_ffree <= found.f_files


@case
def changes_are_notified(folder):
    fd = LIBC.inotify_init1(os.O_NONBLOCK)
    LIBC.inotify_add_watch(fd, os.fsencode(folder), 0xfff)
    put(folder + "/a", b"x")
    os.rename(folder + "/a", folder + "/b")
    os.unlink(folder + "/b")
    assert select.select([fd], [], [], 2)[0]
    raw, at, seen = os.read(fd, 65536), 0, 0
    while at < len(raw):
        _, mask, _, length = struct.unpack_from("iIII", raw, at)
        seen |= mask
        at += 16 + length
    created, moved_from, moved_to, deleted, closed = 0x100, 0x40, 0x80, 0x200, 0x8
    assert seen & 0x3c8 == created | moved_from | moved_to | deleted | closed, hex(seen)


@case
def directories_and_filesystems_sync(folder):
    put(folder + "/a", b"x")
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    call("syncfs", fd)
    os.fdatasync(os.open(folder + "/a", os.O_RDONLY))


if __name__ == "__main__":
    main()
