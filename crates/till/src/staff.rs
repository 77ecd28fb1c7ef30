//! Who stands at the till: PINs, waiting after wrong ones, and a manager's word for one action.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use domain::config::{Role, StaffMember};
use domain::event::{Fact, PinReset, SignInBlocked};
use domain::ids::{EventId, UserId};
use domain::time::Boot;
use serde::{Deserialize, Serialize};

use crate::door::{Approval, Refusal, RefusalCode, Reply, UserView};
use crate::drafts::Change;
use crate::till::{Call, Outcome, Till, storage_refusal};

/// Wrong PINs in a row before the first wait.
const FAILURES_BEFORE_WAIT: u32 = 5;
/// Wrong PINs in a row after which only a manager helps.
const FAILURES_BEFORE_BLOCK: u32 = 10;
/// Wrong PINs of anybody in a row before the device waits.
const DEVICE_FAILURES_BEFORE_WAIT: u32 = 15;
/// First wait; it doubles with every further wrong PIN.
const WAIT_MS: i64 = 30_000;
/// Doublings after which the wait stays as it is: 16 minutes. Beyond that it would only keep the manager out.
const DOUBLINGS_MAX: u32 = 5;
/// Key of the device's own counter.
const DEVICE_KEY: &str = "pin-device";

/// Tries of one member of staff, or of the device. Durable before a PIN is compared, and measured on the
/// clock since boot: neither a restart nor a set clock buys a try.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PinState {
    /// Verifier set on this device, replacing head office's of `base_version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verifier: Option<String>,
    base_version: u32,
    failures: u32,
    wait_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Boot>,
}

impl PinState {
    /// What is left of the wait. A reboot starts the wait anew, because no clock is left to trust.
    fn wait_left_ms(&self, boot: Boot) -> i64 {
        match self.since {
            Some(since) if since.id == boot.id => {
                let elapsed = i64::try_from(boot.ms.saturating_sub(since.ms)).unwrap_or(i64::MAX);
                self.wait_ms.saturating_sub(elapsed).max(0)
            }
            Some(_) | None => self.wait_ms,
        }
    }

    /// Counts a try as wrong before it is made.
    fn charge(&mut self, boot: Boot, free: u32) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= free {
            let doublings = (self.failures - free).min(DOUBLINGS_MAX);
            self.wait_ms = WAIT_MS << doublings;
            self.since = Some(boot);
        }
    }

    fn clear(&mut self) {
        self.failures = 0;
        self.wait_ms = 0;
        self.since = None;
    }
}

fn user_key(user: UserId) -> String {
    format!("pin:{user}")
}

impl Till {
    pub(crate) fn list_users(&self) -> Outcome {
        let book = self.book()?;
        let mut users = Vec::new();
        for member in book.staff().map_err(|error| storage_refusal(&error))? {
            if member.active {
                users.push(self.user_view(&member)?);
            }
        }
        Ok(Reply::Users { users })
    }

    fn user_view(&self, member: &StaffMember) -> Result<UserView, Refusal> {
        let state = self.pin_state(member)?;
        Ok(UserView {
            user: member.user,
            name: member.name.clone(),
            role: member.role,
            blocked: state.failures >= FAILURES_BEFORE_BLOCK,
        })
    }

    pub(crate) fn sign_in(&mut self, user: UserId, pin: &str, call: &mut Call) -> Outcome {
        let member = self.member(user)?;
        self.check_pin(&member, pin, call)?;
        let language = member.language;
        let settings = language
            .filter(|language| *language != self.settings.language)
            .map(|language| crate::door::Settings {
                language,
                ..self.settings.clone()
            });
        let change = Change {
            user: Some(Some(user)),
            // Money that was taken for the cart in hand lies in the drawer in use.
            drawer: self
                .drawer_of(user)
                .filter(|_| self.cart.tenders.is_empty()),
            settings,
            ..Change::default()
        };
        call.draft(self, change, Reply::Done {})
    }

    pub(crate) fn sign_out(&mut self, call: &mut Call) -> Outcome {
        self.require_no_tenders()?;
        let mut change = self.shelve_cart(None, call);
        change.user = Some(None);
        call.draft(self, change, Reply::Done {})
    }

    pub(crate) fn unblock(
        &mut self,
        user: UserId,
        approval: &Approval,
        call: &mut Call,
    ) -> Outcome {
        let member = self.member(user)?;
        let manager = self.manager_by_pin(approval, call)?;
        let mut state = self.pin_state(&member)?;
        state.clear();
        let event = EventId(call.uuid());
        let fact = Fact::SignInBlocked(SignInBlocked {
            user,
            failures: 0,
            unblocked_by: Some(manager),
        });
        self.record_pin(user, &state, Some((event, fact)), call)?;
        call.draft(self, Change::default(), Reply::Done {})
    }

