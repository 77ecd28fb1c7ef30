//! One state of the small world: what is on the shelf, what everybody wrote down, and what is in the air.
//!
//! Everything is counted in whole units of one strict variant at one location.

use super::worlds::World;

/// Streams at most: the tills' own, and those opened after a restore.
pub const STREAMS: usize = 4;
/// Tills at most.
pub const TILLS: usize = 3;
/// Events of one stream at most.
pub const EVENTS: usize = 6;
/// Web customers at most.
pub const PROMISES: usize = 2;
/// Counts at most.
pub const COUNTS: usize = 2;
/// The end of a lease that binds nobody.
pub const NO_LEASE: u8 = 7;

/// A fact of a till's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A unit was sold on a right.
    Sold,
    /// A manager let a sale pass without a right.
    Waived,
    /// A unit came in (a supplier's, or a customer's return) and its right with it.
    Minted,
    /// One right more was given back to the hub.
    Returned,
    /// A web customer's unit was handed over.
    Picked(u8),
    /// The location was counted.
    Counted(u8),
    /// This stream learned of a count.
    Learned(u8),
    /// One right more was moved to a stream.
    Passed(u8),
    /// The total that a stream moved here was learned.
    Took { from: u8, total: u8 },
    /// The stream was opened in place of another.
    Opened,
}

impl Event {
    const fn code(self) -> u8 {
        match self {
            Event::Sold => 1,
            Event::Waived => 2,
            Event::Minted => 3,
            Event::Returned => 5,
            Event::Opened => 6,
            Event::Picked(promise) => 8 + promise,
            Event::Counted(count) => 10 + count,
            Event::Learned(count) => 12 + count,
            Event::Passed(to) => 16 + to,
            Event::Took { from, total } => 32 + from * 4 + total,
        }
    }

    fn decode(code: u8) -> Event {
        match code {
            1 => Event::Sold,
            2 => Event::Waived,
            3 => Event::Minted,
            5 => Event::Returned,
            6 => Event::Opened,
            8 | 9 => Event::Picked(code - 8),
            10 | 11 => Event::Counted(code - 10),
            12 | 13 => Event::Learned(code - 12),
            16..=19 => Event::Passed(code - 16),
            32.. => Event::Took {
                from: (code - 32) / 4,
                total: code % 4,
            },
            other => panic!("{other} is no event"),
        }
    }

    /// What it moves on the shelf.
    pub fn delta(self) -> i8 {
        match self {
            Event::Sold | Event::Waived | Event::Picked(_) => -1,
            Event::Minted => 1,
            Event::Returned
            | Event::Counted(_)
            | Event::Learned(_)
            | Event::Passed(_)
            | Event::Took { .. }
            | Event::Opened => 0,
        }
    }
}

/// What one stream wrote, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Journal {
    /// How many events.
    pub len: u8,
    codes: [u8; EVENTS],
    // By the till's own clock the event lies after the count; only a fold that trusts clocks asks.
    clock_after: u8,
}

impl Journal {
    /// Appends an event.
    pub fn push(&mut self, event: Event, clock_after: bool) {
        self.codes[usize::from(self.len)] = event.code();
        self.clock_after |= u8::from(clock_after) << self.len;
        self.len += 1;
    }

    /// The event at a place.
    pub fn at(&self, place: u8) -> Event {
        Event::decode(self.codes[usize::from(place)])
    }

    /// Whether the event at a place was written, by the till's clock, after the count.
    pub fn clock_after(&self, place: u8) -> bool {
        self.clock_after >> place & 1 == 1
    }

    /// Where an event stands.
    pub fn place_of(&self, event: Event) -> Option<u8> {
        let code = event.code();
        (0..self.len).find(|place| self.codes[usize::from(*place)] == code)
    }

    /// How often an event stands in the first `len` places.
    pub fn times(&self, event: Event, len: u8) -> u8 {
        let code = event.code();
        let codes = &self.codes[..usize::from(len)];
        codes.iter().map(|other| u8::from(*other == code)).sum()
    }

