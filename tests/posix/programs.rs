//! Real programs at work on the mount, each checked by its own means.

use crate::harness::Machine;
use crate::{LIKE_A_DISK, mounted, script};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(240);

/// Runs `text` in a new folder of the mount, `$HERE`; `$THERE` is a folder on the local disk.
fn at_work(machine: &Machine, point: &Path, name: &str, text: &str) -> (PathBuf, String) {
    let (here, there) = (point.join(name), machine.path(&format!("local-{name}")));
    fs::create_dir_all(&here).unwrap();
    fs::create_dir_all(&there).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let environment = [("HERE", here.as_os_str()), ("THERE", there.as_os_str()), ("SOURCE", source.as_os_str())];
    let said = script(&format!("cd \"$HERE\"\n{text}"), &environment, LIMIT);
    (here, said)
}

/// A history made here: the checkout that the tests run from may be shallow, or none at all.
const HISTORY: &str = r#"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
git init -q -b main "$1"
git -C "$1" config user.name test
git -C "$1" config user.email test@localhost
for round in $(seq 12); do
    for file in $(seq 40); do seq $((round * file)) $((round * file + 400)) > "$1/file-$file"; done
    mkdir -p "$1/deep/er/$round" && head -c 50000 /dev/urandom > "$1/deep/er/$round/blob"
    git -C "$1" add -A && git -C "$1" commit -qm "round $round"
done
"#;

#[test]
fn git_clones_packs_and_checks() {
    let (mut machine, point) = mounted();
    let history = machine.path("history.sh");
    fs::write(&history, HISTORY).unwrap();
    let text = format!(
        r#"
        bash -eu {history} "$HERE/made"
        export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
        git clone -q "$HERE/made" local
        git clone -q --no-local --bare "$HERE/made" bare.git
        git clone -q "file://$HERE/bare.git" "$THERE/out"
        git -C made gc -q --aggressive --prune=now
        for repository in made local bare.git; do git -C $repository fsck --full --strict; done
        git -C made worktree add -q "$HERE/tree" HEAD~5
        test -z "$(git -C made status --porcelain)"
        diff -r --exclude=.git made local
        diff -r --exclude=.git made "$THERE/out"
        git -C made stash list && git -C made checkout -q HEAD~3 && git -C made checkout -q main
        "#,
        history = history.display()
    );
    let (here, _) = at_work(&machine, &point, "git", &text);
    machine.umount(&point);
    machine.forget_state();
    machine.mount_at(&point, &LIKE_A_DISK);
    let check = "export GIT_CONFIG_GLOBAL=/dev/null; git -C made fsck --full --strict; test -z \"$(git -C made status --porcelain)\"";
    script(&format!("cd \"$HERE\"\n{check}"), &[("HERE", here.as_os_str())], LIMIT);
    machine.umount(&point);
}

#[test]
fn cargo_builds_and_rebuilds() {
    let (machine, point) = mounted();
    at_work(
        &machine,
        &point,
        "cargo",
        r#"
        mkdir -p crate/src && cd crate
        printf '[package]\nname = "small"\nversion = "0.1.0"\nedition = "2024"\n[workspace]\n' > Cargo.toml
        printf 'pub mod part;\n#[test]\nfn adds() { assert_eq!(part::add(1, 2), 3); }\n' > src/lib.rs
        printf 'pub fn add(a: u8, b: u8) -> u8 { a + b }\n' > src/part.rs
        printf 'fn main() { println!("{}", small::part::add(40, 2)); }\n' > src/main.rs
        unset CARGO_TARGET_DIR RUSTFLAGS
        test "$(cargo run -q --offline)" = 42
        cargo test -q --offline >/dev/null
        # Nothing changed: times with nanoseconds say so. Then something does.
        cargo build --offline 2>&1 | grep -q Finished
        test -z "$(cargo build --offline 2>&1 | grep Compiling)"
        sed -i s/40/50/ src/main.rs
        test "$(cargo run -q --offline)" = 52
        "#,
    );
    machine.umount(&point);
}