    pub(crate) fn reset_pin(
        &mut self,
        user: UserId,
        new_pin: &str,
        approval: &Approval,
        call: &mut Call,
    ) -> Outcome {
        let member = self.member(user)?;
        if !is_strong(new_pin, member.role) {
            return Err(RefusalCode::PinWeak.into());
        }
        let manager = self.manager_by_pin(approval, call)?;
        let salt = call.entropy.next_bytes();
        let hashed: Result<PasswordHash, _> =
            Argon2::default().hash_password_with_salt(new_pin.as_bytes(), &salt[..16]);
        let verifier = hashed
            .map_err(|_| Refusal::new(RefusalCode::Internal))?
            .to_string();
        let state = PinState {
            verifier: Some(verifier),
            base_version: member.pin_version,
            ..PinState::default()
        };
        let event = EventId(call.uuid());
        let fact = Fact::PinReset(PinReset { user, by: manager });
        self.record_pin(user, &state, Some((event, fact)), call)?;
        call.draft(self, Change::default(), Reply::Done {})
    }

    /// Who is signed in.
    pub(crate) fn signed_in(&self) -> Result<StaffMember, Refusal> {
        self.book()?;
        let user = self.user.ok_or(RefusalCode::SignInRequired)?;
        self.member(user)
            .map_err(|_| RefusalCode::SignInRequired.into())
    }

    /// The manager who allows an action: by PIN, or by being the one signed in.
    pub(crate) fn approved_by(
        &mut self,
        approval: Option<&Approval>,
        otherwise: RefusalCode,
        call: &mut Call,
    ) -> Result<UserId, Refusal> {
        match approval {
            Some(approval) => self.manager_by_pin(approval, call),
            None => {
                let member = self.signed_in()?;
                match member.role {
                    Role::Manager => Ok(member.user),
                    Role::Cashier => Err(otherwise.into()),
                }
            }
        }
    }

    /// The manager who allows an action, by PIN alone.
    pub(crate) fn manager_by_pin(
        &mut self,
        approval: &Approval,
        call: &mut Call,
    ) -> Result<UserId, Refusal> {
        let member = self.member(approval.user)?;
        if member.role != Role::Manager {
            return Err(RefusalCode::ManagerRequired.into());
        }
        self.check_pin(&member, &approval.pin, call)?;
        Ok(member.user)
    }

    /// Checks anybody's PIN: who signs for a drawer need not be a manager.
    pub(crate) fn check_pin_of(
        &mut self,
        user: UserId,
        pin: &str,
        call: &mut Call,
    ) -> Result<(), Refusal> {
        let member = self.member(user)?;
        self.check_pin(&member, pin, call)
    }

    /// The drawer that somebody who signs in works with: the one they answer for, or the one in use.
    fn drawer_of(&self, user: UserId) -> Option<u32> {
        let open = self.book().ok()?.open_shifts().ok()?;
        let in_use = |shift: &&ledger::OpenShift| shift.opened.drawer == self.drawer;
        let held: Vec<_> = open.iter().filter(|shift| shift.holder == user).collect();
        let found = match held.as_slice() {
            [] => open.iter().find(in_use).or(open.first()),
            held => held.iter().copied().find(in_use).or(held.first().copied()),
        };
        found.map(|shift| shift.opened.drawer)
    }

    fn member(&self, user: UserId) -> Result<StaffMember, Refusal> {
        let found = self
            .book()?
            .staff_member(user)
            .map_err(|error| storage_refusal(&error))?;
        found
            .filter(|member| member.active)
            .ok_or_else(|| RefusalCode::UserUnknown.into())
    }

    fn pin_state(&self, member: &StaffMember) -> Result<PinState, Refusal> {
        let state: PinState = self.local_state(&user_key(member.user))?;
        // A PIN that head office set after the reset replaces it, and lifts a block.
        Ok(if state.base_version < member.pin_version {
            PinState {
                base_version: member.pin_version,
                ..PinState::default()
            }
        } else {
            state
        })
    }

