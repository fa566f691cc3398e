//! `GET /api/traceability/:lot_code/graph`: all that a lot came from and went into, so many steps each way.

use serde::{Deserialize, Serialize};
use spin_sdk::http::{IntoResponse, Method, Request};
use spin_sdk::pg::ParameterValue;
use wms::database::{maybe, text};
use wms::link::Link;
use wms::lot::Lot;
use wms::schemars::JsonSchema;
use wms::url::Query;
use wms::{
    Caller, Faults, Kind, Name as _, Operation, Outcome, Problem, Reply, Role, answer, metrics,
    names, url,
};

const DEPTH_MAX: usize = 50;

/// What a graph may weigh before it is cut, counted as metadata and 1 KiB for each lot, and its links as much again: the function's memory
/// has room for it.
const OCTETS_MAX: usize = 16 * 1024 * 1024;

names! {
    /// Which way to follow the links.
    enum Ways {
        Both = "both",
        Backward = "backward",
        Forward = "forward",
    }
}

names! {
    /// On which side of the root a lot is.
    enum Side {
        Root = "root",
        Backward = "backward",
        Forward = "forward",
    }
}

/// A lot of the graph.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct Node {
    #[serde(flatten)]
    lot: Lot,
    /// Steps from the root, the shortest way.
    depth: u32,
    direction: Side,
}

/// Each lot once, ordered by depth, then code: the root comes first. Every link between two of them, the oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct Graph {
    root: Lot,
    nodes: Vec<Node>,
    edges: Vec<Link>,
    /// There is more than `depth` steps reach, or than fits into an answer.
    truncated: bool,
}

/// As the statement gives it.
#[derive(Deserialize)]
struct Found {
    nodes: Vec<FoundNode>,
    edges: Vec<Link>,
    truncated: bool,
}

#[derive(Deserialize)]
struct FoundNode {
    lot: Lot,
    depth: u32,
    direction: Side,
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/traceability/:lot_code/graph",
            "traceGraph",
            "All that a lot came from and went into",
        )
        .query(read)
        .ok::<Graph>("The graph.")
        .problems(&[Kind::LotNotFound]),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => graph(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn graph(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let query = Query::of(request.uri().query());
    let mut faults = Faults::default();
    let [ways, depth] = read(&query, &mut faults);
    let lot_code = url::segment_after(request.uri().path(), "traceability");
    let parameters = [maybe(lot_code), ways, depth, text(OCTETS_MAX)];

    let asking = caller.read(Role::ALL, include_str!("graph.sql"), parameters, faults);
    let rows = metrics::timed("flowviz_traceability_query_duration_seconds", asking).await?;
    let found: Option<Found> = rows.first().map_or(Ok(None), |row| row.document("graph"))?;
    let graph = found.and_then(Graph::of);
    let graph = graph.ok_or_else(|| Kind::LotNotFound.because("No lot has this code."))?;
    Ok(Reply::ok(&graph))
}

fn read(query: &Query<'_>, faults: &mut Faults) -> [ParameterValue; 2] {
    let ways = query.name("direction", faults).unwrap_or(Ways::Both);
    let depth = query.integer("depth", 1..=DEPTH_MAX, faults);
    [text(ways.as_str()), text(depth.unwrap_or(DEPTH_MAX))]
}

// === impl Graph ===

impl Graph {
    /// `None`: there is no root.
    fn of(found: Found) -> Option<Self> {
        let root = found.nodes.first()?.lot.clone();
        let nodes = found.nodes.into_iter().map(|node| Node {
            lot: node.lot,
            depth: node.depth,
            direction: node.direction,
        });
        Some(Self {
            root,
            nodes: nodes.collect(),
            edges: found.edges,
            truncated: found.truncated,
        })
    }
}
