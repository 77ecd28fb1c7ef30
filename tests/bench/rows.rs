//! Rows that need no till of their own: rendering, the replayed month, the size of the pages.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use domain::catalog::Language;
use domain::event::{TaxTotal, TenderKind};
use domain::ids::{ShiftId, StreamId};
use domain::money::Currency;
use domain::quantity::Quantity;
use domain::receipt_code::{Claims, CodeLine, LINES_MAX};
use receipt::sale_receipt::{Occasion, ReceiptCode, ReceiptLine, StoreIdentity, TenderLine};
use receipt::{Renderer, SaleReceipt};
use support::{groceries, replay as month};

use crate::table::{Budget, Table, percentile};

/// Milliseconds since `started`.
pub fn ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1_000.0
}

fn arabic_receipt() -> Result<SaleReceipt> {
    let line = |index: i64| ReceiptLine {
        name: format!("حذاء جري أطلس للرجال مقاس {}", 36 + index),
        quantity: Quantity(if index % 3 == 0 { 2_000 } else { 1_000 }),
        unit_minor: 119_900,
        gross_minor: if index % 3 == 0 { 239_800 } else { 119_900 },
        discount_minor: 0,
        discount_percent: None,
    };
    let lines: Vec<_> = (0..30).map(line).collect();
    let total_minor = lines.iter().map(|line| line.gross_minor).sum();
    let tax = domain::tax::extract(total_minor, domain::config::Rate::percent(19.into())?)?;
    let taxes = vec![TaxTotal {
        rate: domain::config::Rate::percent(19.into())?,
        net_minor: tax.net_minor,
        tax_minor: tax.tax_minor,
    }];
    Ok(SaleReceipt {
        language: Language::Ar,
        store: StoreIdentity {
            name: "أطلس سبور".to_owned(),
            branch: "المرسى".to_owned(),
            ..StoreIdentity::default()
        },
        occasion: Occasion::Sale,
        training: false,
        number: "LM-01-7ZK3Q-2026-000123".to_owned(),
        business_date: chrono::NaiveDate::from_ymd_opt(2026, 11, 22).context("a date")?,
        wall: chrono::NaiveDate::from_ymd_opt(2026, 11, 22)
            .and_then(|d| d.and_hms_opt(14, 5, 0))
            .context("a time")?,
        till: "01".to_owned(),
        cashier: "آمال".to_owned(),
        currency: Currency::Tnd,
        lines,
        cart_discount_minor: 0,
        taxes,
        levies: Vec::new(),
        rounding_minor: 0,
        total_minor,
        tenders: vec![TenderLine {
            kind: TenderKind::Cash,
            minor: total_minor,
            reference: None,
        }],
        change_minor: 0,
        // As many digits as a signed code of 20 lines has.
        code: ReceiptCode::Signed("8642097531".repeat(98)),
        footer: Vec::new(),
    })
}

/// A receipt of 30 Arabic lines, from document to dots, warm.
pub fn receipt_render(table: &mut Table) -> Result<()> {
    let document = arabic_receipt()?.to_document();
    let mut renderer = Renderer::new();
    let mut samples = Vec::new();
    for _ in 0..60 {
        let started = Instant::now();
        let bitmap = renderer.render(&document, 384);
        samples.push(ms(started));
        anyhow::ensure!(bitmap.height() > 100, "nothing was drawn");
    }
    let warm = percentile(&mut samples[10..], 50);
    table.absolute(
        "receipt render, Arabic, 30 lines, warm p50",
        warm,
        "ms",
        Budget::AtMost(10.0),
    );
    Ok(())
}

/// The same receipt with the largest code that there is: signed, laid out and drawn.
pub fn signed_receipt(table: &mut Table) -> Result<()> {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let claims = Claims {
        stream: StreamId([3; 16]),
        seq: 123_456,
        reversal: false,
        store: "LM".parse()?,
        till: "01".parse()?,
        number_seq: 123,
        business_date: "2026-11-22".parse()?,
        currency: Currency::Tnd,
        total_minor: 4_796_000,
        lines_total: 30,
        lines: (0..LINES_MAX)
            .map(|line| CodeLine {
                variant: u32::MAX - line as u32,
                quantity: Quantity(2_000),
                paid_minor: 239_800,
            })
            .collect(),
        shift: ShiftId(uuid::Uuid::from_u128(u128::MAX)),
        shift_key: key.verifying_key().to_bytes(),
        certificate: [9; 64],
    };
    let receipt = arabic_receipt()?;
    let mut renderer = Renderer::new();
    let (mut signing, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        let started = Instant::now();
        let code = claims.clone().sign(&key).to_text();
        signing.push(ms(started));
        let document = SaleReceipt {
            code: ReceiptCode::Signed(code),
            ..receipt.clone()
        };
        let bitmap = renderer.render(&document.to_document(), 384);
        whole.push(ms(started));
        anyhow::ensure!(bitmap.height() > 100, "nothing was drawn");
    }
    table.absolute(
        "sign a receipt's code of 20 lines, p50",
        percentile(&mut signing[10..], 50),
        "ms",
        Budget::None,
    );
    table.absolute(
        "sign and render it, Arabic, 30 lines, p50",
        percentile(&mut whole[10..], 50),
        "ms",
        Budget::AtMost(10.0),
    );
    Ok(())
}

/// The month of receipts, as `make replay` runs it.
pub fn replay(table: &mut Table) -> Result<()> {
    let data = groceries::month(&groceries::data_folder(), 1)?;
    let folder = tempfile::tempdir()?;
    let outcome = month::run(&data, folder.path(), 1, |_, _| {})?;
    let rate = outcome.receipts as f64 / outcome.ring_seconds;
    let name = if data.synthetic {
        "replay, synthetic month"
    } else {
        "replay, groceries.csv"
    };
    table.absolute(format!("{name}, rung up"), rate, "rec/s", Budget::None);
    table.absolute(
        "replay, commands through the door",
        outcome.commands as f64 / outcome.ring_seconds,
        "1/s",
        Budget::None,
    );
    table.absolute(
        "replay, sync of everything",
        outcome.sync_seconds,
        "s",
        Budget::None,
    );
    let up = outcome.traffic.bytes_up as f64 / outcome.events as f64;
    table.absolute("bytes up per event, lossy network", up, "B", Budget::None);
    Ok(())
}

/// Size of what a till loads, compressed as a server or package would.
pub fn page_sizes(table: &mut Table, dist: &Path) -> Result<()> {
    for (name, file, most) in [
        ("till script, gzip", "app.js", 60.0),
        ("till stylesheet, gzip", "app.css", 10.0),
    ] {
        let path = dist.join(file);
        if !path.exists() {
            table.absolute(format!("{name}: not built"), f64::NAN, "KB", Budget::None);
            continue;
        }
        let packed = gzip_len(&path)?;
        table.absolute(name, packed as f64 / 1_024.0, "KB", Budget::AtMost(most));
    }
    Ok(())
}

fn gzip_len(path: &Path) -> Result<usize> {
    let output = std::process::Command::new("gzip")
        .arg("-9nc")
        .arg(path)
        .output()
        .context("gzip")?;
    anyhow::ensure!(output.status.success(), "gzip failed on {}", path.display());
    anyhow::ensure!(!fs::read(path)?.is_empty(), "{} is empty", path.display());
    Ok(output.stdout.len())
}
