//! Receipts, copies of them, and print jobs.

use base64::Engine as _;
use domain::event::{Fact, TenderKind};
use ledger::{PrintFilter, PrintJob, PrintKind, PrintState, PrintUpdate};
use receipt::Document;
use testkit::shop::{BALL, MANAGER, SHOE_42, Setup, Shop, TEE, approval, tender};
use till::door::{Command, CompletedView, PrinterTarget, ReceiptRow, ReceiptView, Reply, Settings};

fn jobs(shop: &Shop) -> Vec<PrintJob> {
    let jobs = shop.ledger().print_jobs(PrintFilter::Latest(100));
    jobs.expect("readable").into_iter().rev().collect()
}

fn mark(shop: &mut Shop, job: &PrintJob, update: PrintUpdate) {
    let written = shop
        .ledger_mut()
        .write(|tx| tx.mark_print(job.job, &update));
    written.expect("a change that is allowed");
}

fn make_uncertain(shop: &mut Shop) -> PrintJob {
    let job = shop.ledger().next_print_job().expect("readable");
    let job = job.expect("a job that waits");
    mark(shop, &job, PrintUpdate::Claimed);
    let cause = "connection_lost".to_owned();
    mark(shop, &job, PrintUpdate::Uncertain { cause });
    job
}

fn receipt_of(shop: &mut Shop, command: Command) -> ReceiptView {
    match shop.ok(command) {
        Reply::Receipt(receipt) => *receipt,
        other => panic!("not a receipt: {other:?}"),
    }
}

fn rows(shop: &mut Shop) -> Vec<ReceiptRow> {
    match shop.ok(Command::ListReceipts {
        query: String::new(),
        limit: None,
    }) {
        Reply::Receipts { receipts } => receipts,
        other => panic!("not receipts: {other:?}"),
    }
}

fn reverse(shop: &mut Shop, number: &str) -> CompletedView {
    match shop.ok(Command::ReverseSale {
        number: number.to_owned(),
        reason: "erreur de caisse".to_owned(),
        approval: Some(approval()),
    }) {
        Reply::Completed(done) => *done,
        other => panic!("not completed: {other:?}"),
    }
}

fn print_over_tcp(shop: &mut Shop, profile: &str) {
    shop.ok(Command::SetSettings {
        settings: Settings {
            language: domain::catalog::Language::Fr,
            receipt_language: None,
            printer: PrinterTarget::Tcp {
                address: "127.0.0.1:9100".to_owned(),
            },
            profile: profile.to_owned(),
        },
    });
}

/// Width of a PNG in base64, from its header.
fn png_width(base64: &str) -> u32 {
    let png = base64::engine::general_purpose::STANDARD
        .decode(base64)
        .expect("base64");
    assert_eq!(&png[1..4], b"PNG");
    u32::from_be_bytes([png[16], png[17], png[18], png[19]])
}

#[test]
fn a_sale_queues_its_receipt_and_a_kick_for_cash() {
    let mut shop = Setup::tunisia().build();
    print_over_tcp(&mut shop, "generic-80");
    shop.open();
    shop.scan(BALL);
    let done = shop.pay_cash(None);
    shop.scan(BALL);
    let by_card = shop.complete(vec![tender(TenderKind::Card, None)]);
    let found: Vec<_> = jobs(&shop)
        .iter()
        .map(|job| (job.kind, job.number.clone(), job.copy, job.state))
        .collect();
    let receipt = |done: &CompletedView| {
        (
            PrintKind::Receipt,
            done.number.clone(),
            0,
            PrintState::Queued,
        )
    };
    let kick = (PrintKind::Kick, String::new(), 0, PrintState::Queued);
    assert_eq!(found, [kick, receipt(&done), receipt(&by_card)]);
    assert_eq!(done.job, Some(jobs(&shop)[1].job));
    assert_eq!(shop.status().printer.queued, 3);
    let document = Document::from_json(&jobs(&shop)[1].document).expect("a document");
    assert!(!document.blocks.is_empty());
}

#[test]
fn without_a_printer_nothing_is_queued() {
    let mut shop = Setup::tunisia().build();
    let mut settings = shop.till().settings().clone();
    settings.printer = PrinterTarget::None;
    shop.ok(Command::SetSettings { settings });
    shop.open();
    shop.scan(BALL);
    assert_eq!(shop.pay_cash(None).job, None);
    shop.ok(Command::TestPrint {});
    assert!(jobs(&shop).is_empty());
}

