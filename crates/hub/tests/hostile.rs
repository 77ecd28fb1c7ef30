//! An enrolled till that writes what no till of ours would: every kind of event with fields changed, gone, doubled
//! or huge, under a chain and a signature that are right. The server answers with an acknowledgement or a code, its
//! file stays verifiable, and the till next door loses nothing. Other tenants have files of their own; that they are left
//! alone is asked over sockets, in `hub-http`.

mod support;

use std::collections::BTreeMap;

use domain::entropy::Entropy;
use domain::event::Event;
use domain::ids::VariantId;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use support::{Till, World};
use sync_protocol::{ProtocolError, SyncRequest};

/// Events of one till; a world each, so that what one has done does not hide what the next would do.
const EVENTS: usize = 60;
const WORLDS: u64 = 40;

struct Dice(Entropy);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        let bytes = self.0.next_bytes();
        let number = u64::from_be_bytes(*bytes.first_chunk().expect("32 bytes"));
        usize::try_from(number % bound as u64).expect("small")
    }

    fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Kind, schema and body of a sample of every event.
fn samples() -> Vec<(String, u32, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/tests/golden/events");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the samples") {
        let path = entry.expect("an entry").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let text = std::fs::read_to_string(&path).expect("a sample");
            let mut sample: Value = serde_json::from_str(&text).expect("JSON");
            let event = &mut sample["event"];
            let kind = event["kind"].as_str().expect("a kind").to_owned();
            let schema = event["schema"].as_u64().expect("a schema");
            let schema = u32::try_from(schema).expect("small");
            found.push((kind, schema, event["body"].take()));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() > 30, "{}", found.len());
    found
}

/// Makes a sample speak of the test's own store, so that it is not refused at the first look.
fn at_home(value: &mut Value, till: &Till, variant: VariantId) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "location" | "to_location" | "from_location" => *value = json!("LM"),
                    "variant" => *value = json!(variant),
                    "number" if value.is_string() => *value = json!(till.number()),
                    "stream" => *value = json!(till.stream),
                    _ => at_home(value, till, variant),
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                at_home(value, till, variant);
            }
        }
        _ => {}
    }
}

/// Changes one thing somewhere below `value`.
fn bend(value: &mut Value, dice: &mut Dice) {
    let deeper = dice.below(5) > 0;
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let keys: Vec<String> = fields.keys().cloned().collect();
            let key = dice.one_of(&keys);
            if deeper {
                bend(fields.get_mut(key).expect("a key"), dice);
            } else if dice.below(2) == 0 {
                fields.remove(key);
            } else {
                fields.insert("hanout".to_owned(), json!([{ "later": 1 }]));
            }
        }
        Value::Array(values) if !values.is_empty() => {
            let at = dice.below(values.len());
            if deeper {
                bend(&mut values[at], dice);
            } else {
                match dice.below(3) {
                    0 => values.clear(),
                    1 => {
                        let twice = values[at].clone();
                        values.push(twice);
                    }
                    _ => values.extend(vec![values[at].clone(); 300]),
                }
            }
        }
        leaf => *leaf = other(leaf, dice),
    }
}

fn other(value: &Value, dice: &mut Dice) -> Value {
    let numbers = [
        0,
        -1,
        1,
        i64::MAX,
        i64::MIN,
        i64::MIN + 1,
        i64::MAX / 2 + 1,
        1 << 53,
        1_000_000_000_000,
        -12_000,
    ];
    match dice.below(10) {
        0 => Value::Null,
        1 => json!(u64::MAX),
        2 => json!(dice.one_of(&["", "LM", "WEB", "XX", "main", "*", "strict", "shelf", "TN"])),
        3 => json!("\u{202e}\u{0}é🥿\n".repeat(1 + dice.below(400))),
        4 => Value::Object(Map::new()),
        5 => json!([value.clone(), value.clone()]),
        6 if value.is_i64() => json!(value.as_i64().unwrap_or_default().wrapping_neg()),
        _ => json!(dice.one_of(&numbers)),
    }
}

fn hostile_event(till: &mut Till, kind: &str, schema: u32, body: &Value) {
    let like = till.opened();
    let event = Event {
        kind: kind.to_owned(),
        schema,
        body: RawValue::from_string(body.to_string()).expect("JSON"),
        ..till.event(&like)
    };
    till.append_event(&event);
}

