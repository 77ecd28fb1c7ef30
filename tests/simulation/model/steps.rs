//! What may happen next in a state of the world.

use std::fmt;

use super::rules::{Rules, Wrong};
use super::state::{
    Copied, Count, Event, NO_LEASE, Promise, Report, STREAMS, State, bits, grant_bit, grant_of,
    pass_bit, pass_of,
};
use super::worlds::World;

/// One thing that happens; everything in it is one transaction of one device, or one person's deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Grant {
        stream: u8,
        total: u8,
        lease: u8,
    },
    Promise(u8),
    Order(u8),
    Expire(u8),
    Fold {
        stream: u8,
        event: Event,
    },
    Seal(u8),
    Enrol(u8),
    BackUp,
    RestoreServer,
    HearReport(u8),
    Reconfirm,
    HearConsumed {
        stream: u8,
        total: u8,
    },
    HearClosed(u8),
    TakeGrant {
        till: u8,
        epoch: u8,
        total: u8,
        lease: u8,
    },
    Sell {
        till: u8,
        behind: bool,
    },
    Receive {
        till: u8,
        behind: bool,
    },
    OverrideOffline(u8),
    OverrideOnline(u8),
    Return(u8),
    ReturnUnwritten(u8),
    Pass {
        till: u8,
        to: u8,
    },
    Take {
        till: u8,
        from: u8,
        total: u8,
    },
    Count {
        till: u8,
        found: u8,
        stale: bool,
    },
    Learn {
        till: u8,
        count: u8,
    },
    Pick {
        till: u8,
        promise: u8,
    },
    CopyFile,
    Restore {
        till: u8,
        stream: u8,
    },
    HearEpoch(u8),
    Tick,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |stream: &u8| char::from(b'A' + stream);
        match self {
            Step::Grant {
                stream,
                total,
                lease,
            } => {
                write!(
                    f,
                    "hub grants {} total {total}, lease to {lease}",
                    name(stream)
                )
            }
            Step::Promise(p) => write!(f, "hub promises a unit to customer {}", p + 1),
            Step::Order(p) => write!(f, "customer {} orders", p + 1),
            Step::Expire(p) => write!(f, "cart of customer {} expires", p + 1),
            Step::Fold { stream, event } => write!(f, "hub folds {}: {event:?}", name(stream)),
            Step::Seal(stream) => write!(f, "hub seals {}", name(stream)),
            Step::Enrol(stream) => write!(f, "hub enrols {}", name(stream)),
            Step::BackUp => write!(f, "server is backed up"),
            Step::RestoreServer => write!(f, "server is restored"),
            Step::HearReport(stream) => write!(f, "hub hears the report of {}", name(stream)),
            Step::Reconfirm => write!(f, "shop confirms its promises"),
            Step::HearConsumed { stream, total } => {
                write!(f, "hub hears that {} consumed {total}", name(stream))
            }
            Step::HearClosed(p) => write!(f, "hub hears that customer {} has the goods", p + 1),
            Step::TakeGrant {
                till,
                epoch,
                total,
                lease,
            } => write!(
                f,
                "till {} gets the grant of total {total}, lease to {lease}, epoch {epoch}",
                till + 1
            ),
            Step::Sell { till, behind } => {
                write!(f, "till {} sells a unit{}", till + 1, clock(*behind))
            }
            Step::Receive { till, behind } => {
                write!(f, "till {} takes in a unit{}", till + 1, clock(*behind))
            }
            Step::OverrideOffline(till) => {
                write!(f, "manager at till {} overrides, offline", till + 1)
            }
            Step::OverrideOnline(till) => {
                write!(
                    f,
                    "manager at till {} overrides, the hub has a free unit",
                    till + 1
                )
            }
            Step::Return(till) => write!(f, "till {} gives a right back", till + 1),
            Step::ReturnUnwritten(till) => {
                write!(
                    f,
                    "till {} sends a right back, and its power fails before it is written",
                    till + 1
                )
            }
            Step::Pass { till, to } => write!(f, "till {} moves a right to {}", till + 1, name(to)),
            Step::Take { till, from, total } => {
                write!(
                    f,
                    "till {} gets total {total} from {}",
                    till + 1,
                    name(from)
                )
            }
            Step::Count { till, found, stale } => {
                let cut = if *stale {
                    ", knowing its own sales alone"
                } else {
                    ""
                };
                write!(f, "count at till {} finds {found}{cut}", till + 1)
            }
            Step::Learn { till, count } => {
                write!(f, "till {} learns of count {}", till + 1, count + 1)
            }
            Step::Pick { till, promise } => {
                write!(
                    f,
                    "till {} hands a unit to customer {}",
                    till + 1,
                    promise + 1
                )
            }
            Step::CopyFile => write!(f, "file of till 1 is copied"),
            Step::Restore { till, stream } => {
                write!(
                    f,
                    "till {} is restored as stream {}",
                    till + 1,
                    name(stream)
                )
            }
            Step::HearEpoch(till) => write!(f, "till {} hears of the new epoch", till + 1),
            Step::Tick => write!(f, "time passes"),
        }
    }
}

