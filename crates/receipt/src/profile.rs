//! What a printer model can do. One JSON file per model in `printer-profiles/`: the field names of
//! escpos-printer-db, and a `pos` block for what a till needs to know beyond them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A printer model, inheritance resolved.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Profile {
    /// Name of the file without its extension.
    pub id: String,
    /// Name shown in settings.
    pub name: String,
    /// Maker.
    #[serde(default)]
    pub vendor: String,
    /// Where the figures come from, and what to know.
    #[serde(default)]
    pub notes: String,
    /// Model this one builds on.
    #[serde(default)]
    pub inherits: Option<String>,
    /// Command families the model obeys.
    pub features: Features,
    /// Ribbon colours by number.
    #[serde(default)]
    pub colors: BTreeMap<String, String>,
    /// Built-in fonts by number.
    #[serde(default)]
    pub fonts: BTreeMap<String, FontInfo>,
    /// Paper.
    pub media: Media,
    /// Code pages by number of `ESC t`.
    #[serde(default)]
    pub code_pages: BTreeMap<String, String>,
    /// What a till needs beyond the above.
    pub pos: Pos,
}

/// Command families. Names are those of escpos-printer-db.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Features {
    /// `GS k` function A.
    pub barcode_a: bool,
    /// `GS k` function B.
    pub barcode_b: bool,
    /// `GS v 0`.
    pub bit_image_raster: bool,
    /// `ESC *`.
    pub bit_image_column: bool,
    /// `GS ( L`.
    pub graphics: bool,
    /// Star commands.
    pub star_commands: bool,
    /// `GS ( k`, QR.
    pub qr_code: bool,
    /// `GS ( k`, PDF417.
    #[serde(rename = "pdf417Code")]
    pub pdf417_code: bool,
    /// Full dot density.
    pub high_density: bool,
    /// `ESC p`.
    pub pulse_standard: bool,
    /// `BEL`.
    pub pulse_bel: bool,
    /// Full cut.
    pub paper_full_cut: bool,
    /// Partial cut.
    pub paper_part_cut: bool,
}

/// A built-in font.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FontInfo {
    /// Name.
    pub name: String,
    /// Characters per line.
    pub columns: u32,
}

/// Paper.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Width.
    pub width: MediaWidth,
    /// Dots per inch, none where unknown.
    #[serde(default, deserialize_with = "number_or_unknown")]
    pub dpi: Option<u32>,
}

/// Width of the paper and of what prints on it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaWidth {
    /// Paper in millimetres, none where unknown.
    #[serde(default, deserialize_with = "number_or_unknown")]
    pub mm: Option<u32>,
    /// Printable dots, none where unknown: such a model cannot print a raster.
    #[serde(default, deserialize_with = "number_or_unknown")]
    pub pixels: Option<u32>,
}

/// What a till needs beyond escpos-printer-db.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Pos {
    /// Ways to reach it, preferred first.
    pub transport: Vec<Transport>,
    /// How text is sent.
    pub text: TextMode,
    /// How pictures are sent.
    pub raster: Raster,
    /// How paper is cut or pushed out.
    pub cut: Cut,
    /// How a cash drawer is opened.
    pub drawer: Drawer,
    /// Where its state is read.
    pub status: StatusSource,
    /// How it confirms that it printed.
    pub confirm: Confirm,
    /// How its buffer is emptied.
    pub clear: Clear,
    /// Paper speed in millimetres a second.
    pub speed_mm_s: u32,
    /// Dots that do not print at the left and at the right of `media.width.pixels`.
    pub margin_dots: [u32; 2],
}

/// A way to reach a printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Raw TCP, usually port 9100.
    Tcp,
    /// USB printer class.
    Usb,
    /// Serial line.
    Serial,
    /// Pictures in a folder.
    File,
    /// The service of a Sunmi handheld.
    SunmiService,
}

/// How text is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextMode {
    /// As a picture.
    Raster,
}

