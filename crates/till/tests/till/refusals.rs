//! Every refusal that can be reached is reached by a named case, with its parameters. `Shop::refused` checks
//! that head, cart, parked carts, settings and print jobs are as before.

use std::collections::BTreeSet;

use domain::catalog::KitPart;
use domain::ids::VariantId;
use domain::quantity::Quantity;
use serde_json::{Value, json};
use testkit::shop::{
    self, BALL, CASHIER, FUTURE, LEFT, MANAGER, MANAGER_PIN, SERVICE, SHOE_42, SHOE_42_EAN, STRICT,
    Setup, Shop, TEE, UNPRICED, UNTAXED, variant,
};
use till::door::{Command, RefusalCode as Code};

struct Case {
    name: &'static str,
    prepare: fn(&mut Shop),
    command: fn(&mut Shop) -> Value,
    code: Code,
    params: Value,
}

fn read(command: Value) -> Command {
    serde_json::from_value(command.clone()).unwrap_or_else(|error| panic!("{command}: {error}"))
}

fn run(cases: Vec<Case>) -> BTreeSet<Code> {
    let mut reached = BTreeSet::new();
    for case in cases {
        let mut shop = Setup::tunisia().build();
        (case.prepare)(&mut shop);
        let command = read((case.command)(&mut shop));
        let before = shop.traces();
        let answer = shop.call(command);
        let found = serde_json::to_value(answer).expect("plain data");
        let expected = json!({"refused": {"code": case.code, "params": case.params}});
        assert_eq!(found, expected, "{}", case.name);
        assert_eq!(before, shop.traces(), "{} left a trace", case.name);
        shop.verify_clean();
        reached.insert(case.code);
    }
    reached
}

fn nothing(_: &mut Shop) {}
fn cashier(shop: &mut Shop) {
    shop.sign_in(CASHIER);
}
fn manager(shop: &mut Shop) {
    shop.sign_in(MANAGER);
}
fn open(shop: &mut Shop) {
    shop.open();
}
fn with_ball(shop: &mut Shop) {
    shop.open();
    shop.scan(BALL);
}
fn with_card(shop: &mut Shop) {
    with_ball(shop);
    shop.ok(read(json!({"type": "AddTender",
        "tender": {"kind": "card", "amount_minor": 20_000, "reference": "A1"}})));
}
fn with_sale(shop: &mut Shop) {
    with_ball(shop);
    shop.pay_cash(None);
}

/// Digits of a receipt code's beginning, and zeros.
fn code_of_version(version: u64) -> String {
    format!("{:017}{}", 0x48 << 48 | version << 40, "0".repeat(17 * 30))
}

fn last_number(shop: &Shop) -> String {
    let last = shop.ledger().last_receipt().expect("readable");
    last.expect("a receipt").number
}

fn case(
    name: &'static str,
    prepare: fn(&mut Shop),
    command: fn(&mut Shop) -> Value,
    code: Code,
    params: Value,
) -> Case {
    Case {
        name,
        prepare,
        command,
        code,
        params,
    }
}

fn who_and_when() -> Vec<Case> {
    vec![
        case(
            "sell without signing in",
            nothing,
            |_| json!({"type": "ScanCode", "code": BALL}),
            Code::SignInRequired,
            json!({}),
        ),
        case(
            "report without signing in",
            nothing,
            |_| json!({"type": "XReport"}),
            Code::SignInRequired,
            json!({}),
        ),
        case(
            "sign in as nobody",
            nothing,
            |_| json!({"type": "SignIn", "user": uuid::Uuid::nil(), "pin": "4826"}),
            Code::UserUnknown,
            json!({}),
        ),
        case(
            "sign in as somebody who left",
            nothing,
            |_| json!({"type": "SignIn", "user": LEFT, "pin": "5937"}),
            Code::UserUnknown,
            json!({}),
        ),
        case(
            "wrong PIN",
            nothing,
            |_| json!({"type": "SignIn", "user": CASHIER, "pin": "9999"}),
            Code::WrongPin,
            json!({"left": 4, "wait_ms": 0}),
        ),
        case(
            "empty PIN",
            nothing,
            |_| json!({"type": "SignIn", "user": CASHIER, "pin": ""}),
            Code::WrongPin,
            json!({"left": 4, "wait_ms": 0}),
        ),
        case(
            "weak PIN",
            nothing,
            |_| {
                json!({"type": "ResetPin", "user": CASHIER, "new_pin": "1234",
                "approval": {"user": MANAGER, "pin": MANAGER_PIN}})
            },
            Code::PinWeak,
            json!({}),
        ),
        case(
            "a manager's PIN of four digits",
            nothing,
            |_| {
                json!({"type": "ResetPin", "user": MANAGER, "new_pin": "4826",
                "approval": {"user": MANAGER, "pin": MANAGER_PIN}})
            },
            Code::PinWeak,
            json!({}),
        ),
        case(
            "approval by a cashier",
            with_ball,
            |_| {
                json!({"type": "SetPrice", "line": 1, "unit_minor": 1,
                "approval": {"user": CASHIER, "pin": "4826"}})
            },
            Code::ManagerRequired,
            json!({}),
        ),
        case(
            "approval with a wrong PIN",
            with_ball,
            |_| {
                json!({"type": "SetPrice", "line": 1, "unit_minor": 1,
                "approval": {"user": MANAGER, "pin": "000000"}})
            },
            Code::WrongPin,
            json!({"left": 4, "wait_ms": 0}),
        ),
        case(
            "price without a manager",
            with_ball,
            |_| json!({"type": "SetPrice", "line": 1, "unit_minor": 1}),
            Code::ManagerRequired,
            json!({}),
        ),
    ]
}

