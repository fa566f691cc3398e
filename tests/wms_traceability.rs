//! Traceability is complete and ends: every lot that another came from or went into, each once, the kilograms of a recall as a pocket
//! calculator has them, and old data with a circle or without weights is no reason to hang or to leave something out.

use anyhow::{Context, Result};
use flowviz_tests::{User, Wms, segment};
use serde_json::{Value, json};

fn graph(code: &str, query: &str) -> String {
    format!("/api/traceability/{}/graph?{query}", segment(code))
}

/// The nodes as `code depth direction`, in their order.
fn nodes(graph: &Value) -> Vec<String> {
    let nodes = graph["nodes"].as_array().into_iter().flatten();
    let text = |value: &Value| value.to_string().replace('"', "");
    nodes
        .map(|node| {
            [&node["lot_code"], &node["depth"], &node["direction"]]
                .map(text)
                .join(" ")
        })
        .collect()
}

/// The edges as `quantity`s, sorted: a test gives each link another.
fn edges(graph: &Value) -> Vec<&str> {
    let edges = graph["edges"].as_array().into_iter().flatten();
    let mut edges: Vec<&str> = edges
        .filter_map(|edge| edge["quantity_used_kg"].as_str())
        .collect();
    edges.sort_unstable();
    edges
}

async fn make(
    user: &User<'_>,
    code: &str,
    lot_type: &str,
    kg: &str,
    from: &[(&str, &str)],
) -> Result<()> {
    let parents: Vec<Value> = from
        .iter()
        .map(|(code, kg)| json!({ "lot_code": code, "quantity_used_kg": kg }))
        .collect();
    let weight = if kg.is_empty() {
        Value::Null
    } else {
        json!(kg)
    };
    let lot =
        json!({ "lot_code": code, "lot_type": lot_type, "weight_kg": weight, "parents": parents });
    user.lot(lot).await?;
    Ok(())
}

