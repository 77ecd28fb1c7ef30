//! Money that moves without a sale, several drawers, hand-overs, blind counts, and what banks and owners read.

use domain::event::{CashMovement, Fact, TenderKind};
use ledger::{PrintFilter, PrintKind};
use serde_json::json;
use testkit::shop::{
    BALL, CASHIER, CASHIER_PIN, Country, MANAGER, MANAGER_PIN, Setup, Shop, TEE, approval, pieces,
    tender,
};
use till::door::{
    Answer, BalanceView, Command, CountView, RefusalCode as Code, Reply, ReportView, SlipView,
};

fn move_cash(shop: &mut Shop, movement: CashMovement, amount_minor: i64) -> SlipView {
    let approval = (movement == CashMovement::PayOut).then(approval);
    let reply = shop.ok(Command::MoveCash {
        movement,
        amount_minor,
        reason: "pièces".to_owned(),
        approval,
    });
    match reply {
        Reply::Slip(slip) => *slip,
        other => panic!("not a slip: {other:?}"),
    }
}

fn count(shop: &mut Shop, minor: i64) -> CountView {
    let count = pieces(Country::Tunisia, minor);
    match shop.ok(Command::CountDrawer { count }) {
        Reply::Counted(count) => *count,
        other => panic!("not a count: {other:?}"),
    }
}

fn balance(shop: &mut Shop, number: Option<&str>) -> BalanceView {
    let number = number.map(str::to_owned);
    match shop.ok(Command::TrialBalance { number }) {
        Reply::Balance(balance) => *balance,
        other => panic!("not a balance: {other:?}"),
    }
}

fn account(balance: &BalanceView, code: &str) -> i64 {
    let row = balance.rows.iter().find(|row| row.account == code);
    row.map_or(0, |row| row.debit_minor - row.credit_minor)
}

fn open_drawer_of(shop: &mut Shop, drawer: u32, minor: i64) {
    shop.ok(Command::OpenShift {
        count: pieces(Country::Tunisia, minor),
        drawer: Some(drawer),
        approval: None,
    });
}

fn two_drawers() -> Shop {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.configure(|store| store.drawer.drawers = 2);
    shop
}

#[test]
fn money_that_moves_without_a_sale_is_in_the_drawer_the_report_and_the_accounts() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    let first = move_cash(&mut shop, CashMovement::PayIn, 20_000);
    let second = move_cash(&mut shop, CashMovement::PayOut, 7_500);
    let third = move_cash(&mut shop, CashMovement::Drop, 50_000);
    let numbers =
        [&first, &second, &third].map(|slip| slip.number[slip.number.len() - 7..].to_owned());
    assert_eq!(numbers, ["C000001", "C000002", "C000003"]);
    let slips = shop
        .ledger()
        .print_jobs(PrintFilter::Latest(10))
        .expect("readable");
    assert!(
        slips
            .iter()
            .any(|job| job.number == second.number && job.kind == PrintKind::Report)
    );

    let x = shop.x_report();
    assert_eq!(x.expected_minor, 100_000 + 20_000 - 7_500 - 50_000);
    assert_eq!(
        json!(x.moved_minor),
        json!({"pay_in": 20_000, "pay_out": 7_500, "drop": 50_000})
    );
    let z = shop.close_with(62_500);
    assert_eq!((z.expected_minor, z.difference_minor), (62_500, Some(0)));
    let balance = balance(&mut shop, Some("Z1"));
    assert_eq!(balance.debit_minor, balance.credit_minor);
    assert_eq!(account(&balance, "paid_in"), -20_000);
    assert_eq!(account(&balance, "paid_out"), 7_500);
    assert_eq!(
        account(&balance, "cash"),
        0,
        "a closed drawer holds nothing"
    );
    assert_eq!(account(&balance, "safe"), -100_000 + 50_000 + 62_500);
    shop.verify_clean();
}

