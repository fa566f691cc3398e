//! The manifest is read again, and all that it says is applied, or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::block_in_place;
use tracing::{info, warn};

use super::deployer::{Deployer, Record, deployed_of, manifests, not_saved, saved_of};
use super::error::DeployError;
use super::functions::Functions;
use super::history::History;
use super::load::{Change, Next};
use super::report::{Reloaded, ReloadedFunctions};
use super::state::Saved;
use crate::manifest::{App, FunctionId};

// === impl Deployer ===

impl Deployer {
    /// With `fresh`, what was deployed is forgotten: the manifest's files serve.
    pub async fn reload(&self, fresh: bool) -> Result<Reloaded, DeployError> {
        let outcome = self.try_reload(fresh).await;
        if outcome.as_ref().err().is_none_or(DeployError::is_rejection) {
            self.loader.telemetry.deploy.reload(outcome.is_ok());
        }
        match &outcome {
            Ok(Reloaded {
                functions, routes, ..
            }) => info!(
                added = functions.added.len(),
                removed = functions.removed.len(),
                changed = functions.changed.len(),
                unchanged = functions.unchanged,
                routes,
                "the manifest was read again"
            ),
            Err(error) => warn!("the manifest is not applied: {error}"),
        }
        outcome
    }

    async fn try_reload(&self, fresh: bool) -> Result<Reloaded, DeployError> {
        let reloading = self.reloading.try_write();
        let _reloading = reloading.map_err(|_| DeployError::ReloadInProgress)?;
        let rejected = |error: anyhow::Error| DeployError::Manifest(format!("{error:#}"));
        let app = Arc::new(block_in_place(|| (self.read_app)()).map_err(rejected)?);
        let before = self.app.load_full();
        only_at_start(&before, &app)?;

        let live = self.live.functions();
        let mut saved = if fresh {
            Saved::new()
        } else {
            saved_of(&self.records())
        };
        let deployed = deployed_of(&app, &saved, &self.state);
        let next = self.loader.next(&app, &deployed, Some((&before, &live)));
        let next = next.await.map_err(rejected)?;
        self.try_out_all(&next).await?;

        saved.retain(|id, _| next.functions.get(id).is_some());
        block_in_place(|| self.save(&saved))?;
        let functions = self.publish_all(&live, &next, &saved);
        self.app.store(Arc::clone(&app));
        self.state.prune(&saved);
        Ok(Reloaded {
            functions,
            routes: next.functions.route_count(),
            warnings: app.warnings.iter().map(ToString::to_string).collect(),
        })
    }

    /// As a component that is deployed.
    async fn try_out_all(&self, next: &Next) -> Result<(), DeployError> {
        for (id, change) in &next.changes {
            let (function, version) = match change {
                Change::None => continue,
                Change::Version(function, version) => (function, Arc::clone(version)),
                Change::New(function) => (function, function.version()),
            };
            let tried = self.try_out(&next.functions, function, &version).await;
            tried.map_err(|error| DeployError::Manifest(format!("[component.{id}]: {error}")))?;
        }
        Ok(())
    }

    fn save(&self, saved: &Saved) -> Result<(), DeployError> {
        // Nothing was deployed, nothing is to be forgotten: no directory is made for that.
        if saved.is_empty() && saved_of(&self.records()).is_empty() {
            return Ok(());
        }
        self.state.save(saved).map_err(not_saved)
    }

    /// Can't fail.
    fn publish_all(&self, live: &Functions, next: &Next, saved: &Saved) -> ReloadedFunctions {
        let mut report = ReloadedFunctions::default();
        let mut records = self.records();
        let mut kept: BTreeMap<FunctionId, Record> = std::mem::take(&mut *records);
        let mut retired = Vec::new();
        for (id, change) in &next.changes {
            let was_there = live.get(id.as_ref());
            let changed = match change {
                Change::None => {
                    report.unchanged += 1;
                    false
                }
                Change::Version(function, version) => {
                    retired.push((id, function.publish(Arc::clone(version))));
                    true
                }
                Change::New(function) => {
                    function.version().publish();
                    retired.extend(was_there.map(|before| (id, before.version())));
                    true
                }
            };
            match was_there {
                Some(_) if changed => report.changed.push(id.to_string()),
                None => report.added.push(id.to_string()),
                Some(_) => {}
            }
        }
        self.live.publish(Arc::clone(&next.functions));
        for function in live.all() {
            let id = function.config.id.as_ref();
            if next.functions.get(id).is_none() {
                report.removed.push(id.to_owned());
                function.version().retire();
            }
        }
        for function in next.functions.all() {
            let id = &function.config.id;
            let live = manifests(function);
            let record = match kept.remove(id) {
                None => Record::new(History::new(live)),
                Some(mut record) => {
                    let same = record.history.versions().first().map(|first| first.digest);
                    let forgotten = record.history.deployed && !saved.contains_key(id.as_ref());
                    if same != Some(live.digest) || forgotten {
                        let mut history = History::new(live);
                        history.take_draining(&record.history);
                        record.history = history;
                    }
                    record
                }
            };
            records.insert(id.clone(), record);
        }
        for (id, version) in retired {
            version.retire();
            if let Some(record) = records.get_mut(id) {
                record.history.drains(&version);
            }
        }
        report
    }
}

/// What only a restart can change.
fn only_at_start(before: &App, after: &App) -> Result<(), DeployError> {
    let (before, after) = (&before.settings, &after.settings);
    let changed: Vec<_> = [
        ("database", before.database != after.database),
        ("pgbouncer", before.pgbouncer != after.pgbouncer),
        ("audit_every", before.audit_every != after.audit_every),
        ("pool", before.pool != after.pool),
    ]
    .into_iter()
    .filter_map(|(key, changed)| changed.then_some(key))
    .collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(DeployError::Manifest(format!(
        "[application.tool.flowviz] {}: changes only when the host is restarted",
        changed.join(", ")
    )))
}
