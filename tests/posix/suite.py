"""Test cases that work on a mounted folder, and the processes that they need.

A file of cases is a program: `locks.py FOLDER [CASE...]`. Each case is a function of one argument, a new folder; it runs in
a process group of its own and may take LIMIT seconds, so that a hang is a failed case and not a hung run. The output has
one line for each case, `pass NAME`, `skip NAME: REASON` or `fail NAME: REASON`; the exit code is 0 when none failed.
Only the standard library is used.
"""

import errno
import os
import pickle
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback

LIMIT = 60
CASES = []


class Skip(Exception):
    """The case cannot be tried here; the reason is the argument."""


def case(function):
    """Registers a case."""
    CASES.append(function)
    return function


def refuses(number, function, *args):
    """Asserts that the call fails with this errno."""
    try:
        function(*args)
    except OSError as error:
        wrong = errno.errorcode.get(error.errno, error.errno)
        assert error.errno == number, f"{wrong} instead of {errno.errorcode[number]}"
    else:
        raise AssertionError(f"{function.__name__} succeeded, {errno.errorcode[number]} was expected")


class Peer:
    """Another process, which calls what it is told: `peer(os.open, path, flags)`. It holds its own descriptors and locks."""

    def __init__(self):
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            try:
                self._serve(theirs.makefile("rb"), theirs.makefile("wb"))
            finally:
                os._exit(0)
        theirs.close()
        self.answers, self.calls = ours.makefile("rb"), ours.makefile("wb")

    @staticmethod
    def _serve(calls, answers):
        while True:
            call = pickle.load(calls)
            if call is None:
                return
            function, args = call
            try:
                answer = (True, function(*args))
            except BaseException as error:  # What happened there is told here.
                answer = (False, error)
            pickle.dump(answer, answers)
            answers.flush()

    def _send(self, call):
        pickle.dump(call, self.calls)
        self.calls.flush()

    def start(self, function, *args):
        """Begins a call."""
        self._send((function, args))

    def is_busy(self, seconds):
        """Whether the call goes on for that long."""
        return not select.select([self.answers], [], [], seconds)[0]

    def result(self, seconds=10):
        """What the call returned, or its exception."""
        assert not self.is_busy(seconds), f"the other process did not answer within {seconds} s"
        done, value = pickle.load(self.answers)
        if done:
            return value
        raise value

    def __call__(self, function, *args):
        self.start(function, *args)
        return self.result()

    def kill(self):
        """SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def end(self):
        """Lets it exit."""
        self._send(None)
        os.waitpid(self.pid, 0)


def together(function, count, *args):
    """Calls `function(number, *args)` in `count` processes at once; the results in order."""
    peers = [Peer() for _ in range(count)]
    for number, peer in enumerate(peers):
        peer.start(function, number, *args)
    results = [peer.result(LIMIT) for peer in peers]
    for peer in peers:
        peer.end()
    return results


def as_user(uid, function, *args):
    """Calls `function` as an ordinary user without groups."""
    peer = Peer()
    peer(os.setgroups, [])
    peer(os.setresgid, uid, uid, uid)
    peer(os.setresuid, uid, uid, uid)
    try:
        return peer(function, *args)
    finally:
        peer.end()


def put(path, content=b"", mode=0o644):
    """Makes or replaces a file."""
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)


def get(path):
    """The content of a file."""
    with open(path, "rb") as file:
        return file.read()


def _attempt(function, folder):
    try:
        function(folder)
    except Skip as reason:
        return f"skip {function.__name__}: {reason}"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error}".replace("\n", " ")
        return f"fail {function.__name__}: {said} ({os.path.basename(place.filename)}:{place.lineno})"
    return f"pass {function.__name__}"


def _in_a_group(function, folder):
    read, write = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.close(read)
        os.write(write, _attempt(function, folder).encode()[:4000])
        os._exit(0)
    os.close(write)
    done = select.select([read], [], [], LIMIT)[0]
    said = os.read(read, 4096).decode() if done else f"fail {function.__name__}: not done within {LIMIT} s"
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(pid, 0)
    os.close(read)
    return said or f"fail {function.__name__}: it died"


def main():
    """Runs the registered cases in the folder that the command line names."""
    wanted = sys.argv[2:]
    top = tempfile.mkdtemp(prefix="cases.", dir=os.path.realpath(sys.argv[1]))
    os.chmod(top, 0o755)
    failed = 0
    for function in CASES:
        if wanted and function.__name__ not in wanted:
            continue
        folder = os.path.join(top, function.__name__)
        os.mkdir(folder)
        started = time.monotonic()
        said = _in_a_group(function, folder)
        failed += said.startswith("fail")
        print(f"{said} [{time.monotonic() - started:.2f} s]", flush=True)
    shutil.rmtree(top, ignore_errors=True)
    sys.exit(1 if failed else 0)
