//! What goes on paper: documents built from facts, frozen in print jobs, and pictures of them for screens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDateTime, TimeDelta};
use domain::catalog::Language;
use domain::event::{Fact, Reprinted, SaleBody, ShiftClosed};
use domain::ids::{EventId, JobId};
use ledger::{
    Item, LedgerError, NewPrintJob, OpenShift, PrintJob, PrintKind, PrintUpdate, Receipt,
    ReceiptBody,
};
use receipt::sale_receipt::{LevyLine, Occasion, ReceiptLine, StoreIdentity, TenderLine};
use receipt::shift_report::{DrawerFigures, ReportKind};
use receipt::{Document, Renderer, SaleReceipt, ShiftReport, TestPage};

use crate::checkout::Terms;
use crate::door::{Answer, PrinterTarget, ReceiptView, Refusal, RefusalCode, Reply};
use crate::stockroom::ROWS_MAX;
use crate::till::{Answerless, Call, Outcome, Till, encode, storage_refusal};
use crate::views::{count_sum, options_text};

/// Rows of a list of receipts unless asked otherwise.
const RECEIPTS_DEFAULT: u32 = 30;

impl Till {
    /// The job that prints a sale or reversal; none without a printer.
    pub(crate) fn sale_job(
        &self,
        body: &SaleBody,
        reverses: Option<&str>,
        terms: &Terms,
        call: &mut Call,
    ) -> Option<NewPrintJob> {
        call.code = self.sign_sale(body, reverses.is_some(), terms, call);
        let code = Till::code_of(call.code.as_ref(), terms);
        let document = self.sale_document(body, reverses, call.now.wall_ms, code, terms);
        self.document_job(&document, PrintKind::Receipt, body.number.clone(), 0, call)
    }

    /// The job that opens the drawer: its own job, at most once, never inside receipt bytes.
    pub(crate) fn kick_job(&self, cash_moves: bool, call: &mut Call) -> Option<NewPrintJob> {
        let has_drawer = match self.settings.printer {
            PrinterTarget::Tcp { .. } => true,
            PrinterTarget::File | PrinterTarget::None => false,
        };
        (cash_moves && has_drawer).then(|| NewPrintJob {
            job: JobId(call.uuid()),
            kind: PrintKind::Kick,
            number: String::new(),
            document: String::new(),
            copy: 0,
            wall: call.now.wall_ms,
        })
    }

    pub(crate) fn document_job(
        &self,
        document: &Document,
        kind: PrintKind,
        number: String,
        copy: u32,
        call: &mut Call,
    ) -> Option<NewPrintJob> {
        if self.settings.printer == PrinterTarget::None {
            return None;
        }
        let job = JobId(call.uuid());
        Some(NewPrintJob {
            job,
            kind,
            number,
            document: document.to_json(),
            copy,
            wall: call.now.wall_ms,
        })
    }

    pub(crate) fn receipt_language(&self, terms: &Terms) -> Language {
        self.settings
            .receipt_language
            .unwrap_or(terms.store.receipt_language)
    }

    fn sale_document(
        &self,
        body: &SaleBody,
        reverses: Option<&str>,
        wall_ms: i64,
        code: receipt::sale_receipt::ReceiptCode,
        terms: &Terms,
    ) -> Document {
        let language = self.receipt_language(terms);
        let till = self
            .ledger
            .as_ref()
            .map(|book| book.identity().till.to_string())
            .unwrap_or_default();
        SaleReceipt {
            language,
            store: identity(terms, language),
            occasion: reverses.map_or(Occasion::Sale, |number| Occasion::Reversal {
                of_number: number.to_owned(),
            }),
            training: false,
            number: body.number.clone(),
            business_date: body.business_date.0,
            wall: local(wall_ms, terms),
            till,
            cashier: self.display_name(body.cashier),
            currency: body.currency,
            lines: body
                .lines
                .iter()
                .map(|line| self.receipt_line(line, language))
                .collect(),
            cart_discount_minor: body.lines.iter().map(|line| line.cart_discount_minor).sum(),
            taxes: body.taxes.clone(),
            levies: body
                .levies
                .iter()
                .map(|levy| LevyLine {
                    label: receipt::texts::levy(language, &levy.code),
                    minor: levy.minor,
                })
                .collect(),
            rounding_minor: body.rounding_minor,
            total_minor: body.total_minor,
            tenders: body
                .tenders
                .iter()
                .map(|tender| TenderLine {
                    kind: tender.kind,
                    minor: tender.amount_minor,
                    reference: tender.reference.clone(),
                })
                .collect(),
            change_minor: body.change_minor,
            code,
            footer: Vec::new(),
        }
        .to_document()
    }