/// Kills the database's process again and again, the mount's process too; the database must be whole each time.
#[test]
fn sqlite_survives_kills_in_wal_mode() {
    let (mut machine, point) = mounted();
    let writer = r#"
import os, sqlite3, sys
base = sqlite3.connect(os.environ["HERE"] + "/data.db", isolation_level=None)
assert base.execute("pragma journal_mode = wal").fetchone() == ("wal",)
base.execute("pragma synchronous = full")
base.execute("create table if not exists t (n integer primary key, half text, other text)")
last = base.execute("select coalesce(max(n), 0) from t").fetchone()[0]
while True:
    last += 1
    base.execute("begin immediate")
    base.execute("insert into t values (?, ?, ?)", (last, "x" * (last % 3000), None))
    base.execute("update t set other = half where n = ?", (last,))
    base.execute("commit")
    sys.stdout.write(f"{last}\n")
    sys.stdout.flush()
"#;
    let check = r#"
import os, sqlite3
base = sqlite3.connect(os.environ["HERE"] + "/data.db")
assert base.execute("pragma integrity_check").fetchall() == [("ok",)]
assert base.execute("select count(*) from t where other is not half").fetchone() == (0,)
print(base.execute("select count(*) from t").fetchone()[0])
"#;
    for (name, text) in [("writer.py", writer), ("check.py", check)] {
        fs::write(machine.path(name), text).unwrap();
    }
    let here = point.join("sqlite");
    fs::create_dir(&here).unwrap();
    for round in 0..4 {
        let writer = machine.path("writer.py");
        let said = machine.path(&format!("acknowledged-{round}"));
        let mut writer = std::process::Command::new("python3")
            .arg(writer)
            .env("HERE", &here)
            .stdout(fs::File::create(&said).unwrap())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(1200));
        if round % 2 == 1 {
            // The filesystem's process goes first: the writer fails with the mount.
            machine.kill(&point);
            let _ = writer.kill();
            writer.wait().unwrap();
            machine.mount_at(&point, &LIKE_A_DISK);
        } else {
            writer.kill().unwrap();
            writer.wait().unwrap();
        }
        let acknowledged = fs::read_to_string(&said).unwrap();
        // A line that was being written when the kill came says nothing.
        let acknowledged = acknowledged.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let last: u64 = acknowledged.lines().next_back().unwrap_or("0").parse().unwrap();
        assert!(last > 0, "round {round} wrote nothing");
        let check = format!("python3 {}", machine.path("check.py").display());
        let rows = script(&check, &[("HERE", here.as_os_str())], LIMIT);
        assert!(rows.trim().parse::<u64>().unwrap() >= last, "round {round}: {rows} rows, {last} acknowledged");
    }
    machine.umount(&point);
}

#[test]
fn copies_by_tar_and_rsync_are_whole() {
    let (machine, point) = mounted();
    at_work(
        &machine,
        &point,
        "copies",
        r#"
        cd "$THERE" && mkdir -p tree/a/b tree/empty && cd tree
        for n in $(seq 200); do head -c $((n * 311)) /dev/urandom > a/file-$n; done
        ln a/file-1 a/b/hard; ln -s ../file-2 a/b/soft; ln -s nowhere dangling; mkfifo pipe; mknod null c 1 3
        truncate -s 30M sparse; printf end >> sparse
        printf name > "$(printf 'odd \n name')"
        chmod 4755 a/file-3; chmod 2750 a/b; chmod 1777 empty; chmod 0 a/file-4; chown 1234:4321 a/file-5
        setfattr -n user.colour -v blue a/file-6; setfattr -n trusted.secret -v x a/file-6
        setfacl -m u:4711:rw a/file-7; setfacl -d -m g:4711:rx a
        touch -d '1965-03-01 12:00:00.123456789 UTC' a/file-8; touch -d '2112-12-21 UTC' a/file-9; touch -h -d '2001-01-01 UTC' dangling
        # Both ways: in, and out again.
        rsync -aHAXS "$THERE/tree/" "$HERE/by-rsync/"
        test -z "$(rsync -aHAXSi --checksum --delete "$THERE/tree/" "$HERE/by-rsync/")"
        rsync -aHAXS "$HERE/by-rsync/" "$THERE/back/"
        test -z "$(rsync -aHAXSi --checksum --delete "$THERE/tree/" "$THERE/back/")"
        mkdir "$HERE/by-tar" "$THERE/untarred"
        tar -C "$THERE/tree" --xattrs --xattrs-include='*' --acls -Scf - . | tar -C "$HERE/by-tar" --xattrs --xattrs-include='*' --acls -xpf -
        test -z "$(rsync -aHAXSi --checksum --delete "$THERE/tree/" "$HERE/by-tar/")"
        tar -C "$HERE/by-tar" --xattrs --xattrs-include='*' --acls -Scf "$HERE/archive.tar" .
        tar -C "$HERE/by-tar" -df "$HERE/archive.tar"
        cp -a "$HERE/by-tar" "$HERE/by-cp"
        test -z "$(rsync -aHAXSi --checksum --delete "$HERE/by-tar/" "$HERE/by-cp/")"
        test $(($(stat -c %b "$HERE/by-cp/sparse") * 512)) -lt 1000000
        "#,
    );
    machine.umount(&point);
}

