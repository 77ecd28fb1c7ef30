//! The page that tells a stranger what the file is.

/// Words of one language, before and after the figures.
struct Words {
    title: &'static str,
    what: &'static str,
    store: &'static str,
    till: &'static str,
    from: &'static str,
    until: &'static str,
    first: &'static str,
    last: &'static str,
    keep: (&'static str, &'static str),
    body: &'static str,
}

const FRENCH: Words = Words {
    title: "Archive fiscale d'une caisse",
    what: "Ce fichier contient le journal d'une caisse Hanout, tel qu'il a été écrit, et les tableaux qui en résultent.",
    store: "Magasin",
    till: "Caisse",
    from: "Du",
    until: "Au",
    first: "premier jour",
    last: "dernier jour",
    keep: ("À conserver", "ans. Rien n'a été effacé du journal."),
    body: "\
events.jsonl   un événement par ligne, octet pour octet ce qui a été haché
chain.csv      l'empreinte de la chaîne après chaque événement
tables/        tickets, lignes, taxes, règlements, caisse, Z, clôtures (UTF-8, unités mineures)
keys.json      clés publiques ; heads.json : signatures ; reports/ : rapports émis, s'ils sont joints
hashes.txt     SHA-256 de chaque autre fichier

Vérifier sans logiciel particulier :
1. dézipper, puis : sha256sum -c hashes.txt
2. pour chaque flux, h = SHA256(\"hanout-stream-1\" 00 flux) ; pour chaque ligne, h = SHA256(\"hanout-event-1\" 00 h
   ligne sans le saut de ligne) ; h doit être l'empreinte de chain.csv.
3. additionner les tickets de chaque journée : c'est la clôture ; chaque écriture s'équilibre à zéro.
Avec Hanout : hanout-till verify FICHIER.zip. Les formats sont décrits dans docs/ledger.md.
Les personnes sont désignées par des identifiants ; aucun nom ne figure dans les événements et les tableaux.
",
};

const ARABIC: Words = Words {
    title: "أرشيف جبائي لصندوق بيع",
    what: "يحتوي هذا الملف على سجل صندوق Hanout كما كُتب، وعلى الجداول المستخرجة منه.",
    store: "المتجر",
    till: "الصندوق",
    from: "من",
    until: "إلى",
    first: "أول يوم",
    last: "آخر يوم",
    keep: ("يُحفظ", "سنوات. لم يُحذف شيء من السجل."),
    body: "\
events.jsonl   حدث واحد في كل سطر، بالبايتات التي حُسبت بصمتها
chain.csv      بصمة السلسلة بعد كل حدث
tables/        التذاكر والأسطر والضرائب والدفعات والصندوق وتقارير Z والإقفالات (UTF-8، بالوحدات الصغرى)
keys.json      المفاتيح العمومية؛ heads.json: التواقيع؛ reports/: التقارير الصادرة إن أُرفقت
hashes.txt     بصمة SHA-256 لكل ملف آخر

التحقق دون برنامج خاص:
1. فك الضغط ثم: sha256sum -c hashes.txt
2. لكل مجرى: h = SHA256(\"hanout-stream-1\" 00 المجرى)، ولكل سطر: h = SHA256(\"hanout-event-1\" 00 h السطر دون
   نهاية السطر)، ويجب أن تطابق h البصمة في chain.csv.
3. مجموع تذاكر كل يوم هو إقفاله، ومجموع كل قيد يساوي صفرًا.
بواسطة Hanout: hanout-till verify FILE.zip. الصيغ موصوفة في docs/ledger.md.
يُشار إلى الأشخاص بمعرّفات؛ لا يوجد أي اسم في الأحداث والجداول.
",
};

const ENGLISH: Words = Words {
    title: "Fiscal archive of a till",
    what: "This file holds the journal of a Hanout till as it was written, and the tables that follow from it.",
    store: "Store",
    till: "Till",
    from: "From",
    until: "Until",
    first: "first day",
    last: "last day",
    keep: ("Keep for", "years. Nothing was removed from the journal."),
    body: "\
events.jsonl   one event a line, byte for byte what was hashed
chain.csv      the hash of the chain after each event
tables/        receipts, lines, taxes, tenders, cash, Z reports, closings (UTF-8, minor units)
keys.json      public keys; heads.json: signatures; reports/: reports as issued, where they are enclosed
hashes.txt     SHA-256 of every other file

To verify without any special program:
1. unpack, then: sha256sum -c hashes.txt
2. for each stream, h = SHA256(\"hanout-stream-1\" 00 stream); for each line, h = SHA256(\"hanout-event-1\" 00 h
   line without its line feed); h must be the hash in chain.csv.
3. the receipts of each day add up to its closing; each entry sums to zero.
With Hanout: hanout-till verify FILE.zip. docs/ledger.md describes the formats.
People are opaque ids; no name is in the events and tables.
",
};

/// What the page says about this archive.
pub struct About<'a> {
    /// Store.
    pub store: &'a str,
    /// Till.
    pub till: &'a str,
    /// First day; none for all.
    pub from: Option<String>,
    /// Last day; none for all.
    pub until: Option<String>,
    /// Years that the law wants it kept.
    pub retention_years: u32,
}

/// The page, in three languages.
pub fn readme(about: &About<'_>) -> String {
    let mut page = String::new();
    for words in [FRENCH, ARABIC, ENGLISH] {
        let from = about.from.as_deref().unwrap_or(words.first);
        let until = about.until.as_deref().unwrap_or(words.last);
        page.push_str(&format!(
            "{}\n\n{}\n{}: {}\n{}: {}\n{}: {from}\n{}: {until}\n{} {} {}\n\n{}\n",
            words.title,
            words.what,
            words.store,
            about.store,
            words.till,
            about.till,
            words.from,
            words.until,
            words.keep.0,
            about.retention_years,
            words.keep.1,
            words.body,
        ));
    }
    page
}
