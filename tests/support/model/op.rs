//! What may happen, how often, and how a throw of dice becomes a command that makes sense in the model's state.
//!
//! An [`Op`] knows nothing of the state it will meet, so that any of them can be left out of a sequence. A new
//! command takes a [`What`], its weight, an arm in `step` and an arm in `Model::apply`.

use domain::event::{CashMovement, TenderKind};
use domain::ids::{SaleId, UserId};
use domain::quantity::Quantity;
use testkit::rng::Rng;
use testkit::shop::{
    ARCHIVED, BALL, BALL_UPC, CASHIER, CASHIER_PIN, FUTURE, LEFT, MANAGER, MANAGER_PIN, SERVICE,
    SHOE_42, SHOE_42_EAN, SHOE_43, SHOE_43_CARTON, SOCKS, STRICT, TEE, UNPRICED, UNTAXED, approval,
    pieces, tender, variant,
};
use till::door::{Approval, Command, DiscountInput, Pieces, TenderInput};
use uuid::Uuid;

use super::book::Model;
use super::cart::{AMOUNT_MAX, QUANTITY_MAX, due, price};

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Scan,
    AddLine,
    SetQuantity,
    SetPrice,
    DiscountLine,
    DiscountCart,
    RemoveLine,
    RestoreLine,
    ClearCart,
    Park,
    Recall,
    ListParked,
    GetCart,
    AddTender,
    RemoveTender,
    Complete,
    Reverse,
    OpenShift,
    CloseShift,
    UseDrawer,
    XReport,
    MoveCash,
    CountDrawer,
    HandOver,
    OpenDrawer,
    ClosePeriods,
    ListReports,
    GetReport,
    ReprintReport,
    TrialBalance,
    ListReceipts,
    GetReceipt,
    Reprint,
    StockOf,
    Status,
    SignIn,
    SignOut,
    Repeat,
    Restart,
    Reboot,
    Pass,
    NextDay,
    SetClock,
    OfficeStock,
    OfficePrice,
}

/// How often, of the sum of all.
const WEIGHTS: &[(What, u64)] = &[
    (What::Scan, 190),
    (What::AddLine, 60),
    (What::SetQuantity, 40),
    (What::SetPrice, 20),
    (What::DiscountLine, 40),
    (What::DiscountCart, 30),
    (What::RemoveLine, 25),
    (What::RestoreLine, 12),
    (What::ClearCart, 6),
    (What::Park, 12),
    (What::Recall, 14),
    (What::ListParked, 5),
    (What::GetCart, 10),
    (What::AddTender, 40),
    (What::RemoveTender, 20),
    (What::Complete, 180),
    (What::Reverse, 35),
    (What::OpenShift, 45),
    (What::CloseShift, 15),
    (What::UseDrawer, 12),
    (What::XReport, 20),
    (What::MoveCash, 35),
    (What::CountDrawer, 12),
    (What::HandOver, 8),
    (What::OpenDrawer, 10),
    (What::ClosePeriods, 24),
    (What::ListReports, 5),
    (What::GetReport, 4),
    (What::ReprintReport, 3),
    (What::TrialBalance, 8),
    (What::ListReceipts, 10),
    (What::GetReceipt, 2),
    (What::Reprint, 3),
    (What::StockOf, 12),
    (What::Status, 10),
    (What::SignIn, 35),
    (What::SignOut, 6),
    (What::Repeat, 30),
    (What::Restart, 5),
    (What::Reboot, 2),
    (What::Pass, 40),
    (What::NextDay, 14),
    (What::SetClock, 4),
    (What::OfficeStock, 5),
    (What::OfficePrice, 5),
];

/// One thing that happens, and the dice that decide how.
#[derive(Debug, Clone, Copy)]
pub struct Op {
    pub what: What,
    dice: [u64; 4],
}