    fn receipt_line(&self, line: &domain::event::SaleLine, language: Language) -> ReceiptLine {
        let item = self
            .ledger
            .as_ref()
            .and_then(|book| book.item(line.variant).ok().flatten());
        // Only while the catalogue calls it what the receipt called it may another language be looked up
        // there: a copy must not name another article than the original.
        let name = item
            .filter(|item| item_label(item, Language::Fr) == line.label)
            .map_or_else(|| line.label.clone(), |item| item_label(&item, language));
        ReceiptLine {
            name,
            quantity: line.quantity,
            unit_minor: line.unit_minor,
            gross_minor: line.total_minor + line.discount_minor + line.cart_discount_minor,
            discount_minor: line.discount_minor,
            discount_percent: None,
        }
    }

    pub(crate) fn test_print(&mut self, call: &mut Call) -> Outcome {
        let terms = self.terms(call)?;
        let language = self.receipt_language(&terms);
        let profile = self
            .profiles
            .get(&self.settings.profile)
            .ok_or(RefusalCode::UnknownProfile)?;
        let document = TestPage {
            language,
            store: identity(&terms, language),
            printer: profile.name.clone(),
            width_dots: profile.width_dots(),
            printed: local(call.now.wall_ms, &terms),
        }
        .to_document();
        let job = self.document_job(&document, PrintKind::Test, "TEST".to_owned(), 0, call);
        self.keep_jobs(job.into_iter().collect(), Reply::Done {}, call)
    }

    /// Queues jobs that belong to no fact, with the answer.
    pub(crate) fn keep_jobs(
        &mut self,
        jobs: Vec<NewPrintJob>,
        reply: Reply,
        call: &mut Call,
    ) -> Outcome {
        let answer = Answer::Ok(reply);
        let text = encode(&answer);
        let (id, digest, wall) = (call.id, call.digest, call.now.wall_ms);
        let written = self.book_mut()?.write(|tx| {
            for job in jobs {
                tx.queue_print(&job)?;
            }
            tx.store_answer(id, digest, &text, wall)
        });
        written.map_err(|error: LedgerError| storage_refusal(&error))?;
        call.stored = true;
        match answer {
            Answer::Ok(reply) => Ok(reply),
            Answer::Refused(refusal) => Err(refusal),
        }
    }

    pub(crate) fn report_document(
        &self,
        shift: &OpenShift,
        closed: Option<(&ShiftClosed, i64)>,
        call: &Call,
    ) -> Document {
        let Ok(terms) = self.terms(call) else {
            return Document::new(self.settings.language);
        };
        self.shift_document(shift, closed, &terms, call.now.wall_ms)
    }

    /// The paper of a Z report, built again from its facts.
    pub(crate) fn closed_document(
        &self,
        shift: &OpenShift,
        closed: &ShiftClosed,
        wall: i64,
    ) -> Result<Document, Refusal> {
        let terms = Terms {
            store: self.store()?,
            date: shift.opened.business_date,
        };
        Ok(self.shift_document(shift, Some((closed, wall)), &terms, wall))
    }

