//! Wrong clocks: selling goes on, the order of the journal holds, and a jump is written down.

use std::path::Path;

use domain::event::{Event, Fact, TenderKind};
use ledger::Ledger;
use support::faults::served::{PATIENCE, Served, program_at};
use testkit::shop::{
    BALL_UPC, CASHIER, CASHIER_PIN, Country, SOCKS, START_WALL_MS, Setup, approval, pieces, tender,
};
use testkit::wait::wait_until;
use till::door::{Command, Reply};

const DAY_MS: i64 = 86_400_000;

#[test]
fn a_clock_set_anywhere_stops_no_sale_and_is_written_down() {
    let walls = [
        0,
        -DAY_MS,
        START_WALL_MS - 3_650 * DAY_MS,
        START_WALL_MS - DAY_MS,
        START_WALL_MS + DAY_MS,
        2_147_483_648_000,
        4_070_908_800_000,
        i64::MAX,
        i64::MIN,
    ];
    for wall in walls {
        let mut shop = Setup::tunisia().on_disk().build();
        shop.open();
        let opened = shop.status().shift.expect("a shift").business_date;
        shop.scan(BALL_UPC);
        shop.pay_cash(None);
        shop.set_wall_ms(wall);
        shop.scan(BALL_UPC);
        let done = shop.pay_cash(None);
        assert!(done.number.ends_with("000002"), "{wall}: {}", done.number);
        let facts = shop.facts();
        let jump = facts
            .iter()
            .position(|fact| matches!(fact, Fact::ClockJumped(_)));
        let last = facts
            .iter()
            .rposition(|fact| matches!(fact, Fact::SaleCompleted(_)));
        assert!(
            jump.is_some() && jump < last,
            "{wall}: no jump before the sale"
        );
        assert_eq!(
            shop.status().shift.expect("a shift").business_date,
            opened,
            "{wall}"
        );
        shop.reopen();
        shop.close_exact();
        // A day that goes back or leaps ahead needs a manager, who may say that it is right.
        shop.sign_in(CASHIER);
        shop.ok(Command::OpenShift {
            count: pieces(Country::Tunisia, 100_000),
            drawer: None,
            approval: Some(approval()),
        });
        // A day that the clock cannot tell is the last that is known, so there are prices on any.
        shop.scan(BALL_UPC);
        shop.pay_cash(None);
        shop.verify_clean();
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_till-program");

/// Sells one pair of socks; the receipt's number.
fn sell(till: &mut Served) -> String {
    till.ok(Command::SignIn {
        user: CASHIER,
        pin: CASHIER_PIN.to_owned(),
    })
    .expect("signed in");
    let cart = till.ok(Command::ScanCode {
        code: SOCKS.to_owned(),
    });
    let Ok(Reply::Cart(cart)) = cart else {
        panic!("{cart:?}")
    };
    let done = till.ok(Command::Complete {
        sale: cart.sale,
        tenders: vec![tender(TenderKind::Cash, None)],
        approval: None,
    });
    match done {
        Ok(Reply::Completed(done)) => done.number,
        other => panic!("{other:?}"),
    }
}

fn jumps(folder: &Path) -> usize {
    let ledger = Ledger::open_read_only(&folder.join("ledger.db")).expect("a ledger");
    let events = ledger.events(1, usize::MAX, usize::MAX).expect("readable");
    let facts = events.iter().map(|event| {
        let event = Event::decode(event.bytes.as_ref()).expect("an event");
        event.fact().expect("a known fact")
    });
    facts
        .filter(|fact| matches!(fact, Fact::ClockJumped(_)))
        .count()
}

/// The whole program under `faketime`, from its start on.
#[test]
fn the_program_starts_and_sells_under_any_clock() {
    // Two hours after the shop was set up; then elsewhere, or so fast that it runs away from the clock since boot.
    let right = "@2026-11-23 09:00:00";
    for (wrong, jumped) in [
        ("@1970-01-02 00:00:00", true),
        ("@2026-11-22 09:00:00", true),
        ("@2099-01-01 00:00:00", true),
        ("@2026-11-23 09:00:10 x1000", true),
        // Control: a clock that goes on as it should is no jump.
        ("@2026-11-23 09:00:10", false),
    ] {
        let setup = Setup {
            // Nobody listens there.
            server: "http://127.0.0.1:9",
            ..Setup::tunisia().on_folder()
        };
        let mut shop = setup.build();
        shop.open();
        shop.close_till();
        let (folder, witness) = (shop.folder(), tempfile::tempdir().expect("a folder"));
        let start = |time| {
            let command = program_at(time, Path::new(PROGRAM), folder, witness.path());
            let mut till = Served::start(command).expect("faketime, from .ci/setup.sh test");
            till.ready()
                .unwrap_or_else(|error| panic!("{time}: {error:#}"));
            till
        };
        let mut numbers = Vec::new();
        let mut till = start(right);
        numbers.push(sell(&mut till));
        till.stop().expect("stopped");
        let before = jumps(folder);

        let mut till = start(wrong);
        numbers.push(sell(&mut till));
        if jumped {
            wait_until(PATIENCE, wrong, || {
                numbers.push(sell(&mut till));
                (jumps(folder) > before).then_some(())
            });
        }
        till.stop().expect("stopped");
        assert_eq!(jumps(folder) > before, jumped, "{wrong}");

        let mut till = start("@2026-11-23 10:00:00");
        numbers.push(sell(&mut till));
        till.stop().expect("stopped");
        for (index, number) in numbers.iter().enumerate() {
            let wanted = format!("{:06}", index + 1);
            assert!(number.ends_with(&wanted), "{wrong}: {number} after {index}");
        }
        shop.reopen();
        shop.verify_clean();
    }
}
