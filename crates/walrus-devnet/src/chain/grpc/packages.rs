//! `MovePackageService`: declarations of the native packages.

use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_rpc::proto::sui::rpc::v2::move_package_service_server::MovePackageService;
use sui_sdk_types::TypeTag;
use tonic::{Request, Response, Status};

use super::{Service, address};
use crate::chain::packages::{Abilities, Datatype, Function, Package, Passing, Type};

fn abilities(abilities: Abilities) -> Vec<i32> {
    let named = [
        (abilities.copy, proto::Ability::Copy),
        (abilities.drop, proto::Ability::Drop),
        (abilities.store, proto::Ability::Store),
        (abilities.key, proto::Ability::Key),
    ];
    named.into_iter().filter(|(has, _)| *has).map(|(_, ability)| ability.into()).collect()
}

fn body(ty: &Type) -> proto::OpenSignatureBody {
    use proto::open_signature_body::Type as Kind;
    let mut message = proto::OpenSignatureBody::default();
    let kind = match ty {
        Type::Plain(tag) => match tag {
            TypeTag::Address => Kind::Address,
            TypeTag::Bool => Kind::Bool,
            TypeTag::U8 => Kind::U8,
            TypeTag::U16 => Kind::U16,
            TypeTag::U32 => Kind::U32,
            TypeTag::U64 => Kind::U64,
            TypeTag::U128 => Kind::U128,
            TypeTag::U256 => Kind::U256,
            _ => Kind::Unknown,
        },
        Type::Vector(item) => {
            message.type_parameter_instantiation = vec![body(item)];
            Kind::Vector
        }
        Type::Datatype { address, module, name, args } => {
            message.type_name = Some(format!("{address}::{module}::{name}"));
            message.type_parameter_instantiation = args.iter().map(body).collect();
            Kind::Datatype
        }
        Type::Parameter(index) => {
            message.type_parameter = Some(u32::from(*index));
            Kind::Parameter
        }
    };
    message.r#type = Some(kind.into());
    message
}

fn signature(passing: Passing, ty: &Type) -> proto::OpenSignature {
    use proto::open_signature::Reference;
    let mut message = proto::OpenSignature::default();
    message.reference = match passing {
        Passing::Value => None,
        Passing::Ref => Some(Reference::Immutable.into()),
        Passing::RefMut => Some(Reference::Mutable.into()),
    };
    message.body = Some(body(ty));
    message
}

fn function(function: &Function) -> proto::FunctionDescriptor {
    let mut message = proto::FunctionDescriptor::default();
    message.name = Some(function.name.to_string());
    message.visibility = Some(proto::function_descriptor::Visibility::Public.into());
    message.is_entry = Some(function.entry);
    message.type_parameters = function
        .type_params
        .iter()
        .map(|constraint| {
            let mut parameter = proto::TypeParameter::default();
            parameter.constraints = abilities(*constraint);
            parameter.is_phantom = Some(false);
            parameter
        })
        .collect();
    message.parameters = function.params.iter().map(|(passing, ty)| signature(*passing, ty)).collect();
    message.returns = function.returns.iter().map(|ty| signature(Passing::Value, ty)).collect();
    message
}

fn datatype(package: &Package, datatype: &Datatype) -> proto::DatatypeDescriptor {
    use proto::datatype_descriptor::DatatypeKind;
    let mut message = proto::DatatypeDescriptor::default();
    message.type_name = Some(format!("{}::{}::{}", package.id, datatype.module, datatype.name));
    message.defining_id = Some(package.id.to_string());
    message.module = Some(datatype.module.to_string());
    message.name = Some(datatype.name.to_string());
    message.abilities = abilities(datatype.abilities);
    message.type_parameters = datatype
        .type_params
        .iter()
        .map(|(constraint, phantom)| {
            let mut parameter = proto::TypeParameter::default();
            parameter.constraints = abilities(*constraint);
            parameter.is_phantom = Some(*phantom);
            parameter
        })
        .collect();
    let kind = if datatype.is_enum { DatatypeKind::Enum } else { DatatypeKind::Struct };
    message.kind = Some(kind.into());
    message.fields = datatype
        .fields
        .iter()
        .zip(0u32..)
        .map(|((name, ty), position)| {
            let mut field = proto::FieldDescriptor::default();
            field.name = Some(name.clone());
            field.position = Some(position);
            field.r#type = Some(body(ty));
            field
        })
        .collect();
    message
}

