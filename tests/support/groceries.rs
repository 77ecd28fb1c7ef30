//! A month of a real grocery's receipts, or a synthetic one of the same size where the file is not there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use testkit::rng::Rng;

/// Receipts of the real file.
pub const RECEIPTS: usize = 9_835;
/// Items of the real file.
pub const ITEMS: usize = 169;
/// Units of the real file.
pub const UNITS: usize = 43_367;

/// Receipts as lists of item numbers, and the items' names.
#[derive(Debug, Clone)]
pub struct Month {
    /// Names, ascending; an item's number is its place here.
    pub items: Vec<String>,
    /// Items of each receipt, in the order of the file.
    pub receipts: Vec<Vec<usize>>,
    /// The receipts are made up.
    pub synthetic: bool,
}

/// The folder with `groceries.csv`: `HANOUT_DATA`, or `shared/data` beside the checkout.
pub fn data_folder() -> PathBuf {
    std::env::var_os("HANOUT_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    )
}

/// Reads the month, or makes one up from `seed` when the file is not there.
pub fn month(folder: &Path, seed: u64) -> std::io::Result<Month> {
    let path = folder.join("groceries.csv");
    if path.exists() {
        Ok(parse(&fs::read_to_string(path)?))
    } else {
        Ok(synthetic(seed))
    }
}

/// One receipt a line, items separated by commas; names are kept as they are, spaces included.
fn parse(text: &str) -> Month {
    let receipts: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.split(',').collect())
        .collect();
    let mut items: Vec<&str> = receipts.iter().flatten().copied().collect();
    items.sort_unstable();
    items.dedup();
    let numbers: BTreeMap<&str, usize> = items
        .iter()
        .enumerate()
        .map(|(number, name)| (*name, number))
        .collect();
    Month {
        receipts: receipts
            .iter()
            .map(|receipt| receipt.iter().map(|name| numbers[name]).collect())
            .collect(),
        items: items.into_iter().map(ToOwned::to_owned).collect(),
        synthetic: false,
    }
}

/// As many receipts, items and units as the real month; popular items are the low numbers.
fn synthetic(seed: u64) -> Month {
    let mut rng = Rng::new(seed);
    let mut receipts = vec![Vec::new(); RECEIPTS];
    for unit in 0..UNITS {
        let receipt = if unit < RECEIPTS {
            unit
        } else {
            rng.below(RECEIPTS as u64) as usize
        };
        let place = rng.below(1_000) * rng.below(1_000);
        let item = if unit < ITEMS {
            unit
        } else {
            place as usize * ITEMS / 1_000_000
        };
        receipts[receipt].push(item);
    }
    let items = (0..ITEMS)
        .map(|number| format!("article {number:03}"))
        .collect();
    Month {
        items,
        receipts,
        synthetic: true,
    }
}

/// Price of item `number` in millimes: 0.450 TND and 0.075 TND more for each place in the alphabet.
pub const fn price_tnd_minor(number: usize) -> i64 {
    450 + 75 * number as i64
}

/// Price of item `number` in centimes: 1.50 MAD and 0.25 MAD more for each place in the alphabet.
pub const fn price_mad_minor(number: usize) -> i64 {
    150 + 25 * number as i64
}

/// Tax category of item `number`: every third is reduced.
pub const fn tax(number: usize) -> &'static str {
    if number.is_multiple_of(3) {
        "reduced"
    } else {
        "standard"
    }
}

/// Barcode of item `number`: an in-store EAN-13.
pub fn gtin(number: usize) -> String {
    let body = format!("2000000{number:05}");
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, digit)| u32::from(digit - b'0') * if index % 2 == 0 { 3 } else { 1 })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// SKU of item `number`.
pub fn sku(number: usize) -> String {
    format!("GRO-{number:03}")
}

/// The month's items as a catalogue file, with `stock` units of each in both stores.
pub fn catalogue_csv(month: &Month, stock: i64) -> String {
    let mut csv = String::from(
        "style,name_fr,name_ar,name_en,brand,category,tax,class,option1_name,option1_value,option2_name,\
         option2_value,option3_name,option3_value,sku,gtins,price:TN,price:MA,stock:LM,stock:CA\n",
    );
    for (number, name) in month.items.iter().enumerate() {
        let tnd =
            domain::money::format_amount(price_tnd_minor(number), domain::money::Currency::Tnd);
        let mad =
            domain::money::format_amount(price_mad_minor(number), domain::money::Currency::Mad);
        csv.push_str(&format!(
            "{sku},{name},,{name},,Epicerie,{tax},shelf,,,,,,,{sku},{gtin},{tnd},{mad},{stock},{stock}\n",
            sku = sku(number),
            name = name.trim(),
            tax = tax(number),
            gtin = gtin(number),
        ));
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_synthetic_month_has_the_size_of_the_real_one() {
        let month = synthetic(1);
        let units: usize = month.receipts.iter().map(Vec::len).sum();
        assert_eq!(
            (month.items.len(), month.receipts.len(), units),
            (ITEMS, RECEIPTS, UNITS)
        );
        assert!(month.receipts.iter().all(|receipt| !receipt.is_empty()));
    }

    #[test]
    fn barcodes_have_a_right_check_digit() {
        for number in 0..ITEMS {
            assert!(
                domain::catalog::Gtin::parse(&gtin(number)).is_ok(),
                "{number}"
            );
        }
    }
}
