//! What a till may do and what the hub may do: the rules that keep every promise, and each way to get one wrong.

use domain::escrow::{self, Tally};
use domain::event::StreamPos;
use domain::ids::StreamId;
use domain::quantity::Quantity;
use domain::stock::{self, Anchor, EventRef, Moved};
use domain::time::Hlc;

use super::state::{Count, Event, Journal, NO_LEASE, PROMISES, STREAMS, State, Till};
use super::worlds::World;

macro_rules! wrong {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One rule left out or turned round. The search must find the promise that it breaks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Wrong {
            $($(#[$doc])* $name,)*
        }

        impl Wrong {
            /// All of them.
            pub const ALL: &[Wrong] = &[$(Wrong::$name),*];
        }
    };
}

wrong! {
    /// A till sells while its own copy of the stock is above zero.
    NoEscrow,
    /// Consumption travels in messages of its own, ahead of the events.
    ConsumptionAhead,
    /// A till sends back a right before it has written that down, and its power fails.
    ReturnUnwritten,
    /// The office closes a web order before the goods' event has arrived.
    CloseAhead,
    /// Grants are sent as differences.
    GrantsAsDifferences,
    /// A till acting as hub of its shop gives out what another returned, and the server does, too.
    ReturnReadTwice,
    /// What another till moved here is known to the receiver's database, and not to its journal.
    TakenUnwritten,
    /// A moved right forgets the lease of its giver.
    MovedLeaseForgotten,
    /// A moved right outlives the lease of its holder.
    OwnLeaseForgotten,
    /// Outstanding rights may count below zero.
    NoClamp,
    /// A manager's override is booked as consumption of the till's rights.
    OverrideConsumes,
    /// The fold believes clocks; they are right.
    ClocksDecide,
    /// The fold believes clocks; one may be behind.
    ClocksBehind,
    /// A count counts at once, without waiting for anybody.
    NoWait,
    /// A count waits for streams that were open, and not for those that were sealed after it was made.
    LateSealForgiven,
    /// What arrives after a count was made after it.
    ArrivalDecides,
    /// In doubt goods came after the count.
    DoubtAddsReceipts,
    /// In doubt goods were sold before the count.
    DoubtForgivesSales,
    /// A restored till goes on under its stream.
    SameStream,
    /// A restored till takes its rights into the new stream.
    RightsCarriedOver,
    /// A till's rights do not end with its lease.
    LeaseIgnored,
    /// A till's clock was set back by a tick, and it believes it.
    ClockSetBack,
    /// Rights come back when their lease has ended.
    ReclaimByTime,
    /// Rights come back by a count, whatever their lease.
    ReclaimByCountAlone,
    /// Rights of a stream that its own device has replaced come back by a count, whatever their lease.
    ReplacedStreamReclaimed,
    /// Any count gives rights back, even one made before the seal.
    AnyCountReclaims,
    /// A count that knew of the seal gives rights back, even where another count decides what is on hand.
    ReclaimFromBeatenCount,
    /// Minted rights need no lease.
    MintedOutlivesLease,
    /// Web carts may be handed over, and their time runs on.
    CartsPicked,
    /// A restored server goes on at once.
    NoFreeze,
    /// Reports to a restored server do not say what was granted.
    ReportWithoutTotals,
    /// Grants from before the restore are accepted after contact.
    OldGrantsAccepted,
    /// A restored server does not ask the shop for its promises.
    PromisesForgotten,
    /// A seal is as good as a report to a restored server.
    SealThaws,
    /// A restored server believes the leases of its backup.
    LeasesForgotten,
    /// A lease is renewed though more was given away than the books hold.
    LeaseDespiteDeficit,
    /// A restored server knows the devices of its backup alone.
    DevicesForgotten,
}

/// The rules in force: the right ones but for those that are wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules(u64);

impl Rules {
    /// The rules with some of them wrong.
    pub fn but(wrong: &[Wrong]) -> Rules {
        Rules(wrong.iter().fold(0, |set, wrong| set | 1 << *wrong as u8))
    }

    /// Whether a rule is wrong.
    pub fn is(self, wrong: Wrong) -> bool {
        self.0 >> wrong as u8 & 1 == 1
    }

    /// Whether states may be settled: under these rules what is dropped or sorted is never asked for again.
    pub fn allow_settling(self) -> bool {
        let asks = [
            Wrong::GrantsAsDifferences,
            Wrong::OldGrantsAccepted,
            Wrong::ClocksDecide,
            Wrong::ClocksBehind,
            Wrong::ArrivalDecides,
            Wrong::SameStream,
            Wrong::RightsCarriedOver,
            Wrong::LeaseIgnored,
            Wrong::ClockSetBack,
        ];
        !asks.into_iter().any(|wrong| self.is(wrong))
    }

    // ---- the till ----

    /// Rights that a till has left: what was granted, moved here and minted, less what it spent, moved on and gave
    /// back.
    pub fn right(self, state: &State, till: &Till) -> i8 {
        let journal = &state.journals[usize::from(till.stream)];
        let used = self.used(journal, journal.len);
        let taken: u8 = till.taken.iter().sum();
        whole(
            used.tally(till.granted + taken, used.passed.iter().sum())
                .right(),
        )
    }

    /// Whether a till's rights may be spent or moved now: its own lease runs, and those on the path of whatever other
    /// tills moved to it.
    pub fn lease_runs(self, state: &State, till: &Till) -> bool {
        state.now < self.lease_end(state, till)
    }

    /// The earliest end of a lease on the path of a till's rights.
    pub fn lease_end(self, state: &State, till: &Till) -> u8 {
        let journal = &state.journals[usize::from(till.stream)];
        let holds_taken = till.taken.iter().any(|total| *total > 0);
        if self.is(Wrong::LeaseIgnored) && till.lease > 0
            || self.is(Wrong::MintedOutlivesLease) && journal.times(Event::Minted, journal.len) > 0
        {
            return NO_LEASE;
        }
        if self.is(Wrong::MovedLeaseForgotten) {
            return till.lease;
        }
        if self.is(Wrong::OwnLeaseForgotten) && holds_taken {
            return till.taken_lease;
        }
        let end = till.lease.min(till.taken_lease);
        if self.is(Wrong::ClockSetBack) && end > 0 {
            return end.saturating_add(1);
        }
        end
    }

    /// Whether a till may sell one unit without asking anybody.
    pub fn may_sell(self, state: &State, till: &Till, world: &World) -> bool {
        if self.is(Wrong::NoEscrow) {
            let journal = &state.journals[usize::from(till.stream)];
            let own: i8 = (0..journal.len)
                .map(|place| journal.at(place).delta())
                .sum();
            return world.units + own > 0;
        }
        self.right(state, till) > 0 && self.lease_runs(state, till)
    }

    // ---- the hub ----

    /// What may be granted or promised, as the hub sees it: the least that any reading of the counts leaves, where a
    /// reading is one count and the rights that it gives back. Until everybody has reported up to where they learned
    /// of a count, it may only take away.
    pub fn free(self, state: &State, world: &World) -> i8 {
        let facts = Facts::of(self, state);
        let promised = units(facts.promised);
        let read = |number: Option<u8>, anchor: Option<&Anchor>| {
            let count = number.map(|number| &state.counts[usize::from(number)]);
            let opening = if anchor.is_none() {
                units(world.units)
            } else {
                Quantity::ZERO
            };
            let on_hand = stock::on_top_of(anchor, self.movements(state, number));
            let on_hand = Quantity(on_hand.0 + opening.0);
            escrow::free(on_hand, self.outstanding(&facts, state, count), promised)
        };
        let folded: Vec<(u8, Anchor)> = (0u8..)
            .zip(&state.counts)
            .filter(|(number, count)| {
                count.made && is_folded(state, count.author, Event::Counted(*number))
            })
            .map(|(number, count)| (number, anchor(self, state, number, count)))
            .collect();
        let pending = |number: u8| !self.is(Wrong::NoWait) && !self.has_settled(state, number);
        let settled = folded.iter().filter(|(number, _)| !pending(*number));
        let winner = stock::winner(settled.map(|(_, anchor)| anchor));
        let number = |anchor: &Anchor| folded.iter().find(|(_, other)| other.at == anchor.at);
        let best = read(winner.and_then(number).map(|(number, _)| *number), winner);
        let doubtful = folded.iter().filter(|(number, _)| pending(*number));
        let readings = doubtful.map(|(number, anchor)| read(Some(*number), Some(anchor)));
        whole(readings.fold(best, Quantity::min))
    }

    /// What the hub has folded that moved goods, as it stands to a count.
    fn movements(self, state: &State, number: Option<u8>) -> Vec<(EventRef, Moved)> {
        let mut movements = Vec::new();
        for stream in 0..STREAMS {
            let journal = &state.journals[stream];
            for place in 0..state.hub.folded[stream] {
                let delta = journal.at(place).delta();
                if delta != 0 {
                    let mut moved = Moved {
                        delta: units(delta),
                        strict: true,
                        included_in: None,
                    };
                    let mut at = event_ref(stream, place);
                    if let Some(number) = number {
                        self.misread(journal, number, state, &mut at, &mut moved);
                    }
                    movements.push((at, moved));
                }
            }
        }
        movements
    }

    /// What wrong rules make of an event near a count.
    fn misread(
        self,
        journal: &Journal,
        number: u8,
        state: &State,
        at: &mut EventRef,
        moved: &mut Moved,
    ) {
        let place = u8::try_from(at.seq - 1).expect("few");
        let knew = learned_at(journal, number).is_some_and(|learned| learned < place);
        let author = state.counts[usize::from(number)].author;
        let counted = event_ref_of(state, author, Event::Counted(number));
        let by_clock = self.is(Wrong::ClocksDecide) || self.is(Wrong::ClocksBehind);
        if by_clock && !journal.clock_after(place)
            || self.is(Wrong::DoubtForgivesSales) && moved.delta.0 < 0 && !knew
        {
            moved.included_in = Some(StreamPos {
                stream: counted.stream,
                seq: counted.seq,
            });
        } else if by_clock || self.is(Wrong::DoubtAddsReceipts) {
            moved.strict = false;
            at.hlc = Hlc(u64::MAX);
        }
    }

    /// Whether every stream has reported up to where it learned of a count, but for those that the count's author knew
    /// to be sealed.
    fn has_settled(self, state: &State, number: u8) -> bool {
        let count = &state.counts[usize::from(number)];
        let mut streams = (0..STREAMS).filter(|stream| state.hub.known >> stream & 1 == 1);
        streams.all(|stream| {
            let reported = learned_at(&state.journals[stream], number)
                .is_some_and(|place| place < state.hub.folded[stream]);
            let forgiven = self.is(Wrong::LateSealForgiven) && state.hub.sealed[stream] > 0;
            reported || forgiven || knew_seal(state, count, stream)
        })
    }

    /// Rights that streams may still spend, in a reading of the counts. Nothing is left of a stream whose lease had
    /// ended and which was sealed before the count was made.
    fn outstanding(self, facts: &Facts, state: &State, count: Option<&Count>) -> Quantity {
        let of = |stream: usize| {
            if self.is_reclaimed(state, stream, count) {
                return 0;
            }
            let tally = facts.tally(state, stream);
            let unclamped = self.is(Wrong::NoClamp);
            if unclamped {
                tally.right().0
            } else {
                tally.outstanding().0
            }
        };
        Quantity((0..STREAMS).map(of).sum())
    }

    fn is_reclaimed(self, state: &State, stream: usize, anchor: Option<&Count>) -> bool {
        if state.hub.sealed[stream] == 0 {
            return false;
        }
        if self.is(Wrong::ReclaimByTime) {
            return true;
        }
        if self.is(Wrong::AnyCountReclaims) && anchor.is_some() {
            return true;
        }
        if self.is(Wrong::ReclaimFromBeatenCount) {
            return self.was_counted_after_seal(state, stream);
        }
        anchor.is_some_and(|count| knew_seal(state, count, stream))
    }

    fn was_counted_after_seal(self, state: &State, stream: usize) -> bool {
        (0u8..).zip(&state.counts).any(|(number, count)| {
            count.made
                && is_folded(state, count.author, Event::Counted(number))
                && knew_seal(state, count, stream)
        })
    }

    /// Whether the hub may seal a stream whose device is silent: every lease that it was ever given has ended, those
    /// too of which a restored server knows nothing.
    pub fn may_seal(self, state: &State, stream: usize) -> bool {
        let replaced = state
            .tills
            .iter()
            .all(|till| usize::from(till.stream) != stream);
        if self.is(Wrong::ReclaimByCountAlone)
            || self.is(Wrong::ReplacedStreamReclaimed) && replaced
        {
            return true;
        }
        let longest = state.restored_at + 1;
        let forgotten_ended =
            state.epoch == 0 || self.is(Wrong::LeasesForgotten) || state.now >= longest;
        state.now >= state.hub.lease[stream] && forgotten_ended
    }

    /// Whether grants and promises stand still: the server was restored, and a stream has neither reported to it nor
    /// been sealed and counted, or the shop has not said which promises it made.
    pub fn is_frozen(self, state: &State) -> bool {
        if state.epoch == 0 || self.is(Wrong::NoFreeze) {
            return false;
        }
        let mut streams = (0..STREAMS).filter(|stream| state.hub.known >> stream & 1 == 1);
        let heard = streams.all(|stream| {
            let sealed = self.is(Wrong::SealThaws) && state.hub.sealed[stream] > 0;
            state.reported >> stream & 1 == 1
                || sealed
                || self.was_counted_after_seal(state, stream)
        });
        !heard || !state.reconfirmed && !self.is(Wrong::PromisesForgotten)
    }

    /// What a journal's first `len` events say about its stream's rights.
    fn used(self, journal: &Journal, len: u8) -> Used {
        let mut used = Used::default();
        for place in 0..len {
            match journal.at(place) {
                Event::Sold => used.consumed += 1,
                Event::Waived => used.consumed += u8::from(self.is(Wrong::OverrideConsumes)),
                Event::Minted => used.minted += 1,
                Event::Returned => used.returned += 1,
                Event::Passed(to) => used.passed[usize::from(to)] += 1,
                Event::Picked(_)
                | Event::Counted(_)
                | Event::Learned(_)
                | Event::Took { .. }
                | Event::Opened => {}
            }
        }
        used
    }
}

/// What a stream did with its rights.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    minted: u8,
    consumed: u8,
    returned: u8,
    passed: [u8; STREAMS],
}

