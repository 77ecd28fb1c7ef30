//! What a store takes from its country's pack, and the identifiers of who runs it.

use std::collections::BTreeMap;

use domain::config::StoreConfig;
use domain::country::{CountryPack, DocumentKind, IdentityError};

/// Identifiers of a seller: kept in one form, printed as lines.
#[derive(Debug, Default)]
pub struct LegalIdentity {
    /// Canonical values by field.
    pub values: BTreeMap<String, String>,
    /// Lines for receipts, in the order of the pack.
    pub lines: Vec<String>,
    /// What somebody should compare with the paper: odd values and mandatory fields that are missing.
    pub warnings: Vec<String>,
}

/// Reads the identifiers of a seller, each a field of the pack with its value.
///
/// # Errors
/// [`IdentityError`], the first one found.
pub fn legal_identity(
    pack: &CountryPack,
    fields: &[(String, String)],
) -> Result<LegalIdentity, IdentityError> {
    let mut read = Vec::new();
    for (field, value) in fields {
        read.push(pack.read_identifier(field, value)?);
    }
    let mut identity = LegalIdentity::default();
    for field in pack.identity() {
        // Of a field that was given twice the last one counts, as with any option.
        let Some(id) = read.iter().rfind(|id| id.field == field.field) else {
            continue;
        };
        let warnings = id.warnings.iter();
        identity
            .warnings
            .extend(warnings.map(|warning| format!("{}: {warning}", id.field)));
        identity.lines.extend(id.line.clone());
        identity.values.insert(id.field.clone(), id.value.clone());
    }
    let missing = pack.missing_fields(identity.values.keys().map(String::as_str));
    let missing = missing
        .into_iter()
        .map(|field| format!("{field} is mandatory and missing"));
    identity.warnings.extend(missing.collect::<Vec<_>>());
    Ok(identity)
}

/// Gives a store what its country's pack says now. What the tenant decides stays: whether it is liable for the
/// stamp, whether cash is rounded, its identity and its limits.
pub fn refresh(config: &mut StoreConfig, pack: &CountryPack) {
    config.taxes = pack.taxes();
    config.utc_offset_min = pack.utc_offset_min();
    config.rules = pack.rules();
    if !config.levies.is_empty() {
        config.levies = pack.levies(DocumentKind::Ticket);
    }
}
