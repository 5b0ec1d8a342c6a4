//! The packages of the chain: which modules, types and functions exist, with abilities and signatures.
//!
//! Why: clients look signatures up (`GetFunction`, `GetDatatype`, `GetPackage`), the resolver needs `&` against `&mut` for each
//! parameter, and the interpreter checks types and abilities. Mechanism: the declarations are written in a small
//! Move-like notation (`moves/*.decl`), parsed once when the chain opens, and joined with the native function of each declaration.
//!
//! Promises: every declared function has a native (a test checks it); a type that is not declared here does not exist.

use std::collections::BTreeMap;

use sui_sdk_types::{Address, Identifier, StructTag, TypeTag};

use super::moves::Native;

/// A package by the role that it plays; its address is chosen at genesis (except for the framework).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) enum Pkg {
    Std,
    Sui,
    Walrus,
    Wal,
    Exchange,
    Drive,
}

impl Pkg {
    pub(crate) const ALL: [Pkg; 6] = [Pkg::Std, Pkg::Sui, Pkg::Walrus, Pkg::Wal, Pkg::Exchange, Pkg::Drive];
}

/// Addresses of the packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct PackageIds {
    pub(crate) walrus: Address,
    pub(crate) wal: Address,
    pub(crate) exchange: Address,
    pub(crate) drive: Address,
}

impl PackageIds {
    pub(crate) fn of(&self, pkg: Pkg) -> Address {
        match pkg {
            Pkg::Std => Address::from_static("0x1"),
            Pkg::Sui => Address::TWO,
            Pkg::Walrus => self.walrus,
            Pkg::Wal => self.wal,
            Pkg::Exchange => self.exchange,
            Pkg::Drive => self.drive,
        }
    }
}

/// Move abilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    pub(crate) copy: bool,
    pub(crate) drop: bool,
    pub(crate) store: bool,
    pub(crate) key: bool,
}

impl Abilities {
    const VALUE: Abilities = Abilities { copy: true, drop: true, store: true, key: false };
}

/// A type that may contain type parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Plain(TypeTag),
    Vector(Box<Type>),
    Datatype { address: Address, module: Identifier, name: Identifier, args: Vec<Type> },
    Parameter(u16),
}

impl Type {
    /// The type with its parameters filled in.
    pub(crate) fn fill(&self, args: &[TypeTag]) -> Option<TypeTag> {
        Some(match self {
            Type::Plain(tag) => tag.clone(),
            Type::Vector(item) => TypeTag::Vector(Box::new(item.fill(args)?)),
            Type::Datatype { address, module, name, args: inner } => {
                let inner = inner.iter().map(|arg| arg.fill(args)).collect::<Option<Vec<_>>>()?;
                StructTag::new(*address, module.clone(), name.clone(), inner).into()
            }
            Type::Parameter(index) => args.get(usize::from(*index))?.clone(),
        })
    }
}

/// How a parameter is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    Value,
    Ref,
    RefMut,
}

/// A declared function.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) pkg: Pkg,
    pub(crate) module: Identifier,
    pub(crate) name: Identifier,
    /// Position in its module, as an abort's location names it.
    pub(crate) index: u16,
    pub(crate) entry: bool,
    pub(crate) type_params: Vec<Abilities>,
    /// Including the transaction context, which callers do not pass.
    pub(crate) params: Vec<(Passing, Type)>,
    pub(crate) returns: Vec<Type>,
    pub(crate) native: Native,
}

impl Function {
    /// The parameters that a transaction passes.
    pub(crate) fn passed(&self) -> impl Iterator<Item = &(Passing, Type)> {
        self.params.iter().filter(|(_, ty)| !is_context(ty))
    }
}

fn is_context(ty: &Type) -> bool {
    matches!(ty, Type::Datatype { address, module, name, .. }
        if *address == Address::TWO && module == "tx_context" && name == "TxContext")
}

