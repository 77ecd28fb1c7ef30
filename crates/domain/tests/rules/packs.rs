//! Country packs: what stands in them, what they refuse to be, and the vectors of the law.

use domain::config::{CashRounding, Dated as _, Rate, RoundingMode};
use domain::country::{Country, CountryPack, DocumentKind, Identifier, IdentityError, PackError};
use domain::ids::TaxCategory;
use domain::legal_id::{IdError, IdWarning};
use domain::money::Currency;
use domain::tax::extract;
use domain::time::BusinessDate;
use serde_json::{Value, json};

const TN: &str = include_str!("../../packs/tn.json");
const MA: &str = include_str!("../../packs/ma.json");

fn day(text: &str) -> BusinessDate {
    text.parse().expect("a date")
}

fn category(text: &str) -> TaxCategory {
    TaxCategory::new(text).expect("a category")
}

fn percent(text: &str) -> Rate {
    Rate::percent(text.parse().expect("a number")).expect("a rate")
}

/// What a pack says once `change` was made to its file.
fn changed(pack: &str, change: impl FnOnce(&mut Value)) -> Result<CountryPack, PackError> {
    let mut value: Value = serde_json::from_str(pack).expect("json");
    change(&mut value);
    CountryPack::load(&value.to_string())
}

#[test]
fn packs_of_the_tree_load_and_name_their_country() {
    for country in Country::ALL {
        let pack = CountryPack::of(country);
        assert_eq!(pack.country(), country);
        assert_eq!(pack.currency(), country.currency());
        assert_eq!(country.code().parse(), Ok(country));
        assert_eq!(pack.retention_years(), 10);
        assert_eq!(pack.utc_offset_min(), 60);
    }
    assert!("tn".parse::<Country>().is_err());
}

#[test]
fn rates_are_taken_by_the_day() {
    let tunisia = CountryPack::of(Country::Tunisia);
    let morocco = CountryPack::of(Country::Morocco);
    for (pack, name, date, rate) in [
        (tunisia, "standard", "2026-11-22", Some("19")),
        (tunisia, "intermediate", "2026-11-22", Some("13")),
        (tunisia, "reduced", "2026-11-22", Some("7")),
        (tunisia, "zero", "2026-11-22", Some("0")),
        (tunisia, "standard", "2017-12-31", None),
        (tunisia, "standard", "2018-01-01", Some("19")),
        (tunisia, "super_reduced", "2026-11-22", None),
        (morocco, "standard", "2026-11-22", Some("20")),
        (morocco, "reduced", "2026-11-22", Some("10")),
        (morocco, "intermediate", "2025-12-31", Some("14")),
        (morocco, "intermediate", "2026-01-01", None),
        (morocco, "super_reduced", "2025-12-31", Some("7")),
        (morocco, "super_reduced", "2026-01-01", None),
    ] {
        let found = pack.rate_on(&category(name), day(date));
        assert_eq!(found, rate.map(percent), "{name} on {date}");
        let listed = pack.rates_on(day(date)).into_iter();
        let listed = listed.filter(|row| row.category == category(name)).count();
        assert_eq!(listed, usize::from(rate.is_some()), "{name} on {date}");
    }
    let stores_keep = tunisia.taxes();
    assert_eq!(stores_keep.len(), 4);
    assert!(stores_keep.iter().all(|row| !row.basis.is_empty()));
}

#[test]
fn shelf_prices_split_at_the_rates_of_the_packs() {
    for (country, total, net, tax) in [
        (Country::Tunisia, 119_990, 100_832, 19_158),
        (Country::Tunisia, 100, 84, 16),
        (Country::Morocco, 59_900, 49_917, 9_983),
    ] {
        let rate = CountryPack::of(country)
            .rate_on(&category("standard"), day("2026-11-22"))
            .expect("a standard rate");
        let split = extract(total, rate).expect("fits");
        assert_eq!((split.net_minor, split.tax_minor), (net, tax), "{total}");
    }
}

