//! What the audit chain hashes is the same text whoever writes it: the database, when an event is written, and `flowviz audit verify`,
//! which shares no code with it.

#[path = "../host/src/audit/canonical/mod.rs"]
mod canonical;

use anyhow::{Result, anyhow};
use canonical::canonical;
use flowviz_stack::{Options, Stack};
use flowviz_tests::migrate;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use tokio_postgres::NoTls;

/// Numbers as texts: what a double holds, what it doesn't, and what lies just between two of them.
fn numbers() -> impl Strategy<Value = String> {
    let double = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    prop_oneof![
        double.prop_map(|number| format!("{number:e}")),
        (-9_999_i64..9_999, 0_u32..4)
            .prop_map(|(number, scale)| format!("{}", number as f64 / 10_f64.powi(scale as i32))),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?",
        "-?[1-9](\\.[0-9]{1,17})?e[-+]?[0-9]{1,2}",
        // 5^23 is the largest odd power of five that 54 bits hold.
        (1_u64..64, 15_u32..24)
            .prop_map(|(digits, zeros)| format!("{digits}{}", "0".repeat(zeros as usize))),
        (1_u64 << 53..1 << 60).prop_map(|number| number.to_string()),
        (
            prop::sample::select(vec![
                "1",
                "5",
                "9007199254740993",
                "17976931348623157",
                "49406564584124654"
            ]),
            -340_i32..310
        )
            .prop_map(|(digits, exponent)| format!("{digits}e{exponent}")),
    ]
}

/// Texts as JSON: all of Unicode but NUL, and what orders differ about more often.
fn texts() -> impl Strategy<Value = String> {
    let letters = prop_oneof![
        "[^\u{0}]{0,6}",
        "[\u{1}-\u{20}\"\\\\/\u{7f}a]{0,6}",
        "[a\u{d7ff}\u{e000}\u{fb33}\u{ffff}\u{10000}\u{1f600}\u{10fffe}\u{10ffff}]{0,4}",
    ];
    letters.prop_map(|text| Value::from(text).to_string())
}

fn documents() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        2 => numbers(),
        2 => texts(),
        1 => prop::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((texts(), inner), 0..6).prop_map(|members| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(key, value)| format!("{key} : {value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

#[tokio::test]
async fn sql_and_rust_write_the_same_canonical_json() -> Result<()> {
    let stack = Stack::start(Options::temporary()).await?;
    migrate(&stack)?;
    let (owner, connection) = tokio_postgres::connect(&stack.owner_url(), NoTls).await?;
    tokio::spawn(connection);

    let mut runner = TestRunner::default();
    let mut sample = |strategy: BoxedStrategy<String>, count: usize| -> Result<Vec<String>> {
        (0..count)
            .map(|_| {
                let tree = strategy.new_tree(&mut runner);
                Ok(tree.map_err(|reason| anyhow!("{reason}"))?.current())
            })
            .collect()
    };
    let mut asked = sample(documents().boxed(), 600)?;
    asked.extend(sample(numbers().boxed(), 3000)?);
    asked.extend(
        [
            "1e23",
            "2e23",
            "-5e22",
            "99999999999999990000000",
            "9007199254740993",
            "20000000000000010",
            "4.9e-324",
            "5e-324",
            "1.7976931348623157e308",
            "1.7976931348623158e308",
            "1e309",
            "-0",
            "-0.00",
            "1e21",
            "999999999999999999999",
            "1e-6",
            "1e-7",
            "0.1000000000000000055511151231257827",
            "[]",
            "{}",
            "\"\"",
            r#"{"b":1,"a":2,"b":3}"#,
        ]
        .map(str::to_owned),
    );
    let rows = owner
        .query(
            "SELECT canonical_json(document::jsonb), document::jsonb::text
             FROM unnest($1::text[]) WITH ORDINALITY AS asked (document, place) ORDER BY place",
            &[&asked],
        )
        .await?;
    assert_eq!(rows.len(), asked.len());
    for (asked, row) in asked.iter().zip(&rows) {
        let (sql, stored): (String, String) = (row.get(0), row.get(1));
        assert_eq!(canonical(asked).as_deref(), Ok(&*sql), "{asked}");
        assert_eq!(canonical(&stored).as_deref(), Ok(&*sql), "{stored}");
        assert_eq!(canonical(&sql).as_deref(), Ok(&*sql), "{sql}");
    }
    Ok(())
}
