#!/usr/bin/env python3
"""Records docs/session.svg: runs the commands below in a clean home and draws what a terminal shows, as an animation.

Usage: docs/record.py PROGRAM [OUT]     PROGRAM is a built walrusfs; needs root or fusermount3. Nothing is left behind.
"""

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile

COMMANDS = [
    "walrusfs mount ~/walrus",
    "cp /bin/bash /etc/os-release ~/walrus/ && ls -l ~/walrus",
    "walrusfs sync ~/walrus",
    "walrusfs status ~/walrus",
    "getfattr -n user.walrusfs.state --absolute-names ~/walrus/os-release",
    "walrusfs umount ~/walrus",
]
COLUMNS, LINE, CHAR, MARGIN = 98, 18, 8.0, 16
TYPING, PAUSE, END = 0.035, 0.9, 6.0  # seconds: a typed character, before output, the last picture


def record(program):
    """The session: (prompt or output, text) lines in order."""
    home = tempfile.mkdtemp(prefix="walrusfs-record-")
    tools = os.path.join(home, ".bin")
    os.mkdir(tools)
    os.symlink(os.path.abspath(program), os.path.join(tools, "walrusfs"))
    env = {"HOME": home, "PATH": tools + ":/usr/bin:/bin:/usr/sbin:/sbin", "NO_COLOR": "1", "LC_ALL": "C.UTF-8", "TERM": "dumb"}
    lines = []
    try:
        for command in COMMANDS:
            lines.append(("prompt", command))
            done = subprocess.run(["bash", "-c", command], env=env, stdin=subprocess.DEVNULL, text=True, timeout=120,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            shown = done.stdout.replace(home, "/home/ann")
            shown = re.sub(r"([0-9a-f]{8})[0-9a-f]{52}([0-9a-f]{4})", r"\1...\2", shown)
            for line in shown.splitlines():
                while line:
                    lines.append(("output", line[:COLUMNS]))
                    line = line[COLUMNS:]
            if done.returncode:
                raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stdout}")
    finally:
        subprocess.run(["bash", "-c", "umount -l ~/walrus; walrusfs devnet down"], env=env, stderr=subprocess.DEVNULL, timeout=60)
        shutil.rmtree(home, ignore_errors=True)
    return lines


def draw(lines):
    """The animation: every line appears at its time, typed ones letter by letter behind a clip that grows."""
    at, rows, styles = 0.5, [], []
    width, height = COLUMNS * CHAR + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN + 22
    for number, (kind, text) in enumerate(lines):
        y = MARGIN + 22 + number * LINE + 13
        if kind == "prompt":
            seconds = max(len(text) * TYPING, 0.2)
            rows.append(f'<g class="l" style="animation-delay:{at:.2f}s"><text x="{MARGIN}" y="{y}" class="p">$</text></g>')
            rows.append(
                f'<clipPath id="c{number}"><rect x="{MARGIN + 2 * CHAR}" y="{y - 14}" height="{LINE}" width="0">'
                f'<animate attributeName="width" begin="{at:.2f}s" dur="{seconds:.2f}s" from="0" to="{len(text) * CHAR + 4:.0f}" '
                f'fill="freeze"/></rect></clipPath>'
                f'<text x="{MARGIN + 2 * CHAR}" y="{y}" class="c" clip-path="url(#c{number})">{html.escape(text)}</text>')
            at += seconds + PAUSE
        else:
            rows.append(f'<text x="{MARGIN}" y="{y}" class="l" style="animation-delay:{at:.2f}s">{html.escape(text)}</text>')
            at += 0.06
            if number + 1 < len(lines) and lines[number + 1][0] == "prompt":
                at += PAUSE
    styles.append("text{font:13.3px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#d6deeb;white-space:pre}")
    styles.append(".p{fill:#7fdbca}.c{fill:#ffffff}.l{opacity:0;animation:s 0s linear forwards}@keyframes s{to{opacity:1}}")
    styles.append("@media (prefers-reduced-motion:reduce){.l{animation-delay:0s!important}}")
    dots = "".join(f'<circle cx="{MARGIN + 5 + 18 * n}" cy="17" r="5" fill="{c}"/>' for n, c in enumerate(("#ff5f56", "#ffbd2e", "#27c93f")))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}" '
        f'role="img" aria-label="walrusfs in a terminal: mount, copy, sync, status, umount">\n'
        f"<style>{''.join(styles)}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#011627"/>{dots}\n' + "\n".join(rows) + "\n</svg>\n")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "session.svg")
    picture = draw(record(sys.argv[1]))
    with open(out, "w", encoding="utf-8") as file:
        file.write(picture)
