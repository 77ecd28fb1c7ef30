//! Shifts, drawers, periods and people, as the model has them.

use chrono::{Datelike as _, NaiveDate};
use domain::event::{CashMovement, PeriodKind};
use domain::ids::UserId;
use domain::time::Now;
use serde_json::json;
use testkit::shop::{CASHIER, LEFT, MANAGER, START_WALL_MS};
use till::door::{Approval, Pieces, RefusalCode};

use super::{
    Answered, Model, Period, Report, Shift, Tally, WrongRule, counted, date_of, minute,
    period_name, stamps_shown, taxes_shown, typed,
};
use crate::model::cart::AMOUNT_MAX;

impl Model {
    // The drawer.

    /// The date of the clock, unless the server was heard from on a later one: then the later of that and the last
    /// trading day.
    pub(super) fn today(&self, now: &Now) -> NaiveDate {
        let (shown, heard) = (date_of(now.wall_ms), date_of(START_WALL_MS));
        if shown >= heard {
            return shown;
        }
        self.last_date.map_or(heard, |last| last.max(heard))
    }

    pub(super) fn open(
        &mut self,
        count: &[Pieces],
        drawer: Option<u32>,
        approval: Option<&Approval>,
        now: &Now,
    ) -> Answered {
        let opener = self.signed_in()?;
        let drawer = drawer.unwrap_or(self.drawer);
        self.known_drawer(drawer)?;
        if drawer != self.drawer {
            self.no_tenders()?;
        }
        if self.shifts.contains_key(&drawer) {
            return Err(RefusalCode::ShiftOpen);
        }
        let float = counted(count, self.rules.country)?;
        let under_way = self.shifts.values().map(|shift| shift.date).max();
        let under_way = under_way.filter(|_| !self.is(WrongRule::DrawerOpensOnItsOwnDate));
        let date = match under_way {
            Some(date) => date,
            None => {
                let date = self.today(now);
                let ahead = self.last_date.map_or(0, |last| (date - last).num_days());
                if !(0..=2).contains(&ahead) {
                    let approval = approval.ok_or(RefusalCode::DateApprovalRequired)?;
                    Model::by_pin(approval)?;
                }
                date
            }
        };
        self.close_ended(date, now);
        self.fact("ShiftOpened", now);
        self.opened += 1;
        self.shifts.insert(
            drawer,
            Shift {
                id: self.opened,
                drawer,
                date,
                holder: opener,
                opener,
                wall: now.wall_ms,
                float,
                tally: Tally::default(),
                no_sales: 0,
                counts: 0,
                hand_overs: 0,
            },
        );
        self.last_date = Some(date);
        self.drawer = drawer;
        self.tally(|tally| tally.post("cash", "safe", float));
        Ok(json!({"type": "Done"}))
    }

    /// Closes every day, month and year that `next` does not lie in; returns how many.
    pub(super) fn close_ended(&mut self, next: NaiveDate, now: &Now) -> usize {
        let mut closed = 0;
        for (place, kind) in PeriodKind::ALL.into_iter().enumerate() {
            let Some((_, to)) = self.periods[place].dates else {
                continue;
            };
            let ends_with = match kind {
                PeriodKind::Month if self.is(WrongRule::MonthWaitsForYear) => PeriodKind::Year,
                kind => kind,
            };
            if period_name(ends_with, to) != period_name(ends_with, next) {
                self.close_period(place, kind, to, now);
                closed += 1;
            }
        }
        closed
    }