#[test]
fn stamps_are_per_document_and_industrial_levies_are_not_at_retail() {
    let tunisia = CountryPack::of(Country::Tunisia);
    for (document, date, minor) in [
        (DocumentKind::Ticket, "2022-01-31", None),
        (DocumentKind::Ticket, "2022-02-01", Some(100)),
        (DocumentKind::Ticket, "2026-11-22", Some(100)),
        (DocumentKind::Invoice, "2026-11-22", Some(1_000)),
        (DocumentKind::CreditNote, "2026-11-22", Some(1_000)),
    ] {
        let found = tunisia.levies_on(document, day(date));
        let minors: Vec<i64> = found.iter().map(|row| row.minor).collect();
        assert_eq!(minors, Vec::from_iter(minor), "{document:?} on {date}");
        assert!(
            found
                .iter()
                .all(|row| !row.refundable && row.code == "stamp")
        );
    }
    let morocco = CountryPack::of(Country::Morocco);
    assert!(morocco.levies(DocumentKind::Ticket).is_empty());
    assert!(!TN.contains("fodec"));
}

#[test]
fn denominations_are_those_in_circulation() {
    for (country, currency) in [
        (Country::Tunisia, Currency::Tnd),
        (Country::Morocco, Currency::Mad),
    ] {
        let pack = CountryPack::of(country);
        let now = pack.denominations_on(day("2026-11-22"));
        assert_eq!(now, currency.denominations_minor(), "{currency}");
    }
    let before = CountryPack::of(Country::Tunisia).denominations_on(day("2013-12-25"));
    assert!(!before.contains(&200) && !before.contains(&2_000) && before.contains(&100));
}

#[test]
fn cash_ceilings_and_the_cash_stamp_have_days() {
    let tunisia = CountryPack::of(Country::Tunisia);
    let morocco = CountryPack::of(Country::Morocco);
    let before = tunisia.cash_ceiling_on(day("2025-12-31")).expect("a cap");
    assert_eq!(before.hard_from_minor, Some(5_000_000));
    assert!(tunisia.cash_ceiling_on(day("2026-01-01")).is_none());
    let now = morocco
        .cash_ceiling_on(day("2026-11-22"))
        .expect("ceilings");
    assert_eq!(
        (now.soft_above_minor, now.hard_from_minor),
        (Some(500_000), Some(2_000_000))
    );
    assert!(tunisia.cash_stamp_on(day("2026-11-22")).is_none());
    let stamp = morocco.cash_stamp_on(day("2026-11-22")).expect("a stamp");
    assert_eq!(stamp.rate_bp, 25);
    assert!(!stamp.holds_on(day("2017-12-31")));
}

#[test]
fn cash_is_rounded_only_in_ways_the_country_knows() {
    let rounding = |unit_minor, mode| CashRounding { unit_minor, mode };
    for country in Country::ALL {
        let pack = CountryPack::of(country);
        for (unit, allowed) in [
            (5, true),
            (10, true),
            (50, true),
            (0, false),
            (7, false),
            (100, false),
        ] {
            for mode in [RoundingMode::HalfUp, RoundingMode::Down] {
                assert_eq!(
                    pack.allows(rounding(unit, mode)),
                    allowed,
                    "{unit} {mode:?}"
                );
            }
        }
    }
}

#[test]
fn identifiers_are_read_by_the_rules_of_their_field() {
    let tunisia = CountryPack::of(Country::Tunisia);
    let morocco = CountryPack::of(Country::Morocco);
    let id = |field: &str, value: &str, line: &str, warnings: Vec<IdWarning>| Identifier {
        field: field.to_owned(),
        value: value.to_owned(),
        line: Some(line.to_owned()),
        warnings,
    };
    assert_eq!(
        tunisia.read_identifier("mf", "121 j/a/m/000"),
        Ok(id("mf", "0000121JAM000", "MF 0000121J/A/M/000", vec![]))
    );
    assert_eq!(
        tunisia.read_identifier("mf", "0000121K/A/M/000"),
        Ok(id(
            "mf",
            "0000121KAM000",
            "MF 0000121K/A/M/000",
            vec![IdWarning::KeyLetter { expected: 'J' }]
        ))
    );
    assert_eq!(
        morocco.read_identifier("ice", "00 15 61 19 10 000 66"),
        Ok(id("ice", "001561191000066", "ICE 001561191000066", vec![]))
    );
    assert_eq!(
        morocco.read_identifier("form", "SARL au capital de 100 000 DH"),
        Ok(id(
            "form",
            "SARL au capital de 100 000 DH",
            "SARL au capital de 100 000 DH",
            vec![]
        ))
    );
    for (pack, field, value, error) in [
        (tunisia, "mf", "1219773U", IdError::MatriculeShape),
        (morocco, "ice", "001561191000065", IdError::IceCheck),
        (morocco, "ice", "12345", IdError::IceShape),
        (morocco, "if", "12A", IdError::Digits),
        (morocco, "rc", "a\nb", IdError::Text),
    ] {
        let field = field.to_owned();
        let found = pack.read_identifier(&field, value);
        assert_eq!(
            found,
            Err(IdentityError::Invalid { field, error }),
            "{value}"
        );
    }
    assert!(matches!(
        tunisia.read_identifier("ice", "001561191000066"),
        Err(IdentityError::UnknownField { country: "TN", .. })
    ));
    assert_eq!(tunisia.missing_fields([]), ["mf"]);
    assert_eq!(morocco.missing_fields(["ice"]), ["if", "tp"]);
    assert!(morocco.missing_fields(["tp", "ice", "if"]).is_empty());
}

