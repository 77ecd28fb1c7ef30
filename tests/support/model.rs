//! The model test: random commands against a till and against a simple reference model of it, compared after every
//! one. The till is the whole product behind its door, on a disk in memory; the model ([`book`], [`cart`]) is lists
//! and sums. What may happen, and how often, stands in [`op`].
//!
//! Start at [`run`]. The same seed gives the same commands, so a [`Failure`] names everything needed to see it
//! again, and a failing sequence is made shorter before it is reported.

pub mod book;
pub mod cart;
pub mod op;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::ids::RequestId;
use domain::quantity::Quantity;
use serde_json::{Value, json};
use sync_protocol::FeedName;
use sync_protocol::feed::StockRow;
use testkit::rng::Rng;
use testkit::shop::{MANAGER, MANAGER_PIN, Setup, Shop, variant};
use till::door::{Answer, Command, RefusalCode};

use book::{Model, Rules, WrongRule};
use op::{Op, Step};

/// Commands between two looks at everything.
const AUDIT_EVERY: usize = 250;
/// Runs spent on making a failing sequence shorter.
const SHRINK_RUNS_MAX: u64 = 120;
/// Longest time after which an answer of a draft is still asked for again; it is kept for a week.
const REPEAT_AGE_MS_MAX: i64 = 6 * 86_400_000;
/// Variable that names the seed to replay.
pub const SEED_VARIABLE: &str = "HANOUT_MODEL_SEED";
/// Variable that names the length of the sequence to replay.
pub const COMMANDS_VARIABLE: &str = "HANOUT_MODEL_COMMANDS";

/// What a run saw.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Things that happened: commands, restarts, clocks that were set.
    pub commands: u64,
    /// Carried out, by kind.
    pub done: BTreeMap<String, u64>,
    /// Refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Events written, by kind.
    pub facts: BTreeMap<String, u64>,
}

impl Summary {
    fn note(counts: &mut BTreeMap<String, u64>, key: String, by: u64) {
        *counts.entry(key).or_insert(0) += by;
    }