#[test]
fn a_pay_out_up_to_the_limit_needs_no_manager_and_one_above_names_the_one_who_allowed_it() {
    let mut shop = Setup::tunisia().build();
    shop.configure(|store| store.drawer.pay_out_limit_minor = Some(5_000));
    shop.open();
    let pay_out = |amount_minor| Command::MoveCash {
        movement: CashMovement::PayOut,
        amount_minor,
        reason: "livreur".to_owned(),
        approval: None,
    };
    shop.ok(pay_out(5_000));
    shop.refused_with(pay_out(5_001), Code::ManagerRequired, json!({}));
    move_cash(&mut shop, CashMovement::PayOut, 5_001);
    let by: Vec<_> = shop
        .facts()
        .into_iter()
        .filter_map(|fact| match fact {
            Fact::CashMoved(moved) => Some(moved.approved_by),
            _ => None,
        })
        .collect();
    assert_eq!(by, [None, Some(MANAGER)]);
    shop.verify_clean();
}

#[test]
fn each_drawer_has_its_own_cash_and_its_own_z() {
    let mut shop = two_drawers();
    shop.open();
    shop.scan(BALL);
    let first = shop.pay_cash(None).total_minor;
    open_drawer_of(&mut shop, 2, 50_000);
    assert_eq!(
        shop.status().drawer,
        2,
        "the drawer that was opened is in use"
    );
    shop.scan(TEE);
    shop.scan(TEE);
    let second = shop.pay_cash(None).total_minor;
    assert_ne!(first, second);
    assert_eq!(shop.x_report().expected_minor, 50_000 + second);
    shop.ok(Command::UseDrawer { drawer: 1 });
    assert_eq!(shop.x_report().expected_minor, 100_000 + first);
    shop.reopen();
    assert_eq!(shop.status().drawer, 1, "through a restart");
    let open: Vec<_> = shop
        .status()
        .shifts
        .iter()
        .map(|shift| shift.drawer)
        .collect();
    assert_eq!(open, [1, 2]);

    let refused = shop.refused(Command::OpenShift {
        count: Vec::new(),
        drawer: Some(2),
        approval: None,
    });
    assert_eq!(
        refused.code,
        Code::ShiftOpen,
        "a second shift on one drawer"
    );

    shop.ok(Command::UseDrawer { drawer: 2 });
    let z = shop.close_with(50_000 + second);
    assert_eq!((z.z_number, z.drawer, z.sales), (Some(1), 2, 1));
    shop.ok(Command::UseDrawer { drawer: 1 });
    let z = shop.close_with(100_000 + first);
    assert_eq!((z.z_number, z.drawer, z.sales), (Some(2), 1, 1));
    shop.verify_clean();
}

#[test]
fn a_drawer_passes_from_hand_to_hand_without_being_closed() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(BALL);
    let paid = shop.pay_cash(None).total_minor;
    shop.scan(TEE);
    let hand_over = |pin: &str| Command::HandOver {
        to: MANAGER,
        pin: pin.to_owned(),
        count: Some(pieces(Country::Tunisia, 100_000)),
    };
    assert!(matches!(shop.call(hand_over("000000")), Answer::Refused(_)));
    shop.ok(hand_over(MANAGER_PIN));
    let status = shop.status();
    assert_eq!(status.user.expect("signed in").user, MANAGER);
    assert_eq!(status.parked, 1, "the cart in hand waits");
    let shift = status.shift.expect("open");
    assert_eq!((shift.holder, shift.receipts), (MANAGER, 1));
    shop.reopen();
    let x = shop.x_report();
    assert_eq!((x.hand_overs, x.expected_minor), (1, 100_000 + paid));
    let handed = shop.facts().into_iter().find_map(|fact| match fact {
        Fact::DrawerHandedOver(handed) => Some(handed),
        _ => None,
    });
    let handed = handed.expect("a fact");
    assert_eq!((handed.from, handed.to), (CASHIER, MANAGER));
    let counted = handed.count.expect("counted");
    assert_eq!(counted.expected_minor - counted.counted_minor, paid);
    shop.verify_clean();
}

