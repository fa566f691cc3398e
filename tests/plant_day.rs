//! A day at the plant, from the first login to a recall: the rules hold where people meet them, and in the evening the run's figures, the
//! recall's kilograms and the audit trail are what the day's own diary and a pocket calculator say.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use flowviz_tests::{Reply, User, Wms};
use serde_json::{Value, json};

#[tokio::test]
async fn from_the_first_login_to_a_recall() -> Result<()> {
    let wms = Wms::start().await?;
    let mut day = Day::at(&wms);

    // Six in the morning. The administrator hires Zita; John starts the run.
    let admin = day.comes("admin").await?;
    let john = day.comes("operator").await?;
    let mary = day.comes("manager").await?;
    let anna = day.comes("auditor").await?;
    day.reads_the_scenario(&john).await?;
    let zita = day.hires(&admin, "zita@flowviz.com", "OPERATOR").await?;
    day.starts_the_run(&john, "3000").await?;

    // The lorries. Beef, lamb and spices are good; the chicken was too warm all the way.
    let beef = json!({ "supplier": "Duna Hús Kft.", "delivery_note": "DH-2026/118" });
    let lamb = json!({ "supplier": "Alföldi Juh Zrt.", "delivery_note": "AJ-77", "halal": true });
    let chicken = json!({ "supplier": "Baromfi Bt.", "delivery_note": "B-3" });
    let spices = json!({ "supplier": "Szegedi Fűszer", "allergens": ["celery", "mustard"] });
    day.gets(&john, "RAW-BEEF: 600.00 kg", "2.1", beef).await?;
    day.gets(&john, "RAW-LAMB: 400.00 kg", "3.4", lamb).await?;
    day.gets(&john, "RAW-CHICKEN: 300.00 kg", "7.8", chicken)
        .await?;
    day.gets(&john, "RAW-SPICES: 50.00 kg", "4.0", spices)
        .await?;
    day.pass(&john, "RAW-BEEF RAW-LAMB RAW-SPICES", "1").await?;
    let warm = "7.8 °C on arrival, the cooling was off";
    day.fails(&john, "RAW-CHICKEN", "1", warm).await?;
    day.is("RAW-BEEF", "RELEASED").await?;
    day.is("RAW-CHICKEN", "REJECTED").await?;

    // Deboning, and the BULK buffer. Nobody gets rejected chicken past the scales, nor more lamb than there is.
    let chicken = "DEB-CHICKEN: 270 kg of 300 RAW-CHICKEN";
    day.refused(&john, chicken, "parent-rejected").await?;
    day.makes(&john, "DEB-BEEF: 540 kg of 600 RAW-BEEF").await?;
    day.makes(&john, "DEB-LAMB: 350 kg of 400 RAW-LAMB").await?;
    let more = "DEB-MORE: 50 kg of 50 RAW-LAMB";
    day.refused(&john, more, "parent-overdrawn").await?;
    day.pass(&john, "DEB-BEEF DEB-LAMB", "3").await?;
    day.makes(&zita, "BULK-BEEF: 540 kg of 540 DEB-BEEF")
        .await?;
    day.makes(&zita, "BULK-LAMB: 350 kg of 350 DEB-LAMB")
        .await?;
    day.pass(&zita, "BULK-BEEF BULK-LAMB", "4").await?;

    // Mixing, each lot from several. The first is held until the probe is calibrated; the second has metal in it.
    let first = "MIX-1: 600 kg of 400 BULK-BEEF, 160 BULK-LAMB, 40 RAW-SPICES";
    day.makes(&zita, first).await?;
    let second = "MIX-2: 240 kg of 140 BULK-BEEF, 100 BULK-LAMB";
    day.makes(&zita, second).await?;
    let third = "MIX-3: 100 kg of 90 BULK-LAMB, 10 RAW-SPICES";
    day.makes(&zita, third).await?;
    day.must_say_why(&zita, "MIX-1", "5").await?;
    let probe = "Probe 3 to be calibrated, then measured again";
    day.holds(&zita, "MIX-1", "5", probe).await?;
    day.is("MIX-1", "ON_HOLD").await?;
    day.pass(&mary, "MIX-1", "5").await?;
    day.is("MIX-1", "RELEASED").await?;
    let metal = "Metal detector: a splinter of 3 mm";
    day.fails(&anna, "MIX-2", "5", metal).await?;
    day.is("MIX-2", "REJECTED").await?;
    day.pass(&zita, "MIX-3", "5").await?;

    // Skewers.
    let metal = "SKW-0: 235 kg of 240 MIX-2";
    day.refused(&john, metal, "parent-rejected").await?;
    day.makes(&john, "SKW-1: 300 kg of 300 MIX-1").await?;
    day.makes(&john, "SKW-2: 290 kg of 295 MIX-1").await?;
    day.makes(&john, "SKW-3: 95 kg of 100 MIX-3").await?;
    day.pass(&john, "SKW-1 SKW-2 SKW-3", "6").await?;

    // The freezer, a critical control point: -18.0 °C at the core, or a manager says why not.
    day.makes(&zita, "FRZ-1: 295 kg of 300 SKW-1").await?;
    day.makes(&zita, "FRZ-2: 285 kg of 290 SKW-2").await?;
    day.makes(&zita, "FRZ-3: 92 kg of 95 SKW-3").await?;
    day.is_too_warm(&zita, "FRZ-1", "7", "-15.2").await?;
    day.is("FRZ-1", "PENDING").await?;
    day.is_cold(&zita, "FRZ-1", "7", "-18.4").await?;
    day.is_too_warm(&zita, "FRZ-2", "7", "-17.6").await?;
    let edge = "At the edge only: -18.5 °C in the middle, measured twice";
    day.overrides(&mary, "FRZ-2", "7", "-17.6", edge).await?;
    day.is("FRZ-2", "RELEASED").await?;
    day.is_cold(&zita, "FRZ-3", "7", "-18.0").await?;

    // Finished goods, released by the auditor.
    day.makes(&john, "FG-1: 290 kg of 290 FRZ-1").await?;
    day.makes(&john, "FG-2: 198 kg of 140 FRZ-2, 60 FRZ-3")
        .await?;
    day.makes(&john, "FG-3: 140 kg of 140 FRZ-2").await?;
    day.pass(&anna, "FG-1 FG-2 FG-3", "8").await?;

    // Two in the afternoon. 4 RAW of 1350 kg, 2 DEB and 2 BULK of 890, 3 MIX of 940, 3 SKW of 685, 3 FRZ of 672, 3 FG of 628.
    day.ends_the_run(&mary, "6055.00").await?;
    let late = "FG-4: 1 kg of 1 FRZ-3";
    day.refused(&john, late, "run-not-active").await?;

    // A week later the beef is called back. Two thirds of MIX-1 are beef (400 of 600 kg), and so of all that was made of it alone:
    // FG-1: 290 * 2/3. FG-3: 140 * 2/3. FG-2 has 140 * 2/3 kg of beef in 200 kg of input, and weighs 198 kg.
    let beef = "193.33 FG-1, 92.40 FG-2, 93.33 FG-3; 600.00 in, 379.07 out, 220.93 lost";
    day.recalls(&anna, "RAW-BEEF", "RAW-BEEF", beef).await?;
    // The lamb: 160 of 600 kg of MIX-1, 90 of 100 kg of MIX-3.
    let lamb = "77.33 FG-1, 90.42 FG-2, 37.33 FG-3; 400.00 in, 205.09 out, 194.91 lost";
    day.recalls(&anna, "RAW-LAMB", "RAW-LAMB", lamb).await?;
    // What was rejected went nowhere.
    let metal = "; 240.00 in, 0.00 out, 240.00 lost";
    day.recalls(&anna, "MIX-2", "RAW-BEEF RAW-LAMB", metal)
        .await?;
    let (all, itself) = (
        "RAW-BEEF RAW-LAMB RAW-SPICES",
        "140.00 FG-3; 140.00 in, 140.00 out, 0.00 lost",
    );
    day.recalls(&anna, "FG-3", all, itself).await?;

    let from = "FG-2 / FRZ-2 FRZ-3 / SKW-2 SKW-3 / MIX-1 MIX-3 / BULK-BEEF BULK-LAMB RAW-SPICES / DEB-BEEF DEB-LAMB / RAW-BEEF RAW-LAMB";
    day.leads(&anna, "FG-2", "backward", from, 15).await?;
    let into = "RAW-BEEF / DEB-BEEF / BULK-BEEF / MIX-1 MIX-2 / SKW-1 SKW-2 / FRZ-1 FRZ-2 / FG-1 FG-2 FG-3";
    day.leads(&anna, "RAW-BEEF", "forward", into, 11).await?;

    day.is_all_in_the_audit_trail(&anna).await
}

