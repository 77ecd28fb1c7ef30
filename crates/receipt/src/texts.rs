//! The words of receipts and reports, read from the same catalogues as the user interface.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use domain::catalog::Language;
use serde::Deserialize;

use crate::format::isolate;

/// One entry of a catalogue: a text, or its plural forms by CLDR category.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Entry {
    Text(String),
    Plural(BTreeMap<String, String>),
}

type Catalogue = BTreeMap<String, Entry>;

const SOURCES: [&str; 3] = [
    include_str!("../../../ui/i18n/fr/receipt.json"),
    include_str!("../../../ui/i18n/ar/receipt.json"),
    include_str!("../../../ui/i18n/en/receipt.json"),
];

fn catalogue(language: Language) -> &'static Catalogue {
    static CATALOGUES: OnceLock<[Catalogue; 3]> = OnceLock::new();
    let all = CATALOGUES.get_or_init(|| {
        SOURCES.map(|source| {
            serde_json::from_str(source).expect("catalogues are embedded and held by a test")
        })
    });
    match language {
        Language::Fr => &all[0],
        Language::Ar => &all[1],
        Language::En => &all[2],
    }
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident = $key:literal,)*) => {
        /// A text of the receipt catalogues.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Key { $($(#[$doc])* $name,)* }

        impl Key {
            /// Every key, in the order of the catalogues.
            pub const ALL: &'static [Key] = &[$(Key::$name,)*];

            /// The name in the catalogue files.
            pub const fn name(self) -> &'static str {
                match self { $(Key::$name => $key,)* }
            }
        }
    };
}

keys! {
    Number = "number",
    Date = "date",
    BusinessDay = "business_day",
    Till = "till",
    Cashier = "cashier",
    TitleReturn = "title_return",
    TitleExchange = "title_exchange",
    MarkCopy = "mark_copy",
    MarkCopyNumbered = "mark_copy_numbered",
    MarkReversal = "mark_reversal",
    MarkTraining = "mark_training",
    Reverses = "reverses",
    Returns = "returns",
    UnlinkedReturn = "unlinked_return",
    LineDetail = "line_detail",
    Discount = "discount",
    DiscountPercent = "discount_percent",
    Subtotal = "subtotal",
    Articles = "articles",
    Total = "total",
    TotalRefund = "total_refund",
    Rounding = "rounding",
    TenderCash = "tender_cash",
    TenderCard = "tender_card",
    TenderOther = "tender_other",
    TenderRefunded = "tender_refunded",
    TenderReference = "tender_reference",
    Change = "change",
    TaxRate = "tax_rate",
    TaxNet = "tax_net",
    TaxAmount = "tax_amount",
    TaxGross = "tax_gross",
    TaxExempt = "tax_exempt",
    Thanks = "thanks",
    Unverified = "unverified",
    ReportX = "report_x",
    ReportXNote = "report_x_note",
    ReportZ = "report_z",
    ReportShift = "report_shift",
    ReportCashier = "report_cashier",
    ReportOpened = "report_opened",
    ReportClosed = "report_closed",
    ReportPrinted = "report_printed",
    ReportFirstReceipt = "report_first_receipt",
    ReportLastReceipt = "report_last_receipt",
    ReportActivity = "report_activity",
    ReportSales = "report_sales",
    ReportReversals = "report_reversals",
    ReportUnits = "report_units",
    ReportLinesVoided = "report_lines_voided",
    ReportCartsVoided = "report_carts_voided",
    ReportDiscounts = "report_discounts",
    ReportTakings = "report_takings",
    ReportTaxes = "report_taxes",
    ReportLevies = "report_levies",
    ReportTenders = "report_tenders",
    ReportDrawer = "report_drawer",
    ReportFloat = "report_float",
    ReportExpected = "report_expected",
    ReportCounted = "report_counted",
    ReportDifference = "report_difference",
    ReportCashStamp = "report_cash_stamp",
    ReportCashStampCount = "report_cash_stamp_count",
    ReportCashStampBase = "report_cash_stamp_base",
    ReportCashStampDuty = "report_cash_stamp_duty",
    ReportPerpetual = "report_perpetual",
    ReportSignature = "report_signature",
    CashPayIn = "cash_pay_in",
    CashPayOut = "cash_pay_out",
    CashDrop = "cash_drop",
    CashNoSale = "cash_no_sale",
    CashSlip = "cash_slip",
    CashDrawer = "cash_drawer",
    CashApproved = "cash_approved",
    CashAmount = "cash_amount",
    PeriodDay = "period_day",
    PeriodMonth = "period_month",
    PeriodYear = "period_year",
    PeriodFrom = "period_from",
    PeriodTo = "period_to",
    PeriodZ = "period_z",
    PeriodShifts = "period_shifts",
    PeriodSales = "period_sales",
    PeriodReversals = "period_reversals",
    PeriodEvents = "period_events",
    PeriodSeal = "period_seal",
    ReportNoSales = "report_no_sales",
    ReportCounts = "report_counts",
    ReportHandOvers = "report_hand_overs",
    ReportDeposit = "report_deposit",
    LevyStamp = "levy_stamp",
    TestTitle = "test_title",
    TestPrinter = "test_printer",
    TestWidth = "test_width",
    TestDots = "test_dots",
    TestEdges = "test_edges",
    TestDone = "test_done",
}

