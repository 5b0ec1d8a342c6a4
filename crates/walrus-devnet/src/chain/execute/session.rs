//! The state that one transaction sees and changes: objects by id over an immutable source, events, new and deleted ids.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sui_sdk_types::{Address, Digest, Event, ExecutionError, Identifier, Object, Owner, StructTag, TypeTag};

use crate::chain::packages::{Packages, Pkg};
use crate::chain::store::{ObjectSource, StoreError};

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A Move abort; `module` is the module whose code it is.
    Abort { pkg: Pkg, module: &'static str, code: u64 },
    /// Overflow, division by zero, a cast that does not fit.
    Arithmetic,
    /// Any other execution error.
    Execution(ExecutionError),
    /// The store failed: no answer about the transaction at all.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The result of anything that executes.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// An abort in a module of the Walrus package.
pub(crate) fn abort(module: &'static str, code: u64) -> Failure {
    Failure::Abort { pkg: Pkg::Walrus, module, code }
}

/// Aborts unless `holds`.
pub(crate) fn ensure(holds: bool, module: &'static str, code: u64) -> Outcome<()> {
    if holds { Ok(()) } else { Err(abort(module, code)) }
}

/// The state of an object that the chain's own rules keep well formed did not decode: a defect of this program or of the file.
pub(crate) fn broken() -> Failure {
    Failure::Execution(ExecutionError::InvariantViolation)
}

/// BCS of a value of the chain's own.
pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Outcome<Vec<u8>> {
    bcs::to_bytes(value).map_err(|_| broken())
}

/// A value of the chain's own from BCS.
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Outcome<T> {
    bcs::from_bytes(bytes).map_err(|_| broken())
}

/// An object as it stands at this moment of the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) owner: Owner,
    pub(crate) tag: StructTag,
    pub(crate) contents: Vec<u8>,
}

/// An object before the transaction and now.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) before: Option<Object>,
    pub(crate) now: Option<Live>,
}

/// See the module's head.
pub(crate) struct Session<'a> {
    source: &'a dyn ObjectSource,
    pub(crate) packages: &'a Packages,
    pub(crate) digest: Digest,
    pub(crate) sender: Address,
    /// A transaction of the chain itself: time conditions and the authority of capabilities do not bind it.
    pub(crate) privileged: bool,
    /// Package and module of the Move call that runs, for events.
    pub(crate) caller: (Address, Identifier),
    slots: BTreeMap<Address, Slot>,
    ids: u64,
    created: BTreeSet<Address>,
    deleted: BTreeSet<Address>,
    events: Vec<Event>,
}