impl Used {
    /// The product's own sums.
    fn tally(&self, received: u8, passed: u8) -> Tally {
        let units = |count: u8| units(signed(count));
        Tally {
            minted: units(self.minted),
            consumed: units(self.consumed),
            received: units(received),
            given: units(self.returned + passed),
        }
    }
}

/// What the hub has folded about rights and promises.
struct Facts {
    used: [Used; STREAMS],
    // Largest total known of each edge, by either end's journal.
    edges: [[u8; STREAMS]; STREAMS],
    promised: i8,
}

impl Facts {
    fn of(rules: Rules, state: &State) -> Facts {
        let mut facts = Facts {
            used: [Used::default(); STREAMS],
            edges: [[0; STREAMS]; STREAMS],
            promised: 0,
        };
        let mut picked = [false; PROMISES];
        for stream in 0..STREAMS {
            let journal = &state.journals[stream];
            let used = rules.used(journal, state.hub.folded[stream]);
            for (edge, total) in facts.edges[stream].iter_mut().zip(used.passed) {
                *edge = total.max(*edge);
            }
            facts.used[stream] = used;
            for place in 0..state.hub.folded[stream] {
                match journal.at(place) {
                    Event::Picked(promise) => picked[usize::from(promise)] = true,
                    Event::Took { from, total } if !rules.is(Wrong::TakenUnwritten) => {
                        let edge = &mut facts.edges[usize::from(from)][stream];
                        *edge = total.max(*edge);
                    }
                    _ => {}
                }
            }
            let heard = state.hub.heard[stream];
            if rules.is(Wrong::ReturnUnwritten) {
                facts.used[stream].returned += heard;
            } else {
                facts.used[stream].consumed = heard.max(used.consumed);
            }
        }
        let promises = state.hub.promises.iter().zip(picked);
        let open = promises.filter(|(promise, picked)| promise.is_open() && !picked);
        facts.promised = i8::try_from(open.count()).expect("few");
        facts
    }

