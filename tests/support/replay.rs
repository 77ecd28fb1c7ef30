//! A month of real receipts through the same door as a cashier's: 4 tills in 2 stores and 2 currencies,
//! offline for whole days, over a network that loses, repeats and reorders, and at the end everybody agrees.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use domain::config::Role;
use domain::event::TenderKind;
use domain::ids::LocationId;
use domain::money::{Currency, format_amount};
use till::door::{Command, Reply, ReportView, TenderInput};

use crate::groceries::{self, Month};
use crate::net::{Faults, Traffic};
use crate::world::{CASA, MARSA, TillNode, World, pieces};

/// Trading days of the month.
const DAYS: usize = 30;
/// Tills in each of the two stores.
const TILLS_EACH: usize = 2;
/// Opening stock of every item in each store, units.
const OPENING_UNITS: i64 = 5_000;

/// What a replay came to. Everything in it was checked against the file before it was returned.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The month was made up, because the file was not there.
    pub synthetic: bool,
    /// Receipts rung.
    pub receipts: usize,
    /// Units sold.
    pub units: usize,
    /// Takings by currency, minor units.
    pub takings: BTreeMap<Currency, i64>,
    /// Shifts closed.
    pub shifts: usize,
    /// Events on the server.
    pub events: u64,
    /// What the network did.
    pub traffic: Traffic,
    /// Commands through the door.
    pub commands: u64,
    /// Seconds spent ringing up.
    pub ring_seconds: f64,
    /// Seconds spent in sync.
    pub sync_seconds: f64,
}

/// What one shift must come to, summed from its receipts as they were rung.
#[derive(Debug, Default)]
struct ShiftSum {
    receipts: u64,
    total_minor: i64,
    cash_minor: i64,
    units: i64,
}

struct Run<'m> {
    month: &'m Month,
    world: World,
    commands: u64,
    /// Units by (store, item).
    sold: BTreeMap<(&'static str, usize), i64>,
    takings: BTreeMap<Currency, i64>,
    shifts: Vec<(usize, u64, i64)>,
    ring_seconds: f64,
    sync_seconds: f64,
}

/// Replays `month` in files under `folder`.
///
/// # Errors
/// The first thing that does not agree with the file.
pub fn run(
    month: &Month,
    folder: &Path,
    seed: u64,
    mut progress: impl FnMut(usize, usize),
) -> Result<Outcome> {
    let csv = groceries::catalogue_csv(month, OPENING_UNITS);
    let (world, report) = World::new(folder, &[MARSA, CASA], TILLS_EACH, &csv, seed)?;
    ensure!(
        report.variants == month.items.len() as u64,
        "imported {} variants",
        report.variants
    );
    let mut run = Run {
        month,
        world,
        commands: 0,
        sold: BTreeMap::new(),
        takings: BTreeMap::new(),
        shifts: Vec::new(),
        ring_seconds: 0.0,
        sync_seconds: 0.0,
    };
    run.world.net.faults = Faults::MANY;
    for day in 0..DAYS {
        run.day(day)?;
        progress(day + 1, DAYS);
    }
    run.world.net.heal();
    let started = Instant::now();
    // Twice: what the last till pushed changes the stock that the first one has read.
    for _ in 0..2 {
        for index in 0..run.world.tills.len() {
            run.world.advance(60_000);
            run.world.sync_until_quiet(index, 2_000)?;
        }
    }
    run.sync_seconds += started.elapsed().as_secs_f64();
    run.check()
}