    /// Sorts the events between two places.
    pub fn sort(&mut self, from: u8, to: u8) {
        self.codes[usize::from(from)..usize::from(to)].sort_unstable();
    }

    /// Forgets what lies beyond `len`: what restoring a copy of the file under the same stream does.
    pub fn cut(&mut self, len: u8) {
        for place in len..self.len {
            self.codes[usize::from(place)] = 0;
            self.clock_after &= !(1 << place);
        }
        self.len = len;
    }
}

/// A till: what its database holds beside the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Till {
    /// The stream that it writes.
    pub stream: u8,
    /// Highest epoch of the server that it heard of.
    pub epoch: u8,
    /// Total that the hub moved here, as far as it heard.
    pub granted: u8,
    /// End of its own lease; 0 before the first contact of the stream.
    pub lease: u8,
    /// Totals that other streams moved here.
    pub taken: [u8; STREAMS],
    /// Earliest end of a lease on the path of what was taken from other tills; [`NO_LEASE`] while it holds none.
    pub taken_lease: u8,
}

/// How far a web customer got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Promise {
    /// Not yet asked.
    #[default]
    None,
    /// In a cart, until its time is over.
    Held,
    /// Ordered: nobody takes it back without the goods.
    Ordered,
    /// The time of the cart was over.
    Expired,
    /// Handed over.
    Picked,
}

impl Promise {
    /// Whether somebody counts on a unit.
    pub fn is_open(self) -> bool {
        matches!(self, Promise::Held | Promise::Ordered)
    }

    fn decode(code: u8) -> Promise {
        [
            Promise::None,
            Promise::Held,
            Promise::Ordered,
            Promise::Expired,
            Promise::Picked,
        ][usize::from(code)]
    }
}

/// The hub's database, which a backup takes back as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hub {
    /// Events folded of each stream.
    pub folded: [u8; STREAMS],
    /// Totals granted.
    pub granted: [u8; STREAMS],
    /// Latest end of a lease that was given.
    pub lease: [u8; STREAMS],
    /// 0, or 1 + the epoch in which the stream was sealed: a seal made again is another event.
    pub sealed: [u8; STREAMS],
    /// Web promises as the database has them; those that were picked close when the event is folded.
    pub promises: [Promise; PROMISES],
    /// Streams that it knows to exist, one bit each.
    pub known: u8,
    /// What arrived in messages ahead of events; only wrong rules listen to it.
    pub heard: [u8; STREAMS],
}

/// A physical count: an event of its author, with what the author knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Whether it was made.
    pub made: bool,
    /// Units found.
    pub found: u8,
    /// Stream of the author.
    pub author: u8,
    /// Events of each stream that the author had folded.
    pub cut: [u8; STREAMS],
    /// Seals that the author had folded.
    pub seals: [u8; STREAMS],
}

/// What a till said when it first heard of the restored server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Whether it was sent.
    pub sent: bool,
    /// Total granted that it has seen.
    pub granted: u8,
    /// Head of its journal.
    pub head: u8,
}

/// A copy of a till's file; only a restore under the same stream uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Whether one was made.
    pub made: bool,
    /// Length of the journal then.
    pub len: u8,
    /// The rest of the database.
    pub till: Till,
}