    fn tally(&self, state: &State, stream: usize) -> Tally {
        let taken: u8 = self.edges.iter().map(|edges| edges[stream]).sum();
        let passed = self.edges[stream].iter().sum();
        self.used[stream].tally(state.hub.granted[stream] + taken, passed)
    }
}

/// A count as the fold takes it. Of two whose authors did not know each other the earlier one wins, as if the clocks
/// were wrong.
fn anchor(rules: Rules, state: &State, number: u8, count: &Count) -> Anchor {
    let mut at = event_ref_of(state, count.author, Event::Counted(number));
    at.hlc = Hlc(u64::from(COUNTED - number));
    let streams = || (0..STREAMS).filter(|stream| *stream != usize::from(count.author));
    let arrived = rules.is(Wrong::ArrivalDecides);
    let learned = streams().filter_map(|stream| {
        let place = learned_at(&state.journals[stream], number).map(|place| u64::from(place) + 1);
        Some((stream_id(stream), if arrived { 0 } else { place? }))
    });
    Anchor {
        at,
        cut: streams()
            .map(|stream| (stream_id(stream), u64::from(count.cut[stream])))
            .collect(),
        looked_ms: at.hlc.ms(),
        seen_ms: at.hlc.ms(),
        learned: learned.collect(),
        quantity: units(signed(count.found)),
    }
}