/// How pictures are sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Raster {
    /// Command.
    pub cmd: RasterCommand,
    /// Most rows in one command; a printer with a small buffer needs few.
    pub band_rows: u32,
    /// Most bytes in one write.
    pub max_bytes_per_write: u32,
    /// Whether line spacing is set to zero first, so bands meet.
    pub line_spacing_zero: bool,
    /// What stands for white rows.
    pub blank_rows: BlankRows,
}

/// Raster command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RasterCommand {
    /// `GS v 0`.
    #[serde(rename = "gs_v_0")]
    GsV0,
}

/// What stands for white rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlankRows {
    /// Picture data: right on any printer.
    Raster,
    /// `ESC J`, after `GS P` has set its unit to one dot: fewer bytes.
    EscJ,
}

/// How paper is cut or pushed out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Cut {
    /// Command.
    pub cmd: CutCommand,
    /// Text lines fed before it, to the tear bar where there is no cutter.
    #[serde(default)]
    pub feed_lines: u8,
    /// Argument of the feeding cut commands, in the printer's units.
    #[serde(default)]
    pub feed: u8,
}

/// Cut command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum CutCommand {
    /// No cutter.
    #[serde(rename = "none")]
    None,
    /// `GS V 0`, full cut where the paper stands.
    #[serde(rename = "gs_v_0")]
    GsV0,
    /// `GS V 1`, partial cut where the paper stands.
    #[serde(rename = "gs_v_1")]
    GsV1,
    /// `GS V 65 n`, feeds to the cutter and cuts fully.
    #[serde(rename = "gs_v_65")]
    GsV65,
    /// `GS V 66 n`, feeds to the cutter and cuts partially.
    #[serde(rename = "gs_v_66")]
    GsV66,
}

/// How a cash drawer is opened.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Drawer {
    /// Command.
    pub cmd: DrawerCommand,
    /// Connector pin, 2 or 5.
    #[serde(default = "pin_two")]
    pub pin: u8,
    /// Length of the pulse, at most 510 ms.
    #[serde(default)]
    pub on_ms: u16,
    /// Rest after it, at most 510 ms.
    #[serde(default)]
    pub off_ms: u16,
}

const fn pin_two() -> u8 {
    2
}

/// Drawer command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrawerCommand {
    /// No drawer port.
    None,
    /// `ESC p`.
    EscP,
}

/// Where a printer's state is read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct StatusSource {
    /// It answers `DLE EOT`.
    pub dle_eot: bool,
    /// It sends automatic status (`GS a`).
    pub asb: bool,
    /// Another source, by name.
    pub source: Option<String>,
}

/// How a printer confirms that it printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirm {
    /// It does not.
    None,
    /// It answers `GS r` after the data before it.
    GsR,
    /// It echoes a process id (`GS ( H`).
    ProcessId,
    /// The verdict of a Sunmi transaction.
    SunmiTransaction,
}

/// How a printer's buffer is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Clear {
    /// It cannot be.
    #[serde(rename = "none")]
    None,
    /// `DLE DC4` function 8.
    #[serde(rename = "dle_dc4_8")]
    DleDc48,
}

impl Profile {
    /// Dots that print on a row.
    pub fn width_dots(&self) -> u32 {
        let [left, right] = self.pos.margin_dots;
        self.media
            .width
            .pixels
            .unwrap_or(0)
            .saturating_sub(left + right)
    }
}

/// escpos-printer-db writes the word `Unknown` where a number is not known.
fn number_or_unknown<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum NumberOrWord {
        Number(u32),
        Word(String),
    }
    match NumberOrWord::deserialize(deserializer)? {
        NumberOrWord::Number(number) => Ok(Some(number)),
        NumberOrWord::Word(word) if word == "Unknown" => Ok(None),
        NumberOrWord::Word(_) => Err(serde::de::Error::custom("neither a number nor Unknown")),
    }
}

