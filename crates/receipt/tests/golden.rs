//! Receipts as pictures, compared dot by dot with `tests/golden/*.png`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p receipt --test golden` rewrites them; look at the pictures before committing,
//! and raise `RENDERER_VERSION` when they changed.

mod samples;

use std::path::PathBuf;

use domain::catalog::Language;
use receipt::{Bitmap, Document, Renderer};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.png"))
}

fn check(name: &str, document: &Document, width: u32) {
    let rendered = Renderer::new().render(document, width);
    let path = golden(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, rendered.to_png()).expect("write golden");
        return;
    }
    let file = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 makes it", path.display()));
    let expected = Bitmap::from_png(&file).expect("golden is a bitmap");
    if expected == rendered {
        return;
    }
    let actual = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
    std::fs::write(&actual, rendered.to_png()).expect("write actual");
    let height = expected.height().max(rendered.height());
    let first = (0..height)
        .find(|y| (0..width).any(|x| expected.is_black(x, *y) != rendered.is_black(x, *y)));
    panic!(
        "{name} differs from its golden picture from row {first:?} on (heights {} and {}); see {}",
        expected.height(),
        rendered.height(),
        actual.display()
    );
}

#[test]
fn french_sale() {
    let document = samples::french().to_document();
    check("fr-sale-384", &document, 384);
    check("fr-sale-576", &document, 576);
}

#[test]
fn arabic_sale() {
    let document = samples::arabic().to_document();
    check("ar-sale-384", &document, 384);
    check("ar-sale-576", &document, 576);
    check("ar-long-384", &samples::long_arabic(30).to_document(), 384);
}

#[test]
fn english_return() {
    let document = samples::english().to_document();
    check("en-return-384", &document, 384);
    check("en-return-576", &document, 576);
}

#[test]
fn copies_and_reversals_are_marked() {
    check(
        "ar-copy-384",
        &samples::arabic().to_document().as_copy(1),
        384,
    );
    check("fr-reversal-384", &samples::reversal().to_document(), 384);
}

#[test]
fn z_reports() {
    check(
        "fr-z-384",
        &samples::z_report(Language::Fr).to_document(),
        384,
    );
    check(
        "ar-z-576",
        &samples::z_report(Language::Ar).to_document(),
        576,
    );
}

#[test]
fn test_pages() {
    check(
        "fr-test-384",
        &samples::test_page(Language::Fr, 384).to_document(),
        384,
    );
    check(
        "en-test-576",
        &samples::test_page(Language::En, 576).to_document(),
        576,
    );
}

#[test]
fn the_cash_stamp_stands_apart_with_the_three_figures_of_its_form() {
    let stamp = domain::event::CashStamp {
        rate_bp: 25,
        count: 42,
        base_minor: 1_234_500,
        duty_minor: 3_086,
    };
    for language in [Language::Fr, Language::Ar, Language::En] {
        let without = samples::z_report(language);
        let with = receipt::ShiftReport {
            cash_stamp: vec![stamp.clone()],
            ..without.clone()
        };
        let rows = |report: &receipt::ShiftReport| {
            let blocks = report.to_document().blocks.into_iter();
            let rows = blocks.filter_map(|block| match block {
                receipt::document::Block::Row { label, amount, .. } => Some((label, amount)),
                _ => None,
            });
            rows.collect::<Vec<_>>()
        };
        let before = rows(&without);
        let added: Vec<_> = rows(&with)
            .into_iter()
            .filter(|row| !before.contains(row))
            .collect();
        let amounts: Vec<&str> = added.iter().map(|(_, amount)| amount.as_str()).collect();
        assert_eq!(amounts.len(), 3, "{added:?}");
        assert!(amounts[0].contains("42"), "{added:?}");
        assert!(
            amounts[1].contains("234") && amounts[1].contains("500"),
            "{added:?}"
        );
        assert!(amounts[2].contains("3.086"), "{added:?}");
        assert!(added[2].0.contains("0.25 %"), "{added:?}");
    }
}
