//! The rounds: every case at every number of connections, both systems in turn, and all of it again.
//!
//! In a round both systems first show how much they can do (closed loop), and then how long requests take at the same rate, which
//! both can bear.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::cases::Case;
use crate::load::Pace;
use crate::measure::{Effort, Measurement, measure};
use crate::plant::Plant;
use crate::profile::Stacks;
use crate::same::check;
use crate::server::{HostOptions, Programs, Server, System};

/// Of what the slower system can do: latencies are taken at a rate that leaves room.
const SHARE_OF_PEAK: f64 = 0.6;

#[derive(Clone, Debug)]
pub struct Rounds {
    pub cases: Vec<Case>,
    pub connections: Vec<usize>,
    pub rounds: usize,
    pub warm_up: Duration,
    pub time: Duration,
    /// The closed load on our host is profiled, into this directory.
    pub profiles: Option<(PathBuf, Stacks)>,
}

/// What one round found out about one system.
#[derive(Clone, Debug, Serialize)]
pub struct Turn {
    pub case: Case,
    pub connections: usize,
    pub system: System,
    pub round: usize,
    /// Closed loop.
    pub peak: Measurement,
    /// Requests per second of `steady`.
    pub rate: f64,
    /// At a rate.
    pub steady: Measurement,
}

// === impl Rounds ===

impl Rounds {
    /// Before anything is timed: do both answer alike?
    pub async fn check(
        &self,
        plant: &Plant,
        programs: &Programs,
        options: &HostOptions<'_>,
    ) -> Result<usize> {
        let native = programs.start_native(plant).await?;
        let flowviz = programs.start_host(options.clone()).await?;
        let addresses = [
            (System::Native, native.address),
            (System::Flowviz, flowviz.address),
        ]
        .into();
        check(&plant.data, &plant.jwt_secret, &addresses, &self.cases).await
    }

    pub async fn run(
        &self,
        plant: &Plant,
        programs: &Programs,
        options: &HostOptions<'_>,
    ) -> Result<Vec<Turn>> {
        let mut turns = Vec::new();
        for round in 1..=self.rounds {
            for case in &self.cases {
                for connections in &self.connections {
                    turns.extend(
                        self.turn(plant, programs, options, (*case, *connections, round))
                            .await?,
                    );
                }
            }
            plant.tidy().await?;
        }
        Ok(turns)
    }

    /// With new processes, so that what one case left in memory is not counted for the next.
    async fn turn(
        &self,
        plant: &Plant,
        programs: &Programs,
        options: &HostOptions<'_>,
        (case, connections, round): (Case, usize, usize),
    ) -> Result<Vec<Turn>> {
        let native = programs.start_native(plant).await?;
        let flowviz = programs.start_host(options.clone()).await?;
        let server = |system| -> &Server {
            match system {
                System::Native => &native,
                System::Flowviz => &flowviz,
            }
        };
        let closed = Effort {
            connections,
            pace: Pace::Closed,
            warm_up: self.warm_up,
            time: self.time,
            profile: None,
        };
        let profile = self
            .profiles
            .as_ref()
            .map(|(dir, stacks)| (dir.join(format!("perf-{case}-{connections}.data")), *stacks));
        let name = |system: System, phase| {
            let system = system.as_str().to_uppercase();
            format!("{system}{connections}{phase}{round}{case}")
        };

        let mut peaks = Vec::new();
        for system in System::ALL {
            let effort = Effort {
                profile: profile.as_ref().filter(|_| system == System::Flowviz),
                ..closed
            };
            let peak = measure(plant, server(system), case, effort, name(system, "P")).await?;
            eprintln!("round {round}  {case:<12} {connections:>5}  {system:<8} {peak}");
            peaks.push((system, peak));
        }
        let slower = peaks
            .iter()
            .map(|(_, peak)| peak.rps)
            .fold(f64::INFINITY, f64::min);
        // A system that answers nothing is asked a little all the same.
        let rate = (slower * SHARE_OF_PEAK).max(1.0);
        let steady = Effort {
            pace: Pace::Rate(rate),
            // The system is warm; only the connections are new.
            warm_up: self.warm_up / 2,
            ..closed
        };
        let mut turns = Vec::new();
        for (system, peak) in peaks {
            let steady = measure(plant, server(system), case, steady, name(system, "S")).await?;
            eprintln!("round {round}  {case:<12} {connections:>5}  {system:<8} {steady}");
            turns.push(Turn {
                case,
                connections,
                system,
                round,
                peak,
                rate,
                steady,
            });
        }
        Ok(turns)
    }
}