/// The text of `key`.
///
/// # Panics
/// If the catalogue lacks the key or holds plural forms for it; a test keeps the three files complete.
pub fn text(language: Language, key: Key) -> &'static str {
    match catalogue(language).get(key.name()) {
        Some(Entry::Text(text)) => text,
        Some(Entry::Plural(_)) | None => {
            panic!("the catalogues hold a text for every key, by test")
        }
    }
}

/// The text of `key` with each `{name}` replaced by its value, every value kept apart from the direction
/// of the sentence around it.
pub fn fill(language: Language, key: Key, values: &[(&str, &str)]) -> String {
    replace(text(language, key), values)
}

/// The name of a levy on the document; the code itself for one that the catalogues do not know.
pub fn levy(language: Language, code: &str) -> String {
    match catalogue(language).get(format!("levy_{code}").as_str()) {
        Some(Entry::Text(text)) => text.clone(),
        Some(Entry::Plural(_)) | None => code.to_owned(),
    }
}

/// The form of `key` that `count` takes in `language`, with `{count}` replaced.
pub fn plural(language: Language, key: Key, count: u64) -> String {
    let Some(Entry::Plural(forms)) = catalogue(language).get(key.name()) else {
        panic!("the catalogues hold plural forms where the code asks for them, by test");
    };
    let form = forms
        .get(plural_category(language, count))
        .or_else(|| forms.get("other"))
        .expect("every plural entry has the form `other`, by test");
    replace(form, &[("count", &count.to_string())])
}

/// CLDR plural category of a whole number.
///
/// # Source
/// Unicode CLDR, plural rules for cardinals of fr, ar and en.
pub const fn plural_category(language: Language, count: u64) -> &'static str {
    match language {
        Language::Fr => match count {
            0 | 1 => "one",
            _ if count.is_multiple_of(1_000_000) => "many",
            _ => "other",
        },
        Language::En => match count {
            1 => "one",
            _ => "other",
        },
        Language::Ar => match (count, count % 100) {
            (0, _) => "zero",
            (1, _) => "one",
            (2, _) => "two",
            (_, 3..=10) => "few",
            (_, 11..=99) => "many",
            _ => "other",
        },
    }
}

fn replace(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = template.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("{{{name}}}"), &isolate(value));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const LANGUAGES: [Language; 3] = [Language::Fr, Language::Ar, Language::En];

    fn parameters(text: &str) -> BTreeSet<String> {
        text.split('{')
            .skip(1)
            .filter_map(|rest| rest.split('}').next())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn the_three_catalogues_hold_exactly_the_keys_of_the_code() {
        let expected: BTreeSet<&str> = Key::ALL.iter().map(|key| key.name()).collect();
        assert_eq!(expected.len(), Key::ALL.len(), "a key is named twice");
        for language in LANGUAGES {
            let found: BTreeSet<&str> = catalogue(language).keys().map(String::as_str).collect();
            assert_eq!(found, expected, "{language:?}");
        }
    }

    #[test]
    fn no_text_is_empty_and_parameters_agree_between_languages() {
        for key in Key::ALL {
            let of = |language| match &catalogue(language)[key.name()] {
                Entry::Text(text) => {
                    assert!(!text.trim().is_empty(), "{language:?} {}", key.name());
                    Some(parameters(text))
                }
                Entry::Plural(forms) => {
                    assert!(forms.contains_key("other"), "{language:?} {}", key.name());
                    None
                }
            };
            assert_eq!(of(Language::Fr), of(Language::Ar), "{}", key.name());
            assert_eq!(of(Language::Fr), of(Language::En), "{}", key.name());
        }
    }

    #[test]
    fn plural_forms_follow_cldr() {
        for (language, count, category) in [
            (Language::Fr, 0, "one"),
            (Language::Fr, 1, "one"),
            (Language::Fr, 2, "other"),
            (Language::Fr, 1_000_000, "many"),
            (Language::En, 0, "other"),
            (Language::En, 1, "one"),
            (Language::Ar, 0, "zero"),
            (Language::Ar, 1, "one"),
            (Language::Ar, 2, "two"),
            (Language::Ar, 7, "few"),
            (Language::Ar, 11, "many"),
            (Language::Ar, 100, "other"),
            (Language::Ar, 103, "few"),
        ] {
            assert_eq!(
                plural_category(language, count),
                category,
                "{language:?} {count}"
            );
        }
        assert_eq!(
            crate::format::plain(&plural(Language::Ar, Key::Articles, 2)),
            "منتجان"
        );
        assert_eq!(
            crate::format::plain(&plural(Language::Fr, Key::Articles, 3)),
            "3 articles"
        );
    }
}
