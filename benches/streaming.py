#!/usr/bin/env python3
"""Reads a library through mounts whose caches are empty, on disk, or in memory; walrusfs beside what else is installed.

    benches/streaming.py [--walrusfs PROGRAM] [--runs N] [--size MIB] [--shards N] [--subjects NAME,...]
                         [--directory DIR] [--json FILE] [--svg FILE]

Mounts a drive on a local network of its own (program: target/release/walrusfs, built by `cargo build --release`), and, where
installed, gocryptfs and rclone (a crypt remote over a local folder, with its cache on disk), with everything that they store below
DIR. The same library is copied into each, then read:

  cold   mounted anew, and what the filesystem keeps on this machine was removed: everything comes from the storage (the storage
         nodes; the folder of ciphertext)
  disk   mounted anew, the filesystem's own cache is complete
  warm   read just before

gocryptfs keeps nothing of its own, so its cold and disk are one. What lies below the filesystems (ciphertext, the disks of the
storage nodes, caches on disk) may be in the kernel's memory, so that the filesystems are compared and not the disk; with
--drop-caches it is not. Every figure is the best of N. A nginx and ffprobe, where
installed, serve and look into media files from each mount. The storage nodes of the drive run on the same processors, with the
lowest priority: what they compute is in the drive's figures only.

Needs root. Takes about ten minutes. Ends what it started and removes what it made.
"""

import argparse
import concurrent.futures
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import compare
from compare import drop_caches, run, seconds, shown, wait_for

MIB = 1 << 20
SMALL, PICTURES, STREAMS = 1500, 1000, 4

# name: (unit, what, aim or None); an aim is a figure.
FIGURES = {
    "write": ("MiB/s", "copy in a large file, until it is stored", None),
    "mount_cold": ("s", "mount from nothing", 0.3),
    "mount_warm": ("s", "mount with a warm cache", 0.06),
    "sequential_cold": ("MiB/s", "sequential read, cold", 500),
    "sequential_disk": ("MiB/s", "sequential read, disk", 1400),
    "sequential_warm": ("MiB/s", "sequential read, warm", None),
    "random_4k_cold": ("1/s", "random reads of 4 KiB, cold", 1500),
    "random_128k_cold": ("1/s", "random reads of 128 KiB, cold", None),
    "random_4k_disk": ("1/s", "random reads of 4 KiB, disk", None),
    "seek_cold": ("ms", "first 4 KiB after a seek, cold (median)", 20),
    "find_cold": ("s", "find -ls of 1,500 files, cold", None),
    "tar_cold": ("s", "tar of 1,500 files, cold", 0.6),
    "pictures_cold": ("s", "first 64 KiB of 1,000 pictures, cold", None),
    "serve_cold": ("MiB/s", "nginx to 4 clients, ranges of 1 MiB, cold", None),
    "serve_first": ("ms", "first byte of these ranges, cold (median)", None),
    "probe_cold": ("s", "ffprobe of 8 films, cold", None),
    "resident_idle": ("MiB", "resident memory of the daemon, idle", 20),
    "resident_own": ("MiB", "of that, not pages of the program's file", None),
    "resident_load": ("MiB", "and the most under load", None),
    "fetched": ("x", "bytes fetched for each byte read in order", None),
    "fetched_seek": ("x", "and after seeks (5 MiB each)", None),
}
LOW_IS_GOOD = ("s", "ms", "MiB", "x")


def remove_within(folder):
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


# ------------------------------------------------------------------------------------------------------------ the subjects


class Walrusfs(compare.Walrusfs):
    """A drive on a local network of as many shards as wanted."""

    def __init__(self, directory, options):
        super().__init__(directory, options, "--shards", str(options.shards))

    def forget(self):
        remove_within(os.path.join(self.home, "cache"))

    def fetched(self):
        return self.status()["reads"]["fetched_bytes"]


class Gocryptfs(compare.Gocryptfs):
    """gocryptfs, which keeps nothing of its own."""

    fetched = None

    def forget(self):
        pass


