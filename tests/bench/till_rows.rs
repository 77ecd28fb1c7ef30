//! Rows about a till: a durable sale, a scan, a cold start, closing a shift.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use domain::config::Role;
use domain::entropy::Entropy;
use domain::event::{Event, Fact, TenderKind};
use domain::ids::RequestId;
use domain::time::{Boot, Now};
use ledger::PrintFilter;
use rusqlite::{Connection, params};

use support::world::{MANAGER_PIN, MARSA, TillNode, World, pieces};
use till::door::{Answer, Approval, Command, Reply, Request, TenderInput};
use till::{Context, Till};

use crate::rows::ms;
use crate::table::{Budget, Table, percentile};

/// Sales measured.
const SALES: usize = 400;
/// Scans measured at each size.
const SCANS: usize = 2_000;

/// An in-store EAN-13 for any number below ten million.
fn gtin(number: usize) -> String {
    let body = format!("21000{number:07}");
    let weigh =
        |(index, digit): (usize, u8)| u32::from(digit - b'0') * if index % 2 == 0 { 3 } else { 1 };
    let sum: u32 = body.bytes().rev().enumerate().map(weigh).sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// A catalogue of `count` variants, ten to a style.
fn catalogue(count: usize) -> String {
    let mut csv = String::from(
        "style,name_fr,name_ar,name_en,brand,category,tax,class,option1_name,option1_value,option2_name,\
         option2_value,option3_name,option3_value,sku,gtins,price:TN,stock:LM\n",
    );
    for number in 0..count {
        let style = number / 10;
        csv.push_str(&format!(
            "ST{style},Chaussure modèle {style},حذاء طراز {style},Shoe model {style},Sahel,Chaussures>Running,\
             standard,shelf,Pointure,{size},,,,,ST{style}-{size},{gtin},119.900,20\n",
            size = 36 + number % 10,
            gtin = gtin(number),
        ));
    }
    csv
}

fn selling_world(folder: &Path, csv: &str) -> Result<World> {
    let (mut world, _) = World::new(folder, &[MARSA], 1, csv, 1)?;
    let node = &mut world.tills[0];
    node.sign_in(Role::Cashier)?;
    node.ok(Command::OpenShift {
        drawer: None,
        count: pieces(50_000, MARSA.currency)?,
        approval: None,
    })?;
    Ok(world)
}

fn cart_of_four(node: &mut TillNode, base: usize) -> Result<domain::ids::SaleId> {
    let mut sale = None;
    for number in base..base + 4 {
        let reply = node.ok(Command::ScanCode {
            code: gtin(number % 1_000),
        })?;
        let Reply::Cart(cart) = reply else {
            bail!("no cart")
        };
        sale = Some(cart.sale);
    }
    sale.context("a cart")
}

fn cash() -> Vec<TenderInput> {
    vec![TenderInput {
        kind: TenderKind::Cash,
        amount_minor: None,
        reference: None,
    }]
}

/// A 4-line sale through the door, durable, against one raw transaction that writes the same bytes.
pub fn durable_sale(table: &mut Table) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut world = selling_world(folder.path(), &catalogue(1_000))?;
    let node = &mut world.tills[0];
    let mut raw = raw_file(&folder.path().join("raw.db"))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for sale in 0..SALES {
        let id = cart_of_four(node, sale * 4)?;
        let started = Instant::now();
        let answer = node.call(Command::Complete {
            sale: id,
            tenders: cash(),
            approval: None,
        });
        ours.push(ms(started));
        let Answer::Ok(reply) = answer else {
            bail!("a sale was refused: {answer:?}")
        };
        let written = written_by(node, &reply)?;
        let started = Instant::now();
        let tx = raw.transaction()?;
        for bytes in &written {
            tx.prepare_cached("INSERT INTO row (bytes) VALUES (?1)")?
                .execute(params![bytes])?;
        }
        tx.commit()?;
        theirs.push(ms(started));
    }
    for percent in [50, 99] {
        let name = format!("4-line sale, durable, p{percent}");
        let budget = if percent == 50 {
            Budget::RatioAtMost(1.3)
        } else {
            Budget::None
        };
        let raw = percentile(&mut theirs, percent);
        table.against(
            name,
            percentile(&mut ours, percent),
            "ms",
            ("raw rusqlite, same bytes", raw),
            budget,
        );
    }
    Ok(())
}

