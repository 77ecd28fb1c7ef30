//! `import` and `verify`.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use domain::ids::{LocationId, PriceListId, TaxCategory, TenantId};
use domain::time::{BusinessDate, Now};
use hub::import::{FILE_BYTES_MAX, ImportOptions, ImportReport};

use super::{Context, Output, TenantArg};

#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    #[command(flatten)]
    tenant: TenantArg,
    /// CSV file; the format is told by its header.
    file: PathBuf,
    /// Only check the file and report.
    #[arg(long)]
    dry_run: bool,
    /// First day on which the prices hold; today unless given.
    #[arg(long, value_name = "YYYY-MM-DD")]
    valid_from: Option<BusinessDate>,
    /// Shopify: price list that the prices belong to.
    #[arg(long)]
    price_list: Option<PriceListId>,
    /// Shopify: tax category of all variants.
    #[arg(long, default_value = "standard")]
    tax: TaxCategory,
    /// Ours: write the stock:* columns as counts of opening stock.
    #[arg(long)]
    opening_stock: bool,
    /// Shopify: write the inventory quantities as counts at this location.
    #[arg(long)]
    stock_location: Option<LocationId>,
}

pub(super) fn import(context: &Context, args: &ImportArgs) -> anyhow::Result<Output> {
    let mut hub = context.data.hub(&args.tenant.tenant)?;
    let length = std::fs::metadata(&args.file)
        .with_context(|| format!("reading {}", args.file.display()))?
        .len();
    anyhow::ensure!(length <= FILE_BYTES_MAX as u64, "the file is too large");
    let bytes =
        std::fs::read(&args.file).with_context(|| format!("reading {}", args.file.display()))?;
    let options = ImportOptions {
        dry_run: args.dry_run,
        valid_from: args.valid_from.unwrap_or_else(|| {
            let offset = hub
                .stores()
                .ok()
                .and_then(|stores| stores.first().map(|s| s.utc_offset_min));
            Now {
                utc_offset_min: offset.unwrap_or(0),
                ..context.now
            }
            .local_date()
        }),
        price_list: args.price_list.clone(),
        tax: args.tax.clone(),
        opening_stock: args.opening_stock,
        stock_location: args.stock_location.clone(),
    };
    let terminal = io::stderr().is_terminal() && !context.json;
    let report = hub.import(&bytes, &options, &context.now, &mut |done, total| {
        if terminal {
            draw(done, total);
        }
    })?;
    let ok = report.errors_total == 0;
    let mut output = Output::new(words(&report, &options), &report)?;
    output.json["ok"] = ok.into();
    output.ok = ok;
    Ok(output)
}

/// A bar on standard error; a terminal that is gone does not stop an import.
fn draw(done: usize, total: usize) {
    const WIDTH: usize = 40;
    let filled = done * WIDTH / total.max(1);
    let end = if done == total { "\n" } else { "" };
    let mut err = io::stderr().lock();
    let _ = write!(
        err,
        "\r[{}{}] {done} of {total}{end}",
        "#".repeat(filled),
        ".".repeat(WIDTH - filled)
    );
    let _ = err.flush();
}

fn words(report: &ImportReport, options: &ImportOptions) -> String {
    let mut text = format!(
        "{} rows: {} styles, {} variants ({} new), {} barcodes, {} prices, {} counts\n",
        report.rows,
        report.styles,
        report.variants,
        report.new_variants,
        report.gtins,
        report.prices,
        report.counted
    );
    for (kind, notes) in [("error", &report.errors), ("note", &report.warnings)] {
        for note in notes {
            text.push_str(&format!(
                "{kind}: row {}, {}: {} ({})\n",
                note.row, note.column, note.message, note.code
            ));
        }
    }
    let listed = report.errors.len() as u64;
    if report.errors_total > listed {
        text.push_str(&format!(
            "and {} errors more\n",
            report.errors_total - listed
        ));
    }
    text.push_str(
        match (report.applied, options.dry_run, report.errors_total) {
            (true, _, _) => "imported\n",
            (false, _, 1..) => "nothing was imported\n",
            (false, true, 0) => "dry run: nothing was imported, and nothing is in the way\n",
            (false, false, 0) => "nothing was imported\n",
        },
    );
    text
}

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Tenant; all of them unless given.
    #[arg(long)]
    tenant: Option<TenantId>,
}

pub(super) fn verify(context: &Context, args: &VerifyArgs) -> anyhow::Result<Output> {
    // One tenant's report is the whole answer; several stand under their names.
    let tenants = context.data.tenants()?;
    let alone = match tenants.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    if let Some(tenant) = args.tenant.as_ref().or(alone) {
        let report = context.data.hub(tenant)?.verify()?;
        let mut output = Output::new(verdict(tenant, report.first_bad.as_deref()), &report)?;
        output.ok = report.ok;
        return Ok(output);
    }
    let mut text = String::new();
    let mut reports = BTreeMap::new();
    for tenant in tenants {
        let report = context.data.hub(&tenant)?.verify()?;
        text.push_str(&verdict(&tenant, report.first_bad.as_deref()));
        reports.insert(tenant, report);
    }
    let ok = reports.values().all(|report| report.ok);
    let mut output = Output::new(text, serde_json::json!({ "ok": ok, "tenants": reports }))?;
    output.ok = ok;
    Ok(output)
}

fn verdict(tenant: &TenantId, first_bad: Option<&str>) -> String {
    match first_bad {
        None => format!("{tenant}: everything agrees\n"),
        Some(bad) => format!("{tenant}: {bad}\n"),
    }
}
