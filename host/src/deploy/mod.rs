//! Which version of each function is live, which route leads to it, and how another one takes its place.

mod deployer;
mod error;
mod functions;
mod history;
mod load;
mod reload;
mod report;
mod state;
mod watch;

pub use deployer::{By, Candidate, Deployer};
pub use error::DeployError;
pub use functions::{Functions, Live, LiveFunction, ScheduledFunction};
pub use history::Origin;
pub use load::{Deployed, Loader, engine_settings};
pub use state::StateDir;
pub use watch::Watch;