/// The whole world at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Units on the shelf; below zero when more were handed out or ticketed than there were.
    pub shelf: i8,
    /// Sales that a manager let pass offline: so many promises may be broken.
    pub excused: u8,
    /// Server time.
    pub now: u8,
    /// Rare steps taken.
    pub rare: u8,
    /// What web customers were told.
    pub customers: [Promise; PROMISES],
    /// Journals, one per stream.
    pub journals: [Journal; STREAMS],
    /// Tills.
    pub tills: [Till; TILLS],
    /// Streams that exist.
    pub streams: u8,
    /// Grants that were sent to each stream, see [`grant_bit`]. Any may arrive at any time, any number of times.
    pub grants: [u32; STREAMS],
    /// Moves that each stream sent to others, see [`pass_bit`].
    pub passes: [u32; STREAMS],
    /// Reports to the restored server.
    pub reports: [Report; STREAMS],
    /// Counts.
    pub counts: [Count; COUNTS],
    /// The hub's database.
    pub hub: Hub,
    /// Its backup.
    pub backup: Option<Hub>,
    /// The server's epoch: 1 once it was restored.
    pub epoch: u8,
    /// When it was restored.
    pub restored_at: u8,
    /// Streams that reported since, one bit each.
    pub reported: u8,
    /// The shop has confirmed its promises since.
    pub reconfirmed: bool,
    /// A copy of the first till's file.
    pub copied: Copied,
}

/// The bit of a grant: epoch 0-1, total 0-3, lease end 0-3.
pub fn grant_bit(epoch: u8, total: u8, lease: u8) -> u32 {
    u32::from(epoch * 16 + total * 4 + lease)
}

/// The epoch, total and lease end of a bit.
pub fn grant_of(bit: u32) -> (u8, u8, u8) {
    let bit = u8::try_from(bit).expect("one of 32");
    (bit / 16, bit / 4 % 4, bit % 4)
}

/// The bit of a move: stream 0-3, total 1-2, lease end 0-3.
pub fn pass_bit(to: u8, total: u8, lease: u8) -> u32 {
    u32::from(to * 8 + (total - 1) * 4 + lease)
}

/// The stream, total and lease end of a bit.
pub fn pass_of(bit: u32) -> (u8, u8, u8) {
    let bit = u8::try_from(bit).expect("one of 32");
    (bit / 8, bit / 4 % 2 + 1, bit % 4)
}

/// The bits that are set.
pub fn bits(set: u32) -> impl Iterator<Item = u32> {
    (0..u32::BITS).filter(move |bit| set >> bit & 1 == 1)
}

impl State {
    /// The world's first state: everything on the shelf and in the books, nobody holds a right.
    pub fn first(world: &World) -> State {
        let empty = |stream: usize| Till {
            stream: u8::try_from(stream).expect("few"),
            epoch: 0,
            granted: 0,
            lease: 0,
            taken: [0; STREAMS],
            taken_lease: NO_LEASE,
        };
        let mut tills: [Till; TILLS] = std::array::from_fn(empty);
        let enrolled = world.tills - usize::from(world.late_till);
        let mut hub = Hub {
            known: (1 << enrolled) - 1,
            ..Hub::default()
        };
        for (till, lease) in tills.iter_mut().zip(&mut hub.lease).take(enrolled) {
            till.lease = 1;
            *lease = 1;
        }
        State {
            shelf: world.units + world.found,
            excused: u8::try_from(-world.found).unwrap_or(0),
            now: 0,
            rare: 0,
            customers: [Promise::None; PROMISES],
            journals: [Journal::default(); STREAMS],
            tills,
            streams: u8::try_from(world.tills).expect("few"),
            grants: [0; STREAMS],
            passes: [0; STREAMS],
            reports: [Report::default(); STREAMS],
            counts: [Count::default(); COUNTS],
            hub,
            backup: None,
            epoch: 0,
            restored_at: 0,
            reported: 0,
            reconfirmed: true,
            copied: Copied {
                made: false,
                len: 0,
                till: empty(0),
            },
        }
    }

    /// Web customers who count on a unit.
    pub fn open_customers(&self) -> i8 {
        let open = self.customers.iter().filter(|promise| promise.is_open());
        i8::try_from(open.count()).expect("few")
    }

    /// How often an event stands in all journals.
    pub fn times(&self, event: Event) -> u8 {
        let journals = self.journals.iter();
        journals
            .map(|journal| journal.times(event, journal.len))
            .sum()
    }