    fn shift_document(
        &self,
        shift: &OpenShift,
        closed: Option<(&ShiftClosed, i64)>,
        terms: &Terms,
        wall_ms: i64,
    ) -> Document {
        let language = self.receipt_language(terms);
        let totals = closed.map_or(&shift.totals, |(closed, _)| &closed.totals);
        let till = self
            .ledger
            .as_ref()
            .map(|book| book.identity().till.to_string())
            .unwrap_or_default();
        ShiftReport {
            language,
            store: identity(terms, language),
            kind: closed.map_or(ReportKind::X, |(closed, _)| ReportKind::Z {
                number: closed.z_number,
            }),
            business_date: shift.opened.business_date.0,
            till,
            cashier: self.display_name(closed.map_or(shift.opened.user, |(closed, _)| closed.user)),
            opened: local(shift.opened_wall, terms),
            closed: closed.map(|(_, wall)| local(wall, terms)),
            printed: local(closed.map_or(wall_ms, |(_, wall)| wall), terms),
            first_receipt: None,
            last_receipt: None,
            currency: terms.store.currency,
            sales: totals.sales,
            reversals: totals.reversals,
            units: totals.units,
            voided_lines: totals.voided_lines,
            voided_carts: totals.voided_carts,
            discounts_minor: totals.discounts_minor,
            rounding_minor: totals.rounding_minor,
            levies: totals
                .levies_minor
                .iter()
                .map(|(code, minor)| LevyLine {
                    label: receipt::texts::levy(language, code),
                    minor: *minor,
                })
                .collect(),
            cash_stamp: totals.cash_stamp.clone(),
            taxes: totals.taxes.clone(),
            tenders: totals
                .tenders_minor
                .iter()
                .map(|(kind, minor)| (*kind, *minor))
                .collect(),
            moved: totals
                .moved_minor
                .iter()
                .map(|(movement, minor)| (*movement, *minor))
                .collect(),
            no_sales: totals.no_sales,
            counts: totals.counts,
            hand_overs: totals.hand_overs,
            deposit_minor: closed.map_or(0, |(closed, _)| count_sum(&closed.deposit)),
            drawer_number: (terms.store.drawer.drawers > 1).then_some(shift.opened.drawer),
            takings_minor: totals.takings_minor,
            drawer: DrawerFigures {
                float_minor: totals.float_minor,
                expected_minor: Some(totals.expected_minor),
                counted_minor: closed.map(|(closed, _)| closed.counted_minor),
                difference_minor: closed.map(|(closed, _)| closed.difference_minor),
            },
            perpetual_minor: closed.map(|(closed, _)| closed.perpetual_minor),
        }
        .to_document()
    }

    pub(crate) fn report_job(
        &self,
        shift: &OpenShift,
        closed: Option<(&ShiftClosed, i64)>,
        call: &mut Call,
    ) -> Result<Option<NewPrintJob>, Refusal> {
        let document = self.report_document(shift, closed, call);
        let number = closed.map_or_else(
            || "X".to_owned(),
            |(closed, _)| format!("Z{}", closed.z_number),
        );
        Ok(self.document_job(&document, PrintKind::Report, number, 0, call))
    }

    /// A picture of a document at the printer's width, PNG in base64.
    pub(crate) fn picture(&mut self, document: &Document) -> String {
        let width = self
            .profiles
            .get(&self.settings.profile)
            .map_or(384, receipt::Profile::width_dots);
        let bitmap = self
            .renderer
            .get_or_insert_with(Renderer::new)
            .render(document, width);
        STANDARD.encode(bitmap.to_png())
    }

