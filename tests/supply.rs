//! What the program is made of: licences, advisories and sources of every dependency, checked without the internet.
//!
//! `cargo deny check` (deny.toml) asks the world; this asks Cargo.lock, the sources that cargo has fetched to build, and the advisories that
//! packaging/advisories.toml keeps.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed assumption fails the test")]

use semver::{Version, VersionReq};
use serde_json::Value;
use spdx::{Expression, ParseMode};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn toml(file: &str) -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap().parse().unwrap()
}

fn strings(value: &toml::Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// Every package of the lock file, as its manifest says.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().clone();
    assert!(packages.len() > 200, "{}", packages.len());
    packages
}

fn is_allowed(licence: &str, allowed: &BTreeSet<&str>) -> bool {
    let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else { return false };
    expression.evaluate(|requirement| allowed.contains(requirement.to_string().as_str()))
}

#[test]
fn every_licence_is_allowed() {
    let deny = toml("deny.toml");
    let allowed: BTreeSet<&str> = strings(&deny["licenses"]["allow"]).into_iter().collect();
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(|licence| is_allowed(licence, &allowed)))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "not in deny.toml: {refused:#?}");
    for (licence, verdict) in [
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0", false),
        ("MIT/Apache-2.0", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(licence, &allowed), verdict, "{licence}");
    }
    // What is allowed is used: a list that only grows says nothing.
    let all: Vec<Value> = packages();
    for licence in allowed {
        let used = all.iter().any(|package| package["license"].as_str().is_some_and(|text| text.contains(licence)));
        assert!(used, "nothing has the licence {licence}");
    }
}

#[test]
fn everything_comes_from_the_registry_and_nothing_that_is_banned() {
    let deny = toml("deny.toml");
    let banned: Vec<String> = deny["bans"]["deny"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["crate"].as_str().unwrap().to_owned())
        .collect();
    for package in toml("Cargo.lock")["package"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if let Some(source) = package.get("source") {
            assert!(source.as_str().unwrap().starts_with("registry+"), "{name} comes from {source}");
            assert!(package.get("checksum").is_some(), "{name} has no checksum");
        }
        assert!(!banned.iter().any(|banned| banned == name), "{name} is banned by deny.toml");
    }
}

/// The advisories that hold for `version`, of those of one file.
fn holding<'a>(advisories: &'a toml::Table, name: &str, version: &Version) -> Vec<&'a str> {
    let outside = |advisory: &toml::Value, key: &str| {
        !strings(&advisory[key]).iter().any(|range| VersionReq::parse(range).unwrap().matches(version))
    };
    advisories["advisory"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|advisory| advisory["package"].as_str() == Some(name))
        .filter(|advisory| outside(advisory, "patched") && outside(advisory, "unaffected"))
        .map(|advisory| advisory["id"].as_str().unwrap())
        .collect()
}

#[test]
fn no_advisory_holds_for_a_version_that_is_used() {
    let advisories = toml("packaging/advisories.toml");
    let found: Vec<String> = packages()
        .iter()
        .flat_map(|package| {
            let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
            let ids = holding(&advisories, name, &Version::parse(version).unwrap());
            ids.into_iter().map(|id| format!("{name} {version}: {id}")).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    // The check can fail: versions that were vulnerable are found.
    assert_eq!(holding(&advisories, "anstream", &Version::new(0, 6, 7)), ["RUSTSEC-2024-0404"]);
    assert!(holding(&advisories, "anstream", &Version::new(0, 6, 8)).is_empty());
}