#[test]
fn a_receipt_is_found_and_drawn_at_the_width_of_the_paper() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(SHOE_42);
    let number = shop.pay_cash(None).number;
    for (profile, width) in [("generic-58", 384), ("generic-80", 576)] {
        print_over_tcp(&mut shop, profile);
        let number = format!(" {number} ");
        let receipt = receipt_of(&mut shop, Command::GetReceipt { number });
        assert_eq!(png_width(&receipt.png_base64), width);
        assert_eq!((receipt.row.total_minor, receipt.copies), (119_900, 0));
    }
    let tail = &number[number.len() - 6..];
    let Reply::Receipts { receipts } = shop.ok(Command::ListReceipts {
        query: tail.to_owned(),
        limit: Some(1_000),
    }) else {
        panic!("not receipts");
    };
    assert_eq!(receipts.len(), 1);
    assert!(receipts[0].reversible);
}

#[test]
fn copies_are_numbered_and_marked() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.open();
    shop.scan(BALL);
    let number = shop.pay_cash(None).number;
    let first = receipt_of(&mut shop, Command::ReprintLast {});
    shop.reopen();
    let reprint = Command::Reprint {
        number: number.clone(),
    };
    let second = receipt_of(&mut shop, reprint);
    assert_eq!((first.copies, second.copies), (1, 2));
    assert_ne!(first.png_base64, second.png_base64);
    let found: Vec<_> = jobs(&shop)
        .iter()
        .map(|job| (job.kind, job.copy, job.document.contains("DUPLICATA")))
        .collect();
    assert_eq!(
        found,
        [
            (PrintKind::Receipt, 0, false),
            (PrintKind::Copy, 1, true),
            (PrintKind::Copy, 2, true)
        ]
    );
    let copies: Vec<u32> = shop
        .facts()
        .iter()
        .filter_map(|fact| match fact {
            Fact::Reprinted(copy) if copy.number == number => Some(copy.copy),
            _ => None,
        })
        .collect();
    assert_eq!(copies, [1, 2]);
    shop.verify_clean();
}

#[test]
fn a_copy_names_the_article_as_the_original_did() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(TEE);
    shop.pay_cash(None);
    let style = shop
        .ledger()
        .item(testkit::shop::variant(TEE))
        .expect("readable")
        .expect("an item")
        .style;
    let mut renamed = style.clone();
    renamed.names.fr = "Débardeur".to_owned();
    let row = serde_json::to_value(&renamed).expect("plain data");
    let pk = format!("style:{}", style.style);
    shop.publish(&sync_protocol::FeedName::Catalogue, vec![(pk, Some(row))]);
    shop.ok(Command::ReprintLast {});
    let copy = &jobs(&shop)[1].document;
    assert!(copy.contains("Tee-shirt été M"), "{copy}");
    assert!(!copy.contains("Débardeur"));
}

#[test]
fn a_reversal_mirrors_its_sale_and_keeps_the_levy() {
    let mut shop = Setup::tunisia().with_stamp().build();
    shop.open();
    shop.scan(SHOE_42);
    let sold = shop.pay_cash(Some(150_000));
    assert_eq!((sold.total_minor, sold.change_minor), (120_000, 30_000));
    shop.scan(BALL);
    let in_hand = shop.cart();
    let undone = reverse(&mut shop, &sold.number);
    assert_eq!(
        (undone.total_minor, undone.cash_minor),
        (-119_900, -119_900)
    );
    assert_eq!(
        undone.next.sale, in_hand.sale,
        "the next shopper's cart stays"
    );
    assert_ne!(undone.number, sold.number);

    let found = rows(&mut shop);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].reverses.as_deref(), Some(sold.number.as_str()));
    assert!(found.iter().all(|row| row.reversed && !row.reversible));
    let reversed = shop.facts().into_iter().find_map(|fact| match fact {
        Fact::Reversed(reversed) => Some(reversed),
        _ => None,
    });
    let reversed = reversed.expect("a reversal");
    assert_eq!(reversed.reason, "erreur de caisse");
    assert_eq!(reversed.mirror.overrides[0].by, MANAGER);
    assert_eq!(reversed.mirror.lines[0].tax_minor, -19_144);
    assert!(
        reversed.mirror.levies.is_empty(),
        "paid once, not given back"
    );

    let x = shop.x_report();
    assert_eq!((x.takings_minor, x.expected_minor), (100, 100_100));
    let stock = shop
        .ledger()
        .stock(testkit::shop::variant(SHOE_42), &shop.location());
    let stock = stock.expect("readable").expect("known");
    assert_eq!(stock.quantity.thousandths(), 1_000, "back on the shelf");
    shop.verify_clean();
}

