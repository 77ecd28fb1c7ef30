//! Days, months and years: closed with the next opening, chained, and printed again as they were.

use domain::event::{Fact, PeriodKind};
use testkit::shop::{BALL, MANAGER, SHOE_42, Setup, Shop, approval};
use till::door::{Command, PeriodView, Reply, ReportRow, ReportView};

const DAY_MS: i64 = 86_400_000;

fn reports(shop: &mut Shop) -> Vec<ReportRow> {
    match shop.ok(Command::ListReports { limit: None }) {
        Reply::Reports { reports } => reports,
        other => panic!("not reports: {other:?}"),
    }
}

fn period(shop: &mut Shop, command: Command) -> PeriodView {
    match shop.ok(command) {
        Reply::Period(period) => *period,
        other => panic!("not a closing: {other:?}"),
    }
}

fn z(shop: &mut Shop, command: Command) -> ReportView {
    match shop.ok(command) {
        Reply::Report(report) => *report,
        other => panic!("not a report: {other:?}"),
    }
}

fn get(number: &str) -> Command {
    Command::GetReport {
        number: number.to_owned(),
    }
}

fn reprint(number: &str) -> Command {
    Command::ReprintReport {
        number: number.to_owned(),
    }
}

/// One shift with one sale; its total.
fn day(shop: &mut Shop) -> i64 {
    shop.sign_in(MANAGER);
    // A gap of more than two days asks a manager whether the clock is right.
    shop.ok(Command::OpenShift {
        count: Vec::new(),
        drawer: None,
        approval: Some(approval()),
    });
    shop.scan(BALL);
    let total = shop.pay_cash(None).total_minor;
    shop.close_exact();
    total
}

fn numbers(shop: &mut Shop) -> Vec<String> {
    reports(shop).into_iter().map(|row| row.number).collect()
}

#[test]
fn a_day_is_closed_with_the_next_opening_and_before_its_first_sale() {
    let mut shop = Setup::tunisia().build();
    let total = day(&mut shop);
    assert_eq!(numbers(&mut shop), ["Z1"], "the day may go on");
    let again = day(&mut shop);
    assert_eq!(numbers(&mut shop).len(), 2, "a second shift of the day");
    shop.advance_days(1);
    day(&mut shop);
    let view = period(&mut shop, get("D1"));
    assert_eq!(view.name, "2026-11-23");
    assert_eq!((view.sales, view.sales_minor), (2, total + again));
    assert_eq!(view.z_numbers, Some((1, 2)));
    assert_eq!(view.perpetual_minor, total + again);
    let kinds: Vec<&str> = shop.facts().iter().map(Fact::kind).collect();
    let closed = kinds.iter().position(|kind| *kind == "PeriodClosed");
    assert_eq!(kinds[closed.expect("closed") + 1], "ShiftOpened");
    shop.verify_clean();
}

#[test]
fn months_and_years_close_after_their_last_day_and_add_up() {
    let mut shop = Setup::morocco().build();
    let mut total = day(&mut shop);
    shop.advance_days(1);
    total += day(&mut shop);
    // 1 December: the day and November.
    shop.advance_days(7);
    let december = day(&mut shop);
    let month = period(&mut shop, get("M1"));
    assert_eq!((month.name.as_str(), month.sales_minor), ("2026-11", total));
    assert_eq!(month.z_numbers, Some((1, 2)));
    // 4 January: day, December and the year.
    shop.advance_days(34);
    day(&mut shop);
    let year = period(&mut shop, get("Y1"));
    assert_eq!(
        (year.name.as_str(), year.sales_minor),
        ("2026", total + december)
    );
    assert_eq!(year.perpetual_minor, total + december);
    let closings: Vec<String> = numbers(&mut shop)
        .into_iter()
        .filter(|number| !number.starts_with('Z'))
        .collect();
    assert_eq!(closings, ["Y1", "M2", "D3", "M1", "D2", "D1"]);
    shop.verify_clean();
}

#[test]
fn closings_are_chained_to_the_one_before() {
    let mut shop = Setup::tunisia().build();
    for _ in 0..4 {
        day(&mut shop);
        shop.advance_days(1);
    }
    let closings = shop
        .ledger()
        .closings(PeriodKind::Day, 10)
        .expect("readable");
    assert_eq!(closings.len(), 3);
    for pair in closings.windows(2) {
        assert_eq!(pair[0].closed.previous, Some(pair[1].at));
        assert_eq!(pair[0].closed.covers.from_seq, pair[1].at.at.seq + 1);
    }
    assert_eq!(closings[2].closed.previous, None);
}

#[test]
fn a_shift_past_midnight_stays_with_its_day() {
    let mut shop = Setup::tunisia().build();
    shop.configure(|store| store.drawer.drawers = 2);
    shop.open();
    shop.scan(BALL);
    let before = shop.pay_cash(None).total_minor;
    shop.advance_days(1);
    shop.scan(BALL);
    let after = shop.pay_cash(None).total_minor;
    shop.ok(Command::OpenShift {
        count: Vec::new(),
        drawer: Some(2),
        approval: None,
    });
    let dates: Vec<_> = shop
        .status()
        .shifts
        .into_iter()
        .map(|shift| shift.business_date)
        .collect();
    assert_eq!(dates, ["2026-11-23", "2026-11-23"]);
    shop.close_exact();
    shop.ok(Command::UseDrawer { drawer: 1 });
    shop.close_exact();
    shop.open_shift(0);
    let view = period(&mut shop, get("D1"));
    assert_eq!(
        (view.name.as_str(), view.sales_minor),
        ("2026-11-23", before + after)
    );
    shop.verify_clean();
}