    pub(super) fn close_period(
        &mut self,
        place: usize,
        kind: PeriodKind,
        to: NaiveDate,
        now: &Now,
    ) {
        self.look_at_clock(now);
        let head = self.seq();
        let fresh = Period {
            from_seq: head + 2,
            closed: self.periods[place].closed + 1,
            ..Period::default()
        };
        let Period {
            z,
            from_seq,
            closed,
            tally,
            ..
        } = std::mem::replace(&mut self.periods[place], fresh);
        let letter = ["D", "M", "Y"][place];
        let number = format!("{letter}{}", closed + 1);
        let name = period_name(kind, to);
        let shown = json!({
            "type": "Period",
            "number": number,
            "period": kind,
            "name": name,
            "at": minute(now.wall_ms),
            "z_numbers": z,
            "sales": tally.sales,
            "sales_minor": tally.sales_minor,
            "reversals": tally.reversals,
            "reversals_minor": tally.reversals_minor,
            "discounts_minor": tally.discounts,
            "rounding_minor": tally.rounding,
            "levies": stamps_shown(tally.stamps),
            "taxes": taxes_shown(&tally.taxes),
            "tenders_minor": tally.tenders,
            "moved_minor": tally.moved,
            "over_short_minor": tally.over_short,
            "perpetual_minor": self.perpetual(),
            "covers": [from_seq, head],
        });
        self.reports.push(Report {
            number,
            kind: Some(kind),
            name,
            wall: now.wall_ms,
            takings: tally.sales_minor + tally.reversals_minor,
            difference: tally.over_short,
            shown,
            tally,
            copies: 0,
            picture: None,
        });
        self.fact("PeriodClosed", now);
    }

    pub(super) fn perpetual(&self) -> i64 {
        self.all.sales_minor + self.all.reversals_minor
    }

    pub(super) fn close_periods(&mut self, approval: Option<&Approval>, now: &Now) -> Answered {
        self.signed_in()?;
        self.approved(approval, RefusalCode::ManagerRequired)?;
        if !self.shifts.is_empty() {
            return Err(RefusalCode::ShiftOpen);
        }
        match self.close_ended(self.today(now), now) {
            0 => Err(RefusalCode::NothingToClose),
            _ => Ok(json!({"type": "Done"})),
        }
    }

    pub(super) fn close(
        &mut self,
        count: &[Pieces],
        approval: Option<&Approval>,
        now: &Now,
    ) -> Answered {
        let user = self.signed_in()?;
        self.no_tenders()?;
        let expected = self.open_shift()?.expected();
        let found = counted(count, self.rules.country)?;
        let difference = found - expected;
        if difference.abs() > self.rules.over_short_limit {
            if self.rules.blind && user == CASHIER && approval.is_none() {
                if !self.is(WrongRule::BlindCountUnseen) {
                    self.note_count(now);
                }
                return Err(RefusalCode::BlindCountDiffers);
            }
            self.approved(approval, RefusalCode::DifferenceApprovalRequired)?;
        }
        self.fact("ShiftClosed", now);
        let mut shown = self.shift_shown(self.open_shift()?);
        self.z += 1;
        if self.is(WrongRule::ZNumberSkips) && self.z.is_multiple_of(3) {
            self.z += 1;
        }
        let z = self.z;
        shown["z_number"] = json!(z);
        shown["counted_minor"] = json!(found);
        shown["difference_minor"] = json!(difference);
        shown["perpetual_minor"] = json!(self.perpetual());
        self.tally(|tally| {
            tally.over_short += difference;
            tally.post("cash", "over_short", difference);
            tally.post("safe", "cash", found);
        });
        for period in &mut self.periods {
            let (first, _) = period.z.unwrap_or((z, z));
            period.z = Some((first, z));
        }
        let shift = self.shifts.remove(&self.drawer);
        let shift = shift.ok_or(RefusalCode::ShiftRequired)?;
        self.reports.push(Report {
            number: format!("Z{z}"),
            kind: None,
            name: shift.date.to_string(),
            wall: now.wall_ms,
            takings: shift.tally.sales_minor + shift.tally.reversals_minor,
            difference,
            shown: shown.clone(),
            tally: shift.tally,
            copies: 0,
            picture: None,
        });
        Ok(shown)
    }

    pub(super) fn note_count(&mut self, now: &Now) {
        self.fact("ShiftCounted", now);
        if let Some(shift) = self.shifts.get_mut(&self.drawer) {
            shift.counts += 1;
        }
    }

    pub(super) fn count_drawer(&mut self, count: &[Pieces], now: &Now) -> Answered {
        let user = self.signed_in()?;
        let expected = self.open_shift()?.expected();
        let found = counted(count, self.rules.country)?;
        self.note_count(now);
        let blind = self.rules.blind && user == CASHIER;
        Ok(json!({
            "type": "Counted",
            "counted_minor": found,
            "expected_minor": (!blind).then_some(expected),
            "difference_minor": (!blind).then_some(found - expected),
        }))
    }