/// Why a set of profiles cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A file is not JSON.
    #[error("profile {id} is not JSON")]
    NotJson {
        /// Profile.
        id: String,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// A file does not have the fields of a profile, or has others.
    #[error("profile {id} is not a printer profile: {source}")]
    Malformed {
        /// Profile.
        id: String,
        /// Cause, which names the field.
        #[source]
        source: serde_json::Error,
    },
    /// `inherits` names no profile of the set.
    #[error("profile {id} inherits {parent}, which is not there")]
    NoParent {
        /// Profile.
        id: String,
        /// Parent named.
        parent: String,
    },
    /// `inherits` comes back to its beginning.
    #[error("profile {id} inherits itself")]
    Circular {
        /// Profile.
        id: String,
    },
    /// The id inside a file is not the file's name.
    #[error("profile {id} calls itself {found}")]
    OtherId {
        /// Name of the file.
        id: String,
        /// Id found.
        found: String,
    },
    /// A figure that no printer has.
    #[error("profile {id}: {what}")]
    Impossible {
        /// Profile.
        id: String,
        /// Which figure.
        what: &'static str,
    },
}

/// Printer models by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profiles(BTreeMap<String, Profile>);

const BUILT_IN: [(&str, &str); 2] = [
    (
        "generic-58",
        include_str!("../../../printer-profiles/generic-58.json"),
    ),
    (
        "generic-80",
        include_str!("../../../printer-profiles/generic-80.json"),
    ),
];

impl Profiles {
    /// The profiles that ship with the program.
    pub fn built_in() -> Profiles {
        Profiles::from_sources(std::iter::empty())
            .expect("the embedded profiles are valid, by test")
    }

    /// The built-in profiles and `sources` of (file name without extension, content). A source replaces the
    /// built-in of the same name and may inherit any other.
    ///
    /// # Errors
    /// [`ProfileError`] for the first file that cannot be used.
    pub fn from_sources(
        sources: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Profiles, ProfileError> {
        let built_in = BUILT_IN.map(|(id, source)| (id.to_owned(), source.to_owned()));
        let mut raw = BTreeMap::new();
        for (id, source) in built_in.into_iter().chain(sources) {
            let value: Value =
                serde_json::from_str(&source).map_err(|source| ProfileError::NotJson {
                    id: id.clone(),
                    source,
                })?;
            raw.insert(id, value);
        }
        let mut profiles = BTreeMap::new();
        for id in raw.keys() {
            let merged = resolve(&raw, id)?;
            let profile: Profile =
                serde_json::from_value(merged).map_err(|source| ProfileError::Malformed {
                    id: id.clone(),
                    source,
                })?;
            check(id, &profile)?;
            profiles.insert(id.clone(), profile);
        }
        Ok(Profiles(profiles))
    }

    /// The profile called `id`.
    pub fn get(&self, id: &str) -> Option<&Profile> {
        self.0.get(id)
    }

    /// Every profile, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.0.values()
    }
}

fn resolve(raw: &BTreeMap<String, Value>, id: &str) -> Result<Value, ProfileError> {
    let mut chain = vec![id.to_owned()];
    let mut at = &raw[id];
    while let Some(parent) = at.get("inherits").and_then(Value::as_str) {
        if chain.iter().any(|seen| seen == parent) {
            return Err(ProfileError::Circular { id: id.to_owned() });
        }
        let missing = || ProfileError::NoParent {
            id: id.to_owned(),
            parent: parent.to_owned(),
        };
        at = raw.get(parent).ok_or_else(missing)?;
        chain.push(parent.to_owned());
    }
    let mut merged = Value::Object(serde_json::Map::new());
    for ancestor in chain.iter().rev() {
        merge(&mut merged, &raw[ancestor]);
    }
    Ok(merged)
}

/// Objects merge field by field; anything else is replaced.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

