#!/usr/bin/env python3
"""Compares a mounted drive with gocryptfs and with a plain local filesystem, in one run on one machine.

    benches/compare.py [--walrusfs PROGRAM] [--runs N] [--modes free,pinned] [--groups GROUP,...] [--subjects NAME,...]
                       [--options MOUNT_OPTIONS] [--directory DIR] [--json FILE]

Mounts a drive on a local network of its own (program: target/release/walrusfs, built by `cargo build --release`), and
gocryptfs from the distribution, both with everything they store below DIR (the system's temporary folder), which should
be ext4: a folder in it is the third subject. Every figure is taken on each subject in turn, N times; the table has the
best of each, because whatever else the machine does only ever makes a figure worse, and says which of the aims of
docs/performance.md hold.

`free` lets the scheduler place the programs, `pinned` keeps the program that measures and the daemon that answers on one
processor: a filesystem in user space is limited by wake-ups between processors, and their cost differs from machine to
machine more than anything else here.

Needs root (it drops the kernel's caches for what is called cold), git and python3; gocryptfs and fuse3 for the
comparison. Takes about five minutes. Ends the processes that it started, and removes what it made.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SMALL = 1000
BIG = 256 << 20
HERE = os.path.dirname(os.path.abspath(__file__))

# name: (unit, what is measured, aim or None). An aim is (whom, ratio) or ("", figure).
FIGURES = {
    "create": ("1/s", "create, write 1 KiB, close", ("gocryptfs", 2.5)),
    "stat_written": ("1/s", "stat after writing", ("ext4", 0.9)),
    "stat_warm": ("1/s", "stat, warm", ("ext4", 0.9)),
    "lookup_cold": ("1/s", "look up and stat, cold", ("gocryptfs", 1.3)),
    "open_read": ("1/s", "open, read 1 KiB, close, cold content", None),
    "open_read_warm": ("1/s", "open, read 1 KiB, close, warm", None),
    "rename": ("1/s", "rename", ("gocryptfs", 1.5)),
    "unlink": ("1/s", "unlink", ("gocryptfs", 4.0)),
    "cp": ("s", "cp -r of 1,500 files, sync -f", ("gocryptfs", 1.5)),
    "find_cold": ("s", "find -ls of them, cold", None),
    "tar_cold": ("s", "tar of them, cold", None),
    "rm": ("s", "rm -rf of them", ("gocryptfs", 1.0)),
    "clone": ("s", "git clone, sync -f", ("gocryptfs", 1.0)),
    "status": ("s", "git status, warm", None),
    "rm_clone": ("s", "rm -rf of the clone", ("gocryptfs", 1.0)),
    "write_4k": ("MiB/s", "buffered writes of 4 KiB", ("", 900)),
    "write_sync": ("MiB/s", "writes of 1 MiB and fsync", None),
    "read_cold": ("MiB/s", "sequential read, cold in the kernel", None),
    "read_warm": ("MiB/s", "sequential read, page cache", ("ext4", 0.95)),
    "random_warm": ("1/s", "random reads of 4 KiB, page cache", ("ext4", 0.95)),
}
GROUPS = {
    "small": ["create", "stat_written", "stat_warm", "lookup_cold", "open_read", "open_read_warm", "rename", "unlink"],
    "tree": ["cp", "find_cold", "tar_cold", "rm"],
    "git": ["clone", "status", "rm_clone"],
    "write": ["write_4k", "write_sync"],
    "read": ["read_cold", "read_warm", "random_warm"],
}
# One processor for everything says nothing about bandwidth.
PINNED_GROUPS = ["small", "tree", "git"]


def run(*command, **options):
    """Runs a command, which must succeed; what it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


# ------------------------------------------------------------------------------------------------ in the measuring process


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")


def warm(source):
    """What is copied comes from memory, so that only the copy is measured."""
    for folder, _, names in os.walk(source):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    file.read()


def seconds(function, *args):
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def small(folder, _source, tell):
    content = os.urandom(1024)
    old = [f"{folder}/old-{number:04}" for number in range(SMALL)]
    new = [f"{folder}/new-{number:04}" for number in range(SMALL)]

    def each(name, function, *lists):
        took = seconds(lambda: [function(*paths) for paths in zip(*lists)])
        tell(name, len(lists[0]) / took)

    def create(path):
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644)
        os.write(fd, content)
        os.close(fd)

    def read(path):
        fd = os.open(path, os.O_RDONLY)
        assert os.read(fd, 4096) == content
        os.close(fd)

    each("create", create, old)
    each("stat_written", os.stat, old)
    each("stat_warm", os.stat, old)
    drop_caches()
    each("lookup_cold", os.stat, old)
    each("open_read", read, old)
    each("open_read_warm", read, old)
    each("rename", os.rename, old, new)
    each("unlink", os.unlink, new)


