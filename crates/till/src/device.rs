//! The device itself: its state in one reply, its settings, and its print queue.

use domain::ids::JobId;
use ledger::{OpenShift, PrintFilter, PrintJob, PrintState as Stored, PrintUpdate};

use crate::door::{
    PrintJobView, PrintState, PrinterTarget, PrinterView, Refusal, RefusalCode, Reply, Settings,
    ShiftView, Status, SyncView,
};
use crate::drafts::Change;
use crate::till::{Answerless, Call, Outcome, Till, storage_refusal};

impl Till {
    pub(crate) fn status(&self, call: &Call) -> Status {
        let book = self.ledger.as_ref();
        let offset = call.now.utc_offset_min;
        let view = |shift: &OpenShift| ShiftView {
            drawer: shift.opened.drawer,
            holder: shift.holder,
            holder_name: self.display_name(shift.holder),
            business_date: shift.opened.business_date.to_string(),
            opened_at: domain::time::local_minute(shift.opened_wall, offset),
            opened_by: self.display_name(shift.opened.user),
            receipts: shift.totals.sales.saturating_add(shift.totals.reversals),
        };
        let open = book
            .and_then(|book| book.open_shifts().ok())
            .unwrap_or_default();
        let shift = open
            .iter()
            .find(|shift| shift.opened.drawer == self.drawer)
            .map(view);
        Status {
            enrolment: self.enrolment_view(),
            app: self.app.clone(),
            store: self.store_view(call),
            till: book.map(|book| book.identity().till.to_string()),
            ready: book.is_some_and(|book| book.ready_to_sell().unwrap_or(false)),
            variants: book.and_then(|book| book.variant_count().ok()).unwrap_or(0),
            user: self.signed_in_view(),
            shift,
            drawer: self.drawer,
            shifts: open.iter().map(view).collect(),
            sync: self.sync_view(call),
            printer: self.printer_view(),
            storage: self.storage_view(call),
            notice: self.notice_view(&call.now),
            parked: self.drafts.parked_count().unwrap_or(0),
            language: self.settings.language,
        }
    }

    fn sync_view(&self, call: &Call) -> SyncView {
        let unsynced = self.ledger.as_ref().and_then(|book| book.unsynced().ok());
        let age = |wall: i64| call.now.wall_ms.saturating_sub(wall).max(0);
        SyncView {
            state: self.sync.state,
            unsynced: unsynced.as_ref().map_or(0, |unsynced| unsynced.count),
            oldest_age_ms: unsynced.and_then(|unsynced| unsynced.oldest_wall).map(age),
            last_contact_age_ms: self.sync.last_contact_wall.map(age),
            problem: self.sync.problem.clone(),
        }
    }

    fn printer_view(&self) -> PrinterView {
        let jobs = self
            .ledger
            .as_ref()
            .and_then(|book| book.print_jobs(PrintFilter::Pending).ok())
            .unwrap_or_default();
        let count = |state: Stored| {
            u32::try_from(jobs.iter().filter(|job| job.state == state).count()).unwrap_or(u32::MAX)
        };
        PrinterView {
            target: self.settings.printer.clone(),
            queued: count(Stored::Queued).saturating_add(count(Stored::Claimed)),
            uncertain: count(Stored::Uncertain),
            problem: self.printer_problem.clone(),
        }
    }

    pub(crate) fn set_settings(&mut self, settings: &Settings, call: &mut Call) -> Outcome {
        if self.profiles.get(&settings.profile).is_none() {
            let profile = crate::checkout::shown(&settings.profile);
            return Err(Refusal::new(RefusalCode::UnknownProfile).with("profile", profile));
        }
        if let PrinterTarget::Tcp { address } = &settings.printer
            && !is_printer_address(address)
        {
            return Err(RefusalCode::BadPrinterAddress.into());
        }
        let change = Change {
            settings: Some(settings.clone()),
            ..Change::default()
        };
        call.draft(self, change, Reply::Settings(settings.clone()))
    }

    pub(crate) fn list_print_jobs(&self) -> Outcome {
        let offset = self.store().map_or(0, |store| store.utc_offset_min);
        let jobs = self
            .book()?
            .print_jobs(PrintFilter::Pending)
            .map_err(|error| storage_refusal(&error))?;
        let jobs = jobs
            .into_iter()
            .map(|job| print_job_view(job, offset))
            .collect();
        Ok(Reply::PrintJobs { jobs })
    }

    pub(crate) fn resolve_print_job(
        &mut self,
        job: JobId,
        came_out: bool,
        call: &mut Call,
    ) -> Outcome {
        self.signed_in()?;
        let jobs = self
            .book()?
            .print_jobs(PrintFilter::Pending)
            .map_err(|error| storage_refusal(&error))?;
        let found = jobs
            .into_iter()
            .find(|found| found.job == job && found.state == Stored::Uncertain);
        let found = found.ok_or(RefusalCode::UnknownPrintJob)?;
        let update = if came_out {
            PrintUpdate::Printed
        } else {
            PrintUpdate::Cancelled
        };
        let copy = if came_out {
            Answerless::default()
        } else {
            self.copy_of(&found, call)?
        };
        self.settle_print_job(job, update, copy, call)
    }
}

fn print_job_view(job: PrintJob, offset: i32) -> PrintJobView {
    PrintJobView {
        job: job.job,
        document: job.number,
        state: match job.state {
            Stored::Queued => PrintState::Queued,
            Stored::Claimed => PrintState::Claimed,
            Stored::Printed | Stored::Cancelled => PrintState::Printed,
            Stored::Accepted => PrintState::Accepted,
            Stored::Uncertain => PrintState::Uncertain,
        },
        cause: job.cause,
        at: domain::time::local_minute(job.wall, offset),
    }
}

/// `host:port` with a host of letters, digits, dots and dashes, or an IPv6 address in brackets.
fn is_printer_address(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let port_ok = port.parse::<u16>().is_ok_and(|port| port > 0);
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host_ok = match inner {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.len() <= 253
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        }
    };
    host_ok && port_ok
}

#[cfg(test)]
mod tests {
    use super::is_printer_address;

    #[test]
    fn printer_addresses_name_host_and_port() {
        for (address, accepted) in [
            ("192.168.1.50:9100", true),
            ("printer-1.local:9100", true),
            ("[::1]:9100", true),
            ("printer", false),
            (":9100", false),
            ("printer:0", false),
            ("printer:99999", false),
            ("pri nter:9100", false),
            ("http://printer:9100", false),
        ] {
            assert_eq!(is_printer_address(address), accepted, "{address}");
        }
    }
}