    /// Adds another run.
    pub fn take(&mut self, other: &Summary) {
        self.commands += other.commands;
        for (mine, theirs) in [
            (&mut self.done, &other.done),
            (&mut self.refused, &other.refused),
            (&mut self.facts, &other.facts),
        ] {
            for (key, count) in theirs {
                Summary::note(mine, key.clone(), *count);
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<String, u64>| {
            let items = counts.iter().map(|(key, count)| format!("{key} {count}"));
            items.collect::<Vec<_>>().join(", ")
        };
        write!(
            f,
            "{} commands; done: {}; refused: {}; events: {}",
            self.commands,
            list(&self.done),
            list(&self.refused),
            list(&self.facts)
        )
    }
}

/// Where till and model differ.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mismatch {
    /// What was compared, without what differs from run to run.
    check: String,
    detail: String,
}

/// A sequence on which till and model differ.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Seed of the sequence.
    pub seed: u64,
    /// Its length.
    pub commands: usize,
    /// Place at which it failed, from 1.
    pub at: usize,
    /// What was compared.
    pub check: String,
    /// What was expected and found.
    pub detail: String,
    /// Commands of the shortest sequence found that fails in the same way.
    pub left: usize,
    /// That sequence as it was carried out; the look at everything that follows it may be part of it.
    pub shortest: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: till and model differ at command {} of {}: {}: {}",
            self.seed, self.at, self.commands, self.check, self.detail
        )?;
        writeln!(f, "shop: {:?}", Rules::of(self.seed))?;
        writeln!(
            f,
            "again: {SEED_VARIABLE}={} {COMMANDS_VARIABLE}={} cargo test -p tests --test model replay -- --nocapture",
            self.seed, self.commands
        )?;
        writeln!(f, "in short ({} commands):", self.left)?;
        for (index, step) in self.shortest.iter().enumerate() {
            writeln!(f, "  {}. {step}", index + 1)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Plays `commands` commands drawn from `seed` against the till of that seed's shop.
///
/// # Errors
/// [`Failure`], with the shortest failing sequence that was found.
pub fn run(seed: u64, commands: usize) -> Result<Summary, Failure> {
    run_with(seed, commands, None)
}

fn draw(seed: u64, commands: usize) -> Vec<Op> {
    let mut rng = Rng::new(seed);
    (0..commands).map(|_| Op::draw(&mut rng)).collect()
}

/// The command, from 1, at which a model with a wrong rule is caught; none when it is not.
pub fn caught(seed: u64, commands: usize, wrong: Option<WrongRule>) -> Option<usize> {
    let played = play(seed, &draw(seed, commands), wrong, true);
    played.failed.map(|(at, _)| at + 1)
}

/// As [`run`], with a rule of the model that is wrong: the harness must notice.
///
/// # Errors
/// As [`run`].
pub fn run_with(seed: u64, commands: usize, wrong: Option<WrongRule>) -> Result<Summary, Failure> {
    let ops = draw(seed, commands);
    let played = play(seed, &ops, wrong, true);
    let Some((at, mismatch)) = played.failed else {
        return Ok(played.summary);
    };
    let shortest = shorten(seed, &ops[..(at + 1).min(commands)], wrong, &mismatch.check);
    let told = play(seed, &shortest, wrong, false);
    Err(Failure {
        seed,
        commands,
        at: at + 1,
        check: mismatch.check,
        detail: told
            .failed
            .map_or(mismatch.detail, |(_, found)| found.detail),
        left: shortest.len(),
        shortest: told.log,
    })
}

/// Leaves out whatever can be left out while the sequence still fails at the same check.
fn shorten(seed: u64, ops: &[Op], wrong: Option<WrongRule>, check: &str) -> Vec<Op> {
    let mut left = ops.to_vec();
    let mut runs = 0;
    let mut chunk = left.len() / 2;
    while chunk > 0 && runs < SHRINK_RUNS_MAX {
        let before = left.len();
        let mut from = 0;
        while from < left.len() && runs < SHRINK_RUNS_MAX {
            let mut fewer = left.clone();
            fewer.drain(from..(from + chunk).min(left.len()));
            runs += 1;
            match play(seed, &fewer, wrong, false).failed {
                Some((at, mismatch)) if mismatch.check == check => {
                    fewer.truncate(at + 1);
                    left = fewer;
                }
                _ => from += chunk,
            }
        }
        if chunk > 1 || left.len() == before {
            chunk /= 2;
        }
    }
    left
}

/// What came of a sequence.
struct Played {
    summary: Summary,
    failed: Option<(usize, Mismatch)>,
    log: Vec<String>,
}

fn play(seed: u64, ops: &[Op], wrong: Option<WrongRule>, audits: bool) -> Played {
    let mut table = Table::new(seed, wrong);
    let failed = ops.iter().enumerate().find_map(|(index, op)| {
        // A panic of the product is a finding like any other.
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            table.step(*op)?;
            match audits && (index + 1) % AUDIT_EVERY == 0 {
                true => table.audit(),
                false => Ok(()),
            }
        }));
        match stepped {
            Ok(Ok(())) => None,
            Ok(Err(mismatch)) => Some((index, mismatch)),
            Err(panicked) => Some((index, panic_of(panicked.as_ref()))),
        }
    });
    let failed = failed.or_else(|| {
        let last = table.end().err();
        last.map(|mismatch| (ops.len().saturating_sub(1), mismatch))
    });
    Played {
        summary: table.summary,
        failed,
        log: table.log,
    }
}

fn panic_of(panicked: &(dyn std::any::Any + Send)) -> Mismatch {
    let text = panicked.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panicked.downcast_ref::<&str>().map(ToString::to_string));
    Mismatch {
        check: "panic".to_owned(),
        detail: text.unwrap_or_default(),
    }
}

/// A till and its model, side by side.
struct Table {
    shop: Shop,
    model: Model,
    /// Changing commands and their answers, newest last, with the clock at that time.
    asked: Vec<(RequestId, Command, Value, i64)>,
    summary: Summary,
    log: Vec<String>,
}

impl Table {
    fn new(seed: u64, wrong: Option<WrongRule>) -> Table {
        let rules = Rules::of(seed);
        let mut setup = match rules.country {
            testkit::shop::Country::Tunisia => Setup::tunisia(),
            testkit::shop::Country::Morocco => Setup::morocco(),
        };
        setup.stamp = rules.stamp > 0;
        setup.cash_rounding_minor = rules.rounding;
        setup.seed = seed.to_le_bytes()[0];
        let mut shop = setup.on_disk().build();
        shop.configure(|store| {
            store.drawer.drawers = rules.drawers;
            store.drawer.blind_count = rules.blind;
            store.drawer.pay_out_limit_minor = rules.pay_out_free;
        });
        let identity = shop.ledger().identity();
        let series = format!(
            "{}-{}-{}",
            identity.store,
            identity.till,
            identity.stream.series()
        );
        let model = Model::new(rules, wrong, &series, shop.now());
        Table {
            shop,
            model,
            asked: Vec::new(),
            summary: Summary::default(),
            log: Vec::new(),
        }
    }