/// What a session leaves behind.
pub(crate) struct Changes {
    pub(crate) slots: BTreeMap<Address, Slot>,
    pub(crate) created: BTreeSet<Address>,
    pub(crate) deleted: BTreeSet<Address>,
    pub(crate) events: Vec<Event>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        source: &'a dyn ObjectSource,
        packages: &'a Packages,
        digest: Digest,
        sender: Address,
        privileged: bool,
    ) -> Self {
        Self {
            source,
            packages,
            digest,
            sender,
            privileged,
            caller: (Address::TWO, Identifier::from_static("sui")),
            slots: BTreeMap::new(),
            ids: 0,
            created: BTreeSet::new(),
            deleted: BTreeSet::new(),
            events: Vec::new(),
        }
    }

    /// Ends the session.
    pub(crate) fn finish(self) -> Changes {
        Changes { slots: self.slots, created: self.created, deleted: self.deleted, events: self.events }
    }

    /// The slot of an object, read from the source at first use.
    pub(crate) fn slot(&mut self, id: Address) -> Result<&mut Slot, StoreError> {
        use std::collections::btree_map::Entry;
        match self.slots.entry(id) {
            Entry::Occupied(slot) => Ok(slot.into_mut()),
            Entry::Vacant(vacant) => {
                let before = self.source.object(&id)?;
                let now = before.as_ref().and_then(live);
                Ok(vacant.insert(Slot { before, now }))
            }
        }
    }

    /// A fresh object id.
    pub(crate) fn new_id(&mut self) -> Address {
        let id = Address::derive_id(self.digest, self.ids);
        self.ids += 1;
        self.created.insert(id);
        id
    }

    /// `object::delete`.
    pub(crate) fn delete_id(&mut self, id: Address) {
        if !self.created.remove(&id) {
            self.deleted.insert(id);
        }
    }

    /// Puts an object under an owner.
    pub(crate) fn place(&mut self, owner: Owner, tag: StructTag, contents: Vec<u8>) -> Outcome<Address> {
        let id = id_of(&contents).ok_or_else(broken)?;
        self.slot(id)?.now = Some(Live { owner, tag, contents });
        Ok(id)
    }

    /// Takes an object off its owner: it is wrapped, deleted, or about to be placed again.
    pub(crate) fn take(&mut self, id: Address) -> Outcome<Option<Live>> {
        Ok(self.slot(id)?.now.take())
    }

    /// A struct tag of one of the packages.
    pub(crate) fn tag(&self, pkg: Pkg, module: &'static str, name: &'static str, args: Vec<TypeTag>) -> StructTag {
        StructTag::new(self.packages.ids.of(pkg), Identifier::from_static(module), Identifier::from_static(name), args)
    }

    /// A Walrus type without parameters.
    pub(crate) fn walrus(&self, module: &'static str, name: &'static str) -> StructTag {
        self.tag(Pkg::Walrus, module, name, Vec::new())
    }

    /// `0x..::wal::WAL`.
    pub(crate) fn wal(&self) -> TypeTag {
        self.tag(Pkg::Wal, "wal", "WAL", Vec::new()).into()
    }

    /// Emits an event of the given type.
    pub(crate) fn emit<T: Serialize>(&mut self, type_: StructTag, event: &T) -> Outcome<()> {
        let contents = to_bytes(event)?;
        self.emit_bytes(type_, contents);
        Ok(())
    }

    /// Emits an event that is BCS already.
    pub(crate) fn emit_bytes(&mut self, type_: StructTag, contents: Vec<u8>) {
        let (package_id, module) = self.caller.clone();
        self.events.push(Event { package_id, module, sender: self.sender, type_, contents });
    }

    /// Emits an event of the Walrus module `events`.
    pub(crate) fn walrus_event<T: Serialize>(&mut self, name: &'static str, event: &T) -> Outcome<()> {
        let tag = self.walrus("events", name);
        self.emit(tag, event)
    }

    fn field_tag(&self, name: &TypeTag, value: TypeTag) -> StructTag {
        self.tag(Pkg::Sui, "dynamic_field", "Field", vec![name.clone(), value])
    }

    /// The value of a dynamic field.
    pub(crate) fn field<V: DeserializeOwned>(
        &mut self,
        parent: Address,
        name: &TypeTag,
        key: &[u8],
    ) -> Outcome<Option<V>> {
        let id = parent.derive_dynamic_child_id(name, key);
        match &self.slot(id)?.now {
            Some(live) => {
                let value = live.contents.get(32 + key.len()..).ok_or_else(broken)?;
                from_bytes(value).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Adds or changes a dynamic field.
    pub(crate) fn set_field<V: Serialize>(
        &mut self,
        parent: Address,
        name: &TypeTag,
        key: &[u8],
        value_type: TypeTag,
        value: &V,
    ) -> Outcome<()> {
        let id = parent.derive_dynamic_child_id(name, key);
        let mut contents = id.as_bytes().to_vec();
        contents.extend_from_slice(key);
        contents.extend_from_slice(&to_bytes(value)?);
        let tag = self.field_tag(name, value_type);
        let slot = self.slot(id)?;
        let fresh = slot.now.is_none();
        slot.now = Some(Live { owner: Owner::Object(parent), tag, contents });
        if fresh && !self.deleted.remove(&id) {
            self.created.insert(id);
        }
        Ok(())
    }

    /// Removes a dynamic field; whether there was one.
    pub(crate) fn remove_field(&mut self, parent: Address, name: &TypeTag, key: &[u8]) -> Outcome<bool> {
        let id = parent.derive_dynamic_child_id(name, key);
        let found = self.take(id)?.is_some();
        if found {
            self.delete_id(id);
        }
        Ok(found)
    }

    fn wrapper(&self, name: &TypeTag) -> TypeTag {
        self.tag(Pkg::Sui, "dynamic_object_field", "Wrapper", vec![name.clone()]).into()
    }

    /// The child object behind a dynamic object field.
    pub(crate) fn object_field(&mut self, parent: Address, name: &TypeTag, key: &[u8]) -> Outcome<Option<Live>> {
        let wrapper = self.wrapper(name);
        match self.field::<Address>(parent, &wrapper, key)? {
            Some(child) => Ok(self.slot(child)?.now.clone()),
            None => Ok(None),
        }
    }

    /// Adds a dynamic object field; the name must be free.
    pub(crate) fn add_object_field(
        &mut self,
        parent: Address,
        name: &TypeTag,
        key: &[u8],
        tag: StructTag,
        contents: Vec<u8>,
    ) -> Outcome<()> {
        let wrapper = self.wrapper(name);
        let child = id_of(&contents).ok_or_else(broken)?;
        let id_type = self.tag(Pkg::Sui, "object", "ID", Vec::new());
        self.set_field(parent, &wrapper, key, id_type.into(), &child)?;
        let field = parent.derive_dynamic_child_id(&wrapper, key);
        self.place(Owner::Object(field), tag, contents)?;
        Ok(())
    }

    /// Takes the child object out of a dynamic object field. It has no owner until it is placed or its id deleted.
    pub(crate) fn remove_object_field(&mut self, parent: Address, name: &TypeTag, key: &[u8]) -> Outcome<Option<Live>> {
        let wrapper = self.wrapper(name);
        let Some(child) = self.field::<Address>(parent, &wrapper, key)? else { return Ok(None) };
        self.remove_field(parent, &wrapper, key)?;
        self.take(child)
    }

    /// Changes the contents of an object where it lies.
    pub(crate) fn rewrite<T: Serialize>(&mut self, id: Address, value: &T) -> Outcome<()> {
        let contents = to_bytes(value)?;
        match &mut self.slot(id)?.now {
            Some(live) => {
                live.contents = contents;
                Ok(())
            }
            None => Err(broken()),
        }
    }
}

/// The id that an object's contents begin with.
pub(crate) fn id_of(contents: &[u8]) -> Option<Address> {
    let bytes: [u8; 32] = contents.get(..32)?.try_into().ok()?;
    Some(Address::new(bytes))
}

/// A stored Move object as a live one; packages are not values.
pub(crate) fn live(object: &Object) -> Option<Live> {
    let data = object.as_struct()?;
    Some(Live { owner: *object.owner(), tag: data.object_type().clone(), contents: data.contents().to_vec() })
}