#[test]
fn whoever_signs_in_finds_the_drawer_they_answer_for() {
    let mut shop = two_drawers();
    shop.open();
    shop.ok(Command::SignOut {});
    shop.sign_in(MANAGER);
    open_drawer_of(&mut shop, 2, 0);
    shop.ok(Command::SignOut {});
    shop.sign_in(CASHIER);
    assert_eq!(shop.status().drawer, 1);
    shop.ok(Command::SignOut {});
    shop.sign_in(MANAGER);
    assert_eq!(shop.status().drawer, 2);
}

#[test]
fn a_blind_count_tells_nothing_and_leaves_every_try() {
    let mut shop = Setup::tunisia().build();
    shop.configure(|store| store.drawer.blind_count = true);
    shop.open();
    shop.scan(BALL);
    let paid = shop.pay_cash(None).total_minor;
    shop.refused_with(
        Command::XReport {
            print: false,
            approval: None,
        },
        Code::ManagerRequired,
        json!({}),
    );
    let spot = count(&mut shop, 90_000);
    assert_eq!(
        (
            spot.counted_minor,
            spot.expected_minor,
            spot.difference_minor
        ),
        (90_000, None, None)
    );
    let drop = Command::MoveCash {
        movement: CashMovement::Drop,
        amount_minor: 900_000,
        reason: "coffre".to_owned(),
        approval: None,
    };
    shop.refused_with(drop, Code::DrawerShort, json!({}));

    let close = |minor, approval| Command::CloseShift {
        count: pieces(Country::Tunisia, minor),
        approval,
    };
    let head = shop.ledger().head().seq;
    for minor in [10_000, 20_000] {
        let Answer::Refused(refusal) = shop.call(close(minor, None)) else {
            panic!("closed");
        };
        assert_eq!(
            json!(refusal),
            json!({"code": "blind_count_differs", "params": {"limit_minor": 1_000}})
        );
    }
    assert_eq!(shop.ledger().head().seq, head + 2, "each count is a fact");
    let Reply::Report(z) = shop.ok(close(100_000, Some(approval()))) else {
        panic!("not closed");
    };
    assert_eq!((z.counts, z.difference_minor), (3, Some(-paid)));
    shop.verify_clean();
}

#[test]
fn an_open_trial_balance_tells_a_blind_cashier_nothing() {
    let mut shop = Setup::tunisia().build();
    shop.configure(|store| store.drawer.blind_count = true);
    shop.open();
    for number in [None, Some("X".to_owned())] {
        let command = Command::TrialBalance { number };
        shop.refused_with(command, Code::ManagerRequired, json!({}));
    }
    shop.ok(Command::SignOut {});
    shop.sign_in(MANAGER);
    assert_eq!(account(&balance(&mut shop, Some("X")), "cash"), 100_000);
}

#[test]
fn money_taken_for_a_cart_stays_with_its_drawer() {
    let mut shop = two_drawers();
    shop.open();
    shop.ok(Command::SignOut {});
    shop.sign_in(MANAGER);
    open_drawer_of(&mut shop, 2, 0);
    shop.ok(Command::SignOut {});
    shop.sign_in(CASHIER);
    shop.scan(BALL);
    shop.ok(Command::AddTender {
        tender: tender(TenderKind::Cash, Some(5_000)),
    });
    for drawer in [1, 2] {
        let refused = shop.refused(Command::OpenShift {
            count: Vec::new(),
            drawer: Some(drawer),
            approval: None,
        });
        let wanted = if drawer == 1 {
            Code::ShiftOpen
        } else {
            Code::TendersRecorded
        };
        assert_eq!(refused.code, wanted);
    }
    shop.sign_in(MANAGER);
    assert_eq!(shop.status().drawer, 1, "until the cart is paid");
    shop.verify_clean();
}