fn shifts() -> Vec<Case> {
    vec![
        case(
            "complete before the shift",
            |shop| {
                shop.sign_in(CASHIER);
                shop.scan(BALL);
            },
            |shop| json!({"type": "Complete", "sale": shop.cart().sale, "tenders": [{"kind": "cash"}]}),
            Code::ShiftRequired,
            json!({}),
        ),
        case(
            "X without a shift",
            cashier,
            |_| json!({"type": "XReport"}),
            Code::ShiftRequired,
            json!({}),
        ),
        case(
            "drawer without a shift",
            cashier,
            |_| json!({"type": "OpenDrawer", "reason": "change"}),
            Code::ShiftRequired,
            json!({}),
        ),
        case(
            "a drawer that the till has not",
            open,
            |_| json!({"type": "UseDrawer", "drawer": 2}),
            Code::UnknownDrawer,
            json!({"drawer": 2}),
        ),
        case(
            "opening a drawer that the till has not",
            cashier,
            |_| json!({"type": "OpenShift", "count": [], "drawer": 0}),
            Code::UnknownDrawer,
            json!({"drawer": 0}),
        ),
        case(
            "a pay-in of nothing",
            open,
            |_| json!({"type": "MoveCash", "movement": "pay_in", "amount_minor": 0, "reason": "x"}),
            Code::AmountInvalid,
            json!({}),
        ),
        case(
            "a pay-in near the largest amount",
            open,
            |_| json!({"type": "MoveCash", "movement": "pay_in", "amount_minor": (1_i64 << 53) - 1, "reason": "x"}),
            Code::AmountOverflow,
            json!({}),
        ),
        case(
            "a movement of more than any amount",
            open,
            |_| json!({"type": "MoveCash", "movement": "pay_in", "amount_minor": i64::MAX, "reason": "x"}),
            Code::AmountInvalid,
            json!({}),
        ),
        case(
            "a drop above the drawer",
            open,
            |_| json!({"type": "MoveCash", "movement": "drop", "amount_minor": 100_001, "reason": "x"}),
            Code::DrawerShort,
            json!({"expected_minor": 100_000}),
        ),
        case(
            "a pay-out by a cashier",
            open,
            |_| json!({"type": "MoveCash", "movement": "pay_out", "amount_minor": 5_000, "reason": "x"}),
            Code::ManagerRequired,
            json!({}),
        ),
        case(
            "a pay-in without a reason",
            open,
            |_| json!({"type": "MoveCash", "movement": "pay_in", "amount_minor": 5, "reason": "  "}),
            Code::TextInvalid,
            json!({"field": "reason"}),
        ),
        case(
            "a no-sale with a control character for a reason",
            open,
            |_| json!({"type": "OpenDrawer", "reason": "a\u{1b}b"}),
            Code::TextInvalid,
            json!({"field": "reason"}),
        ),
        case(
            "a pay-in without a shift",
            cashier,
            |_| json!({"type": "MoveCash", "movement": "pay_in", "amount_minor": 5, "reason": "x"}),
            Code::ShiftRequired,
            json!({}),
        ),
        case(
            "a count without a shift",
            cashier,
            |_| json!({"type": "CountDrawer", "count": []}),
            Code::ShiftRequired,
            json!({}),
        ),
        case(
            "a hand-over to oneself",
            open,
            |_| json!({"type": "HandOver", "to": CASHIER, "pin": shop::CASHIER_PIN}),
            Code::HandOverToSelf,
            json!({}),
        ),
        case(
            "a report that is not there",
            open,
            |_| json!({"type": "GetReport", "number": "Z7"}),
            Code::UnknownReport,
            json!({"number": "Z7"}),
        ),
        case(
            "a reprint of what is no report",
            open,
            |_| json!({"type": "ReprintReport", "number": "D01"}),
            Code::UnknownReport,
            json!({"number": "D01"}),
        ),
        case(
            "a trial balance of a year that is not closed",
            open,
            |_| json!({"type": "TrialBalance", "number": "Y1"}),
            Code::UnknownReport,
            json!({"number": "Y1"}),
        ),
        case(
            "closing periods in a shift",
            |shop| {
                shop.sign_in(MANAGER);
                shop.open_shift(0);
            },
            |_| json!({"type": "ClosePeriods"}),
            Code::ShiftOpen,
            json!({}),
        ),
        case(
            "closing periods of which none has ended",
            manager,
            |_| json!({"type": "ClosePeriods"}),
            Code::NothingToClose,
            json!({}),
        ),
        case(
            "closing periods by a cashier",
            cashier,
            |_| json!({"type": "ClosePeriods"}),
            Code::ManagerRequired,
            json!({}),
        ),
        case(
            "close without a shift",
            cashier,
            |_| json!({"type": "CloseShift", "count": []}),
            Code::ShiftRequired,
            json!({}),
        ),
        case(
            "reverse without a shift",
            manager,
            |_| json!({"type": "ReverseSale", "number": "x", "reason": "x"}),
            Code::ShiftRequired,
            json!({}),
        ),
        case(
            "a second opening",
            open,
            |_| json!({"type": "OpenShift", "count": []}),
            Code::ShiftOpen,
            json!({}),
        ),
        case(
            "a coin of another country",
            cashier,
            |_| json!({"type": "OpenShift", "count": [{"denomination_minor": 3_000, "pieces": 1}]}),
            Code::CountInvalid,
            json!({"denomination_minor": 3_000}),
        ),
        case(
            "fewer than no coins",
            cashier,
            |_| json!({"type": "OpenShift", "count": [{"denomination_minor": 500, "pieces": -1}]}),
            Code::CountInvalid,
            json!({"denomination_minor": 500}),
        ),
        case(
            "fewer than no coins, made up for by others",
            cashier,
            |_| {
                json!({"type": "OpenShift", "count": [
                {"denomination_minor": 500, "pieces": 3}, {"denomination_minor": 500, "pieces": -1}]})
            },
            Code::CountInvalid,
            json!({"denomination_minor": 500}),
        ),
        case(
            "a negative coin at closing",
            open,
            |_| json!({"type": "CloseShift", "count": [{"denomination_minor": -500, "pieces": 1}]}),
            Code::CountInvalid,
            json!({"denomination_minor": -500}),
        ),
        case(
            "more coins than there are",
            cashier,
            |_| json!({"type": "OpenShift", "count": [{"denomination_minor": 50_000, "pieces": i64::MAX}]}),
            Code::AmountOverflow,
            json!({}),
        ),
        case(
            "pieces that overflow together",
            cashier,
            |_| {
                json!({"type": "OpenShift", "count": [
                {"denomination_minor": 5, "pieces": i64::MAX}, {"denomination_minor": 5, "pieces": 1}]})
            },
            Code::AmountOverflow,
            json!({}),
        ),
        case(
            "a difference above the limit",
            open,
            |_| json!({"type": "CloseShift", "count": [{"denomination_minor": 50_000, "pieces": 1}]}),
            Code::DifferenceApprovalRequired,
            json!({"difference_minor": -50_000, "limit_minor": 1_000}),
        ),
    ]
}