fn raw_file(path: &PathBuf) -> Result<Connection> {
    let raw = Connection::open(path)?;
    raw.pragma_update(None, "journal_mode", "WAL")?;
    raw.pragma_update(None, "synchronous", "FULL")?;
    raw.execute_batch("CREATE TABLE row (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")?;
    Ok(raw)
}

/// The event, the print job's document and the answer: what a sale has to write, whatever it is written into.
fn written_by(node: &TillNode, reply: &Reply) -> Result<Vec<Vec<u8>>> {
    let ledger = node.till.ledger().context("a ledger")?;
    let head = ledger.head().seq;
    let mut written: Vec<Vec<u8>> = ledger
        .events(head, 1, 1 << 20)?
        .into_iter()
        .map(|event| event.bytes)
        .collect();
    written.extend(
        ledger
            .print_jobs(PrintFilter::Latest(1))?
            .into_iter()
            .map(|job| job.document.into_bytes()),
    );
    written.push(serde_json::to_vec(reply)?);
    ensure!(
        written.len() == 3,
        "a sale writes an event, a job and an answer"
    );
    Ok(written)
}

/// A shift of 1,000 receipts: closing it, checking the file, and opening the next day's, which closes the day.
pub fn long_day(table: &mut Table) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut world = selling_world(folder.path(), &catalogue(1_000))?;
    let node = &mut world.tills[0];
    for sale in 0..1_000 {
        let Reply::Cart(cart) = node.ok(Command::ScanCode {
            code: gtin(sale % 1_000),
        })?
        else {
            bail!("no cart")
        };
        node.ok(Command::Complete {
            sale: cart.sale,
            tenders: cash(),
            approval: None,
        })?;
    }
    let Reply::Report(x) = node.ok(Command::XReport {
        print: false,
        approval: None,
    })?
    else {
        bail!("no X report")
    };
    let count = pieces(x.expected_minor, MARSA.currency)?;
    let started = Instant::now();
    node.ok(Command::CloseShift {
        count,
        approval: None,
    })?;
    table.absolute(
        "close a shift of 1,000 receipts",
        ms(started),
        "ms",
        Budget::AtMost(2_000.0),
    );

    let ledger = node.till.ledger().context("a ledger")?;
    let started = Instant::now();
    let report = ledger.verify()?;
    let took = ms(started);
    ensure!(
        report.ok,
        "the file does not verify: {:?}",
        report.first_bad
    );
    table.absolute(
        "verify the file of 1,000 receipts",
        took,
        "ms",
        Budget::None,
    );

    // From one month to the next, so that the month is closed with the day.
    world.advance_to_day(40);
    let node = &mut world.tills[0];
    let before = node.till.ledger().context("a ledger")?.head().seq;
    let Reply::Users { users } = node.ok(Command::ListUsers {})? else {
        bail!("no list of staff")
    };
    // A date so far from the last one wants a manager's word.
    let manager = users.iter().find(|user| user.role == Role::Manager);
    let approval = Approval {
        user: manager.context("a manager")?.user,
        pin: MANAGER_PIN.to_owned(),
    };
    let count = pieces(50_000, MARSA.currency)?;
    let started = Instant::now();
    node.ok(Command::OpenShift {
        drawer: None,
        count,
        approval: Some(approval),
    })?;
    let took = ms(started);
    let ledger = node.till.ledger().context("a ledger")?;
    let written = ledger.events(before + 1, 100, 1 << 20)?;
    let mut closed = 0;
    for event in written {
        let fact = Event::decode(&event.bytes)?.fact()?;
        closed += usize::from(matches!(fact, Fact::PeriodClosed(_)));
    }
    ensure!(closed == 2, "a day and a month are closed, not {closed}");
    table.absolute(
        "open a shift, day and month of 1,000 closing",
        took,
        "ms",
        Budget::AtMost(2_000.0),
    );
    Ok(())
}

