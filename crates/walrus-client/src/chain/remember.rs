//! What the chain said last, for starting while it cannot be asked.
//!
//! [`Remembering`] stands over another transport and keeps the last answer to each reading in a folder, one file for each
//! object, list or fact. While [`Remembering::serve`] is on, a reading that gets no answer in time is answered from there, and
//! from then on all of them are, without asking again: whoever opens a drive makes a dozen readings, and would otherwise wait
//! for each of them. Transactions, their simulation and their effects always go to the chain.
//!
//! It assumes that its user authenticates what it reads, as it must with any server: an answer from the folder is a server
//! that is behind. A file that cannot be read is an answer that was never given; one that cannot be written is left.

use super::{ChainTransport, Effects, GasInfo, ObjectInfo, Owner, SendOutcome, TypeOrigin};
use crate::error::{ClientError, ClientResult};
use crate::wire::chain::ObjectId;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use sui_sdk_types::{Address, Digest, StructTag, Transaction};

/// How long the chain is waited for where a remembered answer would do.
const PATIENCE: Duration = Duration::from_secs(3);

/// Version of the files' form; a file of another one is no answer.
const VERSION: u16 = 1;

/// See the module.
pub struct Remembering {
    inner: Arc<dyn ChainTransport>,
    dir: PathBuf,
    serving: AtomicBool,
    /// The chain gave no answer since serving began.
    gone: AtomicBool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptObject {
    id: ObjectId,
    version: u64,
    digest: Digest,
    owner: Owner,
    object_type: Option<StructTag>,
    contents: Vec<u8>,
    previous: Option<Digest>,
}

impl From<&ObjectInfo> for KeptObject {
    fn from(object: &ObjectInfo) -> Self {
        Self {
            id: object.id,
            version: object.version,
            digest: object.digest,
            owner: object.owner,
            object_type: object.object_type.clone(),
            contents: object.contents.to_vec(),
            previous: object.previous_transaction,
        }
    }
}

impl From<KeptObject> for ObjectInfo {
    fn from(kept: KeptObject) -> Self {
        Self {
            id: kept.id,
            version: kept.version,
            digest: kept.digest,
            owner: kept.owner,
            object_type: kept.object_type,
            contents: Bytes::from(kept.contents),
            previous_transaction: kept.previous,
        }
    }
}

impl Remembering {
    /// Stands over `inner` and keeps its answers in `dir`, which is made when there is something to keep.
    pub fn new(inner: Arc<dyn ChainTransport>, dir: &Path) -> Self {
        Self { inner, dir: dir.to_owned(), serving: AtomicBool::new(false), gone: AtomicBool::new(false) }
    }

    /// Whether readings without an answer are answered from the folder.
    pub fn serve(&self, on: bool) {
        self.gone.store(false, Ordering::Release);
        self.serving.store(on, Ordering::Release);
    }

    /// Whether the chain gave no answer since serving began.
    pub fn is_offline(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Asks the chain, or answers from the folder where that is wanted and possible.
    async fn ask<T>(
        &self,
        asked: impl Future<Output = ClientResult<T>>,
        remembered: impl FnOnce() -> Option<T>,
    ) -> ClientResult<T> {
        if !self.serving.load(Ordering::Acquire) {
            return asked.await;
        }
        let Some(known) = remembered() else { return asked.await };
        if self.gone.load(Ordering::Acquire) {
            return Ok(known);
        }
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Err(ClientError::Unreachable { .. })) | Err(_) => {
                self.gone.store(true, Ordering::Release);
                tracing::warn!("the chain does not answer; going on with what it said last");
                Ok(known)
            }
            Ok(answer) => answer,
        }
    }

    fn load<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = fs::read(self.dir.join(name)).ok()?;
        let (version, body) = bytes.split_first_chunk::<2>()?;
        (u16::from_le_bytes(*version) == VERSION).then(|| bcs::from_bytes(body).ok())?
    }

    /// Keeps an answer, unless the same is kept already.
    fn keep<T: Serialize + DeserializeOwned + PartialEq>(&self, name: &str, answer: &T) {
        if self.load::<T>(name).as_ref() == Some(answer) {
            return;
        }
        let kept = bcs::to_bytes(answer).map_err(std::io::Error::other).and_then(|body| {
            fs::create_dir_all(&self.dir)?;
            let temporary = self.dir.join(format!("{name}.new"));
            fs::write(&temporary, [&VERSION.to_le_bytes()[..], &body].concat())?;
            fs::rename(&temporary, self.dir.join(name))
        });
        if let Err(error) = kept {
            tracing::debug!(%error, name, "an answer of the chain was not kept");
        }
    }

    fn keep_object(&self, object: &ObjectInfo) {
        let name = object_name(&object.id);
        let kept: Option<KeptObject> = self.load(&name);
        // A server that lags does not make this one forget.
        if kept.is_none_or(|kept| kept.version < object.version) {
            self.keep(&name, &KeptObject::from(object));
        }
    }

    fn object(&self, id: &ObjectId) -> Option<ObjectInfo> {
        self.load::<KeptObject>(&object_name(id)).filter(|kept| kept.id == *id).map(ObjectInfo::from)
    }
}