/// How editors save, and what must be true at every moment: the old text or the new one, whole; owner and mode kept.
#[test]
fn editors_save() {
    let (machine, point) = mounted();
    at_work(
        &machine,
        &point,
        "editors",
        r#"
        cat > "$THERE/save.py" <<'PYTHON'
import os, sys
def text(n): return (f"{n:06}\n" * 3000).encode()
def fresh(path, content, flags=os.O_TRUNC):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o640)
    os.write(fd, content); os.fsync(fd); os.close(fd)
def rename_over(path, n):
    fresh(path + ".tmp", text(n)); os.chmod(path + ".tmp", os.stat(path).st_mode & 0o7777); os.rename(path + ".tmp", path)
    d = os.open(os.path.dirname(path), os.O_RDONLY); os.fsync(d); os.close(d)
def backup_by_link(path, n):
    if os.path.exists(path + "~"): os.unlink(path + "~")
    os.link(path, path + "~"); rename_over(path, n)
def backup_by_rename(path, n):
    os.rename(path, path + "~"); fresh(path, text(n), os.O_EXCL)
def in_place(path, n):
    fd = os.open(path, os.O_RDWR); os.ftruncate(fd, 0); os.pwrite(fd, text(n), 0); os.fsync(fd); os.close(fd)
def exchange(path, n):
    import ctypes
    fresh(path + ".new", text(n))
    assert ctypes.CDLL(None).renameat2(-100, (path + ".new").encode(), -100, path.encode(), 2) == 0
    os.unlink(path + ".new")
here = sys.argv[1]
for save in (rename_over, backup_by_link, backup_by_rename, in_place, exchange):
    path = f"{here}/{save.__name__}"
    fresh(path, text(0))
    for n in range(1, 30):
        save(path, n)
        with open(path, "rb") as f: assert f.read() == text(n), (save.__name__, n)
        if os.path.exists(path + "~"):
            with open(path + "~", "rb") as f: assert f.read() == text(n - 1), (save.__name__, n)
    assert os.stat(path).st_mode & 0o777 == 0o640
PYTHON
        python3 "$THERE/save.py" "$HERE"
        printf 'one\ntwo\n' > edited
        sed -i s/two/three/ edited && grep -q three edited
        perl -pi -e s/three/four/ edited && grep -q four edited
        test "$(ls | grep -c tmp)" = 0
        "#,
    );
    machine.umount(&point);
}

#[test]
#[ignore = "long: tests/posix/long.sh"]
fn postgresql_runs_its_benchmark() {
    let (mut machine, point) = mounted();
    let prepare = r#"
        BIN=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
        install -d -o postgres -m 700 "$HERE/data" "$THERE/run"
        as() { setpriv --reuid=postgres --regid=postgres --init-groups env -C / "$@"; }
        start() { as "$BIN/pg_ctl" -D "$HERE/data" -l "$HERE/data/log" -w -o "-k $THERE/run -c listen_addresses=''" start >/dev/null; }
    "#;
    let work = r#"
        as "$BIN/initdb" -D "$HERE/data" --data-checksums >/dev/null
        start
        as "$BIN/createdb" -h "$THERE/run" bench
        as "$BIN/pgbench" -h "$THERE/run" -i -s 5 -q bench 2>/dev/null
        as "$BIN/pgbench" -h "$THERE/run" -c 4 -j 2 -T 15 bench | grep tps
        # An immediate stop is a crash: the log is replayed at the next start.
        as "$BIN/pg_ctl" -D "$HERE/data" -m immediate stop >/dev/null
        start
        as "$BIN/psql" -h "$THERE/run" -tAc 'select sum(bbalance) = (select sum(delta) from pgbench_history) from pgbench_branches' bench | grep -x t
        as "$BIN/pg_ctl" -D "$HERE/data" stop >/dev/null
        as "$BIN/pg_checksums" -D "$HERE/data" | grep 'Bad checksums: *0'
    "#;
    let (_, said) = at_work(&machine, &point, "postgresql", &format!("{prepare}\n{work}"));
    println!("{said}");
    machine.umount(&point);
    machine.forget_state();
    machine.mount_at(&point, &LIKE_A_DISK);
    let check = r#"as "$BIN/pg_checksums" -D "$HERE/data" | grep 'Bad checksums: *0'"#;
    at_work(&machine, &point, "postgresql", &format!("{prepare}\n{check}"));
    machine.umount(&point);
}

