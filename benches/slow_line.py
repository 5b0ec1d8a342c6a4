#!/usr/bin/env python3
"""Writes and reads over a slow line: how near to what the line carries, and whether anything fails.

    benches/slow_line.py [--walrusfs PROGRAM] [--rates MBIT,...] [--size MIB] [--options MOUNT_OPTIONS] [--shards N]
                         [--directory DIR]

For each rate, makes a drive on a local network of its own, in a network namespace whose loopback device carries that many megabits
a second, whatever goes in both directions together. A file is written, certified (four and a half times its bytes), and read by
a mount without any state on this machine. A row says how many times as long it took as the bytes alone take on that line: 1 is
the best there can be, and what the blobs' metadata, hashes and signatures take is in it.

Needs root, python3 and iproute2 (tc, with tbf in the kernel). Ends the processes that it started, and removes what it made.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile

import compare
from compare import run, seconds, tabulate
from streaming import MIB, Walrusfs

INSIDE = "--inside-a-namespace"
# Slivers of both axes of a blob, in its lengths, as the network has few shards or many.
ENCODED = 4.5

# name: (unit, what)
FIGURES = {
    "write": ("s", "write, into the journal or as it empties"),
    "settle": ("s", "until all of it is certified"),
    "stored": ("x", "both, in times of what the line takes"),
    "read": ("s", "read, from nothing"),
    "fetched": ("x", "the same, in times of what the line takes"),
}


def write(path, content):
    with open(path, "wb") as file:
        for at in range(0, len(content), MIB):
            file.write(content[at : at + MIB])
        file.flush()
        os.fsync(file.fileno())


def read(path, content):
    with open(path, "rb") as file:
        if file.read() != content:
            sys.exit("what was read is not what was written")


def measure(rate, options, tell):
    directory = tempfile.mkdtemp(prefix="walrusfs-slow-", dir=options.directory)
    subject = None
    line = rate * 1e6 / 8
    # Frames of a real line; the device's own of 64 KiB would be larger than the bucket.
    run("ip", "link", "set", "lo", "mtu", "1500")
    try:
        subject = Walrusfs(directory, options)
        run("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", f"{rate}mbit", "burst", "64k", "latency", "100ms")
        content = os.urandom(options.size * MIB)
        path = os.path.join(subject.path, "file")
        wrote = seconds(write, path, content)
        tell("write", wrote)
        settled = seconds(subject.settle)
        tell("settle", settled)
        tell("stored", (wrote + settled) / (len(content) * ENCODED / line))
        subject.unmount()
        subject.forget()
        subject.mount()
        took = seconds(read, path, content)
        tell("read", took)
        tell("fetched", took / (len(content) / line))
    finally:
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=False, stderr=subprocess.DEVNULL)
        if subject:
            subject.end()
        shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    program = os.path.join(os.path.dirname(compare.HERE), "target", "release", "walrusfs")
    parser.add_argument("--walrusfs", default=program, metavar="PROGRAM")
    parser.add_argument("--rates", default="100,20", metavar="MBIT,...")
    parser.add_argument("--size", type=int, default=32, metavar="MIB")
    parser.add_argument("--options", default="", help="mount options of the drive", metavar="OPTIONS")
    parser.add_argument("--shards", type=int, default=1000, metavar="N", help="of the local network")
    parser.add_argument("--directory", default=None, metavar="DIR")
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside_a_namespace:
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv, INSIDE])
    run("ip", "link", "set", "lo", "up")
    # Whatever ends it, nothing stays mounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    rates = [(int(rate), f"{rate} Mbit/s") for rate in options.rates.split(",")]
    corner = f"{options.size} MiB, {options.shards} shards"
    tabulate(FIGURES, rates, lambda rate, tell: measure(rate, options, tell), corner)


if __name__ == "__main__":
    main()