fn object_name(id: &ObjectId) -> String {
    format!("object-{}", hex::encode(id.as_bytes()))
}

impl ChainTransport for Remembering {
    fn objects<'a>(&'a self, ids: &'a [ObjectId]) -> BoxFuture<'a, ClientResult<Vec<Option<ObjectInfo>>>> {
        async move {
            let remembered = || ids.iter().map(|id| self.object(id).map(Some)).collect();
            let found = self.ask(self.inner.objects(ids), remembered).await?;
            found.iter().flatten().for_each(|object| self.keep_object(object));
            Ok(found)
        }
        .boxed()
    }

    fn object_everywhere<'a>(&'a self, id: &'a ObjectId) -> BoxFuture<'a, Vec<ClientResult<Option<ObjectInfo>>>> {
        async move {
            // One server that answers is an answer; what is remembered is one more server, asked when none does.
            let asked = async {
                let mut answers = self.inner.object_everywhere(id).await;
                match answers.iter().all(Result::is_err) {
                    true => answers.pop().unwrap_or(Ok(None)).map(|found| vec![Ok(found)]),
                    false => Ok(answers),
                }
            };
            let remembered = || self.object(id).map(|object| vec![Ok(Some(object))]);
            match self.ask(asked, remembered).await {
                Ok(answers) => {
                    answers.iter().flatten().flatten().for_each(|object| self.keep_object(object));
                    answers
                }
                Err(error) => vec![Err(error)],
            }
        }
        .boxed()
    }

    fn owned_objects<'a>(
        &'a self,
        owner: &'a Address,
        object_type: &'a StructTag,
    ) -> BoxFuture<'a, ClientResult<Vec<ObjectInfo>>> {
        async move {
            let (module, kind) = (object_type.module(), object_type.name());
            let name = format!("owned-{}-{}-{}", hex::encode(owner.as_bytes()), module.as_str(), kind.as_str());
            let remembered = || {
                let ids: Vec<ObjectId> = self.load(&name)?;
                ids.iter().map(|id| self.object(id)).collect()
            };
            let found = self.ask(self.inner.owned_objects(owner, object_type), remembered).await?;
            found.iter().for_each(|object| self.keep_object(object));
            self.keep(&name, &found.iter().map(|object| object.id).collect::<Vec<ObjectId>>());
            Ok(found)
        }
        .boxed()
    }

    fn fields<'a>(&'a self, parent: &'a ObjectId) -> BoxFuture<'a, ClientResult<Vec<ObjectId>>> {
        async move {
            let name = format!("fields-{}", hex::encode(parent.as_bytes()));
            let found = self.ask(self.inner.fields(parent), || self.load(&name)).await?;
            self.keep(&name, &found);
            Ok(found)
        }
        .boxed()
    }

    fn gas_info(&self) -> BoxFuture<'_, ClientResult<GasInfo>> {
        self.inner.gas_info()
    }

    fn type_origins<'a>(&'a self, package: &'a ObjectId) -> BoxFuture<'a, ClientResult<Vec<TypeOrigin>>> {
        async move {
            let name = format!("origins-{}", hex::encode(package.as_bytes()));
            let kept = || {
                let rows: Vec<(String, String, ObjectId)> = self.load(&name)?;
                Some(rows.into_iter().map(|(module, name, package)| TypeOrigin { module, name, package }).collect())
            };
            let found: Vec<TypeOrigin> = self.ask(self.inner.type_origins(package), kept).await?;
            let rows = found.iter().map(|origin| (origin.module.clone(), origin.name.clone(), origin.package));
            self.keep(&name, &rows.collect::<Vec<(String, String, ObjectId)>>());
            Ok(found)
        }
        .boxed()
    }

    fn parameter_type_argument<'a>(
        &'a self,
        package: &'a ObjectId,
        module: &'a str,
        function: &'a str,
        index: usize,
    ) -> BoxFuture<'a, ClientResult<String>> {
        async move {
            let name = format!("argument-{}-{module}-{function}-{index}", hex::encode(package.as_bytes()));
            let asked = self.inner.parameter_type_argument(package, module, function, index);
            let found = self.ask(asked, || self.load::<String>(&name)).await?;
            self.keep(&name, &found);
            Ok(found)
        }
        .boxed()
    }

    fn simulate<'a>(&'a self, transaction: &'a Transaction) -> BoxFuture<'a, ClientResult<Effects>> {
        self.inner.simulate(transaction)
    }

    fn execute<'a>(&'a self, transaction: &'a [u8], signature: &'a [u8]) -> BoxFuture<'a, SendOutcome> {
        self.inner.execute(transaction, signature)
    }

    fn effects<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, ClientResult<Option<Effects>>> {
        self.inner.effects(digest)
    }
}