#[test]
fn a_spot_check_shows_a_manager_the_difference_and_books_nothing() {
    let mut shop = Setup::tunisia().build();
    shop.configure(|store| store.drawer.blind_count = true);
    shop.sign_in(MANAGER);
    shop.open_shift(100_000);
    let spot = count(&mut shop, 99_500);
    assert_eq!(
        (spot.expected_minor, spot.difference_minor),
        (Some(100_000), Some(-500))
    );
    assert_eq!(shop.x_report().expected_minor, 100_000);
    shop.verify_clean();
}

#[test]
fn a_closing_proposes_what_to_bank() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(BALL);
    let paid = shop.pay_cash(None).total_minor;
    let z: ReportView = shop.close_with(100_000 + paid);
    let banked: i64 = z
        .deposit
        .iter()
        .map(|entry| entry.denomination_minor * entry.pieces)
        .sum();
    assert_eq!(banked, z.deposit_minor);
    assert!(
        z.deposit_minor > 0 && z.deposit_minor <= paid,
        "{}",
        z.deposit_minor
    );
    assert!(z.png_base64.is_some());
}

#[test]
fn trial_balances_balance_for_the_shift_the_report_and_everything() {
    let mut shop = Setup::tunisia().with_stamp().build();
    shop.open();
    shop.scan(BALL);
    let total = shop.pay_cash(None).total_minor;
    let of_shift = balance(&mut shop, Some("X"));
    shop.close_with(100_000 + total - 300);
    let of_report = balance(&mut shop, Some("Z1"));
    let of_all = balance(&mut shop, None);
    for view in [&of_shift, &of_report, &of_all] {
        assert_eq!(view.debit_minor, view.credit_minor);
        assert_eq!(account(view, "levy:stamp"), -100);
        let revenue = account(view, "revenue:19") + account(view, "tax:19");
        assert_eq!(revenue, -(total - 100));
        let units: i64 = view
            .stock
            .iter()
            .map(|row| row.quantity.thousandths())
            .sum();
        assert_eq!((units, view.stock.len()), (0, 2));
    }
    assert_eq!(account(&of_shift, "cash"), 100_000 + total);
    assert_eq!(account(&of_report, "over_short"), 300);
    assert_eq!(of_report.rows, of_all.rows);
    shop.verify_clean();
}

#[test]
fn a_cashiers_pin_is_not_enough_to_take_a_drawer_in_anothers_name() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    let taken = Command::HandOver {
        to: MANAGER,
        pin: CASHIER_PIN.to_owned(),
        count: None,
    };
    let Answer::Refused(refusal) = shop.call(taken) else {
        panic!("handed over");
    };
    assert_eq!(refusal.code, Code::WrongPin);
    assert_eq!(shop.status().shift.expect("open").holder, CASHIER);
}

#[test]
fn a_report_names_who_answered_for_the_drawer_and_not_who_closed_it() {
    let mut shop = Setup::tunisia().build();
    let holder = |shop: &mut Shop, number: &str| {
        let number = number.to_owned();
        match shop.ok(Command::GetReport { number }) {
            Reply::Report(report) => report.holder_name,
            other => panic!("not a report: {other:?}"),
        }
    };
    shop.open();
    shop.sign_in(MANAGER);
    assert_eq!(shop.close_exact().holder_name, "Amira");
    assert_eq!(holder(&mut shop, "Z1"), "Amira");
    shop.sign_in(CASHIER);
    shop.open_shift(10_000);
    shop.ok(Command::HandOver {
        to: MANAGER,
        pin: MANAGER_PIN.to_owned(),
        count: None,
    });
    shop.sign_in(CASHIER);
    assert_eq!(shop.close_exact().holder_name, "Salah");
    assert_eq!(holder(&mut shop, "Z2"), "Salah");
}
