//! What a reader of the paper gets: codes scan, direction is right, nothing depends on what was rendered before.

mod samples;

use std::path::Path;
use std::process::Command;

use domain::catalog::Language;
use receipt::document::{Block, Symbology, Weight};
use receipt::sale_receipt::ReceiptCode;
use receipt::{Bitmap, Document, Renderer};

fn one(language: Language, block: Block) -> Document {
    let mut document = Document::new(language);
    document.blocks.push(block);
    document
}

fn text(language: Language, text: &str) -> Document {
    one(
        language,
        Block::Text {
            text: text.to_owned(),
            weight: Weight::Normal,
        },
    )
}

fn has_zbarimg() -> bool {
    Command::new("zbarimg")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

fn scan(bitmap: &Bitmap, name: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
    // A scanner sees the white paper around the picture.
    let mut framed = Bitmap::new(bitmap.width() + 80);
    framed.grow(bitmap.height() + 80);
    for y in 0..bitmap.height() {
        for x in 0..bitmap.width() {
            if bitmap.is_black(x, y) {
                framed.set(x as i32 + 40, y as i32 + 40);
            }
        }
    }
    std::fs::write(&path, framed.to_png()).expect("write picture");
    let output = Command::new("zbarimg")
        .args(["--quiet", "--raw"])
        .arg(&path)
        .output()
        .expect("zbarimg runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn codes_on_receipts_scan() {
    if !has_zbarimg() {
        #[allow(clippy::print_stderr)]
        {
            eprintln!("zbarimg is not installed: the codes were drawn but not read back");
        }
        return;
    }
    let mut renderer = Renderer::new();
    for (receipt, width) in [
        (samples::french(), 384),
        (samples::arabic(), 576),
        (samples::english(), 384),
        (samples::long_arabic(30), 384),
    ] {
        let bitmap = renderer.render(&receipt.to_document(), width);
        let says = match receipt.code {
            ReceiptCode::Signed(text) => text,
            ReceiptCode::Number | ReceiptCode::Unverified => receipt.number.clone(),
        };
        assert_eq!(
            scan(&bitmap, &format!("qr-{width}-{}", receipt.number)),
            says
        );
    }
    let code = |symbology, data: &str| {
        one(
            Language::Fr,
            Block::Code {
                symbology,
                data: data.to_owned(),
                caption: String::new(),
            },
        )
    };
    for data in ["HANOUT-01", "12345678", "LM01-000128", "AB1234567Z"] {
        let bitmap = renderer.render(&code(Symbology::Code128, data), 576);
        assert_eq!(scan(&bitmap, &format!("code128-{data}")), data);
    }
    let signed = "H1.".to_owned() + &"0123456789abcdefABCDEF-_".repeat(16);
    assert_eq!(
        scan(
            &renderer.render(&code(Symbology::Qr, &signed), 384),
            "qr-signed"
        ),
        signed
    );
    // A number too long for scannable bars on narrow paper comes out as a QR code instead.
    let number = "LM-01-7K3QF-2026-000128";
    assert_eq!(
        scan(
            &renderer.render(&code(Symbology::Code128, number), 384),
            "code128-narrow"
        ),
        number
    );
}

/// Black dots of the left and of the right half.
fn halves(bitmap: &Bitmap) -> (u32, u32) {
    let count = |from, to| {
        (0..bitmap.height())
            .map(|y| (from..to).filter(|x| bitmap.is_black(*x, y)).count() as u32)
            .sum()
    };
    (
        count(0, bitmap.width() / 2),
        count(bitmap.width() / 2, bitmap.width()),
    )
}

#[test]
fn arabic_documents_mirror_their_columns() {
    let row = |label: &str| Block::Row {
        label: label.to_owned(),
        amount: "1".to_owned(),
        weight: Weight::Normal,
    };
    let mut renderer = Renderer::new();
    let (left, right) = halves(&renderer.render(&one(Language::Ar, row("المجموع الفرعي")), 576));
    assert!(right > left * 3, "label at the right: {left} {right}");
    let (left, right) =
        halves(&renderer.render(&one(Language::Fr, row("Sous-total hors taxe")), 576));
    assert!(left > right * 3, "label at the left: {left} {right}");
}

#[test]
fn arabic_letters_join_and_stand_in_order() {
    let mut renderer = Renderer::new();
    let mut width = |text_: &str| {
        let bitmap = renderer.render(&text(Language::Ar, text_), 384);
        (0..384)
            .filter(|x| (0..bitmap.height()).any(|y| bitmap.is_black(*x, y)))
            .count()
    };
    // Kept apart by non-joiners, the same three letters take their wide isolated forms.
    assert!(width("سسس") * 10 < width("س\u{200c}س\u{200c}س") * 9);
    let mut pixels = |text_: &str| renderer.render(&text(Language::Ar, text_), 384);
    assert_ne!(pixels("د.ت"), pixels("ت.د"));
    assert_ne!(pixels("(مقاس 5)"), pixels(")مقاس 5("));
    // In a right-to-left line the closing full stop is the leftmost ink.
    let stop = pixels("مقاس.");
    let leftmost = (0..384)
        .find(|x| (0..stop.height()).any(|y| stop.is_black(*x, y)))
        .expect("ink");
    let ink = (0..stop.height())
        .filter(|y| stop.is_black(leftmost + 1, *y))
        .count();
    assert!(ink <= 4, "a full stop is a few dots tall, not {ink}");
}

#[test]
fn amounts_keep_their_sign_on_the_left_in_arabic() {
    let row = |amount: &str| {
        one(
            Language::Ar,
            Block::Row {
                label: String::new(),
                amount: amount.to_owned(),
                weight: Weight::Normal,
            },
        )
    };
    let mut renderer = Renderer::new();
    let bitmap = renderer.render(&row("-5.000"), 384);
    let column = |x: u32| {
        (0..bitmap.height())
            .filter(|y| bitmap.is_black(x, *y))
            .count()
    };
    let first = (0..384).find(|x| column(*x) > 0).expect("ink");
    assert!(column(first + 1) <= 4, "the minus comes first");
}

#[test]
fn rendering_does_not_depend_on_what_came_before() {
    let document = samples::arabic().to_document();
    let fresh = Renderer::new().render(&document, 384);
    let mut warm = Renderer::new();
    for width in [576, 384, 512] {
        warm.render(&samples::french().to_document(), width);
        warm.render(&samples::z_report(Language::Ar).to_document(), width);
    }
    assert_eq!(warm.render(&document, 384), fresh);
    let stored = Document::from_json(&document.to_json()).expect("just written");
    assert_eq!(warm.render(&stored, 384), fresh);
}

#[test]
fn no_ink_is_lost_at_the_edges_of_any_paper() {
    let mut renderer = Renderer::new();
    let mut ink = |text_: &str, width| {
        let bitmap = renderer.render(&text(Language::Fr, text_), width);
        let (left, right) = halves(&bitmap);
        left + right
    };
    for width in [384, 432, 512, 576, 832] {
        let one = ink("W", width);
        for letters in [2, 21, 33, 90] {
            assert_eq!(
                ink(&"W".repeat(letters), width),
                one * letters as u32,
                "{letters} letters on {width} dots"
            );
        }
    }
}

#[test]
fn hostile_texts_render_without_harm() {
    let long = "x".repeat(4_000);
    let mut renderer = Renderer::new();
    for hostile in [
        "",
        " ",
        "\u{0}\u{1b}@",
        "\u{202e}abc",
        "\u{2067}",
        "\u{2028}\u{2029}",
        "👩‍👩‍👧 漢字",
        "\u{fdfa}\u{fdfa}",
        &long,
        "a\nb\r\nc",
    ] {
        for language in [Language::Fr, Language::Ar] {
            let mut document = text(language, hostile);
            document.blocks.push(Block::Title {
                text: hostile.to_owned(),
            });
            document.blocks.push(Block::Total {
                label: hostile.to_owned(),
                amount: hostile.to_owned(),
            });
            document.blocks.push(Block::Mark {
                text: hostile.to_owned(),
            });
            document.blocks.push(Block::Item {
                name: hostile.to_owned(),
                detail: Some(hostile.to_owned()),
                amount: hostile.to_owned(),
                discount: None,
            });
            document.blocks.push(Block::Table {
                head: vec![hostile.to_owned(); 3],
                rows: vec![vec![hostile.to_owned(); 5], vec![]],
            });
            document.blocks.push(Block::Logo {
                width: 4_000_000_000,
                height: 9,
                rows: "AAAA".to_owned(),
            });
            document.blocks.push(Block::Code {
                symbology: Symbology::Code128,
                data: hostile.to_owned(),
                caption: hostile.to_owned(),
            });
            let bitmap = renderer.render(&document, 384);
            assert!(
                bitmap
                    .rows()
                    .windows(2)
                    .all(|pair| !(pair[0] == 0x10 && matches!(pair[1], 0x04 | 0x05 | 0x14)))
            );
        }
    }
}

#[test]
fn the_receipt_says_what_the_sale_was() {
    let french = samples::french().to_document().to_text();
    for line in [
        "Ticket n°: LM-01-7K3QF-2026-000128",
        "Date: 22/11/2026 18:42",
        "Chaussettes coton mi-hautes (3 x 9.500): 28.500",
        "  Remise 10 %: -18.990",
        "Corde d'escalade au mètre (7.5 x 6.200): 46.500",
        "Sous-total: 290.910",
        "Droit de timbre: 0.100",
        "Arrondi espèces: -0.010",
        "TOTAL TTC: 286.000 DT",
        "6 articles",
        "Rendu: 14.000",
        "19 % | 201.185 | 38.225 | 239.410",
    ] {
        assert!(
            french.lines().any(|found| found == line),
            "{line}\n{french}"
        );
    }
    let english = samples::english().to_document().to_text();
    for line in [
        "RETURN RECEIPT",
        "REFUND: 740.00 DH",
        "Refunded: Cash: 740.00",
        "Business day: 22/11/2026",
    ] {
        assert!(
            english.lines().any(|found| found == line),
            "{line}\n{english}"
        );
    }
    let mut training = samples::french();
    training.training = true;
    assert!(
        training
            .to_document()
            .to_text()
            .contains("*** FORMATION - SANS VALEUR ***")
    );
}

/// First and last column and row with ink of the code of a receipt, and how far the nearest other ink is.
#[test]
fn a_signed_code_keeps_three_dots_a_module_and_its_quiet_zone() {
    let digits = |count: usize| "8".repeat(count);
    for (count, modules) in [(600, 61), (691, 65), (1_082, 81)] {
        for width in [384, 576] {
            let code = Block::Code {
                symbology: Symbology::Qr,
                data: digits(count),
                caption: "LM-01-7K3QF-2026-000128".to_owned(),
            };
            let mut document = text(Language::Ar, "شكرا");
            document.blocks.push(code);
            let bitmap = Renderer::new().render(&document, width);
            // The finder pattern at the top left: seven modules of ink, the first ones beside each other.
            let row_ink = |y: u32| (0..width).filter(|x| bitmap.is_black(*x, y)).count();
            let runs = |y: u32| {
                let first = (0..width).find(|x| bitmap.is_black(*x, y)).unwrap_or(0);
                (first..width)
                    .take_while(|x| bitmap.is_black(*x, y))
                    .count()
            };
            let top = (0..bitmap.height())
                .find(|y| row_ink(*y) > 0 && runs(*y) >= 21)
                .expect("the code");
            let module = runs(top) as u32 / 7;
            assert!(module >= 3, "{module} dots a module on {width}");
            let side = module * modules;
            let left = (0..width).find(|x| bitmap.is_black(*x, top)).expect("ink");
            assert!(left >= 4 * module && left + side + 4 * module <= width);
            let quiet = |y: u32| row_ink(y) == 0;
            assert!(
                (top - 4 * module..top).all(quiet),
                "above, {count} on {width}"
            );
            let bottom = top + side;
            assert!(row_ink(bottom - 1) > 0 && bottom < bitmap.height());
            assert!(
                (bottom..bottom + 4 * module).all(quiet),
                "below, {count} on {width}"
            );
        }
    }
}

#[test]
fn a_receipt_that_could_not_be_signed_says_so_and_has_no_code() {
    for (mut receipt, words) in [
        (samples::french(), "non vérifié"),
        (samples::arabic(), "غير متحقق منها"),
        (samples::english(), "unverified"),
    ] {
        receipt.code = ReceiptCode::Unverified;
        let document = receipt.to_document();
        assert!(document.to_text().contains(words));
        let codes = document.blocks.iter();
        assert_eq!(
            codes
                .filter(|block| matches!(block, Block::Code { .. }))
                .count(),
            0
        );
        receipt.code = ReceiptCode::Number;
        assert!(!receipt.to_document().to_text().contains(words));
    }
}