    /// Makes states equal that nobody can ever tell apart: messages that would change nothing are dropped, a lease that
    /// has ended is as good as none, and folded events between two places that a rule asks for are sorted.
    pub fn settle(&mut self, tills: usize) {
        let now = self.now;
        let end = |lease: &mut u8| {
            if *lease <= now {
                *lease = 0;
            }
        };
        let mut writers = [None; STREAMS];
        for till in &mut self.tills[..tills] {
            end(&mut till.lease);
            end(&mut till.taken_lease);
            writers[usize::from(till.stream)] = Some(*till);
        }
        self.hub.lease.iter_mut().for_each(end);
        if let Some(backup) = &mut self.backup {
            backup.lease.iter_mut().for_each(end);
        }
        if now > self.restored_at {
            self.restored_at = 0;
        }
        for stream in 0..usize::from(self.streams) {
            let (mut grants, mut passes) = (0, 0);
            for bit in bits(self.grants[stream]) {
                let (epoch, total, mut lease) = grant_of(bit);
                end(&mut lease);
                let is_new = writers[stream].is_some_and(|till| {
                    let more = total > till.granted || lease > till.lease;
                    epoch > till.epoch || epoch == till.epoch && more
                });
                grants |= u32::from(is_new) << grant_bit(epoch, total, lease);
            }
            for bit in bits(self.passes[stream]) {
                let (to, total, mut lease) = pass_of(bit);
                end(&mut lease);
                let till = writers[usize::from(to)];
                let is_new = till.is_some_and(|till| total > till.taken[stream]);
                passes |= u32::from(is_new) << pass_bit(to, total, lease);
            }
            self.grants[stream] = grants;
            self.passes[stream] = passes;
            if self.reported >> stream & 1 == 1 {
                self.reports[stream] = Report::default();
            }
            self.sort_folded(stream);
        }
    }

    fn sort_folded(&mut self, stream: usize) {
        let folded = self.hub.folded[stream];
        // A restored hub folds again from its backup on, one by one.
        let end = self
            .backup
            .map_or(folded, |backup| backup.folded[stream].min(folded));
        let mut from = 0;
        for place in 0..end {
            let event = self.journals[stream].at(place);
            let marks = matches!(event, Event::Counted(_) | Event::Learned(_));
            let cut = self
                .counts
                .iter()
                .any(|count| count.made && count.cut[stream] == place);
            if marks || cut {
                self.journals[stream].sort(from, place);
                from = place + u8::from(marks);
            }
        }
        self.journals[stream].sort(from, end.max(from));
    }

    /// The state in as few bits as it takes.
    pub fn pack(&self) -> Packed {
        let mut writer = Writer {
            words: [0; WORDS],
            at: 0,
        };
        let mut copy = *self;
        copy.fields(&mut writer);
        Packed(writer.words)
    }

    fn fields(&mut self, bits: &mut impl Bits) {
        let mut shelf = u8::try_from(self.shelf + 4).expect("few");
        bits.field(&mut shelf, 4);
        self.shelf = i8::try_from(shelf).expect("few") - 4;
        bits.field(&mut self.excused, 2);
        bits.field(&mut self.now, 2);
        bits.field(&mut self.rare, 4);
        bits.promises(&mut self.customers);
        for journal in &mut self.journals {
            bits.field(&mut journal.len, 3);
            bits.field(&mut journal.clock_after, 6);
            for code in &mut journal.codes {
                bits.field(code, 6);
            }
        }
        for till in &mut self.tills {
            bits.till(till);
        }
        bits.field(&mut self.streams, 3);
        for set in self.grants.iter_mut().chain(&mut self.passes) {
            bits.wide(set);
        }
        for report in &mut self.reports {
            bits.flag(&mut report.sent);
            bits.field(&mut report.granted, 2);
            bits.field(&mut report.head, 3);
        }
        for count in &mut self.counts {
            bits.flag(&mut count.made);
            bits.field(&mut count.found, 3);
            bits.field(&mut count.author, 2);
            bits.all(&mut count.cut, 3);
            bits.all(&mut count.seals, 2);
        }
        bits.hub(&mut self.hub);
        let mut has_backup = self.backup.is_some();
        bits.flag(&mut has_backup);
        let mut backup = self.backup.unwrap_or_default();
        bits.hub(&mut backup);
        self.backup = has_backup.then_some(backup);
        bits.field(&mut self.epoch, 1);
        bits.field(&mut self.restored_at, 2);
        bits.field(&mut self.reported, 4);
        bits.flag(&mut self.reconfirmed);
        bits.flag(&mut self.copied.made);
        bits.field(&mut self.copied.len, 3);
        bits.till(&mut self.copied.till);
    }
}