#[test]
#[ignore = "long: tests/posix/long.sh"]
fn nginx_serves_ranges() {
    let (machine, point) = mounted();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = r#"
        head -c 20000000 /dev/urandom > file
        cat > "$THERE/nginx.conf" <<CONF
daemon on; pid $THERE/pid; error_log $THERE/error.log; user root;
events {}
http { access_log off; sendfile on; client_body_temp_path $THERE/b; proxy_temp_path $THERE/p; fastcgi_temp_path $THERE/f;
       uwsgi_temp_path $THERE/u; scgi_temp_path $THERE/s; server { listen 127.0.0.1:PORT; root $HERE; } }
CONF
        nginx -c "$THERE/nginx.conf"
        trap 'kill $(cat "$THERE/pid")' EXIT
        url=http://127.0.0.1:PORT/file
        curl -sf $url | cmp - file
        for start in 0 1 65535 65536 9999999 19999990; do
            curl -sf -r $start-$((start + 99999)) $url | cmp - <(tail -c +$((start + 1)) file | head -c 100000)
        done
        curl -sf -r -500 $url | cmp - <(tail -c 500 file)
        test "$(curl -s -o /dev/null -w '%{http_code}' -r 20000000- $url)" = 416
        # Eight at a time: every slice is the file's.
        seq 0 39 | xargs -P 8 -I N bash -c 'cmp <(curl -sf -r $((N * 400000))-$((N * 400000 + 9999)) '$url') <(tail -c +$((N * 400000 + 1)) file | head -c 10000)'
    "#
    .replace("PORT", &port.to_string());
    at_work(&machine, &point, "nginx", &text);
    machine.umount(&point);
}

#[test]
#[ignore = "long: tests/posix/long.sh"]
fn media_is_made_probed_and_seeked() {
    let (mut machine, point) = mounted();
    let make = r#"
        ffmpeg -v error -f lavfi -i testsrc=duration=60:size=640x360:rate=25 -f lavfi -i sine=duration=60 -movflags +faststart -y film.mp4
        ffmpeg -v error -i film.mp4 -c copy -y film.mkv
    "#;
    let (here, _) = at_work(&machine, &point, "media", make);
    machine.umount(&point);
    machine.forget_state();
    machine.mount_at(&point, &LIKE_A_DISK);
    let probe = r#"
        cd "$HERE"
        for film in film.mp4 film.mkv; do
            ffprobe -v error -show_entries format=duration -of csv=p=0 $film | grep -q '^60'
            for second in 0 59 30 3 45; do ffmpeg -v error -ss $second -i $film -frames:v 1 -f null - ; done
            ffmpeg -v error -i $film -f null -
        done
    "#;
    script(probe, &[("HERE", here.as_os_str())], LIMIT);
    machine.umount(&point);
}

/// The comparison that docs/performance.md is made with, on this drive alone and with one run: it must not rot.
#[test]
fn the_comparison_measures_every_figure() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare.py");
    let mut command = std::process::Command::new("python3");
    command.arg(script).args(["--walrusfs", env!("CARGO_BIN_EXE_walrusfs"), "--subjects", "walrusfs", "--runs", "1"]);
    command
        .args(["--groups", "small,tree,git,write,read", "--modes", "free,pinned"])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = crate::harness::run(command, LIMIT);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let rows = |mode: &str| {
        let (_, table) = said.split_once(mode).unwrap();
        let table = table.trim_start();
        let (table, _) = table.split_once("\n\n").unwrap_or((table, ""));
        table.lines().skip(2).map(|row| row.split('|').nth(3).unwrap().trim().to_owned()).collect::<Vec<_>>()
    };
    let (free, pinned) = (rows("### free"), rows("### pinned"));
    assert_eq!((free.len(), pinned.len()), (20, 15), "{said}");
    assert!(free.iter().chain(&pinned).all(|figure| figure.starts_with(|c: char| c.is_ascii_digit())), "{said}");
}
