//! What is asked: one row of the table each. The request with a number is the same for every system, but for the names of new lots.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use clap::ValueEnum;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::request::Builder;
use http::{HeaderValue, Request};
use http_body_util::Full;
use plant_day::{Gate, LotType, Verdict};
use serde::Serialize;
use serde_json::{Value, json};

use crate::load::Maker;
use crate::plant::{Data, Lot};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    /// A function that needs no database, beside bare hyper
    NoDb,
    /// One of 20,000 lots by its code
    GetLot,
    /// A lot without parents
    PostLot,
    /// One of 20,000 lots with its inputs and outputs
    Traceability,
    /// What operators do: of 16 requests 10 register a lot, 5 decide on one and 1 looks one up
    Mix,
}

/// Spreads numbers over a list so that neighbours are far apart, and the same ones come in the same order again.
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

/// The requests of one load.
#[derive(Clone, Debug)]
pub struct Requests {
    pub data: Arc<Data>,
    host: HeaderValue,
    authorization: HeaderValue,
    /// In the codes of new lots, and in idempotency keys: no other load has it.
    name: String,
}

// === impl Case ===

impl Case {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoDb => "no-db",
            Self::GetLot => "get-lot",
            Self::PostLot => "post-lot",
            Self::Traceability => "traceability",
            Self::Mix => "mix",
        }
    }

    pub fn maker(self, requests: Requests) -> Arc<Maker> {
        Arc::new(move |number| requests.request(self, number))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Requests ===

impl Requests {
    pub fn new(
        data: Arc<Data>,
        address: std::net::SocketAddr,
        token: &str,
        name: String,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            data,
            host: HeaderValue::try_from(address.to_string())?,
            authorization: HeaderValue::try_from(format!("Bearer {token}"))?,
            name,
        })
    }

    pub fn request(&self, case: Case, number: u64) -> Request<Full<Bytes>> {
        match case {
            Case::NoDb => self.get("/hello"),
            Case::GetLot => self.get(&format!("/api/lots/{}", self.known(number))),
            Case::PostLot => self.post(
                "/api/lots",
                number,
                &self.lot(number, LotType::Raw, &[], false),
            ),
            Case::Traceability => self.trace(number),
            // Ten, five and one of sixteen, in turn.
            Case::Mix => match number % 16 {
                15 => self.trace(number),
                nth if nth % 3 == 2 => {
                    self.post("/api/qc-decisions", number, &self.decision(number))
                }
                _ => self.post("/api/lots", number, &self.mixed_lot(number)),
            },
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn get(&self, path: &str) -> Request<Full<Bytes>> {
        whole(self.head(Request::get(path)), Full::default())
    }

    /// With an idempotency key of its own.
    pub fn post(&self, path: &str, number: u64, body: &Value) -> Request<Full<Bytes>> {
        let head = self
            .head(Request::post(path))
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", format!("{}-{number}", self.name));
        whole(head, Full::from(body.to_string()))
    }

    fn head(&self, head: Builder) -> Builder {
        head.header(HOST, self.host.clone())
            .header(AUTHORIZATION, self.authorization.clone())
    }

    fn trace(&self, number: u64) -> Request<Full<Bytes>> {
        self.get(&format!("/api/traceability/{}", self.known(number)))
    }

    /// The code of a lot of the plant day.
    fn known(&self, number: u64) -> &str {
        pick(&self.data.lots, number).map_or("", |code| code)
    }

    /// Of ten lots two are raw material, six are made of one lot and two of three: 1.2 links each, as in a plant day.
    fn mixed_lot(&self, number: u64) -> Value {
        let (lot_type, parents) = match number % 10 {
            0 | 5 => (LotType::Raw, 0),
            1 | 6 => (LotType::Mix, 3),
            2 | 7 => (LotType::Bulk, 1),
            3 | 8 => (LotType::Skw, 1),
            _ => (LotType::Deb, 1),
        };
        let parents: Vec<&Lot> = (0..parents)
            .filter_map(|nth| pick(&self.data.stock, number * 3 + nth))
            .collect();
        self.lot(number, lot_type, &parents, true)
    }

    fn lot(&self, number: u64, lot_type: LotType, parents: &[&Lot], in_run: bool) -> Value {
        let parents: Vec<Value> = parents
            .iter()
            .map(|parent| json!({ "lot_code": parent.code, "quantity_used_kg": "0.05" }))
            .collect();
        json!({
            "lot_code": format!("{}-20260115-{}-{number:07}", lot_type.as_str(), self.name),
            "lot_type": lot_type.as_str(),
            "production_run_id": in_run.then_some(self.data.run),
            "phase_id": lot_type.phase(),
            "weight_kg": "420.50",
            "temperature_c": "3.2",
            "metadata": { "supplier": "Alföldi Hús Kft.", "pallet": number.to_string() },
            "parents": parents,
        })
    }

    /// Of twenty decisions seventeen are PASS, two HOLD and one FAIL.
    fn decision(&self, number: u64) -> Value {
        let verdict = match number / 3 % 20 {
            7 | 13 => Verdict::Hold,
            19 => Verdict::Fail,
            _ => Verdict::Pass,
        };
        let (lots, gate, notes) = match verdict {
            Verdict::Pass => (&self.data.stock, Gate::Receipt, None),
            _ => (
                &self.data.goods,
                Gate::FinalRelease,
                Some("Carton damaged, weighed again"),
            ),
        };
        json!({
            "lot_id": pick(lots, number).map(|lot| lot.id),
            "qc_gate_id": gate.id(),
            "decision": verdict.as_str(),
            "notes": notes,
            "temperature_c": "3.1",
        })
    }
}

fn whole(head: Builder, body: Full<Bytes>) -> Request<Full<Bytes>> {
    // A path of ours that were no path would be asked as `/`, and be seen as an error of the server.
    head.body(body).unwrap_or_default()
}

fn pick<T>(list: &[T], number: u64) -> Option<&T> {
    let length = u64::try_from(list.len()).ok()?;
    let spread = number.wrapping_mul(STRIDE) >> 20;
    list.get(usize::try_from(spread.checked_rem(length)?).ok()?)
}