    fn local_state(&self, key: &str) -> Result<PinState, Refusal> {
        let text = self
            .book()?
            .local(key)
            .map_err(|error| storage_refusal(&error))?;
        Ok(text
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }

    fn check_pin(
        &mut self,
        member: &StaffMember,
        pin: &str,
        call: &mut Call,
    ) -> Result<(), Refusal> {
        let mut state = self.pin_state(member)?;
        let mut device = self.local_state(DEVICE_KEY)?;
        if state.failures >= FAILURES_BEFORE_BLOCK {
            return Err(RefusalCode::PinBlocked.into());
        }
        let wait_ms = state
            .wait_left_ms(call.now.boot)
            .max(device.wait_left_ms(call.now.boot));
        if wait_ms > 0 {
            for (key, state) in [
                (user_key(member.user), &mut state),
                (DEVICE_KEY.to_owned(), &mut device),
            ] {
                if state.wait_ms > 0 && state.since.is_none_or(|since| since.id != call.now.boot.id)
                {
                    state.since = Some(call.now.boot);
                    self.save_states(&[(&key, state)])?;
                }
            }
            return Err(Refusal::new(RefusalCode::PinWait).with("wait_ms", wait_ms));
        }
        state.charge(call.now.boot, FAILURES_BEFORE_WAIT);
        device.charge(call.now.boot, DEVICE_FAILURES_BEFORE_WAIT);
        let key = user_key(member.user);
        self.save_states(&[(&key, &state), (DEVICE_KEY, &device)])?;
        let verifier = state.verifier.as_deref().unwrap_or(&member.pin_verifier);
        if verifies(verifier, pin) {
            state.clear();
            device.clear();
            return self.save_states(&[(&key, &state), (DEVICE_KEY, &device)]);
        }
        if state.failures >= FAILURES_BEFORE_BLOCK {
            let event = EventId(call.uuid());
            let blocked = SignInBlocked {
                user: member.user,
                failures: state.failures,
                unblocked_by: None,
            };
            self.record_pin(
                member.user,
                &state,
                Some((event, Fact::SignInBlocked(blocked))),
                call,
            )?;
            return Err(RefusalCode::PinBlocked.into());
        }
        let left = FAILURES_BEFORE_WAIT.saturating_sub(state.failures);
        Err(Refusal::new(RefusalCode::WrongPin).with("left", left).with(
            "wait_ms",
            state
                .wait_left_ms(call.now.boot)
                .max(device.wait_left_ms(call.now.boot)),
        ))
    }

    fn save_states(&mut self, states: &[(&str, &PinState)]) -> Result<(), Refusal> {
        let written = self.book_mut()?.write(|tx| {
            for (key, state) in states {
                tx.set_local(key, &encode_state(state))?;
            }
            Ok(())
        });
        written.map_err(|error: ledger::LedgerError| storage_refusal(&error))
    }

    fn record_pin(
        &mut self,
        user: UserId,
        state: &PinState,
        event: Option<(EventId, Fact)>,
        call: &Call,
    ) -> Result<(), Refusal> {
        let now = call.now;
        let written = self.book_mut()?.write(|tx| {
            tx.set_local(&user_key(user), &encode_state(state))?;
            if let Some((id, fact)) = &event {
                tx.append(&now, *id, fact)?;
            }
            Ok(())
        });
        written.map_err(|error: ledger::LedgerError| storage_refusal(&error))
    }

    /// Name to print or show; the id's first digits when the member has left the configuration.
    pub(crate) fn display_name(&self, user: UserId) -> String {
        let member = self
            .ledger
            .as_ref()
            .and_then(|ledger| ledger.staff_member(user).ok().flatten());
        member.map_or_else(
            || user.to_string().chars().take(8).collect(),
            |member| member.name,
        )
    }

    pub(crate) fn signed_in_view(&self) -> Option<UserView> {
        let member = self.signed_in().ok()?;
        self.user_view(&member).ok()
    }
}

fn encode_state(state: &PinState) -> String {
    serde_json::to_string(state).expect("counters and a verifier are plain data")
}

fn verifies(verifier: &str, pin: &str) -> bool {
    PasswordHash::new(verifier).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(pin.as_bytes(), &hash)
            .is_ok()
    })
}

/// Digits only, long enough for the role, and none of the PINs that everybody tries first.
fn is_strong(pin: &str, role: Role) -> bool {
    let length_min = match role {
        Role::Cashier => 4,
        Role::Manager => 6,
    };
    let digits = pin.as_bytes();
    if !(length_min..=12).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let steps = |step: i16| {
        digits
            .windows(2)
            .all(|pair| i16::from(pair[1]) - i16::from(pair[0]) == step)
    };
    let years = 1940..=2030;
    let year = digits.len() == 4 && pin.parse::<i32>().is_ok_and(|year| years.contains(&year));
    !(steps(0) || steps(1) || steps(-1) || year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_pins_are_weak() {
        for (pin, role, strong) in [
            ("4826", Role::Cashier, true),
            ("0000", Role::Cashier, false),
            ("1234", Role::Cashier, false),
            ("9876", Role::Cashier, false),
            ("1987", Role::Cashier, false),
            ("482", Role::Cashier, false),
            ("48a6", Role::Cashier, false),
            ("4826", Role::Manager, false),
            ("482615", Role::Manager, true),
            ("٤٨٢٦", Role::Cashier, false),
        ] {
            assert_eq!(is_strong(pin, role), strong, "{pin}");
        }
    }

    #[test]
    fn a_wait_doubles_and_neither_reboot_nor_clock_shortens_it() {
        let boot = |id, ms| Boot { id, ms };
        let mut state = PinState::default();
        for _ in 0..4 {
            state.charge(boot(1, 0), FAILURES_BEFORE_WAIT);
        }
        assert_eq!(state.wait_left_ms(boot(1, 0)), 0);
        state.charge(boot(1, 1_000), FAILURES_BEFORE_WAIT);
        assert_eq!(state.wait_left_ms(boot(1, 11_000)), 20_000);
        assert_eq!(state.wait_left_ms(boot(2, 99_000_000)), 30_000);
        state.charge(boot(1, 40_000), FAILURES_BEFORE_WAIT);
        assert_eq!(state.wait_left_ms(boot(1, 40_000)), 60_000);
    }
}