    fn step(&mut self, op: Op) -> Result<(), Mismatch> {
        let step = op.step(&self.model);
        self.summary.commands += 1;
        match step {
            Step::Ask(command) => self.ask(&command)?,
            Step::Repeat { back, other } => self.repeat(back, other)?,
            other => {
                self.log.push(format!("{other:?}"));
                self.happen(&other);
                Summary::note(&mut self.summary.done, format!("{:?}", op.what), 1);
            }
        }
        let (seq, wanted) = (self.shop.ledger().head().seq, self.model.seq());
        differ("events", &json!(wanted), &json!(seq))
    }

    fn happen(&mut self, step: &Step) {
        match step {
            Step::Restart | Step::Reboot => {
                let now = self.shop.now().wall_ms;
                self.model.restart();
                self.asked
                    .retain(|(.., wall)| now - wall < REPEAT_AGE_MS_MAX);
                match step {
                    Step::Restart => self.shop.reopen(),
                    _ => self.shop.reboot(),
                }
            }
            Step::Pass(ms) => self.shop.advance_ms(*ms),
            Step::SetClock(ms) => {
                let wall = self.shop.now().wall_ms + ms;
                self.shop.set_wall_ms(wall);
            }
            Step::Stock(sku, units) => {
                self.model.office_stock(sku, *units);
                let feed = FeedName::Stock(self.shop.location());
                let rows = self.model.stock.iter().map(|(sku, thousandths)| {
                    let row = StockRow {
                        variant: variant(sku),
                        quantity: Quantity(*thousandths),
                        anchor: None,
                        zones: Default::default(),
                    };
                    let row = serde_json::to_value(row).expect("plain data");
                    (variant(sku).to_string(), Some(row))
                });
                self.shop.publish(&feed, rows.collect());
            }
            Step::Price(sku, minor) => {
                let from = "2026-01-01";
                self.shop.set_price(sku, from, *minor);
                let from = from.parse().expect("a date");
                self.model.office_price(sku, from, *minor);
            }
            Step::Ask(_) | Step::Repeat { .. } => {}
        }
    }

    /// Asks the till and the model the same.
    fn ask(&mut self, command: &Command) -> Result<(), Mismatch> {
        let id = self.shop.request_id();
        let now = self.shop.now();
        let name = name_of(command);
        let wanted = self.model.apply(command, &now);
        let answer = self.shop.call_as(id, command.clone());
        let found = shown(&answer);
        self.log
            .push(format!("{} -> {}", tell(command), brief(&found)));
        match (&wanted, &answer) {
            (Ok(wanted), Answer::Ok(_)) => {
                Summary::note(&mut self.summary.done, name.clone(), 1);
                self.compare(&name, wanted, &found["ok"])?;
                self.model.learn(&found["ok"]);
            }
            (Err(wanted), Answer::Refused(refusal)) => {
                let code = code_of(refusal.code);
                differ(
                    &format!("{name}: refusal"),
                    &json!(code_of(*wanted)),
                    &json!(code),
                )?;
                Summary::note(&mut self.summary.refused, code, 1);
            }
            (Ok(wanted), Answer::Refused(_)) => {
                return Err(Mismatch {
                    check: format!("{name}: refused"),
                    detail: format!("expected {}, found {found}", brief(wanted)),
                });
            }
            (Err(code), Answer::Ok(_)) => {
                return Err(Mismatch {
                    check: format!("{name}: carried out"),
                    detail: format!("expected {}, found {}", code_of(*code), brief(&found)),
                });
            }
        }
        if !only_reads(command) {
            self.asked.push((id, command.clone(), found, now.wall_ms));
        }
        Ok(())
    }