fn cart() -> Vec<Case> {
    vec![
        case(
            "unknown barcode",
            open,
            |_| json!({"type": "ScanCode", "code": " 6190000000001 "}),
            Code::UnknownCode,
            json!({"code": "6190000000001"}),
        ),
        case(
            "a wrong check digit",
            open,
            |_| json!({"type": "ScanCode", "code": "6191234500017"}),
            Code::UnknownCode,
            json!({"code": "6191234500017"}),
        ),
        case(
            "two labels read as one",
            open,
            |_| json!({"type": "ScanCode", "code": SHOE_42_EAN.repeat(6)}),
            Code::UnknownCode,
            json!({"code": &SHOE_42_EAN.repeat(6)[..32]}),
        ),
        case(
            "an empty scan",
            open,
            |_| json!({"type": "ScanCode", "code": "  "}),
            Code::UnknownCode,
            json!({"code": ""}),
        ),
        case(
            "a scan of control and direction characters",
            open,
            |_| json!({"type": "ScanCode", "code": "A\u{1b}@\u{202e}B\u{0}\u{2066}"}),
            Code::UnknownCode,
            json!({"code": "A@B"}),
        ),
        case(
            "a receipt scanned for an article",
            open,
            |_| json!({"type": "ScanCode", "code": "7".repeat(600)}),
            Code::ReceiptCode,
            json!({}),
        ),
        case(
            "a receipt code read in part",
            open,
            |_| json!({"type": "CheckCode", "text": code_of_version(1)[..17 * 20].to_owned()}),
            Code::CodeDamaged,
            json!({}),
        ),
        case(
            "a receipt code of a later version",
            open,
            |_| json!({"type": "CheckCode", "text": code_of_version(2)}),
            Code::CodeTooNew,
            json!({}),
        ),
        case(
            "unknown variant",
            open,
            |_| json!({"type": "AddLine", "variant": uuid::Uuid::nil()}),
            Code::UnknownVariant,
            json!({}),
        ),
        case(
            "stock of an unknown variant",
            open,
            |_| json!({"type": "StockOf", "variant": uuid::Uuid::nil()}),
            Code::UnknownVariant,
            json!({}),
        ),
        case(
            "a kit whose part has not come",
            |shop| {
                open(shop);
                let part = KitPart {
                    variant: VariantId(uuid::Uuid::nil()),
                    quantity: Quantity::ONE,
                };
                shop.set_parts(BALL, &[part]);
            },
            |_| json!({"type": "ScanCode", "code": BALL}),
            Code::KitIncomplete,
            json!({"sku": BALL}),
        ),
        case(
            "no price",
            open,
            |_| json!({"type": "ScanCode", "code": UNPRICED}),
            Code::NoPrice,
            json!({"sku": UNPRICED}),
        ),
        case(
            "a price that has not begun",
            open,
            |_| json!({"type": "ScanCode", "code": FUTURE}),
            Code::NoPrice,
            json!({"sku": FUTURE}),
        ),
        case(
            "a tax category without a rate",
            open,
            |_| json!({"type": "ScanCode", "code": UNTAXED}),
            Code::NoTaxRate,
            json!({"tax": "book"}),
        ),
        case(
            "strict without a right",
            open,
            |_| json!({"type": "ScanCode", "code": STRICT}),
            Code::NoRight,
            json!({"sku": STRICT, "variant": testkit::shop::variant(STRICT), "right": 0}),
        ),
        case(
            "no such line",
            with_ball,
            |_| json!({"type": "SetQuantity", "line": 2, "quantity": 1_000}),
            Code::UnknownLine,
            json!({}),
        ),
        case(
            "no such line to take off",
            with_ball,
            |_| json!({"type": "RemoveLine", "line": 0}),
            Code::UnknownLine,
            json!({}),
        ),
        case(
            "no such line to put back",
            with_ball,
            |_| json!({"type": "RestoreLine", "line": 1}),
            Code::UnknownLine,
            json!({}),
        ),
        case(
            "quantity nothing",
            with_ball,
            |_| json!({"type": "SetQuantity", "line": 1, "quantity": 0}),
            Code::QuantityInvalid,
            json!({}),
        ),
        case(
            "quantity below nothing",
            with_ball,
            |_| json!({"type": "SetQuantity", "line": 1, "quantity": -1_000}),
            Code::QuantityInvalid,
            json!({}),
        ),
        case(
            "quantity of a mistyped barcode",
            with_ball,
            |_| json!({"type": "SetQuantity", "line": 1, "quantity": 6_191_234_500_016_000_i64}),
            Code::QuantityInvalid,
            json!({}),
        ),
        case(
            "the largest number as a quantity",
            open,
            |_| json!({"type": "AddLine", "variant": variant(BALL), "quantity": i64::MAX}),
            Code::QuantityInvalid,
            json!({}),
        ),
        case(
            "a negative price",
            with_ball,
            |_| {
                json!({"type": "SetPrice", "line": 1, "unit_minor": -1,
                "approval": {"user": MANAGER, "pin": MANAGER_PIN}})
            },
            Code::PriceInvalid,
            json!({}),
        ),
        case(
            "a price beyond what screens can show",
            with_ball,
            |_| {
                json!({"type": "SetPrice", "line": 1, "unit_minor": i64::MAX,
                "approval": {"user": MANAGER, "pin": MANAGER_PIN}})
            },
            Code::PriceInvalid,
            json!({}),
        ),
        case(
            "a price that overflows with its quantity",
            |shop| {
                with_ball(shop);
                shop.ok(read(
                    json!({"type": "SetQuantity", "line": 1, "quantity": 1_000_000}),
                ));
            },
            |_| {
                json!({"type": "SetPrice", "line": 1, "unit_minor": (1_i64 << 53) - 1,
                "approval": {"user": MANAGER, "pin": MANAGER_PIN}})
            },
            Code::AmountOverflow,
            json!({}),
        ),
        case(
            "above a hundred percent",
            with_ball,
            |_| json!({"type": "DiscountLine", "line": 1, "discount": {"type": "percent", "bp": 10_001}}),
            Code::DiscountInvalid,
            json!({}),
        ),
        case(
            "above a hundred percent of the cart",
            with_ball,
            |_| json!({"type": "DiscountCart", "discount": {"type": "percent", "bp": u32::MAX}}),
            Code::DiscountInvalid,
            json!({}),
        ),
        case(
            "more off than the line comes to",
            with_ball,
            |_| json!({"type": "DiscountLine", "line": 1, "discount": {"type": "amount", "minor": 29_501}}),
            Code::DiscountInvalid,
            json!({}),
        ),
        case(
            "more off than the cart comes to",
            with_ball,
            |_| json!({"type": "DiscountCart", "discount": {"type": "amount", "minor": 29_501}}),
            Code::DiscountInvalid,
            json!({}),
        ),
        case(
            "a negative discount",
            with_ball,
            |_| json!({"type": "DiscountCart", "discount": {"type": "amount", "minor": -1}}),
            Code::DiscountInvalid,
            json!({}),
        ),
        case(
            "a line discount above the limit",
            with_ball,
            |_| json!({"type": "DiscountLine", "line": 1, "discount": {"type": "percent", "bp": 1_001}}),
            Code::DiscountApprovalRequired,
            json!({"limit_bp": 1_000}),
        ),
        case(
            "a cart discount above the limit",
            with_ball,
            |_| json!({"type": "DiscountCart", "discount": {"type": "amount", "minor": 2_951}}),
            Code::DiscountApprovalRequired,
            json!({"limit_bp": 1_000}),
        ),
        case(
            "clear nothing",
            open,
            |_| json!({"type": "ClearCart"}),
            Code::EmptyCart,
            json!({}),
        ),
        case(
            "park nothing",
            open,
            |_| json!({"type": "Park"}),
            Code::EmptyCart,
            json!({}),
        ),
        case(
            "recall what is not parked",
            with_ball,
            |shop| json!({"type": "Recall", "sale": shop.cart().sale}),
            Code::UnknownParked,
            json!({}),
        ),
    ]
}

