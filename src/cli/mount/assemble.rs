//! The composition root: from a mount request to an open drive.

use super::request::Handover;
use super::serve::OpenDrive;
use super::spawn::Parent;
use crate::cli::exit::{Code, Failure};
use crate::cli::home::Home;

/// Opens the drive of `handover`, making what is missing when the request allows it.
///
/// # Errors
/// Why it cannot be opened.
pub(crate) async fn open(_home: &Home, handover: &Handover, _parent: &mut Parent) -> Result<OpenDrive, Failure> {
    Err(Failure::new(Code::Failed, format!("{} cannot be opened by this build", handover.request.drive.source())))
}