    /// The same request gets the same answer, another one under its id is refused, and nothing happens.
    fn repeat(&mut self, back: usize, other: bool) -> Result<(), Mismatch> {
        let Some(place) = self.asked.len().checked_sub(back + 1) else {
            return Ok(());
        };
        let (id, command, first, _) = self.asked[place].clone();
        self.log
            .push(format!("again ({other}): {}", tell(&command)));
        if other {
            let stranger = Command::OpenDrawer {
                reason: "another command".to_owned(),
            };
            let found = shown(&self.shop.call_as(id, stranger));
            let wanted = code_of(RefusalCode::RequestIdReused);
            Summary::note(&mut self.summary.refused, wanted.clone(), 1);
            return differ("reused id", &json!(wanted), &found["refused"]["code"]);
        }
        let found = shown(&self.shop.call_as(id, command.clone()));
        Summary::note(&mut self.summary.done, "Repeat".to_owned(), 1);
        differ(&format!("repeated {}", name_of(&command)), &first, &found)
    }

    fn compare(&mut self, name: &str, wanted: &Value, found: &Value) -> Result<(), Mismatch> {
        let mut found = tidy(found.clone());
        if let Some(rows) = found["reports"].as_array_mut() {
            rows.sort_by_key(|row| row["number"].to_string());
        }
        within(name, &tidy(wanted.clone()), &found)?;
        match name {
            "CloseShift" => check_deposit(&found)?,
            _ if found["type"] == "Cart" => check_cart(&found)?,
            _ => {}
        }
        // A report is issued once: whoever looks at it later sees the same picture.
        let picture = found["png_base64"]
            .as_str()
            .filter(|_| name != "ReprintReport");
        let number = match found["z_number"].as_u64() {
            Some(z) => format!("Z{z}"),
            None => found["number"].as_str().unwrap_or_default().to_owned(),
        };
        if let Some(picture) = picture
            && let Some(report) = self.model.reports.iter_mut().find(|r| r.number == number)
        {
            let first = report.picture.get_or_insert_with(|| picture.to_owned());
            if first != picture {
                return Err(Mismatch {
                    check: format!("{name}: picture"),
                    detail: format!("{number} does not look as it was issued"),
                });
            }
        }
        Ok(())
    }

    /// Looks at everything.
    fn audit(&mut self) -> Result<(), Mismatch> {
        for command in [
            Command::Status {},
            Command::GetCart {},
            Command::ListParked {},
            Command::ListReceipts {
                query: String::new(),
                limit: Some(100),
            },
            Command::ListReports { limit: Some(100) },
            Command::TrialBalance { number: None },
            Command::TrialBalance {
                number: Some("X".to_owned()),
            },
        ] {
            self.ask(&command)?;
        }
        let skus: Vec<&str> = self.model.stock.keys().copied().collect();
        for sku in skus {
            self.ask(&Command::StockOf {
                variant: variant(sku),
            })?;
        }
        let report = self.shop.ledger().verify();
        let bad = match report {
            Ok(report) if report.ok => return Ok(()),
            Ok(report) => format!("{:?}", report.first_bad),
            Err(error) => error.to_string(),
        };
        Err(Mismatch {
            check: "verify".to_owned(),
            detail: bad,
        })
    }

    /// Looks at everything, as a manager, and at the whole journal.
    fn end(&mut self) -> Result<(), Mismatch> {
        self.ask(&Command::SignIn {
            user: MANAGER,
            pin: MANAGER_PIN.to_owned(),
        })?;
        self.audit()?;
        let mut facts: BTreeMap<String, u64> = BTreeMap::new();
        for fact in self.shop.facts() {
            Summary::note(&mut facts, fact.kind().to_owned(), 1);
        }
        differ("facts", &json!(self.model.facts), &json!(facts))?;
        let receipts = self.shop.ledger().receipts("", u32::MAX);
        let receipts = receipts.map(|receipts| receipts.len()).unwrap_or(0);
        differ(
            "receipts",
            &json!(self.model.receipts.len()),
            &json!(receipts),
        )?;
        self.summary.facts = facts;
        Ok(())
    }
}

fn shown(answer: &Answer) -> Value {
    serde_json::to_value(answer).expect("an answer is plain data")
}

fn code_of(code: RefusalCode) -> String {
    let text = serde_json::to_value(code).expect("a code is a word");
    text.as_str().unwrap_or_default().to_owned()
}

/// A command as JSON, without PINs.
fn tell(command: &Command) -> String {
    let mut value = serde_json::to_value(command).expect("a command is plain data");
    hide(&mut value);
    value.to_string()
}

fn hide(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.remove("pin");
        object.values_mut().for_each(hide);
    }
}

fn name_of(command: &Command) -> String {
    let value = serde_json::to_value(command).expect("a command is plain data");
    value["type"].as_str().unwrap_or_default().to_owned()
}

