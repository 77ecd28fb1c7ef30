//! One till of the simulation: its machine, its files, its clock.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use domain::config::Role;
use domain::entropy::Entropy;
use domain::event::{Event, Fact, RightsLine, StreamReason, TenderKind};
use domain::ids::{EventId, LocationId, RequestId, SaleId, StreamId, VariantId};
use domain::quantity::Quantity;
use domain::time::{Boot, Now};
use ledger::OpenOptions;
use sync_client::engine::Problem;
use sync_client::{Engine, EngineConfig, EngineEvent, Link, Outgoing, TransportOutcome};
use sync_protocol::{FeedName, Grant, SyncReply};
use testkit::disk::crash::{CrashDisk, Survival};
use testkit::disk::{Fault, MemDisk, Snapshot};
use testkit::rng::Rng;
use till::door::{
    Answer, Approval, Command, CompletedView, GoodsInput, RefusalCode, Reply, Request, TenderInput,
};
use till::{Context, Safeguards, Till};

use super::mutant::Mutant;
use crate::groceries;
use crate::net::Net;
use crate::world::{MANAGER_PIN, Shop, pieces};

/// Program name that the tills give.
pub const APP: &str = "simulation";
/// Float of every shift, minor units.
const FLOAT_MINOR: i64 = 100_000;

/// A disk, and what happened on it since its last start.
pub struct Machine {
    /// Disk.
    pub disk: MemDisk,
    base: Snapshot,
    /// Its power may be cut: what happens on the disk is written down.
    is_recorded: bool,
}

/// What a machine's disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// In memory, for one whose power is never cut.
    Memory,
    /// In memory, and what happens on it is written down.
    Recorded,
    /// Real files: no power is cut, and nothing fails.
    Files,
}

impl Machine {
    /// An empty disk.
    pub fn new(seed: u64, medium: Medium) -> Machine {
        let is_recorded = medium == Medium::Recorded;
        let disk = if medium == Medium::Files {
            MemDisk::on_files()
        } else {
            MemDisk::new(seed)
        };
        let mut machine = Machine {
            base: Snapshot::default(),
            disk,
            is_recorded,
        };
        machine.rebase();
        machine
    }

    /// Everything so far counts as durable: files were renamed, which the record does not tell.
    pub fn rebase(&mut self) {
        if self.is_recorded {
            self.base = self.disk.snapshot();
            self.disk.record();
        }
    }

    /// What the files are after the power was cut, or after the program ended when nothing is given. Call it while the
    /// files are still open; [`MemDisk::restore`] follows once they are closed.
    pub fn left_by(&self, cut: Option<Survival>, rng: &mut Rng) -> Snapshot {
        let now = self.disk.snapshot();
        let log = self.disk.recorded();
        let Some(survival) = cut.filter(|_| self.is_recorded) else {
            return now;
        };
        let mut disk = CrashDisk::new(&self.base);
        for op in &log {
            disk.step(op);
        }
        let mut left = disk.state(survival, rng);
        // Keys, locks and witness are plain files, which are written whole.
        let is_database = |name: &str| {
            [".db", ".db-wal", ".db-journal"]
                .iter()
                .any(|end| name.ends_with(end))
        };
        left.files.retain(|name, _| is_database(name));
        for (name, bytes) in now.files {
            if !is_database(&name) {
                left.files.insert(name, bytes);
            }
        }
        left
    }

    /// What the files were when the record began.
    pub fn start(&self) -> Snapshot {
        self.base.clone()
    }
}

/// What a sale is found by, also where a machine that was set back gave its number once more: number, id, what was due.
pub type SaleKey = (String, SaleId, i64);

/// A sale or reversal that a till acknowledged.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its id.
    pub sale: SaleId,
    /// Its number.
    pub number: String,
    /// What was due.
    pub total_minor: i64,
    /// Units of strict variants that left the shelf; below zero they came back.
    pub strict: BTreeMap<VariantId, i64>,
}

impl Done {
    /// What it is found by.
    pub fn key(&self) -> SaleKey {
        (self.number.clone(), self.sale, self.total_minor)
    }
}

