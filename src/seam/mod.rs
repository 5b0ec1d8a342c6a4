//! The seams through which tests reach the world: clock, randomness and the block file under journal and
//! spool. Node transport and chain transport are seams of `walrus-client`.

mod block_file;
mod clock;
mod random;
mod stage;

pub use block_file::{BlockDir, BlockFile, OsDir};
pub use clock::{Clock, ManualClock, SystemClock};
pub use random::{OsRandom, Random, SeededRandom};
pub use stage::stage;