/// `DEB-1: 90 kg of 60 RAW-1, 40 RAW-2` as a lot with its parents. The code begins with the type.
fn recipe(text: &str) -> Result<Value> {
    let (code, rest) = text.split_once(": ").context("a code")?;
    let (kg, parents) = rest.split_once(" kg").context("a weight")?;
    let parents = parents.strip_prefix(" of ").into_iter();
    let parents = parents.flat_map(|parents| parents.split(", "));
    let parents = parents
        .filter_map(|parent| parent.split_once(' '))
        .map(|(kg, code)| json!({ "lot_code": code, "quantity_used_kg": kg }));
    Ok(json!({
        "lot_code": code,
        "lot_type": code.split('-').next(),
        "weight_kg": kg,
        "parents": parents.collect::<Vec<_>>(),
    }))
}

/// Somebody at work.
struct Person<'a> {
    user: User<'a>,
    id: String,
    role: String,
}

/// A write of the day: who, as what, did what to what.
type Entry = [String; 4];

/// The day, with a diary of everything that was written.
struct Day<'a> {
    wms: &'a Wms,
    /// By number.
    gates: BTreeMap<String, String>,
    /// By the type of lot that they make: the first of each.
    phases: BTreeMap<String, String>,
    scenario: String,
    run: String,
    /// By code.
    lots: RefCell<BTreeMap<String, String>>,
    /// PASS, HOLD, FAIL.
    decisions: RefCell<[i64; 3]>,
    diary: RefCell<Vec<Entry>>,
}