    pub(super) fn slip(&mut self) -> Result<String, RefusalCode> {
        let year = self.open_shift()?.date.year();
        let sequence = self.slips.entry(year).or_insert(0);
        *sequence += 1;
        Ok(format!("{}-{year}-C{sequence:06}", self.series))
    }

    pub(super) fn move_cash(
        &mut self,
        movement: CashMovement,
        amount: i64,
        reason: &str,
        approval: Option<&Approval>,
        now: &Now,
    ) -> Answered {
        self.signed_in()?;
        let expected = self.open_shift()?.expected();
        let reason = typed(reason).filter(|reason| !reason.is_empty());
        let reason = reason.ok_or(RefusalCode::TextInvalid)?;
        if !(1..=AMOUNT_MAX).contains(&amount) {
            return Err(RefusalCode::AmountInvalid);
        }
        if movement != CashMovement::PayIn && amount > expected {
            return Err(RefusalCode::DrawerShort);
        }
        if expected + amount > AMOUNT_MAX {
            return Err(RefusalCode::AmountOverflow);
        }
        let free = self.rules.pay_out_free.unwrap_or(0);
        if movement == CashMovement::PayOut && amount > free {
            self.approved(approval, RefusalCode::ManagerRequired)?;
        }
        self.fact("CashMoved", now);
        let (debit, credit) = match movement {
            CashMovement::PayIn => ("cash", "paid_in"),
            CashMovement::PayOut => ("paid_out", "cash"),
            CashMovement::Drop => ("safe", "cash"),
        };
        self.tally(|tally| {
            *tally.moved.entry(movement).or_insert(0) += amount;
            tally.post(debit, credit, amount);
        });
        Ok(json!({
            "type": "Slip",
            "number": self.slip()?,
            "movement": movement,
            "amount_minor": amount,
            "reason": reason,
        }))
    }

    pub(super) fn open_drawer(&mut self, reason: &str, now: &Now) -> Answered {
        self.signed_in()?;
        self.open_shift()?;
        let reason = typed(reason).filter(|reason| !reason.is_empty());
        let reason = reason.ok_or(RefusalCode::TextInvalid)?;
        self.fact("DrawerOpened", now);
        if let Some(shift) = self.shifts.get_mut(&self.drawer) {
            shift.no_sales += 1;
        }
        Ok(json!({
            "type": "Slip",
            "number": self.slip()?,
            "movement": null,
            "amount_minor": 0,
            "reason": reason,
        }))
    }

    pub(super) fn hand_over(
        &mut self,
        to: UserId,
        count: Option<&[Pieces]>,
        now: &Now,
    ) -> Answered {
        self.signed_in()?;
        self.no_tenders()?;
        if self.open_shift()?.holder == to {
            return Err(RefusalCode::HandOverToSelf);
        }
        if let Some(count) = count {
            counted(count, self.rules.country)?;
        }
        if to != CASHIER && to != MANAGER {
            return Err(RefusalCode::UserUnknown);
        }
        self.fact("DrawerHandedOver", now);
        if let Some(shift) = self.shifts.get_mut(&self.drawer) {
            shift.hand_overs += 1;
            shift.holder = to;
        }
        self.shelve(None, now);
        self.user = Some(to);
        Ok(json!({"type": "Done"}))
    }

    pub(super) fn sign_in(&mut self, user: UserId) -> Answered {
        if user == LEFT || (user != CASHIER && user != MANAGER) {
            return Err(RefusalCode::UserUnknown);
        }
        self.user = Some(user);
        // The drawer they answer for; failing that the one in use; failing that any.
        let held = |shift: &&Shift| shift.holder == user;
        let own: Vec<u32> = self
            .shifts
            .values()
            .filter(held)
            .map(|s| s.drawer)
            .collect();
        let any: Vec<u32> = self.shifts.keys().copied().collect();
        let choice = if own.is_empty() { any } else { own };
        if !choice.contains(&self.drawer) && self.cart.tenders.is_empty() {
            self.drawer = choice.first().copied().unwrap_or(self.drawer);
        }
        Ok(json!({"type": "Done"}))
    }
}
