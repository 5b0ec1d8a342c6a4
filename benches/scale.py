#!/usr/bin/env python3
"""What the number of files costs: mounting, memory, one directory, all names.

    benches/scale.py [--walrusfs PROGRAM] [--files N,...] [--options MOUNT_OPTIONS] [--shards N] [--directory DIR]

For each N, makes a drive on a local network of its own with N files of 100 bytes, 1,000 in a directory, and prints a row. *From
nothing* is a mount without any state on this machine; *warm* is another mount, whose cache holds the slivers that the first one
fetched. Programs read through the mount, so what the kernel asks for is in the figures.

Needs root and python3; program: target/release/walrusfs, built by `cargo build --release`. A million files take about a quarter of
an hour to make. Ends the processes that it started, and removes what it made.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import compare
from compare import drop_caches, keep_on, seconds, tabulate
from streaming import Walrusfs, resident

EACH = 1000

# name: (unit, what)
FIGURES = {
    "create": ("1/s", "made a second, pinned"),
    "settle": ("s", "stored after the last one"),
    "mount": ("s", "mount from nothing"),
    "idle": ("MiB", "resident memory then"),
    "own": ("MiB", "of that, not pages of the program's file"),
    "fetched_mount": ("slivers", "fetched by mounting"),
    "ls": ("ms", "ls -l of one directory, from nothing"),
    "fetched_ls": ("slivers", "fetched for it"),
    "find_cold": ("s", "find of everything, from nothing"),
    "mount_warm": ("s", "mount, warm"),
    "find": ("s", "find of everything, warm"),
    "busy": ("x", "processors busy meanwhile, of 2"),
    "find_mount": ("s", "processor time of the mount process for it"),
    "ls_find": ("s", "find -ls of everything, warm"),
    "load": ("MiB", "most resident memory meanwhile"),
}


def make(folder, count):
    content = os.urandom(100)
    for number in range(count):
        if number % EACH == 0:
            current = os.path.join(folder, f"d{number // EACH:05}")
            os.mkdir(current)
        fd = os.open(f"{current}/f{number:08}", os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644)
        os.write(fd, content)
        os.close(fd)


def processor_time(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_time():
    """Seconds that the processors were not idle."""
    with open("/proc/stat") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def slivers(subject):
    reads = subject.status()["reads"]
    return reads["fetched"] + reads["fetched_ahead"]


def quietly(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measure(count, options, tell):
    directory = tempfile.mkdtemp(prefix="walrusfs-scale-", dir=options.directory)
    subject = None
    try:
        subject = Walrusfs(directory, options)
        # On one processor: a wake-up of another one for each request would take most of the time.
        everywhere = os.sched_getaffinity(0)
        one = {min(everywhere)}
        keep_on(subject.pid, one)
        os.sched_setaffinity(0, one)
        tell("create", count / seconds(make, subject.path, count))
        os.sched_setaffinity(0, everywhere)
        keep_on(subject.pid, everywhere)
        tell("settle", seconds(subject.settle))
        top = os.path.join(subject.path, f"d{count // EACH // 2:05}")

        def fresh(forget):
            subject.unmount()
            if forget:
                subject.forget()
            drop_caches()
            return seconds(subject.mount)

        tell("mount", fresh(True))
        tell("idle", resident(subject.pid, "VmRSS"))
        tell("own", resident(subject.pid, "RssAnon"))
        before = slivers(subject)
        tell("fetched_mount", before)
        tell("ls", 1000 * seconds(quietly, "ls", "-l", top))
        tell("fetched_ls", slivers(subject) - before)
        tell("find_cold", seconds(quietly, "find", subject.path))
        # What came is on its way to the cache's disk.
        time.sleep(2)
        tell("mount_warm", fresh(False))
        pid = subject.pid
        everything, mount = busy_time(), processor_time(pid)
        took = seconds(quietly, "find", subject.path)
        tell("find", took)
        tell("busy", (busy_time() - everything) / took)
        tell("find_mount", processor_time(pid) - mount)
        tell("ls_find", seconds(quietly, "find", subject.path, "-ls"))
        tell("load", resident(pid, "VmHWM"))
    finally:
        if subject:
            subject.end()
        shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    program = os.path.join(os.path.dirname(compare.HERE), "target", "release", "walrusfs")
    parser.add_argument("--walrusfs", default=program, metavar="PROGRAM")
    parser.add_argument("--files", default="10000,1000000", metavar="N,...")
    parser.add_argument("--options", default="", help="mount options of the drive", metavar="OPTIONS")
    parser.add_argument("--shards", type=int, default=100, metavar="N", help="of the local network")
    parser.add_argument("--directory", default=None, metavar="DIR")
    options = parser.parse_args()
    # Whatever ends it, nothing stays mounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    counts = [(int(count), f"{int(count):,} files") for count in options.files.split(",")]
    tabulate(FIGURES, counts, lambda count, tell: measure(count, options, tell))


if __name__ == "__main__":
    main()