impl Run<'_> {
    fn day(&mut self, day: usize) -> Result<()> {
        self.world.advance_to_day(i64::try_from(day)?);
        let tills = self.world.tills.len();
        let of_day = |day: usize| day * self.month.receipts.len() / DAYS;
        let (from, to) = (of_day(day), of_day(day + 1));
        for index in 0..tills {
            // Each till has no link on two days of three.
            let online = (day + index).is_multiple_of(3);
            let started = Instant::now();
            self.open(index)?;
            let mut sum = ShiftSum::default();
            for receipt in (from..to).filter(|receipt| receipt % tills == index) {
                self.ring(index, receipt, &mut sum)?;
                if online && receipt % 20 == 0 {
                    self.world.try_sync(index)?;
                }
            }
            self.close(index, sum)?;
            self.ring_seconds += started.elapsed().as_secs_f64();
            if online {
                let started = Instant::now();
                for _ in 0..6 {
                    self.world.try_sync(index)?;
                }
                self.sync_seconds += started.elapsed().as_secs_f64();
            }
        }
        Ok(())
    }

    fn ok(&mut self, index: usize, command: Command) -> Result<Reply> {
        self.commands += 1;
        self.world.tills[index].ok(command)
    }

    fn open(&mut self, index: usize) -> Result<()> {
        let currency = self.world.tills[index].shop.currency;
        self.world.tills[index].sign_in(Role::Cashier)?;
        self.commands += 2;
        let float = pieces(50 * 10_i64.pow(currency.exponent()), currency)?;
        self.ok(
            index,
            Command::OpenShift {
                drawer: None,
                count: float,
                approval: None,
            },
        )?;
        Ok(())
    }

    fn ring(&mut self, index: usize, receipt: usize, sum: &mut ShiftSum) -> Result<()> {
        self.world.advance(20_000);
        let shop = self.world.tills[index].shop;
        let items = self.month.receipts[receipt].clone();
        let mut expected_minor = 0;
        let mut cart = None;
        for number in &items {
            let reply = self.ok(
                index,
                Command::ScanCode {
                    code: groceries::gtin(*number),
                },
            )?;
            let Reply::Cart(view) = reply else {
                bail!("a scan was not answered with the cart")
            };
            cart = Some(view);
            expected_minor += match shop.currency {
                Currency::Tnd => groceries::price_tnd_minor(*number),
                Currency::Mad | Currency::Eur => groceries::price_mad_minor(*number),
            };
            *self.sold.entry((shop.code, *number)).or_insert(0) += 1;
        }
        let cart = cart.context("an empty receipt")?;
        ensure!(
            cart.total_minor == expected_minor,
            "receipt {receipt}: {} is not {expected_minor}",
            cart.total_minor
        );
        let tenders = tenders(receipt, expected_minor, &cart.quick_cash_minor);
        let handed: i64 = tenders
            .iter()
            .filter(|t| t.kind == TenderKind::Cash)
            .filter_map(|t| t.amount_minor)
            .sum();
        let reply = self.ok(
            index,
            Command::Complete {
                sale: cart.sale,
                tenders: tenders.clone(),
                approval: None,
            },
        )?;
        let Reply::Completed(done) = reply else {
            bail!("a completion was not answered as one")
        };
        ensure!(
            done.total_minor == expected_minor,
            "receipt {receipt} came to {}",
            done.total_minor
        );
        let card: i64 = tenders
            .iter()
            .filter(|t| t.kind == TenderKind::Card)
            .filter_map(|t| t.amount_minor)
            .sum();
        ensure!(
            done.change_minor == handed + card - expected_minor || handed == 0,
            "receipt {receipt}: wrong change"
        );
        sum.receipts += 1;
        sum.total_minor += expected_minor;
        sum.cash_minor += expected_minor - card;
        sum.units += i64::try_from(items.len())?;
        *self.takings.entry(shop.currency).or_insert(0) += expected_minor;
        Ok(())
    }

    fn close(&mut self, index: usize, sum: ShiftSum) -> Result<()> {
        let Reply::Report(x) = self.ok(
            index,
            Command::XReport {
                print: false,
                approval: None,
            },
        )?
        else {
            bail!("no X report")
        };
        agree("X", &x, &sum)?;
        let currency = self.world.tills[index].shop.currency;
        let count = pieces(x.expected_minor, currency)?;
        let Reply::Report(z) = self.ok(
            index,
            Command::CloseShift {
                count,
                approval: None,
            },
        )?
        else {
            bail!("no Z report")
        };
        agree("Z", &z, &sum)?;
        ensure!(
            z.difference_minor == Some(0),
            "a difference in an exact count"
        );
        self.shifts
            .push((index, z.z_number.context("a numbered Z")?, z.takings_minor));
        Ok(())
    }

    fn check(self) -> Result<Outcome> {
        let units: usize = self.month.receipts.iter().map(Vec::len).sum();
        ensure!(
            self.sold.values().sum::<i64>() == i64::try_from(units)?,
            "not every unit was rung"
        );
        let mut zs: BTreeMap<usize, Vec<(u64, i64)>> = BTreeMap::new();
        for (index, z_number, takings) in &self.shifts {
            zs.entry(*index).or_default().push((*z_number, *takings));
        }
        for (index, node) in self.world.tills.iter().enumerate() {
            check_till(node, &zs[&index])?;
        }
        let events = self.check_server()?;
        let tills = self.world.tills.len();
        ensure!(
            self.shifts.len() == DAYS * tills,
            "{} shifts were closed",
            self.shifts.len()
        );
        Ok(Outcome {
            synthetic: self.month.synthetic,
            receipts: self.month.receipts.len(),
            units,
            takings: self.takings,
            shifts: self.shifts.len(),
            events,
            traffic: self.world.net.traffic,
            commands: self.commands,
            ring_seconds: self.ring_seconds,
            sync_seconds: self.sync_seconds,
        })
    }

    /// Server against file, and server against every till.
    fn check_server(&self) -> Result<u64> {
        let hub = self
            .world
            .hub
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let report = hub.verify()?;
        ensure!(
            report.ok,
            "the server does not verify: {:?}",
            report.first_bad
        );
        let mut takings: BTreeMap<Currency, i64> = BTreeMap::new();
        let (mut receipts, mut units) = (0, 0);
        for line in hub.takings(None)? {
            *takings.entry(line.currency).or_insert(0) += line.takings_minor;
            receipts += line.receipts;
            units += line.units.thousandths();
        }
        ensure!(
            takings == self.takings,
            "takings on the server: {takings:?}, in the file: {:?}",
            self.takings
        );
        ensure!(
            receipts == self.month.receipts.len() as u64,
            "{receipts} receipts on the server"
        );
        ensure!(
            units == self.sold.values().sum::<i64>() * 1_000,
            "{units} thousandths on the server"
        );
        for number in 0..self.month.items.len() {
            let variant = hub
                .variant_of_sku(&groceries::sku(number))?
                .context("an imported variant")?
                .variant;
            for shop in [MARSA, CASA] {
                let location = LocationId::new(shop.code)?;
                let sold = self.sold.get(&(shop.code, number)).copied().unwrap_or(0);
                let expected = (OPENING_UNITS - sold) * 1_000;
                let found = hub
                    .on_hand(variant, &location)?
                    .map(|quantity| quantity.thousandths());
                ensure!(
                    found == Some(expected),
                    "item {number} in {}: {found:?}, not {expected}",
                    shop.code
                );
                for node in &self.world.tills {
                    let ledger = node.till.ledger().context("a ledger")?;
                    let known = ledger
                        .stock(variant, &location)?
                        .map(|known| known.quantity.thousandths());
                    ensure!(
                        known == Some(expected),
                        "till {} of {} shows {known:?}",
                        node.number,
                        node.shop.code
                    );
                }
            }
        }
        let mut events = 0;
        for node in &self.world.tills {
            let head = node.till.ledger().context("a ledger")?.head();
            let stored = report
                .streams
                .get(&head.stream.to_string())
                .context("the till's stream on the server")?;
            ensure!(
                (stored.seq, stored.hash) == (head.seq, head.hash),
                "till and server differ on a stream"
            );
            events += head.seq;
        }
        Ok(events)
    }
}