    pub(crate) fn list_receipts(&self, query: &str, limit: Option<u32>) -> Outcome {
        self.signed_in()?;
        let limit = limit.unwrap_or(RECEIPTS_DEFAULT).clamp(1, ROWS_MAX);
        let query: String = query
            .trim()
            .chars()
            .filter(|c| !c.is_control())
            .take(64)
            .collect();
        let found = self
            .receipts_everywhere(&query, limit)
            .map_err(|error| storage_refusal(&error))?;
        let receipts = found
            .iter()
            .map(|receipt| self.receipt_row(receipt))
            .collect::<Result<_, _>>()?;
        Ok(Reply::Receipts { receipts })
    }

    pub(crate) fn get_receipt(&mut self, number: &str) -> Outcome {
        self.signed_in()?;
        let receipt = self.receipt_by_number(number)?;
        let document = self.document_of(&receipt)?;
        let row = self.receipt_row(&receipt)?;
        let png_base64 = self.picture(&document);
        Ok(Reply::Receipt(Box::new(ReceiptView {
            row,
            png_base64,
            copies: receipt.copies,
        })))
    }

    /// The receipt with `number`, from here or the file of an earlier stream.
    pub(crate) fn receipt_by_number(&self, number: &str) -> Result<Receipt, Refusal> {
        let found = self
            .book()?
            .receipt(number.trim())
            .map_err(|error| storage_refusal(&error))?;
        if let Some(found) = found {
            return Ok(found);
        }
        self.earlier_receipt(number.trim())
            .map_err(|error| storage_refusal(&error))?
            .ok_or_else(|| RefusalCode::UnknownReceipt.into())
    }

    fn document_of(&self, receipt: &Receipt) -> Result<Document, Refusal> {
        let store = self.store()?;
        let code = self.stored_code(receipt);
        Ok(match &receipt.body {
            ReceiptBody::Sale(body) => {
                let terms = Terms {
                    store,
                    date: body.business_date,
                };
                let code = Till::code_of(code.as_ref(), &terms);
                self.sale_document(body, None, receipt.wall, code, &terms)
            }
            ReceiptBody::Reversal(reversed) => {
                let terms = Terms {
                    store,
                    date: reversed.mirror.business_date,
                };
                let code = Till::code_of(code.as_ref(), &terms);
                self.sale_document(
                    &reversed.mirror,
                    Some(&reversed.of_number),
                    receipt.wall,
                    code,
                    &terms,
                )
            }
        })
    }

    pub(crate) fn reprint_last(&mut self, call: &mut Call) -> Outcome {
        self.signed_in()?;
        let last = self
            .book()?
            .last_receipt()
            .map_err(|error| storage_refusal(&error))?;
        let last = last.ok_or(RefusalCode::NoReceipt)?;
        self.reprint_receipt(&last, call)
    }

    pub(crate) fn reprint(&mut self, number: &str, call: &mut Call) -> Outcome {
        self.signed_in()?;
        let receipt = self.receipt_by_number(number)?;
        self.reprint_receipt(&receipt, call)
    }

    fn reprint_receipt(&mut self, receipt: &Receipt, call: &mut Call) -> Outcome {
        let copy = self.copy_of_receipt(receipt, call)?;
        let copies = receipt.copies.saturating_add(1);
        let row = self.receipt_row(receipt)?;
        let document = self.document_of(receipt)?.as_copy(copies);
        let png_base64 = self.picture(&document);
        let reply = Reply::Receipt(Box::new(ReceiptView {
            row,
            png_base64,
            copies,
        }));
        let Answerless { fact, jobs } = copy;
        match fact {
            Some((event, fact)) => self.record_fact(event, &fact, jobs, reply, call),
            None => self.keep_jobs(jobs, reply, call),
        }
    }

    fn copy_of_receipt(&self, receipt: &Receipt, call: &mut Call) -> Result<Answerless, Refusal> {
        let user = self.signed_in()?.user;
        let copy = receipt.copies.saturating_add(1);
        let document = self.document_of(receipt)?.as_copy(copy);
        let event = EventId(call.uuid());
        let fact = Fact::Reprinted(Reprinted {
            number: receipt.number.clone(),
            copy,
            user,
        });
        let job = self.document_job(
            &document,
            PrintKind::Copy,
            receipt.number.clone(),
            copy,
            call,
        );
        Ok(Answerless {
            fact: Some((event, fact)),
            jobs: job.into_iter().collect(),
        })
    }