/// A declared struct or enum.
#[derive(Clone, Debug)]
pub(crate) struct Datatype {
    pub(crate) module: Identifier,
    pub(crate) name: Identifier,
    pub(crate) abilities: Abilities,
    /// Constraint and whether the parameter is phantom.
    pub(crate) type_params: Vec<(Abilities, bool)>,
    pub(crate) is_enum: bool,
    pub(crate) fields: Vec<(String, Type)>,
}

/// One package.
#[derive(Clone)]
pub(crate) struct Package {
    pub(crate) id: Address,
    pub(crate) modules: Vec<Identifier>,
    pub(crate) datatypes: Vec<Datatype>,
    pub(crate) functions: Vec<Function>,
}

/// All packages of the chain.
pub(crate) struct Packages {
    pub(crate) ids: PackageIds,
    packages: BTreeMap<Address, Package>,
}

impl Packages {
    /// Parses the declarations for these addresses.
    pub(crate) fn new(
        ids: PackageIds,
        declarations: &[(Pkg, &str)],
        native: impl Fn(Pkg, &str, &str) -> Option<Native>,
    ) -> Result<Self, String> {
        let mut names = Names::default();
        for (pkg, text) in declarations {
            names.collect(*pkg, text)?;
        }
        let mut packages = BTreeMap::new();
        for pkg in Pkg::ALL {
            let id = ids.of(pkg);
            packages.insert(id, Package { id, modules: Vec::new(), datatypes: Vec::new(), functions: Vec::new() });
        }
        for (pkg, text) in declarations {
            let package = packages.get_mut(&ids.of(*pkg)).ok_or("package without an address")?;
            parse_package(*pkg, text, &ids, &names, &native, package)?;
        }
        Ok(Self { ids, packages })
    }

    pub(crate) fn package(&self, id: &Address) -> Option<&Package> {
        self.packages.get(id)
    }

    pub(crate) fn function(&self, package: &Address, module: &str, name: &str) -> Option<&Function> {
        self.packages.get(package)?.functions.iter().find(|f| &*f.module == module && &*f.name == name)
    }

    pub(crate) fn datatype(&self, package: &Address, module: &str, name: &str) -> Option<&Datatype> {
        self.packages.get(package)?.datatypes.iter().find(|d| &*d.module == module && &*d.name == name)
    }

    /// The abilities of a type; `None` if it does not exist.
    pub(crate) fn abilities(&self, ty: &TypeTag) -> Option<Abilities> {
        Some(match ty {
            TypeTag::Vector(item) => {
                let item = self.abilities(item)?;
                Abilities { key: false, ..item }
            }
            TypeTag::Struct(tag) => self.struct_abilities(tag)?,
            TypeTag::Signer => Abilities { drop: true, ..Abilities::default() },
            _ => Abilities::VALUE,
        })
    }

    pub(crate) fn struct_abilities(&self, tag: &StructTag) -> Option<Abilities> {
        let declared = self.datatype(tag.address(), tag.module(), tag.name())?;
        if declared.type_params.len() != tag.type_params().len() {
            return None;
        }
        let mut abilities = declared.abilities;
        for ((_, phantom), arg) in declared.type_params.iter().zip(tag.type_params()) {
            let arg = self.abilities(arg)?;
            if !phantom {
                abilities.copy &= arg.copy;
                abilities.drop &= arg.drop;
                abilities.store &= arg.store;
                abilities.key &= arg.store;
            }
        }
        Some(abilities)
    }
}

/// Where each type name is declared, for unqualified use.
#[derive(Default)]
struct Names {
    types: BTreeMap<String, Vec<(Pkg, String)>>,
}