class Rclone:
    """rclone mount of a crypt remote over a local folder, with its cache on disk."""

    name = "rclone"
    fetched = None

    def __init__(self, directory, _options):
        self.path, self.cache = os.path.join(directory, "rclone"), os.path.join(directory, "rclone-cache")
        store = os.path.join(directory, "rclone-store")
        for folder in (self.path, self.cache, store):
            os.mkdir(folder)
        secret = run("rclone", "obscure", "password").strip()
        self.environment = {
            **os.environ,
            "RCLONE_CONFIG": os.path.join(directory, "rclone.conf"),
            "RCLONE_CONFIG_SECRET_TYPE": "crypt",
            "RCLONE_CONFIG_SECRET_REMOTE": store,
            "RCLONE_CONFIG_SECRET_PASSWORD": secret,
            "RCLONE_CACHE_DIR": self.cache,
        }
        self.mount()

    def mount(self):
        options = ["--vfs-cache-mode", "full", "--vfs-write-back", "1s", "--dir-cache-time", "1h"]
        self.daemon = subprocess.Popen(["rclone", "mount", "secret:", self.path, *options], env=self.environment)
        wait_for(lambda: os.path.ismount(self.path), "rclone is mounted")

    def unmount(self):
        run("umount", self.path)
        self.daemon.wait(60)

    def forget(self):
        remove_within(self.cache)

    def settle(self):
        os.sync()
        # Written files wait a second for more before they are stored.
        time.sleep(3)

    @property
    def pid(self):
        return self.daemon.pid

    def end(self):
        if os.path.ismount(self.path):
            self.unmount()


SUBJECTS = {subject.name: subject for subject in (Walrusfs, Gocryptfs, Rclone)}


# ----------------------------------------------------------------------------------------------------------- the workloads


def make_library(directory, size):
    """A large file, 1,500 small ones, 1,000 pictures of 100 to 400 KiB, and eight films (real ones where ffmpeg is installed)."""
    library = os.path.join(directory, "library")
    draw = random.Random(3)
    for folder in ("tree", "pictures", "films"):
        os.makedirs(os.path.join(library, folder))
    with open(os.path.join(library, "big"), "wb") as file:
        for _ in range(size // 4):
            file.write(draw.randbytes(4 * MIB))
    for number in range(SMALL):
        folder = os.path.join(library, "tree", f"d{number % 40}")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"f{number}"), "wb") as file:
            file.write(draw.randbytes(int(draw.expovariate(1 / 15000)) + 1))
    for number in range(PICTURES):
        with open(os.path.join(library, "pictures", f"p{number:04}.jpg"), "wb") as file:
            file.write(draw.randbytes(draw.randrange(100 << 10, 400 << 10)))
    for number in range(8):
        film = os.path.join(library, "films", f"film{number}.mp4")
        if shutil.which("ffmpeg"):
            noise = ["-f", "lavfi", "-i", f"testsrc2=size=640x360:rate=25:duration={8 + number}"]
            run("ffmpeg", "-v", "error", *noise, "-c:v", "mpeg4", "-q:v", "2", film, stdin=subprocess.DEVNULL)
        else:
            with open(film, "wb") as file:
                file.write(draw.randbytes(8 * MIB))
    return library


def read_all(path):
    file = os.open(path, os.O_RDONLY)
    buffer, at = bytearray(MIB), 0
    while got := os.preadv(file, [buffer], at):
        at += got
    os.close(file)
    return at


