//! The outbox after a fault, and that its check sees a loss and a double.

use support::faults::drained::{Center, Sold};
use testkit::shop::{BALL_UPC, SOCKS, Setup, Shop};

fn sell(shop: &mut Shop, code: &str) -> Sold {
    shop.scan(code);
    let done = shop.pay_cash(None);
    Sold {
        number: done.number,
        minor: done.total_minor,
    }
}

fn drain(center: &Center, shop: &mut Shop, sold: &[Sold]) -> Result<u64, String> {
    let now = shop.now();
    center
        .drain(shop.till_mut(), now, sold, true)
        .map_err(|error| format!("{error:#}"))
}

#[test]
fn the_check_of_the_outbox_sees_a_sale_lost_doubled_or_changed() {
    let (center, mut shop) = Center::with(Setup::tunisia().on_disk()).expect("a till");
    shop.open();
    let mut sold = vec![sell(&mut shop, BALL_UPC)];
    let before = shop.disk().snapshot();
    sold.push(sell(&mut shop, SOCKS));
    let whole = shop.disk().snapshot();
    shop.close_till();
    let mut with = |snapshot, sold: &[Sold]| {
        shop.close_till();
        shop.disk().restore(snapshot);
        shop.reopen();
        drain(&center, &mut shop, sold)
    };

    assert_eq!(with(&whole, &sold), Ok(2));
    // The till has lost what was acknowledged.
    let lost = with(&before, &sold).expect_err("a sale is lost");
    assert!(lost.contains("at the server as None"), "{lost}");
    // The same goods were sold twice, and one answer was read.
    let doubled = with(&whole, &sold[..1]).expect_err("a sale too many");
    assert!(
        doubled.contains("2 sales at the server, 1 acknowledged"),
        "{doubled}"
    );
    sold[1].minor += 1;
    let changed = with(&whole, &sold).expect_err("another total");
    assert!(changed.contains("is at the server as Some"), "{changed}");
}
