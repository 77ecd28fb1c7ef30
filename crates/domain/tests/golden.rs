//! One event of each kind and schema as stored, with the chain hash after it: `tests/golden/events`.
//!
//! What a till has hashed can never be written otherwise. `UPDATE_GOLDEN=1 cargo test -p domain --test golden`
//! writes the files; a file that changes is a fault unless a fact has gained an optional field. The files in
//! `tests/golden/events/frozen` hold the same facts without optional fields, as the first programs wrote them;
//! they are made once and never rewritten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use domain::event::{Event, Fact, chain_hash, genesis_hash};
use domain::ids::{Digest, EventId, StreamId};
use domain::time::{Boot, Hlc};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

const STREAM: StreamId = StreamId([7; 16]);
const ID: &str = "01936f5e-7a00-7000-8000-000000000001";

fn folder(frozen: bool) -> PathBuf {
    let events = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/events");
    if frozen {
        events.join("frozen")
    } else {
        events
    }
}

#[derive(Deserialize)]
struct Golden {
    hash: Digest,
    event: Box<RawValue>,
}

fn event(kind: &str, schema: u32, body: &Value) -> Event {
    // Through the fact, so that fields stand in the order in which they are written.
    let shell = |body: Box<RawValue>| Event {
        stream: STREAM,
        seq: 1,
        id: EventId(ID.parse().expect("uuid")),
        hlc: Hlc(1_795_345_200_000 << 16),
        wall: 1_795_345_200_000,
        boot: Boot { id: 41, ms: 1_000 },
        kind: kind.to_owned(),
        schema,
        body,
    };
    let text = RawValue::from_string(body.to_string()).expect("json");
    let fact = shell(text).fact();
    let fact = fact.unwrap_or_else(|error| panic!("{kind}.{schema}: {error}"));
    shell(fact.encode())
}

fn write(path: &std::path::Path, event: &Event) {
    let bytes = event.encode();
    let hash = chain_hash(genesis_hash(STREAM), &bytes);
    let text = String::from_utf8(bytes).expect("utf-8");
    std::fs::create_dir_all(path.parent().expect("folder")).expect("folder");
    std::fs::write(path, format!("{{\"hash\":\"{hash}\",\"event\":{text}}}\n")).expect("write");
}

fn check(path: &std::path::Path) -> Event {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{name}: {error}; UPDATE_GOLDEN=1 makes it"));
    let golden: Golden = serde_json::from_str(&text).expect("a golden file");
    let bytes = golden.event.get().as_bytes();
    let genesis = genesis_hash(STREAM);
    assert_eq!(chain_hash(genesis, bytes), golden.hash, "{name}");
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        assert_ne!(
            chain_hash(genesis, &changed),
            golden.hash,
            "{name}: byte {at}"
        );
    }
    let event = Event::decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(event.encode(), bytes, "{name}: the envelope");
    let fact = event
        .fact()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(fact.encode().get(), event.body.get(), "{name}: the body");
    assert_eq!(
        (fact.kind(), fact.schema()),
        (event.kind.as_str(), event.schema)
    );
    event
}

