//! A verifier written by docs/ledger.md alone: SHA-256, inflate and a JSON reader, and nothing of Hanout's. What the
//! page leaves out cannot be checked here, so a change of the formats that the page does not follow fails this test.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

const PAGE: &str = include_str!("../../../docs/ledger.md");

/// What a stranger found in an archive.
#[derive(Debug, Default)]
pub struct Found {
    /// Events.
    pub events: u64,
    /// Receipts of sales and reversals.
    pub receipts: u64,
    /// Sum of their totals.
    pub takings_minor: i64,
    /// Z reports.
    pub z_reports: u64,
    /// Closings of days.
    pub closings: u64,
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn number_at(bytes: &[u8], at: usize, len: usize) -> usize {
    let digits = bytes[at..at + len].iter().rev();
    digits.fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Entries of a ZIP of the one shape: headers and contents follow each other up to the directory.
fn unpack(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut entries = Vec::new();
    let mut at = 0;
    while bytes[at..].starts_with(b"PK\x03\x04") {
        let (packed, size) = (number_at(bytes, at + 18, 4), number_at(bytes, at + 22, 4));
        let name = number_at(bytes, at + 26, 2);
        assert_eq!(number_at(bytes, at + 28, 2), 0, "no extra fields");
        let data = at + 30 + name;
        let mut content = Vec::new();
        flate2::read::DeflateDecoder::new(&bytes[data..data + packed])
            .read_to_end(&mut content)
            .expect("inflated");
        assert_eq!(content.len(), size);
        let name = String::from_utf8(bytes[at + 30..data].to_vec()).expect("a name");
        entries.push((name, content));
        at = data + packed;
    }
    entries
}

fn integer(value: &Value, key: &str) -> i64 {
    value[key]
        .as_i64()
        .unwrap_or_else(|| panic!("{key} in {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn amount(value: &Value) -> i64 {
    value.as_i64().expect("an amount")
}

/// What was kept per kind of tender.
fn kept(sale: &Value) -> BTreeMap<String, i64> {
    let mut kept = BTreeMap::new();
    for tender in list(sale, "tenders") {
        let kind = tender["kind"].as_str().expect("a kind").to_owned();
        *kept.entry(kind).or_default() += integer(tender, "amount_minor");
    }
    if integer(sale, "change_minor") != 0 {
        *kept.entry("cash".to_owned()).or_default() -= integer(sale, "change_minor");
    }
    kept
}

/// Entries of an event, by the page's table of postings.
fn postings(kind: &str, body: &Value) -> BTreeMap<String, i64> {
    let mut entries: BTreeMap<String, i64> = BTreeMap::new();
    let mut post = |account: String, amount: i64| *entries.entry(account).or_default() += amount;
    match kind {
        "ShiftOpened" => {
            post("cash".to_owned(), integer(body, "float_minor"));
            post("safe".to_owned(), -integer(body, "float_minor"));
        }
        "SaleCompleted" | "Reversed" => {
            let sale = if kind == "Reversed" {
                &body["mirror"]
            } else {
                body
            };
            kept(sale)
                .into_iter()
                .for_each(|(kind, kept)| post(kind, kept));
            for tax in list(sale, "taxes") {
                let rate = tax["rate"].as_str().expect("a rate");
                post(format!("revenue:{rate}"), -integer(tax, "net_minor"));
                post(format!("tax:{rate}"), -integer(tax, "tax_minor"));
            }
            for levy in list(sale, "levies") {
                let code = levy["code"].as_str().expect("a code");
                post(format!("levy:{code}"), -integer(levy, "minor"));
            }
            post("rounding".to_owned(), -integer(sale, "rounding_minor"));
        }
        "CashMoved" => {
            let minor = integer(body, "amount_minor");
            let (debit, credit) = match body["movement"].as_str() {
                Some("pay_in") => ("cash", "paid_in"),
                Some("pay_out") => ("paid_out", "cash"),
                _ => ("safe", "cash"),
            };
            post(debit.to_owned(), minor);
            post(credit.to_owned(), -minor);
        }
        "ShiftClosed" => {
            let (difference, counted) = (
                integer(body, "difference_minor"),
                integer(body, "counted_minor"),
            );
            post("cash".to_owned(), difference - counted);
            post("over_short".to_owned(), -difference);
            post("safe".to_owned(), counted);
        }
        _ => {}
    }
    entries.retain(|_, amount| *amount != 0);
    entries
}

/// Three decimals of quantity, rounded half away from zero.
fn extended(unit_minor: i64, thousandths: i64) -> i64 {
    let product = i128::from(unit_minor) * i128::from(thousandths);
    let rounded = (product.abs() + 500) / 1_000 * product.signum();
    i64::try_from(rounded).expect("an amount")
}

fn check_receipt(sale: &Value) {
    let mut goods = 0;
    let mut rates: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for line in list(sale, "lines") {
        let total = integer(line, "total_minor");
        let discounts = integer(line, "discount_minor") + integer(line, "cart_discount_minor");
        let whole = extended(integer(line, "unit_minor"), integer(line, "quantity"));
        assert_eq!(whole - discounts, total, "{line}");
        assert_eq!(
            integer(line, "net_minor") + integer(line, "tax_minor"),
            total
        );
        let rate = rates
            .entry(line["rate"].as_str().expect("a rate"))
            .or_default();
        rate.0 += integer(line, "net_minor");
        rate.1 += integer(line, "tax_minor");
        goods += total;
    }
    for tax in list(sale, "taxes") {
        let stated = (integer(tax, "net_minor"), integer(tax, "tax_minor"));
        assert_eq!(
            rates.remove(tax["rate"].as_str().expect("a rate")),
            Some(stated)
        );
    }
    assert!(rates.is_empty(), "every rate is stated");
    let levies: i64 = list(sale, "levies")
        .iter()
        .map(|levy| integer(levy, "minor"))
        .sum();
    let total = integer(sale, "total_minor");
    assert_eq!(goods + levies + integer(sale, "rounding_minor"), total);
    assert_eq!(kept(sale).values().sum::<i64>(), total);
}

/// First 25 bits of the stream in Crockford's alphabet.
fn series(stream: &str) -> String {
    let head = from_hex(stream)[..4]
        .iter()
        .fold(0_u32, |head, byte| head << 8 | u32::from(*byte));
    let digit = |index: u32| head >> (27 - 5 * index) & 31;
    let alphabet = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    (0..5)
        .map(|index| char::from(alphabet[digit(index) as usize]))
        .collect()
}

/// Every field of a body is on the page.
fn is_on_the_page(kind: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                // Keys of maps are figures, codes and the like.
                let is_field = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                if is_field && !key.is_empty() {
                    assert!(PAGE.contains(&format!("`{key}`")), "{kind}: {key}");
                }
                // Amounts by code, kind or account: their keys are no fields.
                if !key.ends_with("_minor") {
                    is_on_the_page(kind, value);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| is_on_the_page(kind, value)),
        _ => {}
    }
}

/// An open shift.
#[derive(Default)]
struct Shift {
    opened_seq: u64,
    cash_minor: i64,
    takings_minor: i64,
    sales: i64,
}

/// Checks an archive of a till whose stream never broke off, with every drawer closed.
///
/// # Panics
/// At the first thing that is not as the page says.
pub fn check(path: &Path) -> Found {
    let entries = unpack(&std::fs::read(path).expect("the file"));
    let content = |name: &str| -> &[u8] {
        let found = entries.iter().find(|(entry, _)| entry == name);
        &found.unwrap_or_else(|| panic!("{name} is missing")).1
    };
    let text = |name: &str| String::from_utf8(content(name).to_vec()).expect("UTF-8");
    let json = |name: &str| -> Value { serde_json::from_slice(content(name)).expect("JSON") };

    // The list of hashes covers every other entry, in order.
    let mut listed = String::new();
    for (name, bytes) in entries.iter().filter(|(name, _)| name != "hashes.txt") {
        listed.push_str(&format!("{}  {name}\n", hex(&sha256(&[bytes]))));
    }
    assert_eq!(listed, text("hashes.txt"));
    assert_eq!(
        entries.last().map(|(name, _)| name.as_str()),
        Some("hashes.txt")
    );

    let about = json("archive.json");
    assert_eq!(about["format"], "hanout-archive-1");
    assert_eq!(list(&about, "streams").len(), 1);
    let stream = about["streams"][0]["stream"].as_str().expect("a stream");
    let (store, till) = (
        about["store"].as_str().expect("store"),
        about["till"].as_str().expect("till"),
    );
    let raw = from_hex(stream);
    let mut hash = sha256(&[b"hanout-stream-1\0", &raw]);
    let chain = text("chain.csv");
    let mut chain = chain.lines();
    assert_eq!(chain.next(), Some("stream,seq,hash"));

    let mut found = Found::default();
    let mut ids = BTreeSet::new();
    let mut clock = String::new();
    let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
    let mut shifts: BTreeMap<String, Shift> = BTreeMap::new();
    let mut accounts: BTreeMap<String, i64> = BTreeMap::new();
    let mut all_postings: Vec<(u64, String, i64)> = Vec::new();
    let (mut day_sales, mut day_minor, mut day_from) = (0, 0, 1);
    for line in content("events.jsonl").split_inclusive(|byte| *byte == b'\n') {
        let bytes = line.strip_suffix(b"\n").expect("a whole line");
        found.events += 1;
        let before = hex(&hash);
        hash = sha256(&[b"hanout-event-1\0", &hash, bytes]);
        let link = format!("{stream},{},{}", found.events, hex(&hash));
        assert_eq!(chain.next(), Some(link.as_str()));
        let event: Value = serde_json::from_slice(bytes).expect("an event");
        let (kind, body) = (event["kind"].as_str().expect("a kind"), &event["body"]);
        is_on_the_page(kind, body);
        assert!(
            PAGE.contains(&format!("### {kind}, schema {}\n", event["schema"])),
            "{kind}"
        );
        assert_eq!(event["stream"], stream);
        assert_eq!(event["seq"], found.events);
        assert!(ids.insert(event["id"].to_string()), "an id is there twice");
        let hlc = event["hlc"].as_str().expect("a clock").to_owned();
        assert!(hlc > clock, "the clock stepped back");
        clock = hlc;
        assert_eq!(kind == "StreamOpened", found.events == 1);

        let entries = postings(kind, body);
        assert_eq!(entries.values().sum::<i64>(), 0, "{kind} does not balance");
        for (account, minor) in entries {
            *accounts.entry(account.clone()).or_default() += minor;
            all_postings.push((found.events, account, minor));
        }
        match kind {
            "ShiftOpened" => {
                let shift = Shift {
                    opened_seq: found.events,
                    cash_minor: integer(body, "float_minor"),
                    ..Shift::default()
                };
                shifts.insert(body["shift"].to_string(), shift);
            }
            "SaleCompleted" | "Reversed" => {
                let sale = if kind == "Reversed" {
                    &body["mirror"]
                } else {
                    body
                };
                check_receipt(sale);
                let year = &sale["business_date"].as_str().expect("a date")[..4];
                let next = numbers.entry(year.to_owned()).or_default();
                *next += 1;
                let number = format!("{store}-{till}-{}-{year}-{next:06}", series(stream));
                assert_eq!(sale["number"], number.as_str());
                let total = integer(sale, "total_minor");
                let shift = shifts
                    .get_mut(&sale["shift"].to_string())
                    .expect("an open shift");
                shift.cash_minor += kept(sale).get("cash").copied().unwrap_or(0);
                shift.takings_minor += total;
                shift.sales += i64::from(kind == "SaleCompleted");
                found.receipts += 1;
                found.takings_minor += total;
                day_sales += i64::from(kind == "SaleCompleted");
                day_minor += if kind == "SaleCompleted" { total } else { 0 };
            }
            "CashMoved" => {
                let sign = if body["movement"] == "pay_in" { 1 } else { -1 };
                let shift = shifts
                    .get_mut(&body["shift"].to_string())
                    .expect("an open shift");
                shift.cash_minor += sign * integer(body, "amount_minor");
            }
            "ShiftClosed" => {
                let shift = shifts
                    .remove(&body["shift"].to_string())
                    .expect("an open shift");
                found.z_reports += 1;
                assert_eq!(body["z_number"], found.z_reports);
                assert_eq!(body["from_seq"], shift.opened_seq);
                assert_eq!(body["to"]["seq"], found.events - 1);
                assert_eq!(body["to"]["hash"], before.as_str());
                let totals = &body["totals"];
                assert_eq!(integer(totals, "sales"), shift.sales);
                assert_eq!(integer(totals, "takings_minor"), shift.takings_minor);
                assert_eq!(integer(totals, "expected_minor"), shift.cash_minor);
                let pieces = body["count"].as_object().expect("a count");
                let counted: i64 = pieces
                    .iter()
                    .map(|(minor, pieces)| minor.parse::<i64>().expect("minor") * amount(pieces))
                    .sum();
                assert_eq!(integer(body, "counted_minor"), counted);
                assert_eq!(
                    integer(body, "difference_minor"),
                    counted - shift.cash_minor
                );
                assert_eq!(integer(body, "perpetual_minor"), found.takings_minor);
            }
            "PeriodClosed" if body["period"] == "day" => {
                found.closings += 1;
                assert_eq!(body["number"], found.closings);
                assert_eq!(body["covers"]["from_seq"], day_from);
                assert_eq!(body["covers"]["to"]["seq"], found.events - 1);
                assert_eq!(body["covers"]["to"]["hash"], before.as_str());
                let totals = &body["totals"];
                assert_eq!(integer(totals, "sales"), day_sales);
                assert_eq!(integer(totals, "sales_minor"), day_minor);
                let changes = totals["accounts_minor"].as_object().expect("accounts");
                assert_eq!(changes.values().map(amount).sum::<i64>(), 0);
                assert_eq!(integer(body, "perpetual_minor"), found.takings_minor);
                (day_sales, day_minor, day_from) = (0, 0, found.events + 1);
            }
            _ => {}
        }
    }
    assert_eq!(chain.next(), None);
    assert_eq!(about["streams"][0]["events"], found.events);
    assert_eq!(about["streams"][0]["hash"], hex(&hash).as_str());
    assert_eq!(accounts.values().sum::<i64>(), 0, "trial balance");
    assert_eq!(
        accounts.get("cash").copied().unwrap_or(0),
        0,
        "closed drawers are empty"
    );

    // The table of postings says the same.
    let table = text("tables/postings.csv");
    let header = "stream,seq,business_date,kind,account,amount_minor,currency";
    assert_eq!(table.lines().next(), Some(header));
    // An event may post to one account twice; their sum is what counts.
    let mut summed: BTreeMap<(u64, String), i64> = BTreeMap::new();
    for row in table.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let key = (cells[1].parse().expect("a number"), cells[4].to_owned());
        *summed.entry(key).or_default() += cells[5].parse::<i64>().expect("an amount");
    }
    summed.retain(|_, minor| *minor != 0);
    let wanted: BTreeMap<(u64, String), i64> = all_postings
        .into_iter()
        .map(|(seq, account, minor)| ((seq, account), minor))
        .collect();
    assert_eq!(summed, wanted);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands behind `label` on the page.
    fn stated(label: &str) -> &'static str {
        let line = PAGE.lines().find(|line| line.starts_with(label));
        let (_, value) = line
            .and_then(|line| line.rsplit_once("= "))
            .unwrap_or_else(|| panic!("{label} is not on the page"));
        value
    }

    #[test]
    fn the_worked_example_of_the_page_is_right() {
        let event = PAGE
            .lines()
            .find(|line| line.starts_with("{\"stream\":\"0707"))
            .expect("the example");
        assert!(PAGE.contains(&format!("these {} bytes", event.len())));
        let before = sha256(&[b"hanout-stream-1\0", &[7; 16]]);
        assert_eq!(hex(&before), stated("hash(0) = "));
        let after = sha256(&[b"hanout-event-1\0", &before, event.as_bytes()]);
        assert_eq!(hex(&after), stated("hash(1) = "));
    }
}
