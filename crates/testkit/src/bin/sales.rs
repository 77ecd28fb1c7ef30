//! Times a till on a folder and prints one line of JSON. `make bench` builds it twice, plain and encrypted, and lets
//! the two take turns: one build has one SQLite, so neither can measure both.

use std::io::Write as _;
use std::time::Instant;

use serde_json::json;
use testkit::shop::{BALL, SERVICE, SOCKS, Setup, TEE};

/// Receipts of a run, unless the first argument says otherwise.
const RECEIPTS: usize = 200;
/// Sales before the first that counts.
const WARM_UP: usize = 20;

/// Milliseconds that `work` takes.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let done = work();
    (started.elapsed().as_secs_f64() * 1_000.0, done)
}

fn main() -> std::io::Result<()> {
    let asked = std::env::args().nth(1);
    let receipts = asked.map_or(RECEIPTS, |text| text.parse().expect("a number of receipts"));
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    let (mut scans, mut sales) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + receipts {
        let mut scanned = 0.0;
        for article in [BALL, TEE, SOCKS, SERVICE] {
            scanned = timed(|| shop.scan(article)).0;
        }
        let (sold, _) = timed(|| shop.pay_cash(None));
        if number >= WARM_UP {
            scans.push(scanned);
            sales.push(sold);
        }
    }
    let (verify, report) = timed(|| shop.ledger().verify().expect("a readable file"));
    assert_eq!(report.first_bad, None);
    let (close, _) = timed(|| shop.close_exact());
    shop.close_till();
    let (open, ()) = timed(|| shop.try_open().expect("the till opens again"));
    let key = till::read_file_key(shop.folder()).expect("a readable folder");
    let bytes = std::fs::metadata(shop.folder().join("ledger.db"))?.len();
    let figures = json!({
        "encrypted": key.is_some(),
        "receipts": WARM_UP + receipts,
        "scan_ms": scans,
        "sale_ms": sales,
        "verify_ms": verify,
        "close_ms": close,
        "open_ms": open,
        "bytes": bytes,
    });
    writeln!(std::io::stdout(), "{figures}")
}