// === impl Day ===

impl<'a> Day<'a> {
    fn at(wms: &'a Wms) -> Self {
        Self {
            wms,
            gates: BTreeMap::new(),
            phases: BTreeMap::new(),
            scenario: String::new(),
            run: String::new(),
            lots: RefCell::default(),
            decisions: RefCell::default(),
            diary: RefCell::default(),
        }
    }

    fn notes(&self, who: &Person<'_>, action: &str, entity_id: &str) {
        let entry = [&who.id, &who.role, action, entity_id].map(|text: &str| text.to_owned());
        self.diary.borrow_mut().push(entry);
    }

    fn lot(&self, code: &str) -> String {
        self.lots.borrow()[code].clone()
    }

    async fn logs_in(&self, email: &str, password: &str) -> Result<Person<'a>> {
        let credentials = json!({ "email": email, "password": password });
        let request = self.wms.http.post(self.wms.host.url("/api/login"));
        let welcome = Reply::to(request.json(&credentials)).await?;
        welcome.is(200);
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
        let person = Person {
            user: User {
                wms: self.wms,
                token: text(&welcome.body["token"])?,
            },
            id: text(&welcome.body["user"]["id"])?,
            role: text(&welcome.body["user"]["role"])?,
        };
        self.notes(&person, "user.logged_in", &person.id);
        Ok(person)
    }

    async fn comes(&self, who: &str) -> Result<Person<'a>> {
        self.logs_in(
            &format!("{who}@flowviz.com"),
            flowviz_tests::demo_password(),
        )
        .await
    }

    /// A new colleague, who logs in at once.
    async fn hires(&self, boss: &Person<'_>, email: &str, role: &str) -> Result<Person<'a>> {
        let password = "nyárs-és-hagyma";
        let user =
            json!({ "email": email, "full_name": "Zita", "role": role, "password": password });
        let hired = boss.user.post("/api/users", user).await?;
        hired.is(201);
        self.notes(
            boss,
            "user.created",
            hired.body["id"].as_str().context("an id")?,
        );
        self.logs_in(email, password).await
    }

    async fn reads_the_scenario(&mut self, who: &Person<'_>) -> Result<()> {
        let scenarios = who.user.get("/api/scenarios").await?;
        let scenario = &scenarios.is(200).body[0];
        self.scenario = scenario["id"].as_str().context("an id")?.to_owned();
        for gate in scenario["gates"].as_array().context("gates")? {
            let id = gate["id"].as_str().context("an id")?;
            self.gates
                .insert(gate["gate_number"].to_string(), id.to_owned());
        }
        for phase in scenario["phases"].as_array().context("phases")? {
            if let Some(makes) = phase["lot_type"].as_str() {
                let id = phase["id"].as_str().context("an id")?.to_owned();
                self.phases.entry(makes.to_owned()).or_insert(id);
            }
        }
        Ok(())
    }

    async fn starts_the_run(&mut self, who: &Person<'_>, target_kg: &str) -> Result<()> {
        let run = json!({ "scenario_id": self.scenario, "daily_target_kg": target_kg });
        let run = who.user.post("/api/production-runs", run).await?;
        run.is(201);
        assert_eq!(run.body["status"], "ACTIVE");
        assert_eq!(run.body["operator_id"], who.id.as_str());
        self.run = run.body["id"].as_str().context("an id")?.to_owned();
        self.notes(who, "run.started", &self.run);
        Ok(())
    }

    async fn registers(&self, who: &Person<'_>, mut lot: Value) -> Result<Reply> {
        let makes = lot["lot_type"].as_str().context("a type")?;
        lot["phase_id"] = json!(self.phases[makes]);
        lot["production_run_id"] = json!(self.run);
        who.user.post("/api/lots", lot).await
    }

    fn is_registered(&self, who: &Person<'_>, registered: &Reply) -> Result<()> {
        let lot = &registered.is(201).body;
        assert_eq!(lot["status"], "PENDING");
        assert_eq!(lot["operator_id"], who.id.as_str());
        let text = |field: &str| lot[field].as_str().map(str::to_owned).context("a text");
        let (code, id) = (text("lot_code")?, text("id")?);
        self.notes(who, "lot.registered", &id);
        self.lots.borrow_mut().insert(code, id);
        Ok(())
    }

    /// Raw material from a supplier.
    async fn gets(&self, who: &Person<'_>, what: &str, celsius: &str, supply: Value) -> Result<()> {
        let mut lot = recipe(what)?;
        lot["temperature_c"] = json!(celsius);
        lot["metadata"] = supply;
        let registered = self.registers(who, lot.clone()).await?;
        self.is_registered(who, &registered)?;
        let path = format!("/api/lots/{}", lot["lot_code"].as_str().unwrap_or_default());
        let found = who.user.get(&path).await?;
        for field in ["lot_type", "weight_kg", "temperature_c", "metadata"] {
            assert_eq!(found.body[field], lot[field], "{field}");
        }
        Ok(())
    }

    /// A lot out of others, of which so many kilograms go into it.
    async fn makes(&self, who: &Person<'_>, what: &str) -> Result<()> {
        let registered = self.registers(who, recipe(what)?).await?;
        self.is_registered(who, &registered)
    }

    async fn refused(&self, who: &Person<'_>, what: &str, why: &str) -> Result<()> {
        let refused = self.registers(who, recipe(what)?).await?;
        refused.is_problem(409, why);
        let code = what.split(':').next().unwrap_or_default();
        let lot = who.user.get(&format!("/api/lots/{code}")).await?;
        lot.is_problem(404, "lot-not-found");
        Ok(())
    }

    async fn decides(
        &self,
        who: &Person<'_>,
        lot: &str,
        gate: &str,
        decision: &str,
        celsius: Option<&str>,
        notes: Option<&str>,
    ) -> Result<Reply> {
        let decision = json!({
            "lot_id": self.lot(lot), "qc_gate_id": self.gates[gate], "decision": decision, "temperature_c": celsius, "notes": notes,
        });
        who.user.post("/api/qc-decisions", decision).await
    }

    fn is_decided(&self, who: &Person<'_>, action: &str, decided: &Reply) -> Result<()> {
        let decision = &decided.is(201).body;
        assert_eq!(decision["operator_id"], who.id.as_str());
        let verdicts = ["PASS", "HOLD", "FAIL"];
        let place = verdicts
            .iter()
            .position(|verdict| decision["decision"] == *verdict);
        self.decisions.borrow_mut()[place.context("a verdict")?] += 1;
        self.notes(who, action, decision["id"].as_str().context("an id")?);
        Ok(())
    }

    async fn pass(&self, who: &Person<'_>, lots: &str, gate: &str) -> Result<()> {
        for lot in lots.split(' ') {
            let decided = self.decides(who, lot, gate, "PASS", None, None).await?;
            self.is_decided(who, "decision.recorded", &decided)?;
        }
        Ok(())
    }

    async fn is_cold(&self, who: &Person<'_>, lot: &str, gate: &str, celsius: &str) -> Result<()> {
        let celsius = Some(celsius);
        let decided = self.decides(who, lot, gate, "PASS", celsius, None).await?;
        self.is_decided(who, "decision.recorded", &decided)
    }

    async fn holds(&self, who: &Person<'_>, lot: &str, gate: &str, why: &str) -> Result<()> {
        let decided = self
            .decides(who, lot, gate, "HOLD", None, Some(why))
            .await?;
        self.is_decided(who, "decision.recorded", &decided)
    }

    async fn fails(&self, who: &Person<'_>, lot: &str, gate: &str, why: &str) -> Result<()> {
        let decided = self
            .decides(who, lot, gate, "FAIL", None, Some(why))
            .await?;
        self.is_decided(who, "decision.recorded", &decided)
    }

    async fn must_say_why(&self, who: &Person<'_>, lot: &str, gate: &str) -> Result<()> {
        for decision in ["HOLD", "FAIL"] {
            let silent = self.decides(who, lot, gate, decision, None, None).await?;
            silent.is_problem(422, "validation");
            assert_eq!(silent.faults(), ["body.notes value_error"]);
        }
        Ok(())
    }

    async fn is_too_warm(
        &self,
        who: &Person<'_>,
        lot: &str,
        gate: &str,
        celsius: &str,
    ) -> Result<()> {
        let reason = Some("it is only a little too warm");
        for notes in [None, reason] {
            let decided = self
                .decides(who, lot, gate, "PASS", Some(celsius), notes)
                .await?;
            decided.is_problem(409, "ccp-limit-exceeded");
        }
        Ok(())
    }

    async fn overrides(
        &self,
        who: &Person<'_>,
        lot: &str,
        gate: &str,
        celsius: &str,
        why: &str,
    ) -> Result<()> {
        let silent = self
            .decides(who, lot, gate, "PASS", Some(celsius), None)
            .await?;
        silent.is_problem(409, "ccp-limit-exceeded");
        let decided = self
            .decides(who, lot, gate, "PASS", Some(celsius), Some(why))
            .await?;
        assert_eq!(
            (&decided.body["notes"], &decided.body["temperature_c"]),
            (&json!(why), &json!(celsius))
        );
        self.is_decided(who, "decision.overridden", &decided)
    }

    async fn is(&self, lot: &str, status: &str) -> Result<()> {
        let row = self.wms.database().await?;
        let row = row
            .query_one("SELECT status FROM lots WHERE lot_code = $1", &[&lot])
            .await?;
        assert_eq!(row.get::<_, &str>(0), status, "{lot}");
        Ok(())
    }

    /// The run is completed after eight hours, and its summary is the day's.
    async fn ends_the_run(&self, who: &Person<'_>, kg: &str) -> Result<()> {
        let database = self.wms.database().await?;
        database
            .batch_execute(
                "UPDATE production_runs SET started_at = started_at - interval '8 hours'",
            )
            .await?;
        let path = format!("/api/production-runs/{}", self.run);
        let ended = who
            .user
            .patch(&path, json!({ "status": "COMPLETED" }))
            .await?;
        ended.is(200);
        self.notes(who, "run.completed", &self.run);
        let row = database
            .query_one(
                "SELECT floor(extract(epoch FROM ended_at - started_at) / 60)::bigint,
                    round($1::text::numeric * 3600 / extract(epoch FROM ended_at - started_at), 2)::text
                FROM production_runs",
                &[&kg],
            )
            .await?;
        let (minutes, kg_per_hour): (i64, String) = (row.get(0), row.get(1));
        let [pass, hold, fail] = *self.decisions.borrow();
        assert_eq!([pass, hold, fail], [18, 1, 2]);
        assert_eq!(
            ended.body["summary"],
            json!({
                "duration_minutes": minutes, "total_lots": 20, "total_kg": kg,
                "lots_by_type": { "RAW": 4, "DEB": 2, "BULK": 2, "MIX": 3, "SKW": 3, "FRZ": 3, "FG": 3 },
                "qc_pass": pass, "qc_hold": hold, "qc_fail": fail, "kg_per_hour": kg_per_hour,
            })
        );
        assert!(minutes >= 480 && ended.body["ended_at"].is_string());
        assert_eq!(who.user.get(&path).await?.body, ended.body);
        Ok(())
    }

    /// `found`: the finished lots with the kilograms of `lot` in each, and the mass balance.
    async fn recalls(&self, who: &Person<'_>, lot: &str, raw: &str, found: &str) -> Result<()> {
        let path = format!("/api/traceability/{lot}/recall");
        let recall = who.user.get(&path).await?.is(200).body.clone();
        assert_eq!(recall["lot"]["lot_code"], lot);
        let texts = |list: &str, fields: &[&str]| -> Vec<String> {
            let items = recall[list].as_array().into_iter().flatten();
            let text =
                |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
            let items = items.map(|item| {
                let texts: Vec<String> = fields.iter().map(|field| text(item, field)).collect();
                texts.join(" ")
            });
            items.collect()
        };
        assert_eq!(texts("suppliers_side", &["lot_code"]).join(" "), raw);
        let affected = texts("affected", &["attributable_kg", "lot_code"]).join(", ");
        let kg = |field: &str| {
            recall["mass_balance"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let (in_kg, out_kg, loss_kg) = (kg("in_kg"), kg("out_kg"), kg("loss_kg"));
        let balance = format!("{in_kg} in, {out_kg} out, {loss_kg} lost");
        assert_eq!(format!("{affected}; {balance}"), found, "{lot}");
        Ok(())
    }

    /// The graph, step by step from the lot, with so many links in all.
    async fn leads(
        &self,
        who: &Person<'_>,
        lot: &str,
        direction: &str,
        steps: &str,
        links: usize,
    ) -> Result<()> {
        let path = format!("/api/traceability/{lot}/graph?direction={direction}");
        let graph = who.user.get(&path).await?.is(200).body.clone();
        assert_eq!(graph["root"]["lot_code"], lot);
        assert_eq!(graph["truncated"], false);
        let mut found: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for node in graph["nodes"].as_array().context("nodes")? {
            let depth = node["depth"].as_u64().context("a depth")?;
            let code = node["lot_code"].as_str().context("a code")?;
            found.entry(depth).or_default().push(code);
        }
        let found: Vec<String> = found.values().map(|codes| codes.join(" ")).collect();
        assert_eq!(found.join(" / "), steps);
        assert_eq!(graph["edges"].as_array().map(Vec::len), Some(links));
        Ok(())
    }

    /// Each write of the diary has one event, in its order, and no other is there: what was refused left none.
    async fn is_all_in_the_audit_trail(&self, who: &Person<'_>) -> Result<()> {
        let (mut events, pages) = who.user.pages("/api/audit-events?limit=20").await?;
        assert!(pages > 2);
        events.reverse();
        let trail: Vec<Entry> = events
            .iter()
            .map(|event| {
                ["actor_id", "actor_role", "action", "entity_id"]
                    .map(|field| event[field].as_str().unwrap_or_default().to_owned())
            })
            .collect();
        assert_eq!(trail, *self.diary.borrow());
        for pair in events.windows(2) {
            assert_eq!(pair[0]["hash"], pair[1]["prev_hash"]);
        }

        // An event tells what was before and after, and the request that did it.
        let of = |id: &str| {
            events
                .iter()
                .filter(|event| event["entity_id"] == id)
                .collect::<Vec<_>>()
        };
        let [started, completed] = of(&self.run)[..] else {
            panic!("a run has a start and an end");
        };
        assert_eq!(
            (&started["before"], &started["after"]["status"]),
            (&Value::Null, &json!("ACTIVE"))
        );
        assert_eq!(
            (
                &completed["before"]["status"],
                &completed["after"]["status"]
            ),
            (&json!("ACTIVE"), &json!("COMPLETED"))
        );
        let mixed = of(&self.lot("MIX-1"));
        let parents = mixed[0]["after"]["parents"].as_array().context("parents")?;
        assert_eq!(parents.len(), 3);
        assert!(events.iter().all(|event| {
            event["request_id"]
                .as_str()
                .is_some_and(|id| !id.is_empty())
        }));
        let text = serde_json::to_string(&events)?;
        assert!(
            !text.contains("argon2") && !text.contains("nyárs"),
            "a password in the trail"
        );
        Ok(())
    }
}