def random_reads(path, length, duration=3.0):
    """Reads per second."""
    size, draw, count = os.path.getsize(path), random.Random(length), 0
    file = os.open(path, os.O_RDONLY)
    start = time.perf_counter()
    while (took := time.perf_counter() - start) < duration:
        os.pread(file, length, draw.randrange(size // length) * length)
        count += 1
    os.close(file)
    return count / took


def seeks(path, times=15):
    """Milliseconds until the first 4 KiB, each after a jump, with 4 MiB read in order behind it."""
    size, draw, waited = os.path.getsize(path), random.Random(7), []
    file = os.open(path, os.O_RDONLY)
    for _ in range(times):
        at = draw.randrange(size // MIB - 8) * MIB
        waited.append(seconds(os.pread, file, 4096, at) * 1000)
        for more in range(1, 5):
            os.pread(file, MIB, at + more * MIB)
    os.close(file)
    return statistics.median(waited)


def pictures(folder):
    for name in sorted(os.listdir(folder)):
        file = os.open(os.path.join(folder, name), os.O_RDONLY)
        os.pread(file, 64 << 10, 0)
        os.close(file)


def serve(root, directory):
    """A nginx over `root` that four clients ask for ranges of 1 MiB of the large file; rate, and median time of the first byte."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tempfile.mkdtemp(prefix="nginx-", dir=directory)
    configuration = os.path.join(home, "nginx.conf")
    with open(configuration, "w") as file:
        file.write(
            f"user root; daemon off; pid {home}/pid; error_log {home}/log; events {{}}\n"
            f"http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
        )
    server = subprocess.Popen(["nginx", "-c", configuration, "-p", home])
    address = f"http://127.0.0.1:{port}/big"
    size = os.path.getsize(os.path.join(root, "big"))
    first = []

    def client(number):
        draw, got = random.Random(number), 0
        for _ in range(8):
            at = draw.randrange(size // MIB - 4) * MIB
            for part in range(4):
                ask = urllib.request.Request(address)
                ask.add_header("Range", f"bytes={at + part * MIB}-{at + (part + 1) * MIB - 1}")
                start = time.perf_counter()
                with urllib.request.urlopen(ask, timeout=60) as answer:
                    got += len(answer.read(1))
                    first.append((time.perf_counter() - start) * 1000)
                    got += len(answer.read())
        return got

    def listening():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(listening, "nginx listens")
        start = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(STREAMS) as clients:
            got = sum(clients.map(client, range(STREAMS)))
        return got / MIB / (time.perf_counter() - start), statistics.median(first)
    finally:
        server.terminate()
        server.wait(20)


def resident(pid, field):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))


def copy_in(subject, library):
    """Copies the library in; the rate of the large file until it is stored."""
    size = os.path.getsize(os.path.join(library, "big"))

    def big():
        shutil.copyfile(os.path.join(library, "big"), os.path.join(subject.path, "big"))
        subject.settle()

    took = seconds(big)
    for folder in ("tree", "pictures", "films"):
        run("cp", "-r", os.path.join(library, folder), subject.path)
    subject.settle()
    return size / MIB / took


def measure(subject, library, directory, drop, tell):
    """One pass over everything on one subject that holds the library."""
    big = os.path.join(subject.path, "big")
    size = os.path.getsize(os.path.join(library, "big"))

    def fresh(forget=True):
        """Mounts it anew; seconds that took."""
        if os.path.ismount(subject.path):
            subject.unmount()
        if forget:
            subject.forget()
        if drop:
            drop_caches()
        return seconds(subject.mount)

    tell("mount_cold", fresh())
    tell("resident_idle", resident(subject.pid, "VmRSS"))
    tell("resident_own", resident(subject.pid, "RssAnon"))
    tell("sequential_cold", size / MIB / seconds(read_all, big))
    if subject.fetched:
        tell("fetched", subject.fetched() / size)
    # What came is on its way to the cache's disk.
    time.sleep(2)
    tell("mount_warm", fresh(forget=False))
    tell("sequential_disk", size / MIB / seconds(read_all, big))
    tell("sequential_warm", size / MIB / seconds(read_all, big))
    fresh(forget=False)
    tell("random_4k_disk", random_reads(big, 4096))
    fresh()
    tell("random_4k_cold", random_reads(big, 4096))
    fresh()
    tell("random_128k_cold", random_reads(big, 128 << 10))
    fresh()
    tell("seek_cold", seeks(big))
    if subject.fetched:
        tell("fetched_seek", subject.fetched() / (15 * 5 * MIB))
    fresh()
    tell("find_cold", seconds(run, "find", os.path.join(subject.path, "tree"), "-ls"))
    # tar reads nothing when it sees that its output is /dev/null.
    fresh()
    tell("tar_cold", seconds(run, "sh", "-c", f"tar -cf - -C '{subject.path}' tree | cat > /dev/null"))
    fresh()
    tell("pictures_cold", seconds(pictures, os.path.join(subject.path, "pictures")))
    if shutil.which("nginx"):
        fresh()
        rate, first = serve(subject.path, directory)
        tell("serve_cold", rate)
        tell("serve_first", first)
    if shutil.which("ffprobe"):
        fresh()
        films = os.path.join(subject.path, "films")
        probe = ["ffprobe", "-v", "error", "-show_format", "-show_streams"]
        tell("probe_cold", seconds(lambda: [run(*probe, os.path.join(films, name)) for name in sorted(os.listdir(films))]))
    fresh()
    read_all(big)
    pictures(os.path.join(subject.path, "pictures"))
    tell("resident_load", resident(subject.pid, "VmHWM"))


# --------------------------------------------------------------------------------------------------------- table and plot


def best_of(results):
    low = lambda name: FIGURES[name][0] in LOW_IS_GOOD
    return {key: (min if low(key[1]) and key[1] != "resident_load" else max)(values) for key, values in results.items()}


def ratio(figure, ours, theirs):
    """Above 1 in favour of walrusfs."""
    if not ours or not theirs:
        return None
    return theirs / ours if FIGURES[figure][0] in LOW_IS_GOOD else ours / theirs


def table(best, names):
    others = [name for name in names if name != "walrusfs"]
    print(f"| | unit | {' | '.join(names)} | {' | '.join(f'against {name}' for name in others)} | aim | |")
    print("|---|---|" + "---|" * (len(names) + len(others) + 2))
    for figure, (unit, what, aim) in FIGURES.items():
        values = {name: best.get((name, figure)) for name in names}
        if all(value is None for value in values.values()):
            continue
        ours = values.get("walrusfs")
        columns = [shown(values[name]) for name in names]
        ratios = (ratio(figure, ours, values[name]) for name in others)
        columns += ["-" if value is None else f"{value:.2f}" for value in ratios]
        wanted, holds = "", ""
        if aim and ours:
            low = unit in LOW_IS_GOOD
            wanted = f"{'at most' if low else 'at least'} {aim:,}"
            holds = "holds" if (ours <= aim if low else ours >= aim) else "**missed**"
        print(f"| {what} | {unit} | {' | '.join(columns)} | {wanted} | {holds} |")


def plot(best, names, path):
    """Ratios to walrusfs as bars on a logarithmic scale: to the right of the line walrusfs is ahead."""
    import math

    others = [name for name in names if name != "walrusfs"]
    rows = [figure for figure in FIGURES if any(ratio(figure, best.get(("walrusfs", figure)), best.get((n, figure))) for n in others)]
    colours = ["#3b6ea5", "#b5651d", "#5a8f5a"]
    bar, gap, left, width, reach = 9, 8, 330, 820, 2.0
    step = bar * len(others) + gap
    height = 54 + step * len(rows)
    middle, scale = left + (width - left - 60) / 2, (width - left - 60) / 2 / reach
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for nth, name in enumerate(others):
        out.append(f'<rect x="{left + nth * 150}" y="8" width="12" height="12" fill="{colours[nth]}"/>')
        out.append(f'<text x="{left + 18 + nth * 150}" y="18">times {name}</text>')
    for power in range(-2, 3):
        x = middle + power * scale
        stroke = "#333" if power == 0 else "#ddd"
        out.append(f'<line x1="{x:.0f}" y1="44" x2="{x:.0f}" y2="{height - 4}" stroke="{stroke}"/>')
        out.append(f'<text x="{x:.0f}" y="38" text-anchor="middle" fill="#555">{10.0**power:g}</text>')
    for row, figure in enumerate(rows):
        top = 48 + row * step
        out.append(f'<text x="{left - 10}" y="{top + step / 2 + 1:.0f}" text-anchor="end">{FIGURES[figure][1]}</text>')
        for nth, name in enumerate(others):
            value = ratio(figure, best.get(("walrusfs", figure)), best.get((name, figure)))
            if not value:
                continue
            length = max(-reach, min(reach, math.log10(value))) * scale
            start, y = min(middle, middle + length), top + nth * bar
            out.append(f'<rect x="{start:.1f}" y="{y}" width="{abs(length):.1f}" height="{bar - 1}" fill="{colours[nth]}"/>')
            anchor, at = ("start", middle + length + 3) if length >= 0 else ("end", middle + length - 3)
            out.append(f'<text x="{at:.1f}" y="{y + bar - 1}" text-anchor="{anchor}" font-size="9">{value:.2g}</text>')
    out.append("</svg>\n")
    with open(path, "w") as file:
        file.write("\n".join(out))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    program = os.path.join(os.path.dirname(compare.HERE), "target", "release", "walrusfs")
    parser.add_argument("--walrusfs", default=program, metavar="PROGRAM")
    parser.add_argument("--runs", type=int, default=3, metavar="N")
    parser.add_argument("--size", type=int, default=512, metavar="MIB", help="of the large file")
    parser.add_argument("--options", default="", help="mount options of the drive", metavar="OPTIONS")
    parser.add_argument("--shards", type=int, default=100, metavar="N", help="of the local network")
    parser.add_argument("--subjects", default=",".join(SUBJECTS))
    parser.add_argument("--directory", default=None, metavar="DIR")
    parser.add_argument("--drop-caches", action="store_true", help="also empty the kernel's caches before each mount")
    parser.add_argument("--json", default=None, metavar="FILE", help="write every single figure there")
    parser.add_argument("--svg", default=None, metavar="FILE", help="draw the ratios there")
    return parser.parse_args()


def main():
    options = arguments()
    names = [name for name in options.subjects.split(",") if name in SUBJECTS]
    for name in [name for name in names if name != "walrusfs" and not shutil.which(name)]:
        print(f"{name} is not installed: measuring without it", file=sys.stderr)
        names.remove(name)
    # Whatever ends it, nothing stays mounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    directory = tempfile.mkdtemp(prefix="walrusfs-streaming-", dir=options.directory)
    os.chmod(directory, 0o755)
    subjects, results = [], {}
    try:
        library = make_library(directory, options.size)

        def teller(subject):
            def tell(figure, value):
                results.setdefault((subject.name, figure), []).append(value)
                print(f"{subject.name} {figure}: {shown(value)} {FIGURES[figure][0]}", file=sys.stderr, flush=True)

            return tell

        for name in names:
            subjects.append(SUBJECTS[name](directory, options))
            teller(subjects[-1])("write", copy_in(subjects[-1], library))
        for _ in range(options.runs):
            for subject in subjects:
                measure(subject, library, directory, options.drop_caches, teller(subject))
    finally:
        for subject in reversed(subjects):
            try:
                subject.end()
            except (Exception, SystemExit) as error:
                print(f"{subject.name} did not end well: {error}", file=sys.stderr)
        shutil.rmtree(directory, ignore_errors=True)
    best = best_of(results)
    machine = os.uname()
    print(f"Linux {machine.release}, {os.cpu_count()} processors, {options.size} MiB, {options.shards} shards; best of {options.runs}\n")
    table(best, names)
    if options.json:
        with open(options.json, "w") as file:
            json.dump([[*key, values] for key, values in results.items()], file, indent=1)
    if options.svg:
        plot(best, names, options.svg)


if __name__ == "__main__":
    main()