def tree(folder, source, tell):
    copy = f"{folder}/copy"
    quiet = {"stdout": subprocess.DEVNULL}
    warm(source)
    shell = f"cp -r --preserve=mode,timestamps,links '{source}/tree' '{copy}' && sync -f '{copy}'"
    tell("cp", seconds(lambda: run("bash", "-c", shell)))
    drop_caches()
    tell("find_cold", seconds(lambda: subprocess.run(["find", copy, "-ls"], check=True, **quiet)))
    drop_caches()
    # tar writes nothing when it sees that its output is /dev/null.
    archive = f"tar -cf - -C '{folder}' copy | cat > /dev/null"
    tell("tar_cold", seconds(lambda: run("bash", "-c", archive)))
    run("diff", "-r", "--no-dereference", f"{source}/tree", copy)
    tell("rm", seconds(lambda: run("rm", "-rf", copy)))


def git(folder, source, tell):
    clone = f"{folder}/clone"
    warm(source)
    shell = f"git clone -q --no-local 'file://{source}/repository' '{clone}' && sync -f '{clone}'"
    tell("clone", seconds(lambda: run("bash", "-c", shell)))
    status = lambda: run("git", "-C", clone, "status", "--porcelain")
    assert status() == ""
    tell("status", seconds(status))
    tell("rm_clone", seconds(lambda: run("rm", "-rf", clone)))