fn described(package: &Package) -> proto::Package {
    let mut message = proto::Package::default();
    message.storage_id = Some(package.id.to_string());
    message.original_id = Some(package.id.to_string());
    message.version = Some(1);
    for name in &package.modules {
        let mut module = proto::Module::default();
        module.name = Some(name.to_string());
        let datatypes = package.datatypes.iter().filter(|datatype| datatype.module == *name);
        module.datatypes = datatypes.map(|declared| datatype(package, declared)).collect();
        let functions = package.functions.iter().filter(|function| function.module == *name);
        module.functions = functions.map(function).collect();
        message.modules.push(module);
    }
    message.type_origins = package
        .datatypes
        .iter()
        .map(|datatype| {
            let mut origin = proto::TypeOrigin::default();
            origin.module_name = Some(datatype.module.to_string());
            origin.datatype_name = Some(datatype.name.to_string());
            origin.package_id = Some(package.id.to_string());
            origin
        })
        .collect();
    message
}

impl Service {
    fn package(&self, id: Option<&str>) -> Result<&Package, Status> {
        let id = address("package_id", id)?;
        self.chain.rules().packages.package(&id).ok_or_else(|| Status::not_found(format!("Package {id} not found")))
    }
}

#[tonic::async_trait]
impl MovePackageService for Service {
    async fn get_package(
        &self,
        request: Request<proto::GetPackageRequest>,
    ) -> Result<Response<proto::GetPackageResponse>, Status> {
        let request = request.into_inner();
        let mut response = proto::GetPackageResponse::default();
        response.package = Some(described(self.package(request.package_id.as_deref())?));
        Ok(Response::new(response))
    }

    async fn get_datatype(
        &self,
        request: Request<proto::GetDatatypeRequest>,
    ) -> Result<Response<proto::GetDatatypeResponse>, Status> {
        let request = request.into_inner();
        let package = self.package(request.package_id.as_deref())?;
        let (module, name) = (request.module_name(), request.name());
        let declared = self
            .chain
            .rules()
            .packages
            .datatype(&package.id, module, name)
            .ok_or_else(|| Status::not_found(format!("Datatype {module}::{name} not found")))?;
        let mut response = proto::GetDatatypeResponse::default();
        response.datatype = Some(datatype(package, declared));
        Ok(Response::new(response))
    }

    async fn get_function(
        &self,
        request: Request<proto::GetFunctionRequest>,
    ) -> Result<Response<proto::GetFunctionResponse>, Status> {
        let request = request.into_inner();
        let package = self.package(request.package_id.as_deref())?;
        let (module, name) = (request.module_name(), request.name());
        let declared = self
            .chain
            .rules()
            .packages
            .function(&package.id, module, name)
            .ok_or_else(|| Status::internal(format!("Function {module}::{name} not found")))?;
        let mut response = proto::GetFunctionResponse::default();
        response.function = Some(function(declared));
        Ok(Response::new(response))
    }

    async fn list_package_versions(
        &self,
        request: Request<proto::ListPackageVersionsRequest>,
    ) -> Result<Response<proto::ListPackageVersionsResponse>, Status> {
        let request = request.into_inner();
        let package = self.package(request.package_id.as_deref())?;
        let mut version = proto::PackageVersion::default();
        version.package_id = Some(package.id.to_string());
        version.version = Some(1);
        let mut response = proto::ListPackageVersionsResponse::default();
        response.versions = vec![version];
        Ok(Response::new(response))
    }
}