/// A clock reading after everything else.
const COUNTED: u8 = 100;

fn stream_id(stream: usize) -> StreamId {
    StreamId([u8::try_from(stream).expect("few"); 16])
}

fn event_ref(stream: usize, place: u8) -> EventRef {
    EventRef {
        stream: stream_id(stream),
        seq: u64::from(place) + 1,
        hlc: Hlc(1),
    }
}

fn event_ref_of(state: &State, stream: u8, event: Event) -> EventRef {
    let stream = usize::from(stream);
    let place = state.journals[stream].place_of(event);
    event_ref(stream, place.expect("the event is in its author's journal"))
}

/// Whole units as a quantity.
fn units(count: i8) -> Quantity {
    Quantity(i64::from(count) * 1_000)
}

/// A quantity as whole units.
fn whole(quantity: Quantity) -> i8 {
    i8::try_from(quantity.0 / 1_000).expect("few units")
}

/// Whether the hub has folded an event of a stream.
fn is_folded(state: &State, stream: u8, event: Event) -> bool {
    let stream = usize::from(stream);
    let place = state.journals[stream].place_of(event);
    place.is_some_and(|place| place < state.hub.folded[stream])
}

/// Where a stream learned of a count; its author did by counting.
fn learned_at(journal: &Journal, count: u8) -> Option<u8> {
    journal
        .place_of(Event::Counted(count))
        .or_else(|| journal.place_of(Event::Learned(count)))
}

/// Whether a count's author knew that a stream was sealed; a seal that a restore lost and somebody made again is
/// another one.
fn knew_seal(state: &State, count: &Count, stream: usize) -> bool {
    let seal = state.hub.sealed[stream];
    seal > 0 && count.seals[stream] == seal
}

/// A number of units that may be subtracted from.
pub fn signed(units: u8) -> i8 {
    i8::try_from(units).expect("few units")
}
