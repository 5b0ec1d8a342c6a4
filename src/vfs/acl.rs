//! POSIX ACLs in the kernel's extended-attribute form, and how they and a mode say the same.
//!
//! The value is a version (u32 LE, 2) and entries of tag (u16 LE), permissions (u16 LE) and id (u32 LE), as Linux has it
//! in `uapi/linux/posix_acl_xattr.h`; the rules of interplay are those of POSIX 1003.1e draft 17, as in `acl(5)`.

/// Name of the attribute with the access ACL.
pub(super) const ACCESS: &[u8] = b"system.posix_acl_access";
/// Name of the attribute with a directory's default ACL.
pub(super) const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const NO_ID: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tag: u16,
    perm: u16,
    id: u32,
}

/// A valid ACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acl(Vec<Entry>);

impl Acl {
    /// Reads an attribute's value; `None` when it is no valid ACL.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (version, rest) = value.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*version) != VERSION || rest.len() % 8 != 0 {
            return None;
        }
        let entries = rest
            .chunks_exact(8)
            .map(|raw| Entry {
                tag: u16::from_le_bytes([raw[0], raw[1]]),
                perm: u16::from_le_bytes([raw[2], raw[3]]),
                id: u32::from_le_bytes([raw[4], raw[5], raw[6], raw[7]]),
            })
            .collect();
        let acl = Self(entries);
        acl.is_valid().then_some(acl)
    }

    /// The attribute's value.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = VERSION.to_le_bytes().to_vec();
        for entry in &self.0 {
            out.extend_from_slice(&entry.tag.to_le_bytes());
            out.extend_from_slice(&entry.perm.to_le_bytes());
            out.extend_from_slice(&entry.id.to_le_bytes());
        }
        out
    }

    /// Whether there are no entries: setting such an ACL removes it.
    pub(super) fn is_empty_value(value: &[u8]) -> bool {
        value.is_empty() || (value.len() == 4 && value == VERSION.to_le_bytes())
    }

    /// One owner, group and other entry, in the kernel's order; a mask when there are named entries; no name twice.
    fn is_valid(&self) -> bool {
        let order = |entry: &Entry| (entry.tag, if matches!(entry.tag, USER | GROUP) { entry.id } else { 0 });
        let known = self.0.iter().all(|entry| {
            entry.perm & !7 == 0
                && match entry.tag {
                    USER_OBJ | GROUP_OBJ | MASK | OTHER => true,
                    USER | GROUP => entry.id != NO_ID,
                    _ => false,
                }
        });
        let count = |tag: u16| self.0.iter().filter(|entry| entry.tag == tag).count();
        let named = count(USER) + count(GROUP) > 0;
        known
            && self.0.is_sorted_by(|a, b| order(a) < order(b))
            && (count(USER_OBJ), count(GROUP_OBJ), count(OTHER)) == (1, 1, 1)
            && (count(MASK) == 1 || (count(MASK) == 0 && !named))
    }

    fn get(&self, tag: u16) -> Option<u16> {
        self.0.iter().find(|entry| entry.tag == tag).map(|entry| entry.perm)
    }

    /// The entry that the group bits of a mode stand for.
    fn group_class(&self) -> u16 {
        if self.get(MASK).is_some() { MASK } else { GROUP_OBJ }
    }

    /// The permission bits that this ACL is shown as.
    pub(super) fn mode(&self) -> u32 {
        let bits = |tag| u32::from(self.get(tag).unwrap_or(0));
        bits(USER_OBJ) << 6 | bits(self.group_class()) << 3 | bits(OTHER)
    }

    /// Whether a mode says all that this ACL says.
    pub(super) fn is_mode(&self) -> bool {
        self.0.len() == 3
    }

    /// Takes over the permission bits of `mode`, as chmod does.
    pub(super) fn set_mode(&mut self, mode: u32) {
        let group = self.group_class();
        for entry in &mut self.0 {
            let shift = match entry.tag {
                USER_OBJ => 6,
                OTHER => 0,
                tag if tag == group => 3,
                _ => continue,
            };
            entry.perm = (mode >> shift & 7) as u16;
        }
    }

    /// What a new node made with `mode` gets from this default ACL: its own access ACL.
    pub(super) fn inherit(&self, mode: u32) -> Self {
        let mut acl = self.clone();
        let group = acl.group_class();
        for entry in &mut acl.0 {
            let shift = match entry.tag {
                USER_OBJ => 6,
                OTHER => 0,
                tag if tag == group => 3,
                _ => continue,
            };
            entry.perm &= (mode >> shift & 7) as u16;
        }
        acl
    }
}

#[cfg(test)]
pub(super) fn sample(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    Acl(entries.iter().map(|&(tag, perm, id)| Entry { tag, perm, id }).collect()).encode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_valid() {
        let good = [(1, 6, NO_ID), (2, 7, 5), (4, 4, NO_ID), (16, 5, NO_ID), (32, 4, NO_ID)];
        let acl = Acl::parse(&sample(&good)).unwrap();
        assert_eq!((acl.mode(), acl.is_mode()), (0o654, false));
        assert_eq!(acl.encode(), sample(&good));
        let minimal = Acl::parse(&sample(&[(1, 6, NO_ID), (4, 4, NO_ID), (32, 0, NO_ID)])).unwrap();
        assert_eq!((minimal.mode(), minimal.is_mode()), (0o640, true));
        for bad in [
            &[(1, 6, NO_ID), (4, 4, NO_ID)][..],
            &[(1, 6, NO_ID), (2, 7, 5), (4, 4, NO_ID), (32, 4, NO_ID)],
            &[(1, 8, NO_ID), (4, 4, NO_ID), (32, 4, NO_ID)],
            &[(1, 6, NO_ID), (2, 7, 5), (2, 7, 5), (4, 4, NO_ID), (16, 5, NO_ID), (32, 4, NO_ID)],
            &[(4, 4, NO_ID), (1, 6, NO_ID), (32, 4, NO_ID)],
            &[(1, 6, NO_ID), (4, 4, NO_ID), (32, 4, NO_ID), (64, 4, NO_ID)],
        ] {
            assert_eq!(Acl::parse(&sample(bad)), None, "{bad:?}");
        }
        assert_eq!(Acl::parse(&[1, 0, 0, 0]), None);
    }

    #[test]
    fn chmod_and_inheritance_touch_the_mask_not_the_group() {
        let value = sample(&[(1, 7, NO_ID), (2, 7, 5), (4, 5, NO_ID), (16, 7, NO_ID), (32, 5, NO_ID)]);
        let mut acl = Acl::parse(&value).unwrap();
        assert_eq!(acl.inherit(0o640).mode(), 0o640);
        assert_eq!(acl.inherit(0o640).get(GROUP_OBJ), Some(5));
        acl.set_mode(0o710);
        assert_eq!((acl.mode(), acl.get(GROUP_OBJ), acl.get(MASK)), (0o710, Some(5), Some(1)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(acl) = Acl::parse(&bytes) {
                prop_assert_eq!(acl.encode(), bytes);
            }
        }
    }
}