#[test]
fn every_kind_is_stored_as_it_always_was() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let samples = samples();
    let mut expected = BTreeSet::new();
    for kind in Fact::KINDS {
        let schemas = samples.keys().filter(|(of, _)| of == kind);
        assert_ne!(schemas.count(), 0, "{kind} has no sample");
    }
    for ((kind, schema), (full, frozen)) in &samples {
        let name = format!("{kind}.{schema}.json");
        let whole = event(kind, *schema, full);
        let path = folder(false).join(&name);
        if update {
            write(&path, &whole);
        }
        let found = check(&path);
        assert_eq!(
            found.body.get(),
            whole.body.get(),
            "{name} is not its sample"
        );
        let path = folder(true).join(&name);
        if update && !path.exists() {
            write(&path, &event(kind, *schema, frozen));
        }
        check(&path);
        expected.insert(name);
    }
    for frozen in [false, true] {
        let files = std::fs::read_dir(folder(frozen)).expect("folder");
        let found: BTreeSet<String> = files
            .map(|file| file.expect("file"))
            .filter(|file| file.path().is_file())
            .map(|file| file.file_name().into_string().expect("name"))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_frozen_fact_leaves_optional_fields_out() {
    for ((kind, schema), (full, frozen)) in samples() {
        let (full, frozen) = (event(kind, schema, &full), event(kind, schema, &frozen));
        assert!(frozen.body.get().len() <= full.body.get().len(), "{kind}");
    }
}

fn id(number: u128) -> String {
    Uuid::from_u128(0x0193_6f5e_7a00_7000_8000_0000_0000_0000 + number).to_string()
}

fn with(base: &Value, fields: Value) -> Value {
    let mut whole = base.clone();
    let (Some(object), Value::Object(fields)) = (whole.as_object_mut(), fields) else {
        panic!("objects");
    };
    object.extend(fields);
    whole
}

/// A body with every optional field, and one with none, of each kind and schema.
fn samples() -> BTreeMap<(&'static str, u32), (Value, Value)> {
    let hash = "ab".repeat(32);
    let stream = STREAM.to_string();
    let at = json!({"stream": stream, "seq": 41, "hash": hash});
    let taxes = json!([{"rate": "7", "net_minor": 100, "tax_minor": 7}, {"rate": "19", "net_minor": 200, "tax_minor": 38}]);
    let sale = json!({
        "sale": id(2), "number": "LM-01-7K3QF-2026-000128", "number_seq": 128, "business_date": "2026-11-22",
        "shift": id(3), "cashier": id(4), "location": "LM", "currency": "TND", "price_list": "TN",
        "price_version": 12, "tax_rounding": "per_line",
        "lines": [{
            "line": 1, "variant": id(5), "sku": "BAL-5", "label": "Ballon 5 \"كرة\"", "quantity": 1500,
            "list_minor": 30000, "unit_minor": 30000, "discount_minor": 4500, "cart_discount_minor": 500,
            "total_minor": 40000, "tax": "standard", "rate": "19", "net_minor": 33613, "tax_minor": 6387,
            "class": "shelf"
        }],
        "taxes": [{"rate": "19", "net_minor": 33613, "tax_minor": 6387}],
        "rounding_minor": -10, "total_minor": 40090,
        "tenders": [{"kind": "cash", "amount_minor": 41000}], "change_minor": 910
    });
    let sale_full = with(
        &sale,
        json!({
            "levies": [{"code": "stamp", "minor": 100}],
            "tenders": [{"kind": "card", "amount_minor": 20000, "reference": "481516"}, {"kind": "cash", "amount_minor": 21000}],
            "lines": [with(&sale["lines"][0], json!({"components": [{"variant": id(13), "quantity": 3000, "class": "strict"}]}))],
            "cash_stamp_bp": 25, "overrides": [{"kind": "discount", "by": id(6), "line": 1}, {"kind": "price", "by": id(6)}]
        }),
    );
    let totals = json!({
        "sales": 2, "reversals": 1, "voided_lines": 3, "voided_carts": 4, "units": 2500, "takings_minor": 40000,
        "discounts_minor": 500, "rounding_minor": -10, "levies_minor": {"stamp": 100}, "taxes": taxes,
        "tenders_minor": {"cash": 30000, "card": 10000}, "float_minor": 150000, "expected_minor": 180000
    });
    let totals_full = with(
        &totals,
        json!({
            "cash_stamp": [{"rate_bp": 25, "count": 2, "base_minor": 40000, "duty_minor": 100}], "moved_minor": {"pay_in": 5, "pay_out": 7, "drop": 9}, "no_sales": 1, "counts": 2, "hand_overs": 3
        }),
    );
    let period = json!({
        "sales": 2, "reversals": 1, "units": 2500, "sales_minor": 50000, "reversals_minor": -10000,
        "discounts_minor": 500, "rounding_minor": -10, "taxes": taxes, "tenders_minor": {"cash": 30000, "card": 10000},
        "over_short_minor": -965, "shifts": 1, "accounts_minor": {"drawer:1": 30000, "sales:19": -30000}
    });
    let period_full = with(
        &period,
        json!({
            "cash_stamp": [{"rate_bp": 25, "count": 2, "base_minor": 40000, "duty_minor": 100}], "levies_minor": {"stamp": 100}, "moved_minor": {"drop": 9}
        }),
    );
    let slip = json!({"number": "LM-01-7K3QF-2026-C000012", "number_seq": 12});
    let count = json!({"count": {"1000": 3, "20000": 8}, "counted_minor": 163000, "expected_minor": 163500});
    let opened = json!({
        "reason": "enrolled", "tenant": "atlas", "store": "LM", "till": "01", "device": id(7),
        "key_algorithm": "ed25519", "public_key": "cd".repeat(32), "previous": null, "z_number": 0, "perpetual_minor": 0
    });
    let shift = json!({
        "shift": id(3), "drawer": 1, "business_date": "2026-11-22", "user": id(4), "currency": "TND",
        "count": {"1000": 10, "20000": 7}, "float_minor": 150000, "approved_by": null
    });
    let closed = json!({
        "shift": id(3), "z_number": 214, "user": id(4), "approved_by": id(6), "from_seq": 3, "to": at,
        "totals": totals, "count": {"1000": 3, "20000": 8}, "counted_minor": 163000, "difference_minor": -965,
        "perpetual_minor": 1914220540
    });
    let period_closed = json!({
        "period": "month", "number": 11, "from": "2026-11-01", "to": "2026-11-30",
        "covers": {"from_seq": 3, "to": at}, "z_numbers": null, "totals": period, "perpetual_minor": 1914220540,
        "previous": null
    });
    let previous = json!({"number": 10, "at": at});
    let reversed = json!({"of": id(8), "of_number": "LM-01-7K3QF-2026-000127", "reason": "erreur de caisse", "mirror": sale});
    let drawer_opened = json!({"shift": id(3), "user": id(4), "reason": "sale"});
    let handed = json!({"shift": id(3), "from": id(4), "to": id(6)});
    let moved = json!({
        "shift": id(3), "movement": "pay_out", "slip": slip, "business_date": "2026-11-22", "amount_minor": 7000,
        "reason": "café", "user": id(4), "approved_by": id(6)
    });
    let same = |body: Value| (body.clone(), body);
    let counted = json!({"shift": id(3), "user": id(4), "blind": true, "count": count});
    let voided =
        json!({"sale": id(2), "shift": id(3), "user": id(4), "lines": 2, "total_minor": 40000});
    let line = json!({"sale": id(2), "shift": null, "user": id(4), "line": 2, "variant": id(5), "quantity": 1000, "total_minor": 9500});
    let supplemented = json!({
        "period": "day", "of": previous, "number": 1, "covers": {"from_seq": 42, "to": at}, "totals": period,
        "perpetual_minor": 5
    });
    let adopted = json!({"at": at, "bytes": "{\"stream\":\"00\",\"note\":\"as it was written\"}"});
    let stock = json!({
        "location": "LM", "zone": "main", "cut": {stream.as_str(): 41}, "items": [{"variant": id(5), "quantity": 20000}],
        "reason": "opening"
    });
    let stock_full = with(
        &stock,
        json!({
            "items": [{
                "variant": id(5), "quantity": 20000, "expected": 21000,
                "looked": {"wall": 1795345100000_i64, "folded": {STREAM.to_string(): 40}}
            }],
            "document": id(9), "user": id(4)
        }),
    );
    let place = json!({"stream": stream, "seq": 41});
    let goods = json!([{"variant": id(5), "quantity": 12000, "class": "strict"}]);
    let noted = json!([{"kind": "no_right", "by": id(6)}]);
    let received =
        json!({"document": id(9), "location": "LM", "zone": "main", "lines": goods, "user": id(4)});
    let adjusted = json!({
        "document": id(9), "location": "LM", "zone": "main", "reason": "damaged",
        "lines": [{"variant": id(5), "quantity": -1000, "class": "shelf"}], "user": id(4)
    });
    let sent = json!({"transfer": id(10), "from": "LM", "zone": "main", "to": "TC", "lines": goods, "user": id(4)});
    let arrived = json!({"transfer": id(10), "from": "LM", "to": "TC", "zone": "main", "lines": goods, "user": id(4)});
    let lost = json!({"transfer": id(10), "from": "LM", "to": "TC", "lines": goods, "user": id(4)});
    let rezoned = json!({
        "document": id(9), "location": "LM", "from_zone": "reserve", "to_zone": "main", "lines": goods, "user": id(4)
    });
    let picked = json!({"promise": id(11), "location": "LM", "zone": "main", "lines": goods});
    let rights = json!({
        "to": stream, "epoch": 3, "lines": [{"variant": id(5), "location": "LM", "total": 9000}]
    });
    let rights_full = with(
        &rights,
        json!({"lines": [{"variant": id(5), "location": "LM", "total": 9000, "lease_end": 1795950000000_i64}]}),
    );
    let raised = json!({"incident": id(12), "kind": "oversold"});
    BTreeMap::from([
        (
            ("GoodsReceived", 1),
            (
                with(
                    &received,
                    json!({"reference": "BL-2291", "included_in": place}),
                ),
                received,
            ),
        ),
        (
            ("StockAdjusted", 1),
            (
                with(
                    &adjusted,
                    json!({"note": "semelle décollée", "overrides": noted}),
                ),
                adjusted,
            ),
        ),
        (
            ("TransferSent", 1),
            (with(&sent, json!({"overrides": noted})), sent),
        ),
        (("TransferReceived", 1), same(arrived)),
        (("TransferLost", 1), same(lost)),
        (("ZoneMoved", 1), same(rezoned)),
        (
            ("OrderPicked", 1),
            (with(&picked, json!({"user": id(4)})), picked),
        ),
        (("CountLearned", 1), same(json!({"counts": [place]}))),
        (("RightsGranted", 1), (rights_full.clone(), rights.clone())),
        (("RightsReturned", 1), same(rights.clone())),
        (("RightsPassed", 1), (rights_full, rights)),
        (
            ("StreamSealed", 1),
            same(json!({"stream": stream, "seq": 41, "reason": "lost"})),
        ),
        (
            ("IncidentRaised", 1),
            (
                with(
                    &raised,
                    json!({
                        "location": "LM", "variant": id(5), "quantity": -1000, "stream": stream, "story": [place]
                    }),
                ),
                raised,
            ),
        ),
        (
            ("IncidentResolved", 1),
            same(json!({"incident": id(12), "note": "compté : 3 paires"})),
        ),
        (
            ("StreamOpened", 1),
            (
                with(
                    &opened,
                    json!({
                        "reason": "rolled_back", "previous": at, "z_number": 214, "perpetual_minor": 1914220540,
                        "periods": {"day": 30, "month": 10, "year": 1}, "numbers": {"2026": 128}, "witness": at
                    }),
                ),
                opened,
            ),
        ),
        (
            ("ShiftOpened", 1),
            (
                with(
                    &shift,
                    json!({
                        "approved_by": id(6), "shift_key": {"public_key": "ef".repeat(32), "certificate": "01".repeat(64)}
                    }),
                ),
                shift,
            ),
        ),
        (("SaleCompleted", 1), (sale_full.clone(), sale)),
        (
            ("Reversed", 1),
            (with(&reversed, json!({"mirror": sale_full})), reversed),
        ),
        (("CartVoided", 1), same(voided)),
        (("LineVoided", 1), same(line)),
        (
            ("DrawerOpened", 1),
            (
                with(
                    &drawer_opened,
                    json!({"reason": "no_sale", "slip": slip, "note": "monnaie"}),
                ),
                drawer_opened,
            ),
        ),
        (("CashMoved", 1), same(moved)),
        (
            ("DrawerHandedOver", 1),
            (with(&handed, json!({"count": count})), handed),
        ),
        (("ShiftCounted", 1), same(counted)),
        (
            ("ShiftClosed", 1),
            (
                with(
                    &closed,
                    json!({
                        "totals": totals_full, "blind": true, "deposit": {"20000": 1}, "paper": hash
                    }),
                ),
                closed,
            ),
        ),
        (
            ("PeriodClosed", 1),
            (
                with(
                    &period_closed,
                    json!({
                        "totals": period_full, "z_numbers": [213, 214], "previous": previous
                    }),
                ),
                period_closed,
            ),
        ),
        (
            ("ClosingSupplemented", 1),
            (
                with(&supplemented, json!({"totals": period_full})),
                supplemented,
            ),
        ),
        (("Adopted", 1), same(adopted)),
        (
            ("Reprinted", 1),
            same(json!({"number": "Z214", "copy": 1, "user": id(4)})),
        ),
        (("PinReset", 1), same(json!({"user": id(4), "by": id(6)}))),
        (
            ("SignInBlocked", 1),
            same(json!({"user": id(4), "failures": 10, "unblocked_by": null})),
        ),
        (
            ("ClockJumped", 1),
            same(json!({"expected_wall": 1795345200000_i64, "found_wall": 0})),
        ),
        (("StockCounted", 1), (stock_full, stock)),
    ])
}