#[test]
fn a_hostile_till_harms_nobody() {
    let samples = samples();
    let mut kept: BTreeMap<String, u64> = BTreeMap::new();
    let mut taken = 0;
    for seed in 0..WORLDS {
        let mut dice = Dice(Entropy::new([seed.to_le_bytes()[0]; 32]));
        let mut world = World::with_catalogue();
        let ball = world.variant("BAL-4");
        let mut honest = world.till("01", 10);
        let mut hostile = world.till("02", 20);
        honest.sell(ball, 2, 10_000);
        world.sync(&honest, &honest.push_all()).expect("honest");
        for _ in 0..EVENTS {
            let (kind, schema, body) = dice.one_of(&samples);
            let mut body = body.clone();
            at_home(&mut body, &hostile, ball);
            for _ in 0..dice.below(4) {
                bend(&mut body, &mut dice);
            }
            hostile_event(&mut hostile, kind, *schema, &body);
        }
        let reply = world.sync(&hostile, &hostile.push_all());
        let reply = reply.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        // Nothing that a till says may make the server hold its queue up.
        assert_eq!(reply.ack_seq, hostile.head(), "seed {seed}");
        taken += EVENTS - reply.quarantined.len();
        for bad in reply.quarantined {
            *kept.entry(bad.code).or_default() += 1;
        }
        // The neighbour's next sale is booked like the first.
        honest.sell(ball, 1, 10_000);
        let push = honest.push(3, 3);
        let reply = world.sync(&honest, &honest.request(Some(push)));
        let reply = reply.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(
            (reply.ack_seq, reply.quarantined.len()),
            (3, 0),
            "seed {seed}"
        );
        let takings = world.hub.takings(None).expect("takings");
        let own = takings
            .iter()
            .find(|row| row.till == "01" && row.date.to_string() == "2026-11-22");
        assert_eq!(
            own.map(|row| row.takings_minor),
            Some(30_000),
            "seed {seed}"
        );
        let report = world.hub.verify().expect("verify");
        assert_eq!(report.first_bad, None, "seed {seed}");
        // And what head office looks at can be read.
        world.hub.set_aside(1_000).expect("set aside");
        world.hub.incidents(false, 1_000).expect("incidents");
        world.hub.stock_page("", 0, 50).expect("stock");
        world.hub.balances().expect("balances");
        world.hub.closings(1_000).expect("closings");
    }
    // Both happen, or the samples do not try what they should.
    assert!(taken > 100, "{taken} taken");
    for code in [
        "bad_body",
        "unknown_location",
        "not_the_hub",
        "sale_does_not_hold",
    ] {
        assert!(kept.contains_key(code), "{code}: {kept:?}");
    }
}

#[test]
fn a_request_that_is_bent_gets_a_code_and_changes_nothing() {
    let mut world = World::with_catalogue();
    let ball = world.variant("BAL-4");
    let mut till = world.till("01", 10);
    till.sell(ball, 2, 10_000);
    let good = serde_json::to_value(till.push_all()).expect("JSON");
    let mut dice = Dice(Entropy::new([77; 32]));
    let mut codes: BTreeMap<u16, u64> = BTreeMap::new();
    for round in 0..3_000 {
        let mut bent = good.clone();
        for _ in 0..=dice.below(3) {
            bend(&mut bent, &mut dice);
        }
        let Ok(request) = serde_json::from_value::<SyncRequest>(bent.clone()) else {
            *codes.entry(422).or_default() += 1;
            continue;
        };
        match world.sync(&till, &request) {
            Err(ProtocolError::Internal) => panic!("round {round}: {bent}"),
            Err(error) => *codes.entry(error.status()).or_default() += 1,
            Ok(_) => *codes.entry(200).or_default() += 1,
        }
    }
    for code in [200, 422, 426] {
        assert!(codes.contains_key(&code), "{code}: {codes:?}");
    }
    // What it meant to say is taken all the same.
    let reply = world.sync(&till, &till.push_all()).expect("the honest one");
    assert_eq!((reply.ack_seq, reply.quarantined.len()), (2, 0));
    assert_eq!(world.on_hand("BAL-4", "LM"), 18);
    world.assert_verified();
}
