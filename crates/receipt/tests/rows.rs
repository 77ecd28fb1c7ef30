//! A label and its value both reach the paper, however wide they are.

use receipt::document::{Block, Document, Weight};
use receipt::{Bitmap, Language, Renderer};

fn ink(bitmap: &Bitmap) -> usize {
    let black = |y| (0..384).filter(move |x| bitmap.is_black(*x, y)).count();
    (0..bitmap.height()).map(black).sum()
}

fn drawn(
    renderer: &mut Renderer,
    language: Language,
    label: &str,
    amount: &str,
    weight: Weight,
) -> usize {
    let mut document = Document::new(language);
    document.blocks.push(Block::Row {
        label: label.to_owned(),
        amount: amount.to_owned(),
        weight,
    });
    ink(&renderer.render(&document, 384))
}

#[test]
fn no_value_is_lost_beside_its_label() {
    let mut renderer = Renderer::new();
    for language in [Language::Fr, Language::Ar, Language::En] {
        for weight in [Weight::Small, Weight::Normal, Weight::Strong] {
            for label in [
                "Ticket n°",
                "A",
                "Un libellé assez long pour toute la ligne",
                "رقم التذكرة",
            ] {
                let bare = drawn(&mut renderer, language, label, "", weight);
                let mut least = 0;
                // Every width from a few dots to two lines: a value that ends just beside or just below.
                for digits in 1..48 {
                    let amount = "1".repeat(digits);
                    let with = drawn(&mut renderer, language, label, &amount, weight);
                    assert!(
                        with > bare + least,
                        "{digits} digits beside {label} in {language:?}, {weight:?}"
                    );
                    least = with - bare - 1;
                }
            }
        }
    }
}

#[test]
fn receipt_numbers_of_any_series_are_printed() {
    let mut renderer = Renderer::new();
    let bare = drawn(&mut renderer, Language::Fr, "Ticket n°", "", Weight::Small);
    for series in ["P5AWD", "WWWWW", "00000", "MWMWM", "11111"] {
        let number = format!("\u{2066}LM-01-{series}-2026-000001\u{2069}");
        let with = drawn(
            &mut renderer,
            Language::Fr,
            "Ticket n°",
            &number,
            Weight::Small,
        );
        assert!(with > bare + 500, "{series}");
    }
}