/// Cash exact, cash with change, card, or both, by the receipt's number.
fn tenders(receipt: usize, total_minor: i64, quick: &[i64]) -> Vec<TenderInput> {
    let cash = |amount_minor| TenderInput {
        kind: TenderKind::Cash,
        amount_minor: Some(amount_minor),
        reference: None,
    };
    let card = |amount_minor| TenderInput {
        kind: TenderKind::Card,
        amount_minor: Some(amount_minor),
        reference: Some(format!("SLIP-{receipt}")),
    };
    match receipt % 7 {
        0 | 1 => vec![cash(total_minor)],
        2 | 3 => vec![cash(quick.first().copied().unwrap_or(total_minor))],
        4 | 5 => vec![card(total_minor)],
        // A round half by card, so that what is left can be paid in coins.
        _ if total_minor >= 200 => vec![
            card(total_minor / 200 * 100),
            cash(total_minor - total_minor / 200 * 100),
        ],
        _ => vec![cash(total_minor)],
    }
}

fn agree(name: &str, report: &ReportView, sum: &ShiftSum) -> Result<()> {
    ensure!(
        report.sales == sum.receipts,
        "{name}: {} receipts, rung {}",
        report.sales,
        sum.receipts
    );
    ensure!(
        report.takings_minor == sum.total_minor,
        "{name}: takings {}",
        report.takings_minor
    );
    ensure!(
        report.units.thousandths() == sum.units * 1_000,
        "{name}: units {}",
        report.units
    );
    ensure!(
        report.expected_minor == report.float_minor + sum.cash_minor,
        "{name}: drawer {}",
        report.expected_minor
    );
    let taxed: i64 = report
        .taxes
        .iter()
        .map(|tax| tax.net_minor + tax.tax_minor)
        .sum();
    ensure!(
        taxed == sum.total_minor,
        "{name}: net and tax sum to {taxed}"
    );
    Ok(())
}