/// A till.
pub struct Node {
    /// Its machine.
    pub machine: Machine,
    /// Store.
    pub shop: Shop,
    /// The program; none while it is down.
    till: Option<Till>,
    engine: Engine,
    rng: Rng,
    /// How far its clock is off, milliseconds.
    pub clock_off_ms: i64,
    boot: u64,
    booted_ms: i64,
    /// Whether it can reach the server.
    pub cable: bool,
    /// Files put aside.
    pub saved: Option<Snapshot>,
    /// How often older files were put back.
    pub put_back: u64,
    /// Its machine was set back once, with the witness and its very files.
    pub rolled_back_ever: bool,
    /// A stream was broken off while it ran, because the server had another history of it.
    pub broke_off: bool,
    /// Shifts opened.
    pub shifts: u64,
    /// Sales whose answer nobody read: they may have happened.
    pub unanswered: Vec<SaleId>,
    last: Option<(String, BTreeMap<VariantId, i64>)>,
    /// It is switched off.
    pub away: bool,
    /// What is switched off in it.
    pub mutant: Option<Mutant>,
    /// The latest request.
    pub sent: Option<Outgoing>,
    /// It was set back with its witness and its very files, and has begun no new stream since: nothing tells it what it
    /// did before.
    pub rolled_back: bool,
    /// Versions of the feeds that were read, and the epoch of that time.
    pub read_up_to: (u64, BTreeMap<FeedName, u64>),
    /// The stream of the copy of its files.
    pub stream_at_save: Option<StreamId>,
    /// Rights that this stream had given back when the copy was made.
    pub given_at_save: BTreeMap<(VariantId, LocationId), i64>,
    /// The most that it gave back by now.
    pub given: BTreeMap<(VariantId, LocationId), i64>,
    /// How many goods had gone then, of all tills.
    pub gone_at_save: usize,
}

impl Node {
    /// A device with an empty disk.
    ///
    /// # Errors
    /// When it does not start.
    pub fn new(shop: Shop, seed: u64, medium: Medium, now_ms: i64) -> Result<Node> {
        let mut rng = Rng::new(seed);
        let engine = Engine::new(EngineConfig::new(APP, rng.next_u64()));
        let mut node = Node {
            machine: Machine::new(seed, medium),
            shop,
            till: None,
            engine,
            rng,
            clock_off_ms: 0,
            boot: 1,
            booted_ms: now_ms,
            cable: true,
            saved: None,
            put_back: 0,
            rolled_back_ever: false,
            broke_off: false,
            shifts: 0,
            unanswered: Vec::new(),
            last: None,
            away: false,
            mutant: None,
            sent: None,
            rolled_back: false,
            read_up_to: (0, BTreeMap::new()),
            stream_at_save: None,
            given_at_save: BTreeMap::new(),
            given: BTreeMap::new(),
            gone_at_save: 0,
        };
        node.start(now_ms)?;
        Ok(node)
    }

    /// What the device's clocks show.
    pub fn now(&self, now_ms: i64) -> Now {
        Now {
            wall_ms: now_ms + self.clock_off_ms,
            boot: Boot {
                id: self.boot,
                ms: u64::try_from(now_ms - self.booted_ms).unwrap_or(0) + 1_000,
            },
            utc_offset_min: 60,
        }
    }

    fn context(&mut self, now_ms: i64) -> Context {
        Context {
            now: self.now(now_ms),
            entropy: Entropy::new(self.rng.bytes()),
        }
    }

    /// The program.
    ///
    /// # Errors
    /// When it is down.
    pub fn till(&self) -> Result<&Till> {
        self.till.as_ref().context("the till is down")
    }

    /// The program, to change it.
    ///
    /// # Errors
    /// When it is down.
    pub fn till_mut(&mut self) -> Result<&mut Till> {
        self.till.as_mut().context("the till is down")
    }

    fn start(&mut self, now_ms: i64) -> Result<()> {
        let folder = self.machine.disk.folder().to_owned();
        let context = self.context(now_ms);
        let safeguards = Safeguards {
            witness_dir: Some(folder.join("state")),
            copies: Vec::new(),
        };
        let till = Till::open_guarded(
            &folder.join("data"),
            APP,
            context,
            OpenOptions::default(),
            &safeguards,
        )?;
        self.till = Some(till);
        self.engine = Engine::new(EngineConfig::new(APP, self.rng.next_u64()));
        // A start may have moved files.
        self.machine.rebase();
        Ok(())
    }

    /// The machine starts anew: another boot.
    pub fn reboot(&mut self, now_ms: i64) {
        self.boot += 1;
        self.booted_ms = now_ms;
    }