def write(folder, _source, tell):
    def all_of(part, sync):
        start, path = time.perf_counter(), f"{folder}/big"
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644)
        put = os.write
        for _ in range(BIG // len(part)):
            put(fd, part)
        if sync:
            os.fsync(fd)
        took = time.perf_counter() - start
        os.close(fd)
        os.unlink(path)
        return BIG / (1 << 20) / took

    tell("write_4k", all_of(os.urandom(4096), False))
    tell("write_sync", all_of(os.urandom(1 << 20), True))


def prepare(folder, _source, _tell):
    with open(f"{folder}/../big", "wb") as file:
        part = os.urandom(1 << 20)
        for _ in range(BIG // len(part)):
            file.write(part)


def read(folder, _source, tell):
    path = f"{folder}/../big"

    def all_of():
        fd = os.open(path, os.O_RDONLY)
        while os.read(fd, 1 << 20):
            pass
        os.close(fd)

    def at_random(count):
        fd = os.open(path, os.O_RDONLY)
        places = [random.randrange(BIG // 4096) * 4096 for _ in range(count)]
        took = seconds(lambda: [os.pread(fd, 4096, place) for place in places])
        os.close(fd)
        return count / took

    mib = BIG / (1 << 20)
    drop_caches()
    tell("read_cold", mib / seconds(all_of))
    tell("read_warm", mib / min(seconds(all_of) for _ in range(3)))
    tell("random_warm", at_random(100_000))
    os.unlink(path)


def measure(group, folder, source, processor):
    """The measuring process: one group on one folder; a line `NAME VALUE` for each figure."""
    if processor:
        os.sched_setaffinity(0, {int(processor)})
    work = tempfile.mkdtemp(prefix="compare-", dir=folder)
    try:
        globals()[group](work, source, lambda name, value: print(name, value, flush=True))
    finally:
        shutil.rmtree(work, ignore_errors=True)


# ------------------------------------------------------------------------------------------------------------ the subjects


class Local:
    """A folder of the local filesystem."""

    name = "ext4"
    pid = None

    def __init__(self, directory, _options):
        self.path = os.path.join(directory, "local")
        os.mkdir(self.path)

    def settle(self):
        os.sync()

    def end(self):
        pass


class Gocryptfs:
    """gocryptfs with its defaults (except the cost of the password, which is paid once)."""

    name = "gocryptfs"

    def __init__(self, directory, _options):
        cipher, self.path = os.path.join(directory, "cipher"), os.path.join(directory, "plain")
        os.mkdir(cipher)
        os.mkdir(self.path)
        password = ["-q", "-extpass", "echo", "-extpass", "password"]
        run("gocryptfs", *password, "-init", "-scryptn", "10", cipher)
        self.command = ["gocryptfs", *password, "-fg", cipher, self.path]
        self.mount()

    def mount(self):
        self.daemon = subprocess.Popen(self.command)
        wait_for(lambda: os.path.ismount(self.path), "gocryptfs is mounted")

    @property
    def pid(self):
        return self.daemon.pid

    def unmount(self):
        run("umount", self.path)
        self.daemon.wait(30)

    def settle(self):
        os.sync()

    def end(self):
        if os.path.ismount(self.path):
            self.unmount()


class Walrusfs:
    """A drive on a local network, with the defaults."""

    name = "walrusfs"

    def __init__(self, directory, options, *network):
        self.program, self.path = options.walrusfs, os.path.join(directory, "drive")
        self.home = os.path.join(directory, "home")
        os.mkdir(self.path)
        os.mkdir(self.home)
        self.environment = {**os.environ, "WALRUSFS_HOME": self.home}
        self.more = ["-o", options.options] if options.options else []
        # The network's machines are somebody else's: here they come after everybody.
        up = ["devnet", "up", *network]
        run("nice", "-n", "19", self.program, *up, env=self.environment, stdin=subprocess.DEVNULL)
        self.mount()

    def call(self, *arguments):
        return run(self.program, *arguments, env=self.environment, stdin=subprocess.DEVNULL)

    def mount(self):
        self.call("mount", *self.more, self.path)

    def unmount(self):
        self.call("umount", self.path)

    def status(self):
        return json.loads(self.call("status", self.path, "--json"))

    @property
    def pid(self):
        return self.status()["pid"]

    def settle(self):
        self.call("sync", self.path)

    def end(self):
        if os.path.ismount(self.path):
            self.unmount()
        self.call("devnet", "down")


SUBJECTS = {subject.name: subject for subject in (Walrusfs, Gocryptfs, Local)}


def tabulate(figures, columns, measure, corner=""):
    """Calls measure(key, tell) for each (key, title) of columns, where tell(figure, value) notes a figure; prints a row for each."""
    results = {}
    for key, title in columns:

        def tell(figure, value):
            results[(figure, key)] = shown(value)
            unit, what = figures[figure]
            print(f"{title}, {what}: {shown(value)} {unit}", file=sys.stderr, flush=True)

        measure(key, tell)
    print(f"| {corner} | unit | {' | '.join(title for _, title in columns)} |")
    print("|---|---|" + "---|" * len(columns))
    for figure, (unit, what) in figures.items():
        print(f"| {what} | {unit} | {' | '.join(results[(figure, key)] for key, _ in columns)} |")


def wait_for(done, what):
    deadline = time.monotonic() + 20
    while not done():
        if time.monotonic() > deadline:
            sys.exit(f"not within 20 s: {what}")
        time.sleep(0.002)


def keep_on(pid, processors):
    """Lets all threads of a process run on these processors."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            os.sched_setaffinity(int(thread), processors)
        except ProcessLookupError:
            pass


def make_source(directory):
    """1,500 files of 23 MB in 175 folders with 20 links, and a repository of them; always the same."""
    source = os.path.join(directory, "source")
    draw = random.Random(7)
    words = [f"{draw.getrandbits(40):x} ".encode() for _ in range(2000)]
    for number in range(1500):
        folder = os.path.join(source, "tree", f"d{number % 25:02}", f"s{number % 7}")
        os.makedirs(folder, exist_ok=True)
        content, length = bytearray(), min(int(draw.lognormvariate(8.3, 1.6)), 2 << 20)
        while len(content) < length:
            content += draw.choice(words)
        with open(os.path.join(folder, f"f{number:04}.txt"), "wb") as file:
            file.write(content[:length])
    for number in range(20):
        os.symlink("../d00", os.path.join(source, "tree", f"d{number:02}", "link"))
    repository = os.path.join(source, "repository")
    shutil.copytree(os.path.join(source, "tree"), repository, symlinks=True)
    run("git", "init", "-q", repository)
    run("git", "-C", repository, "add", "-A")
    run("git", "-C", repository, "-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-qm", "all")
    return source


# --------------------------------------------------------------------------------------------------------------- the table


def shown(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(mode, results, names):
    """The figures of one mode as Markdown; ratios above 1 are in favour of walrusfs."""
    best = {key: (min if FIGURES[key[2]][0] == "s" else max)(values) for key, values in results.items() if key[0] == mode}
    others = [name for name in names if name != "walrusfs"]
    print(f"\n### {mode}\n")
    print(f"| | unit | {' | '.join(names)} | {' | '.join(f'against {name}' for name in others)} | aim | |")
    print("|---|---|" + "---|" * (len(names) + len(others) + 2))
    for figure, (unit, what, aim) in FIGURES.items():
        values = {name: best.get((mode, name, figure)) for name in names}
        ours = values.get("walrusfs")
        if all(value is None for value in values.values()):
            continue
        ratio = {}
        for name in others:
            if ours and values[name]:
                ratio[name] = values[name] / ours if unit == "s" else ours / values[name]
        wanted, holds = "", ""
        if aim and ours:
            whom, least = aim
            reached = ratio.get(whom) if whom else ours
            wanted = f"{least} x {whom}" if whom else f"{least} {unit}"
            holds = "" if reached is None else "holds" if reached >= least else "**missed**"
        columns = [shown(values[name]) for name in names]
        columns += [f"{ratio[name]:.2f}" if name in ratio else "-" for name in others]
        print(f"| {what} | {unit} | {' | '.join(columns)} | {wanted} | {holds} |")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    program = os.path.join(os.path.dirname(HERE), "target", "release", "walrusfs")
    parser.add_argument("--walrusfs", default=program, metavar="PROGRAM")
    parser.add_argument("--runs", type=int, default=3, metavar="N")
    parser.add_argument("--modes", default="free,pinned")
    parser.add_argument("--groups", default=",".join(GROUPS), help="of " + ", ".join(GROUPS))
    parser.add_argument("--subjects", default="walrusfs,gocryptfs,ext4")
    parser.add_argument("--options", default="", help="mount options of the drive", metavar="OPTIONS")
    parser.add_argument("--directory", default=None, metavar="DIR")
    parser.add_argument("--json", default=None, metavar="FILE", help="write every single figure there")
    return parser.parse_args()


def main():
    options = arguments()
    names = [name for name in options.subjects.split(",") if name in SUBJECTS]
    if "gocryptfs" in names and not shutil.which("gocryptfs"):
        print("gocryptfs is not installed: measuring without it", file=sys.stderr)
        names.remove("gocryptfs")
    groups = [group for group in options.groups.split(",") if group in GROUPS]
    # Whatever ends it, nothing stays mounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    directory = tempfile.mkdtemp(prefix="walrusfs-compare-", dir=options.directory)
    subjects, results = [], {}
    try:
        source = make_source(directory)
        for name in names:
            subjects.append(SUBJECTS[name](directory, options))
        for _ in range(options.runs):
            for mode in options.modes.split(","):
                for group in groups:
                    if mode == "pinned" and group not in PINNED_GROUPS:
                        continue
                    for subject in subjects:
                        take(subject, subjects, mode, group, source, results)
    finally:
        for subject in reversed(subjects):
            try:
                subject.end()
            except (Exception, SystemExit) as error:
                print(f"{subject.name} did not end well: {error}", file=sys.stderr)
        shutil.rmtree(directory, ignore_errors=True)
    machine = os.uname()
    print(f"\nLinux {machine.release}, {os.cpu_count()} processors; best of {options.runs}")
    for mode in options.modes.split(","):
        table(mode, results, names)
    if options.json:
        with open(options.json, "w") as file:
            json.dump([[*key, values] for key, values in results.items()], file, indent=1)


def take(subject, subjects, mode, group, source, results):
    """One group on one subject, with everybody's background work done before it."""
    if group == "read":
        run(sys.executable, __file__, "--measure", "prepare", subject.path, source, "")
    for other in subjects:
        other.settle()
    processors = os.sched_getaffinity(0)
    one = min(processors)
    if mode == "pinned" and subject.pid:
        keep_on(subject.pid, {one})
    try:
        processor = str(one) if mode == "pinned" else ""
        said = run(sys.executable, __file__, "--measure", group, subject.path, source, processor)
    finally:
        if subject.pid:
            keep_on(subject.pid, processors)
    for line in said.splitlines():
        name, value = line.split()
        results.setdefault((mode, subject.name, name), []).append(float(value))
    print(f"{mode} {group} {subject.name}: " + ", ".join(said.splitlines()), file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:])
    else:
        main()
