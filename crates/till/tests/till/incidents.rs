//! What head office says a person of the store should look at.

use domain::event::IncidentKind;
use domain::quantity::Quantity;
use serde_json::json;
use testkit::shop::{CASHIER, Setup, Shop};
use till::door::{Command, IncidentView, RefusalCode, Reply};

fn listed(shop: &mut Shop) -> Vec<IncidentView> {
    match shop.ok(Command::ListIncidents {}) {
        Reply::Incidents { incidents } => incidents,
        other => panic!("{other:?}"),
    }
}

fn id(last: u8) -> String {
    format!("01890000-0000-7000-8000-0000000000{last:02}")
}

#[test]
fn what_head_office_tells_is_listed_until_it_takes_it_back_and_survives_a_restart() {
    let mut shop = Setup::tunisia().on_disk().build();
    let refusal = shop.refused(Command::ListIncidents {});
    assert_eq!(refusal.code, RefusalCode::SignInRequired);
    shop.sign_in(CASHIER);
    assert_eq!(listed(&mut shop), []);
    let feed = shop.config_feed();
    let row = |last, raised: i64, kind: &str| {
        let row = json!({"incident": id(last), "kind": kind, "sku": "BALL", "quantity": 2_000, "till": "02",
            "number": "A-1", "raised": raised});
        (format!("incident:{}", id(last)), Some(row))
    };
    shop.publish(
        &feed,
        vec![
            row(1, 1_795_000_000_000, "oversold"),
            row(2, 1_795_000_060_000, "clock_suspect"),
        ],
    );
    let rows = listed(&mut shop);
    let kinds: Vec<_> = rows.iter().map(|row| row.kind).collect();
    assert_eq!(kinds, [IncidentKind::ClockSuspect, IncidentKind::Oversold]);
    assert_eq!(rows[1].quantity, Some(Quantity(2_000)));
    assert_eq!(rows[1].till.as_deref(), Some("02"));
    assert_eq!(rows[1].number.as_deref(), Some("A-1"));
    shop.reopen();
    shop.sign_in(CASHIER);
    assert_eq!(listed(&mut shop), rows);
    shop.publish(&feed, vec![(format!("incident:{}", id(2)), None)]);
    assert_eq!(listed(&mut shop).len(), 1);
    shop.verify_clean();
}
