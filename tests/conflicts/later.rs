//! Rows 12 to 16: what the catalogue settles, and what later versions will bring. An event of a kind that this version
//! does not know is kept as it came, acknowledged, in no sum, and shown to a person; it stops nothing.

use domain::event::{Fact, IncidentKind, Reversed, SaleBody};
use domain::ids::SaleId;
use domain::number;
use domain::sale::{SaleHeader, mirror};
use support::world::MARSA;
use till::door::{CodeVerdict, Command, RefusalCode, Reply};
use uuid::Uuid;

use crate::chain::{Chain, SFAX, location};
use crate::device::Device;
use crate::selling::facts;

/// Only head office edits articles, and what it says last about a field stands; fields that it did not speak of stay.
/// Tills have no fact for it. Editing by several people with a history of the losing values comes with the catalogue
/// screens.
#[test]
fn row_12_product_edited_in_two_places() {
    let mut chain = Chain::new(1);
    // One person renames from the list without prices, the other changes the price under the old name.
    chain.import(
        "style,name_fr,tax,class,sku,price:TN\nCORD,CORD,standard,shelf,CORD,8.500\n",
        "2026-09-02",
    );
    chain.import(
        "style,name_fr,tax,class,sku\nCORD,Corde,standard,shelf,CORD\n",
        "2026-09-02",
    );
    chain.settle();
    let cart = chain.scan(0, &["CORD"]).expect("scanned");
    assert_eq!(cart.total_minor, 8_500);
    assert!(
        cart.lines[0].names.fr.contains("Corde"),
        "{}",
        cart.lines[0].names.fr
    );
    chain.pay(0, &cart);
    chain.assert_settled(&[]);
}

/// Articles are head office's today, where a barcode belongs to one article. Two tills of a later version that each make
/// one are kept, for the version that can merge them.
#[test]
fn row_13_new_article_created_offline_on_two_tills_with_one_barcode() {
    let mut chain = Chain::new(1);
    let made = r#"{"variant":"01890000-0000-7000-8000-000000000001","gtin":"2000000000008"}"#;
    kept_unfolded(&mut chain, "variant_created", made);
    let header = "style,name_fr,tax,class,sku,gtins,price:TN\n";
    let row = |sku: &str| format!("{sku},{sku},standard,shelf,{sku},2000000000008,5.000\n");
    chain.import(&format!("{header}{}", row("NEW-A")), "2026-09-01");
    let second = chain.try_import(&format!("{header}{}", row("NEW-B")), "2026-09-01");
    assert!(!second.applied, "one barcode, one article");
    chain.settle();
    let cart = chain.scan(0, &["2000000000008"]).expect("scanned");
    assert_eq!(cart.lines[0].sku, "NEW-A");
}

/// There are no customers yet; those of a later version wait until they can be merged.
#[test]
fn row_14_customer_created_twice() {
    let mut chain = Chain::new(1);
    let made = r#"{"customer":"01890000-0000-7000-8000-000000000002","phone_hash":"9f"}"#;
    kept_unfolded(&mut chain, "customer_created", made);
}

/// Gift cards come later and will be rights to money, as rights to strict articles are: see row 2. Until then a card
/// that a later version took is in no account.
#[test]
fn row_15_gift_card_or_store_credit_offline() {
    let mut chain = Chain::new(1);
    let taken = r#"{"card":"01890000-0000-7000-8000-000000000003","amount_minor":5000}"#;
    kept_unfolded(&mut chain, "gift_card_redeemed", taken);
}