/// What an [`Op`] is in a given state.
#[derive(Debug, Clone)]
pub enum Step {
    /// A command.
    Ask(Command),
    /// The request before last, say, once more; or its id with another command.
    Repeat { back: usize, other: bool },
    /// The program ends and starts again.
    Restart,
    /// The machine does.
    Reboot,
    /// Time goes by, in milliseconds.
    Pass(i64),
    /// Somebody sets the wall clock, by so many milliseconds.
    SetClock(i64),
    /// Head office sends a figure of stock, whole units.
    Stock(&'static str, i64),
    /// Head office sends a price from today on.
    Price(&'static str, i64),
}

impl Op {
    /// Draws one.
    pub fn draw(rng: &mut Rng) -> Op {
        let sum: u64 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut left = rng.below(sum);
        let mut what = What::Status;
        for (candidate, weight) in WEIGHTS {
            if left < *weight {
                what = *candidate;
                break;
            }
            left -= weight;
        }
        Op {
            what,
            dice: std::array::from_fn(|_| rng.next_u64()),
        }
    }
}

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Articles, those that sell more often than those that are refused.
const SKUS: &[&str] = &[
    SHOE_42, SHOE_43, BALL, TEE, SOCKS, SERVICE, ARCHIVED, SHOE_42, SHOE_43, BALL, TEE, SOCKS,
    SERVICE, TEE, SOCKS, BALL, STRICT, UNPRICED, UNTAXED, FUTURE,
];

const fn small(dice: u64, bound: u64) -> i64 {
    (dice % bound).cast_signed()
}

fn pick<T: Copy>(dice: u64, of: &[T]) -> Option<T> {
    let place = usize::try_from(dice % (of.len().max(1) as u64)).ok()?;
    of.get(place).copied()
}

fn one_of<T: Copy>(dice: u64, of: &[T]) -> T {
    pick(dice, of).expect("a list that is not empty")
}

/// A manager's word, nobody's, or that of somebody who may not give it.
fn word(dice: u64) -> Option<Approval> {
    match dice % 10 {
        0..=5 => Some(approval()),
        6..=8 => None,
        _ => Some(Approval {
            user: CASHIER,
            pin: CASHIER_PIN.to_owned(),
        }),
    }
}

/// Counts that cannot be: an unknown piece, less than none, and a sum that fits nowhere.
fn odd_count(dice: u64) -> Vec<Pieces> {
    let (denomination_minor, pieces) = one_of(
        dice,
        &[(3_000, 1), (500, -1), (500, i64::MAX), (20_000, AMOUNT_MAX)],
    );
    vec![Pieces {
        denomination_minor,
        pieces,
    }]
}

fn count(model: &Model, minor: i64, dice: u64) -> Vec<Pieces> {
    if dice.is_multiple_of(23) {
        return odd_count(dice / 23);
    }
    // No piece is smaller than 5.
    pieces(model.rules.country, minor.max(0) / 5 * 5)
}

fn reason(dice: u64) -> String {
    let reasons = ["monnaie", "café ☕ للفريق", "taxi", "erreur"];
    match dice % 29 {
        0 => "  ".to_owned(),
        1 => "a\u{7}b".to_owned(),
        2 => "x".repeat(81),
        _ => one_of(dice, &reasons).to_owned(),
    }
}

fn discount(dice: u64, base: i64) -> DiscountInput {
    match dice % 12 {
        0 | 1 => DiscountInput::None,
        2..=4 => DiscountInput::Percent {
            bp: one_of(dice / 12, &[500, 1_000, 333]),
        },
        5 | 6 => DiscountInput::Percent {
            bp: one_of(dice / 12, &[1_001, 2_500, 5_000, 10_000]),
        },
        7 | 8 => DiscountInput::Amount {
            minor: base / (10 + small(dice / 12, 30)),
        },
        9 => DiscountInput::Amount { minor: base / 3 },
        10 => DiscountInput::Amount {
            minor: small(dice / 12, 9_000),
        },
        _ => one_of(
            dice / 12,
            &[
                DiscountInput::Percent { bp: 10_001 },
                DiscountInput::Amount { minor: -1 },
                DiscountInput::Amount { minor: i64::MAX },
            ],
        ),
    }
}

fn line_of(model: &Model, dice: u64) -> u32 {
    let lines: Vec<u32> = model.cart.lines.iter().map(|line| line.number).collect();
    if dice.is_multiple_of(31) {
        return 99;
    }
    pick(dice, &lines).unwrap_or(1)
}

fn tender_for(due_exact: i64, due_cash: i64, dice: [u64; 2]) -> TenderInput {
    let more = one_of(dice[1], &[5, 10, 500, 1_000, 5_000, 20_000, 50_000]);
    match dice[0] % 16 {
        0..=3 => tender(TenderKind::Cash, None),
        4..=6 => tender(TenderKind::Cash, Some((due_cash / more + 1) * more)),
        7 => tender(TenderKind::Cash, Some(due_cash / 2)),
        8 | 9 => tender(TenderKind::Card, None),
        10 | 11 => tender(TenderKind::Card, Some(due_exact / 2)),
        12 => tender(TenderKind::Other, Some(due_exact.min(1_000))),
        13 => tender(TenderKind::Card, Some(due_exact + 1)),
        14 => TenderInput {
            kind: TenderKind::Other,
            amount_minor: None,
            reference: Some(" ".to_owned()),
        },
        _ => tender(
            TenderKind::Cash,
            Some(one_of(dice[1], &[-1, 0, AMOUNT_MAX + 1, i64::MAX])),
        ),
    }
}

fn report_of(model: &Model, dice: u64) -> String {
    let odd = ["Z0", "Z99999", "D01", "Q1", "", "M18446744073709551616"];
    if dice.is_multiple_of(17) {
        return one_of(dice / 17, &odd).to_owned();
    }
    let numbers: Vec<&str> = model.reports.iter().map(|r| r.number.as_str()).collect();
    let number = pick(dice, &numbers).unwrap_or("Z1");
    // People type spaces.
    if dice.is_multiple_of(7) {
        format!(" {number} ")
    } else {
        number.to_owned()
    }
}

fn receipt_of(model: &Model, dice: u64) -> String {
    let numbers: Vec<&str> = model.receipts.iter().map(|r| r.number.as_str()).collect();
    // Mostly one of the last: the older ones are out of reach.
    let from = if dice.is_multiple_of(4) {
        0
    } else {
        numbers.len().saturating_sub(6)
    };
    match dice % 37 {
        0 => "LM-01-00000-2026-999999".to_owned(),
        _ => pick(dice / 4, &numbers[from..])
            .unwrap_or("none")
            .to_owned(),
    }
}

impl Op {
    /// Mostly what was drawn; often what has to come first, or a till on which nobody is signed in would be asked
    /// in vain until somebody is.
    fn sensible(&self, model: &Model) -> What {
        let fitting = self.dice[3] >> 32;
        let waits = matches!(
            self.what,
            What::Repeat
                | What::Restart
                | What::Reboot
                | What::Pass
                | What::NextDay
                | What::SetClock
                | What::OfficeStock
                | What::OfficePrice
                | What::Status
                | What::GetCart
                | What::ListParked
        );
        let of_cart = matches!(
            self.what,
            What::SetQuantity
                | What::SetPrice
                | What::DiscountLine
                | What::DiscountCart
                | What::RemoveLine
                | What::AddTender
                | What::Complete
                | What::Park
        );
        let of_shift = matches!(
            self.what,
            What::Complete
                | What::Reverse
                | What::MoveCash
                | What::CountDrawer
                | What::HandOver
                | What::OpenDrawer
                | What::XReport
        );
        if waits || fitting.is_multiple_of(5) {
            self.what
        } else if model.user.is_none() {
            What::SignIn
        } else if of_shift && model.shift().is_none() {
            What::OpenShift
        } else if self.what == What::ClosePeriods && model.shift().is_some() {
            What::CloseShift
        } else if of_cart && model.cart.lines.is_empty() {
            What::Scan
        } else {
            self.what
        }
    }

    /// What this comes to in the state of `model`.
    pub fn step(&self, model: &Model) -> Step {
        let [a, b, c, d] = self.dice;
        Step::Ask(match self.sensible(model) {
            What::Scan => {
                let others = [SHOE_42_EAN, SHOE_43_CARTON, BALL_UPC, "6191234500999", ""];
                let code = if a.is_multiple_of(8) {
                    one_of(b, &others)
                } else {
                    one_of(b, SKUS)
                };
                Command::ScanCode {
                    code: code.to_owned(),
                }
            }
            What::AddLine => Command::AddLine {
                variant: match a % 40 {
                    0 => domain::ids::VariantId(Uuid::from_u128(7)),
                    _ => variant(one_of(b, SKUS)),
                },
                quantity: pick(
                    c,
                    &[
                        None,
                        Some(1_000),
                        Some(2_000),
                        Some(500),
                        Some(1_250),
                        Some(0),
                    ],
                )
                .flatten()
                .map(Quantity),
            },
            What::SetQuantity => Command::SetQuantity {
                line: line_of(model, a),
                quantity: Quantity(one_of(
                    b,
                    &[
                        1_000,
                        2_000,
                        3_000,
                        7_000,
                        333,
                        12_000,
                        1,
                        0,
                        -1_000,
                        QUANTITY_MAX + 1,
                    ],
                )),
            },
            What::SetPrice => {
                let line = line_of(model, a);
                let lines = &model.cart.lines;
                let found = lines.iter().find(|found| found.number == line);
                // A price that only its own line could hold would make every sum of the day odd.
                let huge = match found {
                    Some(found) if found.quantity >= 2_000 => AMOUNT_MAX,
                    _ => AMOUNT_MAX + 1,
                };
                let list = found.map_or(1_000, |found| found.list);
                Command::SetPrice {
                    line,
                    unit_minor: one_of(b, &[list, list / 2, list - 1, 0, 9_990, 1, -1, huge]),
                    approval: word(c),
                }
            }
            What::DiscountLine => {
                let line = line_of(model, a);
                let lines = &model.cart.lines;
                let found = lines.iter().find(|found| found.number == line);
                let base = found.map_or(0, |found| found.unit * found.quantity / 1_000);
                Command::DiscountLine {
                    line,
                    discount: discount(b, base),
                    approval: word(c),
                }
            }
            What::DiscountCart => {
                let base = price(&model.cart, 0).map_or(0, |priced| priced.subtotal);
                Command::DiscountCart {
                    discount: discount(b, base),
                    approval: word(c),
                }
            }
            What::RemoveLine => Command::RemoveLine {
                line: line_of(model, a),
            },
            What::RestoreLine => {
                let removed = model.cart.removed.iter().map(|line| line.number);
                Command::RestoreLine {
                    line: pick(a, &removed.collect::<Vec<_>>()).unwrap_or(1),
                }
            }
            What::ClearCart => Command::ClearCart {},
            What::Park => Command::Park {
                label: one_of(a, &[None, Some("dame"), Some(""), Some("a\u{202e}b")])
                    .map(ToOwned::to_owned),
            },
            What::Recall => {
                let sales: Vec<SaleId> = model.parked_sales();
                Command::Recall {
                    sale: pick(a, &sales).unwrap_or(SaleId(Uuid::from_u128(9))),
                }
            }
            What::ListParked => Command::ListParked {},
            What::GetCart => Command::GetCart {},
            What::AddTender => {
                let (exact, cash) = model.due();
                Command::AddTender {
                    tender: tender_for(exact, cash, [a, b]),
                }
            }
            What::RemoveTender => Command::RemoveTender {
                index: u32::try_from(a % (model.cart.tenders.len() as u64 + 1)).unwrap_or(0),
            },
            What::Complete => complete(model, [a, b, c, d]),
            What::Reverse => Command::ReverseSale {
                number: receipt_of(model, a),
                reason: match b % 20 {
                    0 => " ".to_owned(),
                    1 => "x".repeat(81),
                    _ => "erreur de saisie".to_owned(),
                },
                approval: word(c),
            },
            What::OpenShift => Command::OpenShift {
                count: count(model, one_of(a, &[100_000, 50_000, 0, 12_345, 80_000]), b),
                drawer: match d % 5 {
                    0..=2 => None,
                    3 => u32::try_from(1 + d / 5 % u64::from(model.rules.drawers)).ok(),
                    _ => u32::try_from(d / 5 % 6).ok(),
                },
                approval: word(c),
            },
            What::CloseShift => {
                let expected = model.shift().map_or(0, |shift| shift.expected());
                let off = one_of(
                    a,
                    &[0, 0, 0, 500, -500, 1_000, -1_005, -2_000, 30_000, -30_000],
                );
                Command::CloseShift {
                    count: count(model, expected + off, b),
                    approval: word(c),
                }
            }
            What::UseDrawer => Command::UseDrawer {
                drawer: u32::try_from(a % (u64::from(model.rules.drawers) + 2)).unwrap_or(1),
            },
            What::XReport => Command::XReport {
                print: a.is_multiple_of(4),
                approval: word(b),
            },
            What::MoveCash => {
                let expected = model.shift().map_or(0, |shift| shift.expected());
                let huge = if expected > 0 {
                    AMOUNT_MAX
                } else {
                    AMOUNT_MAX + 1
                };
                Command::MoveCash {
                    movement: one_of(
                        a,
                        &[
                            CashMovement::PayIn,
                            CashMovement::PayOut,
                            CashMovement::Drop,
                        ],
                    ),
                    amount_minor: match b % 16 {
                        0 => expected + 1,
                        1 => expected,
                        2 => one_of(b / 16, &[0, -1, i64::MAX, i64::MIN, huge]),
                        _ => small(b / 16, 30) * 500 + 500,
                    },
                    reason: reason(c),
                    approval: word(d),
                }
            }
            What::CountDrawer => {
                let expected = model.shift().map_or(0, |shift| shift.expected());
                Command::CountDrawer {
                    count: count(model, expected + small(a, 3_000) - 1_500, b),
                }
            }
            What::HandOver => {
                let to = person(a);
                Command::HandOver {
                    to,
                    pin: pin_of(to),
                    count: (b % 2 == 0).then(|| count(model, 100_000, c)),
                }
            }
            What::OpenDrawer => Command::OpenDrawer { reason: reason(a) },
            What::ClosePeriods => Command::ClosePeriods { approval: word(a) },
            What::ListReports => Command::ListReports {
                limit: one_of(a, &[None, Some(0), Some(3), Some(1_000)]),
            },
            What::GetReport => Command::GetReport {
                number: report_of(model, a),
            },
            What::ReprintReport => Command::ReprintReport {
                number: report_of(model, a),
            },
            What::TrialBalance => Command::TrialBalance {
                number: match a % 4 {
                    0 => None,
                    1 => Some("X".to_owned()),
                    _ => Some(report_of(model, b)),
                },
            },
            What::ListReceipts => Command::ListReceipts {
                query: if a.is_multiple_of(3) {
                    format!("{:04}", b % 40)
                } else {
                    String::new()
                },
                limit: one_of(c, &[None, Some(1), Some(100)]),
            },
            What::GetReceipt => Command::GetReceipt {
                number: receipt_of(model, a),
            },
            What::Reprint if a.is_multiple_of(3) => Command::ReprintLast {},
            What::Reprint => Command::Reprint {
                number: receipt_of(model, a / 3),
            },
            What::StockOf => Command::StockOf {
                variant: variant(one_of(a, SKUS)),
            },
            What::Status => Command::Status {},
            What::SignIn => {
                let user = person(a);
                Command::SignIn {
                    user,
                    pin: pin_of(user),
                }
            }
            What::SignOut => Command::SignOut {},
            What::Repeat => {
                return Step::Repeat {
                    back: usize::try_from(a % 20).unwrap_or(0),
                    other: b.is_multiple_of(5),
                };
            }
            What::Restart => return Step::Restart,
            What::Reboot => return Step::Reboot,
            What::Pass => return Step::Pass(one_of(a, &[0, 1, 700, 60_000, 600_000, 2 * HOUR])),
            What::NextDay => {
                return Step::Pass(DAY * one_of(a, &[1, 1, 1, 1, 1, 2, 3, 9, 35]));
            }
            What::SetClock => {
                let by = [
                    60_000,
                    -60_000,
                    -300_000,
                    300_000,
                    -DAY,
                    -3 * DAY,
                    4 * DAY,
                    -40 * DAY,
                    40 * DAY,
                ];
                return Step::SetClock(one_of(a, &by));
            }
            What::OfficeStock => return Step::Stock(one_of(a, &SKUS[..5]), small(b, 12)),
            What::OfficePrice => {
                return Step::Price(one_of(a, &SKUS[..5]), (1 + small(b, 400)) * 50);
            }
        })
    }
}

fn complete(model: &Model, [a, b, c, d]: [u64; 4]) -> Command {
    let stranger = SaleId(Uuid::from_u128(9));
    let sale = match a % 40 {
        0 => stranger,
        _ => model.cart.sale.unwrap_or(stranger),
    };
    let (exact, cash) = model.due();
    let tenders = match b % 8 {
        0..=3 => vec![tender(TenderKind::Cash, None)],
        4 | 5 => vec![tender_for(exact, cash, [c, d])],
        6 => Vec::new(),
        _ => {
            let part = (exact / 3).max(1);
            let mut tenders = vec![tender(TenderKind::Card, Some(part))];
            if let Some(total) = model.total() {
                let mut all = model.cart.tenders.clone();
                all.push(super::cart::Tender {
                    kind: TenderKind::Card,
                    amount: part,
                    reference: None,
                });
                let left = due(total, &all, model.rules.rounding).1;
                tenders.push(tender(TenderKind::Cash, Some(left + small(c, 3) * 1_000)));
            }
            tenders
        }
    };
    Command::Complete {
        sale,
        tenders,
        approval: None,
    }
}

fn person(dice: u64) -> UserId {
    match dice % 12 {
        0 => LEFT,
        1 => UserId(Uuid::from_u128(0xFF)),
        2..=7 => CASHIER,
        _ => MANAGER,
    }
}

fn pin_of(user: UserId) -> String {
    if user == MANAGER {
        MANAGER_PIN
    } else {
        CASHIER_PIN
    }
    .to_owned()
}
