//! The house rules that a machine can check: imports point one way, every dependency has its reason.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed assumption fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms of `src`, highest first (docs/architecture.md). A room may import only rooms after itself.
const ROOMS: [&str; 14] = [
    "cli", "fuse", "check", "sync", "vfs", "journal", "tree", "cache", "drive", "pack", "crypto", "seam", "ids",
    "error",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Source without comments, on one line.
fn code(source: &str) -> String {
    source.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join(" ")
}

/// The rooms that a source imports from the crate's root.
fn imports(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for piece in code(source).split("crate::").skip(1) {
        let word = |text: &str| -> String {
            text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        };
        let Some(group) = piece.strip_prefix('{') else {
            found.insert(word(piece));
            continue;
        };
        let mut depth = 0;
        let mut item = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    found.insert(word(&item));
                    item.clear();
                    continue;
                }
                _ => {}
            }
            item.push(c);
        }
        found.insert(word(&item));
    }
    found.remove("");
    found
}

#[test]
fn the_check_sees_imports() {
    let seen =
        imports("use crate::{\n    ids::{Ino, Lsn},\n    cli,\n};\nlet x = crate::vfs::Vfs::new(); // crate::fuse\n");
    assert_eq!(seen, ["cli", "ids", "vfs"].map(str::to_owned).into());
}

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for (rank, room) in ROOMS.iter().enumerate() {
        let mut files = Vec::new();
        let dir = root().join("src").join(room);
        if dir.is_dir() {
            rust_files(&dir, &mut files);
        }
        for file in files {
            for import in imports(&fs::read_to_string(&file).unwrap()) {
                if ROOMS[..rank].contains(&import.as_str()) {
                    wrong.push(format!("{} imports `{import}`", file.strip_prefix(root()).unwrap().display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports of a higher room:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_has_its_place() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let room = name.trim_end_matches(".rs");
        assert!(
            ROOMS.contains(&room) || matches!(room, "lib" | "main"),
            "src/{name} has no place in the order of rooms"
        );
    }
}

#[test]
fn only_the_command_line_reaches_the_devnet() {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    for file in files {
        let shown = file.strip_prefix(root()).unwrap().display().to_string();
        if code(&fs::read_to_string(&file).unwrap()).contains("walrus_devnet") {
            assert!(shown.starts_with("src/cli/"), "{shown}: the client must not know what network it talks to");
        }
    }
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let named: BTreeSet<&str> = reasons
        .lines()
        .filter_map(|row| row.strip_prefix('|')?.split('|').next())
        .flat_map(|cell| cell.split(',').map(str::trim))
        .collect();
    let own = ["redstuff", "walrus-client", "walrus-devnet", "walrusfs"];
    let mut missing = BTreeSet::new();
    for package in ["", "crates/redstuff", "crates/walrus-client", "crates/walrus-devnet"] {
        let manifest = root().join(package).join("Cargo.toml");
        let parsed: toml::Table = fs::read_to_string(&manifest).unwrap().parse().unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = parsed.get(section).and_then(|value| value.as_table()) else { continue };
            let unexplained =
                table.keys().filter(|name| !own.contains(&name.as_str()) && !named.contains(name.as_str()));
            missing.extend(unexplained.cloned());
        }
    }
    assert!(missing.is_empty(), "no reason in docs/dependencies.md for {missing:?}");
}

/// The documents call scripts by their names.
#[test]
fn scripts_can_be_executed() {
    use std::os::unix::fs::PermissionsExt;
    let mut folders: Vec<PathBuf> =
        [".ci", "benches", "contracts", "docs", "fuzz", "mount-helpers", "packaging", "tests"]
            .map(|folder| root().join(folder))
            .into();
    let mut scripts = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "node_modules" && name != "target") {
                    folders.push(path);
                }
            } else if path.is_file() && fs::read(&path).unwrap().starts_with(b"#!") {
                scripts += 1;
                let mode = fs::metadata(&path).unwrap().permissions().mode();
                assert!(mode & 0o111 != 0, "{} cannot be executed: chmod +x", path.display());
            }
        }
    }
    assert!(scripts > 12, "only {scripts} scripts were found");
}