fn texts() -> Vec<Case> {
    let mut cases = vec![case(
        "a reason is missing",
        |shop| {
            with_sale(shop);
            shop.sign_in(MANAGER);
        },
        |shop| json!({"type": "ReverseSale", "number": last_number(shop), "reason": " "}),
        Code::TextInvalid,
        json!({"field": "reason"}),
    )];
    cases.push(case(
        "a reason that turns the text around",
        |shop| {
            with_sale(shop);
            shop.sign_in(MANAGER);
        },
        |shop| {
            json!({"type": "ReverseSale", "number": last_number(shop), "reason": "erreur \u{202e}000.1"})
        },
        Code::TextInvalid,
        json!({"field": "reason"}),
    ));
    cases.push(case(
        "a label with a line break",
        with_ball,
        |_| json!({"type": "Park", "label": "Mme\nB."}),
        Code::TextInvalid,
        json!({"field": "label"}),
    ));
    cases.push(case(
        "a label with a printer's command",
        with_ball,
        |_| json!({"type": "Park", "label": "\u{1b}p0"}),
        Code::TextInvalid,
        json!({"field": "label"}),
    ));
    cases.push(case(
        "a label that is too long",
        with_ball,
        |_| json!({"type": "Park", "label": "م".repeat(81)}),
        Code::TextInvalid,
        json!({"field": "label"}),
    ));
    cases.push(case(
        "a reference that turns the text around",
        with_ball,
        |_| json!({"type": "AddTender", "tender": {"kind": "card", "reference": "\u{2067}42"}}),
        Code::TextInvalid,
        json!({"field": "reference"}),
    ));
    cases
}