    /// Ends the program, or cuts the power, and starts it again from what is left.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self, cut: Option<Survival>, now_ms: i64) -> Result<()> {
        let left = if self.mutant == Some(Mutant::TillNotDurable) && cut.is_some() {
            self.machine.start()
        } else {
            self.machine.left_by(cut, &mut self.rng)
        };
        self.till = None;
        self.machine.disk.heal();
        // The start that follows records from there on.
        self.machine.disk.restore(&left);
        if cut.is_some() {
            self.reboot(now_ms);
        }
        self.start(now_ms)
    }

    /// Puts a copy of all files aside.
    pub fn save(&mut self) {
        self.saved = Some(self.machine.disk.snapshot());
    }

    /// Puts the copy back: only the data folder, or the machine with the witness outside it; into the files that
    /// were there, as a virtual machine is set back, or into others.
    ///
    /// # Errors
    /// When the till does not start.
    pub fn put_back(&mut self, whole: bool, same_files: bool, now_ms: i64) -> Result<()> {
        let Some(mut files) = self.saved.clone() else {
            return Ok(());
        };
        if !whole && self.mutant != Some(Mutant::WitnessOff) {
            let outside = |name: &String| name.starts_with("state/");
            files.files.retain(|name, _| !outside(name));
            let kept = self.machine.disk.snapshot().files;
            files
                .files
                .extend(kept.into_iter().filter(|(name, _)| outside(name)));
        }
        self.till = None;
        if same_files || self.mutant == Some(Mutant::WitnessOff) {
            self.machine.disk.restore(&files);
        } else {
            self.machine.disk.replace(&files);
        }
        self.put_back += 1;
        self.rolled_back = whole && same_files && self.mutant != Some(Mutant::WitnessOff);
        self.rolled_back_ever |= self.rolled_back;
        self.last = None;
        self.read_up_to.1.clear();
        self.start(now_ms)
    }

    /// The stream that the till writes.
    ///
    /// # Errors
    /// When it has none.
    pub fn stream(&self) -> Result<StreamId> {
        let ledger = self.till()?.ledger().context("a ledger")?;
        Ok(ledger.identity().stream)
    }

    /// Sends a command through the door.
    ///
    /// # Errors
    /// When the program is down.
    pub fn call(&mut self, command: Command, now_ms: i64) -> Result<Answer> {
        let context = self.context(now_ms);
        let id = RequestId(Entropy::new(self.rng.bytes()).next_uuid(context.now.wall_ms));
        Ok(self.till_mut()?.handle(&Request { id, command }, context))
    }

    fn ok(&mut self, command: Command, now_ms: i64) -> Result<Reply> {
        let shown = format!("{command:?}");
        match self.call(command, now_ms)? {
            Answer::Ok(reply) => Ok(reply),
            Answer::Refused(refusal) => bail!("{shown} was refused: {refusal:?}"),
        }
    }

    fn manager(&mut self, now_ms: i64) -> Result<Approval> {
        let Reply::Users { users } = self.ok(Command::ListUsers {}, now_ms)? else {
            bail!("no list of staff")
        };
        let manager = users.iter().find(|user| user.role == Role::Manager);
        Ok(Approval {
            user: manager.context("there is a manager")?.user,
            pin: MANAGER_PIN.to_owned(),
        })
    }

    /// Somebody is signed in and a shift is open.
    ///
    /// # Errors
    /// When the till refuses.
    pub fn ensure_open(&mut self, now_ms: i64) -> Result<()> {
        let Reply::Status(status) = self.ok(Command::Status {}, now_ms)? else {
            bail!("no status")
        };
        if status.user.is_some() && status.shift.is_some() {
            return Ok(());
        }
        let approval = self.manager(now_ms)?;
        if status.user.is_none() {
            self.ok(
                Command::SignIn {
                    user: approval.user,
                    pin: approval.pin.clone(),
                },
                now_ms,
            )?;
        }
        if status.shift.is_none() {
            let count = pieces(FLOAT_MINOR, self.shop.currency)?;
            self.ok(
                Command::OpenShift {
                    count,
                    drawer: None,
                    approval: Some(approval),
                },
                now_ms,
            )?;
            self.shifts += 1;
        }
        Ok(())
    }

    /// Sells. Every refusal is an error: nothing that the simulation does is a reason not to sell.
    ///
    /// # Errors
    /// As above.
    pub fn sell(&mut self, first: u64, lines: u64, units: i64, now_ms: i64) -> Result<Done> {
        self.ensure_open(now_ms)?;
        match self.try_sell(first, lines, units, now_ms)? {
            Answer::Ok(Reply::Completed(done)) => Ok(self.note(&done, BTreeMap::new())),
            other => bail!("V12: a sale was not completed: {other:?}"),
        }
    }

    fn note(&mut self, done: &CompletedView, strict: BTreeMap<VariantId, i64>) -> Done {
        self.last = Some((done.number.clone(), strict.clone()));
        self.unanswered.retain(|sale| *sale != done.sale);
        Done {
            sale: done.sale,
            number: done.number.clone(),
            total_minor: done.total_minor,
            strict,
        }
    }

    fn try_sell(&mut self, first: u64, lines: u64, units: i64, now_ms: i64) -> Result<Answer> {
        for line in 0..lines {
            let code = groceries::gtin(shelf_article(first + line)?);
            let answer = self.call(Command::ScanCode { code }, now_ms)?;
            let Answer::Ok(Reply::Cart(cart)) = answer else {
                return Ok(answer);
            };
            if units > 1 && line == 0 {
                let number = cart.touched.context("the line that was scanned")?;
                let quantity = Quantity::units(units).context("a quantity")?;
                let answer = self.call(
                    Command::SetQuantity {
                        line: number,
                        quantity,
                    },
                    now_ms,
                )?;
                if !matches!(answer, Answer::Ok(_)) {
                    return Ok(answer);
                }
            }
        }
        self.complete(now_ms)
    }

    fn complete(&mut self, now_ms: i64) -> Result<Answer> {
        let answer = self.call(Command::GetCart {}, now_ms)?;
        let Answer::Ok(Reply::Cart(cart)) = answer else {
            return Ok(answer);
        };
        self.unanswered.push(cart.sale);
        self.call(
            Command::Complete {
                sale: cart.sale,
                tenders: vec![TenderInput {
                    kind: TenderKind::Cash,
                    amount_minor: None,
                    reference: None,
                }],
                approval: None,
            },
            now_ms,
        )
    }

    /// Sells while the disk fails; what was acknowledged, if it was.
    ///
    /// # Errors
    /// When the till cannot be opened before the trouble.
    pub fn sell_under(&mut self, fault: Fault, now_ms: i64) -> Result<Option<Done>> {
        self.ensure_open(now_ms)?;
        self.machine.disk.fail(fault);
        let first = self.rng.below(super::world::ARTICLES);
        let answer = self.try_sell(first, 1, 1, now_ms);
        Ok(match answer {
            Ok(Answer::Ok(Reply::Completed(done))) => Some(self.note(&done, BTreeMap::new())),
            _ => None,
        })
    }

    /// Sells units of a strict article, with a manager's word when there is no right to it. None when it was refused for
    /// want of a right.
    ///
    /// # Errors
    /// When it was refused for anything else.
    pub fn ticket(
        &mut self,
        article: u64,
        units: i64,
        waive: bool,
        now_ms: i64,
    ) -> Result<Option<Done>> {
        self.ensure_open(now_ms)?;
        // What a sale that was cut off has left in the cart is not asked for any more.
        self.clear(now_ms)?;
        let code = groceries::gtin(usize::try_from(article)?);
        let quantity = Quantity::units(units).context("a quantity")?;
        let mut answer = if waive {
            let Reply::Variants { rows, .. } = self.ok(
                Command::Search {
                    query: groceries::sku(usize::try_from(article)?),
                    offset: 0,
                    limit: None,
                },
                now_ms,
            )?
            else {
                bail!("no list of variants")
            };
            let variant = rows.first().context("the article")?.variant;
            let approval = Some(self.manager(now_ms)?);
            self.call(
                Command::SellWithoutRight {
                    variant,
                    quantity: Some(quantity),
                    approval,
                },
                now_ms,
            )?
        } else {
            self.call(Command::ScanCode { code }, now_ms)?
        };
        let mut strict = BTreeMap::new();
        if let Answer::Ok(Reply::Cart(cart)) = &answer {
            let line = cart.lines.first().context("the line")?;
            let number = line.line;
            strict.insert(line.variant, units);
            if units > 1 && !waive {
                answer = self.call(
                    Command::SetQuantity {
                        line: number,
                        quantity,
                    },
                    now_ms,
                )?;
            }
        }
        if let Answer::Ok(_) = &answer {
            answer = self.complete(now_ms)?;
        }
        match answer {
            Answer::Ok(Reply::Completed(done)) => Ok(Some(self.note(&done, strict))),
            Answer::Refused(refusal) if refusal.code == RefusalCode::NoRight && !waive => {
                self.clear(now_ms)?;
                Ok(None)
            }
            other => bail!("V12: a strict article was not sold: {other:?}"),
        }
    }

    fn clear(&mut self, now_ms: i64) -> Result<()> {
        match self.call(Command::ClearCart {}, now_ms)? {
            Answer::Ok(_) => Ok(()),
            Answer::Refused(refusal) if refusal.code == RefusalCode::EmptyCart => Ok(()),
            other => bail!("a cart was not cleared: {other:?}"),
        }
    }

    /// Goods come from a supplier; the event that says so.
    ///
    /// # Errors
    /// When the till refuses: what was delivered is delivered.
    pub fn receive(&mut self, variant: VariantId, units: i64, now_ms: i64) -> Result<EventId> {
        self.ensure_open(now_ms)?;
        let quantity = Quantity::units(units).context("a quantity")?;
        let command = Command::ReceiveGoods {
            lines: vec![GoodsInput { variant, quantity }],
            zone: None,
            reference: None,
            included_in: None,
            document: None,
        };
        self.ok(command, now_ms)?;
        let (event, fact) = self.latest()?;
        ensure!(
            matches!(fact, Fact::GoodsReceived(_)),
            "a delivery wrote {}",
            fact.kind()
        );
        Ok(event)
    }

    /// The last event of the journal.
    fn latest(&self) -> Result<(EventId, Fact)> {
        let ledger = self.till()?.ledger().context("a ledger")?;
        let stored = ledger.events(ledger.head().seq, 1, usize::MAX)?;
        let event = Event::decode(&stored.first().context("an event")?.bytes)?;
        Ok((event.id, event.fact()?))
    }

    /// Whether a count is under way that has something to say: a power cut may have cost what was noted.
    ///
    /// # Errors
    /// When the till is down.
    pub fn is_counting(&mut self, now_ms: i64) -> Result<bool> {
        self.ensure_open(now_ms)?;
        let answer = self.call(Command::GetStockCount {}, now_ms)?;
        Ok(match answer {
            Answer::Ok(Reply::StockCount(count)) => !count.rows.is_empty(),
            Answer::Ok(_) | Answer::Refused(_) => false,
        })
    }

    /// Notes what was found, in a count that is begun if none is under way. What was noted before is forgotten.
    ///
    /// # Errors
    /// When the till refuses.
    pub fn look(&mut self, found: &[(VariantId, i64)], now_ms: i64) -> Result<()> {
        self.ensure_open(now_ms)?;
        // Refused where none is under way.
        let _ = self.call(Command::DropStockCount {}, now_ms)?;
        let begin = Command::StartStockCount {
            zone: None,
            document: None,
        };
        self.ok(begin, now_ms)?;
        for (variant, units) in found {
            let (variant, quantity) = (*variant, Quantity(units * super::goods::UNIT));
            self.ok(Command::AddCounted { variant, quantity }, now_ms)?;
        }
        Ok(())
    }

    /// Ends the count that is under way.
    ///
    /// # Errors
    /// When the till refuses.
    pub fn finish_count(&mut self, now_ms: i64) -> Result<()> {
        self.ensure_open(now_ms)?;
        let approval = Some(self.manager(now_ms)?);
        self.ok(Command::FinishStockCount { approval }, now_ms)?;
        Ok(())
    }

    /// [`Mutant::CountKnowsAll`]: the count that was just written, once more, with another cut.
    ///
    /// # Errors
    /// When the ledger refuses it.
    pub fn count_all_knowing(&mut self, now_ms: i64) -> Result<()> {
        let (_, Fact::StockCounted(mut count)) = self.latest()? else {
            bail!("the last event is no count")
        };
        let own = self.stream()?;
        let others = count.cut.iter_mut().filter(|(stream, _)| **stream != own);
        others.for_each(|(_, seq)| *seq += 1_000_000);
        count.document = None;
        self.write(&Fact::StockCounted(count), now_ms)?;
        Ok(())
    }

    /// Writes a fact for which the door has no command: goods handed over for an order.
    ///
    /// # Errors
    /// When the ledger refuses it.
    pub fn write(&mut self, fact: &Fact, now_ms: i64) -> Result<EventId> {
        let now = self.now(now_ms);
        let id = EventId(Entropy::new(self.rng.bytes()).next_uuid(now.wall_ms));
        let ledger = self.till_mut()?.ledger_mut().context("a ledger")?;
        ledger.write(|tx| tx.append(&now, id, fact).map(drop))?;
        Ok(id)
    }

    /// [`Mutant::PnCounter`]: a right is made up where the stock that the till shows is enough.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn believe_stock(
        &mut self,
        variant: VariantId,
        units: i64,
        hub: StreamId,
        now_ms: i64,
    ) -> Result<()> {
        let now = self.now(now_ms);
        let location = LocationId::new(self.shop.code)?;
        let held = self.right(variant, now_ms)?.spendable();
        let till = self.till()?;
        let epoch = till.link().context("the till is enrolled")?.epoch;
        let ledger = till.ledger().context("a ledger")?;
        let shown = ledger.stock(variant, &location)?;
        let shown = shown.map(|known| known.quantity).unwrap_or_default();
        let missing = units * super::goods::UNIT - held.0;
        if missing <= 0 || shown.0 < units * super::goods::UNIT {
            return Ok(());
        }
        let known = totals(ledger)?;
        let place = (variant, location);
        let total = Quantity(known.get(&place).copied().unwrap_or_default() + missing);
        let grant = Grant {
            from: hub,
            epoch,
            line: RightsLine {
                variant: place.0,
                location: place.1,
                total,
                lease_end: Some(now_ms + 30 * 86_400_000),
            },
            signature: String::new(),
        };
        let ledger = self.till_mut()?.ledger_mut().context("a ledger")?;
        ledger.write(|tx| tx.take_grants(&[grant], now_ms, &now))?;
        Ok(())
    }

    /// What this till calls its own of a strict variant: below zero it sold what it had no right to.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn right(&self, variant: VariantId, now_ms: i64) -> Result<ledger::RightHeld> {
        let ledger = self.till()?.ledger().context("a ledger")?;
        let location = LocationId::new(self.shop.code)?;
        Ok(ledger.right_held(variant, &location, &self.now(now_ms))?)
    }

    /// Undoes the latest sale, if there is one to undo in this shift.
    ///
    /// # Errors
    /// When the till is down.
    pub fn undo(&mut self, now_ms: i64) -> Result<Option<Done>> {
        self.ensure_open(now_ms)?;
        let Some((number, strict)) = self.last.take() else {
            return Ok(None);
        };
        let approval = Some(self.manager(now_ms)?);
        let command = Command::ReverseSale {
            number,
            reason: "erreur".to_owned(),
            approval,
        };
        let answer = self.call(command, now_ms)?;
        Ok(match answer {
            Answer::Ok(Reply::Completed(done)) => {
                let back = strict.into_iter().map(|(variant, units)| (variant, -units));
                let done = self.note(&done, back.collect());
                self.last = None;
                Some(done)
            }
            // Of another shift by now.
            _ => None,
        })
    }

    /// Closes the shift with what should be in the drawer, if one is open.
    ///
    /// # Errors
    /// When closing is refused: a shift always closes.
    pub fn close(&mut self, now_ms: i64) -> Result<()> {
        self.ensure_open(now_ms)?;
        let approval = self.manager(now_ms)?;
        let Reply::Report(report) = self.ok(
            Command::XReport {
                print: false,
                approval: Some(approval.clone()),
            },
            now_ms,
        )?
        else {
            bail!("no X report")
        };
        let count = pieces(report.expected_minor.max(0), self.shop.currency)?;
        self.ok(
            Command::CloseShift {
                count,
                approval: Some(approval),
            },
            now_ms,
        )?;
        self.last = None;
        Ok(())
    }

    /// Talks to the server once; whether there was anything to say.
    ///
    /// # Errors
    /// When the program is down, or a broken stream cannot be followed by a new one.
    pub fn sync(&mut self, net: &mut Net, now_ms: i64) -> Result<bool> {
        let now = self.now(now_ms);
        let cable = self.cable;
        let (link, key) = {
            let till = self.till()?;
            let link = till.link().context("the till is enrolled")?;
            let link = Link {
                tenant: link.tenant,
                device: link.device,
                token: link.token,
                authority: link.authority,
                epoch: link.epoch,
                server_key: link.server_key,
            };
            (link, till.signing_key().clone())
        };
        let needs = self.till()?.rights_needed(&now).into_iter();
        let needs = needs.map(|(variant, location, quantity)| sync_client::Want {
            variant,
            location,
            quantity,
        });
        self.engine.set_needs(needs.collect());
        self.engine.nudge();
        let till = self.till.as_mut().context("the till is down")?;
        let ledger = till.ledger_mut().context("a ledger")?;
        let Some(outgoing) = self.engine.poll(ledger, &link, &key, &now) else {
            return Ok(false);
        };
        self.sent = Some(outgoing.clone());
        let mut outcome = if cable {
            net.send(&outgoing)
        } else {
            TransportOutcome::Unreachable
        };
        let answer = match &outcome {
            TransportOutcome::Reply { body, .. } => serde_json::from_slice::<SyncReply>(body).ok(),
            _ => None,
        };
        let known = totals(ledger)?;
        if let Some(mutated) = mutated(self.mutant, &outcome, &mut self.rng)? {
            outcome = mutated;
        }
        let events = self.engine.handle(ledger, outgoing.ticket, outcome, &now);
        if let (Some(Mutant::DeltaGrants), Some(answer)) = (self.mutant, answer)
            && self.rng.chance(30)
        {
            for mut grant in answer.grants {
                let place = (grant.line.variant, grant.line.location.clone());
                let more = grant.line.total.0 - known.get(&place).copied().unwrap_or_default();
                grant.line.total = Quantity(grant.line.total.0 + more.max(0));
                ledger.write(|tx| tx.take_grants(&[grant], answer.server_time, &now))?;
            }
        }
        for event in events {
            if let EngineEvent::StreamBroken(problem) = event {
                let reason = match problem {
                    Problem::StreamFork => StreamReason::Cloned,
                    _ => StreamReason::Restored,
                };
                let context = self.context(now_ms);
                self.till_mut()?.renew_stream(reason, context)?;
                self.engine.new_stream();
                self.rolled_back = false;
                self.machine.rebase();
            }
        }
        Ok(true)
    }

    /// Events that the server has not acknowledged.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn unsynced(&self) -> Result<u64> {
        let ledger = self.till()?.ledger().context("a ledger")?;
        Ok(ledger.unsynced()?.count)
    }

    /// The till has these receipts.
    ///
    /// # Errors
    /// Names the first that is missing.
    pub fn has(&self, numbers: &[String]) -> Result<()> {
        let ledger = self.till()?.ledger().context("a ledger")?;
        for number in numbers {
            ensure!(
                ledger.receipt(number)?.is_some(),
                "V4: an acknowledged sale is missing: {number}"
            );
        }
        Ok(())
    }
}