/// Enough of an answer to follow a story.
fn brief(value: &Value) -> String {
    let mut value = value.clone();
    let reply = match value.get_mut("ok") {
        Some(reply) => reply,
        None => &mut value,
    };
    if let Some(object) = reply.as_object_mut() {
        object.retain(|_, value| !value.is_object() && !value.is_array() && !value.is_null());
        object.remove("png_base64");
        object.remove("app");
    }
    value.to_string()
}

/// Commands whose answers are not kept, because they change nothing.
fn only_reads(command: &Command) -> bool {
    matches!(
        command,
        Command::Status {}
            | Command::GetCart {}
            | Command::ListParked {}
            | Command::ListReceipts { .. }
            | Command::GetReceipt { .. }
            | Command::StockOf { .. }
            | Command::XReport { print: false, .. }
            | Command::ListReports { .. }
            | Command::GetReport { .. }
            | Command::TrialBalance { .. }
    )
}

fn differ(check: &str, wanted: &Value, found: &Value) -> Result<(), Mismatch> {
    if wanted == found {
        return Ok(());
    }
    Err(Mismatch {
        check: check.to_owned(),
        detail: format!("expected {wanted}, found {found}"),
    })
}

/// Takes out of sums what came to nothing: whether an account that moved and came back is listed is not for the
/// model to say.
fn tidy(mut value: Value) -> Value {
    const SUMS: [&str; 4] = ["taxes", "levies", "rows", "stock"];
    const BY_KIND: [&str; 2] = ["tenders_minor", "moved_minor"];
    let Some(object) = value.as_object_mut() else {
        return value;
    };
    for (key, value) in object.iter_mut() {
        if SUMS.contains(&key.as_str())
            && let Some(rows) = value.as_array_mut()
        {
            rows.retain(|row| {
                let mut values = row.as_object().into_iter().flat_map(|row| row.values());
                values.any(|value| value.as_i64().is_some_and(|number| number != 0))
            });
        }
        if BY_KIND.contains(&key.as_str())
            && let Some(sums) = value.as_object_mut()
        {
            sums.retain(|_, sum| sum != 0);
        }
        if key == "next" {
            *value = tidy(value.take());
        }
    }
    value
}

/// Whether `found` says all that `wanted` does.
fn within(path: &str, wanted: &Value, found: &Value) -> Result<(), Mismatch> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            // Sums by kind are whole: a kind that the model does not know of is a difference.
            if path.ends_with("tenders_minor") || path.ends_with("moved_minor") {
                return differ(path, &json!(wanted), &json!(found));
            }
            for (key, wanted) in wanted {
                let found = found.get(key).unwrap_or(&Value::Null);
                within(&format!("{path}.{key}"), wanted, found)?;
            }
            Ok(())
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let pairs = wanted.iter().zip(found);
            for (wanted, found) in pairs {
                within(path, wanted, found)?;
            }
            Ok(())
        }
        _ => differ(path, wanted, found),
    }
}

fn minor(value: &Value) -> i64 {
    value.as_i64().unwrap_or(i64::MIN)
}

/// What is proposed to be banked leaves the float, or what there is of it, and is as much as whole pieces allow.
fn check_deposit(report: &Value) -> Result<(), Mismatch> {
    let (counted, float) = (&report["counted_minor"], &report["float_minor"]);
    let pieces = report["deposit"].as_array().cloned().unwrap_or_default();
    let sum: i64 = pieces
        .iter()
        .map(|piece| minor(&piece["denomination_minor"]) * minor(&piece["pieces"]))
        .sum();
    differ("deposit: sum", &json!(sum), &report["deposit_minor"])?;
    let spare = (minor(counted) - minor(float)).max(0);
    let fits = (0..=spare).contains(&sum);
    differ("deposit: float stays", &json!(true), &json!(fits))
}

/// Amounts that a shopper may hand over are above what is due, ascending, and few.
fn check_cart(cart: &Value) -> Result<(), Mismatch> {
    let amounts = cart["quick_cash_minor"].as_array().cloned();
    let amounts: Vec<i64> = amounts.unwrap_or_default().iter().map(minor).collect();
    let due = minor(&cart["due_cash_minor"]);
    let right =
        amounts.len() <= 4 && amounts.is_sorted() && amounts.iter().all(|amount| *amount > due);
    differ("quick cash", &json!(true), &json!(right))
}