fn paying() -> Vec<Case> {
    vec![
        case(
            "complete nothing",
            open,
            |shop| json!({"type": "Complete", "sale": shop.cart().sale}),
            Code::EmptyCart,
            json!({}),
        ),
        case(
            "a tender on nothing",
            open,
            |_| json!({"type": "AddTender", "tender": {"kind": "cash"}}),
            Code::EmptyCart,
            json!({}),
        ),
        case(
            "complete another cart",
            with_ball,
            |_| json!({"type": "Complete", "sale": uuid::Uuid::nil(), "tenders": [{"kind": "cash"}]}),
            Code::OtherCart,
            json!({}),
        ),
        case(
            "nothing tendered",
            with_ball,
            |shop| json!({"type": "Complete", "sale": shop.cart().sale}),
            Code::Underpaid,
            json!({"due_minor": 29_500, "tendered_minor": 0}),
        ),
        case(
            "underpaid",
            with_ball,
            |shop| {
                json!({"type": "Complete", "sale": shop.cart().sale,
                "tenders": [{"kind": "cash", "amount_minor": 29_499}]})
            },
            Code::Underpaid,
            json!({"due_minor": 29_500, "tendered_minor": 29_499}),
        ),
        case(
            "cash that reaches the ceiling of the law",
            |shop| {
                with_ball(shop);
                shop.configure(|store| {
                    store.rules.cash_ceilings = vec![domain::config::CashCeiling {
                        soft_above_minor: None,
                        hard_from_minor: Some(29_500),
                        from: None,
                        to: None,
                    }];
                });
            },
            |shop| {
                json!({"type": "Complete", "sale": shop.cart().sale,
                "tenders": [{"kind": "cash", "amount_minor": 30_000}]})
            },
            Code::CashCeilingApprovalRequired,
            json!({"limit_minor": 29_500, "cash_minor": 29_500}),
        ),
        case(
            "a tender of nothing",
            with_ball,
            |_| json!({"type": "AddTender", "tender": {"kind": "cash", "amount_minor": 0}}),
            Code::TenderInvalid,
            json!({}),
        ),
        case(
            "a negative tender",
            with_ball,
            |_| json!({"type": "AddTender", "tender": {"kind": "cash", "amount_minor": -1}}),
            Code::TenderInvalid,
            json!({}),
        ),
        case(
            "a barcode scanned into the amount",
            with_ball,
            |_| json!({"type": "AddTender", "tender": {"kind": "cash", "amount_minor": i64::MAX}}),
            Code::AmountOverflow,
            json!({}),
        ),
        case(
            "a card above what is due",
            with_ball,
            |_| json!({"type": "AddTender", "tender": {"kind": "card", "amount_minor": 29_501, "reference": "A1"}}),
            Code::TenderAboveDue,
            json!({"due_minor": 29_500}),
        ),
        case(
            "a second card above the rest",
            with_card,
            |shop| {
                json!({"type": "Complete", "sale": shop.cart().sale,
                "tenders": [{"kind": "card", "amount_minor": 9_501, "reference": "A2"}]})
            },
            Code::TenderAboveDue,
            json!({"due_minor": 9_500}),
        ),
        case(
            "a card without a reference",
            with_ball,
            |_| json!({"type": "AddTender", "tender": {"kind": "card"}}),
            Code::ReferenceRequired,
            json!({}),
        ),
        case(
            "a cheque with an empty reference",
            with_ball,
            |_| json!({"type": "AddTender", "tender": {"kind": "other", "reference": "  "}}),
            Code::ReferenceRequired,
            json!({}),
        ),
        case(
            "no such tender",
            with_card,
            |_| json!({"type": "RemoveTender", "index": 1}),
            Code::UnknownTender,
            json!({}),
        ),
        case(
            "clear a cart that is partly paid",
            with_card,
            |_| json!({"type": "ClearCart"}),
            Code::TendersRecorded,
            json!({}),
        ),
        case(
            "take off the last line of a cart that is partly paid",
            with_card,
            |_| json!({"type": "RemoveLine", "line": 1}),
            Code::TendersRecorded,
            json!({}),
        ),
        case(
            "fewer than the card has paid",
            with_card,
            |_| json!({"type": "SetQuantity", "line": 1, "quantity": 500}),
            Code::TendersRecorded,
            json!({}),
        ),
    ]
}

fn counting(shop: &mut Shop) {
    shop.open();
    shop.ok(read(json!({"type": "StartStockCount"})));
}
fn with_document(shop: &mut Shop) {
    shop.open();
    shop.ok(read(
        json!({"type": "ReceiveGoods", "document": DOCUMENT, "lines": [one(BALL)]}),
    ));
    shop.ok(read(
        json!({"type": "SendTransfer", "transfer": DOCUMENT, "to": "SO", "lines": [one(BALL)]}),
    ));
}

const DOCUMENT: uuid::Uuid = uuid::Uuid::from_u128(0xD0C);

fn one(sku: &str) -> Value {
    json!({"variant": variant(sku), "quantity": 1_000})
}

fn out(sku: &str) -> Value {
    json!({"variant": variant(sku), "quantity": -1_000})
}