#[test]
fn a_rate_is_changed_by_a_dated_row() {
    let pack = changed(TN, |pack| {
        pack["tax_rates"][0]["to"] = json!("2026-12-31");
        let row = json!({"category": "standard", "rate": "20", "from": "2027-01-01",
            "basis": "loi de finances 2027", "source": "a test"});
        pack["tax_rates"].as_array_mut().expect("rows").push(row);
    })
    .expect("a pack");
    let standard = category("standard");
    assert_eq!(
        pack.rate_on(&standard, day("2026-12-31")),
        Some(percent("19"))
    );
    assert_eq!(
        pack.rate_on(&standard, day("2027-01-01")),
        Some(percent("20"))
    );
}

type Change = fn(&mut Value);
type Expected = fn(&PackError) -> bool;

#[test]
fn a_bad_pack_is_refused_by_what_is_wrong_with_it() {
    let table: &[(&str, Change, Expected)] = &[
        (
            "unknown field",
            |p| p["colour"] = json!("red"),
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "missing part",
            |p| {
                p.as_object_mut().expect("map").remove("retention");
            },
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "unknown field in a row",
            |p| p["denominations"][0]["metal"] = json!("tin"),
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "a fraction",
            |p| p["denominations"][0]["minor"] = json!(5.5),
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "rate as a number",
            |p| p["tax_rates"][0]["rate"] = json!(19),
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "rate below nothing",
            |p| p["tax_rates"][0]["rate"] = json!("-1"),
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "rate above all",
            |p| p["tax_rates"][0]["rate"] = json!("100.01"),
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "a day that is none",
            |p| p["tax_rates"][0]["from"] = json!("2026-02-30"),
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "no source",
            |p| {
                p["tax_rates"][0]
                    .as_object_mut()
                    .expect("row")
                    .remove("source");
            },
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "unknown check",
            |p| p["identity"][0]["check"] = json!("iban"),
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "unknown mode",
            |p| p["cash_rounding"]["modes"] = json!(["up"]),
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "unknown country",
            |p| p["country"] = json!("DZ"),
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "later layout",
            |p| p["schema"] = json!(2),
            |e| matches!(e, PackError::Schema { found: 2 }),
        ),
        (
            "foreign currency",
            |p| p["currency"] = json!("MAD"),
            |e| {
                matches!(
                    e,
                    PackError::Currency {
                        country: "TN",
                        found: Currency::Mad
                    }
                )
            },
        ),
        (
            "wrong decimals",
            |p| p["exponent"] = json!(2),
            |e| matches!(e, PackError::Exponent { found: 2, .. }),
        ),
        (
            "impossible clock",
            |p| p["clock"]["utc_offset_min"] = json!(900),
            |e| matches!(e, PackError::UtcOffset(900)),
        ),
        (
            "empty source",
            |p| p["denominations"][3]["source"] = json!(" "),
            |e| matches!(e, PackError::Unsourced(what) if what == "denomination 50"),
        ),
        (
            "empty basis",
            |p| p["levies"][0]["basis"] = json!(""),
            |e| matches!(e, PackError::Unsourced(_)),
        ),
        (
            "empty note",
            |p| p["retention"]["note"] = json!(""),
            |e| matches!(e, PackError::Unsourced(what) if what == "retention"),
        ),
        (
            "ends before it begins",
            |p| p["tax_rates"][0]["to"] = json!("2017-12-31"),
            |e| matches!(e, PackError::DatesReversed(what) if what == "tax rate standard"),
        ),
        (
            "two rates on a day",
            |p| p["tax_rates"][1]["category"] = json!("standard"),
            |e| matches!(e, PackError::DatesOverlap(what) if what == "tax rate standard"),
        ),
        (
            "two rates share one day",
            |p| {
                p["tax_rates"][0]["to"] = json!("2027-01-01");
                p["tax_rates"][1]["category"] = json!("standard");
                p["tax_rates"][1]["from"] = json!("2027-01-01");
            },
            |e| matches!(e, PackError::DatesOverlap(_)),
        ),
        (
            "two stamps on a ticket",
            |p| p["levies"][1]["document"] = json!("ticket"),
            |e| matches!(e, PackError::DatesOverlap(_)),
        ),
        (
            "two ceilings on a day",
            |p| {
                let row = p["cash_ceilings"][0].clone();
                p["cash_ceilings"].as_array_mut().expect("rows").push(row);
            },
            |e| matches!(e, PackError::DatesOverlap(_)),
        ),
        (
            "a rate since always",
            |p| {
                p["tax_rates"][0]
                    .as_object_mut()
                    .expect("row")
                    .remove("from");
            },
            |e| matches!(e, PackError::Undated(what) if what == "tax rate"),
        ),
        (
            "a levy since always",
            |p| {
                p["levies"][0].as_object_mut().expect("row").remove("from");
            },
            |e| matches!(e, PackError::Undated(what) if what == "levy"),
        ),
        (
            "standard rate runs out",
            |p| p["tax_rates"][0]["to"] = json!("2026-12-31"),
            |e| matches!(e, PackError::NoStandardRate),
        ),
        (
            "a levy of nothing",
            |p| p["levies"][0]["minor"] = json!(0),
            |e| matches!(e, PackError::Levy(0)),
        ),
        (
            "a levy beyond amounts",
            |p| p["levies"][0]["minor"] = json!(9_007_199_254_740_992_i64),
            |e| matches!(e, PackError::Levy(_)),
        ),
        (
            "a levy without a name",
            |p| p["levies"][0]["code"] = json!(""),
            |e| matches!(e, PackError::Levy(100)),
        ),
        (
            "descending denominations",
            |p| p["denominations"][1]["minor"] = json!(4),
            |e| matches!(e, PackError::Denominations(4)),
        ),
        (
            "negative denomination",
            |p| p["denominations"][0]["minor"] = json!(-5),
            |e| matches!(e, PackError::Denominations(-5)),
        ),
        (
            "no denominations",
            |p| p["denominations"] = json!([]),
            |e| matches!(e, PackError::Denominations(0)),
        ),
        (
            "rounding to half a coin",
            |p| p["cash_rounding"]["units_minor"] = json!([5, 12]),
            |e| matches!(e, PackError::CashRounding),
        ),
        (
            "rounding units descend",
            |p| p["cash_rounding"]["units_minor"] = json!([10, 5]),
            |e| matches!(e, PackError::CashRounding),
        ),
        (
            "no way to round",
            |p| p["cash_rounding"]["modes"] = json!([]),
            |e| matches!(e, PackError::CashRounding),
        ),
        (
            "kept for no time",
            |p| p["retention"]["years"] = json!(0),
            |e| matches!(e, PackError::Retention(0)),
        ),
        (
            "kept for days",
            |p| p["retention"]["years"] = json!(3_650),
            |e| matches!(e, PackError::Retention(3_650)),
        ),
        (
            "ceiling without a figure",
            |p| {
                let row = p["cash_ceilings"][0].as_object_mut().expect("row");
                row.remove("soft_above_minor");
                row.remove("hard_from_minor");
            },
            |e| matches!(e, PackError::CashCeiling),
        ),
        (
            "soft above hard",
            |p| p["cash_ceilings"][0]["soft_above_minor"] = json!(5_000_001),
            |e| matches!(e, PackError::CashCeiling),
        ),
        (
            "negative ceiling",
            |p| p["cash_ceilings"][0]["soft_above_minor"] = json!(-1),
            |e| matches!(e, PackError::CashCeiling),
        ),
        (
            "stamp in another unit",
            |p| p["cash_stamp"] = json!([{"rate_bp": 2_500, "from": "2018-01-01", "mode": "declare_only", "source": "a test"}]),
            |e| matches!(e, PackError::CashStamp(2_500)),
        ),
        (
            "stamp that nobody can charge yet",
            |p| p["cash_stamp"] = json!([{"rate_bp": 25, "from": "2018-01-01", "mode": "charge_line", "source": "a test"}]),
            |e| matches!(e, PackError::NotStrict(_)),
        ),
        (
            "one field twice",
            |p| p["identity"][1]["field"] = json!("mf"),
            |e| matches!(e, PackError::DatesOverlap(_)),
        ),
        (
            "one field twice on other days",
            |p| {
                p["identity"][0]["to"] = json!("2026-12-31");
                p["identity"][1]["field"] = json!("mf");
                p["identity"][1]["from"] = json!("2027-01-01");
            },
            |e| matches!(e, PackError::IdentityField(field) if field == "mf"),
        ),
        (
            "a field with spaces",
            |p| p["identity"][1]["field"] = json!("r n e"),
            |e| matches!(e, PackError::IdentityField(_)),
        ),
        (
            "nobody to tax",
            |p| p["identity"][0]["mandatory"] = json!(false),
            |e| matches!(e, PackError::NoIdentity),
        ),
    ];
    assert!(changed(TN, |_| {}).is_ok(), "the pack is good before");
    for (what, change, expected) in table {
        let error = changed(TN, change).expect_err(what);
        assert!(expected(&error), "{what}: {error:?}");
        assert!(!error.to_string().ends_with('.'), "{error}");
    }
    for text in [
        "",
        "{}",
        "[]",
        "null",
        &TN[..TN.len() - 3],
        &TN.replacen("\"schema\": 1,", "\"schema\": 1, \"schema\": 1,", 1),
    ] {
        assert!(matches!(
            CountryPack::load(text),
            Err(PackError::NotStrict(_))
        ));
    }
}