/// Two tills of a later version write `kind` about the same thing, a sale around it, and this server has all of it.
fn kept_unfolded(chain: &mut Chain, kind: &str, body: &str) {
    let balances = chain.with_hub(|hub| hub.balances()).expect("balances");
    let mut written = Vec::new();
    for (number, seed) in [("08", 8), ("09", 9)] {
        let mut device = Device::new(chain, MARSA, number, seed);
        written.push(device.write_unknown(chain, kind, body));
        let later = device.write(
            chain,
            &Fact::CountLearned(domain::event::CountLearned { counts: vec![] }),
        );
        for _ in 0..2 {
            let reply = device.sync(chain).expect("accepted");
            assert_eq!(reply.ack_seq, later.seq);
            let codes: Vec<_> = reply
                .quarantined
                .iter()
                .map(|row| row.code.as_str())
                .collect();
            assert_eq!(codes, ["unknown_kind"]);
        }
    }
    let aside = chain.with_hub(|hub| hub.set_aside(10)).expect("read");
    assert_eq!(aside.len(), 2);
    assert!(aside.iter().all(|line| line.kind.as_deref() == Some(kind)));
    assert_eq!(
        chain.with_hub(|hub| hub.balances()).expect("balances"),
        balances
    );
    // Everybody else goes on.
    chain.sell(0, &["CORD"]);
    chain.assert_settled(&[IncidentKind::Quarantined, IncidentKind::Quarantined]);
    let told: std::collections::BTreeSet<_> = chain
        .incidents()
        .into_iter()
        .filter_map(|line| Some((line.till?, line.story.first()?.seq)))
        .collect();
    assert_eq!(told.len(), 2);
    assert_eq!(chain.on_hand("CORD", MARSA), 19);
    drop(written);
}

/// A till tells from the code on the paper, offline, that the receipt of another till is genuine, and does not undo what
/// it has not sold. At the level of events a reversal at another store stands before the sale is known, the server puts
/// the two together, and a second one is an incident. The screen for returns comes later.
#[test]
fn row_16_return_of_a_sale_not_yet_synced_or_at_another_store() {
    let mut chain = Chain::new(1);
    let done = chain.sell(0, &["CORD"]);
    let ledger = chain.world.tills[0].till.ledger().expect("a ledger");
    let receipt = ledger.receipt(&done.number).expect("read").expect("there");
    let code = ledger
        .receipt_code(&receipt)
        .expect("read")
        .expect("signed");
    let text = code.to_text();
    let other = chain.till(1);
    let Reply::CodeChecked(view) = other.ok(Command::CheckCode { text }).expect("checked") else {
        panic!("a verdict")
    };
    assert_eq!(view.verdict, CodeVerdict::Genuine);
    let refusal = other.refused(Command::ReverseSale {
        number: done.number.clone(),
        reason: "size".to_owned(),
        approval: None,
    });
    assert_eq!(refusal.expect("refused").code, RefusalCode::UnknownReceipt);

    let sold = facts(&chain, 0)
        .into_iter()
        .rev()
        .find_map(|fact| match fact {
            Fact::SaleCompleted(sale) => Some(sale),
            _ => None,
        });
    let sold = sold.expect("the sale");
    let mut device = Device::new(&chain, SFAX, "09", 9);
    let first = take_back(&mut device, &chain, &sold);
    device.sync(&chain).expect("accepted");
    assert_eq!(
        chain.on_hand("CORD", SFAX),
        21,
        "the goods are there, the sale is not"
    );
    chain.taken_minor -= done.total_minor;
    chain.assert_settled(&[]);
    assert_eq!(chain.on_hand("CORD", MARSA), 19);
    let second = take_back(&mut device, &chain, &sold);
    device.sync(&chain).expect("accepted");
    chain.taken_minor -= done.total_minor;
    chain.assert_settled(&[IncidentKind::ReversedTwice]);
    assert_eq!(chain.story(IncidentKind::ReversedTwice), [first, second]);
    assert_eq!(
        chain.on_hand("CORD", SFAX),
        22,
        "what was given out was given out"
    );
}

fn take_back(device: &mut Device, chain: &Chain, sold: &SaleBody) -> domain::event::StreamPos {
    let (store, till) = (&device.enrolled.store, &device.enrolled.till);
    let number_seq = device.head();
    let header = SaleHeader {
        number: number::receipt_number(store, till, device.stream, 2026, number_seq),
        number_seq,
        business_date: sold.business_date,
        shift: sold.shift,
        cashier: sold.cashier,
        location: location(SFAX),
        price_list: sold.price_list.clone(),
        price_version: sold.price_version,
        cash_stamp_bp: None,
    };
    let back = mirror(
        sold,
        SaleId(Uuid::from_u128(u128::from(number_seq))),
        header,
    );
    device.write(
        chain,
        &Fact::Reversed(Reversed {
            of: sold.sale,
            of_number: sold.number.clone(),
            reason: "size".to_owned(),
            mirror: back,
        }),
    )
}