#[tokio::test]
async fn a_graph_has_every_lot_once_in_order() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let viewer = User::login(&wms, "viewer").await?;

    // A diamond with a short cut: A goes into D by B, by C, and directly. E comes of D; X has nothing to do with it.
    make(&operator, "A/ő", "RAW", "", &[]).await?;
    make(&operator, "X", "RAW", "", &[]).await?;
    make(&operator, "C", "DEB", "", &[("A/ő", "1.00"), ("X", "6.00")]).await?;
    make(&operator, "B", "DEB", "", &[("A/ő", "2.00")]).await?;
    make(
        &operator,
        "D",
        "MIX",
        "",
        &[("B", "3.00"), ("C", "4.00"), ("A/ő", "5.00")],
    )
    .await?;
    make(&operator, "E", "FG", "", &[("D", "7.00")]).await?;

    let whole = viewer.get(&graph("A/ő", "")).await?;
    assert_eq!(
        nodes(&whole.is(200).body),
        [
            "A/ő 0 root",
            "B 1 forward",
            "C 1 forward",
            "D 1 forward",
            "E 2 forward"
        ]
    );
    assert_eq!(
        edges(&whole.body),
        ["1.00", "2.00", "3.00", "4.00", "5.00", "7.00"]
    );
    let found = viewer.get(&format!("/api/lots/{}", segment("A/ő"))).await?;
    assert_eq!(whole.body["root"], found.body);
    assert_eq!(whole.body["truncated"], false);
    // A node is a lot with two fields more.
    let mut node = whole.body["nodes"][0].clone();
    let fields = node.as_object_mut().context("a node")?;
    assert_eq!(fields.remove("depth"), Some(json!(0)));
    assert_eq!(fields.remove("direction"), Some(json!("root")));
    assert_eq!(node, found.body);

    let middle = viewer.get(&graph("D", "direction=both&depth=1")).await?;
    assert_eq!(
        nodes(&middle.body),
        [
            "D 0 root",
            "A/ő 1 backward",
            "B 1 backward",
            "C 1 backward",
            "E 1 forward"
        ]
    );
    assert_eq!(middle.body["truncated"], true, "X is two steps away");
    assert_eq!(
        edges(&middle.body),
        ["1.00", "2.00", "3.00", "4.00", "5.00", "7.00"]
    );
    for (query, expected, truncated) in [
        (
            "direction=backward",
            "D 0 root,A/ő 1 backward,B 1 backward,C 1 backward,X 2 backward",
            false,
        ),
        (
            "direction=backward&depth=2",
            "D 0 root,A/ő 1 backward,B 1 backward,C 1 backward,X 2 backward",
            false,
        ),
        ("direction=forward", "D 0 root,E 1 forward", false),
        ("direction=forward&depth=1", "D 0 root,E 1 forward", false),
    ] {
        let part = viewer.get(&graph("D", query)).await?;
        assert_eq!(nodes(&part.is(200).body).join(","), expected, "{query}");
        assert_eq!(part.body["truncated"], truncated, "{query}");
    }

    for (query, fault) in [
        ("depth=0", "query.depth value_error"),
        ("depth=51", "query.depth value_error"),
        ("depth=-1", "query.depth value_error"),
        ("depth=1.5", "query.depth value_error"),
        ("depth=9999999999999999999999", "query.depth value_error"),
        ("direction=up", "query.direction enum"),
        ("direction=BOTH", "query.direction enum"),
    ] {
        // Also where the lot is unknown.
        for code in ["D", "NO-SUCH-LOT"] {
            let refused = viewer.get(&graph(code, query)).await?;
            refused.is_problem(422, "validation");
            assert_eq!(refused.faults(), [fault]);
        }
    }
    for path in ["", "/graph", "/recall"] {
        for code in ["NO-SUCH-LOT", "%00", "%FF", "d"] {
            let unknown = viewer
                .get(&format!("/api/traceability/{code}{path}"))
                .await?;
            unknown.is_problem(404, "lot-not-found");
        }
    }

    // The trace is one step each way.
    let trace = viewer.get("/api/traceability/D").await?;
    let codes = |list: &str| -> Vec<String> {
        let lots = trace.body[list].as_array().into_iter().flatten();
        lots.map(|lot| lot["lot_code"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(
        (codes("parents"), codes("children")),
        (vec!["A/ő".into(), "B".into(), "C".into()], vec!["E".into()])
    );
    Ok(())
}

#[tokio::test]
async fn a_graph_ends_however_long_or_round_it_is() -> Result<()> {
    let wms = Wms::start().await?;
    let viewer = User::login(&wms, "viewer").await?;
    let database = wms.database().await?;
    // Straight into the tables, as an older backend did it.
    database
        .batch_execute(
            "ALTER TABLE lot_genealogy DISABLE TRIGGER USER;
            INSERT INTO lots (lot_code, lot_type, weight_kg) SELECT 'CHAIN-' || n, 'MIX', 10 FROM generate_series(100, 220) n;
            INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
            SELECT p.id, c.id, 10 FROM generate_series(100, 219) n
            JOIN lots p ON p.lot_code = 'CHAIN-' || n JOIN lots c ON c.lot_code = 'CHAIN-' || (n + 1);
            -- Everybody into everybody, themselves too.
            INSERT INTO lots (lot_code, lot_type, weight_kg) SELECT 'RING-' || n, CASE WHEN n < 5 THEN 'RAW' ELSE 'FG' END, 10 FROM generate_series(0, 29) n;
            INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
            SELECT p.id, c.id, 1 FROM lots p JOIN lots c ON c.lot_code LIKE 'RING-%' WHERE p.lot_code LIKE 'RING-%';
            -- More than fits into one answer.
            INSERT INTO lots (lot_code, lot_type, weight_kg, metadata)
            SELECT 'WIDE-' || n, CASE n WHEN 1000 THEN 'RAW' ELSE 'FG' END, 1100, jsonb_build_object('a', repeat('x', 16000)) FROM generate_series(1000, 2100) n;
            INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
            SELECT p.id, c.id, 1 FROM lots p JOIN lots c ON c.lot_code LIKE 'WIDE-%' AND c.lot_code <> 'WIDE-1000' WHERE p.lot_code = 'WIDE-1000';
            -- Each into all that come after: a quarter of a million links.
            INSERT INTO lots (lot_code, lot_type, weight_kg) SELECT 'DENSE-' || n, CASE n WHEN 1000 THEN 'RAW' ELSE 'FG' END, 1000 FROM generate_series(1000, 1699) n;
            INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
            SELECT p.id, c.id, 1 FROM lots p JOIN lots c ON c.lot_code LIKE 'DENSE-%' AND c.lot_code > p.lot_code WHERE p.lot_code LIKE 'DENSE-%';
            ALTER TABLE lot_genealogy ENABLE TRIGGER USER;",
        )
        .await?;

    // 50 steps each way, unless fewer are asked for.
    for (query, lots, truncated) in [
        ("", 101, true),
        ("depth=50&direction=forward", 51, true),
        ("depth=7", 15, true),
        ("depth=1&direction=backward", 2, true),
    ] {
        let chain = viewer.get(&graph("CHAIN-160", query)).await?;
        assert_eq!(nodes(&chain.is(200).body).len(), lots, "{query}");
        assert_eq!(edges(&chain.body).len(), lots - 1, "{query}");
        assert_eq!(chain.body["truncated"], truncated, "{query}");
    }
    // Its end is just within reach, or just out of it.
    for (code, truncated) in [("CHAIN-170", false), ("CHAIN-169", true)] {
        let chain = viewer.get(&graph(code, "direction=forward")).await?;
        assert_eq!(nodes(&chain.is(200).body).len(), 51);
        assert_eq!(chain.body["truncated"], truncated, "{code}");
    }

    // Round and round: each lot once, each link once.
    for direction in ["both", "backward", "forward"] {
        let ring = viewer
            .get(&graph("RING-0", &format!("direction={direction}")))
            .await?;
        assert_eq!(nodes(&ring.is(200).body).len(), 30);
        assert_eq!(edges(&ring.body).len(), 900);
        assert_eq!(ring.body["truncated"], false);
    }
    let trace = viewer.get("/api/traceability/RING-0").await?;
    assert_eq!(
        trace.is(200).body["parents"].as_array().map(Vec::len),
        Some(30)
    );
    let recall = viewer.get("/api/traceability/RING-0/recall").await?;
    assert_eq!(
        recall.is(200).body["affected"].as_array().map(Vec::len),
        Some(25)
    );
    assert_eq!(
        recall.body["suppliers_side"].as_array().map(Vec::len),
        Some(5)
    );

    // Too much for one answer is cut, and says so; a recall never is.
    let wide = viewer.get(&graph("WIDE-1000", "")).await?;
    let shown = nodes(&wide.is(200).body);
    assert_eq!(wide.body["truncated"], true);
    assert!(shown.len() > 900 && shown.len() < 1100, "{}", shown.len());
    assert_eq!(
        (shown[0].as_str(), shown[1].as_str()),
        ("WIDE-1000 0 root", "WIDE-1001 1 forward")
    );
    assert_eq!(edges(&wide.body).len(), shown.len() - 1);
    let recall = viewer.get("/api/traceability/WIDE-1000/recall").await?;
    assert_eq!(
        recall.is(200).body["affected"].as_array().map(Vec::len),
        Some(1100)
    );
    let dense = viewer.get(&graph("DENSE-1000", "")).await?;
    assert_eq!(nodes(&dense.is(200).body).len(), 700);
    assert_eq!(dense.body["truncated"], true);
    assert_eq!(edges(&dense.body).len(), 65_537);
    let recall = viewer.get("/api/traceability/DENSE-1000/recall").await?;
    assert_eq!(
        recall.is(200).body["affected"].as_array().map(Vec::len),
        Some(699)
    );
    Ok(())
}

#[tokio::test]
async fn a_recall_adds_up() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let viewer = User::login(&wms, "viewer").await?;
    let recall = async |code: &str| -> Result<String> {
        let recall = viewer
            .get(&format!("/api/traceability/{}/recall", segment(code)))
            .await?;
        let recall = &recall.is(200).body;
        let text = |value: &Value| value.to_string().replace('"', "");
        let affected = recall["affected"].as_array().context("a list")?.iter();
        let mut parts: Vec<String> = affected
            .map(|lot| {
                format!(
                    "{} {}",
                    text(&lot["lot_code"]),
                    text(&lot["attributable_kg"])
                )
            })
            .collect();
        let raw = recall["suppliers_side"]
            .as_array()
            .context("a list")?
            .iter();
        parts.push(
            raw.map(|lot| text(&lot["lot_code"]))
                .collect::<Vec<_>>()
                .join("+"),
        );
        let balance = &recall["mass_balance"];
        parts.push(
            ["in_kg", "out_kg", "loss_kg"]
                .map(|kg| text(&balance[kg]))
                .join(" "),
        );
        Ok(parts.join(", "))
    };

    // The demonstration data: 500 of the 540 kg of the mix are beef, 530 kg of it are packed. 500 / 540 * 530 = 490.74.
    assert_eq!(
        recall("RAW-BEEF-001").await?,
        "FG-DONER-X1 490.74, RAW-BEEF-001, 500.00 490.74 9.26"
    );
    assert_eq!(
        recall("RAW-SPICE-001").await?,
        "FG-DONER-X1 39.26, RAW-SPICE-001, 50.00 39.26 10.74"
    );
    assert_eq!(
        recall("MIX-BATCH-88").await?,
        "FG-DONER-X1 530.00, RAW-BEEF-001+RAW-SPICE-001, 540.00 530.00 10.00"
    );

    // Nothing made of it yet: all of it is still here.
    make(&operator, "R/1", "RAW", "100", &[]).await?;
    assert_eq!(recall("R/1").await?, "R/1, 100.00 0.00 100.00");
    // Half of it is in finished lots, of which one has been packed anew with something else: it is affected, and its kilograms
    // are counted where they are now.
    make(&operator, "R/2", "RAW", "50", &[]).await?;
    make(&operator, "F-1", "FG", "30", &[("R/1", "30")]).await?;
    make(&operator, "F-2", "FG", "20", &[("R/1", "20")]).await?;
    make(
        &operator,
        "F-3",
        "FG",
        "60",
        &[("F-1", "30"), ("R/2", "30")],
    )
    .await?;
    assert_eq!(
        recall("R/1").await?,
        "F-1 30.00, F-2 20.00, F-3 30.00, R/1, 100.00 50.00 50.00"
    );
    assert_eq!(
        recall("F-1").await?,
        "F-1 30.00, F-3 30.00, R/1, 30.00 30.00 0.00"
    );
    // Rework: 10 kg of F-3 go back into a mix, and out again.
    make(&operator, "M-1", "MIX", "9", &[("F-3", "10")]).await?;
    make(&operator, "F-4", "FG", "8", &[("M-1", "9")]).await?;
    // F-3 keeps 50 kg, half of it R/1; F-4 has 8, half of it too.
    assert_eq!(
        recall("R/1").await?,
        "F-1 30.00, F-2 20.00, F-3 30.00, F-4 4.00, R/1, 100.00 49.00 51.00"
    );

    // Thirds: what is rounded is shown rounded, and added up unrounded. 100 / 3 = 33.33, thrice.
    make(&operator, "R-3", "RAW", "100", &[]).await?;
    make(&operator, "R-4", "RAW", "200", &[]).await?;
    make(
        &operator,
        "M-3",
        "MIX",
        "300",
        &[("R-3", "100"), ("R-4", "200")],
    )
    .await?;
    for n in 5..8 {
        make(&operator, &format!("F-{n}"), "FG", "100", &[("M-3", "100")]).await?;
    }
    assert_eq!(
        recall("R-3").await?,
        "F-5 33.33, F-6 33.33, F-7 33.33, R-3, 100.00 100.00 0.00"
    );

    // More comes out than went in, of one that drank water: a loss below zero.
    make(&operator, "R-5", "RAW", "10", &[]).await?;
    make(&operator, "F-8", "FG", "12", &[("R-5", "10")]).await?;
    assert_eq!(recall("R-5").await?, "F-8 12.00, R-5, 10.00 12.00 -2.00");

    // Lots that nobody weighed weigh what went in, or what was taken out.
    make(&operator, "R-6", "RAW", "", &[]).await?;
    make(&operator, "F-9", "FG", "", &[("R-6", "7.50")]).await?;
    assert_eq!(recall("R-6").await?, "F-9 7.50, R-6, 7.50 7.50 0.00");
    make(&operator, "R-7", "RAW", "", &[]).await?;
    assert_eq!(recall("R-7").await?, "R-7, 0.00 0.00 0.00");
    make(&operator, "F-10", "FG", "", &[]).await?;
    assert_eq!(recall("F-10").await?, "F-10 null, , 0.00 0.00 0.00");
    Ok(())
}