fn stockroom() -> Vec<Case> {
    let mut cases = vec![
        case(
            "receive without signing in",
            nothing,
            |_| json!({"type": "ReceiveGoods", "lines": [one(BALL)]}),
            Code::SignInRequired,
            json!({}),
        ),
        case(
            "find what no label says",
            open,
            |_| json!({"type": "FindCode", "code": "12345678"}),
            Code::UnknownCode,
            json!({"code": "12345678"}),
        ),
        case(
            "find a receipt",
            open,
            |_| json!({"type": "FindCode", "code": code_of_version(1)}),
            Code::ReceiptCode,
            json!({}),
        ),
        case(
            "lineage of nothing",
            open,
            |_| json!({"type": "StockLineage", "variant": uuid::Uuid::nil()}),
            Code::UnknownVariant,
            json!({}),
        ),
        case(
            "lineage of a service",
            open,
            |_| json!({"type": "StockLineage", "variant": variant(SERVICE)}),
            Code::Untracked,
            json!({"sku": SERVICE}),
        ),
        case(
            "an empty document",
            open,
            |_| json!({"type": "ReceiveGoods", "lines": []}),
            Code::NoLines,
            json!({}),
        ),
        case(
            "receive an unknown variant",
            open,
            |_| json!({"type": "ReceiveGoods", "lines": [{"variant": uuid::Uuid::nil(), "quantity": 1_000}]}),
            Code::UnknownVariant,
            json!({}),
        ),
        case(
            "receive a service",
            open,
            |_| json!({"type": "ReceiveGoods", "lines": [one(BALL), one(SERVICE)]}),
            Code::Untracked,
            json!({"sku": SERVICE}),
        ),
        case(
            "send a service",
            open,
            |_| json!({"type": "SendTransfer", "to": "SO", "lines": [one(SERVICE)]}),
            Code::Untracked,
            json!({"sku": SERVICE}),
        ),
        case(
            "more lines than a document holds",
            open,
            |_| {
                let line = |number: u128| json!({"variant": uuid::Uuid::from_u128(number), "quantity": 1_000});
                let lines: Vec<Value> = (0..5_001).map(line).collect();
                json!({"type": "ReceiveGoods", "lines": lines})
            },
            Code::TooManyLines,
            json!({"max": 5_000}),
        ),
        case(
            "a zone that is none",
            open,
            |_| json!({"type": "ReceiveGoods", "zone": "la\u{202e} réserve", "lines": [one(BALL)]}),
            Code::ZoneInvalid,
            json!({"zone": "la réserve"}),
        ),
        case(
            "receive into all zones",
            open,
            |_| json!({"type": "ReceiveGoods", "zone": "*", "lines": [one(BALL)]}),
            Code::ZoneInvalid,
            json!({"zone": "*"}),
        ),
        case(
            "count in a zone that is none",
            open,
            |_| json!({"type": "StartStockCount", "zone": "0123456789abcdefg"}),
            Code::ZoneInvalid,
            json!({"zone": "0123456789abcdefg"}),
        ),
        case(
            "carry goods to where they are",
            open,
            |_| json!({"type": "MoveZone", "from_zone": "back", "to_zone": " back", "lines": [one(BALL)]}),
            Code::SamePlace,
            json!({}),
        ),
        case(
            "a delivery note with a control character",
            open,
            |_| json!({"type": "ReceiveGoods", "reference": "BL\u{7}1", "lines": [one(BALL)]}),
            Code::TextInvalid,
            json!({"field": "reference"}),
        ),
        case(
            "a note that is too long",
            manager,
            |_| {
                json!({"type": "AdjustStock", "reason": "theft", "note": "x".repeat(81),
                "lines": [out(BALL)]})
            },
            Code::TextInvalid,
            json!({"field": "note"}),
        ),
        case(
            "found by a count in no stream",
            open,
            |_| {
                json!({"type": "ReceiveGoods", "lines": [one(BALL)],
                "included_in": {"stream": "here", "seq": 3}})
            },
            Code::UnknownCount,
            json!({}),
        ),
        case(
            "found by no count",
            open,
            |_| {
                json!({"type": "ReceiveGoods", "lines": [one(BALL)],
                "included_in": {"stream": "0".repeat(32), "seq": 0}})
            },
            Code::UnknownCount,
            json!({}),
        ),
        case(
            "the same delivery twice",
            with_document,
            |_| json!({"type": "ReceiveGoods", "document": DOCUMENT, "lines": [one(BALL)]}),
            Code::DocumentKnown,
            json!({}),
        ),
        case(
            "the same transfer twice",
            with_document,
            |_| json!({"type": "SendTransfer", "transfer": DOCUMENT, "to": "SO", "lines": [one(TEE)]}),
            Code::DocumentKnown,
            json!({}),
        ),
        case(
            "adjust without a manager",
            open,
            |_| json!({"type": "AdjustStock", "reason": "theft", "lines": [out(BALL)]}),
            Code::ManagerRequired,
            json!({}),
        ),
        case(
            "an adjustment that comes to nothing",
            manager,
            |_| json!({"type": "AdjustStock", "reason": "found", "lines": [one(BALL), out(BALL)]}),
            Code::QuantityInvalid,
            json!({}),
        ),
        case(
            "send to a place that is not of the chain",
            open,
            |_| json!({"type": "SendTransfer", "to": "PARIS", "lines": [one(BALL)]}),
            Code::UnknownLocation,
            json!({"location": "PARIS"}),
        ),
        case(
            "send to this store",
            open,
            |_| json!({"type": "SendTransfer", "to": "LM", "lines": [one(BALL)]}),
            Code::SamePlace,
            json!({}),
        ),
        case(
            "receive from this store",
            open,
            |_| json!({"type": "ReceiveTransfer", "transfer": DOCUMENT, "from": "LM", "lines": [one(BALL)]}),
            Code::SamePlace,
            json!({}),
        ),
        case(
            "receive from a place that is not of the chain",
            open,
            |_| json!({"type": "ReceiveTransfer", "transfer": DOCUMENT, "from": "X", "lines": [one(BALL)]}),
            Code::UnknownLocation,
            json!({"location": "X"}),
        ),
        case(
            "lose without a manager",
            with_document,
            |_| {
                json!({"type": "LoseTransfer", "transfer": DOCUMENT, "from": "LM", "to": "SO",
                "lines": [one(BALL)]})
            },
            Code::ManagerRequired,
            json!({}),
        ),
        case(
            "lose more than is on its way",
            with_document,
            |_| {
                json!({"type": "LoseTransfer", "transfer": DOCUMENT, "from": "LM", "to": "SO",
                "lines": [{"variant": variant(BALL), "quantity": 1_001}]})
            },
            Code::TransferShort,
            json!({"sku": BALL, "open": 1_000}),
        ),
        case(
            "lose what others send each other",
            manager,
            |_| {
                json!({"type": "LoseTransfer", "transfer": DOCUMENT, "from": "SO", "to": "SO",
                "lines": [one(BALL)]})
            },
            Code::SamePlace,
            json!({}),
        ),
        case(
            "send a strict variant without a right",
            open,
            |_| json!({"type": "SendTransfer", "to": "SO", "lines": [one(BALL), one(STRICT)]}),
            Code::NoRight,
            json!({"sku": STRICT, "variant": variant(STRICT), "right": 0}),
        ),
        case(
            "take out a strict variant without a right",
            manager,
            |_| json!({"type": "AdjustStock", "reason": "theft", "lines": [out(STRICT)]}),
            Code::NoRight,
            json!({"sku": STRICT, "variant": variant(STRICT), "right": 0}),
        ),
        case(
            "send a strict variant without a right and without a manager",
            open,
            |_| {
                json!({"type": "SendTransfer", "to": "SO", "lines": [one(STRICT)],
                "without_right": true})
            },
            Code::ManagerRequired,
            json!({}),
        ),
        case(
            "two counts on one device",
            counting,
            |_| json!({"type": "StartStockCount"}),
            Code::CountOpen,
            json!({}),
        ),
        case(
            "scan into no count",
            open,
            |_| json!({"type": "ScanCounted", "code": BALL}),
            Code::NoCount,
            json!({}),
        ),
        case(
            "finish no count",
            manager,
            |_| json!({"type": "FinishStockCount"}),
            Code::NoCount,
            json!({}),
        ),
        case(
            "give up no count",
            open,
            |_| json!({"type": "DropStockCount"}),
            Code::NoCount,
            json!({}),
        ),
        case(
            "finish a count of nothing",
            counting,
            |_| json!({"type": "FinishStockCount"}),
            Code::NoLines,
            json!({}),
        ),
        case(
            "finish without a manager",
            |shop| {
                counting(shop);
                shop.ok(read(json!({"type": "ScanCounted", "code": BALL})));
            },
            |_| json!({"type": "FinishStockCount"}),
            Code::ManagerRequired,
            json!({}),
        ),
        case(
            "count a service",
            counting,
            |_| json!({"type": "AddCounted", "variant": variant(SERVICE), "quantity": 1_000}),
            Code::Untracked,
            json!({"sku": SERVICE}),
        ),
        case(
            "count what no label says",
            counting,
            |_| json!({"type": "ScanCounted", "code": "?"}),
            Code::UnknownCode,
            json!({"code": "?"}),
        ),
        case(
            "fewer than none were found",
            counting,
            |_| json!({"type": "AddCounted", "variant": variant(BALL), "quantity": -1}),
            Code::QuantityInvalid,
            json!({}),
        ),
        case(
            "take out of the count what is not in it",
            counting,
            |_| json!({"type": "RemoveCounted", "variant": variant(BALL)}),
            Code::UnknownVariant,
            json!({}),
        ),
    ];
    for (name, command) in QUANTITIES {
        cases.push(case(
            name,
            manager,
            *command,
            Code::QuantityInvalid,
            json!({}),
        ));
    }
    cases
}

