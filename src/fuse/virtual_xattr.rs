//! Extended attributes that tell what became of a file. They are answered to those who ask by name and listed nowhere, so that programs
//! that copy attributes do not copy them.

use crate::ids::Ino;
use crate::vfs::{Outcome, Placement, Reached, Vfs};
use redstuff::BlobId;
use std::ffi::OsStr;

/// What all their names begin with.
const PREFIX: &str = "user.walrusfs.";

/// An attribute that every file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Virtual {
    /// `dirty`, `pending` or `certified`.
    State,
    /// The blob that holds the content; of several, all of them, one a line. None for what lies in the tree.
    Blob,
    /// When the storage ends, seconds since the Unix epoch.
    Expires,
}

impl Virtual {
    /// The attribute of this name.
    pub(crate) fn named(name: &OsStr) -> Option<Self> {
        match name.to_str()?.strip_prefix(PREFIX)? {
            "state" => Some(Self::State),
            "blob" => Some(Self::Blob),
            "expires" => Some(Self::Expires),
            _ => None,
        }
    }

    /// Its value for `ino`; `ends_at_ms` is the storage's end.
    pub(crate) fn value(self, vfs: &Vfs, ino: Ino, ends_at_ms: Option<u64>) -> Outcome<Vec<u8>> {
        let placement = match vfs.placement(ino) {
            Outcome::Wait(needs) => return Outcome::Wait(needs),
            Outcome::Done(Err(error)) => return Outcome::Done(Err(error)),
            Outcome::Done(Ok(placement)) => placement,
        };
        Outcome::Done(self.text(&placement, ends_at_ms).map(String::into_bytes).ok_or_else(|| {
            crate::error::FsError::new(crate::error::Kind::Posix(libc::ENODATA), "the file has no such attribute")
        }))
    }

    fn text(self, placement: &Placement, ends_at_ms: Option<u64>) -> Option<String> {
        match self {
            Self::State => Some(
                match placement.reached {
                    Reached::Memory => "dirty",
                    Reached::Journal => "pending",
                    Reached::Network => "certified",
                }
                .to_owned(),
            ),
            Self::Blob if placement.blobs.is_empty() => None,
            Self::Blob => Some(placement.blobs.iter().map(|id| BlobId(*id).to_string()).collect::<Vec<_>>().join("\n")),
            Self::Expires => ends_at_ms.map(|ms| (ms / 1000).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values() {
        assert_eq!(Virtual::named(OsStr::new("user.walrusfs.state")), Some(Virtual::State));
        for name in ["user.walrusfs.control", "user.state", "trusted.walrusfs.state", "user.walrusfs.", ""] {
            assert_eq!(Virtual::named(OsStr::new(name)), None, "{name}");
        }
        let mut placement = Placement { reached: Reached::Journal, blobs: Vec::new() };
        assert_eq!(Virtual::State.text(&placement, None).as_deref(), Some("pending"));
        assert_eq!(Virtual::Blob.text(&placement, None), None);
        assert_eq!(Virtual::Expires.text(&placement, None), None);
        assert_eq!(Virtual::Expires.text(&placement, Some(1_795_228_200_999)).as_deref(), Some("1795228200"));
        placement.blobs = vec![[1; 32], [2; 32]];
        let text = Virtual::Blob.text(&placement, None).unwrap();
        assert_eq!(
            text.lines().map(|id| id.parse().unwrap()).collect::<Vec<BlobId>>(),
            [BlobId([1; 32]), BlobId([2; 32])]
        );
        // As many as there can be fit into an attribute.
        placement.blobs = vec![[1; 32]; crate::vfs::BLOBS];
        assert!(Virtual::Blob.text(&placement, None).unwrap().len() < 65_536);
    }
}
