//! `StateService`: who owns what.

use std::collections::BTreeMap;

use sui_rpc::merge::Merge;
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_rpc::proto::sui::rpc::v2::state_service_server::StateService;
use sui_sdk_types::{Address, Owner, StructTag, TypeTag};
use tonic::{Request, Response, Status};
use walrus_client::wire::chain::{Coin, TreasuryCap, dynamic_object_field_id};

use super::ledger::object;
use super::{Service, address, mask, struct_tag, type_tag};
use crate::chain::store::{ObjectSource, Snapshot};

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 1000;
const MAX_PAGE_BYTES: usize = 512 * 1024;

fn page_size(size: Option<u32>) -> usize {
    match size.map(|size| usize::try_from(size).unwrap_or(MAX_PAGE)) {
        None | Some(0) => DEFAULT_PAGE,
        Some(size) => size.min(MAX_PAGE),
    }
}

/// A page token is the id after which the page begins, bound to what was asked.
fn token(subject: &str, after: &Address) -> Vec<u8> {
    let mut token = after.as_bytes().to_vec();
    token.extend_from_slice(subject.as_bytes());
    token
}

fn read_token(subject: &str, token: Option<&[u8]>) -> Result<Option<Address>, Status> {
    let Some(token) = token else { return Ok(None) };
    let invalid = || Status::invalid_argument("invalid page_token");
    let (id, rest) = token.split_first_chunk::<32>().ok_or_else(invalid)?;
    if rest != subject.as_bytes() {
        return Err(invalid());
    }
    Ok(Some(Address::new(*id)))
}

/// Whether a type is what a filter wants; a filter without type arguments wants every instantiation.
fn matches(filter: &StructTag, tag: &StructTag) -> bool {
    filter.address() == tag.address()
        && filter.module() == tag.module()
        && filter.name() == tag.name()
        && (filter.type_params().is_empty() || filter.type_params() == tag.type_params())
}

/// Sums of an owner's coins by coin type.
pub(super) fn balances(snapshot: &Snapshot, owner: Address) -> Result<BTreeMap<String, u64>, Status> {
    let mut sums = BTreeMap::new();
    for entry in snapshot.owned(&Owner::Address(owner), None)? {
        let (id, tag) = entry?;
        let Some(coin_type) = tag.is_coin() else { continue };
        let coin = snapshot.object(&id)?.and_then(|object| {
            let data = object.as_struct()?;
            bcs::from_bytes::<Coin>(data.contents()).ok()
        });
        let sum: &mut u64 = sums.entry(coin_type.to_string()).or_default();
        *sum = sum.saturating_add(coin.map_or(0, |coin| coin.balance));
    }
    Ok(sums)
}

fn balance(coin_type: String, amount: u64) -> proto::Balance {
    let mut balance = proto::Balance::default();
    balance.coin_type = Some(coin_type);
    balance.balance = Some(amount);
    balance.coin_balance = Some(amount);
    balance.address_balance = Some(0);
    balance
}

/// `Coin<T>` or `T` as the coin type `T`.
fn coin_type(value: &str) -> Result<TypeTag, Status> {
    let tag = type_tag("coin_type", value)?;
    Ok(match &tag {
        TypeTag::Struct(inner) => inner.is_coin().cloned().unwrap_or(tag),
        _ => tag,
    })
}

#[tonic::async_trait]
impl StateService for Service {
    async fn list_owned_objects(
        &self,
        request: Request<proto::ListOwnedObjectsRequest>,
    ) -> Result<Response<proto::ListOwnedObjectsResponse>, Status> {
        let request = request.into_inner();
        let owner = address("owner", request.owner.as_deref())?;
        let filter = request.object_type.as_deref().map(|tag| struct_tag("object_type", tag)).transpose()?;
        let mask = mask::<proto::Object>(request.read_mask, "object_id,version,object_type")?;
        let subject = format!("{owner}{}", filter.as_ref().map(ToString::to_string).unwrap_or_default());
        let after = read_token(&subject, request.page_token.as_deref())?;
        let size = page_size(request.page_size);
        let snapshot = self.chain.snapshot()?;
        let mut response = proto::ListOwnedObjectsResponse::default();
        let mut last = None;
        let mut bytes = 0usize;
        for entry in snapshot.owned(&Owner::Address(owner), after)? {
            let (id, tag) = entry?;
            if filter.as_ref().is_some_and(|filter| !matches(filter, &tag)) {
                continue;
            }
            if let Some(last) = last
                && (response.objects.len() >= size || bytes >= MAX_PAGE_BYTES)
            {
                response.next_page_token = Some(token(&subject, &last).into());
                break;
            }
            if let Some(found) = snapshot.object(&id)? {
                let message = object(found, &mask);
                bytes = bytes.saturating_add(prost::Message::encoded_len(&message));
                response.objects.push(message);
                last = Some(id);
            }
        }
        Ok(Response::new(response))
    }

