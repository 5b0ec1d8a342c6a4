//! The house rules that a machine can check: imports point one way, every dependency has its reason, diagrams can be drawn.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed assumption fails the test")]

use std::collections::{BTreeMap, BTreeSet};
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

/// The manifests that docs/dependencies.md speaks of, by the names that it gives them.
const MANIFESTS: [(&str, &str); 6] = [
    ("walrusfs", ""),
    ("redstuff", "crates/redstuff"),
    ("walrus-client", "crates/walrus-client"),
    ("walrus-devnet", "crates/walrus-devnet"),
    ("fuzz", "fuzz"),
    ("contracts", "contracts/framework"),
];

#[test]
fn the_table_of_dependencies_says_who_uses_them() {
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (package, folder) in MANIFESTS {
        let parsed: toml::Table = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap().parse().unwrap();
        let names = |section: &str| -> BTreeSet<String> {
            parsed
                .get(section)
                .and_then(|value| value.as_table())
                .into_iter()
                .flat_map(|table| table.keys().cloned())
                .collect()
        };
        let (built, tested) = (names("dependencies"), names("dev-dependencies"));
        let own = |name: &&String| MANIFESTS.iter().all(|(package, _)| package != name);
        for name in built.iter().filter(own) {
            users.entry(name.clone()).or_default().insert(package.to_owned());
        }
        for name in tested.difference(&built).filter(own) {
            users.entry(name.clone()).or_default().insert(format!("tests of {package}"));
        }
    }
    let page = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let (table, _) = page.split_once("\n## ").unwrap();
    let mut said: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in table.lines().filter_map(|line| line.strip_prefix("| ")).skip(1) {
        let mut cells = row.split('|').map(|cell| cell.split(',').map(|word| word.trim().to_owned()));
        let (names, by) = (cells.next().unwrap(), cells.next().unwrap());
        let by: BTreeSet<String> = by.collect();
        said.extend(names.map(|name| (name, by.clone())));
    }
    for (name, by) in &users {
        assert_eq!(said.get(name), Some(by), "docs/dependencies.md, who uses `{name}` (right: what the manifests say)");
    }
    let gone: Vec<&String> = said.keys().filter(|name| !users.contains_key(*name)).collect();
    assert!(gone.is_empty(), "docs/dependencies.md explains {gone:?}, which no manifest names");
}

/// Why Mermaid would not draw `diagram`, the text of a block, as far as it can be told without its parser: `;` ends a statement in a
/// sequence diagram, blocks end with `end`, and a line that is no known statement is a message between two participants.
fn mermaid_faults(diagram: &str) -> Vec<String> {
    let lines: Vec<&str> = diagram.lines().map(str::trim).filter(|line| !line.starts_with("%%")).collect();
    let mut faults = Vec::new();
    match lines.iter().find(|line| !line.is_empty()).and_then(|line| line.split_whitespace().next()) {
        Some("flowchart") => return faults,
        Some("sequenceDiagram") => {}
        kind => return vec![format!("no kind of diagram that this test knows: {kind:?}")],
    }
    let mut participants = BTreeSet::new();
    let mut open: Vec<&str> = Vec::new();
    for line in lines.into_iter().skip_while(|line| *line != "sequenceDiagram").skip(1).filter(|line| !line.is_empty())
    {
        let mut wrong = |why: &str| faults.push(format!("`{line}`: {why}"));
        if line.contains(';') {
            wrong("`;` ends the statement");
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "participant" | "actor" => {
                if !participants.insert(rest.split(" as ").next().unwrap_or_default()) {
                    wrong("named twice");
                }
            }
            "alt" | "opt" | "loop" | "par" | "critical" | "break" | "rect" => open.push(word),
            "else" if open.last() == Some(&"alt") => {}
            "and" if open.last() == Some(&"par") => {}
            "option" if open.last() == Some(&"critical") => {}
            "else" | "and" | "option" => wrong("in no block that has it"),
            "end" if rest.is_empty() => {
                if open.pop().is_none() {
                    wrong("nothing is open");
                }
            }
            "autonumber" => {}
            _ => {
                let ends: Vec<&str> = match line.split_once(": ") {
                    None => Vec::new(),
                    Some((head, _)) if word == "Note" => ["over ", "left of ", "right of "]
                        .iter()
                        .find_map(|place| head.strip_prefix("Note ")?.strip_prefix(place))
                        .map(|names| names.split(',').collect())
                        .unwrap_or_default(),
                    Some((head, _)) => ["-->>", "->>", "--x", "-x"]
                        .iter()
                        .find_map(|arrow| head.split_once(arrow))
                        .map(|(from, to)| vec![from, to])
                        .unwrap_or_default(),
                };
                if ends.is_empty() {
                    wrong("no statement");
                }
                for name in ends.into_iter().filter(|name| !participants.contains(name)) {
                    wrong(&format!("`{name}` is no participant"));
                }
            }
        }
    }
    faults.extend(open.into_iter().map(|word| format!("`{word}` has no end")));
    faults
}

#[test]
fn diagrams_can_be_drawn() {
    let mut pages = vec![root().join("README.md")];
    pages.extend(fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let mut diagrams = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(page).unwrap();
        for block in text.split("```mermaid\n").skip(1) {
            let faults = mermaid_faults(block.split("```").next().unwrap_or_default());
            assert!(faults.is_empty(), "{}:\n{}", page.display(), faults.join("\n"));
            diagrams += 1;
        }
    }
    assert!(diagrams > 1, "only {diagrams} diagrams were found");
}

#[test]
fn diagrams_that_cannot_be_drawn_are_seen() {
    let faults =
        |body: &str| mermaid_faults(&format!("sequenceDiagram\n    participant A as a\n    participant B\n{body}\n"));
    for right in [
        "A->>B: x, y: z",
        "A-->>B: x\nNote over A,B: y",
        "alt one\nA->>B: x\nelse other\nloop all\nB->>A: y\nend\nend",
        "%% a;comment",
    ] {
        assert!(faults(right).is_empty(), "{right}: {:?}", faults(right));
    }
    for wrong in [
        "A->>B: x; y",
        "loop x; y\nend",
        "alt x\nA->>B: y",
        "A->>B: y\nend",
        "else x",
        "loop x\nelse y\nend",
        "A->>B",
        "then A->>B: x",
        "A->>C: x",
        "Note above A: x",
    ] {
        assert!(!faults(wrong).is_empty(), "{wrong}");
    }
    assert!(!mermaid_faults("sequencediagram\nA->>B: x").is_empty());
    assert!(mermaid_faults("flowchart TD\n    A[a; b] --> B").is_empty());
}

#[test]
fn every_metric_is_in_the_contract_with_scripts() {
    let source = fs::read_to_string(root().join("src/cli/mount/metrics.rs")).unwrap();
    let source = code(&source).split_whitespace().collect::<Vec<_>>().join(" ").replace("( \"", "(\"");
    let names: Vec<&str> = source
        .split("(\"")
        .filter_map(|piece| piece.split_once("\", \""))
        .filter(|(_, rest)| rest.starts_with("gauge\"") || rest.starts_with("counter\""))
        .map(|(name, _)| name)
        .collect();
    assert!(names.len() > 25, "only {names:?} were found");
    let page = fs::read_to_string(root().join("docs/cli-abi.md")).unwrap();
    for name in names {
        assert!(page.contains(&format!("`walrusfs_{name}`")), "docs/cli-abi.md does not name walrusfs_{name}");
    }
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
