//! `flowviz:metrics`: what a function counts of its own, into the metrics that its manifest declares.

use super::bindings::flowviz::metrics::metrics::{Error, Host, Label};
use crate::runtime::InstanceState;
use crate::telemetry::business::{Record, RecordError};

type Recorded = wasmtime::Result<Result<(), Error>>;

impl Host for InstanceState {
    fn counter_add(&mut self, name: String, labels: Vec<Label>, value: f64) -> Recorded {
        Ok(self.record(&name, &labels, Record::Add(value)))
    }

    fn gauge_set(&mut self, name: String, labels: Vec<Label>, value: f64) -> Recorded {
        Ok(self.record(&name, &labels, Record::Set(value)))
    }

    fn histogram_observe(&mut self, name: String, labels: Vec<Label>, value: f64) -> Recorded {
        Ok(self.record(&name, &labels, Record::Observe(value)))
    }
}

impl InstanceState {
    fn record(&self, name: &str, labels: &[Label], record: Record) -> Result<(), Error> {
        self.config
            .grants
            .business_metrics
            .record(name, labels, record)
            .map_err(|error| {
                let text = error.to_string();
                match error {
                    RecordError::Undeclared(_) => Error::Undeclared(text),
                    RecordError::WrongType { .. } => Error::WrongType(text),
                    RecordError::WrongLabels { .. } => Error::WrongLabels(text),
                    RecordError::BadValue { .. } => Error::BadValue(text),
                }
            })
    }
}
