//! The control socket's requests about what is kept on this machine.

use super::serve::{OpenDrive, Peer};
use crate::cli::control::{Answer, Request};
use crate::cli::exit::{Code, Failure};
use crate::error::FsResult;
use crate::ids::Ino;
use crate::sync::{Held, Pins};
use std::time::Duration;
use tokio::sync::watch;

/// How often somebody who waits is told how far it is.
const PROGRESS: Duration = Duration::from_millis(500);

/// Answers a request to fetch, pin, unpin or list.
pub(super) async fn answer(drive: Option<&OpenDrive>, request: Request, peer: &mut Peer) {
    let answer = match drive.and_then(|drive| drive.pipeline.pins()) {
        Some(pins) => match run(pins, request, peer).await {
            Some(Ok(held)) => Answer::Done { status: None, held },
            Some(Err(failure)) => Answer::Failed { code: failure.code() as u8, message: failure.to_string() },
            // Nobody is left to be told.
            None => return,
        },
        None => Answer::Failed {
            code: Code::Busy as u8,
            message: "the drive is still being opened; try again in a moment".to_owned(),
        },
    };
    peer.say(&answer).await;
}

/// `None` when the peer went away: what was being fetched only for it is left.
async fn run(pins: &Pins, request: Request, peer: &mut Peer) -> Option<Result<Vec<Held>, Failure>> {
    let (progress, seen) = watch::channel((0, 0));
    match request {
        Request::Prefetch { ino, path } => {
            let work = pins.prefetch(Ino(ino), path.clone(), &progress);
            fetched(watched(work, seen, peer).await?, &path)
        }
        Request::Pin { ino, path } => {
            let work = pins.pin(Ino(ino), path.clone(), &progress);
            fetched(watched(work, seen, peer).await?, &path)
        }
        Request::Unpin { ino } => Some(match pins.unpin(Ino(ino)).await {
            Ok(true) => Ok(Vec::new()),
            Ok(false) => Err(Failure::new(Code::NotFound, "it is not pinned; `walrusfs pin --list` shows what is")),
            Err(error) => Err(Failure::from_fs("the list of pins cannot be changed", error)),
        }),
        _ => Some(Ok(pins.list().await)),
    }
}

fn fetched(result: FsResult<Held>, path: &str) -> Option<Result<Vec<Held>, Failure>> {
    let shown = if path.is_empty() { "the drive" } else { path };
    Some(result.map(|held| vec![held]).map_err(|error| Failure::from_fs(format!("{shown} is not all here"), error)))
}

/// Runs `work` and tells the peer how far it is.
async fn watched<T>(work: impl Future<Output = T>, seen: watch::Receiver<(u64, u64)>, peer: &mut Peer) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut tick = tokio::time::interval(PROGRESS);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            _ = tick.tick() => {
                let (done_bytes, total_bytes) = *seen.borrow();
                if !peer.say(&Answer::Fetched { done_bytes, total_bytes }).await {
                    return None;
                }
            }
        }
    }
}