#[test]
fn a_card_is_given_back_to_the_card() {
    let mut shop = Setup::tunisia().with_cash_rounding(50).build();
    shop.open();
    shop.scan(TEE);
    // Card 10.000, and 14.990 rounded to 15.000 in cash.
    let tenders = vec![
        tender(TenderKind::Card, Some(10_000)),
        tender(TenderKind::Cash, Some(20_000)),
    ];
    let sold = shop.complete(tenders);
    assert_eq!((sold.total_minor, sold.change_minor), (25_000, 5_000));
    let undone = reverse(&mut shop, &sold.number);
    assert_eq!((undone.total_minor, undone.cash_minor), (-25_000, -15_000));
    let x = shop.x_report();
    assert_eq!((x.takings_minor, x.rounding_minor), (0, 0));
    assert_eq!(x.expected_minor, 100_000);
    shop.verify_clean();
}

#[test]
fn numbers_have_no_gaps_through_reversals_and_refusals() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    for _ in 0..3 {
        shop.scan(BALL);
        let sale = shop.cart().sale;
        shop.refused(Command::Complete {
            sale,
            tenders: vec![tender(TenderKind::Cash, Some(1))],
            approval: None,
        });
        let number = shop.pay_cash(None).number;
        reverse(&mut shop, &number);
    }
    let numbers: Vec<String> = rows(&mut shop)
        .iter()
        .rev()
        .map(|row| row.number[row.number.len() - 6..].to_owned())
        .collect();
    let expected: Vec<String> = (1..=6).map(|seq| format!("{seq:06}")).collect();
    assert_eq!(numbers, expected);
    shop.verify_clean();
}

#[test]
fn an_uncertain_job_is_settled_by_a_person() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(BALL);
    let number = shop.pay_cash(None).number;
    let job = make_uncertain(&mut shop);
    assert_eq!(shop.status().printer.uncertain, 1);
    shop.ok(Command::ResolvePrintJob {
        job: job.job,
        came_out: false,
    });
    let found = jobs(&shop);
    assert_eq!(found[0].state, PrintState::Cancelled, "never sent again");
    assert_eq!((found[1].kind, found[1].copy), (PrintKind::Copy, 1));
    assert_eq!(found[1].number, number);

    let copy = make_uncertain(&mut shop);
    shop.ok(Command::ResolvePrintJob {
        job: copy.job,
        came_out: true,
    });
    assert_eq!(jobs(&shop)[1].state, PrintState::Printed);
    assert_eq!(jobs(&shop).len(), 2);
    shop.verify_clean();
}

#[test]
fn an_uncertain_z_is_copied_under_its_number() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.close_exact();
    for copy in [1, 2] {
        let job = make_uncertain(&mut shop);
        shop.ok(Command::ResolvePrintJob {
            job: job.job,
            came_out: false,
        });
        let last = jobs(&shop).pop().expect("a copy");
        assert_eq!((last.kind, last.number.as_str()), (PrintKind::Copy, "Z1"));
        assert_eq!(last.copy, copy);
        assert!(last.document.contains("DUPLICATA"));
    }
    assert_eq!(shop.ledger().copies("Z1").expect("readable"), 2);
    shop.verify_clean();
}

#[test]
fn an_uncertain_kick_is_not_repeated() {
    let mut shop = Setup::tunisia().build();
    print_over_tcp(&mut shop, "generic-58");
    shop.open();
    shop.ok(Command::OpenDrawer {
        reason: "change".to_owned(),
    });
    // The slip goes first; the pulse is the second job.
    let slip = jobs(&shop).remove(0);
    assert!(slip.number.contains("-C"), "{}", slip.number);
    mark(&mut shop, &slip, PrintUpdate::Claimed);
    mark(&mut shop, &slip, PrintUpdate::Printed);
    let kick = make_uncertain(&mut shop);
    assert_eq!(kick.kind, PrintKind::Kick);
    shop.ok(Command::ResolvePrintJob {
        job: kick.job,
        came_out: false,
    });
    assert_eq!(jobs(&shop).len(), 2);
}

#[test]
fn an_x_is_printed_on_demand_only() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.x_report();
    assert!(jobs(&shop).is_empty());
    let Reply::Report(report) = shop.ok(Command::XReport {
        print: true,
        approval: None,
    }) else {
        panic!("not a report");
    };
    let found = jobs(&shop);
    assert_eq!(report.job, Some(found[0].job));
    assert_eq!(
        (found[0].kind, found[0].number.as_str()),
        (PrintKind::Report, "X")
    );
}

#[test]
fn receipts_speak_the_language_that_was_set() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    let mut settings = shop.till().settings().clone();
    for (language, name) in [
        (domain::catalog::Language::Ar, "كرة تدريب"),
        (domain::catalog::Language::En, "Training ball"),
    ] {
        settings.receipt_language = Some(language);
        shop.ok(Command::SetSettings {
            settings: settings.clone(),
        });
        shop.scan(BALL);
        shop.pay_cash(None);
        let job = jobs(&shop).pop().expect("a receipt");
        assert!(job.document.contains(name), "{}", job.document);
    }
}
