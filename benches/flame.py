#!/usr/bin/env python3
"""Draws where the time went, from what `perf record -a -g` wrote.

    perf record -a -g -F 499 -o FILE.data -- PROGRAM...
    benches/flame.py FILE.data OUT.svg --title TEXT [--name COMMAND=TEXT ...] [--depth N] [--least PERCENT]

The program needs symbols and frame pointers:

    CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_DEBUG=line-tables-only RUSTFLAGS=-Cforce-frame-pointers=yes \\
        cargo build --release

The width of a box is its share of the samples; what lies on it was called by it. Frames of the runtime and the standard library are
left out, the kernel's below a system call too, and boxes narrower than PERCENT.
"""

import argparse
import collections
import html
import re
import subprocess

ROW, WIDTH, FONT = 17, 1200, 11
HIDDEN = re.compile(
    r"^(core|std|alloc|tokio|tokio_util|futures_\w+|hashbrown|parking_lot\w*)::|^\[|^__rust|^start_thread|^clone3?$|^__clone|^main$|^entry_SYSCALL|^<?(std::sys::)?thread::|^<(tokio|core|std|futures_util)::|^0x|^[0-9a-f]+$"
)
ENTRY = re.compile(r"^asm_\w+$")
IDLE = ("swapper",)


def short(symbol):
    """A Rust symbol without its generic arguments, the last three parts of its path."""
    name = re.sub(r"\{\{[^}]*\}\}", "", symbol)
    implementation = re.match(r"^<(.*?)(?: as (.*?))?>::(.*)$", name)
    if implementation:
        name = f"{implementation[1]}::{implementation[3]}"
    while re.search(r"<[^<>]*>", name):
        name = re.sub(r"(::)?<[^<>]*>", "", name)
    parts = [part for part in name.split("::") if part]
    return "::".join(parts[-3:])


def stacks(data):
    """Each sample: its command and its frames, the outermost first."""
    text = subprocess.run(
        ["perf", "script", "-i", data, "-F", "comm,ip,sym"], check=True, capture_output=True, text=True, errors="replace"
    ).stdout
    for sample in text.split("\n\n"):
        lines = sample.strip("\n").split("\n")
        if not lines[0].strip():
            continue
        command, frames = lines[0].strip(), []
        for line in lines[1:]:
            _, _, symbol = line.strip().partition(" ")
            frames.append(symbol)
        yield command, frames[::-1]


def visible(frames):
    """Without hidden frames, repetitions, and what the kernel does within a call."""
    seen, call = [], False
    for frame in frames:
        if call or ENTRY.match(frame):
            seen.append(re.sub(r"^(__x64_sys_|ksys_|asm_|do_(?=\w*(read|write)v))", "kernel: ", frame))
            break
        call = frame == "do_syscall_64"
        if call or HIDDEN.match(frame):
            continue
        name = short(frame)
        if name and (not seen or seen[-1] != name):
            seen.append(name)
    return seen


class Box:
    """A frame, how many samples it is in, and what it calls."""

    def __init__(self):
        self.samples, self.calls = 0, collections.defaultdict(Box)

    def add(self, frames):
        self.samples += 1
        if frames:
            self.calls[frames[0]].add(frames[1:])

    def height(self, least):
        heights = (call.height(least) for call in self.calls.values() if call.samples >= least)
        return 1 + max(heights, default=0)


def colour(name, kernel):
    shade = sum(name.encode()) % 40
    return f"rgb({200 + shade},{140 - shade},{90})" if kernel else f"rgb({230 - shade // 2},{190 + shade // 2},{120 + shade})"


def draw(box, name, x, depth, scale, total, least, floor, out):
    width, y = box.samples * scale, floor - depth * ROW
    label = f"{name} ({100 * box.samples / total:.1f} %)"
    fits = int(width / (FONT * 0.6))
    shown = name if len(name) <= fits else name[: max(fits - 1, 0)] + "…" if fits > 4 else ""
    kernel = name.startswith("kernel: ")
    out.append(
        f'<g><title>{html.escape(label)}</title><rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, 0.5):.1f}" height="{ROW - 1}" '
        f'fill="{colour(name, kernel)}"/>'
        + (f'<text x="{x + 3:.1f}" y="{y + 12}">{html.escape(shown)}</text>' if shown else "")
        + "</g>"
    )
    for call, inner in sorted(box.calls.items(), key=lambda item: -item[1].samples):
        if inner.samples >= least:
            draw(inner, call, x, depth + 1, scale, total, least, floor, out)
            x += inner.samples * scale


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--title", required=True)
    parser.add_argument("--name", action="append", default=[], metavar="COMMAND=TEXT")
    parser.add_argument("--depth", type=int, default=24)
    parser.add_argument("--least", type=float, default=0.4)
    options = parser.parse_args()
    names = dict(name.split("=", 1) for name in options.name)
    root = Box()
    for command, frames in stacks(options.data):
        if command not in IDLE:
            root.add([names.get(command, command), *visible(frames)][: options.depth])
    if not root.samples:
        raise SystemExit(f"{options.data} has no samples")
    least = root.samples * options.least / 100
    floor = 30 + root.height(least) * ROW
    boxes = []
    draw(root, f"all, {root.samples} samples", 0, 0, WIDTH / root.samples, root.samples, least, floor, boxes)
    with open(options.out, "w", encoding="utf-8") as file:
        file.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{floor + ROW + 4}" '
            f'viewBox="0 0 {WIDTH} {floor + ROW + 4}" font-family="monospace" font-size="{FONT}">\n'
            f'<rect width="100%" height="100%" fill="#fdfdfb"/>\n<text x="6" y="18" font-size="14">{html.escape(options.title)}</text>\n'
            + "\n".join(boxes)
            + "\n</svg>\n"
        )


if __name__ == "__main__":
    main()
