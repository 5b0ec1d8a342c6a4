#!/usr/bin/env python3
"""Writes advisories.toml: what RustSec says of the crates in Cargo.lock. Usage: advisories.py DATABASE (a git directory or checkout)."""
import re, subprocess, sys, tomllib
db = sys.argv[1]
git = lambda *a: subprocess.run(["git", "-C", db, *a], check=True, capture_output=True, text=True).stdout
lock = tomllib.load(open("Cargo.lock", "rb"))["package"]
names = {p["name"] for p in lock if p.get("source")}
rows = []
for path in git("ls-tree", "-r", "HEAD", "--name-only").splitlines():
    m = re.fullmatch(r"crates/([^/]+)/(RUSTSEC-[\d-]+)\.md", path)
    if not m or m[1] not in names:
        continue
    text = git("show", "HEAD:" + path)
    head = tomllib.loads(text.split("```toml", 1)[1].split("```", 1)[0])
    title = re.search(r"^# (.*)", text.split("```", 2)[2], re.M)[1]
    a, v = head["advisory"], head.get("versions", {})
    if "withdrawn" in a:
        continue
    rows.append((a["package"], a["id"], a.get("informational", ""), v.get("patched", []), v.get("unaffected", []), title))
rows.sort()
date = git("log", "-1", "--format=%cs").strip()
q = lambda s: '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"'
ls = lambda xs: "[" + ", ".join(map(q, xs)) + "]"
print(f"# What the RustSec advisory database of {date} says of crates in Cargo.lock, for a check without the internet (tests/supply.rs).")
print(f"# Made anew by packaging/advisories.py, which takes a checkout of the database.\ndate = \"{date}\"\n")
for package, id, kind, patched, unaffected, title in rows:
    print("[[advisory]]")
    print(f"package = {q(package)}\nid = {q(id)}\ntitle = {q(title)}")
    if kind: print(f"informational = {q(kind)}")
    print(f"patched = {ls(patched)}\nunaffected = {ls(unaffected)}\n")