fn check(id: &str, profile: &Profile) -> Result<(), ProfileError> {
    if profile.id != id {
        return Err(ProfileError::OtherId {
            id: id.to_owned(),
            found: profile.id.clone(),
        });
    }
    let impossible = |what| {
        Err(ProfileError::Impossible {
            id: id.to_owned(),
            what,
        })
    };
    let width = profile.width_dots();
    if !(160..=1_200).contains(&width) || !width.is_multiple_of(8) {
        return impossible("printable width must be 160 to 1200 dots and a multiple of 8");
    }
    if !(8..=2_400).contains(&profile.pos.raster.band_rows) {
        return impossible("bandRows must be 8 to 2400");
    }
    if profile.pos.raster.max_bytes_per_write < 64 {
        return impossible("maxBytesPerWrite must be at least 64");
    }
    if profile.pos.raster.blank_rows == BlankRows::EscJ
        && profile.media.dpi.is_none_or(|dpi| dpi > 255)
    {
        return impossible("blankRows esc_j needs a dpi of at most 255");
    }
    if !matches!(profile.pos.drawer.pin, 2 | 5)
        || profile.pos.drawer.on_ms > 510
        || profile.pos.drawer.off_ms > 510
    {
        return impossible("a drawer pulse has pin 2 or 5 and at most 510 ms");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(id: &str, source: &str) -> Result<Profiles, ProfileError> {
        Profiles::from_sources([(id.to_owned(), source.to_owned())])
    }

    #[test]
    fn the_built_in_profiles_resolve_their_inheritance() {
        let profiles = Profiles::built_in();
        let narrow = profiles.get("generic-58").expect("built in");
        let wide = profiles.get("generic-80").expect("built in");
        assert_eq!((narrow.width_dots(), wide.width_dots()), (384, 576));
        assert_eq!((narrow.media.dpi, wide.media.dpi), (Some(203), Some(203)));
        assert_eq!(
            (narrow.pos.cut.cmd, wide.pos.cut.cmd),
            (CutCommand::None, CutCommand::GsV66)
        );
        assert_eq!(wide.pos.drawer, narrow.pos.drawer, "inherited");
        assert_eq!(wide.fonts["0"].name, "Font A", "inherited inside an object");
        assert_eq!(profiles.iter().count(), 2);
    }

    #[test]
    fn a_folder_s_profile_may_inherit_a_built_in() {
        let profiles = with(
            "shop",
            r#"{"id":"shop","name":"Shop","inherits":"generic-80","media":{"dpi":180,"width":{"pixels":512,"mm":"Unknown"}}}"#,
        );
        let profiles = profiles.expect("a valid profile");
        let shop = profiles.get("shop").expect("just given");
        assert_eq!(
            (shop.width_dots(), shop.media.dpi, shop.media.width.mm),
            (512, Some(180), None)
        );
    }

    #[test]
    fn a_bad_profile_is_refused_with_its_reason() {
        for (source, reason) in [
            ("{", "profile x is not JSON"),
            (
                r#"{"id":"x","name":"X","inherits":"generic-80","colour":"red"}"#,
                "unknown field `colour`",
            ),
            (
                r#"{"id":"x","name":"X","inherits":"generic-80","pos":{"raster":{"bands":1}}}"#,
                "unknown field `bands`",
            ),
            (
                r#"{"id":"x","name":"X","inherits":"nobody"}"#,
                "profile x inherits nobody, which is not there",
            ),
            (
                r#"{"id":"x","name":"X","inherits":"x"}"#,
                "profile x inherits itself",
            ),
            (
                r#"{"id":"y","name":"X","inherits":"generic-80"}"#,
                "profile x calls itself y",
            ),
            (
                r#"{"id":"x","name":"X","inherits":"generic-80","media":{"width":{"pixels":570}}}"#,
                "multiple of 8",
            ),
            (
                r#"{"id":"x","name":"X","inherits":"generic-80","media":{"width":{"pixels":"many"}}}"#,
                "neither a number nor Unknown",
            ),
            (
                r#"{"id":"x","name":"X","inherits":"generic-80","pos":{"drawer":{"pin":3}}}"#,
                "pin 2 or 5",
            ),
            (r#"{"id":"x","name":"X"}"#, "missing field"),
        ] {
            let error = with("x", source).expect_err(source).to_string();
            assert!(error.contains(reason), "{source}: {error}");
        }
    }
}