#[test]
fn a_till_that_stops_trading_is_closed_by_its_manager() {
    let mut shop = Setup::tunisia().build();
    day(&mut shop);
    shop.advance_days(60);
    shop.sign_in(MANAGER);
    shop.ok(Command::ClosePeriods { approval: None });
    // 22 January: the day, November and the year.
    assert_eq!(numbers(&mut shop), ["Y1", "M1", "D1", "Z1"]);
    shop.verify_clean();
}

#[test]
fn a_trading_day_that_goes_back_is_in_the_next_closing_and_nothing_is_late() {
    let mut shop = Setup::tunisia().build();
    // Days after the server was last heard from, or the clock would be known to be wrong.
    shop.advance_days(3);
    let first = day(&mut shop);
    shop.set_wall_ms(shop.now().wall_ms - 3 * DAY_MS);
    let second = day(&mut shop);
    shop.set_wall_ms(shop.now().wall_ms + 5 * DAY_MS);
    day(&mut shop);
    let (one, two) = (period(&mut shop, get("D1")), period(&mut shop, get("D2")));
    assert_eq!((one.name.as_str(), one.sales_minor), ("2026-11-26", first));
    assert_eq!((two.name.as_str(), two.sales_minor), ("2026-11-23", second));
    assert_eq!(two.perpetual_minor, first + second);
    let jumps = shop
        .facts()
        .iter()
        .filter(|fact| fact.kind() == "ClockJumped")
        .count();
    assert_eq!(jumps, 2);
    shop.verify_clean();
}

#[test]
fn a_report_is_printed_again_as_it_was_whatever_changed_since() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(SHOE_42);
    shop.pay_cash(None);
    let issued = shop.close_exact();
    shop.advance_days(1);
    day(&mut shop);
    let day_issued = period(&mut shop, get("D1"));
    let paper = shop
        .ledger()
        .report_document("Z1")
        .expect("readable")
        .expect("kept");
    shop.configure(|store| {
        store.chain = "Autre Enseigne".to_owned();
        store.receipt_language = domain::catalog::Language::Ar;
    });
    shop.reopen();
    assert_eq!(z(&mut shop, get("Z1")).png_base64, issued.png_base64);
    assert_eq!(
        period(&mut shop, get("D1")).png_base64,
        day_issued.png_base64
    );
    for copy in 1..=2 {
        let again = z(&mut shop, reprint("Z1"));
        assert_eq!(again.copies, copy);
        assert_ne!(again.png_base64, issued.png_base64, "it is marked");
    }
    assert_eq!(period(&mut shop, reprint("D1")).copies, 1);
    let after = shop
        .ledger()
        .report_document("Z1")
        .expect("readable")
        .expect("kept");
    assert_eq!(paper, after);
    shop.verify_clean();
}

#[test]
fn an_edited_paper_of_a_z_is_found() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.close_exact();
    shop.close_till();
    let path = shop.folder().join("ledger.db");
    let file = crate::raw(path);
    file.execute(
        "UPDATE report SET document = replace(document, '100.000', '900.000')",
        [],
    )
    .expect("edit");
    drop(file);
    shop.try_open().expect("opens");
    let report = shop.ledger().verify().expect("readable");
    let bad = report.first_bad.expect("found");
    assert_eq!((bad.table.as_str(), bad.key.as_str()), ("report", "Z1"));
}

#[test]
fn a_year_whose_months_were_closed_on_their_own_is_closed_before_the_next() {
    let mut shop = Setup::tunisia().build();
    let old = day(&mut shop);
    // 3 December: November is over and closed, the year is not.
    shop.advance_days(10);
    shop.ok(Command::ClosePeriods {
        approval: Some(approval()),
    });
    assert_eq!(numbers(&mut shop), ["M1", "D1", "Z1"]);
    // 7 January: nothing was sold since, and the year is over.
    shop.advance_days(35);
    let new = day(&mut shop);
    let year = period(&mut shop, get("Y1"));
    assert_eq!((year.name.as_str(), year.sales_minor), ("2026", old));
    assert_eq!(year.perpetual_minor, old);
    // A year later the second one holds the second day alone.
    shop.advance_days(366);
    day(&mut shop);
    let year = period(&mut shop, get("Y2"));
    assert_eq!((year.name.as_str(), year.sales_minor), ("2027", new));
    shop.verify_clean();
}

#[test]
fn a_report_typed_with_spaces_is_the_same_report() {
    let mut shop = Setup::tunisia().build();
    day(&mut shop);
    shop.ok(reprint("Z1"));
    assert_eq!(z(&mut shop, get(" Z1 ")), z(&mut shop, get("Z1")));
}