/// Scans and cold starts with catalogues of growing size.
pub fn catalogues(table: &mut Table, sizes: &[usize]) -> Result<()> {
    let mut first = None;
    for size in sizes {
        let folder = tempfile::tempdir()?;
        let csv = catalogue(*size);
        let started = Instant::now();
        let mut world = selling_world(folder.path(), &csv)?;
        let seconds = started.elapsed().as_secs_f64();
        table.absolute(
            format!("import {size} variants, rows"),
            *size as f64 / world.import_seconds,
            "1/s",
            Budget::None,
        );
        let pulled = seconds - world.import_seconds;
        table.absolute(
            format!("new till pulls {size} variants"),
            pulled,
            "s",
            Budget::None,
        );
        let (p50, p99) = scans(&mut world.tills[0], *size)?;
        let most = if *size > 100_000 { 5.0 } else { 2.0 };
        table.absolute(
            format!("scan to cart reply, {size} variants, p99"),
            p99,
            "ms",
            Budget::AtMost(most),
        );
        let base = *first.get_or_insert(p50);
        let name = format!("scan to cart reply, {size} variants, p50");
        table.against(
            name,
            p50,
            "ms",
            ("itself at the smallest", base),
            Budget::RatioAtMost(1.2),
        );
        if *size == 100_000 {
            drop(world);
            cold_start(table, &folder.path().join("LM-01"))?;
        }
    }
    Ok(())
}

fn scans(node: &mut TillNode, size: usize) -> Result<(f64, f64)> {
    let mut samples = Vec::with_capacity(SCANS);
    for scan in 0..SCANS {
        if scan % 20 == 0 && scan > 0 {
            node.ok(Command::ClearCart {})?;
        }
        // A stride prime to the sizes, so that no page of the index stays warm by accident.
        let code = gtin(scan * 7_919 % size);
        let started = Instant::now();
        let answer = node.call(Command::ScanCode { code });
        samples.push(ms(started));
        ensure!(
            matches!(answer, Answer::Ok(_)),
            "a scan was refused: {answer:?}"
        );
    }
    Ok((percentile(&mut samples, 50), percentile(&mut samples, 99)))
}

/// A process that opens the till and scans once.
fn cold_start(table: &mut Table, data: &Path) -> Result<()> {
    let output = Process::new(std::env::current_exe()?)
        .arg("--open")
        .arg(data)
        .output()?;
    ensure!(
        output.status.success(),
        "the till did not open: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [opened_ms, rss_kb] = figures[..] else {
        bail!("unexpected figures: {text}")
    };
    table.absolute(
        "cold start to first scan, 100000 variants",
        opened_ms,
        "ms",
        Budget::AtMost(2_000.0),
    );
    table.absolute(
        "resident memory after it",
        rss_kb / 1_024.0,
        "MB",
        Budget::AtMost(80.0),
    );
    Ok(())
}

/// Opens a till, scans once, prints milliseconds and resident kilobytes.
pub fn open_once(data: &Path) -> Result<()> {
    let started = Instant::now();
    let now = Now {
        wall_ms: 1_790_900_000_000,
        boot: Boot { id: 9, ms: 5 },
        utc_offset_min: 60,
    };
    let context = |seed: u8| Context {
        now,
        entropy: Entropy::new([seed; 32]),
    };
    let mut till = Till::open(data, "bench", context(1))?;
    let id = RequestId(Entropy::new([2; 32]).next_uuid(now.wall_ms));
    let command = Command::ScanCode { code: gtin(77) };
    let answer = till.handle(&Request { id, command }, context(3));
    let opened_ms = ms(started);
    ensure!(
        matches!(answer, Answer::Ok(Reply::Cart(_))),
        "the first scan was refused: {answer:?}"
    );
    let status = std::fs::read_to_string("/proc/self/status")?;
    let rss = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    let rss_kb = rss.trim().trim_end_matches("kB").trim();
    writeln!(std::io::stdout(), "{opened_ms} {rss_kb}")?;
    Ok(())
}