const WORDS: usize = 12;

/// A state in few bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed([u64; WORDS]);

impl Packed {
    /// The state.
    pub fn unpack(&self, world: &World) -> State {
        let mut reader = Reader {
            words: &self.0,
            at: 0,
        };
        let mut state = State::first(world);
        state.fields(&mut reader);
        state
    }

    /// A number that spreads states evenly.
    pub fn hash(&self) -> u64 {
        // Multiply and rotate, as in the compiler's own tables; the last step brings high bits down.
        let mix = |hash: u64, word: &u64| {
            (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
        };
        let hash = self.0.iter().fold(0, mix);
        hash ^ (hash >> 32)
    }
}

/// Goes over all fields in one order, to write them or to read them.
trait Bits {
    fn field(&mut self, value: &mut u8, width: usize);

    fn flag(&mut self, value: &mut bool) {
        let mut bit = u8::from(*value);
        self.field(&mut bit, 1);
        *value = bit == 1;
    }

    fn all(&mut self, values: &mut [u8], width: usize) {
        for value in values {
            self.field(value, width);
        }
    }

    fn wide(&mut self, value: &mut u32) {
        let mut bytes = value.to_le_bytes();
        self.all(&mut bytes, 8);
        *value = u32::from_le_bytes(bytes);
    }

    fn promises(&mut self, promises: &mut [Promise]) {
        for promise in promises {
            let mut code = *promise as u8;
            self.field(&mut code, 3);
            *promise = Promise::decode(code);
        }
    }

    fn till(&mut self, till: &mut Till) {
        self.field(&mut till.stream, 2);
        self.field(&mut till.epoch, 1);
        self.field(&mut till.granted, 2);
        self.field(&mut till.lease, 2);
        self.all(&mut till.taken, 2);
        self.field(&mut till.taken_lease, 3);
    }

    fn hub(&mut self, hub: &mut Hub) {
        self.all(&mut hub.folded, 3);
        self.all(&mut hub.granted, 2);
        self.all(&mut hub.lease, 2);
        self.all(&mut hub.sealed, 2);
        self.promises(&mut hub.promises);
        self.all(&mut hub.heard, 2);
        self.field(&mut hub.known, 4);
    }
}

struct Writer {
    words: [u64; WORDS],
    at: usize,
}

impl Bits for Writer {
    fn field(&mut self, value: &mut u8, width: usize) {
        assert!(u32::from(*value) >> width == 0, "{value} in {width} bits");
        let (word, shift) = (self.at / 64, self.at % 64);
        self.words[word] |= u64::from(*value) << shift;
        if shift + width > 64 {
            self.words[word + 1] |= u64::from(*value) >> (64 - shift);
        }
        self.at += width;
    }
}

struct Reader<'a> {
    words: &'a [u64; WORDS],
    at: usize,
}

impl Bits for Reader<'_> {
    fn field(&mut self, value: &mut u8, width: usize) {
        let (word, shift) = (self.at / 64, self.at % 64);
        let mut bits = self.words[word] >> shift;
        if shift + width > 64 {
            bits |= self.words[word + 1] << (64 - shift);
        }
        *value = u8::try_from(bits & ((1 << width) - 1)).expect("at most eight bits");
        self.at += width;
    }
}
