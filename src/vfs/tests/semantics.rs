//! Every sentence of `docs/semantics.md` has a test that names it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn ids(text: &str) -> BTreeSet<String> {
    let is_id = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
    text.split(|c: char| !is_id(c))
        .filter(|word| {
            let parts: Vec<&str> = word.split('-').collect();
            matches!(parts[..], ["S", area, number] if !area.is_empty() && number.parse::<u32>().is_ok())
        })
        .map(str::to_owned)
        .collect()
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_sentence_has_a_test_and_every_test_a_sentence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let promised = ids(&std::fs::read_to_string(root.join("docs/semantics.md")).unwrap());
    assert!(promised.len() > 40, "the document was not read");
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let mut named = BTreeSet::new();
    for file in files {
        let source = std::fs::read_to_string(&file).unwrap();
        // Only sources with tests count, and the rest of a file before its tests does not.
        let tests = if file.components().any(|part| part.as_os_str() == "tests") {
            &source[..]
        } else {
            source.split_once("#[cfg(test)]").map_or("", |(_, tests)| tests)
        };
        named.extend(ids(tests));
    }
    let untested: Vec<_> = promised.difference(&named).collect();
    assert!(untested.is_empty(), "no test names {untested:?}");
    let unknown: Vec<_> = named.difference(&promised).collect();
    assert!(unknown.is_empty(), "docs/semantics.md has no {unknown:?}");
}