type Make = fn(&mut Shop) -> Value;

/// Quantities that no document may hold.
const QUANTITIES: &[(&str, Make)] = &[
    ("receive nothing of it", |_| received_of(0)),
    ("receive less than nothing", |_| received_of(-1_000)),
    ("receive more than a million", |_| {
        received_of(1_000_000_001)
    }),
    ("receive more than fits", |_| received_of(i64::MAX)),
    ("receive less than fits", |_| received_of(i64::MIN)),
    (
        "send less than nothing",
        |_| json!({"type": "SendTransfer", "to": "SO", "lines": [out(BALL)]}),
    ),
    ("adjust by nothing", |_| {
        json!({"type": "AdjustStock", "reason": "found",
        "lines": [{"variant": variant(BALL), "quantity": 0}]})
    }),
    ("lines that add up to more than a million", |_| {
        let line = json!({"variant": variant(BALL), "quantity": 600_000_000});
        json!({"type": "ReceiveGoods", "lines": [line, line]})
    }),
];

fn received_of(quantity: i64) -> Value {
    json!({"type": "ReceiveGoods", "lines": [{"variant": variant(BALL), "quantity": quantity}]})
}

fn receipts_and_device() -> Vec<Case> {
    vec![
        case(
            "taking over a file that is not there",
            manager,
            |_| json!({"type": "RecoverStream", "file": "nothing.db"}),
            Code::UnknownFile,
            json!({"file": "nothing.db"}),
        ),
        case(
            "taking over a file without a manager",
            cashier,
            |_| json!({"type": "RecoverStream", "file": "nothing.db"}),
            Code::ManagerRequired,
            json!({}),
        ),
        case(
            "no such receipt",
            open,
            |_| json!({"type": "GetReceipt", "number": "LM-01-00000-2026-000001"}),
            Code::UnknownReceipt,
            json!({}),
        ),
        case(
            "a number that is none",
            open,
            |_| json!({"type": "Reprint", "number": "' OR 1=1 --"}),
            Code::UnknownReceipt,
            json!({}),
        ),
        case(
            "reverse an unknown receipt",
            open,
            |_| json!({"type": "ReverseSale", "number": "?", "reason": "erreur"}),
            Code::UnknownReceipt,
            json!({}),
        ),
        case(
            "reprint before the first receipt",
            open,
            |_| json!({"type": "ReprintLast"}),
            Code::NoReceipt,
            json!({}),
        ),
        case(
            "reverse without a manager",
            with_sale,
            |shop| json!({"type": "ReverseSale", "number": last_number(shop), "reason": "erreur"}),
            Code::ManagerRequired,
            json!({}),
        ),
        case(
            "reverse twice",
            |shop| {
                with_sale(shop);
                let number = last_number(shop);
                shop.ok(read(
                    json!({"type": "ReverseSale", "number": number, "reason": "erreur",
                    "approval": {"user": MANAGER, "pin": MANAGER_PIN}}),
                ));
            },
            |shop| {
                let sales = shop.ledger().receipts("", 2).expect("readable");
                json!({"type": "ReverseSale", "number": sales[1].number, "reason": "erreur",
                    "approval": {"user": MANAGER, "pin": MANAGER_PIN}})
            },
            Code::AlreadyReversed,
            json!({}),
        ),
        case(
            "reverse a reversal",
            |shop| {
                with_sale(shop);
                let number = last_number(shop);
                shop.ok(read(
                    json!({"type": "ReverseSale", "number": number, "reason": "erreur",
                    "approval": {"user": MANAGER, "pin": MANAGER_PIN}}),
                ));
            },
            |shop| json!({"type": "ReverseSale", "number": last_number(shop), "reason": "erreur"}),
            Code::AlreadyReversed,
            json!({}),
        ),
        case(
            "reverse a sale of another shift",
            |shop| {
                with_sale(shop);
                shop.close_exact();
                shop.open_shift(0);
            },
            |shop| json!({"type": "ReverseSale", "number": last_number(shop), "reason": "erreur"}),
            Code::ShiftOfReceiptClosed,
            json!({}),
        ),
        case(
            "no such print job",
            open,
            |_| json!({"type": "ResolvePrintJob", "job": uuid::Uuid::nil(), "came_out": true}),
            Code::UnknownPrintJob,
            json!({}),
        ),
        case(
            "a print job that is not uncertain",
            with_sale,
            |shop| {
                let job = shop
                    .ledger()
                    .next_print_job()
                    .expect("readable")
                    .expect("a job");
                json!({"type": "ResolvePrintJob", "job": job.job, "came_out": false})
            },
            Code::UnknownPrintJob,
            json!({}),
        ),
        case(
            "no such printer profile",
            nothing,
            |_| {
                json!({"type": "SetSettings", "settings": {"language": "fr",
                "printer": {"type": "file"}, "profile": "epson\u{7}-\u{202e}1"}})
            },
            Code::UnknownProfile,
            json!({"profile": "epson-1"}),
        ),
        case(
            "no printer address",
            nothing,
            |_| {
                json!({"type": "SetSettings", "settings": {"language": "fr",
                "printer": {"type": "tcp", "address": "printer"}, "profile": "generic-80"}})
            },
            Code::BadPrinterAddress,
            json!({}),
        ),
        case(
            "enrol twice",
            nothing,
            |_| json!({"type": "Enrol", "server": "https://hq.example", "code": "atlas.AAAAAAAA"}),
            Code::AlreadyEnrolled,
            json!({}),
        ),
        case(
            "a result from outside",
            nothing,
            |_| {
                json!({"type": "JobFinished", "job": uuid::Uuid::nil(),
                "result": {"type": "failed", "code": "server_unreachable"}})
            },
            Code::InternalCommand,
            json!({}),
        ),
    ]
}

