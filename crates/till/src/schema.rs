//! The door described for outsiders: JSON Schemas of all types, and `docs/till-api.md` made from them.

use std::fmt::Write as _;

use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

use crate::door::{Answer, Command, RefusalCode, Reply, Request};

/// JSON Schemas of `Request`, `Command`, `Answer`, `Reply` and the refusal codes.
pub fn schemas() -> Value {
    json!({
        "request": schema_for!(Request),
        "command": schema_for!(Command),
        "answer": schema_for!(Answer),
        "reply": schema_for!(Reply),
        "refusal_codes": schema_for!(RefusalCode),
    })
}

/// The text of `docs/till-api.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# The till's door\n\n\
         Generated from `crates/till/src/door.rs`; a test fails when it is stale.\n\n\
         `POST /api/call` with `{\"id\": uuid, \"command\": {\"type\": ..., ...}}` answers `{\"ok\": Reply}` or \
         `{\"refused\": {\"code\": ..., \"params\": {}}}`. The same id with the same command gets the same answer; \
         with another command it is refused. Amounts are integer minor units, quantities integer thousandths. Ids are UUIDs as text, store and location codes short texts.\n\n\
         A value with several shapes says which one in `\"type\"` (`{\"type\": \"percent\", \"bp\": 1000}`, `{\"type\": \"tcp\", \
         \"address\": \"192.0.2.7:9100\"}`); enrolment says it in `\"state\"`. For example\n\n\
         ```json\n{\"id\": \"0193a1b2-0000-7000-8000-000000000001\", \"command\": {\"type\": \"DiscountLine\", \"line\": 1, \
         \"discount\": {\"type\": \"percent\", \"bp\": 1000}}}\n```\n",
    );
    text.push_str("\n## Commands\n");
    variants(&mut text, &schema_for!(Command));
    text.push_str("\n## Replies\n");
    variants(&mut text, &schema_for!(Reply));
    text.push_str("\n## Refusals\n\n| code | meaning |\n|---|---|\n");
    for variant in alternatives(&schema_for!(RefusalCode)) {
        let code = variant
            .get("const")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let _ = writeln!(text, "| `{code}` | {} |", description(&variant));
    }
    let schema = schema_for!(Command);
    let replies = schema_for!(Reply);
    text.push_str("\n## Types\n");
    let mut types: Map<String, Value> = definitions(&schema);
    types.extend(definitions(&replies));
    let mut names: Vec<&String> = types.keys().collect();
    names.sort();
    for name in names {
        let body = &types[name];
        let _ = writeln!(text, "\n### {name}\n\n{}\n", description(body));
        if body.get("oneOf").is_some() {
            for variant in body["oneOf"].as_array().into_iter().flatten() {
                let label = variant
                    .get("const")
                    .and_then(Value::as_str)
                    .map_or_else(|| tag(variant), ToOwned::to_owned);
                let _ = writeln!(
                    text,
                    "- `{label}`: {}{}",
                    description(variant),
                    inline_fields(variant)
                );
            }
        } else {
            fields(&mut text, body);
        }
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text
}

fn variants(text: &mut String, schema: &Schema) {
    for variant in alternatives(schema) {
        let _ = writeln!(
            text,
            "\n### {}\n\n{}\n",
            tag(&variant),
            description(&variant)
        );
        if let Some(target) = variant.get("$ref").and_then(Value::as_str) {
            let _ = writeln!(
                text,
                "Fields of {}.",
                target.rsplit('/').next().unwrap_or_default()
            );
        }
        fields(text, &variant);
    }
}

fn alternatives(schema: &Schema) -> Vec<Value> {
    schema
        .get("oneOf")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

fn definitions(schema: &Schema) -> Map<String, Value> {
    schema
        .get("$defs")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

fn tag(variant: &Value) -> String {
    let properties = &variant["properties"];
    let name = ["type", "state"]
        .iter()
        .find_map(|key| properties[*key]["const"].as_str());
    name.unwrap_or_default().to_owned()
}

fn description(value: &Value) -> String {
    value
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .replace('\n', " ")
}

fn inline_fields(variant: &Value) -> String {
    let Some(properties) = variant.get("properties").and_then(Value::as_object) else {
        return String::new();
    };
    let names: Vec<String> = properties
        .iter()
        .filter(|(_, body)| body.get("const").is_none())
        .map(|(name, body)| format!("`{name}`: {}", kind(body)))
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" ({})", names.join(", "))
    }
}

fn fields(text: &mut String, value: &Value) {
    let Some(properties) = value.get("properties").and_then(Value::as_object) else {
        return;
    };
    let required: Vec<&str> = value["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let rows: Vec<_> = properties
        .iter()
        .filter(|(_, body)| body.get("const").is_none())
        .collect();
    if rows.is_empty() {
        return;
    }
    text.push_str("| field | type | meaning |\n|---|---|---|\n");
    for (name, body) in rows {
        let optional = if required.contains(&name.as_str()) {
            ""
        } else {
            ", optional"
        };
        let _ = writeln!(
            text,
            "| `{name}` | {}{optional} | {} |",
            kind(body),
            description(body)
        );
    }
}

fn kind(body: &Value) -> String {
    if let Some(target) = body.get("$ref").and_then(Value::as_str) {
        return target.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(options) = body.get("anyOf").and_then(Value::as_array) {
        return options.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match &body["type"] {
        Value::String(name) if name == "array" => format!("list of {}", kind(&body["items"])),
        Value::String(name) => body["format"]
            .as_str()
            .filter(|format| *format == "uuid")
            .unwrap_or(name)
            .to_owned(),
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "any".to_owned(),
    }
}