    async fn get_balance(
        &self,
        request: Request<proto::GetBalanceRequest>,
    ) -> Result<Response<proto::GetBalanceResponse>, Status> {
        let request = request.into_inner();
        let owner = address("owner", request.owner.as_deref())?;
        let coin_type = coin_type(request.coin_type())?.to_string();
        let sums = balances(&self.chain.snapshot()?, owner)?;
        let amount = sums.get(&coin_type).copied().unwrap_or(0);
        let mut response = proto::GetBalanceResponse::default();
        response.balance = Some(balance(coin_type, amount));
        Ok(Response::new(response))
    }

    async fn list_balances(
        &self,
        request: Request<proto::ListBalancesRequest>,
    ) -> Result<Response<proto::ListBalancesResponse>, Status> {
        let request = request.into_inner();
        let owner = address("owner", request.owner.as_deref())?;
        // There are two kinds of coins on this chain: every page is the last.
        let sums = balances(&self.chain.snapshot()?, owner)?;
        let mut response = proto::ListBalancesResponse::default();
        response.balances = sums.into_iter().map(|(coin_type, amount)| balance(coin_type, amount)).collect();
        Ok(Response::new(response))
    }

    async fn get_coin_info(
        &self,
        request: Request<proto::GetCoinInfoRequest>,
    ) -> Result<Response<proto::GetCoinInfoResponse>, Status> {
        let request = request.into_inner();
        let wanted = coin_type(request.coin_type())?;
        let ids = self.chain.ids().map_err(|error| Status::internal(error.to_string()))?;
        let (name, symbol) = if wanted == TypeTag::from(StructTag::sui()) {
            ("Sui", "SUI")
        } else if wanted == TypeTag::from(ids.wal_type.clone()) {
            ("WAL Token", "WAL")
        } else {
            return Err(Status::not_found(format!("Coin type {wanted} not found")));
        };
        let mut metadata = proto::CoinMetadata::default();
        metadata.decimals = Some(9);
        metadata.name = Some(name.into());
        metadata.symbol = Some(symbol.into());
        metadata.description = Some(format!("{name} of a local network"));
        let mut response = proto::GetCoinInfoResponse::default();
        if symbol == "WAL" {
            let cap = wal_supply(&self.chain.snapshot()?, &self.chain)?;
            let mut treasury = proto::CoinTreasury::default();
            treasury.id = Some(cap.id.to_string());
            treasury.total_supply = Some(cap.total_supply);
            response.treasury = Some(treasury);
        }
        response.coin_type = Some(wanted.to_string());
        response.metadata = Some(metadata);
        Ok(Response::new(response))
    }

    async fn list_dynamic_fields(
        &self,
        request: Request<proto::ListDynamicFieldsRequest>,
    ) -> Result<Response<proto::ListDynamicFieldsResponse>, Status> {
        let request = request.into_inner();
        let parent = address("parent", request.parent.as_deref())?;
        let mask = mask::<proto::DynamicField>(request.read_mask, "parent,field_id")?;
        let subject = format!("fields of {parent}");
        let after = read_token(&subject, request.page_token.as_deref())?;
        let size = page_size(request.page_size);
        let snapshot = self.chain.snapshot()?;
        let mut response = proto::ListDynamicFieldsResponse::default();
        let mut last = None;
        for entry in snapshot.owned(&Owner::Object(parent), after)? {
            let (id, tag) = entry?;
            if let Some(last) = last
                && response.dynamic_fields.len() >= size
            {
                response.next_page_token = Some(token(&subject, &last).into());
                break;
            }
            if let Some(field) = dynamic_field(&snapshot, parent, id, &tag, &mask)? {
                response.dynamic_fields.push(field);
                last = Some(id);
            }
        }
        Ok(Response::new(response))
    }
}