/// A till's own books: they verify, each Z is the sum of its receipts, and nothing waits.
fn check_till(node: &TillNode, zs: &[(u64, i64)]) -> Result<()> {
    let ledger = node.till.ledger().context("a ledger")?;
    let report = ledger.verify()?;
    ensure!(
        report.ok,
        "till {} of {} does not verify: {:?}",
        node.number,
        node.shop.code,
        report.first_bad
    );
    ensure!(
        node.unsynced()? == 0,
        "till {} still has events to send",
        node.number
    );
    let mut perpetual = 0;
    for (z_number, takings) in zs {
        let (closed, _, _) = ledger
            .z_report(*z_number)?
            .context("a Z report by its number")?;
        perpetual += takings;
        ensure!(
            closed.totals.takings_minor == *takings,
            "Z {z_number} changed after it was closed"
        );
        ensure!(
            closed.perpetual_minor == perpetual,
            "Z {z_number}: perpetual total {}",
            closed.perpetual_minor
        );
    }
    Ok(())
}

impl Outcome {
    /// The outcome in words, for a terminal.
    pub fn report(&self) -> String {
        let source = if self.synthetic {
            "a synthetic month of the same size (no groceries.csv)"
        } else {
            "groceries.csv"
        };
        let mut text = format!(
            "replayed {source}\n  {} receipts, {} units, {} shifts closed, {} events on the server\n",
            self.receipts, self.units, self.shifts, self.events
        );
        for (currency, minor) in &self.takings {
            text.push_str(&format!(
                "  takings {} {currency}\n",
                format_amount(*minor, *currency)
            ));
        }
        text.push_str(&format!(
            "  rung up: {:.0} receipts/s, {:.0} commands/s, durable\n",
            self.receipts as f64 / self.ring_seconds,
            self.commands as f64 / self.ring_seconds
        ));
        text.push_str(&format!(
            "  sync: {} requests sent, {} arrived, {} answers lost, {} B up an event, {:.1} s in all\n",
            self.traffic.sent,
            self.traffic.arrived,
            self.traffic.lost,
            self.traffic.bytes_up / self.events.max(1),
            self.sync_seconds
        ));
        text.push_str("  server, tills and file agree: receipts, units, takings, stock, every Z; all verify\n");
        text
    }
}
