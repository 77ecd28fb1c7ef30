//! What texts may say: catalogues in step, profiles that inherit from each other, and nothing of where the
//! project was made.

use std::collections::{BTreeMap, BTreeSet};

use crate::{text_of, tracked};

const LANGUAGES: [&str; 3] = ["fr", "ar", "en"];

/// Keys of a catalogue, or what is wrong with it.
fn keys(name: &str, text: &str) -> Result<BTreeSet<String>, String> {
    let map: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| format!("{name}: {error}"))?;
    if let Some((key, _)) = map
        .iter()
        .find(|(_, value)| !(value.is_string() || value.is_object()))
    {
        return Err(format!("{name}: {key} is neither a text nor plural forms"));
    }
    if text.chars().any(|c| ('\u{2066}'..='\u{2069}').contains(&c)) {
        return Err(format!(
            "{name} holds isolates, which old engines draw reversed"
        ));
    }
    Ok(map.into_keys().collect())
}

fn catalogue_offences(areas: &BTreeMap<String, BTreeMap<String, String>>) -> Vec<String> {
    let mut offences = Vec::new();
    for (area, languages) in areas {
        let mut found = BTreeMap::new();
        for language in LANGUAGES {
            match languages
                .get(language)
                .map(|text| keys(&format!("{language}/{area}"), text))
            {
                None => offences.push(format!("{area} is missing in {language}")),
                Some(Err(offence)) => offences.push(offence),
                Some(Ok(keys)) => {
                    found.insert(language, keys);
                }
            }
        }
        let all: BTreeSet<String> = found.values().flatten().cloned().collect();
        for (language, keys) in found {
            offences.extend(
                all.difference(&keys)
                    .map(|key| format!("{area}: {key} is missing in {language}")),
            );
        }
    }
    offences
}

#[test]
fn the_catalogues_have_the_same_keys_in_three_languages() {
    let mut areas: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for name in tracked()
        .into_iter()
        .filter(|name| name.starts_with("ui/i18n/") && name.ends_with(".json"))
    {
        let parts: Vec<&str> = name.split('/').collect();
        let text = text_of(&name).expect("catalogues are UTF-8");
        areas
            .entry(parts[3].to_owned())
            .or_default()
            .insert(parts[2].to_owned(), text);
    }
    assert!(areas.len() >= 4, "{:?}", areas.keys());
    let offences = catalogue_offences(&areas);
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn a_missing_key_and_an_isolate_are_seen() {
    let area = |fr: &str, ar: &str| {
        let languages = [("fr", fr), ("ar", ar), ("en", "{\"a\":\"x\"}")];
        let languages = languages
            .into_iter()
            .map(|(language, text)| (language.to_owned(), text.to_owned()))
            .collect();
        BTreeMap::from([("x.json".to_owned(), languages)])
    };
    assert!(catalogue_offences(&area("{\"a\":\"x\"}", "{\"a\":\"y\"}")).is_empty());
    assert_eq!(
        catalogue_offences(&area("{\"a\":\"x\",\"b\":\"x\"}", "{\"a\":\"y\"}")).len(),
        2
    );
    assert_eq!(
        catalogue_offences(&area("{\"a\":\"x\"}", "{\"a\":\"\u{2066}y\"}")).len(),
        1
    );
    assert_eq!(
        catalogue_offences(&area("{\"a\":1}", "{\"a\":\"y\"}")).len(),
        1
    );
}

/// A refusal without a text in the catalogues would show its code to a cashier.
#[test]
fn every_refusal_has_a_text() {
    let text = text_of("ui/i18n/fr/refusal.json").expect("the catalogue of refusals");
    let known = keys("fr/refusal.json", &text).expect("a catalogue");
    let schemas = till::schema::schemas();
    let codes = schemas["refusal_codes"]["oneOf"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    assert!(codes.len() > 50, "{} codes", codes.len());
    let missing: Vec<String> = codes
        .iter()
        .filter_map(|code| code["const"].as_str())
        .filter(|code| !known.contains(*code) && !known.contains(&format!("refusal.{code}")))
        .map(ToOwned::to_owned)
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_printer_profile_loads_and_inherits_from_one_that_exists() {
    let sources = || {
        tracked()
            .into_iter()
            .filter(|name| name.starts_with("printer-profiles/") && name.ends_with(".json"))
            .map(|name| {
                let id = name
                    .rsplit('/')
                    .next()
                    .unwrap_or_default()
                    .trim_end_matches(".json")
                    .to_owned();
                (id, text_of(&name).expect("profiles are UTF-8"))
            })
            .collect::<Vec<_>>()
    };
    let profiles = receipt::Profiles::from_sources(sources()).expect("profiles load");
    assert!(profiles.get("generic-58").is_some() && profiles.get("generic-80").is_some());
    let mut orphaned = sources();
    orphaned.push((
        "orphan".to_owned(),
        "{\"id\":\"orphan\",\"name\":\"x\",\"inherits\":\"nobody\"}".to_owned(),
    ));
    assert!(receipt::Profiles::from_sources(orphaned).is_err());
}

/// Words that name the place or manner of making, registries, and notes to self.
fn telltale(text: &str) -> Option<&'static str> {
    // Spelt in two halves, so that this file does not hold what it looks for.
    const WORDS: &[(&str, &str)] = &[
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("/wo", "rk/"),
        ("registry.npm", "js.org"),
        ("static.crates", ".io"),
        ("index.crates", ".io"),
        ("pypi", ".org"),
        ("deb.deb", "ian.org"),
        ("FIX", "ME"),
        ("TO", "DO"),
        ("XX", "X:"),
        ("Clau", "de"),
        ("Chat", "GPT"),
        ("LL", "M "),
    ];
    WORDS
        .iter()
        .find(|(head, tail)| text.contains(&format!("{head}{tail}")))
        .map(|(head, _)| *head)
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let text_file = |name: &String| !name.ends_with(".csv") && !name.ends_with(".lock");
    let mut offences = Vec::new();
    for name in tracked().into_iter().filter(text_file) {
        if let Some(word) = text_of(&name).as_deref().and_then(telltale) {
            offences.push(format!("{name} holds {word}..."));
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
    assert!(telltale(&format!("see {}{}x", "/ho", "me/")).is_some());
    assert!(telltale(&format!("// {}{}: later", "FIX", "ME")).is_some());
    assert!(telltale("a plain sentence").is_none());
}