fn wal_supply(snapshot: &Snapshot, chain: &crate::chain::api::Chain) -> Result<TreasuryCap, Status> {
    let rules = chain.rules();
    let key = StructTag::new(
        rules.packages.ids.wal,
        sui_sdk_types::Identifier::from_static("wal"),
        sui_sdk_types::Identifier::from_static("TreasuryCapKey"),
        Vec::new(),
    );
    let field = dynamic_object_field_id(&rules.ids.treasury, &key.into(), &[0]);
    let missing = || Status::internal("the WAL treasury is missing");
    let child: Address = crate::chain::executor::field_value(snapshot, field, 1)?.ok_or_else(missing)?;
    let object = snapshot.object(&child)?.ok_or_else(missing)?;
    let contents = object.as_struct().map(|data| data.contents()).ok_or_else(missing)?;
    bcs::from_bytes(contents).map_err(|_| missing())
}

/// The field that lies in the object `id`, cut to the mask.
fn dynamic_field(
    snapshot: &Snapshot,
    parent: Address,
    id: Address,
    tag: &StructTag,
    mask: &sui_rpc::field::FieldMaskTree,
) -> Result<Option<proto::DynamicField>, Status> {
    use proto::dynamic_field::DynamicFieldKind;
    let [name_type, value_type] = tag.type_params() else { return Ok(None) };
    let Some(found) = snapshot.object(&id)? else { return Ok(None) };
    let Some(contents) = found.as_struct().map(|data| data.contents().to_vec()) else { return Ok(None) };
    let wrapped = match name_type {
        TypeTag::Struct(wrapper) if &**wrapper.module() == "dynamic_object_field" => wrapper.type_params().first(),
        _ => None,
    };
    let is_object = wrapped.is_some();
    let body = contents.get(32..).unwrap_or_default();
    let value_length = if is_object { Some(32) } else { None };
    // A value of fixed length tells where the name ends; otherwise the name's own type does.
    let name_length = match value_length {
        Some(length) => body.len().checked_sub(length),
        None => name_length(name_type, body),
    };
    let (name, value) = match name_length.and_then(|length| body.split_at_checked(length)) {
        Some(parts) => parts,
        None => return Ok(None),
    };
    let mut field = proto::DynamicField::default();
    if mask.contains("kind") {
        let kind = if is_object { DynamicFieldKind::Object } else { DynamicFieldKind::Field };
        field.kind = Some(kind.into());
    }
    if mask.contains("parent") {
        field.parent = Some(parent.to_string());
    }
    if mask.contains("field_id") {
        field.field_id = Some(id.to_string());
    }
    if mask.contains("name") {
        let mut bcs = proto::Bcs::from(name.to_vec());
        bcs.name = Some(wrapped.unwrap_or(name_type).to_string());
        field.name = Some(bcs);
    }
    if mask.contains("value") {
        let mut bcs = proto::Bcs::from(value.to_vec());
        bcs.name = Some(value_type.to_string());
        field.value = Some(bcs);
    }
    let child = if is_object {
        let bytes: Option<[u8; 32]> = value.try_into().ok();
        bytes.map(Address::new)
    } else {
        None
    };
    let child_object = child.map(|child| snapshot.object(&child)).transpose()?.flatten();
    if mask.contains("value_type") {
        let of_child = child_object.as_ref().and_then(|object| object.as_struct());
        let of_child = of_child.map(|data| data.object_type().to_string());
        field.value_type = Some(of_child.unwrap_or_else(|| value_type.to_string()));
    }
    if mask.contains("child_id") {
        field.child_id = child.map(|child| child.to_string());
    }
    if let Some(submask) = mask.subtree("child_object") {
        field.child_object = child_object.map(|child| object(child, &submask));
    }
    if let Some(submask) = mask.subtree("field_object") {
        field.field_object = Some(proto::Object::merge_from(found, &submask));
    }
    Ok(Some(field))
}

/// The length of a field's name by its type, for the types that names have on this chain.
fn name_length(ty: &TypeTag, bytes: &[u8]) -> Option<usize> {
    match ty {
        TypeTag::Bool | TypeTag::U8 => Some(1),
        TypeTag::U16 => Some(2),
        TypeTag::U32 => Some(4),
        TypeTag::U64 => Some(8),
        TypeTag::U128 => Some(16),
        TypeTag::U256 | TypeTag::Address => Some(32),
        TypeTag::Vector(item) if **item == TypeTag::U8 => {
            // Names are short: one length byte.
            let length = usize::from(*bytes.first()?);
            (length < 0x80).then_some(length + 1)
        }
        TypeTag::Struct(tag) if &**tag.module() == "object" && &**tag.name() == "ID" => Some(32),
        // Field names without fields of their own are one byte.
        TypeTag::Struct(_) => Some(1),
        _ => None,
    }
}