fn clock(behind: bool) -> &'static str {
    if behind { ", its clock behind" } else { "" }
}

/// Appends everything that may happen in `state` to `next`.
pub fn steps(state: &State, world: &World, rules: Rules, next: &mut Vec<(Step, State)>) {
    let mut steps = Steps {
        state,
        world,
        rules,
        next,
    };
    steps.hub();
    for till in 0..world.tills {
        steps.till(till);
    }
    if state.now < world.ticks {
        steps.add(Step::Tick, |next| next.now += 1);
    }
}

struct Steps<'a> {
    state: &'a State,
    world: &'a World,
    rules: Rules,
    next: &'a mut Vec<(Step, State)>,
}

impl Steps<'_> {
    fn add(&mut self, step: Step, change: impl FnOnce(&mut State)) {
        let mut next = *self.state;
        change(&mut next);
        if self.rules.allow_settling() {
            next.settle(self.world.tills);
        }
        self.next.push((step, next));
    }

    /// As [`Steps::add`], within the bound of rare steps.
    fn add_rare(&mut self, step: Step, change: impl FnOnce(&mut State)) {
        if self.state.rare < self.world.rare {
            self.add(step, |next| {
                next.rare += 1;
                change(next);
            });
        }
    }

    fn has_room(&self, stream: usize) -> bool {
        self.state.journals[stream].len < self.world.events
    }

    // ---- the hub ----

    fn hub(&mut self) {
        let (state, world) = (self.state, self.world);
        let free = self.rules.free(state, world);
        let frozen = self.rules.is_frozen(state);
        for promise in 0..usize::from(world.promises) {
            self.promise(promise, free > 0 && !frozen);
        }
        for stream in 0..usize::from(state.streams) {
            self.stream(stream, free, frozen);
        }
        if world.server_restore {
            match state.backup {
                None if state.epoch == 0 => {
                    self.add(Step::BackUp, |next| next.backup = Some(next.hub));
                }
                Some(backup) if state.epoch == 0 => {
                    // Which devices there are is kept apart from the backup, or a person says so.
                    let devices = state.hub.known;
                    let forgets = self.rules.is(Wrong::DevicesForgotten);
                    self.add_rare(Step::RestoreServer, |next| {
                        next.hub = backup;
                        // The copy has done its work: without it fewer states differ.
                        next.backup = None;
                        next.epoch = 1;
                        next.restored_at = next.now;
                        next.reconfirmed = false;
                        if !forgets {
                            next.hub.known |= devices;
                        }
                    });
                }
                _ => {}
            }
            if !state.reconfirmed {
                self.add(Step::Reconfirm, |next| {
                    next.reconfirmed = true;
                    for (known, told) in next.hub.promises.iter_mut().zip(next.customers) {
                        // The event of the handing over closes it, when it arrives.
                        *known = if told == Promise::Picked {
                            Promise::Ordered
                        } else {
                            told
                        };
                    }
                });
            }
        }
    }

    fn promise(&mut self, promise: usize, allowed: bool) {
        let state = self.state;
        let number = u8::try_from(promise).expect("few");
        let first = if self.world.carts {
            Promise::Held
        } else {
            Promise::Ordered
        };
        let mut set = |step, to: Promise| {
            self.add(step, |next| {
                next.customers[promise] = to;
                if next.hub.promises[promise] != Promise::None || to == first {
                    next.hub.promises[promise] = to;
                }
            });
        };
        match state.customers[promise] {
            // Customers are alike: they come in order.
            Promise::None => {
                let comes = promise == 0 || state.customers[promise - 1] != Promise::None;
                if comes && allowed {
                    set(Step::Promise(number), first);
                }
            }
            Promise::Held => {
                // A restored server that does not know the cart takes no order for it.
                if state.hub.promises[promise] == Promise::Held {
                    set(Step::Order(number), Promise::Ordered);
                }
                set(Step::Expire(number), Promise::Expired);
            }
            Promise::Ordered | Promise::Expired => {}
            Promise::Picked => {
                let open = state.hub.promises[promise].is_open();
                if self.rules.is(Wrong::CloseAhead) && open {
                    self.add(Step::HearClosed(number), |next| {
                        next.hub.promises[promise] = Promise::Picked;
                    });
                }
            }
        }
        // What the server takes back by itself, though the customer has ordered since the backup.
        if state.hub.promises[promise] == Promise::Held && state.customers[promise] != Promise::Held
        {
            self.add(Step::Expire(number), |next| {
                next.hub.promises[promise] = Promise::Expired;
            });
        }
    }

    fn stream(&mut self, stream: usize, free: i8, frozen: bool) {
        let (state, world) = (self.state, self.world);
        let number = u8::try_from(stream).expect("few");
        let known = state.hub.known >> stream & 1 == 1;
        let sealed = state.hub.sealed[stream] > 0;
        let folded = state.hub.folded[stream];
        if known && !sealed && !frozen {
            let total = state.hub.granted[stream];
            let lease = state.now + 1;
            if free > 0 && total < world.grants {
                self.grant(stream, total + 1, lease);
            }
            // A lease revives whatever the till still holds: the books must cover that.
            let covered = free >= 0 || self.rules.is(Wrong::LeaseDespiteDeficit);
            if state.hub.lease[stream] < lease && covered {
                self.grant(stream, total, lease);
            }
        }
        if folded < state.journals[stream].len {
            let event = state.journals[stream].at(folded);
            let arrival = self.rules.is(Wrong::ArrivalDecides);
            self.add(
                Step::Fold {
                    stream: number,
                    event,
                },
                |next| {
                    next.hub.folded[stream] += 1;
                    next.hub.known |= u8::from(event == Event::Opened) << stream;
                    if let Event::Counted(count) = event
                        && arrival
                    {
                        next.counts[usize::from(count)].cut = next.hub.folded;
                    }
                },
            );
        }
        if world.seals && known && !sealed && self.rules.may_seal(state, stream) {
            self.add_rare(Step::Seal(number), |next| {
                next.hub.sealed[stream] = 1 + next.epoch;
            });
        }
        let report = state.reports[stream];
        if report.sent && state.reported >> stream & 1 == 0 && folded >= report.head {
            let says_totals = !self.rules.is(Wrong::ReportWithoutTotals);
            self.add(Step::HearReport(number), |next| {
                next.reported |= 1 << stream;
                if says_totals {
                    let granted = &mut next.hub.granted[stream];
                    *granted = report.granted.max(*granted);
                }
            });
        }
        if self.rules.is(Wrong::ConsumptionAhead) {
            let journal = &state.journals[stream];
            let total = journal.times(Event::Sold, journal.len);
            if state.hub.heard[stream] < total {
                self.add(
                    Step::HearConsumed {
                        stream: number,
                        total,
                    },
                    |next| {
                        next.hub.heard[stream] = total;
                    },
                );
            }
        }
        if world.late_till && stream + 1 == world.tills && !known && state.epoch == 0 {
            self.add(Step::Enrol(number), |next| next.hub.known |= 1 << stream);
        }
    }

    fn grant(&mut self, stream: usize, total: u8, lease: u8) {
        let number = u8::try_from(stream).expect("few");
        let step = Step::Grant {
            stream: number,
            total,
            lease,
        };
        self.add(step, |next| {
            next.hub.granted[stream] = total;
            next.hub.lease[stream] = lease;
            next.grants[stream] |= 1 << grant_bit(next.epoch, total, lease);
        });
    }

    // ---- a till ----

    fn till(&mut self, till: usize) {
        self.listens(till);
        let stream = usize::from(self.state.tills[till].stream);
        if self.has_room(stream) {
            self.sells(till);
            self.receives(till);
            self.overrides(till);
            self.moves_rights(till);
            self.counts(till);
            self.picks(till);
        }
        self.restored(till);
    }

    /// One event of a till and what it changes beside; a till that holds no right has nothing left of any path.
    fn write(&mut self, till: usize, step: Step, event: Event, change: impl FnOnce(&mut State)) {
        let after = self.state.counts[0].made;
        let rules = self.rules;
        // Clocks are kept only where a fold asks them: otherwise states would differ in what nobody reads.
        let clocks = rules.is(Wrong::ClocksDecide) || rules.is(Wrong::ClocksBehind);
        let behind = matches!(
            step,
            Step::Sell { behind: true, .. } | Step::Receive { behind: true, .. }
        );
        let stream = usize::from(self.state.tills[till].stream);
        self.add(step, |next| {
            next.journals[stream].push(event, clocks && after && !behind);
            change(next);
            if rules.right(next, &next.tills[till]) <= 0 {
                next.tills[till].taken_lease = NO_LEASE;
            }
        });
    }

    fn write_rare(
        &mut self,
        till: usize,
        step: Step,
        event: Event,
        change: impl FnOnce(&mut State),
    ) {
        if self.state.rare < self.world.rare {
            self.write(till, step, event, |next| {
                next.rare += 1;
                change(next);
            });
        }
    }

    /// Whether a till's clock may lie before a count that was made: only where the fold asks, and the till does not
    /// know of the count.
    fn clocks(&self, till: usize) -> &'static [bool] {
        let stream = usize::from(self.state.tills[till].stream);
        let knows = self.state.journals[stream]
            .place_of(Event::Learned(0))
            .is_some()
            || self.state.journals[stream]
                .place_of(Event::Counted(0))
                .is_some();
        if self.rules.is(Wrong::ClocksBehind) && self.state.counts[0].made && !knows {
            &[false, true]
        } else {
            &[false]
        }
    }

    fn listens(&mut self, till: usize) {
        let state = self.state;
        let here = state.tills[till];
        let number = u8::try_from(till).expect("few");
        for bit in bits(state.grants[usize::from(here.stream)]) {
            let (epoch, total, lease) = grant_of(bit);
            if epoch < here.epoch && !self.rules.is(Wrong::OldGrantsAccepted) {
                continue;
            }
            let step = Step::TakeGrant {
                till: number,
                epoch,
                total,
                lease,
            };
            if self.rules.is(Wrong::GrantsAsDifferences) {
                if here.granted < 3 && total > 0 {
                    self.add(step, |next| next.tills[till].granted += 1);
                }
                continue;
            }
            let changes = total > here.granted || lease > here.lease || epoch > here.epoch;
            if changes {
                self.add(step, |next| {
                    hear_epoch(next, till, epoch);
                    let here = &mut next.tills[till];
                    here.granted = here.granted.max(total);
                    here.lease = here.lease.max(lease);
                });
            }
        }
        if state.epoch > here.epoch {
            self.add(Step::HearEpoch(number), |next| {
                hear_epoch(next, till, state.epoch)
            });
        }
    }

    fn sells(&mut self, till: usize) {
        let here = self.state.tills[till];
        let number = u8::try_from(till).expect("few");
        if self.rules.may_sell(self.state, &here, self.world) {
            for behind in self.clocks(till) {
                let step = Step::Sell {
                    till: number,
                    behind: *behind,
                };
                self.write(till, step, Event::Sold, |next| next.shelf -= 1);
            }
        }
    }

    fn receives(&mut self, till: usize) {
        let state = self.state;
        let number = u8::try_from(till).expect("few");
        if state.times(Event::Minted) >= self.world.receipts {
            return;
        }
        for behind in self.clocks(till) {
            let step = Step::Receive {
                till: number,
                behind: *behind,
            };
            self.write_rare(till, step, Event::Minted, |next| next.shelf += 1);
        }
    }

    fn overrides(&mut self, till: usize) {
        let (state, world, rules) = (self.state, self.world, self.rules);
        let here = &state.tills[till];
        let number = u8::try_from(till).expect("few");
        let stream = usize::from(here.stream);
        if rules.may_sell(state, here, world) || state.shelf <= 0 {
            return;
        }
        let waived = state.times(Event::Waived);
        let offline = state.excused - u8::try_from(-world.found).unwrap_or(0);
        if offline < world.overrides_offline {
            self.write_rare(till, Step::OverrideOffline(number), Event::Waived, |next| {
                next.shelf -= 1;
                next.excused += 1;
            });
        }
        let in_contact = state.hub.folded[stream] == state.journals[stream].len
            && state.hub.known >> stream & 1 == 1;
        if waived - offline < world.overrides_online
            && in_contact
            && !rules.is_frozen(state)
            && rules.free(state, world) > 0
        {
            self.write_rare(till, Step::OverrideOnline(number), Event::Waived, |next| {
                next.shelf -= 1;
                next.hub.folded[stream] += 1;
            });
        }
    }

    fn moves_rights(&mut self, till: usize) {
        let (state, world) = (self.state, self.world);
        let here = state.tills[till];
        let number = u8::try_from(till).expect("few");
        let journal = &state.journals[usize::from(here.stream)];
        if self.rules.right(state, &here) > 0 {
            if state.times(Event::Returned) < world.returns {
                self.write_rare(till, Step::Return(number), Event::Returned, |_| {});
            }
            if self.rules.is(Wrong::ReturnUnwritten)
                && state.hub.heard[usize::from(here.stream)] < world.returns
            {
                self.add_rare(Step::ReturnUnwritten(number), |next| {
                    next.hub.heard[usize::from(here.stream)] += 1;
                });
            }
            let lease = self.rules.lease_end(state, &here);
            for other in (0..world.tills).filter(|other| *other != till) {
                let to = state.tills[other].stream;
                let total = journal.times(Event::Passed(to), journal.len) + 1;
                if total <= world.passes && self.rules.lease_runs(state, &here) {
                    let step = Step::Pass { till: number, to };
                    self.write_rare(till, step, Event::Passed(to), |next| {
                        let bit = pass_bit(to, total, lease.min(3));
                        next.passes[usize::from(here.stream)] |= 1 << bit;
                    });
                }
            }
        }
        for from in 0..STREAMS {
            self.takes(till, from);
        }
    }

    fn takes(&mut self, till: usize, from: usize) {
        let state = self.state;
        let here = state.tills[till];
        let number = u8::try_from(till).expect("few");
        let source = u8::try_from(from).expect("few");
        let mut take = |total, lease| {
            let step = Step::Take {
                till: number,
                from: source,
                total,
            };
            self.write(
                till,
                step,
                Event::Took {
                    from: source,
                    total,
                },
                |next| {
                    let here = &mut next.tills[till];
                    here.taken[from] = total;
                    here.taken_lease = here.taken_lease.min(lease);
                },
            );
        };
        for bit in bits(state.passes[from]) {
            let (to, total, lease) = pass_of(bit);
            if to == here.stream && total > here.taken[from] {
                take(total, lease);
            }
        }
        let returned = state.journals[from].times(Event::Returned, state.journals[from].len);
        let reads_returns =
            self.rules.is(Wrong::ReturnReadTwice) && from != usize::from(here.stream);
        if reads_returns && returned > here.taken[from] {
            let step = Step::Take {
                till: number,
                from: source,
                total: returned,
            };
            self.write(
                till,
                step,
                Event::Took {
                    from: source,
                    total: returned,
                },
                |next| {
                    next.tills[till].taken[from] = returned;
                },
            );
        }
    }

    fn counts(&mut self, till: usize) {
        let (state, world) = (self.state, self.world);
        let here = state.tills[till];
        let stream = usize::from(here.stream);
        let number = u8::try_from(till).expect("few");
        let made = state.counts.iter().filter(|count| count.made).count();
        let may_count = !world.one_counter || till + 1 == world.tills;
        if may_count && made < usize::from(world.counts) {
            let count = u8::try_from(made).expect("few");
            let found = u8::try_from(state.shelf.max(0)).expect("not below zero");
            for stale in [false, true] {
                if stale && !world.stale_cuts {
                    continue;
                }
                let mut cut = if stale {
                    [0; STREAMS]
                } else {
                    state.hub.folded
                };
                // Who learned of a count has its author's events up to it.
                for (other, earlier) in (0u8..).zip(&state.counts).take(made) {
                    let author = usize::from(earlier.author);
                    let journal = &state.journals[stream];
                    let place = state.journals[author].place_of(Event::Counted(other));
                    if journal.place_of(Event::Learned(other)).is_some()
                        && let Some(place) = place
                    {
                        cut[author] = (place + 1).max(cut[author]);
                    }
                }
                cut[stream] = state.journals[stream].len;
                let counted = Count {
                    made: true,
                    found,
                    author: here.stream,
                    cut,
                    seals: if stale {
                        [0; STREAMS]
                    } else {
                        state.hub.sealed
                    },
                };
                let step = Step::Count {
                    till: number,
                    found,
                    stale,
                };
                self.write_rare(till, step, Event::Counted(count), |next| {
                    next.counts[made] = counted;
                });
            }
        }
        for (count, made) in (0u8..).zip(&state.counts) {
            let journal = &state.journals[stream];
            if made.made
                && made.author != here.stream
                && journal.place_of(Event::Learned(count)).is_none()
            {
                let step = Step::Learn {
                    till: number,
                    count,
                };
                self.write(till, step, Event::Learned(count), |_| {});
            }
        }
    }

    fn picks(&mut self, till: usize) {
        let number = u8::try_from(till).expect("few");
        for (promise, told) in (0u8..).zip(self.state.customers) {
            let may = told == Promise::Ordered
                || told == Promise::Held && self.rules.is(Wrong::CartsPicked);
            if may && self.state.shelf > 0 {
                let step = Step::Pick {
                    till: number,
                    promise,
                };
                self.write(till, step, Event::Picked(promise), |next| {
                    next.shelf -= 1;
                    let told = &mut next.customers[usize::from(promise)];
                    // A cart's time runs on at the server, whoever has the goods.
                    *told = Promise::Picked;
                });
            }
        }
    }

    fn restored(&mut self, till: usize) {
        let (state, world) = (self.state, self.world);
        let number = u8::try_from(till).expect("few");
        let here = state.tills[till];
        let from_copy = self.rules.is(Wrong::SameStream) || self.rules.is(Wrong::RightsCarriedOver);
        let len = state.journals[usize::from(here.stream)].len;
        if from_copy && till == 0 && world.restores > 0 && !state.copied.made {
            self.add(Step::CopyFile, |next| {
                next.copied = Copied {
                    made: true,
                    len,
                    till: here,
                };
            });
        }
        if from_copy && !(till == 0 && state.copied.made) {
            return;
        }
        if self.rules.is(Wrong::SameStream) {
            if len > state.copied.len {
                self.add_rare(
                    Step::Restore {
                        till: number,
                        stream: here.stream,
                    },
                    |next| {
                        let copied = next.copied;
                        let stream = usize::from(here.stream);
                        next.journals[stream].cut(copied.len);
                        next.tills[till] = copied.till;
                        // The journal is what the hub will have in the end, whichever branch it met first.
                        next.hub.folded[stream] = copied.len.min(next.hub.folded[stream]);
                    },
                );
            }
            return;
        }
        let restored = usize::from(state.streams) - world.tills;
        let stream = usize::from(state.streams);
        if restored < usize::from(world.restores) && stream < STREAMS {
            let keeps = self.rules.is(Wrong::RightsCarriedOver);
            let old = &state.journals[usize::from(state.copied.till.stream)];
            let sold = old.times(Event::Sold, state.copied.len);
            let step = Step::Restore {
                till: number,
                stream: state.streams,
            };
            self.add_rare(step, |next| {
                let there = &mut next.tills[till];
                there.stream = next.streams;
                there.taken = [0; STREAMS];
                there.taken_lease = NO_LEASE;
                there.granted = if keeps {
                    state.copied.till.granted - sold
                } else {
                    0
                };
                there.lease = if keeps { here.lease } else { 0 };
                next.streams += 1;
                next.journals[stream].push(Event::Opened, false);
            });
        }
    }
}

/// A till hears of the server's epoch: from now on it refuses older grants, and it reports what it has seen.
fn hear_epoch(state: &mut State, till: usize, epoch: u8) {
    let here = &mut state.tills[till];
    if epoch > here.epoch {
        here.epoch = epoch;
        let stream = usize::from(here.stream);
        state.reports[stream] = Report {
            sent: true,
            granted: state.tills[till].granted,
            head: state.journals[stream].len,
        };
    }
}