#[test]
fn who_may_do_it_and_when() {
    run(who_and_when());
    run(shifts());
}

#[test]
fn what_may_be_on_a_cart() {
    run(cart());
    run(texts());
}

#[test]
fn what_the_stockroom_may_write() {
    run(stockroom());
}

#[test]
fn how_it_may_be_paid() {
    run(paying());
}

#[test]
fn receipts_printers_and_enrolment() {
    run(receipts_and_device());
}

#[test]
fn every_code_has_a_case() {
    let all = [
        who_and_when(),
        shifts(),
        cart(),
        texts(),
        paying(),
        receipts_and_device(),
        stockroom(),
    ];
    let mut named: BTreeSet<Code> = all.iter().flatten().map(|case| case.code).collect();
    named.extend([
        // requests.rs
        Code::InvalidCommand,
        Code::RequestIdReused,
        // enrolment.rs
        Code::NotEnrolled,
        Code::NotReady,
        Code::BadServerAddress,
        Code::EnrolCodeInvalid,
        Code::ServerNonsense,
        Code::StorageFailed,
        // storage.rs
        Code::DiskFull,
        // recovering.rs
        Code::FileUnreadable,
        Code::FileNotALedger,
        Code::FileTooNew,
        Code::FileLocked,
        Code::FileDamaged,
        Code::FileCurrent,
        Code::FileOfOtherChain,
        Code::FileOfOtherTill,
        Code::FileOfOtherDevice,
        Code::FileUnrelated,
        // sign_in.rs
        Code::PinWait,
        Code::PinBlocked,
        // shifts.rs
        Code::DateApprovalRequired,
        // drawers.rs
        Code::BlindCountDiffers,
        // selling.rs
        Code::TooManyLines,
        // Warnings in a cart, selling.rs and cash_law.rs.
        Code::StockBelowZero,
        Code::CashAboveCeiling,
        // Reported by the runtime as the state of an enrolment, enrolment.rs.
        Code::ServerUnreachable,
        // Only a fault of the program.
        Code::Internal,
    ]);
    let schema = schemars::schema_for!(Code).to_value();
    let codes = schema["oneOf"].as_array().expect("one entry per code");
    assert!(codes.len() > 50);
    for code in codes {
        let code: Code = serde_json::from_value(code["const"].clone()).expect("a code");
        assert!(named.contains(&code), "{code:?} has no case");
    }
}

#[test]
fn a_refusal_in_the_middle_of_a_sale_leaves_the_sale_to_be_finished() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(SHOE_42);
    for case in cart().into_iter().chain(texts()) {
        if std::ptr::fn_addr_eq(case.prepare, open as fn(&mut Shop)) {
            let command = read((case.command)(&mut shop));
            if !matches!(command, Command::ClearCart {} | Command::Park { .. }) {
                let refusal = shop.refused(command);
                assert_eq!(refusal.code, case.code, "{}", case.name);
            }
        }
    }
    shop.scan(TEE);
    let done = shop.pay_cash(Some(150_000));
    assert_eq!((done.total_minor, done.change_minor), (144_890, 5_110));
    shop.verify_clean();
}

#[test]
fn emoji_and_arabic_are_texts_like_any_other() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    for label in ["Mme Ben Salah 🎾", "السيدة بن صالح", "Ø 50 % <b>&\"'"] {
        shop.scan(BALL);
        shop.ok(Command::Park {
            label: Some(label.to_owned()),
        });
        let traces = shop.traces();
        assert_eq!(traces[2]["ok"]["carts"][0]["label"], label);
        shop.advance_ms(1_000);
    }
    let number = {
        shop.scan(BALL);
        shop.pay_cash(None).number
    };
    shop.ok(Command::ReverseSale {
        number,
        reason: "خطأ 🙈".to_owned(),
        approval: Some(shop::approval()),
    });
    shop.verify_clean();
}