/// Which way to read a figure is not for the programmer to guess: each has a source, and what nobody verified
/// says so.
#[test]
fn what_is_not_verified_says_so() {
    for (pack, unverified) in [
        (
            TN,
            [
                "/levies/0",
                "/retention",
                "/cash_ceilings/0",
                "/cash_rounding",
            ],
        ),
        (
            MA,
            [
                "/tax_rates/2",
                "/cash_stamp/0",
                "/cash_ceilings/0",
                "/clock",
            ],
        ),
    ] {
        let value: Value = serde_json::from_str(pack).expect("json");
        for place in unverified {
            let note = value.pointer(place).and_then(|row| row["note"].as_str());
            assert!(note.is_some_and(|note| !note.is_empty()), "{place}");
        }
    }
}

#[test]
fn the_stamp_of_a_period_is_taken_of_its_sum_and_each_rate_stands_alone() {
    use domain::event::{CashStamp, Fact, PeriodTotals, ShiftTotals};
    use domain::sale::complete;

    let terms = crate::shop::Terms::new(Currency::Mad);
    let sale = |number: u64, minor: i64, rate_bp: Option<u32>| {
        let goods = crate::shop::cart([crate::shop::article("ball", minor, "20", 1_000)]);
        let header = domain::sale::SaleHeader {
            cash_stamp_bp: rate_bp,
            ..crate::shop::header(number)
        };
        let tenders = [crate::shop::cash(minor)];
        let body = complete(&goods, &terms.pricing(), header, &tenders).expect("a sale");
        Fact::SaleCompleted(body)
    };
    let facts = [
        sale(1, 160, Some(25)),
        sale(2, 160, Some(25)),
        sale(3, 10_000, Some(50)),
        sale(4, 160, Some(25)),
        sale(5, 99_900, None),
    ];
    let row = |rate_bp, count, base_minor, duty_minor| CashStamp {
        rate_bp,
        count,
        base_minor,
        duty_minor,
    };
    let mut shift = ShiftTotals::default();
    let mut whole = PeriodTotals::default();
    let (mut first, mut second) = (PeriodTotals::default(), PeriodTotals::default());
    for (index, fact) in facts.iter().enumerate() {
        shift.apply(fact).expect("fits");
        whole.apply(fact).expect("fits");
        let part = if index < 2 { &mut first } else { &mut second };
        part.apply(fact).expect("fits");
    }
    // Three times 1.60 at 0.25 % round to nothing each; 4.80 come to 0.012.
    assert_eq!(
        shift.cash_stamp,
        [row(25, 3, 480, 1), row(50, 1, 10_000, 50)]
    );
    assert_eq!(whole.cash_stamp, shift.cash_stamp);
    first.merge(&second).expect("fits");
    assert_eq!(first.cash_stamp, whole.cash_stamp);
}