    /// A marked copy in place of a print job of which nobody knows whether it came out.
    pub(crate) fn copy_of(&self, job: &PrintJob, call: &mut Call) -> Result<Answerless, Refusal> {
        if let Some(receipt) = self
            .book()?
            .receipt(&job.number)
            .map_err(|error| storage_refusal(&error))?
        {
            return self.copy_of_receipt(&receipt, call);
        }
        let Ok(document) = Document::from_json(&job.document) else {
            return Ok(Answerless::default());
        };
        let fact = self.copied_report(job, call)?;
        let copy = fact
            .as_ref()
            .map_or(job.copy.saturating_add(1), |(_, reprinted)| reprinted.copy);
        let paper = self.document_job(
            &document.as_copy(copy),
            PrintKind::Copy,
            job.number.clone(),
            copy,
            call,
        );
        Ok(Answerless {
            fact: fact.map(|(event, reprinted)| (event, Fact::Reprinted(reprinted))),
            jobs: paper.into_iter().collect(),
        })
    }

    /// The copy of a numbered report or slip as a fact; none for papers without a number of their own.
    fn copied_report(
        &self,
        job: &PrintJob,
        call: &mut Call,
    ) -> Result<Option<(EventId, Reprinted)>, Refusal> {
        let numbered = matches!(job.kind, PrintKind::Report | PrintKind::Copy);
        if !numbered || matches!(job.number.as_str(), "" | "X" | "TEST") {
            return Ok(None);
        }
        let copies = self
            .book()?
            .copies(&job.number)
            .map_err(|error: LedgerError| storage_refusal(&error))?;
        let reprinted = Reprinted {
            number: job.number.clone(),
            copy: copies.saturating_add(1),
            user: self.signed_in()?.user,
        };
        Ok(Some((EventId(call.uuid()), reprinted)))
    }

    pub(crate) fn settle_print_job(
        &mut self,
        job: JobId,
        update: PrintUpdate,
        copy: Answerless,
        call: &mut Call,
    ) -> Outcome {
        let answer = Answer::Ok(Reply::Done {});
        let text = encode(&answer);
        let (id, digest, now) = (call.id, call.digest, call.now);
        let written = self.book_mut()?.write(|tx| {
            tx.mark_print(job, &update)?;
            if let Some((event, fact)) = &copy.fact {
                tx.append(&now, *event, fact)?;
            }
            for job in copy.jobs {
                tx.queue_print(&job)?;
            }
            tx.store_answer(id, digest, &text, now.wall_ms)
        });
        written.map_err(|error: LedgerError| storage_refusal(&error))?;
        call.stored = true;
        Ok(Reply::Done {})
    }
}

/// Name and options, as the label of a sale's line has them in French.
fn item_label(item: &Item, language: Language) -> String {
    let name = item.style.names.get(language);
    if item.variant.options.is_empty() {
        return name.to_owned();
    }
    format!("{name} {}", options_text(&item.variant.options))
}

pub(crate) fn identity(terms: &Terms, language: Language) -> StoreIdentity {
    StoreIdentity {
        name: terms.store.chain.clone(),
        branch: terms.store.name.get(language).to_owned(),
        address: terms.store.address.clone(),
        legal: terms.store.legal.clone(),
        logo: None,
    }
}

pub(crate) fn local(wall_ms: i64, terms: &Terms) -> NaiveDateTime {
    let shifted = TimeDelta::minutes(i64::from(terms.store.utc_offset_min));
    let utc = DateTime::from_timestamp_millis(wall_ms)
        .unwrap_or_default()
        .naive_utc();
    utc.checked_add_signed(shifted).unwrap_or(utc)
}