impl Names {
    fn collect(&mut self, pkg: Pkg, text: &str) -> Result<(), String> {
        let mut module = String::new();
        for line in lines(text) {
            let mut tokens = Tokens::new(line);
            match tokens.next() {
                Some("module") => module = tokens.name()?.to_owned(),
                Some("struct" | "enum") => {
                    self.types.entry(tokens.name()?.to_owned()).or_default().push((pkg, module.clone()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn find(&self, pkg: Pkg, module: &str, qualifier: Option<&str>, name: &str) -> Result<(Pkg, String), String> {
        let found = self.types.get(name).map(Vec::as_slice).unwrap_or_default();
        let fits = |(p, m): &&(Pkg, String)| match qualifier {
            Some(q) => m == q,
            None => *p == pkg && m == module,
        };
        if let Some(hit) = found.iter().find(fits) {
            return Ok(hit.clone());
        }
        match (qualifier, found) {
            (None, [only]) => Ok(only.clone()),
            _ => Err(format!("type {name} in module {module} is not declared, or in several modules")),
        }
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"))
}

struct Tokens<'t> {
    rest: &'t str,
}

impl<'t> Tokens<'t> {
    fn new(rest: &'t str) -> Self {
        Self { rest }
    }

    fn peek(&self) -> Option<&'t str> {
        Tokens { rest: self.rest }.next()
    }

    fn eat(&mut self, token: &str) -> bool {
        let hit = self.peek() == Some(token);
        if hit {
            self.next();
        }
        hit
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("expected {token} before {:?}", self.rest)) }
    }

    fn name(&mut self) -> Result<&'t str, String> {
        match self.next() {
            Some(token) if token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => Ok(token),
            _ => Err(format!("expected a name before {:?}", self.rest)),
        }
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        self.rest = self.rest.trim_start();
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = match self.rest.chars().next()? {
            c if word(c) => self.rest.find(|c| !word(c)).unwrap_or(self.rest.len()),
            ':' if self.rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(token)
    }
}

struct Scope<'s> {
    pkg: Pkg,
    module: &'s str,
    ids: &'s PackageIds,
    names: &'s Names,
    params: Vec<String>,
}

impl Scope<'_> {
    fn parse(&self, tokens: &mut Tokens<'_>) -> Result<Type, String> {
        let name = tokens.name()?;
        let plain = match name {
            "bool" => Some(TypeTag::Bool),
            "u8" => Some(TypeTag::U8),
            "u16" => Some(TypeTag::U16),
            "u32" => Some(TypeTag::U32),
            "u64" => Some(TypeTag::U64),
            "u128" => Some(TypeTag::U128),
            "u256" => Some(TypeTag::U256),
            "address" => Some(TypeTag::Address),
            _ => None,
        };
        if let Some(plain) = plain {
            return Ok(Type::Plain(plain));
        }
        if name == "vector" {
            tokens.expect("<")?;
            let item = self.parse(tokens)?;
            tokens.expect(">")?;
            return Ok(Type::Vector(Box::new(item)));
        }
        if let Some(index) = self.params.iter().position(|param| param == name) {
            return Ok(Type::Parameter(u16::try_from(index).map_err(|_| "too many type parameters")?));
        }
        let (qualifier, name) = if tokens.eat("::") { (Some(name), tokens.name()?) } else { (None, name) };
        let (pkg, module) = self.names.find(self.pkg, self.module, qualifier, name)?;
        let mut args = Vec::new();
        if tokens.eat("<") {
            loop {
                args.push(self.parse(tokens)?);
                if !tokens.eat(",") {
                    break;
                }
            }
            tokens.expect(">")?;
        }
        Ok(Type::Datatype { address: self.ids.of(pkg), module: ident(&module)?, name: ident(name)?, args })
    }
}

fn ident(name: &str) -> Result<Identifier, String> {
    Identifier::new(name).map_err(|error| error.to_string())
}

fn parse_abilities(tokens: &mut Tokens<'_>, separator: &str) -> Result<Abilities, String> {
    let mut abilities = Abilities::default();
    loop {
        match tokens.name()? {
            "copy" => abilities.copy = true,
            "drop" => abilities.drop = true,
            "store" => abilities.store = true,
            "key" => abilities.key = true,
            other => return Err(format!("{other} is no ability")),
        }
        if !tokens.eat(separator) {
            return Ok(abilities);
        }
    }
}

/// `<phantom T, U: key + store>`: names, constraints, phantom marks.
fn parse_type_params(tokens: &mut Tokens<'_>) -> Result<Vec<(String, Abilities, bool)>, String> {
    let mut params = Vec::new();
    if !tokens.eat("<") {
        return Ok(params);
    }
    loop {
        let phantom = tokens.eat("phantom");
        let name = tokens.name()?.to_owned();
        let constraint = if tokens.eat(":") { parse_abilities(tokens, "+")? } else { Abilities::default() };
        params.push((name, constraint, phantom));
        if !tokens.eat(",") {
            break;
        }
    }
    tokens.expect(">")?;
    Ok(params)
}

fn parse_package(
    pkg: Pkg,
    text: &str,
    ids: &PackageIds,
    names: &Names,
    native: &impl Fn(Pkg, &str, &str) -> Option<Native>,
    package: &mut Package,
) -> Result<(), String> {
    let mut module = String::new();
    for line in lines(text) {
        let mut tokens = Tokens::new(line);
        let scope = Scope { pkg, module: &module, ids, names, params: Vec::new() };
        match tokens.next() {
            Some("module") => {
                module = tokens.name()?.to_owned();
                package.modules.push(ident(&module)?);
            }
            Some(kind @ ("struct" | "enum")) => {
                package.datatypes.push(parse_datatype(scope, &mut tokens, kind == "enum")?);
            }
            Some(first) => {
                let entry = first == "entry";
                if entry {
                    tokens.expect("fun")?;
                }
                let index = package.functions.iter().filter(|f| &*f.module == module.as_str()).count();
                let mut function = parse_function(scope, &mut tokens, native)?;
                function.entry = entry;
                function.index = u16::try_from(index).map_err(|_| "too many functions")?;
                package.functions.push(function);
            }
            None => {}
        }
        if !tokens.rest.trim().is_empty() {
            return Err(format!("cannot read {:?} in {line:?}", tokens.rest));
        }
    }
    Ok(())
}

fn parse_datatype(mut scope: Scope<'_>, tokens: &mut Tokens<'_>, is_enum: bool) -> Result<Datatype, String> {
    let name = ident(tokens.name()?)?;
    let params = parse_type_params(tokens)?;
    let abilities = if tokens.eat("has") { parse_abilities(tokens, ",")? } else { Abilities::default() };
    scope.params = params.iter().map(|(name, ..)| name.clone()).collect();
    let mut fields = Vec::new();
    if tokens.eat("{") {
        while !tokens.eat("}") {
            let field = tokens.name()?.to_owned();
            tokens.expect(":")?;
            fields.push((field, scope.parse(tokens)?));
            tokens.eat(",");
        }
    }
    Ok(Datatype {
        module: ident(scope.module)?,
        name,
        abilities,
        type_params: params.into_iter().map(|(_, constraint, phantom)| (constraint, phantom)).collect(),
        is_enum,
        fields,
    })
}

fn parse_function(
    mut scope: Scope<'_>,
    tokens: &mut Tokens<'_>,
    native: &impl Fn(Pkg, &str, &str) -> Option<Native>,
) -> Result<Function, String> {
    let name = tokens.name()?;
    let type_params = parse_type_params(tokens)?;
    scope.params = type_params.iter().map(|(name, ..)| name.clone()).collect();
    tokens.expect("(")?;
    let mut params = Vec::new();
    while !tokens.eat(")") {
        let passing = match (tokens.eat("&"), tokens.peek()) {
            (true, Some("mut")) => {
                tokens.next();
                Passing::RefMut
            }
            (true, _) => Passing::Ref,
            (false, _) => Passing::Value,
        };
        params.push((passing, scope.parse(tokens)?));
        tokens.eat(",");
    }
    let mut returns = Vec::new();
    if tokens.eat(":") {
        if tokens.eat("(") {
            while !tokens.eat(")") {
                returns.push(scope.parse(tokens)?);
                tokens.eat(",");
            }
        } else {
            returns.push(scope.parse(tokens)?);
        }
    }
    let native = native(scope.pkg, scope.module, name)
        .ok_or_else(|| format!("{}::{name} has no native function", scope.module))?;
    Ok(Function {
        pkg: scope.pkg,
        module: ident(scope.module)?,
        name: ident(name)?,
        index: 0,
        entry: false,
        type_params: type_params.into_iter().map(|(_, constraint, _)| constraint).collect(),
        params,
        returns,
        native,
    })
}