/// Articles of the shelf follow the strict ones.
fn shelf_article(number: u64) -> Result<usize> {
    let shelf = super::world::ARTICLES - super::goods::STRICT;
    Ok(usize::try_from(super::goods::STRICT + number % shelf)?)
}

/// What a ledger was granted, by place.
fn totals(ledger: &ledger::Ledger) -> Result<BTreeMap<(VariantId, LocationId), i64>> {
    let grants = ledger.grants_seen()?.into_iter();
    Ok(grants
        .map(|grant| {
            (
                (grant.line.variant, grant.line.location),
                grant.line.total.0,
            )
        })
        .collect())
}

/// What a till gets instead of the server's answer when a mechanism is switched off.
fn mutated(
    mutant: Option<Mutant>,
    outcome: &TransportOutcome,
    rng: &mut Rng,
) -> Result<Option<TransportOutcome>> {
    let TransportOutcome::Reply { body, .. } = outcome else {
        return Ok(None);
    };
    if mutant != Some(Mutant::VersionOutside) {
        return Ok(None);
    }
    let Ok(mut reply) = serde_json::from_slice::<SyncReply>(body) else {
        return Ok(None);
    };
    for page in &mut reply.pages {
        page.checksum = None;
        if rng.chance(30) {
            page.rows.pop();
        }
    }
    Ok(Some(TransportOutcome::Reply {
        status: 200,
        retry_after_ms: None,
        body: serde_json::to_vec(&reply)?,
    }))
}
