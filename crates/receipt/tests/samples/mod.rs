//! Receipts of the demo chain, as a shop would print them.
#![allow(dead_code)]

use chrono::{NaiveDate, NaiveDateTime};
use domain::catalog::Language;
use domain::config::Rate;
use domain::event::{TaxTotal, TenderKind};
use domain::money::Currency;
use domain::quantity::Quantity;
use receipt::sale_receipt::{
    LevyLine, Occasion, ReceiptCode, ReceiptLine, SaleReceipt, StoreIdentity, TenderLine,
};
use receipt::shift_report::{DrawerFigures, ReportKind, ShiftReport};
use receipt::test_page::TestPage;

pub fn at(day: u32, hour: u32, minute: u32) -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2026, 11, day)
        .and_then(|date| date.and_hms_opt(hour, minute, 0))
        .expect("a date")
}

fn rate(percent: &str) -> Rate {
    serde_json::from_str(&format!("\"{percent}\"")).expect("a rate")
}

fn texts(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

pub fn store(language: Language) -> StoreIdentity {
    match language {
        Language::Fr => StoreIdentity {
            name: "Atlas Sport".to_owned(),
            branch: "Tunis La Marsa".to_owned(),
            address: texts(&[
                "12, avenue Habib Bourguiba, 2070 La Marsa",
                "Tél. 71 740 000",
            ]),
            legal: texts(&["MF 1234567R/A/M/000"]),
            logo: None,
        },
        Language::Ar => StoreIdentity {
            name: "أطلس سبور".to_owned(),
            branch: "تونس المرسى".to_owned(),
            address: texts(&["12، شارع الحبيب بورقيبة، 2070 المرسى", "الهاتف 71 740 000"]),
            legal: texts(&["المعرف الجبائي 1234567R/A/M/000"]),
            logo: None,
        },
        Language::En => StoreIdentity {
            name: "Atlas Sport".to_owned(),
            branch: "Casablanca Maarif".to_owned(),
            address: texts(&["8, rue Al Wahda, 20100 Casablanca", "Tel. 0522 00 00 00"]),
            legal: texts(&["ICE 001234567000089 - IF 1234567 - RC 98765"]),
            logo: None,
        },
    }
}

pub fn line(name: &str, units: i64, unit_minor: i64, discount: Option<(&str, i64)>) -> ReceiptLine {
    ReceiptLine {
        name: name.to_owned(),
        quantity: Quantity(units * 1_000),
        unit_minor,
        gross_minor: units * unit_minor,
        discount_minor: discount.map_or(0, |(_, minor)| minor),
        discount_percent: discount.map(|(percent, _)| percent.to_owned()),
    }
}

fn taxes(rows: &[(&str, i64, i64)]) -> Vec<TaxTotal> {
    rows.iter()
        .map(|(percent, net_minor, tax_minor)| TaxTotal {
            rate: rate(percent),
            net_minor: *net_minor,
            tax_minor: *tax_minor,
        })
        .collect()
}

/// As many digits as a signed code of `lines` lines has.
pub fn code(lines: usize) -> ReceiptCode {
    let digits = 540 + lines.min(20) * 22;
    let text = (0..digits).map(|at| char::from(b'0' + (at * at % 11 % 10) as u8));
    ReceiptCode::Signed(text.collect())
}

pub fn french() -> SaleReceipt {
    SaleReceipt {
        language: Language::Fr,
        store: store(Language::Fr),
        occasion: Occasion::Sale,
        training: false,
        number: "LM-01-7K3QF-2026-000128".to_owned(),
        business_date: at(22, 0, 0).date(),
        wall: at(22, 18, 42),
        till: "01".to_owned(),
        cashier: "Amina B.".to_owned(),
        currency: Currency::Tnd,
        lines: vec![
            line(
                "Chaussures running homme Atlas Aérien, bleu nuit, taille 43",
                1,
                189_900,
                Some(("10", 18_990)),
            ),
            line("Chaussettes coton mi-hautes", 3, 9_500, None),
            line("Ballon de football taille 5", 1, 45_000, None),
            ReceiptLine {
                name: "Corde d'escalade au mètre".to_owned(),
                quantity: Quantity(7_500),
                unit_minor: 6_200,
                gross_minor: 46_500,
                discount_minor: 0,
                discount_percent: None,
            },
        ],
        cart_discount_minor: 5_000,
        taxes: taxes(&[("7", 43_458, 3_042), ("19", 201_185, 38_225)]),
        levies: vec![LevyLine {
            label: "Droit de timbre".to_owned(),
            minor: 100,
        }],
        rounding_minor: -10,
        total_minor: 286_000,
        tenders: vec![
            TenderLine {
                kind: TenderKind::Card,
                minor: 200_000,
                reference: Some("481516".to_owned()),
            },
            TenderLine {
                kind: TenderKind::Cash,
                minor: 100_000,
                reference: None,
            },
        ],
        change_minor: 14_000,
        code: ReceiptCode::Number,
        footer: texts(&[
            "Échange sous 15 jours avec ce ticket",
            "Merci de votre visite",
        ]),
    }
}

/// The French sale undone: every quantity and amount with the other sign, the stamp duty kept.
pub fn reversal() -> SaleReceipt {
    let mut receipt = french();
    receipt.occasion = Occasion::Reversal {
        of_number: std::mem::replace(&mut receipt.number, "LM-01-7K3QF-2026-000131".to_owned()),
    };
    for line in &mut receipt.lines {
        line.quantity = Quantity(-line.quantity.thousandths());
        line.gross_minor = -line.gross_minor;
        line.discount_minor = -line.discount_minor;
    }
    receipt.cart_discount_minor = -receipt.cart_discount_minor;
    receipt.rounding_minor = 10;
    receipt.levies.clear();
    for tax in &mut receipt.taxes {
        (tax.net_minor, tax.tax_minor) = (-tax.net_minor, -tax.tax_minor);
    }
    receipt.total_minor = -285_900;
    receipt.tenders = vec![
        TenderLine {
            kind: TenderKind::Card,
            minor: -200_000,
            reference: Some("481516".to_owned()),
        },
        TenderLine {
            kind: TenderKind::Cash,
            minor: -85_900,
            reference: None,
        },
    ];
    receipt.change_minor = 0;
    receipt
}

pub fn arabic() -> SaleReceipt {
    let lines = [
        (
            "حذاء جري رجالي أطلس، أزرق ليلي، مقاس 43",
            1,
            189_900,
            Some(("10", 18_990)),
        ),
        ("جوارب قطنية", 3, 9_500, None),
        ("كرة قدم Atlas Pro (مقاس 5)", 1, 45_000, None),
        ("قارورة ماء 750 مل", 2, 12_750, None),
    ];
    SaleReceipt {
        language: Language::Ar,
        store: store(Language::Ar),
        number: "LM-01-7K3QF-2026-000129".to_owned(),
        cashier: "أمينة ب.".to_owned(),
        lines: lines
            .iter()
            .map(|(name, units, unit, discount)| line(name, *units, *unit, *discount))
            .collect(),
        levies: vec![LevyLine {
            label: "معلوم الطابع الجبائي".to_owned(),
            minor: 100,
        }],
        taxes: taxes(&[("19", 222_613, 42_297)]),
        rounding_minor: 0,
        total_minor: 265_010,
        tenders: vec![TenderLine {
            kind: TenderKind::Cash,
            minor: 300_000,
            reference: None,
        }],
        change_minor: 34_990,
        code: code(4),
        footer: texts(&["الاستبدال في ظرف 15 يوما مع هذه التذكرة", "شكرا لزيارتكم"]),
        ..french()
    }
}

pub fn english() -> SaleReceipt {
    SaleReceipt {
        language: Language::En,
        store: store(Language::En),
        occasion: Occasion::Return {
            of_number: Some("CM-02-9QX1D-2026-000871".to_owned()),
        },
        number: "CM-02-9QX1D-2026-000903".to_owned(),
        business_date: at(22, 0, 0).date(),
        wall: at(23, 0, 12),
        till: "02".to_owned(),
        cashier: "Youssef".to_owned(),
        currency: Currency::Mad,
        lines: vec![
            line(
                "Men's running shoes Atlas Air, night blue, size 43",
                -1,
                64_900,
                None,
            ),
            line("Sports bottle 750 ml", -2, 4_550, None),
        ],
        cart_discount_minor: 0,
        taxes: taxes(&[("20", -61_667, -12_333)]),
        levies: Vec::new(),
        rounding_minor: 0,
        total_minor: -74_000,
        tenders: vec![TenderLine {
            kind: TenderKind::Cash,
            minor: -74_000,
            reference: None,
        }],
        change_minor: 0,
        footer: Vec::new(),
        ..french()
    }
}

/// The same day's sale in Arabic with `count` lines, for measuring.
pub fn long_arabic(count: usize) -> SaleReceipt {
    let mut receipt = arabic();
    receipt.lines = receipt.lines.iter().cloned().cycle().take(count).collect();
    receipt.code = code(count);
    receipt
}

pub fn z_report(language: Language) -> ShiftReport {
    ShiftReport {
        language,
        store: store(language),
        kind: ReportKind::Z { number: 214 },
        business_date: at(22, 0, 0).date(),
        till: "01".to_owned(),
        cashier: "Amina B.".to_owned(),
        opened: at(22, 8, 55),
        closed: Some(at(22, 20, 31)),
        printed: at(22, 20, 31),
        first_receipt: Some("LM-01-7K3QF-2026-000091".to_owned()),
        last_receipt: Some("LM-01-7K3QF-2026-000171".to_owned()),
        currency: Currency::Tnd,
        sales: 80,
        reversals: 1,
        units: Quantity(163_000),
        voided_lines: 4,
        voided_carts: 2,
        discounts_minor: 151_250,
        rounding_minor: -35,
        levies: vec![LevyLine {
            label: "Droit de timbre".to_owned(),
            minor: 8_000,
        }],
        cash_stamp: Vec::new(),
        taxes: taxes(&[("7", 1_210_280, 84_720), ("19", 7_605_042, 1_444_958)]),
        tenders: vec![(TenderKind::Cash, 6_112_965), (TenderKind::Card, 4_240_000)],
        moved: Vec::new(),
        no_sales: 0,
        counts: 0,
        hand_overs: 0,
        deposit_minor: 0,
        drawer_number: None,
        takings_minor: 10_352_965,
        drawer: DrawerFigures {
            float_minor: 150_000,
            expected_minor: Some(6_262_965),
            counted_minor: Some(6_262_000),
            difference_minor: Some(-965),
        },
        perpetual_minor: Some(1_914_220_540),
    }
}

pub fn test_page(language: Language, width_dots: u32) -> TestPage {
    TestPage {
        language,
        store: store(language),
        printer: "generic-58".to_owned(),
        width_dots,
        printed: at(22, 9, 1),
    }
}
