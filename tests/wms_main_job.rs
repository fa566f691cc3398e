//! The main job: lots with parents registered by many clients at once, and every traceability answer equal to what is in the
//! database, with nothing lost, and every request counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use flowviz_tests::Wms;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Mutex;

const CLIENTS: usize = 50;
/// 500 of raw material, and 500 made from it.
const RAW_LOTS: usize = 500;
const MIXED_LOTS: usize = 500;

/// What the clients themselves counted: by method, route and status.
type Counts = Arc<Mutex<BTreeMap<(&'static str, &'static str, u16), u64>>>;

#[derive(Clone)]
struct Client {
    wms: Arc<Wms>,
    token: String,
    counts: Counts,
}

impl Client {
    async fn register(&self, lot: Value) -> Result<Value> {
        let answer = self
            .wms
            .http
            .post(self.wms.host.url("/api/lots"))
            .bearer_auth(&self.token)
            .json(&lot)
            .send()
            .await?;
        let status = answer.status();
        self.count("POST", "/api/lots", status).await;
        let body: Value = answer.json().await?;
        ensure!(status == StatusCode::CREATED, "{lot}: {status} {body}");
        Ok(body)
    }

    async fn trace(&self, code: &str) -> Result<(StatusCode, Value)> {
        let answer = self
            .wms
            .http
            .get(self.wms.host.url(&format!("/api/traceability/{code}")))
            .bearer_auth(&self.token)
            .send()
            .await?;
        let status = answer.status();
        self.count("GET", "/api/traceability/:lot_code", status)
            .await;
        Ok((status, answer.json().await?))
    }

    async fn count(&self, method: &'static str, route: &'static str, status: StatusCode) {
        let key = (method, route, status.as_u16());
        *self.counts.lock().await.entry(key).or_default() += 1;
    }
}

/// Runs `work` on every item, by all the clients at once.
async fn by_all_clients<T, F, W>(items: Vec<T>, work: W) -> Result<()>
where
    T: Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
    W: Fn(T) -> F + Clone + Send + 'static,
{
    let items = Arc::new(Mutex::new(items));
    let clients = (0..CLIENTS).map(|_| {
        let (items, work) = (Arc::clone(&items), work.clone());
        tokio::spawn(async move {
            loop {
                let Some(item) = items.lock().await.pop() else {
                    return anyhow::Ok(());
                };
                work(item).await?;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.context("a client")??;
    }
    Ok(())
}

fn raw(n: usize) -> String {
    format!("RAW-20261123-DUNA-{n:04}")
}

fn mix(n: usize) -> String {
    format!("MIX-20261123-DUNA-{n:04}")
}

/// Mixed lot n is made of raw lots n and n + 1, so that each raw lot feeds two.
fn parents(n: usize) -> [usize; 2] {
    [n, (n + 1) % RAW_LOTS]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_lots_by_fifty_clients_are_all_there_and_all_counted() -> Result<()> {
    let wms = Arc::new(Wms::start().await?);
    let client = Client {
        token: wms.login("operator").await?,
        wms: Arc::clone(&wms),
        counts: Counts::default(),
    };

    let posting = client.clone();
    by_all_clients((0..RAW_LOTS).collect(), move |n| {
        let client = posting.clone();
        async move {
            client
                .register(json!({ "lot_code": raw(n), "lot_type": "RAW", "weight_kg": "100.00" }))
                .await?;
            Ok(())
        }
    })
    .await?;
    let posting = client.clone();
    by_all_clients((0..MIXED_LOTS).collect(), move |n| {
        let client = posting.clone();
        async move {
            let parents = parents(n).map(|p| json!({ "lot_code": raw(p), "quantity_used_kg": 50 }));
            client
                .register(json!({
                    "lot_code": mix(n), "lot_type": "MIX", "weight_kg": 98.5, "parents": parents,
                }))
                .await?;
            Ok(())
        }
    })
    .await?;

    // What the database says, by SQL of its own.
    let database = wms.database().await?;
    let lots: i64 = database
        .query_one(
            "SELECT count(*) FROM lots WHERE lot_code LIKE '%-20261123-DUNA-%'",
            &[],
        )
        .await?
        .get(0);
    ensure!(lots == (RAW_LOTS + MIXED_LOTS) as i64, "{lots} lots");
    let rows = database
        .query(
            "SELECT l.lot_code,
                    array(SELECT p.lot_code FROM lot_genealogy g JOIN lots p ON p.id = g.parent_lot_id
                          WHERE g.child_lot_id = l.id ORDER BY p.lot_code) AS parents,
                    array(SELECT c.lot_code FROM lot_genealogy g JOIN lots c ON c.id = g.child_lot_id
                          WHERE g.parent_lot_id = l.id ORDER BY c.lot_code) AS children,
                    l.weight_kg::text
             FROM lots l",
            &[],
        )
        .await?;
    let mut expected = Vec::new();
    for row in &rows {
        let (code, weight): (String, String) = (row.get(0), row.get(3));
        let (parents, children): (Vec<String>, Vec<String>) = (row.get(1), row.get(2));
        if let Some(n) = code.strip_prefix("MIX-20261123-DUNA-") {
            let mut made_of = self::parents(n.parse()?).map(raw);
            made_of.sort();
            assert_eq!(parents, made_of, "the links of {code}");
        }
        expected.push((code, weight, parents, children));
    }

    let asking = client.clone();
    by_all_clients(expected, move |(code, weight, parents, children)| {
        let client = asking.clone();
        async move {
            let (status, answer) = client.trace(&code).await?;
            assert_eq!(status, StatusCode::OK, "{answer}");
            assert_eq!(answer["central"]["lot_code"], json!(code));
            assert_eq!(answer["central"]["weight_kg"], json!(weight));
            for (side, expected) in [("parents", parents), ("children", children)] {
                let codes: Vec<&str> = answer[side]
                    .as_array()
                    .context("a list")?
                    .iter()
                    .filter_map(|lot| lot["lot_code"].as_str())
                    .collect();
                assert_eq!(codes, expected, "{side} of {code}");
            }
            Ok(())
        }
    })
    .await?;
    // Some that fail, so that more than one status is counted.
    for n in 0..7 {
        let (status, _) = client.trace(&format!("NO-SUCH-LOT-{n}")).await?;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }

    // What the host counted is what the clients counted.
    let metrics = wms.host.metrics().await?;
    for ((method, route, status), count) in client.counts.lock().await.iter() {
        let labels = [
            ("method", *method),
            ("route", *route),
            ("status", &status.to_string()),
        ];
        assert_eq!(
            metrics.sum("http_requests_total", &labels),
            *count as f64,
            "{labels:?}"
        );
    }
    for function in ["lots", "traceability"] {
        let of = [("function", function)];
        let requests: u64 = client
            .counts
            .lock()
            .await
            .iter()
            .filter(|((_, route, _), _)| route.starts_with(&format!("/api/{function}")))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(metrics.sum("http_requests_total", &of), requests as f64);
        assert_eq!(
            metrics.sum("http_request_duration_seconds_count", &of),
            requests as f64
        );
        assert_eq!(metrics.sum("http_requests_in_flight", &of), 0.0);
        assert_eq!(metrics.sum("flowviz_function_errors_total", &of), 0.0);
    }
    let registered =
        |lot_type| metrics.sum("flowviz_lots_registered_total", &[("lot_type", lot_type)]);
    assert_eq!(
        (registered("RAW"), registered("MIX"), registered("FG")),
        (500.0, 500.0, 0.0)
    );
    assert_eq!(
        metrics.sum("flowviz_lots_registered_kg_total", &[("lot_type", "MIX")]),
        98.5 * MIXED_LOTS as f64
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_take_from_one_lot_at_once_never_take_more_than_there_is() -> Result<()> {
    let wms = Arc::new(Wms::start().await?);
    let client = Client {
        token: wms.login("operator").await?,
        wms: Arc::clone(&wms),
        counts: Counts::default(),
    };
    client
        .register(json!({ "lot_code": "RAW-SHARED", "lot_type": "RAW", "weight_kg": 100 }))
        .await?;
    // 60 clients want 10 kg each of 100 kg.
    let taken = Arc::new(Mutex::new(0));
    let taking = (client.clone(), Arc::clone(&taken));
    by_all_clients((0..60).collect(), move |n: usize| {
        let (client, taken) = taking.clone();
        async move {
            let lot = json!({
                "lot_code": format!("SKW-{n}"), "lot_type": "SKW", "weight_kg": 10,
                "parents": [{ "lot_code": "RAW-SHARED", "quantity_used_kg": 10 }],
            });
            let answer = client
                .wms
                .http
                .post(client.wms.host.url("/api/lots"))
                .bearer_auth(&client.token)
                .json(&lot)
                .send()
                .await?;
            match answer.status() {
                StatusCode::CREATED => *taken.lock().await += 1,
                StatusCode::CONFLICT => {
                    let problem: Value = answer.json().await?;
                    assert_eq!(problem["type"], "/problems/parent-overdrawn", "{problem}");
                }
                status => anyhow::bail!("{status}: {}", answer.text().await?),
            }
            Ok(())
        }
    })
    .await?;
    assert_eq!(*taken.lock().await, 10);
    let database = wms.database().await?;
    let used: String = database
        .query_one(
            "SELECT sum(quantity_used_kg)::text FROM lot_genealogy g JOIN lots l ON l.id = g.parent_lot_id WHERE l.lot_code = 'RAW-SHARED'",
            &[],
        )
        .await?
        .get(0);
    assert_eq!(used, "100.00");
    let refused: i64 = database
        .query_one(
            "SELECT count(*) FROM lots l WHERE lot_code LIKE 'SKW-%' AND NOT EXISTS (SELECT FROM lot_genealogy g WHERE g.child_lot_id = l.id)",
            &[],
        )
        .await?
        .get(0);
    assert_eq!(
        refused, 0,
        "a lot whose parents were refused must not exist"
    );
    Ok(())
}
